/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_RECORD_H
#define UDPCR_RECORD_H

#include <linux/types.h>

struct file;
struct sk_buff;
struct sock;
struct user_namespace;

int udpcr_record_put(struct sk_buff *msg, struct sock *sk, struct file *file,
		     struct user_namespace *reader, bool whole,
		     u32 held_count);
size_t udpcr_record_size(struct sock *sk);
int udpcr_summary_put(struct sk_buff *msg, struct sock *sk, u64 ino);

#endif /* UDPCR_RECORD_H */
