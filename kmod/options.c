// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of a socket, each with the very value that getsockopt(2) gives,
 * and these, which it does not give:
 *
 *   IP_MULTICAST_IF      struct ip_mreqn, its index included; getsockopt(2)
 *                        gives the address only
 *   IPV6_PKTINFO         struct in6_pktinfo, when one is sticky
 *   IPV6_MTU             as it was set, when it was; getsockopt(2) gives the
 *                        path's
 *   SO_BUSY_POLL_BUDGET  when it was set
 *   SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF  classic programs (filter.c)
 *
 * Left to getsockopt(2) or to nobody:
 *
 *   SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF  these programs have fds, not values
 *   SO_BINDTODEVICE      is UDPCR_A_DEVICE
 *   SO_ERROR, SO_COOKIE, SO_MEMINFO  are attributes of the record
 *   IP_MTU, IPV6_MTU of a path, IPV6_PATHMTU, SO_INCOMING_NAPI_ID  state of the
 *                        network, not of the program
 *   IP_HDRINCL, IP_NODEFRAG, IP_ROUTER_ALERT, IPV6_ROUTER_ALERT,
 *   IPV6_ROUTER_ALERT_ISOLATE, IPV6_CHECKSUM  of raw sockets
 *   IPV6_FLOWLABEL_MGR   the labels leased; their list has moved from one
 *                        structure to another within stable kernels
 *   IP_IPSEC_POLICY, IP_XFRM_POLICY, IPV6_ of both  no getsockopt(2) either
 *   SO_PEERCRED, SO_TYPE, SO_PROTOCOL and others  cannot be set on UDP sockets
 */
#include <linux/net_tstamp.h>
#include <linux/socket.h>
#include <linux/time_types.h>
#include <net/ip6_route.h>
#include <net/netlink.h>

#include "compat.h"
#include "ip_options.h"
#include "options.h"
#include <udpcr/udpcr_netlink.h>

