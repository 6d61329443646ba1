/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Pagers: addresses for more than fits into memory, backed by an extent.
 *
 * A pager is a window (<libexo/window.h>) as large as what lies on the disk, and fewer frames. A
 * touch of a page that is not there is a call of the pager's by the kernel, no signal, on the thread
 * that touched: it reads the page, gives one up if it must, and the thread goes on. What was
 * written to is known by the page tables' dirty bits, and written back before its frame is used
 * for another page.
 *
 *	struct exo_pager_options o = { .size = sizeof(o), .memory = 64 << 20 };
 *
 *	exo_pager_create(x, &o, &p);
 *	struct record *r = exo_pager_address(p);
 *	r[123456789].count++;				read, changed,
 *	exo_pager_flush(p);				written, durable
 *
 * Pages are 4 KiB to 2 MiB, of the program's choice: a page is read by one command (or a few, beyond
 * exo_transfer_max()), mapped by one operation, and takes part in eviction as a whole.
 *
 * In a store (<libexo/store.h>) exo_pager_flush() is atomic: after a crash there is what the last
 * flush left, never a mixture. Without one pages are written in their places, whenever their frames
 * are needed, and a flush says that all of it is durable.
 *
 * Rules. A system call that is handed a page that is not there fails with EFAULT: exo_pager_pin()
 * first. So does O_DIRECT with any (no kernel takes references to frames of a window). A signal handler
 * must not touch the window if the thread it interrupts may be doing so; neither may arguments of
 * libexo's own functions lie in it. A child of fork() has none of it. A touch that is served takes some
 * KiB of the thread's stack.
 *
 * When frames are asked back, exo_give_up() leaves those of a pager: a program that wants to comply has a
 * function of exo_on_revoke() that calls exo_pager_give_up().
 */
#ifndef LIBEXO_PAGER_H
#define LIBEXO_PAGER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_pager;
struct exo_policy;
struct exo_store;

#define EXO_PAGER_LANES_MAX 16

/* flags of struct exo_pager_options */
#define EXO_PAGER_FRESH \
	(1u << 0) /* what is on the disk is of no interest: pages begin as zeroes. Not in a store */

#define EXO_READ_AHEAD_NONE (~0u)

/**
 * exo_pager_error_fn - what becomes of a touch that cannot be served
 * @arg: as in the options
 * @address: what was touched
 * @error: the negative errno: of the device, or -ENOBUFS all pages are pinned, -EACCES a write without
 *	EXO_WRITE
 *
 * On the thread that touched; no lock is held. If it returns the touch is tried again; it may leave
 * by longjmp().
 */
typedef void (*exo_pager_error_fn)(void *arg, void *address, int error);

/**
 * struct exo_pager_options - what exo_pager_create() is told
 * @size: sizeof(struct exo_pager_options); it grows at the end
 * @page: bytes of a page, a power of two, 4096 to EXO_PAGE_MAX; 0: 4096, or a store's
 * @memory: bytes of frames that it holds, rounded up to slabs of <libexo/frame.h>; at least 16 pages
 * @bytes: size of the window; 0: from @first to the end of the extent, or all of the store
 * @first: the block of the extent at which the window's first byte lies; without a store
 * @lanes: touches that can wait for the disk at the same time: a queue each; 0: 2. If there are fewer
 *	queues left, as many as there are
 * @read_ahead: pages that are read at most beyond those asked for, once they are asked for in
 *	order; 0: 128 KiB of them, EXO_READ_AHEAD_NONE: none
 * @flags: EXO_PAGER_*
 * @node: NUMA node of the frames: EXO_NODE_ON(number), or 0: any
 * @policy: which page goes next; NULL: exo_policy_lru(). A page counts as used when it enters, and when
 *	it is touched as a victim
 * @store: where pages are; NULL: one after the other from @first. It must outlive the pager, and
 *	belongs to it until then. Opened on the same handle
 * @on_error: or NULL: SIGBUS for the thread
 * @arg: for @on_error
 */
struct exo_pager_options {
	uint32_t size;
	uint32_t page;
	uint64_t memory;
	uint64_t bytes;
	uint64_t first;
	uint32_t lanes;
	uint32_t read_ahead;
	uint32_t flags;
	uint32_t node;
	const struct exo_policy *policy;
	struct exo_store *store;
	exo_pager_error_fn on_error;
	void *arg;
};

