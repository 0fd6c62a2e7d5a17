/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_KMOD_NETLINK_H
#define UDPCR_KMOD_NETLINK_H

int udpcr_netlink_init(void);
void udpcr_netlink_exit(void);

#endif /* UDPCR_KMOD_NETLINK_H */
