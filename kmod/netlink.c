// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "dump.h"
#include "error.h"
#include "held.h"
#include "list.h"
#include "lookup.h"
#include "netlink.h"
#include "park.h"
#include "parked.h"
#include "record.h"
#include "set.h"

/* The largest record of one socket. */
#define UDPCR_RECORD_MAX SZ_1M

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

static const struct nla_policy take_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
};

static const struct nla_policy stage_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_HANDLE] = { .type = NLA_U32 },
	[UDPCR_A_QUEUE] = NLA_POLICY_MAX(NLA_U32, UDPCR_QUEUE_MAX),
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
	[UDPCR_A_ERRMSG] = NLA_POLICY_NESTED(udpcr_errmsg_policy),
	[UDPCR_A_IP_OPTIONS] = { .type = NLA_BINARY,
				 .len = UDPCR_MAX_IP_OPTIONS },
	[UDPCR_A_NEXT_HEADER] = { .type = NLA_U8 },
	[UDPCR_A_FLOW_LABEL] = { .type = NLA_U32 },
	[UDPCR_A_PEEKED] = { .type = NLA_FLAG },
	[UDPCR_A_PRIORITY] = { .type = NLA_U32 },
	[UDPCR_A_FRAG_SIZE] = { .type = NLA_U16 },
	[UDPCR_A_PAYLOAD] = { .type = NLA_BINARY, .len = UDPCR_MAX_PAYLOAD },
};

static const struct nla_policy set_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_DROPS] = { .type = NLA_U32 },
	[UDPCR_A_ERROR] = { .type = NLA_U32 },
	[UDPCR_A_TSKEY] = { .type = NLA_U32 },
	[UDPCR_A_SOCK_FLAGS] = NLA_POLICY_MASK(NLA_U32, UDPCR_SOCK_BOUND_ADDR |
							UDPCR_SOCK_BOUND_PORT),
};

static const struct nla_policy park_policy[UDPCR_A_MAX + 1] = {
	UDPCR_TARGET,
	[UDPCR_A_KEY] = { .type = NLA_BINARY, .len = UDPCR_MAX_KEY },
	[UDPCR_A_SECONDS] = { .type = NLA_U32 },
};

static const struct nla_policy claim_policy[UDPCR_A_MAX + 1] = {
	[UDPCR_A_INO] = { .type = NLA_U64 },
	[UDPCR_A_COOKIE] = { .type = NLA_U64 },
	[UDPCR_A_KEY] = { .type = NLA_BINARY, .len = UDPCR_MAX_KEY },
};

static const struct nla_policy unpark_policy[UDPCR_A_MAX + 1] = {
	[UDPCR_A_INO] = { .type = NLA_U64 },
	[UDPCR_A_COOKIE] = { .type = NLA_U64 },
};

static const struct nla_policy parked_policy[UDPCR_A_MAX + 1] = {
	[UDPCR_A_ALL_NETNS] = { .type = NLA_FLAG },
};

static int need(struct nlattr **attrs, int type, const char *name,
		struct netlink_ext_ack *extack)
{
	if (attrs[type])
		return 0;
	udpcr_say(extack, "%s is missing", name);
	return -EINVAL;
}

#define NEED(attrs, type, extack) need(attrs, type, #type, extack)

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
					 udpcr_reader_of(request), true,
					 udpcr_list_count(target.sk), NULL);
		if (!error)
			break;
		nlmsg_free(msg);
		if (error != -EMSGSIZE)
			break;
		if (size >= UDPCR_RECORD_MAX) {
			udpcr_say(info->extack,
				  "the memberships of socket %llu do not fit into a message",
				  nla_get_u64(info->attrs[UDPCR_A_INO]));
			break;
		}
		size *= 2;
	}
	udpcr_target_put(&target);
	return error ?: send_answer(msg, info);
}

static int datagram_doit(struct sk_buff *request, struct genl_info *info)
{
	int error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack);

	return error ?: udpcr_held_add(udpcr_caller_of(request),
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
		udpcr_held_take(udpcr_caller_of(request), handle, target.sk, &size,
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
	u32 queue = info->attrs[UDPCR_A_QUEUE] ?
		    nla_get_u32(info->attrs[UDPCR_A_QUEUE]) :
		    UDPCR_QUEUE_RECEIVE;
	struct udpcr_target target;
	int error;

	if (queue == UDPCR_QUEUE_SEND) {
		udpcr_say(info->extack,
			  "UDPCR_A_QUEUE %u: nothing is staged for it; send with MSG_MORE",
			  queue);
		return -EINVAL;
	}
	error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack) ?:
		udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		return error;
	error = udpcr_queues_usable(target.sk, info->extack) ?:
		udpcr_held_stage(udpcr_caller_of(request),
				 nla_get_u32(info->attrs[UDPCR_A_HANDLE]),
				 target.sk, queue, info->extack);
	udpcr_target_put(&target);
	return error;
}

