// SPDX-License-Identifier: GPL-2.0
/*
 * The check: what a program's command may say. Each opcode has a mask of the bits
 * it may set, over all 16 dwords; what is not in the mask is refused, known or
 * not. What is left is checked by value: the slot, the blocks, the buffer. The
 * command has been copied before: nothing here reads what a program can change.
 */
#include <linux/mm.h>
#include <linux/nospec.h>

#include "check.h"
#include "nvme.h"
#include "placement.h"
#include "space.h"

#define EXO_BITS_RANGES 0xffu /* dword 10 of Dataset Management, 12 of Copy */
#define EXO_BIT_AD BIT(2)     /* dword 11 of Dataset Management: deallocate */
#define EXO_BIT_DEAC BIT(25)  /* dword 12 of Write Zeroes: deallocate */

static int exo_check_flush(struct exo_queue *q, struct nvme_command *cmd,
			   struct exo_detail *detail);

/* NVM command set specification 1.0 section 3.2 */
static const struct exo_rule exo_rules[] = {
	[nvme_cmd_flush] = {
		.forbidden = EXO_PERMIT(0ull, 0ull, 0ull),
		.needs = EXO_RIGHT_WRITE,
		.check = exo_check_flush,
	},
	[nvme_cmd_write] = {
		.forbidden = EXO_PERMIT(EXO_PAIR_ALL, EXO_PAIR_ALL,
					EXO_PAIR(EXO_BITS_NLB | EXO_BIT_FUA | EXO_BIT_PLACEMENT,
						 EXO_BITS_IDENTIFIER)),
		.needs = EXO_RIGHT_WRITE,
		.buffer = EXO_SPACE_DEVICE_READS,
	},
	[nvme_cmd_read] = {
		.forbidden = EXO_PERMIT_TRANSFER,
		.needs = EXO_RIGHT_READ,
		.buffer = EXO_SPACE_DEVICE_WRITES,
	},
	[nvme_cmd_compare] = {
		.forbidden = EXO_PERMIT_TRANSFER,
		.needs = EXO_RIGHT_READ,
		.buffer = EXO_SPACE_DEVICE_READS,
		.feature = EXO_CONTROLLER_COMPARE,
	},
	[nvme_cmd_write_zeroes] = {
		.forbidden = EXO_PERMIT(0ull, EXO_PAIR_ALL,
					EXO_PAIR(EXO_BITS_NLB | EXO_BIT_FUA | EXO_BIT_DEAC, 0)),
		.needs = EXO_RIGHT_WRITE,
		.feature = EXO_CONTROLLER_WRITE_ZEROES,
	},
	[nvme_cmd_dsm] = {
		.forbidden = EXO_PERMIT(EXO_PAIR_ALL, EXO_PAIR(EXO_BITS_RANGES, EXO_BIT_AD), 0ull),
		.needs = EXO_RIGHT_TRIM,
		.feature = EXO_CONTROLLER_TRIM,
		.check = exo_check_trim,
	},
	[EXO_NVME_COPY] = {
		.forbidden = EXO_PERMIT(EXO_PAIR_ALL, EXO_PAIR_ALL,
					EXO_PAIR(EXO_BITS_RANGES | EXO_BIT_FUA, 0)),
		.needs = EXO_RIGHT_WRITE,
		.feature = EXO_CONTROLLER_COPY,
		.check = exo_check_copy,
	},
};

int exo_deny(struct exo_detail *detail, int err, u32 reason, u32 dword, u64 value, u64 limit)
{
	detail->reason = reason;
	detail->field = dword;
	detail->value = value;
	detail->limit = limit;
	return err;
}

static noinline int exo_deny_bits(const u64 *raw, const struct exo_rule *rule,
				  struct exo_detail *detail)
{
	u32 i;

	for (i = 0; i < 16; i++) {
		u32 bad = (raw[i / 2] & rule->forbidden[i / 2]) >> (i % 2 * 32);

		if (bad)
			return exo_deny(detail, -EINVAL, EXO_REASON_BITS, i, bad, 0);
	}
	return -EINVAL;
}

/* Opcode and bits. */
static int exo_check_form(struct exo_queue *q, const struct nvme_command *cmd,
			  const struct exo_rule **found, struct exo_detail *detail)
{
	const u64 *raw = (const u64 *)cmd;
	u32 opcode = cmd->common.opcode, i;
	const struct exo_rule *rule;
	u64 bad = 0;

	if (likely(opcode < ARRAY_SIZE(exo_rules)))
		rule = &exo_rules[array_index_nospec(opcode, ARRAY_SIZE(exo_rules))];
	else
		rule = exo_zone_rule(opcode);
	if (unlikely(!rule || !rule->needs || (rule->feature & ~q->nvme->features)))
		return exo_deny(detail, -EOPNOTSUPP, EXO_REASON_OPCODE, 0, opcode, 0);
#pragma GCC unroll 8
	for (i = 0; i < 8; i++)
		bad |= raw[i] & rule->forbidden[i];
	if (unlikely(bad))
		return exo_deny_bits(raw, rule, detail);
	*found = rule;
	return 0;
}

