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

/*
 * @doing, as in "3 bytes were copied", begins, of @total bytes; UINT64_MAX: unknown. @bytes of them are
 * done: shown once a second, if anybody wants to see it.
 */
void report_phase(const char *doing, uint64_t total);
void report_progress(uint64_t bytes);

/* That the buffer is gone, and how far it came. For a handler of SIGBUS. */
void report_lost_buffer(void);

/* "512 bytes", "1.5 GiB" */
struct amount {
	char text[24];
};

struct amount amount(double bytes);

#endif
