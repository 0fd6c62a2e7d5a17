/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_IP_OPTIONS_H
#define UDPCR_IP_OPTIONS_H

#include <linux/types.h>

struct ip_options;
struct ipv6_txoptions;
struct netlink_ext_ack;
struct sk_buff;
struct sock;
struct udpcr_datagram;

void udpcr_ip_options_read(struct udpcr_datagram *d, const struct sk_buff *skb);
int udpcr_ip_options_check(const struct udpcr_datagram *d,
			   struct netlink_ext_ack *extack);
int udpcr_ip_options_write(struct sock *sk, struct sk_buff *skb,
			   const struct udpcr_datagram *d,
			   struct netlink_ext_ack *extack);

unsigned int udpcr_ip_options_undo(u8 *data, const struct ip_options *opt);
int udpcr_extensions_chain(u8 *data, u8 *first,
			   const struct ipv6_txoptions *opt);

#endif /* UDPCR_IP_OPTIONS_H */
