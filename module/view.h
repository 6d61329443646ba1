/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Views: what a capability maps into address spaces. All mappings made with one
 * capability share one view, which has a file of its own: so ending the
 * capability withdraws exactly its page table entries, and walks no other's. A
 * session has one more view, of its own pages.
 */
#ifndef EXO_VIEW_H
#define EXO_VIEW_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct exo_object;
struct exo_view;
struct file;
struct vm_area_struct;
struct vm_fault;
struct vm_operations_struct;

/**
 * struct exo_view_slot - where a capability or a session keeps its view
 * @lock: guards the rest; short; taken under mmap_lock
 * @view: once there is one
 * @dead: no more mappings
 * @windows_lock: guards what follows; a leaf, and not @lock, inside which the VMA's own lock
 *	is taken
 * @windows: exo_window_source.on_slot: windows that have entries of it
 * @windows_dead: no more of them
 */
struct exo_view_slot {
	struct mutex lock;
	struct exo_view *view;
	bool dead;
	spinlock_t windows_lock;
	struct list_head windows;
	bool windows_dead;
};

/* mmap() offsets: the capability's number (0: the session) above, the offset below. */
#define EXO_VIEW_SHIFT 43

static inline u64 exo_view_offset(u32 cap)
{
	return (u64)cap << EXO_VIEW_SHIFT;
}

void exo_view_slot_init(struct exo_view_slot *slot);

/* No more mappings; those that were made are withdrawn, but for @map_outlives. */
void exo_view_slot_end(struct exo_view_slot *slot);

/*
 * What @pages from @first on of @obj map has changed: entries that say what it was go from
 * all its views. The next touch asks @map_pfn again.
 */
void exo_view_withdraw(struct exo_object *obj, pgoff_t first, pgoff_t pages);

int exo_view_mmap(struct file *file, struct vm_area_struct *vma);

/* ---- what holds for every VMA of exo: of views and of windows ---- */

vm_fault_t exo_vma_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end);
void exo_vma_copy(unsigned long pfn, unsigned long offset, void *buf, int len, bool write);
int exo_vma_may_split(struct vm_area_struct *vma, unsigned long addr);
int exo_vma_mremap(struct vm_area_struct *vma);
int exo_vma_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		     unsigned long flags);

/* @vma is of @file, whose address_space is that of what it shows. */
void exo_vma_attach(struct vm_area_struct *vma, struct file *file,
		    const struct vm_operations_struct *ops, void *data);

#endif
