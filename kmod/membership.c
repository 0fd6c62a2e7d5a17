// SPDX-License-Identifier: GPL-2.0-only
/*
 * The multicast and anycast memberships of a socket.
 *
 * The lists are changed under lock_sock(), except when the socket is closed:
 * then the one for IPv4 is emptied under the RTNL only, its entries freed
 * after a grace period (net/ipv4/igmp.c, ip_mc_drop_socket), and the one for
 * anycast under the RTNL or nothing at all, its entries freed at once
 * (net/ipv6/anycast.c, __ipv6_sock_ac_close). Hence lock_sock() and RCU, and
 * anycast only as long as an open file keeps the socket from being closed.
 *
 * Each list begins with what was joined last, so its attributes are turned
 * round afterwards.
 */
#include <linux/igmp.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <net/if_inet6.h>
#include <net/netlink.h>

#include "compat.h"
#include "membership.h"
#include <udpcr/udpcr_netlink.h>

struct member {
	const void *group;
	const void *sources;
	size_t source_count;
	int addr_len;	/* bytes of an address */
	int ifindex;
	unsigned int mode;
};

/* An attribute UDPCR_A_MEMBERSHIP without sources. */
#define MEMBER_SIZE (nla_total_size(0) +				\
		     nla_total_size(sizeof(struct in6_addr)) +		\
		     nla_total_size(sizeof(u32)) +			\
		     nla_total_size(IFNAMSIZ) +				\
		     nla_total_size(sizeof(u32)) +			\
		     nla_total_size(0))

