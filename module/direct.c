// SPDX-License-Identifier: GPL-2.0
/*
 * What must hold for direct and unsafe queues, and their doorbells.
 *
 * The page that holds a queue's doorbells holds those of the admin queue too. Its holder
 * can have the device look at the admin submission queue, but not write there: the device
 * itself may only read it. So what can be run again is what the kernel has there: the
 * command under way, or an entry that was scrubbed. What comes of it, as all that the
 * device says on such a function, is taken for hostile.
 */
#include <linux/capability.h>
#include <linux/iommu.h>
#include <linux/panic.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/security.h>

#include "controller.h"
#include "direct.h"
#include "exclusive.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"
#include "queue.h"
#include "rings.h"
#include "view.h"

#define EXO_ID_NS_SHARED BIT(0)	   /* NMIC: it may be attached to several controllers */
#define EXO_ID_CTRL_SEVERAL BIT(1) /* CMIC: the subsystem may have several */

/* ---- pages of doorbells ---- */

/* PCI base 6.0 sections 7.7.2.3, 7.7.2.4: the low bits say which BAR */
static bool exo_direct_meets_msix(struct exo_nvme *nvme, int reg, u32 bytes, u32 first, u32 end)
{
	u32 value, start;

	pci_read_config_dword(nvme->pdev, nvme->pdev->msix_cap + reg, &value);
	if (value & PCI_MSIX_TABLE_BIR)
		return false;
	start = value & PCI_MSIX_TABLE_OFFSET;
	return start < end && start + bytes > first;
}

/* Do MSI-X structures share a page with doorbells? Registers do not: doorbells begin a page. */
static bool exo_direct_doorbells_shared(struct exo_nvme *nvme)
{
	u32 end = PAGE_ALIGN(exo_nvme_cq_offset(nvme, nvme->queues) + sizeof(u32));
	u32 first = NVME_REG_DBS & PAGE_MASK, n;
	u16 control;

	if (first != NVME_REG_DBS)
		return true;
	if (!nvme->pdev->msix_cap)
		return false;
	pci_read_config_word(nvme->pdev, nvme->pdev->msix_cap + PCI_MSIX_FLAGS, &control);
	n = (control & PCI_MSIX_FLAGS_QSIZE) + 1;
	return exo_direct_meets_msix(nvme, PCI_MSIX_TABLE, n * PCI_MSIX_ENTRY_SIZE, first, end) ||
	       exo_direct_meets_msix(nvme, PCI_MSIX_PBA, DIV_ROUND_UP(n, 64) * sizeof(u64), first,
				     end);
}

/* ---- namespaces ---- */

/* Attached to this controller and no other. NVMe base 2.0 figure 274: controller list. */
static int exo_direct_check_namespace(struct exo_nvme *nvme, u32 nsid, struct exo_dma_buf *buf)
{
	const struct nvme_id_ns *id = buf->va;
	const __le16 *list = buf->va;
	int ret = exo_admin_identify(nvme, nsid, NVME_ID_CNS_NS, buf);

	if (ret)
		return ret;
	if (!(id->nmic & EXO_ID_NS_SHARED))
		return 0;
	ret = exo_admin_identify(nvme, nsid, NVME_ID_CNS_CTRL_NS_LIST, buf);
	/* It cannot say: then as many as there may be controllers. */
	if (ret == -EIO)
		return nvme->cmic & EXO_ID_CTRL_SEVERAL ? -EXDEV : 0;
	if (ret)
		return ret;
	return le16_to_cpu(list[0]) == 1 && le16_to_cpu(list[1]) == nvme->cntlid ? 0 : -EXDEV;
}

/* As many as one page lists; the numbers rise, or the device has no such list. */
static int exo_direct_check_list(struct exo_nvme *nvme, const __le32 *list, struct exo_dma_buf *buf,
				 u32 *nsid)
{
	u32 i;
	int ret;

	for (i = 0; i < EXO_NVME_PAGE / sizeof(*list); i++) {
		u32 next = le32_to_cpu(READ_ONCE(list[i]));

		if (!next)
			return 0;
		if (next <= *nsid || next > nvme->nn)
			return -EIO;
		*nsid = next;
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = exo_nvme_usable(nvme) ? exo_direct_check_namespace(nvme, next, buf) : -ENODEV;
		if (ret)
			return ret;
	}
	return -EIO;
}

/* All active ones. *nsid: the one that is not this controller's alone. */
static int exo_direct_check_namespaces(struct exo_nvme *nvme, u32 *nsid)
{
	struct exo_dma_buf list, buf;
	int ret;

	lockdep_assert_held(&nvme->busy);
	ret = exo_dma_buf_alloc(&nvme->dma, &list, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES);
	if (ret)
		return ret;
	ret = exo_dma_buf_alloc(&nvme->dma, &buf, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES);
	if (ret)
		goto out_list;
	*nsid = 0;
	ret = exo_admin_identify(nvme, 0, NVME_ID_CNS_NS_ACTIVE_LIST, &list);
	if (!ret)
		ret = exo_direct_check_list(nvme, list.va, &buf, nsid);
	exo_nvme_buf_free(nvme, &buf);
out_list:
	exo_nvme_buf_free(nvme, &list);
	return ret;
}

