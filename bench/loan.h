/* SPDX-License-Identifier: MIT */
/*
 * A disk on loan: it goes from the stock driver to exo and back, as often as one likes, and
 * in the end is with the stock driver as it was, whatever becomes of the borrower. A second
 * process, the keeper, sees to that when the borrower ends, be it by SIGKILL.
 */
#ifndef BENCH_LOAN_H
#define BENCH_LOAN_H

#include <sys/types.h>

#include "../daemon/bind.h"

/**
 * struct loan - a disk, and how it was before
 * @m: the machine
 * @f: the function
 * @nsid: the namespace that is measured; 0 before loan_ask(): the first
 * @block: its block device, while the stock driver has it: /dev/nvme0n1
 * @generic: its character device: /dev/ng0n1
 * @ours: its name for exo_open()
 * @serial: of the controller
 * @model: of the controller
 * @namespaces: there were before
 * @iommu: type that the IOMMU group is to have under the stock driver; empty: as it is
 * @iommu_before: type it had; empty: no IOMMU
 * @poll_before: the stock driver's number of polled queues; empty: unknown
 * @held: keeps others off the disk while the stock driver has it
 * @keeper: process
 * @line: to the keeper, which acts when the last process that has it is gone
 */
struct loan {
	const struct machine *m;
	struct function f;
	unsigned int nsid;
	char block[48];
	char generic[48];
	char ours[48];
	char serial[64];
	char model[64];
	unsigned int namespaces;
	char iommu[16];
	char iommu_before[16];
	char poll_before[16];
	struct exclusive held;
	pid_t keeper;
	int line;
};

/* Whether the disk can be had: why not is in @refused. It is held then, but unchanged. */
void loan_ask(struct loan *loan, const char *device, struct findings *refused);

/* Each returns 0, or a negative errno and what went wrong in *where. */
int loan_begin(struct loan *loan, const char **where);
int loan_to_stock(struct loan *loan, const char **where);
int loan_to_exo(struct loan *loan, const char **where);

/* The disk is with its own driver as it was: 0. Else it says what is to be done. */
int loan_end(struct loan *loan);

#endif
