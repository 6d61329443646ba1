// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a queue: memory, the device's queue pair, extents attached, waiting
 * for commands, death.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "binding.h"
#include "cap.h"
#include "controller.h"
#include "direct.h"
#include "events.h"
#include "exclusive.h"
#include "extent.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"
#include "place.h"
#include "quarantine.h"
#include "queue.h"
#include "rings.h"
#include "space.h"
#include "trace.h"
#include "zone.h"

/**
 * struct exo_extent_binding - an extent attached to a queue
 * @binding: the common part; the capability is the extent's
 * @queue: a reference
 * @quiesce: the wait for the commands that may use it
 */
struct exo_extent_binding {
	struct exo_binding binding;
	struct exo_queue *queue;
	struct exo_quiesce quiesce;
};

/* ---- waiting ---- */

/* Is a command in flight that was submitted before @epoch began? */
static bool exo_queue_older(struct exo_queue *q, u32 epoch)
{
	u32 cid;

	lockdep_assert_held(&q->lock);
	if (!q->in_flight || READ_ONCE(q->gone))
		return false;
	for_each_set_bit(cid, q->busy, q->depth) {
		if ((s32)(q->slot_epoch[cid] - epoch) < 0)
			return true;
	}
	return false;
}

void exo_quiesce_begin(struct exo_queue *q, struct exo_quiesce *quiesce)
{
	guard(mutex)(&q->lock);
	quiesce->epoch = ++q->epoch;
	quiesce->deadline = q->last_submit + msecs_to_jiffies(exo_io_timeout_ms());
}

static bool exo_queue_drained(struct exo_queue *q, u32 epoch)
{
	guard(mutex)(&q->lock);
	if (q->in_flight)
		exo_queue_scan(q);
	return !exo_queue_older(q, epoch);
}

/* Without the lock: a submission under way writes to memory that is still there. */
static void exo_queue_mark_dead(struct exo_queue *q)
{
	if (READ_ONCE(q->dead))
		return;
	WRITE_ONCE(q->dead, true);
	WRITE_ONCE(q->status->state, EXO_QUEUE_DEAD);
	exo_queue_wake(q);
	if (list_empty_careful(&q->object.holders))
		return;
	exo_object_get(&q->object);
	if (!queue_work(exo_workqueue, &q->tell))
		exo_object_put(&q->object);
}

static void exo_queue_tell(struct work_struct *work)
{
	struct exo_queue *q = container_of(work, struct exo_queue, tell);

	exo_direct_withdraw(q);
	exo_event_queue_died(&q->object);
	exo_object_put(&q->object);
}

/*
 * NVMe base 2.0 section 5.6: the submission queue before its completion queue. The
 * device ends what is in flight, and has nothing of the queue when this returns.
 */
static void exo_queue_delete(struct exo_queue *q)
{
	struct exo_nvme *nvme = q->nvme;

	guard(mutex)(&q->delete_lock);
	if (q->gone)
		return;
	if (q->made_sq && exo_admin_delete_sq(nvme, q->qid) == -EIO)
		exo_nvme_fail(nvme, "it refused to delete a submission queue");
	if (q->made_cq && exo_admin_delete_cq(nvme, q->qid) == -EIO)
		exo_nvme_fail(nvme, "it refused to delete a completion queue");
	/* Before anybody who waited for its commands lets go of what they use. */
	exo_zone_leave_all(q);
	WRITE_ONCE(q->gone, true);
}

/* A queue whose commands do not end dies alone: its neighbours go on. */
void exo_quiesce_wait(struct exo_queue *q, const struct exo_quiesce *quiesce)
{
	unsigned long pause = 10;

	for (;;) {
		bool late = time_after(jiffies, quiesce->deadline);

		if (exo_queue_drained(q, quiesce->epoch) || !exo_nvme_check(q->nvme))
			return;
		if (late)
			break;
		/* These queues have no interrupt: there is nothing to wait for but time. */
		usleep_range(pause, 2 * pause);
		pause = min(2 * pause, 1000ul);
	}
	dev_warn_ratelimited(&q->nvme->pdev->dev,
			     "queue %u: a command did not end in time: deleted\n", q->qid);
	scoped_guard(mutex, &q->lock)
		exo_queue_mark_dead(q);
	exo_queue_delete(q);
}

