/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The admin queue: one command at a time, each with a deadline.
 */
#ifndef EXO_ADMIN_H
#define EXO_ADMIN_H

#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/nvme.h>
#include <linux/spinlock.h>

#include "dma.h"

struct exo_nvme;

/* What the device said. */
struct exo_admin_answer {
	u32 result; /* dword 0 of the completion */
	u32 status; /* status field, phase removed */
};

/**
 * struct exo_admin - the admin queue
 * @lock: one command at a time
 * @sq, @cq: the rings
 * @page: for what the function says when it starts, kept for whoever resets it: their memory
 *	cgroup may have no room
 * @irq: interrupt number
 * @resets: how often it began anew
 * @sq_tail: next submission entry
 * @cids: command identifiers given: each is the first of its number for long
 * @done: the command in flight was answered
 * @irq_lock: guards the rest, which the interrupt handler changes
 * @cq_head: next completion entry
 * @phase: its expected phase
 * @cid: command in flight, or -1
 * @sent: its entry
 * @asked: that of a request for an event which the device may not have fetched yet, or NULL
 * @answer: what it got
 */
struct exo_admin {
	struct mutex lock;
	struct exo_dma_buf sq;
	struct exo_dma_buf cq;
	struct exo_dma_buf page;
	int irq;
	u32 resets;
	u32 sq_tail;
	u16 cids;
	struct completion done;

	spinlock_t irq_lock;
	u32 cq_head;
	u32 phase;
	int cid;
	struct nvme_command *sent;
	struct nvme_command *asked;
	struct exo_admin_answer answer;
};

int exo_admin_init(struct exo_nvme *nvme);
void exo_admin_reset(struct exo_nvme *nvme);
int exo_admin_request_irq(struct exo_nvme *nvme);
void exo_admin_free_irq(struct exo_nvme *nvme);
void exo_admin_exit(struct exo_nvme *nvme);

/*
 * 0, -EIO (answer->status says why), -ETIMEDOUT (the controller has failed then),
 * -ENODEV (it had, or is gone).
 */
int exo_admin_run(struct exo_nvme *nvme, struct nvme_command *cmd, struct exo_admin_answer *answer);

/* NVMe base specification 2.0 sections 5.2, 5.4 to 5.7, 5.16, 5.17, 5.27 */
int exo_admin_identify(struct exo_nvme *nvme, u32 nsid, u8 cns, struct exo_dma_buf *buf);
/* Of one I/O command set. */
int exo_admin_identify_csi(struct exo_nvme *nvme, u32 nsid, u8 cns, u8 csi,
			   struct exo_dma_buf *buf);
/* @bytes of a log page of the function; @retain: an event that announced it stays. */
int exo_admin_log(struct exo_nvme *nvme, u8 lid, u32 bytes, bool retain, struct exo_dma_buf *buf);
int exo_admin_set_events(struct exo_nvme *nvme, u32 events);
/* Asks for the next asynchronous event: exo_async_answer() has the answer. */
void exo_admin_request_event(struct exo_nvme *nvme);
/* A feature without a data buffer. */
int exo_admin_get_features(struct exo_nvme *nvme, u32 feature, u32 dword11,
			   struct exo_admin_answer *answer);
int exo_admin_set_queues(struct exo_nvme *nvme, u32 wanted, u32 *got);
int exo_admin_create_cq(struct exo_nvme *nvme, u32 qid, u32 entries, u64 addr, u32 vector,
			struct exo_admin_answer *answer);
/* @priority: EXO_PRIORITY_*, which a device without priorities ignores. */
int exo_admin_create_sq(struct exo_nvme *nvme, u32 qid, u32 entries, u64 addr, u32 priority,
			struct exo_admin_answer *answer);
/* Doorbell Buffer Config; section 5.8 */
int exo_admin_set_doorbells(struct exo_nvme *nvme, u64 shadows, u64 events);
int exo_admin_delete_cq(struct exo_nvme *nvme, u32 qid);
int exo_admin_delete_sq(struct exo_nvme *nvme, u32 qid);

#endif
