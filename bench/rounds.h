/* SPDX-License-Identifier: MIT */
/* The rounds of a run: every row at every depth, first the stock driver's, then exo's. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include "bench.h"
#include "loan.h"
#include "results.h"

#define POINTS_MAX 8u
#define ROWS_MAX 16u

/* Two rows that no engine is behind. */
#define ROW_FIRST_READ "first-read"
#define ROW_TENANTS "tenants"

/**
 * struct rounds - what is to be measured
 * @depth: of each point
 * @batch: of each point
 * @points: there are
 * @rows: by name
 * @rows_nr: there are
 * @rounds: of all of them
 * @seconds: of a rate
 * @write: writes instead of reads
 * @cpu: to run on
 * @count: if not 0, reads between marks for the insncount plugin, and no times
 * @raw: a line on stdout for each measurement
 */
struct rounds {
	unsigned int depth[POINTS_MAX];
	unsigned int batch[POINTS_MAX];
	unsigned int points;
	const char *rows[ROWS_MAX];
	unsigned int rows_nr;
	unsigned int rounds;
	double seconds;
	bool write;
	int cpu;
	uint64_t count;
	bool raw;
};

bool rounds_know(const char *row);

/*
 * 0; 1 if a row broke, 2 if exo-bench is to stop, 3 if the disk cannot be moved, after
 * saying why. @loan is begun.
 */
int rounds_run(const struct rounds *rounds, struct loan *loan, struct results *results);

#endif
