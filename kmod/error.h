/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_ERROR_H
#define UDPCR_ERROR_H

#include <net/netlink.h>
#include <udpcr/udpcr_netlink.h>

struct netlink_ext_ack;
struct nlattr;
struct sk_buff;
struct sock;
struct udpcr_datagram;

extern const struct nla_policy udpcr_errmsg_policy[UDPCR_ERRMSG_MAX + 1];

void udpcr_error_read(struct udpcr_datagram *d, const struct sk_buff *skb);
int udpcr_error_put(struct sk_buff *msg, const struct sk_buff *skb);
struct sk_buff *udpcr_error_build(struct sock *sk, struct nlattr **attrs,
				  struct netlink_ext_ack *extack);

#endif /* UDPCR_ERROR_H */
