// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an object: named by capabilities, killed once, freed last.
 */
#include "object.h"

static atomic64_t exo_serials = ATOMIC64_INIT(0);

/* One reference and one name, both the caller's. */
void exo_object_init(struct exo_object *obj, const struct exo_object_ops *ops)
{
	obj->ops = ops;
	kref_init(&obj->ref);
	atomic_set(&obj->caps, 1);
	obj->serial = atomic64_inc_return(&exo_serials);
	mutex_init(&obj->kill_lock);
	obj->dead = false;
}

static void exo_object_release(struct kref *ref)
{
	struct exo_object *obj = container_of(ref, struct exo_object, ref);

	mutex_destroy(&obj->kill_lock);
	obj->ops->release(obj);
}

void exo_object_put(struct exo_object *obj)
{
	kref_put(&obj->ref, exo_object_release);
}

/* The one path on which objects die. Returns when the object is dead, whoever killed it. */
void exo_object_kill(struct exo_object *obj)
{
	const struct exo_object_ops *ops = obj->ops;

	guard(mutex)(&obj->kill_lock);
	if (obj->dead)
		return;
	WRITE_ONCE(obj->dead, true);

	if (ops->stop)
		ops->stop(obj);
	if (ops->drain)
		ops->drain(obj);
	if (ops->unbind)
		ops->unbind(obj);
}

/* One more capability names the object, unless the last one is already gone. */
bool exo_object_name(struct exo_object *obj)
{
	return atomic_inc_not_zero(&obj->caps);
}

void exo_object_unname(struct exo_object *obj)
{
	if (atomic_dec_and_test(&obj->caps))
		exo_object_kill(obj);
}
