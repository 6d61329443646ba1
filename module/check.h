/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The check, between its files: check.c for commands that name their blocks, ranges.c for
 * those that list them in a data buffer, zonecheck.c for those of zones.
 */
#ifndef EXO_CHECK_H
#define EXO_CHECK_H

#include <linux/compiler.h>
#include <linux/err.h>

#include "queue.h"

#define EXO_PAIR(even, odd) ((u64)(odd) << 32 | (even))

#define EXO_BITS_OPCODE_CID 0xffff00ffu /* dword 0: no fused operation, PRPs */
#define EXO_BITS_ALL 0xffffffffu
#define EXO_BITS_NLB 0xffffu /* dword 12 */
#define EXO_BIT_FUA BIT(30)  /* dword 12 */

#define EXO_PAIR_ALL EXO_PAIR(EXO_BITS_ALL, EXO_BITS_ALL)

/*
 * Of the 16 dwords: opcode, CID and NSID, which all commands may fill; bits of dwords 6
 * and 7 (PRP1), 10 and 11, 12 and 13; nothing else.
 */
#define EXO_PERMIT(pair6, pair10, pair12)                                                    \
	{                                                                                    \
		~EXO_PAIR(EXO_BITS_OPCODE_CID, EXO_BITS_ALL), ~0ull, ~0ull, ~(pair6), ~0ull, \
			~(pair10), ~(pair12), ~0ull,                                         \
	}

/* Read, Write and Compare are alike: PRP1, SLBA, NLB, FUA. */
#define EXO_PERMIT_TRANSFER \
	EXO_PERMIT(EXO_PAIR_ALL, EXO_PAIR_ALL, EXO_PAIR(EXO_BITS_NLB | EXO_BIT_FUA, 0))

/**
 * struct exo_rule - what one opcode may say
 * @forbidden: bits that may not be set, two dwords each: EXO_PERMIT(those that may)
 * @needs: right on the extent; 0: the opcode is not permitted
 * @buffer: what the device does with the buffer; 0: there is none
 * @feature: EXO_CONTROLLER_* that it needs
 * @check: the rest; NULL: it names a range of blocks, and perhaps a buffer of that size
 */
struct exo_rule {
	u64 forbidden[8];
	u32 needs;
	u32 buffer;
	u32 feature;
	int (*check)(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);
};

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
/* What is in a struct exo_blocks, apart: to hand that over would cost who is not denied. */
const struct exo_queue_extent *exo_deny_extent(struct exo_queue *q, u64 start, u64 count, u32 nsid,
					       u32 needs, u32 dword, struct exo_detail *detail);

/*
 * The extent that contains the blocks and carries the rights. They come by value, so that
 * the hot path keeps them in registers.
 */
static inline const struct exo_queue_extent *
exo_check_blocks(struct exo_queue *q, struct exo_blocks blocks, struct exo_detail *detail)
{
	const struct exo_queue_extent *e = q->extents, *last = e + q->extent_count;
	u64 end = blocks.start + blocks.count;

	if (unlikely(end < blocks.start))
		return ERR_PTR(exo_deny(detail, -EOVERFLOW, EXO_REASON_LBA_OVERFLOW, blocks.dword,
					blocks.start, blocks.count));
	for (; e != last; e++) {
		if (e->nsid == blocks.nsid && blocks.start >= e->start && end <= e->end &&
		    !(blocks.needs & ~e->rights))
			return e;
	}
	return exo_deny_extent(q, blocks.start, blocks.count, blocks.nsid, blocks.needs,
			       blocks.dword, detail);
}

/* The memory that belongs to a slot, and its address for the device: exo_queue.list_shift. */
static inline void *exo_slot_list(struct exo_queue *q, u32 cid, u64 *address)
{
	u32 at = cid << q->list_shift;
	u32 page = at >> PAGE_SHIFT, within = offset_in_page(at);

	*address = exo_dma_addr(&q->lists_map, page, 0) + within;
	return page_address(q->lists[page]) + within;
}

/* Offset in buffer space to addresses for the device. @bytes: no more than a transfer may have. */
int exo_check_buffer(struct exo_queue *q, struct nvme_command *cmd, u64 need, u32 bytes,
		     struct exo_detail *detail);

/* ranges.c: Dataset Management and Copy. */
int exo_check_trim(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);
int exo_check_copy(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);

/*
 * zonecheck.c: the rule of a command of zones, or NULL; and what a command that writes must
 * keep to where there are zones, after everything else was checked.
 */
const struct exo_rule *exo_zone_rule(u32 opcode);
int exo_check_zone_write(struct exo_queue *q, u32 cid, const struct exo_queue_extent *extent,
			 u64 start, u64 count, struct exo_detail *detail);

#endif
