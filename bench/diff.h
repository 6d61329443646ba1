/* SPDX-License-Identifier: MIT */
/* What changed from one run to another, and whether that is more than their spread. */
#ifndef BENCH_DIFF_H
#define BENCH_DIFF_H

#include "results.h"

enum diff_verdict {
	DIFF_WITHIN,  /* some round of the one lies among those of the other */
	DIFF_BETTER,  /* all rounds of the second are better than all of the first */
	DIFF_WORSE,   /* all are worse */
	DIFF_UNKNOWN, /* fewer than three rounds have no spread */
};

enum diff_verdict diff_judge(const struct series *before, const struct series *after,
			     bool more_is_better);
void diff_print(const struct results *before, const struct results *after, FILE *out);

#endif
