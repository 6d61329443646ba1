/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Zones of a namespace, and the quotas for how many of them may be open and active. A
 * device has so many of either for all who use the namespace: without quotas one tenant could
 * use them all up.
 *
 * A zone is charged to the account of the extent through which the first command was
 * accepted that can make it active, or open, and from then on: until the kernel sees that a
 * command ended well that says the contrary (Reset, Finish; Close for open alone), and
 * no command that could make it so again was accepted since that one, or in flight then. What
 * the device does of its own accord (a zone becomes full) gives nothing back.
 */
#ifndef EXO_ZONE_H
#define EXO_ZONE_H

#include <linux/kref.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>

#include "budget.h"

struct exo_call;
struct exo_cap_query;
struct exo_detail;
struct exo_queue;
struct exo_queue_extent;

/* What is counted; the same order as in the ABI. */
#define EXO_ZONES_OPEN 0
#define EXO_ZONES_ACTIVE 1
#define EXO_ZONES_KINDS 2

#define EXO_ZONES_MAX (1u << 20)

/**
 * struct exo_zone_account - what extents may make open and active
 * @ref: capabilities', charged zones', child accounts'
 * @users: capabilities that are held; with the last, what is not in use goes back
 * @parent: where the quotas came from; a reference. NULL: the namespace's
 * @own: its quotas
 * @budget: what is charged: one of @own, or the parent's; NULL: there is no limit
 */
struct exo_zone_account {
	struct kref ref;
	refcount_t users;
	struct exo_zone_account *parent;
	struct exo_budget own[EXO_ZONES_KINDS];
	struct exo_budget *budget[EXO_ZONES_KINDS];
};

/**
 * struct exo_zone - one zone
 * @lock: guards the rest; inside a queue's lock
 * @in_flight: commands that can make it open
 * @sequence: such commands ever accepted
 * @charged: who is charged for it; references
 */
struct exo_zone {
	spinlock_t lock;
	u32 in_flight;
	u64 sequence;
	struct exo_zone_account *charged[EXO_ZONES_KINDS];
};

/**
 * struct exo_zones - those of a namespace
 * @shift: log2 of the blocks of each
 * @limit: how many may be open and active; 0: as many as there are
 * @account: the namespace's; NULL: there is no limit to either
 * @zone: likewise
 */
struct exo_zones {
	u32 shift;
	u32 count;
	u32 limit[EXO_ZONES_KINDS];
	struct exo_zone_account *account;
	struct exo_zone *zone;
};

/* Are they the same zones, of both namespaces? NULL: there are none. */
static inline bool exo_zones_same(const struct exo_zones *a, const struct exo_zones *b)
{
	return a && b ? a->shift == b->shift && a->count == b->count &&
				!memcmp(a->limit, b->limit, sizeof(a->limit))
		      : a == b;
}

/**
 * struct exo_zone_slot - what a command in flight does to a zone; under its queue's lock
 * @zone: NULL: nothing
 * @sequence: of the zone, if its end tells something
 * @ends: kinds (bits) that its success ends; 0: it may begin both
 */
struct exo_zone_slot {
	struct exo_zone *zone;
	u64 sequence;
	u32 ends;
};

/* @limit: as in struct exo_zones. The shape is checked by the caller. NULL: no memory */
struct exo_zones *exo_zones_alloc(u32 shift, u32 count, const u32 limit[EXO_ZONES_KINDS]);
void exo_zones_free(struct exo_zones *zones);

/*
 * What a command asks for: a share of @parent's quotas, of which the caller is a user; 0: no
 * quota of its own, but the parent's. Or why not; @field: where the quotas were.
 */
struct exo_zone_account *exo_zone_account_make(struct exo_call *call,
					       struct exo_zone_account *parent,
					       const u32 quota[EXO_ZONES_KINDS],
					       const u32 field[EXO_ZONES_KINDS]);

/* All of these take NULL, too. A use without a reference must be of one that has a user. */
void exo_zone_account_get(struct exo_zone_account *account);
void exo_zone_account_put(struct exo_zone_account *account);
bool exo_zone_account_use(struct exo_zone_account *account);
void exo_zone_account_unuse(struct exo_zone_account *account);
void exo_zone_account_describe(struct exo_zone_account *account, struct exo_cap_query *query);

/*
 * Under the queue's lock: a command that passed every other check, and its end. @ends as
 * in struct exo_zone_slot.
 */
int exo_zone_enter(struct exo_queue *q, u32 cid, const struct exo_queue_extent *extent, u64 block,
		   u32 ends, struct exo_detail *detail);
void exo_zone_leave(struct exo_queue *q, u32 cid, bool success);
/* The device has nothing of the queue any more. */
void exo_zone_leave_all(struct exo_queue *q);

#endif