static int exo_direct_explain(struct exo_call *call, int err, u32 nsid)
{
	u32 field = EXO_FIELD(queue_create, controller), id = call->arg.queue_create.controller;

	switch (err) {
	case -EXDEV:
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_SHARED_NAMESPACE, field, nsid, 0);
	case -EBUSY:
		return exo_refuse(call, err, EXO_REASON_EXCLUSIVE, field, id, 0);
	case -ENODEV:
		return exo_refuse(call, err, EXO_REASON_STALE, field, id, 0);
	case -ENOMEM:
		return exo_refuse(call, err, EXO_REASON_MEMORY, field, 0, 0);
	case -ENOSPC:
		return exo_refuse(call, err, EXO_REASON_TABLE_FULL, field, 0, 0);
	case -ETIMEDOUT:
		return exo_refuse(call, err, EXO_REASON_DEVICE, field, exo_admin_timeout_ms(), 0);
	case -EIO:
		return exo_refuse(call, err, EXO_REASON_DEVICE, field, 0, 0);
	default:
		return err;
	}
}

/* ---- all ---- */

static int exo_direct_ask(const struct exo_controller *controller, u32 *nsid)
{
	struct exo_nvme *nvme = controller->nvme;

	guard(rwsem_read)(&nvme->busy);
	if (!exo_nvme_usable(nvme))
		return -ENODEV;
	if (!nvme->exclusive || !exo_exclusive_admits(controller))
		return -EBUSY;
	return exo_direct_check_namespaces(nvme, nsid);
}

/* What the device can write to: memory, and with it interrupts. */
static int exo_direct_check_bounds(struct exo_call *call, const struct exo_nvme *nvme)
{
	u32 field = EXO_FIELD(queue_create, mode);

	if (!nvme->dma.domain)
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_UNTRANSLATED, field, 0, 0);
	if (!iommu_group_has_isolated_msi(nvme->dma.group))
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_INTERRUPTS, field, 0, 0);
	return 0;
}

/*
 * Nothing bounds it: then who has it must be one who may write to all memory anyway. The
 * opener too: whoever has the session would have the queue.
 */
static int exo_direct_check_privilege(struct exo_call *call)
{
	u32 lacking;

	if (!capable(CAP_SYS_RAWIO))
		lacking = 0;
	else if (!file_ns_capable(call->file, &init_user_ns, CAP_SYS_RAWIO))
		lacking = 1;
	else if (security_locked_down(LOCKDOWN_DEV_MEM))
		lacking = 2;
	else
		return 0;
	return exo_refuse(call, -EPERM, EXO_REASON_PRIVILEGE, EXO_FIELD(queue_create, mode),
			  lacking, CAP_SYS_RAWIO);
}

static int exo_direct_check_unsafe(struct exo_call *call, const struct exo_nvme *nvme)
{
	int ret = exo_direct_check_privilege(call);

	if (ret || !nvme->dma.domain)
		return ret;
	return exo_refuse(call, -EINVAL, EXO_REASON_MODE, EXO_FIELD(queue_create, mode),
			  EXO_QUEUE_UNSAFE, EXO_QUEUE_DIRECT);
}

void exo_direct_confess(struct exo_nvme *nvme)
{
	if (test_and_set_bit(EXO_NVME_UNSAFE, &nvme->state))
		return;
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	pci_warn(nvme->pdev,
		 "%s[%d] has an unsafe queue, which reaches all memory: kernel tainted\n",
		 current->comm, task_tgid_nr(current));
}

int exo_direct_check(struct exo_call *call, const struct exo_controller *controller)
{
	struct exo_nvme *nvme = controller->nvme;
	u32 field = EXO_FIELD(queue_create, mode), nsid = 0;
	int ret;

	ret = call->arg.queue_create.mode == EXO_QUEUE_UNSAFE ? exo_direct_check_unsafe(call, nvme)
							      : exo_direct_check_bounds(call, nvme);
	if (ret)
		return ret;
	if (exo_direct_doorbells_shared(nvme))
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_DOORBELLS, field, 0, 0);
	ret = exo_direct_ask(controller, &nsid);
	return ret ? exo_direct_explain(call, ret, nsid) : 0;
}

/* ---- doorbells ---- */

void exo_direct_doorbell(const struct exo_queue *q, u32 which, struct exo_pfn *at)
{
	u32 offset = which ? exo_nvme_cq_offset(q->nvme, q->qid)
			   : exo_nvme_sq_offset(q->nvme, q->qid);

	if (READ_ONCE(q->dead)) {
		at->pfn = PHYS_PFN(virt_to_phys(q->void_page));
		return;
	}
	at->pfn = PHYS_PFN(pci_resource_start(q->nvme->pdev, 0) + offset);
	at->registers = true;
}

void exo_direct_describe(const struct exo_queue *q, struct exo_queue_create *cmd)
{
	u32 page = exo_rings_doorbells(q);

	cmd->out_lists = exo_rings_lists(q) << PAGE_SHIFT;
	cmd->out_list_shift = q->list_shift;
	cmd->out_lists_offset = exo_dma_addr(&q->lists_map, 0, 0);
	cmd->out_sq_doorbell =
		(page << PAGE_SHIFT) + offset_in_page(exo_nvme_sq_offset(q->nvme, q->qid));
	cmd->out_cq_doorbell =
		((page + 1) << PAGE_SHIFT) + offset_in_page(exo_nvme_cq_offset(q->nvme, q->qid));
}

void exo_direct_withdraw(struct exo_queue *q)
{
	if (exo_queue_is_direct(q))
		exo_view_withdraw(&q->object, exo_rings_doorbells(q), EXO_DOORBELL_PAGES);
}
