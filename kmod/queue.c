// SPDX-License-Identifier: GPL-2.0-only
/*
 * A queue is read by taking a reference of each packet in it at one instant.
 * The copying happens later and under no lock; readers that take the packets
 * meanwhile do not mind (net/ipv4/udp.c, skb_consume_udp).
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <net/dsfield.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "cork.h"
#include "datagram.h"
#include "error.h"
#include "ip_options.h"
#include "queue.h"
#include "user.h"

/**
 * struct udpcr_queue_copy - a queue as it was at one instant
 * @sk: the socket, referenced
 * @queue: UDPCR_QUEUE_*
 * @packets: a reference of each
 * @count: their number
 * @at: the next one to be told
 * @user: who is charged for them, or NULL
 * @bytes: how much
 * @cork: the corked datagram of UDPCR_QUEUE_SEND, or NULL
 */
struct udpcr_queue_copy {
	struct sock *sk;
	u32 queue;
	struct sk_buff **packets;
	unsigned int count;
	unsigned int at;
	struct udpcr_user *user;
	size_t bytes;
	struct udpcr_cork *cork;
};

static void refer(struct udpcr_queue_copy *copy, struct sk_buff_head *list)
{
	struct sk_buff *skb;

	skb_queue_walk(list, skb)
		copy->packets[copy->count++] = skb_get(skb);
}

/* Each of these fills @copy and returns true, or says how much room it needs.
 * __skb_recv_udp() takes the two locks in the same order.
 */
static bool refer_receive(struct udpcr_queue_copy *copy, unsigned int *room)
{
	struct sk_buff_head *first = &udp_sk(copy->sk)->reader_queue;
	struct sk_buff_head *second = &copy->sk->sk_receive_queue;
	unsigned int count;
	bool fits;

	spin_lock_bh(&first->lock);
	spin_lock(&second->lock);
	count = skb_queue_len(first) + skb_queue_len(second);
	fits = count <= *room;
	if (fits) {
		refer(copy, first);
		refer(copy, second);
	}
	spin_unlock(&second->lock);
	spin_unlock_bh(&first->lock);
	*room = count + count / 8 + 16;
	return fits;
}

static bool refer_error(struct udpcr_queue_copy *copy, unsigned int *room)
{
	struct sk_buff_head *list = &copy->sk->sk_error_queue;
	unsigned int count;
	unsigned long flags;
	bool fits;

	spin_lock_irqsave(&list->lock, flags);
	count = skb_queue_len(list);
	fits = count <= *room;
	if (fits)
		refer(copy, list);
	spin_unlock_irqrestore(&list->lock, flags);
	*room = count + count / 8 + 16;
	return fits;
}

/* Their socket's readers may take them while we refer to them. */
static int charge_reading(struct udpcr_queue_copy *copy,
			  struct netlink_ext_ack *extack)
{
	size_t bytes = 0;
	unsigned int i;
	int error;

	if (copy->cork) {
		struct udpcr_datagram corked;

		udpcr_cork_tell(copy->cork, &corked);
		bytes = corked.len;
	}
	for (i = 0; copy->packets && i < copy->count; i++)
		bytes += copy->packets[i]->truesize;
	error = udpcr_user_charge(&copy->user,
				  (struct udpcr_charge) { .read = bytes }, extack);
	if (!error)
		copy->bytes = bytes;
	return error;
}

static struct udpcr_queue_copy *new_copy(struct sock *sk, u32 queue)
{
	struct udpcr_queue_copy *copy = kzalloc(sizeof(*copy), GFP_KERNEL);

	if (!copy)
		return ERR_PTR(-ENOMEM);
	sock_hold(sk);
	copy->sk = sk;
	copy->queue = queue;
	return copy;
}

/**
 * udpcr_queue_copy() - refers to all that stands in a queue now
 * @sk: the socket
 * @queue: UDPCR_QUEUE_*
 * @extack: gets a sentence on failure
 *
 * Return: to be given to udpcr_queue_free(), or an error pointer.
 */
