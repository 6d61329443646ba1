// SPDX-License-Identifier: MIT
/*
 * --verify: fill the extent with a pattern, or read it all and compare. Two
 * processes that print the same checksum have seen the same data.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "pattern.h"
#include "progress.h"
#include "verify.h"

/**
 * struct pass - one pass over the extent
 * @x: the handle
 * @o: the command line
 * @q: its queue
 * @buf: depth pieces of bs bytes
 * @done: room for completions
 * @free: stack of free pieces
 * @nfree: how many
 * @at: first block of the command on each piece
 * @next: next block to start with
 * @blocks: blocks of the pass
 * @ended: blocks that are done
 * @checksum: of those, in any order
 * @wrong: blocks that did not hold the pattern
 * @told: when progress was last told, ns
 */
struct pass {
	struct exo *x;
	const struct options *o;
	struct exo_queue *q;
	char *buf;
	struct exo_completion *done;
	uint32_t *free;
	uint32_t nfree;
	uint64_t *at;
	uint64_t next;
	uint64_t blocks;
	uint64_t ended;
	uint64_t checksum;
	uint64_t wrong;
	uint64_t told;
};

#define WRONG_SHOWN 5

static bool writes(const struct pass *p)
{
	return p->o->action == ACTION_VERIFY_WRITE;
}

/* Blocks of the command that begins at @at: fewer at the end of the extent. */
static uint32_t length(const struct pass *p, uint64_t at)
{
	uint64_t n = p->o->bs / exo_block_size(p->x);

	return p->blocks - at < n ? p->blocks - at : n;
}

static void fill(struct pass *p, char *piece, uint64_t at)
{
	uint32_t size = exo_block_size(p->x);

	for (uint32_t i = 0; i < length(p, at); i++, piece += size) {
		pattern_fill(piece, size, at + i, p->o->seed);
		p->checksum += pattern_checksum(piece, size, at + i);
	}
}

static void compare(struct pass *p, const char *piece, uint64_t at)
{
	uint32_t size = exo_block_size(p->x);
	char why[128];

	for (uint32_t i = 0; i < length(p, at); i++, piece += size) {
		p->checksum += pattern_checksum(piece, size, at + i);
		if (!pattern_check(piece, size, at + i, p->o->seed, why, sizeof(why)))
			continue;
		if (p->wrong++ < WRONG_SHOWN)
			fprintf(stderr,
				"exo-perf: extent block %llu does not hold the pattern: %s\n",
				(unsigned long long)(at + i), why);
	}
}

static int start_all(struct pass *p)
{
	int r;

	while (p->nfree && p->next < p->blocks) {
		uint32_t piece = p->free[--p->nfree];
		char *buf = p->buf + piece * p->o->bs;

		p->at[piece] = p->next;
		if (writes(p)) {
			fill(p, buf, p->next);
			exo_prep_write(p->q, buf, p->next, length(p, p->next), piece);
		} else {
			exo_prep_read(p->q, buf, p->next, length(p, p->next), piece);
		}
		p->next += length(p, p->next);
	}
	do {
		r = exo_submit(p->q);
	} while (r > 0 && exo_queue_prepared(p->q));
	if (r < 0)
		fprintf(stderr, "exo-perf: %s\n", exo_queue_strerror(p->q, r));
	return r < 0 ? r : 0;
}

static int end_one(struct pass *p, const struct exo_completion *c)
{
	uint32_t piece = c->user_data;
	uint16_t status = exo_nvme_status(&c->raw);

	if (status) {
		fprintf(stderr,
			"exo-perf: the device failed a %s at extent block %llu: %s (status %#x)\n",
			writes(p) ? "write" : "read", (unsigned long long)p->at[piece],
			exo_nvme_status_text(status), status);
		return exo_nvme_status_errno(status);
	}
	if (!writes(p))
		compare(p, p->buf + piece * p->o->bs, p->at[piece]);
	p->ended += length(p, p->at[piece]);
	p->free[p->nfree++] = piece;
	return 0;
}

static int end_some(struct pass *p)
{
	int n = exo_wait(p->q, p->done, p->o->depth, -1), r = 0;

	if (n < 0)
		fprintf(stderr, "exo-perf: %s\n", exo_queue_strerror(p->q, n));
	for (int i = 0; i < n && !r; i++)
		r = end_one(p, &p->done[i]);
	return n < 0 ? n : r;
}

static void tell(struct pass *p)
{
	uint64_t now = clock_ns();

	if (now - p->told < 1000000000)
		return;
	p->told = now;
	progress(p->o, "%s %llu%%", writes(p) ? "writing" : "reading",
		 (unsigned long long)((unsigned __int128)p->ended * 100 / p->blocks));
}

