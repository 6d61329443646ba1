// SPDX-License-Identifier: GPL-2.0
/*
 * The event ring of a session: written by the kernel, read by the program, in shared
 * memory. What the program writes there (how far it has read) is believed only as far as
 * it decides whether there is room. A full ring loses events and counts them; what they
 * were about is still told by EXO_CAP_LIST: capabilities that are asked back, or were taken.
 *
 * A session's pages as it maps them: 0 is the info page, 1 the control page, from 2 on
 * the status page and the events.
 */
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "cap.h"
#include "events.h"
#include "ioctl.h"
#include "nvme.h"
#include "page.h"
#include "params.h"
#include "session.h"

#define EXO_EVENTS_CONTROL_PAGE 1u
#define EXO_EVENTS_STATUS_PAGE 2u
#define EXO_EVENT_BATCH 16u

void exo_events_init(struct exo_session *session)
{
	init_waitqueue_head(&session->wait);
	spin_lock_init(&session->event_lock);
}

void exo_events_free(struct exo_session *session)
{
	if (session->event_control)
		free_page((unsigned long)session->event_control);
	if (session->event_status)
		free_pages_exact(session->event_status, session->event_bytes);
}

/* ---- posting ---- */

static void exo_event_write(struct exo_session *session, const struct exo_event *event)
{
	struct exo_event *ring = (void *)session->event_status + PAGE_SIZE;
	u32 tail = session->event_tail;

	lockdep_assert_held(&session->event_lock);
	if (tail - READ_ONCE(session->event_control->head) > session->event_mask) {
		WRITE_ONCE(session->event_status->lost, ++session->event_lost);
		return;
	}
	ring[tail & session->event_mask] = *event;
	session->event_tail = ++tail;
	smp_store_release(&session->event_status->tail, tail);
}

void exo_event_post(struct exo_cap *cap, u32 type, u64 value, u64 deadline)
{
	struct exo_session *session = cap->session;
	struct exo_event event = {
		.type = type,
		.cap = cap->id,
		.value = value,
		.deadline = deadline,
		.time = ktime_get_ns(),
	};

	scoped_guard(spinlock, &session->event_lock) {
		if (session->event_control)
			exo_event_write(session, &event);
	}
	wake_up_all(&session->wait);
}

void exo_event_queue_died(struct exo_object *obj)
{
	struct exo_cap *cap;

	while ((cap = exo_tree_untold(obj))) {
		exo_page_queue_dead(cap);
		exo_event_post(cap, EXO_EVENT_QUEUE_DEAD, 0, 0);
		exo_cap_put(cap);
		cond_resched();
	}
}

void exo_event_namespace(struct exo_object *obj, u64 how)
{
	struct exo_cap *cap;

	while ((cap = exo_tree_untold(obj))) {
		exo_event_post(cap, EXO_EVENT_NAMESPACE, how, 0);
		exo_cap_put(cap);
		cond_resched();
	}
}

static bool exo_event_concerns(const struct exo_cap *cap, u32 rights)
{
	return READ_ONCE(cap->held) && cap->object->ops->type == EXO_TYPE_CONTROLLER &&
	       !(rights & ~cap->rights);
}

/* Controllers have objects of their own: those of a function are found in its tree. */
void exo_event_device(struct exo_nvme *nvme, u32 rights, u64 event)
{
	struct exo_cap *nodes[EXO_EVENT_BATCH];
	struct exo_walk walk;
	u32 n, i;

	exo_walk_begin(&walk, nvme->root);
	walk.claims = true;
	while ((n = exo_walk_next(&walk, nodes, EXO_EVENT_BATCH))) {
		for (i = 0; i < n; i++) {
			if (exo_event_concerns(nodes[i], rights))
				exo_event_post(nodes[i], EXO_EVENT_DEVICE, event, 0);
			exo_cap_put(nodes[i]);
		}
	}
	exo_walk_end(&walk);
}

