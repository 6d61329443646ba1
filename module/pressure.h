/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory pressure: giving frames back when the machine is short of memory.
 */
#ifndef EXO_PRESSURE_H
#define EXO_PRESSURE_H

int exo_pressure_init(void);
void exo_pressure_exit(void);

#endif
