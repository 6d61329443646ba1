/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Views: what a capability maps into address spaces. All mappings made with one
 * capability share one view, which has a file of its own: so ending the
 * capability withdraws exactly its page table entries, and walks no other's.
 */
#ifndef EXO_VIEW_H
#define EXO_VIEW_H

#include <linux/types.h>

struct exo_view;
struct file;
struct vm_area_struct;

/* mmap() offsets: the capability's number above, the offset in its object below. */
#define EXO_VIEW_SHIFT 43

static inline u64 exo_view_offset(u32 cap)
{
	return (u64)cap << EXO_VIEW_SHIFT;
}

int exo_view_mmap(struct file *file, struct vm_area_struct *vma);
void exo_view_end(struct exo_view *view);

#endif
