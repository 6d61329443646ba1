// SPDX-License-Identifier: GPL-2.0
/*
 * EXO_WINDOW_SET: map, unmap and re-protect entries of a window.
 *
 * Each operation is checked, then done to the table, where it also notes what page table
 * entries need. When all are done, or one was refused, page table entries are made to
 * follow, a span of entries at a time: what goes goes in one flush each span, and then what can be
 * touched is filled. All this under the window's lock: nobody sees the middle of it, and a
 * capability that ends meanwhile waits. But if there is no memory at once for an operation, those
 * before it are settled as if they were all, and the rest is another turn.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cap.h"
#include "frames.h"
#include "ioctl.h"
#include "params.h"
#include "window.h"

#define EXO_OPS_ON_STACK 4 /* a batch of so many needs no allocation */
#define EXO_TRIES 4u	   /* to find memory for the next chunk */

/*
 * Entries between two operations of the same kind that are taken along, so that there is one
 * flush and not two: they are filled again at once, for less than a flush costs.
 */
#define EXO_SPAN_GAP 16

/**
 * struct exo_batch - operations under way
 * @call: the call
 * @window: with its lock
 * @vma: its VMA, with mmap_lock
 * @ops: the operations; the first @spans of them are spans of entries that were changed
 * @spans: how many
 * @done: operations
 * @reserved: chunks of the one after them that memory was found for
 * @todo: what is left to do to entries of the spans (EXO_ENTRY_TODO)
 * @fill: some of their entries allow more than before, or than their page table entries may
 * @pages: entries that the operations so far were about
 * @cap: the number of the capability that was named last; 0: none was
 * @source: its source
 * @old: the source of the entry that was replaced or asked about last; NULL: none was
 */
struct exo_batch {
	struct exo_call *call;
	struct exo_window *window;
	struct vm_area_struct *vma;
	struct exo_window_op *ops;
	u32 spans;
	u32 done;
	u32 reserved;
	u64 todo;
	bool fill;
	u64 pages;
	u32 cap;
	struct exo_window_source *source;
	struct exo_window_source *old;
};

/* ---- what an operation may say ---- */

static int exo_op_value(struct exo_batch *batch, u32 field, u64 value, u64 limit)
{
	return exo_refuse(batch->call, -EINVAL, EXO_REASON_VALUE, field, value, limit);
}

/* What only EXO_WINDOW_MAP has. */
static int exo_op_check_rest(struct exo_batch *batch, const struct exo_window_op *op)
{
	if (op->order)
		return exo_op_value(batch, EXO_FIELD(window_op, order), op->order, 0);
	if (op->frames)
		return exo_op_value(batch, EXO_FIELD(window_op, frames), op->frames, 0);
	if (op->page)
		return exo_op_value(batch, EXO_FIELD(window_op, page), op->page, 0);
	if (op->op == EXO_WINDOW_UNMAP && op->access)
		return exo_op_value(batch, EXO_FIELD(window_op, access), op->access, 0);
	return 0;
}

static int exo_op_check_order(struct exo_batch *batch, const struct exo_window_op *op)
{
	const u32 within = EXO_CHUNK - 1;

	if (op->order == EXO_ORDER_4K)
		return 0;
	if (op->order != EXO_ORDER_2M)
		return exo_op_value(batch, EXO_FIELD(window_op, order), op->order, EXO_ORDER_2M);
	if (batch->vma->vm_start & (PMD_SIZE - 1))
		return exo_op_value(batch, EXO_FIELD(window_op, order), op->order, EXO_ORDER_4K);
	if (op->first & within)
		return exo_op_value(batch, EXO_FIELD(window_op, first), op->first, 0);
	if (op->count & within)
		return exo_op_value(batch, EXO_FIELD(window_op, count), op->count, 0);
	if (op->page & within)
		return exo_op_value(batch, EXO_FIELD(window_op, page), op->page, 0);
	return 0;
}

static int exo_op_check_form(struct exo_batch *batch, const struct exo_window_op *op)
{
	const u32 access = EXO_RIGHT_READ | EXO_RIGHT_WRITE;

	if (op->__reserved)
		return exo_refuse(batch->call, -EOPNOTSUPP, EXO_REASON_RESERVED,
				  EXO_FIELD(window_op, __reserved), op->__reserved, 0);
	if (op->access && op->access != EXO_RIGHT_READ && op->access != access)
		return exo_op_value(batch, EXO_FIELD(window_op, access), op->access, access);
	switch (op->op) {
	case EXO_WINDOW_MAP:
		return exo_op_check_order(batch, op);
	case EXO_WINDOW_UNMAP:
	case EXO_WINDOW_PROTECT:
		return exo_op_check_rest(batch, op);
	default:
		return exo_op_value(batch, EXO_FIELD(window_op, op), op->op, EXO_WINDOW_PROTECT);
	}
}

