// SPDX-License-Identifier: GPL-2.0
/*
 * Taking from a budget, all or nothing, and giving back.
 */
#include <linux/cleanup.h>

#include "budget.h"

void exo_budget_init(struct exo_budget *budget, u64 limit)
{
	spin_lock_init(&budget->lock);
	budget->limit = limit;
	budget->used = 0;
}

/* On failure *left says what there was, and nothing is taken. */
bool exo_budget_take(struct exo_budget *budget, u64 units, u64 *left)
{
	guard(spinlock)(&budget->lock);
	*left = budget->limit - budget->used;
	if (units > *left)
		return false;
	budget->used += units;
	return true;
}

void exo_budget_give(struct exo_budget *budget, u64 units)
{
	guard(spinlock)(&budget->lock);
	budget->used -= units;
}

u64 exo_budget_used(struct exo_budget *budget)
{
	guard(spinlock)(&budget->lock);
	return budget->used;
}
