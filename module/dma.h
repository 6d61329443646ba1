/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a device reaches memory. This file hides that there are two ways: through
 * an IOMMU domain of our own, where addresses are ours to choose and unmapping
 * proves the device quiet; or, where nothing translates, through the DMA API.
 */
#ifndef EXO_DMA_H
#define EXO_DMA_H

#include <linux/gfp_types.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct device;
struct iommu_domain;
struct page;

#define EXO_DMA_DEVICE_READS 1u
#define EXO_DMA_DEVICE_WRITES 2u

/**
 * struct exo_dma - what stands between a device and memory
 * @dev: the device
 * @gfp: how to allocate zeroed memory for the kernel's own use that it can reach
 * @node: NUMA node near the device, or NUMA_NO_NODE
 * @domain: our own; NULL: nothing translates
 * @group: claimed; NULL without @domain
 * @lock: guards @iova; a leaf
 * @iova: which page numbers of the domain are in use
 * @iova_last: last page number the domain can translate
 */
struct exo_dma {
	struct device *dev;
	gfp_t gfp;
	int node;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct mutex lock;
	struct maple_tree iova;
	unsigned long iova_last;
};

/**
 * struct exo_dma_map - pages that a device can reach
 * @count: units
 * @order: of each unit
 * @access: EXO_DMA_DEVICE_*
 * @iova: where they are, one behind the other, if translated
 * @addrs: where each unit is, if not
 */
struct exo_dma_map {
	u32 count;
	u32 order;
	u32 access;
	u64 iova;
	dma_addr_t *addrs;
};

/**
 * struct exo_dma_buf - kernel memory, contiguous for the device too
 * @va: its address
 * @size: bytes, whole pages
 * @map: for the device
 */
struct exo_dma_buf {
	void *va;
	size_t size;
	struct exo_dma_map map;
};

int exo_dma_init(struct exo_dma *dma, struct device *dev);
void exo_dma_exit(struct exo_dma *dma);

/* -EOPNOTSUPP: not coherent for this device. Mapping fills map; unmapping empties it. */
int exo_dma_map(struct exo_dma *dma, struct exo_dma_map *map, struct page **pages, u32 count,
		u32 order, u32 access);
void exo_dma_unmap(struct exo_dma *dma, struct exo_dma_map *map);

/*
 * Whole pages, one behind the other, for free_pages_exact(): of @node and no other, or, if that
 * is NUMA_NO_NODE, near the device.
 */
void *exo_dma_pages(const struct exo_dma *dma, size_t size, gfp_t gfp, int node);

int exo_dma_buf_alloc(struct exo_dma *dma, struct exo_dma_buf *buf, size_t size, u32 access);
int exo_dma_buf_alloc_on(struct exo_dma *dma, struct exo_dma_buf *buf, size_t size, u32 access,
			 int node);
void exo_dma_buf_unmap(struct exo_dma *dma, struct exo_dma_buf *buf);
void exo_dma_buf_free(struct exo_dma_buf *buf);

/* Address of page @page of unit @unit. */
static inline u64 exo_dma_addr(const struct exo_dma_map *map, u32 unit, u32 page)
{
	u64 base = map->addrs ? map->addrs[unit]
			      : map->iova + ((u64)unit << (map->order + PAGE_SHIFT));

	return base + ((u64)page << PAGE_SHIFT);
}

#endif
