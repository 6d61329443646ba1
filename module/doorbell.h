/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Doorbells of queues that the kernel rings: registers, and, where the controller has Doorbell
 * Buffer Config, a shadow of each in memory. Then a new value goes to the shadow, and to the
 * register only if the controller does not look at the shadow by itself: to an emulated
 * controller a register is a trap.
 *
 * NVMe base 2.0 section 5.8. The shadows of all queues share a page, which no program has.
 * While a function is in one holder's hands alone there are none, as programs ring the
 * registers then.
 */
#ifndef EXO_DOORBELL_H
#define EXO_DOORBELL_H

#include <linux/io.h>
#include <linux/types.h>

#include "dma.h"

struct exo_nvme;

/**
 * struct exo_doorbell - one doorbell
 * @reg: its register
 * @shadow: its shadow; NULL: it has none
 * @event: what the controller waits for, written by the controller
 */
struct exo_doorbell {
	void __iomem *reg;
	__le32 *shadow;
	const __le32 *event;
};

/**
 * struct exo_doorbells - those of a function
 * @shadows, @events: a page each; there whether they are used or not
 * @used: the controller was told of them. Written with nvme->busy held for writing, or before
 *	the function is published
 */
struct exo_doorbells {
	struct exo_dma_buf shadows;
	struct exo_dma_buf events;
	bool used;
};

int exo_doorbells_init(struct exo_nvme *nvme);
void exo_doorbells_exit(struct exo_nvme *nvme);

/* The controller is disabled, and has forgotten them. */
void exo_doorbells_forget(struct exo_nvme *nvme);
/* It is enabled, and has no I/O queue yet: tells it of them, if it can have them and may. */
int exo_doorbells_tell(struct exo_nvme *nvme);

/* Of an I/O queue that the device does not have yet. */
void exo_doorbells_of(struct exo_nvme *nvme, u32 qid, struct exo_doorbell *sq,
		      struct exo_doorbell *cq);

/*
 * Does the controller have to be told? The new value goes into the shadow, then a look at what the
 * controller waits for: it writes what it waits for, then looks at the value once more. What was
 * before is our own word, which a controller that writes there changes to its own loss.
 */
static __always_inline bool exo_doorbell_wanted(const struct exo_doorbell *doorbell, u32 value)
{
	u32 before = le32_to_cpu(READ_ONCE(*doorbell->shadow)), event;

	dma_wmb();
	WRITE_ONCE(*doorbell->shadow, cpu_to_le32(value));
	mb();
	event = le32_to_cpu(READ_ONCE(*doorbell->event));
	return (u16)(value - event - 1) < (u16)(value - before);
}

/* What lies in memory for the controller is there before the doorbell is. */
static __always_inline void exo_doorbell_ring(const struct exo_doorbell *doorbell, u32 value)
{
	if (!doorbell->shadow || exo_doorbell_wanted(doorbell, value))
		writel(value, doorbell->reg);
}

/* The admin queue's, whose registers are written always. */
void exo_doorbell_ring_admin_sq(struct exo_nvme *nvme, u32 tail);
void exo_doorbell_ring_admin_cq(struct exo_nvme *nvme, u32 head);

#endif
