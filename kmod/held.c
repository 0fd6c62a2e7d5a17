// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists of datagrams that are held aside: what was taken out of a receive
 * queue, and what is to go into one.
 *
 * A list (list.c) belongs to the netlink socket that began it, and ends with it.
 *
 * Locks, outermost first: holders_lock, holder->lock, then those of list.c.
 */
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "datagram.h"
#include "error.h"
#include "held.h"
#include "list.h"
#include "queue.h"

/**
 * struct udpcr_holder - the lists of one netlink socket
 * @node: in holders
 * @caller: the netlink socket
 * @lock: over @lists and what they hold
 * @lists: struct udpcr_list by handle
 */
struct udpcr_holder {
	struct hlist_node node;
	struct udpcr_caller caller;
	struct mutex lock; /* over lists */
	struct xarray lists;
};

/* A holder goes when its netlink socket is closed, so not during a request. */
static DEFINE_HASHTABLE(holders, 8);
static DEFINE_MUTEX(holders_lock);

static struct udpcr_holder *find_holder(struct udpcr_caller caller)
{
	struct udpcr_holder *holder;

	hash_for_each_possible(holders, holder, node, caller.portid)
		if (holder->caller.portid == caller.portid &&
		    net_eq(holder->caller.net, caller.net))
			return holder;
	return NULL;
}

static struct udpcr_holder *get_holder(struct udpcr_caller caller, bool make)
{
	struct udpcr_holder *holder;

	mutex_lock(&holders_lock);
	holder = find_holder(caller);
	if (!holder && make)
		holder = kzalloc(sizeof(*holder), GFP_KERNEL);
	if (holder && !holder->node.pprev) {
		holder->caller = caller;
		mutex_init(&holder->lock);
		xa_init(&holder->lists);
		hash_add(holders, &holder->node, caller.portid);
	}
	mutex_unlock(&holders_lock);
	return holder;
}

/* With the holder's lock held. */
static int insert(struct udpcr_holder *holder, u32 handle,
		  struct udpcr_list *list, struct netlink_ext_ack *extack)
{
	int error = xa_insert(&holder->lists, handle, list, GFP_KERNEL);

	if (error == -EBUSY) {
		udpcr_say(extack, "%u names a list already", handle);
		error = -EEXIST;
	}
	return error;
}

static int begin(struct udpcr_caller caller, u32 handle, struct sock *sk,
		 u32 queue, bool staged, struct udpcr_held_size *size,
		 struct netlink_ext_ack *extack)
{
	struct udpcr_holder *holder;
	struct udpcr_list *list;
	int error;

	if (!handle) {
		udpcr_say(extack, "UDPCR_A_HANDLE is 0: choose another number");
		return -EINVAL;
	}
	holder = get_holder(caller, true);
	if (!holder)
		return -ENOMEM;
	list = udpcr_list_new(sk, queue, staged, extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	mutex_lock(&holder->lock);
	error = insert(holder, handle, list, extack);
	if (!error && !staged) {
		udpcr_list_take(list);
		size->count = skb_queue_len(&list->skbs);
		size->bytes = list->bytes;
	}
	mutex_unlock(&holder->lock);
	if (error)
		udpcr_list_free(list);
	return error;
}

/**
 * udpcr_held_take() - moves a receive queue into a new list
 * @caller: who will own the list
 * @handle: its number there, not 0
 * @sk: the socket
 * @size: gets what was taken
 * @extack: gets a sentence on failure
 *
 * Return: 0 or an error; then the queue is as it was.
 */
int udpcr_held_take(struct udpcr_caller caller, u32 handle, struct sock *sk,
		    struct udpcr_held_size *size,
		    struct netlink_ext_ack *extack)
{
	return begin(caller, handle, sk, UDPCR_QUEUE_RECEIVE, false, size, extack);
}

/**
 * udpcr_held_stage() - begins an empty list
 * @caller: who will own the list
 * @handle: its number there, not 0
 * @sk: the socket that it is for
 * @queue: UDPCR_QUEUE_RECEIVE or UDPCR_QUEUE_ERROR
 * @extack: gets a sentence on failure
 */
int udpcr_held_stage(struct udpcr_caller caller, u32 handle, struct sock *sk,
		     u32 queue, struct netlink_ext_ack *extack)
{
	return begin(caller, handle, sk, queue, true, NULL, extack);
}

/* The list, with its holder's lock held, or an error pointer. */
static struct udpcr_list *lock_list(struct udpcr_caller caller, u32 handle,
				    struct udpcr_holder **holder,
				    struct netlink_ext_ack *extack)
{
	struct udpcr_list *list = NULL;

	*holder = get_holder(caller, false);
	if (*holder) {
		mutex_lock(&(*holder)->lock);
		list = xa_load(&(*holder)->lists, handle);
		if (!list)
			mutex_unlock(&(*holder)->lock);
	}
	if (list)
		return list;
	udpcr_say(extack, "no list %u is held by this netlink socket", handle);
	return ERR_PTR(-ENOENT);
}

/* The list, which is nobody else's from now on, or an error pointer. */
static struct udpcr_list *remove_list(struct udpcr_caller caller, u32 handle,
				      struct netlink_ext_ack *extack)
{
	struct udpcr_holder *holder;
	struct udpcr_list *list;

