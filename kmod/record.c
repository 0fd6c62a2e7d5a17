// SPDX-License-Identifier: GPL-2.0-only
/*
 * The record of a socket: all that UDPCR_CMD_SOCKET tells.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/skmsg.h>
#include <net/netlink.h>
#include <net/tcp_states.h>

#include "compat.h"
#include "filter.h"
#include "membership.h"
#include "options.h"
#include "parked.h"
#include "record.h"
#include <udpcr/udpcr_netlink.h>

/*
 * Bytes for everything of fixed size: some 30 attributes, 130 options that are
 * numbers of 32 bytes each, and the largest IP_OPTIONS.
 */
#define RECORD_FIXED 8192

static u32 park_flags(const struct sock *sk, struct udpcr_groups *groups)
{
	if (!udpcr_is_parked(sk))
		return 0;
	return udpcr_group_is_read(sk, groups) ?
	       UDPCR_SOCK_PARKED | UDPCR_SOCK_REUSEPORT_SIBLINGS :
	       UDPCR_SOCK_PARKED;
}

static u32 record_flags(const struct sock *sk, struct udpcr_groups *groups)
{
	const struct udp_sock *up = udp_sk(sk);
	u32 flags = UDPCR_SOCK_ORIGIN_KNOWN;

	if (sk->sk_userlocks & SOCK_BINDADDR_LOCK)
		flags |= UDPCR_SOCK_BOUND_ADDR | UDPCR_SOCK_BOUND;
	if (sk->sk_userlocks & SOCK_BINDPORT_LOCK)
		flags |= UDPCR_SOCK_BOUND_PORT | UDPCR_SOCK_BOUND;
	if (sk->sk_state == TCP_ESTABLISHED)
		flags |= UDPCR_SOCK_CONNECTED;
	if (READ_ONCE(up->encap_type) || READ_ONCE(up->encap_rcv))
		flags |= UDPCR_SOCK_ENCAP;
	rcu_read_lock();
	if (sk_psock(sk))
		flags |= UDPCR_SOCK_SOCKMAP;
	rcu_read_unlock();
	return flags | park_flags(sk, groups);
}

static int put_scope(struct sk_buff *msg, int attribute, const struct sock *sk,
		     const struct in6_addr *addr)
{
	u32 scope = ipv6_iface_scope_id(addr, sk->sk_bound_dev_if);

	return scope ? nla_put_u32(msg, attribute, scope) : 0;
}

/* As getsockname(2) has it (net/ipv6/af_inet6.c, inet6_getname). */
static int put_local(struct sk_buff *msg, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);
	const struct in6_addr *addr;
	int err;

	if (sk->sk_family == AF_INET) {
		err = nla_put_in_addr(msg, UDPCR_A_LOCAL_ADDR,
				      inet->inet_rcv_saddr ?: inet->inet_saddr);
	} else {
		addr = ipv6_addr_any(&sk->sk_v6_rcv_saddr) ?
			&inet6_sk(sk)->saddr : &sk->sk_v6_rcv_saddr;
		err = nla_put_in6_addr(msg, UDPCR_A_LOCAL_ADDR, addr) ?:
			put_scope(msg, UDPCR_A_LOCAL_SCOPE, sk, addr);
	}
	return err ?: nla_put_be16(msg, UDPCR_A_LOCAL_PORT, inet->inet_sport);
}

static int put_peer(struct sk_buff *msg, const struct sock *sk)
{
	int err;

	if (sk->sk_state != TCP_ESTABLISHED)
		return 0;
	if (sk->sk_family == AF_INET) {
		err = nla_put_in_addr(msg, UDPCR_A_PEER_ADDR, sk->sk_daddr);
	} else {
		err = nla_put_in6_addr(msg, UDPCR_A_PEER_ADDR,
				       &sk->sk_v6_daddr) ?:
			put_scope(msg, UDPCR_A_PEER_SCOPE, sk,
				  &sk->sk_v6_daddr);
	}
	return err ?: nla_put_be16(msg, UDPCR_A_PEER_PORT, sk->sk_dport);
}

static int put_identity(struct sk_buff *msg, const struct sock *sk, u64 ino)
{
	u64 cookie = atomic64_read(&sk->sk_cookie);

	if (nla_put_u64_64bit(msg, UDPCR_A_INO, ino, UDPCR_A_PAD) ||
	    (cookie &&
	     nla_put_u64_64bit(msg, UDPCR_A_COOKIE, cookie, UDPCR_A_PAD)) ||
	    nla_put_u16(msg, UDPCR_A_FAMILY, sk->sk_family) ||
	    nla_put_u16(msg, UDPCR_A_PROTOCOL, sk->sk_protocol))
		return -EMSGSIZE;
	return 0;
}

static int put_owner(struct sk_buff *msg, const struct sock *sk,
		     struct file *file, struct user_namespace *reader)
{
	if (nla_put_u32(msg, UDPCR_A_UID,
			from_kuid_munged(reader, READ_ONCE(sk->sk_uid))) ||
	    (file &&
	     nla_put_u32(msg, UDPCR_A_FILE_FLAGS, READ_ONCE(file->f_flags))))
		return -EMSGSIZE;
	return 0;
}

