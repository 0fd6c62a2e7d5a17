// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to park sockets, to claim them, to give them up, to list them; and
 * who may.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "lookup.h"
#include "park.h"
#include "parked.h"
#include "record.h"
#include "user.h"

/* The bounding set of the keeper service's unit: a session has this, or less, and
 * must have what root's other keepers have parked. A container's root lacks the
 * last two. tools/keeper/proof.cpp goes by the same.
 */
static bool is_bounded_as_service(const struct cred *cred)
{
	kernel_cap_t service = CAP_EMPTY_SET;

	cap_raise(service, CAP_SETGID);
	cap_raise(service, CAP_SETUID);
	cap_raise(service, CAP_SYS_PTRACE);
	cap_raise(service, CAP_SYS_ADMIN);
	return cap_issubset(service, cred->cap_bset);
}

/* An ordinary user's bounding set says nothing of whose his sockets are. */
static kernel_cap_t bounds_of(const struct cred *cred)
{
	kernel_cap_t none = CAP_EMPTY_SET;

	if (!uid_eq(cred->fsuid, make_kuid(cred->user_ns, 0)))
		return none;
	return cred->cap_bset;
}

/* As ptrace(2) judges who may have another's memory, and with it his fds
 * (kernel/ptrace.c, security/commoncap.c): the same user of the same user
 * namespace, with all that the other was permitted. A number alone is shared by
 * the host's root and by roots of containers, whose rights were taken away; also
 * from their bounding set, by which a keeper that has given up all that it was
 * permitted differs from them.
 */
static bool has_rights(const struct cred *cred, const struct udpcr_parked *parked)
{
	return uid_eq(cred->fsuid, parked->uid) &&
	       cred->user_ns == parked->user_ns &&
	       cap_issubset(parked->rights, cred->cap_permitted) &&
	       (cap_issubset(parked->bounds, cred->cap_bset) ||
		is_bounded_as_service(cred));
}

/**
 * struct sender - who asks
 * @task: sends the request
 * @opener: has made the netlink socket; counts too, as for all requests
 *	    (lookup.c)
 */
struct sender {
	const struct cred *task;
	const struct cred *opener;
};

static struct sender sender_of(struct sk_buff *request)
{
	return (struct sender) {
		.task = current_cred(),
		.opener = NETLINK_CB(request).sk->sk_socket->file->f_cred,
	};
}

static bool is_senders(const struct udpcr_parked *parked, const void *data)
{
	const struct sender *sender = data;

	return has_rights(sender->task, parked) &&
	       has_rights(sender->opener, parked);
}

static bool is_own(struct sk_buff *request, const struct udpcr_parked *parked)
{
	struct sender sender = sender_of(request);

	return is_senders(parked, &sender);
}

static bool is_admin(struct sk_buff *request)
{
	return netlink_ns_capable(request,
				  sock_net(NETLINK_CB(request).sk)->user_ns,
				  CAP_NET_ADMIN);
}

static bool has_key(const struct udpcr_parked *parked, const struct nlattr *key)
{
	unsigned int len = key ? nla_len(key) : 0;

	return parked->key_len == len &&
	       (!len || !memcmp(parked->key, nla_data(key), len));
}

static u32 seconds_of(const struct nlattr *seconds)
{
	return (seconds ? nla_get_u32(seconds) : 0) ?: UDPCR_PARK_SECONDS;
}

static int check_seconds(const struct nlattr *seconds,
			 struct netlink_ext_ack *extack)
{
	if (seconds_of(seconds) <= udpcr_parked_most())
		return 0;
	udpcr_say(extack, "%u seconds are more than the most, %u (max_park_seconds)",
		  seconds_of(seconds), udpcr_parked_most());
	return -ERANGE;
}

static int renew(struct udpcr_parked *parked, struct sk_buff *request,
		 struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	if (!has_key(parked, attrs[UDPCR_A_KEY]) ||
	    !(is_own(request, parked) || is_admin(request))) {
		udpcr_say(extack,
			  "socket %llu is parked already, under another key or by another user",
			  parked->ino);
		return -EEXIST;
	}
	if (udpcr_parked_renew(parked, seconds_of(attrs[UDPCR_A_SECONDS])))
		return 0;
	udpcr_say(extack, "socket %llu is not parked any more: park it again",
		  parked->ino);
	return -ENOENT;
}

static struct udpcr_parked *new_parked(const struct udpcr_target *target,
				       struct nlattr **attrs,
				       struct netlink_ext_ack *extack)
{
	struct udpcr_parked *parked;
	int error;

