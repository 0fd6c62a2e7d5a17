// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parked sockets of all network namespaces. Their files are held here, so
 * that they outlive those who had them open.
 *
 * Each keeps the module loaded, and by its socket its network namespace. Once a
 * second, and only while something is parked, a work looks who is left alone.
 *
 * Lock: parked_lock, under lock_sock(); within it that of look.c.
 */
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "look.h"
#include "parked.h"
#include "user.h"

/* Parked sockets that are looked at with the lock held. */
#define SWEEP_BATCH 256

static unsigned int max_park_seconds = 86400;
module_param(max_park_seconds, uint, 0644);
MODULE_PARM_DESC(max_park_seconds, "Most seconds that a socket stays parked which nobody has open");

/* A namespace that nobody is in any more is kept, and nobody sees it. */
static unsigned int max_park_seconds_netns = 300;
module_param(max_park_seconds_netns, uint, 0644);
MODULE_PARM_DESC(max_park_seconds_netns, "The same outside of the initial network namespace");

static DEFINE_SPINLOCK(parked_lock);
/* As many as one user may park. */
static DEFINE_HASHTABLE(parked_by_ino, 13);
static DEFINE_HASHTABLE(parked_by_sock, 13);
static LIST_HEAD(all_parked);
static unsigned int parked_count;
/* Where the sweep goes on; under parked_lock. */
static struct list_head *sweep_at = &all_parked;

static void sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(sweep_work, sweep);

static struct udpcr_parked *find(const struct sock *sk)
	__must_hold(&parked_lock)
{
	struct udpcr_parked *parked;

	hash_for_each_possible(parked_by_sock, parked, by_sock,
			       (unsigned long)sk)
		if (parked->sk == sk)
			return parked;
	return NULL;
}

static bool is_there(struct udpcr_parked *parked)
	__must_hold(&parked_lock)
{
	return hash_hashed(&parked->by_sock);
}

/* The table's reference is the caller's then. */
static void take_out(struct udpcr_parked *parked)
	__must_hold(&parked_lock)
{
	if (sweep_at == &parked->in_order)
		sweep_at = sweep_at->next;
	list_del(&parked->in_order);
	hash_del(&parked->by_ino);
	hash_del(&parked->by_sock);
	parked_count--;
}

static void notice(struct udpcr_parked *parked, u64 now)
	__must_hold(&parked_lock)
{
	if (udpcr_look_others(parked->file))
		parked->since = 0;
	else if (!parked->since)
		parked->since = now;
}

/**
 * udpcr_parked_most() - the most seconds that may be asked for
 */
u32 udpcr_parked_most(void)
{
	return READ_ONCE(max_park_seconds);
}

/**
 * udpcr_parked_most_in() - the most seconds that a park lasts
 * @net: the socket's network namespace
 *
 * Lowered it holds for what is parked already too: else nobody could get rid of
 * a park in a network namespace that nobody can reach any more.
 */
u32 udpcr_parked_most_in(const struct net *net)
{
	u32 most = READ_ONCE(max_park_seconds);

	return net_eq(net, &init_net) ?
	       most : min(most, READ_ONCE(max_park_seconds_netns));
}

static u32 seconds_of(const struct udpcr_parked *parked)
	__must_hold(&parked_lock)
{
	return min(parked->seconds, udpcr_parked_most_in(sock_net(parked->sk)));
}

/**
 * udpcr_parked_insert() - parks what has been filled, or was taken out
 * @parked: the table's own then
 *
 * Return: false when the socket is parked already; then nothing is done.
 */
bool udpcr_parked_insert(struct udpcr_parked *parked)
{
	bool free;

	spin_lock(&parked_lock);
	free = !find(parked->sk);
	if (free) {
		hash_add(parked_by_ino, &parked->by_ino, parked->ino);
		hash_add(parked_by_sock, &parked->by_sock,
			 (unsigned long)parked->sk);
		list_add_tail(&parked->in_order, &all_parked);
		parked_count++;
	}
	spin_unlock(&parked_lock);
	if (free)
		schedule_delayed_work(&sweep_work, HZ);
	return free;
}

