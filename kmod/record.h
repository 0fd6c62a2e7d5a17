/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_RECORD_H
#define UDPCR_RECORD_H

#include <linux/types.h>

struct file;
struct sk_buff;
struct sock;
struct udpcr_groups;
struct user_namespace;

int udpcr_record_put(struct sk_buff *msg, struct sock *sk, struct file *file,
		     struct user_namespace *reader, bool whole,
		     u32 held_count, struct udpcr_groups *groups);
size_t udpcr_record_size(struct sock *sk);
int udpcr_summary_put(struct sk_buff *msg, struct sock *sk, u64 ino,
		      struct udpcr_groups *groups);

#endif /* UDPCR_RECORD_H */