	if (!try_module_get(THIS_MODULE)) {
		udpcr_say(extack, "the module is being unloaded");
		return ERR_PTR(-EBUSY);
	}
	parked = kzalloc(sizeof(*parked), GFP_KERNEL);
	error = -ENOMEM;
	if (!parked)
		goto put_module;
	refcount_set(&parked->refs, 1);
	parked->ino = nla_get_u64(attrs[UDPCR_A_INO]);
	parked->uid = current_fsuid();
	parked->user_ns = get_user_ns(current_user_ns());
	parked->rights = current_cred()->cap_permitted;
	parked->bounds = bounds_of(current_cred());
	parked->buffer = READ_ONCE(target->sk->sk_rcvbuf);
	parked->seconds = seconds_of(attrs[UDPCR_A_SECONDS]);
	if (attrs[UDPCR_A_KEY]) {
		parked->key_len = nla_len(attrs[UDPCR_A_KEY]);
		memcpy(parked->key, nla_data(attrs[UDPCR_A_KEY]),
		       parked->key_len);
	}
	error = udpcr_user_charge(&parked->user, (struct udpcr_charge) {
		.parked = 1,
		.buffers = parked->buffer,
	}, extack);
	if (error)
		goto free;
	parked->file = get_file(target->file);
	parked->sk = target->sk;
	sock_hold(parked->sk);
	return parked;
free:
	put_user_ns(parked->user_ns);
	kfree(parked);
put_module:
	module_put(THIS_MODULE);
	return ERR_PTR(error);
}

/**
 * udpcr_park() - parks a socket, or begins the time of a parked one anew
 * @request: the request; its sender is the current task
 * @target: the socket, which the sender may have
 * @attrs: the request's attributes
 * @extack: gets a sentence on failure
 *
 * Return: 0, or an error as <udpcr/udpcr_netlink.h> lists them.
 */
int udpcr_park(struct sk_buff *request, const struct udpcr_target *target,
	       struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	u64 ino = nla_get_u64(attrs[UDPCR_A_INO]);
	struct udpcr_parked *parked;
	int error;

	if (!net_eq(sock_net(target->sk), sock_net(NETLINK_CB(request).sk))) {
		udpcr_say(extack,
			  "socket %llu is of another network namespace than the netlink socket",
			  ino);
		return -EXDEV;
	}
	error = udpcr_queues_usable(target->sk, extack) ?:
		check_seconds(attrs[UDPCR_A_SECONDS], extack);
	if (error)
		return error;
	parked = udpcr_parked_of(target->sk);
	if (parked) {
		error = renew(parked, request, attrs, extack);
		udpcr_parked_put(parked);
		return error;
	}
	parked = new_parked(target, attrs, extack);
	if (IS_ERR(parked))
		return PTR_ERR(parked);
	if (udpcr_parked_insert(parked))
		return 0;
	udpcr_parked_end(parked);
	udpcr_say(extack, "socket %llu has been parked by another meanwhile", ino);
	return -EEXIST;
}

static struct udpcr_parked *get_named(struct sk_buff *request, u64 ino,
				      const struct nlattr *cookie,
				      struct netlink_ext_ack *extack)
{
	u64 number = cookie ? nla_get_u64(cookie) : 0;
	struct udpcr_parked *parked;
	bool stale;

	parked = udpcr_parked_named(sock_net(NETLINK_CB(request).sk), ino,
				    cookie ? &number : NULL, &stale);
	if (parked)
		return parked;
	if (stale) {
		udpcr_say(extack,
			  "inode %llu belongs to another socket now, not cookie %llu",
			  ino, number);
		return ERR_PTR(-ESTALE);
	}
	udpcr_say(extack, "no socket %llu is parked in this network namespace",
		  ino);
	return ERR_PTR(-ENOENT);
}

static int check_claim(struct sk_buff *request,
		       const struct udpcr_parked *parked,
		       struct netlink_ext_ack *extack)
{
	if (is_own(request, parked) || is_admin(request))
		return 0;
	if (uid_eq(parked->uid, current_fsuid()))
		udpcr_say(extack,
			  "socket %llu was parked with rights you lack: that needs CAP_NET_ADMIN",
			  parked->ino);
	else
		udpcr_say(extack,
			  "socket %llu was parked by user %u: that needs CAP_NET_ADMIN",
			  parked->ino,
			  from_kuid_munged(current_user_ns(), parked->uid));
	return -EPERM;
}

