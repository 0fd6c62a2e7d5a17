// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a user has the kernel keep through us: lists that are held aside, each
 * of which keeps a socket alive, and packets that are being read, which nobody
 * is charged for once their socket's readers have taken them.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "compat.h"
#include "user.h"

static unsigned int max_held = 65536;
module_param(max_held, uint, 0644);
MODULE_PARM_DESC(max_held, "Most lists that one user may hold aside");

static unsigned long max_read = 64UL << 20;
module_param(max_read, ulong, 0644);
MODULE_PARM_DESC(max_read, "Most bytes of queues that one user may read at once");

static unsigned int max_parked = 8192;
module_param(max_parked, uint, 0644);
MODULE_PARM_DESC(max_parked, "Most sockets that one user may park");

static unsigned long max_parked_bytes = 512UL << 20;
module_param(max_parked_bytes, ulong, 0644);
MODULE_PARM_DESC(max_parked_bytes, "Most bytes of SO_RCVBUF that one user may park");

/**
 * struct udpcr_user - how much a user has
 * @node: in users
 * @uid: the user
 * @has: what he has
 */
struct udpcr_user {
	struct hlist_node node;
	kuid_t uid;
	struct udpcr_charge has;
};

static DEFINE_HASHTABLE(users, 6);
static DEFINE_MUTEX(users_lock);

static struct udpcr_user *user_of(kuid_t uid)
{
	struct udpcr_user *user;

	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	user = kzalloc(sizeof(*user), GFP_KERNEL);
	if (user) {
		user->uid = uid;
		hash_add(users, &user->node, __kuid_val(uid));
	}
	return user;
}

static void forget_if_idle(struct udpcr_user *user)
{
	if (user->has.lists || user->has.read || user->has.parked)
		return;
	hash_del(&user->node);
	kfree(user);
}

static int check(const struct udpcr_user *user,
		 const struct udpcr_charge *more,
		 struct netlink_ext_ack *extack)
{
	uid_t uid = from_kuid_munged(current_user_ns(), user->uid);
	const struct udpcr_charge *has = &user->has;

	if (more->lists && has->lists >= READ_ONCE(max_held)) {
		udpcr_say(extack,
			  "user %u holds %u lists, the most it may (max_held)",
			  uid, has->lists);
		return -EDQUOT;
	}
	/* A first one is bounded by its socket's receive buffer. */
	if (more->read && has->read &&
	    has->read + more->read > READ_ONCE(max_read) &&
	    !capable(CAP_NET_ADMIN)) {
		udpcr_say(extack,
			  "user %u reads %zu bytes at once, %zu more are too many (max_read)",
			  uid, has->read, more->read);
		return -EDQUOT;
	}
	if (more->parked && has->parked >= READ_ONCE(max_parked) &&
	    !capable(CAP_NET_ADMIN)) {
		udpcr_say(extack,
			  "user %u has parked %u sockets, the most it may (max_parked)",
			  uid, has->parked);
		return -EDQUOT;
	}
	if (more->buffers &&
	    has->buffers + more->buffers > READ_ONCE(max_parked_bytes) &&
	    !capable(CAP_NET_ADMIN)) {
		udpcr_say(extack,
			  "user %u: %zu bytes of SO_RCVBUF exceed max_parked_bytes %lu",
			  uid, has->buffers + more->buffers,
			  READ_ONCE(max_parked_bytes));
		return -EDQUOT;
	}
	return 0;
}

/**
 * udpcr_user_charge() - counts something as the caller's
 * @user: gets whose it is, for udpcr_user_uncharge()
 * @charge: what
 * @extack: gets a sentence on failure
 *
 * Return: 0, -EDQUOT or -ENOMEM.
 */
int udpcr_user_charge(struct udpcr_user **user, struct udpcr_charge charge,
		      struct netlink_ext_ack *extack)
{
	int error;

	mutex_lock(&users_lock);
	*user = user_of(current_euid());
	error = *user ? check(*user, &charge, extack) : -ENOMEM;
	if (!error) {
		(*user)->has.lists += charge.lists;
		(*user)->has.read += charge.read;
		(*user)->has.parked += charge.parked;
		(*user)->has.buffers += charge.buffers;
	}
	/* Nothing may have been charged: an empty queue is. */
	if (*user &&
	    (error || !(charge.lists || charge.read || charge.parked))) {
		forget_if_idle(*user);
		*user = NULL;
	}
	mutex_unlock(&users_lock);
	return error;
}

/**
 * udpcr_user_uncharge() - takes back what udpcr_user_charge() counted
 * @user: whose it was, or NULL
 * @charge: what
 */
void udpcr_user_uncharge(struct udpcr_user *user, struct udpcr_charge charge)
{
	if (!user)
		return;
	mutex_lock(&users_lock);
	user->has.lists -= charge.lists;
	user->has.read -= charge.read;
	user->has.parked -= charge.parked;
	user->has.buffers -= charge.buffers;
	forget_if_idle(user);
	mutex_unlock(&users_lock);
}
