/* SPDX-License-Identifier: MIT */
/*
 * A line about how far a long run has got, on standard error: rewritten in
 * place on a terminal, a line each with --progress, else nothing.
 */
#ifndef EXO_PERF_PROGRESS_H
#define EXO_PERF_PROGRESS_H

#include "options.h"

void progress(const struct options *o, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void progress_end(const struct options *o);

#endif