static int exo_op_check_range(struct exo_batch *batch, const struct exo_window_op *op)
{
	struct exo_call *call = batch->call;
	u64 end, cut, pages = batch->window->pages;

	if (!op->count || op->count > EXO_WINDOW_PAGES_MAX - batch->pages)
		return exo_op_value(batch, EXO_FIELD(window_op, count), op->count,
				    EXO_WINDOW_PAGES_MAX - batch->pages);
	if (check_add_overflow(op->first, (u64)op->count, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW,
				  EXO_FIELD(window_op, first), op->first, op->count);
	if (op->first >= pages)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(window_op, first),
				  op->first, pages);
	if (end > pages)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(window_op, count),
				  pages, pages);
	cut = exo_window_cut(batch->window, op->first, end);
	if (cut != U64_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_LARGE, EXO_FIELD(window_op, first), cut,
				  EXO_CHUNK);
	return 0;
}

/* ---- the frames that EXO_WINDOW_MAP names ---- */

static int exo_op_check_frames(struct exo_batch *batch, const struct exo_window_op *op,
			       const struct exo_cap *cap)
{
	u32 order = exo_frames_of(cap->object)->order;
	u64 end, first = cap->start << order, limit = (cap->start + cap->len) << order;
	struct exo_call *call = batch->call;

	if (op->access & ~cap->rights)
		return exo_refuse(call, -EACCES, EXO_REASON_RIGHT, EXO_FIELD(window_op, frames),
				  op->access & ~cap->rights, cap->rights);
	if (op->order > order)
		return exo_op_value(batch, EXO_FIELD(window_op, order), op->order, order);
	if (check_add_overflow(op->page, (u64)op->count, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW, EXO_FIELD(window_op, page),
				  op->page, op->count);
	if (op->page < first || op->page >= limit)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(window_op, page),
				  op->page, limit);
	if (end > limit)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(window_op, count),
				  limit, limit);
	return 0;
}

static int exo_op_find_source(struct exo_batch *batch, const struct exo_window_op *op)
{
	const u32 field = EXO_FIELD(window_op, frames);
	struct exo_window_source *source;

	/* It cannot end before the lock is let go. */
	if (batch->cap && batch->cap == op->frames)
		return 0;
	batch->cap = 0;
	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get(batch->call, field, op->frames, EXO_TYPE_FRAMES, EXO_RIGHT_READ);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	source = exo_window_source(batch->window, cap);
	if (source == ERR_PTR(-ESTALE))
		return exo_refuse(batch->call, -ESTALE, EXO_REASON_STALE, field, op->frames, 0);
	if (IS_ERR(source))
		return PTR_ERR(source);
	batch->cap = op->frames;
	batch->source = source;
	return 0;
}

/* ---- entries ---- */

static void exo_entry_set(u64 *entry, u64 value)
{
	WRITE_ONCE(*entry, value);
}

/* What another frame, or none, comes in place of: its page table entry goes, as it is. */
static u64 exo_entry_stale(u64 old)
{
	return old & (EXO_ENTRY_READ | EXO_ENTRY_ZAP) ? EXO_ENTRY_ZAP : 0;
}

static __always_inline u64 exo_entry_replace(u64 *entry, u64 value)
{
	u64 stale = exo_entry_stale(*entry);

	exo_entry_set(entry, value | stale);
	return stale;
}

/* @pages entries of source @id are to be of no source, or of another. */
static void exo_release(struct exo_batch *batch, u32 id, u64 pages)
{
	if (!id)
		return;
	if (!batch->old || batch->old->id != id)
		batch->old = xa_load(&batch->window->sources, id);
	batch->old->entries -= pages;
}

/**
 * struct exo_released - entries side by side of one source, yet to be released
 * @id: the source; 0: they are of none
 * @pages: how many
 */
struct exo_released {
	u32 id;
	u64 pages;
};

static __always_inline void exo_release_next(struct exo_batch *batch, struct exo_released *last,
					     u64 entry)
{
	u32 id = exo_entry_source(entry);

	if (unlikely(id != last->id)) {
		exo_release(batch, last->id, last->pages);
		*last = (struct exo_released){ .id = id };
	}
	last->pages++;
}

