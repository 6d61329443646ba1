/* SPDX-License-Identifier: MIT */
/*
 * What the out-of-core job found, for people and for programs.
 */
#ifndef EXO_INDEX_REPORT_H
#define EXO_INDEX_REPORT_H

#include "job.h"
#include "options.h"

void report(const struct options *o, const struct job *j);

#endif
