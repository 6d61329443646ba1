/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a function and its namespaces say of themselves: Identify data and log pages.
 */
#ifndef EXO_IDENTIFY_H
#define EXO_IDENTIFY_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct exo_call;
struct exo_dma_buf;
struct exo_nvme;

#define EXO_FIRMWARE_BYTES 512u /* of the firmware slot log */

/* The log pages that programs may read. */
enum exo_log_page {
	EXO_LOG_PAGE_HEALTH,
	EXO_LOG_PAGE_FIRMWARE,
	EXO_LOG_PAGE_EFFECTS,
	EXO_LOG_PAGES,
};

/**
 * struct exo_identity - what a function said last
 * @lock: guards Identify data, the function's and its namespaces', and exo_nvme.firmware; a leaf
 * @controller: Identify Controller, CNS 01h
 * @controller_nvm: CNS 06h, of the NVM command set; NULL: it has none
 * @reading: one reading of a log page at a time; guards what follows
 * @log: the pages as they were read
 * @asked: when the device was asked for one last; 0: never
 * @has: it gave one then
 */
struct exo_identity {
	spinlock_t lock;
	void *controller;
	void *controller_nvm;

	struct mutex reading;
	void *log[EXO_LOG_PAGES];
	u64 asked[EXO_LOG_PAGES];
	bool has[EXO_LOG_PAGES];
};

void exo_identity_init(struct exo_nvme *nvme);
void exo_identity_free(struct exo_nvme *nvme);

/*
 * Asks with Identify: what is in @buf is kept in a page of its own. -EIO: the device
 * refused; -EAGAIN: it was reset meanwhile. May be asked again.
 */
int exo_identity_learn_csi(struct exo_nvme *nvme, u32 nsid, u8 cns, u8 csi, struct exo_dma_buf *buf,
			   void **kept);
int exo_identity_learn(struct exo_nvme *nvme, u32 nsid, u8 cns, struct exo_dma_buf *buf,
		       void **kept);
/* After a reset: what is not asked for anew then must be when it is next wanted. */
void exo_identity_forget(struct exo_nvme *nvme);
/* It answers Identify of one command set. */
bool exo_identity_has_sets(const struct exo_nvme *nvme);

/* Reads a log page anew, which ends the event that announced it. */
int exo_identity_read_log(struct exo_nvme *nvme, enum exo_log_page page);

int exo_identify(struct exo_call *call);
int exo_log(struct exo_call *call);

#endif