/**
 * udpcr_option_put - put one option into a message
 * @msg: where to
 * @level: as in setsockopt(2)
 * @name: as in setsockopt(2)
 * @value: as in setsockopt(2)
 * @size: its bytes
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_option_put(struct sk_buff *msg, int level, int name,
		     const void *value, int size)
{
	struct nlattr *nest = nla_nest_start(msg, UDPCR_A_OPTION);

	if (!nest || nla_put_u32(msg, UDPCR_OPT_LEVEL, level) ||
	    nla_put_u32(msg, UDPCR_OPT_NAME, name) ||
	    nla_put(msg, UDPCR_OPT_VALUE, size, value))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_numbers(struct sk_buff *msg, int level,
		       const struct udpcr_number *numbers, int count)
{
	int err = 0;

	for (; count && !err; count--, numbers++)
		err = udpcr_option_put(msg, level, numbers->name, &numbers->value,
				       sizeof(numbers->value));
	return err;
}

static int put_timeout(struct sk_buff *msg, int name, long jiffies_left)
{
	struct __kernel_old_timeval value = {};

	if (jiffies_left != MAX_SCHEDULE_TIMEOUT) {
		value.tv_sec = jiffies_left / HZ;
		value.tv_usec = jiffies_left % HZ * USEC_PER_SEC / HZ;
	}
	return udpcr_option_put(msg, SOL_SOCKET, name, &value, sizeof(value));
}

static int put_timestamping(struct sk_buff *msg, const struct sock *sk)
{
	struct so_timestamping none = {}, value = {
		.flags = READ_ONCE(sk->sk_tsflags),
		.bind_phc = READ_ONCE(sk->sk_bind_phc),
	};
	const bool new = sock_flag(sk, SOCK_TSTAMP_NEW);

	return udpcr_option_put(msg, SOL_SOCKET, SO_TIMESTAMPING_OLD, &value,
				sizeof(value)) ?:
		udpcr_option_put(msg, SOL_SOCKET, SO_TIMESTAMPING_NEW,
				 new ? &value : &none, sizeof(value));
}

static int put_socket_structs(struct sk_buff *msg, const struct sock *sk)
{
	const unsigned long rate = READ_ONCE(sk->sk_max_pacing_rate);
	const struct linger linger = {
		.l_onoff = sock_flag(sk, SOCK_LINGER),
		.l_linger = READ_ONCE(sk->sk_lingertime) / HZ,
	};
	const struct sock_txtime txtime = {
		.clockid = sk->sk_clockid,
		.flags = (sk->sk_txtime_deadline_mode ?
			  SOF_TXTIME_DEADLINE_MODE : 0) |
			 (sk->sk_txtime_report_errors ?
			  SOF_TXTIME_REPORT_ERRORS : 0),
	};

	return udpcr_option_put(msg, SOL_SOCKET, SO_LINGER, &linger,
				sizeof(linger)) ?:
		udpcr_option_put(msg, SOL_SOCKET, SO_MAX_PACING_RATE, &rate,
				 sizeof(rate)) ?:
		udpcr_option_put(msg, SOL_SOCKET, SO_TXTIME, &txtime,
				 sizeof(txtime)) ?:
		put_timeout(msg, SO_RCVTIMEO_OLD, READ_ONCE(sk->sk_rcvtimeo)) ?:
		put_timeout(msg, SO_SNDTIMEO_OLD, READ_ONCE(sk->sk_sndtimeo)) ?:
		put_timestamping(msg, sk);
}

#ifdef CONFIG_NET_RX_BUSY_POLL
static int put_busy_poll(struct sk_buff *msg, const struct sock *sk)
{
	const struct udpcr_number numbers[] = {
		{ SO_BUSY_POLL, READ_ONCE(sk->sk_ll_usec) },
		{ SO_PREFER_BUSY_POLL, READ_ONCE(sk->sk_prefer_busy_poll) },
		{ SO_BUSY_POLL_BUDGET, READ_ONCE(sk->sk_busy_poll_budget) },
	};

	return put_numbers(msg, SOL_SOCKET, numbers,
			   ARRAY_SIZE(numbers) - !numbers[2].value);
}
#else
static int put_busy_poll(struct sk_buff *msg, const struct sock *sk)
{
	return 0;
}
#endif

static int put_socket(struct sk_buff *msg, struct sock *sk)
{
	const bool stamp = sock_flag(sk, SOCK_RCVTSTAMP);
	const bool nano = sock_flag(sk, SOCK_RCVTSTAMPNS);
	const bool new = sock_flag(sk, SOCK_TSTAMP_NEW);
	const struct udpcr_number numbers[] = {
		{ SO_REUSEADDR, sk->sk_reuse },
		{ SO_REUSEPORT, sk->sk_reuseport },
		{ SO_BROADCAST, sock_flag(sk, SOCK_BROADCAST) },
		{ SO_RCVBUF, READ_ONCE(sk->sk_rcvbuf) },
		{ SO_SNDBUF, READ_ONCE(sk->sk_sndbuf) },
		{ SO_BUF_LOCK, sk->sk_userlocks & SOCK_BUF_LOCK_MASK },
		{ SO_RCVLOWAT, READ_ONCE(sk->sk_rcvlowat) },
		{ SO_DEBUG, sock_flag(sk, SOCK_DBG) },
		{ SO_DONTROUTE, sock_flag(sk, SOCK_LOCALROUTE) },
		{ SO_KEEPALIVE, sock_flag(sk, SOCK_KEEPOPEN) },
		{ SO_OOBINLINE, sock_flag(sk, SOCK_URGINLINE) },
		{ SO_NO_CHECK, sk->sk_no_check_tx },
		/* As sk_getsockopt() has them, uneven as they are. */
		{ SO_TIMESTAMP_OLD, stamp && !new && !nano },
		{ SO_TIMESTAMPNS_OLD, nano && !new },
		{ SO_TIMESTAMP_NEW, stamp && new },
		{ SO_TIMESTAMPNS_NEW, nano && new },
		{ SO_RXQ_OVFL, sock_flag(sk, SOCK_RXQ_OVFL) },
		{ SO_WIFI_STATUS, sock_flag(sk, SOCK_WIFI_STATUS) },
		{ SO_NOFCS, sock_flag(sk, SOCK_NOFCS) },
		{ SO_LOCK_FILTER, sock_flag(sk, SOCK_FILTER_LOCKED) },
		{ SO_SELECT_ERR_QUEUE, sock_flag(sk, SOCK_SELECT_ERR_QUEUE) },
		{ SO_INCOMING_CPU, READ_ONCE(sk->sk_incoming_cpu) },
		{ SO_ZEROCOPY, sock_flag(sk, SOCK_ZEROCOPY) },
		{ SO_RESERVE_MEM, READ_ONCE(sk->sk_reserved_mem) },
		{ SO_RCVMARK, sock_flag(sk, SOCK_RCVMARK) },
		{ SO_MARK, READ_ONCE(sk->sk_mark) },
		{ SO_PRIORITY, READ_ONCE(sk->sk_priority) },
		{ SO_PEEK_OFF, READ_ONCE(sk->sk_peek_off) },
	};
	struct udpcr_number more[UDPCR_MAX_VERSION_NUMBERS];
	const int count = udpcr_version_numbers(sk, more);

	return put_numbers(msg, SOL_SOCKET, numbers, ARRAY_SIZE(numbers)) ?:
		put_numbers(msg, SOL_SOCKET, more, count) ?:
		put_busy_poll(msg, sk) ?:
		put_socket_structs(msg, sk);
}

