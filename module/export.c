// SPDX-License-Identifier: GPL-2.0
/*
 * Exports: frames as a dma-buf, for the drivers of other devices, its importers.
 *
 * Importers that cannot be told to give memory back would have to be waited for as long as
 * they like: they are refused, and so is pinning. An export is a binding of the frames'
 * capability. When that ends no mapping is made any more, importers are told, and the fences
 * of what their devices have begun are waited for, by a deadline. Each mapping is a use of the
 * frames: one that is kept beyond all this keeps them from their next owner.
 *
 * The lock of the dma-buf's reservation is taken inside that of the capability. Importers call
 * with the former held.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "binding.h"
#include "cap.h"
#include "compat.h"
#include "export.h"
#include "ioctl.h"
#include "params.h"

/**
 * struct exo_export - a dma-buf of frames
 * @binding: the common part; the capability is the frames'
 * @resv: the dma-buf's reservation, which is waited for longer than that may live
 * @dmabuf: itself; NULL: it is closed. Under @resv
 * @ended: no more mappings
 * @deadline: in jiffies, once @ended: until when importers' devices are waited for
 * @forget: ends the binding of what was closed
 */
struct exo_export {
	struct exo_binding binding;
	struct dma_resv resv;
	struct dma_buf *dmabuf;
	bool ended;
	unsigned long deadline;
	struct work_struct forget;
};

/* ---- what importers call ---- */

static int exo_export_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *importer)
{
	struct exo_export *export = dmabuf->priv;

	if (!importer->importer_ops || !importer->importer_ops->invalidate_mappings)
		return -EOPNOTSUPP;
	return READ_ONCE(export->ended) ? -ENODEV : 0;
}

static int exo_export_pin(struct dma_buf_attachment *importer)
{
	return -EOPNOTSUPP;
}

static void exo_export_unpin(struct dma_buf_attachment *importer)
{
}

static u32 exo_export_rights(enum dma_data_direction direction)
{
	switch (direction) {
	case DMA_TO_DEVICE:
		return EXO_RIGHT_READ;
	case DMA_FROM_DEVICE:
		return EXO_RIGHT_WRITE;
	default:
		return EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	}
}

/* Units, in pieces that the device takes. */
static int exo_export_list(const struct exo_cap *cap, struct device *dev, struct sg_table *list)
{
	struct exo_units units;
	struct scatterlist *sg;
	u32 unit, piece, per_unit;
	unsigned int i;
	int ret;

	cap->object->ops->units(cap->object, &units);
	unit = PAGE_SIZE << units.order;
	piece = clamp_t(u32, dma_get_max_seg_size(dev) & PAGE_MASK, PAGE_SIZE, unit);
	per_unit = DIV_ROUND_UP(unit, piece);
	ret = sg_alloc_table(list, cap->len * per_unit, EXO_GFP);
	if (ret)
		return ret;
	for_each_sgtable_sg(list, sg, i)
	{
		struct page *first = units.pages[cap->start + i / per_unit];
		u32 at = i % per_unit * piece;

		sg_set_page(sg, first + (at >> PAGE_SHIFT), min(piece, unit - at), 0);
		if (!(i % SG_MAX_SINGLE_ALLOC))
			cond_resched();
	}
	return 0;
}

/* Out of reach: the DMA API would go for bounce buffers, and complain if it has none. */
static bool exo_export_reaches(struct device *dev, struct sg_table *list)
{
	u64 last = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
	struct scatterlist *sg;
	unsigned int i;

	if (!dma_addressing_limited(dev))
		return true;
	for_each_sgtable_sg(list, sg, i)
	{
		if (sg_phys(sg) + sg->length - 1 > last)
			return false;
	}
	return true;
}

/* Nobody calls us between a device's write and the program's read: no bounce buffers. */
static bool exo_export_coherent(struct device *dev, struct sg_table *list)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(list, sg, i)
	{
		if (dma_need_sync(dev, sg_dma_address(sg)))
			return false;
	}
	return true;
}

