// SPDX-License-Identifier: GPL-2.0
/*
 * The info page of a session: written by the kernel at each change, read-only for the
 * program. A sequence number that is odd during a change lets the program take a
 * consistent copy. The kernel never reads it back for a decision.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "cap.h"
#include "page.h"
#include "params.h"
#include "pool.h"
#include "queue.h"
#include "session.h"

int exo_page_init(struct exo_session *session)
{
	struct exo_info_page *page = (void *)get_zeroed_page(EXO_GFP);

	BUILD_BUG_ON(sizeof(*page) > PAGE_SIZE);
	if (!page)
		return -ENOMEM;
	page->version = EXO_INFO_PAGE_VERSION;
	page->size = sizeof(*page);
	spin_lock_init(&session->page_lock);
	session->page = page;
	return 0;
}

void exo_page_free(struct exo_session *session)
{
	free_page((unsigned long)session->page);
}

/* Readers that see an even number, the same before and after, have seen no half of a change. */
static void exo_page_begin(struct exo_session *session)
{
	lockdep_assert_held(&session->page_lock);
	WRITE_ONCE(session->page->seq, session->page->seq + 1);
	smp_wmb();
}

static void exo_page_end(struct exo_session *session)
{
	smp_wmb();
	WRITE_ONCE(session->page->seq, session->page->seq + 1);
}

void exo_page_count(struct exo_session *session, size_t offset, s64 delta)
{
	u64 *count = (void *)session->page + offset;

	guard(spinlock)(&session->page_lock);
	exo_page_begin(session);
	WRITE_ONCE(*count, *count + delta);
	exo_page_end(session);
}

/* ---- capabilities that have more to tell ---- */

static struct exo_info_queue *exo_page_slot(struct exo_session *session, u32 cap)
{
	struct exo_info_page *page = session->page;
	u32 i;

	lockdep_assert_held(&session->page_lock);
	for (i = 0; i < EXO_INFO_QUEUES; i++)
		if (page->queues[i].cap == cap)
			return &page->queues[i];
	return NULL;
}

/* A queue for which there is no room is counted only. */
static void exo_page_enter_queue(struct exo_session *session, struct exo_cap *cap)
{
	struct exo_queue *q = exo_queue_of(cap->object);
	struct exo_info_queue *slot;

	guard(spinlock)(&session->page_lock);
	exo_page_begin(session);
	session->page->queue_caps++;
	slot = exo_page_slot(session, 0);
	if (slot)
		*slot = (struct exo_info_queue){
			.cap = cap->id,
			.qid = q->qid,
			.completion = exo_queue_completion(q),
			.state = READ_ONCE(q->dead) ? EXO_QUEUE_DEAD : EXO_QUEUE_LIVE,
		};
	exo_page_end(session);
}

static void exo_page_leave_queue(struct exo_session *session, struct exo_cap *cap)
{
	struct exo_info_queue *slot;

	guard(spinlock)(&session->page_lock);
	exo_page_begin(session);
	session->page->queue_caps--;
	slot = exo_page_slot(session, cap->id);
	if (slot)
		*slot = (struct exo_info_queue){};
	exo_page_end(session);
}

void exo_page_queue_dead(struct exo_cap *cap)
{
	struct exo_session *session = cap->session;
	struct exo_info_queue *slot;

	guard(spinlock)(&session->page_lock);
	slot = exo_page_slot(session, cap->id);
	if (!slot)
		return;
	exo_page_begin(session);
	slot->state = EXO_QUEUE_DEAD;
	exo_page_end(session);
}

static void exo_page_count_budget(struct exo_cap *cap, s64 sign)
{
	EXO_PAGE_COUNT(cap->session, frames_budget,
		       sign * (s64)exo_pool_of(cap->object)->budget.limit);
}

void exo_page_enter(struct exo_cap *cap)
{
	EXO_PAGE_COUNT(cap->session, caps, 1);
	if (cap->object->ops->type == EXO_TYPE_QUEUE)
		exo_page_enter_queue(cap->session, cap);
	else if (cap->object->ops->type == EXO_TYPE_POOL)
		exo_page_count_budget(cap, 1);
}

void exo_page_leave(struct exo_cap *cap)
{
	EXO_PAGE_COUNT(cap->session, caps, -1);
	if (cap->object->ops->type == EXO_TYPE_QUEUE)
		exo_page_leave_queue(cap->session, cap);
	else if (cap->object->ops->type == EXO_TYPE_POOL)
		exo_page_count_budget(cap, -1);
}
