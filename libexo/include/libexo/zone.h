/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Zoned namespaces (NVMe Zoned Namespace Command Set 1.1): blocks in zones that are written
 * from front to back and emptied as a whole. An extent of such a namespace is a number of
 * whole zones; its blocks are read and written like any other's, as far as zones allow.
 *
 * How many zones may be open and active at a time is limited, by the device and perhaps
 * by a quota of the extent's: exo_zone_limits(). The kernel counts a zone from the
 * first command that was submitted to write to it or open it until it has seen that
 * a reset or finish of it ended well; a close makes it count as active only. A zone
 * written to its end counts until it is finished.
 *
 * Threads: whoever uses the queue.
 */
#ifndef LIBEXO_ZONE_H
#define LIBEXO_ZONE_H

#include <stdint.h>

#include <libexo/nvme.h>
#include <libexo/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct exo_zone_limits - what the zones of an extent are like
 * @blocks: logical blocks of each; 0: the extent is not zoned
 * @append_max: bytes of the largest Zone Append
 * @open: zones that may be open at a time, through the extent and what shares its quota;
 *	0: as many as it has
 * @active: the same of active zones
 */
struct exo_zone_limits {
	uint64_t blocks;
	uint32_t append_max;
	uint32_t open;
	uint32_t active;
};

/**
 * exo_zone_limits - zones of a handle's extent
 * @x: the handle
 */
struct exo_zone_limits exo_zone_limits(const struct exo *x);

/**
 * exo_prep_zone_append - Zone Append (section 3.4.1)
 * @q: the queue
 * @buf: what to write, in a buffer of exo_buf_alloc(); a multiple of 4
 * @zone: first block of the zone, counted from the start of the extent
 * @nblocks: logical blocks, at most append_max bytes
 * @user_data: comes back with the completion
 *
 * The device chooses where in the zone; exo_zone_appended() tells. Needs EXO_WRITE.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_zone_append(struct exo_queue *q, const void *buf,
							    uint64_t zone, uint32_t nblocks,
							    uint64_t user_data)
{
	return exo_prep_blocks(q, EXO_NVME_ZONE_APPEND, exo_buf_offset(q, buf), zone, nblocks,
			       user_data);
}

/**
 * exo_zone_appended - where a Zone Append that ended well has written
 * @q: the queue
 * @completion: its completion
 *
 * Returns the first block, counted from the start of the extent.
 */
static inline uint64_t exo_zone_appended(const struct exo_queue *q,
					 const struct exo_nvme_completion *completion)
{
	return completion->qword[0] - q->first;
}

/**
 * exo_prep_zone_send - Zone Management Send (section 3.4.3): change the state of one zone
 * @q: the queue
 * @action: EXO_NVME_ZONE_CLOSE, _FINISH, _OPEN or _RESET
 * @zone: first block of the zone, counted from the start of the extent
 * @user_data: comes back with the completion
 *
 * A reset empties the zone. Needs EXO_WRITE, a reset EXO_TRIM as well.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_zone_send(struct exo_queue *q, uint32_t action,
							  uint64_t zone, uint64_t user_data)
{
	struct exo_nvme_command *command =
		exo_prep_command(q, EXO_NVME_ZONE_SEND, 0, q->first + zone, 0, user_data);

	if (command)
		command->cdw13 = action;
	return command;
}

/**
 * exo_prep_zone_report - Zone Management Receive (section 3.4.2): the state of zones
 * @q: the queue
 * @report: where to, in a buffer of exo_buf_alloc(); a multiple of 4
 * @zone: first block of the first zone, counted from the start of the extent
 * @count: zones, at least 1; no more than the extent has from there on, and than
 *	exo_transfer_max() has room for: EXO_NVME_ZONE_REPORT_BYTES(count)
 * @user_data: comes back with the completion
 *
 * The blocks in it are counted from the start of the namespace: exo_first_block() is the
 * extent's first. Needs EXO_READ.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_zone_report(struct exo_queue *q,
							    struct exo_nvme_zone_report *report,
							    uint64_t zone, uint32_t count,
							    uint64_t user_data)
{
	struct exo_nvme_command *command = exo_prep_command(
		q, EXO_NVME_ZONE_RECEIVE, exo_buf_offset(q, report), q->first + zone,
		EXO_NVME_ZONE_REPORT_BYTES(count) / 4 - 1, user_data);

	if (command)
		command->cdw13 = EXO_NVME_ZONE_REPORT;
	return command;
}

/**
 * exo_zone_send - change the state of zones, one after the other
 * @q: an idle queue
 * @action: as for exo_prep_zone_send()
 * @zone: first block of the first zone, counted from the start of the extent
 * @count: zones; 0 does nothing
 *
 * Returns 0 or a negative errno, as the functions of <libexo/io.h> do; -EOPNOTSUPP if the
 * extent is not zoned. Zones before the one that could not be changed have been.
 */
int exo_zone_send(struct exo_queue *q, uint32_t action, uint64_t zone, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_ZONE_H */
