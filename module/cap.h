/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Capabilities: numbered rights of a session to a range of an object, each a node of a
 * derivation tree (tree.h).
 */
#ifndef EXO_CAP_H
#define EXO_CAP_H

#include <linux/err.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>

#include "object.h"
#include "tree.h"
#include "view.h"

struct exo_call;
struct exo_session;
struct exo_zone_account;

/* In exo_cap.usable while it can be used at all: beside EXO_RIGHT_*. */
#define EXO_CAP_LIVE BIT(31)

/**
 * struct exo_cap - a node of the derivation tree
 * @ref: the tree, the session's table and each user in flight
 * @object: what it is a right to; a reference, until the node is freed
 * @usable: its rights and EXO_CAP_LIVE; 0: it was taken back, or is about to be. What every
 *	look-up checks
 * @rights: EXO_RIGHT_*, also of what was taken
 * @start: first unit of its range
 * @len: units
 * @id: its number in its session
 * @session: the holder's; a reference. NULL: a root
 * @serial: its own number, never reused
 * @zones: of an extent: the account of open and active zones that it is charged to; a
 *	reference. NULL: none
 * @placement: likewise: placement identifiers that it may name, as bits
 *
 * Under exo_tree_lock (tree.h), but for @parent, @depth and @claim, which are fixed:
 * @parent: below which it hangs; a reference. NULL: a root
 * @children: what was derived from it
 * @sibling: in @parent's @children
 * @on_object: in the object's @holders, while held
 * @depth: derivations below the root
 * @claim: a capability to the root above it
 * @held: a session holds it
 * @told: its holder knows that the object died
 * @stopped: it is being taken back; counted in the object's @stopped while held
 * @pins: walks that stand on it
 * @revoking: revocations of what hangs below it
 *
 * @lock: bindings; held while they end, so for long; taken before any lock of a space,
 *	a controller or a queue, never under mmap_lock
 * @bindings: secure bindings made with it, under @lock
 * @dead: no more bindings; set under @lock
 * @slot: its mappings
 * @tokens: of it; with @tokens_ended under the lock of tokens (token.c)
 * @tokens_ended: no more of them
 * @deadline: it was asked back, until then (CLOCK_MONOTONIC, ns); 0: it was not.
 *	Under the lock of the session's table
 * @wanted: how many frames were asked for; 0: all of it. Likewise
 * @contended: another revocation would have asked, too. Likewise
 * @rcu: look-ups run under RCU
 */
struct exo_cap {
	struct kref ref;
	u32 usable;
	struct exo_object *object;
	u64 start;
	u64 len;
	u32 rights;
	u32 id;
	struct exo_session *session;
	u64 serial;
	struct exo_zone_account *zones;
	u64 placement;

	struct exo_cap *parent;
	struct list_head children;
	struct list_head sibling;
	struct list_head on_object;
	u32 depth;
	bool claim;
	bool held;
	bool told;
	bool stopped;
	u32 pins;
	u32 revoking;

	struct mutex lock;
	struct list_head bindings;
	bool dead;

	struct exo_view_slot slot;

	struct list_head tokens;
	bool tokens_ended;

	u64 deadline;
	u64 wanted;
	bool contended;

	struct rcu_head rcu;
};

/**
 * struct exo_cap_spec - what a new capability is to be
 * @object, @start, @len, @rights, @claim: as in struct exo_cap
 * @zones: likewise; NULL: that of what it is derived from
 * @placement: likewise
 * @fresh: the first of @object: its creator's name and use end with the giving, however
 *	that ends; the creator's reference stays
 */
struct exo_cap_spec {
	struct exo_object *object;
	u64 start;
	u64 len;
	u32 rights;
	bool claim;
	bool fresh;
	struct exo_zone_account *zones;
	u64 placement;
};

/* There may be a million of them: they have a cache of their own. */
int exo_cap_init_cache(void);
void exo_cap_exit_cache(void);

void exo_cap_init_root(struct exo_cap *root);

/*
 * A getter looks up, checks type and rights, and takes a reference; @field is the
 * offset of the number in the argument. A capability whose object is gone is
 * -ESTALE, except through exo_cap_get_any(), which takes any type and state, and leaves the
 * rest to exo_cap_check().
 */
struct exo_cap *exo_cap_get(struct exo_call *call, u32 field, u32 id, u32 type, u32 rights);

/* What a getter gave, if it has one of @rights at least; else it is refused, and put. */
struct exo_cap *exo_cap_with_any(struct exo_call *call, struct exo_cap *cap, u32 field, u32 rights);
struct exo_cap *exo_cap_get_any(struct exo_call *call, u32 field, u32 id);
int exo_cap_check(struct exo_call *call, struct exo_cap *cap, u32 field, u32 type, u32 rights);
struct exo_cap *exo_cap_lookup(struct exo_session *session, u32 id);
void exo_cap_put(struct exo_cap *cap);
DEFINE_FREE(exo_cap_put, struct exo_cap *, if (!IS_ERR_OR_NULL(_T)) exo_cap_put(_T))

/*
 * A new capability for the calling session: reserves a number, writes it to *out and
 * its mmap() offset to *offset (may be NULL), answers the program, publishes. -ESTALE if
 * @parent was dropped, or it was taken meanwhile, -EBUSY if something above is being revoked.
 */
int exo_cap_give(struct exo_call *call, struct exo_cap *parent, const struct exo_cap_spec *spec,
		 u32 *out, u64 *offset);

/* Death of one node. The caller has removed it from its session's table. */
void exo_cap_end(struct exo_cap *cap);

/*
 * Revocation: stopping makes it unusable and begins what has to be waited for; repossessing
 * ends it, after exo_tree_take_leaf(), and leaves its number to its holder as a record.
 */
void exo_cap_stop(struct exo_cap *cap);
void exo_cap_repossess(struct exo_cap *cap);

/* Taken back, or its object is gone. */
static inline bool exo_cap_gone(const struct exo_cap *cap)
{
	return !READ_ONCE(cap->usable) || exo_object_gone(cap->object);
}

/* One more use of its object, for a capability that may end meanwhile. */
bool exo_cap_use(struct exo_cap *cap);

int exo_cap_derive(struct exo_call *call);
int exo_cap_query(struct exo_call *call);

/**
 * struct exo_child - what a program wants derived from a capability
 * @rights, @start, @len: as in struct exo_cap_derive
 * @rights_field, @start_field, @len_field: where in the argument they were
 */
struct exo_child {
	u32 rights;
	u64 start;
	u64 len;
	u32 rights_field;
	u32 start_field;
	u32 len_field;
};

/* Rights and range only shrink. Fills *spec but for the object. */
int exo_cap_check_child(struct exo_call *call, const struct exo_cap *parent,
			const struct exo_child *child, struct exo_cap_spec *spec);

/* Are the rights of a command that makes a child sane for @type, and held? */
int exo_cap_check_rights(struct exo_call *call, u32 field, u32 rights, u32 held);

#endif
