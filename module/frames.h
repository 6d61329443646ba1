/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames: sets of page frames owned as one object.
 */
#ifndef EXO_FRAMES_H
#define EXO_FRAMES_H

#include <linux/mm.h>

#include "object.h"

struct exo_call;
struct exo_pool;
struct page;

/**
 * struct exo_frames - page frames
 * @object: mappings and attachments hold references
 * @pool: charged; a reference
 * @on_pool: in @pool->sets until it is freed or somebody takes it by force
 * @left: it never will be again; like @on_pool under the lock of the list of pools
 * @session: allocated them, and is told of them in its info page; a reference
 * @order: of each unit
 * @count: units there are
 * @pages: the first page of each unit
 */
struct exo_frames {
	struct exo_object object;
	struct exo_pool *pool;
	struct list_head on_pool;
	bool left;
	struct exo_session *session;
	u32 order;
	u32 count;
	struct page **pages;
};

static inline struct exo_frames *exo_frames_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_frames, object);
}

/* Number of the page frame of 4 KiB at @page, which lies within. */
static inline unsigned long exo_frames_pfn(const struct exo_frames *frames, pgoff_t page)
{
	return page_to_pfn(frames->pages[page >> frames->order]) +
	       (page & (BIT(frames->order) - 1));
}

int exo_frames_alloc(struct exo_call *call);
int exo_frames_names(struct exo_call *call);

#endif