static int put_ip_options(struct sk_buff *msg, const struct sock *sk)
{
	const struct ip_options_rcu *set;
	u8 data[MAX_IPOPTLEN];
	int size = 0;

	rcu_read_lock();
	set = rcu_dereference(inet_sk(sk)->inet_opt);
	if (set)
		size = udpcr_ip_options_undo(data, &set->opt);
	rcu_read_unlock();
	return udpcr_option_put(msg, SOL_IP, IP_OPTIONS, data, size);
}

static int put_ipv4(struct sk_buff *msg, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);
	const int ttl = READ_ONCE(inet->uc_ttl);
	const struct ip_mreqn multicast_if = {
		.imr_address.s_addr = READ_ONCE(inet->mc_addr),
		.imr_ifindex = READ_ONCE(inet->mc_index),
	};
	const struct udpcr_number numbers[] = {
		{ IP_TOS, READ_ONCE(inet->tos) },
		{ IP_TTL, ttl >= 0 ? ttl :
		  READ_ONCE(sock_net(sk)->ipv4.sysctl_ip_default_ttl) },
		{ IP_MTU_DISCOVER, READ_ONCE(inet->pmtudisc) },
		{ IP_RECVERR, inet_test_bit(RECVERR, sk) },
		{ IP_RECVERR_RFC4884, inet_test_bit(RECVERR_RFC4884, sk) },
		{ IP_PKTINFO, inet_test_bit(PKTINFO, sk) },
		{ IP_RECVTTL, inet_test_bit(TTL, sk) },
		{ IP_RECVTOS, inet_test_bit(TOS, sk) },
		{ IP_RECVOPTS, inet_test_bit(RECVOPTS, sk) },
		{ IP_RETOPTS, inet_test_bit(RETOPTS, sk) },
		{ IP_PASSSEC, inet_test_bit(PASSSEC, sk) },
		{ IP_RECVORIGDSTADDR, inet_test_bit(ORIGDSTADDR, sk) },
		{ IP_CHECKSUM, inet_test_bit(CHECKSUM, sk) },
		{ IP_RECVFRAGSIZE, inet_test_bit(RECVFRAGSIZE, sk) },
		{ IP_FREEBIND, inet_test_bit(FREEBIND, sk) },
		{ IP_TRANSPARENT, inet_test_bit(TRANSPARENT, sk) },
		{ IP_BIND_ADDRESS_NO_PORT,
		  inet_test_bit(BIND_ADDRESS_NO_PORT, sk) },
		{ IP_MINTTL, READ_ONCE(inet->min_ttl) },
		{ IP_UNICAST_IF,
		  (__force int)htonl((u32)READ_ONCE(inet->uc_index)) },
		{ IP_MULTICAST_TTL, READ_ONCE(inet->mc_ttl) },
		{ IP_MULTICAST_LOOP, inet_test_bit(MC_LOOP, sk) },
		{ IP_MULTICAST_ALL, inet_test_bit(MC_ALL, sk) },
		{ IP_LOCAL_PORT_RANGE, udpcr_local_port_range(inet) },
	};

	return put_numbers(msg, SOL_IP, numbers, ARRAY_SIZE(numbers)) ?:
		udpcr_option_put(msg, SOL_IP, IP_MULTICAST_IF, &multicast_if,
				 sizeof(multicast_if)) ?:
		put_ip_options(msg, sk);
}

