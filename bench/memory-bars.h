/* SPDX-License-Identifier: MIT */
/* The figures of memory as pictures (SVG). */
#ifndef BENCH_MEMORY_BARS_H
#define BENCH_MEMORY_BARS_H

#include "memory-figures.h"

/*
 * Writes times.svg, map-4K.svg, map-2M.svg and instructions.svg, with a bar for each figure.
 * One for which there is no figure is removed, as it would be of another run. 0, or -1 after
 * saying why.
 */
int memory_bars_write(const struct memory_run *run, const char *directory);

#endif
