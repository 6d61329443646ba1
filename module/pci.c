// SPDX-License-Identifier: GPL-2.0
/*
 * Binding: how an NVMe function comes to exo and leaves it. Only through
 * driver_override: exo takes no device that was not given to it.
 */
#include <linux/module.h>
#include <linux/pci.h>

#include "cap.h"
#include "controller.h"
#include "extent.h"
#include "nvme.h"
#include "pci.h"
#include "queue.h"
#include "space.h"

/* ---- probe ---- */

static int exo_pci_check(struct pci_dev *pdev, const struct pci_device_id *id)
{
	/* driver_override matches with an id that says nothing; new_id names a vendor. */
	if (id->vendor != PCI_ANY_ID) {
		pci_err(pdev, "exo binds through driver_override only\n");
		return -ENODEV;
	}
	if (pdev->class != PCI_CLASS_STORAGE_EXPRESS) {
		pci_err(pdev, "not an NVMe function (class %06x)\n", pdev->class);
		return -ENODEV;
	}
	if ((u32)pci_domain_nr(pdev->bus) > 0xffff) {
		pci_err(pdev, "PCI domain above 0xffff\n");
		return -ENODEV;
	}
	return 0;
}

static int exo_pci_map_bar(struct exo_nvme *nvme)
{
	struct pci_dev *pdev = nvme->pdev;

	nvme->regs_size = pci_resource_len(pdev, 0);
	if (nvme->regs_size < NVME_REG_DBS + 16)
		return -ENODEV;
	nvme->regs = ioremap(pci_resource_start(pdev, 0), nvme->regs_size);
	return nvme->regs ? 0 : -ENOMEM;
}

/* INTx is shared with strangers and cannot be isolated: refused. */
static int exo_pci_enable_irq(struct exo_nvme *nvme)
{
	int ret = pci_alloc_irq_vectors(nvme->pdev, 1, EXO_NVME_QUEUES_MAX + 1, PCI_IRQ_MSIX);

	/* With MSI a vector cannot be silenced on its own: one, for the admin queue. */
	if (ret < 0)
		ret = pci_alloc_irq_vectors(nvme->pdev, 1, 1, PCI_IRQ_MSI);
	if (ret < 0) {
		pci_err(nvme->pdev, "no MSI-X or MSI vector\n");
		return ret;
	}
	nvme->vectors = ret;
	ret = exo_admin_request_irq(nvme);
	if (ret)
		pci_free_irq_vectors(nvme->pdev);
	return ret;
}

static void exo_pci_disable_irq(struct exo_nvme *nvme)
{
	exo_admin_free_irq(nvme);
	pci_free_irq_vectors(nvme->pdev);
}

/* DMA is ours before the device can do any. */
static int exo_pci_start(struct exo_nvme *nvme)
{
	int ret = exo_dma_init(&nvme->dma, &nvme->pdev->dev);

	if (ret) {
		pci_err(nvme->pdev, "no DMA ownership (%d): is its IOMMU group shared?\n", ret);
		return ret;
	}
	ret = exo_doorbells_init(nvme);
	if (ret)
		goto out_dma;
	ret = exo_admin_init(nvme);
	if (ret)
		goto out_doorbells;
	pci_set_master(nvme->pdev);
	ret = exo_pci_enable_irq(nvme);
	if (ret)
		goto out_admin;
	ret = exo_nvme_start(nvme);
	if (ret)
		goto out_irq;
	ret = exo_controller_init_root(nvme);
	if (ret)
		goto out_irq;
	return 0;

out_irq:
	exo_nvme_disable(nvme);
	exo_pci_disable_irq(nvme);
out_admin:
	exo_nvme_disable(nvme);
	exo_admin_exit(nvme);
out_doorbells:
	exo_doorbells_exit(nvme);
out_dma:
	exo_dma_exit(&nvme->dma);
	return ret;
}

