/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_SET_H
#define UDPCR_SET_H

struct netlink_ext_ack;
struct nlattr;
struct sock;

int udpcr_set_check(struct nlattr **attrs, struct netlink_ext_ack *extack);
int udpcr_set(struct sock *sk, struct nlattr **attrs,
	      struct netlink_ext_ack *extack);

#endif /* UDPCR_SET_H */
