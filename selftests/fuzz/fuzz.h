/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzer's workers and their watcher share: the corpus, the places that were
 * reached, and what each worker ran last.
 */
#ifndef EXO_FUZZ_FUZZ_H
#define EXO_FUZZ_FUZZ_H

#include "cover.h"
#include "world.h"

#define CORPUS_MAX 4096u
#define WORKERS_MAX 8u
#define RECENT 16u
#define RESULTS "/work/results/"

struct worker {
	unsigned long runs;
	__u64 began_ms; /* the run that goes on */
	struct input recent[RECENT];
};

struct fuzz {
	struct places places, distilled;
	bool needed[CORPUS_MAX];
	bool stop;
	unsigned int corpus_n, given; /* the first came from files */
	unsigned int workers, fresh;  /* fresh: places reached */
	struct worker worker[WORKERS_MAX];
	struct input corpus[CORPUS_MAX];
};

/* Runs until told to stop; does not return. Odd workers are root's, the others a tenant's. */
void worker_main(struct fuzz *fuzz, struct world *world, unsigned int number);
/* Marks the inputs that reach, each in its turn, what those before did not. Does not return. */
void distill_main(struct fuzz *fuzz, struct world *world, unsigned int number);

/* Lines of the kernel's log that fail a run: the expressions of selftests/vm/bad-log. */
int log_open(void);
/* The next such line since log_open() or the last one, or NULL. */
const char *log_next(void);

#endif
