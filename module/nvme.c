// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an NVMe function's hardware: reset, enable, identify, disable,
 * shut down, fail. The steps are numbered as in NVMe base 2.0 section 3.5.1.
 */
#include <linux/delay.h>
#include <linux/error-injection.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "cap.h"
#include "controller.h"
#include "nvme.h"
#include "quarantine.h"
#include "queue.h"
#include "trace.h"

static atomic_t exo_nvme_generations = ATOMIC_INIT(0);
static LIST_HEAD(exo_nvme_list);
static DEFINE_MUTEX(exo_nvme_list_lock);

/* ---- the bound functions ---- */

void exo_nvme_publish(struct exo_nvme *nvme)
{
	guard(mutex)(&exo_nvme_list_lock);
	list_add_tail(&nvme->node, &exo_nvme_list);
}

void exo_nvme_unpublish(struct exo_nvme *nvme)
{
	guard(mutex)(&exo_nvme_list_lock);
	list_del_init(&nvme->node);
}

struct exo_nvme *exo_nvme_find(u32 address)
{
	struct exo_nvme *nvme;

	guard(mutex)(&exo_nvme_list_lock);
	list_for_each_entry(nvme, &exo_nvme_list, node) {
		if (nvme->address == address) {
			exo_nvme_get(nvme);
			return nvme;
		}
	}
	return NULL;
}

u32 exo_nvme_count(void)
{
	guard(mutex)(&exo_nvme_list_lock);
	return list_count_nodes(&exo_nvme_list);
}

/* ---- memory ---- */

struct exo_nvme *exo_nvme_alloc(struct pci_dev *pdev)
{
	struct exo_nvme *nvme = kzalloc(sizeof(*nvme), GFP_KERNEL);

	if (!nvme)
		return NULL;
	kref_init(&nvme->ref);
	INIT_LIST_HEAD(&nvme->node);
	nvme->pdev = pci_dev_get(pdev);
	nvme->address = EXO_PCI_ADDRESS(pci_domain_nr(pdev->bus), pdev->bus->number, pdev->devfn);
	nvme->generation = atomic_inc_return(&exo_nvme_generations);
	init_rwsem(&nvme->busy);
	mutex_init(&nvme->lock);
	mutex_init(&nvme->fail_lock);
	xa_init(&nvme->namespaces);
	exo_identity_init(nvme);
	exo_async_init(nvme);
	spin_lock_init(&nvme->list_lock);
	INIT_LIST_HEAD(&nvme->live_queues);
	INIT_LIST_HEAD(&nvme->attachments);
	__set_bit(0, nvme->qids); /* the admin queue */
	__set_bit(0, nvme->vectors_used);
	return nvme;
}

static void exo_nvme_release(struct kref *ref)
{
	struct exo_nvme *nvme = container_of(ref, struct exo_nvme, ref);

	exo_identity_free(nvme);
	xa_destroy(&nvme->namespaces);
	mutex_destroy(&nvme->lock);
	mutex_destroy(&nvme->fail_lock);
	if (nvme->root)
		exo_cap_put(nvme->root);
	pci_dev_put(nvme->pdev);
	kfree(nvme);
}

void exo_nvme_get(struct exo_nvme *nvme)
{
	kref_get(&nvme->ref);
}

void exo_nvme_put(struct exo_nvme *nvme)
{
	kref_put(&nvme->ref, exo_nvme_release);
}

/* ---- registers ---- */

static bool exo_nvme_present(struct exo_nvme *nvme)
{
	return readl(nvme->regs + NVME_REG_CSTS) != ~0u;
}

/* What is wrong with it, or NULL. Where a device was pulled out, reads give all ones or zero. */
const char *exo_nvme_ailment(struct exo_nvme *nvme)
{
	u32 csts = readl(nvme->regs + NVME_REG_CSTS);

	if (csts == ~0u || pci_channel_offline(nvme->pdev))
		return "it is gone";
	if (csts & NVME_CSTS_CFS)
		return "fatal status";
	/* It is enabled from probe on: somebody else has reset it, and it forgot its queues. */
	if (!(csts & NVME_CSTS_RDY))
		return "it was reset, or is gone";
	return NULL;
}

