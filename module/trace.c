// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints themselves, and what is done for a whole batch at once, out of line: the
 * submit path has but a no-op for each batch.
 */
#include "queue.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* They lie where the device will read them next. */
void exo_trace_submitted(const struct exo_queue *q, u32 count)
{
	const struct nvme_command *ring = q->sq.va;
	u32 i;

	for (i = q->taken - count; i != q->taken; i++)
		trace_exo_submit(q, &ring[i & q->mask]);
}

/* The device posts nothing over them until the doorbell is rung. */
void exo_trace_completed(const struct exo_queue *q, u32 count)
{
	u32 i;

	for (i = q->posted - count; i != q->posted; i++)
		trace_exo_complete(q, exo_queue_dword3(q, i));
}
