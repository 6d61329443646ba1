/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waiting for several things at once.
 */
#ifndef EXO_WAIT_H
#define EXO_WAIT_H

struct exo_call;

int exo_wait(struct exo_call *call);

#endif
