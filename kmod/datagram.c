// SPDX-License-Identifier: GPL-2.0-only
#include <linux/ipv6.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "datagram.h"
#include "error.h"
#include "ip_options.h"
#include "possible.h"

/* The rest of the linear part of a page holds struct skb_shared_info. */
#define UDPCR_LINEAR SKB_MAX_ORDER(0, 0)

/**
 * udpcr_datagram_size() - an upper bound of a message's length
 * @datagram: what is to be told
 *
 * Return: bytes, struct nlmsghdr included.
 */
size_t udpcr_datagram_size(const struct udpcr_datagram *datagram)
{
	return NLMSG_HDRLEN + GENL_HDRLEN +
	       2 * nla_total_size(sizeof(struct in6_addr)) + /* addresses */
	       4 * nla_total_size(sizeof(u16)) + /* ports, GSO_SIZE, FRAG_SIZE */
	       6 * nla_total_size(sizeof(u32)) + /* SRC_SCOPE to PRIORITY */
	       3 * nla_total_size(sizeof(u8)) + /* TOS, TTL, NEXT_HEADER */
	       nla_total_size(0) + /* PEEKED */
	       nla_total_size(sizeof(u64)) +
	       nla_total_size(datagram->options_len) +
	       (datagram->error ? nla_total_size(8 * nla_total_size(16)) : 0) +
	       nla_total_size(datagram->len);
}

static int put_address(struct sk_buff *msg, int type, u16 family,
		       const struct in6_addr *address)
{
	return nla_put(msg, type, family == AF_INET ? 4 : 16, address);
}

/* Last and without padding: what is stored has not a byte that is not needed. */
static int put_payload(struct sk_buff *msg, const struct udpcr_datagram *datagram)
{
	struct nlattr *attr;

	if (skb_tailroom(msg) < nla_total_size(datagram->len))
		return -EMSGSIZE;
	attr = skb_put(msg, nla_attr_size(datagram->len));
	attr->nla_type = UDPCR_A_PAYLOAD;
	attr->nla_len = nla_attr_size(datagram->len);
	if (!datagram->skb)
		memcpy(nla_data(attr), datagram->payload, datagram->len);
	else if (skb_copy_bits(datagram->skb, 0, nla_data(attr), datagram->len))
		return -EFAULT;
	return 0;
}

/**
 * udpcr_datagram_put() - puts a datagram's attributes into a message
 * @msg: the message
 * @d: the datagram
 *
 * Return: 0; -EMSGSIZE when there is no room, the caller cuts the message.
 */
int udpcr_datagram_put(struct sk_buff *msg, const struct udpcr_datagram *d)
{
	if (((d->has & UDPCR_HAS_SRC) &&
	     (put_address(msg, UDPCR_A_SRC_ADDR, d->family, &d->src) ||
	      nla_put_be16(msg, UDPCR_A_SRC_PORT, d->sport))) ||
	    (d->scope && nla_put_u32(msg, UDPCR_A_SRC_SCOPE, d->scope)) ||
	    ((d->has & UDPCR_HAS_DST) &&
	     (put_address(msg, UDPCR_A_DST_ADDR, d->family, &d->dst) ||
	      nla_put_be16(msg, UDPCR_A_DST_PORT, d->dport))) ||
	    (d->ifindex && nla_put_u32(msg, UDPCR_A_IFINDEX, d->ifindex)) ||
	    (d->tstamp && nla_put(msg, UDPCR_A_TSTAMP, 8, &d->tstamp)) ||
	    ((d->has & UDPCR_HAS_TOS) && nla_put_u8(msg, UDPCR_A_TOS, d->tos)) ||
	    ((d->has & UDPCR_HAS_TTL) && nla_put_u8(msg, UDPCR_A_TTL, d->ttl)) ||
	    (d->mark && nla_put_u32(msg, UDPCR_A_MARK, d->mark)) ||
	    (d->gso_size && nla_put_u16(msg, UDPCR_A_GSO_SIZE, d->gso_size)) ||
	    (d->spec_dst &&
	     nla_put_in_addr(msg, UDPCR_A_SPEC_DST, d->spec_dst)) ||
	    (d->error && udpcr_error_put(msg, d->error)) ||
	    (d->options_len && nla_put(msg, UDPCR_A_IP_OPTIONS, d->options_len,
				       d->options)) ||
	    ((d->has & UDPCR_HAS_NEXT_HEADER) &&
	     nla_put_u8(msg, UDPCR_A_NEXT_HEADER, d->next_header)) ||
	    (d->flow_label &&
	     nla_put_u32(msg, UDPCR_A_FLOW_LABEL, d->flow_label)) ||
	    (d->peeked && nla_put_flag(msg, UDPCR_A_PEEKED)) ||
	    (d->priority && nla_put_u32(msg, UDPCR_A_PRIORITY, d->priority)) ||
	    (d->frag_size &&
	     nla_put_u16(msg, UDPCR_A_FRAG_SIZE, d->frag_size)))
		return -EMSGSIZE;
	return put_payload(msg, d);
}

