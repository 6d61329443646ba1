// SPDX-License-Identifier: GPL-2.0
/*
 * Buffer space, and attachments: frames and adopted memory that a function may reach.
 *
 * An attachment is made in steps: mapped for the device and entered in the lists
 * that its death walks; answered to the program; filled into the table. It ends
 * in the reverse: cleared from the table; waited for in every queue of the space;
 * unmapped. Only then does it let go of its frames.
 */
#include <linux/highmem.h>
#include <linux/slab.h>

#include "binding.h"
#include "cap.h"
#include "controller.h"
#include "exclusive.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"
#include "quarantine.h"
#include "queue.h"
#include "session.h"
#include "space.h"
#include "trace.h"

/**
 * struct exo_attachment - a range of frames, or of adopted memory, in a buffer space
 * @binding: the common part; the capability is the frames'
 * @space: a reference
 * @object: the frames; a reference
 * @units: they
 * @map: for the device
 * @first: page index in the space
 * @pages: page indexes taken
 * @entered: @first is valid
 * @using: it is one of the uses of @object
 * @on_nvme: in nvme->attachments
 */
struct exo_attachment {
	struct exo_binding binding;
	struct exo_space *space;
	struct exo_object *object;
	struct exo_units units;
	struct exo_dma_map map;
	unsigned long first;
	unsigned long pages;
	bool entered;
	bool using;
	struct list_head on_nvme;
};

/* ---- spaces ---- */

static void exo_space_release(struct kref *ref)
{
	struct exo_space *space = container_of(ref, struct exo_space, ref);
	u32 i;

	for (i = 0; i < EXO_SPACE_CHUNKS; i++)
		kfree(space->chunks[i]);
	mtree_destroy(&space->pages);
	mutex_destroy(&space->lock);
	exo_nvme_put(space->nvme);
	kvfree(space);
}

void exo_space_put(struct exo_space *space)
{
	kref_put(&space->ref, exo_space_release);
}

static struct exo_space *exo_space_alloc(struct exo_nvme *nvme)
{
	struct exo_space *space = kvzalloc(sizeof(*space), EXO_GFP);

	if (!space)
		return NULL;
	kref_init(&space->ref);
	exo_nvme_get(nvme);
	space->nvme = nvme;
	mutex_init(&space->lock);
	mt_init_flags(&space->pages, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU);
	INIT_LIST_HEAD(&space->queues);
	return space;
}

/* The session's space on this function, made when first asked for. A reference or NULL. */
struct exo_space *exo_space_get(struct exo_session *session, struct exo_nvme *nvme)
{
	struct exo_space *space;

	guard(mutex)(&session->spaces_lock);
	list_for_each_entry(space, &session->spaces, on_session) {
		if (space->nvme == nvme)
			goto found;
	}
	space = exo_space_alloc(nvme);
	if (!space)
		return NULL;
	list_add(&space->on_session, &session->spaces);
found:
	kref_get(&space->ref);
	return space;
}

/* The session closes. */
void exo_space_put_all(struct exo_session *session)
{
	struct exo_space *space, *next;

	list_for_each_entry_safe(space, next, &session->spaces, on_session) {
		list_del(&space->on_session);
		exo_space_put(space);
	}
}

void exo_space_add_queue(struct exo_space *space, struct exo_queue *queue)
{
	guard(mutex)(&space->lock);
	list_add(&queue->on_space, &space->queues);
}

void exo_space_remove_queue(struct exo_space *space, struct exo_queue *queue)
{
	guard(mutex)(&space->lock);
	list_del_init(&queue->on_space);
}

/* ---- the table ---- */

static int exo_space_make_chunks(struct exo_space *space, unsigned long first, unsigned long last)
{
	unsigned long i;

	lockdep_assert_held(&space->lock);
	for (i = first >> EXO_SPACE_CHUNK_SHIFT; i <= last >> EXO_SPACE_CHUNK_SHIFT; i++) {
		u64 *chunk;

		if (space->chunks[i])
			continue;
		chunk = kcalloc(EXO_SPACE_CHUNK, sizeof(*chunk), EXO_GFP);
		if (!chunk)
			return -ENOMEM;
		/* Pairs with the address dependency in exo_space_entry(). */
		smp_store_release(&space->chunks[i], chunk);
	}
	return 0;
}

