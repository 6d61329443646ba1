/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues: a submission and completion queue pair in a program's hands, checked.
 *
 * A checked queue has two submission rings. The program writes one, in memory it shares
 * with the kernel; the kernel copies each command to the other, which only the
 * kernel and the device see, and checks it there. The completion ring is the
 * device's own, mapped read-only. Of a direct queue (direct.h) the program has the device's
 * submission queue itself; most of what follows is idle then.
 */
#ifndef EXO_QUEUE_H
#define EXO_QUEUE_H

#include <linux/mutex.h>
#include <linux/nvme.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dma.h"
#include "doorbell.h"
#include "object.h"
#include "poller.h"

struct cpumask;
struct eventfd_ctx;
struct exo_call;
struct exo_controller;
struct exo_extent_binding;
struct exo_nvme;
struct exo_queue_create;
struct exo_space;
struct exo_zone_account;
struct exo_zone_slot;
struct exo_zones;

#define EXO_LIST_BYTES 1024u /* a list of ranges fits there */

/**
 * struct exo_queue_extent - what a command is checked against
 * @start, @end: logical blocks, end exclusive
 * @nsid: namespace
 * @rights: EXO_RIGHT_*
 * @shift: log2 of the bytes in a logical block
 * @zones: of the namespace; NULL: it has none
 * @account: which is charged for zones; NULL: there is no limit to them
 * @placement: identifiers that a Write may name, as bits
 * @binding: where it comes from
 */
struct exo_queue_extent {
	u64 start;
	u64 end;
	u32 nsid;
	u32 rights;
	u32 shift;
	const struct exo_zones *zones;
	struct exo_zone_account *account;
	u64 placement;
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
 * @looked: the last pass over nvme->live_queues that came by, under its list_lock
 * @lock: guards all that follows, but for what is fixed at creation; after the
 *	locks of capabilities and spaces
 *
 * Fixed:
 * @qid: NVMe queue identifier
 * @mode: EXO_QUEUE_CHECKED, EXO_QUEUE_DIRECT or EXO_QUEUE_UNSAFE
 * @node: NUMA node that its memory must be of, or NUMA_NO_NODE
 * @priority: EXO_PRIORITY_*, as the device was told; EXO_PRIORITY_DEFAULT: it has none
 * @depth: commands that may be submitted and not consumed
 * @mask: entries of each ring - 1
 * @log2: of the entries
 * @list_shift: log2 of the bytes of a slot's own memory: for a PRP list, or for a copy of
 *	a list of ranges (EXO_LIST_BYTES)
 * @ring: the program's submission queue entries; direct: NULL
 * @control: what the program says
 * @status: what the program is told
 * @sq: the device's submission queue
 * @cq: its completion queue
 * @sq_doorbell, @cq_doorbell: theirs
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
 * @zone_slots: what each slot in flight does to a zone; NULL: no extent was attached whose
 *	zones are counted
 * @in_flight: how many
 * @last_submit: when, in jiffies
 * @dead: refuses submissions
 * @extent_count, @extents: attached extents
 * @submitted, @completed, @refused: for EXO_QUEUE_QUERY
 * @poller: its polling thread
 *
 * @shared, @shared_size: the memory of @control and @ring
 * @void_page: stands for the doorbells of a direct queue that is dead
 * @lists: pages of the slots' own memory
 * @delete_lock: makes later deleters wait for the first; outside @lock
 * @gone: the device has no such queue any more: nothing is in flight
 * @made_cq, @made_sq: the device was asked to make it; the creator's, then under
 *	@delete_lock
 *
 * @joined: it keeps its function exclusive
 * @tell: tells its holders that it died
 * @vector: its MSI-X vector; 0: none. Fixed until the queue is dead
 * @irq_before: where interrupts of the vector went before this queue chose; NULL: it did not
 * @wait: who sleeps for a completion
 * @irq_lock: guards @irq_users; a leaf
 * @irq_users: the interrupt is enabled while there are some
 * @signal_lock: guards @signal, which the interrupt handler uses; a leaf
 * @signal: told of interrupts; counts as a user
 * @signal_cap: through which it was set; under @irq_lock
 */
struct exo_queue {
	struct exo_object object;
	struct exo_nvme *nvme;
	struct exo_controller *controller;
	struct exo_space *space;
	struct list_head on_nvme;
	struct list_head on_space;
	struct exo_quiesce space_quiesce;
	u32 looked;
	struct mutex lock;

	u32 qid;
	u32 mode;
	int node;
	u32 priority;
	u32 depth;
	u32 mask;
	u32 log2;
	u32 list_shift;
	const u64 *ring;
	struct exo_queue_control *control;
	struct exo_queue_status *status;
	struct exo_dma_buf sq;
	struct exo_dma_buf cq;
	struct exo_doorbell sq_doorbell;
	struct exo_doorbell cq_doorbell;

