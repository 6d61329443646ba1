// SPDX-License-Identifier: MIT
/*
 * Pages through a pager of libexo on an extent: a touch of one that is not in memory calls the
 * pager, in this program, which reads it with a queue of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libexo.h>

#include "pages.h"

struct paged {
	struct pages pages;
	struct exo *x;
	struct exo_pager *pager;
};

static void exo_want(struct pages *p, uint64_t first, uint64_t count)
{
	exo_pager_prefetch(((struct paged *)p)->pager, p->base + first * PAGE_BYTES,
			   count * PAGE_BYTES);
}

static int exo_flush_pages(struct pages *p)
{
	return exo_pager_flush(((struct paged *)p)->pager);
}

static void exo_stats(struct pages *p, struct pages_stats *stats)
{
	struct exo_pager_stats s = { .size = sizeof(s) };

	exo_pager_get_stats(((struct paged *)p)->pager, &s);
	stats->misses = s.reads - s.ahead;
	stats->read_bytes = s.reads * PAGE_BYTES;
	stats->written_bytes = s.writes * PAGE_BYTES;
}

static void exo_close_pages(struct pages *p)
{
	struct paged *e = (struct paged *)p;

	exo_pager_destroy(e->pager);
	exo_close(e->x);
	free(e);
}

static const struct pages_ops exo_ops = {
	.want = exo_want,
	.flush = exo_flush_pages,
	.stats = exo_stats,
	.close = exo_close_pages,
};

/* Whoever touched it cannot be told, and cannot go on: that is the end, with a reason. */
static void on_error(void *arg, void *address, int error)
{
	struct paged *e = arg;
	char text[160];
	int n = snprintf(text, sizeof(text), "exo-index: page %llu cannot be had: %s\n",
			 (unsigned long long)((char *)address - e->pages.base) / PAGE_BYTES,
			 strerror(-error));

	if (write(STDERR_FILENO, text, n) < 0)
		_exit(2);
	_exit(1);
}

int pages_open_exo(const struct pages_options *o, struct pages **out, char *why, size_t size)
{
	struct paged *e = calloc(1, sizeof(*e));
	struct exo_pager_options options = {
		.size = sizeof(options),
		.page = PAGE_BYTES,
		.memory = o->memory,
		.read_ahead = EXO_READ_AHEAD_NONE, /* keys are hashed */
		.on_error = on_error,
		.arg = e,
	};
	int r;

	if (!e) {
		snprintf(why, size, "no memory");
		return -ENOMEM;
	}
	r = exo_open(o->name, EXO_READ | (o->write ? EXO_WRITE : 0), &e->x);
	if (!r)
		r = exo_pager_create(e->x, &options, &e->pager);
	if (r) {
		snprintf(why, size, "%s", exo_strerror(e->x, r));
		exo_close(e->x);
		free(e);
		return r;
	}
	e->pages.ops = &exo_ops;
	e->pages.base = exo_pager_address(e->pager);
	e->pages.count = exo_pager_bytes(e->pager) / PAGE_BYTES;
	*out = &e->pages;
	return 0;
}
