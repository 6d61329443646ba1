/* SPDX-License-Identifier: MIT */
/*
 * Command lines of long options: what each tool says of those that make no sense, and the status it
 * ends with.
 */
#ifndef EXO_COMMON_CMDLINE_H
#define EXO_COMMON_CMDLINE_H

#include <getopt.h>
#include <stddef.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

#define CMDLINE_END (-1)
#define CMDLINE_WRONG (-2)

/* Before the first cmdline_next() of a command line. */
void cmdline_begin(void);

/**
 * cmdline_next - the next option
 * @argc: as main() has it
 * @argv: likewise; names move behind options
 * @options: all there are, for getopt_long(), without flags; a val is no letter
 * @index: which of them it is
 * @why: on CMDLINE_WRONG, a sentence
 * @size: bytes there
 *
 * Returns its val, the argument being in optarg; CMDLINE_END, the names being in argv from optind
 * on; or CMDLINE_WRONG. Not thread-safe, as getopt_long() is not.
 */
int cmdline_next(int argc, char **argv, const struct option *options, int *index, char *why,
		 size_t size);

/* "--bytes cannot be 0". -1. */
int cmdline_refuse(const struct option *option, const char *arg, char *why, size_t size);

#endif
