/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the files of checkpoints share:
 *
 *	checkpoint.c		a take, from the instant to the commit
 *	checkpoint-window.c	taking write access away and giving it back; who waits for that
 *	checkpoint-io.c		pages between buffers and the disk, many at a time
 *	checkpoint-restore.c	the way back, and comparing
 *
 * There is no lock. The thread that takes writes the flags of pages; those that touch them look at
 * EXO_PAGE_HELD, and sleep on @released. Marks are bits that anybody sets, and that thread takes.
 */
#ifndef LIBEXO_SRC_CHECKPOINT_H
#define LIBEXO_SRC_CHECKPOINT_H

#include "private.h"
#include "store.h"

/* Of a page, while something is done with it */
#define EXO_PAGE_SEEN (1u << 0) /* it has memory */
#define EXO_PAGE_HELD (1u << 1) /* the take has made it read-only: who touches it waits */
#define EXO_PAGE_SAVE (1u << 2) /* it is of this take */
#define EXO_PAGE_TODO (1u << 3) /* it is to be moved, and no command has it yet */

#define EXO_CHECKPOINT_OPS 256 /* on the window, in one call */
#define EXO_CHECKPOINT_WANTED \
	16 /* pages that threads wait for and that go first; others wait their turn */
#define EXO_CHECKPOINT_DIRTY \
	32768ul /* entries whose dirty bits are asked for at a time; a multiple of 512 */

/**
 * struct exo_checkpoint - a checkpoint
 * @s: where pages go
 * @window: or NULL
 * @first: entry of page 0
 * @function: where a page is
 * @arg: for it
 * @bytes: of a page
 * @entries: of the window, of a page
 * @pages: how many
 * @flags: EXO_PAGE_*, of each
 * @marks: a bit for each that the next take saves, whatever its dirty bit says
 * @dirty: room for EXO_CHECKPOINT_DIRTY bits
 * @ops: operations on the window that are to be done
 * @op_count: how many
 * @op_entries: entries that they are about
 * @result: what went wrong first with the window, or with a page
 * @cursor: no page before it is to be moved, but those that had to wait their turn
 * @wanted: pages that threads wait for, + 1; 0: none
 * @want_at: which of these is next
 * @waiters: threads that wait
 * @released: changes when pages are released; they sleep on it
 * @touches: that ever had to wait
 * @stats: of the last take
 */
struct exo_checkpoint {
	struct exo_store *s;
	struct exo_window *window;
	uint64_t first;
	exo_checkpoint_fn function;
	void *arg;
	uint32_t bytes;
	uint32_t entries;
	uint64_t pages;
	uint8_t *flags;
	uint64_t *marks;
	uint64_t *dirty;
	struct exo_window_op *ops;
	uint32_t op_count;
	uint32_t op_entries;
	int result;
	uint64_t cursor;
	uint64_t wanted[EXO_CHECKPOINT_WANTED];
	uint32_t want_at;
	uint32_t waiters;
	uint32_t released;
	uint64_t touches;
	struct exo_checkpoint_stats stats;
};

static inline void exo_page_set(struct exo_checkpoint *c, uint64_t page, uint8_t flags)
{
	__atomic_store_n(&c->flags[page], c->flags[page] | flags, __ATOMIC_RELAXED);
}

static inline void exo_page_clear(struct exo_checkpoint *c, uint64_t page, uint8_t flags)
{
	__atomic_store_n(&c->flags[page], c->flags[page] & ~flags, __ATOMIC_RELEASE);
}

static inline uint64_t exo_page_entry(const struct exo_checkpoint *c, uint64_t page)
{
	return c->first + page * c->entries;
}

/* Where the program has a page, or NULL; and what it allows there. */
static inline void *exo_page_at(const struct exo_checkpoint *c, uint64_t page, uint32_t *access)
{
	*access = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	return c->function(c->arg, page, access);
}

/* The first failure is the one to tell. */
static inline void exo_checkpoint_note(struct exo_checkpoint *c, int result)
{
	if (!c->result)
		c->result = result;
}

/* checkpoint-window.c: an operation on a page, soon; on all of them, now. What fails is noted. */
void exo_checkpoint_hold(struct exo_checkpoint *c, uint64_t page);
void exo_checkpoint_release(struct exo_checkpoint *c, uint64_t page);
void exo_checkpoint_apply(struct exo_checkpoint *c);

/**
 * struct exo_span - pages that lie side by side in buffer space and on the disk
 * @page: the first
 * @count: how many
 * @commands: in flight
 * @failed: one of them has
 * @offset: in buffer space, of what no command has yet
 * @block: on the disk, likewise
 * @left: blocks of that
 */
struct exo_span {
	uint64_t page;
	uint32_t count;
	uint32_t commands;
	bool failed;
	uint64_t offset;
	uint64_t block;
	uint64_t left;
};

/**
 * struct exo_page_move - all pages that have EXO_PAGE_TODO go where they should
 * @name: of what is done, in words
 * @opcode: EXO_NVME_READ or EXO_NVME_WRITE
 * @block: exo_store_find() or exo_store_place()
 * @ended: all of a span is there; or NULL
 * @pause: no more have ended for now; or NULL
 */
struct exo_page_move {
	const char *name;
	uint8_t opcode;
	uint64_t (*block)(const struct exo_store *s, uint64_t page);
	void (*ended)(struct exo_checkpoint *c, const struct exo_span *span);
	void (*pause)(struct exo_checkpoint *c);
};

/* checkpoint-io.c: tells how many commands it took. */
int exo_checkpoint_move(struct exo_checkpoint *c, struct exo_queue *q,
			const struct exo_page_move *move, uint64_t *commands);

/* checkpoint.c: all pages, or none, whatever their dirty bits say. */
void exo_checkpoint_mark_all(struct exo_checkpoint *c, bool marked);

#endif /* LIBEXO_SRC_CHECKPOINT_H */
