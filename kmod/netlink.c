// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "held.h"
#include "lookup.h"
#include "netlink.h"
#include "queue.h"
#include "record.h"

/* The largest record of one socket, and that of a socket in a dump. */
#define UDPCR_RECORD_MAX	SZ_1M
#define UDPCR_DUMP_RECORD_MAX	60000

static struct genl_family udpcr_family;

#define UDPCR_TARGET							\
	[UDPCR_A_INO] = { .type = NLA_U64 },				\
	[UDPCR_A_FD] = { .type = NLA_U32 },				\
	[UDPCR_A_COOKIE] = { .type = NLA_U64 }
#define UDPCR_ADDRESS NLA_POLICY_RANGE(NLA_BINARY, 4, 16)

static struct netlink_range_validation ifindex_range = {
	.max = S32_MAX,
};

static const struct nla_policy socket_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
};

static const struct nla_policy queue_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_QUEUE] = NLA_POLICY_MAX(NLA_U32, UDPCR_QUEUE_MAX),
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
};

static const struct nla_policy begin_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
};

static const struct nla_policy put_policy[UDPCR_A_MAX + 1] = {
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
	[UDPCR_A_POSITION] = NLA_POLICY_MAX(NLA_U32, UDPCR_POSITION_MAX),
};

static const struct nla_policy drop_policy[UDPCR_A_MAX + 1] = {
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
};

static const struct nla_policy datagram_policy[UDPCR_A_MAX + 1] = {
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
	[UDPCR_A_SRC_ADDR] = UDPCR_ADDRESS,
	[UDPCR_A_SRC_PORT] = { .type = NLA_U16 },
	[UDPCR_A_SRC_SCOPE] = NLA_POLICY_FULL_RANGE(NLA_U32, &ifindex_range),
	[UDPCR_A_DST_ADDR] = UDPCR_ADDRESS,
	[UDPCR_A_DST_PORT] = { .type = NLA_U16 },
	[UDPCR_A_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &ifindex_range),
	[UDPCR_A_TSTAMP] = { .type = NLA_U64 },
	[UDPCR_A_TOS] = { .type = NLA_U8 },
	[UDPCR_A_TTL] = { .type = NLA_U8 },
	[UDPCR_A_MARK] = { .type = NLA_U32 },
	[UDPCR_A_GSO_SIZE] = { .type = NLA_U16 },
	[UDPCR_A_SPEC_DST] = NLA_POLICY_EXACT_LEN(4),
	[UDPCR_A_PAYLOAD] = { .type = NLA_BINARY, .len = UDPCR_MAX_PAYLOAD },
};

static const struct nla_policy set_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_DROPS] = { .type = NLA_U32 },
	[UDPCR_A_ERROR] = NLA_POLICY_MAX(NLA_U32, MAX_ERRNO),
};

static struct udpcr_caller caller_of(struct sk_buff *request)
{
	return (struct udpcr_caller) {
		.net = sock_net(NETLINK_CB(request).sk),
		.portid = NETLINK_CB(request).portid,
	};
}

static int need(struct nlattr **attrs, int type, const char *name,
		struct netlink_ext_ack *extack)
{
	if (attrs[type])
		return 0;
	udpcr_say(extack, "%s is missing", name);
	return -EINVAL;
}

#define NEED(attrs, type, extack) need(attrs, type, #type, extack)

static struct user_namespace *reader_of(struct sk_buff *request)
{
	return sk_user_ns(NETLINK_CB(request).sk);
}

/* An answer with @size bytes of attributes; freed with nlmsg_free(). */
static struct sk_buff *new_answer(struct genl_info *info, u8 cmd, size_t size)
{
	struct sk_buff *msg = genlmsg_new(size, GFP_KERNEL);

