/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The buffer cache, as its files see it:
 *
 *	cache.c		what programs call; the hit
 *	cache-room.c	the table, and which page goes: the policy and what follows from its word
 *	cache-io.c	commands and their ends; what is to be written, and when it may be
 *	cache-order.c	which page is written before which
 *	cache-give.c	memory goes back
 *	share.c		what other processes see of it
 *
 * A *slot* is a place for a page; it has memory once it was needed, and is found by page number in a
 * table of chains. Where a slot stands (enum exo_slot_place):
 *
 *	BARE -> FREE -> READING -> KEPT -> (LEAVING ->) STANDBY -> FREE
 *
 * A slot that is kept is known to the policy, unless it was its victim when it was pinned, or
 * could not be written. A victim that has something to write is LEAVING until it has been
 * written. A clean one is on STANDBY: still in the table, and the next to be replaced. Who asks for
 * either has it kept again.
 *
 * Locks: @io, then @lock. @lock guards everything but the queue, which belongs to who has @io.
 * Only with both do slots enter or leave the table, and with @io they do not because of others. @lock is
 * let go while the queue is submitted to or waited for: what others may do meanwhile is pin and
 * put, make dirty and order what is in the table.
 */
#ifndef LIBEXO_CACHE_PRIVATE_H
#define LIBEXO_CACHE_PRIVATE_H

#include "private.h"

#define EXO_NONE (~0u) /* no slot, no edge */

enum exo_slot_place {
	EXO_SLOT_BARE,	  /* empty, without memory */
	EXO_SLOT_FREE,	  /* empty, with memory */
	EXO_SLOT_READING, /* in the table; what it holds is being read */
	EXO_SLOT_KEPT,
	EXO_SLOT_LEAVING,
	EXO_SLOT_STANDBY,
};

/**
 * struct exo_slot - a place for a page
 * @page: its number
 * @at: its address
 * @next: in its chain of the table
 * @pins: how often it is pinned
 * @place: where it stands
 * @open: it was said to be going to be changed, and is pinned since; then it is dirty
 * @listed: the policy knows it
 * @dirty: it holds what the device does not
 * @writing: it is being written; if it is dirty too, something newer is to be written
 * @wanted: it is to be written as soon as it may be
 * @queued: it is in one of the lists of those that may be
 * @failed: it could not be written, the last time it was tried
 * @ahead: it is being read, and nobody has asked for it
 * @shown: other processes see it
 * @left: commands that are to end
 * @error: of those that ended, the first failure
 * @frame: its memory
 * @list_next: free, bare or standby
 * @list_prev: likewise
 * @queue_next: of those to be written
 * @stack: of a walk along the edges
 * @earlier: edges from those that are to be durable before it
 * @later: edges to those that it is to be durable before
 * @writes: how often writing it has begun
 * @needs: the flush that it has to wait for, see struct exo_cache
 * @mark: the last walk that came by
 */
struct exo_slot {
	uint64_t page;
	char *at;
	uint32_t next;
	uint32_t pins;
	uint8_t place;
	bool open;
	bool listed;
	bool dirty;
	bool writing;
	bool wanted;
	bool queued;
	bool failed;
	bool ahead;
	bool shown;
	uint16_t left;
	int error;
	uint32_t frame;
	uint32_t list_next;
	uint32_t list_prev;
	uint32_t queue_next;
	uint32_t stack;
	uint32_t earlier;
	uint32_t later;
	uint32_t writes;
	uint64_t needs;
	uint64_t mark;
};

/**
 * struct exo_edge - a page is to be durable before another is written
 * @before: slot of the one
 * @after: slot of the other
 * @write: which writing of @before it is about: slot->writes
 * @next_before: edge, of the same @after
 * @next_after: edge, of the same @before; or in the list of those that are free
 */
struct exo_edge {
	uint32_t before;
	uint32_t after;
	uint32_t write;
	uint32_t next_before;
	uint32_t next_after;
};

/* A list of slots by @list_next and @list_prev, or by @queue_next. */
struct exo_slot_list {
	uint32_t first;
	uint32_t last;
	uint32_t count;
};

