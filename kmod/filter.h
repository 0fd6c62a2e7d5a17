/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_FILTER_H
#define UDPCR_FILTER_H

#include <linux/types.h>
#include <linux/xarray.h>

struct sk_buff;
struct sock;

/**
 * struct udpcr_groups - what a dump has found out about SO_REUSEPORT groups
 * @open: by the group's address: members that somebody has open, 2 for more
 */
struct udpcr_groups {
	struct xarray open;
};

int udpcr_filters_put(struct sk_buff *msg, struct sock *sk);
int udpcr_group_put(struct sk_buff *msg, const struct sock *sk);
bool udpcr_group_is_read(const struct sock *sk, struct udpcr_groups *groups);

static inline void udpcr_groups_init(struct udpcr_groups *groups)
{
	xa_init(&groups->open);
}

static inline void udpcr_groups_destroy(struct udpcr_groups *groups)
{
	xa_destroy(&groups->open);
}

#endif /* UDPCR_FILTER_H */