/* Anywhere; or, once it is mapped on an exclusive function, where the device has it. */
static int exo_space_take(struct exo_space *space, struct exo_attachment *att)
{
	u64 first = att->map.iova >> PAGE_SHIFT;

	if (!att->map.count)
		return mtree_alloc_range(&space->pages, &att->first, att, att->pages, 0,
					 EXO_SPACE_PAGES - 1, EXO_GFP);
	if (first + att->pages > EXO_SPACE_PAGES)
		return -ENOSPC;
	att->first = first;
	return mtree_insert_range(&space->pages, first, first + att->pages - 1, att, EXO_GFP);
}

static int exo_space_enter(struct exo_space *space, struct exo_attachment *att)
{
	int ret;

	guard(mutex)(&space->lock);
	ret = exo_space_take(space, att);
	if (ret)
		return ret == -ENOMEM ? ret : -ENOSPC;
	ret = exo_space_make_chunks(space, att->first, att->first + att->pages - 1);
	if (ret)
		mtree_erase(&space->pages, att->first);
	att->entered = !ret;
	return ret;
}

static void exo_space_set(struct exo_space *space, unsigned long page, u64 entry)
{
	u64 *chunk = space->chunks[page >> EXO_SPACE_CHUNK_SHIFT];

	WRITE_ONCE(chunk[page & (EXO_SPACE_CHUNK - 1)], entry);
}

static void exo_attachment_fill(struct exo_attachment *att)
{
	u64 flags = EXO_SPACE_VALID;
	unsigned long i;

	if (att->map.access & EXO_DMA_DEVICE_READS)
		flags |= EXO_SPACE_DEVICE_READS;
	if (att->map.access & EXO_DMA_DEVICE_WRITES)
		flags |= EXO_SPACE_DEVICE_WRITES;
	for (i = 0; i < att->pages; i++) {
		u32 unit = i >> att->map.order;
		u32 page = i & (BIT(att->map.order) - 1);

		exo_space_set(att->space, att->first + i,
			      exo_dma_addr(&att->map, unit, page) | flags);
		if (!(i % EXO_SPACE_CHUNK))
			cond_resched();
	}
}

static void exo_attachment_clear(struct exo_attachment *att)
{
	unsigned long i;

	for (i = 0; i < att->pages; i++) {
		exo_space_set(att->space, att->first + i, 0);
		if (!(i % EXO_SPACE_CHUNK))
			cond_resched();
	}
}

/*
 * Whoever ends an attachment clears its entries first, then takes the lock of each queue: an
 * entry that is seen with such a lock held is of an attachment that stays until it is let go.
 */
static bool exo_space_read_page(struct exo_space *space, u64 offset, void *to, u32 bytes,
				u64 *entry)
{
	u64 page = offset >> PAGE_SHIFT;
	struct exo_attachment *att;
	struct page *frame;
	u32 unit, within;

	*entry = exo_space_entry(space, page);
	if (!(*entry & EXO_SPACE_DEVICE_READS))
		return false;
	att = mtree_load(&space->pages, page);
	unit = att->binding.cap->start + ((page - att->first) >> att->map.order);
	within = (page - att->first) & (BIT(att->map.order) - 1);
	frame = att->units.pages[unit] + within;
	memcpy_from_page(to, frame, offset_in_page(offset), bytes);
	return true;
}

bool exo_space_read(struct exo_space *space, u64 *offset, void *to, u32 bytes, u64 *entry)
{
	while (bytes) {
		u32 n = min_t(u32, bytes, PAGE_SIZE - offset_in_page(*offset));

		if (!exo_space_read_page(space, *offset, to, n, entry))
			return false;
		*offset += n;
		to += n;
		bytes -= n;
	}
	return true;
}

/* ---- death of an attachment ---- */

static void exo_attachment_leave(struct exo_attachment *att)
{
	struct exo_space *space = att->space;

	guard(mutex)(&space->lock);
	if (att->entered)
		mtree_erase(&space->pages, att->first);
	att->entered = false;
}

