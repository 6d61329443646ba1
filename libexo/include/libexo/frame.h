/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Frames, a page at a time: an allocator over buffers, for pagers and caches.
 *
 * A *page* here is the program's: 4 KiB to 2 MiB, a power of two, of frames that lie side by side in
 * the program and in buffer space, so that one command moves it and one operation maps it. The
 * kernel is asked for slabs of 2 MiB (or of the limit, rounded up to a power of two, if that is less),
 * each a buffer of exo_buf_alloc(). When frames are asked back exo_give_up() leaves slabs (<libexo/revoke.h>):
 * what is in them, whoever uses the pages knows.
 *
 * Pages are numbered: page n is page n % exo_frames_per_slab() of slab n / exo_frames_per_slab().
 * Threads take them from caches of their own, which go to the allocator, and its lock, only for
 * every EXO_FRAMES_BATCH of them.
 *
 *	exo_frames_create(q, NULL, &frames);
 *	exo_frames_cache_create(frames, &cache);	one for each thread
 *	exo_frames_get(cache, &page);
 *	memset(exo_frames_address(frames, page), 1, 4096);
 */
#ifndef LIBEXO_FRAME_H
#define LIBEXO_FRAME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_queue;
struct exo_frames;
struct exo_frames_cache;

#define EXO_FRAMES_NONE (~0u) /* no page has this number */
#define EXO_FRAMES_BATCH 32   /* pages of less than 2 MiB that a cache takes or gives at a time */
#define EXO_PAGE_MAX (2u << 20)

/**
 * struct exo_frames_options - what exo_frames_create() may be told
 * @size: sizeof(struct exo_frames_options); it grows at the end
 * @page: bytes of a page, a power of two, 4096 to EXO_PAGE_MAX; 0: 4096
 * @order: EXO_BUF_ORDER(EXO_ORDER_2M): of frames of 2 MiB alone, as an entry of 2 MiB needs them;
 *	0: of 2 MiB where they are to be had
 * @node: NUMA node they come from, and no other: EXO_NODE_ON(number), or 0: any. That there is none is
 *	-EINVAL, and that it has no more -ENOMEM, when the kernel is asked for slabs
 * @limit: bytes that it holds at most, rounded up to slabs; 0: what the handle can hold
 */
struct exo_frames_options {
	uint32_t size;
	uint32_t page;
	uint32_t order;
	uint32_t node;
	uint64_t limit;
};

/**
 * exo_frames_create - a new allocator, which holds nothing yet
 * @q: a queue of the handle whose pool the frames come from; the handle must outlive the
 *	allocator, @q need not
 * @options: or NULL
 * @out: the allocator, for exo_frames_destroy(); NULL on failure
 *
 * Returns 0, -EINVAL @options, or -ENOMEM. Threads: safe.
 */
int exo_frames_create(struct exo_queue *q, const struct exo_frames_options *options,
		      struct exo_frames **out);

/**
 * exo_frames_destroy - give all slabs back, pages that are in use too
 * @f: the allocator, or NULL; its caches were destroyed
 *
 * Waits for commands in flight, as exo_buf_free() does.
 */
void exo_frames_destroy(struct exo_frames *f);

/**
 * exo_frames_cache_create - where a thread takes pages from
 * @f: the allocator
 * @out: the cache, for exo_frames_cache_destroy(); NULL on failure
 *
 * Returns 0 or -ENOMEM. Threads: safe; the cache belongs to one thread at a time.
 */
int exo_frames_cache_create(struct exo_frames *f, struct exo_frames_cache **out);

/* What it has goes back to the allocator. NULL: nothing to do. */
void exo_frames_cache_destroy(struct exo_frames_cache *c);

/**
 * exo_frames_get - a page
 * @c: the cache
 * @page: its number; what it holds is undefined, but not another's: zeroes, or of this allocator
 *
 * Returns 0, -EDQUOT the limit, or what exo_buf_alloc() returns. In a handler of upcalls it may be
 * used only if there is a page without asking the kernel: exo_frames_reserve().
 */
int exo_frames_get(struct exo_frames_cache *c, uint32_t *page);

/* A page goes back; any cache of the allocator's will do. */
void exo_frames_put(struct exo_frames_cache *c, uint32_t page);

/**
 * exo_frames_reserve - ask the kernel for slabs now
 * @f: the allocator
 * @bytes: that it is to hold, those in use included; at most its limit
 *
 * Returns 0, or as exo_frames_get(): then it holds as much as there was. Threads: safe.
 */
int exo_frames_reserve(struct exo_frames *f, uint64_t bytes);

/**
 * exo_frames_trim - give slabs without a page in use or in a cache back
 * @f: the allocator
 *
 * Returns how many 4 KiB frames went. Threads: safe.
 */
uint64_t exo_frames_trim(struct exo_frames *f);

/**
 * exo_frames_release - give one slab back, whatever of it is in use
 * @f: the allocator
 * @slab: its number; nobody uses its pages any more, and none is in a cache
 *
 * Also of one that was given up or taken. Returns how many 4 KiB frames went. Threads: safe.
 */
uint64_t exo_frames_release(struct exo_frames *f, uint32_t slab);

/* Pages of a slab, and the numbers that slabs can have: constant. */
uint32_t exo_frames_per_slab(const struct exo_frames *f);
uint32_t exo_frames_slabs(const struct exo_frames *f);

/*
 * Of a page that is in use; not checked. Threads: safe.
 *
 * Its address, in a buffer; its offset in buffer space (PRP1 of a command); and the frames
 * capability it is of, with its first 4 KiB page there, for exo_window_map(): 0 if it was given up
 * or taken, or the handle is emulated.
 */
void *exo_frames_address(const struct exo_frames *f, uint32_t page);
uint64_t exo_frames_offset(const struct exo_frames *f, uint32_t page);
uint32_t exo_frames_capability(const struct exo_frames *f, uint32_t page, uint64_t *first);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_FRAME_H */
