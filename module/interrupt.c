// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts of queues. A queue has a vector of its own or none. The vector is
 * enabled only while somebody sleeps for a completion or an eventfd is set: who polls
 * pays for no interrupt. What the device signals while it is disabled is kept, by the
 * interrupt core or the vector's pending bit, until it is enabled.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "cap.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"
#include "place.h"
#include "queue.h"

/* Also from the interrupt handler, and for a queue that has died. */
void exo_queue_wake(struct exo_queue *q)
{
	wake_up_all(&q->wait);
	guard(spinlock_irqsave)(&q->signal_lock);
	if (q->signal)
		eventfd_signal(q->signal);
}

static irqreturn_t exo_queue_irq(int irq, void *data)
{
	exo_queue_wake(data);
	return IRQ_HANDLED;
}

static int exo_queue_irq_number(struct exo_queue *q)
{
	return pci_irq_vector(q->nvme->pdev, q->vector);
}

/* ---- vectors ---- */

static u32 exo_vector_take(struct exo_nvme *nvme)
{
	u32 vector;

	guard(mutex)(&nvme->lock);
	vector = find_first_zero_bit(nvme->vectors_used, nvme->vectors);
	if (vector >= nvme->vectors)
		return 0;
	__set_bit(vector, nvme->vectors_used);
	return vector;
}

static void exo_vector_give(struct exo_nvme *nvme, u32 vector)
{
	guard(mutex)(&nvme->lock);
	__clear_bit(vector, nvme->vectors_used);
}

int exo_interrupt_check(struct exo_call *call)
{
	const struct exo_queue_create *cmd = &call->arg.queue_create;
	bool wanted = cmd->flags & EXO_QUEUE_IRQ_CPU, polled = cmd->flags & EXO_QUEUE_POLLED;

	if (wanted ? !polled && exo_cpu_is_callers(cmd->irq_cpu) : !cmd->irq_cpu)
		return 0;
	return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(queue_create, irq_cpu),
			  cmd->irq_cpu, wanted && !polled ? nr_cpu_ids - 1 : 0);
}

/*
 * Before the interrupt is requested: then the mask is what it will be sent by, and not what it
 * is moved to at its first. The vector is another's later, who did not choose: what was before
 * is kept.
 */
static int exo_queue_steer(struct exo_queue *q, u32 cpu)
{
	int irq = exo_queue_irq_number(q);
	const struct cpumask *before = irq_get_affinity_mask(irq);

	q->irq_before = before ? kmemdup(before, cpumask_size(), EXO_GFP) : NULL;
	if (!q->irq_before)
		return -ENOMEM;
	return irq_set_affinity(irq, cpumask_of(cpu)) ? -EUSERS : 0;
}

/*
 * When it is requested, Arm's ITS chooses a CPU itself, and has to be told again. A CPU that has no
 * vector left is passed by.
 */
static bool exo_queue_stays_steered(struct exo_queue *q, u32 cpu)
{
	int irq = exo_queue_irq_number(q);
	struct irq_data *data = irq_get_irq_data(irq);

	if (!data)
		return false;
	if (!cpumask_test_cpu(cpu, irq_data_get_effective_affinity_mask(data)))
		irq_set_affinity(irq, cpumask_of(cpu));
	return cpumask_test_cpu(cpu, irq_data_get_effective_affinity_mask(data));
}

static void exo_queue_unsteer(struct exo_queue *q)
{
	if (q->irq_before)
		irq_set_affinity(exo_queue_irq_number(q), q->irq_before);
	kfree(q->irq_before);
	q->irq_before = NULL;
}

static int exo_queue_request_vector(struct exo_queue *q, const struct exo_queue_create *cmd)
{
	bool steered = cmd->flags & EXO_QUEUE_IRQ_CPU;
	int irq = exo_queue_irq_number(q), ret = 0;

	if (steered)
		ret = exo_queue_steer(q, cmd->irq_cpu);
	if (!ret)
		ret = request_irq(irq, exo_queue_irq, IRQF_NO_AUTOEN, "exo-queue", q);
	if (!ret && steered && !exo_queue_stays_steered(q, cmd->irq_cpu)) {
		free_irq(irq, q);
		ret = -EUSERS;
	}
	if (ret)
		exo_queue_unsteer(q);
	return ret;
}

/* Without one the queue is polled, and says so. */
int exo_queue_take_vector(struct exo_queue *q, const struct exo_queue_create *cmd)
{
	int ret = -EUSERS;

	q->vector = exo_vector_take(q->nvme);
	if (q->vector) {
		ret = exo_queue_request_vector(q, cmd);
		if (!ret)
			return 0;
		exo_vector_give(q->nvme, q->vector);
		q->vector = 0;
	}
	if (!(cmd->flags & EXO_QUEUE_IRQ_CPU))
		return 0;
	return ret == -ENOMEM ? ret : -EUSERS;
}

