// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a secure binding.
 */
#include "binding.h"
#include "cap.h"

/* One reference, the caller's. */
void exo_binding_init(struct exo_binding *binding, const struct exo_binding_ops *ops,
		      struct exo_cap *cap)
{
	binding->ops = ops;
	kref_init(&binding->ref);
	kref_get(&cap->ref);
	binding->cap = cap;
	INIT_LIST_HEAD(&binding->on_cap);
	binding->begun = false;
}

static void exo_binding_release(struct kref *ref)
{
	struct exo_binding *binding = container_of(ref, struct exo_binding, ref);
	struct exo_cap *cap = binding->cap;

	binding->ops->release(binding);
	exo_cap_put(cap);
}

void exo_binding_put(struct exo_binding *binding)
{
	kref_put(&binding->ref, exo_binding_release);
}

void exo_binding_publish(struct exo_binding *binding)
{
	lockdep_assert_held(&binding->cap->lock);
	kref_get(&binding->ref);
	list_add_tail(&binding->on_cap, &binding->cap->bindings);
}

void exo_binding_begin(struct exo_binding *binding)
{
	lockdep_assert_held(&binding->cap->lock);
	if (binding->begun)
		return;
	binding->begun = true;
	binding->ops->begin(binding);
}

void exo_binding_sever(struct exo_binding *binding)
{
	lockdep_assert_held(&binding->cap->lock);
	if (list_empty(&binding->on_cap))
		return;
	exo_binding_begin(binding);
	list_del_init(&binding->on_cap);
	binding->ops->sever(binding);
	exo_binding_put(binding);
}

void exo_binding_end(struct exo_binding *binding)
{
	guard(mutex)(&binding->cap->lock);
	exo_binding_sever(binding);
}
