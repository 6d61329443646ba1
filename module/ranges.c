// SPDX-License-Identifier: GPL-2.0
/*
 * The check of commands that list their blocks in a data buffer: Dataset Management and
 * Copy. The list is copied once, to the memory of the command's slot; it is checked there,
 * and the device reads it there. What the program does to its own meanwhile reaches nobody.
 */
#include <linux/mm.h>

#include "check.h"
#include "nvme.h"
#include "space.h"

/* NVM command set specification 1.0 figure 39: source range entry, descriptor format 0h */
struct exo_copy_range {
	__le64 reserved;
	__le64 slba;
	__le64 length; /* low 16 bits: blocks - 1; the rest is reserved, or options */
	__le64 protection;
};

static_assert(EXO_TRIM_RANGES * sizeof(struct nvme_dsm_range) <= EXO_LIST_BYTES);
static_assert(EXO_COPY_RANGES * sizeof(struct exo_copy_range) <= EXO_LIST_BYTES);

/* The slot's copy of the list, which the command names from now on. */
static void *exo_list_fetch(struct exo_queue *q, struct nvme_command *cmd, u32 bytes,
			    struct exo_detail *detail)
{
	u64 offset = le64_to_cpu(cmd->common.dptr.prp1), address, entry;
	void *list = exo_slot_list(q, cmd->common.command_id, &address);
	int ret;

	if (offset & 3)
		return ERR_PTR(exo_deny(detail, -EINVAL, EXO_REASON_BUFFER_ALIGN, 6, offset, 0));
	if (!exo_space_read(q->space, &offset, list, bytes, &entry)) {
		ret = exo_deny_buffer(entry, EXO_SPACE_DEVICE_READS, offset, detail);
		return ERR_PTR(ret);
	}
	cmd->common.dptr.prp1 = cpu_to_le64(address);
	return list;
}

static int exo_list_check_count(u32 count, u32 max, u32 dword, struct exo_detail *detail)
{
	if (count <= max)
		return 0;
	return exo_deny(detail, -EINVAL, EXO_REASON_RANGES, dword, count, max);
}

static int exo_list_deny_bits(u64 start, u64 bits, struct exo_detail *detail)
{
	return exo_deny(detail, -EINVAL, EXO_REASON_RANGE_BITS, 6, start, bits);
}

/* Their bytes, or why not. */
static s64 exo_list_check_blocks(struct exo_queue *q, struct exo_blocks blocks,
				 struct exo_detail *detail)
{
	const struct exo_queue_extent *extent = exo_check_blocks(q, blocks, detail);

	return IS_ERR(extent) ? PTR_ERR(extent) : (s64)(blocks.count << extent->shift);
}

static int exo_list_check_bytes(u64 bytes, u64 max, u32 dword, struct exo_detail *detail)
{
	if (bytes <= max)
		return 0;
	return exo_deny(detail, -EMSGSIZE, EXO_REASON_TRANSFER, dword, bytes, max);
}

static int exo_check_trim_range(struct exo_queue *q, u32 nsid, const struct nvme_dsm_range *range,
				u64 *bytes, struct exo_detail *detail)
{
	const struct exo_blocks blocks = {
		.nsid = nsid,
		.start = le64_to_cpu(range->slba),
		.count = le32_to_cpu(range->nlb),
		.needs = EXO_RIGHT_TRIM,
		.dword = 6,
	};
	s64 n = exo_list_check_blocks(q, blocks, detail);

	if (n < 0)
		return n;
	if (range->cattr)
		return exo_list_deny_bits(blocks.start, le32_to_cpu(range->cattr), detail);
	*bytes += n;
	return 0;
}

/* NVM command set specification 1.0 section 3.2.3 */
int exo_check_trim(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail)
{
	u32 count = (le32_to_cpu(cmd->common.cdw10) & 0xff) + 1, i;
	const struct nvme_dsm_range *list;
	u64 bytes = 0;
	int ret = exo_list_check_count(count, EXO_TRIM_RANGES, 10, detail);

	if (ret)
		return ret;
	list = exo_list_fetch(q, cmd, count * sizeof(*list), detail);
	if (IS_ERR(list))
		return PTR_ERR(list);
	for (i = 0; i < count && !ret; i++)
		ret = exo_check_trim_range(q, le32_to_cpu(cmd->common.nsid), &list[i], &bytes,
					   detail);
	return ret ?: exo_list_check_bytes(bytes, EXO_TRIM_BYTES, 10, detail);
}

static int exo_check_copy_range(struct exo_queue *q, u32 nsid, const struct exo_copy_range *range,
				u64 *count, struct exo_detail *detail)
{
	u64 length = le64_to_cpu(range->length);
	const struct exo_blocks blocks = {
		.nsid = nsid,
		.start = le64_to_cpu(range->slba),
		.count = (length & 0xffff) + 1,
		.needs = EXO_RIGHT_READ,
		.dword = 6,
	};
	s64 n = exo_list_check_blocks(q, blocks, detail);
	u64 more = le64_to_cpu(range->reserved) | length >> 16 | le64_to_cpu(range->protection);

	if (n < 0)
		return n;
	if (more)
		return exo_list_deny_bits(blocks.start, more, detail);
	*count += blocks.count;
	return 0;
}

/* As many blocks in a row as the list has. */
static int exo_check_copy_target(struct exo_queue *q, const struct nvme_command *cmd, u64 count,
				 struct exo_detail *detail)
{
	const struct exo_blocks blocks = {
		.nsid = le32_to_cpu(cmd->rw.nsid),
		.start = le64_to_cpu(cmd->rw.slba),
		.count = count,
		.needs = EXO_RIGHT_WRITE,
		.dword = 10,
	};
	const struct exo_queue_extent *extent = exo_check_blocks(q, blocks, detail);
	int ret;

	if (IS_ERR(extent))
		return PTR_ERR(extent);
	ret = exo_list_check_bytes(count << extent->shift, q->nvme->transfer_max, 12, detail);
	if (!ret && extent->zones)
		ret = exo_check_zone_write(q, cmd->common.command_id, extent, blocks.start, count,
					   detail);
	return ret;
}

/* NVM command set specification 1.0 section 3.2.2 */
int exo_check_copy(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail)
{
	u32 count = (le32_to_cpu(cmd->common.cdw12) & 0xff) + 1, i;
	const struct exo_copy_range *list;
	u64 blocks = 0;
	int ret = exo_list_check_count(count, EXO_COPY_RANGES, 12, detail);

	if (ret)
		return ret;
	list = exo_list_fetch(q, cmd, count * sizeof(*list), detail);
	if (IS_ERR(list))
		return PTR_ERR(list);
	for (i = 0; i < count && !ret; i++)
		ret = exo_check_copy_range(q, le32_to_cpu(cmd->common.nsid), &list[i], &blocks,
					   detail);
	return ret ?: exo_check_copy_target(q, cmd, blocks, detail);
}
