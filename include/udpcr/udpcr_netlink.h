/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * udpcr: checkpoint and restore of UDP sockets over generic netlink.
 *
 * This header is the manual of the interface.  It is shared by the kernel
 * module, which speaks these messages over netlink, and by user space, which
 * also stores the messages SOCKET and DATAGRAM on disk as they are (from
 * struct genlmsghdr on, so that a stored message carries no run-time family
 * id).  udpcr.yaml beside it says the same to programs.
 *
 * Family
 * ------
 *   name "udpcr", version 1.
 *
 * Naming a socket
 * ---------------
 * Every request that names a socket does so with
 *
 *   UDPCR_A_INO     u64  inode number, as fstat(2) gives it.  Mandatory.
 *   UDPCR_A_FD      u32  an fd of the caller that refers to the socket.
 *   UDPCR_A_COOKIE  u64  SO_COOKIE.  Inodes are used again, cookies are not.
 *
 * With an fd, that file is taken, and must have this inode.  Without one the
 * caller's own fds are searched, then the bound sockets of the network
 * namespace in which the netlink socket was made; so an orphan is found too (a
 * socket to which no fd of a process refers, only a message under way).  A
 * socket that is neither bound nor open in the caller cannot be found, nor can
 * a kernel's own.
 *
 * Rights
 * ------
 * A socket that the caller holds an fd of, and that is its user's own (the
 * caller's fsuid, and that of the netlink socket's opener, equal the owner of
 * the socket or the fsuid that opened it), needs no privilege.  Any other one
 * needs CAP_NET_ADMIN in the user namespace of the socket's network namespace.
 *
 * Commands
 * --------
 * UDPCR_CMD_SOCKET (do)
 *   Request: a socket.  Reply: its record, see below.
 * UDPCR_CMD_SOCKET (dump)
 *   Request: nothing.  Replies: the records of all bound UDP and UDP-Lite
 *   sockets of the namespace.  Needs CAP_NET_ADMIN.  A record that does not
 *   fit into 60 kB has UDPCR_SOCK_PARTIAL and comes without memberships and
 *   filters.
 *
 * UDPCR_CMD_QUEUE (dump)
 *   Request: a socket and UDPCR_A_QUEUE (u32, UDPCR_QUEUE_RECEIVE when absent);
 *   or UDPCR_A_HANDLE, a list that is held aside.
 *   Replies: UDPCR_CMD_DATAGRAM messages, oldest first.  Nothing is consumed;
 *   all of them stood in the queue at one instant, that of the request.
 *   UDPCR_QUEUE_SEND has at most one: the corked datagram.
 *   Datagrams with a wrong checksum, which no reader would get, are left out.
 *
 * Lists held aside.  A caller gives each a number of its own choice
 * (UDPCR_A_HANDLE, u32, not 0) that is known on its netlink socket only.  What
 * is in a list stays charged to its socket's receive buffer, so that putting
 * it back cannot fail.
 *
 * UDPCR_CMD_TAKE (do)
 *   Request: a socket, UDPCR_A_HANDLE.  All that is in the receive queue is
 *   moved into the list.  Reply: UDPCR_A_HANDLE, UDPCR_A_QUEUE_COUNT,
 *   UDPCR_A_RMEM (bytes charged).
 * UDPCR_CMD_STAGE (do)
 *   Request: a socket, UDPCR_A_HANDLE, and UDPCR_A_QUEUE when the list is not
 *   for the receive queue (the default) but for UDPCR_QUEUE_ERROR.  Begins an
 *   empty list.
 * UDPCR_CMD_DATAGRAM (do)
 *   Request: UDPCR_A_HANDLE, and a datagram as QUEUE gives it, in any order.
 *   Adds the datagram at the end of a list that STAGE began.  The receive
 *   queue and what is held aside may together have twice the bytes of
 *   SO_RCVBUF.  For the error queue UDPCR_A_ERRMSG is mandatory, for the
 *   receive queue it is refused.
 * UDPCR_CMD_PUT (do)
 *   Request: UDPCR_A_HANDLE, UDPCR_A_POSITION (u32).  Puts the whole list into
 *   its queue at once, in front of what is there or behind it, and wakes
 *   readers.  The list is gone then.
 * UDPCR_CMD_DROP (do)
 *   Request: UDPCR_A_HANDLE.  Frees the list and what is in it.
 *
 *   When the netlink socket is closed, or the module unloaded, what was taken
 *   is put back in front, and what was staged is dropped.
 *
 * UDPCR_CMD_OPEN (do)
 *   Request: a socket.  Reply: UDPCR_A_FD, a new close-on-exec fd of it in the
 *   caller, and UDPCR_A_INO.
 *
 * UDPCR_CMD_SET (do)
 *   Request: a socket, and what no system call can set: UDPCR_A_DROPS,
 *   UDPCR_A_ERROR, UDPCR_A_TSKEY; UDPCR_A_SOCK_FLAGS, of BOUND_ADDR and
 *   BOUND_PORT those that shall stand: one that does is cleared so, as if the
 *   kernel had chosen that part of the address, and none can be set.
 *
 * What SET and DATAGRAM are given must be what UDP itself could have put there,
 * on that socket.  A pending error is one that ICMP gives (of IPv6 on an IPv6
 * socket only, of IPv4 not on one that is IPv6 only), or ECONNABORTED.  A message
 * of the error queue has the errno that its ICMP type and code give, or what its
 * origin has: LOCAL EMSGSIZE and an MTU, TIMESTAMPING ENOMSG and
 * SCM_TSTAMP_SND or _SCHED, ZEROCOPY a range of numbers, TXTIME its two
 * failures.  Sources, and offenders, are no groups and no broadcast; payload and
 * headers fit into a packet; options end where their header ends; nothing
 * but an empty datagram has been peeked at.  Anything else is EINVAL.
 *
 * Parking.  A parked socket is kept open by the module, and goes on receiving,
 * when whoever had it ends, until it is claimed or its time is over.  Parked
 * sockets keep the module from being unloaded, and their network namespace from
 * being destroyed: UNPARK them, or wait.  So outside of the initial network
 * namespace a park lasts 300 seconds at most, whatever was asked for.  What
 * program a socket was parked for is user space's to say, with the key.  The key
 * is a name, not a secret: PARKED tells it to whoever may claim.
 *
 * UDPCR_CMD_PARK (do)
 *   Request: a socket, UDPCR_A_FD mandatory.  UDPCR_A_KEY (binary, at most 64
 *   bytes, empty when absent) is what a claim must name;
 *   UDPCR_A_SECONDS (u32; absent or 0: UDPCR_PARK_SECONDS) how long it is kept
 *   once nobody else has it open.  A park of the caller's is renewed by the
 *   same key: the seconds are those given now, and begin anew.
 * UDPCR_CMD_CLAIM (do)
 *   Request: UDPCR_A_INO, UDPCR_A_COOKIE; UDPCR_A_KEY must be that of the park
 *   (empty when absent).  Reply: UDPCR_A_FD, a new close-on-exec fd of it in the
 *   caller, UDPCR_A_INO, UDPCR_A_COOKIE (absent as in the record).  The park is
 *   over.
 *   Refused with EBUSY while anybody else has the socket open, in a message
 *   under way too.
 * UDPCR_CMD_UNPARK (do)
 *   Request: UDPCR_A_INO, UDPCR_A_COOKIE.  The park is over; the socket is
 *   closed unless somebody has it open.
 * UDPCR_CMD_PARKED (dump)
 *   Request: nothing, or UDPCR_A_ALL_NETNS (flag): of all network namespaces, also
 *   of those that nobody is in any more; that needs CAP_NET_ADMIN in the initial
 *   user namespace.  Replies: what is parked in the namespace and may be
 *   claimed by the caller, in the order of parking: of the record INO, COOKIE,
 *   FAMILY, PROTOCOL, SOCK_FLAGS, LOCAL_*, PEER_*, DEVICE, RMEM, QUEUE_COUNT;
 *   UDPCR_A_UID is who parked it.
 *     UDPCR_A_KEY          binary  may be empty
 *     UDPCR_A_SECONDS      u32     how long it is kept, the limits applied
 *     UDPCR_A_SINCE        u64     when the module noticed that nobody else has
 *                                  it open, nanoseconds of CLOCK_BOOTTIME;
 *                                  absent while somebody has
 *     UDPCR_A_NETNS_INO    u64     its network namespace, as stat(2) of
 *                                  /proc/PID/ns/net gives it
 *     UDPCR_A_NETNS_COOKIE u64     and as SO_NETNS_COOKIE does
 *
 *   A park is its user's.  Who claims, unparks or renews it must be what ptrace(2)
 *   asks for: of the same user namespace as the task that parked it, with its
 *   fsuid, and with all the capabilities that it was permitted; both the caller
 *   and the opener of the netlink socket.  Else he must have CAP_NET_ADMIN in the
 *   user namespace of the network namespace.  So root of a container, with the
 *   host's number 0 but not its capabilities, or of a user namespace
 *   of his own, has nothing of the host's root.  Park and claim go through netlink
 *   sockets of the socket's network namespace.
 *   The module looks once a second: that late a time begins, and ends.
 *
 * Record of a socket (UDPCR_CMD_SOCKET)
 * -------------------------------------
 *   UDPCR_A_INO            u64     inode number
 *   UDPCR_A_COOKIE         u64     SO_COOKIE; absent when it was never asked
 *                                  for (only getsockopt(2) makes one)
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
 *   UDPCR_A_OPTION         nested  one socket option; occurs once an option.
 *                                  The module gives those that it can read,
 *                                  also where getsockopt(2) cannot.  Of
 *                                  SO_ATTACH_FILTER and
 *                                  SO_ATTACH_REUSEPORT_CBPF the value is the
 *                                  classic program, an array of struct
 *                                  sock_filter (8 bytes each)
 *     UDPCR_OPT_LEVEL      u32     as in setsockopt(2)
 *     UDPCR_OPT_NAME       u32
 *     UDPCR_OPT_VALUE      binary  as in setsockopt(2), native byte order
 *   UDPCR_A_SHUTDOWN       u8      1: receiving, 2: sending, 3: both
 *   UDPCR_A_ERROR          u32     pending SO_ERROR, absent when there is none
 *   UDPCR_A_ERROR_COUNT    u32     messages in the error queue
 *   UDPCR_A_CORK_LEN       u32     payload bytes that are corked
 *   UDPCR_A_HELD_COUNT     u32     datagrams of the socket that are held aside
 *   UDPCR_A_MEMBERSHIP     nested  one multicast membership; occurs once each,
 *                                  in the order in which they were joined
 *     UDPCR_MEMBER_GROUP   binary  4 or 16 bytes, network order
 *     UDPCR_MEMBER_IFINDEX u32     interface
 *     UDPCR_MEMBER_DEVICE  string  its name, absent when it is gone
 *     UDPCR_MEMBER_MODE    u32     MCAST_INCLUDE or MCAST_EXCLUDE (linux/in.h)
 *     UDPCR_MEMBER_SOURCES binary  the filter's addresses, one after another
 *     UDPCR_MEMBER_ANYCAST flag    IPV6_JOIN_ANYCAST, not multicast
 *   UDPCR_A_TSKEY          u32     number of the next datagram that is sent
 *                                  (SOF_TIMESTAMPING_OPT_ID)
 *   UDPCR_A_CGROUP         u64     id of the cgroup that it is accounted to
 *   UDPCR_A_REUSEPORT_INDEX u32    its place in its SO_REUSEPORT group, from 0;
 *                                  absent when it is in none
 *
 *   What follows the module neither gives nor takes.  User space adds it to
 *   records that it stores.
 *
 *   UDPCR_A_NETNS          string  name under /run/netns of the socket's
 *                                  network namespace, when it is not that of
 *                                  the checkpointed process
 *   UDPCR_A_INTERFACE      nested  an interface whose index stands somewhere in
 *                                  record or queues; occurs once each
 *     UDPCR_INTERFACE_INDEX u32
 *     UDPCR_INTERFACE_NAME string
 *   UDPCR_A_OWN_TYPE       u32     F_GETOWN_EX: F_OWNER_TID, _PID or _PGRP
 *   UDPCR_A_OWN_PID        u32     absent when nobody owns it
 *   UDPCR_A_OWN_SIGNAL     u32     F_GETSIG
 *   UDPCR_A_LABEL          string  the security module's label
 *
 * Datagram (UDPCR_CMD_DATAGRAM)
 * -----------------------------
 *   Only UDPCR_A_PAYLOAD is mandatory (0 to 65,527 bytes); what is absent was
 *   not known, or is 0.
 *
 *   UDPCR_A_SRC_ADDR       binary  4 or 16 bytes (v4 on a v6 socket: 4)
 *   UDPCR_A_SRC_PORT       u16     network order
 *   UDPCR_A_SRC_SCOPE      u32     interface index of a link-local source
 *   UDPCR_A_DST_ADDR       binary  destination address of the IP header
 *   UDPCR_A_DST_PORT       u16     network order
 *   UDPCR_A_IFINDEX        u32     arrival interface
 *   UDPCR_A_TSTAMP         u64     arrival, nanoseconds of CLOCK_REALTIME; of a
 *                                  corked datagram SCM_TXTIME
 *   UDPCR_A_TOS            u8      TOS byte, or IPv6 traffic class
 *   UDPCR_A_TTL            u8      TTL, or IPv6 hop limit
 *   UDPCR_A_MARK           u32     skb mark
 *   UDPCR_A_GSO_SIZE       u16     UDP_GRO segment size; of a corked datagram
 *                                  UDP_SEGMENT
 *   UDPCR_A_SPEC_DST       binary  4 bytes, ipi_spec_dst of IP_PKTINFO; IPv4
 *   UDPCR_A_ERRMSG         nested  of messages in the error queue only
 *     UDPCR_ERRMSG_ERRNO   u32     struct sock_extended_err (linux/errqueue.h)
 *     UDPCR_ERRMSG_ORIGIN  u8
 *     UDPCR_ERRMSG_TYPE    u8
 *     UDPCR_ERRMSG_CODE    u8
 *     UDPCR_ERRMSG_INFO    u32
 *     UDPCR_ERRMSG_DATA    u32
 *     UDPCR_ERRMSG_OFFENDER binary 4 or 16 bytes; ICMP errors
 *   UDPCR_A_IP_OPTIONS     binary  IPv4: the options of the IP header as they
 *                                  stand, at most 40 bytes, in fours.  IPv6:
 *                                  the extension headers between the IPv6 and
 *                                  the UDP header, at most 2048 bytes; with
 *                                  more NEXT_HEADER stands alone
 *   UDPCR_A_NEXT_HEADER    u8      with IP_OPTIONS of IPv6: protocol number of
 *                                  the first extension header
 *   UDPCR_A_FLOW_LABEL     u32     IPv6, 20 bits, host order
 *   UDPCR_A_PEEKED         flag    somebody has peeked at it; SO_PEEK_OFF then
 *                                  passes over it when it is empty
 *   UDPCR_A_PRIORITY       u32     skb priority (SO_RCVPRIORITY)
 *   UDPCR_A_FRAG_SIZE      u16     largest fragment it came in
 *                                  (IP_RECVFRAGSIZE)
 *   UDPCR_A_PAYLOAD        binary
 *
 *   In a queue of errors DST_ADDR and DST_PORT say where the datagram had been
 *   sent; SRC_ADDR, IFINDEX, TOS, TTL and FLOW_LABEL are of an ICMP error where,
 *   and how, that came in, and of a time of sending those of the datagram.
 *   In a corked datagram DST_ADDR and DST_PORT say where it will be sent, the
 *   rest is as it will be; without TOS, TTL or PRIORITY the socket's options
 *   will tell.
 *
 * Limits
 * ------
 *   An attribute holds 65,531 bytes: a reader's buffer must have 70 KiB, for
 *   the record of one socket 1 MiB.
 *   Lists held aside: 65,536 a user (module parameter max_held).
 *   Queues being read: one of any size, or 64 MiB a user at once (module
 *   parameter max_read, in bytes); with CAP_NET_ADMIN any number.
 *   Parked sockets: 8,192 a user (module parameter max_parked), and 512 MiB of
 *   SO_RCVBUF together as it was when they were parked (max_parked_bytes), in
 *   all network namespaces; with CAP_NET_ADMIN in the initial user namespace any
 *   number.  At most a day once nobody else has them open (max_park_seconds), and
 *   300 seconds outside of the initial network namespace
 *   (max_park_seconds_netns): set lower they hold for those that are parked
 *   already, 0 ends them all.
 *
 * Errors
 * ------
 * Each with an extended-ACK sentence (NLMSGERR_ATTR_MSG) that names the value; the
 * sentence and error of a dump come in its NLMSG_DONE on kernels before 6.2.
 *
 *   ENOENT      no such socket here, no such list, not parked
 *   ESTALE      the inode belongs to another socket now (cookie), or the fd
 *               refers to another inode
 *   EBADF       the fd is not open
 *   ENOTSOCK    the fd is no socket
 *   EPROTOTYPE  the socket is not UDP or UDP-Lite over IPv4 or IPv6
 *   EPERM       it is another user's, see Rights and Parking; ALL_NETNS without
 *               CAP_NET_ADMIN
 *   EXDEV       PARK of a socket of another network namespace
 *   EKEYREJECTED CLAIM without the park's key
 *   EOPNOTSUPP  an encapsulation socket (UDP_ENCAP) or one in a BPF sockmap: its
 *               record can be read, but not its queues, and it is not parked;
 *               a corked datagram with headers that cannot be read, or more than 2048 bytes of them
 *   EEXIST      the number names a list already; the socket is parked already,
 *               under another key or by another user
 *   EBUSY       DATAGRAM for a list that was taken, not staged; CLAIM while
 *               somebody else has the socket open
 *   EINVAL      an attribute that is missing, has a wrong length, or does not
 *               go with the others; a value that UDP could not have put there
 *   EDQUOT      the user holds the most lists, reads the most bytes at once, or
 *               parks the most sockets or bytes, that it may
 *   ENOBUFS     no room: twice SO_RCVBUF, or the memory for all UDP sockets
 *               (net.ipv4.udp_mem)
 *   ERANGE      a number or a length beyond what the policy allows, more seconds
 *               than max_park_seconds
 *   EMSGSIZE    the record has more than 1 MiB, or the filter of one membership
 *               more than 64 KiB
 *
 * Growth
 * ------
 * Numbers are never reused.  A reader skips an attribute that it does not
 * know, and names it.  The module refuses an attribute that it does not know;
 * what an older one knows is told by its policy (CTRL_CMD_GETPOLICY of
 * UDPCR_CMD_DATAGRAM), so that a caller can hold the rest back, and name it.
 */
