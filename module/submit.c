// SPDX-License-Identifier: GPL-2.0
/*
 * The submit path, the hottest in the project. It takes no lock that another
 * session can hold but for the moments in which one of the queue's own things is
 * being taken away, allocates nothing, and never sleeps but for that lock.
 *
 * A batch: see what the device has completed; believe the program's consumption
 * as far as that goes; take commands while there are some, there is room and they
 * pass the check; ring one doorbell.
 */
#include <linux/nospec.h>
#include <linux/nvme.h>
#include <linux/uaccess.h>

#include "cap.h"
#include "ioctl.h"
#include "nvme.h"
#include "queue.h"
#include "trace.h"
#include "zone.h"

/* NVMe base 2.0 section 3.3.3.2: the phase tag flips on every pass through the ring. */
static u32 exo_queue_phase(const struct exo_queue *q, u32 index)
{
	return (~index >> q->log2) & 1;
}

static __always_inline void exo_submit_scan(struct exo_queue *q)
{
	u32 posted = q->posted, end = posted + q->mask + 1, count;

	lockdep_assert_held(&q->lock);
	/* A direct queue on the same function may write there as fast as we look. */
	while (posted != end) {
		u32 dword3 = exo_queue_dword3(q, posted);
		u32 cid = dword3 & 0xffff;

		if (((dword3 >> 16) & 1) != exo_queue_phase(q, posted))
			break;
		if (likely(cid < q->depth) && __test_and_clear_bit(cid, q->busy)) {
			q->in_flight--;
			/* Status field: code and code type, 0 is success. */
			if (unlikely(q->zone_slots))
				exo_zone_leave(q, array_index_nospec(cid, q->depth),
					       !(dword3 >> 17 & 0x7ff));
		}
		posted++;
	}
	count = posted - q->posted;
	q->completed += count;
	q->posted = posted;
	/* Last, so that nothing is kept for it. */
	if (trace_exo_complete_enabled())
		exo_trace_completed(q, count);
}

void exo_queue_scan(struct exo_queue *q)
{
	exo_submit_scan(q);
}

/* What it has consumed, if it can be true. */
static int exo_queue_believe(struct exo_queue *q, u32 claimed, struct exo_detail *detail)
{
	if (unlikely(claimed - q->consumed > q->posted - q->consumed)) {
		detail->reason = EXO_REASON_CQ_HEAD;
		detail->value = claimed;
		detail->limit = q->posted;
		return -EINVAL;
	}
	q->consumed = claimed;
	return 0;
}

/*
 * What the program says, then what the device says: in this order, for all that the
 * program had seen when it wrote its indexes is then seen here too, and an honest
 * thread is not refused for what another thread did meanwhile.
 */
static int exo_submit_look(struct exo_queue *q, u32 *pending, struct exo_detail *detail)
{
	u32 tail = smp_load_acquire(&q->control->sq_tail);
	u32 claimed = smp_load_acquire(&q->control->cq_head);

	exo_submit_scan(q);
	/* How many the ring holds, if it can be true. */
	*pending = tail - q->taken;
	if (unlikely(*pending > q->mask + 1)) {
		detail->reason = EXO_REASON_RING_INDEX;
		detail->value = tail;
		detail->limit = q->taken;
		return -EINVAL;
	}
	return exo_queue_believe(q, claimed, detail);
}

/* One command: copied once, to where the device will read it but does not yet; then checked there. */
static int exo_submit_one(struct exo_queue *q, struct exo_detail *detail)
{
	u32 index = q->taken & q->mask;
	struct nvme_command *cmd = (struct nvme_command *)q->sq.va + index;
	const u64 *from = q->ring + index * (sizeof(*cmd) / sizeof(u64));
	u64 *to = (u64 *)cmd;
	u32 i, cid;
	int ret;

#pragma GCC unroll 8
	for (i = 0; i < sizeof(*cmd) / sizeof(u64); i++)
		to[i] = READ_ONCE(from[i]);
	/* The compiler must not go back to the ring for what it has copied. */
	barrier();
	ret = exo_command_check(q, cmd, detail);
	if (unlikely(ret))
		return ret;
	cid = cmd->common.command_id;
	__set_bit(cid, q->busy);
	q->slot_epoch[cid] = q->epoch;
	q->in_flight++;
	q->taken++;
	return 0;
}