/**
 * exo_pager_create - a new pager, of which no page is in memory
 * @x: a handle with EXO_READ, and EXO_WRITE for the window to be written to; it must outlive the pager
 * @options: what it is to be
 * @out: the pager, for exo_pager_destroy(); NULL on failure
 *
 * Its queues and frames are taken now.
 *
 * Returns 0, or -EINVAL @options, -ERANGE beyond the extent, -EOPNOTSUPP there are no windows or no
 * calls for touches here, -ENOMEM, or what exo_queue_create() and exo_buf_alloc() return.
 */
int exo_pager_create(struct exo *x, const struct exo_pager_options *options,
		     struct exo_pager **out);

/**
 * exo_pager_destroy - the end of a pager
 * @p: the pager, or NULL; no thread touches its window or will
 *
 * What was not flushed may be lost.
 */
void exo_pager_destroy(struct exo_pager *p);

void *exo_pager_address(const struct exo_pager *p);  /* of the window; a multiple of 2 MiB */
uint64_t exo_pager_bytes(const struct exo_pager *p); /* its size */
uint32_t exo_pager_page(const struct exo_pager *p);  /* bytes of a page */

/**
 * exo_pager_flush - make durable what was written
 * @p: the pager
 *
 * What was written to the window before the call is on the disk when it returns, and in a store all of
 * it becomes valid at once. What other threads write meanwhile may be part of it: whoever
 * wants a point in time has nobody write.
 *
 * Returns 0, or the first error of a write since the last flush: -ESTALE frames were taken by force that
 * had been written to, which is lost; or what exo_flush() and exo_store_commit() return. What could
 * not be written stays in memory, and is tried again by the next. If it was the device's Flush that failed,
 * nobody knows which of the pages that were written before are durable. Threads: safe.
 */
int exo_pager_flush(struct exo_pager *p);

/**
 * exo_pager_pin - have pages in memory, and stay there
 * @p: the pager
 * @at: in the window
 * @bytes: of it
 *
 * For system calls that read from or write to them. Each page counts its pins.
 *
 * Frames that are taken by force end all pins of their pages, whoever's they are, and exo_pager_flush() says
 * -ESTALE, once. Such a page is as one that was never pinned: a system call fails with EFAULT, and a touch
 * or another pin reads what is on the disk. Only the latter has it stay.
 *
 * Returns 0, or, with nothing pinned, -EINVAL not in the window, -ENOBUFS there would be too few pages
 * for the others, or the device's error. Threads: safe.
 */
int exo_pager_pin(struct exo_pager *p, const void *at, size_t bytes);

/*
 * As often as they were pinned, also if frames were taken meanwhile. Of a page that is pinned again those pins
 * that ended are counted first: it stays until the last of all that pinned it lets go. Threads: safe.
 */
void exo_pager_unpin(struct exo_pager *p, const void *at, size_t bytes);

/**
 * exo_pager_prefetch - begin to read pages that will be needed
 * @p: the pager
 * @at: in the window
 * @bytes: of it
 *
 * Does not wait, and does nothing if all lanes are busy. As many as there are frames for that are free or clean; the rest is read when touched.
 *
 * Returns how many reads it began, or -EINVAL not in the window. Threads: safe.
 */
int exo_pager_prefetch(struct exo_pager *p, const void *at, size_t bytes);

/**
 * exo_pager_give_up - do with less memory
 * @p: the pager
 * @frames: of 4 KiB, that somebody else needs
 *
 * Writes back what is dirty and gives whole slabs to the kernel, those with the fewest used pages
 * first, but never one with a pinned page, nor so many that fewer than 16 pages stay. For a function of
 * exo_on_revoke(). If frames are taken by force instead, the pager goes on with those that are left.
 *
 * Returns how many frames went. Threads: safe.
 */
uint64_t exo_pager_give_up(struct exo_pager *p, uint64_t frames);

/**
 * struct exo_pager_stats - what a pager did
 * @size: sizeof(struct exo_pager_stats), set by the caller; it grows at the end
 * @pages: pages that it can hold now
 * @faults: touches that were not allowed
 * @rescues: of those, of pages that were in memory still
 * @reads: pages that were read
 * @ahead: of those, before they were asked for
 * @writes: pages that were written
 * @evictions: pages whose frame became another's
 * @lost: pages that were taken by force
 */
struct exo_pager_stats {
	uint32_t size;
	uint32_t pages;
	uint64_t faults;
	uint64_t rescues;
	uint64_t reads;
	uint64_t ahead;
	uint64_t writes;
	uint64_t evictions;
	uint64_t lost;
};

/* Threads: safe. */
void exo_pager_get_stats(struct exo_pager *p, struct exo_pager_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_PAGER_H */
