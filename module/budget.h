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
 * @lock: guards @used and @closed; a leaf
 * @parent: where the units came from; NULL: from the machine. Outlives this one
 * @limit: units there are; fixed
 * @used: units taken, by users or child budgets
 * @closed: what comes back goes on to @parent
 */
struct exo_budget {
	spinlock_t lock;
	struct exo_budget *parent;
	u64 limit;
	u64 used;
	bool closed;
};

/* The caller has taken @limit from @parent. */
void exo_budget_init(struct exo_budget *budget, struct exo_budget *parent, u64 limit);
bool exo_budget_take(struct exo_budget *budget, u64 units, u64 *left);
void exo_budget_give(struct exo_budget *budget, u64 units);
u64 exo_budget_used(struct exo_budget *budget);

/* Its object died: what is not in use goes back now, the rest when it is given. */
void exo_budget_close(struct exo_budget *budget);

#endif
