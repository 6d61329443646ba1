// SPDX-License-Identifier: GPL-2.0
/*
 * Identify data and log pages, as programs may read them. Identify data are kept from when
 * the device was asked, and log pages for a second: however often programs ask, the admin
 * queue, which all of them share, sees one command a second for each page.
 *
 * What is given away is listed, page by page and field by field: what tells of a
 * neighbour's work, and what no standard defines, reads as zero.
 */
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cap.h"
#include "controller.h"
#include "extent.h"
#include "identify.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"

#define EXO_LOG_FRESH_NS NSEC_PER_SEC

/**
 * struct exo_log_kind - a log page that programs may read
 * @lid: its number
 * @bytes: its size
 */
struct exo_log_kind {
	u8 lid;
	u32 bytes;
};

static const struct exo_log_kind exo_log_kinds[EXO_LOG_PAGES] = {
	[EXO_LOG_PAGE_HEALTH] = { NVME_LOG_SMART, sizeof(struct nvme_smart_log) },
	[EXO_LOG_PAGE_FIRMWARE] = { NVME_LOG_FW_SLOT, EXO_FIRMWARE_BYTES },
	[EXO_LOG_PAGE_EFFECTS] = { NVME_LOG_CMD_EFFECTS, sizeof(struct nvme_effects_log) },
};

/* ---- Identify data ---- */

void exo_identity_init(struct exo_nvme *nvme)
{
	spin_lock_init(&nvme->identity.lock);
	mutex_init(&nvme->identity.reading);
}

void exo_identity_free(struct exo_nvme *nvme)
{
	struct exo_identity *id = &nvme->identity;
	u32 i;

	kfree(id->controller);
	kfree(id->controller_nvm);
	for (i = 0; i < EXO_LOG_PAGES; i++)
		kfree(id->log[i]);
	mutex_destroy(&id->reading);
}

/* NVMe base 2.0: CNS 05h and 06h came with I/O command sets. */
bool exo_identity_has_sets(const struct exo_nvme *nvme)
{
	return nvme->version >= NVME_VS(2, 0, 0) || NVME_CAP_CSS(nvme->cap) & NVME_CAP_CSS_CSI;
}

int exo_identity_learn_csi(struct exo_nvme *nvme, u32 nsid, u8 cns, u8 csi, struct exo_dma_buf *buf,
			   void **kept)
{
	u32 resets = READ_ONCE(nvme->admin.resets);
	void *data;
	int ret = exo_admin_identify_csi(nvme, nsid, cns, csi, buf);

	if (ret)
		return ret;
	data = kmemdup(buf->va, EXO_IDENTIFY_BYTES, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	/* What it said before a reset it may have been made to say. */
	scoped_guard(spinlock, &nvme->identity.lock) {
		if (resets == READ_ONCE(nvme->admin.resets))
			swap(*kept, data);
		else
			ret = -EAGAIN;
	}
	kfree(data);
	return ret;
}

int exo_identity_learn(struct exo_nvme *nvme, u32 nsid, u8 cns, struct exo_dma_buf *buf,
		       void **kept)
{
	return exo_identity_learn_csi(nvme, nsid, cns, 0, buf, kept);
}

void exo_identity_forget(struct exo_nvme *nvme)
{
	struct exo_identity *id = &nvme->identity;
	void *data = NULL;

	scoped_guard(mutex, &id->reading)
		memset(id->asked, 0, sizeof(id->asked));
	scoped_guard(spinlock, &id->lock)
		swap(id->controller_nvm, data);
	kfree(data);
}

/* ---- EXO_IDENTIFY ---- */

/* NVM command set 1.0 figure 97: NUSE tells what neighbours trim; vendors', what nobody knows. */
static void exo_identify_veil_namespace(struct nvme_id_ns *id)
{
	id->nuse = 0;
	memset(id->vs, 0, sizeof(id->vs));
}

static void exo_identify_veil_controller(struct nvme_id_ctrl *id)
{
	memset(id->vs, 0, sizeof(id->vs));
}

static int exo_identify_refuse(struct exo_call *call)
{
	return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_PAGE, EXO_FIELD(identify, cns),
			  call->arg.identify.cns, 0);
}

/* False: the device does not have it. */
static bool exo_identify_copy(struct exo_nvme *nvme, void **kept, void *to)
{
	guard(spinlock)(&nvme->identity.lock);
	if (*kept)
		memcpy(to, *kept, EXO_IDENTIFY_BYTES);
	return *kept;
}

