/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Views: what a capability maps into address spaces. All mappings made with one
 * capability share one view, which has a file of its own: so ending the
 * capability withdraws exactly its page table entries, and walks no other's. A
 * session has one more view, of its own pages.
 */
#ifndef EXO_VIEW_H
#define EXO_VIEW_H

#include <linux/mutex.h>
#include <linux/types.h>

struct exo_object;
struct exo_view;
struct file;
struct vm_area_struct;

/**
 * struct exo_view_slot - where a capability or a session keeps its view
 * @lock: guards the rest; short; taken under mmap_lock
 * @view: once there is one
 * @dead: no more mappings
 */
struct exo_view_slot {
	struct mutex lock;
	struct exo_view *view;
	bool dead;
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

#endif
