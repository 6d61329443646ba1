/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exports: frames as a dma-buf, for the drivers of other devices.
 */
#ifndef EXO_EXPORT_H
#define EXO_EXPORT_H

struct exo_call;

int exo_frames_export(struct exo_call *call);

#endif
