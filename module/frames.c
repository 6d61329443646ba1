// SPDX-License-Identifier: GPL-2.0
/*
 * Allocating frames from a pool, telling their names, mapping them, freeing them.
 * They are freed with the last use of their object, which every capability, every page
 * table view and every device attachment is one of: not before nobody can reach them.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cap.h"
#include "frames.h"
#include "ioctl.h"
#include "page.h"
#include "params.h"
#include "place.h"
#include "pool.h"
#include "session.h"
#include "view.h"

#define EXO_NAMES_BATCH 16

/* Gives back what was got; units that were not are NULL. Their names stay for the record. */
static void exo_frames_reclaim(struct exo_object *obj)
{
	struct exo_frames *frames = exo_frames_of(obj);
	u32 i;

	exo_pool_leave(frames);
	for (i = 0; i < frames->count && frames->pages[i]; i++) {
		__free_pages(frames->pages[i], frames->order);
		cond_resched();
	}
	exo_pool_count_freed(frames->pool, (u64)i << frames->order);
	EXO_PAGE_COUNT(frames->session, frames_held, -((s64)i << frames->order));
	exo_budget_give(&frames->pool->budget, (u64)frames->count << frames->order);
	exo_object_put(&frames->pool->object);
}

static void exo_frames_release(struct exo_object *obj)
{
	struct exo_frames *frames = exo_frames_of(obj);

	exo_object_put(&frames->session->object);
	kvfree(frames->pages);
	kfree(frames);
}

static void exo_frames_describe(struct exo_object *obj, struct exo_cap_query *query)
{
	query->out_unit_shift = PAGE_SHIFT + exo_frames_of(obj)->order;
}

static void exo_frames_units(struct exo_object *obj, struct exo_units *units)
{
	units->pages = exo_frames_of(obj)->pages;
	units->order = exo_frames_of(obj)->order;
}

static int exo_frames_map_check(struct exo_object *obj, const struct exo_cap *cap,
				struct vm_area_struct *vma)
{
	u32 order = exo_frames_of(obj)->order;
	u64 first = cap->start << order, end = (cap->start + cap->len) << order;

	if (!(cap->rights & EXO_RIGHT_READ))
		return -EACCES;
	if ((vma->vm_flags & VM_WRITE) && !(cap->rights & EXO_RIGHT_WRITE))
		return -EACCES;
	if (vma->vm_pgoff < first || vma->vm_pgoff + vma_pages(vma) > end)
		return -ERANGE;
	return 0;
}

static bool exo_frames_map_pfn(struct exo_object *obj, pgoff_t page, struct exo_pfn *at)
{
	struct exo_frames *frames = exo_frames_of(obj);

	if (page >> frames->order >= frames->count)
		return false;
	at->pfn = exo_frames_pfn(frames, page);
	at->order = page & (BIT(frames->order) - 1) ? EXO_ORDER_4K : frames->order;
	return true;
}

static void exo_frames_linked(struct exo_object *obj)
{
	exo_pool_enter(exo_frames_of(obj));
}

static const struct exo_object_ops exo_frames_ops = {
	.type = EXO_TYPE_FRAMES,
	.rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_NAMES,
	.ranged = true,
	.linked = exo_frames_linked,
	.reclaim = exo_frames_reclaim,
	.release = exo_frames_release,
	.units = exo_frames_units,
	.describe = exo_frames_describe,
	.map_check = exo_frames_map_check,
	.map_pfn = exo_frames_map_pfn,
};

/* ---- EXO_FRAMES_ALLOC ---- */

static int exo_frames_check(struct exo_call *call)
{
	struct exo_frames_alloc *cmd = &call->arg.frames_alloc;

	if (cmd->order != EXO_ORDER_4K && cmd->order != EXO_ORDER_2M)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(frames_alloc, order),
				  cmd->order, EXO_ORDER_2M);
	if (!cmd->count || cmd->count > EXO_FRAMES_UNITS_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(frames_alloc, count),
				  cmd->count, EXO_FRAMES_UNITS_MAX);
	if (cmd->node != EXO_NODE_ANY && !exo_node_exists(cmd->node))
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(frames_alloc, node),
				  cmd->node, 0);
	return 0;
}

/* The budget is taken first; exo_frames_reclaim() gives it back. */
static struct exo_frames *exo_frames_create(struct exo_call *call, struct exo_pool *pool)
{
	struct exo_frames_alloc *cmd = &call->arg.frames_alloc;
	struct exo_frames *frames = kzalloc(sizeof(*frames), EXO_GFP);
	u64 wanted = (u64)cmd->count << cmd->order, left;
	int ret;

	if (!frames)
		goto out_memory;
	frames->pages = kvcalloc(cmd->count, sizeof(*frames->pages), EXO_GFP);
	if (!frames->pages)
		goto out_memory;
	if (!exo_budget_take(&pool->budget, wanted, &left)) {
		ret = exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET, EXO_FIELD(frames_alloc, count),
				 wanted, left);
		goto out_free;
	}
	exo_object_init(&frames->object, &exo_frames_ops);
	exo_object_get(&pool->object);
	frames->pool = pool;
	INIT_LIST_HEAD(&frames->on_pool);
	exo_object_get(&call->session->object);
	frames->session = call->session;
	frames->order = cmd->order;
	frames->count = cmd->count;
	return frames;

