// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an object: named by capabilities, killed once, freed last.
 */
#include "object.h"

static atomic64_t exo_serials = ATOMIC64_INIT(0);

/* One reference, one use and one name, all the caller's. */
void exo_object_init(struct exo_object *obj, const struct exo_object_ops *ops)
{
	obj->ops = ops;
	kref_init(&obj->ref);
	atomic_set(&obj->uses, 1);
	atomic_set(&obj->caps, 1);
	atomic_set(&obj->stopped, 0);
	INIT_LIST_HEAD(&obj->holders);
	INIT_LIST_HEAD(&obj->views);
	mutex_init(&obj->views_lock);
	obj->serial = atomic64_inc_return(&exo_serials);
	mutex_init(&obj->kill_lock);
	obj->closed = false;
	obj->dead = false;
}

static void exo_object_release(struct kref *ref)
{
	struct exo_object *obj = container_of(ref, struct exo_object, ref);

	mutex_destroy(&obj->views_lock);
	mutex_destroy(&obj->kill_lock);
	obj->ops->release(obj);
}

void exo_object_put(struct exo_object *obj)
{
	kref_put(&obj->ref, exo_object_release);
}

bool exo_object_put_last(struct exo_object *obj)
{
	if (!refcount_dec_and_test(&obj->ref.refcount))
		return false;
	mutex_destroy(&obj->views_lock);
	mutex_destroy(&obj->kill_lock);
	return true;
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

/* The use first: whoever ends the last name and the last use meanwhile must not see neither. */
bool exo_object_name(struct exo_object *obj)
{
	if (READ_ONCE(obj->closed) || !atomic_inc_not_zero(&obj->uses))
		return false;
	if (atomic_inc_not_zero(&obj->caps))
		return true;
	exo_object_unuse(obj);
	return false;
}

void exo_object_drop_name(struct exo_object *obj)
{
	if (atomic_dec_and_test(&obj->caps))
		exo_object_kill(obj);
}

void exo_object_unuse(struct exo_object *obj)
{
	if (atomic_dec_and_test(&obj->uses) && obj->ops->reclaim)
		obj->ops->reclaim(obj);
}

void exo_object_unname(struct exo_object *obj)
{
	exo_object_drop_name(obj);
	exo_object_unuse(obj);
}

void exo_object_let_go(struct exo_object *obj)
{
	exo_object_unname(obj);
	exo_object_put(obj);
}

void exo_object_stop_if_all(struct exo_object *obj)
{
	if (obj->ops->early_stop && atomic_read(&obj->stopped) >= atomic_read(&obj->caps))
		obj->ops->early_stop(obj);
}
