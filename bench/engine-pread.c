// SPDX-License-Identifier: MIT
/* pread(2) or pwrite(2), O_DIRECT: one at a time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"

static int pread_fd;

static int pread_open(struct bench *b)
{
	pread_fd = bench_open(b, O_DIRECT);
	return pread_fd < 0 ? pread_fd : bench_buf_alloc(b);
}

static int pread_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		char *buf = b->buf + io[i].slot * BENCH_BYTES;
		off_t at = (off_t)io[i].block * BENCH_BYTES;
		ssize_t got = b->write ? pwrite(pread_fd, buf, BENCH_BYTES, at)
				       : pread(pread_fd, buf, BENCH_BYTES, at);

		if (got != BENCH_BYTES)
			return got < 0 ? -errno : -EIO;
		bench_done(b, io[i].slot);
	}
	return 0;
}

static int pread_reap(struct bench *b, unsigned int min)
{
	(void)b;
	return min; /* submit() has them all */
}

static void pread_close(struct bench *b)
{
	(void)b;
	close(pread_fd);
}

const struct bench_engine bench_pread = {
	.name = "pread",
	.what = "pread(2), O_DIRECT",
	.depth_max = 1,
	.open = pread_open,
	.submit = pread_submit,
	.reap = pread_reap,
	.close = pread_close,
};
