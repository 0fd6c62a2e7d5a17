// SPDX-License-Identifier: GPL-2.0-only
/*
 * The datagram that UDP_CORK or MSG_MORE keeps back. It stands in
 * sk_write_queue, cut into fragments each with room for an IP header, and
 * the first with room for a UDP header (net/ipv4/ip_output.c,
 * __ip_append_data).
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/inet_sock.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "cork.h"
#include "datagram.h"
#include "ip_options.h"

/**
 * struct udpcr_cork - a copy of a corked datagram
 * @datagram: what is known of it; points to the rest
 * @options: options or extension headers that it will have
 * @payload: its bytes
 */
struct udpcr_cork {
	struct udpcr_datagram datagram;
	u8 options[UDPCR_MAX_IP_OPTIONS];
	u8 payload[];
};

/* The flow of IPv4 does not say whether an interface was asked for; the route
 * does not change any more. To the machine itself there is one way only.
 */
static u32 device_of(const struct dst_entry *route)
{
	if (!route || route->dev->flags & IFF_LOOPBACK)
		return 0;
	return route->dev->ifindex;
}

static void read_ipv4(struct udpcr_cork *cork, struct sock *sk)
{
	const struct inet_cork *base = &inet_sk(sk)->cork.base;
	const struct flowi4 *flow = &inet_sk(sk)->cork.fl.u.ip4;
	struct udpcr_datagram *d = &cork->datagram;

	d->family = AF_INET;
	d->src.s6_addr32[0] = flow->saddr;
	d->dst.s6_addr32[0] = flow->daddr;
	d->sport = flow->fl4_sport;
	d->dport = flow->fl4_dport;
	d->ifindex = device_of(base->dst);
	/* -1 and 0: what the socket's options say when it is sent
	 * (net/ipv4/ip_output.c, __ip_make_skb).
	 */
	if (base->tos >= 0) {
		d->tos = base->tos;
		d->has |= UDPCR_HAS_TOS;
	}
	if (base->ttl) {
		d->ttl = base->ttl;
		d->has |= UDPCR_HAS_TTL;
	}
	if (base->flags & IPCORK_OPT && base->opt) {
		d->options = cork->options;
		d->options_len = udpcr_ip_options_undo(cork->options, base->opt);
		/* The flow goes to the first hop of a source route. */
		if (base->opt->srr)
			d->dst.s6_addr32[0] = base->addr;
	}
}

static int read_ipv6(struct udpcr_cork *cork, struct sock *sk)
{
	const struct flowi6 *flow = &inet_sk(sk)->cork.fl.u.ip6;
	struct udpcr_datagram *d = &cork->datagram;
	int len;

	d->family = AF_INET6;
	d->src = flow->saddr;
	d->dst = flow->daddr;
	d->sport = flow->fl6_sport;
	d->dport = flow->fl6_dport;
	d->ifindex = flow->flowi6_oif;
	d->tos = udpcr_cork6(sk)->tclass;
	d->ttl = udpcr_cork6(sk)->hop_limit;
	d->has |= UDPCR_HAS_TOS | UDPCR_HAS_TTL;
	d->flow_label = ntohl(flow->flowlabel & IPV6_FLOWLABEL_MASK);
	len = udpcr_extensions_chain(cork->options, &d->next_header,
				     udpcr_cork6(sk)->opt);
	if (len <= 0)
		return len;
	d->options = cork->options;
	d->options_len = len;
	d->has |= UDPCR_HAS_NEXT_HEADER;
	return 0;
}

/* All fragments' bytes after their IP headers, the UDP header left out. */
static int copy_payload(struct sock *sk, u8 *payload, unsigned int len)
{
	unsigned int skip = sizeof(struct udphdr), at = 0;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_write_queue, skb) {
		int offset = skb_transport_offset(skb) + skip;
		int bytes = (int)skb->len - offset;

		skip = 0;
		if (bytes < 0 || bytes > len - at)
			return -EOPNOTSUPP;
		if (skb_copy_bits(skb, offset, payload + at, bytes))
			return -EFAULT;
		at += bytes;
	}
	return at == len ? 0 : -EOPNOTSUPP;
}

static struct udpcr_cork *read_locked(struct sock *sk,
				      struct netlink_ext_ack *extack)
{
	struct udp_sock *up = udp_sk(sk);
	struct udpcr_cork *cork;
	unsigned int len;
	int error;

	if (!up->pending || up->len < sizeof(struct udphdr))
		return NULL;
	len = up->len - sizeof(struct udphdr);
	cork = kvzalloc(struct_size(cork, payload, len), GFP_KERNEL);
	if (!cork)
		return ERR_PTR(-ENOMEM);
	if (up->pending == AF_INET) {
		read_ipv4(cork, sk);
	} else if (read_ipv6(cork, sk)) {
		udpcr_say(extack,
			  "the corked datagram has over %u bytes of extension headers",
			  UDPCR_MAX_IP_OPTIONS);
		kvfree(cork);
		return ERR_PTR(-EOPNOTSUPP);
	}
	error = copy_payload(sk, cork->payload, len);
	if (error) {
		udpcr_say(extack,
			  "the corked datagram of %u bytes has headers that cannot be read",
			  len);
		kvfree(cork);
		return ERR_PTR(error);
	}
	cork->datagram.has |= UDPCR_HAS_SRC | UDPCR_HAS_DST;
	cork->datagram.gso_size = inet_sk(sk)->cork.base.gso_size;
	cork->datagram.priority = udpcr_cork_priority(sk);
	cork->datagram.mark = inet_sk(sk)->cork.base.mark;
	cork->datagram.tstamp = inet_sk(sk)->cork.base.transmit_time;
	cork->datagram.payload = cork->payload;
	cork->datagram.len = len;
	return cork;
}

/**
 * udpcr_cork_read() - copies the datagram that a socket has corked
 * @sk: the socket; is locked meanwhile
 * @extack: gets a sentence on failure
 *
 * Return: the copy for udpcr_cork_free(), NULL when nothing is corked, or an
 * error pointer.
 */
struct udpcr_cork *udpcr_cork_read(struct sock *sk,
				   struct netlink_ext_ack *extack)
{
	struct udpcr_cork *cork;

	lock_sock(sk);
	cork = read_locked(sk, extack);
	release_sock(sk);
	return cork;
}

void udpcr_cork_tell(const struct udpcr_cork *cork,
		     struct udpcr_datagram *datagram)
{
	*datagram = cork->datagram;
}

void udpcr_cork_free(struct udpcr_cork *cork)
{
	kvfree(cork);
}
