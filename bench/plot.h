/* SPDX-License-Identifier: MIT */
/* A run as pictures: SVG, which every browser shows. */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include "results.h"

/* Writes rate.svg, latency-N.svg for each depth N, and cost.svg if there are counters. 0 or -1. */
int plot_write(const struct results *results, const char *directory);

#endif
