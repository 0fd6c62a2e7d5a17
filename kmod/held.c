// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists of datagrams that are held aside: what was taken out of a receive
 * queue, and what is to go into one.
 *
 * A list belongs to the netlink socket that began it, and ends with it. What
 * it holds stays charged to its socket, whose reference it has: putting it back
 * is a splice under the queue's locks, which cannot fail. Before the last
 * reference goes, the charge is gone too, as inet_sock_destruct() demands.
 *
 * Locks, outermost first: holders_lock, holder->lock, users_lock. The locks of
 * the socket's queues are taken under holder->lock.
 */
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "datagram.h"
#include "held.h"
#include "queue.h"

static unsigned int max_held = 65536;
module_param(max_held, uint, 0644);
MODULE_PARM_DESC(max_held, "Most lists that one user may hold aside");

/**
 * struct udpcr_user - how much a user holds
 * @node: in users
 * @uid: the user
 * @lists: number of lists
 */
struct udpcr_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int lists;
};

/**
 * struct udpcr_list - datagrams held aside
 * @by_socket: in lists_by_socket
 * @sk: the socket, referenced
 * @user: who is charged with this list
 * @staged: begun by STAGE, not by TAKE
 * @skbs: the datagrams; its own lock is not used
 * @bytes: charged to @sk
 */
struct udpcr_list {
	struct hlist_node by_socket;
	struct sock *sk;
	struct udpcr_user *user;
	bool staged;
	struct sk_buff_head skbs;
	unsigned int bytes;
};

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
	struct mutex lock;
	struct xarray lists;
};

/* A holder goes when its netlink socket is closed, so not during a request. */
static DEFINE_HASHTABLE(holders, 8);
static DEFINE_MUTEX(holders_lock);

static DEFINE_HASHTABLE(users, 6);
static DEFINE_HASHTABLE(lists_by_socket, 8);
static DEFINE_SPINLOCK(users_lock); /* over both */

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

/* Room for one more list, or an error; -EAGAIN: @fresh is wanted. */
static int charge_user(struct udpcr_list *list, struct udpcr_user **fresh,
		       struct netlink_ext_ack *extack)
{
	kuid_t uid = current_euid();
	struct udpcr_user *user;
	int error = 0;

	spin_lock(&users_lock);
	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			break;
	if (!user && !*fresh) {
		error = -EAGAIN;
		goto unlock;
	}
	if (!user) {
		user = *fresh;
		*fresh = NULL;
		user->uid = uid;
		hash_add(users, &user->node, __kuid_val(uid));
	}
	if (user->lists >= READ_ONCE(max_held)) {
		udpcr_say(extack, "user %u holds %u lists, the most it may (max_held)",
			  from_kuid_munged(current_user_ns(), uid), user->lists);
		error = -EDQUOT;
		if (!user->lists) { /* max_held is 0 */
			hash_del(&user->node);
			*fresh = user;
		}
		goto unlock;
	}
	user->lists++;
	list->user = user;
	hash_add(lists_by_socket, &list->by_socket, (unsigned long)list->sk);
unlock:
	spin_unlock(&users_lock);
	return error;
}

static void uncharge_user(struct udpcr_list *list)
{
	struct udpcr_user *user = list->user;

	spin_lock(&users_lock);
	hash_del(&list->by_socket);
	if (--user->lists)
		user = NULL;
	else
		hash_del(&user->node);
	spin_unlock(&users_lock);
	kfree(user);
}

static struct udpcr_list *new_list(struct sock *sk, bool staged,
				   struct netlink_ext_ack *extack)
{
	struct udpcr_list *list = kzalloc(sizeof(*list), GFP_KERNEL);
	struct udpcr_user *fresh = NULL;
	int error;

	if (!list)
		return ERR_PTR(-ENOMEM);
	list->sk = sk;
	list->staged = staged;
	__skb_queue_head_init(&list->skbs);
	error = charge_user(list, &fresh, extack);
	if (error == -EAGAIN) {
		fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
		error = fresh ? charge_user(list, &fresh, extack) : -ENOMEM;
	}
	kfree(fresh);
	if (error) {
		kfree(list);
		return ERR_PTR(error);
	}
	sock_hold(sk);
	return list;
}

/* Of an empty list. */
static void free_list(struct udpcr_list *list)
{
	uncharge_user(list);
	sock_put(list->sk);
	kfree(list);
}

/* Both locks in the order of __skb_recv_udp(); softirqs are off meanwhile. */
static void lock_queues(struct sock *sk)
{
	spin_lock_bh(&udp_sk(sk)->reader_queue.lock);
	spin_lock(&sk->sk_receive_queue.lock);
}

static void unlock_queues(struct sock *sk)
{
	spin_unlock(&sk->sk_receive_queue.lock);
	spin_unlock_bh(&udp_sk(sk)->reader_queue.lock);
}

static void take_all(struct udpcr_list *list)
{
	struct sock *sk = list->sk;
	struct sk_buff *skb;

	lock_queues(sk);
	skb_queue_splice_init(&udp_sk(sk)->reader_queue, &list->skbs);
	skb_queue_splice_tail_init(&sk->sk_receive_queue, &list->skbs);
	unlock_queues(sk);
	skb_queue_walk(&list->skbs, skb)
		list->bytes += skb->truesize;
}

