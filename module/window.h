/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Windows: ranges of a program's address space whose page table entries it sets itself.
 *
 * A window is one VMA with a table: entry → frame and access. Page table entries are a
 * cache of the table. They appear when the table is set or at a touch, and go before
 * the table's entry says anything less than they do. What a table entry names is kept in
 * use by a *source*: the window's use of a capability, which ends with the capability
 * or with the window.
 *
 *	window.c	the VMA: mmap, faults, the end
 *	wintable.c	the table
 *	wincache.c	page table entries, filled and withdrawn
 *	winsource.c	which capabilities the entries are of
 *	winset.c	EXO_WINDOW_SET
 *	windirty.c	EXO_WINDOW_DIRTY
 *	upcall.c	EXO_WINDOW_HANDLER
 */
#ifndef EXO_WINDOW_H
#define EXO_WINDOW_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <linux/exo.h>

#include "params.h"

struct exo_call;
struct exo_cap;
struct exo_pfn;
struct exo_session;
struct exo_view_slot;

/*
 * Under a window's lock nothing of ours waits for memory: who ends a capability may be waiting for the
 * lock. What there is none for at once is waited for without it (winset.c).
 */
#define EXO_WINDOW_GFP (EXO_GFP & ~__GFP_DIRECT_RECLAIM)

/* Page of a session's mmap() offsets at which windows are made. */
#define EXO_WINDOW_PAGE (EXO_WINDOW_OFFSET >> PAGE_SHIFT)

/*
 * An entry of the table: flags, the page of the object that it shows, and the number of its
 * source. 0: empty.
 */
#define EXO_ENTRY_READ BIT_ULL(0)
#define EXO_ENTRY_WRITE BIT_ULL(1)
#define EXO_ENTRY_DIRTY BIT_ULL(2) /* beside what page table entries say */
#define EXO_ENTRY_LARGE BIT_ULL(3) /* the first entry of a chunk speaks for all of it */
#define EXO_ENTRY_TAKEN BIT_ULL(4) /* empty, because its capability ended */
/* What is left to do before the lock is let go: */
#define EXO_ENTRY_LOWER BIT_ULL(5)   /* the page table entry may be writable, and shall not be */
#define EXO_ENTRY_HARVEST BIT_ULL(6) /* its dirty bit is still to be read, and */
#define EXO_ENTRY_ZAP BIT_ULL(7)     /* it has to go */

#define EXO_ENTRY_ACCESS (EXO_ENTRY_READ | EXO_ENTRY_WRITE)
#define EXO_ENTRY_TODO (EXO_ENTRY_LOWER | EXO_ENTRY_HARVEST | EXO_ENTRY_ZAP)

#define EXO_ENTRY_PAGE_SHIFT 8
#define EXO_ENTRY_PAGE_BITS 30 /* EXO_FRAMES_UNITS_MAX of 2 MiB */
#define EXO_ENTRY_SOURCE_SHIFT (EXO_ENTRY_PAGE_SHIFT + EXO_ENTRY_PAGE_BITS)
#define EXO_ENTRY_SOURCE_MAX ((1u << (64 - EXO_ENTRY_SOURCE_SHIFT)) - 1)

#define EXO_CHUNK_SHIFT 9 /* entries of a chunk: one page of them, for 2 MiB of the window */
#define EXO_CHUNK (1u << EXO_CHUNK_SHIFT)

/**
 * struct exo_window - one VMA and its table
 * @ref: the file's, and of whoever ends a source
 * @session: whose calls set it; a reference
 * @file: its address_space holds the VMA; the window is the file's, not the reverse
 * @pages: entries there are
 * @lock: read: the table is looked at, and page table entries follow it; write: either
 *	changes. Inside mmap_lock
 * @insert: one filling of 2 MiB at a time, so that one entry of 2 MiB and 512 of 4 KiB do not
 *	meet; inside @lock
 * @since: when @lock was taken for a call, in jiffies. Under @lock
 * @closed: there is no VMA any more. Under @lock
 * @handler: code of the program's that is called for a touch that is not allowed; 0: none. Under
 *	@lock
 * @context: handed to it
 * @chunks: the table: arrays of EXO_CHUNK entries. Under @lock
 * @hot, @hot_index: one of them, and its number, looked up last by who has @lock for writing.
 *	None is freed before the window is
 * @sources: by their own numbers. Under @lock
 * @by_cap: by the number of their capability. Under @lock
 */
struct exo_window {
	struct kref ref;
	struct exo_session *session;
	struct file *file;
	u64 pages;
	struct rw_semaphore lock;
	struct mutex insert;
	unsigned long since;
	bool closed;
	u64 handler;
	u64 context;
	struct xarray chunks;
	u64 *hot;
	u64 hot_index;
	struct xarray sources;
	struct xarray by_cap;
};

/**
 * struct exo_window_source - a window's use of a frames capability
 * @window: until the source is taken from the slot, kept by the window's file
 * @cap: a reference; the source is one of the uses of its object
 * @on_slot: in cap->slot.windows, under that list's lock. Who takes it from there ends it
 * @id: its number in window->sources
 * @entries: of the window, that are of it; under the window's lock, as what follows
 * @chunks: where they are, or were: numbers of chunks
 * @noted: the one noted last, plus 1
 */
struct exo_window_source {
	struct exo_window *window;
	struct exo_cap *cap;
	struct list_head on_slot;
	u32 id;
	u64 entries;
	struct xarray chunks;
	u64 noted;
};

/* ---- window.c ---- */

int exo_window_mmap(struct exo_session *session, struct vm_area_struct *vma);
void exo_window_put(struct exo_window *window);

