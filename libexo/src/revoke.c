// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Revocation, as a holder meets it: what is asked back is given up, what was taken
 * is noted.
 *
 * Events are hints. Between the posting of one and its reading, the capability may
 * have been given up and its number used again; so the kernel is asked whether it is
 * still wanted, or was really taken, before anything is done about it.
 *
 * A number is dropped only if it is certain that nobody else means something by it:
 * what came with a session that others share stays, dead, until the session ends.
 */
#include <errno.h>

#include "private.h"

#define FRAME_SHIFT 12
#define FRAME_MASK ((1u << FRAME_SHIFT) - 1)

static const char *const names[] = { "object", "pool", "frames", "controller", "extent", "queue" };

/* Whether the handle still has its pool, controller or extent. */
int exo_check_held(struct exo *x, uint32_t type)
{
	enum exo_fate fate;

	pthread_mutex_lock(&x->lock);
	fate = x->fates[type];
	pthread_mutex_unlock(&x->lock);
	if (fate == EXO_HELD)
		return 0;
	return exo_fail(x, -ESTALE, NULL, "the %s of the handle %s", names[type],
			exo_fate_text(fate));
}

const char *exo_fate_text(enum exo_fate fate)
{
	return fate == EXO_GIVEN ? "was given up when it was asked back"
				 : "was taken back by force";
}

static void drop(struct exo *x, uint32_t cap)
{
	struct exo_cap_drop arg = { .cap = cap };

	exo_sys_cap_drop(x->fd, &arg);
}

/* ---- giving up ---- */

static void mark_busy(void *arg, uint64_t offset)
{
	struct exo *x = arg;

	for (struct exo_buf *buf = x->buf_first; buf; buf = buf->next)
		if (offset - buf->offset < buf->bytes)
			buf->busy = true;
}

/* Which buffers commands use; all of them if that is not certain. */
static void find_busy(struct exo *x)
{
	bool certain = true;

	pthread_mutex_lock(&x->lock);
	for (struct exo_buf *buf = x->buf_first; buf; buf = buf->next)
		buf->busy = false;
	for (struct exo_queue_private *p = x->queues; p; p = p->next)
		certain &= exo_queue_uses(&p->q, mark_busy, x);
	for (struct exo_buf *buf = x->buf_first; buf && !certain; buf = buf->next)
		buf->busy = true;
	pthread_mutex_unlock(&x->lock);
}

/* Give up one buffer that is not busy: that of @frames, or, if 0, any. Returns its bytes. */
static uint64_t give_one(struct exo *x, uint32_t frames, bool spare)
{
	struct exo_buf *buf;
	uint64_t bytes = 0;
	uint32_t cap = 0;

	pthread_mutex_lock(&x->lock);
	for (buf = x->buf_first; buf; buf = buf->next) {
		if (!buf->frames || buf->busy || buf->kept)
			continue;
		if (frames ? buf->frames == frames : buf->spare == spare && !buf->mine)
			break;
	}
	if (buf) {
		bytes = buf->bytes;
		cap = exo_buf_lose(x, buf, EXO_GIVEN);
	}
	pthread_mutex_unlock(&x->lock);
	if (cap)
		drop(x, cap);
	return bytes;
}

static bool have_bufs(struct exo *x)
{
	struct exo_buf *buf;

	pthread_mutex_lock(&x->lock);
	for (buf = x->buf_first; buf && (!buf->frames || buf->mine); buf = buf->next)
		;
	pthread_mutex_unlock(&x->lock);
	return buf;
}

static void give_pool(struct exo *x)
{
	uint32_t pool = x->pool;

	pthread_mutex_lock(&x->lock);
	x->fates[EXO_TYPE_POOL] = EXO_GIVEN;
	x->pool = 0;
	pthread_mutex_unlock(&x->lock);
	drop(x, pool);
}

/* What one request wants in all may be given in parts: it is told by its deadline. */
static uint64_t still_wanted(struct exo *x, const struct exo_asked *asked)
{
	if (x->revoke.deadline != asked->deadline || !asked->deadline) {
		x->revoke.deadline = asked->deadline;
		x->revoke.given = 0;
	}
	if (!asked->frames)
		return UINT64_MAX;
	return asked->frames > x->revoke.given ? asked->frames - x->revoke.given : 0;
}

static uint64_t give_up_of_pool(struct exo *x, const struct exo_asked *asked)
{
	uint64_t wanted, given = 0, bytes;
	bool spare = true;

	if (asked->cap != x->pool)
		return 0;
	wanted = still_wanted(x, asked);
	while (given < wanted) {
		bytes = give_one(x, 0, spare);
		/* For want of memory alone nothing is given that may be needed. */
		if (!bytes && (!spare || !asked->deadline))
			break;
		spare = spare && bytes;
		given += bytes >> FRAME_SHIFT;
	}
	x->revoke.given += given;
	if (!asked->deadline)
		return given;
	if (given < wanted && have_bufs(x))
		x->revoke.unmet = true;
	else if (!asked->frames && x->own_session)
		give_pool(x);
	return given;
}

static uint64_t give_up_buf(struct exo *x, const struct exo_asked *asked)
{
	/* Registered memory need not be whole frames. */
	uint64_t given = (give_one(x, asked->cap, false) + FRAME_MASK) >> FRAME_SHIFT;

	if (!given && asked->buf)
		x->revoke.unmet = true;
	return given;
}

