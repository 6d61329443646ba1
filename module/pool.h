/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pools: budgets of page frames.
 */
#ifndef EXO_POOL_H
#define EXO_POOL_H

#include "budget.h"
#include "object.h"

struct exo_call;

/**
 * struct exo_pool - a budget of 4 KiB frames
 * @object: frames and child pools hold references
 * @budget: frames
 * @parent: where the budget came from; a reference. NULL: the machine
 */
struct exo_pool {
	struct exo_object object;
	struct exo_budget budget;
	struct exo_pool *parent;
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

int exo_pool_create(struct exo_call *call);
int exo_pool_query(struct exo_call *call);

#endif