/*
 * The window that begins at @address, with mmap_lock and its lock held; the call's session
 * made it, in this process. Its VMA, or an error.
 */
struct vm_area_struct *exo_window_enter(struct exo_call *call, u32 field, u64 address);
/* The same, whatever signal is pending. */
struct vm_area_struct *exo_window_reenter(struct exo_call *call, u32 field, u64 address);
void exo_window_leave(struct vm_area_struct *vma);

/* ---- wintable.c ---- */

static inline u64 exo_entry_page(u64 entry)
{
	return (entry >> EXO_ENTRY_PAGE_SHIFT) & (BIT_ULL(EXO_ENTRY_PAGE_BITS) - 1);
}

static inline u32 exo_entry_source(u64 entry)
{
	return entry >> EXO_ENTRY_SOURCE_SHIFT;
}

static inline u64 exo_entry(u32 source, u64 page, u64 flags)
{
	return (u64)source << EXO_ENTRY_SOURCE_SHIFT | page << EXO_ENTRY_PAGE_SHIFT | flags;
}

/* First entry behind @at that another chunk, or nobody before @end, speaks for. */
static inline u64 exo_chunk_end(u64 at, u64 end)
{
	return min(end, (at | (EXO_CHUNK - 1)) + 1);
}

/* The entries of the chunk that @at lies in. NULL: all are empty. */
static inline u64 *exo_window_chunk(struct exo_window *window, u64 at)
{
	return xa_load(&window->chunks, at >> EXO_CHUNK_SHIFT);
}

/* The same, for who may change them and so asks again and again. */
static inline u64 *exo_window_own_chunk(struct exo_window *window, u64 at)
{
	u64 index = at >> EXO_CHUNK_SHIFT;

	lockdep_assert_held_write(&window->lock);
	if (window->hot && window->hot_index == index)
		return window->hot;
	window->hot = xa_load(&window->chunks, index);
	window->hot_index = index;
	return window->hot;
}

static inline bool exo_chunk_large(const u64 *chunk)
{
	return READ_ONCE(chunk[0]) & EXO_ENTRY_LARGE;
}

/* What is said of entry @at; of 2 MiB: as if it were of 4 KiB. */
static inline u64 exo_chunk_entry(const u64 *chunk, u64 at)
{
	u32 index = at & (EXO_CHUNK - 1);

	if (exo_chunk_large(chunk))
		return READ_ONCE(chunk[0]) + ((u64)index << EXO_ENTRY_PAGE_SHIFT);
	return READ_ONCE(chunk[index]);
}

u64 exo_window_entry(struct exo_window *window, u64 at);

/* A chunk for entry @at, if there is none. */
int exo_window_make_chunk(struct exo_window *window, u64 at);
void exo_window_free_chunks(struct exo_window *window);

/* The next entry with one of @flags from @at on; @end, if there is none before. */
u64 exo_window_next(struct exo_window *window, u64 at, u64 end, u64 flags);

/*
 * The next run of entries with one of @flags from *first on, before @end, and of those between them
 * to which it does not matter (EXO_ENTRY_LOWER, _ZAP). False: there is none.
 */
bool exo_window_run(struct exo_window *window, u64 *first, u64 *last, u64 end, u64 flags);

/* The first of 2 MiB that a change from @first to @end would cut; else U64_MAX. */
u64 exo_window_cut(struct exo_window *window, u64 first, u64 end);

/* ---- wincache.c ---- */

/* What table entry @entry, of 4 KiB, names. */
bool exo_window_pfn(struct exo_window *window, u64 entry, struct exo_pfn *at);

/*
 * Page table entries from @first to @end, within a chunk that there is, as the table says, where
 * there are none, or less; not where there is one of 2 MiB. -ENOMEM: no page table for them.
 */
int exo_window_fill(struct exo_window *window, struct vm_area_struct *vma, u64 first, u64 end);

/* What was left to do there is done: of EXO_ENTRY_TODO, what is in @todo. */
void exo_window_settle(struct exo_window *window, struct vm_area_struct *vma, u64 first, u64 end,
		       u64 todo);

/* What can be touched is filled, as far as that can be done at once; the rest is at a touch. */
void exo_window_fill_all(struct exo_window *window, struct vm_area_struct *vma, u64 first, u64 end);

/* Page table entries go whose table entries want that. For who has no VMA. */
void exo_window_zap(struct exo_window *window, u64 first, u64 end);

/* ---- winsource.c ---- */

/* The source of @cap, made when first asked for. An error: it has ended, or no memory. */
struct exo_window_source *exo_window_source(struct exo_window *window, struct exo_cap *cap);

/* The chunk of entry @at may have entries of it from now on. */
int exo_source_note(struct exo_window_source *source, u64 at);

/* The capability ends: its entries go from all windows. */
void exo_window_end_sources(struct exo_view_slot *slot);

/* The window ends, and has no page table entries any more. */
void exo_window_drop_sources(struct exo_window *window);

/* ---- upcall.c ---- */

/**
 * struct exo_missed - a touch that the table does not allow
 * @handler, @context: the window's
 * @entry: the table's entry
 */
struct exo_missed {
	u64 handler;
	u64 context;
	u64 entry;
};

/* What becomes of it, without the window's lock: the fault lock may be gone when it returns. */
vm_fault_t exo_upcall(struct vm_fault *vmf, const struct exo_missed *missed);
bool exo_upcall_is_supported(void);

/* ---- commands ---- */

int exo_window_set(struct exo_call *call);
int exo_window_dirty(struct exo_call *call);
int exo_window_handler(struct exo_call *call);

#endif