#ifndef UDPCR_NETLINK_H
#define UDPCR_NETLINK_H

#define UDPCR_GENL_NAME		"udpcr"
#define UDPCR_GENL_VERSION	1

/* The largest UDP payload: 65,535 less 8 bytes of UDP header (RFC 768). */
#define UDPCR_MAX_PAYLOAD	65527

/* UDPCR_A_IP_OPTIONS: one extension header has at most 2,048 bytes (RFC 8200). */
#define UDPCR_MAX_IP_OPTIONS	2048

/* UDPCR_A_KEY */
#define UDPCR_MAX_KEY		64

/* UDPCR_A_SECONDS when none are given. */
#define UDPCR_PARK_SECONDS	60

enum udpcr_cmd {
	UDPCR_CMD_UNSPEC,
	UDPCR_CMD_SOCKET,
	UDPCR_CMD_DATAGRAM,
	UDPCR_CMD_QUEUE,
	UDPCR_CMD_TAKE,
	UDPCR_CMD_STAGE,
	UDPCR_CMD_PUT,
	UDPCR_CMD_DROP,
	UDPCR_CMD_OPEN,
	UDPCR_CMD_SET,
	UDPCR_CMD_PARK,
	UDPCR_CMD_CLAIM,
	UDPCR_CMD_UNPARK,
	UDPCR_CMD_PARKED,
	__UDPCR_CMD_MAX
};
#define UDPCR_CMD_MAX (__UDPCR_CMD_MAX - 1)

