// SPDX-License-Identifier: GPL-2.0
/*
 * The shape of the derivation trees, and the laws that depend on it: nothing grows
 * below a dropped node or below one that is being revoked; leaves go first.
 */
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "cap.h"
#include "tree.h"

#define EXO_TREE_BATCH 16

static DEFINE_SPINLOCK(exo_tree_lock);
static atomic_t exo_tree_changes = ATOMIC_INIT(0);
DECLARE_WAIT_QUEUE_HEAD(exo_tree_wait);

/* ---- links ---- */

void exo_tree_init_root(struct exo_cap *root)
{
	root->held = true;
}

/* Nothing is derived from it any more; what was derived keeps its place until it is dropped. */
void exo_tree_end_root(struct exo_cap *root)
{
	guard(spinlock)(&exo_tree_lock);
	root->held = false;
}

/* At most EXO_DEPTH_MAX steps. */
static bool exo_tree_revoking(const struct exo_cap *cap)
{
	lockdep_assert_held(&exo_tree_lock);
	for (; cap; cap = cap->parent)
		if (cap->revoking)
			return true;
	return false;
}

/* Claims come last among the children of a root, so that the first child tells. */
int exo_tree_link(struct exo_cap *cap, struct exo_cap *from)
{
	struct exo_cap *parent = cap->parent;

	guard(spinlock)(&exo_tree_lock);
	if (!from->held || !parent->held || READ_ONCE(cap->object->closed))
		return -ESTALE;
	if (!cap->claim && exo_tree_revoking(parent))
		return -EBUSY;
	if (cap->claim)
		list_add_tail(&cap->sibling, &parent->children);
	else
		list_add(&cap->sibling, &parent->children);
	list_add(&cap->on_object, &cap->object->holders);
	cap->held = true;
	kref_get(&cap->ref); /* the tree's */
	return 0;
}

int exo_tree_check(const struct exo_cap *cap)
{
	guard(spinlock)(&exo_tree_lock);
	if (!cap->held)
		return -ESTALE;
	return !cap->claim && exo_tree_revoking(cap) ? -EBUSY : 0;
}

static bool exo_tree_unhold(struct exo_cap *cap)
{
	lockdep_assert_held(&exo_tree_lock);
	if (!cap->held)
		return false;
	cap->held = false;
	list_del_init(&cap->on_object);
	if (cap->stopped)
		atomic_dec(&cap->object->stopped);
	return true;
}

bool exo_tree_let_go(struct exo_cap *cap)
{
	guard(spinlock)(&exo_tree_lock);
	return exo_tree_unhold(cap);
}

static bool exo_tree_unlink(struct exo_cap *cap)
{
	guard(spinlock)(&exo_tree_lock);
	if (cap->held || cap->pins || !list_empty(&cap->children) || list_empty(&cap->sibling))
		return false;
	list_del_init(&cap->sibling);
	return true;
}

void exo_tree_prune(struct exo_cap *cap)
{
	kref_get(&cap->ref);
	while (cap->parent && exo_tree_unlink(cap)) {
		struct exo_cap *parent = cap->parent;

		kref_get(&parent->ref);
		exo_cap_put(cap); /* the tree's */
		exo_cap_put(cap);
		cap = parent;
	}
	exo_cap_put(cap);
	exo_tree_changed();
}

void exo_tree_changed(void)
{
	atomic_inc(&exo_tree_changes);
	if (wq_has_sleeper(&exo_tree_wait))
		wake_up_all(&exo_tree_wait);
}

u32 exo_tree_generation(void)
{
	return atomic_read(&exo_tree_changes);
}

/* ---- revocation ---- */

/* Those that were told stand at the end of the list. */
static void exo_tree_told(struct exo_cap *cap)
{
	lockdep_assert_held(&exo_tree_lock);
	cap->told = true;
	list_move_tail(&cap->on_object, &cap->object->holders);
}

bool exo_tree_stop(struct exo_cap *cap)
{
	guard(spinlock)(&exo_tree_lock);
	if (!cap->held || cap->stopped)
		return false;
	cap->stopped = true;
	exo_tree_told(cap);
	atomic_inc(&cap->object->stopped);
	return true;
}

struct exo_cap *exo_tree_top(struct exo_cap *cap)
{
	return cap->claim ? cap->parent : cap;
}

bool exo_tree_begin_revocation(const struct exo_cap *cap, struct exo_cap *top)
{
	guard(spinlock)(&exo_tree_lock);
	if (cap && !cap->held)
		return false;
	top->revoking++;
	return true;
}

void exo_tree_end_revocation(struct exo_cap *top)
{
	guard(spinlock)(&exo_tree_lock);
	top->revoking--;
}

static struct exo_cap *exo_tree_first_child(struct exo_cap *cap)
{
	struct exo_cap *child = list_first_entry_or_null(&cap->children, struct exo_cap, sibling);

	lockdep_assert_held(&exo_tree_lock);
	return child && !child->claim ? child : NULL;
}

bool exo_tree_empty(struct exo_cap *top)
{
	guard(spinlock)(&exo_tree_lock);
	return !exo_tree_first_child(top);
}

