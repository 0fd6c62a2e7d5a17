/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_QUEUE_H
#define UDPCR_QUEUE_H

#include <linux/types.h>

struct netlink_ext_ack;
struct sk_buff;
struct sk_buff_head;
struct sock;
struct udpcr_queue_copy;

struct udpcr_queue_copy *udpcr_queue_copy(struct sock *sk, u32 queue,
					  struct netlink_ext_ack *extack);
struct udpcr_queue_copy *udpcr_queue_copy_list(struct sock *sk, u32 queue,
					       struct sk_buff_head *list,
					       struct netlink_ext_ack *extack);
void udpcr_queue_free(struct udpcr_queue_copy *copy);

size_t udpcr_queue_largest(const struct udpcr_queue_copy *copy);
int udpcr_queue_next(struct udpcr_queue_copy *copy, struct sk_buff *msg);
bool udpcr_queue_at_end(struct udpcr_queue_copy *copy);
void udpcr_queue_advance(struct udpcr_queue_copy *copy);

#endif /* UDPCR_QUEUE_H */
