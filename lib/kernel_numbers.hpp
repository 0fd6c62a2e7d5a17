// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Numbers of the kernel's interface that the C library's headers lack or that
// not every distribution's headers have, from include/uapi of Linux 6.18.
// They are the same on every architecture but Alpha, MIPS, PA-RISC and SPARC,
// which udpcr does not support.
#pragma once

namespace udpcr {

// include/uapi/asm-generic/socket.h
constexpr int kSoMeminfo = 55;
constexpr int kSoCookie = 57;
constexpr int kSoTxtime = 61;
constexpr int kSoTimestampNew = 63;
constexpr int kSoTimestampnsNew = 64;
constexpr int kSoTimestampingNew = 65;
constexpr int kSoPreferBusyPoll = 69;
constexpr int kSoBusyPollBudget = 70;
constexpr int kSoNetnsCookie = 71;
constexpr int kSoBufLock = 72;
constexpr int kSoReserveMem = 73;
constexpr int kSoTxrehash = 74;
constexpr int kSoRcvmark = 75;
constexpr int kSoPasspidfd = 76;
constexpr int kSoRcvpriority = 82;

// include/uapi/linux/in.h
constexpr int kIpRecvfragsize = 25;
constexpr int kIpRecverrRfc4884 = 26;
constexpr int kIpLocalPortRange = 51;  // since 6.3

// include/uapi/linux/in6.h
constexpr int kIpv6Flowinfo = 11;
constexpr int kIpv6MulticastAll = 29;
constexpr int kIpv6RouterAlertIsolate = 30;
constexpr int kIpv6RecverrRfc4884 = 31;
constexpr int kIpv6FlowinfoSend = 33;
constexpr int kIpv6Recvorigdstaddr = 74;
constexpr int kIpv6Recvfragsize = 77;
constexpr int kIpv6Freebind = 78;

// include/uapi/linux/udp.h, include/net/udplite.h
constexpr int kUdpEncap = 100;
constexpr int kUdpSegment = 103;
constexpr int kUdpGro = 104;
constexpr int kUdpliteSendCscov = 10;
constexpr int kUdpliteRecvCscov = 11;

// include/uapi/linux/sock_diag.h: indices into what SO_MEMINFO gives
constexpr unsigned kMeminfoRmem = 0;
constexpr unsigned kMeminfoRcvbuf = 1;
constexpr unsigned kMeminfoDrops = 8;
constexpr unsigned kMeminfoCount = 9;

}  // namespace udpcr
