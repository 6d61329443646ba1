// SPDX-License-Identifier: MIT
/* Linux AIO (libaio), O_DIRECT: io_submit(2) a batch, io_getevents(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

struct aio {
	io_context_t ctx;
	int fd;
	struct iocb iocb[BENCH_DEPTH_MAX];
	struct iocb *list[BENCH_DEPTH_MAX];
	struct io_event event[BENCH_DEPTH_MAX];
};

static int aio_open(struct bench *b)
{
	struct aio *aio = calloc(1, sizeof(*aio));
	int ret;

	if (!aio)
		return -ENOMEM;
	b->engine = aio;
	aio->fd = bench_open(b, O_RDONLY | O_DIRECT);
	if (aio->fd < 0)
		return aio->fd;
	ret = io_setup(b->depth, &aio->ctx);
	return ret < 0 ? ret : bench_buf_alloc(b);
}

static int aio_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	struct aio *aio = b->engine;

	for (unsigned int i = 0; i < nr; i++) {
		struct iocb *iocb = &aio->iocb[io[i].slot];

		io_prep_pread(iocb, aio->fd, b->buf + io[i].slot * BENCH_BYTES, BENCH_BYTES,
			      (long long)io[i].block * BENCH_BYTES);
		iocb->data = (void *)(uintptr_t)io[i].slot;
		aio->list[i] = iocb;
	}
	for (unsigned int sent = 0; sent < nr;) {
		int ret = io_submit(aio->ctx, nr - sent, aio->list + sent);

		if (ret < 0)
			return ret;
		sent += ret;
	}
	return 0;
}

static int aio_reap(struct bench *b, unsigned int min)
{
	struct aio *aio = b->engine;
	int got = io_getevents(aio->ctx, min, b->depth, aio->event, NULL);

	for (int i = 0; i < got; i++) {
		if (aio->event[i].res != BENCH_BYTES)
			return -EIO;
		bench_done(b, (uintptr_t)aio->event[i].data);
	}
	return got;
}

static void aio_close(struct bench *b)
{
	struct aio *aio = b->engine;

	io_destroy(aio->ctx);
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
