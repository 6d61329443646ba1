// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of a queue.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "cap.h"
#include "direct.h"
#include "nvme.h"
#include "params.h"
#include "queue.h"
#include "rings.h"

/* ---- life ---- */

void exo_rings_size(struct exo_queue *q)
{
	u32 entries = roundup_pow_of_two(q->depth + 1);

	q->mask = entries - 1;
	q->log2 = ilog2(entries);
	q->list_shift = ilog2(q->nvme->transfer_max / EXO_NVME_PAGE * sizeof(__le64));
	if (q->nvme->features & (EXO_CONTROLLER_TRIM | EXO_CONTROLLER_COPY))
		q->list_shift = max(q->list_shift, ilog2(EXO_LIST_BYTES));
	q->list_pages = DIV_ROUND_UP(q->depth << q->list_shift, PAGE_SIZE);
	q->shared_size = PAGE_SIZE;
	if (!exo_queue_is_direct(q))
		q->shared_size += PAGE_ALIGN(entries * sizeof(struct nvme_command));
}

int exo_rings_alloc(struct exo_queue *q)
{
	q->slot_epoch = kvcalloc(q->depth, sizeof(*q->slot_epoch), EXO_GFP);
	q->busy = bitmap_zalloc(q->depth, EXO_GFP);
	q->shared = exo_dma_pages(&q->nvme->dma, q->shared_size, EXO_GFP | __GFP_ZERO, q->node);
	if (!q->slot_epoch || !q->busy || !q->shared)
		return -ENOMEM;
	q->control = q->shared;
	if (!exo_queue_is_direct(q)) {
		q->ring = q->shared + PAGE_SIZE;
		return 0;
	}
	q->void_page = (void *)__get_free_page(EXO_GFP);
	if (!q->void_page)
		return -ENOMEM;
	memset(q->void_page, 0xff, PAGE_SIZE);
	return 0;
}

/* Scattered; but where no IOMMU has them one behind the other a program must know one address. */
static int exo_rings_alloc_lists(struct exo_queue *q)
{
	u32 step = q->mode == EXO_QUEUE_UNSAFE ? q->list_pages : 1, i, j;
	struct exo_dma *dma = &q->nvme->dma;

	for (i = 0; i < q->list_pages; i += step) {
		void *pages = exo_dma_pages(dma, step * PAGE_SIZE, dma->gfp, q->node);

		if (!pages)
			return -ENOMEM;
		for (j = 0; j < step; j++)
			q->lists[i + j] = virt_to_page(pages + j * PAGE_SIZE);
	}
	return 0;
}

static int exo_rings_map_lists(struct exo_queue *q)
{
	struct exo_dma *dma = &q->nvme->dma;
	int ret;

	q->lists = kvcalloc(q->list_pages, sizeof(*q->lists), EXO_GFP);
	if (!q->lists)
		return -ENOMEM;
	ret = exo_rings_alloc_lists(q);
	if (ret)
		return ret;
	return exo_dma_map(dma, &q->lists_map, q->lists, q->list_pages, 0, EXO_DMA_DEVICE_READS);
}

int exo_rings_map(struct exo_queue *q)
{
	struct exo_dma *dma = &q->nvme->dma;
	u32 entries = q->mask + 1;
	int ret = exo_rings_map_lists(q);

	if (ret)
		return ret;
	ret = exo_dma_buf_alloc_on(dma, &q->sq, entries * sizeof(struct nvme_command),
				   EXO_DMA_DEVICE_READS, q->node);
	if (ret)
		return ret;
	return exo_dma_buf_alloc_on(dma, &q->cq, entries * sizeof(struct nvme_completion),
				    EXO_DMA_DEVICE_WRITES, q->node);
}

bool exo_rings_physical(const struct exo_queue *q)
{
	u32 last = q->list_pages - 1;

	return exo_dma_addr(&q->sq.map, 0, 0) == virt_to_phys(q->sq.va) &&
	       exo_dma_addr(&q->lists_map, last, 0) == page_to_phys(q->lists[last]);
}