	u32 taken;
	u32 posted;
	u32 consumed;
	u32 rung;

	u32 epoch;
	u32 *slot_epoch;
	unsigned long *busy;
	struct exo_zone_slot *zone_slots;
	u32 in_flight;
	unsigned long last_submit;
	bool dead;

	u32 extent_count;
	struct exo_queue_extent extents[EXO_QUEUE_EXTENTS_MAX];
	u64 submitted;
	u64 completed;
	u64 refused;
	struct exo_poller poller;

	size_t shared_size;
	void *shared;
	void *void_page;
	struct page **lists;
	u32 list_pages;
	struct exo_dma_map lists_map;
	struct mutex delete_lock;
	bool gone;
	bool made_cq;
	bool made_sq;
	bool joined;
	struct work_struct tell;

	u32 vector;
	struct cpumask *irq_before;
	wait_queue_head_t wait;
	struct mutex irq_lock;
	u32 irq_users;
	spinlock_t signal_lock;
	struct eventfd_ctx *signal;
	const struct exo_cap *signal_cap;
};

static inline struct exo_queue *exo_queue_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_queue, object);
}

/* Or unsafe, which is the same without bounds. */
static inline bool exo_queue_is_direct(const struct exo_queue *q)
{
	return q->mode != EXO_QUEUE_CHECKED;
}

static inline u32 exo_queue_completion(const struct exo_queue *q)
{
	return q->vector ? EXO_COMPLETION_INTERRUPT : EXO_COMPLETION_POLLED;
}

/* Phase and command id lie in the same dword: one read sees both. */
static inline u32 exo_queue_dword3(const struct exo_queue *q, u32 index)
{
	const __le32 *cq = q->cq.va;

	return le32_to_cpu(READ_ONCE(cq[(index & q->mask) * 4 + 3]));
}

/* Death of many at once. */
void exo_queue_mark_all_dead(struct exo_nvme *nvme);
void exo_queue_kill_all(struct exo_nvme *nvme);

/*
 * Kills those to which an extent of a namespace is attached that is gone. One caller at a
 * time; nothing is waited for but the device, which is told to end what is in flight.
 */
void exo_queue_kill_users(struct exo_nvme *nvme, const struct exo_object *ns);

/*
 * Waiting for every command submitted before exo_quiesce_begin(): several queues at
 * once if all begin before the first waits. A queue on which one has not ended by the
 * I/O timeout after its last submission is deleted.
 */
void exo_quiesce_begin(struct exo_queue *q, struct exo_quiesce *quiesce);
void exo_quiesce_wait(struct exo_queue *q, const struct exo_quiesce *quiesce);

/*
 * submit.c. What the ring holds is taken: how many, or why not one. The completion ring is
 * scanned wherever slots matter; q->lock is held for both.
 * Arming lets the device post everything it has and returns what the program claims to
 * have consumed, or -EINVAL; after that exo_queue_posted() is true as soon as there is more.
 */
int exo_queue_take(struct exo_queue *q, struct exo_detail *detail);
void exo_queue_scan(struct exo_queue *q);
int exo_queue_arm(struct exo_queue *q, u32 *head, struct exo_detail *detail);
bool exo_queue_posted(const struct exo_queue *q, u32 head);

/*
 * interrupt.c: a vector, if there is one left; and waking whoever waits. Who asks for a CPU is
 * refused if there is none: -EUSERS.
 */
int exo_interrupt_check(struct exo_call *call);
int exo_queue_take_vector(struct exo_queue *q, const struct exo_queue_create *cmd);
void exo_queue_give_vector(struct exo_queue *q);
/* Where its interrupts go at present, or EXO_CPU_NONE. */
u32 exo_queue_irq_cpu(struct exo_queue *q);
void exo_queue_irq_get(struct exo_queue *q);
void exo_queue_irq_put(struct exo_queue *q);
void exo_queue_wake(struct exo_queue *q);
void exo_queue_forget_signal(struct exo_queue *q, const struct exo_cap *cap);
int exo_queue_eventfd(struct exo_call *call);

/* The cap is a queue's, in whatever state; else the refusal. */
struct exo_cap *exo_queue_get_any(struct exo_call *call, u32 field, u32 id);

/* trace.c: tell of the last @count commands taken, completions seen. */
void exo_trace_submitted(const struct exo_queue *q, u32 count);
void exo_trace_completed(const struct exo_queue *q, u32 count);

/* check.c: checks and completes one command, in place. 0 or why not. */
int exo_command_check(struct exo_queue *q, struct nvme_command *cmd, struct exo_detail *detail);

int exo_queue_create(struct exo_call *call);
int exo_queue_query(struct exo_call *call);
int exo_queue_attach(struct exo_call *call);
int exo_queue_detach(struct exo_call *call);
int exo_queue_submit(struct exo_call *call);

#endif
