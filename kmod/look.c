// SPDX-License-Identifier: GPL-2.0-only
/*
 * References to files of other processes' sockets, for as long as a request
 * lasts. Who asks whether anybody has a file open leaves them out.
 *
 * Lock: look_lock is the innermost of all, with BH off: it is taken under
 * sk_callback_lock, which softirqs take.
 */
#include <linux/hashtable.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "look.h"

static DEFINE_HASHTABLE(looks, 6);
static DEFINE_SPINLOCK(look_lock);

/**
 * udpcr_look_begin() - refers to a file without having it open
 * @look: to be given to udpcr_look_end()
 * @file: where the file is kept; cannot go away meanwhile
 *
 * Return: the file, or NULL when its last reference is gone; then there is
 * nothing to be ended.
 */
struct file *udpcr_look_begin(struct udpcr_look *look, struct file **file)
{
	spin_lock_bh(&look_lock);
	look->file = udpcr_get_live_file(file);
	if (look->file)
		hash_add(looks, &look->node, (unsigned long)look->file);
	spin_unlock_bh(&look_lock);
	return look->file;
}

/**
 * udpcr_look_end() - gives the reference back
 * @look: what udpcr_look_begin() has filled
 */
void udpcr_look_end(struct udpcr_look *look)
{
	bool last;

	spin_lock_bh(&look_lock);
	hash_del(&look->node);
	/* With the lock, so that others count right. Not the last one: with BH
	 * off that would be left to a work. Nobody can get at a file of which
	 * this is the last.
	 */
	last = file_count(look->file) == 1;
	if (!last)
		fput(look->file);
	spin_unlock_bh(&look_lock);
	if (last)
		fput(look->file);
}

/**
 * udpcr_look_others() - references to a file beside the caller's and all looks
 * @file: the file; the caller has one reference
 */
unsigned long udpcr_look_others(struct file *file)
{
	struct udpcr_look *look;
	unsigned long others;

	spin_lock_bh(&look_lock);
	others = file_count(file) - 1;
	hash_for_each_possible(looks, look, node, (unsigned long)file)
		if (look->file == file)
			others--;
	spin_unlock_bh(&look_lock);
	return others;
}