struct udpcr_queue_copy *udpcr_queue_copy(struct sock *sk, u32 queue,
					  struct netlink_ext_ack *extack)
{
	struct udpcr_queue_copy *copy = new_copy(sk, queue);
	unsigned int room = 0;
	int error = 0;

	if (IS_ERR(copy))
		return copy;
	if (queue == UDPCR_QUEUE_SEND) {
		copy->cork = udpcr_cork_read(sk, extack);
		if (!IS_ERR_OR_NULL(copy->cork))
			copy->count = 1;
		error = PTR_ERR_OR_ZERO(copy->cork);
		if (error)
			copy->cork = NULL;
		goto charge;
	}
	while (!(queue == UDPCR_QUEUE_ERROR ? refer_error(copy, &room) :
					      refer_receive(copy, &room))) {
		kvfree(copy->packets);
		copy->packets = kvmalloc_array(room, sizeof(*copy->packets),
					       GFP_KERNEL);
		error = !copy->packets ? -ENOMEM :
			fatal_signal_pending(current) ? -EINTR : 0;
		if (error)
			break;
	}
charge:
	error = error ?: charge_reading(copy, extack);
	if (!error)
		return copy;
	udpcr_queue_free(copy);
	return ERR_PTR(error);
}

/**
 * udpcr_queue_copy_list() - refers to the packets of a list held aside
 * @sk: the list's socket
 * @queue: UDPCR_QUEUE_* that it is for
 * @list: the list; the caller sees to it that it stays as it is
 * @extack: gets a sentence on failure
 *
 * Return: to be given to udpcr_queue_free(), or an error pointer.
 */
struct udpcr_queue_copy *udpcr_queue_copy_list(struct sock *sk, u32 queue,
					       struct sk_buff_head *list,
					       struct netlink_ext_ack *extack)
{
	struct udpcr_queue_copy *copy = new_copy(sk, queue);
	int error = -ENOMEM;

	if (IS_ERR(copy))
		return copy;
	copy->packets = kvmalloc_array(skb_queue_len(list) + 1,
				       sizeof(*copy->packets), GFP_KERNEL);
	if (copy->packets) {
		refer(copy, list);
		error = charge_reading(copy, extack);
	}
	if (!error)
		return copy;
	udpcr_queue_free(copy);
	return ERR_PTR(error);
}

void udpcr_queue_free(struct udpcr_queue_copy *copy)
{
	unsigned int i;

	for (i = 0; copy->packets && i < copy->count; i++)
		consume_skb(copy->packets[i]);
	kvfree(copy->packets);
	udpcr_user_uncharge(copy->user,
			    (struct udpcr_charge) { .read = copy->bytes });
	udpcr_cork_free(copy->cork);
	sock_put(copy->sk);
	kfree(copy);
}

/* What a reader would throw away. Changes nothing in the packet, which others
 * read too; its skb->dev is not a device here, so that __skb_checksum_complete()
 * must not be asked.
 */
static bool is_damaged(const struct sk_buff *skb)
{
	__wsum sum;

	if (skb_csum_unnecessary(skb))
		return false;
	sum = skb_checksum(skb, 0, udpcr_checksum_coverage(skb), skb->csum);
	/* A reader may have found it right, and noted so, meanwhile. */
	return csum_fold(sum) && !skb_csum_unnecessary(skb);
}