static void exo_queue_quiesce(struct exo_queue *q)
{
	struct exo_quiesce quiesce;

	exo_quiesce_begin(q, &quiesce);
	exo_quiesce_wait(q, &quiesce);
}

/* ---- death, in the phases of struct exo_object_ops ---- */

void exo_queue_mark_all_dead(struct exo_nvme *nvme)
{
	struct exo_queue *q;

	guard(spinlock)(&nvme->list_lock);
	list_for_each_entry(q, &nvme->live_queues, on_nvme)
		exo_queue_mark_dead(q);
}

static void exo_queue_stop(struct exo_object *obj)
{
	struct exo_queue *q = exo_queue_of(obj);

	/* With the lock: no submission is under way when this returns. */
	scoped_guard(mutex, &q->lock)
		exo_queue_mark_dead(q);
	exo_direct_withdraw(q);
}

static void exo_queue_drain(struct exo_object *obj)
{
	exo_queue_quiesce(exo_queue_of(obj));
}

static void exo_queue_unmap(struct exo_queue *q)
{
	struct exo_nvme *nvme = q->nvme;

	if (q->made_cq &&
	    (exo_nvme_may_write(nvme) || (q->mode == EXO_QUEUE_UNSAFE && exo_nvme_is_unsafe(nvme))))
		exo_quarantine(nvme, &q->object, exo_rings_frames(q));
	exo_rings_unmap(q);
}

static void exo_queue_end_extents(struct exo_queue *q)
{
	for (;;) {
		struct exo_binding *binding = NULL;

		scoped_guard(mutex, &q->lock) {
			if (q->extent_count) {
				binding = &q->extents[0].binding->binding;
				kref_get(&binding->ref);
			}
		}
		if (!binding)
			return;
		exo_binding_end(binding);
		exo_binding_put(binding);
	}
}

static void exo_queue_unbind(struct exo_object *obj)
{
	struct exo_queue *q = exo_queue_of(obj);
	struct exo_nvme *nvme = q->nvme;

	exo_poller_stop(q);
	exo_queue_delete(q);
	exo_queue_give_vector(q);
	exo_queue_unmap(q);
	exo_queue_end_extents(q);
	exo_space_remove_queue(q->space, q);
	if (q->qid) {
		guard(mutex)(&nvme->lock);
		__clear_bit(q->qid, nvme->qids);
	}
	exo_budget_give(&q->controller->budget, 1);
	/* Unbind of the function waits until the list is empty. */
	scoped_guard(spinlock, &nvme->list_lock)
		list_del_init(&q->on_nvme);
	if (q->joined)
		exo_exclusive_leave(nvme);
}

void exo_queue_kill_all(struct exo_nvme *nvme)
{
	/* First, so that no new command prolongs the wait for the old ones. */
	exo_queue_mark_all_dead(nvme);
	for (;;) {
		struct exo_queue *q;

		scoped_guard(spinlock, &nvme->list_lock) {
			q = list_first_entry_or_null(&nvme->live_queues, struct exo_queue, on_nvme);
			if (q)
				exo_object_get(&q->object);
		}
		if (!q)
			return;
		exo_object_kill(&q->object);
		exo_object_put(&q->object);
	}
}

static bool exo_queue_uses(struct exo_queue *q, const struct exo_object *ns)
{
	u32 i;

	guard(mutex)(&q->lock);
	for (i = 0; i < q->extent_count; i++)
		if (q->extents[i].binding->binding.cap->object == ns)
			return true;
	return false;
}

