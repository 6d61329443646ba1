/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the files of the pager share.
 *
 *	pager.c        a pager's beginning and end, and the window
 *	pager-fault.c  a touch: what is to be done for it
 *	pager-io.c     lanes: reads and writes, and what becomes of a slot at their end
 *	pager-room.c   which slots are for other pages
 *	pager-flush.c  what was written becomes durable
 *	pager-less.c   with less memory
 *	pager-pin.c    pages that stay, pages that will be needed
 *
 * A slot is a page's place in memory, by its number in the allocator. It goes round:
 *
 *	FREE → READING → ACTIVE → INACTIVE → CLEAN → READING (of another page) …
 *
 * ACTIVE can be touched (unless it is a marker, see read_ahead). INACTIVE and CLEAN keep their page
 * and its entry in the window, with no access: a touch makes them ACTIVE again. An INACTIVE slot that is
 * being written is in no list. When a slot is used for another page its old entry may stay, with no
 * access, until something else is mapped there: a touch of it is told by @where.
 *
 * Locking. @lock guards everything but lanes, and is held across calls on the window, not while
 * somebody waits for the disk. A lane's lock guards its queue, and is held while its owner waits. A lane's
 * before @lock; of lanes one at a time, but those that are only tried.
 *
 * Who has a lane with commands in flight waits for them, or gives it back; either is an event of @progress.
 * So a thread that needs something of others, and has nothing in flight itself, can sleep as long as
 * anything is.
 */
#ifndef LIBEXO_PAGER_PRIVATE_H
#define LIBEXO_PAGER_PRIVATE_H

#include "backend.h"
#include "eventcount.h"

#define PAGER_ENTRY 4096u
#define PAGER_PAGES_MIN 16u /* with fewer there is no progress worth the name */
#define PAGER_OPS 32u	    /* operations on the window that are collected */
#define PAGER_BATCH 16u	    /* slots that are made inactive, or washed, together */
#define PAGER_STREAMS 8u
#define PAGER_EXPECTATION 32  /* how often it has to be wrong, at most, to be another */
#define PAGER_NOWHERE (~0ull) /* no page */

enum slot_state { SLOT_GONE, SLOT_FREE, SLOT_READING, SLOT_ACTIVE, SLOT_INACTIVE, SLOT_CLEAN };

/**
 * struct pager_slot - a page's place in memory
 * @page: which; PAGER_NOWHERE: none
 * @next, @prev: in a list
 * @pins: of exo_pager_pin()
 * @ios: commands in flight
 * @state: see above
 * @lane: whose commands they are
 * @swept: the flush that last asked for its dirty bits
 * @open: it can be written to without a touch that is told: only then there are dirty bits to ask for
 * @writing: its commands write, also after it was touched again
 * @dirty: all of it is to be written, whatever the dirty bits say
 * @marker: ACTIVE, with no access: the touch of it is to begin the next read-ahead
 * @ahead: nobody asked for it yet
 * @error: the first of its commands' errors, negative
 */
struct pager_slot {
	uint64_t page;
	uint32_t next, prev;
	uint32_t pins;
	uint64_t swept;
	uint16_t ios;
	uint8_t state;
	uint8_t lane;
	bool open;
	bool writing;
	bool dirty;
	bool marker;
	bool ahead;
	int error;
};

enum pager_list { LIST_FREE, LIST_INACTIVE, LIST_CLEAN, LISTS };

/**
 * struct pager_lane - one at a time who waits for the disk
 * @q: its queue; NULL: it has ended, and so has all that was in flight
 * @wanted: the page that its owner reads
 * @error: why that could not be read
 */
struct pager_lane {
	pthread_mutex_t lock;
	struct exo_queue *q;
	uint64_t wanted;
	int error;
};

/**
 * struct pager_stream - pages that are asked for in order
 * @next: the page that would continue it
 * @length: pages to read ahead
 */
struct pager_stream {
	uint64_t next;
	uint32_t length;
};

