// SPDX-License-Identifier: MIT
/*
 * --show-refusal: what happens to a command that its sender has no right to.
 * The Read is well formed in every other way; it begins one block past the end.
 */
#include <errno.h>
#include <stdio.h>

#include "refusal.h"

static void show(const struct options *o, struct exo_queue *q, int r)
{
	const char *why = exo_queue_strerror(q, r);

	if (o->json)
		printf("{\"refused\": true, \"errno\": %d, \"reason\": \"%s\", \"why\": \"%s\"}\n",
		       -r, exo_reason_name(q->detail.reason), why);
	else
		printf("refused (%s): %s\n", exo_reason_name(q->detail.reason), why);
}

/* The same queue goes on working for what it may do. */
static int read_inside(struct exo *x, struct exo_queue *q, void *buf)
{
	int r = exo_read(q, buf, exo_blocks(x) - 1, 1);

	if (r)
		fprintf(stderr, "exo-perf: after the refusal: %s\n", exo_queue_strerror(q, r));
	return r;
}

static int try_outside(struct exo *x, const struct options *o, struct exo_queue *q, void *buf)
{
	int r;

	exo_prep_read(q, buf, exo_blocks(x), 1, 0);
	r = exo_submit(q);
	if (r >= 0) {
		fprintf(stderr, "exo-perf: a Read outside the extent was NOT refused\n");
		return -EILSEQ;
	}
	show(o, q, r);
	exo_withdraw(q, 0);
	return r == -ERANGE ? read_inside(x, q, buf) : r;
}

/* 0 if the command was refused as it should be. */
int show_refusal(struct exo *x, const struct options *o)
{
	struct exo_queue *q;
	void *buf;
	int r;

	r = exo_queue_create(x, NULL, &q);
	if (!r)
		r = exo_buf_alloc(q, exo_block_size(x), &buf);
	if (r) {
		fprintf(stderr, "exo-perf: %s\n", exo_strerror(x, r));
		return r;
	}
	return try_outside(x, o, q, buf);
}