/* One at which this pass has not looked yet: a reference. */
static struct exo_queue *exo_queue_next(struct exo_nvme *nvme)
{
	struct exo_queue *q;

	guard(spinlock)(&nvme->list_lock);
	list_for_each_entry(q, &nvme->live_queues, on_nvme) {
		if (q->looked == nvme->looks)
			continue;
		q->looked = nvme->looks;
		exo_object_get(&q->object);
		return q;
	}
	return NULL;
}

static void exo_queue_each_user(struct exo_nvme *nvme, const struct exo_object *ns,
				void (*end)(struct exo_queue *q))
{
	struct exo_queue *q;

	scoped_guard(spinlock, &nvme->list_lock)
		nvme->looks++;
	while ((q = exo_queue_next(nvme))) {
		if (exo_queue_uses(q, ns))
			end(q);
		exo_object_put(&q->object);
	}
}

static void exo_queue_end_use(struct exo_queue *q)
{
	exo_queue_stop(&q->object);
}

/* What is in flight names blocks that are no more: it is not waited for. */
static void exo_queue_kill_now(struct exo_queue *q)
{
	exo_queue_delete(q);
	exo_object_kill(&q->object);
}

/* All stop before the first is deleted. */
void exo_queue_kill_users(struct exo_nvme *nvme, const struct exo_object *ns)
{
	exo_queue_each_user(nvme, ns, exo_queue_end_use);
	exo_queue_each_user(nvme, ns, exo_queue_kill_now);
}

static void exo_queue_release(struct exo_object *obj)
{
	struct exo_queue *q = exo_queue_of(obj);

	exo_rings_free(q);
	free_page((unsigned long)q->status);
	kvfree(q->zone_slots);
	mutex_destroy(&q->lock);
	mutex_destroy(&q->delete_lock);
	mutex_destroy(&q->irq_lock);
	exo_space_put(q->space);
	exo_object_put(&q->controller->object);
	exo_nvme_put(q->nvme);
	kfree(q);
}

static bool exo_queue_object_gone(struct exo_object *obj)
{
	return READ_ONCE(exo_queue_of(obj)->dead);
}

static void exo_queue_forget(struct exo_object *obj, const struct exo_cap *cap)
{
	exo_queue_forget_signal(exo_queue_of(obj), cap);
}

static void exo_queue_describe(struct exo_object *obj, struct exo_cap_query *query)
{
	query->out_address = exo_queue_of(obj)->nvme->address;
	query->out_qid = exo_queue_of(obj)->qid;
	query->out_mode = exo_queue_of(obj)->mode;
}

static const struct exo_object_ops exo_queue_ops = {
	.type = EXO_TYPE_QUEUE,
	.rights = EXO_RIGHT_SUBMIT | EXO_RIGHT_READ,
	.gone = exo_queue_object_gone,
	.stop = exo_queue_stop,
	.early_stop = exo_queue_stop,
	.forget = exo_queue_forget,
	.drain = exo_queue_drain,
	.unbind = exo_queue_unbind,
	.release = exo_queue_release,
	.describe = exo_queue_describe,
	.map_check = exo_rings_map_check,
	.map_pfn = exo_rings_map_pfn,
	.map_outlives = true,
};

/* ---- birth ---- */