/*
 * A wait that another attachment of the space began earlier is prolonged to here, so a
 * queue needs to keep but one.
 */
static void exo_attachment_begin(struct exo_binding *binding)
{
	struct exo_attachment *att = container_of(binding, struct exo_attachment, binding);
	struct exo_space *space = att->space;
	struct exo_queue *queue;

	if (att->entered)
		exo_attachment_clear(att);
	guard(mutex)(&space->lock);
	list_for_each_entry(queue, &space->queues, on_space)
		exo_quiesce_begin(queue, &queue->space_quiesce);
}

/* Waits for the commands that may name it. False: the device may still reach it. */
static bool exo_attachment_drain(struct exo_attachment *att)
{
	struct exo_space *space = att->space;
	struct exo_nvme *nvme = space->nvme;
	struct exo_queue *queue;

	guard(mutex)(&space->lock);
	list_for_each_entry(queue, &space->queues, on_space)
		exo_quiesce_wait(queue, &queue->space_quiesce);
	return !exo_nvme_may_write(nvme);
}

/*
 * Nobody knows whether a command of an unsafe queue still names it: until the device is reset
 * one may. The reset that ends this comes before or after.
 */
static void exo_attachment_quarantine(struct exo_attachment *att, bool drained)
{
	struct exo_nvme *nvme = att->space->nvme;

	guard(rwsem_read)(&nvme->busy);
	if (!drained || exo_nvme_is_unsafe(nvme))
		exo_quarantine(nvme, att->object, att->pages);
}

static void exo_attachment_unmap(struct exo_attachment *att)
{
	struct exo_nvme *nvme = att->space->nvme;

	exo_dma_unmap(&nvme->dma, &att->map);
	/* Last: unbind of the function waits until the list is empty. */
	guard(spinlock)(&nvme->list_lock);
	list_del_init(&att->on_nvme);
}

static void exo_attachment_sever(struct exo_binding *binding)
{
	struct exo_attachment *att = container_of(binding, struct exo_attachment, binding);
	struct exo_space *space = att->space;

	exo_attachment_quarantine(att, exo_attachment_drain(att));
	/* In this order: who maps next and gets the same address finds its offset free. */
	exo_attachment_leave(att);
	exo_attachment_unmap(att);
	trace_exo_detach(space->nvme->address, 0, 0, binding->cap);
}

static void exo_attachment_release(struct exo_binding *binding)
{
	struct exo_attachment *att = container_of(binding, struct exo_attachment, binding);

	if (att->using)
		exo_object_unuse(att->object);
	exo_object_put(att->object);
	exo_space_put(att->space);
	kfree(att);
}

static const struct exo_binding_ops exo_attachment_ops = {
	.begin = exo_attachment_begin,
	.sever = exo_attachment_sever,
	.release = exo_attachment_release,
};

/* Unbind: every attachment to the function ends. Its capability's lock decides races. */
void exo_space_sever_all(struct exo_nvme *nvme)
{
	for (;;) {
		struct exo_attachment *att;

		scoped_guard(spinlock, &nvme->list_lock) {
			att = list_first_entry_or_null(&nvme->attachments, struct exo_attachment,
						       on_nvme);
			if (att)
				kref_get(&att->binding.ref);
		}
		if (!att)
			return;
		exo_binding_end(&att->binding);
		exo_binding_put(&att->binding);
	}
}

/* ---- EXO_DMA_ATTACH ---- */

/* A space has a frames capability at most once. */
static struct exo_attachment *exo_attachment_find(struct exo_cap *cap, struct exo_nvme *nvme)
{
	struct exo_binding *binding;

	lockdep_assert_held(&cap->lock);
	list_for_each_entry(binding, &cap->bindings, on_cap) {
		struct exo_attachment *att = container_of(binding, struct exo_attachment, binding);

		if (binding->ops == &exo_attachment_ops && att->space->nvme == nvme)
			return att;
	}
	return NULL;
}

