// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that uses dma-bufs, for the tests of exo's. Its device is the processor, which goes
 * to memory by the addresses that the device was given: nothing translates them.
 */
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "importer.h"

/**
 * struct importer - an open
 * @lock: one call at a time; outside the reservation's lock
 * @importer: NULL: nothing is attached
 * @list: the mapping, or NULL
 * @direction: of it
 * @fence: the device is at work until it is signalled; NULL: it is not
 * @told: to give the memory back
 */
struct importer {
	struct mutex lock;
	struct dma_buf_attachment *importer;
	struct sg_table *list;
	enum dma_data_direction direction;
	struct dma_fence *fence;
	atomic_t told;
};

static struct platform_device *device;
static struct device_dma_parameters dma_parameters;

/* ---- fences ---- */

static DEFINE_SPINLOCK(fence_lock);

static const char *fence_name(struct dma_fence *fence)
{
	return "exo-importer";
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
};

static int begin_work(struct importer *im)
{
	struct dma_resv *resv = im->importer->dmabuf->resv;
	int ret;

	if (im->fence)
		return -EBUSY;
	im->fence = kzalloc(sizeof(*im->fence), GFP_KERNEL);
	if (!im->fence)
		return -ENOMEM;
	dma_fence_init(im->fence, &fence_ops, &fence_lock, dma_fence_context_alloc(1), 1);
	dma_resv_lock(resv, NULL);
	ret = dma_resv_reserve_fences(resv, 1);
	if (!ret)
		dma_resv_add_fence(resv, im->fence, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_unlock(resv);
	return ret;
}

static void end_work(struct importer *im)
{
	if (!im->fence)
		return;
	dma_fence_signal(im->fence);
	dma_fence_put(im->fence);
	im->fence = NULL;
}

/* ---- the dma-buf ---- */

static void take_back(struct dma_buf_attachment *importer)
{
	struct importer *im = importer->importer_priv;

	atomic_inc(&im->told);
}

static const struct dma_buf_attach_ops dynamic_ops = {
	.invalidate_mappings = take_back,
};

static int attach(struct importer *im, const struct importer_attach *arg)
{
	struct dma_buf *dmabuf;

	if (im->importer)
		return -EBUSY;
	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	dma_parameters.max_segment_size = arg->segment ?: UINT_MAX;
	if (arg->kind == IMPORTER_DYNAMIC)
		im->importer = dma_buf_dynamic_attach(dmabuf, &device->dev, &dynamic_ops, im);
	else
		im->importer = dma_buf_attach(dmabuf, &device->dev);
	if (!IS_ERR(im->importer))
		return 0;
	dma_buf_put(dmabuf);
	return PTR_ERR(xchg(&im->importer, NULL));
}

static int pin(struct importer *im)
{
	struct dma_resv *resv = im->importer->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = dma_buf_pin(im->importer);
	if (!ret)
		dma_buf_unpin(im->importer);
	dma_resv_unlock(resv);
	return ret;
}

static int map(struct importer *im, enum dma_data_direction direction)
{
	struct sg_table *list;

	if (im->list)
		return -EBUSY;
	list = dma_buf_map_attachment_unlocked(im->importer, direction);
	if (IS_ERR(list))
		return PTR_ERR(list);
	im->list = list;
	im->direction = direction;
	return 0;
}

static void unmap(struct importer *im)
{
	if (im->list)
		dma_buf_unmap_attachment_unlocked(im->importer, im->list, im->direction);
	im->list = NULL;
}

static void detach(struct importer *im)
{
	struct dma_buf *dmabuf;

	if (!im->importer)
		return;
	dmabuf = im->importer->dmabuf;
	end_work(im);
	unmap(im);
	dma_buf_detach(dmabuf, im->importer);
	dma_buf_put(dmabuf);
	im->importer = NULL;
}

/* ---- the device ---- */

/* Where its mapping has @offset, and how far from there it goes on. */
static void *reach(struct importer *im, u64 offset, u32 *bytes)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(im->list, sg, i)
	{
		if (offset < sg_dma_len(sg)) {
			*bytes = min_t(u64, *bytes, sg_dma_len(sg) - offset);
			return __va(sg_dma_address(sg)) + offset;
		}
		offset -= sg_dma_len(sg);
	}
	return NULL;
}

static int copy(struct importer *im, const struct importer_copy *arg, bool write)
{
	void __user *memory = u64_to_user_ptr(arg->memory);
	u32 done, n;

	if (!im->list)
		return -ENXIO;
	for (done = 0; done < arg->bytes; done += n) {
		void *at;

		n = arg->bytes - done;
		at = reach(im, arg->offset + done, &n);
		if (!at)
			return -ERANGE;
		if (write ? copy_from_user(at, memory + done, n)
			  : copy_to_user(memory + done, at, n))
			return -EFAULT;
	}
	return 0;
}

/* ---- calls ---- */

static int tell_state(struct importer *im, void __user *to)
{
	struct importer_state state = { .told = atomic_read(&im->told) };
	struct scatterlist *sg;
	unsigned int i;

	if (im->list) {
		state.segments = im->list->nents;
		for_each_sgtable_dma_sg(im->list, sg, i)
			state.largest = max(state.largest, sg_dma_len(sg));
	}
	return copy_to_user(to, &state, sizeof(state)) ? -EFAULT : 0;
}

static int call_attached(struct importer *im, unsigned int cmd, unsigned long arg)
{
	void __user *from = (void __user *)arg;
	struct importer_copy what;

	switch (cmd) {
	case IMPORTER_DETACH:
		detach(im);
		return 0;
	case IMPORTER_PIN:
		return pin(im);
	case IMPORTER_MAP:
		return map(im, arg);
	case IMPORTER_UNMAP:
		unmap(im);
		return 0;
	case IMPORTER_REACH:
		device->dev.bus_dma_limit = arg;
		return 0;
	case IMPORTER_BEGIN:
		return begin_work(im);
	case IMPORTER_END:
		end_work(im);
		return 0;
	case IMPORTER_READ:
	case IMPORTER_WRITE:
		if (copy_from_user(&what, from, sizeof(what)))
			return -EFAULT;
		return copy(im, &what, cmd == IMPORTER_WRITE);
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct importer *im = file->private_data;
	void __user *user = (void __user *)arg;
	struct importer_attach what;

	guard(mutex)(&im->lock);
	if (cmd == IMPORTER_STATE)
		return tell_state(im, user);
	if (cmd == IMPORTER_ATTACH)
		return copy_from_user(&what, user, sizeof(what)) ? -EFAULT : attach(im, &what);
	return im->importer ? call_attached(im, cmd, arg) : -ENXIO;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *im = kzalloc(sizeof(*im), GFP_KERNEL);

	if (!im)
		return -ENOMEM;
	mutex_init(&im->lock);
	file->private_data = im;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *im = file->private_data;

	detach(im);
	mutex_destroy(&im->lock);
	kfree(im);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "exo-importer",
	.fops = &importer_fops,
	.mode = 0666,
};

static int __init importer_init(void)
{
	int ret;

	device = platform_device_register_simple("exo-importer", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	device->dev.dma_parms = &dma_parameters;
	ret = dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = misc_register(&importer_device);
	if (ret)
		platform_device_unregister(device);
	return ret;
}

static void __exit importer_exit(void)
{
	misc_deregister(&importer_device);
	platform_device_unregister(device);
}

module_init(importer_init);
module_exit(importer_exit);

EXO_IMPORT_DMA_BUF;
MODULE_DESCRIPTION("a driver that uses dma-bufs, for the tests of exo");
MODULE_LICENSE("GPL");
