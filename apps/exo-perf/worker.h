/* SPDX-License-Identifier: MIT */
/*
 * A worker: one thread, one queue, its buffers, and its share of the figures.
 */
#ifndef EXO_PERF_WORKER_H
#define EXO_PERF_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libexo.h>

#include "histogram.h"
#include "options.h"

/**
 * struct worker - see above
 * @o: the command line
 * @x: the handle, shared by all workers
 * @stop: set from outside to end the run
 * @ended: called by the thread as the last thing it does
 * @ended_arg: for @ended
 * @index: number of the worker
 * @thread: its thread
 * @q: its queue
 * @buf: depth pieces of bs bytes
 * @offsets: of each piece in buffer space
 * @slots: stack of free pieces, the top at @free
 * @free: free pieces
 * @started: when the command on each piece was submitted, in ticks
 * @writes_piece: whether it writes
 * @done: room for completions
 * @blocks: logical blocks of one I/O
 * @places: I/Os that fit into the part of the extent it uses
 * @first: number of its first place in the extent
 * @next: next place of a sequential pattern
 * @random: state of its generator
 * @left: I/Os to start yet
 * @reads: I/Os that read, ended
 * @writes: I/Os that wrote, ended
 * @submits: calls of exo_submit()
 * @latency: see struct result
 * @result: 0 or a negative errno, of the run or of a completion
 * @why: the sentence for it
 */
struct worker {
	const struct options *o;
	struct exo *x;
	atomic_bool *stop;
	void (*ended)(void *arg);
	void *ended_arg;
	unsigned int index;
	pthread_t thread;
	struct exo_queue *q;
	char *buf;
	uint64_t *offsets;
	uint32_t *slots;
	uint32_t free;
	uint64_t *started;
	bool *writes_piece;
	struct exo_completion *done;
	uint32_t blocks;
	uint64_t places;
	uint64_t first;
	uint64_t next;
	uint64_t random;
	uint64_t left;
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	uint64_t submits;
	struct histogram latency;
	int result;
	char why[512];
};

int worker_set_up(struct worker *w);
void worker_tear_down(struct worker *w);
void *worker_run(void *arg);

#endif
