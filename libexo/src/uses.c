// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What the commands of a queue are working on. The hot path keeps no record of it:
 * it is found out afterwards, from the ring. A command in flight is the latest with
 * its identifier that the kernel took, and its entry stays in the ring until it is
 * written over, one lap later. If one was written over, nobody knows.
 */
#include <stdlib.h>

#include "private.h"

static bool moves_data(const struct exo_nvme_command *command)
{
	return command->opcode != EXO_NVME_FLUSH && command->opcode != EXO_NVME_WRITE_ZEROES &&
	       command->opcode != EXO_NVME_ZONE_SEND;
}

/* Mark the identifiers in flight: those neither free nor of a prepared command. */
static unsigned int mark_in_flight(const struct exo_queue *q, bool *out)
{
	unsigned int n = q->depth;

	for (uint32_t i = 0; i < q->depth; i++)
		out[i] = true;
	for (uint32_t i = 0; i < q->free; i++) {
		out[q->cids[i]] = false;
		n--;
	}
	for (uint32_t i = q->sq_head; i != q->sq_tail; i++) {
		uint16_t cid = q->sq[i & q->mask].cid;

		if (cid < q->depth && out[cid]) {
			out[cid] = false;
			n--;
		}
	}
	return n;
}

/* Back through the ring, until each of @left commands in flight was found. */
static bool find_in_flight(const struct exo_queue *q, bool *out, unsigned int left,
			   void (*use)(void *arg, uint64_t offset), void *arg)
{
	for (uint32_t i = 1; left && i <= q->mask + 1; i++) {
		const struct exo_nvme_command *command = &q->sq[(q->sq_head - i) & q->mask];

		if (command->cid >= q->depth || !out[command->cid])
			continue;
		out[command->cid] = false;
		left--;
		if (moves_data(command))
			use(arg, command->prp1);
	}
	return !left;
}

/*
 * Call @use with the buffer offset of each command of @q that is prepared or in
 * flight and moves data. Returns false if that of some command is not known: it may
 * be any. The caller is whoever uses the queue.
 */
bool exo_queue_uses(const struct exo_queue *q, void (*use)(void *arg, uint64_t offset), void *arg)
{
	bool *out, found;

	for (uint32_t i = q->sq_head; i != q->sq_tail; i++)
		if (moves_data(&q->sq[i & q->mask]))
			use(arg, q->sq[i & q->mask].prp1);
	if (!exo_queue_in_flight(q) || !exo_queue_alive(q))
		return true;
	/* What was submitted names physical addresses. */
	if (q->direct && exo_direct_is_unsafe(q))
		return false;
	out = malloc(q->depth * sizeof(*out));
	if (!out)
		return false;
	found = find_in_flight(q, out, mark_in_flight(q, out), use, arg);
	free(out);
	return found;
}
