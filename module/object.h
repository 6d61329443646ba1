/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Objects: what capabilities are rights to. An object lives while a capability
 * names it, its memory while anything refers to it. However it ends (its last
 * capability dropped, its session closed, its device unbound), it ends in
 * exo_object_kill(), once, in the phases of struct exo_object_ops.
 */
#ifndef EXO_OBJECT_H
#define EXO_OBJECT_H

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/exo.h>

struct exo_cap;
struct exo_cap_query;
struct exo_object;
struct vm_area_struct;

/**
 * struct exo_object_ops - what a type of object does
 * @type: EXO_TYPE_*
 * @rights: rights that are meaningful for it
 * @ranged: its capabilities have a range
 * @gone: the device behind it is gone, though nobody killed it yet
 * @stop: death, phase 1: no new uses; must not wait
 * @drain: death, phase 2: wait for uses in flight, by a deadline
 * @unbind: death, phase 3: give back what the hardware held
 * @release: the last reference is gone: free it
 * @describe: fill the type's part of an answer to EXO_CAP_QUERY
 * @map_check: may @cap be mapped this way; the VMA's offset is already
 *	relative to the object. NULL: it cannot be mapped
 * @map_pfn: the frame at a page offset; *order may be set to EXO_ORDER_2M
 *	if it begins, aligned, a contiguous run of that order
 * @map_outlives: mappings stay when the capability ends because the object died
 */
struct exo_object_ops {
	u32 type;
	u32 rights;
	bool ranged;
	bool (*gone)(struct exo_object *obj);
	void (*stop)(struct exo_object *obj);
	void (*drain)(struct exo_object *obj);
	void (*unbind)(struct exo_object *obj);
	void (*release)(struct exo_object *obj);
	void (*describe)(struct exo_object *obj, struct exo_cap_query *query);
	int (*map_check)(struct exo_cap *cap, struct vm_area_struct *vma);
	bool (*map_pfn)(struct exo_object *obj, pgoff_t page, unsigned long *pfn, u32 *order);
	bool map_outlives;
};

/**
 * struct exo_object - the common part
 * @ops: its type
 * @ref: references to the memory
 * @caps: capabilities that name it; 0: dead or dying
 * @serial: its number, never reused
 * @kill_lock: makes later killers wait for the first
 * @dead: set once, under @kill_lock; read without it, where a late answer is as
 *	good as an early one
 */
struct exo_object {
	const struct exo_object_ops *ops;
	struct kref ref;
	atomic_t caps;
	u64 serial;
	struct mutex kill_lock;
	bool dead;
};

void exo_object_init(struct exo_object *obj, const struct exo_object_ops *ops);
void exo_object_kill(struct exo_object *obj);
void exo_object_put(struct exo_object *obj);
bool exo_object_name(struct exo_object *obj);
void exo_object_unname(struct exo_object *obj);

static inline void exo_object_get(struct exo_object *obj)
{
	kref_get(&obj->ref);
}

static inline bool exo_object_gone(struct exo_object *obj)
{
	return READ_ONCE(obj->dead) || (obj->ops->gone && obj->ops->gone(obj));
}

#endif
