/* SPDX-License-Identifier: MIT */
/*
 * One page of the index: entries, a key and a value each, and a table of where they are.
 *
 * What a page holds may be an attack. bucket_state() looks at its head, and each function at the
 * entries that it uses: nothing is read or written outside the page. All numbers are little-endian.
 *
 *	| seal 8 | count 2 | low 2 | flags 4 | slots, 4 bytes each -> ... <- entries |
 *
 * A slot has 16 bits of the key's hash and the place of the entry. An entry has two lengths of 2
 * bytes, the key and the value.
 */
#ifndef EXO_INDEX_BUCKET_H
#define EXO_INDEX_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pages.h"

#define KEY_MAX_BYTES 1024
#define VALUE_MAX_BYTES 2048

#define BUCKET_PASSED 1u /* a key that was to be here, or before, lies in a later page */

/* A slot's number, or one of these. */
#define BUCKET_NO_SLOT (-1)
#define BUCKET_BROKEN (-2)

/**
 * struct bucket - the head of a page
 * @seal: whose page this is, and which
 * @count: slots
 * @low: the first byte that entries use, from the beginning of the page
 * @flags: BUCKET_PASSED
 */
struct bucket {
	uint64_t seal;
	uint16_t count;
	uint16_t low;
	uint32_t flags;
	struct bucket_slot {
		uint16_t tag;
		uint16_t at;
	} slots[];
};

/**
 * struct entry - what lies in a page, or is to
 * @key: its @key_bytes, 1 to KEY_MAX_BYTES
 * @value: its @value_bytes, 0 to VALUE_MAX_BYTES
 * @tag: 16 bits of the key's hash
 */
struct entry {
	const void *key;
	const void *value;
	uint16_t key_bytes;
	uint16_t value_bytes;
	uint16_t tag;
};

enum bucket_state {
	BUCKET_FRESH, /* the seal is another: what is there was never written by this index */
	BUCKET_VALID,
	BUCKET_INVALID,
};

enum bucket_state bucket_state(const struct bucket *b, uint64_t seal);

/* Whether all slots of a valid page lead to entries that fill it without a gap or an overlap. */
bool bucket_whole(const struct bucket *b);

/* An empty page of that seal. */
void bucket_format(struct bucket *b, uint64_t seal);

bool bucket_passed(const struct bucket *b);
unsigned int bucket_count(const struct bucket *b);

/* The slot of an entry with that key and tag, BUCKET_NO_SLOT or BUCKET_BROKEN. Of a valid page. */
int bucket_find(const struct bucket *b, const struct entry *key);

/* What a slot below the count leads to: true, or false: it leads nowhere. */
bool bucket_entry(const struct bucket *b, unsigned int slot, struct entry *e);

/* Room for it is taken; false: there is none, and nothing has changed. */
bool bucket_add(struct bucket *b, const struct entry *e);

/* The entry that bucket_find() found goes. */
void bucket_remove(struct bucket *b, unsigned int slot);

/* It gets another value; false: there is no room, and nothing has changed. */
bool bucket_replace(struct bucket *b, unsigned int slot, const struct entry *e);

#endif
