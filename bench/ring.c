// SPDX-License-Identifier: MIT
/*
 * io_uring as its authors tune it: one issuer, completions run by the issuer
 * when it asks for them (DEFER_TASKRUN), buffers, file and ring registered,
 * submission and wait in one system call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"

static int ring_register(struct bench *b, struct ring *ring)
{
	struct iovec iov = { .iov_base = b->buf, .iov_len = (size_t)b->depth * BENCH_BYTES };
	int ret;

	ret = io_uring_register_buffers(&ring->uring, &iov, 1);
	if (ret)
		return ret;
	ret = io_uring_register_files(&ring->uring, &ring->fd, 1);
	if (ret)
		return ret;
	ret = io_uring_register_ring_fd(&ring->uring);
	return ret < 0 ? ret : 0;
}

int ring_open(struct bench *b, int open_flags, unsigned int setup_flags, int32_t good)
{
	struct io_uring_params params = {
		.flags = setup_flags | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	struct ring *ring = calloc(1, sizeof(*ring));
	int ret;

	if (!ring)
		return -ENOMEM;
	b->engine = ring;
	ring->iopoll = setup_flags & IORING_SETUP_IOPOLL;
	ring->good = good;
	ring->fd = bench_open(b, open_flags);
	if (ring->fd < 0)
		return ring->fd;
	ret = bench_buf_alloc(b);
	if (ret)
		return ret;
	ret = io_uring_queue_init_params(b->depth, &ring->uring, &params);
	return ret ? ret : ring_register(b, ring);
}

/* Waiting for interrupts, the one call is made by ring_reap(). */
int ring_start(struct bench *b)
{
	struct ring *ring = b->engine;
	int ret;

	if (!ring->iopoll || b->spin)
		return 0;
	ret = io_uring_submit(&ring->uring); /* with IOPOLL, looks once too */
	return ret < 0 ? ret : 0;
}

static int ring_collect(struct bench *b, struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;

	io_uring_for_each_cqe(&ring->uring, head, cqe)
	{
		if (cqe->res != ring->good)
			return cqe->res < 0 ? cqe->res : -EIO;
		bench_done(b, cqe->user_data);
		nr++;
	}
	io_uring_cq_advance(&ring->uring, nr);
	return nr;
}

int ring_reap(struct bench *b, unsigned int min)
{
	struct ring *ring = b->engine;
	int ret;

	if (ring->iopoll && !b->spin) {
		ret = ring_collect(b, ring);
		if (ret)
			return ret;
		ret = io_uring_get_events(&ring->uring);
	} else {
		ret = io_uring_submit_and_wait(&ring->uring, min);
	}
	return ret < 0 ? ret : ring_collect(b, ring);
}

void ring_close(struct bench *b)
{
	struct ring *ring = b->engine;

	io_uring_queue_exit(&ring->uring);
	close(ring->fd);
	free(ring);
}
