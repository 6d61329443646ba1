/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Quarantine: what a silent device may still write to, kept until it provably cannot.
 */
#ifndef EXO_QUARANTINE_H
#define EXO_QUARANTINE_H

#include <linux/types.h>

struct exo_nvme;
struct exo_object;

/* @frames of what @obj holds; they stay charged to who has them now. */
void exo_quarantine(struct exo_nvme *nvme, struct exo_object *obj, u64 frames);

/* The function at @address was seen to be disabled: what it could write to is free again. */
void exo_quarantine_release(u32 address);

u64 exo_quarantined(void);

#endif