struct exo_share;

/**
 * struct exo_cache - a cache
 * @lock: see above
 * @usable: flags that exo_cache_get() may have
 * @bucket_shift: 64 - log2 of the chains
 * @buckets: first slot of each chain
 * @slots: all of them
 * @policy: what goes
 * @state: its
 * @share: what other processes see, or NULL
 * @pinned: slots with pins
 * @dirty: slots that are
 * @failed: likewise
 * @leaving: slots there
 * @cached: slots in the table, but those being read
 * @held: slots with memory
 * @allowed: slots that may have some
 * @stats: what is counted
 *
 * @x: the handle
 * @q: the queue
 * @frames: where memory comes from
 * @stock: its cache
 * @page_shift: log2 of the bytes of a page
 * @blocks_shift: log2 of its blocks
 * @step: bytes that one command moves
 * @parts: commands of a page
 * @slots_count: slots
 * @pages: of the extent
 * @low: when fewer slots are ready to be taken
 * @high: so many are made ready
 *
 * @free: with memory
 * @bare: without
 * @standby: the next to be replaced first
 * @ready: to be written, and may be
 * @unflushed: to be written when the device was flushed
 * @reading: slots there
 * @writing: slots that are being written
 * @flushing: the flush that is under way, or 0
 * @epoch: the next flush. What was written before it begins, it makes durable
 * @durable: the last flush that succeeded
 * @written: the epoch of the last write that succeeded
 * @forced: open pages are written too
 * @broken: the queue is dead: a negative errno
 * @failure: of the last write or flush that failed
 * @trouble: the first since it was set to 0
 * @no_frame: why there was no memory, the last time
 * @mark: of the latest walk along the edges
 * @edges: all of them
 * @edges_count: so many
 * @edges_free: the first that is not in use
 *
 * @io: see above
 * @names: room for the commands of the queue
 * @costs: room for a number a slab
 */
struct exo_cache {
	pthread_mutex_t lock;
	unsigned int usable;
	uint32_t bucket_shift;
	uint32_t *buckets;
	struct exo_slot *slots;
	struct exo_policy policy;
	void *state;
	struct exo_share *share;
	uint32_t pinned;
	uint32_t dirty;
	uint32_t failed;
	uint32_t leaving;
	uint32_t cached;
	uint32_t held;
	uint32_t allowed;
	struct exo_cache_stats stats;

	struct exo *x;
	struct exo_queue *q;
	struct exo_frames *frames;
	struct exo_frames_cache *stock;
	uint32_t page_shift;
	uint32_t blocks_shift;
	uint32_t step;
	uint32_t parts;
	uint32_t slots_count;
	uint64_t pages;
	uint32_t low;
	uint32_t high;

	struct exo_slot_list free;
	struct exo_slot_list bare;
	struct exo_slot_list standby;
	struct exo_slot_list ready;
	struct exo_slot_list unflushed;
	uint32_t reading;
	uint32_t writing;
	uint64_t flushing;
	uint64_t epoch;
	uint64_t durable;
	uint64_t written;
	bool forced;
	int broken;
	int failure;
	int trouble;
	int no_frame;
	uint64_t mark;
	struct exo_edge *edges;
	uint32_t edges_count;
	uint32_t edges_free;

	pthread_mutex_t io;
	uint64_t *names;
	uint32_t *costs;
};

static inline uint32_t exo_slot_number(const struct exo_cache *c, const struct exo_slot *s)
{
	return (uint32_t)(s - c->slots);
}

/* The chain of a page, of 1 << (64 - shift): of readers in other processes, too. */
static inline uint32_t exo_cache_bucket(uint64_t page, uint32_t shift)
{
	return (uint32_t)(page * 0x9e3779b97f4a7c15ull >> shift);
}

/* The slot of a page, or NULL. The caller has the lock. */
static inline struct exo_slot *exo_cache_find(const struct exo_cache *c, uint64_t page)
{
	uint32_t n = c->buckets[exo_cache_bucket(page, c->bucket_shift)];

	while (n != EXO_NONE) {
		struct exo_slot *s = &c->slots[n];

		if (s->page == page)
			return s;
		n = s->next;
	}
	return NULL;
}

