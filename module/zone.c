// SPDX-License-Identifier: GPL-2.0
/*
 * Accounts of open and active zones, and who is charged for which: see zone.h.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "check.h"
#include "ioctl.h"
#include "params.h"
#include "zone.h"

/* ---- accounts ---- */

static struct exo_zone_account *exo_zone_account_alloc(struct exo_zone_account *parent)
{
	struct exo_zone_account *account = kzalloc(sizeof(*account), EXO_GFP);

	if (!account)
		return NULL;
	kref_init(&account->ref);
	refcount_set(&account->users, 1);
	exo_zone_account_get(parent);
	account->parent = parent;
	return account;
}

void exo_zone_account_get(struct exo_zone_account *account)
{
	if (account)
		kref_get(&account->ref);
}

static void exo_zone_account_free(struct kref *ref)
{
	kfree(container_of(ref, struct exo_zone_account, ref));
}

/* A loop, not a recursion, like that of capabilities. */
void exo_zone_account_put(struct exo_zone_account *account)
{
	while (account) {
		struct exo_zone_account *parent = account->parent;

		if (!kref_put(&account->ref, exo_zone_account_free))
			return;
		account = parent;
	}
}

bool exo_zone_account_use(struct exo_zone_account *account)
{
	return !account || refcount_inc_not_zero(&account->users);
}

static bool exo_zone_account_owns(const struct exo_zone_account *account, u32 kind)
{
	return account->budget[kind] == &account->own[kind];
}

/* Who shares a budget of its parent's is one of that one's users. */
static bool exo_zone_account_shares(const struct exo_zone_account *account)
{
	return !exo_zone_account_owns(account, EXO_ZONES_OPEN) ||
	       !exo_zone_account_owns(account, EXO_ZONES_ACTIVE);
}

void exo_zone_account_unuse(struct exo_zone_account *account)
{
	u32 kind;

	while (account && refcount_dec_and_test(&account->users)) {
		for (kind = 0; kind < EXO_ZONES_KINDS; kind++)
			if (exo_zone_account_owns(account, kind))
				exo_budget_close(&account->own[kind]);
		account = exo_zone_account_shares(account) ? account->parent : NULL;
	}
}

/* All that were taken, or none. */
static bool exo_zone_account_take(struct exo_zone_account *account,
				  const u32 quota[EXO_ZONES_KINDS], u32 *failed, u64 *left)
{
	struct exo_zone_account *parent = account->parent;
	u32 kind;

	memcpy(account->budget, parent->budget, sizeof(account->budget));
	for (kind = 0; kind < EXO_ZONES_KINDS; kind++) {
		if (!quota[kind])
			continue;
		if (!exo_budget_take(parent->budget[kind], quota[kind], left)) {
			*failed = kind;
			return false;
		}
		exo_budget_init(&account->own[kind], parent->budget[kind], quota[kind]);
		account->budget[kind] = &account->own[kind];
	}
	return true;
}

struct exo_zone_account *exo_zone_account_make(struct exo_call *call,
					       struct exo_zone_account *parent,
					       const u32 quota[EXO_ZONES_KINDS],
					       const u32 field[EXO_ZONES_KINDS])
{
	struct exo_zone_account *account;
	u32 kind;
	u64 left;
	int ret;

	for (kind = 0; kind < EXO_ZONES_KINDS; kind++) {
		if (!quota[kind] || (parent && parent->budget[kind]))
			continue;
		ret = exo_refuse(call, -EINVAL, EXO_REASON_VALUE, field[kind], quota[kind], 0);
		return ERR_PTR(ret);
	}
	if (!exo_zone_account_use(parent)) {
		ret = exo_refuse(call, -ESTALE, EXO_REASON_STALE, field[EXO_ZONES_OPEN], 0, 0);
		return ERR_PTR(ret);
	}
	account = exo_zone_account_alloc(parent);
	if (!account) {
		exo_zone_account_unuse(parent);
		ret = exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
		return ERR_PTR(ret);
	}
	if (!exo_zone_account_take(account, quota, &kind, &left)) {
		exo_zone_account_unuse(account);
		exo_zone_account_put(account);
		ret = exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET, field[kind], quota[kind], left);
		return ERR_PTR(ret);
	}
	if (!exo_zone_account_shares(account))
		exo_zone_account_unuse(parent);
	return account;
}

static u32 exo_budget_describe(struct exo_budget *budget, u32 *used)
{
	*used = budget ? exo_budget_used(budget) : 0;
	return budget ? budget->limit : 0;
}

void exo_zone_account_describe(struct exo_zone_account *account, struct exo_cap_query *query)
{
	if (!account)
		return;
	query->out_open_zones =
		exo_budget_describe(account->budget[EXO_ZONES_OPEN], &query->out_open_zones_used);
	query->out_active_zones = exo_budget_describe(account->budget[EXO_ZONES_ACTIVE],
						      &query->out_active_zones_used);
}

/* ---- zones of a namespace ---- */

