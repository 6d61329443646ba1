// SPDX-License-Identifier: GPL-2.0
/*
 * The check of commands of zones (zoned namespace command set specification 1.1): Zone
 * Append, Zone Management Send and Receive. One zone at a time, or as many in a report as
 * the extent has left: what lies beyond it is not told.
 */
#include <linux/mm.h>

#include "check.h"
#include "nvme.h"
#include "space.h"
#include "zone.h"

#define EXO_BITS_ACTION 0xffu	 /* dword 13 of Zone Management Send */
#define EXO_BITS_REPORT 0x1ffffu /* dword 13 of Zone Management Receive */
#define EXO_REPORT_ZONES BIT(16) /* Report Zones, in all states, partial */
#define EXO_REPORT_HEADER sizeof(struct nvme_zone_report)
#define EXO_REPORT_ENTRY sizeof(struct nvme_zone_descriptor)

static int exo_zone_deny(struct exo_detail *detail, u64 start, const struct exo_zones *zones)
{
	return exo_deny(detail, -EINVAL, EXO_REASON_ZONE, 10, start, 1ull << zones->shift);
}

int exo_check_zone_write(struct exo_queue *q, u32 cid, const struct exo_queue_extent *extent,
			 u64 start, u64 count, struct exo_detail *detail)
{
	const struct exo_zones *zones = extent->zones;

	if (start >> zones->shift != (start + count - 1) >> zones->shift)
		return exo_zone_deny(detail, start, zones);
	return extent->account ? exo_zone_enter(q, cid, extent, start, 0, detail) : 0;
}

/* The extent with zones that contains the blocks, of whose first one begins. */
static const struct exo_queue_extent *exo_check_zone(struct exo_queue *q, struct exo_blocks blocks,
						     u32 opcode, struct exo_detail *detail)
{
	const struct exo_queue_extent *extent = exo_check_blocks(q, blocks, detail);
	int ret;

	if (IS_ERR(extent))
		return extent;
	if (!extent->zones)
		ret = exo_deny(detail, -EOPNOTSUPP, EXO_REASON_OPCODE, 0, opcode, 0);
	else if (blocks.start & ((1ull << extent->zones->shift) - 1))
		ret = exo_zone_deny(detail, blocks.start, extent->zones);
	else
		return extent;
	return ERR_PTR(ret);
}

/* Section 3.4.1: it names a zone, and the device chooses the blocks in it. */
static int exo_check_append(struct exo_queue *q, struct nvme_command *cmd,
			    struct exo_detail *detail)
{
	const struct exo_blocks blocks = {
		.start = le64_to_cpu(cmd->rw.slba),
		.count = (le32_to_cpu(cmd->common.cdw12) & EXO_BITS_NLB) + 1,
		.nsid = le32_to_cpu(cmd->rw.nsid),
		.needs = EXO_RIGHT_WRITE,
		.dword = 10,
	};
	const struct exo_queue_extent *extent =
		exo_check_zone(q, blocks, cmd->common.opcode, detail);
	u32 bytes;
	int ret;

	if (IS_ERR(extent))
		return PTR_ERR(extent);
	bytes = blocks.count << extent->shift;
	if (bytes > q->nvme->append_max)
		return exo_deny(detail, -EMSGSIZE, EXO_REASON_TRANSFER, 12, bytes,
				q->nvme->append_max);
	ret = exo_check_buffer(q, cmd, EXO_SPACE_DEVICE_READS, bytes, detail);
	return ret
		       ?: exo_check_zone_write(q, cmd->common.command_id, extent, blocks.start,
					       blocks.count, detail);
}

