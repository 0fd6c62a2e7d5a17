// SPDX-License-Identifier: GPL-2.0-only
/*
 * What UDP itself could have put on a socket. A caller may set nothing else:
 * the kernel's own code and the socket's readers trust what stands there. An
 * errno from 512 on, for one, is the kernel's own and must never come out of a
 * system call (include/linux/errno.h).
 *
 * Not checked, as any value can come from the network or from a sender on this
 * machine, and is told to readers and no more: ports, TOS, TTL, mark, priority,
 * interface indices (the device may be gone), the counters of drops and of
 * timestamps. Nor a segment size: a virtual machine may send any
 * (include/linux/virtio_net.h).
 */
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/inetdevice.h>
#include <net/icmp.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "datagram.h"
#include "possible.h"

/* Smallest fragments: eight bytes behind the headers of each. */
#define UDPCR_LEAST_FRAGMENT4 (sizeof(struct iphdr) + 8)
#define UDPCR_LEAST_FRAGMENT6 (sizeof(struct ipv6hdr) + sizeof(struct frag_hdr) + 8)
/* Each fragment may have options of its own. */
#define UDPCR_MOST_HEADER4 60

/* As __udp4_lib_err() and icmp_unreach() turn them into an errno, or 0. */
static int errno_of_icmp(u8 type, u8 code)
{
	int error = 0;

	if (type == ICMP_DEST_UNREACH && code <= NR_ICMP_UNREACH)
		error = icmp_err_convert[code].errno;
	else if (type == ICMP_TIME_EXCEEDED)
		error = EHOSTUNREACH;
	else if (type == ICMP_PARAMETERPROB)
		error = EPROTO;
	return error;
}

/* As __udp6_lib_err() does it. Errors of types that are not known come too. */
static int errno_of_icmp6(u8 type, u8 code)
{
	int error = 0;

	if (type & ICMPV6_INFOMSG_MASK)
		return 0;
	icmpv6_err_convert(type, code, &error);
	return error;
}

static bool is_icmp_errno(u32 error)
{
	u8 code;

	for (code = 0; code <= NR_ICMP_UNREACH; code++)
		if (error == errno_of_icmp(ICMP_DEST_UNREACH, code))
			return true;
	return error == errno_of_icmp(ICMP_TIME_EXCEEDED, 0) ||
	       error == errno_of_icmp(ICMP_PARAMETERPROB, 0);
}

static bool is_icmp6_errno(u32 error)
{
	u8 type, code;

	for (type = ICMPV6_DEST_UNREACH; type <= ICMPV6_PARAMPROB; type++)
		for (code = 0; code <= ICMPV6_REJECT_ROUTE; code++)
			if (error == errno_of_icmp6(type, code))
				return true;
	return false;
}

/**
 * udpcr_possible_error() - whether a socket could have a pending error
 * @sk: the socket
 * @error: the errno; 0 is none
 */
bool udpcr_possible_error(const struct sock *sk, u32 error)
{
	/* ECONNABORTED: SOCK_DESTROY (net/ipv4/udp_diag.c). */
	return !error || error == ECONNABORTED ||
	       (!ipv6_only_sock(sk) && is_icmp_errno(error)) ||
	       (sk->sk_family == AF_INET6 && is_icmp6_errno(error));
}

/* Those that the IP layer does not let in (net/ipv4/route.c, martian_source;
 * net/ipv6/ip6_input.c, ip6_rcv_core).
 */
static bool is_source(u16 family, const struct in6_addr *address)
{
	if (family == AF_INET)
		return !ipv4_is_multicast(address->s6_addr32[0]) &&
		       !ipv4_is_lbcast(address->s6_addr32[0]);
	return !ipv6_addr_is_multicast(address) && !ipv6_addr_v4mapped(address);
}

static int check_source(u16 family, const struct in6_addr *address,
			const char *name, struct netlink_ext_ack *extack)
{
	if (is_source(family, address))
		return 0;
	if (family == AF_INET)
		udpcr_say(extack, "%s %pI4 cannot be where a packet is from",
			  name, address);
	else
		udpcr_say(extack, "%s %pI6c cannot be where a packet is from",
			  name, address);
	return -EINVAL;
}