	if (msg && !genlmsg_put_reply(msg, info, &udpcr_family, 0, cmd)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

static int send_answer(struct sk_buff *msg, struct genl_info *info)
{
	nlmsg_end(msg, nlmsg_hdr(msg));
	return genlmsg_reply(msg, info);
}

static int socket_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_target target;
	struct sk_buff *msg;
	size_t size;
	int error;

	error = udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		return error;
	size = udpcr_record_size(target.sk);
	for (;;) {
		msg = new_answer(info, UDPCR_CMD_SOCKET,
				 min_t(size_t, size, UDPCR_RECORD_MAX));
		error = -ENOMEM;
		if (!msg)
			break;
		error = udpcr_record_put(msg, target.sk, target.file,
					 reader_of(request), true,
					 udpcr_held_count(target.sk));
		if (!error)
			break;
		nlmsg_free(msg);
		if (error != -EMSGSIZE)
			break;
		if (size >= UDPCR_RECORD_MAX) {
			udpcr_say(info->extack, "the record has more than %u bytes",
				  UDPCR_RECORD_MAX);
			break;
		}
		size *= 2;
	}
	udpcr_target_put(&target);
	return error ?: send_answer(msg, info);
}

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

static int socket_start(struct netlink_callback *cb)
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
		error = head ? udpcr_record_put(skb, sk, file, reader_of(cb->skb),
						memberships,
						udpcr_held_count(sk)) :
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

static int socket_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
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

static int socket_done(struct netlink_callback *cb)
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

static int queue_start(struct netlink_callback *cb)
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
		copy = udpcr_held_copy(caller_of(cb->skb),
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

static int queue_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
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

static int queue_done(struct netlink_callback *cb)
{
	udpcr_queue_free(DUMP_OF(cb, struct udpcr_queue_copy));
	return 0;
}

static int datagram_doit(struct sk_buff *request, struct genl_info *info)
{
	int error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack);

	return error ?: udpcr_held_add(caller_of(request),
				       nla_get_u32(info->attrs[UDPCR_A_HANDLE]),
				       info->attrs, info->extack);
}

static int take_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_held_size size = {};
	struct udpcr_target target;
	struct sk_buff *msg;
	u32 handle;
	int error;

	error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack);
	if (error)
		return error;
	handle = nla_get_u32(info->attrs[UDPCR_A_HANDLE]);
	/* Before anything is taken: no answer would hide what happened. */
	msg = new_answer(info, UDPCR_CMD_TAKE, 3 * nla_total_size(sizeof(u32)));
	if (!msg)
		return -ENOMEM;
	error = udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		goto free;
	error = udpcr_queues_usable(target.sk, info->extack) ?:
		udpcr_held_take(caller_of(request), handle, target.sk, &size,
				info->extack);
	udpcr_target_put(&target);
	if (error)
		goto free;
	if (nla_put_u32(msg, UDPCR_A_HANDLE, handle) ||
	    nla_put_u32(msg, UDPCR_A_QUEUE_COUNT, size.count) ||
	    nla_put_u32(msg, UDPCR_A_RMEM, size.bytes))
		WARN_ON_ONCE(1);
	return send_answer(msg, info);
free:
	nlmsg_free(msg);
	return error;
}

static int stage_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_target target;
	int error;

	error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack) ?:
		udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		return error;
	error = udpcr_queues_usable(target.sk, info->extack) ?:
		udpcr_held_stage(caller_of(request),
				 nla_get_u32(info->attrs[UDPCR_A_HANDLE]),
				 target.sk, info->extack);
	udpcr_target_put(&target);
	return error;
}

static int put_doit(struct sk_buff *request, struct genl_info *info)
{
	int error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack) ?:
		    NEED(info->attrs, UDPCR_A_POSITION, info->extack);

	return error ?: udpcr_held_put(caller_of(request),
				       nla_get_u32(info->attrs[UDPCR_A_HANDLE]),
				       nla_get_u32(info->attrs[UDPCR_A_POSITION]),
				       info->extack);
}

static int drop_doit(struct sk_buff *request, struct genl_info *info)
{
	int error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack);

	return error ?: udpcr_held_drop(caller_of(request),
					nla_get_u32(info->attrs[UDPCR_A_HANDLE]),
					info->extack);
}

