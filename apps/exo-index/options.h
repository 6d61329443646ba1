/* SPDX-License-Identifier: MIT */
/*
 * What exo-index was asked to do.
 */
#ifndef EXO_INDEX_OPTIONS_H
#define EXO_INDEX_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX 1024

enum command {
	COMMAND_NONE,
	COMMAND_CREATE,
	COMMAND_LOAD,
	COMMAND_GET,
	COMMAND_DELETE,
	COMMAND_DUMP,
	COMMAND_STAT,
	COMMAND_CHECK,
	COMMAND_BENCH,
	COMMAND_HELP,
	COMMAND_VERSION,
};

/**
 * struct options - the command line
 * @command: what to do
 * @store: where
 * @args: the keys of get and delete, the file of load
 * @args_nr: of them
 * @memory: bytes of pages that may be in memory
 * @pages: buckets, a power of two; 0: not given
 * @size: bytes of the store, in place of @pages; 0: not given
 * @generate: load so many keys of its own; 0: read lines
 * @seed: of them, and of bench's
 * @keys: of bench, a power of two; 0: two a bucket
 * @batch: keys that are wanted before they are looked up
 * @force: overwrite what is there
 * @repair: put in order
 * @json: bench prints JSON
 */
struct options {
	enum command command;
	const char *store;
	char **args;
	int args_nr;
	uint64_t memory;
	uint64_t pages;
	uint64_t size;
	uint64_t generate;
	uint64_t seed;
	uint64_t keys;
	uint64_t batch;
	bool force;
	bool repair;
	bool json;
};

void options_help(void);

/* 0, or -1 and the reason in @why. */
int options_parse(int argc, char **argv, struct options *o, char *why, size_t size);

#endif