/* Takes over the reference to @space. */
static struct exo_attachment *exo_attachment_alloc(struct exo_cap *cap, struct exo_space *space)
{
	struct exo_attachment *att = kzalloc(sizeof(*att), EXO_GFP);

	if (!att)
		return NULL;
	exo_binding_init(&att->binding, &exo_attachment_ops, cap);
	INIT_LIST_HEAD(&att->on_nvme);
	att->space = space;
	att->object = cap->object;
	exo_object_get(cap->object);
	cap->object->ops->units(cap->object, &att->units);
	att->pages = cap->len << att->units.order;
	return att;
}

/* The lock of the space may be held for a wait: not taken here, where unbind waits. */
static int exo_attachment_map(struct exo_attachment *att, struct exo_cap *cap,
			      const struct exo_controller *controller)
{
	struct exo_nvme *nvme = att->space->nvme;
	u32 access = 0;
	int ret;

	if (cap->rights & EXO_RIGHT_READ)
		access |= EXO_DMA_DEVICE_READS;
	if (cap->rights & EXO_RIGHT_WRITE)
		access |= EXO_DMA_DEVICE_WRITES;
	guard(rwsem_read)(&nvme->busy);
	if (!exo_nvme_usable(nvme))
		return -ESTALE;
	/* An offset that is no address, and the reverse, would be of no use. */
	if (!exo_exclusive_admits(controller) ||
	    (nvme->exclusive && nvme->dma.domain && att->entered))
		return -EBUSY;
	ret = exo_dma_map(&nvme->dma, &att->map, att->units.pages + cap->start, cap->len,
			  att->units.order, access);
	if (ret)
		return ret;
	scoped_guard(spinlock, &nvme->list_lock)
		list_add(&att->on_nvme, &nvme->attachments);
	return 0;
}

static int exo_attachment_explain(struct exo_call *call, int err)
{
	u32 field = EXO_FIELD(dma_attach, frames), id = call->arg.dma_attach.frames;

	switch (err) {
	case -ENOSPC:
		return exo_refuse(call, err, EXO_REASON_TABLE_FULL, field, 0, EXO_SPACE_PAGES);
	case -ESTALE:
		return exo_refuse(call, err, EXO_REASON_STALE, field, id, 0);
	case -EOPNOTSUPP:
		return exo_refuse(call, err, EXO_REASON_COHERENCE, field, 0, 0);
	case -EBUSY:
		return exo_refuse(call, err, EXO_REASON_EXCLUSIVE,
				  EXO_FIELD(dma_attach, controller),
				  call->arg.dma_attach.controller, 0);
	case -EINTR:
		return err;
	default:
		return exo_refuse(call, err, EXO_REASON_MEMORY, field, 0, 0);
	}
}

/* Mapped and entered, in this order where an offset is to be the address. */
static int exo_attachment_place(struct exo_attachment *att, struct exo_cap *cap,
				const struct exo_controller *controller)
{
	struct exo_nvme *nvme = att->space->nvme;
	bool mapped_first = nvme->dma.domain && READ_ONCE(nvme->exclusive);
	int ret = 0;

	if (!mapped_first)
		ret = exo_space_enter(att->space, att);
	if (ret)
		return ret;
	ret = exo_attachment_map(att, cap, controller);
	if (ret) {
		exo_attachment_leave(att);
		return ret;
	}
	if (mapped_first)
		ret = exo_space_enter(att->space, att);
	if (ret)
		exo_attachment_unmap(att);
	return ret;
}

/* Step 1: mapped, and where its death will find it. */
static int exo_attachment_publish(struct exo_call *call, struct exo_attachment *att,
				  const struct exo_controller *controller)
{
	struct exo_cap *cap = att->binding.cap;
	int ret;

	guard(mutex)(&cap->lock);
	if (cap->dead)
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(dma_attach, frames),
				  cap->id, 0);
	if (exo_attachment_find(cap, att->space->nvme))
		return exo_refuse(call, -EEXIST, EXO_REASON_ATTACHED, EXO_FIELD(dma_attach, frames),
				  cap->id, 0);
	/* As the capability lives, so do its frames. */
	exo_object_use(cap->object);
	att->using = true;
	ret = exo_attachment_place(att, cap, controller);
	if (ret)
		return exo_attachment_explain(call, ret);
	exo_binding_publish(&att->binding);
	trace_exo_attach(att->space->nvme->address, 0, 0, cap);
	return 0;
}

