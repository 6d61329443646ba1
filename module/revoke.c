// SPDX-License-Identifier: GPL-2.0
/*
 * Revocation: asked for first, forced at the deadline, recorded exactly. All in the call of
 * who revokes, so that nothing is left of a revocation when its caller is gone.
 *
 * Asking posts one event to the holder of each capability below; the holders give up what
 * they choose, and each drop wakes the caller. Forcing stops everything first, so that
 * all waits for commands in flight run side by side, then takes leaves until none is left.
 * Each goes the way that every capability goes (exo_cap_repossess()): mappings withdrawn,
 * commands waited for, queue deleted, DMA unmapped, else quarantine.
 *
 * A request for so many frames of a pool does the same until they are free.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "cap.h"
#include "events.h"
#include "frames.h"
#include "ioctl.h"
#include "page.h"
#include "params.h"
#include "pool.h"
#include "revoke.h"
#include "session.h"
#include "trace.h"

#define EXO_REVOKE_BATCH 16

/**
 * struct exo_revocation - one under way
 * @top: everything below it is taken back
 * @node: @top, which is taken back too; a reference. NULL: it stays
 * @pool: only frames of this pool; NULL: everything
 * @goal: of @pool->allocated
 * @deadline: CLOCK_MONOTONIC, ns
 * @wanted: for the events: frames, or 0
 * @asked: capabilities asked for
 * @again: they are being asked for once more
 * @contended: another revocation waits for some of what this one asked for
 * @records: what was taken; room for @max
 * @max: entries of @records
 * @taken: capabilities taken, recorded or not
 */
struct exo_revocation {
	struct exo_cap *top;
	struct exo_cap *node;
	struct exo_pool *pool;
	u64 goal;
	u64 deadline;
	u64 wanted;
	u32 asked;
	bool again;
	bool contended;
	struct exo_revoke_record *records;
	u32 max;
	u32 taken;
};

/* ---- asking ---- */

/* Grows when a request ends by which others were covered: they ask again. */
static atomic_t exo_revoke_uncovered = ATOMIC_INIT(0);

/* Once for each capability, unless a later request is more urgent. */
static bool exo_cap_ask(struct exo_cap *cap, u64 deadline, u64 wanted)
{
	struct xarray *caps = &cap->session->caps;
	bool asked = false;

	xa_lock(caps);
	if (READ_ONCE(cap->held) && xa_load(caps, cap->id) == cap && cap->deadline != deadline) {
		cap->contended = cap->deadline;
		asked = !cap->deadline || deadline < cap->deadline;
	}
	if (asked) {
		cap->deadline = deadline;
		cap->wanted = wanted;
		__xa_set_mark(caps, cap->id, EXO_MARK_ASKED);
	}
	xa_unlock(caps);
	if (asked)
		EXO_PAGE_COUNT(cap->session, revocation_epoch, 1);
	return asked;
}

static bool exo_cap_unask(struct exo_revocation *r, struct exo_cap *cap)
{
	struct xarray *caps = &cap->session->caps;
	bool asked = false;

	xa_lock(caps);
	if (xa_load(caps, cap->id) == cap && cap->deadline == r->deadline) {
		cap->deadline = 0;
		__xa_clear_mark(caps, cap->id, EXO_MARK_ASKED);
		r->contended |= cap->contended;
		cap->contended = false;
		asked = true;
	}
	xa_unlock(caps);
	return asked;
}

static u32 exo_cap_type(const struct exo_cap *cap)
{
	return cap->object->ops->type;
}

/*
 * Of frames of a pool, whoever holds a pool is asked, and whoever holds frames that came
 * from no pool he has.
 */
static bool exo_revoke_concerns(const struct exo_revocation *r, const struct exo_cap *cap)
{
	if (!r->pool || exo_cap_type(cap) == EXO_TYPE_POOL)
		return true;
	return exo_cap_type(cap) == EXO_TYPE_FRAMES && cap->parent->session != cap->session;
}

static void exo_revoke_ask_one(struct exo_revocation *r, struct exo_cap *cap)
{
	if (!exo_revoke_concerns(r, cap))
		return;
	if (!exo_cap_ask(cap, r->deadline, r->wanted))
		return;
	r->asked += !r->again;
	trace_exo_revoke_ask(cap);
	exo_event_post(cap, EXO_EVENT_REVOKE, r->wanted, r->deadline);
}

static void exo_revoke_unask_one(struct exo_revocation *r, struct exo_cap *cap)
{
	if (exo_cap_unask(r, cap))
		exo_event_post(cap, EXO_EVENT_REVOKE_END, 0, 0);
}

static void exo_revoke_stop_one(struct exo_revocation *r, struct exo_cap *cap)
{
	exo_cap_stop(cap);
}

