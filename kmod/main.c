// SPDX-License-Identifier: GPL-2.0-only
/*
 * udpcr: checkpoint and restore of UDP sockets. The interface's manual is
 * <udpcr/udpcr_netlink.h>.
 *
 * netlink.c   the family: commands, policies, answers
 * dump.c      its three dumps
 * lookup.c    from an inode number to a socket, and who may have it
 * record.c    everything about a socket but its queues
 * queue.c     reading receive queue, error queue and cork
 * held.c      queues taken aside, and queues in the making: who has which
 * list.c      one such list, and what it is charged to
 * park.c      requests to park and to claim sockets
 * parked.c    the sockets kept open for whoever will claim them
 * look.c      references to files that are nobody's having them open
 * user.c      what a user holds, reads and parks, and how much it may
 * cork.c      the corked datagram
 * datagram.c  between a datagram and its message, both ways
 * possible.c  what UDP itself could have put there
 */
#include <linux/genetlink.h>
#include <linux/module.h>

#include "compat.h"
#include "held.h"
#include "netlink.h"
#include "parked.h"

static int __init udpcr_init(void)
{
	int ret;

	ret = udpcr_held_init();
	if (ret)
		return ret;
	ret = udpcr_netlink_init();
	if (ret)
		udpcr_held_exit();
	return ret;
}

static void __exit udpcr_exit(void)
{
	udpcr_netlink_exit();
	udpcr_parked_exit();
	udpcr_held_exit();
}

module_init(udpcr_init);
module_exit(udpcr_exit);

MODULE_DESCRIPTION("Checkpoint and restore of UDP sockets");
MODULE_LICENSE("GPL");
