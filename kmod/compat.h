/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between Linux 6.1 and 7.3, so that the rest reads as if only the
 * newest kernel existed.
 */
#ifndef UDPCR_COMPAT_H
#define UDPCR_COMPAT_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ipv6.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <linux/version.h>
#include <net/genetlink.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/udp.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#include <net/udplite.h>
#endif

/*
 * Sentences with values in them: the buffer came with 6.2. Before it they
 * stand in a ring, long enough that one is not written over before it has been
 * copied into the answer. At most 79 characters, the newer kernels' limit.
 */
#ifdef NL_SET_ERR_MSG_FMT
#define udpcr_say(extack, fmt, ...) \
	NL_SET_ERR_MSG_FMT(extack, fmt, ##__VA_ARGS__)
#else
char *udpcr_sentence_slot(void);
#define UDPCR_SENTENCE 80
#define udpcr_say(extack, fmt, ...) do {				\
	struct netlink_ext_ack *__to = (extack);			\
	char *__slot = udpcr_sentence_slot();				\
									\
	snprintf(__slot, UDPCR_SENTENCE, fmt, ##__VA_ARGS__);		\
	if (__to)							\
		__to->_msg = __slot;					\
} while (0)
#define UDPCR_OWN_SENTENCES
#endif

/* 6.7 put the request's struct genl_info into the dump's own. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
static inline struct nlattr **udpcr_dump_attrs(struct netlink_callback *cb)
{
	return genl_info_dump(cb)->attrs;
}
#else
static inline struct nlattr **udpcr_dump_attrs(struct netlink_callback *cb)
{
	return genl_dumpit_info(cb)->attrs;
}
#endif

/* The file of another process's socket, unless its last reference is gone. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
static inline struct file *udpcr_get_live_file(struct file **file)
{
	return get_file_active(file);
}
#else
static inline struct file *udpcr_get_live_file(struct file **file)
{
	return get_file_rcu(*file) ? *file : NULL;
}
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define udpcr_receive_fd(file, flags) receive_fd(file, NULL, flags)
#else
#define udpcr_receive_fd(file, flags) receive_fd(file, flags)
#endif

/* The table came into the network namespace with 6.2. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define udpcr_udp_table(net) ((net)->ipv4.udp_table)
#else
#define udpcr_udp_table(net) (&udp_table)
#endif

/* UDP-Lite was removed after 6.12, its table and checksum coverage with it. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define udpcr_udplite_table() (&udplite_table)
static inline int udpcr_checksum_coverage(const struct sk_buff *skb)
{
	const struct udp_skb_cb *cb = UDP_SKB_CB(skb);

	return cb->partial_cov ? cb->cscov : skb->len;
}
#else
#define udpcr_udplite_table() ((struct udp_table *)NULL)
static inline int udpcr_checksum_coverage(const struct sk_buff *skb)
{
	return skb->len;
}
#endif

/* sk_uid() and the counters of drops by NUMA node came with 6.17 and 6.18. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define udpcr_sk_uid(sk) sk_uid(sk)
#else
#define udpcr_sk_uid(sk) ((sk)->sk_uid)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
static inline void udpcr_drops_set(struct sock *sk, u32 drops)
{
	sk_drops_reset(sk);
	sk_drops_add(sk, drops);
}
#else
static inline void udpcr_drops_set(struct sock *sk, u32 drops)
{
	atomic_set(&sk->sk_drops, drops);
}
#endif

/* The IPv6 half of a cork moved from struct ipv6_pinfo. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define udpcr_cork6(sk) (&inet_sk(sk)->cork.base6)
#else
#define udpcr_cork6(sk) (&inet6_sk(sk)->cork)
#endif

/* The priority of a corked datagram where it is not the socket's, or 0. Before
 * 6.14 it cannot be given with a datagram, but follows from TOS.
 */
static inline u32 udpcr_cork_priority(const struct sock *sk)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	u32 priority = inet_sk(sk)->cork.base.priority;

	return priority != READ_ONCE(sk->sk_priority) ? priority : 0;
#else
	return 0;
#endif
}

/* A socket option that is a number. */
struct udpcr_number {
	int name;
	int value;
};

