/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pools: budgets of page frames.
 */
#ifndef EXO_POOL_H
#define EXO_POOL_H

#include "budget.h"
#include "object.h"

struct exo_call;
struct exo_frames;

/**
 * struct exo_pool - a budget of 4 KiB frames
 * @object: frames and child pools hold references
 * @budget: frames
 * @parent: where the budget came from; a reference. NULL: the machine
 * @allocated: frames allocated from it and from all pools below it
 * @minimum: frames that are not taken for want of memory, in part handed to child pools
 * @told: when its holders were last told of a want, in jiffies
 * @on_pools: in the list of pools that have sets of frames, under its lock
 * @sets: exo_frames.on_pool, under the same lock
 */
struct exo_pool {
	struct exo_object object;
	struct exo_budget budget;
	struct exo_pool *parent;
	atomic64_t allocated;
	struct exo_budget minimum;
	unsigned long told;
	struct list_head on_pools;
	struct list_head sets;
};

static inline struct exo_pool *exo_pool_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_pool, object);
}

int exo_pool_init(void);
void exo_pool_exit(void);
u64 exo_pool_root_limit(void);
u64 exo_pool_root_used(void);
struct exo_cap *exo_pool_root_cap(void);
struct exo_object *exo_pool_root_object(void);

/* Frames were allocated from @pool, or came back. */
void exo_pool_count_allocated(struct exo_pool *pool, u64 frames);
void exo_pool_count_freed(struct exo_pool *pool, u64 frames);

/* A set of frames can be taken for want of memory from now on, or no more. */
void exo_pool_enter(struct exo_frames *frames);
void exo_pool_leave(struct exo_frames *frames);

/* ---- want of memory: callable from reclaim, but for exo_pool_repossess() ---- */

/* Frames that may be taken from it: not those below its minimum or that of a pool above. */
u64 exo_pool_excess(struct exo_pool *pool);

/* Pools that have some, with a reference each. */
u32 exo_pool_find_excess(struct exo_pool **pools, u32 max);

/* Takes sets of frames, from all who hold them, as far as the excess allows; how many. */
u64 exo_pool_repossess(struct exo_pool *pool, u64 frames);

int exo_pool_create(struct exo_call *call);
int exo_pool_query(struct exo_call *call);

#endif
