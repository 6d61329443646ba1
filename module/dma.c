// SPDX-License-Identifier: GPL-2.0
/*
 * The two ways to memory.
 *
 * Translated: the group is claimed (no other driver may use DMA in it) and our
 * paging domain attached before the device is enabled. Addresses come from 4 GiB
 * up, clear of the regions the platform reserves. iommu_unmap() flushes before it
 * returns: after it the device cannot reach the page, whatever it does.
 *
 * Not translated: the DMA API, and only memory that needs no bounce buffer and no
 * cache maintenance, for nobody calls us between a device's write and the
 * program's read. A program's frames are where they are; memory of our own is
 * allocated where the device reaches it.
 */
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sizes.h>

#include "dma.h"
#include "params.h"

#define EXO_IOVA_FIRST (SZ_4G >> PAGE_SHIFT)
#define EXO_UNIT_PAGES(order) (1ul << (order))
#define EXO_MAP_STEP 16u /* units in one call, listed on the stack */

/* ---- translated addresses ---- */

/*
 * Where an interrupt is a write that the IOMMU translates as any other (Arm's), the kernel
 * maps the doorbells of interrupts in our domain, in the region that is for them.
 */
static int exo_iova_reserve_region(struct exo_dma *dma, const struct iommu_resv_region *region)
{
	unsigned long first = region->start >> PAGE_SHIFT;
	unsigned long last = (region->start + region->length - 1) >> PAGE_SHIFT;
	int ret = 0;

	if (region->type == IOMMU_RESV_SW_MSI)
		ret = iommu_get_msi_cookie(dma->domain, region->start);
	if (!ret && last >= EXO_IOVA_FIRST)
		ret = mtree_insert_range(&dma->iova, max(first, EXO_IOVA_FIRST), last, dma,
					 GFP_KERNEL);
	return ret;
}

static int exo_iova_reserve(struct exo_dma *dma)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int ret;

	ret = iommu_get_group_resv_regions(dma->group, &regions);
	list_for_each_entry(region, &regions, list) {
		if (!ret)
			ret = exo_iova_reserve_region(dma, region);
	}
	while (!list_empty(&regions)) {
		region = list_first_entry(&regions, struct iommu_resv_region, list);
		list_del(&region->list);
		kfree(region);
	}
	return ret;
}

/* Aligned to the unit, so that a 2 MiB unit takes one entry. */
static int exo_iova_take(struct exo_dma *dma, struct exo_dma_map *map)
{
	unsigned long unit = EXO_UNIT_PAGES(map->order), first;
	unsigned long pages = map->count * unit + (unit - 1);
	int ret;

	guard(mutex)(&dma->lock);
	ret = mtree_alloc_range(&dma->iova, &first, map, pages, EXO_IOVA_FIRST, dma->iova_last,
				EXO_GFP);
	if (ret)
		return ret == -ENOMEM ? ret : -ENOSPC;
	map->iova = (u64)ALIGN(first, unit) << PAGE_SHIFT;
	return 0;
}

static void exo_iova_give(struct exo_dma *dma, struct exo_dma_map *map)
{
	guard(mutex)(&dma->lock);
	mtree_erase(&dma->iova, map->iova >> PAGE_SHIFT);
}

/* What was mapped in one call, neighbours in one entry perhaps, is unmapped in one. */
static void exo_iommu_unmap(struct exo_dma *dma, struct exo_dma_map *map, u32 count)
{
	size_t unit = PAGE_SIZE << map->order;
	u32 step = max_t(u32, SZ_2M / unit, EXO_MAP_STEP), i;

	for (i = 0; i < count; i += step) {
		u32 n = min(step, count - i);

		iommu_unmap(dma->domain, map->iova + (u64)i * unit, n * unit);
		cond_resched();
	}
	exo_iova_give(dma, map);
}

/*
 * In one call, so that the IOMMU is told of new entries once, where it has to be: an emulated one
 * does.
 */
static int exo_iommu_map_some(struct exo_dma *dma, struct exo_dma_map *map, u32 first, u32 n,
			      struct page **pages)
{
	struct scatterlist list[EXO_MAP_STEP];
	size_t unit = PAGE_SIZE << map->order;
	int prot = IOMMU_CACHE;
	ssize_t mapped;
	u32 i;

