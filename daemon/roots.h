/* SPDX-License-Identifier: MIT */
/*
 * The roots of the derivation trees, claimed, and what hangs from them: the
 * machine's frames, and each NVMe function that exo drives.
 */
#ifndef EXO_DAEMON_ROOTS_H
#define EXO_DAEMON_ROOTS_H

#include <stdint.h>

#include <linux/exo.h>

#include "function.h"

struct root {
	char address[ADDRESS_SIZE]; /* empty: the machine's frames */
	__u32 cap;
	uint64_t node;
	struct exo_controller_query controller; /* of a function */
	struct exo_tree_entry *entries;		/* parents before children */
	size_t count;
};

struct roots {
	int session;
	struct exo_info info;
	struct root *at; /* the machine's frames first */
	size_t count;
};

/*
 * Claims them; what was unbound meanwhile is left out. 0, or a negative errno, and
 * *what is then what could not be done.
 */
int roots_open(const struct machine *m, struct roots *roots, const char **what);

/* The entries of all, as they are now. 0 or a negative errno. */
int roots_list(struct roots *roots);
void roots_close(struct roots *roots);

/* The same for a tool that cannot go on: tells why on stderr. */
int roots_read(const struct machine *m, struct roots *roots);

/* "": the machine's frames. NULL: there is none. */
struct root *roots_find(struct roots *roots, const char *address);

/* Keeps only the first entry of each node, in the order they have. */
size_t entries_once(struct exo_tree_entry *entries, size_t count);

#endif
