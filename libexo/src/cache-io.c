// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What a cache has the device do, and when pages may be written.
 *
 * A page is moved by one command or more, each of which is named by its slot, its part and
 * what it does; so one that was prepared and not accepted can be prepared again.
 *
 * A page that is wanted on the device may be written if no page that has to be durable before it
 * is dirty, and if the device was flushed since the last of those was written. Flushes
 * are counted in epochs: what was written in an epoch is durable when the flush that ended it has
 * succeeded.
 */
#include <errno.h>

#include "cache.h"

#define REAP 32

enum { READ, WRITE, FLUSH };

static uint64_t name_of(unsigned int what, uint32_t slot, uint32_t part)
{
	return (uint64_t)what << 56 | (uint64_t)part << 32 | slot;
}

#define WHAT(name) ((unsigned int)((name) >> 56))
#define PART(name) ((uint32_t)((name) >> 32) & 0xffffff)
#define SLOT(name) ((uint32_t)(name))

/* ---- commands ---- */

static void prepare(struct exo_cache *c, uint64_t name)
{
	uint32_t at = PART(name) * c->step, bytes = (1u << c->page_shift) - at;
	struct exo_slot *s = &c->slots[SLOT(name)];
	struct exo_queue *q = c->q;
	uint64_t block;

	if (WHAT(name) == FLUSH) {
		exo_prep_flush(q, name);
		return;
	}
	if (bytes > c->step)
		bytes = c->step;
	block = (s->page << c->blocks_shift) + (at >> q->block_shift);
	exo_prep_blocks(q, WHAT(name) == READ ? EXO_NVME_READ : EXO_NVME_WRITE,
			exo_buf_offset(q, s->at + at), block, bytes >> q->block_shift, name);
}

static void complete(struct exo_cache *c, uint64_t name, int r);

/* The queue has room for it, or is dead. */
static void start(struct exo_cache *c, struct exo_slot *s, unsigned int what)
{
	s->error = 0;
	s->left = c->broken ? 1 : c->parts;
	if (c->broken)
		complete(c, name_of(what, exo_slot_number(c, s), 0), c->broken);
	for (uint32_t part = 0; part < s->left; part++)
		prepare(c, name_of(what, exo_slot_number(c, s), part));
}

void exo_cache_read(struct exo_cache *c, struct exo_slot *s)
{
	c->reading++;
	start(c, s, READ);
}

static void start_write(struct exo_cache *c, struct exo_slot *s)
{
	s->wanted = false;
	s->writing = true;
	s->writes++;
	c->writing++;
	/* One that is open goes on being changed. */
	if (!s->open) {
		s->dirty = false;
		c->dirty--;
	}
	start(c, s, WRITE);
}

static void start_flush(struct exo_cache *c)
{
	c->flushing = c->epoch++;
	c->stats.flushes++;
	if (c->broken)
		complete(c, name_of(FLUSH, 0, 0), c->broken);
	else
		prepare(c, name_of(FLUSH, 0, 0));
}

/* ---- their ends ---- */

static void note_failure(struct exo_cache *c, int r)
{
	c->failure = r;
	if (!c->trouble)
		c->trouble = r;
}

static void end_read(struct exo_cache *c, struct exo_slot *s)
{
	c->reading--;
	if (s->error)
		exo_cache_remove(c, s);
	else
		exo_cache_arrive(c, s, s->ahead ? EXO_ENTER_AHEAD : EXO_ENTER_USED);
	s->ahead = false;
}

static void end_good_write(struct exo_cache *c, struct exo_slot *s)
{
	if (s->failed)
		c->failed--;
	s->failed = false;
	c->stats.written++;
	c->written = c->epoch;
	exo_cache_was_written(c, s);
	if (s->place == EXO_SLOT_LEAVING && !s->dirty)
		exo_cache_stand_by(c, s);
	else if (s->place == EXO_SLOT_KEPT && !s->listed && !s->pins)
		exo_cache_list(c, s, EXO_ENTER_RESCUED);
}

/* It is no victim any more until it could be written. */
static void end_bad_write(struct exo_cache *c, struct exo_slot *s)
{
	note_failure(c, s->error);
	if (!s->failed)
		c->failed++;
	s->failed = true;
	exo_cache_set_dirty(c, s);
	exo_cache_unlist(c, s);
	if (s->place != EXO_SLOT_LEAVING)
		return;
	c->leaving--;
	s->place = EXO_SLOT_KEPT;
}