bool exo_tree_gone(struct exo_cap *cap)
{
	guard(spinlock)(&exo_tree_lock);
	return list_empty(&cap->sibling);
}

struct exo_cap *exo_tree_take_leaf(struct exo_cap *top)
{
	struct exo_cap *leaf = NULL, *child = top;

	guard(spinlock)(&exo_tree_lock);
	while ((child = exo_tree_first_child(child)))
		leaf = child;
	if (!leaf)
		return NULL;
	if (!exo_tree_unhold(leaf))
		return ERR_PTR(-EAGAIN);
	kref_get(&leaf->ref);
	return leaf;
}

/* ---- walks ---- */

/* Parents first. At most EXO_DEPTH_MAX steps. */
static struct exo_cap *exo_tree_next(const struct exo_walk *walk, struct exo_cap *cap)
{
	struct exo_cap *next = list_first_entry_or_null(&cap->children, struct exo_cap, sibling);

	lockdep_assert_held(&exo_tree_lock);
	if (next && next->claim && !walk->claims)
		next = NULL;
	while (!next && cap != walk->top) {
		if (!list_is_last(&cap->sibling, &cap->parent->children))
			next = list_next_entry(cap, sibling);
		if (next && next->claim && !walk->claims)
			next = NULL;
		cap = cap->parent;
	}
	return next;
}

void exo_walk_begin(struct exo_walk *walk, struct exo_cap *top)
{
	kref_get(&top->ref);
	walk->top = top;
	walk->at = top;
	walk->claims = false;
	guard(spinlock)(&exo_tree_lock);
	top->pins++;
}

/* Moves the pin; the node left behind may be a ghost that waited for this. */
static void exo_walk_move(struct exo_walk *walk, struct exo_cap *to)
{
	struct exo_cap *from = walk->at;

	lockdep_assert_held(&exo_tree_lock);
	from->pins--;
	if (to) {
		to->pins++;
		kref_get(&to->ref);
	}
	walk->at = to;
}

u32 exo_walk_next(struct exo_walk *walk, struct exo_cap **nodes, u32 max)
{
	struct exo_cap *from = walk->at, *at = from;
	u32 n = 0;

	if (!from)
		return 0;
	scoped_guard(spinlock, &exo_tree_lock) {
		while (n < max && (at = exo_tree_next(walk, at))) {
			kref_get(&at->ref);
			nodes[n++] = at;
		}
		exo_walk_move(walk, at);
	}
	exo_tree_prune(from);
	exo_cap_put(from);
	cond_resched();
	return n;
}

void exo_walk_end(struct exo_walk *walk)
{
	struct exo_cap *from = walk->at;

	if (!from)
		return;
	scoped_guard(spinlock, &exo_tree_lock)
		exo_walk_move(walk, NULL);
	exo_tree_prune(from);
	exo_cap_put(from);
}

/* Of a batch, the one with that number; the others are given back. */
static struct exo_cap *exo_tree_pick(struct exo_cap **nodes, u32 n, u64 serial)
{
	struct exo_cap *found = NULL;
	u32 i;

	for (i = 0; i < n; i++) {
		if (nodes[i]->serial == serial)
			found = nodes[i];
		else
			exo_cap_put(nodes[i]);
	}
	return found;
}

struct exo_cap *exo_tree_find(struct exo_cap *top, u64 serial)
{
	struct exo_cap *nodes[EXO_TREE_BATCH], *found = NULL;
	struct exo_walk walk;
	u32 n;

	exo_walk_begin(&walk, top);
	while (!found && (n = exo_walk_next(&walk, nodes, EXO_TREE_BATCH))) {
		found = exo_tree_pick(nodes, n, serial);
		if (!found && fatal_signal_pending(current))
			found = ERR_PTR(-EINTR);
	}
	exo_walk_end(&walk);
	return found;
}

/* ---- holders ---- */

u32 exo_tree_holders(struct exo_object *obj, struct exo_cap **caps, u32 max)
{
	struct exo_cap *cap;
	u32 n = 0;

	guard(spinlock)(&exo_tree_lock);
	list_for_each_entry(cap, &obj->holders, on_object) {
		if (n == max)
			break;
		kref_get(&cap->ref);
		caps[n++] = cap;
	}
	return n;
}

struct exo_cap *exo_tree_take_holder(struct exo_object *obj)
{
	struct exo_cap *cap;

	guard(spinlock)(&exo_tree_lock);
	cap = list_first_entry_or_null(&obj->holders, struct exo_cap, on_object);
	if (!cap)
		return NULL;
	exo_tree_unhold(cap);
	kref_get(&cap->ref);
	return cap;
}

struct exo_cap *exo_tree_untold(struct exo_object *obj)
{
	struct exo_cap *cap;

	guard(spinlock)(&exo_tree_lock);
	cap = list_first_entry_or_null(&obj->holders, struct exo_cap, on_object);
	if (!cap || cap->told)
		return NULL;
	exo_tree_told(cap);
	kref_get(&cap->ref);
	return cap;
}
