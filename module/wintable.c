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

int exo_window_make_chunks(struct exo_window *window, u64 first, u64 end)
{
	u64 at;

	lockdep_assert_held_write(&window->lock);
	for (at = first; at < end; at = exo_chunk_end(at, end)) {
		u64 *chunk;
		int ret;

		if (exo_window_chunk(window, at))
			continue;
		chunk = kcalloc(EXO_CHUNK, sizeof(*chunk), EXO_GFP);
		if (!chunk)
			return -ENOMEM;
		ret = xa_err(xa_store(&window->chunks, at >> EXO_CHUNK_SHIFT, chunk, EXO_GFP));
		if (ret) {
			kfree(chunk);
			return -ENOMEM;
		}
		cond_resched();
	}
	return 0;
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

/* How far from @at on entries have one of @flags, or have none, within the chunk. */
static u64 exo_chunk_run(const u64 *chunk, u64 at, u64 end, u64 flags, bool have)
{
	end = exo_chunk_end(at, end);
	if (exo_chunk_large(chunk))
		return !(chunk[0] & flags) == !have ? end : at;
	while (at < end && !(chunk[at & (EXO_CHUNK - 1)] & flags) == !have)
		at++;
	return at;
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

static u64 exo_window_run_begin(struct exo_window *window, u64 at, u64 end, u64 flags)
{
	while ((at = exo_window_present(window, at, end)) < end) {
		u64 limit = exo_chunk_end(at, end);

		at = exo_chunk_run(exo_window_chunk(window, at), at, end, flags, false);
		if (at < limit)
			break;
		cond_resched();
	}
	return at;
}

static u64 exo_window_run_end(struct exo_window *window, u64 at, u64 end, u64 flags)
{
	while (at < end) {
		const u64 *chunk = exo_window_chunk(window, at);
		u64 limit = exo_chunk_end(at, end);

		if (!chunk)
			break;
		at = exo_chunk_run(chunk, at, end, flags, true);
		if (at < limit)
			break;
	}
	return at;
}

bool exo_window_run(struct exo_window *window, u64 *first, u64 *last, u64 end, u64 flags)
{
	lockdep_assert_held(&window->lock);
	*first = exo_window_run_begin(window, *first, end, flags);
	*last = exo_window_run_end(window, *first, end, flags);
	return *first < end;
}

static bool exo_window_cuts(struct exo_window *window, u64 at)
{
	const u64 *chunk = exo_window_chunk(window, at);

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
