/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_POSSIBLE_H
#define UDPCR_POSSIBLE_H

#include <linux/types.h>

struct in6_addr;
struct netlink_ext_ack;
struct nlattr;
struct sock;
struct sock_extended_err;
struct udpcr_datagram;

bool udpcr_possible_error(const struct sock *sk, u32 error);

int udpcr_possible_offender(u16 family, const struct in6_addr *address,
			    struct netlink_ext_ack *extack);
int udpcr_possible_datagram(const struct udpcr_datagram *d,
			    struct netlink_ext_ack *extack);
int udpcr_possible_received(const struct udpcr_datagram *d,
			    struct netlink_ext_ack *extack);
int udpcr_possible_report(const struct udpcr_datagram *d,
			  const struct sock_extended_err *error,
			  struct nlattr **attrs, struct netlink_ext_ack *extack);

#endif /* UDPCR_POSSIBLE_H */
