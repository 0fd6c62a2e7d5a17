// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands between the fixed IP header and the UDP header: options of IPv4,
 * extension headers of IPv6.
 *
 * recvmsg(2) trusts what the IP layer noted of them in the packet's control
 * block. So bytes that come from user space are walked as on arrival, and what
 * the IP layer would not have let in is refused.
 */
#include <linux/ipv6.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "datagram.h"
#include "ip_options.h"

/**
 * udpcr_ip_options_read() - notes where a received packet has its options
 * @d: gets them; points into @skb
 * @skb: the packet
 *
 * With more than UDPCR_MAX_IP_OPTIONS bytes @d gets the first header's number
 * alone.
 */
void udpcr_ip_options_read(struct udpcr_datagram *d, const struct sk_buff *skb)
{
	int fixed = skb->protocol == htons(ETH_P_IP) ? sizeof(struct iphdr) :
						       sizeof(struct ipv6hdr);
	int len = skb_network_header_len(skb) - fixed;

	if (len <= 0)
		return;
	if (fixed == sizeof(struct ipv6hdr)) {
		d->next_header = ipv6_hdr(skb)->nexthdr;
		d->has |= UDPCR_HAS_NEXT_HEADER;
	}
	if (len > UDPCR_MAX_IP_OPTIONS)
		return;
	d->options = skb_network_header(skb) + fixed;
	d->options_len = len;
}

/* 0 when no such header may stand at @at. */
static unsigned int extension_len(u8 type, const u8 *header, unsigned int at)
{
	switch (type) {
	case NEXTHDR_HOP:
		return at ? 0 : (header[1] + 1) << 3;
	case NEXTHDR_ROUTING:
	case NEXTHDR_DEST:
		return (header[1] + 1) << 3;
	case NEXTHDR_FRAGMENT:
		/* Of a datagram in one piece; readers take its reserved byte
		 * for a length (net/ipv6/datagram.c).
		 */
		return header[1] ? 0 : sizeof(struct frag_hdr);
	default:
		return 0;
	}
}

/* As ip6_parse_tlv() cuts it into options on arrival (net/ipv6/exthdrs.c), or
 * a routing header whose route is at its end. Returns the byte that is wrong,
 * or 0.
 */
static unsigned int wrong_in_header(u8 type, const u8 *header, unsigned int len)
{
	unsigned int at = sizeof(struct ipv6_opt_hdr);

	if (type == NEXTHDR_ROUTING)
		return header[3] ? 3 : 0;
	if (type == NEXTHDR_FRAGMENT)
		return 0;
	while (at < len) {
		unsigned int size = header[at] == IPV6_TLV_PAD1 ? 1 :
				    at + 1 < len ? header[at + 1] + 2 : len;

		if (size > len - at)
			return at;
		at += size;
	}
	return 0;
}

/* As net/ipv6/exthdrs.c does on arrival; @cb may be NULL. */
static int walk_extensions(const struct udpcr_datagram *d,
			   struct inet6_skb_parm *cb, u8 *udp,
			   struct netlink_ext_ack *extack)
{
	struct inet6_skb_parm found = {};
	unsigned int at = 0, len, wrong;
	u8 type = d->next_header;

	found.nhoff = offsetof(struct ipv6hdr, nexthdr);
	while (at < d->options_len) {
		const u8 *header = d->options + at;
		unsigned int offset = sizeof(struct ipv6hdr) + at;

		len = d->options_len - at < 8 ? 0 :
		      extension_len(type, header, at);
		if (!len || len > d->options_len - at) {
			udpcr_say(extack,
				  "UDPCR_A_IP_OPTIONS: no extension header %u at byte %u",
				  type, at);
			return -EINVAL;
		}
		wrong = wrong_in_header(type, header, len);
		if (wrong) {
			udpcr_say(extack,
				  "UDPCR_A_IP_OPTIONS: header %u is wrong at byte %u",
				  type, at + wrong);
			return -EINVAL;
		}
		switch (type) {
		case NEXTHDR_HOP:
			found.flags |= IP6SKB_HOPBYHOP;
			break;
		case NEXTHDR_DEST:
			found.dst1 = offset;
			found.lastopt = offset;
			break;
		case NEXTHDR_ROUTING:
			found.srcrt = offset;
			found.lastopt = offset;
			found.dst0 = found.dst1;
			found.dst1 = 0;
			break;
		case NEXTHDR_FRAGMENT:
			found.flags |= IP6SKB_FRAGMENTED;
			break;
		}
		found.nhoff = offset;
		type = header[0];
		at += len;
	}
	if (type != IPPROTO_UDP && type != IPPROTO_UDPLITE) {
		udpcr_say(extack,
			  "UDPCR_A_IP_OPTIONS: header %u follows the last one, not UDP",
			  type);
		return -EINVAL;
	}
	*udp = type;
	if (cb) {
		cb->flags = found.flags;
		cb->dst0 = found.dst0;
		cb->dst1 = found.dst1;
		cb->srcrt = found.srcrt;
		cb->lastopt = found.lastopt;
		cb->nhoff = found.nhoff;
	}
	return 0;
}

/**
 * udpcr_ip_options_check() - whether a datagram may have its options
 * @d: the datagram; all but the options of IPv4 themselves are checked
 * @extack: gets a sentence when it may not
 *
 * Return: 0 or -EINVAL
 */
int udpcr_ip_options_check(const struct udpcr_datagram *d,
			   struct netlink_ext_ack *extack)
{
	bool next = d->has & UDPCR_HAS_NEXT_HEADER;
	u8 udp;

