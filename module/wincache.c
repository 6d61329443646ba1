// SPDX-License-Identifier: GPL-2.0
/*
 * Page table entries of a window: a cache of its table. They appear under the window's lock,
 * and where the table allows it; before the lock is let go by who made the table allow
 * less, they are lowered or gone, and the CPUs' translations with them.
 *
 * Only the kernel's own functions take rights away: unmap_mapping_pages() and
 * wp_shared_mapping_range(), each one flush a run. apply_to_page_range() fills entries that
 * are empty, reads dirty bits, and makes entries writable that were not: what gives more
 * needs no flush.
 *
 * The dirty bit of an entry of 4 KiB is that of its page table entry, and EXO_ENTRY_DIRTY from
 * when that went. wp_shared_mapping_range() and clean_record_shared_mapping_range() warn of
 * 2 MiB that can be written: they are kept away from those, which have only
 * EXO_ENTRY_DIRTY, set when the first write makes them writable.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched.h>

#include "cap.h"
#include "frames.h"
#include "pte.h"
#include "window.h"

#define EXO_FILL_JIFFIES 2 /* that others who want the locks may be kept waiting for */

/**
 * struct exo_fill - a walk over page table entries of one chunk
 * @window: whose
 * @vma: it
 * @chunk: what they shall be
 * @first: from this entry on
 * @end: up to this one
 * @source: of the entry before; 0: there was none
 * @frames: its object
 * @pte: of page frame 0: an entry that cannot be written, and one that can
 */
struct exo_fill {
	struct exo_window *window;
	struct vm_area_struct *vma;
	u64 *chunk;
	u64 first;
	u64 end;
	u32 source;
	const struct exo_frames *frames;
	pte_t pte[2];
};

static u64 exo_vma_entry(const struct vm_area_struct *vma, unsigned long addr)
{
	return (addr - vma->vm_start) >> PAGE_SHIFT;
}

static unsigned long exo_vma_address(const struct vm_area_struct *vma, u64 at)
{
	return vma->vm_start + (at << PAGE_SHIFT);
}

bool exo_window_pfn(struct exo_window *window, u64 entry, struct exo_pfn *at)
{
	struct exo_window_source *source = xa_load(&window->sources, exo_entry_source(entry));
	struct exo_object *object;

	lockdep_assert_held(&window->lock);
	if (!source)
		return false;
	object = source->cap->object;
	*at = (struct exo_pfn){ .order = EXO_ORDER_4K };
	return object->ops->map_pfn(object, exo_entry_page(entry), at);
}

/* ---- filling ---- */

/* Of 2 MiB, as entries of 4 KiB: they are written through those only after EXO_ENTRY_DIRTY was set. */
static u64 exo_fill_large(const struct exo_fill *fill, u64 at)
{
	u64 entry = exo_chunk_entry(fill->chunk, at);

	return entry & EXO_ENTRY_DIRTY ? entry : entry & ~EXO_ENTRY_WRITE;
}

/* Neighbours are mostly of one source. */
static __always_inline bool exo_fill_knows(struct exo_fill *fill, u32 id)
{
	struct exo_window_source *source;

	if (likely(fill->source == id))
		return true;
	source = xa_load(&fill->window->sources, id);
	if (!source)
		return false;
	fill->frames = exo_frames_of(source->cap->object);
	fill->source = id;
	return true;
}

/* What is neither present nor none is nobody's: a marker. */
static __always_inline int exo_fill_one(struct exo_fill *fill, unsigned long addr, pte_t *pte,
					u64 entry)
{
	bool writable = entry & EXO_ENTRY_WRITE;
	pte_t old = ptep_get(pte);

	if (!pte_none(old) && pte_present(old)) {
		if (writable && !pte_write(old))
			exo_pte_allow_write(fill->vma, addr, pte, old);
		return 0;
	}
	if (!exo_fill_knows(fill, exo_entry_source(entry)))
		return -EFAULT;
	exo_pte_set(fill->vma, addr, pte,
		    pte_advance_pfn(fill->pte[writable],
				    exo_frames_pfn(fill->frames, exo_entry_page(entry))));
	return 0;
}

/*
 * Under the lock of the page table that has them all, so that this is called for the first of them
 * alone, and goes on by itself.
 */
static int exo_fill_ptes(pte_t *pte, unsigned long addr, void *data)
{
	struct exo_fill *fill = data;
	const u64 *entry = &fill->chunk[fill->first & (EXO_CHUNK - 1)];
	bool large = exo_chunk_large(fill->chunk);
	u64 at, value, end = fill->end;
	int ret;

	for (at = fill->first; at < end; at++, entry++, pte++, addr += PAGE_SIZE) {
		value = large ? exo_fill_large(fill, at) : *entry;
		if (!(value & EXO_ENTRY_READ))
			continue;
		ret = exo_fill_one(fill, addr, pte, value);
		if (ret)
			return ret;
	}
	return 0;
}

