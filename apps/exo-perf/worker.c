// SPDX-License-Identifier: MIT
/*
 * The loop that is measured: keep the depth filled in steps of a batch, submit
 * each batch with one call, reap by looking at the completion queue.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/mark.h"
#include "clock.h"
#include "pattern.h"
#include "worker.h"

#define LOOKS 128 /* at an empty completion queue before the processor is yielded */

static int fail(struct worker *w, int result)
{
	w->result = result;
	snprintf(w->why, sizeof(w->why), "%s", exo_queue_strerror(w->q, result));
	return result;
}

static int alloc_tables(struct worker *w)
{
	uint32_t depth = w->o->depth;

	w->offsets = calloc(depth, sizeof(*w->offsets));
	w->slots = calloc(depth, sizeof(*w->slots));
	w->started = calloc(depth, sizeof(*w->started));
	w->writes_piece = calloc(depth, sizeof(*w->writes_piece));
	w->done = calloc(depth, sizeof(*w->done));
	if (w->offsets && w->slots && w->started && w->writes_piece && w->done)
		return 0;
	snprintf(w->why, sizeof(w->why), "no memory for the tables of depth %u", depth);
	return -ENOMEM;
}

/* Something to write, and something other than what a Read would bring. */
static void fill_pieces(struct worker *w)
{
	for (uint32_t i = 0; i < w->o->depth; i++) {
		char *piece = w->buf + i * w->o->bs;

		pattern_fill(piece, w->o->bs, i, w->o->seed);
		w->offsets[i] = exo_buf_offset(w->q, piece);
		w->slots[w->free++] = i;
	}
}

/* Queue and buffers. On failure worker_tear_down() undoes what was done. */
int worker_set_up(struct worker *w)
{
	struct exo_queue_options options = {
		.size = sizeof(options),
		.depth = w->o->depth,
		.mode = options_mode(w->o),
		.irq_cpu = w->o->irq_cpu,
		.node = w->o->node,
		.priority = w->o->priority,
	};
	void *buf;
	int r;

	histogram_init(&w->latency);
	w->random = w->o->seed + w->index;
	w->left = w->o->ios ? w->o->ios : UINT64_MAX;
	r = alloc_tables(w);
	if (r)
		return r;
	r = exo_queue_create(w->x, &options, &w->q);
	if (!r)
		r = exo_buf_alloc(w->q, w->o->depth * w->o->bs, &buf);
	if (r) {
		snprintf(w->why, sizeof(w->why), "%s", exo_strerror(w->x, r));
		return r;
	}
	w->buf = buf;
	fill_pieces(w);
	return 0;
}

void worker_tear_down(struct worker *w)
{
	if (w->buf)
		exo_buf_free(w->q, w->buf);
	exo_queue_destroy(w->q);
	free(w->offsets);
	free(w->slots);
	free(w->started);
	free(w->writes_piece);
	free(w->done);
}

static uint64_t next_place(struct worker *w)
{
	uint64_t place;

	if (w->o->random)
		return (unsigned __int128)splitmix64(&w->random) * w->places >> 64;
	place = w->next;
	w->next = place + 1 == w->places ? 0 : place + 1;
	return place;
}

static bool next_writes(struct worker *w)
{
	if (w->o->reads == 100 || !w->o->reads)
		return !w->o->reads;
	return splitmix64(&w->random) % 100 >= w->o->reads;
}

static void prepare(struct worker *w, unsigned int n)
{
	while (n--) {
		uint32_t piece = w->slots[--w->free];
		bool writes = next_writes(w);

		w->writes_piece[piece] = writes;
		exo_prep_blocks(w->q, writes ? EXO_NVME_WRITE : EXO_NVME_READ, w->offsets[piece],
				(w->first + next_place(w)) * w->blocks, w->blocks, piece);
	}
}

/* Note when the commands that are prepared were submitted. */
static void stamp(struct worker *w, unsigned int n)
{
	uint64_t now = clock_ticks();

	for (unsigned int i = 0; i < n; i++)
		w->started[w->slots[w->free + i]] = now;
}

static int submit(struct worker *w, unsigned int n)
{
	int r;

	stamp(w, n);
	do {
		if (w->o->marks)
			MARK_START();
		r = exo_submit(w->q);
		if (w->o->marks)
			MARK_COMMIT();
		w->submits++;
	} while (r >= 0 && exo_queue_prepared(w->q));
	return r < 0 ? fail(w, r) : 0;
}

/* One batch, if there is one to start. */
static int start(struct worker *w)
{
	unsigned int n = w->left < w->o->batch ? w->left : w->o->batch;

	if (w->o->marks)
		MARK_START();
	prepare(w, n);
	if (w->o->marks)
		MARK_COMMIT();
	w->left -= n;
	return submit(w, n);
}

static void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

/* Look until there is a completion, without marks. */
static int await(struct worker *w)
{
	for (unsigned int looks = 0; !exo_peek(w->q); looks++) {
		if (looks < LOOKS) {
			relax();
			continue;
		}
		if (!exo_queue_alive(w->q) && !exo_peek(w->q)) {
			w->result = -ESTALE;
			snprintf(w->why, sizeof(w->why),
				 "the queue died during the run: it was taken back, or its device "
				 "failed or was unbound");
			return -ESTALE;
		}
		sched_yield();
		looks = 0;
	}
	return 0;
}

static int account(struct worker *w, unsigned int n)
{
	uint64_t now = clock_ticks();
	unsigned int writes = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t piece = w->done[i].user_data;
		uint16_t status = exo_nvme_status(&w->done[i].raw);

		if (status) {
			w->result = exo_nvme_status_errno(status);
			snprintf(w->why, sizeof(w->why), "the device failed a %s: %s (status %#x)",
				 w->writes_piece[piece] ? "write" : "read",
				 exo_nvme_status_text(status), status);
			return w->result;
		}
		/* The counters of two processors may be a little apart. */
		histogram_record(&w->latency,
				 now > w->started[piece] ? now - w->started[piece] : 0);
		writes += w->writes_piece[piece];
		w->slots[w->free++] = piece;
	}
	atomic_store_explicit(&w->writes, w->writes + writes, memory_order_relaxed);
	atomic_store_explicit(&w->reads, w->reads + n - writes, memory_order_relaxed);
	return 0;
}

static int reap(struct worker *w)
{
	unsigned int n;

	if (await(w))
		return w->result;
	if (w->o->marks)
		MARK_START();
	n = exo_reap(w->q, w->done, w->o->depth);
	if (w->o->marks)
		MARK_COMMIT();
	return account(w, n);
}

static bool wants_more(const struct worker *w)
{
	return w->left && !atomic_load_explicit(w->stop, memory_order_relaxed);
}

static void run(struct worker *w)
{
	if (w->o->marks)
		MARK_RESET();
	while (wants_more(w)) {
		while (w->free >= w->o->batch && wants_more(w))
			if (start(w))
				return;
		if (exo_queue_in_flight(w->q) && reap(w))
			return;
	}
	while (exo_queue_in_flight(w->q))
		if (reap(w))
			return;
	if (w->o->marks)
		MARK_REPORT();
}

void *worker_run(void *arg)
{
	struct worker *w = arg;

	run(w);
	w->ended(w->ended_arg);
	return NULL;
}