/* CAP.TO: the device's own limit, in units of 500 ms. */
static int exo_nvme_wait_status(struct exo_nvme *nvme, u32 mask, u32 value)
{
	unsigned long deadline = jiffies + (NVME_CAP_TIMEOUT(nvme->cap) + 1) * (HZ / 2);

	for (;;) {
		bool late = time_after(jiffies, deadline);
		u32 csts = readl(nvme->regs + NVME_REG_CSTS);

		if (csts == ~0u)
			return -ENODEV;
		if ((csts & mask) == value)
			return 0;
		if (late)
			return -ETIMEDOUT;
		/* There is no interrupt for a change of CSTS. */
		usleep_range(100, 500);
	}
}

/* Bus mastering off and no transaction pending: quiet, whatever the controller thinks. */
static bool exo_nvme_silence(struct exo_nvme *nvme)
{
	u16 command;

	pci_clear_master(nvme->pdev);
	pci_read_config_word(nvme->pdev, PCI_COMMAND, &command);
	if (command == (u16)~0)
		return true;
	return !(command & PCI_COMMAND_MASTER) && pci_wait_for_pending_transaction(nvme->pdev);
}

/* True: it starts no DMA any more. Tests make it fail (fail_function), as no emulated device does. */
static noinline bool exo_nvme_make_quiet(struct exo_nvme *nvme)
{
	u32 cc = readl(nvme->regs + NVME_REG_CC);
	int ret = -ENODEV;

	if (exo_nvme_present(nvme)) {
		writel(cc & ~NVME_CC_ENABLE, nvme->regs + NVME_REG_CC);
		ret = exo_nvme_wait_status(nvme, NVME_CSTS_RDY, 0);
	}
	return exo_nvme_silence(nvme) || ret == 0;
}
ALLOW_ERROR_INJECTION(exo_nvme_make_quiet, NULL);

void exo_nvme_disable(struct exo_nvme *nvme)
{
	if (exo_nvme_is_quiet(nvme) || !exo_nvme_make_quiet(nvme))
		return;
	set_bit(EXO_NVME_QUIET, &nvme->state);
	exo_quarantine_release(nvme->address);
}

/* NVMe base 2.0 section 3.6.1: normal shutdown, bounded by the same limit as a reset. */
void exo_nvme_shutdown(struct exo_nvme *nvme)
{
	if (exo_nvme_is_quiet(nvme)) {
		/* What was put there by who had not seen yet that it is. */
		exo_quarantine_release(nvme->address);
		return;
	}
	if (!test_bit(EXO_NVME_FAILED, &nvme->state) && !exo_nvme_ailment(nvme)) {
		u32 cc = readl(nvme->regs + NVME_REG_CC);

		cc = (cc & ~NVME_CC_SHN_MASK) | NVME_CC_SHN_NORMAL;
		writel(cc, nvme->regs + NVME_REG_CC);
		if (exo_nvme_wait_status(nvme, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_CMPLT))
			pci_warn(nvme->pdev, "shutdown was not completed in time\n");
	}
	exo_nvme_disable(nvme);
	trace_exo_reset(nvme, "unbind, shutdown or suspend");
}

