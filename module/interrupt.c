// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts of queues. A queue has a vector of its own or none. The vector is
 * enabled only while somebody sleeps for a completion or an eventfd is set: who polls
 * pays for no interrupt. What the device signals while it is disabled is kept, by the
 * interrupt core or the vector's pending bit, until it is enabled.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/pci.h>

#include "cap.h"
#include "ioctl.h"
#include "nvme.h"
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

/* Without one the queue is polled, and says so. */
void exo_queue_take_vector(struct exo_queue *q)
{
	q->vector = exo_vector_take(q->nvme);
	if (!q->vector)
		return;
	if (!request_irq(exo_queue_irq_number(q), exo_queue_irq, IRQF_NO_AUTOEN, "exo-queue", q))
		return;
	exo_vector_give(q->nvme, q->vector);
	q->vector = 0;
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