/* To a thread, which looks again at once, a full ring is no refusal. */
static noinline int exo_submit_refused(struct exo_queue *q, int err, u32 done,
				       struct exo_detail *detail)
{
	detail->index = done;
	if (detail->reason != EXO_REASON_QUEUE_FULL || current != q->poller.task)
		trace_exo_refuse(q, err, detail);
	return done ? done : err;
}

static __always_inline int exo_submit_batch(struct exo_queue *q, struct exo_detail *detail)
{
	u32 pending, done = 0, room;
	int ret;

	ret = exo_submit_look(q, &pending, detail);
	if (ret)
		return exo_submit_refused(q, ret, 0, detail);
	room = q->depth - (q->taken - q->consumed);
	while (done < pending) {
		if (done == room) {
			detail->reason = EXO_REASON_QUEUE_FULL;
			detail->value = q->taken - q->consumed;
			detail->limit = q->depth;
			return exo_submit_refused(q, -EAGAIN, done, detail);
		}
		ret = exo_submit_one(q, detail);
		if (unlikely(ret)) {
			q->refused++;
			return exo_submit_refused(q, ret, done, detail);
		}
		done++;
	}
	return done;
}

static __always_inline void exo_queue_ring_cq(struct exo_queue *q)
{
	q->rung = q->consumed;
	exo_doorbell_ring(&q->cq_doorbell, q->rung & q->mask);
}

/*
 * The completion doorbell only when the device could run out of entries: it must
 * always find one for each command in flight.
 */
static __always_inline void exo_submit_ring(struct exo_queue *q)
{
	if (q->taken - q->rung > q->mask)
		exo_queue_ring_cq(q);
	exo_doorbell_ring(&q->sq_doorbell, q->taken & q->mask);
	WRITE_ONCE(q->status->sq_head, q->taken);
}

static noinline int exo_submit_some(struct exo_queue *q, struct exo_detail *detail)
{
	int done = exo_submit_batch(q, detail);

	if (done > 0) {
		if (trace_exo_submit_enabled())
			exo_trace_submitted(q, done);
		q->submitted += done;
		q->last_submit = jiffies;
		exo_submit_ring(q);
	}
	return done;
}

int exo_queue_take(struct exo_queue *q, struct exo_detail *detail)
{
	lockdep_assert_held(&q->lock);
	return exo_submit_some(q, detail);
}

static int exo_submit_locked(struct exo_queue *q, const struct exo_cap *cap, struct exo_call *call)
{
	int done;

	guard(mutex)(&q->lock);
	/* Both may have happened since the look-up. */
	if (unlikely(q->dead || !READ_ONCE(cap->usable)))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(queue_submit, queue),
				  call->arg.queue_submit.queue, 0);
	if (unlikely(!q->ring))
		return exo_refuse(call, -EINVAL, EXO_REASON_MODE, EXO_FIELD(queue_submit, queue),
				  q->mode, EXO_QUEUE_CHECKED);
	done = exo_submit_some(q, &call->detail);
	if (unlikely(q->poller.task))
		exo_poller_after_call(q, &call->detail);
	return done;
}

/* A dead queue needs no arming: whoever waits for it is told at once. */
int exo_queue_arm(struct exo_queue *q, u32 *head, struct exo_detail *detail)
{
	int ret;

	guard(mutex)(&q->lock);
	*head = smp_load_acquire(&q->control->cq_head);
	/* Nor does a direct one: its program has rung the doorbell, if it is to. */
	if (q->dead || exo_queue_is_direct(q))
		return 0;
	exo_queue_scan(q);
	ret = exo_queue_believe(q, *head, detail);
	if (!ret && q->rung != q->consumed)
		exo_queue_ring_cq(q);
	return ret;
}

/* Without a lock: the ring stays as long as the queue's memory. */
bool exo_queue_posted(const struct exo_queue *q, u32 head)
{
	return READ_ONCE(q->dead) || exo_poller_stuck(q) ||
	       ((exo_queue_dword3(q, head) >> 16) & 1) == exo_queue_phase(q, head);
}

int exo_queue_submit(struct exo_call *call)
{
	struct exo_queue_submit __user *answer = call->uarg;
	struct exo_queue_submit *cmd = &call->arg.queue_submit;
	int done;

	struct exo_cap *cap __free(exo_cap_put) = exo_cap_get(
		call, EXO_FIELD(queue_submit, queue), cmd->queue, EXO_TYPE_QUEUE, EXO_RIGHT_SUBMIT);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	call->detail = (struct exo_detail){};
	done = exo_submit_locked(exo_queue_of(cap->object), cap, call);
	if (done < 0)
		return done;
	return put_user((u32)done, &answer->out_accepted);
}
