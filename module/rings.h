/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of a queue: what the program, the kernel and the device share of it, and
 * where a program finds it.
 *
 * Region 1, to be written: the control page; then of a checked queue the program's ring,
 * of a direct one the device's submission queue, the slots' own memory, and two pages of
 * doorbells. Region 2, read-only: the status page, then the completion queue.
 */
#ifndef EXO_RINGS_H
#define EXO_RINGS_H

#include <linux/types.h>

struct exo_cap;
struct exo_object;
struct exo_pfn;
struct exo_queue;
struct vm_area_struct;

/* Sizes, from q->depth and q->mode; and what no device needs to know of. */
void exo_rings_size(struct exo_queue *q);
int exo_rings_alloc(struct exo_queue *q);

/* What it does. */
int exo_rings_map(struct exo_queue *q);
void exo_rings_unmap(struct exo_queue *q);

void exo_rings_free(struct exo_queue *q);

/* Does the device have it at physical addresses, as who has an unsafe queue takes for granted? */
bool exo_rings_physical(const struct exo_queue *q);

/* Page frames, of those that a device may write to while it can reach memory. */
u64 exo_rings_frames(const struct exo_queue *q);

/* Of a direct queue: where in region 1, in pages. */
u32 exo_rings_lists(const struct exo_queue *q);
u32 exo_rings_doorbells(const struct exo_queue *q);

size_t exo_rings_rw_size(const struct exo_queue *q);
size_t exo_rings_ro_size(const struct exo_queue *q);

int exo_rings_map_check(struct exo_object *obj, const struct exo_cap *cap,
			struct vm_area_struct *vma);
bool exo_rings_map_pfn(struct exo_object *obj, pgoff_t page, struct exo_pfn *at);

#endif
