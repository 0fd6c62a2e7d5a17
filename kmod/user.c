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

/**
 * struct udpcr_user - how much a user has
 * @node: in users
 * @uid: the user
 * @lists: number of lists
 * @bytes: of packets that are being read
 */
struct udpcr_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int lists;
	size_t bytes;
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
	if (user->lists || user->bytes)
		return;
	hash_del(&user->node);
	kfree(user);
}

static int check(const struct udpcr_user *user, unsigned int lists,
		 size_t bytes, struct netlink_ext_ack *extack)
{
	uid_t uid = from_kuid_munged(current_user_ns(), user->uid);

	if (lists && user->lists >= READ_ONCE(max_held)) {
		udpcr_say(extack,
			  "user %u holds %u lists, the most it may (max_held)",
			  uid, user->lists);
		return -EDQUOT;
	}
	/* A first one is bounded by its socket's receive buffer. */
	if (bytes && user->bytes && user->bytes + bytes > READ_ONCE(max_read) &&
	    !capable(CAP_NET_ADMIN)) {
		udpcr_say(extack,
			  "user %u reads %zu bytes at once, %zu more are too many (max_read)",
			  uid, user->bytes, bytes);
		return -EDQUOT;
	}
	return 0;
}

/**
 * udpcr_user_charge() - counts something as the caller's
 * @user: gets whose it is, for udpcr_user_uncharge()
 * @lists: number of lists
 * @bytes: of packets
 * @extack: gets a sentence on failure
 *
 * Return: 0, -EDQUOT or -ENOMEM.
 */
int udpcr_user_charge(struct udpcr_user **user, unsigned int lists,
		      size_t bytes, struct netlink_ext_ack *extack)
{
	int error;

	mutex_lock(&users_lock);
	*user = user_of(current_euid());
	error = *user ? check(*user, lists, bytes, extack) : -ENOMEM;
	if (!error) {
		(*user)->lists += lists;
		(*user)->bytes += bytes;
	}
	/* Nothing may have been charged: an empty queue is. */
	if (*user && (error || !(lists || bytes))) {
		forget_if_idle(*user);
		*user = NULL;
	}
	mutex_unlock(&users_lock);
	return error;
}

/**
 * udpcr_user_uncharge() - takes back what udpcr_user_charge() counted
 * @user: whose it was, or NULL
 * @lists: number of lists
 * @bytes: of packets
 */
void udpcr_user_uncharge(struct udpcr_user *user, unsigned int lists,
			 size_t bytes)
{
	if (!user)
		return;
	mutex_lock(&users_lock);
	user->lists -= lists;
	user->bytes -= bytes;
	forget_if_idle(user);
	mutex_unlock(&users_lock);
}
