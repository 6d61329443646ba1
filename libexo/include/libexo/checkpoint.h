/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checkpoints: what a window shows, at one instant, in a store; again and again, each time only
 * what was written since.
 *
 * A checkpoint is of a range of a window that the program manages itself. Page n of the store is
 * the n-th page of the range; the program says where in a buffer it lies. exo_checkpoint_take()
 * makes the range read-only, reads and clears its dirty bits, writes the pages that have them to
 * the disk, gives write access back page by page as they are saved, and commits.
 *
 *	exo_checkpoint_create(s, &options, &c);
 *	exo_window_on_fault(w, fault, c, 0);	fault() calls exo_checkpoint_touch()
 *	exo_checkpoint_take(c, q);		all pages
 *	exo_checkpoint_take(c, q);		those that were written since
 *
 *	exo_checkpoint_restore(c, q);		in another process, another day
 *
 * The program's threads go on meanwhile. The instant is when all of the range is read-only. A write
 * to a page that is not saved yet waits until it is, in exo_checkpoint_touch(); of two writes, the
 * second after the first in whatever thread, the checkpoint never has only the second. What waits
 * for no upcall fails: a system call that is to write to such a page is EFAULT.
 *
 * Dirty bits tell of writes through the window. What was written otherwise (through the buffer's
 * own address, another window, by a command) is saved if exo_checkpoint_mark() tells of it, and in
 * part if it is written during a take. Without a window, as with an emulated handle, that is all
 * that is saved.
 *
 * What is the checkpoint's alone: the store, and the dirty bits of the range (who else reads
 * them has to mark).
 *
 * Threads: one at a time, but for exo_checkpoint_touch() and exo_checkpoint_mark(), which any may
 * call.
 */
#ifndef LIBEXO_CHECKPOINT_H
#define LIBEXO_CHECKPOINT_H

#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_checkpoint;
struct exo_queue;
struct exo_store;
struct exo_window;

/**
 * exo_checkpoint_fn - where a page is
 * @arg: of struct exo_checkpoint_options
 * @page: its number in the store
 * @access: what the window allows there when no checkpoint is taken. EXO_RIGHT_READ |
 *	EXO_RIGHT_WRITE before the call; where that is not so, it sets what is
 *
 * It must not write to the range. Called only by the thread that takes, restores or compares.
 *
 * Returns its address, in a buffer of the handle (<libexo/buf.h>, <libexo/frame.h>); as many bytes
 * as a page of the store has lie there in a row. NULL: there is none, a hole.
 */
typedef void *(*exo_checkpoint_fn)(void *arg, uint64_t page, uint32_t *access);

/**
 * struct exo_checkpoint_options - what a checkpoint is of
 * @size: sizeof(struct exo_checkpoint_options); it grows at the end
 * @flags: must be 0
 * @window: the window, of the store's handle; NULL: none
 * @first: the entry of it that page 0 begins with. Of entries of 2 MiB, pages have 2 MiB
 * @function: where pages are
 * @arg: for it
 *
 * The range has as many pages as the store, and the window must have them. Of a store that others
 * may have written to, first ask exo_store_pages(): @function is called for every one.
 */
struct exo_checkpoint_options {
	uint32_t size;
	uint32_t flags;
	struct exo_window *window;
	uint64_t first;
	exo_checkpoint_fn function;
	void *arg;
};

/**
 * struct exo_checkpoint_stats - what the last take was
 * @pages: that were saved
 * @bytes: of them
 * @commands: writes of pages
 * @touches: writes of the program's that had to wait
 * @frozen_ns: until all pages but those that had to be saved were writable again
 * @ns: how long all of it took, commit included
 *
 * Grows at the end.
 */
struct exo_checkpoint_stats {
	uint64_t pages;
	uint64_t bytes;
	uint64_t commands;
	uint64_t touches;
	uint64_t frozen_ns;
	uint64_t ns;
};