/**
 * udpcr_possible_offender() - whether an ICMP error can be from an address
 * @family: the address's
 * @address: the address; 0 is not known
 * @extack: gets a sentence when it cannot
 *
 * Return: 0 or -EINVAL
 */
int udpcr_possible_offender(u16 family, const struct in6_addr *address,
			    struct netlink_ext_ack *extack)
{
	return check_source(family, address, "UDPCR_ERRMSG_OFFENDER", extack);
}

static int check_addresses(const struct udpcr_datagram *d,
			   struct netlink_ext_ack *extack)
{
	bool v4 = d->family == AF_INET;

	if (!v4 && ipv6_addr_v4mapped(&d->dst)) {
		udpcr_say(extack, "UDPCR_A_DST_ADDR %pI6c is of IPv4: 4 bytes",
			  &d->dst);
		return -EINVAL;
	}
	if (d->scope && (v4 || !(ipv6_addr_type(&d->src) & IPV6_ADDR_LINKLOCAL))) {
		udpcr_say(extack, "UDPCR_A_SRC_SCOPE %u of a source that is not link-local",
			  d->scope);
		return -EINVAL;
	}
	return 0;
}

/**
 * udpcr_possible_datagram() - whether UDP could have put it into any queue
 * @d: the datagram
 * @extack: gets a sentence when it could not
 *
 * Return: 0 or -EINVAL
 */
int udpcr_possible_datagram(const struct udpcr_datagram *d,
			    struct netlink_ext_ack *extack)
{
	if (d->tstamp > KTIME_MAX) {
		udpcr_say(extack, "UDPCR_A_TSTAMP %llu is more than %lld ns",
			  d->tstamp, KTIME_MAX);
		return -EINVAL;
	}
	return check_addresses(d, extack);
}

static int check_fragments(const struct udpcr_datagram *d,
			   struct netlink_ext_ack *extack)
{
	bool v4 = d->family == AF_INET;
	unsigned int least = v4 ? UDPCR_LEAST_FRAGMENT4 : UDPCR_LEAST_FRAGMENT6;
	/* Of IPv6 each fragment may have headers of any length. */
	unsigned int most = v4 ? UDPCR_MOST_HEADER4 + sizeof(struct udphdr) + d->len :
				 U16_MAX;

	if (!d->frag_size || (d->frag_size >= least && d->frag_size <= most))
		return 0;
	udpcr_say(extack, "UDPCR_A_FRAG_SIZE %u of %u bytes: from %u to %u is possible",
		  d->frag_size, d->len, least, min_t(unsigned int, most, U16_MAX));
	return -EINVAL;
}

/**
 * udpcr_possible_received() - whether UDP could have received it
 * @d: the datagram, and udpcr_possible_datagram()
 * @extack: gets a sentence when it could not
 *
 * Return: 0 or -EINVAL
 */
int udpcr_possible_received(const struct udpcr_datagram *d,
			    struct netlink_ext_ack *extack)
{
	/* The length field of IPv6 leaves its own header out. */
	unsigned int total = (d->family == AF_INET ? sizeof(struct iphdr) : 0) +
			     d->options_len + sizeof(struct udphdr) + d->len;
	int error;

	/* Of an ICMP error it is where that came in, which may be a group. */
	error = check_source(d->family, &d->src, "UDPCR_A_SRC_ADDR", extack);
	if (error)
		return error;
	if (total > U16_MAX) {
		udpcr_say(extack, "a payload of %u bytes makes a packet of %u: %u at most",
			  d->len, total, U16_MAX);
		return -EINVAL;
	}
	if (d->peeked && d->len) {
		/* net/core/datagram.c, __skb_try_recv_from_queue */
		udpcr_say(extack, "UDPCR_A_PEEKED is of empty datagrams, this has %u bytes",
			  d->len);
		return -EINVAL;
	}
	return check_fragments(d, extack);
}