static int exo_check_cid(struct exo_queue *q, u32 cid, struct exo_detail *detail)
{
	if (unlikely(cid >= q->depth))
		return exo_deny(detail, -EINVAL, EXO_REASON_CID, 0, cid, q->depth);
	cid = array_index_nospec(cid, q->depth);
	if (unlikely(test_bit(cid, q->busy)))
		return exo_deny(detail, -EEXIST, EXO_REASON_CID_IN_FLIGHT, 0, cid, 0);
	return 0;
}

/* No extent allows it: the best reason is the one that gets closest. */
noinline const struct exo_queue_extent *exo_deny_extent(struct exo_queue *q, u64 start, u64 count,
							u32 nsid, u32 needs, u32 dword,
							struct exo_detail *detail)
{
	bool same_nsid = false;
	u32 i;

	for (i = 0; i < q->extent_count; i++) {
		const struct exo_queue_extent *e = &q->extents[i];

		if (e->nsid != nsid)
			continue;
		same_nsid = true;
		if (start >= e->start && start + count <= e->end)
			return ERR_PTR(exo_deny(detail, -EACCES, EXO_REASON_LBA_RIGHT, 0,
						needs & ~e->rights, e->rights));
	}
	if (!same_nsid)
		return ERR_PTR(exo_deny(detail, -ERANGE, EXO_REASON_NSID, 1, nsid, 0));
	return ERR_PTR(exo_deny(detail, -ERANGE, EXO_REASON_LBA, dword, start, count));
}

/* Flush names no blocks: any extent of the namespace with the right will do. */
static int exo_check_flush(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail)
{
	const u32 needs = EXO_RIGHT_WRITE;
	u32 nsid = le32_to_cpu(cmd->common.nsid), held = 0, i;
	bool same_nsid = false;

	for (i = 0; i < q->extent_count; i++) {
		if (q->extents[i].nsid != nsid)
			continue;
		same_nsid = true;
		held |= q->extents[i].rights;
	}
	if (!same_nsid)
		return exo_deny(detail, -ERANGE, EXO_REASON_NSID, 1, nsid, 0);
	if (needs & ~held)
		return exo_deny(detail, -EACCES, EXO_REASON_LBA_RIGHT, 0, needs & ~held, held);
	return 0;
}

noinline int exo_deny_buffer(u64 entry, u64 need, u64 offset, struct exo_detail *detail)
{
	u32 right = need == EXO_SPACE_DEVICE_READS ? EXO_RIGHT_READ : EXO_RIGHT_WRITE;

	if (!entry)
		return exo_deny(detail, -EFAULT, EXO_REASON_BUFFER, 6, offset, 0);
	return exo_deny(detail, -EACCES, EXO_REASON_BUFFER_RIGHT, 6, offset, right);
}

/* NVMe base 2.0 section 4.1.1: PRP entries behind the first, in the slot's own list. */
static int exo_build_list(struct exo_queue *q, struct nvme_command *cmd, u64 page, u32 pages,
			  u64 need, struct exo_detail *detail)
{
	u64 address;
	__le64 *list = exo_slot_list(q, cmd->common.command_id, &address);
	u32 i;

	for (i = 0; i < pages; i++) {
		u64 entry = exo_space_entry(q->space, page + i);

		if (unlikely(!(entry & need)))
			return exo_deny_buffer(entry, need, (page + i) << PAGE_SHIFT, detail);
		list[i] = cpu_to_le64(entry & ~EXO_SPACE_FLAGS);
	}
	cmd->common.dptr.prp2 = cpu_to_le64(address);
	return 0;
}

