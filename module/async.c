// SPDX-License-Identifier: GPL-2.0
/*
 * Asynchronous events: NVMe base 2.0 section 5.2. The device has one request at a time; when
 * it answers, a worker hears the event: it reads the log page that the event names, by which
 * the device may announce the next of that type, does what has to be done, and tells the
 * sessions. Then it asks for the next, a pause later: a device with much to say is heard ten
 * times a second, and what happens in between it keeps for the next answer.
 */
#include <linux/pci.h>

#include "async.h"
#include "cap.h"
#include "events.h"
#include "extent.h"
#include "identify.h"
#include "nvme.h"
#include "params.h"

/* Bits of the Asynchronous Event Configuration: critical warnings, as there were from NVMe 1.0 on. */
#define EXO_ASYNC_WARNINGS 0x1fu
#define EXO_ASYNC_NOTICES (NVME_AEN_CFG_NS_ATTR | NVME_AEN_CFG_FW_ACT)

/* Dword 0 of the completion: figure 147. The rest is reserved. */
#define EXO_EVENT_TYPE(event) ((event)&7)
#define EXO_EVENT_INFO(event) ((event) >> 8 & 0xff)
#define EXO_EVENT_BITS 0x00ffff07u

#define EXO_ERROR_BYTES 64u /* of the error log: its newest entry */

/* ---- hearing ---- */

/* It names neighbours' blocks and commands: nobody sees it. Reading it is what is asked for. */
static int exo_async_read_errors(struct exo_nvme *nvme, struct exo_dma_buf *buf)
{
	return exo_admin_log(nvme, NVME_LOG_ERROR, EXO_ERROR_BYTES, false, buf);
}

/* If the device does not say which, it may be any. */
static int exo_async_hear_namespaces(struct exo_nvme *nvme, struct exo_dma_buf *buf)
{
	__le32 *list = buf->va;
	int ret = exo_admin_log(nvme, NVME_LOG_CHANGED_NS, EXO_NVME_PAGE, false, buf);

	if (ret && ret != -EIO)
		return ret;
	if (ret)
		list[0] = cpu_to_le32(NVME_NSID_ALL);
	exo_namespaces_changed(nvme, list);
	return 0;
}

/* It runs another firmware by now, or will when it answers. */
static int exo_async_hear_firmware(struct exo_nvme *nvme)
{
	int ret = exo_identity_read_log(nvme, EXO_LOG_PAGE_FIRMWARE);

	return ret ?: exo_nvme_identify(nvme);
}

/* Whom it concerns: the right on the controller that they must have; -ENODATA: nobody. */
static int exo_async_hear(struct exo_nvme *nvme, u32 event, struct exo_dma_buf *buf)
{
	switch (EXO_EVENT_TYPE(event)) {
	case NVME_AER_ERROR:
		return exo_async_read_errors(nvme, buf);
	case NVME_AER_SMART:
		return exo_identity_read_log(nvme, EXO_LOG_PAGE_HEALTH);
	case NVME_AER_NOTICE:
		break;
	default:
		return -ENODATA;
	}
	switch (EXO_EVENT_INFO(event)) {
	case NVME_AER_NOTICE_NS_CHANGED:
		return exo_async_hear_namespaces(nvme, buf) ?: EXO_RIGHT_EXTENT;
	case NVME_AER_NOTICE_FW_ACT_STARTING:
		return exo_async_hear_firmware(nvme);
	default:
		return -ENODATA;
	}
}

/* -ENOMEM: it was not heard, and must be. What a device refuses to tell more of is told as it is. */
static int exo_async_tell(struct exo_nvme *nvme, u32 event)
{
	struct exo_dma_buf buf;
	int ret;

	if (exo_dma_buf_alloc(&nvme->dma, &buf, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES))
		return -ENOMEM;
	ret = exo_async_hear(nvme, event, &buf);
	exo_nvme_buf_free(nvme, &buf);
	/* Who had it then could have it tell anything. */
	if (READ_ONCE(nvme->admin.resets) != nvme->async.resets)
		return -ENODATA;
	if (ret == -EIO)
		ret = 0;
	if (ret >= 0)
		exo_event_device(nvme, ret, event & EXO_EVENT_BITS);
	return ret;
}

/* A reset makes the device forget what it had to tell: whether all is as it was is looked at. */
static void exo_async_catch_up(struct exo_nvme *nvme)
{
	u32 resets = READ_ONCE(nvme->admin.resets);

	if (nvme->async.seen == resets)
		return;
	nvme->async.seen = resets;
	exo_namespaces_changed(nvme, NULL);
}

static void exo_async_work(struct work_struct *work)
{
	struct exo_async *async = container_of(to_delayed_work(work), struct exo_async, work);
	struct exo_nvme *nvme = container_of(async, struct exo_nvme, async);

	if (!exo_nvme_usable(nvme))
		return;
	if (!async->told) {
		exo_admin_request_event(nvme);
		exo_async_catch_up(nvme);
		return;
	}
	async->told = exo_async_tell(nvme, async->event) == -ENOMEM;
	queue_delayed_work(exo_workqueue, &async->work, msecs_to_jiffies(exo_event_pause_ms()));
}

/* A device that refuses the request has no more events. */
void exo_async_answer(struct exo_nvme *nvme, u32 event, u32 status)
{
	struct exo_async *async = &nvme->async;

	lockdep_assert_held(&nvme->admin.irq_lock);
	if (!async->armed)
		return;
	async->armed = false;
	if (status & 0x7ff)
		return;
	async->event = event;
	async->resets = nvme->admin.resets;
	async->told = true;
	queue_delayed_work(exo_workqueue, &async->work, 0);
}

/* ---- beginning and end ---- */

void exo_async_init(struct exo_nvme *nvme)
{
	INIT_DELAYED_WORK(&nvme->async.work, exo_async_work);
}

/* One that has no such feature still tells errors. */
void exo_async_start(struct exo_nvme *nvme)
{
	u32 notices = nvme->notices & EXO_ASYNC_NOTICES;

	if (exo_admin_set_events(nvme, EXO_ASYNC_WARNINGS | notices) == -EIO)
		exo_admin_set_events(nvme, notices);
	queue_delayed_work(exo_workqueue, &nvme->async.work, 0);
}

void exo_async_stop(struct exo_nvme *nvme)
{
	disable_delayed_work_sync(&nvme->async.work);
}
