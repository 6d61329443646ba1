// SPDX-License-Identifier: GPL-2.0
/*
 * Sources: a window's use of a capability, as long as it has entries, or once had some.
 *
 * A source is in a list of its capability's slot and in the arrays of its window. Who takes it
 * out of the list, under the list's lock, ends it: the capability's end or the window's,
 * whichever comes first. Its frames are let go when no page table entry of the window's
 * names them.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "cap.h"
#include "params.h"
#include "view.h"
#include "window.h"

static struct exo_window_source *exo_source_alloc(struct exo_window *window, struct exo_cap *cap)
{
	struct exo_window_source *source = kzalloc(sizeof(*source), EXO_WINDOW_GFP);

	if (!source)
		return NULL;
	if (xa_alloc(&window->sources, &source->id, source, XA_LIMIT(1, EXO_ENTRY_SOURCE_MAX),
		     EXO_WINDOW_GFP)) {
		kfree(source);
		return NULL;
	}
	INIT_LIST_HEAD(&source->on_slot);
	kref_get(&cap->ref);
	source->cap = cap;
	source->window = window;
	xa_init_flags(&source->chunks, XA_FLAGS_ACCOUNT);
	return source;
}

static void exo_source_free(struct exo_window_source *source)
{
	xa_destroy(&source->chunks);
	exo_cap_put(source->cap);
	kfree(source);
}

/* Found by its own number, and, but for one that ended, by that of its capability. */
static void exo_source_forget(struct exo_window *window, struct exo_window_source *source)
{
	lockdep_assert_held_write(&window->lock);
	xa_erase(&window->sources, source->id);
	xa_cmpxchg(&window->by_cap, source->cap->id, source, NULL, 0);
}

static bool exo_source_publish(struct exo_window_source *source)
{
	struct exo_view_slot *slot = &source->cap->slot;

	guard(spinlock)(&slot->windows_lock);
	if (slot->windows_dead)
		return false;
	/* The capability has it in use until its slot has ended. */
	exo_object_use(source->cap->object);
	list_add_tail(&source->on_slot, &slot->windows);
	return true;
}

static struct exo_window_source *exo_source_create(struct exo_window *window, struct exo_cap *cap)
{
	struct exo_window_source *source = exo_source_alloc(window, cap);
	int ret = -ENOMEM;

	if (!source)
		return ERR_PTR(ret);
	/* In the place of one with the same number that is about to end, if there is one. */
	if (xa_err(xa_store(&window->by_cap, cap->id, source, EXO_WINDOW_GFP)))
		goto out_forget;
	ret = -ESTALE;
	if (!exo_source_publish(source))
		goto out_forget;
	return source;

out_forget:
	exo_source_forget(window, source);
	exo_source_free(source);
	return ERR_PTR(ret);
}

struct exo_window_source *exo_window_source(struct exo_window *window, struct exo_cap *cap)
{
	struct exo_window_source *source = xa_load(&window->by_cap, cap->id);

	lockdep_assert_held_write(&window->lock);
	if (source && source->cap == cap)
		return source;
	return exo_source_create(window, cap);
}

int exo_source_note(struct exo_window_source *source, u64 at)
{
	u64 index = at >> EXO_CHUNK_SHIFT;

	lockdep_assert_held_write(&source->window->lock);
	if (source->noted == index + 1)
		return 0;
	if (xa_err(xa_store(&source->chunks, index, xa_mk_value(1), EXO_WINDOW_GFP)))
		return -ENOMEM;
	source->noted = index + 1;
	return 0;
}

/* ---- the end ---- */

static u64 exo_taken(u64 entry)
{
	return EXO_ENTRY_TAKEN | (entry & EXO_ENTRY_READ ? EXO_ENTRY_ZAP : 0);
}

static void exo_source_clear_large(struct exo_window_source *source, u64 *chunk)
{
	u64 taken = exo_taken(chunk[0]);
	u32 i;

	for (i = EXO_CHUNK; i--;)
		WRITE_ONCE(chunk[i], taken);
	source->entries -= EXO_CHUNK;
}

static void exo_source_clear_chunk(struct exo_window_source *source, u64 *chunk)
{
	u32 i;

	if (exo_chunk_large(chunk)) {
		if (exo_entry_source(chunk[0]) == source->id)
			exo_source_clear_large(source, chunk);
		return;
	}
	for (i = 0; i < EXO_CHUNK; i++) {
		if (exo_entry_source(chunk[i]) != source->id)
			continue;
		WRITE_ONCE(chunk[i], exo_taken(chunk[i]));
		source->entries--;
	}
}

/* Up to chunk @last: what is cleared is gone, with one flush for chunks side by side. */
static void exo_source_zap(struct exo_window *window, struct exo_window_source *source,
			   unsigned long last)
{
	unsigned long index, first = 0, end = 0;
	void *noted;

	xa_for_each_range(&source->chunks, index, noted, 0, last)
	{
		if (index != end) {
			exo_window_zap(window, first << EXO_CHUNK_SHIFT, end << EXO_CHUNK_SHIFT);
			first = index;
		}
		end = index + 1;
	}
	exo_window_zap(window, first << EXO_CHUNK_SHIFT, end << EXO_CHUNK_SHIFT);
}

/* Entries of it are empty from now on; that there are none any more ends the search. */
static void exo_source_clear(struct exo_window *window, struct exo_window_source *source)
{
	unsigned long index;
	void *noted;

	lockdep_assert_held_write(&window->lock);
	if (!source->entries)
		return;
	xa_for_each(&source->chunks, index, noted) {
		exo_source_clear_chunk(source, xa_load(&window->chunks, index));
		if (!source->entries)
			break;
		cond_resched();
	}
	exo_source_zap(window, source, index);
}

/* By who took it from its slot. */
static void exo_source_end(struct exo_window *window, struct exo_window_source *source)
{
	scoped_guard(rwsem_write, &window->lock) {
		if (!window->closed)
			exo_source_clear(window, source);
		exo_source_forget(window, source);
	}
	exo_object_unuse(source->cap->object);
	exo_source_free(source);
}

/* The window stays: its end would have to take the source from the slot. */
static struct exo_window_source *exo_slot_take_source(struct exo_view_slot *slot)
{
	struct exo_window_source *source;

	guard(spinlock)(&slot->windows_lock);
	slot->windows_dead = true;
	source = list_first_entry_or_null(&slot->windows, struct exo_window_source, on_slot);
	if (source) {
		list_del_init(&source->on_slot);
		kref_get(&source->window->ref);
	}
	return source;
}

void exo_window_end_sources(struct exo_view_slot *slot)
{
	struct exo_window_source *source;

	while ((source = exo_slot_take_source(slot))) {
		struct exo_window *window = source->window;

		exo_source_end(window, source);
		exo_window_put(window);
	}
}

static bool exo_source_take(struct exo_window_source *source)
{
	guard(spinlock)(&source->cap->slot.windows_lock);
	if (list_empty(&source->on_slot))
		return false;
	list_del_init(&source->on_slot);
	return true;
}

/* One that another is about to end is there until he has the window's lock. */
void exo_window_drop_sources(struct exo_window *window)
{
	struct exo_window_source *source, *next;
	unsigned long id;
	LIST_HEAD(ours);

	scoped_guard(rwsem_write, &window->lock) {
		xa_for_each(&window->sources, id, source) {
			if (exo_source_take(source))
				list_add(&source->on_slot, &ours);
			cond_resched();
		}
	}
	list_for_each_entry_safe(source, next, &ours, on_slot) {
		exo_source_end(window, source);
		cond_resched();
	}
}