/**
 * udpcr_device_put - put the name of an interface into a message
 * @msg: where to
 * @attribute: its attribute
 * @net: the network namespace
 * @ifindex: the interface; nothing is put when it is gone, or 0
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_device_put(struct sk_buff *msg, int attribute, struct net *net,
		     int ifindex)
{
	struct net_device *dev;
	char name[IFNAMSIZ] = "";

	rcu_read_lock();
	dev = dev_get_by_index_rcu(net, ifindex);
	if (dev)
		strscpy(name, dev->name, sizeof(name));
	rcu_read_unlock();
	return name[0] ? nla_put_string(msg, attribute, name) : 0;
}

static int put_member(struct sk_buff *msg, struct net *net,
		      const struct member *member)
{
	size_t size = member->source_count * member->addr_len;
	struct nlattr *nest;

	/* An attribute's length has 16 bits. */
	if (MEMBER_SIZE + nla_total_size(size) > U16_MAX)
		return -EMSGSIZE;
	nest = nla_nest_start(msg, UDPCR_A_MEMBERSHIP);
	if (!nest ||
	    nla_put(msg, UDPCR_MEMBER_GROUP, member->addr_len, member->group) ||
	    nla_put_u32(msg, UDPCR_MEMBER_IFINDEX, member->ifindex) ||
	    udpcr_device_put(msg, UDPCR_MEMBER_DEVICE, net, member->ifindex) ||
	    nla_put_u32(msg, UDPCR_MEMBER_MODE, member->mode) ||
	    (size && nla_put(msg, UDPCR_MEMBER_SOURCES, size, member->sources)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_ipv4(struct sk_buff *msg, struct sock *sk)
{
	const struct ip_mc_socklist *entry;
	int err = 0;

	rcu_read_lock();
	for (entry = rcu_dereference(inet_sk(sk)->mc_list); entry && !err;
	     entry = rcu_dereference(entry->next_rcu)) {
		const struct ip_sf_socklist *sources =
			rcu_dereference(entry->sflist);

		err = put_member(msg, sock_net(sk), &(struct member) {
			.group = &entry->multi.imr_multiaddr,
			.sources = sources ? sources->sl_addr : NULL,
			.source_count = sources ? sources->sl_count : 0,
			.addr_len = sizeof(struct in_addr),
			.ifindex = entry->multi.imr_ifindex,
			.mode = entry->sfmode,
		});
	}
	rcu_read_unlock();
	return err;
}

static int put_ipv6(struct sk_buff *msg, struct sock *sk)
{
	const struct ipv6_mc_socklist *entry;
	int err = 0;

	rcu_read_lock();
	for (entry = rcu_dereference(inet6_sk(sk)->ipv6_mc_list); entry && !err;
	     entry = rcu_dereference(entry->next)) {
		const struct ip6_sf_socklist *sources =
			rcu_dereference(entry->sflist);

		err = put_member(msg, sock_net(sk), &(struct member) {
			.group = &entry->addr,
			.sources = sources ? sources->sl_addr : NULL,
			.source_count = sources ? sources->sl_count : 0,
			.addr_len = sizeof(struct in6_addr),
			.ifindex = entry->ifindex,
			.mode = entry->sfmode,
		});
	}
	rcu_read_unlock();
	return err;
}

static int put_anycast(struct sk_buff *msg, struct sock *sk)
{
	const struct ipv6_ac_socklist *entry;
	struct nlattr *nest;

	for (entry = inet6_sk(sk)->ipv6_ac_list; entry;
	     entry = entry->acl_next) {
		nest = nla_nest_start(msg, UDPCR_A_MEMBERSHIP);
		if (!nest ||
		    nla_put_in6_addr(msg, UDPCR_MEMBER_GROUP,
				     &entry->acl_addr) ||
		    nla_put_u32(msg, UDPCR_MEMBER_IFINDEX,
				entry->acl_ifindex) ||
		    udpcr_device_put(msg, UDPCR_MEMBER_DEVICE, sock_net(sk),
				     entry->acl_ifindex) ||
		    nla_put_flag(msg, UDPCR_MEMBER_ANYCAST))
			return -EMSGSIZE;
		nla_nest_end(msg, nest);
	}
	return 0;
}

/* Puts a list's memberships in the order in which they were joined. */
static int put_list(struct sk_buff *msg, struct sock *sk,
		    int (*put)(struct sk_buff *msg, struct sock *sk))
{
	const unsigned int start = msg->len;
	const struct nlattr *attribute;
	int size, left, err;
	void *copy;
	u8 *end;

	err = put(msg, sk);
	size = msg->len - start;
	if (err || !size)
		return err;
	copy = kvmalloc(size, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, msg->data + start, size);
	end = skb_tail_pointer(msg);
	nla_for_each_attr(attribute, copy, size, left) {
		end -= NLA_ALIGN(attribute->nla_len);
		memcpy(end, attribute, NLA_ALIGN(attribute->nla_len));
	}
	kvfree(copy);
	return 0;
}

/**
 * udpcr_memberships_put - put a socket's memberships into a message
 * @msg: where to
 * @sk: the socket, under lock_sock()
 * @open: the caller holds a file of the socket, so that it cannot be closed.
 *        Without one anycast memberships are left out
 *
 * One attribute UDPCR_A_MEMBERSHIP each: IPv4 (a socket for IPv6 may have some,
 * too), IPv6, anycast; each kind in the order in which they were joined.
 *
 * Return: 0, -EMSGSIZE or -ENOMEM
 */
int udpcr_memberships_put(struct sk_buff *msg, struct sock *sk, bool open)
{
	int err = put_list(msg, sk, put_ipv4);

	if (!err && sk->sk_family == AF_INET6)
		err = put_list(msg, sk, put_ipv6);
	if (!err && sk->sk_family == AF_INET6 && open)
		err = put_list(msg, sk, put_anycast);
	return err;
}

/**
 * udpcr_memberships_size - an upper bound of what udpcr_memberships_put() puts
 * @sk: the socket, not locked
 *
 * Entries and their sources are charged to sk_omem_alloc, as are the IPv6
 * extension headers of its options, which have room herein as well.
 *
 * Return: bytes
 */
size_t udpcr_memberships_size(const struct sock *sk)
{
	enum { TIMES = 3 };

	BUILD_BUG_ON(TIMES * sizeof(struct ip_mc_socklist) < MEMBER_SIZE);
	BUILD_BUG_ON(TIMES * sizeof(struct ipv6_mc_socklist) < MEMBER_SIZE);
	BUILD_BUG_ON(TIMES * sizeof(struct ipv6_ac_socklist) < MEMBER_SIZE);
	return TIMES * (size_t)atomic_read(&sk->sk_omem_alloc);
}
