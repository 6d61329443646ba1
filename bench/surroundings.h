/* SPDX-License-Identifier: MIT */
/*
 * Where a measurement is taken: what of this machine and of this disk decides over the
 * figures, and what of it makes them say something else than one would think.
 */
#ifndef BENCH_SURROUNDINGS_H
#define BENCH_SURROUNDINGS_H

#include "loan.h"
#include "results.h"

/*
 * What kind of machine its figures are of: "metal", "KVM-emulated", "TCG-emulated", or what
 * its hypervisor calls itself; "metal or a hypervisor" where processors do not tell (not x86).
 */
void surroundings_tag(const struct machine *m, char *tag, size_t size);

/* A processor of the disk's node that we may run on; -1: none. */
int surroundings_cpu(const struct machine *m, const char *address);

/* Fills the places and the checks; of the checks, what has a cure is a warning. */
void surroundings_note(const struct loan *loan, int cpu, struct results *results);

/* Whether the disk's blocks look as if nobody had ever written them: it reads some. */
void surroundings_sample(const struct loan *loan, struct results *results);

#endif