/* Calls @one for each node that is concerned, with no lock held. */
static void exo_revoke_walk(struct exo_revocation *r,
			    void (*one)(struct exo_revocation *r, struct exo_cap *cap))
{
	struct exo_cap *nodes[EXO_REVOKE_BATCH];
	struct exo_walk walk;
	u32 n, i;

	if (r->node)
		one(r, r->node);
	exo_walk_begin(&walk, r->top);
	while ((n = exo_walk_next(&walk, nodes, EXO_REVOKE_BATCH))) {
		for (i = 0; i < n; i++) {
			one(r, nodes[i]);
			exo_cap_put(nodes[i]);
		}
	}
	exo_walk_end(&walk);
}

static bool exo_revoke_satisfied(struct exo_revocation *r)
{
	if (r->pool && atomic64_read(&r->pool->allocated) <= r->goal)
		return true;
	if (r->node && !r->pool)
		return exo_tree_gone(r->node);
	return exo_tree_empty(r->top);
}

static bool exo_revoke_wakes(struct exo_revocation *r, int seen)
{
	return exo_revoke_satisfied(r) || atomic_read(&exo_revoke_uncovered) != seen;
}

/* 0: the deadline has passed or nothing is left to wait for; 1: ask again. */
static int exo_revoke_wait(struct exo_revocation *r, int seen)
{
	u64 now = ktime_get_ns();
	long left = now < r->deadline ? nsecs_to_jiffies(r->deadline - now) + 1 : 0;

	left = wait_event_interruptible_timeout(exo_tree_wait, exo_revoke_wakes(r, seen), left);
	if (left < 0)
		return -EINTR;
	return ktime_get_ns() < r->deadline && !exo_revoke_satisfied(r);
}

/* Whoever is asked for frames only may go on working while this waits. */
static int exo_revoke_ask(struct exo_revocation *r)
{
	int seen, ret;

	do {
		seen = atomic_read(&exo_revoke_uncovered);
		exo_revoke_walk(r, exo_revoke_ask_one);
		r->again = true;
		if (r->pool)
			exo_tree_end_revocation(r->top);
		ret = exo_revoke_wait(r, seen);
		if (r->pool)
			exo_tree_begin_revocation(NULL, r->top);
	} while (ret > 0);
	return ret;
}

static void exo_revoke_unask(struct exo_revocation *r)
{
	exo_revoke_walk(r, exo_revoke_unask_one);
	if (!r->contended)
		return;
	atomic_inc(&exo_revoke_uncovered);
	exo_tree_changed();
}

/* ---- taking ---- */

static void exo_revoke_record(struct exo_revocation *r, struct exo_cap *cap)
{
	struct exo_cap_query about = {};

	if (r->taken++ >= r->max)
		return;
	if (cap->object->ops->describe)
		cap->object->ops->describe(cap->object, &about);
	r->records[r->taken - 1] = (struct exo_revoke_record){
		.type = exo_cap_type(cap),
		.cap = cap->id,
		.session = cap->session->object.serial,
		.object = cap->object->serial,
		.start = cap->start,
		.len = cap->len,
		.nsid = about.out_nsid,
		.qid = about.out_qid,
	};
}

/* Its holder keeps the number, with what was taken under it. */
static void exo_revoke_tell(struct exo_cap *cap)
{
	struct xarray *caps = &cap->session->caps;
	bool there;

	xa_lock(caps);
	there = xa_load(caps, cap->id) == cap;
	if (there) {
		cap->deadline = 0;
		__xa_clear_mark(caps, cap->id, EXO_MARK_ASKED);
		__xa_set_mark(caps, cap->id, EXO_MARK_TAKEN);
	}
	xa_unlock(caps);
	if (!there)
		return;
	trace_exo_revoke_force(cap);
	EXO_PAGE_COUNT(cap->session, revocation_epoch, 1);
	EXO_PAGE_COUNT(cap->session, caps_taken, 1);
	if (exo_cap_type(cap) == EXO_TYPE_QUEUE)
		exo_page_queue_dead(cap);
	exo_event_post(cap, EXO_EVENT_TAKEN, 0, 0);
}

/* The object is named no more from the start, so that the end is reached. */
void exo_revoke_object(struct exo_object *obj)
{
	struct exo_cap *cap;

	WRITE_ONCE(obj->closed, true);
	while ((cap = exo_tree_take_holder(obj))) {
		exo_cap_repossess(cap);
		exo_revoke_tell(cap);
		exo_cap_put(cap);
	}
}

/* Consumes the reference. */
static void exo_revoke_take(struct exo_revocation *r, struct exo_cap *cap)
{
	exo_cap_repossess(cap);
	exo_revoke_record(r, cap);
	exo_revoke_tell(cap);
	exo_cap_put(cap);
	cond_resched();
}

