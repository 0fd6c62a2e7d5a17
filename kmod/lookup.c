// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/skmsg.h>
#include <udpcr/udpcr_netlink.h>

#include "compat.h"
#include "lookup.h"

static bool is_udp(const struct sock *sk)
{
	return (sk->sk_family == AF_INET || sk->sk_family == AF_INET6) &&
	       sk->sk_type == SOCK_DGRAM &&
	       (sk->sk_protocol == IPPROTO_UDP ||
		sk->sk_protocol == IPPROTO_UDPLITE);
}

/* The socket of @file when its inode is @ino, else NULL. */
static struct socket *socket_with_inode(struct file *file, u64 ino)
{
	struct socket *sock = sock_from_file(file);

	return sock && file_inode(file)->i_ino == ino ? sock : NULL;
}

struct wanted {
	u64 ino;
	struct file *found;
};

static int is_wanted(const void *data, struct file *file, unsigned int fd)
{
	struct wanted *wanted = *(struct wanted * const *)data;

	if (!socket_with_inode(file, wanted->ino))
		return 0;
	/* The table's lock is held, so is a reference of the table's. */
	get_file(file);
	wanted->found = file;
	return 1;
}

static struct file *own_file(u64 ino)
{
	struct wanted wanted = { .ino = ino };
	struct wanted *data = &wanted;

	iterate_fd(current->files, 0, is_wanted, &data);
	return wanted.found;
}

/**
 * udpcr_file_of() - the file of somebody's socket
 * @sk: the socket, referenced or in a table that is locked
 * @look: to be given to udpcr_look_end()
 *
 * Return: the file, NULL when the socket is a kernel's or is being closed.
 */
struct file *udpcr_file_of(struct sock *sk, struct udpcr_look *look)
{
	struct file *file = NULL;

	read_lock_bh(&sk->sk_callback_lock);
	/* sock_orphan() takes sk_socket away under this lock before the file
	 * is freed (net/socket.c, __sock_release).
	 */
	if (sk->sk_socket && sk->sk_socket->file)
		file = udpcr_look_begin(look, &sk->sk_socket->file);
	read_unlock_bh(&sk->sk_callback_lock);
	return file;
}

struct walk {
	struct net *net;
	/* Returns true to end the walk; a slot's lock is held, BH are off. */
	bool (*visit)(struct sock *sk, struct walk *walk);
	u64 ino;
	struct file *found;
	struct udpcr_look *look;
	struct sock **sockets;
	unsigned int count;
	unsigned int room;
};

static bool walk_table(struct udp_table *table, struct walk *walk)
{
	bool end = false;
	unsigned int i;

	for (i = 0; table && i <= table->mask && !end; i++) {
		struct udp_hslot *slot = &table->hash[i];
		struct sock *sk;

		if (hlist_empty(&slot->head))
			continue;
		spin_lock_bh(&slot->lock);
		sk_for_each(sk, &slot->head) {
			if (!net_eq(sock_net(sk), walk->net))
				continue;
			end = walk->visit(sk, walk);
			if (end)
				break;
		}
		spin_unlock_bh(&slot->lock);
		cond_resched();
	}
	return end;
}

static bool walk_bound(struct walk *walk)
{
	return walk_table(udpcr_udp_table(walk->net), walk) ||
	       walk_table(udpcr_udplite_table(), walk);
}

static bool visit_inode(struct sock *sk, struct walk *walk)
{
	if (sock_i_ino(sk) != walk->ino)
		return false;
	walk->found = udpcr_file_of(sk, walk->look);
	return true;
}

static struct file *bound_file(struct net *net, u64 ino,
			       struct udpcr_look *look)
{
	struct walk walk = {
		.net = net,
		.visit = visit_inode,
		.ino = ino,
		.look = look,
	};

	walk_bound(&walk);
	return walk.found;
}

static bool visit_count(struct sock *sk, struct walk *walk)
{
	walk->count++;
	return false;
}

static bool visit_collect(struct sock *sk, struct walk *walk)
{
	if (walk->count == walk->room)
		return true;
	/* Unhashing waits for the slot's lock, the last reference goes later. */
	sock_hold(sk);
	walk->sockets[walk->count++] = sk;
	return false;
}

/**
 * udpcr_collect_bound() - all bound UDP and UDP-Lite sockets of a namespace
 * @net: the namespace
 * @sockets: gets an array of referenced sockets, to be given to kvfree()
 * @count: gets their number
 *
 * Return: 0 or -ENOMEM.
 */