/* A hop limit that was set, or else that of the route or of the machine. */
static int hop_limit(struct sock *sk, int limit)
{
	struct dst_entry *dst;

	if (limit < 0) {
		rcu_read_lock();
		dst = __sk_dst_get(sk);
		if (dst)
			limit = ip6_dst_hoplimit(dst);
		rcu_read_unlock();
	}
	return limit < 0 ?
		READ_ONCE(sock_net(sk)->ipv6.devconf_all->hop_limit) : limit;
}

static int addr_preferences(const struct ipv6_pinfo *np)
{
	const int set = np->srcprefs;
	int value = set & IPV6_PREFER_SRC_COA ?
		IPV6_PREFER_SRC_COA : IPV6_PREFER_SRC_HOME;

	if (set & IPV6_PREFER_SRC_TMP)
		value |= IPV6_PREFER_SRC_TMP;
	else if (set & IPV6_PREFER_SRC_PUBLIC)
		value |= IPV6_PREFER_SRC_PUBLIC;
	else
		value |= IPV6_PREFER_SRC_PUBTMP_DEFAULT;
	return value;
}

static int put_extension(struct sk_buff *msg, int name,
			 const struct ipv6_opt_hdr *header)
{
	return udpcr_option_put(msg, SOL_IPV6, name, header,
				header ? ipv6_optlen(header) : 0);
}

static int put_ipv6_structs(struct sk_buff *msg, const struct sock *sk)
{
	static const struct ipv6_txoptions nothing;
	const struct ipv6_pinfo *np = inet6_sk(sk);
	const struct in6_pktinfo *sticky = &np->sticky_pktinfo;
	struct ipv6_txoptions *set = txopt_get(np);
	const struct ipv6_txoptions *opt = set ?: &nothing;
	int err;

	err = put_extension(msg, IPV6_HOPOPTS, opt->hopopt) ?:
		put_extension(msg, IPV6_RTHDRDSTOPTS, opt->dst0opt) ?:
		put_extension(msg, IPV6_RTHDR,
			      (const struct ipv6_opt_hdr *)opt->srcrt) ?:
		put_extension(msg, IPV6_DSTOPTS, opt->dst1opt);
	txopt_put(set);
	if (!err && (sticky->ipi6_ifindex || !ipv6_addr_any(&sticky->ipi6_addr)))
		err = udpcr_option_put(msg, SOL_IPV6, IPV6_PKTINFO, sticky,
				       sizeof(*sticky));
	return err;
}