/**
 * exo_checkpoint_create - begin to have checkpoints
 * @s: where they go; it must outlive this, as must the window
 * @options: of what
 * @out: for exo_checkpoint_destroy(); NULL on failure
 *
 * The first take saves every page, unless exo_checkpoint_restore() comes first.
 *
 * Returns 0, -EINVAL or -E2BIG @options, or -ENOMEM.
 */
int exo_checkpoint_create(struct exo_store *s, const struct exo_checkpoint_options *options,
			  struct exo_checkpoint **out);

/* No thread may be in exo_checkpoint_touch(), or come there. NULL: nothing to do. */
void exo_checkpoint_destroy(struct exo_checkpoint *c);

/**
 * exo_checkpoint_take - save what the range holds now
 * @c: the checkpoint
 * @q: an idle queue of the handle, with EXO_READ and EXO_WRITE; its depth says how many commands
 *	are in flight
 *
 * Saved are pages that were written, were marked, or that the store does not have; what is a
 * hole now becomes one there. Until it returns the program must not change entries
 * of the range that have a page; where there is none it may map one, which the next take has.
 *
 * Returns 0: it is durable. Otherwise the store has what the last take left, the whole range is as
 * accessible as before, and the next take saves what this was to save: -EINVAL the function does
 * not know a page any more, or what exo_window_protect() (-ENOENT: the window has not what the
 * function said), exo_window_dirty(), exo_submit() (-EFAULT: a page is in no buffer), exo_write()
 * and exo_store_commit() return. If only the root of the store was left to be written, the
 * checkpoint may count; the next take finds out first. After -ETIMEDOUT writes may still be in
 * flight: exo_store_commit() says what not to do then.
 */
int exo_checkpoint_take(struct exo_checkpoint *c, struct exo_queue *q);

/**
 * exo_checkpoint_touch - of the program's exo_window_on_fault() function: is it a take's doing?
 * @c: the checkpoint
 * @touch: what was touched
 *
 * If a take has made the page read-only, it is saved next; waits until it is. May be called at any
 * instruction: takes no lock, leaves errno alone. Not by the thread that takes.
 *
 * Returns 1: the function shall return, the touch is allowed now. Or 0: no take holds the page.
 * Then the program itself does not allow the touch, or a take has let the page go in this moment:
 * if the program knows that it is allowed, the function shall return, too.
 */
int exo_checkpoint_touch(struct exo_checkpoint *c, const struct exo_upcall *touch);

/**
 * exo_checkpoint_mark - pages were written, and dirty bits do not tell
 * @c: the checkpoint
 * @page: the first, its number in the store
 * @count: of them; what is beyond the store's last page is ignored
 *
 * The next take saves them; one that is under way may. Also what was unmapped, or replaced by
 * another frame, after it was written. Threads: any.
 */
void exo_checkpoint_mark(struct exo_checkpoint *c, uint64_t page, uint64_t count);

/**
 * exo_checkpoint_restore - bring the pages back that the store has
 * @c: the checkpoint
 * @q: an idle queue of the handle
 *
 * Reads them into the buffers, where the store has a hole writes zeroes there, and clears the dirty
 * bits: the next take saves what is written from now on. Nobody may use the range meanwhile.
 *
 * Returns 0, -EINVAL there is no memory for a page that the store has, or what exo_window_dirty(),
 * exo_submit() and exo_read() return: then the range has some of both, and the next take saves all
 * of it.
 */
int exo_checkpoint_restore(struct exo_checkpoint *c, struct exo_queue *q);

/**
 * exo_checkpoint_compare - is it what the store has?
 * @c: the checkpoint
 * @q: an idle queue of the handle
 *
 * Reads the pages, to a buffer of its own. A hole is equal to zeroes.
 *
 * Returns how many pages differ, or what exo_buf_alloc() and exo_read() return.
 */
int64_t exo_checkpoint_compare(struct exo_checkpoint *c, struct exo_queue *q);

/* Of the last take, also one that failed; written by the next. */
const struct exo_checkpoint_stats *exo_checkpoint_stats(const struct exo_checkpoint *c);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_CHECKPOINT_H */
