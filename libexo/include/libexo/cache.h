/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A buffer cache: pages of a handle's extent in frames, read once, written back when it suits.
 *
 * A page is a power of two of bytes of the extent, 4096 by default, counted from its start. It is
 * *pinned* between exo_cache_get() and exo_cache_put(): its address holds, and it does not go. Who
 * changes it says so first, by EXO_CACHE_WRITE or exo_cache_dirty(); then it is *dirty* until it
 * has been written to the device, and *open* until nobody has it pinned.
 *
 *	exo_cache_create(x, NULL, &c);
 *	exo_cache_get(c, 7, EXO_CACHE_WRITE, &buf);
 *	strcpy(buf, "hello");
 *	exo_cache_put(c, 7);
 *	exo_cache_flush(c);
 *
 * Which page goes when room is needed, a policy says (<libexo/policy.h>). A cache keeps some clean
 * pages ready to be replaced: when there are few, the next victims are written back, many at a
 * time, by whoever misses next, who does not wait for them. There is no thread: commands go on by
 * themselves, what they left is looked at by the next call that misses, prefetches or flushes, or
 * by exo_cache_poll().
 *
 * Errors of the device: a page that cannot be read is not cached. One that cannot be written
 * stays, dirty, until a flush has written it; the errno is that of exo_cache_flush(), and, if no
 * other page can go, of whoever needs room. When the queue is dead (-ESTALE), or commands are lost as
 * the device ended others in their stead (-EIO), calls that need the device fail, for good; pages that
 * are cached stay.
 *
 * The last blocks of an extent that do not fill a page are not cached. While there is a cache, what
 * others write to the extent, by queues or by caches of their own, is not seen in pages that are
 * cached.
 *
 * Threads: all calls but create and destroy are safe. There are two locks: that of the pages, which
 * a hit takes for a moment; and that of the queue, held by who misses, prefetches, flushes or gives
 * up, also while it waits for the device. So hits go on beside a miss, and misses one after
 * the other: use exo_cache_prefetch(), or a cache for each thread on an extent of its own. What two
 * threads do to the bytes of a page is theirs to agree on.
 *
 * Revocation: what is in the frames the cache knows, so exo_give_up() leaves them. A program with
 * a cache sets a function of its own, which calls exo_cache_comply():
 *
 *	static void asked(struct exo *x, const struct exo_asked *asked, void *cache)
 *	{
 *		exo_cache_comply(cache, asked);
 *	}
 *	exo_on_revoke(x, asked, c);
 *
 * Frames that were taken by force are gone: a touch of their pages is SIGBUS, pinned or not, and of
 * pages that are put there since. Calls have errors, as commands for such pages are refused; what can
 * be written still is. Destroy the cache then.
 *
 * It works on "uring:" handles. Other processes may read it: <libexo/share.h>.
 */
#ifndef LIBEXO_CACHE_H
#define LIBEXO_CACHE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_asked;
struct exo_cache;
struct exo_policy;
struct exo_queue_options;

/**
 * struct exo_cache_options - what exo_cache_create() may be told
 * @size: sizeof(struct exo_cache_options); it grows at the end
 * @page: bytes of a page, a power of two, from 4096 to EXO_PAGE_MAX; 0: 4096
 * @limit: bytes of pages that it holds at most, one page or more; 0: 16 MiB. Frames are allocated
 *	when they are first needed, 2 MiB at a time
 * @policy: which page goes; NULL: exo_policy_lru(). Copied; its calls come one at a time
 * @queue: how its queue is made; NULL: 64 commands deep
 * @flags: must be 0
 * @__reserved: must be 0
 */
struct exo_cache_options {
	uint32_t size;
	uint32_t page;
	uint64_t limit;
	const struct exo_policy *policy;
	const struct exo_queue_options *queue;
	uint32_t flags;
	uint32_t __reserved;
};

/**
 * exo_cache_create - a cache of a handle's extent, empty
 * @x: the handle; it must outlive the cache
 * @options: or NULL
 * @out: the cache, for exo_cache_destroy(); NULL on failure
 *
 * Returns 0, or -EINVAL an option, a page smaller than a block or larger than the extent, or a queue
 * too shallow for the commands of a page, -E2BIG an option that this library does not
 * know, -ENOMEM, or what exo_queue_create() returns.
 */
int exo_cache_create(struct exo *x, const struct exo_cache_options *options,
		     struct exo_cache **out);

/**
 * exo_cache_destroy - the end of a cache
 * @c: the cache, or NULL
 *
 * What is dirty is lost: exo_cache_flush() first. Waits for commands in flight. Nobody may use it, or
 * the address of a page, any more.
 */
void exo_cache_destroy(struct exo_cache *c);

uint32_t exo_cache_page(const struct exo_cache *c);  /* bytes of a page */
uint64_t exo_cache_pages(const struct exo_cache *c); /* whole pages of the extent */

/* flags of exo_cache_get() */
#define EXO_CACHE_WRITE (1u << 0)     /* it will be changed: as exo_cache_dirty() */
#define EXO_CACHE_OVERWRITE (1u << 1) /* likewise, all of it: what it holds is not read */
#define EXO_CACHE_CACHED (1u << 2)    /* only if it is cached */

/**
 * exo_cache_get - pin a page
 * @c: the cache
 * @page: its number
 * @flags: EXO_CACHE_*, or 0: it is only looked at
 * @buf: its address, until exo_cache_put(); NULL on failure
 *
 * A page may be pinned many times, and is as often put. With EXO_CACHE_OVERWRITE a page that was
 * not cached holds something old: all of it must be written before it is put.
 *
 * Returns 0, or -ERANGE no such page, -ENOENT it is not cached (EXO_CACHE_CACHED), -EACCES it cannot
 * be written, -EINVAL @flags, -ENOBUFS all that could go is pinned; for lack of room, the errno of
 * a write or flush that failed, or what exo_buf_alloc() returns; else what the read returned.
 */
