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

static struct exo_pool *exo_pool_root;
static struct exo_cap *exo_pool_root_node;

static void exo_pool_release(struct exo_object *obj)
{
	struct exo_pool *pool = exo_pool_of(obj);

	if (pool->parent)
		exo_object_put(&pool->parent->object);
	kfree(pool);
}

static void exo_pool_stop(struct exo_object *obj)
{
	exo_budget_close(&exo_pool_of(obj)->budget);
}

static const struct exo_object_ops exo_pool_ops = {
	.type = EXO_TYPE_POOL,
	.rights = EXO_RIGHT_NAMES | EXO_RIGHT_ALLOC,
	.stop = exo_pool_stop,
	.release = exo_pool_release,
};

static struct exo_pool *exo_pool_alloc(struct exo_pool *parent, u64 frames)
{
	struct exo_pool *pool = kzalloc(sizeof(*pool), EXO_GFP);

	if (!pool)
		return NULL;
	exo_object_init(&pool->object, &exo_pool_ops);
	exo_budget_init(&pool->budget, parent ? &parent->budget : NULL, frames);
	if (parent)
		exo_object_get(&parent->object);
	pool->parent = parent;
	return pool;
}

/* ---- the root ---- */

int exo_pool_init(void)
{
	exo_pool_root_node = kzalloc(sizeof(*exo_pool_root_node), GFP_KERNEL);
	exo_pool_root = exo_pool_alloc(NULL, exo_frames_limit());
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
	exo_cap_end_root(exo_pool_root_node);
	exo_cap_put(exo_pool_root_node);
	exo_object_unname(&exo_pool_root->object);
	exo_object_put(&exo_pool_root->object);
}

u64 exo_pool_root_limit(void)
{
	return exo_pool_root->budget.limit;
}

/* What pools below it hold and have not allocated is not in use. */
u64 exo_pool_root_used(void)
{
	return exo_frames_total();
}

struct exo_cap *exo_pool_root_cap(void)
{
	return exo_pool_root_node;
}

struct exo_object *exo_pool_root_object(void)
{
	return &exo_pool_root->object;
}

/* ---- commands ---- */

static int exo_pool_take(struct exo_call *call, struct exo_pool *parent, u64 frames)
{
	u64 left;

	if (!frames)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(pool_create, frames),
				  0, 0);
	if (!exo_budget_take(&parent->budget, frames, &left))
		return exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET, EXO_FIELD(pool_create, frames),
				  frames, left);
	return 0;
}

static int exo_pool_respond(struct exo_call *call, struct exo_cap *parent, struct exo_pool *pool)
{
	struct exo_pool_create *cmd = &call->arg.pool_create;
	struct exo_cap_spec spec = { .object = &pool->object, .rights = cmd->rights };

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
	ret = exo_pool_take(call, parent, cmd->frames);
	if (ret)
		return ret;
	pool = exo_pool_alloc(parent, cmd->frames);
	if (!pool) {
		exo_budget_give(&parent->budget, cmd->frames);
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	}
	ret = exo_pool_respond(call, cap, pool);
	/* The creator's name and reference go; the capability, if there is one, has its own. */
	exo_object_unname(&pool->object);
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
	return exo_call_respond(call);
}
