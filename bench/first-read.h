/* SPDX-License-Identifier: MIT */
/* How long a program takes from execve(2) to its first completed read. */
#ifndef BENCH_FIRST_READ_H
#define BENCH_FIRST_READ_H

#define FIRST_READ_RUNS 15u

struct first_read {
	double ms[FIRST_READ_RUNS];
};

/* For child_run(): @arg is a name for exo_open(). */
void first_read_measure(const void *arg, void *answer);

/* exo-bench first-read NAME [SINCE]; an exit code. */
int first_read_command(int argc, char **argv);

#endif