static int exo_nvme_enable(struct exo_nvme *nvme)
{
	u32 css = nvme->cap & EXO_NVME_CAP_CSI ? NVME_CC_CSS_CSI : NVME_CC_CSS_NVM;
	u32 ams = nvme->features & EXO_CONTROLLER_PRIORITY ? NVME_CC_AMS_WRRU : NVME_CC_AMS_RR;
	u32 cc = NVME_CC_ENABLE | css | ams | NVME_CC_SHN_NONE | NVME_CC_IOSQES | NVME_CC_IOCQES;
	int ret;

	/* Steps 1 and 2: disable, wait until it is. */
	writel(0, nvme->regs + NVME_REG_CC);
	ret = exo_nvme_wait_status(nvme, NVME_CSTS_RDY, 0);
	if (ret)
		return ret;
	exo_quarantine_release(nvme->address);
	trace_exo_reset(nvme, nvme->exclusive ? "exclusive"
			      : nvme->root    ? "no longer exclusive"
					      : "bind");
	/* Steps 3 to 6: admin queue, configuration, enable, wait until it is. */
	exo_doorbells_forget(nvme);
	exo_admin_reset(nvme);
	writel(cc, nvme->regs + NVME_REG_CC);
	return exo_nvme_wait_status(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY);
}

/* Tests make it say yes (fail_function), as no emulated device does. */
static noinline bool exo_nvme_has_weights(struct exo_nvme *nvme)
{
	return nvme->cap & EXO_NVME_CAP_WEIGHTED;
}
ALLOW_ERROR_INJECTION(exo_nvme_has_weights, TRUE);

static int exo_nvme_read_capabilities(struct exo_nvme *nvme)
{
	nvme->cap = lo_hi_readq(nvme->regs + NVME_REG_CAP);
	nvme->version = readl(nvme->regs + NVME_REG_VS);
	if (nvme->cap == ~0ull)
		return -ENODEV;
	/* Bit 37 of CAP: the NVM command set; MPSMIN: 4 KiB pages. */
	if (!(nvme->cap & BIT_ULL(37)) || NVME_CAP_MPSMIN(nvme->cap)) {
		pci_err(nvme->pdev, "no NVM command set or no 4 KiB pages (CAP %#llx)\n",
			nvme->cap);
		return -EOPNOTSUPP;
	}
	/* A ring of 2^n entries holds 2^n - 1 commands. */
	nvme->depth_max = rounddown_pow_of_two(NVME_CAP_MQES(nvme->cap) + 1) - 1;
	nvme->depth_max = min(nvme->depth_max, EXO_NVME_DEPTH_MAX);
	if (exo_nvme_has_weights(nvme))
		nvme->features |= EXO_CONTROLLER_PRIORITY;
	return 0;
}

/* The rest of BAR 0 may hold fewer doorbells than the device has queues. */
static u32 exo_nvme_doorbells(struct exo_nvme *nvme)
{
	u64 bytes = nvme->regs_size - NVME_REG_DBS;

	return div_u64(bytes, 2 * (4u << NVME_CAP_STRIDE(nvme->cap))) - 1;
}

/* What its queues and extents rely on, and what is told with it: as it was at first. */
static void exo_nvme_learn(struct exo_nvme *nvme, const struct nvme_id_ctrl *id)
{
	u32 max = EXO_NVME_PAGE / sizeof(__le64) * EXO_NVME_PAGE; /* one page of PRP list */
	u16 oncs = le16_to_cpu(id->oncs);

	memcpy(nvme->serial, id->sn, sizeof(nvme->serial));
	memcpy(nvme->model, id->mn, sizeof(nvme->model));
	memcpy(nvme->firmware, id->fr, sizeof(nvme->firmware));
	nvme->nn = le32_to_cpu(id->nn);
	nvme->notices = le32_to_cpu(id->oaes);
	nvme->cntlid = le16_to_cpu(id->cntlid);
	nvme->cmic = id->cmic;
	nvme->has_shadows = le16_to_cpu(id->oacs) & NVME_CTRL_OACS_DBBUF_SUPP;
	nvme->transfer_max = max;
	if (id->mdts && id->mdts < 32 - 12)
		nvme->transfer_max = min(max, EXO_NVME_PAGE << id->mdts);
	if (nvme->dma.domain)
		nvme->features |= EXO_CONTROLLER_TRANSLATED;
	if (oncs & NVME_CTRL_ONCS_WRITE_ZEROES)
		nvme->features |= EXO_CONTROLLER_WRITE_ZEROES;
	if (oncs & NVME_CTRL_ONCS_COMPARE)
		nvme->features |= EXO_CONTROLLER_COMPARE;
	if (oncs & NVME_CTRL_ONCS_DSM)
		nvme->features |= EXO_CONTROLLER_TRIM;
	/* NVM command set specification 1.0 figure 100: Copy, and its descriptor format 0h */
	if ((oncs & EXO_NVME_ONCS_COPY) && (id->rsvd534[0] & EXO_NVME_OCFS_0))
		nvme->features |= EXO_CONTROLLER_COPY;
	if (le32_to_cpu(id->ctratt) & EXO_NVME_CTRATT_PLACEMENT)
		nvme->features |= EXO_CONTROLLER_PLACEMENT;
	if (id->vwc & NVME_CTRL_VWC_PRESENT)
		nvme->features |= EXO_CONTROLLER_VOLATILE_CACHE;
}

