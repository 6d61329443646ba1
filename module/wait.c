// SPDX-License-Identifier: GPL-2.0
/*
 * EXO_WAIT: sleep until a queue has completions, there are events, or a deadline.
 *
 * In steps: enter the waiting lists of all queues and enable their interrupts; tell
 * each device what was consumed, so that it posts all it has; then look without a
 * lock, sleep, look again. An interrupt between a look and the sleep wakes the sleeper,
 * for it was on the lists before it looked.
 */
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cap.h"
#include "events.h"
#include "ioctl.h"
#include "params.h"
#include "queue.h"
#include "session.h"
#include "wait.h"

#define EXO_PAUSE_FIRST_NS (20 * NSEC_PER_USEC)
#define EXO_PAUSE_LAST_NS NSEC_PER_MSEC

/**
 * struct exo_waiter - one queue of a wait
 * @entry: on the queue's list
 * @cap: keeps it; a reference
 * @queue: the same
 * @head: completions consumed when the wait began
 */
struct exo_waiter {
	struct wait_queue_entry entry;
	struct exo_cap *cap;
	struct exo_queue *queue;
	u32 head;
};

/* ---- beginning and end ---- */

static int exo_wait_enter(struct exo_call *call, struct exo_waiter *w, u32 id)
{
	struct exo_cap *cap = exo_queue_get_any(call, EXO_FIELD(wait, queues), id);

	if (IS_ERR(cap))
		return PTR_ERR(cap);
	w->cap = cap;
	w->queue = exo_queue_of(cap->object);
	init_waitqueue_entry(&w->entry, current);
	add_wait_queue(&w->queue->wait, &w->entry);
	exo_queue_irq_get(w->queue);
	call->detail = (struct exo_detail){ .field = EXO_FIELD(wait, queues) };
	return exo_queue_arm(w->queue, &w->head, &call->detail);
}

static void exo_wait_leave(struct exo_waiter *waiters, u32 count)
{
	u32 i;

	for (i = 0; i < count && waiters[i].cap; i++) {
		exo_queue_irq_put(waiters[i].queue);
		remove_wait_queue(&waiters[i].queue->wait, &waiters[i].entry);
		exo_cap_put(waiters[i].cap);
	}
}

/* ---- between ---- */

static u64 exo_wait_look(const struct exo_waiter *waiters, u32 count)
{
	u64 ready = 0;
	u32 i;

	for (i = 0; i < count; i++)
		if (exo_queue_posted(waiters[i].queue, waiters[i].head) ||
		    !READ_ONCE(waiters[i].cap->usable))
			ready |= BIT_ULL(i);
	return ready;
}

static bool exo_wait_polled(const struct exo_waiter *waiters, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (!waiters[i].queue->vector)
			return true;
	return false;
}

/* True: the deadline has passed. */
static bool exo_wait_sleep(u64 deadline, u64 pause)
{
	u64 now = ktime_get_ns();
	ktime_t until;

	if (now >= deadline)
		return true;
	until = pause < deadline - now ? now + pause : deadline;
	if (deadline == EXO_WAIT_FOREVER && pause == EXO_WAIT_FOREVER)
		schedule();
	else
		schedule_hrtimeout_range(&until, current->timer_slack_ns, HRTIMER_MODE_ABS);
	return false;
}

static int exo_wait_until(struct exo_call *call, const struct exo_waiter *waiters)
{
	struct exo_wait *cmd = &call->arg.wait;
	u64 pause = exo_wait_polled(waiters, cmd->count) ? EXO_PAUSE_FIRST_NS : EXO_WAIT_FOREVER;
	bool late = false;
	int ret = 0;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		cmd->out_ready = exo_wait_look(waiters, cmd->count);
		cmd->out_events = 0;
		if (cmd->flags & EXO_WAIT_EVENTS)
			cmd->out_events = exo_events_pending(call->session);
		if (cmd->out_ready || cmd->out_events || late)
			break;
		if (signal_pending(current)) {
			ret = -ERESTARTSYS;
			break;
		}
		late = exo_wait_sleep(cmd->deadline, pause);
		if (pause != EXO_WAIT_FOREVER)
			pause = min(2 * pause, EXO_PAUSE_LAST_NS);
	}
	__set_current_state(TASK_RUNNING);
	return ret;
}

/* ---- EXO_WAIT ---- */

static int exo_wait_fetch(struct exo_call *call, u32 *ids)
{
	struct exo_wait *cmd = &call->arg.wait;

	if (cmd->count > EXO_WAIT_QUEUES_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(wait, count),
				  cmd->count, EXO_WAIT_QUEUES_MAX);
	if (copy_from_user(ids, u64_to_user_ptr(cmd->queues), cmd->count * sizeof(*ids)))
		return -EFAULT;
	return 0;
}

int exo_wait(struct exo_call *call)
{
	struct exo_wait *cmd = &call->arg.wait;
	u32 ids[EXO_WAIT_QUEUES_MAX], i;
	struct exo_waiter *waiters;
	DEFINE_WAIT_FUNC(events, default_wake_function);
	int ret = exo_wait_fetch(call, ids);

	if (ret)
		return ret;
	waiters = kcalloc(max(cmd->count, 1u), sizeof(*waiters), EXO_GFP);
	if (!waiters)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	for (i = 0; i < cmd->count && !ret; i++) {
		ret = exo_wait_enter(call, &waiters[i], ids[i]);
		if (ret)
			call->detail.index = i;
	}
	add_wait_queue(&call->session->wait, &events);
	if (!ret)
		ret = exo_wait_until(call, waiters);
	remove_wait_queue(&call->session->wait, &events);
	exo_wait_leave(waiters, cmd->count);
	kfree(waiters);
	return ret ?: exo_call_respond(call);
}