/* 4 or 16 bytes, and of one family with what came before. */
static int get_address(struct nlattr *attr, u16 *family,
		       struct in6_addr *address, struct netlink_ext_ack *extack)
{
	u16 own;

	if (!attr)
		return 0;
	own = nla_len(attr) == 4 ? AF_INET : AF_INET6;
	if (nla_len(attr) != 4 && nla_len(attr) != 16) {
		NL_SET_BAD_ATTR(extack, attr);
		udpcr_say(extack, "an address has 4 or 16 bytes, not %d",
			  nla_len(attr));
		return -EINVAL;
	}
	if (*family && *family != own) {
		NL_SET_BAD_ATTR(extack, attr);
		udpcr_say(extack, "source and destination are not of one family");
		return -EINVAL;
	}
	*family = own;
	memcpy(address, nla_data(attr), nla_len(attr));
	return 0;
}

static u8 get_u8(struct nlattr *attr, u8 otherwise)
{
	return attr ? nla_get_u8(attr) : otherwise;
}

static u32 get_u32(struct nlattr *attr)
{
	return attr ? nla_get_u32(attr) : 0;
}

static void parse_rest(struct nlattr **attrs, struct udpcr_datagram *d)
{
	if (attrs[UDPCR_A_IP_OPTIONS]) {
		d->options = nla_data(attrs[UDPCR_A_IP_OPTIONS]);
		d->options_len = nla_len(attrs[UDPCR_A_IP_OPTIONS]);
	}
	if (attrs[UDPCR_A_NEXT_HEADER]) {
		d->next_header = nla_get_u8(attrs[UDPCR_A_NEXT_HEADER]);
		d->has |= UDPCR_HAS_NEXT_HEADER;
	}
	d->flow_label = get_u32(attrs[UDPCR_A_FLOW_LABEL]);
	d->peeked = nla_get_flag(attrs[UDPCR_A_PEEKED]);
	d->priority = get_u32(attrs[UDPCR_A_PRIORITY]);
	if (attrs[UDPCR_A_FRAG_SIZE])
		d->frag_size = nla_get_u16(attrs[UDPCR_A_FRAG_SIZE]);
}

/**
 * udpcr_datagram_parse() - reads a UDPCR_CMD_DATAGRAM message
 * @sk: the socket that it is for
 * @attrs: its attributes, to which @d will point
 * @d: gets all but UDPCR_A_ERRMSG; zeroed
 * @extack: gets a sentence on failure
 *
 * Return: 0 or -EINVAL
 */
int udpcr_datagram_parse(struct sock *sk, struct nlattr **attrs,
			 struct udpcr_datagram *d,
			 struct netlink_ext_ack *extack)
{
	int error;