/* The same frame, with another access. What is left to do, and what access is new. */
static __always_inline u64 exo_entry_protect(u64 *entry, u64 access)
{
	u64 old = *entry, todo = old & EXO_ENTRY_TODO;

	/* If it is to go anyhow, it is not of this frame. */
	if (!(todo & EXO_ENTRY_ZAP)) {
		if (old & ~access & EXO_ENTRY_WRITE)
			todo |= EXO_ENTRY_LOWER;
		if (old & ~access & EXO_ENTRY_READ)
			todo |= EXO_ENTRY_HARVEST | EXO_ENTRY_ZAP;
	}
	exo_entry_set(entry, (old & ~(EXO_ENTRY_ACCESS | EXO_ENTRY_TODO)) | access | todo);
	return todo | (access & ~old);
}

/* The same with all access, which takes nothing away. */
static __always_inline u64 exo_entry_allow(u64 *entry)
{
	u64 old = *entry;

	exo_entry_set(entry, old | EXO_ENTRY_ACCESS);
	return (old & EXO_ENTRY_TODO) | (EXO_ENTRY_ACCESS & ~old);
}

static void exo_batch_note(struct exo_batch *batch, u64 done)
{
	batch->todo |= done & EXO_ENTRY_TODO;
	batch->fill |= done & EXO_ENTRY_ACCESS;
}

/* Of 2 MiB: whatever becomes less comes anew at the next touch; it is dirty if it was. */
static void exo_entry_protect_large(struct exo_batch *batch, u64 *entry, u64 access)
{
	u64 old = *entry, todo = old & EXO_ENTRY_ZAP;

	if (old & ~access & EXO_ENTRY_ACCESS)
		todo |= EXO_ENTRY_ZAP;
	batch->todo |= todo;
	exo_entry_set(entry, (old & ~EXO_ENTRY_ACCESS) | access | todo);
}

/* 2 MiB become 512 entries, all of which are replaced at once. */
static void exo_chunk_break(struct exo_batch *batch, u64 *chunk)
{
	u64 stale = exo_entry_stale(chunk[0]);
	u32 i;

	batch->todo |= stale;
	exo_release(batch, exo_entry_source(chunk[0]), EXO_CHUNK);
	for (i = 0; i < EXO_CHUNK; i++)
		exo_entry_set(&chunk[i], stale);
}

/* ---- the operations, within one chunk ---- */

static void exo_map_chunk(struct exo_batch *batch, u64 *chunk, u64 at, u64 end, u64 page,
			  u64 access)
{
	struct exo_window_source *source = batch->source;
	u64 value = exo_entry(source->id, page, access);
	u64 *entry = &chunk[at & (EXO_CHUNK - 1)];
	struct exo_released last = {};
	u64 n = end - at, done = access;

	if (exo_chunk_large(chunk))
		exo_chunk_break(batch, chunk);
	source->entries += n;
	for (; n--; entry++, value += BIT_ULL(EXO_ENTRY_PAGE_SHIFT)) {
		exo_release_next(batch, &last, *entry);
		if ((*entry ^ value) >> EXO_ENTRY_PAGE_SHIFT)
			done |= exo_entry_replace(entry, value);
		else
			done |= exo_entry_protect(entry, access);
	}
	exo_release(batch, last.id, last.pages);
	exo_batch_note(batch, done);
}

static void exo_map_large(struct exo_batch *batch, u64 *chunk, u64 page, u64 access)
{
	struct exo_window_source *source = batch->source;
	u64 value = exo_entry(source->id, page, access | EXO_ENTRY_LARGE), stale = 0;
	struct exo_released last = {};
	u32 i;

	if (exo_chunk_large(chunk) && !((chunk[0] ^ value) >> EXO_ENTRY_PAGE_SHIFT)) {
		exo_entry_protect_large(batch, &chunk[0], access);
		return;
	}
	if (exo_chunk_large(chunk))
		exo_chunk_break(batch, chunk);
	for (i = 0; i < EXO_CHUNK; i++) {
		if (!chunk[i])
			continue;
		exo_release_next(batch, &last, chunk[i]);
		stale |= exo_entry_stale(chunk[i]);
		exo_entry_set(&chunk[i], 0);
	}
	exo_release(batch, last.id, last.pages);
	source->entries += EXO_CHUNK;
	batch->todo |= stale;
	exo_entry_set(&chunk[0], value | stale);
}