/**
 * udpcr_parked_take_out() - takes one out of the table
 * @parked: referenced; the table's reference becomes the caller's
 * @others: gets how many references others have to its file, and then it stays
 *	    if there are any; NULL: no matter
 *
 * Return: 0, -ENOENT when it is no longer there, -EBUSY when others have it.
 */
int udpcr_parked_take_out(struct udpcr_parked *parked, unsigned long *others)
{
	int error = 0;

	spin_lock(&parked_lock);
	if (!is_there(parked)) {
		error = -ENOENT;
	} else if (others) {
		*others = udpcr_look_others(parked->file);
		if (*others)
			error = -EBUSY;
	}
	if (!error)
		take_out(parked);
	spin_unlock(&parked_lock);
	return error;
}

/**
 * udpcr_parked_put() - gives a reference back
 * @parked: the parked socket
 */
void udpcr_parked_put(struct udpcr_parked *parked)
{
	if (!refcount_dec_and_test(&parked->refs))
		return;
	sock_put(parked->sk);
	put_user_ns(parked->user_ns);
	kfree(parked);
}

/**
 * udpcr_parked_end() - gives up the file of what has been taken out
 * @parked: not to be used any more
 */
void udpcr_parked_end(struct udpcr_parked *parked)
{
	fput(parked->file);
	udpcr_user_uncharge(parked->user, (struct udpcr_charge) {
		.parked = 1,
		.buffers = parked->buffer,
	});
	udpcr_parked_put(parked);
	/* The exit waits for requests and for the sweep. */
	module_put(THIS_MODULE);
}

static bool is_over(const struct udpcr_parked *parked, u64 now)
	__must_hold(&parked_lock)
{
	return parked->since &&
	       now - parked->since >= (u64)seconds_of(parked) * NSEC_PER_SEC;
}

/* Ends those whose time is over. Returns whether there are more to look at. */
static bool sweep_some(u64 now)
{
	struct udpcr_parked *parked, *next;
	LIST_HEAD(over);
	bool more;
	int i;

	spin_lock(&parked_lock);
	for (i = 0; i < SWEEP_BATCH && sweep_at != &all_parked; i++) {
		parked = list_entry(sweep_at, struct udpcr_parked, in_order);
		sweep_at = sweep_at->next;
		notice(parked, now);
		if (is_over(parked, now)) {
			take_out(parked);
			list_add_tail(&parked->in_order, &over);
		}
	}
	more = sweep_at != &all_parked;
	spin_unlock(&parked_lock);
	list_for_each_entry_safe(parked, next, &over, in_order)
		udpcr_parked_end(parked);
	return more;
}

static void sweep(struct work_struct *work)
{
	u64 now = ktime_get_boottime_ns();
	bool again;

	spin_lock(&parked_lock);
	sweep_at = all_parked.next;
	spin_unlock(&parked_lock);
	while (sweep_some(now))
		cond_resched();
	spin_lock(&parked_lock);
	again = !list_empty(&all_parked);
	spin_unlock(&parked_lock);
	if (again)
		schedule_delayed_work(&sweep_work, HZ);
}

/**
 * udpcr_parked_of() - the park of a socket
 * @sk: the socket
 *
 * Return: referenced, or NULL.
 */
struct udpcr_parked *udpcr_parked_of(const struct sock *sk)
{
	struct udpcr_parked *parked;

	spin_lock(&parked_lock);
	parked = find(sk);
	if (parked)
		refcount_inc(&parked->refs);
	spin_unlock(&parked_lock);
	return parked;
}

/**
 * udpcr_parked_named() - the parked socket with an inode number
 * @net: its network namespace
 * @ino: the number
 * @cookie: its cookie, or NULL: any
 * @stale: set when there is one with another cookie only
 *
 * Return: referenced, or NULL.
 */
struct udpcr_parked *udpcr_parked_named(const struct net *net, u64 ino,
					const u64 *cookie, bool *stale)
{
	struct udpcr_parked *parked, *found = NULL;

	*stale = false;
	spin_lock(&parked_lock);
	hash_for_each_possible(parked_by_ino, parked, by_ino, ino) {
		if (parked->ino != ino || !net_eq(sock_net(parked->sk), net))
			continue;
		*stale = cookie &&
			 atomic64_read(&parked->sk->sk_cookie) != *cookie;
		if (*stale)
			continue;
		refcount_inc(&parked->refs);
		found = parked;
		break;
	}
	spin_unlock(&parked_lock);
	return found;
}

