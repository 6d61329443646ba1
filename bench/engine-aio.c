// SPDX-License-Identifier: MIT
/*
 * Linux AIO, O_DIRECT: io_submit(2) a batch, io_getevents(2). These are the calls that
 * libaio makes, and all that it does with no time-out given.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

struct aio {
	aio_context_t ctx;
	int fd;
	struct iocb iocb[BENCH_DEPTH_MAX];
	struct iocb *list[BENCH_DEPTH_MAX];
	struct io_event event[BENCH_DEPTH_MAX];
};

static int aio_open(struct bench *b)
{
	struct aio *aio = calloc(1, sizeof(*aio));

	if (!aio)
		return -ENOMEM;
	b->engine = aio;
	aio->fd = bench_open(b, O_DIRECT);
	if (aio->fd < 0)
		return aio->fd;
	if (syscall(__NR_io_setup, b->depth, &aio->ctx))
		return -errno;
	return bench_buf_alloc(b);
}

static int aio_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	struct aio *aio = b->engine;

	for (unsigned int i = 0; i < nr; i++) {
		struct iocb *iocb = &aio->iocb[io[i].slot];

		*iocb = (struct iocb){
			.aio_data = io[i].slot,
			.aio_lio_opcode = b->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			.aio_fildes = aio->fd,
			.aio_buf = (uintptr_t)b->buf + io[i].slot * BENCH_BYTES,
			.aio_nbytes = BENCH_BYTES,
			.aio_offset = (int64_t)io[i].block * BENCH_BYTES,
		};
		aio->list[i] = iocb;
	}
	for (unsigned int sent = 0; sent < nr;) {
		long ret = syscall(__NR_io_submit, aio->ctx, nr - sent, aio->list + sent);

		if (ret < 0)
			return -errno;
		sent += ret;
	}
	return 0;
}

static int aio_reap(struct bench *b, unsigned int min)
{
	struct aio *aio = b->engine;
	long got = syscall(__NR_io_getevents, aio->ctx, min, b->depth, aio->event, NULL);

	if (got < 0)
		return -errno;
	for (long i = 0; i < got; i++) {
		if (aio->event[i].res != BENCH_BYTES)
			return aio->event[i].res < 0 ? aio->event[i].res : -EIO;
		bench_done(b, aio->event[i].data);
	}
	return got;
}

static void aio_close(struct bench *b)
{
	struct aio *aio = b->engine;

	syscall(__NR_io_destroy, aio->ctx);
	close(aio->fd);
	free(aio);
}

const struct bench_engine bench_aio = {
	.name = "libaio",
	.what = "Linux AIO, O_DIRECT",
	.depth_max = BENCH_DEPTH_MAX,
	.open = aio_open,
	.submit = aio_submit,
	.reap = aio_reap,
	.close = aio_close,
};
