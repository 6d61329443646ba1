// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Pages between buffers and the disk: neighbours together, as many commands in flight as the queue
 * holds, and first what a thread waits for.
 */
#include <errno.h>
#include <stdlib.h>

#include "checkpoint.h"

#define NONE UINT16_MAX

/**
 * struct moving - a move under way
 * @work: its commands; must be first
 * @what: is to be done
 * @spans: as many as the queue has slots: each has a command in flight, but for the one that
 *	commands are being made of
 * @of: span of each command, by its identifier; NONE
 * @free: spans that are free
 * @free_count: how many
 * @current: the span that commands are being made of; NULL
 * @span_max: pages of one
 * @commands: that there were
 */
struct moving {
	struct exo_work work;
	const struct exo_page_move *what;
	struct exo_checkpoint *c;
	struct exo_span *spans;
	uint16_t *of;
	uint16_t *free;
	uint32_t free_count;
	struct exo_span *current;
	uint32_t span_max;
	uint64_t commands;
};

static bool is_todo(const struct exo_checkpoint *c, uint64_t page)
{
	return c->flags[page] & EXO_PAGE_TODO;
}

/* One that a thread waits for, or the next; c->pages: none is left. */
static uint64_t next_page(struct exo_checkpoint *c)
{
	for (unsigned int i = 0; i < EXO_CHECKPOINT_WANTED; i++) {
		uint64_t page = __atomic_load_n(&c->wanted[i], __ATOMIC_RELAXED);

		if (!page)
			continue;
		page = __atomic_exchange_n(&c->wanted[i], 0, __ATOMIC_RELAXED);
		if (page && is_todo(c, page - 1))
			return page - 1;
	}
	while (c->cursor < c->pages && !is_todo(c, c->cursor))
		c->cursor++;
	return c->cursor;
}

/* A command names the address as it is where nobody would refuse one that is in no buffer. */
static int locate(struct exo_checkpoint *c, struct exo_queue *q, uint64_t page, uint64_t *offset)
{
	uint32_t access;
	void *at = exo_page_at(c, page, &access);

	if (!at)
		return -EINVAL;
	*offset = exo_buf_offset(q, at);
	return q->direct && !exo_direct_reaches(q, at, *offset) ? -EFAULT : 0;
}

static bool joins(struct moving *m, struct exo_queue *q, const struct exo_span *span)
{
	uint64_t page = span->page + span->count, bytes = (uint64_t)span->count * m->c->bytes;
	uint64_t offset;

	return span->count < m->span_max && page < m->c->pages && is_todo(m->c, page) &&
	       m->what->block(m->c->s, page) == span->block + (bytes >> q->block_shift) &&
	       !locate(m->c, q, page, &offset) && offset == span->offset + bytes &&
	       (!q->emulated ||
		exo_uring_one_buf(exo_queue_handle(q), span->offset, bytes + m->c->bytes));
}

static bool fill_span(struct moving *m, struct exo_queue *q, struct exo_span *span)
{
	struct exo_checkpoint *c = m->c;
	uint64_t page = next_page(c);
	int r;

	if (page == c->pages)
		return false;
	*span = (struct exo_span){ .page = page, .block = m->what->block(c->s, page) };
	r = locate(c, q, page, &span->offset);
	if (r) {
		exo_checkpoint_note(c, exo_queue_fail(q, r, NULL,
						      "page %llu of a checkpoint is in no buffer",
						      (unsigned long long)page));
		return false;
	}
	do
		exo_page_clear(c, span->page + span->count++, EXO_PAGE_TODO);
	while (joins(m, q, span));
	span->left = (uint64_t)span->count * c->bytes >> q->block_shift;
	return true;
}

static bool prepare(struct exo_work *work, struct exo_queue *q)
{
	struct moving *m = (struct moving *)work;
	uint32_t n = exo_blocks_max(q);
	struct exo_span *span = m->current;
	const struct exo_nvme_command *command;

	if (!span) {
		if (m->c->result || !m->free_count)
			return false;
		span = &m->spans[m->free[m->free_count - 1]];
		if (!fill_span(m, q, span))
			return false;
		m->free_count--;
		m->current = span;
	}
	if (n > span->left)
		n = span->left;
	command = exo_prep_blocks(q, m->what->opcode, span->offset, span->block, n, span->block);
	m->of[command->cid] = span - m->spans;
	span->commands++;
	span->offset += (uint64_t)n << q->block_shift;
	span->block += n;
	span->left -= n;
	if (!span->left)
		m->current = NULL;
	m->commands++;
	return true;
}

/* Which command it was is the device's word. */
static void end_command(struct moving *m, const struct exo_completion *completion)
{
	uint16_t at = m->of[completion->raw.cid];
	struct exo_span *span;

	if (at == NONE)
		return;
	m->of[completion->raw.cid] = NONE;
	span = &m->spans[at];
	span->failed |= exo_nvme_status(&completion->raw) != 0;
	if (--span->commands || span->left)
		return;
	if (!span->failed && m->what->ended)
		m->what->ended(m->c, span);
	m->free[m->free_count++] = at;
}

static void done(struct exo_work *work, const struct exo_completion *completions, int n)
{
	struct moving *m = (struct moving *)work;

	for (int i = 0; i < n; i++)
		end_command(m, &completions[i]);
	if (m->what->pause)
		m->what->pause(m->c);
}

static bool give_room(struct moving *m, uint32_t depth)
{
	m->spans = calloc(depth, sizeof(*m->spans));
	m->of = calloc(depth, sizeof(*m->of));
	m->free = calloc(depth, sizeof(*m->free));
	if (!m->spans || !m->of || !m->free)
		return false;
	for (uint32_t i = 0; i < depth; i++) {
		m->of[i] = NONE;
		m->free[i] = i;
	}
	m->free_count = depth;
	return true;
}

static int run(struct moving *m, struct exo_queue *q)
{
	int r;

	if (!give_room(m, q->depth))
		return exo_queue_fail(q, -ENOMEM, NULL, "no memory to move pages with");
	r = exo_work_run(q, &m->work);
	if (r || m->c->result)
		return r ? r : m->c->result;
	if (m->free_count != q->depth)
		return exo_queue_fail(q, -EIO, NULL,
				      "the device says that commands ended which it was not given");
	return 0;
}

int exo_checkpoint_move(struct exo_checkpoint *c, struct exo_queue *q,
			const struct exo_page_move *what, uint64_t *commands)
{
	uint64_t bytes = (uint64_t)exo_blocks_max(q) << q->block_shift;
	struct moving m = {
		.work = { .name = what->name, .prepare = prepare, .done = done },
		.what = what,
		.c = c,
		.span_max = bytes > c->bytes ? bytes / c->bytes : 1,
	};
	int r = exo_direct_within(q, what->name,
				  what->opcode == EXO_NVME_WRITE ? EXO_WRITE : EXO_READ, 0, 0);

	c->cursor = 0;
	if (!r)
		r = run(&m, q);
	*commands = m.commands;
	free(m.spans);
	free(m.of);
	free(m.free);
	return r;
}
