/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_KMOD_NETLINK_H
#define UDPCR_KMOD_NETLINK_H

#include <linux/netlink.h>
#include <net/sock.h>

#include "held.h"

extern struct genl_family udpcr_family;

int udpcr_netlink_init(void);
void udpcr_netlink_exit(void);

/* The netlink socket that a request came through. */
static inline struct udpcr_caller udpcr_caller_of(struct sk_buff *request)
{
	return (struct udpcr_caller) {
		.net = sock_net(NETLINK_CB(request).sk),
		.portid = NETLINK_CB(request).portid,
	};
}

/* Whose numbers for users its sender knows. */
static inline struct user_namespace *udpcr_reader_of(struct sk_buff *request)
{
	return sk_user_ns(NETLINK_CB(request).sk);
}

#endif /* UDPCR_KMOD_NETLINK_H */
