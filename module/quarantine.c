// SPDX-License-Identifier: GPL-2.0
/*
 * Quarantine. A controller that failed, could not be disabled, and has no IOMMU before it
 * may still write to whatever it was told of. Such frames stay in use, and charged, until
 * the function at that address is seen to be disabled: at the next try (unbind), or when
 * it is reset to be bound again. So does what commands of an unsafe queue might name, until the
 * function is reset for others. Should there be no memory to remember one, it is kept for
 * ever.
 */
#include <linux/cleanup.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "adopt.h"
#include "frames.h"
#include "nvme.h"
#include "object.h"
#include "page.h"
#include "quarantine.h"

/**
 * struct exo_quarantined - what is kept for one object
 * @list: in exo_quarantine_list
 * @address: of the function that may write to it
 * @object: a reference and a use
 * @frames: 4 KiB frames
 */
struct exo_quarantined {
	struct list_head list;
	u32 address;
	struct exo_object *object;
	u64 frames;
};

static LIST_HEAD(exo_quarantine_list);
static DEFINE_MUTEX(exo_quarantine_lock);
static atomic64_t exo_quarantine_frames = ATOMIC64_INIT(0);

u64 exo_quarantined(void)
{
	return atomic64_read(&exo_quarantine_frames);
}

static void exo_quarantine_count(struct exo_object *obj, s64 frames)
{
	atomic64_add(frames, &exo_quarantine_frames);
	if (obj->ops->type == EXO_TYPE_FRAMES)
		EXO_PAGE_COUNT(exo_frames_of(obj)->session, frames_quarantined, frames);
	else if (obj->ops->type == EXO_TYPE_MEMORY)
		EXO_PAGE_COUNT(exo_memory_of(obj)->session, memory_quarantined, frames);
}

/* An object is there once, however often it was attached: by how many frames it is more now. */
static bool exo_quarantine_again(u32 address, const struct exo_object *obj, u64 frames, u64 *more)
{
	struct exo_quarantined *entry;

	guard(mutex)(&exo_quarantine_lock);
	list_for_each_entry(entry, &exo_quarantine_list, list) {
		if (entry->address != address || entry->object != obj)
			continue;
		*more = frames > entry->frames ? frames - entry->frames : 0;
		entry->frames += *more;
		return true;
	}
	return false;
}

void exo_quarantine(struct exo_nvme *nvme, struct exo_object *obj, u64 frames)
{
	struct exo_quarantined *entry;
	u64 more;

	if (!exo_nvme_is_unsafe(nvme) || test_bit(EXO_NVME_FAILED, &nvme->state))
		pci_err(nvme->pdev, "%llu frames quarantined: it may still write to them\n",
			frames);
	if (exo_quarantine_again(nvme->address, obj, frames, &more)) {
		exo_quarantine_count(obj, more);
		return;
	}
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	exo_object_get(obj);
	exo_object_use(obj);
	exo_quarantine_count(obj, frames);
	if (!entry)
		return;
	entry->address = nvme->address;
	entry->object = obj;
	entry->frames = frames;
	guard(mutex)(&exo_quarantine_lock);
	list_add(&entry->list, &exo_quarantine_list);
}

static struct exo_quarantined *exo_quarantine_take(u32 address)
{
	struct exo_quarantined *entry;

	guard(mutex)(&exo_quarantine_lock);
	list_for_each_entry(entry, &exo_quarantine_list, list) {
		if (entry->address != address)
			continue;
		list_del(&entry->list);
		return entry;
	}
	return NULL;
}

void exo_quarantine_release(u32 address)
{
	struct exo_quarantined *entry;

	while ((entry = exo_quarantine_take(address))) {
		exo_quarantine_count(entry->object, -(s64)entry->frames);
		exo_object_unuse(entry->object);
		exo_object_put(entry->object);
		kfree(entry);
	}
}