/* Zoned namespace command set 1.1 section 4.1.5.3: ZASL */
static int exo_nvme_identify_zoned(struct exo_nvme *nvme, struct exo_dma_buf *buf)
{
	const struct nvme_id_ctrl_zns *id = buf->va;
	int ret;

	if (!(nvme->cap & EXO_NVME_CAP_CSI))
		return 0;
	ret = exo_admin_identify_csi(nvme, 0, NVME_ID_CNS_CS_CTRL, NVME_CSI_ZNS, buf);
	/* It has not this command set. */
	if (ret == -EIO)
		return 0;
	if (ret)
		return ret;
	nvme->features |= EXO_CONTROLLER_ZONED;
	nvme->append_max = nvme->transfer_max;
	if (id->zasl && id->zasl < 32 - 12)
		nvme->append_max = min(nvme->append_max, EXO_NVME_PAGE << id->zasl);
	return 0;
}

static void exo_nvme_learn_firmware(struct exo_nvme *nvme)
{
	const struct nvme_id_ctrl *id;

	guard(spinlock)(&nvme->identity.lock);
	id = nvme->identity.controller;
	memcpy(nvme->firmware, id->fr, sizeof(nvme->firmware));
}

int exo_nvme_identify(struct exo_nvme *nvme)
{
	struct exo_identity *id = &nvme->identity;
	struct exo_dma_buf *buf = &nvme->admin.page;
	bool first;
	int ret;

	/* Who hears of new firmware may be here while another resets the function. */
	guard(mutex)(&id->reading);
	first = !id->controller;
	ret = exo_identity_learn(nvme, 0, NVME_ID_CNS_CTRL, buf, &id->controller);
	if (!ret && first)
		exo_nvme_learn(nvme, id->controller);
	else if (!ret)
		exo_nvme_learn_firmware(nvme);
	if (!ret && exo_identity_has_sets(nvme))
		ret = exo_identity_learn(nvme, 0, NVME_ID_CNS_CS_CTRL, buf, &id->controller_nvm);
	if (first && (!ret || (ret == -EIO && id->controller)))
		ret = exo_nvme_identify_zoned(nvme, buf);
	/* Identify Controller is not refused, and of the rest it has what it has. */
	return ret == -EIO && id->controller ? 0 : ret;
}

/* As the device has them: what the weights are is for who administers it. */
static int exo_nvme_read_weights(struct exo_nvme *nvme)
{
	struct exo_admin_answer answer;
	int ret;

	if (!(nvme->features & EXO_CONTROLLER_PRIORITY))
		return 0;
	ret = exo_admin_get_features(nvme, NVME_FEAT_ARBITRATION, 0, &answer);
	nvme->arbitration = ret ? 0 : answer.result;
	return ret == -EIO ? 0 : ret;
}

static int exo_nvme_set_queues(struct exo_nvme *nvme, u32 *got)
{
	return exo_admin_set_queues(nvme, min(EXO_NVME_QUEUES_MAX, exo_nvme_doorbells(nvme)), got);
}

