/* SPDX-License-Identifier: MIT */
/*
 * What an engine of exo-bench is: a way to have 4 KiB blocks read, or written, at
 * random, a batch at a time. One file an engine; loop.c drives them all alike.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_BYTES 4096u /* of one I/O */
#define BENCH_DEPTH_MAX 256u

/* An I/O to start: buffer @slot, and the @block-th 4 KiB of the device. */
struct bench_io {
	uint32_t slot;
	uint32_t block;
};

struct bench {
	const char *device;		/* as the engine names it */
	unsigned int depth;		/* I/Os in flight, at most; slots are 0 to depth - 1 */
	unsigned int batch;		/* I/Os started together */
	bool write;			/* what is measured writes */
	bool spin;			/* polled engines: reap() waits, spinning */
	char *buf;			/* depth buffers of BENCH_BYTES, the engine's */
	uint64_t blocks;		/* size of the device, in 4 KiB; set by open() */
	uint32_t done[BENCH_DEPTH_MAX]; /* slots that are free */
	unsigned int done_nr;
	void *engine; /* the engine's own */
};

struct bench_engine {
	const char *name;
	const char *what;
	bool polled; /* completions are looked for, no interrupt tells of them */
	bool ours;   /* exo has the device, not the stock driver */
	unsigned int depth_max;
	int (*open)(struct bench *b);
	/* Starts @nr I/Os; may leave the system call to reap(). 0 or -errno. */
	int (*submit)(struct bench *b, const struct bench_io *io, unsigned int nr);
	/*
	 * Gives finished slots to bench_done(). Waits until there are @min, but a
	 * polled engine with spin off looks once only. Their number or -errno.
	 */
	int (*reap)(struct bench *b, unsigned int min);
	void (*close)(struct bench *b);
};

static inline void bench_done(struct bench *b, uint32_t slot)
{
	b->done[b->done_nr++] = slot;
}

int bench_buf_alloc(struct bench *b);
int bench_open(struct bench *b, int flags);

/* NULL: there is none of that name, or that number. */
const struct bench_engine *bench_engine_named(const char *name);
const struct bench_engine *bench_engine_at(unsigned int i);

#endif
