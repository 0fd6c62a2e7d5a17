/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_USER_H
#define UDPCR_USER_H

#include <linux/types.h>

struct netlink_ext_ack;
struct udpcr_user;

int udpcr_user_charge(struct udpcr_user **user, unsigned int lists,
		      size_t bytes, struct netlink_ext_ack *extack);
void udpcr_user_uncharge(struct udpcr_user *user, unsigned int lists,
			 size_t bytes);

#endif /* UDPCR_USER_H */