static void read_ipv4(struct udpcr_datagram *d, const struct sk_buff *skb)
{
	const struct iphdr *ip = ip_hdr(skb);
	const struct in_pktinfo *info = PKTINFO_SKB_CB(skb);

	d->family = AF_INET;
	d->src.s6_addr32[0] = ip->saddr;
	d->dst.s6_addr32[0] = ip->daddr;
	d->tos = ip->tos;
	d->ttl = ip->ttl;
	d->ifindex = skb->skb_iif;
	d->frag_size = IPCB(skb)->frag_max_size;
	/* 0 when the socket did not have IP_PKTINFO on
	 * (net/ipv4/ip_sockglue.c, ipv4_pktinfo_prepare).
	 */
	if (info->ipi_ifindex)
		d->spec_dst = info->ipi_spec_dst.s_addr;
}

static void read_ipv6(struct udpcr_datagram *d, const struct sk_buff *skb)
{
	const struct ipv6hdr *ip = ipv6_hdr(skb);

	d->family = AF_INET6;
	d->src = ip->saddr;
	d->dst = ip->daddr;
	d->tos = ipv6_get_dsfield(ip);
	d->ttl = ip->hop_limit;
	d->flow_label = ntohl(ip6_flowlabel(ip));
	d->frag_size = IP6CB(skb)->frag_max_size;
	d->ifindex = IP6CB(skb)->iif ?: skb->skb_iif;
	if (ipv6_addr_type(&ip->saddr) & IPV6_ADDR_LINKLOCAL)
		d->scope = d->ifindex;
}

static void read_received(struct udpcr_datagram *d, const struct sk_buff *skb)
{
	const struct udphdr *udp = udp_hdr(skb);

	if (skb->protocol == htons(ETH_P_IP))
		read_ipv4(d, skb);
	else
		read_ipv6(d, skb);
	d->has = UDPCR_HAS_SRC | UDPCR_HAS_DST | UDPCR_HAS_TOS | UDPCR_HAS_TTL;
	d->sport = udp->source;
	d->dport = udp->dest;
	d->tstamp = ktime_to_ns(skb_get_ktime(skb));
	d->mark = skb->mark;
	d->priority = skb->priority;
	d->peeked = skb->peeked;
	udpcr_ip_options_read(d, skb);
	d->gso_size = skb_shinfo(skb)->gso_size;
	d->skb = skb;
	d->len = skb->len;
}

static void read_packet(const struct udpcr_queue_copy *copy, unsigned int at,
			struct udpcr_datagram *d)
{
	memset(d, 0, sizeof(*d));
	if (copy->cork)
		udpcr_cork_tell(copy->cork, d);
	else if (copy->queue == UDPCR_QUEUE_ERROR)
		udpcr_error_read(d, copy->packets[at]);
	else
		read_received(d, copy->packets[at]);
}

/**
 * udpcr_queue_largest() - the bytes of the largest message of the queue
 * @copy: the queue
 */
size_t udpcr_queue_largest(const struct udpcr_queue_copy *copy)
{
	struct udpcr_datagram d;
	size_t largest = 0;
	unsigned int i;

	for (i = 0; i < copy->count; i++) {
		read_packet(copy, i, &d);
		largest = max(largest, udpcr_datagram_size(&d));
	}
	return largest;
}

/**
 * udpcr_queue_at_end() - whether all datagrams have been told
 * @copy: the queue; steps over damaged datagrams
 */
bool udpcr_queue_at_end(struct udpcr_queue_copy *copy)
{
	while (copy->queue == UDPCR_QUEUE_RECEIVE && copy->at < copy->count &&
	       is_damaged(copy->packets[copy->at]))
		copy->at++;
	return copy->at == copy->count;
}

/**
 * udpcr_queue_next() - puts the attributes of the next datagram into a message
 * @copy: the queue, not at its end
 * @msg: the message
 *
 * Return: 0, or -EMSGSIZE when @msg has no room.
 */
int udpcr_queue_next(struct udpcr_queue_copy *copy, struct sk_buff *msg)
{
	struct udpcr_datagram d;

	read_packet(copy, copy->at, &d);
	return udpcr_datagram_put(msg, &d);
}

void udpcr_queue_advance(struct udpcr_queue_copy *copy)
{
	copy->at++;
}