/* Section 3.4.3: of one zone, from open to empty. What empties it destroys data. */
static int exo_check_zone_send(struct exo_queue *q, struct nvme_command *cmd,
			       struct exo_detail *detail)
{
	static const u32 ends[] = {
		[NVME_ZONE_CLOSE] = BIT(EXO_ZONES_OPEN),
		[NVME_ZONE_FINISH] = BIT(EXO_ZONES_OPEN) | BIT(EXO_ZONES_ACTIVE),
		[NVME_ZONE_OPEN] = 0,
		[NVME_ZONE_RESET] = BIT(EXO_ZONES_OPEN) | BIT(EXO_ZONES_ACTIVE),
	};
	u32 action = le32_to_cpu(cmd->common.cdw13);
	const struct exo_blocks blocks = {
		.start = le64_to_cpu(cmd->zms.slba),
		.count = 1,
		.nsid = le32_to_cpu(cmd->zms.nsid),
		.needs = EXO_RIGHT_WRITE | (action == NVME_ZONE_RESET ? EXO_RIGHT_TRIM : 0),
		.dword = 10,
	};
	const struct exo_queue_extent *extent =
		exo_check_zone(q, blocks, cmd->common.opcode, detail);

	if (IS_ERR(extent))
		return PTR_ERR(extent);
	if (action < NVME_ZONE_CLOSE || action > NVME_ZONE_RESET)
		return exo_deny(detail, -EINVAL, EXO_REASON_ZONE_ACTION, 13, action,
				NVME_ZONE_RESET);
	if (!extent->account)
		return 0;
	return exo_zone_enter(q, cmd->common.command_id, extent, blocks.start,
			      ends[array_index_nospec(action, ARRAY_SIZE(ends))], detail);
}

/*
 * Section 3.4.2. A device lists zones until the buffer is full, to the end of the namespace:
 * the buffer may have room for those of the extent alone. A report of zones in some state
 * passes over others, and would look further.
 */
static int exo_check_zone_report(struct exo_queue *q, struct nvme_command *cmd,
				 struct exo_detail *detail)
{
	u64 bytes = ((u64)le32_to_cpu(cmd->common.cdw12) + 1) * sizeof(u32), most;
	u32 report = le32_to_cpu(cmd->common.cdw13);
	const struct exo_blocks blocks = {
		.start = le64_to_cpu(cmd->zmr.slba),
		.count = 1,
		.nsid = le32_to_cpu(cmd->zmr.nsid),
		.needs = EXO_RIGHT_READ,
		.dword = 10,
	};
	const struct exo_queue_extent *extent =
		exo_check_zone(q, blocks, cmd->common.opcode, detail);

	if (IS_ERR(extent))
		return PTR_ERR(extent);
	if (report != EXO_REPORT_ZONES)
		return exo_deny(detail, -EINVAL, EXO_REASON_ZONE_ACTION, 13, report,
				EXO_REPORT_ZONES);
	most = (extent->end - blocks.start) >> extent->zones->shift;
	most = min_t(u64, EXO_REPORT_HEADER + most * EXO_REPORT_ENTRY, q->nvme->transfer_max);
	if (bytes > most)
		return exo_deny(detail, -EMSGSIZE, EXO_REASON_ZONE_REPORT, 12, bytes, most);
	return exo_check_buffer(q, cmd, EXO_SPACE_DEVICE_WRITES, bytes, detail);
}

static const struct exo_rule exo_rule_append = {
	.forbidden = EXO_PERMIT_TRANSFER,
	.needs = EXO_RIGHT_WRITE,
	.feature = EXO_CONTROLLER_ZONED,
	.check = exo_check_append,
};

static const struct exo_rule exo_rule_zone_send = {
	.forbidden = EXO_PERMIT(0ull, EXO_PAIR_ALL, EXO_PAIR(0, EXO_BITS_ACTION)),
	.needs = EXO_RIGHT_WRITE,
	.feature = EXO_CONTROLLER_ZONED,
	.check = exo_check_zone_send,
};

static const struct exo_rule exo_rule_zone_report = {
	.forbidden =
		EXO_PERMIT(EXO_PAIR_ALL, EXO_PAIR_ALL, EXO_PAIR(EXO_BITS_ALL, EXO_BITS_REPORT)),
	.needs = EXO_RIGHT_READ,
	.feature = EXO_CONTROLLER_ZONED,
	.check = exo_check_zone_report,
};

const struct exo_rule *exo_zone_rule(u32 opcode)
{
	switch (opcode) {
	case nvme_cmd_zone_append:
		return &exo_rule_append;
	case nvme_cmd_zone_mgmt_send:
		return &exo_rule_zone_send;
	case nvme_cmd_zone_mgmt_recv:
		return &exo_rule_zone_report;
	default:
		return NULL;
	}
}
