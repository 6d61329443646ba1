// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells, and their shadows.
 */
#include <linux/nvme.h>

#include "doorbell.h"
#include "nvme.h"

#define EXO_DOORBELLS (EXO_NVME_PAGE / sizeof(__le32)) /* that a page has room for */

int exo_doorbells_init(struct exo_nvme *nvme)
{
	struct exo_doorbells *d = &nvme->doorbells;
	int ret;

	/* Emulated controllers write there, too: the values that they had before. */
	ret = exo_dma_buf_alloc(&nvme->dma, &d->shadows, EXO_NVME_PAGE,
				EXO_DMA_DEVICE_READS | EXO_DMA_DEVICE_WRITES);
	if (ret)
		return ret;
	ret = exo_dma_buf_alloc(&nvme->dma, &d->events, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES);
	if (ret) {
		exo_dma_buf_unmap(&nvme->dma, &d->shadows);
		exo_dma_buf_free(&d->shadows);
	}
	return ret;
}

void exo_doorbells_exit(struct exo_nvme *nvme)
{
	exo_nvme_buf_free(nvme, &nvme->doorbells.shadows);
	exo_nvme_buf_free(nvme, &nvme->doorbells.events);
}

/* In the order of the registers, as far apart. */
static u32 exo_doorbell_index(const struct exo_nvme *nvme, u32 qid, bool cq)
{
	return (2 * qid + cq) << NVME_CAP_STRIDE(nvme->cap);
}

static __le32 *exo_doorbell_in(const struct exo_nvme *nvme, const struct exo_dma_buf *page, u32 qid,
			       bool cq)
{
	return (__le32 *)page->va + exo_doorbell_index(nvme, qid, cq);
}

void exo_doorbells_forget(struct exo_nvme *nvme)
{
	WRITE_ONCE(nvme->doorbells.used, false);
	memset(nvme->doorbells.shadows.va, 0, EXO_NVME_PAGE);
	memset(nvme->doorbells.events.va, 0, EXO_NVME_PAGE);
}

static bool exo_doorbells_usable(const struct exo_nvme *nvme)
{
	return nvme->has_shadows && !nvme->exclusive &&
	       exo_doorbell_index(nvme, nvme->queues, true) < EXO_DOORBELLS;
}

int exo_doorbells_tell(struct exo_nvme *nvme)
{
	struct exo_doorbells *d = &nvme->doorbells;
	int ret;

	if (!exo_doorbells_usable(nvme))
		return 0;
	ret = exo_admin_set_doorbells(nvme, exo_dma_addr(&d->shadows.map, 0, 0),
				      exo_dma_addr(&d->events.map, 0, 0));
	WRITE_ONCE(d->used, !ret);
	/* It has what it said it had, or goes without. */
	return ret == -EIO ? 0 : ret;
}

static void exo_doorbell_set_up(struct exo_nvme *nvme, u32 qid, bool cq, struct exo_doorbell *to)
{
	struct exo_doorbells *d = &nvme->doorbells;

	to->reg = cq ? exo_nvme_cq_doorbell(nvme, qid) : exo_nvme_sq_doorbell(nvme, qid);
	to->shadow = NULL;
	if (!d->used)
		return;
	/* What is there is of a queue that had the number before. */
	to->shadow = exo_doorbell_in(nvme, &d->shadows, qid, cq);
	to->event = exo_doorbell_in(nvme, &d->events, qid, cq);
	WRITE_ONCE(*to->shadow, 0);
	WRITE_ONCE(*exo_doorbell_in(nvme, &d->events, qid, cq), 0);
}

void exo_doorbells_of(struct exo_nvme *nvme, u32 qid, struct exo_doorbell *sq,
		      struct exo_doorbell *cq)
{
	lockdep_assert_held(&nvme->busy);
	exo_doorbell_set_up(nvme, qid, false, sq);
	exo_doorbell_set_up(nvme, qid, true, cq);
}

/* Also before the controller is told: then they are right when it is. */
static void exo_doorbell_ring_admin(struct exo_nvme *nvme, bool cq, u32 value, void __iomem *reg)
{
	if (exo_doorbell_index(nvme, 0, cq) < EXO_DOORBELLS)
		WRITE_ONCE(*exo_doorbell_in(nvme, &nvme->doorbells.shadows, 0, cq),
			   cpu_to_le32(value));
	writel(value, reg);
}

void exo_doorbell_ring_admin_sq(struct exo_nvme *nvme, u32 tail)
{
	exo_doorbell_ring_admin(nvme, false, tail, exo_nvme_sq_doorbell(nvme, 0));
}

void exo_doorbell_ring_admin_cq(struct exo_nvme *nvme, u32 head)
{
	exo_doorbell_ring_admin(nvme, true, head, exo_nvme_cq_doorbell(nvme, 0));
}
