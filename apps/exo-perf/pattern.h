/* SPDX-License-Identifier: MIT */
/*
 * What --verify writes into logical blocks and expects to find in them. Each
 * block names itself, so that data in the wrong place are told from damaged
 * ones; and has a checksum whose sum over all blocks does not depend on the
 * order in which they were read.
 */
#ifndef EXO_PERF_PATTERN_H
#define EXO_PERF_PATTERN_H

#include <stddef.h>
#include <stdint.h>

void pattern_fill(void *block, size_t bytes, uint64_t number, uint64_t seed);
uint64_t pattern_checksum(const void *block, size_t bytes, uint64_t number);
int pattern_check(const void *block, size_t bytes, uint64_t number, uint64_t seed, char *why,
		  size_t size);

/* The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators". */
static inline uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

#endif