/* Somebody else's drop is under way on a leaf: it ends by a deadline of its own. */
static void exo_revoke_take_below(struct exo_revocation *r, struct exo_cap *top)
{
	struct exo_cap *leaf;
	u32 seen;

	for (;;) {
		seen = exo_tree_generation();
		leaf = exo_tree_take_leaf(top);
		if (!leaf)
			return;
		if (IS_ERR(leaf))
			wait_event_timeout(exo_tree_wait, exo_tree_generation() != seen, HZ);
		else
			exo_revoke_take(r, leaf);
	}
}

/* What nothing hangs from any more, unless its holder is dropping it. */
static void exo_revoke_take_held(struct exo_revocation *r, struct exo_cap *cap)
{
	if (!exo_tree_let_go(cap))
		return;
	kref_get(&cap->ref);
	exo_revoke_take(r, cap);
}

/* One set of frames, with all that was derived from it. */
static void exo_revoke_take_frames(struct exo_revocation *r, struct exo_cap *cap)
{
	exo_tree_begin_revocation(NULL, cap);
	exo_revoke_take_below(r, cap);
	exo_revoke_take_held(r, cap);
	exo_tree_end_revocation(cap);
}

static void exo_revoke_force_frames(struct exo_revocation *r)
{
	struct exo_walk walk;
	struct exo_cap *cap;

	exo_walk_begin(&walk, r->top);
	while (!exo_revoke_satisfied(r) && exo_walk_next(&walk, &cap, 1)) {
		if (exo_cap_type(cap) == EXO_TYPE_FRAMES)
			exo_revoke_take_frames(r, cap);
		exo_cap_put(cap);
	}
	exo_walk_end(&walk);
}

/* Somebody else's drop or walk may keep it for a moment. */
static void exo_revoke_take_node(struct exo_revocation *r)
{
	exo_revoke_take_held(r, r->node);
	while (!exo_tree_gone(r->node))
		wait_event_timeout(exo_tree_wait, exo_tree_gone(r->node), HZ);
}

static void exo_revoke_force(struct exo_revocation *r)
{
	if (r->pool) {
		exo_revoke_force_frames(r);
		return;
	}
	exo_revoke_walk(r, exo_revoke_stop_one);
	exo_revoke_take_below(r, r->top);
	if (r->node)
		exo_revoke_take_node(r);
}

/* ---- EXO_REVOKE ---- */

/* Nothing grows while it asks and while it takes, so that both come to an end. */
static int exo_revoke_run(struct exo_revocation *r)
{
	int ret = exo_revoke_ask(r);

	if (ret || r->pool)
		exo_revoke_unask(r);
	if (!ret)
		exo_revoke_force(r);
	return ret;
}

/* What is taken back lies below @cap: all of it, or a node of its and what is below that. */
static int exo_revoke_aim(struct exo_call *call, struct exo_cap *cap, struct exo_revocation *r)
{
	u64 node = call->arg.revoke.node;

	r->top = exo_tree_top(cap);
	if (!node)
		return 0;
	r->top = exo_tree_find(r->top, node);
	if (IS_ERR(r->top))
		return PTR_ERR(r->top);
	if (!r->top)
		return exo_refuse(call, -ENOENT, EXO_REASON_NO_NODE, EXO_FIELD(revoke, node), node,
				  0);
	r->node = r->top;
	return 0;
}

static int exo_revoke_prepare(struct exo_call *call, struct exo_cap *cap, struct exo_revocation *r)
{
	struct exo_revoke *cmd = &call->arg.revoke;
	int ret = exo_revoke_aim(call, cap, r);

	if (ret)
		return ret;
	if (r->node)
		cap = r->node;
	if (cmd->frames && exo_cap_type(cap) != EXO_TYPE_POOL)
		return exo_refuse(call, -EINVAL, EXO_REASON_WRONG_TYPE, EXO_FIELD(revoke, frames),
				  exo_cap_type(cap), EXO_TYPE_POOL);
	if (cmd->count > EXO_RECORDS_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(revoke, count),
				  cmd->count, EXO_RECORDS_MAX);
	r->max = cmd->count;
	if (r->max)
		r->records = kvcalloc(r->max, sizeof(*r->records), EXO_GFP);
	if (r->max && !r->records)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	r->wanted = cmd->frames;
	r->deadline = ktime_get_ns() + (u64)cmd->timeout_ms * NSEC_PER_MSEC;
	if (exo_cap_type(cap) == EXO_TYPE_POOL)
		r->pool = exo_pool_of(cap->object);
	return 0;
}