u32 exo_events_pending(struct exo_session *session)
{
	guard(spinlock)(&session->event_lock);
	if (!session->event_control)
		return 0;
	return session->event_tail - READ_ONCE(session->event_control->head);
}

__poll_t exo_events_poll(struct file *file, struct poll_table_struct *table)
{
	struct exo_session *session = file->private_data;

	poll_wait(file, &session->wait, table);
	return exo_events_pending(session) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- mapping ---- */

int exo_events_map_check(struct exo_object *obj, struct vm_area_struct *vma)
{
	struct exo_session *session = exo_session_of(obj);
	pgoff_t first = vma->vm_pgoff, last = first + vma_pages(vma);
	size_t bytes = smp_load_acquire(&session->event_bytes);

	if (!bytes || last > EXO_EVENTS_STATUS_PAGE + (bytes >> PAGE_SHIFT))
		return -ERANGE;
	if (first < EXO_EVENTS_STATUS_PAGE && last > EXO_EVENTS_STATUS_PAGE)
		return -ERANGE;
	if (first >= EXO_EVENTS_STATUS_PAGE && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	return 0;
}

bool exo_events_map_pfn(struct exo_object *obj, pgoff_t page, struct exo_pfn *at)
{
	struct exo_session *session = exo_session_of(obj);
	void *va;

	if (page == EXO_EVENTS_CONTROL_PAGE)
		va = session->event_control;
	else if (page >= EXO_EVENTS_STATUS_PAGE &&
		 page - EXO_EVENTS_STATUS_PAGE < session->event_bytes >> PAGE_SHIFT)
		va = (void *)session->event_status +
		     ((page - EXO_EVENTS_STATUS_PAGE) << PAGE_SHIFT);
	else
		return false;
	at->pfn = PHYS_PFN(virt_to_phys(va));
	return true;
}

/* ---- EXO_EVENTS_CREATE ---- */

/* The ring is published whole, or not at all. */
static int exo_events_publish(struct exo_session *session, void *control, void *status,
			      size_t bytes, u32 entries)
{
	guard(spinlock)(&session->event_lock);
	if (session->event_control)
		return -EEXIST;
	session->event_mask = entries - 1;
	session->event_status = status;
	session->event_control = control;
	/* Whoever maps looks at the size, without the lock. */
	smp_store_release(&session->event_bytes, bytes);
	return 0;
}

int exo_events_create(struct exo_call *call)
{
	struct exo_events_create *cmd = &call->arg.events_create;
	size_t bytes = PAGE_SIZE + PAGE_ALIGN(cmd->entries * sizeof(struct exo_event));
	void *control, *status;
	int ret;

	if (!is_power_of_2(cmd->entries) || cmd->entries < EXO_EVENTS_MIN ||
	    cmd->entries > EXO_EVENTS_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE,
				  EXO_FIELD(events_create, entries), cmd->entries, EXO_EVENTS_MAX);
	cmd->out_mmap_offset = EXO_EVENTS_CONTROL_PAGE << PAGE_SHIFT;
	cmd->out_rw_size = PAGE_SIZE;
	cmd->out_ro_size = bytes;
	control = (void *)get_zeroed_page(EXO_GFP);
	status = alloc_pages_exact(bytes, EXO_GFP | __GFP_ZERO);
	ret = control && status ? exo_call_respond(call) : -ENOMEM;
	if (!ret)
		ret = exo_events_publish(call->session, control, status, bytes, cmd->entries);
	if (!ret)
		return 0;
	if (status)
		free_pages_exact(status, bytes);
	free_page((unsigned long)control);
	if (ret == -EEXIST)
		return exo_refuse(call, ret, EXO_REASON_EVENTS, 0, 0, 0);
	return ret == -ENOMEM ? exo_refuse(call, ret, EXO_REASON_MEMORY, 0, 0, 0) : ret;
}
