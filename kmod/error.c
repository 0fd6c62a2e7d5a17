// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of the error queue: ICMP errors, local errors, times of sending.
 *
 * An ICMP error has the ICMP message's IP header as its network header, from
 * which recvmsg(2) takes the offender, and somewhere behind it the header of the
 * datagram that failed, from which it takes where that had been sent
 * (net/ipv4/ip_sockglue.c, ip_icmp_error; net/ipv6/datagram.c). What is built
 * here has both headers, one behind the other, then one of UDP, then the payload.
 */
#include <linux/errqueue.h>
#include <linux/ipv6.h>
#include <net/dsfield.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "datagram.h"
#include "error.h"
#include "possible.h"

/* The errno becomes SO_ERROR when the message before it is read
 * (net/core/skbuff.c, sock_dequeue_err_skb): possible.c looks at its value, and
 * at the others'.
 */
const struct nla_policy udpcr_errmsg_policy[UDPCR_ERRMSG_MAX + 1] = {
	[UDPCR_ERRMSG_ERRNO] = { .type = NLA_U32 },
	[UDPCR_ERRMSG_ORIGIN] = { .type = NLA_U8 },
	[UDPCR_ERRMSG_TYPE] = { .type = NLA_U8 },
	[UDPCR_ERRMSG_CODE] = { .type = NLA_U8 },
	[UDPCR_ERRMSG_INFO] = { .type = NLA_U32 },
	[UDPCR_ERRMSG_DATA] = { .type = NLA_U32 },
	[UDPCR_ERRMSG_OFFENDER] = NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
};

static bool is_icmp(u8 origin)
{
	return origin == SO_EE_ORIGIN_ICMP || origin == SO_EE_ORIGIN_ICMP6;
}

/* Whether a packet that is no ICMP error has headers of its own: recvmsg(2) then
 * tells addresses and interface (SOF_TIMESTAMPING_OPT_CMSG), and takes the ports
 * from behind its transport header (IP_ORIGDSTADDR).
 */
static bool was_sent(const struct sk_buff *skb)
{
	int offset = skb_network_offset(skb);
	int size = skb->protocol == htons(ETH_P_IPV6) ? sizeof(struct ipv6hdr) :
							sizeof(struct iphdr);

	if (!SKB_EXT_ERR(skb)->header.h4.iif)
		return false;
	/* In front of the data: one that was built here. */
	return offset + size <= (int)skb_headlen(skb) &&
	       skb_transport_header_was_set(skb) &&
	       skb_transport_offset(skb) + (int)sizeof(struct udphdr) <=
	       (int)skb_headlen(skb);
}

static bool is_in_head(const struct sk_buff *skb, const u8 *at, size_t size)
{
	return at >= skb->head && at + size <= skb_end_pointer(skb);
}

static void read_header(struct udpcr_datagram *d, const struct sk_buff *skb,
			struct in6_addr *saddr, struct in6_addr *daddr)
{
	if (d->family == AF_INET) {
		saddr->s6_addr32[0] = ip_hdr(skb)->saddr;
		daddr->s6_addr32[0] = ip_hdr(skb)->daddr;
		d->tos = ip_hdr(skb)->tos;
		d->ttl = ip_hdr(skb)->ttl;
	} else {
		*saddr = ipv6_hdr(skb)->saddr;
		*daddr = ipv6_hdr(skb)->daddr;
		d->tos = ipv6_get_dsfield(ipv6_hdr(skb));
		d->ttl = ipv6_hdr(skb)->hop_limit;
		d->flow_label = ntohl(ip6_flowlabel(ipv6_hdr(skb)));
	}
	d->has |= UDPCR_HAS_SRC | UDPCR_HAS_TOS | UDPCR_HAS_TTL;
}

/**
 * udpcr_error_read() - notes all of a message but struct sock_extended_err
 * @d: gets it, zeroed; points to @skb
 * @skb: the message
 */
