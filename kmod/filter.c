// SPDX-License-Identifier: GPL-2.0-only
/*
 * Classic BPF programs of a socket, as they were attached, and its place in the
 * SO_REUSEPORT group that one of them chooses from.
 *
 * The kernel keeps a classic program beside what it has made of it; programs
 * that came as eBPF have no such copy (net/core/filter.c,
 * bpf_prog_store_orig_filter).
 */
#include <linux/filter.h>
#include <net/netlink.h>
#include <net/sock_reuseport.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "filter.h"
#include "options.h"
#include "parked.h"

static int put_program(struct sk_buff *msg, int name,
		       const struct bpf_prog *program)
{
	const struct sock_fprog_kern *classic;

	classic = program ? program->orig_prog : NULL;
	if (!classic)
		return 0;
	return udpcr_option_put(msg, SOL_SOCKET, name, classic->filter,
				bpf_classic_proglen(classic));
}

/**
 * udpcr_filters_put() - SO_ATTACH_FILTER and SO_ATTACH_REUSEPORT_CBPF
 * @msg: where to
 * @sk: the socket, under lock_sock(), which keeps its filter
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_filters_put(struct sk_buff *msg, struct sock *sk)
{
	const struct sock_reuseport *group;
	const struct sk_filter *filter;
	int err;

	filter = rcu_dereference_protected(sk->sk_filter,
					   lockdep_sock_is_held(sk));
	err = put_program(msg, SO_ATTACH_FILTER, filter ? filter->prog : NULL);
	if (err)
		return err;
	/* A classic one is freed after a grace period
	 * (net/core/filter.c, sk_reuseport_prog_free).
	 */
	rcu_read_lock();
	group = rcu_dereference(sk->sk_reuseport_cb);
	if (group)
		err = put_program(msg, SO_ATTACH_REUSEPORT_CBPF,
				  rcu_dereference(group->prog));
	rcu_read_unlock();
	return err;
}

/**
 * udpcr_group_put() - UDPCR_A_REUSEPORT_INDEX, when the socket is in a group
 * @msg: where to
 * @sk: the socket
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_group_put(struct sk_buff *msg, const struct sock *sk)
{
	const struct sock_reuseport *group;
	unsigned int count, i;
	int err = 0;

	rcu_read_lock();
	group = rcu_dereference(sk->sk_reuseport_cb);
	count = group ? READ_ONCE(group->num_socks) : 0;
	for (i = 0; i < count; i++) {
		if (READ_ONCE(group->socks[i]) == sk) {
			err = nla_put_u32(msg, UDPCR_A_REUSEPORT_INDEX, i);
			break;
		}
	}
	rcu_read_unlock();
	return err;
}

/* Groups with fewer members are looked through each time. */
#define UDPCR_LARGE_GROUP 16

/* Members that somebody has open, 2 for more. Those that nobody has are in the
 * park alone.
 */
static unsigned int count_open(const struct sock_reuseport *group,
			       unsigned int count)
{
	unsigned int open = 0, i;

	for (i = 0; i < count && open < 2; i++)
		open += !udpcr_is_parked_alone(READ_ONCE(group->socks[i]));
	return open;
}

/**
 * udpcr_group_is_read() - whether somebody has another member of a group open
 * @sk: the socket, in a group or not
 * @groups: what a dump knows of large groups, so that each is looked through
 *	    once; its address may be another group's later, of which the dump
 *	    then tells what it knew of the first. Or NULL
 */
bool udpcr_group_is_read(const struct sock *sk, struct udpcr_groups *groups)
{
	const struct sock_reuseport *group;
	unsigned long address;
	unsigned int count, open = 0;
	void *known = NULL;

	rcu_read_lock();
	group = rcu_dereference(sk->sk_reuseport_cb);
	address = (unsigned long)group;
	count = group ? READ_ONCE(group->num_socks) : 0;
	if (groups && count >= UDPCR_LARGE_GROUP)
		known = xa_load(&groups->open, address);
	open = known ? xa_to_value(known) : count_open(group, count);
	rcu_read_unlock();
	/* Without memory for it the group is looked through again. */
	if (groups && count >= UDPCR_LARGE_GROUP && !known)
		xa_store(&groups->open, address, xa_mk_value(open), GFP_KERNEL);
	return open > (udpcr_is_parked_alone(sk) ? 0 : 1);
}
