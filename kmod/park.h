/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_PARK_H
#define UDPCR_PARK_H

#include <linux/types.h>

struct netlink_ext_ack;
struct nlattr;
struct sk_buff;
struct udpcr_groups;
struct udpcr_parked;
struct udpcr_target;
struct user_namespace;

int udpcr_park(struct sk_buff *request, const struct udpcr_target *target,
	       struct nlattr **attrs, struct netlink_ext_ack *extack);

struct udpcr_parked *udpcr_park_take(struct sk_buff *request,
				     struct nlattr **attrs, bool claim,
				     struct netlink_ext_ack *extack);
void udpcr_park_return(struct udpcr_parked *parked);

int udpcr_park_collect(struct sk_buff *request, bool everywhere,
		       struct udpcr_parked ***found, unsigned int *count,
		       struct netlink_ext_ack *extack);
int udpcr_park_tell(struct sk_buff *msg, struct udpcr_parked *parked,
		    struct user_namespace *reader, struct udpcr_groups *groups);

#endif /* UDPCR_PARK_H */