/* Datagrams that a reader could take: of both lists, at one instant. */
static u32 queue_count(struct sock *sk)
{
	struct sk_buff_head *taken = &udp_sk(sk)->reader_queue;
	u32 count;

	spin_lock_bh(&taken->lock);
	spin_lock(&sk->sk_receive_queue.lock);
	count = skb_queue_len(taken) + skb_queue_len(&sk->sk_receive_queue);
	spin_unlock(&sk->sk_receive_queue.lock);
	spin_unlock_bh(&taken->lock);
	return count;
}

/* What every list of sockets tells; with the socket's lock held. */
static int put_summary(struct sk_buff *msg, struct sock *sk, u64 ino, u32 flags,
		       struct udpcr_groups *groups)
{
	return put_identity(msg, sk, ino) ?:
	       nla_put_u32(msg, UDPCR_A_SOCK_FLAGS,
			   record_flags(sk, groups) | flags) ?:
	       put_local(msg, sk) ?:
	       put_peer(msg, sk) ?:
	       udpcr_device_put(msg, UDPCR_A_DEVICE, sock_net(sk),
				sk->sk_bound_dev_if) ?:
	       nla_put_u32(msg, UDPCR_A_RMEM, sk_rmem_alloc_get(sk)) ?:
	       nla_put_u32(msg, UDPCR_A_QUEUE_COUNT, queue_count(sk));
}

#ifdef CONFIG_SOCK_CGROUP_DATA
static int put_cgroup(struct sk_buff *msg, struct sock *sk)
{
	u64 id = cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data));

	return nla_put_u64_64bit(msg, UDPCR_A_CGROUP, id, UDPCR_A_PAD);
}
#else
static int put_cgroup(struct sk_buff *msg, struct sock *sk)
{
	return 0;
}
#endif

static int put_state(struct sk_buff *msg, struct sock *sk, u32 held_count)
{
	const struct udp_sock *up = udp_sk(sk);
	u8 shutdown = READ_ONCE(sk->sk_shutdown) & SHUTDOWN_MASK;
	u32 errors = skb_queue_len_lockless(&sk->sk_error_queue);
	int error = READ_ONCE(sk->sk_err);
	u32 tskey = atomic_read(&sk->sk_tskey);

	if (nla_put_u32(msg, UDPCR_A_DROPS, udpcr_drops_read(sk)) ||
	    (shutdown && nla_put_u8(msg, UDPCR_A_SHUTDOWN, shutdown)) ||
	    (error && nla_put_u32(msg, UDPCR_A_ERROR, error)) ||
	    (errors && nla_put_u32(msg, UDPCR_A_ERROR_COUNT, errors)) ||
	    (up->pending &&
	     nla_put_u32(msg, UDPCR_A_CORK_LEN,
			 up->len - sizeof(struct udphdr))) ||
	    (held_count && nla_put_u32(msg, UDPCR_A_HELD_COUNT, held_count)) ||
	    (tskey && nla_put_u32(msg, UDPCR_A_TSKEY, tskey)) ||
	    put_cgroup(msg, sk))
		return -EMSGSIZE;
	return 0;
}

/**
 * udpcr_record_put - put the attributes of a socket's record into a message
 * @msg: where to
 * @sk: the socket, referenced, not locked; it is locked meanwhile
 * @file: its file, referenced, or NULL. Without one the record has neither
 *        UDPCR_A_FILE_FLAGS nor anycast memberships
 * @reader: the user namespace in which UDPCR_A_UID is given
 * @whole: false: leave out memberships and filters, and say so
 *         (UDPCR_SOCK_PARTIAL)
 * @held_count: datagrams of the socket that are held aside
 * @groups: what a dump knows of SO_REUSEPORT groups, or NULL
 *
 * What is 0 and has a meaning of absence is left out. May sleep.
 *
 * Return: 0, -EMSGSIZE when @msg has no room, or -ENOMEM; what has been put
 * then stays.
 */
int udpcr_record_put(struct sk_buff *msg, struct sock *sk, struct file *file,
		     struct user_namespace *reader, bool whole,
		     u32 held_count, struct udpcr_groups *groups)
{
	u32 partial = whole ? 0 : UDPCR_SOCK_PARTIAL;
	int err;

	/* IPV6_ADDRFORM changes even the family; under this lock. */
	lock_sock(sk);
	err = put_summary(msg, sk, sock_i_ino(sk), partial, groups) ?:
		put_owner(msg, sk, file, reader) ?:
		put_state(msg, sk, held_count) ?:
		udpcr_group_put(msg, sk) ?:
		udpcr_options_put(msg, sk);
	if (!err && whole)
		err = udpcr_filters_put(msg, sk) ?:
		      udpcr_memberships_put(msg, sk, file);
	release_sock(sk);
	return err;
}

/**
 * udpcr_record_size - an upper bound of what udpcr_record_put() puts
 * @sk: the socket, referenced
 *
 * Takes no lock: the socket may have grown when the record is put.
 *
 * Return: bytes, memberships included
 */
size_t udpcr_record_size(struct sock *sk)
{
	return RECORD_FIXED + udpcr_memberships_size(sk);
}

/**
 * udpcr_summary_put - put the part of a record that is told of parked sockets
 * @msg: where to
 * @sk: the socket, referenced, not locked; it is locked meanwhile
 * @ino: its inode number, also if it has just been closed
 * @groups: what a dump knows of SO_REUSEPORT groups
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_summary_put(struct sk_buff *msg, struct sock *sk, u64 ino,
		      struct udpcr_groups *groups)
{
	int err;

	lock_sock(sk);
	err = put_summary(msg, sk, ino, 0, groups);
	release_sock(sk);
	return err;
}
