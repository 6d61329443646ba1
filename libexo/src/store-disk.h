/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a store is on the disk: how large, and what its roots and map blocks hold. It is bytes in
 * memory here; store.c reads and writes them. Documentation/store.md says why they are so.
 */
#ifndef LIBEXO_STORE_DISK_H
#define LIBEXO_STORE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define EXO_STORE_BLOCK 4096u
#define EXO_STORE_VERSION 1
#define EXO_STORE_GENERATION_MAX (1ull << 62)

/* A page's two bits in a map; the fourth value is none. */
enum exo_store_state {
	EXO_STORE_NOWHERE = 0,
	EXO_STORE_AT_A = 1,
	EXO_STORE_AT_B = 2,
};

#define EXO_STORE_MAP_BYTES 4060u /* of states in a block of a map */
#define EXO_STORE_MAP_PAGES (4 * EXO_STORE_MAP_BYTES)

/* A root. Numbers are little endian. */
struct exo_store_root_block {
	char magic[8];
	uint32_t version;
	uint32_t page;
	uint64_t pages;
	uint64_t generation;
	uint64_t id;
	uint32_t map_crc;
	uint8_t zero[4048];
	uint32_t crc;
};

/* A block of a map, likewise. */
struct exo_store_map_block {
	char magic[8];
	uint64_t id;
	uint64_t index;
	uint64_t generation;
	uint8_t states[EXO_STORE_MAP_BYTES];
	uint32_t crc;
};

/**
 * struct exo_store_root - what a root says
 * @page: bytes of a page
 * @pages: how many
 * @generation: commits since the store was formatted
 * @id: chosen at random then, so that nothing of an earlier store is taken for this one's
 * @map_crc: CRC32C of the checksums of all blocks of the map
 */
struct exo_store_root {
	uint32_t page;
	uint64_t pages;
	uint64_t generation;
	uint64_t id;
	uint32_t map_crc;
};

/**
 * struct exo_store_shape - where things are; bytes from the beginning of the store
 * @map_blocks: of EXO_STORE_BLOCK bytes, of each map
 * @places: the first place A
 * @side: bytes of all places A: as many on are the places B
 * @bytes: of all
 */
struct exo_store_shape {
	uint64_t map_blocks;
	uint64_t places;
	uint64_t side;
	uint64_t bytes;
};

/* False if there can be no such store. */
bool exo_store_shape(struct exo_store_shape *shape, uint32_t page, uint64_t pages);

/* Roots 0 and 1, the blocks of maps 0 and 1. */
static inline uint64_t exo_store_root_at(unsigned int side)
{
	return side * EXO_STORE_BLOCK;
}

static inline uint64_t exo_store_map_at(const struct exo_store_shape *shape, unsigned int side,
					uint64_t index)
{
	return (2 + side * shape->map_blocks + index) * EXO_STORE_BLOCK;
}

void exo_store_root_write(struct exo_store_root_block *block, const struct exo_store_root *root);

/* Of root @side. Returns 0, -EILSEQ it is none, or -EPROTO of a later version. */
int exo_store_root_read(const struct exo_store_root_block *block, unsigned int side,
			struct exo_store_root *root);

/* All but the states. */
void exo_store_map_seal(struct exo_store_map_block *block, uint64_t id, uint64_t index,
			uint64_t generation);

/* @latest: no later generation has written it. */
bool exo_store_map_valid(const struct exo_store_map_block *block, uint64_t id, uint64_t index,
			 uint64_t latest);

#endif /* LIBEXO_STORE_DISK_H */
