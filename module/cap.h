/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Capabilities and the tree they are derived in.
 *
 * A node is alive while a session holds it. When it is dropped its children stay
 * where they are: a node with children remains in the tree as a *ghost*, which nobody
 * holds and which keeps no object alive, until the last of them is gone. So drop is O(1), and
 * whoever holds a node above still reaches everything below. Roots are ghosts
 * from birth.
 */
#ifndef EXO_CAP_H
#define EXO_CAP_H

#include <linux/err.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>

#include "object.h"

struct exo_call;
struct exo_session;
struct exo_view;

/**
 * struct exo_cap - a node of the derivation tree
 * @ref: the tree, the session's table and each user in flight
 * @object: what it is a right to; a reference, until the node is freed
 * @start: first unit of its range
 * @len: units
 * @rights: EXO_RIGHT_*
 * @id: its number in its session
 * @session: the holder's
 * @parent: derived from; a reference. NULL: a root. Fixed
 * @children: under exo_tree_lock
 * @sibling: in @parent's @children, under exo_tree_lock
 * @depth: derivations below the root
 * @held: a session holds it; under exo_tree_lock
 * @lock: bindings; held while they end, so for long; taken before any lock of a space,
 *	a controller or a queue, never under mmap_lock
 * @bindings: secure bindings made with it, under @lock
 * @dead: no more bindings; set under @lock
 * @view_lock: guards @view and @view_dead; short; taken under mmap_lock
 * @view: its mapping, once there is one
 * @view_dead: no more mappings
 * @rcu: look-ups run under RCU
 */
struct exo_cap {
	struct kref ref;
	struct exo_object *object;
	u64 start;
	u64 len;
	u32 rights;
	u32 id;
	struct exo_session *session;

	struct exo_cap *parent;
	struct list_head children;
	struct list_head sibling;
	u32 depth;
	bool held;

	struct mutex lock;
	struct list_head bindings;
	bool dead;

	struct mutex view_lock;
	struct exo_view *view;
	bool view_dead;

	struct rcu_head rcu;
};

/* What a new capability is to be. */
struct exo_cap_spec {
	struct exo_object *object;
	u64 start;
	u64 len;
	u32 rights;
};

/* Roots: embedded in what they are the root of. */
void exo_cap_init_root(struct exo_cap *root);
void exo_cap_end_root(struct exo_cap *root);

/*
 * A getter looks up, checks type and rights, and takes a reference; @field is the
 * offset of the number in the argument. A capability whose object is gone is
 * -ESTALE, except through exo_cap_get_any(), which takes any type and state.
 */
struct exo_cap *exo_cap_get(struct exo_call *call, u32 field, u32 id, u32 type, u32 rights);
struct exo_cap *exo_cap_get_any(struct exo_call *call, u32 field, u32 id);
struct exo_cap *exo_cap_lookup(struct exo_session *session, u32 id);
void exo_cap_put(struct exo_cap *cap);
DEFINE_FREE(exo_cap_put, struct exo_cap *, if (!IS_ERR_OR_NULL(_T)) exo_cap_put(_T))

/*
 * A new capability for the calling session: reserves a number, writes it to *out and
 * its mmap() offset to *offset (may be NULL), answers the program, publishes. -ESTALE if @parent was dropped meanwhile.
 */
int exo_cap_give(struct exo_call *call, struct exo_cap *parent, const struct exo_cap_spec *spec,
		 u32 *out, u64 *offset);

/* Death of one node. The caller has removed it from its session's table. */
void exo_cap_end(struct exo_cap *cap);

int exo_cap_derive(struct exo_call *call);
int exo_cap_query(struct exo_call *call);

/* Are the rights of a command that makes a child sane for @type, and held? */
int exo_cap_check_rights(struct exo_call *call, u32 field, u32 rights, u32 held);

#endif
