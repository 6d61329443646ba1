/* SPDX-License-Identifier: MIT */
/*
 * What an input finds: sessions with a few capabilities, made anew for each run, and a
 * neighbour that is not to notice.
 *
 * Session 0 holds 1: a pool; 2: a controller (exo0) with two queues; 3: an extent of its
 * namespace 1, FUZZ_BLOCKS from FUZZ_FIRST on, to read, write and trim; 4: the whole of
 * exo1, with two queues and the rights to make extents and to have it alone. Session 1 holds
 * the same pool as 1. Session 2 holds, where the run is root's, a claim of exo1, else nothing.
 * Session 3 is that of all runs of all workers.
 */
#ifndef EXO_FUZZ_WORLD_H
#define EXO_FUZZ_WORLD_H

#include "../lib.h"
#include "input.h"

#define FUZZ_FIRST EXTENT_FIRST
#define FUZZ_BLOCKS 2048u

struct world {
	int grantor, shared;
	__u32 root_pool, root_controller[2];
	__u32 address[2];
	bool root; /* runs are root's */
};

/* Once, as root. *why: what lacked. */
int world_open(struct world *w, const char **why);
/* The sessions of a run. What cannot be granted just now is missing. */
int world_begin(const struct world *w, int fd[SESSIONS]);
/* Drops what the shared session holds. */
void world_tidy(const struct world *w);

/* A tenant of exo0 with blocks on either side of those of the runs, and frames. */
struct victim {
	int fd;
	__u32 pool, controller, extent[2];
	struct ring ring;
	struct buffer frames; /* pattern; room to read */
	__u32 generation;
};

int victim_create(const struct world *w, struct victim *v, const char **why);
/* NULL, or what is wrong. */
const char *victim_check(struct victim *v);

#endif
