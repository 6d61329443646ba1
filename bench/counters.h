/* SPDX-License-Identifier: MIT */
/*
 * The processor's own counters of this thread, by perf_event_open(2), where it has some.
 */
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

enum {
	COUNTER_CYCLES_USER,
	COUNTER_CYCLES_KERNEL,
	COUNTER_INSTRUCTIONS_USER,
	COUNTER_INSTRUCTIONS_KERNEL,
	COUNTERS,
};

/**
 * struct counters - counting, and what was counted
 * @fd: of each counter
 * @error: 0, or the errno that says why there is none
 * @value: events, scaled up where counters had to share
 */
struct counters {
	int fd[COUNTERS];
	int error;
	double value[COUNTERS];
};

void counters_start(struct counters *c);
void counters_stop(struct counters *c);

/* Why there are none, for a person. */
const char *counters_why(int error);

#endif
