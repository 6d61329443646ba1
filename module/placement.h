/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flexible data placement: a Write may name a placement identifier, which tells the device
 * what to write together, and so to erase together. Each identifier stands for media in
 * use, of which there is little: a capability holds those that its writes may name.
 */
#ifndef EXO_PLACEMENT_H
#define EXO_PLACEMENT_H

#include <linux/nvme.h>

struct exo_detail;
struct exo_nvme;
struct exo_queue_extent;

/* Dword 12 of Write: directive type 2h, data placement; its identifier is in dword 13. */
#define EXO_BIT_PLACEMENT BIT(21)
#define EXO_BITS_IDENTIFIER 0xffff0000u

/* Has the endurance group of a namespace placement enabled? *enabled says so. */
int exo_placement_learn(struct exo_nvme *nvme, const struct nvme_id_ns *id, bool *enabled);

/* A Write that has one of the above. */
int exo_check_placement(const struct exo_queue_extent *extent, const struct nvme_command *cmd,
			struct exo_detail *detail);

#endif
