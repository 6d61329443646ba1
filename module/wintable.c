// SPDX-License-Identifier: GPL-2.0
/*
 * The table of a window: what each of its entries is. It has a chunk for each 2 MiB in which
 * there ever was an entry, so a window may be much larger than what is in it.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "params.h"
#include "window.h"

u64 exo_window_entry(struct exo_window *window, u64 at)
{
	u64 *chunk = exo_window_chunk(window, at);

	lockdep_assert_held(&window->lock);
	return chunk ? exo_chunk_entry(chunk, at) : 0;
}

int exo_window_make_chunk(struct exo_window *window, u64 at)
{
	u64 *chunk;

	lockdep_assert_held_write(&window->lock);
	if (exo_window_own_chunk(window, at))
		return 0;
	chunk = kcalloc(EXO_CHUNK, sizeof(*chunk), EXO_WINDOW_GFP);
	if (!chunk)
		return -ENOMEM;
	if (!xa_err(xa_store(&window->chunks, at >> EXO_CHUNK_SHIFT, chunk, EXO_WINDOW_GFP)))
		return 0;
	kfree(chunk);
	return -ENOMEM;
}

void exo_window_free_chunks(struct exo_window *window)
{
	unsigned long index;
	u64 *chunk;

	xa_for_each(&window->chunks, index, chunk) {
		kfree(chunk);
		cond_resched();
	}
	xa_destroy(&window->chunks);
}

/* How far from @at on entries have none of @flags, within the chunk. */
static u64 exo_chunk_skip(const u64 *chunk, u64 at, u64 end, u64 flags)
{
	end = exo_chunk_end(at, end);
	if (exo_chunk_large(chunk))
		return chunk[0] & flags ? at : end;
	while (at < end && !(chunk[at & (EXO_CHUNK - 1)] & flags))
		at++;
	return at;
}

/*
 * What does not matter to an entry is done to it with its neighbours, so that there is one flush:
 * where nothing can be touched nothing goes, and what cannot be written any more for a moment is
 * made writable again when entries are filled, or at a touch.
 */
static bool exo_entry_joins(u64 entry, u64 flags)
{
	if (flags == EXO_ENTRY_ZAP)
		return !(entry & EXO_ENTRY_READ);
	return flags == EXO_ENTRY_LOWER;
}

/*
 * The end of a run that goes on at @at, within the chunk; @at, if there is none of it. It goes on
 * in the next chunk, if @open. A chunk with an entry to be lowered has no page table entry of
 * 2 MiB; one without may, which must not be lowered.
 */
static u64 exo_chunk_run(const u64 *chunk, u64 at, u64 end, u64 flags, bool *open)
{
	const u64 *entry = &chunk[at & (EXO_CHUNK - 1)];
	u64 first = at, last = at;

	end = exo_chunk_end(at, end);
	if (exo_chunk_large(chunk)) {
		*open = chunk[0] & flags ||
			(flags != EXO_ENTRY_LOWER && exo_entry_joins(chunk[0], flags));
		return chunk[0] & flags ? end : at;
	}
	for (; at < end; at++, entry++) {
		if (*entry & flags)
			last = at + 1;
		else if (!exo_entry_joins(*entry, flags))
			break;
	}
	*open = at == end && (flags != EXO_ENTRY_LOWER || last > first);
	return last;
}

/* The first entry from @at on that there is a chunk for; a window may be empty for terabytes. */
static u64 exo_window_present(struct exo_window *window, u64 at, u64 end)
{
	unsigned long index = at >> EXO_CHUNK_SHIFT;

	if (at >= end ||
	    !xa_find(&window->chunks, &index, (end - 1) >> EXO_CHUNK_SHIFT, XA_PRESENT))
		return end;
	return max(at, (u64)index << EXO_CHUNK_SHIFT);
}

u64 exo_window_next(struct exo_window *window, u64 at, u64 end, u64 flags)
{
	while ((at = exo_window_present(window, at, end)) < end) {
		u64 limit = exo_chunk_end(at, end);

		at = exo_chunk_skip(exo_window_own_chunk(window, at), at, end, flags);
		if (at < limit)
			break;
		cond_resched();
	}
	return at;
}

static u64 exo_window_run_end(struct exo_window *window, u64 at, u64 end, u64 flags)
{
	bool open = true;
	u64 last = at;

	for (; open && at < end; at = exo_chunk_end(at, end)) {
		const u64 *chunk = exo_window_own_chunk(window, at);
		u64 found;

		if (!chunk)
			break;
		found = exo_chunk_run(chunk, at, end, flags, &open);
		if (found > at)
			last = found;
		cond_resched();
	}
	return last;
}

bool exo_window_run(struct exo_window *window, u64 *first, u64 *last, u64 end, u64 flags)
{
	*first = exo_window_next(window, *first, end, flags);
	*last = exo_window_run_end(window, *first, end, flags);
	return *first < end;
}

static bool exo_window_cuts(struct exo_window *window, u64 at)
{
	const u64 *chunk = exo_window_own_chunk(window, at);

	return (at & (EXO_CHUNK - 1)) && chunk && exo_chunk_large(chunk);
}

u64 exo_window_cut(struct exo_window *window, u64 first, u64 end)
{
	lockdep_assert_held(&window->lock);
	if (exo_window_cuts(window, first))
		return round_down(first, EXO_CHUNK);
	if (exo_window_cuts(window, end))
		return round_down(end, EXO_CHUNK);
	return U64_MAX;
}
