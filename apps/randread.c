// SPDX-License-Identifier: MIT
/*
 * Asynchronous random reads of one block each, DEPTH at a time: prepare,
 * submit once per round, reap what has ended. exo-perf is this, with options.
 *
 *	exo-run --extent 0000:01:00.0/1:0+1M:ro --mem 1M -- randread exo: 1000000
 *	randread uring:some.img 1000000
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <libexo.h>

#define DEPTH 32

int main(int argc, char **argv)
{
	struct exo_completion done[DEPTH];
	struct exo_queue *q;
	struct exo *x;
	struct timespec begin, end;
	char *buf;
	int r;

	if (argc != 3)
		errx(2, "usage: randread NAME READS");
	if ((r = exo_open(argv[1], EXO_READ, &x)) || (r = exo_queue_create(x, NULL, &q)) ||
	    (r = exo_buf_alloc(q, DEPTH * exo_block_size(x), (void **)&buf)))
		errx(1, "%s", exo_strerror(x, r));

	unsigned long reads = strtoul(argv[2], NULL, 0), prepared = 0, reaped = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (reaped < reads) {
		/* The first DEPTH reads take a piece of the buffer each, ... */
		for (; prepared < reads && prepared < DEPTH; prepared++)
			exo_prep_read(q, buf + prepared * exo_block_size(x),
				      random() % exo_blocks(x), 1, prepared);
		if ((r = exo_submit(q)) < 0 || (r = exo_wait(q, done, DEPTH, -1)) < 0)
			errx(1, "%s", exo_strerror(x, r));
		reaped += r;
		/* ... and each later one the piece of one that has ended. */
		for (int i = 0; i < r; i++) {
			if (exo_nvme_status(&done[i].raw))
				errx(1, "a read failed: %s",
				     exo_nvme_status_text(exo_nvme_status(&done[i].raw)));
			if (prepared >= reads)
				continue;
			exo_prep_read(q, buf + done[i].user_data * exo_block_size(x),
				      random() % exo_blocks(x), 1, done[i].user_data);
			prepared++;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.0f reads per second\n",
	       reads / (end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9));
	exo_close(x);
	return 0;
}