/* A vector that was never enabled is moved off a CPU that went offline when it is. */
u32 exo_queue_irq_cpu(struct exo_queue *q)
{
	struct irq_data *data;
	u32 cpu;

	guard(mutex)(&q->irq_lock);
	data = q->vector ? irq_get_irq_data(exo_queue_irq_number(q)) : NULL;
	if (!data)
		return EXO_CPU_NONE;
	cpu = cpumask_first_and(irq_data_get_effective_affinity_mask(data), cpu_online_mask);
	return cpu < nr_cpu_ids ? cpu : EXO_CPU_NONE;
}

/* ---- on and off ---- */

void exo_queue_irq_get(struct exo_queue *q)
{
	guard(mutex)(&q->irq_lock);
	if (q->vector && !q->irq_users++)
		enable_irq(exo_queue_irq_number(q));
}

void exo_queue_irq_put(struct exo_queue *q)
{
	guard(mutex)(&q->irq_lock);
	if (q->vector && !--q->irq_users)
		disable_irq_nosync(exo_queue_irq_number(q));
}

/* The old one goes when no handler uses it any more. */
static struct eventfd_ctx *exo_queue_set_signal(struct exo_queue *q, struct eventfd_ctx *signal)
{
	guard(spinlock_irqsave)(&q->signal_lock);
	swap(q->signal, signal);
	return signal;
}

/* The queue is dead, and the device has no such queue any more. */
void exo_queue_give_vector(struct exo_queue *q)
{
	struct eventfd_ctx *signal = exo_queue_set_signal(q, NULL);

	scoped_guard(mutex, &q->irq_lock) {
		if (q->vector) {
			free_irq(exo_queue_irq_number(q), q);
			exo_queue_unsteer(q);
			exo_vector_give(q->nvme, q->vector);
			q->vector = 0;
		}
	}
	if (signal)
		eventfd_ctx_put(signal);
}

/* ---- EXO_QUEUE_EVENTFD ---- */

static int exo_queue_change_signal(struct exo_queue *q, const struct exo_cap *cap,
				   struct eventfd_ctx **signal)
{
	bool on = *signal;

	guard(mutex)(&q->irq_lock);
	if (READ_ONCE(q->dead))
		return -ESTALE;
	if (!q->vector)
		return -EOPNOTSUPP;
	q->signal_cap = on ? cap : NULL;
	*signal = exo_queue_set_signal(q, *signal);
	if (on && !*signal && !q->irq_users++)
		enable_irq(exo_queue_irq_number(q));
	if (!on && *signal && !--q->irq_users)
		disable_irq_nosync(exo_queue_irq_number(q));
	/* It may have died since the look, and found nobody to tell. */
	if (on && READ_ONCE(q->dead))
		exo_queue_wake(q);
	return 0;
}

/* The eventfd goes with the capability through which it was set. */
void exo_queue_forget_signal(struct exo_queue *q, const struct exo_cap *cap)
{
	struct eventfd_ctx *signal = NULL;

	scoped_guard(mutex, &q->irq_lock) {
		if (q->signal_cap != cap)
			return;
		q->signal_cap = NULL;
		signal = exo_queue_set_signal(q, NULL);
		if (signal && q->vector && !--q->irq_users)
			disable_irq_nosync(exo_queue_irq_number(q));
	}
	if (signal)
		eventfd_ctx_put(signal);
}

int exo_queue_eventfd(struct exo_call *call)
{
	struct exo_queue_eventfd *cmd = &call->arg.queue_eventfd;
	struct eventfd_ctx *signal = NULL;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_cap_get(call, EXO_FIELD(queue_eventfd, queue),
							      cmd->queue, EXO_TYPE_QUEUE,
							      EXO_RIGHT_SUBMIT);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	if (cmd->eventfd != -1)
		signal = eventfd_ctx_fdget(cmd->eventfd);
	if (IS_ERR(signal))
		return exo_refuse(call, -EBADF, EXO_REASON_EVENTFD,
				  EXO_FIELD(queue_eventfd, eventfd), cmd->eventfd, 0);
	scoped_guard(mutex, &cap->lock)
		ret = cap->dead ? -ESTALE
				: exo_queue_change_signal(exo_queue_of(cap->object), cap, &signal);
	if (signal)
		eventfd_ctx_put(signal);
	if (ret == -ESTALE)
		return exo_refuse(call, ret, EXO_REASON_STALE, EXO_FIELD(queue_eventfd, queue),
				  cmd->queue, 0);
	if (ret)
		return exo_refuse(call, ret, EXO_REASON_POLLED, EXO_FIELD(queue_eventfd, queue),
				  cmd->queue, 0);
	return 0;
}
