// SPDX-License-Identifier: GPL-2.0
/*
 * EXO_WINDOW_DIRTY: read and clear the dirty bits of a range of a window.
 *
 * They are in page table entries, and in the table from when those went; of 2 MiB they are in the
 * table alone, and clearing them takes their page table entry away, so that the next
 * write is seen.
 */
#include <linux/bitmap.h>
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"
#include "params.h"
#include "window.h"

#define EXO_DIRTY_SLICE (64u << EXO_CHUNK_SHIFT) /* entries between two looks for a signal */

/**
 * struct exo_dirty - the asking for dirty bits
 * @window: whose, with its lock
 * @first: entry of bit 0
 * @bits: them
 */
struct exo_dirty {
	struct exo_window *window;
	u64 first;
	unsigned long *bits;
};

/* What page table entries say, where there are none of 2 MiB. */
static void exo_dirty_small(struct exo_dirty *dirty, u64 at, u64 end)
{
	pgoff_t from = 0, to = 0;

	clean_record_shared_mapping_range(dirty->window->file->f_mapping, at, end - at,
					  dirty->first, dirty->bits, &from, &to);
}

/* What the table says; of 2 MiB that were written: they come anew at the next touch. */
static void exo_dirty_chunk(struct exo_dirty *dirty, u64 *chunk, u64 at, u64 end)
{
	if (exo_chunk_large(chunk)) {
		if (!(chunk[0] & EXO_ENTRY_DIRTY))
			return;
		bitmap_set(dirty->bits, at - dirty->first, end - at);
		WRITE_ONCE(chunk[0], (chunk[0] & ~EXO_ENTRY_DIRTY) | EXO_ENTRY_ZAP);
		return;
	}
	for (; at < end; at++) {
		u64 *entry = &chunk[at & (EXO_CHUNK - 1)];

		if (!(*entry & EXO_ENTRY_DIRTY))
			continue;
		__set_bit(at - dirty->first, dirty->bits);
		WRITE_ONCE(*entry, *entry & ~EXO_ENTRY_DIRTY);
	}
}

static bool exo_dirty_walked(struct exo_window *window, u64 at)
{
	const u64 *chunk = exo_window_chunk(window, at);

	return chunk && !exo_chunk_large(chunk);
}

/* Chunks of small entries that lie side by side are one walk, and one flush. */
static void exo_dirty_page_tables(struct exo_dirty *dirty, u64 at, u64 end)
{
	while (at < end) {
		u64 from = at;

		while (at < end && exo_dirty_walked(dirty->window, at))
			at = exo_chunk_end(at, end);
		if (at > from)
			exo_dirty_small(dirty, from, at);
		while (at < end && !exo_dirty_walked(dirty->window, at))
			at = exo_chunk_end(at, end);
	}
}

static void exo_dirty_slice(struct exo_dirty *dirty, u64 first, u64 end)
{
	struct exo_window *window = dirty->window;
	u64 at;

	for (at = first; at < end; at = exo_chunk_end(at, end)) {
		u64 *chunk = exo_window_chunk(window, at);

		if (chunk)
			exo_dirty_chunk(dirty, chunk, at, exo_chunk_end(at, end));
	}
	exo_window_zap(window, first, end);
	exo_dirty_page_tables(dirty, first, end);
}

static int exo_dirty_collect(struct exo_dirty *dirty, u64 end)
{
	u64 at, next;

	for (at = dirty->first; at < end; at = next) {
		next = min(end, round_down(at, EXO_DIRTY_SLICE) + EXO_DIRTY_SLICE);
		if (fatal_signal_pending(current))
			return -EINTR;
		exo_dirty_slice(dirty, at, next);
		cond_resched();
	}
	return 0;
}

/* ---- the call ---- */

static int exo_dirty_check(struct exo_call *call, struct exo_window *window)
{
	struct exo_window_dirty *cmd = &call->arg.window_dirty;
	u64 end, cut;

	if (!cmd->count || cmd->count > EXO_WINDOW_PAGES_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(window_dirty, count),
				  cmd->count, EXO_WINDOW_PAGES_MAX);
	if (check_add_overflow(cmd->first, (u64)cmd->count, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW,
				  EXO_FIELD(window_dirty, first), cmd->first, cmd->count);
	if (cmd->first >= window->pages)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(window_dirty, first),
				  cmd->first, window->pages);
	if (end > window->pages)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(window_dirty, count),
				  window->pages, window->pages);
	cut = exo_window_cut(window, cmd->first, end);
	if (cut != U64_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_LARGE, EXO_FIELD(window_dirty, first),
				  cut, EXO_CHUNK);
	return 0;
}

/* Under the lock, no memory of the program's is touched: the bits are kept, and copied later. */
static int exo_dirty_take(struct exo_call *call, unsigned long *bits)
{
	struct exo_window_dirty *cmd = &call->arg.window_dirty;
	struct exo_dirty dirty = { .first = cmd->first, .bits = bits };
	struct vm_area_struct *vma;
	int ret;

	vma = exo_window_enter(call, EXO_FIELD(window_dirty, window), cmd->window);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	dirty.window = vma->vm_private_data;
	ret = exo_dirty_check(call, dirty.window);
	if (!ret && bits)
		ret = exo_dirty_collect(&dirty, cmd->first + cmd->count);
	exo_window_leave(vma);
	return ret;
}

/* The program did not get them: entries that still have a frame are as dirty as they were. */
static void exo_dirty_return(struct exo_call *call, const unsigned long *bits)
{
	struct exo_window_dirty *cmd = &call->arg.window_dirty;
	struct vm_area_struct *vma;
	u32 bit;

	vma = exo_window_reenter(call, EXO_FIELD(window_dirty, window), cmd->window);
	if (IS_ERR(vma))
		return;
	for_each_set_bit(bit, bits, cmd->count) {
		u64 at = cmd->first + bit;
		u64 *chunk = exo_window_chunk(vma->vm_private_data, at);

		if (!(bit % EXO_CHUNK))
			cond_resched();
		if (!chunk || !exo_entry_source(exo_chunk_entry(chunk, at)))
			continue;
		chunk[exo_chunk_large(chunk) ? 0 : at & (EXO_CHUNK - 1)] |= EXO_ENTRY_DIRTY;
	}
	exo_window_leave(vma);
}

static int exo_dirty_copy(struct exo_call *call, unsigned long *bits)
{
	struct exo_window_dirty *cmd = &call->arg.window_dirty;
	size_t words = BITS_TO_LONGS(cmd->count);

	BUILD_BUG_ON(BITS_PER_LONG != 64);
	if (copy_to_user(u64_to_user_ptr(cmd->bitmap), bits, words * sizeof(*bits)))
		return -EFAULT;
	cmd->out_dirty = bitmap_weight(bits, cmd->count);
	return exo_call_respond(call);
}

int exo_window_dirty(struct exo_call *call)
{
	struct exo_window_dirty *cmd = &call->arg.window_dirty;
	unsigned long *bits __free(kvfree) = NULL;
	struct exo_detail none = call->detail;
	int ret = exo_dirty_take(call, NULL);

	if (ret)
		return ret;
	bits = kvcalloc(BITS_TO_LONGS(cmd->count), sizeof(*bits), EXO_GFP);
	if (!bits)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	ret = exo_dirty_take(call, bits);
	if (!ret)
		ret = exo_dirty_copy(call, bits);
	if (ret != -EFAULT && ret != -EINTR)
		return ret;
	exo_dirty_return(call, bits);
	call->detail = none;
	return ret;
}
