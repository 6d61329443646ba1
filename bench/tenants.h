/* SPDX-License-Identifier: MIT */
/*
 * Tenants: processes that share a disk, each with a session and a checked queue of its own,
 * and a depth that it keeps filled. What they get together, and how fairly.
 */
#ifndef BENCH_TENANTS_H
#define BENCH_TENANTS_H

#include <stdbool.h>

#include "counters.h"

#define TENANTS_MAX 16u

/**
 * struct tenants_order - what is to be measured
 * @device: a name for exo_open()
 * @count: tenants
 * @depth: of each queue
 * @batch: I/Os submitted together
 * @write: writes instead of reads
 * @seconds: that they run
 */
struct tenants_order {
	const char *device;
	unsigned int count;
	unsigned int depth;
	unsigned int batch;
	bool write;
	double seconds;
};

/**
 * struct tenant_figures - of one of them
 * @ios: completed
 * @ns: in so many
 * @counters: of them
 */
struct tenant_figures {
	uint64_t ios;
	uint64_t ns;
	struct counters counters;
};

struct tenants_figures {
	struct tenant_figures at[TENANTS_MAX];
};

/* For child_run(). */
void tenants_measure(const void *arg, void *answer);

#endif
