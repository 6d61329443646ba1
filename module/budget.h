/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Budgets: so many units of something, part of which may be handed to a child
 * budget. Pools count frames with them, controllers queues.
 */
#ifndef EXO_BUDGET_H
#define EXO_BUDGET_H

#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * struct exo_budget - a counted resource
 * @lock: guards @used; a leaf
 * @limit: units there are; fixed
 * @used: units taken, by users or child budgets
 */
struct exo_budget {
	spinlock_t lock;
	u64 limit;
	u64 used;
};

void exo_budget_init(struct exo_budget *budget, u64 limit);
bool exo_budget_take(struct exo_budget *budget, u64 units, u64 *left);
void exo_budget_give(struct exo_budget *budget, u64 units);
u64 exo_budget_used(struct exo_budget *budget);

#endif