int exo_nvme_start(struct exo_nvme *nvme)
{
	int ret = exo_nvme_read_capabilities(nvme);

	if (ret)
		return ret;
	ret = exo_nvme_enable(nvme);
	if (ret) {
		pci_err(nvme->pdev, "not ready in time (CSTS %#x)\n",
			readl(nvme->regs + NVME_REG_CSTS));
		return ret;
	}
	ret = exo_nvme_identify(nvme);
	if (!ret)
		ret = exo_nvme_read_weights(nvme);
	if (!ret)
		ret = exo_nvme_set_queues(nvme, &nvme->queues);
	return ret ? ret : exo_doorbells_tell(nvme);
}

/* ---- failure ---- */

static void exo_nvme_fail_locked(struct exo_nvme *nvme, const char *why)
{
	lockdep_assert_held(&nvme->fail_lock);
	if (test_bit(EXO_NVME_FAILED, &nvme->state) || exo_nvme_is_quiet(nvme))
		return;
	set_bit(EXO_NVME_FAILED, &nvme->state);
	pci_err(nvme->pdev, "failed: %s; its queues are dead until it is bound again\n", why);
	exo_queue_mark_all_dead(nvme);
	exo_nvme_disable(nvme);
	trace_exo_reset(nvme, why);
}

void exo_nvme_fail(struct exo_nvme *nvme, const char *why)
{
	guard(mutex)(&nvme->fail_lock);
	exo_nvme_fail_locked(nvme, why);
}

static int exo_nvme_reenable(struct exo_nvme *nvme)
{
	int ret;

	/* Nobody may take the reset for somebody else's. */
	guard(mutex)(&nvme->fail_lock);
	if (!exo_nvme_usable(nvme) || exo_nvme_is_quiet(nvme))
		return -ENODEV;
	guard(mutex)(&nvme->admin.lock);
	ret = exo_nvme_enable(nvme);
	if (ret)
		exo_nvme_fail_locked(nvme, "it could not be reset");
	return ret;
}

void exo_nvme_restart(struct exo_nvme *nvme)
{
	u32 queues;

	lockdep_assert_held_write(&nvme->busy);
	if (exo_nvme_reenable(nvme))
		return;
	exo_identity_forget(nvme);
	if (exo_nvme_identify(nvme))
		exo_nvme_fail(nvme, "it does not say what it is after a reset");
	else if (exo_nvme_set_queues(nvme, &queues) || queues < nvme->queues)
		exo_nvme_fail(nvme, "it has fewer queues after a reset");
	else if (!exo_doorbells_tell(nvme))
		exo_async_start(nvme);
}

/* The lock keeps the registers mapped, and waits for a failure under way to end. */
bool exo_nvme_check(struct exo_nvme *nvme)
{
	const char *why;

	guard(mutex)(&nvme->fail_lock);
	if (test_bit(EXO_NVME_FAILED, &nvme->state) || exo_nvme_is_quiet(nvme) || !nvme->regs)
		return false;
	why = exo_nvme_ailment(nvme);
	if (why)
		exo_nvme_fail_locked(nvme, why);
	return !test_bit(EXO_NVME_FAILED, &nvme->state);
}

bool exo_nvme_may_write(struct exo_nvme *nvme)
{
	guard(mutex)(&nvme->fail_lock);
	return test_bit(EXO_NVME_FAILED, &nvme->state) && !exo_nvme_is_quiet(nvme) &&
	       !nvme->dma.domain;
}

/* Its memory may be lost, its neighbours' is not. */
void exo_nvme_buf_free(struct exo_nvme *nvme, struct exo_dma_buf *buf)
{
	exo_dma_buf_unmap(&nvme->dma, buf);
	if (!exo_nvme_may_write(nvme))
		exo_dma_buf_free(buf);
}

void exo_nvme_unmap_regs(struct exo_nvme *nvme)
{
	void __iomem *regs = nvme->regs;

	scoped_guard(mutex, &nvme->fail_lock)
		nvme->regs = NULL;
	iounmap(regs);
}
