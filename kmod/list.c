// SPDX-License-Identifier: GPL-2.0-only
/*
 * A list of datagrams that is held aside for a socket.
 *
 * What it holds stays charged to the socket, whose reference it has: putting it
 * back is a splice under the queue's locks, which cannot fail. Before the last
 * reference goes, the charge is gone too, as inet_sock_destruct() demands.
 *
 * A list for the error queue is charged as that queue is: against SO_RCVBUF, but
 * not against the memory for all UDP sockets (net/core/skbuff.c,
 * sock_queue_err_skb).
 *
 * The caller sees to it that a list is used by one at a time.
 */
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "list.h"
#include "user.h"

static DEFINE_HASHTABLE(lists_by_socket, 8);
static DEFINE_MUTEX(by_socket_lock);

/**
 * udpcr_list_new() - begins an empty list
 * @sk: the socket that it is for
 * @queue: UDPCR_QUEUE_RECEIVE or UDPCR_QUEUE_ERROR
 * @staged: it is to be filled by datagrams, not by TAKE
 * @extack: gets a sentence on failure
 *
 * Return: the list, or an error pointer.
 */
struct udpcr_list *udpcr_list_new(struct sock *sk, u32 queue, bool staged,
				  struct netlink_ext_ack *extack)
{
	struct udpcr_list *list = kzalloc(sizeof(*list), GFP_KERNEL);
	int error;

	if (!list)
		return ERR_PTR(-ENOMEM);
	list->sk = sk;
	list->queue = queue;
	list->staged = staged;
	__skb_queue_head_init(&list->skbs);
	error = udpcr_user_charge(&list->user,
				  (struct udpcr_charge) { .lists = 1 }, extack);
	if (error) {
		kfree(list);
		return ERR_PTR(error);
	}
	sock_hold(sk);
	mutex_lock(&by_socket_lock);
	hash_add(lists_by_socket, &list->by_socket, (unsigned long)sk);
	mutex_unlock(&by_socket_lock);
	return list;
}

/**
 * udpcr_list_free() - ends an empty list
 * @list: the list
 */
void udpcr_list_free(struct udpcr_list *list)
{
	mutex_lock(&by_socket_lock);
	hash_del(&list->by_socket);
	mutex_unlock(&by_socket_lock);
	udpcr_user_uncharge(list->user, (struct udpcr_charge) { .lists = 1 });
	sock_put(list->sk);
	kfree(list);
}

/* Both locks in the order of __skb_recv_udp(); softirqs are off meanwhile. */
static void lock_queues(struct sock *sk)
	__acquires(&udp_sk(sk)->reader_queue.lock)
	__acquires(&sk->sk_receive_queue.lock)
{
	spin_lock_bh(&udp_sk(sk)->reader_queue.lock);
	spin_lock(&sk->sk_receive_queue.lock);
}

static void unlock_queues(struct sock *sk)
	__releases(&sk->sk_receive_queue.lock)
	__releases(&udp_sk(sk)->reader_queue.lock)
{
	spin_unlock(&sk->sk_receive_queue.lock);
	spin_unlock_bh(&udp_sk(sk)->reader_queue.lock);
}

/**
 * udpcr_list_take() - moves all of the receive queue into the list
 * @list: the list, empty
 */
void udpcr_list_take(struct udpcr_list *list)
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

/* sock_queue_err_skb() charges anew what it queues. It refuses when the buffer
 * is full, which it may be with what was let in beside our charge: so there is
 * no limit for that moment. Errors that come in it may stand in front of older
 * ones.
 */
static void put_errors(struct udpcr_list *list, u32 position)
{
	struct sock *sk = list->sk;
	struct sk_buff_head older;
	struct sk_buff *skb;
	unsigned long flags;
	int limit;

	__skb_queue_head_init(&older);
	lock_sock(sk);
	limit = READ_ONCE(sk->sk_rcvbuf);
	WRITE_ONCE(sk->sk_rcvbuf, INT_MAX);
	if (position == UDPCR_POSITION_FRONT) {
		spin_lock_irqsave(&sk->sk_error_queue.lock, flags);
		skb_queue_splice_init(&sk->sk_error_queue, &older);
		spin_unlock_irqrestore(&sk->sk_error_queue.lock, flags);
	}
	while ((skb = __skb_dequeue(&list->skbs))) {
		atomic_sub(skb->truesize, &sk->sk_rmem_alloc);
		if (WARN_ON_ONCE(sock_queue_err_skb(sk, skb)))
			kfree_skb(skb);
	}
	spin_lock_irqsave(&sk->sk_error_queue.lock, flags);
	skb_queue_splice_tail_init(&older, &sk->sk_error_queue);
	spin_unlock_irqrestore(&sk->sk_error_queue.lock, flags);
	WRITE_ONCE(sk->sk_rcvbuf, limit);
	release_sock(sk);
	list->bytes = 0;
}