/* Takes over the reference to @space; the budget is taken. Nothing the device knows of yet. */
static struct exo_queue *exo_queue_alloc(struct exo_controller *controller, struct exo_space *space,
					 const struct exo_queue_create *cmd)
{
	struct exo_queue *q = kzalloc(sizeof(*q), EXO_GFP);

	if (!q)
		return NULL;
	q->node = cmd->flags & EXO_QUEUE_NODE ? cmd->node : NUMA_NO_NODE;
	q->status = exo_dma_pages(&controller->nvme->dma, PAGE_SIZE, EXO_GFP | __GFP_ZERO, q->node);
	if (!q->status) {
		kfree(q);
		return NULL;
	}
	exo_object_init(&q->object, &exo_queue_ops);
	exo_nvme_get(controller->nvme);
	exo_object_get(&controller->object);
	q->nvme = controller->nvme;
	q->controller = controller;
	q->space = space;
	INIT_LIST_HEAD(&q->on_nvme);
	INIT_LIST_HEAD(&q->on_space);
	mutex_init(&q->lock);
	mutex_init(&q->delete_lock);
	init_waitqueue_head(&q->wait);
	mutex_init(&q->irq_lock);
	spin_lock_init(&q->signal_lock);
	INIT_WORK(&q->tell, exo_queue_tell);
	q->last_submit = jiffies;
	q->depth = cmd->depth;
	q->mode = cmd->mode;
	q->priority = cmd->priority;
	if (!q->priority && controller->nvme->features & EXO_CONTROLLER_PRIORITY)
		q->priority = EXO_PRIORITY_MEDIUM;
	exo_rings_size(q);
	return q;
}

static int exo_queue_take_qid(struct exo_queue *q)
{
	struct exo_nvme *nvme = q->nvme;
	u32 qid;

	guard(mutex)(&nvme->lock);
	qid = find_first_zero_bit(nvme->qids, nvme->queues + 1);
	if (qid > nvme->queues)
		return -ENOSPC;
	__set_bit(qid, nvme->qids);
	q->qid = qid;
	exo_doorbells_of(nvme, qid, &q->sq_doorbell, &q->cq_doorbell);
	return 0;
}

/* NVMe base 2.0 section 3.5.1 step 9: the completion queue, then its submission queue. */
static int exo_queue_make(struct exo_queue *q, struct exo_admin_answer *answer)
{
	struct exo_nvme *nvme = q->nvme;
	u32 entries = q->mask + 1;
	int ret;

	ret = exo_admin_create_cq(nvme, q->qid, entries, exo_dma_addr(&q->cq.map, 0, 0), q->vector,
				  answer);
	/* Without an answer it may or may not exist: assume it does. */
	q->made_cq = ret != -EIO;
	if (ret)
		return ret;
	ret = exo_admin_create_sq(nvme, q->qid, entries, exo_dma_addr(&q->sq.map, 0, 0),
				  q->priority, answer);
	q->made_sq = ret != -EIO;
	return ret;
}

/* All that needs the hardware, and the lists by which unbind finds the queue. */
static int exo_queue_start(struct exo_queue *q, struct exo_call *call,
			   struct exo_admin_answer *answer)
{
	struct exo_nvme *nvme = q->nvme;
	int ret = exo_rings_alloc(q);

	if (ret)
		return ret;
	/* Its lock may be held for a wait: not under @busy, which unbind waits for. */
	exo_space_add_queue(q->space, q);
	guard(rwsem_read)(&nvme->busy);
	if (!exo_nvme_usable(nvme))
		return -ENODEV;
	scoped_guard(spinlock, &nvme->list_lock)
		list_add(&q->on_nvme, &nvme->live_queues);
	ret = exo_exclusive_join(q->controller, &q->joined);
	if (!ret && exo_queue_is_direct(q)) {
		ret = q->joined ? 0 : -EBUSY;
		/* Read with @busy held for writing. */
		if (!ret)
			WRITE_ONCE(nvme->direct, true);
		if (!ret && q->mode == EXO_QUEUE_UNSAFE)
			exo_direct_confess(nvme);
	}
	if (!ret)
		ret = exo_rings_map(q);
	if (!ret && q->mode == EXO_QUEUE_UNSAFE && !exo_rings_physical(q))
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = exo_queue_take_qid(q);
	if (!ret && !(call->arg.queue_create.flags & EXO_QUEUE_POLLED))
		ret = exo_queue_take_vector(q, &call->arg.queue_create);
	if (!ret)
		ret = exo_queue_make(q, answer);
	if (!ret)
		ret = exo_poller_start(q, call);
	return ret;
}

