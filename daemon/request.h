/* SPDX-License-Identifier: MIT */
/*
 * What the user asked exo-run for, from text to numbers.
 */
#ifndef EXO_DAEMON_REQUEST_H
#define EXO_DAEMON_REQUEST_H

#include <stdint.h>

#include "function.h"

#define REQUEST_NAME_SIZE 32

/* A number of blocks, or of bytes when it came with K, M, G or T. */
struct amount {
	uint64_t value;
	bool bytes;
};

/* [NAME=]BDF/NSID[:START+LENGTH][:ro] */
struct request {
	char name[REQUEST_NAME_SIZE]; /* empty: none */
	char address[ADDRESS_SIZE];
	uint32_t nsid;
	bool whole; /* no range: the whole namespace */
	struct amount start, length;
	bool readonly;
};

/* In logical blocks. */
struct range {
	uint64_t start, length;
};

/* Each returns NULL, or why not. */
const char *request_parse(const char *text, struct request *request);
const char *request_resolve(const struct request *request, unsigned int block_shift,
			    uint64_t blocks, struct range *range);
/* Numbers from 0 to 63, separated by commas, as bits. */
const char *request_placement(const char *text, uint64_t *identifiers);
/* @zone_blocks: 0: the namespace is not zoned. */
const char *request_check_zones(const struct range *range, uint64_t zone_blocks);
/* Bytes, with or without K, M, G or T. */
const char *request_bytes(const char *text, uint64_t *bytes);

#endif