static int check_icmp(const struct udpcr_datagram *d,
		      const struct sock_extended_err *error,
		      struct netlink_ext_ack *extack)
{
	bool v4 = error->ee_origin == SO_EE_ORIGIN_ICMP;
	int wanted = v4 ? errno_of_icmp(error->ee_type, error->ee_code) :
			  errno_of_icmp6(error->ee_type, error->ee_code);
	u32 most_info = v4 ? 0 : U32_MAX;

	if (!wanted) {
		udpcr_say(extack, "ICMPv%d type %u, code %u is no error that UDP is told",
			  v4 ? 4 : 6, error->ee_type, error->ee_code);
		return -EINVAL;
	}
	if (error->ee_errno != wanted) {
		udpcr_say(extack,
			  "UDPCR_ERRMSG_ERRNO %u: ICMPv%d type %u, code %u gives %d",
			  error->ee_errno, v4 ? 4 : 6, error->ee_type,
			  error->ee_code, wanted);
		return -EINVAL;
	}
	/* The path's MTU, or a byte's place. */
	if (v4 && error->ee_type == ICMP_DEST_UNREACH &&
	    error->ee_code == ICMP_FRAG_NEEDED)
		most_info = U16_MAX;
	else if (v4 && error->ee_type == ICMP_PARAMETERPROB)
		most_info = U8_MAX;
	if (error->ee_info > most_info) {
		udpcr_say(extack,
			  "UDPCR_ERRMSG_INFO %u of ICMPv4 type %u, code %u: %u at most",
			  error->ee_info, error->ee_type, error->ee_code,
			  most_info);
		return -EINVAL;
	}
	/* Where in the payload extensions begin (net/ipv4/ip_sockglue.c,
	 * ip_icmp_error_rfc4884): readers believe it.
	 */
	if (error->ee_data &&
	    (error->ee_rfc4884.reserved ||
	     error->ee_rfc4884.flags & ~SO_EE_RFC4884_FLAG_INVALID ||
	     error->ee_rfc4884.len + sizeof(struct icmp_ext_hdr) > d->len)) {
		udpcr_say(extack,
			  "UDPCR_ERRMSG_DATA %#x: no extensions there in %u bytes of payload",
			  error->ee_data, d->len);
		return -EINVAL;
	}
	return 0;
}

static int say_impossible(const struct sock_extended_err *error, const char *why,
			  struct netlink_ext_ack *extack)
{
	udpcr_say(extack, "UDPCR_ERRMSG_ORIGIN %u, errno %u, type %u, code %u: %s",
		  error->ee_origin, error->ee_errno, error->ee_type,
		  error->ee_code, why);
	return -EINVAL;
}

/* What is told without a packet's headers, or without any of a packet. */
static int check_bare(const struct udpcr_datagram *d,
		      const struct sock_extended_err *error,
		      struct netlink_ext_ack *extack)
{
	if (d->len) {
		udpcr_say(extack, "UDPCR_ERRMSG_ORIGIN %u has no payload, this has %u bytes",
			  error->ee_origin, d->len);
		return -EINVAL;
	}
	if (d->ifindex || d->has & UDPCR_HAS_SRC) {
		udpcr_say(extack, "UDPCR_ERRMSG_ORIGIN %u has no source and no interface",
			  error->ee_origin);
		return -EINVAL;
	}
	return 0;
}

static int check_local(const struct udpcr_datagram *d,
		       const struct sock_extended_err *error,
		       struct netlink_ext_ack *extack)
{
	if (error->ee_errno != EMSGSIZE || error->ee_type || error->ee_code)
		return say_impossible(error, "only EMSGSIZE, 0, 0", extack);
	/* The MTU (net/ipv6/ip6_output.c). */
	if (error->ee_info > IP6_MAX_MTU || error->ee_data) {
		udpcr_say(extack, "UDPCR_ERRMSG_INFO %u, _DATA %u: an MTU of %zu at most, 0",
			  error->ee_info, error->ee_data, IP6_MAX_MTU);
		return -EINVAL;
	}
	return check_bare(d, error, extack);
}

