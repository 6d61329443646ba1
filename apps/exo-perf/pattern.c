// SPDX-License-Identifier: MIT
/*
 * The pattern of --verify. A block of it: a magic word mixed with the block's
 * number, the seed, then numbers that follow from both.
 */
#include <stdio.h>
#include <string.h>

#include "pattern.h"

#define MAGIC 0x65786f2d70657266ull /* "exo-perf" */

/* A seed's and a block's own sequence. */
static uint64_t sequence(uint64_t number, uint64_t seed)
{
	return seed ^ number * 0xd1342543de82ef95ull;
}

/* @bytes is a multiple of 8, as blocks are. */
void pattern_fill(void *block, size_t bytes, uint64_t number, uint64_t seed)
{
	uint64_t *words = block, state = sequence(number, seed);

	words[0] = MAGIC ^ number;
	words[1] = seed;
	for (size_t i = 2; i < bytes / 8; i++)
		words[i] = splitmix64(&state);
}

/* FNV-1a over 64-bit words, finished so that sums of it do not cancel out. */
uint64_t pattern_checksum(const void *block, size_t bytes, uint64_t number)
{
	const uint64_t *words = block;
	uint64_t hash = 0xcbf29ce484222325ull ^ number;

	for (size_t i = 0; i < bytes / 8; i++)
		hash = (hash ^ words[i]) * 0x100000001b3ull;
	return splitmix64(&hash);
}

static int is_zero(const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (words[i])
			return 0;
	return 1;
}

/* Say what is in the block instead of what was written to it. */
static void explain(const uint64_t *words, size_t n, uint64_t number, uint64_t seed, char *why,
		    size_t size)
{
	uint64_t state = sequence(number, seed);
	size_t at = 0;

	if (words[0] != (MAGIC ^ number)) {
		/* Numbers of blocks are small; a word that gives one is a block's name. */
		if (is_zero(words, n))
			snprintf(why, size, "it is all zeros");
		else if ((words[0] ^ MAGIC) >> 48 == 0)
			snprintf(why, size, "it holds what was written to block %llu",
				 (unsigned long long)(words[0] ^ MAGIC));
		else
			snprintf(why, size, "it was not written by exo-perf --verify write");
		return;
	}
	if (words[1] != seed) {
		snprintf(why, size, "it was written with --seed %llu",
			 (unsigned long long)words[1]);
		return;
	}
	for (at = 2; at < n && words[at] == splitmix64(&state); at++)
		;
	snprintf(why, size, "it differs from byte %zu on", at * 8);
}

/* 0 if the block holds the pattern; else -1, and @why says what it holds. */
int pattern_check(const void *block, size_t bytes, uint64_t number, uint64_t seed, char *why,
		  size_t size)
{
	const uint64_t *words = block;
	uint64_t state = sequence(number, seed), different;

	different = (words[0] ^ MAGIC ^ number) | (words[1] ^ seed);
	for (size_t i = 2; i < bytes / 8; i++)
		different |= words[i] ^ splitmix64(&state);
	if (!different)
		return 0;
	explain(words, bytes / 8, number, seed, why, size);
	return -1;
}