static int exo_zones_alloc_tracking(struct exo_zones *zones)
{
	u32 i, kind;

	zones->zone = kvcalloc(zones->count, sizeof(*zones->zone), GFP_KERNEL);
	zones->account = exo_zone_account_alloc(NULL);
	if (!zones->zone || !zones->account)
		return -ENOMEM;
	for (i = 0; i < zones->count; i++)
		spin_lock_init(&zones->zone[i].lock);
	for (kind = 0; kind < EXO_ZONES_KINDS; kind++) {
		if (!zones->limit[kind])
			continue;
		exo_budget_init(&zones->account->own[kind], NULL, zones->limit[kind]);
		zones->account->budget[kind] = &zones->account->own[kind];
	}
	return 0;
}

struct exo_zones *exo_zones_alloc(u32 shift, u32 count, const u32 limit[EXO_ZONES_KINDS])
{
	struct exo_zones *zones = kzalloc(sizeof(*zones), GFP_KERNEL);

	if (!zones)
		return NULL;
	zones->shift = shift;
	zones->count = count;
	memcpy(zones->limit, limit, sizeof(zones->limit));
	if ((limit[EXO_ZONES_OPEN] || limit[EXO_ZONES_ACTIVE]) && exo_zones_alloc_tracking(zones)) {
		exo_zones_free(zones);
		return NULL;
	}
	return zones;
}

void exo_zones_free(struct exo_zones *zones)
{
	u32 i, kind;

	if (!zones)
		return;
	for (i = 0; zones->zone && i < zones->count; i++)
		for (kind = 0; kind < EXO_ZONES_KINDS; kind++)
			exo_zone_account_put(zones->zone[i].charged[kind]);
	kvfree(zones->zone);
	exo_zone_account_put(zones->account);
	kfree(zones);
}

/* ---- charging ---- */

static void exo_zone_discharge(struct exo_zone *zone, u32 kind)
{
	struct exo_zone_account *account = zone->charged[kind];

	lockdep_assert_held(&zone->lock);
	if (!account)
		return;
	zone->charged[kind] = NULL;
	exo_budget_give(account->budget[kind], 1);
	exo_zone_account_put(account);
}

static int exo_zone_charge(struct exo_zone *zone, struct exo_zone_account *account, u64 block,
			   struct exo_detail *detail)
{
	bool charged[EXO_ZONES_KINDS] = {};
	u32 kind;
	u64 left;

	lockdep_assert_held(&zone->lock);
	for (kind = 0; kind < EXO_ZONES_KINDS; kind++) {
		if (zone->charged[kind] || !account->budget[kind])
			continue;
		if (!exo_budget_take(account->budget[kind], 1, &left))
			goto out_discharge;
		exo_zone_account_get(account);
		zone->charged[kind] = account;
		charged[kind] = true;
	}
	return 0;

out_discharge:
	exo_deny(detail, -EDQUOT, EXO_REASON_ZONE_QUOTA, kind, block, account->budget[kind]->limit);
	while (kind--)
		if (charged[kind])
			exo_zone_discharge(zone, kind);
	return -EDQUOT;
}

int exo_zone_enter(struct exo_queue *q, u32 cid, const struct exo_queue_extent *extent, u64 block,
		   u32 ends, struct exo_detail *detail)
{
	const struct exo_zones *zones = extent->zones;
	u32 index = array_index_nospec(block >> zones->shift, zones->count);
	struct exo_zone_slot *slot = &q->zone_slots[array_index_nospec(cid, q->depth)];
	struct exo_zone *zone = &zones->zone[index];
	int ret;

	lockdep_assert_held(&q->lock);
	guard(spinlock)(&zone->lock);
	if (!ends) {
		ret = exo_zone_charge(zone, extent->account, block, detail);
		if (ret)
			return ret;
		zone->sequence++;
		zone->in_flight++;
	}
	/* While one is in flight that may open it, no end tells how it was left. */
	*slot = (struct exo_zone_slot){
		.zone = zone,
		.sequence = zone->in_flight ? 0 : zone->sequence,
		.ends = ends,
	};
	return 0;
}

void exo_zone_leave(struct exo_queue *q, u32 cid, bool success)
{
	struct exo_zone_slot *slot = &q->zone_slots[cid];
	struct exo_zone *zone = slot->zone;
	u32 kind;

	lockdep_assert_held(&q->lock);
	if (!zone)
		return;
	slot->zone = NULL;
	guard(spinlock)(&zone->lock);
	if (!slot->ends) {
		zone->in_flight--;
		return;
	}
	if (!success || slot->sequence != zone->sequence)
		return;
	for (kind = 0; kind < EXO_ZONES_KINDS; kind++)
		if (slot->ends & BIT(kind))
			exo_zone_discharge(zone, kind);
}

void exo_zone_leave_all(struct exo_queue *q)
{
	u32 cid;

	guard(mutex)(&q->lock);
	for (cid = 0; q->zone_slots && cid < q->depth; cid++)
		exo_zone_leave(q, cid, false);
}