static int put_doit(struct sk_buff *request, struct genl_info *info)
{
	int error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack) ?:
		    NEED(info->attrs, UDPCR_A_POSITION, info->extack);

	return error ?: udpcr_held_put(udpcr_caller_of(request),
				       nla_get_u32(info->attrs[UDPCR_A_HANDLE]),
				       nla_get_u32(info->attrs[UDPCR_A_POSITION]),
				       info->extack);
}

static int drop_doit(struct sk_buff *request, struct genl_info *info)
{
	int error = NEED(info->attrs, UDPCR_A_HANDLE, info->extack);

	return error ?: udpcr_held_drop(udpcr_caller_of(request),
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
	struct udpcr_target target;
	int error;

	error = udpcr_set_check(info->attrs, info->extack) ?:
		udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		return error;
	error = udpcr_set(target.sk, info->attrs, info->extack);
	udpcr_target_put(&target);
	return error;
}

static int park_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_target target;
	int error;

	error = NEED(info->attrs, UDPCR_A_FD, info->extack) ?:
		udpcr_target_get(&target, request, info->attrs, info->extack);
	if (error)
		return error;
	error = udpcr_park(request, &target, info->attrs, info->extack);
	udpcr_target_put(&target);
	return error;
}

static int put_claimed(struct sk_buff *msg, const struct udpcr_parked *parked,
		       int fd)
{
	u64 cookie = atomic64_read(&parked->sk->sk_cookie);

	return nla_put_u32(msg, UDPCR_A_FD, fd) ?:
	       nla_put_u64_64bit(msg, UDPCR_A_INO, parked->ino, UDPCR_A_PAD) ?:
	       (cookie ? nla_put_u64_64bit(msg, UDPCR_A_COOKIE, cookie,
					   UDPCR_A_PAD) : 0);
}

static int claim_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_parked *parked;
	struct sk_buff *msg;
	int error, fd;

	error = NEED(info->attrs, UDPCR_A_INO, info->extack);
	if (error)
		return error;
	msg = new_answer(info, UDPCR_CMD_CLAIM,
			 nla_total_size(sizeof(u32)) +
			 2 * nla_total_size_64bit(sizeof(u64)));
	if (!msg)
		return -ENOMEM;
	parked = udpcr_park_take(request, info->attrs, true, info->extack);
	if (IS_ERR(parked)) {
		nlmsg_free(msg);
		return PTR_ERR(parked);
	}
	fd = udpcr_receive_fd(parked->file, O_CLOEXEC);
	if (fd < 0) {
		udpcr_say(info->extack, "no fd for the socket: error %d", fd);
		nlmsg_free(msg);
		udpcr_park_return(parked);
		return fd;
	}
	if (put_claimed(msg, parked, fd))
		WARN_ON_ONCE(1);
	error = send_answer(msg, info);
	if (error) {
		close_fd(fd);
		udpcr_park_return(parked);
	} else {
		udpcr_parked_end(parked);
	}
	return error;
}

static int unpark_doit(struct sk_buff *request, struct genl_info *info)
{
	struct udpcr_parked *parked;
	int error;

	error = NEED(info->attrs, UDPCR_A_INO, info->extack);
	if (error)
		return error;
	parked = udpcr_park_take(request, info->attrs, false, info->extack);
	if (IS_ERR(parked))
		return PTR_ERR(parked);
	udpcr_parked_end(parked);
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
		.start = udpcr_socket_start,
		.dumpit = udpcr_socket_dumpit,
		.done = udpcr_socket_done,
	}, {
		UDPCR_OP(UDPCR_CMD_DATAGRAM, datagram_policy),
		.doit = datagram_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_QUEUE, queue_policy),
		.start = udpcr_queue_start,
		.dumpit = udpcr_queue_dumpit,
		.done = udpcr_queue_done,
	}, {
		UDPCR_OP(UDPCR_CMD_TAKE, take_policy),
		.doit = take_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_STAGE, stage_policy),
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
	}, {
		UDPCR_OP(UDPCR_CMD_PARK, park_policy),
		.doit = park_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_CLAIM, claim_policy),
		.doit = claim_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_UNPARK, unpark_policy),
		.doit = unpark_doit,
	}, {
		UDPCR_OP(UDPCR_CMD_PARKED, parked_policy),
		.start = udpcr_parked_start,
		.dumpit = udpcr_parked_dumpit,
		.done = udpcr_parked_done,
	},
};

/* No flags: who may do what depends on the socket (lookup.c, check_rights). */
struct genl_family udpcr_family __ro_after_init = {
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
