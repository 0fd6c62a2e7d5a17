/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_USER_H
#define UDPCR_USER_H

#include <linux/types.h>

struct netlink_ext_ack;
struct udpcr_user;

/**
 * struct udpcr_charge - what a user has
 * @lists: held aside
 * @read: bytes of packets that are being read
 * @parked: sockets
 * @buffers: bytes of their SO_RCVBUF
 */
struct udpcr_charge {
	unsigned int lists;
	size_t read;
	unsigned int parked;
	size_t buffers;
};

int udpcr_user_charge(struct udpcr_user **user, struct udpcr_charge charge,
		      struct netlink_ext_ack *extack);
void udpcr_user_uncharge(struct udpcr_user *user, struct udpcr_charge charge);

#endif /* UDPCR_USER_H */
