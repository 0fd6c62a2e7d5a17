/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_PARKED_H
#define UDPCR_PARKED_H

#include <linux/capability.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>
#include <udpcr/udpcr_netlink.h>

struct file;
struct net;
struct sock;
struct udpcr_user;
struct user_namespace;

/**
 * struct udpcr_parked - a parked socket
 * @refs: the table's, or of who has taken it out; others for a while
 * @in_order: in all_parked
 * @by_ino: in parked_by_ino
 * @by_sock: in parked_by_sock; not hashed: no longer parked
 * @file: its file, referenced until udpcr_parked_end()
 * @sk: the socket, referenced
 * @ino: its inode
 * @uid: fsuid of who parked it
 * @user_ns: his user namespace, referenced
 * @rights: his permitted capabilities
 * @bounds: root's bounding set; of others none
 * @user: who is charged
 * @buffer: bytes charged, its SO_RCVBUF when it was parked
 * @seconds: how long it stays once it is left alone; under parked_lock
 * @since: when that was noticed, ns of CLOCK_BOOTTIME; 0: somebody else has it
 *	   open; under parked_lock
 * @key_len: bytes of @key
 * @key: what a claim must name, opaque
 */
struct udpcr_parked {
	refcount_t refs;
	struct list_head in_order;
	struct hlist_node by_ino;
	struct hlist_node by_sock;
	struct file *file;
	struct sock *sk;
	u64 ino;
	kuid_t uid;
	struct user_namespace *user_ns;
	kernel_cap_t rights;
	kernel_cap_t bounds;
	struct udpcr_user *user;
	size_t buffer;
	u32 seconds;
	u64 since;
	unsigned int key_len;
	u8 key[UDPCR_MAX_KEY];
};

void udpcr_parked_exit(void);
u32 udpcr_parked_most(void);
u32 udpcr_parked_most_in(const struct net *net);

bool udpcr_parked_insert(struct udpcr_parked *parked);
int udpcr_parked_take_out(struct udpcr_parked *parked, unsigned long *others);
void udpcr_parked_end(struct udpcr_parked *parked);
void udpcr_parked_put(struct udpcr_parked *parked);

struct udpcr_parked *udpcr_parked_of(const struct sock *sk);
struct udpcr_parked *udpcr_parked_named(const struct net *net, u64 ino,
					const u64 *cookie, bool *stale);
int udpcr_parked_collect(const struct net *net,
			 bool (*wanted)(const struct udpcr_parked *parked,
					const void *data),
			 const void *data, struct udpcr_parked ***found,
			 unsigned int *count);

bool udpcr_parked_renew(struct udpcr_parked *parked, u32 seconds);
bool udpcr_parked_times(struct udpcr_parked *parked, u32 *seconds, u64 *since);

bool udpcr_is_parked(const struct sock *sk);
bool udpcr_is_parked_alone(const struct sock *sk);

#endif /* UDPCR_PARKED_H */
