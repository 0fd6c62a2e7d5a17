/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * udpcr: checkpoint and restore of UDP sockets over generic netlink.
 *
 * This header is the manual of the interface.  It is shared by the kernel
 * module, which speaks these messages over netlink, and by user space, which
 * also stores them on disk as they are (from struct genlmsghdr on, so that a
 * stored message carries no run-time family id).
 *
 * Family
 * ------
 *   name "udpcr", version 1.
 *
 * Messages
 * --------
 * UDPCR_CMD_SOCKET
 *   The record of one socket: everything about it but its queues.
 *
 *   UDPCR_A_INO            u64     inode number, as fstat(2) gives it
 *   UDPCR_A_COOKIE         u64     SO_COOKIE; never used twice in one boot
 *   UDPCR_A_FAMILY         u16     AF_INET or AF_INET6
 *   UDPCR_A_PROTOCOL       u16     IPPROTO_UDP or IPPROTO_UDPLITE
 *   UDPCR_A_SOCK_FLAGS     u32     UDPCR_SOCK_*, see there
 *   UDPCR_A_LOCAL_ADDR     binary  4 or 16 bytes, network order
 *   UDPCR_A_LOCAL_PORT     u16     network order; 0: not bound
 *   UDPCR_A_LOCAL_SCOPE    u32     sin6_scope_id of the local address
 *   UDPCR_A_PEER_ADDR      binary  present when the socket is connected
 *   UDPCR_A_PEER_PORT      u16     network order
 *   UDPCR_A_PEER_SCOPE     u32     sin6_scope_id of the peer
 *   UDPCR_A_DEVICE         string  SO_BINDTODEVICE, by name
 *   UDPCR_A_UID            u32     owner, in the reader's user namespace
 *   UDPCR_A_FILE_FLAGS     u32     O_NONBLOCK, O_ASYNC, ... as F_GETFL gives
 *   UDPCR_A_DROPS          u32     datagrams dropped by the receive queue
 *   UDPCR_A_RMEM           u32     bytes charged for queued datagrams
 *   UDPCR_A_QUEUE_COUNT    u32     datagrams in the receive queue
 *   UDPCR_A_OPTION         nested  one socket option; occurs once an option
 *     UDPCR_OPT_LEVEL      u32     as in setsockopt(2)
 *     UDPCR_OPT_NAME       u32
 *     UDPCR_OPT_VALUE      binary  as in setsockopt(2), native byte order
 *
 * UDPCR_CMD_DATAGRAM
 *   One datagram of a receive queue.  A queue is a series of them, oldest
 *   first.  Only UDPCR_A_PAYLOAD is mandatory (0 to 65,527 bytes); what is
 *   absent was not known.
 *
 *   UDPCR_A_SRC_ADDR       binary  4 or 16 bytes (v4 on a v6 socket: 4)
 *   UDPCR_A_SRC_PORT       u16     network order
 *   UDPCR_A_SRC_SCOPE      u32     interface index of a link-local source
 *   UDPCR_A_DST_ADDR       binary  destination address of the IP header
 *   UDPCR_A_DST_PORT       u16     network order
 *   UDPCR_A_IFINDEX        u32     arrival interface
 *   UDPCR_A_TSTAMP         u64     arrival, nanoseconds of CLOCK_REALTIME
 *   UDPCR_A_TOS            u8      TOS byte, or IPv6 traffic class
 *   UDPCR_A_TTL            u8      TTL, or IPv6 hop limit
 *   UDPCR_A_MARK           u32     skb mark
 *   UDPCR_A_GSO_SIZE       u16     UDP_GRO segment size
 *   UDPCR_A_PAYLOAD        binary
 *
 * Growth
 * ------
 * Numbers are never reused.  A reader skips an attribute that it does not
 * know, and names it.
 */
#ifndef UDPCR_NETLINK_H
#define UDPCR_NETLINK_H

#define UDPCR_GENL_NAME		"udpcr"
#define UDPCR_GENL_VERSION	1

/* The largest UDP payload: 65,535 less 8 bytes of UDP header (RFC 768). */
#define UDPCR_MAX_PAYLOAD	65527

enum udpcr_cmd {
	UDPCR_CMD_UNSPEC,
	UDPCR_CMD_SOCKET,
	UDPCR_CMD_DATAGRAM,
	__UDPCR_CMD_MAX
};
#define UDPCR_CMD_MAX (__UDPCR_CMD_MAX - 1)

/* UDPCR_A_SOCK_FLAGS */
#define UDPCR_SOCK_BOUND_ADDR	(1U << 0)	/* address given to bind(2) */
#define UDPCR_SOCK_BOUND_PORT	(1U << 1)	/* port given to bind(2) */
#define UDPCR_SOCK_BOUND	(1U << 2)	/* bind(2) was called */
#define UDPCR_SOCK_CONNECTED	(1U << 3)	/* has a peer */
#define UDPCR_SOCK_ORIGIN_KNOWN	(1U << 4)	/* the three BOUND bits are facts,
						 * not conclusions
						 */

enum udpcr_attr {
	UDPCR_A_UNSPEC,
	UDPCR_A_PAD,
	UDPCR_A_INO,
	UDPCR_A_COOKIE,
	UDPCR_A_FAMILY,
	UDPCR_A_PROTOCOL,
	UDPCR_A_SOCK_FLAGS,
	UDPCR_A_LOCAL_ADDR,
	UDPCR_A_LOCAL_PORT,
	UDPCR_A_LOCAL_SCOPE,
	UDPCR_A_PEER_ADDR,
	UDPCR_A_PEER_PORT,
	UDPCR_A_PEER_SCOPE,
	UDPCR_A_DEVICE,
	UDPCR_A_UID,
	UDPCR_A_FILE_FLAGS,
	UDPCR_A_DROPS,
	UDPCR_A_RMEM,
	UDPCR_A_QUEUE_COUNT,
	UDPCR_A_OPTION,
	UDPCR_A_SRC_ADDR,
	UDPCR_A_SRC_PORT,
	UDPCR_A_SRC_SCOPE,
	UDPCR_A_DST_ADDR,
	UDPCR_A_DST_PORT,
	UDPCR_A_IFINDEX,
	UDPCR_A_TSTAMP,
	UDPCR_A_TOS,
	UDPCR_A_TTL,
	UDPCR_A_MARK,
	UDPCR_A_GSO_SIZE,
	UDPCR_A_PAYLOAD,
	__UDPCR_A_MAX
};
#define UDPCR_A_MAX (__UDPCR_A_MAX - 1)

enum udpcr_opt_attr {
	UDPCR_OPT_UNSPEC,
	UDPCR_OPT_LEVEL,
	UDPCR_OPT_NAME,
	UDPCR_OPT_VALUE,
	__UDPCR_OPT_MAX
};
#define UDPCR_OPT_MAX (__UDPCR_OPT_MAX - 1)

#endif /* UDPCR_NETLINK_H */