static int exo_queue_explain(struct exo_call *call, int err, const struct exo_nvme *nvme,
			     const struct exo_admin_answer *answer)
{
	switch (err) {
	case -ENOMEM:
		return exo_refuse(call, err, EXO_REASON_MEMORY, 0, 0, 0);
	case -ENODEV:
		return exo_refuse(call, err, EXO_REASON_STALE, EXO_FIELD(queue_create, controller),
				  call->arg.queue_create.controller, 0);
	case -EOPNOTSUPP:
		return exo_refuse(call, err, EXO_REASON_COHERENCE, 0, 0, 0);
	case -EBUSY:
		return exo_refuse(call, err, EXO_REASON_EXCLUSIVE,
				  EXO_FIELD(queue_create, controller),
				  call->arg.queue_create.controller, 0);
	case -EIO:
		return exo_refuse(call, err, EXO_REASON_DEVICE, 0, answer->status, 0);
	case -ETIMEDOUT:
		return exo_refuse(call, err, EXO_REASON_DEVICE, 0, exo_admin_timeout_ms(), 0);
	case -ENOSPC:
		return exo_refuse(call, err, EXO_REASON_TABLE_FULL, 0, 0, 0);
	case -EUSERS:
		return exo_refuse(call, -ENOSPC, EXO_REASON_TABLE_FULL,
				  EXO_FIELD(queue_create, irq_cpu), call->arg.queue_create.irq_cpu,
				  nvme->vectors - 1);
	default:
		return err;
	}
}

static int exo_queue_respond(struct exo_call *call, struct exo_cap *controller, struct exo_queue *q)
{
	struct exo_queue_create *cmd = &call->arg.queue_create;
	struct exo_cap_spec spec = {
		.object = &q->object,
		.rights = exo_queue_ops.rights,
		.fresh = true,
	};

	cmd->out_entries = q->mask + 1;
	cmd->out_qid = q->qid;
	cmd->out_rw_size = exo_rings_rw_size(q);
	cmd->out_ro_size = exo_rings_ro_size(q);
	cmd->out_completion = exo_queue_completion(q);
	if (exo_queue_is_direct(q))
		exo_direct_describe(q, cmd);
	return exo_cap_give(call, controller, &spec, &cmd->out_cap, &cmd->out_mmap_offset);
}

static int exo_queue_check_node(struct exo_call *call)
{
	s32 node = call->arg.queue_create.node;

	if (call->arg.queue_create.flags & EXO_QUEUE_NODE ? exo_node_exists(node) : !node)
		return 0;
	return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(queue_create, node), node, 0);
}

static int exo_queue_check_priority(struct exo_call *call, const struct exo_nvme *nvme)
{
	u32 priority = call->arg.queue_create.priority, field = EXO_FIELD(queue_create, priority);

	if (priority > EXO_PRIORITY_URGENT)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, field, priority,
				  EXO_PRIORITY_URGENT);
	if (priority && !(nvme->features & EXO_CONTROLLER_PRIORITY))
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_ARBITRATION, field, priority, 0);
	return 0;
}

static int exo_queue_check_create(struct exo_call *call, struct exo_controller *controller)
{
	struct exo_queue_create *cmd = &call->arg.queue_create;
	u64 left;
	int ret;

	if (cmd->mode > EXO_QUEUE_UNSAFE)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(queue_create, mode),
				  cmd->mode, EXO_QUEUE_UNSAFE);
	if (!cmd->depth || cmd->depth > controller->nvme->depth_max)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(queue_create, depth),
				  cmd->depth, controller->nvme->depth_max);
	ret = exo_poller_check(call);
	if (!ret)
		ret = exo_interrupt_check(call);
	if (!ret)
		ret = exo_queue_check_node(call);
	if (!ret)
		ret = exo_queue_check_priority(call, controller->nvme);
	if (!ret && cmd->mode != EXO_QUEUE_CHECKED)
		ret = exo_direct_check(call, controller);
	if (ret)
		return ret;
	if (!exo_budget_take(&controller->budget, 1, &left))
		return exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET,
				  EXO_FIELD(queue_create, controller), 1, left);
	return 0;
}