void udpcr_error_read(struct udpcr_datagram *d, const struct sk_buff *skb)
{
	const struct sock_exterr_skb *error = SKB_EXT_ERR(skb);
	const u8 *address = skb_network_header(skb) + error->addr_offset;
	u8 origin = error->ee.ee_origin;
	struct in6_addr other;

	d->family = skb->protocol == htons(ETH_P_IPV6) ? AF_INET6 : AF_INET;
	d->ifindex = max(error->header.h4.iif, 0);
	if (is_icmp(origin)) {
		read_header(d, skb, &other, &d->src);
	} else if (origin != SO_EE_ORIGIN_LOCAL && was_sent(skb)) {
		read_header(d, skb, &d->src, &d->dst);
		d->has |= UDPCR_HAS_DST;
		d->sport = udp_hdr(skb)->source;
		d->dport = udp_hdr(skb)->dest;
	}
	/* As recvmsg(2) tells it (net/ipv4/ip_sockglue.c, ip_recv_error). Who
	 * reports a missed SO_TXTIME leaves there what a queueing discipline
	 * noted, which is not a place in the packet (net/sched/sch_etf.c).
	 */
	if ((is_icmp(origin) || origin == SO_EE_ORIGIN_LOCAL || error->port) &&
	    is_in_head(skb, address, d->family == AF_INET ? 4 : 16)) {
		d->has |= UDPCR_HAS_DST;
		d->dport = error->port;
		memcpy(&d->dst, address, d->family == AF_INET ? 4 : 16);
	}
	d->tstamp = ktime_to_ns(skb_get_ktime(skb));
	d->error = skb;
	d->skb = skb;
	d->len = min_t(unsigned int, skb->len, UDPCR_MAX_PAYLOAD);
}

/**
 * udpcr_error_put() - puts UDPCR_A_ERRMSG into a message
 * @msg: the message
 * @skb: what stood in the error queue
 *
 * Return: 0 or -EMSGSIZE
 */
