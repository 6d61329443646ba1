// SPDX-License-Identifier: MIT
/*
 * A queue of exo through libexo: one system call for a batch, or, with a thread or a direct
 * queue, none; the completion queue read in place.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <libexo.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Empty looks between two checks that the queue is still there. */
#define LOOKS 1000000u
#define THREAD_IDLE_US 100000u

struct exo_engine {
	struct exo *x;
	struct exo_queue *q;
	uint32_t blocks_per_io;			     /* logical blocks in BENCH_BYTES */
	uint8_t opcode;				     /* of what is measured */
	uint64_t offset[BENCH_DEPTH_MAX];	     /* of each buffer, in buffer space */
	struct exo_completion done[BENCH_DEPTH_MAX]; /* room for exo_reap() */
};

static int exo_setup(struct bench *b, struct exo_engine *e, uint32_t mode, uint32_t flags)
{
	struct exo_queue_options options = {
		.size = sizeof(options),
		.depth = b->depth,
		.mode = mode,
		.flags = flags,
		.thread_idle_us = flags & EXO_QUEUE_THREAD ? THREAD_IDLE_US : 0,
	};
	uint32_t rights = EXO_READ | (b->write ? EXO_WRITE : 0) |
			  (mode == EXO_QUEUE_DIRECT ? EXO_DIRECT : 0);
	void *buf;
	int ret;

	ret = exo_open(b->device, rights, &e->x);
	if (ret)
		return ret;
	ret = exo_queue_create(e->x, &options, &e->q);
	if (ret)
		return ret;
	ret = exo_buf_alloc(e->q, (size_t)b->depth * BENCH_BYTES, &buf);
	if (ret)
		return ret;
	b->buf = buf;
	e->opcode = b->write ? EXO_NVME_WRITE : EXO_NVME_READ;
	for (unsigned int slot = 0; slot < b->depth; slot++)
		e->offset[slot] = exo_buf_offset(e->q, b->buf + slot * BENCH_BYTES);
	e->blocks_per_io = BENCH_BYTES / exo_block_size(e->x);
	b->blocks = exo_blocks(e->x) / e->blocks_per_io;
	return 0;
}

static int exo_open_with(struct bench *b, uint32_t mode, uint32_t flags)
{
	struct exo_engine *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return -ENOMEM;
	b->engine = e;
	ret = exo_setup(b, e, mode, flags);
	if (ret)
		fprintf(stderr, "exo: %s\n", exo_strerror(e->x, ret));
	return ret;
}

static int exo_engine_open(struct bench *b)
{
	return exo_open_with(b, EXO_QUEUE_CHECKED, 0);
}

static int exo_engine_open_direct(struct bench *b)
{
	return exo_open_with(b, EXO_QUEUE_DIRECT, 0);
}

/* On any CPU of the machine: the program has one for itself. */
static int exo_engine_open_thread(struct bench *b)
{
	cpu_set_t mine, all;
	int ret;

	sched_getaffinity(0, sizeof(mine), &mine);
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	ret = exo_open_with(b, EXO_QUEUE_CHECKED, EXO_QUEUE_THREAD);
	sched_setaffinity(0, sizeof(mine), &mine);
	return ret;
}

static int exo_engine_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	struct exo_engine *e = b->engine;
	int ret;

	for (unsigned int i = 0; i < nr; i++)
		if (!exo_prep_blocks(e->q, e->opcode, e->offset[io[i].slot],
				     (uint64_t)io[i].block * e->blocks_per_io, e->blocks_per_io,
				     io[i].slot))
			return -EBUSY;
	ret = exo_submit(e->q);
	if (ret == (int)nr)
		return 0;
	fprintf(stderr, "exo: %s\n", exo_queue_strerror(e->q, ret));
	return ret < 0 ? ret : -EIO;
}

static int exo_engine_look(struct bench *b, struct exo_engine *e)
{
	unsigned int nr = exo_reap(e->q, e->done, b->depth);

	for (unsigned int i = 0; i < nr; i++) {
		if (exo_nvme_status(&e->done[i].raw))
			return -EIO;
		bench_done(b, e->done[i].user_data);
	}
	return nr;
}

static int exo_engine_reap(struct bench *b, unsigned int min)
{
	struct exo_engine *e = b->engine;
	unsigned int got = 0, looks = 0;
	int ret;

	do {
		ret = exo_engine_look(b, e);
		if (ret < 0)
			return ret;
		got += ret;
		if (++looks % LOOKS == 0 && !exo_queue_alive(e->q))
			return -ESTALE;
	} while (b->spin && got < min);
	return got;
}

static void exo_engine_close(struct bench *b)
{
	struct exo_engine *e = b->engine;

	exo_close(e->x);
	free(e);
}

const struct bench_engine bench_exo = {
	.name = "exo",
	.what = "exo, checked queue",
	.polled = true,
	.ours = true,
	.depth_max = BENCH_DEPTH_MAX,
	.open = exo_engine_open,
	.submit = exo_engine_submit,
	.reap = exo_engine_reap,
	.close = exo_engine_close,
};

const struct bench_engine bench_exo_thread = {
	.name = "exo-thread",
	.what = "exo, checked queue with a polling thread of the kernel's",
	.polled = true,
	.ours = true,
	.depth_max = BENCH_DEPTH_MAX,
	.open = exo_engine_open_thread,
	.submit = exo_engine_submit,
	.reap = exo_engine_reap,
	.close = exo_engine_close,
};

const struct bench_engine bench_exo_direct = {
	.name = "exo-direct",
	.what = "exo, direct queue",
	.polled = true,
	.ours = true,
	.depth_max = BENCH_DEPTH_MAX,
	.open = exo_engine_open_direct,
	.submit = exo_engine_submit,
	.reap = exo_engine_reap,
	.close = exo_engine_close,
};
