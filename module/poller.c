// SPDX-License-Identifier: GPL-2.0
/*
 * The polling thread of a queue.
 *
 * It takes the queue's lock for each batch, as a call does. What it uses of a CPU is
 * measured by the scheduler and limited for each period; its programs can do the work by
 * calls until the next one begins.
 */
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/prio.h>
#include <linux/sched/task.h>

#include "ioctl.h"
#include "nvme.h"
#include "params.h"
#include "place.h"
#include "poller.h"
#include "queue.h"

#define EXO_POLLER_PERIOD_NS (EXO_THREAD_PERIOD_MS * NSEC_PER_MSEC)
#define EXO_POLLER_LOOKS 64u /* between two readings of the clock */

/* ---- what it says ---- */

u32 exo_poller_thread(const struct exo_queue *q)
{
	if (!q->poller.task)
		return EXO_THREAD_NONE;
	return q->poller.asleep ? EXO_THREAD_ASLEEP : EXO_THREAD_RUNNING;
}

static void exo_poller_say(struct exo_queue *q, u32 asleep)
{
	lockdep_assert_held(&q->lock);
	WRITE_ONCE(q->poller.asleep, asleep);
	WRITE_ONCE(q->status->thread, exo_poller_thread(q));
}

/* As of its last tick or switch: nothing that is exported is more exact. */
u64 exo_poller_spent(const struct exo_queue *q)
{
	const struct task_struct *task = q->poller.task;

	return task ? READ_ONCE(task->se.sum_exec_runtime) : q->poller.spent_ns;
}

static bool exo_poller_pending(const struct exo_queue *q)
{
	return READ_ONCE(q->control->sq_tail) != READ_ONCE(q->taken);
}

/* Without the lock. */
bool exo_poller_stuck(const struct exo_queue *q)
{
	return (READ_ONCE(q->poller.asleep) & EXO_POLLER_REFUSED) && exo_poller_pending(q);
}

/* From a refusal to the next call the ring is the program's, to mend it. */
void exo_poller_after_call(struct exo_queue *q, const struct exo_detail *detail)
{
	u32 asleep = q->poller.asleep;

	if (detail->reason == EXO_REASON_NONE)
		asleep &= EXO_POLLER_SPENT;
	else if (detail->reason == EXO_REASON_QUEUE_FULL)
		asleep &= ~EXO_POLLER_IDLE;
	else
		asleep |= EXO_POLLER_REFUSED;
	exo_poller_say(q, asleep);
	if (!asleep)
		wake_up_process(q->poller.task);
	else if (asleep & EXO_POLLER_REFUSED)
		exo_queue_wake(q);
}

/* ---- work ---- */

/* What the ring holds. What is refused stays for a call to explain. */
static void exo_poller_take(struct exo_queue *q)
{
	struct exo_detail detail = {};

	lockdep_assert_held(&q->lock);
	if (q->dead || (q->poller.asleep & EXO_POLLER_REFUSED))
		return;
	exo_queue_take(q, &detail);
	if (detail.reason == EXO_REASON_NONE || detail.reason == EXO_REASON_QUEUE_FULL)
		return;
	exo_poller_say(q, q->poller.asleep | EXO_POLLER_REFUSED);
	exo_queue_wake(q);
}

/*
 * It says that it sleeps, then looks once more: pairs with the program's barrier between its
 * tail and its look.
 */
static void exo_poller_retire(struct exo_queue *q, u32 why)
{
	lockdep_assert_held(&q->lock);
	exo_poller_say(q, q->poller.asleep | why);
	smp_mb();
	if (exo_poller_pending(q))
		exo_poller_take(q);
}

/* It is not idle while the ring holds what there is no room for yet. */
static void exo_poller_retire_idle(struct exo_queue *q)
{
	guard(mutex)(&q->lock);
	exo_poller_retire(q, EXO_POLLER_IDLE);
	if (!q->dead && exo_poller_pending(q))
		exo_poller_say(q, q->poller.asleep & ~EXO_POLLER_IDLE);
}

static void exo_poller_look(struct exo_queue *q)
{
	struct exo_poller *p = &q->poller;
	u32 looks;

	for (looks = 0; looks < EXO_POLLER_LOOKS; looks++) {
		if (exo_poller_pending(q)) {
			scoped_guard(mutex, &q->lock)
				exo_poller_take(q);
			p->since = ktime_get();
			return;
		}
		cpu_relax();
	}
	if (READ_ONCE(q->dead) || ktime_to_ns(ktime_sub(ktime_get(), p->since)) > p->idle_ns)
		exo_poller_retire_idle(q);
}

static void exo_poller_sleep(struct exo_queue *q)
{
	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop() || !READ_ONCE(q->poller.asleep))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	q->poller.since = ktime_get();
}

/* ---- its share of a CPU ---- */

static void exo_poller_rest(struct exo_queue *q, ktime_t until)
{
	scoped_guard(mutex, &q->lock) {
		q->poller.throttled++;
		exo_poller_retire(q, EXO_POLLER_SPENT);
	}
	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop() || !ktime_before(ktime_get(), until))
			break;
		schedule_hrtimeout(&until, HRTIMER_MODE_ABS);
	}
	__set_current_state(TASK_RUNNING);
	guard(mutex)(&q->lock);
	exo_poller_say(q, q->poller.asleep & ~EXO_POLLER_SPENT);
}