int udpcr_collect_bound(struct net *net, struct sock ***sockets,
			unsigned int *count)
{
	struct walk walk = { .net = net };

	for (;;) {
		walk.visit = visit_count;
		walk.count = 0;
		walk_bound(&walk);
		/* Room for those that are bound meanwhile. */
		walk.room = walk.count + walk.count / 8 + 16;
		walk.sockets = kvmalloc_array(walk.room, sizeof(*walk.sockets),
					      GFP_KERNEL);
		if (!walk.sockets)
			return -ENOMEM;
		walk.visit = visit_collect;
		walk.count = 0;
		if (!walk_bound(&walk))
			break;
		while (walk.count)
			sock_put(walk.sockets[--walk.count]);
		kvfree(walk.sockets);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	*sockets = walk.sockets;
	*count = walk.count;
	return 0;
}

/* The caller holds @file; @own: it came from the caller's own fds. */
static int check_rights(struct sk_buff *request, struct file *file,
			struct sock *sk, bool own,
			struct netlink_ext_ack *extack)
{
	struct sock *netlink = NETLINK_CB(request).sk;
	kuid_t opener = netlink->sk_socket->file->f_cred->fsuid;
	kuid_t user = current_fsuid();
	kuid_t owner = udpcr_sk_uid(sk);

	/* The netlink socket's opener too, so that a request cannot be slipped
	 * to a privileged program as something to write to.
	 */
	if (own && uid_eq(user, opener) &&
	    (uid_eq(user, owner) || uid_eq(user, file->f_cred->fsuid)))
		return 0;
	if (netlink_ns_capable(request, sock_net(sk)->user_ns, CAP_NET_ADMIN))
		return 0;
	if (own)
		udpcr_say(extack,
			  "socket %lu is user %u's: only its user or CAP_NET_ADMIN may have it",
			  (unsigned long)file_inode(file)->i_ino,
			  from_kuid_munged(current_user_ns(), owner));
	else
		udpcr_say(extack,
			  "socket %lu is not open in the caller: that needs CAP_NET_ADMIN",
			  (unsigned long)file_inode(file)->i_ino);
	return -EPERM;
}

static struct file *named_by_fd(u32 fd, u64 ino, int *error,
				struct netlink_ext_ack *extack)
{
	struct file *file = fget(fd);

	if (!file) {
		udpcr_say(extack, "fd %u is not open in the caller", fd);
		*error = -EBADF;
		return NULL;
	}
	if (!sock_from_file(file)) {
		udpcr_say(extack, "fd %u is not a socket", fd);
		*error = -ENOTSOCK;
	} else if (!socket_with_inode(file, ino)) {
		udpcr_say(extack, "fd %u has inode %lu, not %llu", fd,
			  (unsigned long)file_inode(file)->i_ino, ino);
		*error = -ESTALE;
	} else {
		return file;
	}
	fput(file);
	return NULL;
}

/**
 * udpcr_target_get() - finds the socket that a request names
 * @target: gets socket and file, to be given to udpcr_target_put()
 * @request: the request's buffer; its sender is the current task
 * @attrs: its attributes: UDPCR_A_INO, UDPCR_A_FD, UDPCR_A_COOKIE
 * @extack: gets a sentence on failure
 *
 * Return: 0, or an error as <udpcr/udpcr_netlink.h> lists them.
 */
int udpcr_target_get(struct udpcr_target *target, struct sk_buff *request,
		     struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	struct net *net = sock_net(NETLINK_CB(request).sk);
	struct file *file;
	struct sock *sk;
	int error = 0;
	u64 ino;

	if (!attrs[UDPCR_A_INO]) {
		udpcr_say(extack, "UDPCR_A_INO is missing: it names the socket");
		return -EINVAL;
	}
	ino = nla_get_u64(attrs[UDPCR_A_INO]);
	target->own = true;
	if (attrs[UDPCR_A_FD]) {
		file = named_by_fd(nla_get_u32(attrs[UDPCR_A_FD]), ino, &error,
				   extack);
		if (!file)
			return error;
	} else {
		file = own_file(ino);
		if (!file) {
			target->own = false;
			file = bound_file(net, ino, &target->look);
		}
		if (!file) {
			udpcr_say(extack,
				  "no UDP socket of this network namespace has inode %llu",
				  ino);
			return -ENOENT;
		}
	}
	target->file = file;
	sk = sock_from_file(file)->sk;
	if (!sk || !is_udp(sk)) {
		udpcr_say(extack, "socket %llu is not UDP over IPv4 or IPv6", ino);
		error = -EPROTOTYPE;
		goto put;
	}
	if (attrs[UDPCR_A_COOKIE]) {
		u64 cookie = nla_get_u64(attrs[UDPCR_A_COOKIE]);

		if (atomic64_read(&sk->sk_cookie) != cookie) {
			udpcr_say(extack,
				  "inode %llu belongs to another socket now, not cookie %llu",
				  ino, cookie);
			error = -ESTALE;
			goto put;
		}
	}
	error = check_rights(request, file, sk, target->own, extack);
	if (error)
		goto put;
	target->sk = sk;
	return 0;
put:
	udpcr_target_put(target);
	return error;
}

void udpcr_target_put(struct udpcr_target *target)
{
	if (target->own)
		fput(target->file);
	else
		udpcr_look_end(&target->look);
}

/**
 * udpcr_queues_usable() - whether a socket's queues are ours to read and fill
 * @sk: the socket
 * @extack: gets a sentence when they are not
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int udpcr_queues_usable(struct sock *sk, struct netlink_ext_ack *extack)
{
	struct sk_psock *psock;

	if (udp_sk(sk)->encap_type) {
		udpcr_say(extack,
			  "socket %lu is an encapsulation socket (UDP_ENCAP %u): not supported",
			  (unsigned long)sock_i_ino(sk),
			  udp_sk(sk)->encap_type);
		return -EOPNOTSUPP;
	}
	rcu_read_lock();
	psock = sk_psock(sk);
	rcu_read_unlock();
	if (psock) {
		udpcr_say(extack, "socket %lu is in a BPF sockmap: not supported",
			  (unsigned long)sock_i_ino(sk));
		return -EOPNOTSUPP;
	}
	return 0;
}
