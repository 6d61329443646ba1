// SPDX-License-Identifier: MIT
/*
 * Two listings side by side; see change.h.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "change.h"

static int by_node(const void *a, const void *b)
{
	const struct exo_tree_entry *x = a, *y = b;

	return x->node < y->node ? -1 : x->node > y->node;
}

static void compare(const struct exo_tree_entry *was, const struct exo_tree_entry *now,
		    change_told *told, void *context)
{
	if (was->state == now->state)
		return;
	if (now->state == EXO_TREE_DROPPED)
		told(context, CHANGE_DROPPED, was, now);
	else
		told(context, now->state == EXO_TREE_ASKED ? CHANGE_ASKED : CHANGE_UNASKED, was,
		     now);
}

void changes_find(struct exo_tree_entry *was, size_t was_count, struct exo_tree_entry *now,
		  size_t now_count, change_told *told, void *context)
{
	size_t i = 0, k = 0;

	if (was_count)
		qsort(was, was_count, sizeof(*was), by_node);
	if (now_count)
		qsort(now, now_count, sizeof(*now), by_node);
	while (i < was_count || k < now_count) {
		if (k == now_count || (i < was_count && was[i].node < now[k].node)) {
			told(context, CHANGE_GONE, &was[i++], NULL);
		} else if (i == was_count || now[k].node < was[i].node) {
			told(context, CHANGE_NEW, NULL, &now[k++]);
		} else {
			compare(&was[i++], &now[k], told, context);
			k++;
		}
	}
}