/* What was used beyond a share, as the account is late, is owed by the next period. */
static void exo_poller_begin_period(struct exo_poller *p)
{
	u64 spent = current->se.sum_exec_runtime, used = spent - p->period_ns;

	p->period = ktime_get();
	p->period_ns = spent - (used > p->share_ns ? used - p->share_ns : 0);
}

static void exo_poller_account(struct exo_queue *q)
{
	struct exo_poller *p = &q->poller;
	ktime_t end = ktime_add_ns(p->period, EXO_POLLER_PERIOD_NS);

	if (ktime_before(ktime_get(), end)) {
		if (current->se.sum_exec_runtime - p->period_ns < p->share_ns)
			return;
		exo_poller_rest(q, end);
	}
	exo_poller_begin_period(p);
}

/* A dead queue's thread waits to be stopped. */
static int exo_poller_main(void *data)
{
	struct exo_queue *q = data;
	struct exo_poller *p = &q->poller;

	p->period_ns = current->se.sum_exec_runtime;
	p->since = p->period = ktime_get();
	while (!kthread_should_stop()) {
		exo_poller_look(q);
		if (p->share_ns < EXO_POLLER_PERIOD_NS)
			exo_poller_account(q);
		cond_resched_tasks_rcu_qs();
		if (READ_ONCE(p->asleep))
			exo_poller_sleep(q);
	}
	return 0;
}

/* ---- beginning and end ---- */

static int exo_poller_refuse(struct exo_call *call, u32 field, u64 value, u64 limit)
{
	return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, field, value, limit);
}

int exo_poller_check(struct exo_call *call)
{
	const struct exo_queue_create *cmd = &call->arg.queue_create;
	u32 cpu = EXO_FIELD(queue_create, thread_cpu);
	u32 percent = EXO_FIELD(queue_create, thread_percent);
	u32 idle = EXO_FIELD(queue_create, thread_idle_us);
	bool wanted = cmd->flags & EXO_QUEUE_THREAD;

	if (wanted && cmd->mode != EXO_QUEUE_CHECKED)
		return exo_poller_refuse(call, EXO_FIELD(queue_create, mode), cmd->mode,
					 EXO_QUEUE_CHECKED);
	if (!wanted && cmd->thread_cpu)
		return exo_poller_refuse(call, cpu, cmd->thread_cpu, 0);
	if (wanted && cmd->thread_cpu != EXO_CPU_ANY && !exo_cpu_is_callers(cmd->thread_cpu))
		return exo_poller_refuse(call, cpu, cmd->thread_cpu, nr_cpu_ids);
	if (wanted ? !cmd->thread_percent || cmd->thread_percent > 100 : cmd->thread_percent)
		return exo_poller_refuse(call, percent, cmd->thread_percent, wanted ? 100 : 0);
	if (cmd->thread_idle_us > (wanted ? EXO_THREAD_IDLE_MAX_US : 0))
		return exo_poller_refuse(call, idle, cmd->thread_idle_us,
					 wanted ? EXO_THREAD_IDLE_MAX_US : 0);
	return 0;
}

int exo_poller_start(struct exo_queue *q, struct exo_call *call)
{
	const struct exo_queue_create *cmd = &call->arg.queue_create;
	struct exo_poller *p = &q->poller;
	struct task_struct *task;

	if (!(cmd->flags & EXO_QUEUE_THREAD))
		return 0;
	p->cpu = cmd->thread_cpu;
	p->share_ns = EXO_POLLER_PERIOD_NS / 100 * cmd->thread_percent;
	p->idle_ns = (u64)cmd->thread_idle_us * NSEC_PER_USEC;
	task = kthread_create_on_node(exo_poller_main, q, NUMA_NO_NODE, "exo-poll/%u", q->qid);
	if (IS_ERR(task)) /* EAGAIN: there are as many threads as there may be */
		return PTR_ERR(task) == -EINTR ? -EINTR : -ENOMEM;
	if (p->cpu == EXO_CPU_ANY)
		set_cpus_allowed_ptr(task, current->cpus_ptr);
	else
		kthread_bind(task, p->cpu);
	set_user_nice(task, current->policy == SCHED_IDLE ? MAX_NICE : task_nice(current));
	get_task_struct(task);
	guard(mutex)(&q->lock);
	p->task = task;
	exo_poller_say(q, 0);
	wake_up_process(task);
	return 0;
}

/* The queue is dead, so that the thread takes no more. It ends at once, however nice it was. */
void exo_poller_stop(struct exo_queue *q)
{
	struct task_struct *task = q->poller.task;

	if (!task)
		return;
	set_user_nice(task, MIN_NICE);
	kthread_stop(task);
	scoped_guard(mutex, &q->lock) {
		q->poller.spent_ns = exo_poller_spent(q);
		q->poller.task = NULL;
		exo_poller_say(q, 0);
	}
	put_task_struct(task);
}
