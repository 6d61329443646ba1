/* SPDX-License-Identifier: MIT */
/*
 * What the files of the index share: header.c, index.c and check.c. For nobody else.
 */
#ifndef EXO_INDEX_INSIDE_H
#define EXO_INDEX_INSIDE_H

#include "index.h"

#define STATE_CLOSED 0u
#define STATE_OPEN 1u

#define INDEX_AHEAD 32 /* pages that are wanted before they are looked through in order */

/* Page 0, from its beginning; little-endian. */
struct header {
	char magic[8];
	uint32_t version;
	uint32_t state;
	uint64_t id;
	uint64_t buckets;
	uint64_t keys;
	uint64_t check; /* of all before it */
};

/* ---- header.c ---- */

uint64_t index_hash(uint64_t seed, const void *bytes, size_t n);

/* An index as page 0 has it, in any @state; 0 or as index_open(). */
int index_load(struct index *ix, struct pages *pages, uint32_t *state);

/* Durable. */
int index_save(const struct index *ix, uint32_t state);

/* ---- index.c ---- */

/**
 * struct place - where a key is, or may go
 * @hash: of the key
 * @probe: the bucket it is in, or where the search ended: the first without the mark
 * @slot: there, or BUCKET_NO_SLOT
 * @bucket: the bucket, to look at
 */
struct place {
	uint64_t hash;
	unsigned int probe;
	int slot;
	const struct bucket *bucket;
};

static inline uint64_t page_of(const struct index *ix, const struct place *at)
{
	return 1 + ((at->hash + at->probe) & ix->mask);
}

/* Bucket @page, to look at; empty if this index never wrote it. */
int index_look(struct index *ix, uint64_t page, const struct bucket **b);

/* Bucket @page, to be changed: then pages_changed(). */
int index_take(struct index *ix, uint64_t page, struct bucket **b);

/* For a key of the right size: @e and the hash of @at. */
int index_prepare(const struct index *ix, struct entry *e, struct place *at, const void *key,
		  size_t key_bytes, const void *value, size_t value_bytes);

int index_search(struct index *ix, const struct entry *key, struct place *at);

/* The entry in a slot of bucket @page goes. */
int index_remove(struct index *ix, uint64_t page, unsigned int slot);

#endif
