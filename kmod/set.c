// SPDX-License-Identifier: GPL-2.0-only
/*
 * What no system call can set.
 */
#include <net/netlink.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "possible.h"
#include "set.h"

/**
 * udpcr_set_check() - whether a request sets anything
 * @attrs: the attributes of a UDPCR_CMD_SET message
 * @extack: gets a sentence when it does not
 *
 * Return: 0 or -EINVAL
 */
int udpcr_set_check(struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	if (attrs[UDPCR_A_DROPS] || attrs[UDPCR_A_ERROR] ||
	    attrs[UDPCR_A_TSKEY] || attrs[UDPCR_A_SOCK_FLAGS])
		return 0;
	udpcr_say(extack,
		  "nothing to set: no UDPCR_A_DROPS, _ERROR, _TSKEY or _SOCK_FLAGS");
	return -EINVAL;
}

/* A lock says that a part of the address was given to bind(2): without it
 * connect(2) to AF_UNSPEC forgets that part (net/ipv4/udp.c,
 * __udp_disconnect).
 */
static int set_locks(struct sock *sk, u32 flags, struct netlink_ext_ack *extack)
{
	u32 locks = (flags & UDPCR_SOCK_BOUND_ADDR ? SOCK_BINDADDR_LOCK : 0) |
		    (flags & UDPCR_SOCK_BOUND_PORT ? SOCK_BINDPORT_LOCK : 0);
	u32 missing;

	lock_sock(sk);
	missing = locks & ~sk->sk_userlocks;
	if (!missing) {
		sk->sk_userlocks &= ~(SOCK_BINDADDR_LOCK | SOCK_BINDPORT_LOCK);
		sk->sk_userlocks |= locks;
	}
	release_sock(sk);
	if (!missing)
		return 0;
	udpcr_say(extack, "%s is not set, and only bind(2) sets it",
		  missing & SOCK_BINDADDR_LOCK ? "UDPCR_SOCK_BOUND_ADDR" :
						 "UDPCR_SOCK_BOUND_PORT");
	return -EINVAL;
}

/**
 * udpcr_set() - sets all that a request asks for
 * @sk: the socket; is locked meanwhile
 * @attrs: the attributes of a UDPCR_CMD_SET message
 * @extack: gets a sentence on failure
 *
 * Return: 0, or -EINVAL and nothing is set.
 */
int udpcr_set(struct sock *sk, struct nlattr **attrs,
	      struct netlink_ext_ack *extack)
{
	u32 pending = attrs[UDPCR_A_ERROR] ? nla_get_u32(attrs[UDPCR_A_ERROR]) : 0;
	int error = 0;

	if (!udpcr_possible_error(sk, pending)) {
		udpcr_say(extack,
			  "UDPCR_A_ERROR %u is none that UDP reports on this socket",
			  pending);
		return -EINVAL;
	}
	if (attrs[UDPCR_A_SOCK_FLAGS])
		error = set_locks(sk, nla_get_u32(attrs[UDPCR_A_SOCK_FLAGS]),
				  extack);
	if (error)
		return error;
	if (attrs[UDPCR_A_DROPS])
		udpcr_drops_set(sk, nla_get_u32(attrs[UDPCR_A_DROPS]));
	if (attrs[UDPCR_A_TSKEY])
		atomic_set(&sk->sk_tskey, nla_get_u32(attrs[UDPCR_A_TSKEY]));
	if (attrs[UDPCR_A_ERROR]) {
		WRITE_ONCE(sk->sk_err, pending);
		if (pending)
			sk_error_report(sk);
	}
	return 0;
}