static __always_inline int exo_translate(struct exo_queue *q, struct nvme_command *cmd, u64 need,
					 u32 bytes, struct exo_detail *detail)
{
	u64 offset = le64_to_cpu(cmd->common.dptr.prp1), entry;
	u64 page = offset >> PAGE_SHIFT;
	u32 within = offset_in_page(offset);
	u32 pages = (within + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;

	if (unlikely(offset & 3))
		return exo_deny(detail, -EINVAL, EXO_REASON_BUFFER_ALIGN, 6, offset, 0);
	entry = exo_space_entry(q->space, page);
	if (unlikely(!(entry & need)))
		return exo_deny_buffer(entry, need, offset, detail);
	cmd->common.dptr.prp1 = cpu_to_le64((entry & ~EXO_SPACE_FLAGS) | within);
	if (pages == 1)
		return 0;
	if (pages > 2)
		return exo_build_list(q, cmd, page + 1, pages - 1, need, detail);
	entry = exo_space_entry(q->space, page + 1);
	if (unlikely(!(entry & need)))
		return exo_deny_buffer(entry, need, (page + 1) << PAGE_SHIFT, detail);
	cmd->common.dptr.prp2 = cpu_to_le64(entry & ~EXO_SPACE_FLAGS);
	return 0;
}

/* The same for other files: reads and writes, which are most, are spared the call. */
int exo_check_buffer(struct exo_queue *q, struct nvme_command *cmd, u64 need, u32 bytes,
		     struct exo_detail *detail)
{
	return exo_translate(q, cmd, need, bytes, detail);
}

/* What writes to zones: a zone is charged last, when nothing else is refused any more. */
static noinline int exo_check_zoned(struct exo_queue *q, struct nvme_command *cmd,
				    const struct exo_rule *rule,
				    const struct exo_queue_extent *extent,
				    struct exo_detail *detail)
{
	u64 start = le64_to_cpu(cmd->rw.slba);
	u32 count = (le32_to_cpu(cmd->common.cdw12) & EXO_BITS_NLB) + 1;
	int ret = 0;

	if (rule->buffer)
		ret = exo_check_buffer(q, cmd, rule->buffer, count << extent->shift, detail);
	return ret ?: exo_check_zone_write(q, cmd->common.command_id, extent, start, count, detail);
}

/* In dwords 12 and 13 there is more than how many blocks and FUA. */
static bool exo_command_is_rare(const struct nvme_command *cmd)
{
	const u64 *raw = (const u64 *)cmd;

	return raw[6] & ~(u64)(EXO_BITS_NLB | EXO_BIT_FUA);
}

/* What names one run of blocks. */
static __always_inline int exo_check_run(struct exo_queue *q, struct nvme_command *cmd,
					 const struct exo_rule *rule, bool rare,
					 struct exo_detail *detail)
{
	u32 dword12 = le32_to_cpu(cmd->common.cdw12), bytes;
	struct exo_blocks blocks = {
		.start = le64_to_cpu(cmd->rw.slba),
		.count = (dword12 & EXO_BITS_NLB) + 1,
		.nsid = le32_to_cpu(cmd->rw.nsid),
		.needs = rule->needs,
		.dword = 10,
	};
	const struct exo_queue_extent *extent;
	int ret;

	/* The mask lets only Write Zeroes have this bit. */
	if (rare && dword12 & EXO_BIT_DEAC)
		blocks.needs |= EXO_RIGHT_TRIM;
	extent = exo_check_blocks(q, blocks, detail);
	if (IS_ERR(extent))
		return PTR_ERR(extent);
	/* The mask lets only Write have these bits. */
	if (rare && (dword12 & EXO_BIT_PLACEMENT || cmd->common.cdw13)) {
		ret = exo_check_placement(extent, cmd, detail);
		if (ret)
			return ret;
	}
	bytes = blocks.count << extent->shift;
	/*
	 * Of Write Zeroes, too, which transfers nothing: it bounds what a slow device has
	 * left to do when a queue full of them is taken away.
	 */
	if (unlikely(bytes > q->nvme->transfer_max))
		return exo_deny(detail, -EMSGSIZE, EXO_REASON_TRANSFER, 12, bytes,
				q->nvme->transfer_max);
	if (unlikely(extent->zones) && (rule->needs & EXO_RIGHT_WRITE))
		return exo_check_zoned(q, cmd, rule, extent, detail);
	return rule->buffer ? exo_translate(q, cmd, rule->buffer, bytes, detail) : 0;
}

static noinline int exo_check_rare(struct exo_queue *q, struct nvme_command *cmd,
				   const struct exo_rule *rule, struct exo_detail *detail)
{
	return exo_check_run(q, cmd, rule, true, detail);
}

int exo_command_check(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail)
{
	const struct exo_rule *rule;
	int ret = exo_check_form(q, cmd, &rule, detail);

	if (unlikely(ret))
		return ret;
	ret = exo_check_cid(q, cmd->common.command_id, detail);
	if (unlikely(ret))
		return ret;
	if (unlikely(rule->check))
		return rule->check(q, cmd, detail);
	if (unlikely(exo_command_is_rare(cmd)))
		return exo_check_rare(q, cmd, rule, detail);
	return exo_check_run(q, cmd, rule, false, detail);
}