out_memory:
	ret = exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
out_free:
	if (frames)
		kvfree(frames->pages);
	kfree(frames);
	return ERR_PTR(ret);
}

static int exo_frames_fill(struct exo_call *call, struct exo_frames *frames)
{
	s32 node = call->arg.frames_alloc.node;
	gfp_t gfp = EXO_GFP | __GFP_ZERO;
	u32 i;

	if (node == EXO_NODE_ANY)
		node = NUMA_NO_NODE;
	else
		gfp |= __GFP_THISNODE;
	for (i = 0; i < frames->count; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		frames->pages[i] = alloc_pages_node(node, gfp, frames->order);
		if (!frames->pages[i])
			return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY,
					  EXO_FIELD(frames_alloc, count), i, frames->count);
		exo_pool_count_allocated(frames->pool, BIT(frames->order));
		EXO_PAGE_COUNT(frames->session, frames_held, BIT(frames->order));
		cond_resched();
	}
	return 0;
}

static int exo_frames_respond(struct exo_call *call, struct exo_cap *pool,
			      struct exo_frames *frames)
{
	struct exo_frames_alloc *cmd = &call->arg.frames_alloc;
	struct exo_cap_spec spec = {
		.object = &frames->object,
		.len = frames->count,
		.rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE | (pool->rights & EXO_RIGHT_NAMES),
		.fresh = true,
	};

	return exo_cap_give(call, pool, &spec, &cmd->out_cap, &cmd->out_mmap_offset);
}

int exo_frames_alloc(struct exo_call *call)
{
	struct exo_frames_alloc *cmd = &call->arg.frames_alloc;
	struct exo_frames *frames;
	int ret;

	struct exo_cap *pool __free(exo_cap_put) = exo_cap_get(
		call, EXO_FIELD(frames_alloc, pool), cmd->pool, EXO_TYPE_POOL, EXO_RIGHT_ALLOC);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	ret = exo_frames_check(call);
	if (ret)
		return ret;
	frames = exo_frames_create(call, exo_pool_of(pool->object));
	if (IS_ERR(frames))
		return PTR_ERR(frames);
	ret = exo_frames_fill(call, frames);
	if (ret) {
		exo_object_let_go(&frames->object);
		return ret;
	}
	ret = exo_frames_respond(call, pool, frames);
	exo_object_put(&frames->object);
	return ret;
}

/* ---- EXO_FRAMES_NAMES ---- */

static int exo_names_check(struct exo_call *call, struct exo_cap *cap)
{
	struct exo_frames_names *cmd = &call->arg.frames_names;
	u64 end = cap->start + cap->len;

	if (!cmd->count)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(frames_names, count),
				  0, 0);
	if (cmd->first < cap->start || cmd->first >= end)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(frames_names, first),
				  cmd->first, end);
	if (cmd->count > end - cmd->first)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(frames_names, count),
				  end, end);
	return 0;
}

/* While they are looked at they cannot be freed; while they are copied, they can. */
static bool exo_names_collect(struct exo_cap *cap, u32 first, struct exo_frame_name *names, u32 n)
{
	struct exo_frames *frames = exo_frames_of(cap->object);
	u32 i;

	if (!exo_cap_use(cap))
		return false;
	for (i = 0; i < n; i++)
		names[i] = (struct exo_frame_name){
			.pfn = page_to_pfn(frames->pages[first + i]),
			.node = page_to_nid(frames->pages[first + i]),
			.order = frames->order,
		};
	exo_object_unuse(cap->object);
	return true;
}

static int exo_names_copy(struct exo_cap *cap, const struct exo_frames_names *cmd)
{
	struct exo_frame_name __user *to = u64_to_user_ptr(cmd->names);
	struct exo_frame_name names[EXO_NAMES_BATCH];
	u32 i, n;

	for (i = 0; i < cmd->count; i += n) {
		n = min_t(u32, cmd->count - i, EXO_NAMES_BATCH);
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!exo_names_collect(cap, cmd->first + i, names, n))
			return -ESTALE;
		if (copy_to_user(to + i, names, n * sizeof(*names)))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

int exo_frames_names(struct exo_call *call)
{
	struct exo_frames_names *cmd = &call->arg.frames_names;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_cap_get(call, EXO_FIELD(frames_names, frames),
							      cmd->frames, EXO_TYPE_FRAMES,
							      EXO_RIGHT_NAMES);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	ret = exo_names_check(call, cap);
	if (ret)
		return ret;
	ret = exo_names_copy(cap, cmd);
	if (ret == -ESTALE)
		return exo_refuse(call, ret, EXO_REASON_STALE, EXO_FIELD(frames_names, frames),
				  cmd->frames, 0);
	return ret;
}