static int exo_export_map_list(struct device *dev, struct sg_table *list,
			       enum dma_data_direction direction)
{
	int ret;

	if (!exo_export_reaches(dev, list))
		return -EOPNOTSUPP;
	ret = dma_map_sgtable(dev, list, direction, DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN);
	/* -EIO: there are not enough bounce buffers, or none is that large. */
	if (ret)
		return ret == -EIO ? -EOPNOTSUPP : ret;
	if (exo_export_coherent(dev, list))
		return 0;
	dma_unmap_sgtable(dev, list, direction, DMA_ATTR_SKIP_CPU_SYNC);
	return -EOPNOTSUPP;
}

/* As the export has not ended, its capability is there, and so are the frames. */
static struct sg_table *exo_export_map(struct dma_buf_attachment *importer,
				       enum dma_data_direction direction)
{
	struct exo_export *export = importer->dmabuf->priv;
	struct exo_cap *cap = export->binding.cap;
	struct sg_table *list;
	int ret;

	dma_resv_assert_held(importer->dmabuf->resv);
	if (READ_ONCE(export->ended))
		return ERR_PTR(-ENODEV);
	if (exo_export_rights(direction) & ~cap->rights)
		return ERR_PTR(-EACCES);
	list = kzalloc(sizeof(*list), EXO_GFP);
	if (!list)
		return ERR_PTR(-ENOMEM);
	ret = exo_export_list(cap, importer->dev, list);
	if (ret)
		goto out_free;
	ret = exo_export_map_list(importer->dev, list, direction);
	if (ret)
		goto out_free_list;
	exo_object_use(cap->object);
	return list;

out_free_list:
	sg_free_table(list);
out_free:
	kfree(list);
	return ERR_PTR(ret);
}

static void exo_export_unmap(struct dma_buf_attachment *importer, struct sg_table *list,
			     enum dma_data_direction direction)
{
	struct exo_export *export = importer->dmabuf->priv;

	dma_unmap_sgtable(importer->dev, list, direction, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(list);
	kfree(list);
	exo_object_unuse(export->binding.cap->object);
}

static void exo_export_forget(struct work_struct *work)
{
	struct exo_export *export = container_of(work, struct exo_export, forget);

	exo_binding_end(&export->binding);
	exo_binding_put(&export->binding);
}

/*
 * Nobody has it open, no importer is left. It may be anybody who closes it, or the kernel's one
 * worker that closes files: that does not wait for whoever waits with the capability's lock held.
 * Should that be the capability's end, it ends this too.
 */
static void exo_export_close(struct dma_buf *dmabuf)
{
	struct exo_export *export = dmabuf->priv;
	struct exo_cap *cap = export->binding.cap;

	dma_resv_lock(&export->resv, NULL);
	export->dmabuf = NULL;
	dma_resv_unlock(&export->resv);
	if (mutex_trylock(&cap->lock)) {
		exo_binding_sever(&export->binding);
		mutex_unlock(&cap->lock);
	} else if (!READ_ONCE(cap->dead)) {
		queue_work(exo_workqueue, &export->forget);
		return;
	}
	exo_binding_put(&export->binding);
}

static const struct dma_buf_ops exo_export_dma_buf_ops = {
	.attach = exo_export_attach,
	.pin = exo_export_pin,
	.unpin = exo_export_unpin,
	.map_dma_buf = exo_export_map,
	.unmap_dma_buf = exo_export_unmap,
	.release = exo_export_close,
};

/* ---- the end of an export ---- */

static void exo_export_begin_end(struct exo_binding *binding)
{
	struct exo_export *export = container_of(binding, struct exo_export, binding);

	export->deadline = jiffies + msecs_to_jiffies(exo_io_timeout_ms());
	WRITE_ONCE(export->ended, true);
}

/* Mappings that did not see that it ended are there when the lock is had, for their importers to end. */
static bool exo_export_tell(struct exo_export *export)
{
	bool attached;

	dma_resv_lock(&export->resv, NULL);
	attached = export->dmabuf && !list_empty(&export->dmabuf->attachments);
	if (attached)
		dma_buf_invalidate_mappings(export->dmabuf);
	dma_resv_unlock(&export->resv);
	return attached;
}

static void exo_export_sever(struct exo_binding *binding)
{
	struct exo_export *export = container_of(binding, struct exo_export, binding);
	long left;

	if (!exo_export_tell(export))
		return;
	left = max_t(long, export->deadline - jiffies, 0);
	dma_resv_wait_timeout(&export->resv, DMA_RESV_USAGE_BOOKKEEP, false, left);
}

static void exo_export_release(struct exo_binding *binding)
{
	struct exo_export *export = container_of(binding, struct exo_export, binding);

	dma_resv_fini(&export->resv);
	kfree(export);
}

static const struct exo_binding_ops exo_export_binding_ops = {
	.begin = exo_export_begin_end,
	.sever = exo_export_sever,
	.release = exo_export_release,
};

/* ---- EXO_FRAMES_EXPORT ---- */

static struct exo_cap *exo_export_get_frames(struct exo_call *call)
{
	u32 id = call->arg.frames_export.frames, field = EXO_FIELD(frames_export, frames);

