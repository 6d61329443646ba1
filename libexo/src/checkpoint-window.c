// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Write access, taken away and given back, and threads that wait for it.
 *
 * A page is EXO_PAGE_HELD before its write access goes, and until it is back: so whoever is called
 * for a touch in between finds it so, and sleeps. It may be called at any instruction, within
 * itself too, so there is no lock to wait for: a sleeper looks at @released, then at
 * the flag, and sleeps if @released is still the same.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "checkpoint.h"

#define FRAME 4096u
#define READ_WRITE (EXO_RIGHT_READ | EXO_RIGHT_WRITE)

static void futex(uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* ---- operations ---- */

/* Of several pages, one of which cannot be changed: the others are. */
static void apply_singly(struct exo_checkpoint *c, const struct exo_window_op *op)
{
	struct exo_window_op one = *op;

	one.count = c->entries;
	for (; one.first < op->first + op->count; one.first += c->entries)
		exo_window_change(c->window, &one, 1, NULL);
}

/* All of them, but those that are refused. */
static void apply(struct exo_checkpoint *c)
{
	unsigned int at = 0, done;

	while (at < c->op_count) {
		int r = exo_window_change(c->window, c->ops + at, c->op_count - at, &done);

		if (!r)
			return;
		exo_checkpoint_note(c, r);
		at += done;
		if (at < c->op_count && c->ops[at].count > c->entries)
			apply_singly(c, &c->ops[at]);
		at++;
	}
}

static void clear_held(struct exo_checkpoint *c, const struct exo_window_op *op)
{
	uint64_t page = (op->first - c->first) / c->entries;

	for (uint32_t i = 0; i < op->count / c->entries; i++)
		exo_page_clear(c, page + i, EXO_PAGE_HELD);
}

static void wake(struct exo_checkpoint *c)
{
	__atomic_fetch_add(&c->released, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&c->waiters, __ATOMIC_SEQ_CST))
		futex(&c->released, FUTEX_WAKE, INT_MAX);
}

void exo_checkpoint_apply(struct exo_checkpoint *c)
{
	if (!c->op_count)
		return;
	apply(c);
	if (c->ops[0].access == READ_WRITE) {
		for (uint32_t i = 0; i < c->op_count; i++)
			clear_held(c, &c->ops[i]);
		wake(c);
	}
	c->op_count = c->op_entries = 0;
}

/* Neighbours are one operation. All that are kept are of the same access. */
static void add(struct exo_checkpoint *c, uint64_t page, uint32_t access)
{
	uint64_t entry = exo_page_entry(c, page);
	struct exo_window_op *last = c->op_count ? &c->ops[c->op_count - 1] : NULL;

	c->op_entries += c->entries;
	if (last && last->first + last->count == entry)
		last->count += c->entries;
	else
		c->ops[c->op_count++] = (struct exo_window_op){
			.op = EXO_WINDOW_PROTECT,
			.first = entry,
			.count = c->entries,
			.access = access,
		};
	if (c->op_count == EXO_CHECKPOINT_OPS || c->op_entries > EXO_WINDOW_PAGES_MAX - c->entries)
		exo_checkpoint_apply(c);
}

void exo_checkpoint_hold(struct exo_checkpoint *c, uint64_t page)
{
	exo_page_set(c, page, EXO_PAGE_HELD);
	add(c, page, EXO_RIGHT_READ);
}

void exo_checkpoint_release(struct exo_checkpoint *c, uint64_t page)
{
	if (c->flags[page] & EXO_PAGE_HELD)
		add(c, page, READ_WRITE);
}

/* ---- touches ---- */

static bool is_held(const struct exo_checkpoint *c, uint64_t page)
{
	return __atomic_load_n(&c->flags[page], __ATOMIC_ACQUIRE) & EXO_PAGE_HELD;
}

/* If another is forgotten for it, that one goes when it is its turn. */
static void want(struct exo_checkpoint *c, uint64_t page)
{
	uint32_t at = __atomic_fetch_add(&c->want_at, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&c->wanted[at % EXO_CHECKPOINT_WANTED], page + 1, __ATOMIC_RELAXED);
}

static void wait_released(struct exo_checkpoint *c, uint64_t page)
{
	int saved = errno;

	want(c, page);
	__atomic_fetch_add(&c->touches, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c->waiters, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t released = __atomic_load_n(&c->released, __ATOMIC_SEQ_CST);

		if (!is_held(c, page))
			break;
		futex(&c->released, FUTEX_WAIT, released);
	}
	__atomic_fetch_sub(&c->waiters, 1, __ATOMIC_SEQ_CST);
	errno = saved;
}

int exo_checkpoint_touch(struct exo_checkpoint *c, const struct exo_upcall *touch)
{
	uint64_t begin, page;

	if (!c->window || touch->entry != EXO_UPCALL_PROTECTED || touch->access != EXO_RIGHT_WRITE)
		return 0;
	begin = (uintptr_t)exo_window_entry(c->window, c->first);
	page = (touch->address - begin) / FRAME / c->entries;
	if (touch->address < begin || page >= c->pages || !is_held(c, page))
		return 0;
	wait_released(c, page);
	return 1;
}