/**
 * udpcr_list_put() - moves all of the list into its queue
 * @list: the list
 * @position: UDPCR_POSITION_*
 *
 * The readers that wait are woken one a datagram, as when datagrams arrive.
 */
void udpcr_list_put(struct udpcr_list *list, u32 position)
{
	unsigned int count = skb_queue_len(&list->skbs);
	struct sock *sk = list->sk;

	if (list->queue == UDPCR_QUEUE_ERROR) {
		put_errors(list, position);
		return;
	}
	lock_queues(sk);
	if (position == UDPCR_POSITION_FRONT)
		skb_queue_splice_init(&list->skbs, &udp_sk(sk)->reader_queue);
	else
		skb_queue_splice_tail_init(&list->skbs, &sk->sk_receive_queue);
	unlock_queues(sk);
	list->bytes = 0;
	while (count-- && !sock_flag(sk, SOCK_DEAD))
		sk->sk_data_ready(sk);
}

/**
 * udpcr_list_drop() - frees all that the list holds, and uncharges it
 * @list: the list
 */
void udpcr_list_drop(struct udpcr_list *list)
{
	struct sock *sk = list->sk;

	__skb_queue_purge(&list->skbs);
	if (list->queue == UDPCR_QUEUE_ERROR) {
		atomic_sub(list->bytes, &sk->sk_rmem_alloc);
		list->bytes = 0;
		return;
	}
	/* Forward memory is under the receive queue's lock (net/ipv4/udp.c,
	 * udp_rmem_release).
	 */
	spin_lock_bh(&sk->sk_receive_queue.lock);
	sk_mem_uncharge(sk, list->bytes);
	atomic_sub(list->bytes, &sk->sk_rmem_alloc);
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	list->bytes = 0;
}

static bool charge(struct udpcr_list *list, struct sk_buff *skb)
{
	struct sock *sk = list->sk;
	bool granted;

	if (list->queue == UDPCR_QUEUE_ERROR) {
		atomic_add(skb->truesize, &sk->sk_rmem_alloc);
		return true;
	}
	spin_lock_bh(&sk->sk_receive_queue.lock);
	granted = sk_rmem_schedule(sk, skb, skb->truesize);
	if (granted) {
		sk_mem_charge(sk, skb->truesize);
		atomic_add(skb->truesize, &sk->sk_rmem_alloc);
	}
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return granted;
}

/**
 * udpcr_list_add() - adds a datagram at the end
 * @list: the list
 * @skb: the datagram; the list's on success
 * @extack: gets a sentence on failure
 *
 * Charges the socket as __udp_enqueue_schedule_skb() does, but up to twice
 * SO_RCVBUF.
 *
 * Return: 0 or -ENOBUFS.
 */
int udpcr_list_add(struct udpcr_list *list, struct sk_buff *skb,
		   struct netlink_ext_ack *extack)
{
	/* sk_rmem_alloc is an int. */
	unsigned int most = min(2 * (unsigned int)READ_ONCE(list->sk->sk_rcvbuf),
				(unsigned int)INT_MAX - SZ_1M);
	unsigned int size = skb->truesize;
	unsigned int now;

	/* One may go beyond, else a small buffer could take none. */
	now = atomic_read(&list->sk->sk_rmem_alloc);
	if (now > most) {
		udpcr_say(extack,
			  "the queue has %u bytes, more than %u, twice SO_RCVBUF",
			  now, most);
		return -ENOBUFS;
	}
	if (!charge(list, skb)) {
		udpcr_say(extack,
			  "the memory for UDP sockets is used up (net.ipv4.udp_mem)");
		return -ENOBUFS;
	}
	list->bytes += size;
	__skb_queue_tail(&list->skbs, skb);
	return 0;
}

/**
 * udpcr_list_count() - datagrams of a socket that are held aside
 * @sk: the socket
 */
u32 udpcr_list_count(const struct sock *sk)
{
	struct udpcr_list *list;
	u32 count = 0;

	mutex_lock(&by_socket_lock);
	hash_for_each_possible(lists_by_socket, list, by_socket, (unsigned long)sk)
		if (list->sk == sk)
			count += skb_queue_len_lockless(&list->skbs);
	mutex_unlock(&by_socket_lock);
	return count;
}