/**
 * struct exo_pager - a pager
 * @o: options, complete
 * @shift: log2 of the bytes of a page
 * @entries: of the window, a page
 * @blocks: of the disk, a page
 * @pages: of the window
 * @writable: the handle has EXO_WRITE
 * @large: an entry of the window is a page of 2 MiB
 * @slots_nr: slot numbers that there are; the heads of lists are behind them
 * @where: slot number + 1 of each page, 0 if it has none
 * @ended: pins of each page that ended with frames which were taken, of those who have yet to unpin it
 * @ended_nr: all of them
 * @backed: with EXO_PAGER_FRESH: a bit for each page that has been written
 * @held: slots that are not GONE
 * @listed: in each list
 * @washing: slots that are being written, and in no list
 * @ops: for the window, not yet done
 * @expectation: above 0: what is read is mostly written to, too
 * @error: of a write, for the next flush
 * @failed: writes that failed
 * @sweep: of flushes, which one
 * @died: why the last lane ended
 * @progress: commands ended, or a lane was given back
 * @zeroes: a descriptor of /dev/zero; -1: there are no holes here
 */
struct exo_pager {
	struct exo *x;
	struct exo_pager_options o;
	struct exo_window *w;
	struct exo_frames *f;
	struct exo_frames_cache *cache;
	struct pager_lane lanes[EXO_PAGER_LANES_MAX];
	uint32_t lanes_nr;
	uint32_t shift;
	uint32_t entries;
	uint32_t blocks;
	uint64_t pages;
	bool writable;
	bool large;

	pthread_mutex_t lock;
	void *policy;
	uint32_t slots_nr;
	struct pager_slot *slots;
	uint32_t *where;
	uint32_t *ended;
	uint64_t ended_nr;
	uint64_t *backed;
	uint32_t held;
	uint32_t listed[LISTS];
	uint32_t washing;
	struct exo_window_op ops[PAGER_OPS];
	uint32_t ops_nr;
	struct pager_stream streams[PAGER_STREAMS];
	uint32_t stream_last;
	int expectation;
	int error;
	uint64_t failed;
	uint64_t sweep;
	int died;
	struct exo_eventcount progress;
	int zeroes;
	struct exo_pager_stats stats;
};

/* pager.c; the caller holds @lock */

void exo_pager_list(struct exo_pager *p, enum pager_list list, uint32_t slot);
void exo_pager_unlist(struct exo_pager *p, enum pager_list list, uint32_t slot);
uint32_t exo_pager_first(struct exo_pager *p,
			 enum pager_list list); /* EXO_SLOT_NONE: it is empty */

/* The slot that has @page, or NULL. */
static inline struct pager_slot *exo_pager_slot(struct exo_pager *p, uint64_t page)
{
	return p->where[page] ? &p->slots[p->where[page] - 1] : NULL;
}

static inline uint32_t exo_pager_number(const struct exo_pager *p, const struct pager_slot *s)
{
	return s - p->slots;
}

/* Operations on the window, done by exo_pager_apply(), or before: the page of @s can be touched, or not. */
void exo_pager_show(struct exo_pager *p, const struct pager_slot *s);
void exo_pager_hide(struct exo_pager *p, const struct pager_slot *s);
/* Returns 0, or why a page that was shown cannot be touched yet. */
int exo_pager_apply(struct exo_pager *p);
/* If the frames of @slot were taken, all that was in its slab is lost; returns whether. */
bool exo_pager_check(struct exo_pager *p, uint32_t slot);
/* The same, as far as the library knows it already: without asking the kernel. */
static inline bool exo_pager_is_gone(struct exo_pager *p, uint32_t slot)
{
	uint64_t first;

	return !exo_frames_capability(p->f, slot, &first) && exo_pager_check(p, slot);
}
/* The slot has no page any more, and is in no list. */
void exo_pager_empty(struct exo_pager *p, struct pager_slot *s);
/* The slots of a slab, which are in no list and have no page, are no more. Returns how many frames went. */
uint64_t exo_pager_remove(struct exo_pager *p, uint32_t slab);

