/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sessions: one open of /dev/exo. All state of a program hangs off it.
 */
#ifndef EXO_SESSION_H
#define EXO_SESSION_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "object.h"
#include "view.h"

struct exo_call;
struct exo_cap;
struct pid;

/* Marks in exo_session.caps (the first is the array's own). */
#define EXO_MARK_ASKED XA_MARK_1 /* asked back */
#define EXO_MARK_TAKEN XA_MARK_2 /* taken back: a record */

#define EXO_CAPS_FIRST 64u

/**
 * struct exo_session - a capability space
 * @object: the common part, by which its pages are mapped; each of its capabilities holds
 *	a reference
 * @slot: the mapping of its pages
 * @pid: the thread group that opened it
 * @uid: and as whom
 * @caps: its capabilities by number
 * @first: those of the first numbers, once more: a look-up that costs next to nothing
 *	where one is made for each batch of commands. Changed with @caps, under its lock
 * @spaces_lock: guards @spaces; taken before any lock of a space
 * @spaces: its buffer spaces, one per NVMe function it uses
 * @page: what it can read about itself
 * @page_lock: one change of @page at a time; a leaf
 * @wait: who sleeps for an event
 * @event_lock: guards what follows; a leaf
 * @event_control: written by the program; a page. NULL: there is no event ring
 * @event_status: a page, then the events
 * @event_bytes: size of @event_status
 * @event_mask: events that fit - 1
 * @event_tail: events ever posted
 * @event_lost: events ever lost
 */
struct exo_session {
	struct exo_object object;
	struct exo_view_slot slot;
	struct pid *pid;
	kuid_t uid;

	struct xarray caps;
	struct exo_cap __rcu *first[EXO_CAPS_FIRST];
	struct mutex spaces_lock;
	struct list_head spaces;

	struct exo_info_page *page;
	spinlock_t page_lock;

	wait_queue_head_t wait;
	spinlock_t event_lock;
	struct exo_event_control *event_control;
	struct exo_event_status *event_status;
	size_t event_bytes;
	u32 event_mask;
	u32 event_tail;
	u32 event_lost;
};

static inline struct exo_session *exo_session_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_session, object);
}

/* @cap is entered under its number in the table, or, NULL, taken out of it. */
static inline void exo_session_enter(struct exo_session *session, u32 id, struct exo_cap *cap)
{
	lockdep_assert_held(&session->caps.xa_lock);
	if (id < EXO_CAPS_FIRST)
		rcu_assign_pointer(session->first[id], cap);
}

extern const struct file_operations exo_session_fops;

static inline bool exo_is_session(struct file *file)
{
	return file->f_op == &exo_session_fops;
}

int exo_session_info(struct exo_call *call);
int exo_session_claim(struct exo_call *call);
int exo_session_list(struct exo_call *call);
int exo_session_drop(struct exo_call *call);

#endif