/**
 * udpcr_park_take() - takes a parked socket out, for the request's sender
 * @request: the request; its sender is the current task
 * @attrs: its attributes: UDPCR_A_INO, UDPCR_A_COOKIE, UDPCR_A_KEY
 * @claim: only with its key, and not while somebody else has it open
 * @extack: gets a sentence on failure
 *
 * Return: to be given to udpcr_parked_end() or udpcr_park_return(), or an error
 * pointer.
 */
struct udpcr_parked *udpcr_park_take(struct sk_buff *request,
				     struct nlattr **attrs, bool claim,
				     struct netlink_ext_ack *extack)
{
	u64 ino = nla_get_u64(attrs[UDPCR_A_INO]);
	struct udpcr_parked *parked;
	unsigned long others = 0;
	int error;

	parked = get_named(request, ino, attrs[UDPCR_A_COOKIE], extack);
	if (IS_ERR(parked))
		return parked;
	error = check_claim(request, parked, extack);
	if (!error && claim && !has_key(parked, attrs[UDPCR_A_KEY])) {
		udpcr_say(extack, "socket %llu is parked under another key", ino);
		error = -EKEYREJECTED;
	}
	if (error)
		goto put;
	error = udpcr_parked_take_out(parked, claim ? &others : NULL);
	if (error == -ENOENT)
		udpcr_say(extack, "socket %llu has just been claimed by another",
			  ino);
	else if (error)
		udpcr_say(extack,
			  "socket %llu is still open elsewhere (%lu): end the program that has it",
			  ino, others);
put:
	udpcr_parked_put(parked);
	return error ? ERR_PTR(error) : parked;
}

/**
 * udpcr_park_return() - parks again what udpcr_park_take() took
 * @parked: not to be used any more
 */
void udpcr_park_return(struct udpcr_parked *parked)
{
	if (!udpcr_parked_insert(parked))
		udpcr_parked_end(parked);
}

/**
 * udpcr_park_collect() - all that the sender of a request may claim
 * @request: the request; its sender is the current task
 * @everywhere: what is parked in all network namespaces instead
 * @found: gets an array of referenced ones in the order in which they were
 *	   parked, to be given to kvfree(); NULL when there is none
 * @count: gets their number
 * @extack: gets a sentence on failure
 *
 * Return: 0, -EPERM or -ENOMEM.
 */
int udpcr_park_collect(struct sk_buff *request, bool everywhere,
		       struct udpcr_parked ***found, unsigned int *count,
		       struct netlink_ext_ack *extack)
{
	struct net *net = sock_net(NETLINK_CB(request).sk);
	struct sender sender = sender_of(request);

	if (everywhere) {
		if (netlink_capable(request, CAP_NET_ADMIN))
			return udpcr_parked_collect(NULL, NULL, NULL, found,
						    count);
		udpcr_say(extack,
			  "UDPCR_A_ALL_NETNS: that needs CAP_NET_ADMIN in the initial user namespace");
		return -EPERM;
	}
	return udpcr_parked_collect(net, is_admin(request) ? NULL : is_senders,
				    &sender, found, count);
}

/**
 * udpcr_park_tell() - puts what UDPCR_CMD_PARKED tells of one
 * @msg: where to
 * @parked: referenced
 * @reader: the user namespace in which UDPCR_A_UID is given
 * @groups: what the dump knows of SO_REUSEPORT groups
 *
 * Return: 0, -EMSGSIZE, or -ENOENT when it is no longer parked.
 */
int udpcr_park_tell(struct sk_buff *msg, struct udpcr_parked *parked,
		    struct user_namespace *reader, struct udpcr_groups *groups)
{
	const struct net *net = sock_net(parked->sk);
	u32 seconds;
	u64 since;

	if (!udpcr_parked_times(parked, &seconds, &since))
		return -ENOENT;
	if (nla_put_u32(msg, UDPCR_A_UID,
			from_kuid_munged(reader, parked->uid)) ||
	    nla_put(msg, UDPCR_A_KEY, parked->key_len, parked->key) ||
	    nla_put_u32(msg, UDPCR_A_SECONDS, seconds) ||
	    nla_put_u64_64bit(msg, UDPCR_A_NETNS_INO, net->ns.inum,
			      UDPCR_A_PAD) ||
	    nla_put_u64_64bit(msg, UDPCR_A_NETNS_COOKIE, net->net_cookie,
			      UDPCR_A_PAD) ||
	    (since &&
	     nla_put_u64_64bit(msg, UDPCR_A_SINCE, since, UDPCR_A_PAD)))
		return -EMSGSIZE;
	return udpcr_summary_put(msg, parked->sk, parked->ino, groups);
}
