/* SPDX-License-Identifier: MIT */
/*
 * The out-of-core job: so many random keys are inserted, looked up, looked up in batches, half of
 * them changed, and all that is there added up. Each value is checked.
 */
#ifndef EXO_INDEX_JOB_H
#define EXO_INDEX_JOB_H

#include "index.h"

#define JOB_PHASES 5

/**
 * struct job_phase - what a phase did
 * @name: which
 * @operations: keys
 * @ns: what it took; of what changes the index, with the flush at its end
 * @did: what the engine did meanwhile
 */
struct job_phase {
	const char *name;
	uint64_t operations;
	uint64_t ns;
	struct pages_stats did;
};

/**
 * struct job - the job
 * @ix: an empty index, open for writing
 * @keys: a power of two
 * @seed: of them
 * @batch: of the third phase
 * @sum: of all values, as read in the last phase; modulo 2^64
 * @phases: what was done
 */
struct job {
	struct index *ix;
	uint64_t keys;
	uint64_t seed;
	uint64_t batch;
	uint64_t sum;
	struct job_phase phases[JOB_PHASES];
};

/* 0, or a negative errno: -EBADMSG something that was read is not what was written. */
int job_run(struct job *j);

/* A number that depends on @seed and @n alone, and looks random. */
uint64_t job_number(uint64_t seed, uint64_t n);

#endif
