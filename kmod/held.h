/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_HELD_H
#define UDPCR_HELD_H

#include <linux/types.h>

struct net;
struct netlink_ext_ack;
struct nlattr;
struct sk_buff;
struct sock;
struct udpcr_queue_copy;

/**
 * struct udpcr_caller - the netlink socket that a request came through
 * @net: its network namespace
 * @portid: its address there
 */
struct udpcr_caller {
	struct net *net;
	u32 portid;
};

/**
 * struct udpcr_held_size - what a list holds
 * @count: datagrams
 * @bytes: charged to the socket's receive buffer
 */
struct udpcr_held_size {
	u32 count;
	u32 bytes;
};

int udpcr_held_init(void);
void udpcr_held_exit(void);

int udpcr_held_take(struct udpcr_caller caller, u32 handle, struct sock *sk,
		    struct udpcr_held_size *size,
		    struct netlink_ext_ack *extack);
int udpcr_held_stage(struct udpcr_caller caller, u32 handle, struct sock *sk,
		     u32 queue, struct netlink_ext_ack *extack);
int udpcr_held_add(struct udpcr_caller caller, u32 handle,
		   struct nlattr **attrs, struct netlink_ext_ack *extack);
int udpcr_held_put(struct udpcr_caller caller, u32 handle, u32 position,
		   struct netlink_ext_ack *extack);
int udpcr_held_drop(struct udpcr_caller caller, u32 handle,
		    struct netlink_ext_ack *extack);
struct udpcr_queue_copy *udpcr_held_copy(struct udpcr_caller caller, u32 handle,
					 struct netlink_ext_ack *extack);

#endif /* UDPCR_HELD_H */