	if (d->family == AF_INET) {
		if (next || d->flow_label) {
			udpcr_say(extack, "UDPCR_A_%s is of IPv6",
				  next ? "NEXT_HEADER" : "FLOW_LABEL");
			return -EINVAL;
		}
		if (d->options_len % 4 || d->options_len > MAX_IPOPTLEN) {
			udpcr_say(extack,
				  "UDPCR_A_IP_OPTIONS of IPv4: %u bytes, not 4, 8, ... 40",
				  d->options_len);
			return -EINVAL;
		}
		return 0;
	}
	if (d->flow_label & ~0xfffff) {
		udpcr_say(extack, "UDPCR_A_FLOW_LABEL %#x has more than 20 bits",
			  d->flow_label);
		return -EINVAL;
	}
	if (next != !!d->options_len) {
		udpcr_say(extack,
			  "UDPCR_A_NEXT_HEADER and _IP_OPTIONS of IPv6 need each other");
		return -EINVAL;
	}
	return d->options_len ? walk_extensions(d, NULL, &udp, extack) : 0;
}

/* The kernel's own judge. It goes one step in what records a route, as each
 * machine on the way does; ours was recorded on arrival already, so the bytes
 * are put back after it. It looks at skb->dev for CIPSO's local tag.
 */
static int write_ipv4(struct sock *sk, struct sk_buff *skb,
		      const struct udpcr_datagram *d,
		      struct netlink_ext_ack *extack)
{
	struct ip_options *opt = &IPCB(skb)->opt;
	u8 *to = (u8 *)(ip_hdr(skb) + 1);
	__be32 where = 0;
	int error;

	memcpy(to, d->options, d->options_len);
	opt->optlen = d->options_len;
	skb->dev = sock_net(sk)->loopback_dev;
	error = __ip_options_compile(sock_net(sk), opt, skb, &where);
	skb->dev = NULL;
	if (error) {
		udpcr_say(extack,
			  "UDPCR_A_IP_OPTIONS: byte %u is not what IPv4 allows",
			  (ntohl(where) >> 24) - (u32)sizeof(struct iphdr));
		return -EINVAL;
	}
	memcpy(to, d->options, d->options_len);
	return 0;
}

/**
 * udpcr_ip_options_write() - puts the options behind the fixed header
 * @sk: the socket
 * @skb: the packet, its network header written, with room behind it
 * @d: the datagram, checked
 * @extack: gets a sentence on failure
 *
 * Return: 0 or -EINVAL
 */
int udpcr_ip_options_write(struct sock *sk, struct sk_buff *skb,
			   const struct udpcr_datagram *d,
			   struct netlink_ext_ack *extack)
{
	u8 udp;

	if (!d->options_len)
		return 0;
	if (d->family == AF_INET)
		return write_ipv4(sk, skb, d, extack);
	memcpy(ipv6_hdr(skb) + 1, d->options, d->options_len);
	ipv6_hdr(skb)->nexthdr = d->next_header;
	return walk_extensions(d, IP6CB(skb), &udp, extack);
}

static void step_back(u8 *option)
{
	option[2] -= 4;
	memset(option + option[2] - 1, 0, 4);
}

/**
 * udpcr_ip_options_undo() - options as they were set
 * @data: gets them, at most MAX_IPOPTLEN bytes
 * @opt: as the kernel has made them ready for sending (net/ipv4/ip_options.c,
 *       __ip_options_compile): a source route without its first hop, pointers
 *       moved on behind a place for our own address or time
 *
 * Return: bytes
 */
unsigned int udpcr_ip_options_undo(u8 *data, const struct ip_options *opt)
{
	/* Where an option stands is counted from the header's begin. */
	const int header = sizeof(struct iphdr);
	unsigned int size = min_t(unsigned int, opt->optlen, MAX_IPOPTLEN);
	u8 *route = data + (opt->srr - header);
	u8 *record = data + (opt->rr - header);
	u8 *stamps = data + (opt->ts - header);

	memcpy(data, opt->__data, size);
	if (opt->srr) {
		memmove(route + 7, route + 3, route[1] - 7);
		memcpy(route + 3, &opt->faddr, 4);
	}
	if (opt->rr_needaddr)
		step_back(record);
	if (opt->ts_needtime) {
		step_back(stamps);
		if ((stamps[3] & 0xf) == IPOPT_TS_PRESPEC)
			stamps[2] -= 4;
	}
	if (opt->ts_needaddr)
		step_back(stamps);
	return size;
}

/**
 * udpcr_extensions_chain() - extension headers as they will be sent
 * @data: gets them, at most UDPCR_MAX_IP_OPTIONS bytes
 * @first: gets the number of the first
 * @opt: what will be sent, or NULL
 *
 * Return: bytes, or -EMSGSIZE when it would be more
 */
int udpcr_extensions_chain(u8 *data, u8 *first,
			   const struct ipv6_txoptions *opt)
{
	const struct {
		u8 type;
		const void *header;
	} all[] = {
		{ NEXTHDR_HOP, opt ? opt->hopopt : NULL },
		/* Only in front of a routing header (net/ipv6/exthdrs.c). */
		{ NEXTHDR_DEST, opt && opt->srcrt ? opt->dst0opt : NULL },
		{ NEXTHDR_ROUTING, opt ? opt->srcrt : NULL },
		{ NEXTHDR_DEST, opt ? opt->dst1opt : NULL },
	};
	u8 *next = first;
	int at = 0, i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		const struct ipv6_opt_hdr *header = all[i].header;

		if (!header)
			continue;
		if (ipv6_optlen(header) > UDPCR_MAX_IP_OPTIONS - at)
			return -EMSGSIZE;
		memcpy(data + at, header, ipv6_optlen(header));
		*next = all[i].type;
		next = data + at;
		at += ipv6_optlen(header);
	}
	if (at)
		*next = IPPROTO_UDP;
	return at;
}
