/* SPDX-License-Identifier: MIT */
/*
 * Which capabilities of a tree are to be taken back.
 */
#ifndef EXO_DAEMON_PICK_H
#define EXO_DAEMON_PICK_H

#include <linux/exo.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pick_by { PICK_NODE, PICK_PID, PICK_UID, PICK_SESSION };

struct pick {
	enum pick_by by;
	uint64_t number;
};

/*
 * Of entries with parents before children: takes those picked that no other picked
 * one stands above of, since they go with that. Their indices, to free; *count of them.
 */
size_t *pick_topmost(const struct exo_tree_entry *entries, size_t entries_count,
		     const struct pick *pick, size_t *count);

/* One behind the last entry that hangs below the one at top. */
size_t pick_end(const struct exo_tree_entry *entries, size_t entries_count, size_t top);

#endif
