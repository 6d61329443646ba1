/* SPDX-License-Identifier: MIT */
/* The io_uring below the four engines that use one, tuned alike. */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <liburing.h>

#include "bench.h"

struct ring {
	struct io_uring uring;
	int fd;
	bool iopoll;
	int32_t good; /* res of a read that went well */
};

int ring_open(struct bench *b, int open_flags, unsigned int setup_flags, int32_t good);
int ring_start(struct bench *b);
int ring_reap(struct bench *b, unsigned int min);
void ring_close(struct bench *b);

#endif
