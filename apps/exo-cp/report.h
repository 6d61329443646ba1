/* SPDX-License-Identifier: MIT */
/*
 * What exo-cp says, all of it on standard error, as standard output may be where the data go.
 */
#ifndef EXO_CP_REPORT_H
#define EXO_CP_REPORT_H

#include <stdint.h>

#include "options.h"

/* Before the others. */
void report_begin(const struct options *o);

/* "exo-cp: ", a sentence, the end of the line. Always -1. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Likewise, unless it was to be quiet; 0. */
int say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Once a second, if anybody wants to see it. @total may be UINT64_MAX: unknown. */
void report_phase(const char *doing, uint64_t total);
void report_progress(uint64_t bytes);

/* "512 bytes", "1.5 GiB" */
struct amount {
	char text[24];
};

struct amount amount(double bytes);

#endif
