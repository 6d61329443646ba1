/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The check, between its two files: check.c for commands that name their blocks,
 * ranges.c for those that list them in a data buffer.
 */
#ifndef EXO_CHECK_H
#define EXO_CHECK_H

#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/overflow.h>

#include "queue.h"

/**
 * struct exo_blocks - blocks that a command names
 * @nsid, @start, @count: which
 * @needs: right on the extent
 * @dword: where they are named: 10, or 6 in a list
 */
struct exo_blocks {
	u64 start;
	u64 count;
	u32 nsid;
	u32 needs;
	u32 dword;
};

/* Fills @detail and returns @err. */
int exo_deny(struct exo_detail *detail, int err, u32 reason, u32 dword, u64 value, u64 limit);
int exo_deny_buffer(u64 entry, u64 need, u64 offset, struct exo_detail *detail);
const struct exo_queue_extent *exo_deny_extent(struct exo_queue *q, struct exo_blocks blocks,
					       struct exo_detail *detail);

/*
 * The extent that contains the blocks and carries the rights. They come by value, so that
 * the hot path keeps them in registers.
 */
static inline const struct exo_queue_extent *
exo_check_blocks(struct exo_queue *q, struct exo_blocks blocks, struct exo_detail *detail)
{
	u64 end;
	u32 i;

	if (unlikely(check_add_overflow(blocks.start, blocks.count, &end)))
		return ERR_PTR(exo_deny(detail, -EOVERFLOW, EXO_REASON_LBA_OVERFLOW, blocks.dword,
					blocks.start, blocks.count));
	for (i = 0; i < q->extent_count; i++) {
		const struct exo_queue_extent *e = &q->extents[i];

		if (e->nsid == blocks.nsid && blocks.start >= e->start && end <= e->end &&
		    !(blocks.needs & ~e->rights))
			return e;
	}
	return exo_deny_extent(q, blocks, detail);
}

/* The memory that belongs to a slot, and its address for the device: exo_queue.list_shift. */
static inline void *exo_slot_list(struct exo_queue *q, u32 cid, u64 *address)
{
	u32 at = cid << q->list_shift;
	u32 page = at >> PAGE_SHIFT, within = offset_in_page(at);

	*address = exo_dma_addr(&q->lists_map, page, 0) + within;
	return page_address(q->lists[page]) + within;
}

/* ranges.c: Dataset Management and Copy. */
int exo_check_trim(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);
int exo_check_copy(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);

#endif
