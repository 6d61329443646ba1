/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Asynchronous events: what a controller tells without having been asked.
 */
#ifndef EXO_ASYNC_H
#define EXO_ASYNC_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct exo_nvme;

/**
 * struct exo_async - the one request for an event that the device holds
 * @work: hears the event, then asks for the next
 * @armed: the device has a request; under the admin queue's irq_lock
 * @told: an event is to be heard; the interrupt handler's while @armed, else @work's
 * @event: dword 0 of its completion; likewise
 * @resets: of the admin queue, when it came; likewise
 * @seen: of the admin queue, when all namespaces were looked at last; @work's
 */
struct exo_async {
	struct delayed_work work;
	bool armed;
	bool told;
	u32 event;
	u32 resets;
	u32 seen;
};

void exo_async_init(struct exo_nvme *nvme);

/* From the end of probe on; until unbind or shutdown has begun. Waits for what is being heard. */
void exo_async_start(struct exo_nvme *nvme);
void exo_async_stop(struct exo_nvme *nvme);

/* The request was completed. From the interrupt handler. */
void exo_async_answer(struct exo_nvme *nvme, u32 event, u32 status);

#endif
