// SPDX-License-Identifier: MIT
/* io_uring on the block device, O_DIRECT: by interrupt, and polled. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "ring.h"

static int uring_open(struct bench *b)
{
	return ring_open(b, O_DIRECT, 0, BENCH_BYTES);
}

static int uring_poll_open(struct bench *b)
{
	return ring_open(b, O_DIRECT, IORING_SETUP_IOPOLL, BENCH_BYTES);
}

static int uring_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	struct ring *ring = b->engine;

	for (unsigned int i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

		if (!sqe)
			return -EBUSY;
		io_uring_prep_rw(b->write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED, sqe, 0,
				 b->buf + io[i].slot * BENCH_BYTES, BENCH_BYTES,
				 (uint64_t)io[i].block * BENCH_BYTES);
		sqe->buf_index = 0;
		sqe->flags = IOSQE_FIXED_FILE;
		sqe->user_data = io[i].slot;
	}
	return ring_start(b);
}

const struct bench_engine bench_uring = {
	.name = "io_uring",
	.what = "io_uring, registered buffers and file",
	.depth_max = BENCH_DEPTH_MAX,
	.open = uring_open,
	.submit = uring_submit,
	.reap = ring_reap,
	.close = ring_close,
};

const struct bench_engine bench_uring_poll = {
	.name = "io_uring-polled",
	.what = "the same with IOPOLL",
	.polled = true,
	.depth_max = BENCH_DEPTH_MAX,
	.open = uring_poll_open,
	.submit = uring_submit,
	.reap = ring_reap,
	.close = ring_close,
};
