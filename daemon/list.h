/* SPDX-License-Identifier: MIT */
/*
 * Lines of a derivation tree, for list and for those that act on what it shows.
 */
#ifndef EXO_DAEMON_LIST_H
#define EXO_DAEMON_LIST_H

#include "label.h"
#include "roots.h"

void list_heading(void);
void list_line(const struct machine *m, struct holders_known *known,
	       const struct exo_tree_entry *entry, const char *state);

/* CLOCK_MONOTONIC, ns. */
unsigned long long list_now(void);

#endif