int exo_cache_get(struct exo_cache *c, uint64_t page, unsigned int flags, void **buf);

/**
 * exo_cache_put - a pin less
 * @c: the cache
 * @page: one that is pinned
 *
 * Returns 0, or -EINVAL it is not.
 */
int exo_cache_put(struct exo_cache *c, uint64_t page);

/**
 * exo_cache_dirty - say that a page is going to be changed
 * @c: the cache
 * @page: one that is pinned
 *
 * Before it is changed. It is open until nobody has it pinned, and dirty then.
 *
 * Returns 0, or -EINVAL it is not pinned, -EACCES the handle is not for writing.
 */
int exo_cache_dirty(struct exo_cache *c, uint64_t page);

/**
 * exo_cache_order - one page is to be durable before another is written
 * @c: the cache
 * @before: a page
 * @after: another, pinned, before it is changed
 *
 * What @before holds now is on the device, and flushed, before @after is next written back,
 * whoever wants that. Only pages that are dirty are written for it; a flush of the device serves
 * many. Said again, it holds for what @before then holds. When @after is not cached any more it is
 * forgotten: keep it pinned until it is dirty. If @after is being written, waits until it has been.
 *
 * Returns 0, or -EINVAL @after is not pinned, -ELOOP @after has to be durable before @before:
 * exo_cache_flush() first; -ENOMEM, or what exo_wait() returns.
 */
int exo_cache_order(struct exo_cache *c, uint64_t before, uint64_t after);

/**
 * exo_cache_prefetch - begin to read pages that will be needed
 * @c: the cache
 * @page: the first
 * @count: pages; those beyond the extent are none
 *
 * Does not wait: it ends where the queue is full, or no page can go at once. One that
 * cannot be read is not cached; exo_cache_get() says why.
 *
 * Returns how many of them, the first ones, are cached or on their way.
 */
uint32_t exo_cache_prefetch(struct exo_cache *c, uint64_t page, uint32_t count);

/**
 * exo_cache_poll - look what has become of commands, and go on writing back
 * @c: the cache
 *
 * Does not wait for the device. Not needed.
 */
void exo_cache_poll(struct exo_cache *c);

/**
 * exo_cache_flush - make durable what was put before
 * @c: the cache
 *
 * Writes all pages that are dirty, as they are now if they are open (they stay dirty), then flushes
 * the device. All are tried, whatever fails.
 *
 * Returns 0, or the errno of the first write or flush that failed: what was not written is dirty.
 */
int exo_cache_flush(struct exo_cache *c);

/**
 * exo_cache_evict - one page goes
 * @c: the cache
 * @page: its number
 *
 * Written first if it is dirty. The next exo_cache_get() reads the device.
 *
 * Returns 0, or -ENOENT it is not cached, -EBUSY it is pinned, or has to wait for one that is open,
 * or what the write returned.
 */
int exo_cache_evict(struct exo_cache *c, uint64_t page);

/**
 * exo_cache_give_up - give memory back
 * @c: the cache
 * @frames: of 4 KiB, at least
 *
 * In slabs, of 2 MiB: first those whose pages need not be written, never one with a page
 * that is pinned. The cache holds no more than what is left then, or one slab, until exo_cache_limit().
 *
 * Returns how many frames went.
 */
uint64_t exo_cache_give_up(struct exo_cache *c, uint64_t frames);

/**
 * exo_cache_limit - hold so much from now on
 * @c: the cache
 * @bytes: one page or more; what is above the limit that it was made with is that
 *
 * Returns 0, or -EINVAL @bytes is less than a page, -EBUSY it holds more, and what is too much is
 * pinned or could not be written. In slabs: it may hold one not in full.
 */
int exo_cache_limit(struct exo_cache *c, uint64_t bytes);

/**
 * exo_cache_comply - give what is asked back, if it is the cache's
 * @c: the cache
 * @asked: as a function of exo_on_revoke() was told it
 *
 * Of a pool so many frames, for want of memory alone (no deadline) only those that need not be written;
 * of frames of the cache the slab.
 *
 * Returns how many frames went.
 */
uint64_t exo_cache_comply(struct exo_cache *c, const struct exo_asked *asked);

/**
 * struct exo_cache_stats - what a cache has and did
 * @size: sizeof(struct exo_cache_stats), set by the caller; it grows at the end
 * @dirty: pages that are dirty
 * @pinned: pages that are pinned
 * @failed: pages that could not be written, and are dirty
 * @cached: pages that are cached
 * @held: pages that it has memory for
 * @hits: times that a page was asked for and there
 * @misses: times that it was not
 * @prefetched: pages that were read ahead
 * @rescued: pages that were to go, and were asked for before they had
 * @evicted: pages that went
 * @written: pages that were written
 * @flushes: of the device
 * @errors: reads, writes and flushes that failed
 */
struct exo_cache_stats {
	uint32_t size;
	uint32_t dirty;
	uint32_t pinned;
	uint32_t failed;
	uint64_t cached;
	uint64_t held;
	uint64_t hits;
	uint64_t misses;
	uint64_t prefetched;
	uint64_t rescued;
	uint64_t evicted;
	uint64_t written;
	uint64_t flushes;
	uint64_t errors;
};

/* What a cache has and did so far. */
void exo_cache_get_stats(struct exo_cache *c, struct exo_cache_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_CACHE_H */
