/* SPDX-License-Identifier: MIT */
/*
 * What exo-index does with an index. Each returns the exit status; what stood in the way is on
 * standard error by then.
 */
#ifndef EXO_INDEX_COMMANDS_H
#define EXO_INDEX_COMMANDS_H

#include "cmdline.h"
#include "options.h"

struct pages;

/* load.c */
int run_load(const struct options *o, struct pages *pages);

/* commands.c */
int run_create(const struct options *o, struct pages *pages);
int run_get(const struct options *o, struct pages *pages);
int run_delete(const struct options *o, struct pages *pages);
int run_dump(const struct options *o, struct pages *pages);
int run_stat(const struct options *o, struct pages *pages);
int run_check(const struct options *o, struct pages *pages);
int run_bench(const struct options *o, struct pages *pages);

/* Says why an index cannot be opened, or worked on; EXIT_FAILED. */
int complain(const struct options *o, int error);

/* As complain(), of a line or key that is none. */
int complain_text(const char *where, uint64_t line, int error);

#endif