static int put_ipv6(struct sk_buff *msg, struct sock *sk)
{
	const struct ipv6_pinfo *np = inet6_sk(sk);
	const struct udpcr_number numbers[] = {
		{ IPV6_V6ONLY, sk->sk_ipv6only },
		{ IPV6_UNICAST_HOPS, hop_limit(sk, np->hop_limit) },
		{ IPV6_TCLASS, np->tclass },
		{ IPV6_MTU_DISCOVER, np->pmtudisc },
		{ IPV6_RECVERR, inet6_test_bit(RECVERR6, sk) },
		{ IPV6_RECVERR_RFC4884, inet6_test_bit(RECVERR6_RFC4884, sk) },
		{ IPV6_RECVPKTINFO, np->rxopt.bits.rxinfo },
		{ IPV6_2292PKTINFO, np->rxopt.bits.rxoinfo },
		{ IPV6_RECVHOPLIMIT, np->rxopt.bits.rxhlim },
		{ IPV6_2292HOPLIMIT, np->rxopt.bits.rxohlim },
		{ IPV6_RECVTCLASS, np->rxopt.bits.rxtclass },
		{ IPV6_RECVRTHDR, np->rxopt.bits.srcrt },
		{ IPV6_2292RTHDR, np->rxopt.bits.osrcrt },
		{ IPV6_RECVHOPOPTS, np->rxopt.bits.hopopts },
		{ IPV6_2292HOPOPTS, np->rxopt.bits.ohopopts },
		{ IPV6_RECVDSTOPTS, np->rxopt.bits.dstopts },
		{ IPV6_2292DSTOPTS, np->rxopt.bits.odstopts },
		{ IPV6_FLOWINFO, np->rxopt.bits.rxflow },
		{ IPV6_FLOWINFO_SEND, inet6_test_bit(SNDFLOW, sk) },
		{ IPV6_RECVPATHMTU, np->rxopt.bits.rxpmtu },
		{ IPV6_RECVORIGDSTADDR, np->rxopt.bits.rxorigdstaddr },
		{ IPV6_RECVFRAGSIZE, np->rxopt.bits.recvfragsize },
		{ IPV6_DONTFRAG, inet6_test_bit(DONTFRAG, sk) },
		{ IPV6_AUTOFLOWLABEL, inet6_test_bit(AUTOFLOWLABEL_SET, sk) ?
		  inet6_test_bit(AUTOFLOWLABEL, sk) :
		  ip6_default_np_autolabel(sock_net(sk)) },
		{ IPV6_FREEBIND, inet_test_bit(FREEBIND, sk) },
		{ IPV6_TRANSPARENT, inet_test_bit(TRANSPARENT, sk) },
		{ IPV6_MINHOPCOUNT, np->min_hopcount },
		{ IPV6_ADDR_PREFERENCES, addr_preferences(np) },
		{ IPV6_UNICAST_IF, (__force int)htonl((u32)np->ucast_oif) },
		{ IPV6_MULTICAST_IF, np->mcast_oif },
		{ IPV6_MULTICAST_HOPS, hop_limit(sk, np->mcast_hops) },
		{ IPV6_MULTICAST_LOOP, inet6_test_bit(MC6_LOOP, sk) },
		{ IPV6_MULTICAST_ALL, inet6_test_bit(MC6_ALL, sk) },
		/* The last one, for it is left out when it is 0. */
		{ IPV6_MTU, np->frag_size },
	};

	return put_numbers(msg, SOL_IPV6, numbers,
			   ARRAY_SIZE(numbers) - !np->frag_size) ?:
		put_ipv6_structs(msg, sk);
}

static int put_udp(struct sk_buff *msg, const struct sock *sk)
{
	const struct udp_sock *up = udp_sk(sk);
	const struct udpcr_number numbers[] = {
		{ UDP_CORK, udp_test_bit(CORK, sk) },
		{ UDP_ENCAP, READ_ONCE(up->encap_type) },
		{ UDP_NO_CHECK6_TX, udp_get_no_check6_tx(sk) },
		{ UDP_NO_CHECK6_RX, udp_get_no_check6_rx(sk) },
		{ UDP_SEGMENT, READ_ONCE(up->gso_size) },
		{ UDP_GRO, udp_test_bit(GRO_ENABLED, sk) },
	};
	struct udpcr_number coverage[2];
	const int count = udpcr_udplite_numbers(sk, coverage);

	return put_numbers(msg, SOL_UDP, numbers, ARRAY_SIZE(numbers)) ?:
		put_numbers(msg, SOL_UDP, coverage, count);
}

/**
 * udpcr_options_put - put a socket's options into a message
 * @msg: where to
 * @sk: the socket, under lock_sock()
 *
 * One attribute UDPCR_A_OPTION each. Newer kernels set some of them without
 * the lock; each is a word of its own and read once.
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_options_put(struct sk_buff *msg, struct sock *sk)
{
	int err = put_socket(msg, sk) ?: put_ipv4(msg, sk);

	if (!err && sk->sk_family == AF_INET6)
		err = put_ipv6(msg, sk);
	return err ?: put_udp(msg, sk);
}