int udpcr_error_put(struct sk_buff *msg, const struct sk_buff *skb)
{
	const struct sock_extended_err *error = &SKB_EXT_ERR(skb)->ee;
	struct nlattr *nest = nla_nest_start(msg, UDPCR_A_ERRMSG);

	if (!nest ||
	    nla_put_u32(msg, UDPCR_ERRMSG_ERRNO, error->ee_errno) ||
	    nla_put_u8(msg, UDPCR_ERRMSG_ORIGIN, error->ee_origin) ||
	    nla_put_u8(msg, UDPCR_ERRMSG_TYPE, error->ee_type) ||
	    nla_put_u8(msg, UDPCR_ERRMSG_CODE, error->ee_code) ||
	    nla_put_u32(msg, UDPCR_ERRMSG_INFO, error->ee_info) ||
	    nla_put_u32(msg, UDPCR_ERRMSG_DATA, error->ee_data))
		return -EMSGSIZE;
	if (error->ee_origin == SO_EE_ORIGIN_ICMP &&
	    nla_put(msg, UDPCR_ERRMSG_OFFENDER, 4, &ip_hdr(skb)->saddr))
		return -EMSGSIZE;
	if (error->ee_origin == SO_EE_ORIGIN_ICMP6 &&
	    nla_put(msg, UDPCR_ERRMSG_OFFENDER, 16, &ipv6_hdr(skb)->saddr))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int parse_error(struct nlattr *nest, u16 family,
		       struct sock_extended_err *error, struct in6_addr *offender,
		       struct netlink_ext_ack *extack)
{
	struct nlattr *attrs[UDPCR_ERRMSG_MAX + 1];
	int wanted, failed;

	failed = nla_parse_nested(attrs, UDPCR_ERRMSG_MAX, nest,
				  udpcr_errmsg_policy, extack);
	if (failed)
		return failed;
	if (!attrs[UDPCR_ERRMSG_ERRNO] || !attrs[UDPCR_ERRMSG_ORIGIN]) {
		udpcr_say(extack,
			  "UDPCR_ERRMSG_ERRNO or UDPCR_ERRMSG_ORIGIN is missing");
		return -EINVAL;
	}
	error->ee_errno = nla_get_u32(attrs[UDPCR_ERRMSG_ERRNO]);
	error->ee_origin = nla_get_u8(attrs[UDPCR_ERRMSG_ORIGIN]);
	if (attrs[UDPCR_ERRMSG_TYPE])
		error->ee_type = nla_get_u8(attrs[UDPCR_ERRMSG_TYPE]);
	if (attrs[UDPCR_ERRMSG_CODE])
		error->ee_code = nla_get_u8(attrs[UDPCR_ERRMSG_CODE]);
	if (attrs[UDPCR_ERRMSG_INFO])
		error->ee_info = nla_get_u32(attrs[UDPCR_ERRMSG_INFO]);
	if (attrs[UDPCR_ERRMSG_DATA])
		error->ee_data = nla_get_u32(attrs[UDPCR_ERRMSG_DATA]);
	wanted = is_icmp(error->ee_origin) ? (family == AF_INET ? 4 : 16) : 0;
	if (wanted &&
	    wanted != (error->ee_origin == SO_EE_ORIGIN_ICMP ? 4 : 16)) {
		udpcr_say(extack,
			  "UDPCR_ERRMSG_ORIGIN %u is not of IPv%d, as the addresses are",
			  error->ee_origin, wanted == 4 ? 4 : 6);
		return -EINVAL;
	}
	if ((attrs[UDPCR_ERRMSG_OFFENDER] ?
	     nla_len(attrs[UDPCR_ERRMSG_OFFENDER]) : 0) != wanted) {
		udpcr_say(extack,
			  "UDPCR_ERRMSG_OFFENDER of origin %u has %d bytes here",
			  error->ee_origin, wanted);
		return -EINVAL;
	}
	if (wanted)
		memcpy(offender, nla_data(attrs[UDPCR_ERRMSG_OFFENDER]), wanted);
	return udpcr_possible_offender(family, offender, extack);
}

/* The header that told it, and the one of the datagram it is about. */
static void write_headers(struct sk_buff *skb, const struct udpcr_datagram *d,
			  const struct in6_addr *saddr,
			  const struct in6_addr *daddr)
{
	if (d->family == AF_INET) {
		struct iphdr *ip = ip_hdr(skb);

		memset(ip, 0, 2 * sizeof(*ip));
		ip[0].version = 4;
		ip[0].ihl = sizeof(*ip) / 4;
		ip[1] = ip[0];
		ip->tos = d->tos;
		ip->ttl = d->ttl;
		ip->saddr = saddr->s6_addr32[0];
		ip->daddr = daddr->s6_addr32[0];
		ip[1].daddr = d->dst.s6_addr32[0];
		skb->protocol = htons(ETH_P_IP);
	} else {
		struct ipv6hdr *ip = ipv6_hdr(skb);

		memset(ip, 0, 2 * sizeof(*ip));
		ip6_flow_hdr(&ip[0], d->tos, htonl(d->flow_label));
		ip6_flow_hdr(&ip[1], 0, 0);
		ip->hop_limit = d->ttl;
		ip->saddr = *saddr;
		ip->daddr = *daddr;
		ip[1].daddr = d->dst;
		skb->protocol = htons(ETH_P_IPV6);
	}
}

/**
 * udpcr_error_build() - makes what an error queue is made of
 * @sk: the socket that it is for; not charged yet
 * @attrs: the attributes of a UDPCR_CMD_DATAGRAM message
 * @extack: gets a sentence on failure
 *
 * Return: the packet, its data at the payload, or an error pointer.
 */
struct sk_buff *udpcr_error_build(struct sock *sk, struct nlattr **attrs,
				  struct netlink_ext_ack *extack)
{
	struct sock_extended_err error = {};
	struct in6_addr offender = {};
	struct udpcr_datagram d = {};
	struct sock_exterr_skb *told;
	struct sk_buff *skb;
	unsigned int header, headers;
	int failed;

	if (!attrs[UDPCR_A_ERRMSG]) {
		udpcr_say(extack,
			  "UDPCR_A_ERRMSG is missing: the list is for the error queue");
		return ERR_PTR(-EINVAL);
	}
	failed = udpcr_datagram_parse(sk, attrs, &d, extack) ?:
		 parse_error(attrs[UDPCR_A_ERRMSG], d.family, &error, &offender,
			     extack) ?:
		 udpcr_possible_report(&d, &error, attrs, extack);
	if (failed)
		return ERR_PTR(failed);
	if (!attrs[UDPCR_A_DST_PORT])
		d.dport = 0;
	header = d.family == AF_INET ? sizeof(struct iphdr) :
				       sizeof(struct ipv6hdr);
	headers = 2 * header + sizeof(struct udphdr);
	skb = udpcr_datagram_alloc(&d, headers, extack);
	if (IS_ERR(skb))
		return skb;
	skb_set_transport_header(skb, 2 * header);
	*udp_hdr(skb) = (struct udphdr) {
		.source = d.sport,
		.dest = d.dport,
	};
	skb_pull(skb, headers);
	if (is_icmp(error.ee_origin)) {
		write_headers(skb, &d, &offender, &d.src);
		skb_reset_transport_header(skb);
	} else {
		write_headers(skb, &d, &d.src, &d.dst);
	}
	skb->tstamp = ns_to_ktime(d.tstamp);
	skb->mark = d.mark;
	told = SKB_EXT_ERR(skb);
	memset(told, 0, sizeof(*told));
	told->header.h4.iif = d.ifindex;
	told->ee = error;
	told->addr_offset = header + (d.family == AF_INET ?
				      offsetof(struct iphdr, daddr) :
				      offsetof(struct ipv6hdr, daddr));
	if (is_icmp(error.ee_origin) || error.ee_origin == SO_EE_ORIGIN_LOCAL)
		told->port = d.dport;
	return skb;
}
