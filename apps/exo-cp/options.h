/* SPDX-License-Identifier: MIT */
/*
 * What exo-cp was asked to do.
 */
#ifndef EXO_CP_OPTIONS_H
#define EXO_CP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEPTH_DEFAULT 8
#define DEPTH_MAX 1024

enum action {
	ACTION_COPY,
	ACTION_HELP,
	ACTION_VERSION,
};

/* Whether the device is to copy by itself. */
enum offload {
	OFFLOAD_IF_POSSIBLE,
	OFFLOAD_NEVER,
	OFFLOAD_ALWAYS,
};

/**
 * struct number - of an offset or a length
 * @n: of bytes, or of logical blocks
 * @blocks: of blocks
 * @given: on the command line
 */
struct number {
	uint64_t n;
	bool blocks;
	bool given;
};

/**
 * struct options - the command line
 * @action: what to do
 * @source: name of an extent for exo_open(), or of a file, or "-"
 * @destination: likewise
 * @from: where in the source the copy begins
 * @to: where in the destination
 * @bytes: how much is copied
 * @offload: whether by NVMe Copy
 * @verify: read back and compare
 * @pad: zeroes behind the last byte in its block, instead of what is there
 * @depth: pieces on their way at a time
 * @size: bytes of each, or 0: as the devices have it
 * @progress: even if stderr is no terminal
 * @quiet: no line at the end
 */
struct options {
	enum action action;
	const char *source;
	const char *destination;
	struct number from;
	struct number to;
	struct number bytes;
	enum offload offload;
	bool verify;
	bool pad;
	unsigned int depth;
	uint64_t size;
	bool progress;
	bool quiet;
};

/* 0; or -1, with @why, of @size bytes, set to a sentence. */
int options_parse(int argc, char **argv, struct options *o, char *why, size_t size);
void options_help(void);

/* Whether a name is that of an extent, for exo_open(). */
bool options_is_extent(const char *name);

/* N, or N and K, M, G or T (2^10, 2^20, ...) bytes; or Nb: blocks. 0 or -1. */
int options_number(const char *text, struct number *number);

#endif
