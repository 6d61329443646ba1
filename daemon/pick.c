// SPDX-License-Identifier: MIT
/*
 * Which capabilities are to be taken back; see pick.h.
 */
#define _GNU_SOURCE
#include "machine.h"
#include "pick.h"

/* Nobody holds what was dropped. By number, all below it can be meant. */
static bool picked(const struct exo_tree_entry *entry, const struct pick *pick)
{
	if (pick->by == PICK_NODE)
		return entry->node == pick->number;
	if (entry->state == EXO_TREE_DROPPED)
		return false;
	switch (pick->by) {
	case PICK_PID:
		return entry->pid == pick->number;
	case PICK_UID:
		return entry->uid == pick->number;
	default:
		return entry->session == pick->number;
	}
}

size_t pick_end(const struct exo_tree_entry *entries, size_t entries_count, size_t top)
{
	size_t i = top + 1;

	while (i < entries_count && entries[i].depth > entries[top].depth)
		i++;
	return i;
}

size_t *pick_topmost(const struct exo_tree_entry *entries, size_t entries_count,
		     const struct pick *pick, size_t *count)
{
	size_t *list = NULL, i = 0;

	*count = 0;
	while (i < entries_count) {
		if (!picked(&entries[i], pick)) {
			i++;
			continue;
		}
		list = must_alloc(list, (*count + 1) * sizeof(*list));
		list[(*count)++] = i;
		i = pick_end(entries, entries_count, i);
	}
	return list;
}