/* pager-io.c */

/* A lane that lives, and its lock. NULL: there is none, of _try: or none is free. */
struct pager_lane *exo_lane_take(struct exo_pager *p);
struct pager_lane *exo_lane_try(struct exo_pager *p);
void exo_lane_give(struct exo_pager *p, struct pager_lane *lane);
/* With both locks: commands for the page of @s are prepared. */
void exo_lane_read(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s);
void exo_lane_write(struct exo_pager *p, struct pager_lane *lane, struct pager_slot *s,
		    uint64_t from, uint64_t to);
/* With both locks: hands over what was prepared. */
void exo_lane_submit(struct exo_pager *p, struct pager_lane *lane);
/*
 * With the lane's: takes completions, and waits until there are some; 0: nothing is in flight. If that
 * fails, the lane has ended.
 */
int exo_lane_wait(struct exo_pager *p, struct pager_lane *lane);
/* With the lane's: takes those that there are. */
int exo_lane_reap(struct exo_pager *p, struct pager_lane *lane);
/*
 * With the lock of @own and the other, which is let go meanwhile: sleeps until there may be progress: a
 * command of @own has ended, or, if it has none, of another lane. If there is none at all, returns.
 */
void exo_lanes_wait(struct exo_pager *p, struct pager_lane *own);
/* With neither: all that is in flight now ends. */
void exo_lanes_drain(struct exo_pager *p);
/* The same, and all lanes are locked, so that nothing new begins; and not any more. */
void exo_lanes_stop(struct exo_pager *p);
void exo_lanes_go(struct exo_pager *p);
/* With the lane's: it ends, because of @error. */
void exo_lane_end(struct exo_pager *p, struct pager_lane *lane, int error);
/* Commands for a page, at most. */
uint32_t exo_lane_commands(const struct exo_pager *p);
/* Slots whose commands fit into the lane's queue now. */
uint32_t exo_lane_room(const struct exo_pager *p, const struct pager_lane *lane);

/* pager-room.c; with both locks */

/* A slot that is free, without waiting; EXO_SLOT_NONE: there is none. */
uint32_t exo_room_now(struct exo_pager *p);
/* The same, waiting, with @lock let go meanwhile. Returns 0, or -ENOBUFS, or a write's error. */
int exo_room_wait(struct exo_pager *p, struct pager_lane *lane, uint32_t *slot);
/* See to it that there will be some. */
void exo_room_tend(struct exo_pager *p, struct pager_lane *lane);
/* @slot, if it is ACTIVE and can go, is INACTIVE. */
bool exo_room_deactivate(struct exo_pager *p, uint32_t slot);
/* @slot, which is INACTIVE and in its list, is being written, or clean. There is room in the lane. */
void exo_room_wash(struct exo_pager *p, struct pager_lane *lane, uint32_t slot);
/* What is read is written to, or was not: what to expect. */
void exo_room_learn(struct exo_pager *p, bool written);
/* What of the page of @s is dirty, in bytes from its beginning; the bits are cleared. @from == @to: nothing. */
void exo_room_dirty(struct exo_pager *p, struct pager_slot *s, uint64_t *from, uint64_t *to);

/* pager-fault.c */

void exo_pager_fault(void *arg, struct exo_upcall *touch);

/* why a page is asked for */
enum pager_need { NEED_READ, NEED_WRITE, NEED_PIN /* it may be written to, or not */ };

/* Has @page in memory. Returns 0 or a negative errno. */
int exo_pager_bring(struct exo_pager *p, uint64_t page, enum pager_need need);

/*
 * With both locks: commands to read up to @count pages from @page on are prepared, as far as there is
 * room. With @mark the first is a marker. Returns how many pages.
 */
uint32_t exo_pager_read_ahead(struct exo_pager *p, struct pager_lane *lane, uint64_t page,
			      uint64_t count, bool mark);

#endif /* LIBEXO_PAGER_PRIVATE_H */
