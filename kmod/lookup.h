/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_LOOKUP_H
#define UDPCR_LOOKUP_H

#include <linux/types.h>

#include "look.h"

struct file;
struct net;
struct netlink_ext_ack;
struct nlattr;
struct sk_buff;
struct sock;

/**
 * struct udpcr_target - the socket that a request names
 * @sk: the socket
 * @file: its file; holds @sk too
 * @own: @file came from the sender's fds
 * @look: when it did not
 */
struct udpcr_target {
	struct sock *sk;
	struct file *file;
	bool own;
	struct udpcr_look look;
};

int udpcr_target_get(struct udpcr_target *target, struct sk_buff *request,
		     struct nlattr **attrs, struct netlink_ext_ack *extack);
void udpcr_target_put(struct udpcr_target *target);

int udpcr_queues_usable(struct sock *sk, struct netlink_ext_ack *extack);

struct file *udpcr_file_of(struct sock *sk, struct udpcr_look *look);

int udpcr_collect_bound(struct net *net, struct sock ***sockets,
			unsigned int *count);

#endif /* UDPCR_LOOKUP_H */
