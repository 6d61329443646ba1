// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Ordered write-back: edges from a page that is to be durable to one that is written after it.
 *
 * An edge is about one writing of the page before: the next to begin, or, if it is not dirty, the
 * one under way. When that has succeeded, what is left of the edge is that the page after
 * waits for a flush. A page that is not dirty needs none: there is no edge without something to
 * write, and edges make no cycle.
 */
#include <errno.h>
#include <stdlib.h>

#include "cache.h"

/* ---- edges ---- */

static int grow(struct exo_cache *c)
{
	uint32_t count = c->edges_count ? 2 * c->edges_count : 64;
	struct exo_edge *edges = realloc(c->edges, count * sizeof(*edges));

	if (!edges)
		return exo_fail(c->x, -ENOMEM, NULL, "no memory to note an order in");
	for (uint32_t e = c->edges_count; e < count; e++)
		edges[e].next_after = e + 1 < count ? e + 1 : EXO_NONE;
	c->edges_free = c->edges_count;
	c->edges_count = count;
	c->edges = edges;
	return 0;
}

static int add(struct exo_cache *c, struct exo_slot *before, struct exo_slot *after, uint32_t write)
{
	uint32_t e = c->edges_free;

	if (e == EXO_NONE) {
		int r = grow(c);

		if (r)
			return r;
		e = c->edges_free;
	}
	c->edges_free = c->edges[e].next_after;
	c->edges[e] = (struct exo_edge){
		.before = exo_slot_number(c, before),
		.after = exo_slot_number(c, after),
		.write = write,
		.next_before = after->earlier,
		.next_after = before->later,
	};
	after->earlier = e;
	before->later = e;
	return 0;
}

/* It stays in the list of the page before, from where the caller takes it. */
static void leave_after(struct exo_cache *c, uint32_t e)
{
	uint32_t *at = &c->slots[c->edges[e].after].earlier;

	while (*at != e)
		at = &c->edges[*at].next_before;
	*at = c->edges[e].next_before;
}

static void leave_before(struct exo_cache *c, uint32_t e)
{
	uint32_t *at = &c->slots[c->edges[e].before].later;

	while (*at != e)
		at = &c->edges[*at].next_after;
	*at = c->edges[e].next_after;
}

static void free_edge(struct exo_cache *c, uint32_t e)
{
	c->edges[e].next_after = c->edges_free;
	c->edges_free = e;
}

static struct exo_edge *find(struct exo_cache *c, const struct exo_slot *before,
			     const struct exo_slot *after)
{
	for (uint32_t e = after->earlier; e != EXO_NONE; e = c->edges[e].next_before)
		if (c->edges[e].before == exo_slot_number(c, before))
			return &c->edges[e];
	return NULL;
}

/* ---- what happens to pages ---- */

static void wait_for_flush(struct exo_slot *s, uint64_t epoch)
{
	if (s->needs < epoch)
		s->needs = epoch;
}

void exo_cache_was_written(struct exo_cache *c, struct exo_slot *s)
{
	uint32_t *at = &s->later;

	while (*at != EXO_NONE) {
		uint32_t e = *at;
		struct exo_slot *after = &c->slots[c->edges[e].after];

		/* It may be about the next. */
		if ((int32_t)(s->writes - c->edges[e].write) < 0) {
			at = &c->edges[e].next_after;
			continue;
		}
		*at = c->edges[e].next_after;
		leave_after(c, e);
		free_edge(c, e);
		wait_for_flush(after, c->epoch);
		exo_cache_enqueue(c, after);
	}
}

/* It is clean, so nothing waits for it. */
void exo_cache_forget_order(struct exo_cache *c, struct exo_slot *s)
{
	while (s->earlier != EXO_NONE) {
		uint32_t e = s->earlier;

		s->earlier = c->edges[e].next_before;
		leave_before(c, e);
		free_edge(c, e);
	}
	s->needs = 0;
}

/* ---- the call ---- */

/* Does @to wait for @from, by whatever edges? */
static bool waits_for(struct exo_cache *c, const struct exo_slot *to, const struct exo_slot *from)
{
	uint32_t top = exo_slot_number(c, from);

	c->mark++;
	c->slots[top].stack = EXO_NONE;
	while (top != EXO_NONE) {
		const struct exo_slot *s = &c->slots[top];

		if (s == to)
			return true;
		top = s->stack;
		for (uint32_t e = s->later; e != EXO_NONE; e = c->edges[e].next_after) {
			struct exo_slot *next = &c->slots[c->edges[e].after];

			if (next->mark == c->mark)
				continue;
			next->mark = c->mark;
			next->stack = top;
			top = c->edges[e].after;
		}
	}
	return false;
}

static int order(struct exo_cache *c, uint64_t before, struct exo_slot *a, uint64_t after)
{
	struct exo_slot *b = exo_cache_find(c, before);
	struct exo_edge *edge;
	uint32_t write;

	if (b == a || (b && waits_for(c, b, a)))
		return exo_fail(c->x, -ELOOP, NULL,
				"page %llu has to be durable before page %llu: flush the cache "
				"before it is ordered the other way",
				(unsigned long long)after, (unsigned long long)before);
	/* Of one that is gone nobody knows whether it was written since the last flush. */
	if (!b || (!b->dirty && !b->writing)) {
		wait_for_flush(a, c->written);
		return 0;
	}
	write = b->writes + b->dirty;
	edge = find(c, b, a);
	if (!edge)
		return add(c, b, a, write);
	edge->write = write;
	return 0;
}

static int order_pinned(struct exo_cache *c, uint64_t before, uint64_t after)
{
	struct exo_slot *a = exo_cache_find(c, after);

	if (!a || !a->pins)
		return exo_fail(c->x, -EINVAL, NULL, "page %llu of the cache is not pinned",
				(unsigned long long)after);
	return a->writing ? -EAGAIN : order(c, before, a, after);
}

/* The device is reading it: what it is changed to must not come along. */
static int __attribute__((noinline))
order_when_written(struct exo_cache *c, uint64_t before, uint64_t after)
{
	int r, waited = 0;

	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	while ((r = order_pinned(c, before, after)) == -EAGAIN && !waited)
		waited = exo_cache_wait(c);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return waited ? waited : r;
}

int exo_cache_order(struct exo_cache *c, uint64_t before, uint64_t after)
{
	int r;

	pthread_mutex_lock(&c->lock);
	r = order_pinned(c, before, after);
	pthread_mutex_unlock(&c->lock);
	return r == -EAGAIN ? order_when_written(c, before, after) : r;
}