static int open_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_target target;
	struct sk_buff *msg;
	int error, fd;

	msg = new_answer(info, UDPCR_CMD_OPEN, nla_total_size(sizeof(u32)) +
					       nla_total_size(sizeof(u64)));
	if (!msg)
		return -ENOMEM;
	error = udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		goto free;
	fd = udpcr_receive_fd(target.file, O_CLOEXEC);
	udpcr_target_put(&target);
	if (fd < 0) {
		udpcr_say(info->extack, "no fd for the socket: error %d", fd);
		error = fd;
		goto free;
	}
	if (nla_put_u32(msg, UDPCR_A_FD, fd) ||
	    nla_put(msg, UDPCR_A_INO, sizeof(u64),
		    nla_data(info->attrs[UDPCR_A_INO])))
		WARN_ON_ONCE(1);
	error = send_answer(msg, info);
	if (error)
		close_fd(fd);
	return error;
free:
	nlmsg_free(msg);
	return error;
}

static int set_doit(struct sk_buff *request, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct udpcr_target target;
	int error;

	if (!attrs[UDPCR_A_DROPS] && !attrs[UDPCR_A_ERROR]) {
		udpcr_say(info->extack,
			  "nothing to set: UDPCR_A_DROPS or UDPCR_A_ERROR is missing");
		return -EINVAL;
	}
	error = udpcr_target_get(&target, request, attrs, info->extack);
	if (error)
		return error;
	if (attrs[UDPCR_A_DROPS])
		udpcr_set_drops(target.sk, nla_get_u32(attrs[UDPCR_A_DROPS]));
	if (attrs[UDPCR_A_ERROR]) {
		WRITE_ONCE(target.sk->sk_err, nla_get_u32(attrs[UDPCR_A_ERROR]));
		if (nla_get_u32(attrs[UDPCR_A_ERROR]))
			sk_error_report(target.sk);
	}
	udpcr_target_put(&target);
	return 0;
}

#define UDPCR_OP(command, attributes)	\
	.cmd = (command),		\
	.policy = (attributes),		\
	.maxattr = UDPCR_A_MAX

static const struct genl_ops udpcr_ops[] = {
	{
		UDPCR_OP(UDPCR_CMD_SOCKET, socket_policy),
		.doit = socket_doit,
		.start = socket_start,
		.dumpit = socket_dumpit,
		.done = socket_done,
	}, {
		UDPCR_OP(UDPCR_CMD_DATAGRAM, datagram_policy),
		.doit = datagram_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_QUEUE, queue_policy),
		.start = queue_start,
		.dumpit = queue_dumpit,
		.done = queue_done,
	}, {
		UDPCR_OP(UDPCR_CMD_TAKE, begin_policy),
		.doit = take_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_STAGE, begin_policy),
		.doit = stage_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_PUT, put_policy),
		.doit = put_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_DROP, drop_policy),
		.doit = drop_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_OPEN, socket_policy),
		.doit = open_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_SET, set_policy),
		.doit = set_doit,
	},
};

/* No flags: who may do what depends on the socket (lookup.c, check_rights). */
static struct genl_family udpcr_family __ro_after_init = {
	.name = UDPCR_GENL_NAME,
	.version = UDPCR_GENL_VERSION,
	.maxattr = UDPCR_A_MAX,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = udpcr_ops,
	.n_ops = ARRAY_SIZE(udpcr_ops),
	.resv_start_op = UDPCR_CMD_SOCKET,
};

#ifdef UDPCR_OWN_SENTENCES
char *udpcr_sentence_slot(void)
{
	static char slots[256][UDPCR_SENTENCE];
	static atomic_t next;

	return slots[(unsigned int)atomic_inc_return(&next) % 256];
}
#endif

int udpcr_netlink_init(void)
{
	return genl_register_family(&udpcr_family);
}

void udpcr_netlink_exit(void)
{
	genl_unregister_family(&udpcr_family);
}
