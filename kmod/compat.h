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
#include <linux/netlink.h>
#include <linux/version.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include <net/udp.h>

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

/* UDP-Lite was removed in 7.1, its table and its checksum coverage with it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
#define udpcr_udplite_table() ((struct udp_table *)NULL)
#define udpcr_checksum_coverage(skb) ((skb)->len)
#else
#include <net/udplite.h>
#define udpcr_udplite_table() (&udplite_table)
#define udpcr_checksum_coverage(skb) \
	(UDP_SKB_CB(skb)->partial_cov ? UDP_SKB_CB(skb)->cscov : (skb)->len)
#endif

/* sk_uid() and the counters of drops by NUMA node came with 6.17 and 6.18. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define udpcr_sk_uid(sk) sk_uid(sk)
#else
#define udpcr_sk_uid(sk) ((sk)->sk_uid)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
static inline void udpcr_set_drops(struct sock *sk, u32 drops)
{
	sk_drops_reset(sk);
	sk_drops_add(sk, drops);
}
#else
static inline void udpcr_set_drops(struct sock *sk, u32 drops)
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

#include "compat_sock.h"

#endif /* UDPCR_COMPAT_H */
