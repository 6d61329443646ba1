/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The polling thread of a queue: it takes commands from the program's ring, so that the
 * program needs no call.
 *
 * It looks, or it sleeps and says so. Before it sleeps it says so first and looks once
 * more; a program stores its tail first and looks at what the thread says after that: one
 * of the two sees the other.
 */
#ifndef EXO_POLLER_H
#define EXO_POLLER_H

#include <linux/bits.h>
#include <linux/ktime.h>
#include <linux/types.h>

struct exo_call;
struct exo_detail;
struct exo_queue;
struct task_struct;

/* bits of exo_poller.asleep: why it does not look. None: it looks */
#define EXO_POLLER_IDLE BIT(0)	  /* until a submission by call */
#define EXO_POLLER_REFUSED BIT(1) /* a command was: until a submission by call in which none is */
#define EXO_POLLER_SPENT BIT(2)	  /* its share: until the period ends */

/**
 * struct exo_poller - the polling thread of a queue
 * @task: the thread, a reference; NULL: there is none, or no more
 * @cpu: where it is pinned, or EXO_CPU_ANY
 * @share_ns: of a CPU, in a period
 * @idle_ns: it sleeps when there was nothing to do for so long
 *
 * Guarded by the queue's lock:
 * @asleep: EXO_POLLER_* bits
 * @throttled: periods whose share was used up
 * @spent_ns: what it had used when it ended
 *
 * The thread's:
 * @since: when there was last something to do
 * @period: when the present one began
 * @period_ns: what it had used then, less what it owed
 */
struct exo_poller {
	struct task_struct *task;
	u32 cpu;
	u64 share_ns;
	u64 idle_ns;
	u32 asleep;
	u32 throttled;
	u64 spent_ns;
	ktime_t since;
	ktime_t period;
	u64 period_ns;
};

/* What a queue is asked for: 0 or the refusal. */
int exo_poller_check(struct exo_call *call);

/* Made with the queue, ended before the queue is deleted. */
int exo_poller_start(struct exo_queue *q, struct exo_call *call);
void exo_poller_stop(struct exo_queue *q);

/* After a submission by call, which says why not all was taken; with the queue's lock. */
void exo_poller_after_call(struct exo_queue *q, const struct exo_detail *detail);

/* A refused command waits for a call. */
bool exo_poller_stuck(const struct exo_queue *q);

/* For EXO_QUEUE_QUERY, with the queue's lock. */
u32 exo_poller_thread(const struct exo_queue *q);
u64 exo_poller_spent(const struct exo_queue *q);

#endif