static int check_sent(const struct sock_extended_err *error,
		      struct netlink_ext_ack *extack)
{
	if (error->ee_errno != ENOMSG || error->ee_type || error->ee_code)
		return say_impossible(error, "only ENOMSG, 0, 0", extack);
	/* SCM_TSTAMP_ACK is of TCP. */
	if (error->ee_info != SCM_TSTAMP_SND && error->ee_info != SCM_TSTAMP_SCHED) {
		udpcr_say(extack, "UDPCR_ERRMSG_INFO %u is no time of sending: 0 or 1",
			  error->ee_info);
		return -EINVAL;
	}
	return 0;
}

static int check_zerocopy(const struct udpcr_datagram *d,
			  const struct sock_extended_err *error,
			  struct netlink_ext_ack *extack)
{
	if (error->ee_errno || error->ee_type ||
	    error->ee_code & ~SO_EE_CODE_ZEROCOPY_COPIED)
		return say_impossible(error, "only 0, 0, 0 or 1", extack);
	/* The first and last number; they wrap around. */
	if (error->ee_data - error->ee_info > S32_MAX) {
		udpcr_say(extack, "UDPCR_ERRMSG_INFO %u, _DATA %u: no range of numbers",
			  error->ee_info, error->ee_data);
		return -EINVAL;
	}
	if (d->has & UDPCR_HAS_DST) {
		udpcr_say(extack, "UDPCR_ERRMSG_ORIGIN %u has no destination",
			  error->ee_origin);
		return -EINVAL;
	}
	return check_bare(d, error, extack);
}

/* net/sched/sch_etf.c, report_sock_error: any time. */
static int check_txtime(const struct sock_extended_err *error,
			struct netlink_ext_ack *extack)
{
	if (!error->ee_type &&
	    ((error->ee_errno == EINVAL &&
	      error->ee_code == SO_EE_CODE_TXTIME_INVALID_PARAM) ||
	     (error->ee_errno == ECANCELED &&
	      error->ee_code == SO_EE_CODE_TXTIME_MISSED)))
		return 0;
	return say_impossible(error, "only EINVAL, 0, 1, or ECANCELED, 0, 2", extack);
}

static const struct {
	int type;
	const char *name;
} not_of_errors[] = {
	{ UDPCR_A_MARK, "MARK" },
	{ UDPCR_A_GSO_SIZE, "GSO_SIZE" },
	{ UDPCR_A_SPEC_DST, "SPEC_DST" },
	{ UDPCR_A_IP_OPTIONS, "IP_OPTIONS" },
	{ UDPCR_A_PEEKED, "PEEKED" },
	{ UDPCR_A_PRIORITY, "PRIORITY" },
	{ UDPCR_A_FRAG_SIZE, "FRAG_SIZE" },
};

/**
 * udpcr_possible_report() - whether UDP could have put it into an error queue
 * @d: the message, and udpcr_possible_datagram()
 * @error: what is reported
 * @attrs: the attributes that @d was read from
 * @extack: gets a sentence when it could not
 *
 * Return: 0 or -EINVAL
 */
int udpcr_possible_report(const struct udpcr_datagram *d,
			  const struct sock_extended_err *error,
			  struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(not_of_errors); i++) {
		if (!attrs[not_of_errors[i].type])
			continue;
		udpcr_say(extack, "UDPCR_A_%s is not of the error queue",
			  not_of_errors[i].name);
		return -EINVAL;
	}
	switch (error->ee_origin) {
	case SO_EE_ORIGIN_LOCAL:
		return check_local(d, error, extack);
	case SO_EE_ORIGIN_ICMP:
	case SO_EE_ORIGIN_ICMP6:
		return check_icmp(d, error, extack);
	case SO_EE_ORIGIN_TIMESTAMPING:
		return check_sent(error, extack);
	case SO_EE_ORIGIN_ZEROCOPY:
		return check_zerocopy(d, error, extack);
	case SO_EE_ORIGIN_TXTIME:
		return check_txtime(error, extack);
	default:
		udpcr_say(extack, "UDPCR_ERRMSG_ORIGIN %u is none that UDP has",
			  error->ee_origin);
		return -EINVAL;
	}
}