/* UDPCR_A_SOCK_FLAGS */
#define UDPCR_SOCK_BOUND_ADDR	(1U << 0)	/* address given to bind(2) */
#define UDPCR_SOCK_BOUND_PORT	(1U << 1)	/* port given to bind(2) */
#define UDPCR_SOCK_BOUND	(1U << 2)	/* bind(2) was called; the kernel
						 * cannot tell it of port 0 at
						 * the wildcard address
						 */
#define UDPCR_SOCK_CONNECTED	(1U << 3)	/* has a peer */
#define UDPCR_SOCK_ORIGIN_KNOWN	(1U << 4)	/* BOUND_ADDR and BOUND_PORT are
						 * facts, not conclusions
						 */
#define UDPCR_SOCK_ENCAP	(1U << 5)	/* UDP_ENCAP or a tunnel's */
#define UDPCR_SOCK_SOCKMAP	(1U << 6)	/* in a BPF sockmap */
#define UDPCR_SOCK_PARTIAL	(1U << 7)	/* memberships and filters did
						 * not fit
						 */
#define UDPCR_SOCK_PARKED	(1U << 8)	/* by the module */
#define UDPCR_SOCK_REUSEPORT_SIBLINGS (1U << 9) /* parked, while somebody has
						 * another member of its
						 * SO_REUSEPORT group open
						 */