static struct exo_queue *exo_queue_prepare(struct exo_call *call, struct exo_controller *controller)
{
	struct exo_space *space = exo_space_get(call->session, controller->nvme);
	struct exo_queue *q = NULL;

	if (space)
		q = exo_queue_alloc(controller, space, &call->arg.queue_create);
	if (!q && space)
		exo_space_put(space);
	return q;
}

/* Modes and priorities that there are not are for exo_queue_check_create() to refuse. */
static u32 exo_queue_rights(const struct exo_queue_create *cmd)
{
	u32 rights = EXO_RIGHT_QUEUE;

	if (cmd->flags & EXO_QUEUE_THREAD)
		rights |= EXO_RIGHT_THREAD;
	if (cmd->mode == EXO_QUEUE_DIRECT || cmd->mode == EXO_QUEUE_UNSAFE)
		rights |= EXO_RIGHT_DIRECT;
	if (cmd->priority == EXO_PRIORITY_HIGH || cmd->priority == EXO_PRIORITY_URGENT)
		rights |= EXO_RIGHT_PRIORITY;
	return rights;
}

int exo_queue_create(struct exo_call *call)
{
	struct exo_queue_create *cmd = &call->arg.queue_create;
	struct exo_admin_answer answer = {};
	struct exo_controller *controller;
	struct exo_queue *q;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_controller_get(
		call, EXO_FIELD(queue_create, controller), cmd->controller, exo_queue_rights(cmd));
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	controller = exo_controller_of(cap->object);
	ret = exo_queue_check_create(call, controller);
	if (ret)
		return ret;
	q = exo_queue_prepare(call, controller);
	if (!q) {
		exo_budget_give(&controller->budget, 1);
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	}
	ret = exo_queue_start(q, call, &answer);
	if (ret) {
		exo_object_let_go(&q->object);
		return exo_queue_explain(call, ret, controller->nvme, &answer);
	}
	ret = exo_queue_respond(call, cap, q);
	exo_object_put(&q->object);
	return ret;
}

/* ---- EXO_QUEUE_QUERY ---- */

/* Also of a dead queue, and of one whose function is gone. */
struct exo_cap *exo_queue_get_any(struct exo_call *call, u32 field, u32 id)
{
	struct exo_cap *cap = exo_cap_get_any(call, field, id);
	u32 type;

	if (IS_ERR(cap) || cap->object->ops == &exo_queue_ops)
		return cap;
	type = cap->object->ops->type;
	exo_cap_put(cap);
	return ERR_PTR(
		exo_refuse(call, -EINVAL, EXO_REASON_WRONG_TYPE, field, type, EXO_TYPE_QUEUE));
}

int exo_queue_query(struct exo_call *call)
{
	struct exo_queue_query *cmd = &call->arg.queue_query;
	struct exo_queue *q;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_queue_get_any(call, EXO_FIELD(queue_query, queue), cmd->queue);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	q = exo_queue_of(cap->object);
	scoped_guard(mutex, &q->lock) {
		if (!q->gone && !exo_queue_is_direct(q))
			exo_queue_scan(q);
		cmd->out_mode = q->mode;
		cmd->out_state = q->dead ? EXO_QUEUE_DEAD : EXO_QUEUE_LIVE;
		cmd->out_qid = q->qid;
		cmd->out_depth = q->depth;
		cmd->out_entries = q->mask + 1;
		cmd->out_submitted = q->submitted;
		cmd->out_completed = q->completed;
		cmd->out_refused = q->refused;
		cmd->out_extents = q->extent_count;
		cmd->out_completion = exo_queue_completion(q);
		cmd->out_thread = exo_poller_thread(q);
		cmd->out_thread_throttled = q->poller.throttled;
		cmd->out_thread_ns = exo_poller_spent(q);
	}
	cmd->out_irq_cpu = exo_queue_irq_cpu(q);
	cmd->out_node = page_to_nid(virt_to_page(q->status));
	cmd->out_priority = q->priority;
	return exo_call_respond(call);
}