	if (!attrs[UDPCR_A_PAYLOAD]) {
		udpcr_say(extack, "UDPCR_A_PAYLOAD is missing");
		return -EINVAL;
	}
	d->payload = nla_data(attrs[UDPCR_A_PAYLOAD]);
	d->len = nla_len(attrs[UDPCR_A_PAYLOAD]);
	error = get_address(attrs[UDPCR_A_SRC_ADDR], &d->family, &d->src, extack);
	if (error)
		return error;
	error = get_address(attrs[UDPCR_A_DST_ADDR], &d->family, &d->dst, extack);
	if (error)
		return error;
	if (!d->family)
		d->family = sk->sk_family;
	if (d->family != sk->sk_family &&
	    (d->family == AF_INET6 || ipv6_only_sock(sk))) {
		udpcr_say(extack, "an IPv%d datagram cannot be on this socket",
			  d->family == AF_INET ? 4 : 6);
		return -EINVAL;
	}
	if (attrs[UDPCR_A_SRC_PORT])
		d->sport = nla_get_be16(attrs[UDPCR_A_SRC_PORT]);
	d->dport = attrs[UDPCR_A_DST_PORT] ?
		   nla_get_be16(attrs[UDPCR_A_DST_PORT]) :
		   inet_sk(sk)->inet_sport;
	d->has |= (attrs[UDPCR_A_SRC_ADDR] ? UDPCR_HAS_SRC : 0) |
		  (attrs[UDPCR_A_DST_ADDR] ? UDPCR_HAS_DST : 0);
	d->scope = get_u32(attrs[UDPCR_A_SRC_SCOPE]);
	d->ifindex = get_u32(attrs[UDPCR_A_IFINDEX]);
	d->mark = get_u32(attrs[UDPCR_A_MARK]);
	if (attrs[UDPCR_A_TSTAMP])
		d->tstamp = nla_get_u64(attrs[UDPCR_A_TSTAMP]);
	d->tos = get_u8(attrs[UDPCR_A_TOS], 0);
	d->ttl = get_u8(attrs[UDPCR_A_TTL], IPDEFTTL);
	if (attrs[UDPCR_A_GSO_SIZE])
		d->gso_size = nla_get_u16(attrs[UDPCR_A_GSO_SIZE]);
	if (attrs[UDPCR_A_SPEC_DST] && d->family != AF_INET) {
		udpcr_say(extack, "UDPCR_A_SPEC_DST is of IPv4");
		return -EINVAL;
	}
	if (attrs[UDPCR_A_SPEC_DST])
		d->spec_dst = nla_get_in_addr(attrs[UDPCR_A_SPEC_DST]);
	else if (d->family == AF_INET && d->ifindex &&
		 !ipv4_is_multicast(d->dst.s6_addr32[0]) &&
		 !ipv4_is_lbcast(d->dst.s6_addr32[0]))
		d->spec_dst = d->dst.s6_addr32[0];
	parse_rest(attrs, d);
	return udpcr_possible_datagram(d, extack) ?:
	       udpcr_ip_options_check(d, extack);
}

static void write_ipv4(struct sk_buff *skb, const struct udpcr_datagram *d)
{
	struct iphdr *ip = ip_hdr(skb);

	memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = (sizeof(*ip) + d->options_len) / 4;
	ip->tos = d->tos;
	ip->tot_len = htons(sizeof(*ip) + d->options_len +
			    sizeof(struct udphdr) + d->len);
	ip->ttl = d->ttl;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = d->src.s6_addr32[0];
	ip->daddr = d->dst.s6_addr32[0];
	skb->protocol = htons(ETH_P_IP);
	IPCB(skb)->frag_max_size = d->frag_size;
	/* As ipv4_pktinfo_prepare() leaves it (net/ipv4/ip_sockglue.c). */
	PKTINFO_SKB_CB(skb)->ipi_ifindex = d->ifindex;
	PKTINFO_SKB_CB(skb)->ipi_spec_dst.s_addr = d->spec_dst;
}

static void write_ipv6(struct sk_buff *skb, const struct udpcr_datagram *d)
{
	struct ipv6hdr *ip = ipv6_hdr(skb);

	ip6_flow_hdr(ip, d->tos, htonl(d->flow_label));
	ip->payload_len = htons(d->options_len + sizeof(struct udphdr) +
				d->len);
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = d->ttl;
	ip->saddr = d->src;
	ip->daddr = d->dst;
	skb->protocol = htons(ETH_P_IPV6);
	/* The scope of a link-local source is read from here too. */
	IP6CB(skb)->iif = d->ifindex ?: d->scope;
	IP6CB(skb)->frag_max_size = d->frag_size;
}

