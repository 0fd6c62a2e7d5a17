/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_DATAGRAM_H
#define UDPCR_DATAGRAM_H

#include <linux/in6.h>
#include <linux/types.h>

struct netlink_ext_ack;
struct nlattr;
struct sk_buff;
struct sock;

/**
 * struct udpcr_datagram - what a UDPCR_CMD_DATAGRAM message says
 * @family: AF_INET or AF_INET6, of both addresses
 * @src: source; IPv4 stands in its first four bytes
 * @dst: destination
 * @has: UDPCR_HAS_*, which of the other members are known
 * @sport: source port
 * @dport: destination port
 * @scope: interface of a link-local source
 * @ifindex: arrival interface
 * @tstamp: nanoseconds of CLOCK_REALTIME
 * @tos: TOS byte or traffic class
 * @ttl: TTL or hop limit
 * @mark: skb mark
 * @gso_size: segment size
 * @spec_dst: ipi_spec_dst of IP_PKTINFO
 * @options: options of the IPv4 header, extension headers of IPv6
 * @options_len: their bytes
 * @next_header: number of the first extension header
 * @flow_label: of IPv6, host order
 * @peeked: a peek has seen it
 * @priority: skb priority
 * @frag_size: the largest fragment it came in
 * @error: the message of an error queue, or NULL
 * @skb: what has the payload, or NULL
 * @payload: the payload when @skb is NULL
 * @len: its bytes
 */
struct udpcr_datagram {
	u16 family;
	struct in6_addr src;
	struct in6_addr dst;
	u32 has;
	__be16 sport;
	__be16 dport;
	u32 scope;
	u32 ifindex;
	u64 tstamp;
	u8 tos;
	u8 ttl;
	u32 mark;
	u16 gso_size;
	__be32 spec_dst;
	const u8 *options;
	u16 options_len;
	u8 next_header;
	u32 flow_label;
	bool peeked;
	u32 priority;
	u16 frag_size;
	const struct sk_buff *error;
	const struct sk_buff *skb;
	const void *payload;
	unsigned int len;
};

#define UDPCR_HAS_SRC		BIT(0)
#define UDPCR_HAS_DST		BIT(1)
#define UDPCR_HAS_TOS		BIT(2)
#define UDPCR_HAS_TTL		BIT(3)
#define UDPCR_HAS_NEXT_HEADER	BIT(4)

size_t udpcr_datagram_size(const struct udpcr_datagram *datagram);
int udpcr_datagram_put(struct sk_buff *msg, const struct udpcr_datagram *d);

int udpcr_datagram_parse(struct sock *sk, struct nlattr **attrs,
			 struct udpcr_datagram *d,
			 struct netlink_ext_ack *extack);
struct sk_buff *udpcr_datagram_alloc(const struct udpcr_datagram *d,
				     unsigned int headers,
				     struct netlink_ext_ack *extack);
struct sk_buff *udpcr_datagram_build(struct sock *sk, struct nlattr **attrs,
				     struct netlink_ext_ack *extack);

#endif /* UDPCR_DATAGRAM_H */