static void end_write(struct exo_cache *c, struct exo_slot *s)
{
	s->writing = false;
	c->writing--;
	if (s->error)
		end_bad_write(c, s);
	else
		end_good_write(c, s);
	exo_cache_enqueue(c, s);
}

/* What waited for it may be written now; or, if it failed, when somebody wants it again. */
static void end_flush(struct exo_cache *c, int r)
{
	struct exo_slot_list waited = c->unflushed;

	if (r)
		note_failure(c, r);
	else
		c->durable = c->flushing;
	c->flushing = 0;
	c->unflushed = (struct exo_slot_list){ EXO_NONE, EXO_NONE, 0 };
	for (uint32_t n = waited.first; n != EXO_NONE;) {
		struct exo_slot *s = &c->slots[n];

		n = s->queue_next;
		s->queued = false;
		if (!r)
			exo_cache_enqueue(c, s);
	}
}

static void complete(struct exo_cache *c, uint64_t name, int r)
{
	struct exo_slot *s = &c->slots[SLOT(name)];

	if (r)
		c->stats.errors++;
	if (WHAT(name) == FLUSH) {
		end_flush(c, r);
		return;
	}
	if (!s->error)
		s->error = r;
	if (--s->left)
		return;
	if (WHAT(name) == READ)
		end_read(c, s);
	else
		end_write(c, s);
}

/* The device writes completions: one may be of a command that has ended, or that never began. */
static bool is_awaited(const struct exo_cache *c, uint64_t name)
{
	const struct exo_slot *s = &c->slots[SLOT(name)];

	if (WHAT(name) == FLUSH)
		return c->flushing;
	return s->left && (WHAT(name) == READ ? s->place == EXO_SLOT_READING : s->writing);
}

static void take_completion(struct exo_cache *c, const struct exo_completion *done)
{
	uint16_t status = exo_nvme_status(&done->raw);
	static const char *const kinds[] = { "read", "write", "flush" };
	int r = exo_nvme_status_errno(status);

	if (!is_awaited(c, done->user_data))
		return;
	if (r)
		exo_fail(c->x, r, NULL, "the device failed a %s for page %llu of a cache: %s",
			 kinds[WHAT(done->user_data)],
			 (unsigned long long)c->slots[SLOT(done->user_data)].page,
			 exo_nvme_status_text(status));
	complete(c, done->user_data, r);
}

/* ---- the queue ---- */

/* The oldest command that is prepared is refused. The others have not been looked at. */
static void refuse(struct exo_cache *c, int r)
{
	unsigned int n = exo_queue_prepared(c->q);

	for (unsigned int i = 0; i < n; i++)
		exo_prepared(c->q, i, &c->names[i]);
	exo_withdraw(c->q, 0);
	for (unsigned int i = 1; i < n; i++)
		prepare(c, c->names[i]);
	complete(c, c->names[0], r);
	/* If more is in flight, who waits for it is told. */
	if (!exo_cache_busy(c) && !exo_queue_alive(c->q))
		c->broken = -ESTALE;
}

void exo_cache_submit(struct exo_cache *c)
{
	while (exo_queue_prepared(c->q)) {
		int r;

		pthread_mutex_unlock(&c->lock);
		r = exo_submit(c->q);
		pthread_mutex_lock(&c->lock);
		if (r < 0)
			refuse(c, r);
	}
}

/* Nothing that is in flight ends any more; whether the device still writes to it, nobody knows. */
static void lose_all(struct exo_cache *c, int r)
{
	c->broken = r;
	if (c->flushing)
		complete(c, name_of(FLUSH, 0, 0), r);
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++) {
		unsigned int what = s->writing ? WRITE : READ;

		if (!s->left)
			continue;
		s->left = 1;
		complete(c, name_of(what, exo_slot_number(c, s), 0), r);
	}
}

