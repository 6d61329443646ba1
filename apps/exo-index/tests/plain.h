/* SPDX-License-Identifier: MIT */
/*
 * Pages in plain memory, for tests: with a base, or asked for one by one, each in a buffer that is
 * gone at the next call, with an error when the test wants one.
 */
#ifndef EXO_INDEX_TESTS_PLAIN_H
#define EXO_INDEX_TESTS_PLAIN_H

#include <stdlib.h>
#include <string.h>

#include "pages.h"

/**
 * struct plain - the pages
 * @bytes: of all
 * @window: the page that was got last; the next frees it, so that ASan sees a use of it
 * @number: its number
 * @left: calls of get until one fails; -1: none does
 * @flushes: so far
 */
struct plain {
	struct pages pages;
	char *bytes;
	char *window;
	uint64_t number;
	int left;
	int flushes;
};

static inline void plain_close(struct pages *p)
{
	struct plain *m = (struct plain *)p;

	free(m->window);
	free(m->bytes);
	free(m);
}

static inline void *plain_get(struct pages *p, uint64_t number)
{
	struct plain *m = (struct plain *)p;

	if (m->left >= 0 && m->left-- == 0) {
		p->error = -EIO;
		return NULL;
	}
	free(m->window);
	m->window = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	m->number = number;
	return memcpy(m->window, m->bytes + number * PAGE_BYTES, PAGE_BYTES);
}

/* What is changed and not said to be is lost. */
static inline void plain_changed(struct pages *p, uint64_t number)
{
	struct plain *m = (struct plain *)p;

	if (number == m->number)
		memcpy(m->bytes + number * PAGE_BYTES, m->window, PAGE_BYTES);
}

static inline void plain_want(struct pages *p, uint64_t first, uint64_t count)
{
	if (first + count > p->count)
		abort();
}

static inline int plain_flush(struct pages *p)
{
	((struct plain *)p)->flushes++;
	return 0;
}

static inline void plain_stats(struct pages *p, struct pages_stats *stats)
{
	(void)p;
	memset(stats, 0, sizeof(*stats));
}

static inline struct plain *plain_open(uint64_t count, bool base)
{
	static const struct pages_ops ops = {
		.get = plain_get,
		.changed = plain_changed,
		.want = plain_want,
		.flush = plain_flush,
		.stats = plain_stats,
		.close = plain_close,
	};
	struct plain *m = calloc(1, sizeof(*m));

	m->bytes = aligned_alloc(PAGE_BYTES, count * PAGE_BYTES);
	memset(m->bytes, 0, count * PAGE_BYTES);
	m->pages = (struct pages){ .ops = &ops, .base = base ? m->bytes : NULL, .count = count };
	m->number = UINT64_MAX;
	m->left = -1;
	return m;
}

/* A generator that repeats: xorshift64. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