static void exo_unmap_chunk(struct exo_batch *batch, u64 *chunk, u64 at, u64 end)
{
	u64 *entry = &chunk[at & (EXO_CHUNK - 1)];
	struct exo_released last = {};
	u64 n = end - at, done = 0;

	if (exo_chunk_large(chunk)) {
		exo_chunk_break(batch, chunk);
		return;
	}
	for (; n--; entry++) {
		exo_release_next(batch, &last, *entry);
		done |= exo_entry_replace(entry, 0);
	}
	exo_release(batch, last.id, last.pages);
	exo_batch_note(batch, done);
}

static void exo_protect_chunk(struct exo_batch *batch, u64 *chunk, u64 at, u64 end, u64 access)
{
	u64 *entry, n = end - at, done = 0;

	if (exo_chunk_large(chunk)) {
		exo_entry_protect_large(batch, &chunk[0], access);
		return;
	}
	entry = &chunk[at & (EXO_CHUNK - 1)];
	if (access == EXO_ENTRY_ACCESS)
		while (n--)
			done |= exo_entry_allow(entry++);
	else
		while (n--)
			done |= exo_entry_protect(entry++, access);
	exo_batch_note(batch, done);
}

/* ---- the operations ---- */

/* All that can fail for want of memory. */
static int exo_batch_reserve(struct exo_batch *batch, u64 first, u64 end)
{
	u64 at;

	batch->reserved = 0;
	for (at = first; at < end; at = exo_chunk_end(at, end)) {
		if (exo_window_make_chunk(batch->window, at) || exo_source_note(batch->source, at))
			return -ENOMEM;
		batch->reserved++;
		cond_resched();
	}
	return 0;
}

static int exo_batch_map(struct exo_batch *batch, const struct exo_window_op *op)
{
	u64 at, next, end = op->first + op->count;
	int ret = exo_op_find_source(batch, op);

	if (ret)
		return ret;
	ret = exo_op_check_frames(batch, op, batch->source->cap);
	if (ret)
		return ret;
	ret = exo_batch_reserve(batch, op->first, end);
	if (ret)
		return ret;
	for (at = op->first; at < end; at = next) {
		u64 *chunk = exo_window_own_chunk(batch->window, at);
		u64 page = op->page + (at - op->first);

		next = exo_chunk_end(at, end);
		if (op->order == EXO_ORDER_2M)
			exo_map_large(batch, chunk, page, op->access);
		else
			exo_map_chunk(batch, chunk, at, next, page, op->access);
		cond_resched();
	}
	return 0;
}

static int exo_batch_unmap(struct exo_batch *batch, const struct exo_window_op *op)
{
	u64 at, next, end = op->first + op->count;

	for (at = op->first; at < end; at = next) {
		u64 *chunk = exo_window_own_chunk(batch->window, at);

		next = exo_chunk_end(at, end);
		if (chunk)
			exo_unmap_chunk(batch, chunk, at, next);
		cond_resched();
	}
	return 0;
}

/* Has @entry, @at, a frame, and its source the right? */
static int exo_entry_may_protect(struct exo_batch *batch, const struct exo_window_op *op, u64 entry,
				 u64 at)
{
	u32 id = exo_entry_source(entry);
	u64 missing;

	if (!id)
		return exo_refuse(batch->call, -ENOENT, EXO_REASON_EMPTY,
				  EXO_FIELD(window_op, first), at, 0);
	batch->old = xa_load(&batch->window->sources, id);
	missing = op->access & ~batch->old->cap->rights;
	if (missing)
		return exo_refuse(batch->call, -EACCES, EXO_REASON_ENTRY_RIGHT,
				  EXO_FIELD(window_op, access), at, missing);
	return 0;
}

/* The same of all from @at to @end, of one chunk. Neighbours are mostly of one source. */
static int exo_chunk_may_protect(struct exo_batch *batch, const struct exo_window_op *op,
				 const u64 *chunk, u64 at, u64 end)
{
	const u64 *entry;
	u32 known = 0;
	int ret;

	if (!chunk || exo_chunk_large(chunk))
		return exo_entry_may_protect(batch, op, chunk ? chunk[0] : 0, at);
	for (entry = &chunk[at & (EXO_CHUNK - 1)]; at < end; at++, entry++) {
		if (likely(known && exo_entry_source(*entry) == known))
			continue;
		ret = exo_entry_may_protect(batch, op, *entry, at);
		if (ret)
			return ret;
		known = exo_entry_source(*entry);
	}
	return 0;
}