/* UDPCR_A_QUEUE */
enum udpcr_queue {
	UDPCR_QUEUE_RECEIVE,
	UDPCR_QUEUE_ERROR,
	UDPCR_QUEUE_SEND,
	__UDPCR_QUEUE_MAX
};
#define UDPCR_QUEUE_MAX (__UDPCR_QUEUE_MAX - 1)

/* UDPCR_A_POSITION */
enum udpcr_position {
	UDPCR_POSITION_FRONT,
	UDPCR_POSITION_BEHIND,
	__UDPCR_POSITION_MAX
};
#define UDPCR_POSITION_MAX (__UDPCR_POSITION_MAX - 1)

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
	UDPCR_A_FD,
	UDPCR_A_HANDLE,
	UDPCR_A_QUEUE,
	UDPCR_A_POSITION,
	UDPCR_A_SHUTDOWN,
	UDPCR_A_ERROR,
	UDPCR_A_ERROR_COUNT,
	UDPCR_A_CORK_LEN,
	UDPCR_A_HELD_COUNT,
	UDPCR_A_MEMBERSHIP,
	UDPCR_A_SPEC_DST,
	UDPCR_A_ERRMSG,
	UDPCR_A_IP_OPTIONS,
	UDPCR_A_NEXT_HEADER,
	UDPCR_A_FLOW_LABEL,
	UDPCR_A_PEEKED,
	UDPCR_A_PRIORITY,
	UDPCR_A_FRAG_SIZE,
	UDPCR_A_TSKEY,
	UDPCR_A_CGROUP,
	UDPCR_A_REUSEPORT_INDEX,
	UDPCR_A_NETNS,
	UDPCR_A_INTERFACE,
	UDPCR_A_OWN_TYPE,
	UDPCR_A_OWN_PID,
	UDPCR_A_OWN_SIGNAL,
	UDPCR_A_LABEL,
	UDPCR_A_KEY,
	UDPCR_A_SECONDS,
	UDPCR_A_SINCE,
	UDPCR_A_ALL_NETNS,
	UDPCR_A_NETNS_INO,
	UDPCR_A_NETNS_COOKIE,
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

