/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Objects: what capabilities are rights to. An object lives while a capability
 * names it, what it holds is kept while anybody can reach it, its memory while anything
 * refers to it. However it ends (its last capability dropped or taken, its session
 * closed, its device unbound), it ends in exo_object_kill(), once, in the phases of
 * struct exo_object_ops.
 */
#ifndef EXO_OBJECT_H
#define EXO_OBJECT_H

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/exo.h>

struct exo_cap;
struct exo_cap_query;
struct exo_object;
struct page;
struct vm_area_struct;

/**
 * struct exo_pfn - what a page table entry may name
 * @pfn: the page's number
 * @order: EXO_ORDER_2M if it begins, aligned, a contiguous run of that order
 * @registers: a device's registers, not memory
 */
struct exo_pfn {
	unsigned long pfn;
	u32 order;
	bool registers;
};

/**
 * struct exo_units - page frames that a device may reach
 * @pages: the first page of each unit
 * @order: of each unit
 */
struct exo_units {
	struct page **pages;
	u32 order;
};

/**
 * struct exo_object_ops - what a type of object does
 * @type: EXO_TYPE_*
 * @rights: rights that are meaningful for it
 * @ranged: its capabilities have a range
 * @unshared: nothing is derived from its capability, and there are no tokens of it
 * @grain: every range of it is a multiple of so many units, a power of two; NULL: of 1
 * @linked: its first capability is in the tree
 * @gone: the device behind it is gone, though nobody killed it yet
 * @stop: death, phase 1: no new uses; must not wait
 * @early_stop: all its capabilities are being revoked: the same, ahead of its death
 * @drain: death, phase 2: wait for uses in flight, by a deadline
 * @unbind: death, phase 3: give back what the hardware held
 * @forget: @cap has ended, and makes no more bindings: undo what else was set up through it
 * @reclaim: nobody can reach what it holds any more (capabilities, page tables,
 *	devices): give that back. Before @release, which may come much later
 * @release: the last reference is gone: free it
 * @units: what a device can be given of it. NULL: nothing
 * @describe: fill the type's part of an answer to EXO_CAP_QUERY
 * @map_check: may @cap (NULL: a session's own pages) be mapped this way; the VMA's
 *	offset is already relative to the object. NULL: it cannot be mapped
 * @map_pfn: what lies at a page offset, if anything
 * @map_outlives: mappings stay when the capability ends because the object died
 */
struct exo_object_ops {
	u32 type;
	u32 rights;
	bool ranged;
	bool unshared;
	u64 (*grain)(struct exo_object *obj);
	void (*linked)(struct exo_object *obj);
	bool (*gone)(struct exo_object *obj);
	void (*stop)(struct exo_object *obj);
	void (*early_stop)(struct exo_object *obj);
	void (*drain)(struct exo_object *obj);
	void (*unbind)(struct exo_object *obj);
	void (*forget)(struct exo_object *obj, const struct exo_cap *cap);
	void (*reclaim)(struct exo_object *obj);
	void (*release)(struct exo_object *obj);
	void (*units)(struct exo_object *obj, struct exo_units *units);
	void (*describe)(struct exo_object *obj, struct exo_cap_query *query);
	int (*map_check)(struct exo_object *obj, const struct exo_cap *cap,
			 struct vm_area_struct *vma);
	bool (*map_pfn)(struct exo_object *obj, pgoff_t page, struct exo_pfn *at);
	bool map_outlives;
};

/**
 * struct exo_object - the common part
 * @ops: its type
 * @ref: references to the memory
 * @uses: who can reach what it holds: capabilities, views, attachments, quarantine
 * @caps: capabilities that name it; 0: dead or dying
 * @stopped: of these, those that a revocation has stopped
 * @holders: exo_cap.on_object of those that a session holds; under exo_tree_lock
 * @views: exo_view.on_object; under @views_lock
 * @views_lock: inside mmap_lock; outside a view's lock
 * @closed: nothing more is derived: it is being taken from all
 * @serial: its number, never reused
 * @kill_lock: makes later killers wait for the first
 * @dead: set once, under @kill_lock; read without it, where a late answer is as
 *	good as an early one
 */
struct exo_object {
	const struct exo_object_ops *ops;
	struct kref ref;
	atomic_t uses;
	atomic_t caps;
	atomic_t stopped;
	struct list_head holders;
	struct list_head views;
	struct mutex views_lock;
	bool closed;
	u64 serial;
	struct mutex kill_lock;
	bool dead;
};

void exo_object_init(struct exo_object *obj, const struct exo_object_ops *ops);
void exo_object_kill(struct exo_object *obj);
void exo_object_put(struct exo_object *obj);

/* The same for who releases it himself. True: it was the last reference. */
bool exo_object_put_last(struct exo_object *obj);
/*
 * One more capability names the object and uses what it holds; false: it is dead or dying.
 * It ends its naming first, which kills the object with its last name, then what it does
 * with it, then its use.
 */
bool exo_object_name(struct exo_object *obj);
void exo_object_drop_name(struct exo_object *obj);
void exo_object_unuse(struct exo_object *obj);

/* Both at once. */
void exo_object_unname(struct exo_object *obj);

/* The creator's name, use and reference go; a capability, if there is one, has its own. */
void exo_object_let_go(struct exo_object *obj);

/* When all its capabilities are stopped, so is the object: its waits begin now. */
void exo_object_stop_if_all(struct exo_object *obj);

/* Only by who knows that it is in use. */
static inline void exo_object_use(struct exo_object *obj)
{
	atomic_inc(&obj->uses);
}

static inline void exo_object_get(struct exo_object *obj)
{
	kref_get(&obj->ref);
}

static inline bool exo_object_gone(struct exo_object *obj)
{
	return READ_ONCE(obj->dead) || (obj->ops->gone && obj->ops->gone(obj));
}

#endif