/* What udp_set_dev_scratch() notes (net/ipv4/udp.c), but for its bit
 * UDP_SKB_IS_STATELESS, which only spares work.
 */
static void write_scratch(struct sk_buff *skb)
{
	struct udp_dev_scratch *scratch = udp_skb_scratch(skb);

	skb->dev_scratch = 0;
	scratch->_tsize_state = skb->truesize;
#if BITS_PER_LONG == 64
	scratch->len = skb->len;
	scratch->is_linear = !skb_is_nonlinear(skb);
	scratch->csum_unnecessary = true;
#endif
}

/**
 * udpcr_datagram_alloc() - a packet with a payload, and room for its headers
 * @d: the datagram
 * @headers: bytes in front of the payload, linear, not written
 * @extack: gets a sentence on failure
 *
 * Return: the packet, its data and network header at the headers' begin, or
 * an error pointer.
 */
struct sk_buff *udpcr_datagram_alloc(const struct udpcr_datagram *d,
				     unsigned int headers,
				     struct netlink_ext_ack *extack)
{
	unsigned int linear = headers + d->len <= UDPCR_LINEAR ? d->len : 0;
	struct sk_buff *skb;
	int error;

	skb = alloc_skb_with_frags(headers + linear, d->len - linear,
				   PAGE_ALLOC_COSTLY_ORDER, &error, GFP_KERNEL);
	if (!skb) {
		udpcr_say(extack, "no memory for a datagram of %u bytes", d->len);
		return ERR_PTR(-ENOBUFS);
	}
	skb_put(skb, headers + linear);
	skb->data_len = d->len - linear;
	skb->len += skb->data_len;
	error = skb_store_bits(skb, headers, d->payload, d->len);
	if (error) {
		kfree_skb(skb);
		return ERR_PTR(error);
	}
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	return skb;
}

/**
 * udpcr_datagram_build() - makes what a receive queue is made of
 * @sk: the socket that it is for; not charged yet
 * @attrs: the attributes of a UDPCR_CMD_DATAGRAM message
 * @extack: gets a sentence on failure
 *
 * Return: the packet, its data at the payload, or an error pointer.
 */
struct sk_buff *udpcr_datagram_build(struct sock *sk, struct nlattr **attrs,
				     struct netlink_ext_ack *extack)
{
	struct udpcr_datagram d = {};
	unsigned int headers;
	struct sk_buff *skb;
	int error;

	if (attrs[UDPCR_A_ERRMSG]) {
		udpcr_say(extack,
			  "UDPCR_A_ERRMSG is of the error queue: this list is for another");
		return ERR_PTR(-EINVAL);
	}
	error = udpcr_datagram_parse(sk, attrs, &d, extack) ?:
		udpcr_possible_received(&d, extack);
	if (error)
		return ERR_PTR(error);
	headers = sizeof(struct udphdr) + d.options_len +
		  (d.family == AF_INET ? sizeof(struct iphdr) :
					 sizeof(struct ipv6hdr));
	skb = udpcr_datagram_alloc(&d, headers, extack);
	if (IS_ERR(skb))
		return skb;
	skb_set_transport_header(skb, headers - sizeof(struct udphdr));
	if (d.family == AF_INET)
		write_ipv4(skb, &d);
	else
		write_ipv6(skb, &d);
	error = udpcr_ip_options_write(sk, skb, &d, extack);
	if (error) {
		kfree_skb(skb);
		return ERR_PTR(error);
	}
	if (d.family == AF_INET)
		ip_send_check(ip_hdr(skb));
	*udp_hdr(skb) = (struct udphdr) {
		.source = d.sport,
		.dest = d.dport,
		.len = htons(sizeof(struct udphdr) + d.len),
	};
	skb_pull(skb, headers);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->tstamp = ns_to_ktime(d.tstamp);
	skb->mark = d.mark;
	skb->priority = d.priority;
	skb->peeked = d.peeked;
	skb->skb_iif = d.ifindex;
	if (d.gso_size && d.gso_size < d.len) {
		skb_shinfo(skb)->gso_size = d.gso_size;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
		skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(d.len, d.gso_size);
	}
	write_scratch(skb);
	sock_skb_set_dropcount(sk, skb);
	return skb;
}
