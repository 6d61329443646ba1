/* SPDX-License-Identifier: MIT */
#ifndef EXO_PERF_VERIFY_H
#define EXO_PERF_VERIFY_H

#include <libexo.h>

#include "options.h"

int verify(struct exo *x, const struct options *o);

#endif
