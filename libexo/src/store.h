/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A store in memory: what store.c, which has its pages and the commit, and store-open.c, which
 * finds or makes one, share. store-disk.h is what is on the disk.
 */
#ifndef LIBEXO_SRC_STORE_H
#define LIBEXO_SRC_STORE_H

#include "private.h"
#include "store-disk.h"

#define EXO_STORE_IO 16u /* blocks of a map that are read or written in one go */

/* What is known of the n-th blocks of both maps */
#define EXO_STORE_STALE(side) (1u << (side)) /* the side holds another one */
#define EXO_STORE_CHANGED (1u << 2)	     /* since the last commit */
#define EXO_STORE_ANEW (EXO_STORE_STALE(0) | EXO_STORE_STALE(1) | EXO_STORE_CHANGED)

/**
 * struct exo_store - a store
 * @x: the handle
 * @first: its first logical block
 * @block_shift: log2 of the bytes of one
 * @root: what is committed
 * @shape: see there
 * @changed: there is something to commit
 * @doubt: a root was on its way when a commit failed: it may count
 * @committed: state of each page, four a byte, as the blocks of the map have them one after another
 * @now: likewise, with what was written and not committed
 * @known: of each block of the maps
 * @crcs: of the blocks of each map, as they are on the disk; of stale ones of no meaning
 * @buf: EXO_STORE_IO blocks, which the device reaches; NULL: it was asked back
 */
struct exo_store {
	struct exo *x;
	uint64_t first;
	uint32_t block_shift;
	struct exo_store_root root;
	struct exo_store_shape shape;
	bool changed;
	bool doubt;
	uint8_t *committed;
	uint8_t *now;
	uint8_t *known;
	uint32_t *crcs[2];
	void *buf;
};

/* Its first logical block, @bytes on. */
static inline uint64_t exo_store_logical(const struct exo_store *s, uint64_t bytes)
{
	return s->first + (bytes >> s->block_shift);
}

/* Those of the block @index of a map. */
static inline uint8_t *exo_store_states(uint8_t *states, uint64_t index)
{
	return states + index * EXO_STORE_MAP_BYTES;
}

/* Its frames may have been given up, as those of any buffer: then there is another. */
int exo_store_hold_buffer(struct exo_store *s, struct exo_queue *q);

/* The CRC32C of those of the blocks of a map. */
uint32_t exo_store_map_crc(const struct exo_store *s, unsigned int side);

/* The blocks that are stale; they stay so until they are known to be durable. */
int exo_store_write_map(struct exo_store *s, struct exo_queue *q, unsigned int side,
			uint64_t generation);

/* One block from the buffer: durable when this returns, as is what was flushed before. */
int exo_store_write_durably(struct exo_store *s, struct exo_queue *q, uint64_t at);

/* The root of a generation, of the map of its side. */
int exo_store_write_root(struct exo_store *s, struct exo_queue *q, uint64_t generation);

#endif /* LIBEXO_SRC_STORE_H */
