/* SPDX-License-Identifier: MIT */
/*
 * What is different between two listings of one tree.
 */
#ifndef EXO_DAEMON_CHANGE_H
#define EXO_DAEMON_CHANGE_H

#include <linux/exo.h>

#include <stddef.h>

enum change {
	CHANGE_NEW,
	CHANGE_GONE,
	CHANGE_DROPPED, /* and something still hangs from it */
	CHANGE_ASKED,
	CHANGE_UNASKED,
};

/* @was is NULL for what is new, @now for what is gone. */
typedef void change_told(void *context, enum change change, const struct exo_tree_entry *was,
			 const struct exo_tree_entry *now);

/* Calls @told for each, by node. Sorts both. */
void changes_find(struct exo_tree_entry *was, size_t was_count, struct exo_tree_entry *now,
		  size_t now_count, change_told *told, void *context);

#endif