uint64_t exo_give_up(struct exo *x, const struct exo_asked *asked)
{
	find_busy(x);
	switch (asked->type) {
	case EXO_TYPE_POOL:
		return give_up_of_pool(x, asked);
	case EXO_TYPE_FRAMES:
	case EXO_TYPE_MEMORY:
		return give_up_buf(x, asked);
	}
	return 0;
}

/* ---- what was taken ---- */

/* One of the three that a handle has; returns whether the number is the handle's own. */
static bool lose_mine(struct exo *x, uint32_t type, uint32_t *cap, bool own)
{
	x->fates[type] = EXO_TAKEN;
	if (own)
		*cap = 0;
	return own;
}

static bool lose_queue(struct exo_queue_private *p)
{
	p->fate = EXO_TAKEN;
	p->cap = 0;
	p->q.submit.queue = 0;
	return true;
}

/* Note that @cap is gone. Returns whether to drop it. The caller holds the lock. */
static bool lose(struct exo *x, uint32_t cap)
{
	if (cap == x->extent)
		return lose_mine(x, EXO_TYPE_EXTENT, &x->extent, x->own_session || x->own_extent);
	if (cap == x->controller)
		return lose_mine(x, EXO_TYPE_CONTROLLER, &x->controller, x->own_session);
	if (cap == x->pool)
		return lose_mine(x, EXO_TYPE_POOL, &x->pool, x->own_session);
	for (struct exo_buf *buf = x->buf_first; buf; buf = buf->next)
		if (buf->frames == cap)
			return exo_buf_lose(x, buf, EXO_TAKEN);
	for (struct exo_queue_private *p = x->queues; p; p = p->next)
		if (p->cap == cap)
			return lose_queue(p);
	return false;
}

static void note_taken(struct exo *x, uint32_t cap)
{
	struct exo_cap_taken arg = { .cap = cap };
	bool own;

	if (exo_sys_cap_taken(x->fd, &arg))
		return;
	pthread_mutex_lock(&x->lock);
	own = lose(x, cap);
	pthread_mutex_unlock(&x->lock);
	if (own)
		drop(x, cap);
}

/* ---- dispatching ---- */

/* The handle's name for a capability, if it has one. */
static void name(struct exo *x, struct exo_asked *asked)
{
	pthread_mutex_lock(&x->lock);
	for (struct exo_buf *buf = x->buf_first; buf; buf = buf->next)
		if (buf->frames == asked->cap)
			asked->buf = (void *)buf->at;
	for (struct exo_queue_private *p = x->queues; p; p = p->next)
		if (p->cap == asked->cap)
			asked->queue = &p->q;
	pthread_mutex_unlock(&x->lock);
}

static void give(struct exo *x, const struct exo_asked *asked)
{
	if (x->revoke.function)
		x->revoke.function(x, asked, x->revoke.arg);
	else
		exo_give_up(x, asked);
}

static void answer(struct exo *x, uint32_t cap)
{
	struct exo_cap_query about = { .cap = cap };
	struct exo_asked asked = { .cap = cap };

	if (exo_sys_cap_query(x->fd, &about) || !about.out_deadline)
		return;
	asked.type = about.out_type;
	asked.frames = about.out_wanted;
	asked.deadline = about.out_deadline;
	name(x, &asked);
	give(x, &asked);
}

static void relieve(struct exo *x, const struct exo_event *event)
{
	const struct exo_asked asked = {
		.cap = event->cap,
		.type = EXO_TYPE_POOL,
		.frames = event->value,
	};

	give(x, &asked);
}

static void act_on(struct exo *x, const struct exo_event *event)
{
	switch (event->type) {
	case EXO_EVENT_REVOKE:
		answer(x, event->cap);
		break;
	case EXO_EVENT_TAKEN:
		note_taken(x, event->cap);
		break;
	case EXO_EVENT_PRESSURE:
		relieve(x, event);
		break;
	}
	/* The death of a queue is written on its status page. */
}

/* What could not be given the last time is asked for again. */
static int ask_again(struct exo *x)
{
	if (x->events.ring && !x->revoke.unmet)
		return 0;
	x->revoke.unmet = false;
	return exo_events_tell_again(x);
}

static int next_event(struct exo *x, struct exo_event *event)
{
	return x->events.ring ? exo_event_next(x, event) : exo_events_take_told(x, event);
}

int exo_dispatch(struct exo *x)
{
	struct exo_event event;
	int r = exo_events_open(x, 0), n = 0;

	if (r && r != -EEXIST)
		return r;
	r = ask_again(x);
	if (r)
		return r;
	while ((r = next_event(x, &event)) > 0) {
		act_on(x, &event);
		n++;
	}
	return r ? r : n;
}

int exo_on_revoke(struct exo *x, exo_revoke_fn function, void *arg)
{
	int r = exo_events_open(x, 0);

	if (r && r != -EEXIST)
		return r;
	x->revoke.function = function;
	x->revoke.arg = arg;
	x->revoke.dispatching = true;
	return 0;
}

/* Before exo_wait_any() waits: what no event will wake it for. */
int exo_dispatch_unmet(struct exo *x)
{
	if (!x->revoke.dispatching || (x->events.ring && !x->revoke.unmet))
		return 0;
	return exo_dispatch(x);
}