static int run(struct pass *p)
{
	int r = 0;

	p->told = clock_ns();
	while (!r && p->ended < p->blocks) {
		r = start_all(p);
		if (!r)
			r = end_some(p);
		tell(p);
	}
	progress_end(p->o);
	if (r || !writes(p))
		return r;
	r = exo_flush(p->q);
	if (r)
		fprintf(stderr, "exo-perf: %s\n", exo_queue_strerror(p->q, r));
	return r;
}

static int set_up(struct pass *p)
{
	struct exo_queue_options options = {
		.size = sizeof(options),
		.depth = p->o->depth,
		.mode = options_mode(p->o),
		.irq_cpu = p->o->irq_cpu,
		.node = p->o->node,
		.priority = p->o->priority,
	};
	void *buf;
	int r;

	p->done = calloc(p->o->depth, sizeof(*p->done));
	p->free = calloc(p->o->depth, sizeof(*p->free));
	p->at = calloc(p->o->depth, sizeof(*p->at));
	if (!p->done || !p->free || !p->at) {
		fprintf(stderr, "exo-perf: no memory\n");
		return -ENOMEM;
	}
	r = exo_queue_create(p->x, &options, &p->q);
	if (!r)
		r = exo_buf_alloc(p->q, p->o->depth * p->o->bs, &buf);
	if (r) {
		fprintf(stderr, "exo-perf: %s\n", exo_strerror(p->x, r));
		return r;
	}
	p->buf = buf;
	while (p->nfree < p->o->depth) {
		p->free[p->nfree] = p->nfree;
		p->nfree++;
	}
	return 0;
}

static void report_text(const struct pass *p, const char *verdict, double seconds)
{
	double mib = p->ended * (double)exo_block_size(p->x) / (1 << 20);

	printf("%s %llu blocks of %u bytes (%.1f MiB) in %.1f s: %s, checksum %016llx\n",
	       writes(p) ? "wrote" : "read", (unsigned long long)p->ended, exo_block_size(p->x),
	       mib, seconds, verdict, (unsigned long long)p->checksum);
}

static void report_json(const struct pass *p, const char *verdict, double seconds)
{
	printf("{\"verify\": \"%s\", \"blocks\": %llu, \"block_size\": %u, \"seconds\": %.3f, "
	       "\"verdict\": \"%s\", \"wrong_blocks\": %llu, \"checksum\": \"%016llx\"}\n",
	       writes(p) ? "write" : "read", (unsigned long long)p->ended, exo_block_size(p->x),
	       seconds, verdict, (unsigned long long)p->wrong, (unsigned long long)p->checksum);
}

static void report(const struct pass *p, uint64_t ns)
{
	const char *verdict = writes(p) ? "flushed" : p->wrong ? "DIFFERENT" : "identical";

	if (p->wrong > WRONG_SHOWN)
		fprintf(stderr, "exo-perf: %llu blocks in all do not hold the pattern\n",
			(unsigned long long)p->wrong);
	if (p->o->json)
		report_json(p, verdict, ns / 1e9);
	else
		report_text(p, verdict, ns / 1e9);
}

static int check(const struct pass *p)
{
	if (p->o->bs % exo_block_size(p->x) || p->o->bs > exo_transfer_max(p->x)) {
		fprintf(stderr,
			"exo-perf: --bs %llu must be a multiple of %u and at most %u, which is "
			"what "
			"%s moves at once\n",
			(unsigned long long)p->o->bs, exo_block_size(p->x), exo_transfer_max(p->x),
			exo_address(p->x));
		return -EINVAL;
	}
	if (p->o->size && p->o->size / exo_block_size(p->x) > exo_blocks(p->x)) {
		fprintf(stderr, "exo-perf: --size is above the extent's %llu blocks of %u bytes\n",
			(unsigned long long)exo_blocks(p->x), exo_block_size(p->x));
		return -EINVAL;
	}
	return 0;
}

/* 0, or a negative errno after saying why; -EILSEQ if the pattern is not there. */
int verify(struct exo *x, const struct options *o)
{
	struct pass p = { .x = x, .o = o };
	uint64_t begin = clock_ns();
	int r = check(&p);

	if (r)
		return r;
	p.blocks = o->size ? o->size / exo_block_size(x) : exo_blocks(x);
	r = set_up(&p);
	if (!r)
		r = run(&p);
	if (!r)
		report(&p, clock_ns() - begin);
	exo_queue_destroy(p.q);
	free(p.done);
	free(p.free);
	free(p.at);
	return r ? r : p.wrong ? -EILSEQ : 0;
}
