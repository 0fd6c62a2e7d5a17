/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_FILTER_H
#define UDPCR_FILTER_H

#include <linux/types.h>

struct sk_buff;
struct sock;

int udpcr_filters_put(struct sk_buff *msg, struct sock *sk);
int udpcr_group_put(struct sk_buff *msg, const struct sock *sk);
bool udpcr_group_is_read(const struct sock *sk);

#endif /* UDPCR_FILTER_H */
