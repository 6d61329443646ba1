/* SPDX-License-Identifier: MIT */
/*
 * What bench/capabilities measures: rows, each a round that is repeated. A round sets
 * up, measures one thing between begin() and end(), and clears away.
 *
 * The same program serves both figures: without the insncount plugin the marks are
 * no-ops and the times are taken; with it each round makes one line of the plugin's.
 */
#ifndef BENCH_CAPABILITIES_H
#define BENCH_CAPABILITIES_H

#include "../selftests/lib.h"
#include "mark.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)

#define REVOKER_CPU 0
#define HOLDER_CPU 1

/**
 * struct place - who runs where
 * @together: revoker and holder share one CPU, the holder more urgent: all that the two do
 *	is then counted, and no idling. Else each has its own, as the latencies want it
 */
struct place {
	bool together;
};

extern struct place place;

struct row {
	const char *name;
	const char *how; /* complied, forced, ... */
	void (*begin)(const struct row *row);
	/* A round that cannot be used says false, and left no line of the plugin's. */
	bool (*round)(const struct row *row);
	void (*end)(const struct row *row);
	__u32 n; /* frames, nodes, commands */
};

extern const struct row rows[];
extern const unsigned int rows_count;

/* The latency of the round under way, ns; whoever measures it stores it. */
extern __u64 latency;

/* Between these lies what is measured, on one CPU; not reported, it is forgotten. */
static inline __u64 measure_begin(void)
{
	__u64 now = now_ns();

	MARK_RESET();
	MARK_START();
	return now;
}

static inline void measure_stop(__u64 begin)
{
	MARK_COMMIT();
	latency = now_ns() - begin;
}

static inline void measure_end(__u64 begin)
{
	measure_stop(begin);
	MARK_REPORT();
}

/* Fails the program. */
void need(int ret, const char *what);

/*
 * This thread: on that CPU, and, when counting, more urgent than what has a smaller number
 * there; 0: not at all.
 */
void settle(int cpu, int urgency);

/* A tree below @frames of @grantor, held by @fd; node i hangs below (i - 1) / @children. */
void tree_build(int grantor, __u32 frames, int fd, __u32 *caps, __u32 n, __u32 children);

/* For holds: everything that holds the lock of the trees for long, once, between marks. */
void lock_exercise(void);

#endif
