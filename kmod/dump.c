// SPDX-License-Identifier: GPL-2.0-only
/*
 * The three dumps: all sockets of a namespace, those that are parked, and a
 * queue. Which ones they tell of is settled when they start, in the caller's
 * context; later calls only copy.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "dump.h"
#include "filter.h"
#include "held.h"
#include "list.h"
#include "lookup.h"
#include "netlink.h"
#include "park.h"
#include "parked.h"
#include "queue.h"
#include "record.h"

/**
 * struct dump_context - what a dump keeps from call to call
 * @dump: the dump, or an error pointer
 * @sentence: why, if it is an error
 *
 * 6.1 takes no sentence from a dump that does not start. There it starts, and
 * fails when it is asked to go on, for which the sentence is put by.
 */
struct dump_context {
	void *dump;
	const char *sentence;
};

static_assert(sizeof(struct dump_context) <=
	      sizeof_field(struct netlink_callback, ctx));

static struct dump_context *context_of(struct netlink_callback *cb)
{
	return (struct dump_context *)cb->ctx;
}

/* @late: where the sentence went if @cb has no place for it. */
static int started(struct netlink_callback *cb,
		   const struct netlink_ext_ack *late, void *dump)
{
	if (IS_ERR(dump) && cb->extack)
		return PTR_ERR(dump);
	*context_of(cb) = (struct dump_context) {
		.dump = dump,
		.sentence = late->_msg,
	};
	return 0;
}

/* The dump, or the error with which its start ended. */
static void *going_on(struct netlink_callback *cb)
{
	struct dump_context *context = context_of(cb);

	if (IS_ERR(context->dump) && cb->extack)
		cb->extack->_msg = context->sentence;
	return context->dump;
}

/**
 * struct socket_dump - a dump of all bound sockets
 * @sockets: each referenced
 * @count: their number
 * @at: the next one
 * @groups: of those told so far
 */
struct socket_dump {
	struct sock **sockets;
	unsigned int count;
	unsigned int at;
	struct udpcr_groups groups;
};

static struct socket_dump *new_socket_dump(struct netlink_callback *cb,
					   struct netlink_ext_ack *extack)
{
	struct net *net = sock_net(NETLINK_CB(cb->skb).sk);
	struct nlattr **attrs = udpcr_dump_attrs(cb);
	struct socket_dump *dump;
	int error;

	if (attrs && (attrs[UDPCR_A_INO] || attrs[UDPCR_A_FD] ||
		      attrs[UDPCR_A_COOKIE])) {
		udpcr_say(extack,
			  "a dump gives all sockets: ask for one without NLM_F_DUMP");
		return ERR_PTR(-EINVAL);
	}
	if (!netlink_ns_capable(cb->skb, net->user_ns, CAP_NET_ADMIN)) {
		udpcr_say(extack,
			  "all sockets of a network namespace: that needs CAP_NET_ADMIN");
		return ERR_PTR(-EPERM);
	}
	dump = kzalloc(sizeof(*dump), GFP_KERNEL);
	if (!dump)
		return ERR_PTR(-ENOMEM);
	udpcr_groups_init(&dump->groups);
	error = udpcr_collect_bound(net, &dump->sockets, &dump->count);
	if (error) {
		kfree(dump);
		return ERR_PTR(error);
	}
	cb->min_dump_alloc = max_t(u32, cb->min_dump_alloc, SZ_64K);
	return dump;
}

int udpcr_socket_start(struct netlink_callback *cb)
{
	struct netlink_ext_ack late = {};

	return started(cb, &late, new_socket_dump(cb, cb->extack ?: &late));
}

static int put_record(struct sk_buff *skb, struct netlink_callback *cb,
		      struct sock *sk, struct file *file, bool memberships,
		      struct udpcr_groups *groups)
{
	unsigned int before = skb->len;
	void *head;
	int error;

	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &udpcr_family, NLM_F_MULTI, UDPCR_CMD_SOCKET);
	if (!head)
		return -EMSGSIZE;
	error = udpcr_record_put(skb, sk, file, udpcr_reader_of(cb->skb),
				 memberships, udpcr_list_count(sk), groups);
	if (error)
		skb_trim(skb, before);
	else
		genlmsg_end(skb, head);
	return error;
}

/* 0 too when there is nothing to be told of @sk, -EMSGSIZE when @skb is full. */
static int tell_socket(struct sk_buff *skb, struct netlink_callback *cb,
		       struct sock *sk, struct udpcr_groups *groups)
{
	bool alone = !skb->len;
	struct udpcr_look look;
	struct file *file;
	int error;

	file = udpcr_file_of(sk, &look);
	/* A kernel's own, or closed since the dump began. */
	if (!file)
		return 0;
	error = put_record(skb, cb, sk, file, true, groups);
	if (error == -EMSGSIZE && alone)
		error = put_record(skb, cb, sk, file, false, groups);
	udpcr_look_end(&look);
	return error;
}

