/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Stores: numbered pages on an extent, of which all that was written becomes valid at once.
 *
 * Each page has two places on the disk. What is written goes to the one that is not committed;
 * exo_store_commit() makes all of it the content of the store in one step: after a crash or a
 * power cut at any instant there is what the last commit that returned left, or, if one was under
 * way, what it would have left; never a mixture. A store moves no pages: it says where they are,
 * and whoever uses it (a pager, a checkpoint, a program) reads and writes there.
 *
 *	exo_store_format(q, &options);				once
 *	exo_store_open(q, first_block, &s);
 *	exo_write(q, buf, exo_store_place(s, 7), blocks);	page 7 anew
 *	exo_store_wrote(s, 7);
 *	exo_store_commit(s, q);					now it counts
 *
 * On the disk: two roots and two maps (two bits a page), written in turn, with checksums; then the
 * places. Pages themselves have no checksum. Documentation/store.md has every byte, and what is
 * asked of the device.
 *
 * One program at a time uses a store: who else opens it while it is written to reads a mixture.
 *
 * Threads: all calls on a store, one at a time.
 */
#ifndef LIBEXO_STORE_H
#define LIBEXO_STORE_H

#include <stdint.h>
#include <libexo/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_queue;
struct exo_store;

#define EXO_STORE_HOLE (~0ull)		/* the page was never written: it is zeroes */
#define EXO_STORE_NO_PLACE (1ull << 62) /* it cannot be written now: no device has such a block */

/**
 * struct exo_store_options - a store that is to be
 * @size: sizeof(struct exo_store_options); it grows at the end
 * @page: bytes of a page, a power of two, 4096 to EXO_PAGE_MAX; 0: 4096
 * @pages: how many, 1 or more
 * @first: the first block of the handle's extent that it may use; its place is a multiple of 4096
 *	bytes
 */
struct exo_store_options {
	uint32_t size;
	uint32_t page;
	uint64_t pages;
	uint64_t first;
};

/**
 * exo_store_blocks - logical blocks that a store takes
 * @q: a queue of the handle
 * @options: as of exo_store_format()
 *
 * Returns the number, or 0 if there can be no such store.
 */
uint64_t exo_store_blocks(struct exo_queue *q, const struct exo_store_options *options);

/**
 * exo_store_format - make an empty store; what was there is lost
 * @q: an idle queue of a handle with EXO_READ and EXO_WRITE
 * @options: what it is to be
 *
 * After a crash in the middle there is no store, or the former one whole, if one began at @first.
 *
 * Returns 0, -EINVAL @options, -E2BIG an option that this library does not know, -ENOSPC the
 * extent is too small, -ENOMEM, or what exo_buf_alloc(), exo_read(), exo_write(), exo_flush()
 * and getrandom(2) return.
 */
int exo_store_format(struct exo_queue *q, const struct exo_store_options *options);

/**
 * exo_store_open - use a store
 * @q: an idle queue of a handle with EXO_READ, and EXO_WRITE to commit; the handle must outlive
 *	the store
 * @first: as of its options
 * @out: the store, for exo_store_close(); NULL on failure
 *
 * Everything on the disk may be an attack: what does not fit together is refused. Reads both maps,
 * and flushes the device if the handle has EXO_WRITE: what it found stays.
 *
 * Returns 0, -EILSEQ there is no valid store, -ENOSPC it is larger than the extent, -EPROTO of a
 * later version, -EINVAL @first, -ENOMEM, or what exo_buf_alloc(), exo_read() and exo_flush()
 * return.
 */
int exo_store_open(struct exo_queue *q, uint64_t first, struct exo_store **out);

/* What was not committed is forgotten. NULL: nothing to do. */
void exo_store_close(struct exo_store *s);

uint32_t exo_store_page(const struct exo_store *s);	  /* bytes of a page */
uint64_t exo_store_pages(const struct exo_store *s);	  /* how many */
uint64_t exo_store_generation(const struct exo_store *s); /* commits since it was formatted */

/**
 * exo_store_find - where a page is now, written and not committed included
 * @s: the store
 * @page: its number; not checked
 *
 * Returns the first logical block, counted from the start of the extent, or EXO_STORE_HOLE.
 */
uint64_t exo_store_find(const struct exo_store *s, uint64_t page);

/**
 * exo_store_place - where a page is to be written
 * @s: the store
 * @page: its number; not checked
 *
 * All of it, before exo_store_wrote() is called. The same until the next commit. Nothing valid is
 * there: a write that ends halfway loses what was written since the last commit, at most. Pages
 * that lie side by side in a store often do so on the disk, too: half of it is for the one place
 * of each, in their order, and half for the other.
 *
 * Returns the first logical block, or EXO_STORE_NO_PLACE, for which any command fails: a commit has
 * failed so late that it may count (exo_store_commit()), so that neither place may be written to.
 */
uint64_t exo_store_place(const struct exo_store *s, uint64_t page);

/* What exo_store_place() named has been written, and the device has said so. */
void exo_store_wrote(struct exo_store *s, uint64_t page);

/**
 * exo_store_forget - a page becomes a hole, with the next commit
 * @s: the store
 * @page: its number; not checked
 */
void exo_store_forget(struct exo_store *s, uint64_t page);

/**
 * exo_store_undo - forget what was written and not committed
 * @s: the store
 *
 * Not if a commit has failed so late that it may count: then it does nothing.
 */
void exo_store_undo(struct exo_store *s);

/**
 * exo_store_commit - what was written becomes valid
 * @s: the store
 * @q: an idle queue of the handle
 *
 * Writes the blocks of a map that have changed, flushes the device, which makes the pages durable
 * too, and writes a root.
 *
 * Returns 0: it is durable. Nothing to commit: 0. Or -EOVERFLOW after 2^62 commits, or what
 * exo_buf_alloc(), exo_write() and exo_flush() return: it is not known to be durable, and may be
 * tried again. If only the root was left to be written, exo_store_place() is EXO_STORE_NO_PLACE
 * until a commit returns 0. If not, nothing has become of it, but a device that failed to flush may
 * have lost pages that it said it had written: write them again.
 *
 * After -ETIMEDOUT, of this or of a write of a page, commands may still be in flight. Until @q is
 * idle again or destroyed, use the store with no other queue, and open no other on its blocks: a
 * write that comes late would undo what was written since.
 */
int exo_store_commit(struct exo_store *s, struct exo_queue *q);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_STORE_H */