/* The readers that wait are woken one a datagram, as when they arrive. */
static void put_all(struct udpcr_list *list, u32 position)
{
	unsigned int count = skb_queue_len(&list->skbs);
	struct sock *sk = list->sk;

	lock_queues(sk);
	if (position == UDPCR_POSITION_FRONT)
		skb_queue_splice_init(&list->skbs, &udp_sk(sk)->reader_queue);
	else
		skb_queue_splice_tail_init(&list->skbs, &sk->sk_receive_queue);
	unlock_queues(sk);
	list->bytes = 0;
	while (count-- && !sock_flag(sk, SOCK_DEAD))
		READ_ONCE(sk->sk_data_ready)(sk);
}

static void drop_all(struct udpcr_list *list)
{
	struct sock *sk = list->sk;

	__skb_queue_purge(&list->skbs);
	/* Forward memory is under the receive queue's lock (net/ipv4/udp.c,
	 * udp_rmem_release).
	 */
	spin_lock_bh(&sk->sk_receive_queue.lock);
	sk_mem_uncharge(sk, list->bytes);
	atomic_sub(list->bytes, &sk->sk_rmem_alloc);
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	list->bytes = 0;
}

/* The memory that @skb takes, as __udp_enqueue_schedule_skb() charges it. */
static int charge(struct udpcr_list *list, struct sk_buff *skb,
		  struct netlink_ext_ack *extack)
{
	unsigned int most = 2 * (unsigned int)READ_ONCE(list->sk->sk_rcvbuf);
	unsigned int size = skb->truesize;
	struct sock *sk = list->sk;
	unsigned int now;
	bool granted;

	/* One may go beyond, else a small buffer could take none. */
	now = atomic_read(&sk->sk_rmem_alloc);
	if (now > most) {
		udpcr_say(extack,
			  "the queue has %u bytes, more than %u, twice SO_RCVBUF",
			  now, most);
		return -ENOBUFS;
	}
	spin_lock_bh(&sk->sk_receive_queue.lock);
	granted = sk_rmem_schedule(sk, skb, size);
	if (granted) {
		sk_mem_charge(sk, size);
		atomic_add(size, &sk->sk_rmem_alloc);
	}
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	if (!granted) {
		udpcr_say(extack,
			  "the memory for UDP sockets is used up (net.ipv4.udp_mem)");
		return -ENOBUFS;
	}
	list->bytes += size;
	return 0;
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
		 bool staged, struct udpcr_held_size *size,
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
	list = new_list(sk, staged, extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	mutex_lock(&holder->lock);
	error = insert(holder, handle, list, extack);
	if (!error && !staged) {
		take_all(list);
		size->count = skb_queue_len(&list->skbs);
		size->bytes = list->bytes;
	}
	mutex_unlock(&holder->lock);
	if (error)
		free_list(list);
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
	return begin(caller, handle, sk, false, size, extack);
}

/**
 * udpcr_held_stage() - begins an empty list
 * @caller: who will own the list
 * @handle: its number there, not 0
 * @sk: the socket that it is for
 * @extack: gets a sentence on failure
 */
int udpcr_held_stage(struct udpcr_caller caller, u32 handle, struct sock *sk,
		     struct netlink_ext_ack *extack)
{
	return begin(caller, handle, sk, true, NULL, extack);
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
	skb = udpcr_datagram_build(list->sk, attrs, extack);
	error = PTR_ERR_OR_ZERO(skb);
	if (error)
		goto unlock;
	error = charge(list, skb, extack);
	if (error)
		kfree_skb(skb);
	else
		__skb_queue_tail(&list->skbs, skb);
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
	struct udpcr_holder *holder;
	struct udpcr_list *list;

	list = lock_list(caller, handle, &holder, extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	xa_erase(&holder->lists, handle);
	mutex_unlock(&holder->lock);
	put_all(list, position);
	free_list(list);
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
	struct udpcr_holder *holder;
	struct udpcr_list *list;

	list = lock_list(caller, handle, &holder, extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	xa_erase(&holder->lists, handle);
	mutex_unlock(&holder->lock);
	drop_all(list);
	free_list(list);
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
	copy = udpcr_queue_copy_list(list->sk, &list->skbs);
	mutex_unlock(&holder->lock);
	return copy;
}

/**
 * udpcr_held_count() - datagrams of a socket that are held aside
 * @sk: the socket
 */
u32 udpcr_held_count(const struct sock *sk)
{
	struct udpcr_list *list;
	u32 count = 0;

	spin_lock(&users_lock);
	hash_for_each_possible(lists_by_socket, list, by_socket, (unsigned long)sk)
		if (list->sk == sk)
			count += skb_queue_len_lockless(&list->skbs);
	spin_unlock(&users_lock);
	return count;
}

/* The end of its netlink socket, or of the module: nobody else has it. */
static void end_holder(struct udpcr_holder *holder)
{
	struct udpcr_list *list;
	unsigned long handle;

	xa_for_each(&holder->lists, handle, list) {
		if (list->staged)
			drop_all(list);
		else
			put_all(list, UDPCR_POSITION_FRONT);
		free_list(list);
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