enum udpcr_member_attr {
	UDPCR_MEMBER_UNSPEC,
	UDPCR_MEMBER_GROUP,
	UDPCR_MEMBER_IFINDEX,
	UDPCR_MEMBER_DEVICE,
	UDPCR_MEMBER_MODE,
	UDPCR_MEMBER_SOURCES,
	UDPCR_MEMBER_ANYCAST,
	__UDPCR_MEMBER_MAX
};
#define UDPCR_MEMBER_MAX (__UDPCR_MEMBER_MAX - 1)

enum udpcr_errmsg_attr {
	UDPCR_ERRMSG_UNSPEC,
	UDPCR_ERRMSG_ERRNO,
	UDPCR_ERRMSG_ORIGIN,
	UDPCR_ERRMSG_TYPE,
	UDPCR_ERRMSG_CODE,
	UDPCR_ERRMSG_INFO,
	UDPCR_ERRMSG_DATA,
	UDPCR_ERRMSG_OFFENDER,
	__UDPCR_ERRMSG_MAX
};
#define UDPCR_ERRMSG_MAX (__UDPCR_ERRMSG_MAX - 1)

enum udpcr_interface_attr {
	UDPCR_INTERFACE_UNSPEC,
	UDPCR_INTERFACE_INDEX,
	UDPCR_INTERFACE_NAME,
	__UDPCR_INTERFACE_MAX
};
#define UDPCR_INTERFACE_MAX (__UDPCR_INTERFACE_MAX - 1)

#endif /* UDPCR_NETLINK_H */