static int exo_identify_controller(struct exo_call *call, void *to)
{
	struct exo_identify *cmd = &call->arg.identify;
	struct exo_nvme *nvme;

	if (cmd->nsid)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(identify, nsid),
				  cmd->nsid, 0);
	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get(call, EXO_FIELD(identify, cap), cmd->cap, EXO_TYPE_CONTROLLER, 0);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	nvme = exo_controller_of(cap->object)->nvme;
	if (cmd->cns == EXO_CNS_CONTROLLER_NVM)
		return exo_identify_copy(nvme, &nvme->identity.controller_nvm, to)
			       ? 0
			       : exo_identify_refuse(call);
	if (!exo_identify_copy(nvme, &nvme->identity.controller, to))
		return exo_identify_refuse(call);
	exo_identify_veil_controller(to);
	return 0;
}

/* By an extent of it, or as whoever may make extents: a reference. */
static struct exo_namespace *exo_identify_find(struct exo_call *call)
{
	struct exo_identify *cmd = &call->arg.identify;
	u32 field = EXO_FIELD(identify, cap);

	struct exo_cap *cap __free(exo_cap_put) =
		cmd->nsid ? exo_controller_get(call, field, cmd->cap, EXO_RIGHT_EXTENT)
			  : exo_cap_get(call, field, cmd->cap, EXO_TYPE_EXTENT, 0);
	if (IS_ERR(cap))
		return ERR_CAST(cap);
	if (cmd->nsid)
		return exo_namespace_get(call, exo_controller_of(cap->object)->nvme, cmd->nsid,
					 EXO_FIELD(identify, nsid));
	exo_object_get(cap->object);
	return exo_namespace_of(cap->object);
}

static int exo_identify_namespace(struct exo_call *call, void *to)
{
	bool nvm = call->arg.identify.cns == EXO_CNS_NAMESPACE_NVM;
	struct exo_namespace *ns = exo_identify_find(call);
	bool has;

	if (IS_ERR(ns))
		return PTR_ERR(ns);
	has = exo_identify_copy(ns->nvme, nvm ? &ns->identify_nvm : &ns->identify, to);
	exo_object_put(&ns->object);
	if (!has)
		return exo_identify_refuse(call);
	if (!nvm)
		exo_identify_veil_namespace(to);
	return 0;
}

static int exo_identify_fetch(struct exo_call *call, void *to)
{
	switch (call->arg.identify.cns) {
	case EXO_CNS_NAMESPACE:
	case EXO_CNS_NAMESPACE_NVM:
		return exo_identify_namespace(call, to);
	case EXO_CNS_CONTROLLER:
	case EXO_CNS_CONTROLLER_NVM:
		return exo_identify_controller(call, to);
	default:
		return exo_identify_refuse(call);
	}
}

int exo_identify(struct exo_call *call)
{
	void *data = kmalloc(EXO_IDENTIFY_BYTES, EXO_GFP);
	int ret;

	if (!data)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	ret = exo_identify_fetch(call, data);
	if (!ret &&
	    copy_to_user(u64_to_user_ptr(call->arg.identify.data), data, EXO_IDENTIFY_BYTES))
		ret = -EFAULT;
	kfree(data);
	return ret;
}

/* ---- log pages ---- */

/* @retain: the event that announces the page stays for whoever waits for it. */
static int exo_log_ask(struct exo_nvme *nvme, enum exo_log_page page, bool retain)
{
	const struct exo_log_kind *kind = &exo_log_kinds[page];
	struct exo_identity *id = &nvme->identity;
	struct exo_dma_buf buf;
	u64 asked;
	int ret;

	lockdep_assert_held(&id->reading);
	if (!id->log[page])
		id->log[page] = kzalloc(kind->bytes, GFP_KERNEL);
	if (!id->log[page])
		return -ENOMEM;
	ret = exo_dma_buf_alloc(&nvme->dma, &buf, kind->bytes, EXO_DMA_DEVICE_WRITES);
	if (ret)
		return ret;
	asked = ktime_get_ns();
	ret = exo_admin_log(nvme, kind->lid, kind->bytes, retain, &buf);
	if (!ret)
		memcpy(id->log[page], buf.va, kind->bytes);
	if (!ret || ret == -EIO) {
		id->has[page] = !ret;
		id->asked[page] = asked;
	}
	exo_nvme_buf_free(nvme, &buf);
	return ret;
}