	if (map->access & EXO_DMA_DEVICE_READS)
		prot |= IOMMU_READ;
	if (map->access & EXO_DMA_DEVICE_WRITES)
		prot |= IOMMU_WRITE;
	sg_init_table(list, n);
	for (i = 0; i < n; i++)
		sg_set_page(&list[i], pages[first + i], unit, 0);
	mapped = iommu_map_sg(dma->domain, map->iova + (u64)first * unit, list, n, prot, EXO_GFP);
	return mapped < 0 ? mapped : 0;
}

static int exo_iommu_map(struct exo_dma *dma, struct exo_dma_map *map, struct page **pages)
{
	int ret;
	u32 i;

	ret = exo_iova_take(dma, map);
	if (ret)
		return ret;
	for (i = 0; i < map->count; i += EXO_MAP_STEP) {
		u32 n = min(map->count - i, EXO_MAP_STEP);

		ret = fatal_signal_pending(current) ? -EINTR : 0;
		ret = ret ?: exo_iommu_map_some(dma, map, i, n, pages);
		if (ret) {
			exo_iommu_unmap(dma, map, i);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/* ---- untranslated addresses ---- */

static enum dma_data_direction exo_dma_direction(u32 access)
{
	if (access == EXO_DMA_DEVICE_READS)
		return DMA_TO_DEVICE;
	if (access == EXO_DMA_DEVICE_WRITES)
		return DMA_FROM_DEVICE;
	return DMA_BIDIRECTIONAL;
}

static void exo_direct_unmap(struct exo_dma *dma, struct exo_dma_map *map, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		dma_unmap_page_attrs(dma->dev, map->addrs[i], PAGE_SIZE << map->order,
				     exo_dma_direction(map->access), DMA_ATTR_SKIP_CPU_SYNC);
		cond_resched();
	}
	kvfree(map->addrs);
	map->addrs = NULL;
}

static int exo_direct_map_one(struct exo_dma *dma, struct exo_dma_map *map, struct page *page,
			      dma_addr_t *addr)
{
	size_t size = PAGE_SIZE << map->order;
	enum dma_data_direction dir = exo_dma_direction(map->access);

	if (fatal_signal_pending(current))
		return -EINTR;
	/* Out of reach: the DMA API would go for a bounce buffer, and complain of a large one. */
	if (page_to_phys(page) + size - 1 > dma_get_mask(dma->dev))
		return -EOPNOTSUPP;
	/* Nothing to synchronise, or it is refused; and a page may be mapped more than once. */
	*addr = dma_map_page_attrs(dma->dev, page, 0, size, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (dma_mapping_error(dma->dev, *addr))
		return -ENOMEM;
	if (!dma_need_sync(dma->dev, *addr))
		return 0;
	dma_unmap_page_attrs(dma->dev, *addr, size, dir, DMA_ATTR_SKIP_CPU_SYNC);
	return -EOPNOTSUPP;
}

static int exo_direct_map(struct exo_dma *dma, struct exo_dma_map *map, struct page **pages)
{
	u32 i;
	int ret;

	map->addrs = kvcalloc(map->count, sizeof(*map->addrs), EXO_GFP);
	if (!map->addrs)
		return -ENOMEM;
	for (i = 0; i < map->count; i++) {
		ret = exo_direct_map_one(dma, map, pages[i], &map->addrs[i]);
		if (ret) {
			exo_direct_unmap(dma, map, i);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/* ---- both ---- */

int exo_dma_map(struct exo_dma *dma, struct exo_dma_map *map, struct page **pages, u32 count,
		u32 order, u32 access)
{
	int ret;

	*map = (struct exo_dma_map){
		.count = count,
		.order = order,
		.access = access,
	};
	ret = dma->domain ? exo_iommu_map(dma, map, pages) : exo_direct_map(dma, map, pages);
	if (ret)
		map->count = 0;
	return ret;
}

void exo_dma_unmap(struct exo_dma *dma, struct exo_dma_map *map)
{
	if (!map->count)
		return;
	if (dma->domain)
		exo_iommu_unmap(dma, map, map->count);
	else
		exo_direct_unmap(dma, map, map->count);
	map->count = 0;
}

static int exo_dma_buf_map(struct exo_dma *dma, struct exo_dma_buf *buf, u32 access)
{
	u32 i, count = buf->size >> PAGE_SHIFT;
	struct page **pages = kvcalloc(count, sizeof(*pages), EXO_GFP);
	int ret;

	if (!pages)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		pages[i] = virt_to_page(buf->va + i * PAGE_SIZE);
	ret = exo_dma_map(dma, &buf->map, pages, count, 0, access);
	kvfree(pages);
	return ret;
}

void *exo_dma_pages(const struct exo_dma *dma, size_t size, gfp_t gfp, int node)
{
	u32 order = get_order(size), i;
	struct page *page;

	if (node == NUMA_NO_NODE)
		node = dma->node;
	else
		gfp |= __GFP_THISNODE;
	page = alloc_pages_node(node, gfp, order);
	if (!page)
		return NULL;
	split_page(page, order);
	for (i = PAGE_ALIGN(size) >> PAGE_SHIFT; i < 1u << order; i++)
		__free_page(page + i);
	return page_address(page);
}

int exo_dma_buf_alloc_on(struct exo_dma *dma, struct exo_dma_buf *buf, size_t size, u32 access,
			 int node)
{
	int ret;

	buf->size = PAGE_ALIGN(size);
	buf->va = exo_dma_pages(dma, buf->size, dma->gfp, node);
	if (!buf->va)
		return -ENOMEM;
	ret = exo_dma_buf_map(dma, buf, access);
	if (ret)
		exo_dma_buf_free(buf);
	return ret;
}

int exo_dma_buf_alloc(struct exo_dma *dma, struct exo_dma_buf *buf, size_t size, u32 access)
{
	return exo_dma_buf_alloc_on(dma, buf, size, access, NUMA_NO_NODE);
}

void exo_dma_buf_unmap(struct exo_dma *dma, struct exo_dma_buf *buf)
{
	exo_dma_unmap(dma, &buf->map);
}

void exo_dma_buf_free(struct exo_dma_buf *buf)
{
	if (buf->va)
		free_pages_exact(buf->va, buf->size);
	buf->va = NULL;
}

/* ---- taking the device ---- */

/* Without translation: all of memory, or the zone that every device of ours reaches. */
static gfp_t exo_dma_zone(struct device *dev)
{
	return dma_get_mask(dev) < dma_get_required_mask(dev) ? GFP_DMA32 : 0;
}

static int exo_dma_attach(struct exo_dma *dma)
{
	u64 last;
	int ret;

	dma->domain = iommu_paging_domain_alloc(dma->dev);
	if (IS_ERR(dma->domain))
		return PTR_ERR(dma->domain);
	last = min(dma->domain->geometry.aperture_end, dma_get_mask(dma->dev));
	dma->iova_last = min_t(u64, last >> PAGE_SHIFT, LONG_MAX);
	ret = exo_iova_reserve(dma);
	if (!ret)
		ret = iommu_attach_group(dma->domain, dma->group);
	if (ret)
		iommu_domain_free(dma->domain);
	return ret;
}

int exo_dma_init(struct exo_dma *dma, struct device *dev)
{
	int ret;

	dma->dev = dev;
	dma->node = dev_to_node(dev);
	dma->domain = NULL;
	mutex_init(&dma->lock);
	mt_init_flags(&dma->iova, MT_FLAGS_ALLOC_RANGE);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(exo_dma_bits()));
	if (ret)
		return ret;
	dma->gfp = EXO_GFP | __GFP_ZERO;
	dma->group = iommu_group_get(dev);
	if (!dma->group) {
		dma->gfp |= exo_dma_zone(dev);
		return 0;
	}
	if (dma_get_mask(dev) >> PAGE_SHIFT <= EXO_IOVA_FIRST) {
		dev_err(dev, "behind an IOMMU dma_bits must be 33 or more\n");
		ret = -EOPNOTSUPP;
		goto out_put;
	}
	ret = iommu_group_claim_dma_owner(dma->group, dma);
	if (ret)
		goto out_put;
	ret = exo_dma_attach(dma);
	if (ret)
		goto out_release;
	return 0;

out_release:
	iommu_group_release_dma_owner(dma->group);
out_put:
	iommu_group_put(dma->group);
	mtree_destroy(&dma->iova);
	dma->domain = NULL;
	return ret;
}

void exo_dma_exit(struct exo_dma *dma)
{
	if (dma->domain) {
		iommu_detach_group(dma->domain, dma->group);
		iommu_domain_free(dma->domain);
		iommu_group_release_dma_owner(dma->group);
		iommu_group_put(dma->group);
		dma->domain = NULL;
	}
	mtree_destroy(&dma->iova);
	mutex_destroy(&dma->lock);
}