	return exo_cap_with_any(call, exo_cap_get(call, field, id, EXO_TYPE_FRAMES, 0), field,
				EXO_RIGHT_READ | EXO_RIGHT_WRITE);
}

/* Who has the dma-buf has the reference. */
static struct dma_buf *exo_export_create(struct exo_cap *cap)
{
	struct exo_export *export = kzalloc(sizeof(*export), EXO_GFP);
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct exo_units units;

	if (!export)
		return ERR_PTR(-ENOMEM);
	exo_binding_init(&export->binding, &exo_export_binding_ops, cap);
	dma_resv_init(&export->resv);
	INIT_WORK(&export->forget, exo_export_forget);
	cap->object->ops->units(cap->object, &units);
	info.ops = &exo_export_dma_buf_ops;
	info.resv = &export->resv;
	info.size = cap->len << (PAGE_SHIFT + units.order);
	info.flags = cap->rights & EXO_RIGHT_WRITE ? O_RDWR : O_RDONLY;
	info.priv = export;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf))
		exo_binding_put(&export->binding);
	else
		export->dmabuf = dmabuf;
	return dmabuf;
}

/* From here on its capability's end finds it. */
static int exo_export_publish(struct exo_call *call, struct exo_export *export)
{
	struct exo_cap *cap = export->binding.cap;

	guard(mutex)(&cap->lock);
	if (cap->dead)
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(frames_export, frames),
				  cap->id, 0);
	exo_binding_publish(&export->binding);
	return 0;
}

static int exo_export_answer(struct exo_call *call, struct dma_buf *dmabuf)
{
	int fd = get_unused_fd_flags(O_CLOEXEC), ret;

	if (fd == -EMFILE)
		return exo_refuse(call, fd, EXO_REASON_DESCRIPTORS, 0, 0, 0);
	if (fd < 0)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	call->arg.frames_export.out_fd = fd;
	ret = exo_export_publish(call, dmabuf->priv) ?: exo_call_respond(call);
	if (ret) {
		put_unused_fd(fd);
		return ret;
	}
	fd_install(fd, dmabuf->file);
	return 0;
}

int exo_frames_export(struct exo_call *call)
{
	struct dma_buf *dmabuf;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_export_get_frames(call);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	dmabuf = exo_export_create(cap);
	if (IS_ERR(dmabuf))
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	ret = exo_export_answer(call, dmabuf);
	if (ret)
		dma_buf_put(dmabuf);
	return ret;
}

EXO_IMPORT_DMA_BUF;