static int exo_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct exo_nvme *nvme;
	int ret = exo_pci_check(pdev, id);

	if (ret)
		return ret;
	nvme = exo_nvme_alloc(pdev);
	if (!nvme)
		return -ENOMEM;
	ret = pci_enable_device_mem(pdev);
	if (ret)
		goto out_put;
	ret = pci_request_region(pdev, 0, "exo");
	if (ret)
		goto out_disable;
	ret = exo_pci_map_bar(nvme);
	if (ret)
		goto out_region;
	ret = exo_pci_start(nvme);
	if (ret)
		goto out_unmap;
	pci_set_drvdata(pdev, nvme);
	exo_nvme_publish(nvme);
	exo_async_start(nvme);
	pci_info(pdev, "%u queues, %s\n", nvme->queues,
		 nvme->dma.domain ? "behind an IOMMU" : "no IOMMU");
	return 0;

out_unmap:
	iounmap(nvme->regs);
out_region:
	pci_release_region(pdev, 0);
out_disable:
	pci_disable_device(pdev);
out_put:
	exo_nvme_put(nvme);
	return ret;
}

/* ---- remove ---- */

/* From here on no call begins to use the hardware; those that have are on the lists. */
static void exo_pci_begin_end(struct exo_nvme *nvme)
{
	set_bit(EXO_NVME_DYING, &nvme->state);
	down_write(&nvme->busy);
	up_write(&nvme->busy);
	exo_async_stop(nvme);
}

/*
 * Everything that sessions hold of it ends here; the capabilities stay, stale.
 * The steps are those of design.md section 4: stop, wait, delete, unmap.
 */
static void exo_pci_end_objects(struct exo_nvme *nvme)
{
	exo_pci_begin_end(nvme);
	exo_tree_end_root(nvme->root);
	exo_queue_kill_all(nvme);
	exo_space_sever_all(nvme);
	exo_extent_end_all(nvme);
	exo_controller_end_root(nvme);
}

static void exo_pci_remove(struct pci_dev *pdev)
{
	struct exo_nvme *nvme = pci_get_drvdata(pdev);

	exo_nvme_unpublish(nvme);
	exo_pci_end_objects(nvme);
	exo_nvme_shutdown(nvme);
	exo_pci_disable_irq(nvme);
	exo_admin_exit(nvme);
	exo_doorbells_exit(nvme);
	exo_dma_exit(&nvme->dma);
	exo_nvme_unmap_regs(nvme);
	pci_release_region(pdev, 0);
	pci_disable_device(pdev);
	exo_nvme_put(nvme);
}

/* ---- reboot, kexec, suspend: the device falls silent; sessions find dead queues ---- */

static void exo_pci_quiesce(struct exo_nvme *nvme)
{
	exo_nvme_unpublish(nvme);
	exo_pci_begin_end(nvme);
	exo_queue_kill_all(nvme);
	exo_nvme_shutdown(nvme);
}

static void exo_pci_shutdown(struct pci_dev *pdev)
{
	exo_pci_quiesce(pci_get_drvdata(pdev));
}

static int exo_pci_suspend(struct device *dev)
{
	exo_pci_quiesce(dev_get_drvdata(dev));
	return 0;
}

/* It stays as suspend left it until it is bound again. */
static int exo_pci_resume(struct device *dev)
{
	dev_notice(dev, "was suspended: unbind and bind it to use it again\n");
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(exo_pci_pm, exo_pci_suspend, exo_pci_resume);

/* No id table: driver_override alone matches. */
static struct pci_driver exo_pci_driver = {
	.name = "exo",
	.probe = exo_pci_probe,
	.remove = exo_pci_remove,
	.shutdown = exo_pci_shutdown,
	.driver.pm = pm_sleep_ptr(&exo_pci_pm),
	.driver_managed_dma = true,
};

int exo_pci_init(void)
{
	return pci_register_driver(&exo_pci_driver);
}

void exo_pci_exit(void)
{
	pci_unregister_driver(&exo_pci_driver);
}
