// SPDX-License-Identifier: GPL-2.0
/*
 * Taking from a budget, all or nothing, and giving back.
 */
#include <linux/cleanup.h>

#include "budget.h"

void exo_budget_init(struct exo_budget *budget, struct exo_budget *parent, u64 limit)
{
	spin_lock_init(&budget->lock);
	budget->parent = parent;
	budget->limit = limit;
	budget->used = 0;
	budget->closed = false;
}

/* On failure *left says what there was, and nothing is taken. */
bool exo_budget_take(struct exo_budget *budget, u64 units, u64 *left)
{
	guard(spinlock)(&budget->lock);
	*left = budget->closed ? 0 : budget->limit - budget->used;
	if (units > *left)
		return false;
	budget->used += units;
	return true;
}

/* True: it is closed, and the units are the parent's again. */
static bool exo_budget_return(struct exo_budget *budget, u64 units)
{
	guard(spinlock)(&budget->lock);
	budget->used -= units;
	return budget->closed;
}

void exo_budget_give(struct exo_budget *budget, u64 units)
{
	while (budget && exo_budget_return(budget, units))
		budget = budget->parent;
}

void exo_budget_close(struct exo_budget *budget)
{
	u64 spare;

	scoped_guard(spinlock, &budget->lock) {
		spare = budget->limit - budget->used;
		budget->closed = true;
	}
	exo_budget_give(budget->parent, spare);
}

u64 exo_budget_used(struct exo_budget *budget)
{
	guard(spinlock)(&budget->lock);
	return budget->used;
}
