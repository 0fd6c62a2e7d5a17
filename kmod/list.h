/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_LIST_H
#define UDPCR_LIST_H

#include <linux/skbuff.h>

struct netlink_ext_ack;
struct sock;
struct udpcr_user;

/**
 * struct udpcr_list - datagrams held aside
 * @by_socket: in lists_by_socket
 * @sk: the socket, referenced
 * @user: who is charged with this list
 * @queue: UDPCR_QUEUE_* that it goes into
 * @staged: begun by STAGE, not by TAKE
 * @skbs: the datagrams; its own lock is not used
 * @bytes: charged to @sk
 */
struct udpcr_list {
	struct hlist_node by_socket;
	struct sock *sk;
	struct udpcr_user *user;
	u32 queue;
	bool staged;
	struct sk_buff_head skbs;
	unsigned int bytes;
};

struct udpcr_list *udpcr_list_new(struct sock *sk, u32 queue, bool staged,
				  struct netlink_ext_ack *extack);
void udpcr_list_free(struct udpcr_list *list);

void udpcr_list_take(struct udpcr_list *list);
int udpcr_list_add(struct udpcr_list *list, struct sk_buff *skb,
		   struct netlink_ext_ack *extack);
void udpcr_list_put(struct udpcr_list *list, u32 position);
void udpcr_list_drop(struct udpcr_list *list);

u32 udpcr_list_count(const struct sock *sk);

#endif /* UDPCR_LIST_H */
