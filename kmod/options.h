/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_OPTIONS_H
#define UDPCR_OPTIONS_H

struct sk_buff;
struct sock;

int udpcr_option_put(struct sk_buff *msg, int level, int name,
		     const void *value, int size);
int udpcr_options_put(struct sk_buff *msg, struct sock *sk);

#endif /* UDPCR_OPTIONS_H */
