// SPDX-License-Identifier: MIT
/*
 * The way of the data.
 *
 * One thread: a file is read and written synchronously, one piece at a time, and the queues are
 * looked at in between. It sleeps when there is nothing else to do, and then for the oldest piece,
 * behind which the others would have to wait.
 */
#include <stdlib.h>
#include <string.h>

#include "extent.h"
#include "file.h"
#include "flow.h"
#include "report.h"
#include "stop.h"

#define REAP_MAX 32
#define WRONG_SHOWN 5

static struct piece *piece(const struct flow *f, uint64_t number)
{
	return &f->pieces[number % f->count];
}

static unsigned int slot(const struct flow *f, const struct piece *p)
{
	return p - f->pieces;
}

static uint64_t offset(const struct flow *f, const struct piece *p)
{
	return (uint64_t)slot(f, p) * f->stride;
}

static char *data(const struct flow *f, const struct piece *p)
{
	return f->buffer + offset(f, p);
}

/* ---- reading ---- */

/* Fewer bytes than were asked for are the last ones. */
static int read_file(struct flow *f, struct piece *p)
{
	ssize_t n = file_read(f->from, data(f, p), p->at, p->bytes);

	if (n < 0)
		return -1;
	f->over = (size_t)n < p->bytes;
	p->bytes = n;
	p->state = n ? PIECE_FULL : PIECE_FREE;
	return 0;
}

static int begin_piece(struct flow *f, struct piece *p)
{
	uint64_t left = f->end - f->next;

	p->at = f->next;
	p->bytes = left < f->size ? left : f->size;
	if (f->kind == FLOW_OFFLOAD) {
		p->state = PIECE_FULL;
		return 0;
	}
	if (f->from->kind != SIDE_EXTENT)
		return read_file(f, p);
	extent_prep_read(f->from, offset(f, p), p->at, p->bytes, slot(f, p));
	p->state = PIECE_READING;
	return 0;
}

/* As many as there is room for; of a file one. @moved: it was a file. */
static int begin(struct flow *f, bool *moved)
{
	f->over |= stop_asked();
	while (!f->over && !*moved && f->next < f->end && f->started - f->ended < f->count) {
		struct piece *p = piece(f, f->started);

		if (begin_piece(f, p))
			return -1;
		if (p->state == PIECE_FREE)
			break;
		f->started++;
		f->next += p->bytes;
		*moved = f->from->kind != SIDE_EXTENT;
	}
	return 0;
}

/* ---- writing ---- */

static int note(struct flow *f, const struct piece *p)
{
	if (f->kind == FLOW_CHECK || !f->sums || !sums_note(f->sums, data(f, p), p->bytes))
		return 0;
	return fail("no memory for checksums: without --verify it needs none");
}

static void check(struct flow *f, const struct piece *p)
{
	uint64_t at = f->from->offset + p->at;

	if (sums_match(f->sums, data(f, p), p->bytes) || f->sums->wrong > WRONG_SHOWN)
		return;
	fail("%s does not hold what was copied, somewhere in bytes %llu to %llu", f->from->name,
	     (unsigned long long)at, (unsigned long long)(at + p->bytes - 1));
}

/* What is behind the last byte in its block. */
static int fill_block(struct flow *f, const struct piece *p)
{
	uint32_t kept = p->bytes % f->to->block;

	if (!kept)
		return 0;
	if (!f->pad)
		return extent_keep_rest(f->to, p->at, p->bytes, data(f, p));
	memset(data(f, p) + p->bytes, 0, f->to->block - kept);
	return 0;
}

static int write_piece(struct flow *f, struct piece *p)
{
	if (note(f, p))
		return -1;
	p->state = PIECE_DONE;
	if (f->kind == FLOW_CHECK)
		check(f, p);
	if (!f->to)
		return 0;
	if (f->to->kind != SIDE_EXTENT)
		return file_write(f->to, data(f, p), p->at, p->bytes);
	if (f->kind == FLOW_OFFLOAD) {
		extent_prep_copy(f->from, f->to, data(f, p), p->at, p->bytes, slot(f, p));
	} else {
		if (fill_block(f, p))
			return -1;
		extent_prep_write(f->to, offset(f, p), p->at, p->bytes, slot(f, p));
	}
	p->state = PIECE_WRITING;
	return 0;
}

/* The queue must be idle to read what a block keeps: it is when all before has arrived. */
static bool can_write(const struct flow *f, const struct piece *p)
{
	bool partial = f->to && p->bytes % f->to->block;

	return p->state == PIECE_FULL && (!partial || f->written == f->ended);
}

/* As many as can be, in their order; of a file one. */
static int go_on(struct flow *f, bool *moved)
{
	while (f->written < f->started && can_write(f, piece(f, f->written))) {
		struct piece *p = piece(f, f->written);

		if (write_piece(f, p)) {
			p->state = PIECE_FAILED;
			return -1;
		}
		f->written++;
		if (p->state != PIECE_DONE)
			continue;
		*moved = true;
		break;
	}
	return 0;
}

