/* SPDX-License-Identifier: MIT */
/*
 * Measuring: threads with a queue each, and what they found.
 */
#ifndef EXO_PERF_MEASURE_H
#define EXO_PERF_MEASURE_H

#include <stdint.h>

#include <libexo.h>

#include "histogram.h"
#include "options.h"

/**
 * struct result - what all queues of a run found together
 * @mode: of the queues: exo_queue_mode()
 * @irq_cpu: where interrupts of the first go; -1: it has none
 * @node: NUMA node of its memory; -1: it has none
 * @priority: EXO_PRIORITY_*; none: the device has none
 * @reads: I/Os that read
 * @writes: I/Os that wrote
 * @submits: calls of exo_submit()
 * @ns: duration of the run
 * @ns_per_tick: what @latency counts in
 * @user_ns: processor time in user mode, all threads
 * @system_ns: and in the kernel
 * @latency: from just before the submit to the reap, in ticks
 */
struct result {
	const char *mode;
	int irq_cpu;
	int node;
	int priority;
	uint64_t reads;
	uint64_t writes;
	uint64_t submits;
	uint64_t ns;
	double ns_per_tick;
	uint64_t user_ns;
	uint64_t system_ns;
	struct histogram latency;
};

int measure(struct exo *x, const struct options *o, struct result *result);
void report(struct exo *x, const struct options *o, const struct result *result);

#endif
