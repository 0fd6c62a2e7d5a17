/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_DUMP_H
#define UDPCR_DUMP_H

struct netlink_callback;
struct sk_buff;

/* UDPCR_CMD_SOCKET */
int udpcr_socket_start(struct netlink_callback *cb);
int udpcr_socket_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int udpcr_socket_done(struct netlink_callback *cb);

/* UDPCR_CMD_QUEUE */
int udpcr_parked_start(struct netlink_callback *cb);
int udpcr_parked_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int udpcr_parked_done(struct netlink_callback *cb);

int udpcr_queue_start(struct netlink_callback *cb);
int udpcr_queue_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int udpcr_queue_done(struct netlink_callback *cb);

#endif /* UDPCR_DUMP_H */
