/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UDPCR_LOOK_H
#define UDPCR_LOOK_H

#include <linux/types.h>

struct file;

/**
 * struct udpcr_look - a request's reference to the file of somebody's socket
 * @node: in looks
 * @file: the file
 */
struct udpcr_look {
	struct hlist_node node;
	struct file *file;
};

struct file *udpcr_look_begin(struct udpcr_look *look, struct file **file);
void udpcr_look_end(struct udpcr_look *look);
unsigned long udpcr_look_others(struct file *file);

#endif /* UDPCR_LOOK_H */