/* Up to 6.5 the flags of inet_sock are bit fields and cmsg_flags. */
#ifndef inet_test_bit
#define udpcr_inet_PKTINFO(inet)	((inet)->cmsg_flags & IP_CMSG_PKTINFO)
#define udpcr_inet_TTL(inet)		((inet)->cmsg_flags & IP_CMSG_TTL)
#define udpcr_inet_TOS(inet)		((inet)->cmsg_flags & IP_CMSG_TOS)
#define udpcr_inet_RECVOPTS(inet)	((inet)->cmsg_flags & IP_CMSG_RECVOPTS)
#define udpcr_inet_RETOPTS(inet)	((inet)->cmsg_flags & IP_CMSG_RETOPTS)
#define udpcr_inet_PASSSEC(inet)	((inet)->cmsg_flags & IP_CMSG_PASSSEC)
#define udpcr_inet_ORIGDSTADDR(inet)	((inet)->cmsg_flags & IP_CMSG_ORIGDSTADDR)
#define udpcr_inet_CHECKSUM(inet)	((inet)->cmsg_flags & IP_CMSG_CHECKSUM)
#define udpcr_inet_RECVFRAGSIZE(inet)	((inet)->cmsg_flags & IP_CMSG_RECVFRAGSIZE)
#define udpcr_inet_RECVERR(inet)	((inet)->recverr)
#define udpcr_inet_RECVERR_RFC4884(inet) ((inet)->recverr_rfc4884)
#define udpcr_inet_FREEBIND(inet)	((inet)->freebind)
#define udpcr_inet_TRANSPARENT(inet)	((inet)->transparent)
#define udpcr_inet_MC_LOOP(inet)	((inet)->mc_loop)
#define udpcr_inet_MC_ALL(inet)		((inet)->mc_all)
#define udpcr_inet_BIND_ADDRESS_NO_PORT(inet) ((inet)->bind_address_no_port)
#define inet_test_bit(nr, sk)		(!!udpcr_inet_##nr(inet_sk(sk)))
#endif

/* Up to 6.6 those of ipv6_pinfo are, too. */
#ifndef inet6_test_bit
#define udpcr_inet6_MC6_LOOP(np)	((np)->mc_loop)
#define udpcr_inet6_MC6_ALL(np)		((np)->mc_all)
#define udpcr_inet6_RECVERR6(np)	((np)->recverr)
#define udpcr_inet6_RECVERR6_RFC4884(np) ((np)->recverr_rfc4884)
#define udpcr_inet6_DONTFRAG(np)	((np)->dontfrag)
#define udpcr_inet6_SNDFLOW(np)		((np)->sndflow)
#define udpcr_inet6_AUTOFLOWLABEL(np)	((np)->autoflowlabel)
#define udpcr_inet6_AUTOFLOWLABEL_SET(np) ((np)->autoflowlabel_set)
#define inet6_test_bit(nr, sk)		(!!udpcr_inet6_##nr(inet6_sk(sk)))
#endif

/* IP_LOCAL_PORT_RANGE: high << 16 | low; one word since 6.8. */
static inline u32 udpcr_local_port_range(const struct inet_sock *inet)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	return (u32)inet->local_port_range.hi << 16 | inet->local_port_range.lo;
#else
	return READ_ONCE(inet->local_port_range);
#endif
}

/* Since 6.18 the drops may stand in a counter of their own for each node. */
static inline u32 udpcr_drops_read(const struct sock *sk)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	return atomic_read(&sk->sk_drops);
#else
	return sk_drops_read(sk);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
/* A flag of struct socket, which goes away under sk_callback_lock. */
static inline bool udpcr_socket_flag(struct sock *sk, int flag)
{
	bool set;

	read_lock_bh(&sk->sk_callback_lock);
	set = sk->sk_socket && test_bit(flag, &sk->sk_socket->flags);
	read_unlock_bh(&sk->sk_callback_lock);
	return set;
}
#endif

#define UDPCR_MAX_VERSION_NUMBERS 6

/*
 * Options at SOL_SOCKET that not all kernels have on UDP sockets.  From 6.16 on
 * SO_PASS* and SO_TXREHASH share a byte, and are refused here (net/core/sock.c,
 * sk_may_scm_recv).
 */
static inline int udpcr_version_numbers(struct sock *sk,
					struct udpcr_number *numbers)
{
	int count = 0;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	numbers[count++] = (struct udpcr_number) {
		SO_PASSCRED, udpcr_socket_flag(sk, SOCK_PASSCRED)
	};
	numbers[count++] = (struct udpcr_number) {
		SO_PASSSEC, udpcr_socket_flag(sk, SOCK_PASSSEC)
	};
#ifdef SO_PASSPIDFD
	numbers[count++] = (struct udpcr_number) {
		SO_PASSPIDFD, udpcr_socket_flag(sk, SOCK_PASSPIDFD)
	};
#endif
	numbers[count++] = (struct udpcr_number) {
		SO_TXREHASH, READ_ONCE(sk->sk_txrehash)
	};
#endif
#ifdef SO_RCVPRIORITY
	numbers[count++] = (struct udpcr_number) {
		SO_RCVPRIORITY, sock_flag(sk, SOCK_RCVPRIORITY)
	};
#endif
	return count;
}

/* The checksum coverage of UDP-Lite, which went away with 7.1. */
static inline int udpcr_udplite_numbers(const struct sock *sk,
					struct udpcr_number *numbers)
{
#ifdef UDPLITE_SEND_CSCOV
	if (sk->sk_protocol == IPPROTO_UDPLITE) {
		numbers[0] = (struct udpcr_number) {
			UDPLITE_SEND_CSCOV, READ_ONCE(udp_sk(sk)->pcslen)
		};
		numbers[1] = (struct udpcr_number) {
			UDPLITE_RECV_CSCOV, READ_ONCE(udp_sk(sk)->pcrlen)
		};
		return 2;
	}
#endif
	return 0;
}

#endif /* UDPCR_COMPAT_H */