static bool fill(struct udpcr_parked **found, unsigned int room,
		 unsigned int *count, const struct net *net,
		 bool (*wanted)(const struct udpcr_parked *parked,
				const void *data),
		 const void *data)
{
	struct udpcr_parked *parked;
	bool whole = true;

	*count = 0;
	spin_lock(&parked_lock);
	list_for_each_entry(parked, &all_parked, in_order) {
		if ((net && !net_eq(sock_net(parked->sk), net)) ||
		    (wanted && !wanted(parked, data)))
			continue;
		whole = *count < room;
		if (!whole)
			break;
		refcount_inc(&parked->refs);
		found[(*count)++] = parked;
	}
	spin_unlock(&parked_lock);
	return whole;
}

/**
 * udpcr_parked_collect() - parked sockets
 * @net: their network namespace; NULL: all
 * @wanted: of these only those that it says; with a lock held; NULL: all
 * @data: for @wanted
 * @found: gets an array of referenced ones in the order in which they were
 *	   parked, to be given to kvfree()
 * @count: gets their number
 *
 * Return: 0 or -ENOMEM.
 */
int udpcr_parked_collect(const struct net *net,
			 bool (*wanted)(const struct udpcr_parked *parked,
					const void *data),
			 const void *data, struct udpcr_parked ***found,
			 unsigned int *count)
{
	unsigned int room;

	for (;;) {
		/* Room for those that are parked meanwhile. */
		room = READ_ONCE(parked_count) + 16;
		*found = kvmalloc_array(room, sizeof(**found), GFP_KERNEL);
		if (!*found)
			return -ENOMEM;
		if (fill(*found, room, count, net, wanted, data))
			return 0;
		while (*count)
			udpcr_parked_put((*found)[--*count]);
		kvfree(*found);
	}
}

/**
 * udpcr_parked_renew() - begins the time anew
 * @parked: referenced
 * @seconds: how long it stays once nobody else has it
 *
 * Return: false when it is no longer parked.
 */
bool udpcr_parked_renew(struct udpcr_parked *parked, u32 seconds)
{
	bool there;

	spin_lock(&parked_lock);
	there = is_there(parked);
	parked->seconds = seconds;
	parked->since = 0;
	spin_unlock(&parked_lock);
	return there;
}

/**
 * udpcr_parked_times() - how long one stays, and since when
 * @parked: referenced
 * @seconds: gets the time that it stays
 * @since: gets when it was left alone, ns of CLOCK_BOOTTIME; 0: it is not
 *
 * Return: false when it is no longer parked.
 */
bool udpcr_parked_times(struct udpcr_parked *parked, u32 *seconds, u64 *since)
{
	bool there;

	spin_lock(&parked_lock);
	there = is_there(parked);
	if (there)
		notice(parked, ktime_get_boottime_ns());
	*seconds = seconds_of(parked);
	*since = parked->since;
	spin_unlock(&parked_lock);
	return there;
}

/**
 * udpcr_is_parked() - whether a socket is parked
 * @sk: the socket
 */
bool udpcr_is_parked(const struct sock *sk)
{
	bool there;

	spin_lock(&parked_lock);
	there = find(sk);
	spin_unlock(&parked_lock);
	return there;
}

/**
 * udpcr_is_parked_alone() - whether a socket is parked, and open nowhere else
 * @sk: the socket; is not looked into
 */
bool udpcr_is_parked_alone(const struct sock *sk)
{
	struct udpcr_parked *parked;
	bool alone;

	spin_lock(&parked_lock);
	parked = find(sk);
	alone = parked && !udpcr_look_others(parked->file);
	spin_unlock(&parked_lock);
	return alone;
}

/* After the family is gone, and with nothing parked: that keeps the module. */
void udpcr_parked_exit(void)
{
	cancel_delayed_work_sync(&sweep_work);
}
