/* SPDX-License-Identifier: MIT */
#ifndef EXO_PERF_REFUSAL_H
#define EXO_PERF_REFUSAL_H

#include <libexo.h>

#include "options.h"

int show_refusal(struct exo *x, const struct options *o);

#endif