/* Within one chunk, without a page table entry of 2 MiB, but maybe of two page tables. */
static int exo_fill_chunk(struct exo_window *window, struct vm_area_struct *vma, u64 *chunk,
			  u64 first, u64 end)
{
	unsigned long addr = exo_vma_address(vma, first), last = exo_vma_address(vma, end);
	struct exo_fill fill = {
		.window = window,
		.vma = vma,
		.chunk = chunk,
		.pte = { pte_mkspecial(pfn_pte(0, vm_get_page_prot(vma->vm_flags & ~VM_WRITE))),
			 pte_mkspecial(pfn_pte(0, vm_get_page_prot(vma->vm_flags))) },
	};
	int ret = 0;

	for (; addr < last && !ret; addr = pmd_addr_end(addr, last)) {
		fill.first = exo_vma_entry(vma, addr);
		fill.end = exo_vma_entry(vma, pmd_addr_end(addr, last));
		ret = apply_to_page_range(vma->vm_mm, addr, PAGE_SIZE, exo_fill_ptes, &fill);
	}
	return ret;
}

int exo_window_fill(struct exo_window *window, struct vm_area_struct *vma, u64 first, u64 end)
{
	lockdep_assert_held(&window->lock);
	return exo_fill_chunk(window, vma, exo_window_chunk(window, first), first, end);
}

/*
 * Page tables are of the program's memory. Who is over the bound that the cgroup throttles it at
 * would be made to sleep here, and who reclaims may take long: others wait for these locks.
 */
static bool exo_fill_goes_on(struct exo_window *window, struct mm_struct *mm)
{
#ifdef CONFIG_MEMCG
	if (current->memcg_nr_pages_over_high)
		return false;
#endif
	if (time_before_eq(jiffies, window->since + EXO_FILL_JIFFIES))
		return true;
	return !rwsem_is_contended(&window->lock) && !mmap_lock_is_contended(mm);
}

/*
 * What is not filled for want of memory is at a touch. So are 2 MiB: handle_mm_fault(), the way
 * to those, takes the window's lock itself.
 */
void exo_window_fill_all(struct exo_window *window, struct vm_area_struct *vma, u64 first, u64 end)
{
	u64 at = first;

	while ((at = exo_window_next(window, at, end, EXO_ENTRY_READ)) < end) {
		u64 *chunk = exo_window_own_chunk(window, at), next = exo_chunk_end(at, end);

		if (!exo_fill_goes_on(window, vma->vm_mm))
			return;
		if (!exo_chunk_large(chunk))
			exo_fill_chunk(window, vma, chunk, at, next);
		at = next;
		cond_resched();
	}
}

/* ---- withdrawing ---- */

static void exo_settle_lower(struct exo_window *window, u64 first, u64 end)
{
	u64 last;

	for (; exo_window_run(window, &first, &last, end, EXO_ENTRY_LOWER); first = last)
		wp_shared_mapping_range(window->file->f_mapping, first, last - first);
}

/* It cannot be written any more: its dirty bit is what it will be. */
static int exo_harvest_pte(pte_t *pte, unsigned long addr, void *data)
{
	struct exo_fill *fill = data;
	pte_t old = ptep_get(pte);

	if (pte_present(old) && pte_dirty(old))
		fill->chunk[exo_vma_entry(fill->vma, addr) & (EXO_CHUNK - 1)] |= EXO_ENTRY_DIRTY;
	return 0;
}

static void exo_settle_harvest(struct exo_window *window, struct vm_area_struct *vma, u64 first,
			       u64 end)
{
	struct exo_fill fill = { .window = window, .vma = vma };
	u64 at, next, last;

	for (at = first; exo_window_run(window, &at, &last, end, EXO_ENTRY_HARVEST); at = last) {
		for (; at < last; at = next) {
			next = exo_chunk_end(at, last);
			fill.chunk = exo_window_own_chunk(window, at);
			apply_to_existing_page_range(vma->vm_mm, exo_vma_address(vma, at),
						     (next - at) << PAGE_SHIFT, exo_harvest_pte,
						     &fill);
			cond_resched();
		}
	}
}

static void exo_chunk_done(u64 *chunk, u64 at, u64 end)
{
	u64 *entry = &chunk[at & (EXO_CHUNK - 1)], n = end - at;

	if (exo_chunk_large(chunk)) {
		if (!WARN_ON_ONCE(n != EXO_CHUNK))
			chunk[0] &= ~EXO_ENTRY_TODO;
		return;
	}
	for (; n--; entry++)
		*entry &= ~EXO_ENTRY_TODO;
}

static void exo_settle_done(struct exo_window *window, u64 first, u64 end)
{
	u64 at, next;

	for (at = first; at < end; at = next) {
		u64 *chunk = exo_window_own_chunk(window, at);

		next = exo_chunk_end(at, end);
		if (chunk)
			exo_chunk_done(chunk, at, next);
	}
}

void exo_window_zap(struct exo_window *window, u64 first, u64 end)
{
	struct address_space *mapping = window->file->f_mapping;
	u64 at, last;

	lockdep_assert_held_write(&window->lock);
	for (at = first; exo_window_run(window, &at, &last, end, EXO_ENTRY_ZAP); at = last) {
		unmap_mapping_pages(mapping, at, last - at, true);
		exo_settle_done(window, at, last);
		cond_resched();
	}
}

void exo_window_settle(struct exo_window *window, struct vm_area_struct *vma, u64 first, u64 end,
		       u64 todo)
{
	lockdep_assert_held_write(&window->lock);
	if (todo & EXO_ENTRY_LOWER)
		exo_settle_lower(window, first, end);
	if (todo & EXO_ENTRY_HARVEST)
		exo_settle_harvest(window, vma, first, end);
	if (todo & EXO_ENTRY_ZAP)
		exo_window_zap(window, first, end);
	if (todo & ~EXO_ENTRY_ZAP)
		exo_settle_done(window, first, end);
}
