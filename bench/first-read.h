/* SPDX-License-Identifier: MIT */
/* How long a program takes from execve(2) to its first completed read. */
#ifndef BENCH_FIRST_READ_H
#define BENCH_FIRST_READ_H

#define FIRST_READ_RUNS 15u

/* @ms: all of it; @main_ms: of that, until main() was reached, which the kernel and libc take */
struct first_read {
	double ms[FIRST_READ_RUNS];
	double main_ms[FIRST_READ_RUNS];
};

/* One line, FIRST-READ and fields with all times; @name may be NULL. */
void first_read_print(const struct first_read *first, const char *name);

/* For child_run(): @arg is a name for exo_open(). */
void first_read_measure(const void *arg, void *answer);

/* exo-bench first-read NAME [SINCE]; an exit code. */
int first_read_command(int argc, char **argv);

#endif
