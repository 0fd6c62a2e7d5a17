/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_CORK_H
#define UDPCR_CORK_H

struct netlink_ext_ack;
struct sock;
struct udpcr_cork;
struct udpcr_datagram;

struct udpcr_cork *udpcr_cork_read(struct sock *sk,
				   struct netlink_ext_ack *extack);
void udpcr_cork_tell(const struct udpcr_cork *cork,
		     struct udpcr_datagram *datagram);
void udpcr_cork_free(struct udpcr_cork *cork);

#endif /* UDPCR_CORK_H */
