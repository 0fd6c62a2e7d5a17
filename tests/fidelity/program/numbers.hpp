// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Numbers of the kernel's interface that the C library's headers may lack, from
// include/uapi of Linux 6.18.  They are not taken from the library: this
// program is linked to nothing of ours.
#pragma once

namespace fidelity {

// asm-generic/socket.h
constexpr int kSoTxtime = 61;
constexpr int kSoBindtoifindex = 62;
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

// linux/in.h
constexpr int kIpRecvfragsize = 25;
constexpr int kIpRecverrRfc4884 = 26;
constexpr int kIpLocalPortRange = 51;

// linux/in6.h
constexpr int kIpv6Flowinfo = 11;
constexpr int kIpv6MulticastAll = 29;
constexpr int kIpv6RecverrRfc4884 = 31;
constexpr int kIpv6FlowlabelMgr = 32;
constexpr int kIpv6FlowinfoSend = 33;
constexpr int kIpv6Recvorigdstaddr = 74;
constexpr int kIpv6Recvfragsize = 77;
constexpr int kIpv6Freebind = 78;

// linux/udp.h, net/udplite.h
constexpr int kUdpSegment = 103;
constexpr int kUdpGro = 104;
constexpr int kSolUdplite = 136;
constexpr int kUdpliteSendCscov = 10;
constexpr int kUdpliteRecvCscov = 11;

}  // namespace fidelity
