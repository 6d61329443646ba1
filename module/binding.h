/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Secure bindings: what a capability has attached to what. A binding ends with
 * its capability or with what it is attached to, whichever comes first; both ways
 * lead to exo_binding_sever(), which runs once, under the capability's lock. What can be
 * done without waiting may have been done before, by exo_binding_begin().
 */
#ifndef EXO_BINDING_H
#define EXO_BINDING_H

#include <linux/kref.h>
#include <linux/list.h>

struct exo_binding;
struct exo_cap;

/**
 * struct exo_binding_ops - a kind of binding
 * @begin: stop new uses; must not wait, so that the waits of many run side by side
 * @sever: wait for uses in flight, undo. May sleep, by a deadline
 * @release: free it
 */
struct exo_binding_ops {
	void (*begin)(struct exo_binding *binding);
	void (*sever)(struct exo_binding *binding);
	void (*release)(struct exo_binding *binding);
};

/**
 * struct exo_binding - the common part
 * @ops: its kind
 * @ref: the capability's list, the other side's list, and users in flight
 * @cap: made with this one; a reference
 * @on_cap: in cap->bindings; empty: severed. Under cap->lock
 * @begun: its end has begun. Under cap->lock
 */
struct exo_binding {
	const struct exo_binding_ops *ops;
	struct kref ref;
	struct exo_cap *cap;
	struct list_head on_cap;
	bool begun;
};

void exo_binding_init(struct exo_binding *binding, const struct exo_binding_ops *ops,
		      struct exo_cap *cap);
void exo_binding_publish(struct exo_binding *binding);
void exo_binding_put(struct exo_binding *binding);

/* Its end begins: cap->lock is held. */
void exo_binding_begin(struct exo_binding *binding);

/* Both return when the binding is severed, whoever did it. */
void exo_binding_sever(struct exo_binding *binding); /* cap->lock is held */
void exo_binding_end(struct exo_binding *binding);   /* it is not */

#endif
