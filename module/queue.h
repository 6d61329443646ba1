/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues: a submission and completion queue pair in a program's hands, checked.
 *
 * There are two submission rings. The program writes one, in memory it shares
 * with the kernel; the kernel copies each command to the other, which only the
 * kernel and the device see, and checks it there. The completion ring is the
 * device's own, mapped read-only.
 */
#ifndef EXO_QUEUE_H
#define EXO_QUEUE_H

#include <linux/mutex.h>
#include <linux/nvme.h>

#include "dma.h"
#include "object.h"

struct exo_call;
struct exo_controller;
struct exo_extent_binding;
struct exo_nvme;
struct exo_space;

/**
 * struct exo_queue_extent - what a command is checked against
 * @start, @end: logical blocks, end exclusive
 * @nsid: namespace
 * @rights: EXO_RIGHT_*
 * @shift: log2 of the bytes in a logical block
 * @binding: where it comes from
 */
struct exo_queue_extent {
	u64 start;
	u64 end;
	u32 nsid;
	u32 rights;
	u32 shift;
	struct exo_extent_binding *binding;
};

/**
 * struct exo_quiesce - a wait for the commands in flight
 * @epoch: commands of earlier ones are waited for
 * @deadline: jiffies
 */
struct exo_quiesce {
	u32 epoch;
	unsigned long deadline;
};

/**
 * struct exo_queue - a queue pair
 * @object: the common part
 * @nvme, @controller, @space: references
 * @on_nvme: in nvme->live_queues, under its list_lock
 * @on_space: in space->queues, under its lock
 * @space_quiesce: the space's wait, under its lock
 * @lock: guards all that follows, but for what is fixed at creation; after the
 *	locks of capabilities and spaces
 *
 * Fixed:
 * @qid: NVMe queue identifier
 * @depth: commands that may be submitted and not consumed
 * @mask: entries of each ring - 1
 * @log2: of the entries
 * @list_shift: log2 of the bytes of a slot's PRP list
 * @ring: the program's submission queue entries
 * @control: what the program says
 * @status: what the program is told
 * @sq: the device's submission queue
 * @cq: its completion queue
 * @sq_doorbell, @cq_doorbell: registers
 *
 * All counts are of events since creation, modulo 2^32:
 * @taken: commands taken from the ring, hence submitted
 * @posted: completions seen
 * @consumed: completions that the program has consumed
 * @rung: completions that the device was told are consumed
 *
 * @epoch: the present one; advanced to wait for what came before
 * @slot_epoch: of each slot in flight
 * @busy: slots in flight
 * @in_flight: how many
 * @last_submit: when, in jiffies
 * @dead: refuses submissions
 * @extent_count, @extents: attached extents
 * @submitted, @completed, @refused: for EXO_QUEUE_QUERY
 *
 * @ring_size, @shared, @status_page: the memory behind the above
 * @lists: pages of PRP lists
 * @delete_lock: makes later deleters wait for the first; outside @lock
 * @gone: the device has no such queue any more: nothing is in flight
 * @made_cq, @made_sq: the device was asked to make it; the creator's, then under
 *	@delete_lock
 */
struct exo_queue {
	struct exo_object object;
	struct exo_nvme *nvme;
	struct exo_controller *controller;
	struct exo_space *space;
	struct list_head on_nvme;
	struct list_head on_space;
	struct exo_quiesce space_quiesce;
	struct mutex lock;

	u32 qid;
	u32 depth;
	u32 mask;
	u32 log2;
	u32 list_shift;
	const u64 *ring;
	struct exo_queue_control *control;
	struct exo_queue_status *status;
	struct exo_dma_buf sq;
	struct exo_dma_buf cq;
	void __iomem *sq_doorbell;
	void __iomem *cq_doorbell;

	u32 taken;
	u32 posted;
	u32 consumed;
	u32 rung;

	u32 epoch;
	u32 *slot_epoch;
	unsigned long *busy;
	u32 in_flight;
	unsigned long last_submit;
	bool dead;

	u32 extent_count;
	struct exo_queue_extent extents[EXO_QUEUE_EXTENTS_MAX];
	u64 submitted;
	u64 completed;
	u64 refused;

	size_t ring_size;
	void *shared;
	struct page **lists;
	u32 list_pages;
	struct exo_dma_map lists_map;
	struct mutex delete_lock;
	bool gone;
	bool made_cq;
	bool made_sq;
};

static inline struct exo_queue *exo_queue_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_queue, object);
}

/* Death of many at once. */
void exo_queue_mark_all_dead(struct exo_nvme *nvme);
void exo_queue_kill_all(struct exo_nvme *nvme);

/*
 * Waiting for every command submitted before exo_quiesce_begin(): several queues at
 * once if all begin before the first waits. A queue on which one has not ended by the
 * I/O timeout after its last submission is deleted.
 */
void exo_quiesce_begin(struct exo_queue *q, struct exo_quiesce *quiesce);
void exo_quiesce_wait(struct exo_queue *q, const struct exo_quiesce *quiesce);

/* submit.c: the completion ring is scanned wherever slots matter. q->lock is held. */
void exo_queue_scan(struct exo_queue *q);

/* check.c: checks and completes one command, in place. 0 or why not. */
int exo_command_check(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);

int exo_queue_create(struct exo_call *call);
int exo_queue_query(struct exo_call *call);
int exo_queue_attach(struct exo_call *call);
int exo_queue_detach(struct exo_call *call);
int exo_queue_submit(struct exo_call *call);

#endif
