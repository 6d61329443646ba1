/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shape of the derivation trees: who hangs below whom.
 *
 * A node is held while a session holds it. When it is dropped its children stay where
 * they are: a node with children remains in the tree as a *ghost*, which nobody holds
 * and which keeps no object alive, until the last of them is gone. So drop is O(1), and
 * whoever holds a node above still reaches everything below. Roots are ghosts from
 * birth; a *claim* is a capability to the root itself: what is derived from it hangs
 * from the root, and what is taken back through it is everything below the root.
 *
 * exo_tree_lock guards the shape of all trees. It is a leaf, held for a few pointer
 * writes or for a number of steps that has a limit: every walk lets go of it again and
 * again, standing on a *pinned* node, which stays linked until it is unpinned.
 */
#ifndef EXO_TREE_H
#define EXO_TREE_H

#include <linux/types.h>

struct exo_cap;
struct exo_object;

/* A node that nobody holds and that is never taken: a root. */
void exo_tree_init_root(struct exo_cap *root);
void exo_tree_end_root(struct exo_cap *root);

/*
 * @cap becomes held, below what @from is a capability to. -ESTALE: @from is not held
 * any more; -EBUSY: something above is being revoked.
 */
int exo_tree_link(struct exo_cap *cap, struct exo_cap *from);

/*
 * May its holder have it at last? -ESTALE: it was taken since it was linked; -EBUSY: it is
 * being revoked.
 */
int exo_tree_check(const struct exo_cap *cap);

/* Held no more. True: by this call, and the caller tears it down. */
bool exo_tree_let_go(struct exo_cap *cap);

/* Unlinks a childless ghost, and each ghost above it that this leaves childless. */
void exo_tree_prune(struct exo_cap *cap);

/* ---- revocation ---- */

/*
 * The capability is being taken back; its holder will be told so, not of its object's death.
 * True: by this call.
 */
bool exo_tree_stop(struct exo_cap *cap);

/* What hangs below: of a claim, below its root. */
struct exo_cap *exo_tree_top(struct exo_cap *cap);

/*
 * From now on nothing grows below @top. False: @cap, through which it is done (NULL: by a
 * capability further above), was dropped.
 */
bool exo_tree_begin_revocation(const struct exo_cap *cap, struct exo_cap *top);
void exo_tree_end_revocation(struct exo_cap *top);

/*
 * Is nothing left below @top? Sleepers on exo_tree_wait look again after each change, and
 * after each frame that came back; the generation is another after each.
 */
bool exo_tree_empty(struct exo_cap *top);
/* Does @cap itself hang in the tree no more? Likewise. */
bool exo_tree_gone(struct exo_cap *cap);
void exo_tree_changed(void);
u32 exo_tree_generation(void);
extern struct wait_queue_head exo_tree_wait;

/*
 * A leaf below @top, taken from its holder: a reference, and the caller tears it down.
 * NULL: nothing is left. -EAGAIN: somebody else is at work on what is left.
 */
struct exo_cap *exo_tree_take_leaf(struct exo_cap *top);

/* ---- walks ---- */

/**
 * struct exo_walk - a walk over all that hangs below a node, parents first
 * @top: where it began; not visited
 * @at: the node it stands on, pinned; NULL: at the end
 * @claims: it also visits claims to a root at the top; set it after the beginning
 */
struct exo_walk {
	struct exo_cap *top;
	struct exo_cap *at;
	bool claims;
};

void exo_walk_begin(struct exo_walk *walk, struct exo_cap *top);

/* The next nodes, up to @max, each with a reference. 0: the end. */
u32 exo_walk_next(struct exo_walk *walk, struct exo_cap **nodes, u32 max);

/* Must be called, also after the end. */
void exo_walk_end(struct exo_walk *walk);

/*
 * The node with that number below @top: a reference. NULL: there is none; -EINTR: a fatal
 * signal ended the search, which looks at all of them.
 */
struct exo_cap *exo_tree_find(struct exo_cap *top, u64 serial);

/* ---- holders of an object ---- */

/* Some of them, with a reference each. */
u32 exo_tree_holders(struct exo_object *obj, struct exo_cap **caps, u32 max);

/* One of them, taken from its holder: a reference, and the caller tears it down. */
struct exo_cap *exo_tree_take_holder(struct exo_object *obj);

/* A held capability of @obj that was not returned before: a reference, or NULL. */
struct exo_cap *exo_tree_untold(struct exo_object *obj);

#endif
