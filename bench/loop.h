/* SPDX-License-Identifier: MIT */
/*
 * The loop that drives an engine, in the process that was made for it: it ends that
 * process, having said why on stderr, when the engine fails.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include "../apps/exo-perf/histogram.h"
#include "bench.h"
#include "counters.h"

/* Of the process: the row cannot be had here; it broke while it was measured. */
#define LOOP_CANNOT 3
#define LOOP_BROKE 1

enum { LOOP_P50, LOOP_P90, LOOP_P99, LOOP_P99_9, LOOP_P99_99, LOOP_PERCENTILES };

/**
 * struct loop_order - what is to be measured
 * @engine: with what
 * @device: as the engine names it
 * @depth: I/Os in flight
 * @batch: I/Os submitted together
 * @write: writes instead of reads
 * @cpu: to run on
 * @seconds: of the rate; latencies take half as long after it
 * @count: if not 0, so many reads between marks, and nothing else
 */
struct loop_order {
	const struct bench_engine *engine;
	const char *device;
	unsigned int depth;
	unsigned int batch;
	bool write;
	int cpu;
	double seconds;
	uint64_t count;
};

/**
 * struct loop_figures - what was measured
 * @ios: I/Os of the rate
 * @ns: that they took
 * @us: latency percentiles; negative: too few I/Os to tell
 * @us_max: the longest
 * @counters: of the I/Os of the rate, not of the latencies
 */
struct loop_figures {
	uint64_t ios;
	uint64_t ns;
	double us[LOOP_PERCENTILES];
	double us_max;
	struct counters counters;
};

void loop_run(const struct loop_order *order, struct loop_figures *figures);
void loop_pin(int cpu);

#endif