int exo_identity_read_log(struct exo_nvme *nvme, enum exo_log_page page)
{
	guard(mutex)(&nvme->identity.reading);
	return exo_log_ask(nvme, page, false);
}

/* What was read within the last second is as good as new. A page that it lacks is -EIO. */
static int exo_log_copy(struct exo_nvme *nvme, enum exo_log_page page, void *to, u64 *time)
{
	struct exo_identity *id = &nvme->identity;
	int ret = 0;

	guard(rwsem_read)(&nvme->busy);
	if (!exo_nvme_usable(nvme))
		return -ENODEV;
	guard(mutex)(&id->reading);
	if (!id->asked[page] || ktime_get_ns() - id->asked[page] > EXO_LOG_FRESH_NS)
		ret = exo_log_ask(nvme, page, true);
	if (ret && ret != -EIO)
		return ret;
	if (!id->has[page])
		return -EIO;
	memcpy(to, id->log[page], exo_log_kinds[page].bytes);
	*time = id->asked[page];
	return 0;
}

/* ---- EXO_LOG ---- */

/* NVMe base 2.0 figure 207: how much all tenants read and wrote, and what went wrong with it. */
static void exo_log_veil_health(struct nvme_smart_log *log)
{
	memset(log->data_units_read, 0, sizeof(log->data_units_read));
	memset(log->data_units_written, 0, sizeof(log->data_units_written));
	memset(log->host_reads, 0, sizeof(log->host_reads));
	memset(log->host_writes, 0, sizeof(log->host_writes));
	memset(log->ctrl_busy_time, 0, sizeof(log->ctrl_busy_time));
	memset(log->num_err_log_entries, 0, sizeof(log->num_err_log_entries));
}

static int exo_log_find(struct exo_call *call)
{
	struct exo_log *cmd = &call->arg.log;
	int i;

	for (i = 0; i < EXO_LOG_PAGES; i++)
		if (exo_log_kinds[i].lid == cmd->lid)
			break;
	if (i == EXO_LOG_PAGES)
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_PAGE, EXO_FIELD(log, lid), cmd->lid,
				  0);
	if (!cmd->len || cmd->len > exo_log_kinds[i].bytes)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(log, len), cmd->len,
				  exo_log_kinds[i].bytes);
	return i;
}

static int exo_log_explain(struct exo_call *call, int err)
{
	struct exo_log *cmd = &call->arg.log;

	switch (err) {
	case 0:
		return 0;
	case -ENOMEM:
		return exo_refuse(call, err, EXO_REASON_MEMORY, 0, 0, 0);
	case -EIO:
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_PAGE, EXO_FIELD(log, lid), cmd->lid,
				  0);
	case -ETIMEDOUT:
		return exo_refuse(call, err, EXO_REASON_DEVICE, EXO_FIELD(log, cap),
				  exo_admin_timeout_ms(), 0);
	default:
		return exo_refuse(call, -ENODEV, EXO_REASON_STALE, EXO_FIELD(log, cap), cmd->cap,
				  0);
	}
}

/* To @cap's holder, as its rights allow. */
static int exo_log_give(struct exo_call *call, const struct exo_cap *cap, enum exo_log_page page)
{
	struct exo_log *cmd = &call->arg.log;
	void *data = kmalloc(exo_log_kinds[page].bytes, EXO_GFP);
	int ret;

	if (!data)
		return exo_log_explain(call, -ENOMEM);
	ret = exo_log_explain(call, exo_log_copy(exo_controller_of(cap->object)->nvme, page, data,
						 &cmd->out_time));
	if (!ret && page == EXO_LOG_PAGE_HEALTH && !(cap->rights & EXO_RIGHT_EXTENT))
		exo_log_veil_health(data);
	if (!ret && copy_to_user(u64_to_user_ptr(cmd->data), data, cmd->len))
		ret = -EFAULT;
	kfree(data);
	return ret ?: exo_call_respond(call);
}

int exo_log(struct exo_call *call)
{
	int page;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_controller_get(call, EXO_FIELD(log, cap), call->arg.log.cap, 0);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	page = exo_log_find(call);
	return page < 0 ? page : exo_log_give(call, cap, page);
}
