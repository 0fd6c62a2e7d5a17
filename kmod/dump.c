// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two dumps: all sockets of a namespace, and a queue. What they tell is
 * settled when they start, in the caller's context; later calls only copy.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "dump.h"
#include "held.h"
#include "list.h"
#include "lookup.h"
#include "netlink.h"
#include "queue.h"
#include "record.h"

/* What a record may have, that must fit into a dump's buffer. */
#define UDPCR_DUMP_RECORD_MAX 60000

/**
 * struct socket_dump - a dump of all bound sockets
 * @sockets: each referenced
 * @count: their number
 * @at: the next one
 */
struct socket_dump {
	struct sock **sockets;
	unsigned int count;
	unsigned int at;
};

#define DUMP_OF(cb, type) (*(type **)(cb)->ctx)

int udpcr_socket_start(struct netlink_callback *cb)
{
	struct net *net = sock_net(NETLINK_CB(cb->skb).sk);
	struct nlattr **attrs = udpcr_dump_attrs(cb);
	struct socket_dump *dump;
	int error;

	if (attrs && (attrs[UDPCR_A_INO] || attrs[UDPCR_A_FD] ||
		      attrs[UDPCR_A_COOKIE])) {
		udpcr_say(cb->extack,
			  "a dump gives all sockets: ask for one without NLM_F_DUMP");
		return -EINVAL;
	}
	if (!netlink_ns_capable(cb->skb, net->user_ns, CAP_NET_ADMIN)) {
		udpcr_say(cb->extack,
			  "all sockets of a network namespace: that needs CAP_NET_ADMIN");
		return -EPERM;
	}
	dump = kzalloc(sizeof(*dump), GFP_KERNEL);
	if (!dump)
		return -ENOMEM;
	error = udpcr_collect_bound(net, &dump->sockets, &dump->count);
	if (error) {
		kfree(dump);
		return error;
	}
	cb->min_dump_alloc = max_t(u32, cb->min_dump_alloc, SZ_64K);
	DUMP_OF(cb, struct socket_dump) = dump;
	return 0;
}

/* 0 too when there is nothing to be told of @sk, -EMSGSIZE when @skb is full. */
static int tell_socket(struct sk_buff *skb, struct netlink_callback *cb,
		       struct sock *sk, bool alone)
{
	struct file *file = udpcr_file_of(sk);
	unsigned int before = skb->len;
	bool memberships;
	int error;
	void *head;

	/* A kernel's own, or closed since the dump began. */
	if (!file)
		return 0;
	memberships = udpcr_record_size(sk) < UDPCR_DUMP_RECORD_MAX;
	do {
		head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
				   cb->nlh->nlmsg_seq, &udpcr_family,
				   NLM_F_MULTI, UDPCR_CMD_SOCKET);
		error = head ? udpcr_record_put(skb, sk, file, udpcr_reader_of(cb->skb),
						memberships,
						udpcr_list_count(sk)) :
			       -EMSGSIZE;
		if (!error)
			genlmsg_end(skb, head);
		else
			skb_trim(skb, before);
		/* It has grown since it was measured. */
		if (error != -EMSGSIZE || !alone || !memberships)
			break;
		memberships = false;
	} while (true);
	fput(file);
	return error;
}

int udpcr_socket_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct socket_dump *dump = DUMP_OF(cb, struct socket_dump);

	while (dump->at < dump->count) {
		int error = tell_socket(skb, cb, dump->sockets[dump->at],
					!skb->len);

		if (error == -EMSGSIZE && skb->len)
			break;
		if (error)
			return error;
		dump->at++;
	}
	return skb->len;
}

int udpcr_socket_done(struct netlink_callback *cb)
{
	struct socket_dump *dump = DUMP_OF(cb, struct socket_dump);

	while (dump->count)
		sock_put(dump->sockets[--dump->count]);
	kvfree(dump->sockets);
	kfree(dump);
	return 0;
}

static struct udpcr_queue_copy *copy_target(struct sk_buff *request, u32 queue,
					    struct nlattr **attrs,
					    struct netlink_ext_ack *extack)
{
	struct udpcr_queue_copy *copy;
	struct udpcr_target target;
	int error;

	error = udpcr_target_get(&target, request, attrs, extack);
	if (error)
		return ERR_PTR(error);
	error = udpcr_queues_usable(target.sk, extack);
	copy = error ? ERR_PTR(error) :
		       udpcr_queue_copy(target.sk, queue, extack);
	udpcr_target_put(&target);
	return copy;
}

int udpcr_queue_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = udpcr_dump_attrs(cb);
	struct udpcr_queue_copy *copy;
	u32 queue;

	if (attrs[UDPCR_A_HANDLE]) {
		if (attrs[UDPCR_A_INO] || attrs[UDPCR_A_QUEUE]) {
			udpcr_say(cb->extack,
				  "UDPCR_A_HANDLE names a list, not a socket's queue");
			return -EINVAL;
		}
		copy = udpcr_held_copy(udpcr_caller_of(cb->skb),
				       nla_get_u32(attrs[UDPCR_A_HANDLE]),
				       cb->extack);
	} else {
		queue = attrs[UDPCR_A_QUEUE] ?
			nla_get_u32(attrs[UDPCR_A_QUEUE]) : UDPCR_QUEUE_RECEIVE;
		copy = copy_target(cb->skb, queue, attrs, cb->extack);
	}
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	/* From here on each message fits into an empty buffer. */
	cb->min_dump_alloc = max_t(u32, cb->min_dump_alloc,
				   udpcr_queue_largest(copy));
	DUMP_OF(cb, struct udpcr_queue_copy) = copy;
	return 0;
}

int udpcr_queue_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct udpcr_queue_copy *copy = DUMP_OF(cb, struct udpcr_queue_copy);

	while (!udpcr_queue_at_end(copy)) {
		unsigned int before = skb->len;
		int error = -EMSGSIZE;
		void *head;

		head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
				   cb->nlh->nlmsg_seq, &udpcr_family,
				   NLM_F_MULTI, UDPCR_CMD_DATAGRAM);
		if (head)
			error = udpcr_queue_next(copy, skb);
		if (error) {
			skb_trim(skb, before);
			if (error == -EMSGSIZE && skb->len)
				break;
			return error;
		}
		genlmsg_end(skb, head);
		/* The next message begins aligned; nlmsg_len stays exact. */
		skb_put_zero(skb, NLMSG_ALIGN(skb->len) - skb->len);
		udpcr_queue_advance(copy);
	}
	return skb->len;
}

int udpcr_queue_done(struct netlink_callback *cb)
{
	udpcr_queue_free(DUMP_OF(cb, struct udpcr_queue_copy));
	return 0;
}
