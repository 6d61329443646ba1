// SPDX-License-Identifier: MIT
/* The engines there are, in the order in which they are measured, and what they share. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "bench.h"

extern const struct bench_engine bench_pread;
extern const struct bench_engine bench_aio;
extern const struct bench_engine bench_uring;
extern const struct bench_engine bench_uring_poll;
extern const struct bench_engine bench_passthru;
extern const struct bench_engine bench_passthru_poll;
extern const struct bench_engine bench_exo;
extern const struct bench_engine bench_exo_thread;
extern const struct bench_engine bench_exo_direct;
extern const struct bench_engine bench_exo_16;

static const struct bench_engine *const engines[] = {
	&bench_pread,	      &bench_aio, &bench_uring,	     &bench_uring_poll, &bench_passthru,
	&bench_passthru_poll, &bench_exo, &bench_exo_thread, &bench_exo_direct, &bench_exo_16,
};

const struct bench_engine *bench_engine_at(unsigned int i)
{
	return i < sizeof(engines) / sizeof(*engines) ? engines[i] : NULL;
}

const struct bench_engine *bench_engine_named(const char *name)
{
	const struct bench_engine *e;

	for (unsigned int i = 0; (e = bench_engine_at(i)); i++)
		if (!strcmp(e->name, name))
			return e;
	return NULL;
}

int bench_buf_alloc(struct bench *b)
{
	return -posix_memalign((void **)&b->buf, BENCH_BYTES, (size_t)b->depth * BENCH_BYTES);
}

/* flags: without the way of access, which follows from what is measured. */
int bench_open(struct bench *b, int flags)
{
	int fd = open(b->device, flags | (b->write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	struct stat st;
	uint64_t bytes;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISBLK(st.st_mode) && !ioctl(fd, BLKGETSIZE64, &bytes))
		b->blocks = bytes / BENCH_BYTES;
	return fd;
}