/* ---- extents of a queue ---- */

static int exo_queue_find_extent(struct exo_queue *q, struct exo_cap *cap)
{
	u32 i;

	lockdep_assert_held(&q->lock);
	for (i = 0; i < q->extent_count; i++)
		if (q->extents[i].binding->binding.cap == cap)
			return i;
	return -ENOENT;
}

/* No new command can use it; those in flight are waited for. */
static void exo_extent_begin(struct exo_binding *binding)
{
	struct exo_extent_binding *eb = container_of(binding, struct exo_extent_binding, binding);
	struct exo_queue *q = eb->queue;
	int i;

	scoped_guard(mutex, &q->lock) {
		i = exo_queue_find_extent(q, binding->cap);
		if (i >= 0)
			q->extents[i] = q->extents[--q->extent_count];
	}
	exo_quiesce_begin(q, &eb->quiesce);
}

static void exo_extent_sever(struct exo_binding *binding)
{
	struct exo_extent_binding *eb = container_of(binding, struct exo_extent_binding, binding);

	exo_quiesce_wait(eb->queue, &eb->quiesce);
	trace_exo_detach(eb->queue->nvme->address, eb->queue->qid,
			 exo_namespace_of(binding->cap->object)->nsid, binding->cap);
}

static void exo_extent_binding_release(struct exo_binding *binding)
{
	struct exo_extent_binding *eb = container_of(binding, struct exo_extent_binding, binding);

	exo_object_put(&eb->queue->object);
	kfree(eb);
}

static const struct exo_binding_ops exo_extent_binding_ops = {
	.begin = exo_extent_begin,
	.sever = exo_extent_sever,
	.release = exo_extent_binding_release,
};

static int exo_queue_enter_extent(struct exo_call *call, struct exo_queue *q,
				  struct exo_extent_binding *eb)
{
	struct exo_cap *cap = eb->binding.cap;
	struct exo_namespace *ns = exo_namespace_of(cap->object);
	u32 field = EXO_FIELD(queue_attach, extent);

	guard(mutex)(&q->lock);
	if (q->dead)
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(queue_attach, queue),
				  call->arg.queue_attach.queue, 0);
	/* With the lock: exo_queue_kill_users() sees it, or it sees that the namespace is gone. */
	if (exo_object_gone(cap->object))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, field, cap->id, 0);
	if (exo_queue_find_extent(q, cap) >= 0)
		return exo_refuse(call, -EEXIST, EXO_REASON_ATTACHED, field, cap->id, 0);
	if (q->extent_count == EXO_QUEUE_EXTENTS_MAX)
		return exo_refuse(call, -ENOSPC, EXO_REASON_TABLE_FULL, field, 0,
				  EXO_QUEUE_EXTENTS_MAX);
	q->extents[q->extent_count++] = (struct exo_queue_extent){
		.start = cap->start,
		.end = cap->start + cap->len,
		.nsid = ns->nsid,
		.rights = cap->rights,
		.shift = ns->shift,
		.zones = ns->zones,
		.account = cap->zones,
		.placement = cap->placement,
		.binding = eb,
	};
	return 0;
}

