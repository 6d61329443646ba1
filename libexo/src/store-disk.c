// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Roots and map blocks of a store, and its shape. What is read is hostile: it is believed when
 * its checksum is right, and then it must still fit.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <libexo/frame.h>

#include "crc32c.h"
#include "store-disk.h"

#define PAGE_MIN 4096u

static_assert(sizeof(struct exo_store_root_block) == EXO_STORE_BLOCK, "a root is a block");
static_assert(sizeof(struct exo_store_map_block) == EXO_STORE_BLOCK, "so is one of a map");
static_assert(offsetof(struct exo_store_root_block, crc) == 4092, "the checksum comes last");
static_assert(offsetof(struct exo_store_map_block, crc) == 4092, "the checksum comes last");

static const char root_magic[8] = { 'e', 'x', 'o', 's', 't', 'o', 'r', 'e' };
static const char map_magic[8] = { 'e', 'x', 'o', ' ', 'm', 'a', 'p', '\n' };

bool exo_store_shape(struct exo_store_shape *shape, uint32_t page, uint64_t pages)
{
	uint64_t places;

	if (page < PAGE_MIN || page > EXO_PAGE_MAX || page & (page - 1) || !pages)
		return false;
	/* The map takes less than the places, so nothing overflows if these do not by far. */
	if (__builtin_mul_overflow(pages, (uint64_t)page, &shape->side) || shape->side >> 60)
		return false;
	shape->map_blocks = (pages - 1) / EXO_STORE_MAP_PAGES + 1;
	places = (2 + 2 * shape->map_blocks) * EXO_STORE_BLOCK;
	shape->places = (places + page - 1) & ~(uint64_t)(page - 1);
	shape->bytes = shape->places + 2 * shape->side;
	return true;
}

/* Of all that comes before it. */
static uint32_t checksum(const void *block)
{
	return htole32(exo_crc32c(block, EXO_STORE_BLOCK - sizeof(uint32_t)));
}

void exo_store_root_write(struct exo_store_root_block *block, const struct exo_store_root *root)
{
	memset(block, 0, sizeof(*block));
	memcpy(block->magic, root_magic, sizeof(root_magic));
	block->version = htole32(EXO_STORE_VERSION);
	block->page = htole32(root->page);
	block->pages = htole64(root->pages);
	block->generation = htole64(root->generation);
	block->id = htole64(root->id);
	block->map_crc = htole32(root->map_crc);
	block->crc = checksum(block);
}

int exo_store_root_read(const struct exo_store_root_block *block, unsigned int side,
			struct exo_store_root *root)
{
	if (memcmp(block->magic, root_magic, sizeof(root_magic)) || block->crc != checksum(block))
		return -EILSEQ;
	if (le32toh(block->version) > EXO_STORE_VERSION)
		return -EPROTO;
	*root = (struct exo_store_root){
		.page = le32toh(block->page),
		.pages = le64toh(block->pages),
		.generation = le64toh(block->generation),
		.id = le64toh(block->id),
		.map_crc = le32toh(block->map_crc),
	};
	if (le32toh(block->version) != EXO_STORE_VERSION || root->generation % 2 != side ||
	    root->generation > EXO_STORE_GENERATION_MAX)
		return -EILSEQ;
	return 0;
}

void exo_store_map_seal(struct exo_store_map_block *block, uint64_t id, uint64_t index,
			uint64_t generation)
{
	memcpy(block->magic, map_magic, sizeof(map_magic));
	block->id = htole64(id);
	block->index = htole64(index);
	block->generation = htole64(generation);
	block->crc = checksum(block);
}

bool exo_store_map_valid(const struct exo_store_map_block *block, uint64_t id, uint64_t index,
			 uint64_t latest)
{
	if (memcmp(block->magic, map_magic, sizeof(map_magic)) || block->crc != checksum(block) ||
	    le64toh(block->id) != id || le64toh(block->index) != index ||
	    le64toh(block->generation) > latest)
		return false;
	for (uint32_t i = 0; i < EXO_STORE_MAP_BYTES; i++)
		if (block->states[i] & block->states[i] >> 1 & 0x55)
			return false;
	return true;
}