/* Commands are in flight. */
static inline bool exo_cache_busy(const struct exo_cache *c)
{
	return c->reading || c->writing || c->flushing;
}

/* So many commands can be started: on a dead queue any number, they fail. */
static inline bool exo_cache_has_room(const struct exo_cache *c, uint32_t commands)
{
	return exo_queue_free(c->q) >= commands || c->broken;
}

/* Below: the caller has the lock; and @io, where not said otherwise. */

/* cache.c */
void exo_cache_set_dirty(struct exo_cache *c, struct exo_slot *s); /* without @io */
void exo_cache_open(struct exo_cache *c, struct exo_slot *s);	   /* without @io */

/* cache-room.c */
void exo_slot_push(struct exo_cache *c, struct exo_slot_list *list, struct exo_slot *s);
void exo_slot_unlist(struct exo_cache *c, struct exo_slot_list *list, struct exo_slot *s);
/* The policy knows it, from now on or no more. */
void exo_cache_list(struct exo_cache *c, struct exo_slot *s, int how); /* without @io */
void exo_cache_unlist(struct exo_cache *c, struct exo_slot *s);
/* A victim is asked for: it stays. */
void exo_cache_rescue(struct exo_cache *c, struct exo_slot *s); /* without @io */
/* A free slot is to hold a page, and then does. */
void exo_cache_insert(struct exo_cache *c, struct exo_slot *s, uint64_t page);
void exo_cache_arrive(struct exo_cache *c, struct exo_slot *s, int how);
/* A slot that is neither pinned nor dirty nor being written is free. */
void exo_cache_remove(struct exo_cache *c, struct exo_slot *s);
/* A victim has been written. */
void exo_cache_stand_by(struct exo_cache *c, struct exo_slot *s);
/* A slot that is free, in no list; -EAGAIN if that takes waiting and @wait is not set. */
int exo_cache_take(struct exo_cache *c, bool wait, struct exo_slot **out);

/* cache-io.c */
void exo_cache_read(struct exo_cache *c, struct exo_slot *s);
void exo_cache_submit(struct exo_cache *c);
void exo_cache_reap(struct exo_cache *c);
/* Submit, and wait until something ended. Something is in flight. Lets go of the lock. */
int exo_cache_wait(struct exo_cache *c);
/* Have a page written, and all that has to be before it; without waiting. */
void exo_cache_want(struct exo_cache *c, struct exo_slot *s);
/* It may have become possible to write it. */
void exo_cache_enqueue(struct exo_cache *c, struct exo_slot *s);
/* Prepare the writes, and the flush, that are wanted and possible. */
void exo_cache_pump(struct exo_cache *c);
/* Until nothing that is wanted can be written any more. Lets go of the lock. */
int exo_cache_write_out(struct exo_cache *c);
/* Make durable what has been written. Likewise. */
int exo_cache_flush_device(struct exo_cache *c);

/* cache-order.c */
/* Writing a page has succeeded: who waited for that, waits for a flush alone. */
void exo_cache_was_written(struct exo_cache *c, struct exo_slot *s);
/* It leaves the table. */
void exo_cache_forget_order(struct exo_cache *c, struct exo_slot *s);

/* share.c: nothing, if it is not shared */
void exo_share_enter(struct exo_cache *c, struct exo_slot *s);
void exo_share_leave(struct exo_cache *c, struct exo_slot *s);
void exo_share_open(struct exo_cache *c, struct exo_slot *s);  /* without @io */
void exo_share_close(struct exo_cache *c, struct exo_slot *s); /* without @io */
/* Nobody reads the slab any more. Takes a moment: the lock is let go. */
void exo_share_lose_slab(struct exo_cache *c, uint32_t slab);
/* The same of all of it, and the directory is given back: how many frames. */
uint64_t exo_share_end(struct exo_cache *c);
/* The address of what may be asked back. */
const void *exo_share_directory(const struct exo_cache *c);

#endif /* LIBEXO_CACHE_PRIVATE_H */