/* Step 2: commands can name it, unless it died while the program was answered. */
static int exo_attachment_open(struct exo_attachment *att)
{
	guard(mutex)(&att->binding.cap->lock);
	if (list_empty(&att->binding.on_cap) || att->binding.begun)
		return -ESTALE;
	exo_attachment_fill(att);
	return 0;
}

/* Frames or adopted memory. */
static struct exo_cap *exo_units_get(struct exo_call *call, u32 field, u32 id)
{
	struct exo_cap *cap = exo_cap_get_any(call, field, id);
	int ret;

	if (IS_ERR(cap))
		return cap;
	ret = exo_cap_check(call, cap, field,
			    cap->object->ops->units ? cap->object->ops->type : EXO_TYPE_FRAMES, 0);
	if (!ret)
		return cap;
	exo_cap_put(cap);
	return ERR_PTR(ret);
}

static struct exo_cap *exo_attach_frames(struct exo_call *call)
{
	u32 id = call->arg.dma_attach.frames, field = EXO_FIELD(dma_attach, frames);

	return exo_cap_with_any(call, exo_units_get(call, field, id), field,
				EXO_RIGHT_READ | EXO_RIGHT_WRITE);
}

static int exo_attach(struct exo_call *call, struct exo_attachment *att,
		      const struct exo_controller *controller)
{
	int ret = exo_attachment_publish(call, att, controller);

	if (ret)
		return ret;
	call->arg.dma_attach.out_offset = (u64)att->first << PAGE_SHIFT;
	ret = exo_call_respond(call);
	if (!ret && exo_attachment_open(att))
		ret = exo_attachment_explain(call, -ESTALE);
	if (ret)
		exo_binding_end(&att->binding);
	return ret;
}

int exo_space_attach(struct exo_call *call)
{
	struct exo_dma_attach *cmd = &call->arg.dma_attach;
	struct exo_attachment *att;
	struct exo_space *space;
	int ret;

	struct exo_cap *controller __free(exo_cap_put) = exo_controller_get(
		call, EXO_FIELD(dma_attach, controller), cmd->controller, EXO_RIGHT_QUEUE);
	if (IS_ERR(controller))
		return PTR_ERR(controller);
	struct exo_cap *frames __free(exo_cap_put) = exo_attach_frames(call);
	if (IS_ERR(frames))
		return PTR_ERR(frames);

	space = exo_space_get(call->session, exo_controller_of(controller->object)->nvme);
	att = space ? exo_attachment_alloc(frames, space) : NULL;
	if (!att) {
		if (space)
			exo_space_put(space);
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	}
	ret = exo_attach(call, att, exo_controller_of(controller->object));
	exo_binding_put(&att->binding);
	return ret;
}

/* ---- EXO_DMA_DETACH ---- */

int exo_space_detach(struct exo_call *call)
{
	struct exo_dma_detach *cmd = &call->arg.dma_detach;
	struct exo_attachment *att;

	struct exo_cap *controller __free(exo_cap_put) = exo_cap_get(
		call, EXO_FIELD(dma_detach, controller), cmd->controller, EXO_TYPE_CONTROLLER, 0);
	if (IS_ERR(controller))
		return PTR_ERR(controller);
	struct exo_cap *frames __free(exo_cap_put) =
		exo_units_get(call, EXO_FIELD(dma_detach, frames), cmd->frames);
	if (IS_ERR(frames))
		return PTR_ERR(frames);

	guard(mutex)(&frames->lock);
	att = exo_attachment_find(frames, exo_controller_of(controller->object)->nvme);
	if (!att)
		return exo_refuse(call, -ENOENT, EXO_REASON_NOT_ATTACHED,
				  EXO_FIELD(dma_detach, frames), cmd->frames, 0);
	exo_binding_sever(&att->binding);
	return 0;
}
