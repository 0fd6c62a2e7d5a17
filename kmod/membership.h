/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_MEMBERSHIP_H
#define UDPCR_MEMBERSHIP_H

#include <linux/types.h>

struct net;
struct sk_buff;
struct sock;

int udpcr_device_put(struct sk_buff *msg, int attribute, struct net *net,
		     int ifindex);
int udpcr_memberships_put(struct sk_buff *msg, struct sock *sk, bool open);
size_t udpcr_memberships_size(const struct sock *sk);

#endif /* UDPCR_MEMBERSHIP_H */
