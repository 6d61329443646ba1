// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Time stamps of commands, kept by command identifier, for queues that were asked to.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <time.h>

#include "private.h"

/* All that is prepared: what is refused is stamped again when it is submitted again. */
void exo_stamp_submitted(struct exo_queue *q)
{
	uint64_t now = exo_now_ns();

	for (uint32_t i = q->sq_head; i != q->sq_tail; i++) {
		uint16_t cid = q->sq[i & q->mask].cid;

		if (cid < q->depth)
			q->times[cid] = (struct exo_times){ .submitted_ns = now };
	}
}

void exo_stamp_seen(struct exo_queue *q, unsigned int count)
{
	uint64_t now = exo_now_ns();

	for (uint32_t i = q->free - count; i != q->free; i++)
		q->times[q->cids[i]].seen_ns = now;
}

int exo_completion_times(const struct exo_queue *q, const struct exo_nvme_completion *raw,
			 struct exo_times *times)
{
	if (!q->times)
		return -ENODATA;
	if (raw->cid >= q->depth || !q->times[raw->cid].submitted_ns)
		return -EINVAL;
	*times = q->times[raw->cid];
	return 0;
}