int udpcr_socket_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct socket_dump *dump = going_on(cb);

	if (IS_ERR(dump))
		return PTR_ERR(dump);
	while (dump->at < dump->count) {
		int error = tell_socket(skb, cb, dump->sockets[dump->at],
					&dump->groups);

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
	struct socket_dump *dump = context_of(cb)->dump;

	if (IS_ERR(dump))
		return 0;
	while (dump->count)
		sock_put(dump->sockets[--dump->count]);
	kvfree(dump->sockets);
	udpcr_groups_destroy(&dump->groups);
	kfree(dump);
	return 0;
}

/**
 * struct parked_dump - a dump of parked sockets
 * @parked: each referenced
 * @count: their number
 * @at: the next one
 * @groups: of those told so far
 */
struct parked_dump {
	struct udpcr_parked **parked;
	unsigned int count;
	unsigned int at;
	struct udpcr_groups groups;
};

static struct parked_dump *new_parked_dump(struct netlink_callback *cb,
					   struct netlink_ext_ack *extack)
{
	struct nlattr **attrs = udpcr_dump_attrs(cb);
	struct parked_dump *dump = kzalloc(sizeof(*dump), GFP_KERNEL);
	int error;

	if (!dump)
		return ERR_PTR(-ENOMEM);
	udpcr_groups_init(&dump->groups);
	error = udpcr_park_collect(cb->skb,
				   attrs && attrs[UDPCR_A_ALL_NETNS],
				   &dump->parked, &dump->count, extack);
	if (error) {
		kfree(dump);
		return ERR_PTR(error);
	}
	return dump;
}

int udpcr_parked_start(struct netlink_callback *cb)
{
	struct netlink_ext_ack late = {};

	return started(cb, &late, new_parked_dump(cb, cb->extack ?: &late));
}

static int tell_parked(struct sk_buff *skb, struct netlink_callback *cb,
		       struct udpcr_parked *parked, struct udpcr_groups *groups)
{
	unsigned int before = skb->len;
	void *head;
	int error;

	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &udpcr_family, NLM_F_MULTI, UDPCR_CMD_PARKED);
	if (!head)
		return -EMSGSIZE;
	error = udpcr_park_tell(skb, parked, udpcr_reader_of(cb->skb), groups);
	if (error)
		skb_trim(skb, before);
	else
		genlmsg_end(skb, head);
	return error;
}

int udpcr_parked_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct parked_dump *dump = going_on(cb);

	if (IS_ERR(dump))
		return PTR_ERR(dump);
	for (; dump->at < dump->count; dump->at++) {
		int error = tell_parked(skb, cb, dump->parked[dump->at],
					&dump->groups);

		/* One that has been claimed since is passed over. */
		if (error == -EMSGSIZE && skb->len)
			break;
		if (error && error != -ENOENT)
			return error;
		cond_resched();
	}
	return skb->len;
}

int udpcr_parked_done(struct netlink_callback *cb)
{
	struct parked_dump *dump = context_of(cb)->dump;

	if (IS_ERR(dump))
		return 0;
	while (dump->count)
		udpcr_parked_put(dump->parked[--dump->count]);
	kvfree(dump->parked);
	udpcr_groups_destroy(&dump->groups);
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

static struct udpcr_queue_copy *new_queue_dump(struct netlink_callback *cb,
					       struct netlink_ext_ack *extack)
{
	struct nlattr **attrs = udpcr_dump_attrs(cb);
	u32 queue;

	if (attrs[UDPCR_A_HANDLE]) {
		if (attrs[UDPCR_A_INO] || attrs[UDPCR_A_QUEUE]) {
			udpcr_say(extack,
				  "UDPCR_A_HANDLE names a list, not a socket's queue");
			return ERR_PTR(-EINVAL);
		}
		return udpcr_held_copy(udpcr_caller_of(cb->skb),
				       nla_get_u32(attrs[UDPCR_A_HANDLE]),
				       extack);
	}
	queue = attrs[UDPCR_A_QUEUE] ? nla_get_u32(attrs[UDPCR_A_QUEUE]) :
				       UDPCR_QUEUE_RECEIVE;
	return copy_target(cb->skb, queue, attrs, extack);
}

int udpcr_queue_start(struct netlink_callback *cb)
{
	struct netlink_ext_ack late = {};
	struct udpcr_queue_copy *copy;

	copy = new_queue_dump(cb, cb->extack ?: &late);
	/* From here on each message fits into an empty buffer. */
	if (!IS_ERR(copy))
		cb->min_dump_alloc = max_t(u32, cb->min_dump_alloc,
					   udpcr_queue_largest(copy));
	return started(cb, &late, copy);
}

int udpcr_queue_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct udpcr_queue_copy *copy = going_on(cb);

	if (IS_ERR(copy))
		return PTR_ERR(copy);
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
	struct udpcr_queue_copy *copy = context_of(cb)->dump;

	if (!IS_ERR(copy))
		udpcr_queue_free(copy);
	return 0;
}
