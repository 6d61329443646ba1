// SPDX-License-Identifier: GPL-2.0
/*
 * EXO_TREE_LIST: who holds what was derived from a capability. Entries are collected in
 * kernel memory first: a program that stalls a copy to its memory stalls no walk.
 */
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cap.h"
#include "controller.h"
#include "ioctl.h"
#include "listing.h"
#include "params.h"
#include "pool.h"
#include "session.h"

#define EXO_LISTING_BATCH 16

static struct exo_budget *exo_listing_budget(struct exo_object *obj)
{
	if (obj->ops->type == EXO_TYPE_POOL)
		return &exo_pool_of(obj)->budget;
	if (obj->ops->type == EXO_TYPE_CONTROLLER)
		return &exo_controller_of(obj)->budget;
	return NULL;
}

/* What it is a right to. The object may be dead: its numbers stay. */
static void exo_listing_describe_object(struct exo_object *obj, struct exo_tree_entry *entry)
{
	struct exo_budget *budget = exo_listing_budget(obj);
	struct exo_cap_query about = {};

	if (obj->ops->describe)
		obj->ops->describe(obj, &about);
	entry->object = obj->serial;
	entry->type = obj->ops->type;
	entry->unit_shift = about.out_unit_shift;
	entry->nsid = about.out_nsid;
	entry->qid = about.out_qid;
	entry->mode = about.out_mode;
	if (!budget)
		return;
	entry->budget = budget->limit;
	entry->used = exo_budget_used(budget);
}

/* Nothing of a session that is closing is touched but what lives as long as its struct. */
static void exo_listing_describe(struct exo_cap *cap, struct exo_tree_entry *entry)
{
	struct exo_session *session = cap->session;
	u64 deadline = READ_ONCE(cap->deadline);

	*entry = (struct exo_tree_entry){
		.node = cap->serial,
		.parent = cap->parent->serial,
		.session = session->object.serial,
		.start = cap->start,
		.len = cap->len,
		.rights = cap->rights,
		.depth = cap->depth,
		.cap = cap->id,
		.pid = pid_vnr(session->pid),
		.uid = from_kuid_munged(current_user_ns(), session->uid),
		.state = READ_ONCE(cap->held) ? EXO_TREE_HELD : EXO_TREE_DROPPED,
	};
	if (entry->state == EXO_TREE_HELD && deadline) {
		entry->state = EXO_TREE_ASKED;
		entry->deadline = deadline;
	}
	exo_listing_describe_object(cap->object, entry);
}

/* Up to @max entries behind the first @skip. */
static u32 exo_listing_collect(struct exo_cap *top, struct exo_tree_entry *entries, u64 skip,
			       u32 max)
{
	struct exo_cap *nodes[EXO_LISTING_BATCH];
	struct exo_walk walk;
	u32 done = 0, n, i;

	exo_walk_begin(&walk, top);
	while (done < max) {
		/* @skip may be any number. */
		u64 left = max - done;
		u32 want = skip < EXO_LISTING_BATCH ? min_t(u64, EXO_LISTING_BATCH, skip + left)
						    : EXO_LISTING_BATCH;

		n = exo_walk_next(&walk, nodes, want);
		for (i = 0; i < n; i++) {
			if (skip)
				skip--;
			else
				exo_listing_describe(nodes[i], &entries[done++]);
			exo_cap_put(nodes[i]);
		}
		if (n < want || fatal_signal_pending(current))
			break;
	}
	exo_walk_end(&walk);
	return done;
}

int exo_tree_list(struct exo_call *call)
{
	struct exo_tree_list *cmd = &call->arg.tree_list;
	struct exo_tree_entry *entries;
	struct exo_cap *top;
	u32 n;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(tree_list, cap), cmd->cap);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	if (!READ_ONCE(cap->usable))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(tree_list, cap),
				  cmd->cap, 0);
	if (!cmd->count || cmd->count > EXO_RECORDS_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(tree_list, count),
				  cmd->count, EXO_RECORDS_MAX);
	entries = kvcalloc(cmd->count, sizeof(*entries), EXO_GFP);
	if (!entries)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	top = exo_tree_top(cap);
	n = exo_listing_collect(top, entries, cmd->skip, cmd->count);
	cmd->out_count = n;
	cmd->out_node = top->serial;
	n = copy_to_user(u64_to_user_ptr(cmd->entries), entries, n * sizeof(*entries));
	kvfree(entries);
	return n ? -EFAULT : exo_call_respond(call);
}