static int exo_revoke_respond(struct exo_call *call, const struct exo_revocation *r, u64 frames)
{
	struct exo_revoke *cmd = &call->arg.revoke;

	cmd->out_asked = r->asked;
	cmd->out_taken = r->taken;
	cmd->out_frames = frames;
	if (copy_to_user(u64_to_user_ptr(cmd->records), r->records,
			 min(r->taken, r->max) * sizeof(*r->records)))
		return -EFAULT;
	return exo_call_respond(call);
}

static int exo_revoke_do(struct exo_call *call, struct exo_cap *cap, struct exo_revocation *r)
{
	struct exo_pool *pool = r->pool;
	u64 had = pool ? atomic64_read(&pool->allocated) : 0, has, freed;
	int ret;

	/* More than there is: all there is. */
	r->goal = had > r->wanted ? had - r->wanted : 0;
	if (!r->wanted)
		r->pool = NULL;
	if (!exo_tree_begin_revocation(cap, r->top))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(revoke, cap),
				  call->arg.revoke.cap, 0);
	trace_exo_revoke_begin(call->session, &call->arg.revoke, (r->node ?: cap)->object);
	ret = exo_revoke_run(r);
	exo_tree_end_revocation(r->top);
	has = pool ? atomic64_read(&pool->allocated) : 0;
	freed = had > has ? had - has : 0;
	trace_exo_revoke_end(call->session, call->arg.revoke.cap, ret, r->asked, r->taken, freed);
	if (ret)
		return ret;
	return exo_revoke_respond(call, r, freed);
}

int exo_revoke(struct exo_call *call)
{
	struct exo_revoke *cmd = &call->arg.revoke;
	struct exo_revocation r = {};
	int ret;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(revoke, cap), cmd->cap);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	if (!READ_ONCE(cap->usable))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(revoke, cap), cmd->cap,
				  0);
	ret = exo_revoke_prepare(call, cap, &r);
	if (!ret)
		ret = exo_revoke_do(call, cap, &r);
	kvfree(r.records);
	exo_cap_put(r.node);
	return ret;
}

/* ---- EXO_CAP_TAKEN ---- */

static int exo_taken_check(struct exo_call *call, const struct exo_cap *cap)
{
	struct exo_cap_taken *cmd = &call->arg.cap_taken;

	if (!xa_get_mark(&cap->session->caps, cap->id, EXO_MARK_TAKEN))
		return exo_refuse(call, -EINVAL, EXO_REASON_NOT_TAKEN, EXO_FIELD(cap_taken, cap),
				  cmd->cap, 0);
	if (!cmd->count)
		return 0;
	if (exo_cap_type(cap) != EXO_TYPE_FRAMES)
		return exo_refuse(call, -EINVAL, EXO_REASON_WRONG_TYPE, EXO_FIELD(cap_taken, cap),
				  exo_cap_type(cap), EXO_TYPE_FRAMES);
	if (!(cap->rights & EXO_RIGHT_NAMES))
		return exo_refuse(call, -EACCES, EXO_REASON_RIGHT, EXO_FIELD(cap_taken, cap),
				  EXO_RIGHT_NAMES, cap->rights);
	if (cmd->first < cap->start || cmd->first >= cap->start + cap->len)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(cap_taken, first),
				  cmd->first, cap->start + cap->len);
	if (cmd->count > cap->start + cap->len - cmd->first)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(cap_taken, count),
				  cap->start + cap->len, cap->start + cap->len);
	return 0;
}

/* Only the numbers: the frames are somebody else's by now. */
static int exo_taken_names(const struct exo_cap_taken *cmd, const struct exo_frames *frames)
{
	u64 __user *to = u64_to_user_ptr(cmd->names);
	u32 i;

	for (i = 0; i < cmd->count; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (put_user((u64)page_to_pfn(frames->pages[cmd->first + i]), to + i))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

int exo_cap_taken(struct exo_call *call)
{
	struct exo_cap_taken *cmd = &call->arg.cap_taken;
	struct exo_cap_query about = {};
	int ret;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(cap_taken, cap), cmd->cap);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	ret = exo_taken_check(call, cap);
	if (!ret && cmd->count)
		ret = exo_taken_names(cmd, exo_frames_of(cap->object));
	if (ret)
		return ret;
	if (cap->object->ops->describe)
		cap->object->ops->describe(cap->object, &about);
	cmd->out_type = exo_cap_type(cap);
	cmd->out_rights = cap->rights;
	cmd->out_start = cap->start;
	cmd->out_len = cap->len;
	cmd->out_object = cap->object->serial;
	cmd->out_unit_shift = about.out_unit_shift;
	cmd->out_nsid = about.out_nsid;
	cmd->out_qid = about.out_qid;
	cmd->out_address = about.out_address;
	return exo_call_respond(call);
}