static int exo_batch_may_protect(struct exo_batch *batch, const struct exo_window_op *op)
{
	u64 at, next, end = op->first + op->count;

	for (at = op->first; at < end; at = next) {
		int ret;

		next = exo_chunk_end(at, end);
		ret = exo_chunk_may_protect(batch, op, exo_window_own_chunk(batch->window, at), at,
					    next);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int exo_batch_protect(struct exo_batch *batch, const struct exo_window_op *op)
{
	u64 at, next, end = op->first + op->count;
	int ret = exo_batch_may_protect(batch, op);

	if (ret)
		return ret;
	for (at = op->first; at < end; at = next) {
		next = exo_chunk_end(at, end);
		exo_protect_chunk(batch, exo_window_own_chunk(batch->window, at), at, next,
				  op->access);
		cond_resched();
	}
	return 0;
}

/* ---- spans ---- */

/* What an entry in between needs, so that @op's flush is one with that of the operation before. */
static u64 exo_gap_todo(const struct exo_window_op *op, u64 entry)
{
	if (entry & EXO_ENTRY_ZAP || !(entry & EXO_ENTRY_READ))
		return 0;
	if (op->access)
		return entry & EXO_ENTRY_WRITE ? EXO_ENTRY_LOWER : 0;
	return EXO_ENTRY_ZAP | EXO_ENTRY_HARVEST | (entry & EXO_ENTRY_WRITE ? EXO_ENTRY_LOWER : 0);
}

/* An operation that takes something away, as the one before did, a little further on. */
static bool exo_span_joins(struct exo_batch *batch, const struct exo_window_op *op,
			   const struct exo_window_op *before, u64 end)
{
	u64 at;

	if (op->op == EXO_WINDOW_MAP || op->op != before->op || op->access != before->access ||
	    (op->access & EXO_RIGHT_WRITE) || op->first < end || op->first - end > EXO_SPAN_GAP)
		return false;
	for (at = end; at < op->first; at++)
		if (exo_window_entry(batch->window, at) & EXO_ENTRY_LARGE)
			return false;
	for (at = end; at < op->first; at++) {
		u64 *chunk = exo_window_own_chunk(batch->window, at);

		if (chunk) {
			u64 todo = exo_gap_todo(op, chunk[at & (EXO_CHUNK - 1)]);

			chunk[at & (EXO_CHUNK - 1)] |= todo;
			batch->todo |= todo;
			batch->fill |= todo;
		}
	}
	return true;
}

/* Spans are kept in place of operations that are done. */
static void exo_batch_span(struct exo_batch *batch, const struct exo_window_op *op,
			   const struct exo_window_op *before)
{
	struct exo_window_op *span = batch->spans ? &batch->ops[batch->spans - 1] : NULL;
	u64 end = span ? span->first + span->count : 0;

	if (span && (op->first == end || exo_span_joins(batch, op, before, end))) {
		span->count = op->first + op->count - span->first;
		return;
	}
	batch->ops[batch->spans].first = op->first;
	batch->ops[batch->spans].count = op->count;
	batch->spans++;
}

/*
 * An operation on a part of 2 MiB may be followed by one that makes one entry of them all: what is
 * left to do is said of all of it then, and is done to all of it.
 */
static void exo_batch_widen(struct exo_batch *batch, u64 *first, u64 *end)
{
	const u64 *chunk = exo_window_own_chunk(batch->window, *first);

	if (chunk && exo_chunk_large(chunk))
		*first = round_down(*first, EXO_CHUNK);
	chunk = exo_window_own_chunk(batch->window, *end - 1);
	if (chunk && exo_chunk_large(chunk))
		*end = round_up(*end, EXO_CHUNK);
}

static void exo_batch_settle(struct exo_batch *batch)
{
	u32 i;

	for (i = 0; i < batch->spans; i++) {
		u64 first = batch->ops[i].first, end = first + batch->ops[i].count;

		exo_batch_widen(batch, &first, &end);
		exo_window_settle(batch->window, batch->vma, first, end, batch->todo);
		if (batch->fill)
			exo_window_fill_all(batch->window, batch->vma, first, end);
	}
}

/* ---- the batch ---- */

static int exo_batch_do(struct exo_batch *batch, const struct exo_window_op *op)
{
	int ret = exo_op_check_form(batch, op);

	if (!ret)
		ret = exo_op_check_range(batch, op);
	if (ret)
		return ret;
	switch (op->op) {
	case EXO_WINDOW_MAP:
		return exo_batch_map(batch, op);
	case EXO_WINDOW_UNMAP:
		return exo_batch_unmap(batch, op);
	default:
		return exo_batch_protect(batch, op);
	}
}

static int exo_batch_run(struct exo_batch *batch, u32 count)
{
	struct exo_window_op op, before = {};

	for (; batch->done < count; batch->done++, before = op) {
		int ret = fatal_signal_pending(current) ? -EINTR : 0;

		op = batch->ops[batch->done];
		if (!ret)
			ret = exo_batch_do(batch, &op);
		if (ret)
			return ret;
		batch->pages += op.count;
		exo_batch_span(batch, &op, &before);
	}
	return 0;
}

/* 2 MiB, which the kernel's own fault path inserts: best without the window's lock. */
static void exo_batch_fault_large(struct exo_batch *batch)
{
	struct vm_area_struct *vma = batch->vma;
	u64 at, end;
	u32 i;

	for (i = 0; i < batch->spans; i++) {
		at = round_up(batch->ops[i].first, EXO_CHUNK);
		end = batch->ops[i].first + batch->ops[i].count;
		for (; at + EXO_CHUNK <= end; at += EXO_CHUNK) {
			const u64 *chunk = exo_window_chunk(batch->window, at);

			if (chunk && exo_chunk_large(chunk) &&
			    (READ_ONCE(chunk[0]) & EXO_ENTRY_READ))
				handle_mm_fault(vma, vma->vm_start + (at << PAGE_SHIFT), 0, NULL);
			cond_resched();
		}
	}
}

/* From the first operation that is not done to the last, or to one that there is no memory for. */
static int exo_batch_go_on(struct exo_batch *batch)
{
	struct exo_window_set *cmd = &batch->call->arg.window_set;
	int ret;

	batch->vma = exo_window_enter(batch->call, EXO_FIELD(window_set, window), cmd->window);
	if (IS_ERR(batch->vma))
		return PTR_ERR(batch->vma);
	batch->window = batch->vma->vm_private_data;
	batch->spans = 0;
	batch->cap = 0;
	batch->old = NULL;
	batch->todo = 0;
	batch->fill = false;
	ret = exo_batch_run(batch, cmd->count);
	exo_batch_settle(batch);
	up_write(&batch->window->lock);
	exo_batch_fault_large(batch);
	mmap_read_unlock(batch->vma->vm_mm);
	return ret;
}

/* Memory is reclaimed, and a limit of the cgroup's waited for, while no lock is held. */
static bool exo_batch_wait_memory(void)
{
	void *page = kmalloc(PAGE_SIZE, EXO_GFP);

	kfree(page);
	return page;
}

static int exo_window_do(struct exo_call *call, struct exo_window_op *ops)
{
	struct exo_batch batch = { .call = call, .ops = ops };
	u32 tries = 0, done = 0, reserved = 0;
	int ret;

	while ((ret = exo_batch_go_on(&batch)) == -ENOMEM) {
		tries = batch.done > done || batch.reserved > reserved ? 0 : tries + 1;
		if (tries == EXO_TRIES || !exo_batch_wait_memory())
			break;
		done = batch.done;
		reserved = batch.reserved;
	}
	if (ret == -ENOMEM)
		exo_refuse(call, ret, EXO_REASON_MEMORY, 0, 0, 0);
	call->detail.index = batch.done;
	return ret;
}

static int exo_window_check_count(struct exo_call *call)
{
	struct exo_window_set *cmd = &call->arg.window_set;
	struct vm_area_struct *vma;

	if (cmd->count && cmd->count <= EXO_WINDOW_OPS_MAX)
		return 0;
	/* That there is no window is said first. */
	vma = exo_window_enter(call, EXO_FIELD(window_set, window), cmd->window);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	exo_window_leave(vma);
	return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(window_set, count), cmd->count,
			  EXO_WINDOW_OPS_MAX);
}

int exo_window_set(struct exo_call *call)
{
	struct exo_window_set *cmd = &call->arg.window_set;
	struct exo_window_op few[EXO_OPS_ON_STACK], *ops = few;
	struct exo_window_op *many __free(kvfree) = NULL;
	int ret = exo_window_check_count(call);

	if (ret)
		return ret;
	if (cmd->count > ARRAY_SIZE(few)) {
		many = kvmalloc_array(cmd->count, sizeof(*many), EXO_GFP);
		ops = many;
	}
	if (!ops)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	if (copy_from_user(ops, u64_to_user_ptr(cmd->ops), cmd->count * sizeof(*ops)))
		return -EFAULT;
	return exo_window_do(call, ops);
}
