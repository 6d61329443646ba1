// SPDX-License-Identifier: MIT
/*
 * Sixteen sessions of exo, each with a checked queue and buffers of its own, that submit in
 * turn: what a read costs beside others, to be held against the row exo, which is alone.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <libexo.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define SESSIONS 16u
#define LOOKS 1000000u /* that find nothing, between two checks that the queues are there */

struct many {
	struct session {
		struct exo *x;
		struct exo_queue *q;
		uint64_t offset[BENCH_DEPTH_MAX];
		unsigned int in_flight;
	} at[SESSIONS];
	uint32_t blocks_per_io;
	unsigned int turn;
	uint32_t busy; /* the sessions that have something in flight */
	struct exo_completion done[BENCH_DEPTH_MAX];
};

static int open_session(struct bench *b, struct session *s)
{
	struct exo_queue_options options = { .size = sizeof(options), .depth = b->depth };
	char *buf;
	int ret;

	ret = exo_open(b->device, EXO_READ | (b->write ? EXO_WRITE : 0), &s->x);
	if (!ret)
		ret = exo_queue_create(s->x, &options, &s->q);
	if (!ret)
		ret = exo_buf_alloc(s->q, (size_t)b->depth * BENCH_BYTES, (void **)&buf);
	if (ret) {
		fprintf(stderr, "exo: %s\n", exo_strerror(s->x, ret));
		return ret;
	}
	for (unsigned int slot = 0; slot < b->depth; slot++)
		s->offset[slot] = exo_buf_offset(s->q, buf + slot * BENCH_BYTES);
	/* The buffers that the warm-up looks at are the first session's. */
	if (!b->buf)
		b->buf = buf;
	return 0;
}

static int many_open(struct bench *b)
{
	struct many *many = calloc(1, sizeof(*many));
	int ret = 0;

	if (!many)
		return -ENOMEM;
	b->engine = many;
	for (unsigned int i = 0; !ret && i < SESSIONS; i++)
		ret = open_session(b, &many->at[i]);
	if (ret)
		return ret;
	many->blocks_per_io = BENCH_BYTES / exo_block_size(many->at[0].x);
	b->blocks = exo_blocks(many->at[0].x) / many->blocks_per_io;
	return 0;
}

static int many_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	struct many *many = b->engine;
	struct session *s = &many->at[many->turn];
	int ret;

	for (unsigned int i = 0; i < nr; i++)
		if (!exo_prep_blocks(s->q, b->write ? EXO_NVME_WRITE : EXO_NVME_READ,
				     s->offset[io[i].slot],
				     (uint64_t)io[i].block * many->blocks_per_io,
				     many->blocks_per_io, io[i].slot))
			return -EBUSY;
	ret = exo_submit(s->q);
	if (ret != (int)nr) {
		fprintf(stderr, "exo: %s\n", exo_queue_strerror(s->q, ret));
		return ret < 0 ? ret : -EIO;
	}
	s->in_flight += nr;
	many->busy |= 1u << many->turn;
	many->turn = (many->turn + 1) % SESSIONS;
	return 0;
}

static int look_at(struct bench *b, struct many *many, unsigned int number)
{
	struct session *s = &many->at[number];
	unsigned int nr = exo_reap(s->q, many->done, b->depth);

	for (unsigned int i = 0; i < nr; i++) {
		if (exo_nvme_status(&many->done[i].raw))
			return -EIO;
		bench_done(b, many->done[i].user_data);
	}
	s->in_flight -= nr;
	if (!s->in_flight)
		many->busy &= ~(1u << number);
	return nr;
}

static int look(struct bench *b, struct many *many)
{
	int got = 0, ret = 0;

	for (uint32_t left = many->busy; left && ret >= 0; left &= left - 1) {
		ret = look_at(b, many, __builtin_ctz(left));
		got += ret;
	}
	return ret < 0 ? ret : got;
}

static int many_reap(struct bench *b, unsigned int min)
{
	struct many *many = b->engine;
	unsigned int got = 0, looks = 0;
	int ret;

	do {
		ret = look(b, many);
		if (ret < 0)
			return ret;
		got += ret;
		if (++looks % LOOKS == 0 && !exo_queue_alive(many->at[0].q))
			return -ESTALE;
	} while (b->spin && got < min);
	return got;
}

static void many_close(struct bench *b)
{
	struct many *many = b->engine;

	for (unsigned int i = 0; i < SESSIONS; i++)
		exo_close(many->at[i].x);
	free(many);
}

const struct bench_engine bench_exo_16 = {
	.name = "exo-16",
	.what = "exo, 16 sessions with a checked queue each, in turn",
	.polled = true,
	.ours = true,
	.depth_max = BENCH_DEPTH_MAX,
	.open = many_open,
	.submit = many_submit,
	.reap = many_reap,
	.close = many_close,
};