	list = lock_list(caller, handle, &holder, extack);
	if (IS_ERR(list))
		return list;
	xa_erase(&holder->lists, handle);
	mutex_unlock(&holder->lock);
	return list;
}

/**
 * udpcr_held_add() - adds a datagram at the end of a list that STAGE began
 * @caller: who owns the list
 * @handle: its number there
 * @attrs: the attributes of the datagram
 * @extack: gets a sentence on failure
 */
int udpcr_held_add(struct udpcr_caller caller, u32 handle,
		   struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	struct udpcr_holder *holder;
	struct udpcr_list *list;
	struct sk_buff *skb;
	int error;

	list = lock_list(caller, handle, &holder, extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	if (!list->staged) {
		udpcr_say(extack, "list %u was taken: only what was staged grows",
			  handle);
		error = -EBUSY;
		goto unlock;
	}
	skb = list->queue == UDPCR_QUEUE_ERROR ?
	      udpcr_error_build(list->sk, attrs, extack) :
	      udpcr_datagram_build(list->sk, attrs, extack);
	error = PTR_ERR_OR_ZERO(skb);
	if (error)
		goto unlock;
	error = udpcr_list_add(list, skb, extack);
	if (error)
		kfree_skb(skb);
unlock:
	mutex_unlock(&holder->lock);
	return error;
}

/**
 * udpcr_held_put() - puts a list into its socket's queue and ends it
 * @caller: who owns the list
 * @handle: its number there
 * @position: UDPCR_POSITION_*
 * @extack: gets a sentence on failure
 */
int udpcr_held_put(struct udpcr_caller caller, u32 handle, u32 position,
		   struct netlink_ext_ack *extack)
{
	struct udpcr_list *list = remove_list(caller, handle, extack);

	if (IS_ERR(list))
		return PTR_ERR(list);
	udpcr_list_put(list, position);
	udpcr_list_free(list);
	return 0;
}

/**
 * udpcr_held_drop() - frees a list and what it holds
 * @caller: who owns the list
 * @handle: its number there
 * @extack: gets a sentence on failure
 */
int udpcr_held_drop(struct udpcr_caller caller, u32 handle,
		    struct netlink_ext_ack *extack)
{
	struct udpcr_list *list = remove_list(caller, handle, extack);

	if (IS_ERR(list))
		return PTR_ERR(list);
	udpcr_list_drop(list);
	udpcr_list_free(list);
	return 0;
}

/**
 * udpcr_held_copy() - refers to what a list holds, for reading it
 * @caller: who owns the list
 * @handle: its number there
 * @extack: gets a sentence on failure
 *
 * Return: to be given to udpcr_queue_free(), or an error pointer.
 */
struct udpcr_queue_copy *udpcr_held_copy(struct udpcr_caller caller, u32 handle,
					 struct netlink_ext_ack *extack)
{
	struct udpcr_queue_copy *copy;
	struct udpcr_holder *holder;
	struct udpcr_list *list;

	list = lock_list(caller, handle, &holder, extack);
	if (IS_ERR(list))
		return ERR_CAST(list);
	copy = udpcr_queue_copy_list(list->sk, list->queue, &list->skbs,
				     extack);
	mutex_unlock(&holder->lock);
	return copy;
}

/* The end of its netlink socket, or of the module: nobody else has it. */
static void end_holder(struct udpcr_holder *holder)
{
	struct udpcr_list *list;
	unsigned long handle;

	xa_for_each(&holder->lists, handle, list) {
		if (list->staged)
			udpcr_list_drop(list);
		else
			udpcr_list_put(list, UDPCR_POSITION_FRONT);
		udpcr_list_free(list);
	}
	xa_destroy(&holder->lists);
	kfree(holder);
}

static int netlink_event(struct notifier_block *block, unsigned long event,
			 void *data)
{
	struct netlink_notify *notify = data;
	struct udpcr_holder *holder;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	mutex_lock(&holders_lock);
	holder = find_holder((struct udpcr_caller) {
		.net = notify->net,
		.portid = notify->portid,
	});
	if (holder)
		hash_del(&holder->node);
	mutex_unlock(&holders_lock);
	if (holder)
		end_holder(holder);
	return NOTIFY_DONE;
}

static struct notifier_block netlink_block = {
	.notifier_call = netlink_event,
};

int udpcr_held_init(void)
{
	return netlink_register_notifier(&netlink_block);
}

/* After the family is gone: no request is under way. */
void udpcr_held_exit(void)
{
	struct udpcr_holder *holder;
	struct hlist_node *next;
	int bucket;

	netlink_unregister_notifier(&netlink_block);
	hash_for_each_safe(holders, bucket, next, holder, node) {
		hash_del(&holder->node);
		end_holder(holder);
	}
}
