// SPDX-License-Identifier: GPL-2.0
/*
 * Pools, and the root of all: the machine's frames up to the module's limit. A
 * child pool takes its whole budget from its parent when it is made. When it dies
 * it gives back what is not in use, and the rest as its frames are freed.
 */
#include <linux/slab.h>

#include "cap.h"
#include "frames.h"
#include "ioctl.h"
#include "params.h"
#include "pool.h"
#include "revoke.h"

static struct exo_pool *exo_pool_root;
static struct exo_cap *exo_pool_root_node;

static LIST_HEAD(exo_pools);
static DEFINE_SPINLOCK(exo_pools_lock);

/* The last of a pool may be the last of the one above: a loop, not a recursion. */
static void exo_pool_release(struct exo_object *obj)
{
	struct exo_pool *pool = exo_pool_of(obj), *parent;

	do {
		parent = pool->parent;
		kfree(pool);
		pool = parent;
	} while (pool && exo_object_put_last(&pool->object));
}

static void exo_pool_stop(struct exo_object *obj)
{
	exo_budget_close(&exo_pool_of(obj)->budget);
	exo_budget_close(&exo_pool_of(obj)->minimum);
}

static const struct exo_object_ops exo_pool_ops = {
	.type = EXO_TYPE_POOL,
	.rights = EXO_RIGHT_NAMES | EXO_RIGHT_ALLOC,
	.stop = exo_pool_stop,
	.release = exo_pool_release,
};

static struct exo_pool *exo_pool_alloc(struct exo_pool *parent, u64 frames, u64 minimum)
{
	struct exo_pool *pool = kzalloc(sizeof(*pool), EXO_GFP);

	if (!pool)
		return NULL;
	exo_object_init(&pool->object, &exo_pool_ops);
	exo_budget_init(&pool->budget, parent ? &parent->budget : NULL, frames);
	if (parent)
		exo_object_get(&parent->object);
	pool->parent = parent;
	exo_budget_init(&pool->minimum, parent ? &parent->minimum : NULL, minimum);
	pool->told = jiffies;
	INIT_LIST_HEAD(&pool->sets);
	INIT_LIST_HEAD(&pool->on_pools);
	return pool;
}

/* As deep as the derivation tree at most. */
void exo_pool_count_allocated(struct exo_pool *pool, u64 frames)
{
	for (; pool; pool = pool->parent)
		atomic64_add(frames, &pool->allocated);
}

void exo_pool_count_freed(struct exo_pool *pool, u64 frames)
{
	for (; pool; pool = pool->parent)
		atomic64_sub(frames, &pool->allocated);
	exo_tree_changed();
}

/* ---- the root ---- */

int exo_pool_init(void)
{
	exo_pool_root_node = kzalloc(sizeof(*exo_pool_root_node), GFP_KERNEL);
	exo_pool_root = exo_pool_alloc(NULL, exo_frames_limit(), exo_frames_limit());
	if (!exo_pool_root_node || !exo_pool_root) {
		kfree(exo_pool_root_node);
		kfree(exo_pool_root);
		return -ENOMEM;
	}
	exo_cap_init_root(exo_pool_root_node);
	return 0;
}

void exo_pool_exit(void)
{
	exo_tree_end_root(exo_pool_root_node);
	exo_cap_put(exo_pool_root_node);
	exo_object_let_go(&exo_pool_root->object);
}

u64 exo_pool_root_limit(void)
{
	return exo_pool_root->budget.limit;
}

/* What pools below it hold and have not allocated is not in use. */
u64 exo_pool_root_used(void)
{
	return atomic64_read(&exo_pool_root->allocated);
}

struct exo_cap *exo_pool_root_cap(void)
{
	return exo_pool_root_node;
}

struct exo_object *exo_pool_root_object(void)
{
	return &exo_pool_root->object;
}

/* ---- want of memory ---- */

void exo_pool_enter(struct exo_frames *frames)
{
	struct exo_pool *pool = frames->pool;

	guard(spinlock)(&exo_pools_lock);
	if (frames->left)
		return;
	list_add_tail(&frames->on_pool, &pool->sets);
	if (list_empty(&pool->on_pools))
		list_add_tail(&pool->on_pools, &exo_pools);
}

static void exo_pool_leave_locked(struct exo_frames *frames)
{
	lockdep_assert_held(&exo_pools_lock);
	frames->left = true;
	list_del_init(&frames->on_pool);
	if (list_empty(&frames->pool->sets))
		list_del_init(&frames->pool->on_pools);
}

void exo_pool_leave(struct exo_frames *frames)
{
	guard(spinlock)(&exo_pools_lock);
	exo_pool_leave_locked(frames);
}