/* Before an extent is attached whose open and active zones are counted. */
static int exo_queue_prepare_zones(struct exo_queue *q, struct exo_cap *extent)
{
	struct exo_zone_slot *slots;

	if (!extent->zones || READ_ONCE(q->zone_slots))
		return 0;
	slots = kvcalloc(q->depth, sizeof(*slots), EXO_GFP);
	if (!slots)
		return -ENOMEM;
	scoped_guard(mutex, &q->lock) {
		if (!q->zone_slots)
			swap(q->zone_slots, slots);
	}
	kvfree(slots);
	return 0;
}

static int exo_queue_attach_extent(struct exo_call *call, struct exo_queue *q,
				   struct exo_extent_binding *eb)
{
	struct exo_cap *cap = eb->binding.cap;
	int ret;

	guard(mutex)(&cap->lock);
	if (cap->dead)
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(queue_attach, extent),
				  cap->id, 0);
	ret = exo_queue_enter_extent(call, q, eb);
	if (ret)
		return ret;
	exo_binding_publish(&eb->binding);
	trace_exo_attach(q->nvme->address, q->qid, exo_namespace_of(cap->object)->nsid, cap);
	return 0;
}

int exo_queue_attach(struct exo_call *call)
{
	struct exo_queue_attach *cmd = &call->arg.queue_attach;
	struct exo_extent_binding *eb;
	struct exo_queue *q;
	int ret;

	struct exo_cap *queue __free(exo_cap_put) = exo_cap_get(
		call, EXO_FIELD(queue_attach, queue), cmd->queue, EXO_TYPE_QUEUE, EXO_RIGHT_SUBMIT);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	struct exo_cap *extent __free(exo_cap_put) =
		exo_cap_get(call, EXO_FIELD(queue_attach, extent), cmd->extent, EXO_TYPE_EXTENT, 0);
	if (IS_ERR(extent))
		return PTR_ERR(extent);
	q = exo_queue_of(queue->object);
	if (exo_queue_is_direct(q))
		return exo_refuse(call, -EINVAL, EXO_REASON_MODE, EXO_FIELD(queue_attach, queue),
				  q->mode, EXO_QUEUE_CHECKED);
	if (exo_namespace_of(extent->object)->nvme != q->nvme)
		return exo_refuse(call, -EINVAL, EXO_REASON_OTHER_CONTROLLER,
				  EXO_FIELD(queue_attach, extent), cmd->extent, 0);

	eb = exo_queue_prepare_zones(q, extent) ? NULL : kzalloc(sizeof(*eb), EXO_GFP);
	if (!eb)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	exo_binding_init(&eb->binding, &exo_extent_binding_ops, extent);
	exo_object_get(&q->object);
	eb->queue = q;
	ret = exo_queue_attach_extent(call, q, eb);
	exo_binding_put(&eb->binding);
	return ret;
}

int exo_queue_detach(struct exo_call *call)
{
	struct exo_queue_detach *cmd = &call->arg.queue_detach;
	struct exo_binding *binding = NULL;
	struct exo_queue *q;
	int i;

	struct exo_cap *queue __free(exo_cap_put) = exo_cap_get(
		call, EXO_FIELD(queue_detach, queue), cmd->queue, EXO_TYPE_QUEUE, EXO_RIGHT_SUBMIT);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	struct exo_cap *extent __free(exo_cap_put) =
		exo_cap_get(call, EXO_FIELD(queue_detach, extent), cmd->extent, EXO_TYPE_EXTENT, 0);
	if (IS_ERR(extent))
		return PTR_ERR(extent);
	q = exo_queue_of(queue->object);
	scoped_guard(mutex, &q->lock) {
		i = exo_queue_find_extent(q, extent);
		if (i >= 0) {
			binding = &q->extents[i].binding->binding;
			kref_get(&binding->ref);
		}
	}
	if (!binding)
		return exo_refuse(call, -ENOENT, EXO_REASON_NOT_ATTACHED,
				  EXO_FIELD(queue_detach, extent), cmd->extent, 0);
	exo_binding_end(binding);
	exo_binding_put(binding);
	return 0;
}