/* ---- queues ---- */

/* Those of the two sides, each once. */
static unsigned int queues(const struct flow *f, struct exo_queue *q[2])
{
	unsigned int n = 0;

	if (f->from->q)
		q[n++] = f->from->q;
	if (f->to && f->to->q && f->to->q != f->from->q)
		q[n++] = f->to->q;
	return n;
}

static int submit(struct exo_queue *q)
{
	int r;

	do {
		r = exo_submit(q);
	} while (r > 0 && exo_queue_prepared(q));
	return r < 0 ? fail("%s", exo_queue_strerror(q, r)) : 0;
}

/* What became of the piece: 0, or what the device says of it. */
static uint16_t end_command(struct flow *f, const struct exo_completion *c)
{
	struct piece *p = &f->pieces[c->user_data % f->count];
	uint16_t status = exo_nvme_status(&c->raw);

	if (status)
		p->state = PIECE_FAILED;
	else
		p->state = p->state == PIECE_READING ? PIECE_FULL : PIECE_DONE;
	return status;
}

static int end_and_say(struct flow *f, const struct exo_completion *c)
{
	const struct piece *p = &f->pieces[c->user_data % f->count];
	const struct side *s = p->state == PIECE_READING ? f->from : f->to;
	const char *what = f->kind == FLOW_OFFLOAD ? "copy to"
			   : s == f->to		   ? "write to"
						   : "read of";
	uint16_t status = end_command(f, c);

	if (!status)
		return 0;
	return fail("the device failed a %s %s at byte %llu: %s (status %#x)", what, s->name,
		    (unsigned long long)(s->offset + p->at), exo_nvme_status_text(status), status);
}

/* How many commands have ended; -1 after saying what went wrong with the first that did. */
static int reap(struct flow *f, struct exo_queue *q, bool wait)
{
	struct exo_completion done[REAP_MAX];
	int n = wait ? exo_wait(q, done, REAP_MAX, -1) : (int)exo_reap(q, done, REAP_MAX);
	int r = 0;

	if (n < 0)
		return fail("%s", exo_queue_strerror(q, n));
	for (int i = 0; i < n; i++) {
		if (r)
			end_command(f, &done[i]);
		else
			r = end_and_say(f, &done[i]);
	}
	return r ? r : n;
}

static struct exo_queue *queue_of_oldest(const struct flow *f)
{
	switch (piece(f, f->ended)->state) {
	case PIECE_READING:
		return f->from->q;
	case PIECE_WRITING:
		return f->to->q;
	default:
		return NULL;
	}
}

static int look(struct flow *f, bool wait)
{
	struct exo_queue *q[2];
	unsigned int n = queues(f, q);
	int found = 0;

	for (unsigned int i = 0; i < n; i++) {
		int r = reap(f, q[i], false);

		if (r < 0)
			return -1;
		found += r;
	}
	if (!wait || found || !queue_of_oldest(f))
		return 0;
	return reap(f, queue_of_oldest(f), true) < 0 ? -1 : 0;
}

/* What has arrived. */
static void retire(struct flow *f)
{
	while (f->ended < f->started && piece(f, f->ended)->state == PIECE_DONE) {
		f->done += piece(f, f->ended)->bytes;
		piece(f, f->ended++)->state = PIECE_FREE;
	}
}

/* ---- all of it ---- */

static int step(struct flow *f)
{
	struct exo_queue *q[2];
	bool moved = false;
	unsigned int n = queues(f, q);
	int r = begin(f, &moved);

	if (!r)
		r = go_on(f, &moved);
	for (unsigned int i = 0; i < n && !r; i++)
		r = submit(q[i]);
	if (!r)
		r = look(f, !moved);
	retire(f);
	return r;
}

/* After a failure: the device lets go of the buffer, and what has arrived is counted. */
static void drain(struct flow *f)
{
	struct exo_completion done[REAP_MAX];
	struct exo_queue *q[2];
	unsigned int n = queues(f, q);

	for (unsigned int i = 0; i < n; i++) {
		int ended;

		exo_withdraw(q[i], 0);
		while ((ended = exo_wait(q[i], done, REAP_MAX, -1)) > 0)
			for (int k = 0; k < ended; k++)
				end_command(f, &done[k]);
	}
	retire(f);
}

static bool finished(const struct flow *f)
{
	return f->ended == f->started && (f->over || f->next == f->end);
}

int flow_run(struct flow *f)
{
	int r = 0;

	f->pieces = calloc(f->count, sizeof(*f->pieces));
	if (!f->pieces)
		return fail("no memory for %u pieces", f->count);
	f->next = f->done = f->begin;
	while (!r && !finished(f)) {
		r = step(f);
		report_progress(f->done);
	}
	if (r)
		drain(f);
	free(f->pieces);
	f->pieces = NULL;
	return r;
}