u64 exo_rings_frames(const struct exo_queue *q)
{
	return ((q->sq.size + q->cq.size) >> PAGE_SHIFT) + q->list_pages;
}

void exo_rings_unmap(struct exo_queue *q)
{
	struct exo_dma *dma = &q->nvme->dma;

	exo_dma_buf_unmap(dma, &q->sq);
	exo_dma_buf_unmap(dma, &q->cq);
	exo_dma_unmap(dma, &q->lists_map);
}

static void exo_rings_free_lists(struct exo_queue *q)
{
	u32 i;

	for (i = 0; q->lists && i < q->list_pages; i++)
		if (q->lists[i])
			__free_page(q->lists[i]);
	kvfree(q->lists);
}

void exo_rings_free(struct exo_queue *q)
{
	exo_rings_free_lists(q);
	exo_dma_buf_free(&q->sq);
	exo_dma_buf_free(&q->cq);
	if (q->shared)
		free_pages_exact(q->shared, q->shared_size);
	free_page((unsigned long)q->void_page);
	kvfree(q->slot_epoch);
	bitmap_free(q->busy);
}

/* ---- where it is in a mapping ---- */

static u32 exo_rings_sq(const struct exo_queue *q)
{
	return q->shared_size >> PAGE_SHIFT;
}

u32 exo_rings_lists(const struct exo_queue *q)
{
	return exo_rings_sq(q) + (q->sq.size >> PAGE_SHIFT);
}

u32 exo_rings_doorbells(const struct exo_queue *q)
{
	return exo_rings_lists(q) + q->list_pages;
}

size_t exo_rings_rw_size(const struct exo_queue *q)
{
	if (!exo_queue_is_direct(q))
		return q->shared_size;
	return (size_t)(exo_rings_doorbells(q) + EXO_DOORBELL_PAGES) << PAGE_SHIFT;
}

size_t exo_rings_ro_size(const struct exo_queue *q)
{
	return PAGE_SIZE + q->cq.size;
}

int exo_rings_map_check(struct exo_object *obj, const struct exo_cap *cap,
			struct vm_area_struct *vma)
{
	struct exo_queue *q = exo_queue_of(obj);
	pgoff_t rw = exo_rings_rw_size(q) >> PAGE_SHIFT;
	pgoff_t end = rw + (exo_rings_ro_size(q) >> PAGE_SHIFT);
	pgoff_t first = vma->vm_pgoff, last = vma->vm_pgoff + vma_pages(vma);

	if (last > end || (first < rw && last > rw))
		return -ERANGE;
	if (first < rw && !(cap->rights & EXO_RIGHT_SUBMIT))
		return -EACCES;
	if (first >= rw && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	return 0;
}

/* Region 1 of a direct queue, behind what is shared with the kernel. */
static void exo_rings_direct_pfn(const struct exo_queue *q, pgoff_t page, struct exo_pfn *at)
{
	if (page >= exo_rings_doorbells(q))
		exo_direct_doorbell(q, page - exo_rings_doorbells(q), at);
	else if (page >= exo_rings_lists(q))
		at->pfn = page_to_pfn(q->lists[page - exo_rings_lists(q)]);
	else
		at->pfn = PHYS_PFN(virt_to_phys(q->sq.va)) + page - exo_rings_sq(q);
}

bool exo_rings_map_pfn(struct exo_object *obj, pgoff_t page, struct exo_pfn *at)
{
	struct exo_queue *q = exo_queue_of(obj);
	pgoff_t rw = exo_rings_rw_size(q) >> PAGE_SHIFT;

	if (page < q->shared_size >> PAGE_SHIFT)
		at->pfn = PHYS_PFN(virt_to_phys(q->shared)) + page;
	else if (page < rw)
		exo_rings_direct_pfn(q, page, at);
	else if (page == rw)
		at->pfn = PHYS_PFN(virt_to_phys(q->status));
	else if (page - rw < exo_rings_ro_size(q) >> PAGE_SHIFT)
		at->pfn = PHYS_PFN(virt_to_phys(q->cq.va)) + page - rw - 1;
	else
		return false;
	return true;
}
