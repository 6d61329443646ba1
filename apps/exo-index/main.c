// SPDX-License-Identifier: MIT
/*
 * exo-index: a persistent hash index of more than fits into memory.
 *
 * The ways through it: commands.c and load.c (what a person asks for), index.c (keys and buckets),
 * bucket.c (one page), engine-*.c (where pages come from); job.c is what bench measures.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "pages.h"
#include "streams.h"

static int (*const runs[])(const struct options *o, struct pages *pages) = {
	[COMMAND_CREATE] = run_create, [COMMAND_LOAD] = run_load,   [COMMAND_GET] = run_get,
	[COMMAND_DELETE] = run_delete, [COMMAND_DUMP] = run_dump,   [COMMAND_STAT] = run_stat,
	[COMMAND_CHECK] = run_check,   [COMMAND_BENCH] = run_bench,
};

static bool writes(const struct options *o)
{
	return o->command == COMMAND_CREATE || o->command == COMMAND_LOAD ||
	       o->command == COMMAND_DELETE || o->command == COMMAND_BENCH || o->repair;
}

/* How large a file is to be that an index is made in. */
static uint64_t grow(const struct options *o)
{
	if (o->command != COMMAND_CREATE && o->command != COMMAND_BENCH)
		return 0;
	return o->pages ? (o->pages + 1) * PAGE_BYTES : o->size;
}

static int open_and_run(const struct options *o)
{
	struct pages_options how = {
		.name = o->store,
		.memory = o->memory,
		.grow = grow(o),
		.force = o->force,
		.write = writes(o),
	};
	struct pages *pages;
	char why[512];
	int status;

	if (pages_open(&how, &pages, why, sizeof(why))) {
		fprintf(stderr, "exo-index: %s\n", why);
		return EXIT_FAILED;
	}
	status = runs[o->command](o, pages);
	pages_close(pages);
	return status;
}

/* The largest power of two of pages that is at most four times the memory. */
static uint64_t four_times(uint64_t memory)
{
	uint64_t n = 1;

	while (2 * n <= 4 * (memory / PAGE_BYTES))
		n *= 2;
	return n;
}

static int run_as_told(int argc, char **argv)
{
	struct options o;
	char why[256];

	if (options_parse(argc, argv, &o, why, sizeof(why))) {
		fprintf(stderr, "exo-index: %s (exo-index --help)\n", why);
		return EXIT_USAGE;
	}
	if (o.command == COMMAND_HELP) {
		options_help();
		return 0;
	}
	if (o.command == COMMAND_VERSION) {
		printf("exo-index 0.1.0\n");
		return 0;
	}
	if (o.command == COMMAND_BENCH && !o.pages)
		o.pages = four_times(o.memory);
	return open_and_run(&o);
}

int main(int argc, char **argv)
{
	streams_begin();
	/* Who may not make a file as large is found out by ftruncate() and pwrite(). */
	signal(SIGXFSZ, SIG_IGN);
	return streams_end("exo-index", run_as_told(argc, argv));
}
