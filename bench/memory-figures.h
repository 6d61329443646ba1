/* SPDX-License-Identifier: MIT */
/*
 * What report-memory -v json=1 wrote, read again: the figures of `make bench BENCH_ARGS=--memory`.
 */
#ifndef BENCH_MEMORY_FIGURES_H
#define BENCH_MEMORY_FIGURES_H

#include <stddef.h>

/* No name is longer, so that it has room in a picture. */
#define MEMORY_NAME_MAX 20

/**
 * struct memory_figure - one figure
 * @operation: what was done
 * @system: who did it
 * @pages: in one call, or watched
 * @threads: so many did it at once
 * @least, @median, @most: of a time, in us; of instructions, user and kernel: all the same
 * @user: instructions of these
 */
struct memory_figure {
	char operation[MEMORY_NAME_MAX + 1];
	char system[MEMORY_NAME_MAX + 1];
	unsigned int pages, threads;
	double least, median, most;
	double user;
};

/* Of one kind, as they stand in the file; @tag: where all of them were taken. */
struct memory_figures {
	char tag[MEMORY_NAME_MAX + 1];
	struct memory_figure *at;
	size_t count;
};

struct memory_run {
	struct memory_figures times, instructions;
};

/* 0, or -1 after saying why: the file is none of ours, or has no figure. To be freed either way. */
int memory_run_parse(struct memory_run *run, const char *text, size_t length, const char *name);
int memory_run_read(struct memory_run *run, const char *path);
void memory_run_free(struct memory_run *run);

#endif