int exo_cache_wait(struct exo_cache *c)
{
	struct exo_completion done[REAP];
	int n;

	exo_cache_submit(c);
	if (!exo_cache_busy(c))
		return 0;
	pthread_mutex_unlock(&c->lock);
	n = exo_wait(c->q, done, REAP, -1);
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < n; i++)
		take_completion(c, &done[i]);
	if (n > 0)
		return 0;
	if (!n)
		lose_all(c, exo_fail(c->x, -EIO, NULL,
				     "the device ended commands of a cache that it was not given, "
				     "and not those that it was"));
	else if (exo_queue_prepared(c->q))
		refuse(c, n); /* by the queue's thread */
	else if (n == -ESTALE)
		lose_all(c, n);
	else
		return n;
	return 0;
}

/* An emulated queue may write at the first look what the second finds. */
static unsigned int look(struct exo_queue *q, struct exo_completion *done)
{
	unsigned int n = exo_reap(q, done, REAP);

	return n || !q->emulated ? n : exo_reap(q, done, REAP);
}

void exo_cache_reap(struct exo_cache *c)
{
	struct exo_completion done[REAP];
	unsigned int n;

	while (exo_cache_busy(c) && (n = look(c->q, done)))
		for (unsigned int i = 0; i < n; i++)
			take_completion(c, &done[i]);
}

/* ---- what is to be written ---- */

static void queue_up(struct exo_cache *c, struct exo_slot_list *list, struct exo_slot *s)
{
	uint32_t n = exo_slot_number(c, s);

	s->queued = true;
	s->queue_next = EXO_NONE;
	if (list->last != EXO_NONE)
		c->slots[list->last].queue_next = n;
	else
		list->first = n;
	list->last = n;
	list->count++;
}

static struct exo_slot *next_ready(struct exo_cache *c)
{
	struct exo_slot *s = &c->slots[c->ready.first];

	c->ready.first = s->queue_next;
	if (c->ready.first == EXO_NONE)
		c->ready.last = EXO_NONE;
	c->ready.count--;
	s->queued = false;
	return s;
}

void exo_cache_enqueue(struct exo_cache *c, struct exo_slot *s)
{
	if (!s->wanted || !s->dirty || s->writing || s->queued || s->earlier != EXO_NONE)
		return;
	queue_up(c, s->needs > c->durable ? &c->unflushed : &c->ready, s);
}

/* A slot that the walk did not come by yet, on top of those that it still has to. */
static void visit(struct exo_cache *c, uint32_t *top, uint32_t n)
{
	struct exo_slot *s = &c->slots[n];

	if (s->mark == c->mark)
		return;
	s->mark = c->mark;
	s->stack = *top;
	*top = n;
}

void exo_cache_want(struct exo_cache *c, struct exo_slot *s)
{
	uint32_t top = EXO_NONE;

	c->mark++;
	visit(c, &top, exo_slot_number(c, s));
	while (top != EXO_NONE) {
		s = &c->slots[top];
		top = s->stack;
		if (!s->dirty)
			continue;
		s->wanted = true;
		exo_cache_enqueue(c, s);
		for (uint32_t e = s->earlier; e != EXO_NONE; e = c->edges[e].next_before)
			visit(c, &top, c->edges[e].before);
	}
}

/* It was queued, and may have been ordered behind another since. */
static void write_one(struct exo_cache *c, struct exo_slot *s)
{
	if (s->open && !c->forced)
		s->wanted = false;
	else if (s->earlier != EXO_NONE || s->needs > c->durable)
		exo_cache_want(c, s);
	else
		start_write(c, s);
}

void exo_cache_pump(struct exo_cache *c)
{
	while (c->ready.count && exo_cache_has_room(c, c->parts))
		write_one(c, next_ready(c));
	/* One flush for all that can be written without. */
	if (c->unflushed.count && !c->ready.count && !c->writing && !c->flushing &&
	    exo_cache_has_room(c, 1))
		start_flush(c);
}

int exo_cache_write_out(struct exo_cache *c)
{
	for (;;) {
		int r;

		exo_cache_pump(c);
		if (!c->ready.count && !c->unflushed.count && !c->writing && !c->flushing)
			return 0;
		r = exo_cache_wait(c);
		if (r)
			return r;
	}
}

int exo_cache_flush_device(struct exo_cache *c)
{
	while (c->written > c->durable) {
		int r;

		if (!c->flushing && exo_cache_has_room(c, 1)) {
			c->trouble = 0;
			start_flush(c);
		}
		r = exo_cache_wait(c);
		if (r || (!c->flushing && c->trouble))
			return r ? r : c->trouble;
	}
	return 0;
}