/* What root itself allocates, it has to know: the root pool has no excess. */
u64 exo_pool_excess(struct exo_pool *pool)
{
	u64 excess = pool->parent ? U64_MAX : 0;

	for (; pool->parent; pool = pool->parent) {
		u64 allocated = atomic64_read(&pool->allocated);

		if (allocated <= pool->minimum.limit)
			return 0;
		excess = min(excess, allocated - pool->minimum.limit);
	}
	return excess;
}

/* Looks at a limited number, and begins behind them the next time. */
u32 exo_pool_find_excess(struct exo_pool **pools, u32 max)
{
	struct exo_pool *pool, *next;
	u32 n = 0, looked = 0;
	LIST_HEAD(seen);

	guard(spinlock)(&exo_pools_lock);
	list_for_each_entry_safe(pool, next, &exo_pools, on_pools) {
		if (n == max || looked++ == 4 * max)
			break;
		list_move_tail(&pool->on_pools, &seen);
		if (exo_pool_excess(pool) && kref_get_unless_zero(&pool->object.ref))
			pools[n++] = pool;
	}
	list_splice_tail(&seen, &exo_pools);
	return n;
}

/* A set that fits into the excess, oldest first: a reference, or NULL. */
static struct exo_frames *exo_pool_victim(struct exo_pool *pool)
{
	u64 excess = exo_pool_excess(pool);
	struct exo_frames *frames;

	guard(spinlock)(&exo_pools_lock);
	list_for_each_entry(frames, &pool->sets, on_pool) {
		if ((u64)frames->count << frames->order > excess)
			continue;
		if (!kref_get_unless_zero(&frames->object.ref))
			continue;
		exo_pool_leave_locked(frames);
		return frames;
	}
	return NULL;
}

u64 exo_pool_repossess(struct exo_pool *pool, u64 frames)
{
	struct exo_frames *victim;
	u64 taken = 0;

	while (taken < frames && (victim = exo_pool_victim(pool))) {
		taken += (u64)victim->count << victim->order;
		exo_revoke_object(&victim->object);
		exo_object_put(&victim->object);
		cond_resched();
	}
	return taken;
}

/* ---- commands ---- */

static int exo_pool_take(struct exo_call *call, struct exo_pool *parent)
{
	struct exo_pool_create *cmd = &call->arg.pool_create;
	u64 left;

	if (!cmd->frames)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(pool_create, frames),
				  0, 0);
	if (cmd->minimum > cmd->frames)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(pool_create, minimum),
				  cmd->minimum, cmd->frames);
	if (!exo_budget_take(&parent->budget, cmd->frames, &left))
		return exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET, EXO_FIELD(pool_create, frames),
				  cmd->frames, left);
	if (exo_budget_take(&parent->minimum, cmd->minimum, &left))
		return 0;
	exo_budget_give(&parent->budget, cmd->frames);
	return exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET, EXO_FIELD(pool_create, minimum),
			  cmd->minimum, left);
}

static int exo_pool_respond(struct exo_call *call, struct exo_cap *parent, struct exo_pool *pool)
{
	struct exo_pool_create *cmd = &call->arg.pool_create;
	struct exo_cap_spec spec = {
		.object = &pool->object,
		.rights = cmd->rights,
		.fresh = true,
	};

	return exo_cap_give(call, parent, &spec, &cmd->out_cap, NULL);
}

int exo_pool_create(struct exo_call *call)
{
	struct exo_pool_create *cmd = &call->arg.pool_create;
	struct exo_pool *pool, *parent;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_cap_get(
		call, EXO_FIELD(pool_create, pool), cmd->pool, EXO_TYPE_POOL, EXO_RIGHT_ALLOC);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	parent = exo_pool_of(cap->object);
	ret = exo_cap_check_rights(call, EXO_FIELD(pool_create, rights), cmd->rights, cap->rights);
	if (ret)
		return ret;
	ret = exo_pool_take(call, parent);
	if (ret)
		return ret;
	pool = exo_pool_alloc(parent, cmd->frames, cmd->minimum);
	if (!pool) {
		exo_budget_give(&parent->budget, cmd->frames);
		exo_budget_give(&parent->minimum, cmd->minimum);
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	}
	ret = exo_pool_respond(call, cap, pool);
	exo_object_put(&pool->object);
	return ret;
}

int exo_pool_query(struct exo_call *call)
{
	struct exo_pool_query *cmd = &call->arg.pool_query;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get(call, EXO_FIELD(pool_query, pool), cmd->pool, EXO_TYPE_POOL, 0);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	cmd->out_budget = exo_pool_of(cap->object)->budget.limit;
	cmd->out_used = exo_budget_used(&exo_pool_of(cap->object)->budget);
	cmd->out_minimum = exo_pool_of(cap->object)->minimum.limit;
	cmd->out_allocated = atomic64_read(&exo_pool_of(cap->object)->allocated);
	return exo_call_respond(call);
}
