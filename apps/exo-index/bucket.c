// SPDX-License-Identifier: MIT
/*
 * One page of the index: entries, a key and a value each, and a table of where they are.
 */
#include <endian.h>
#include <string.h>

#include "bucket.h"

#define HEAD sizeof(struct bucket)
#define SLOT sizeof(struct bucket_slot)
#define LENGTHS 4u

static unsigned int low(const struct bucket *b)
{
	return le16toh(b->low);
}

unsigned int bucket_count(const struct bucket *b)
{
	return le16toh(b->count);
}

bool bucket_passed(const struct bucket *b)
{
	return le32toh(b->flags) & BUCKET_PASSED;
}

static unsigned int size_of(const struct entry *e)
{
	return LENGTHS + e->key_bytes + e->value_bytes;
}

static unsigned int room(const struct bucket *b)
{
	return low(b) - HEAD - bucket_count(b) * SLOT;
}

enum bucket_state bucket_state(const struct bucket *b, uint64_t seal)
{
	if (b->seal != htole64(seal))
		return BUCKET_FRESH;
	if (low(b) > PAGE_BYTES || HEAD + bucket_count(b) * SLOT > low(b) ||
	    le32toh(b->flags) & ~BUCKET_PASSED)
		return BUCKET_INVALID;
	return BUCKET_VALID;
}

void bucket_format(struct bucket *b, uint64_t seal)
{
	memset(b, 0, PAGE_BYTES);
	b->seal = htole64(seal);
	b->low = htole16(PAGE_BYTES);
}

static uint16_t load16(const char *at)
{
	uint16_t n;

	memcpy(&n, at, sizeof(n));
	return le16toh(n);
}

static void store16(char *at, uint16_t n)
{
	n = htole16(n);
	memcpy(at, &n, sizeof(n));
}

bool bucket_entry(const struct bucket *b, unsigned int slot, struct entry *e)
{
	unsigned int at = le16toh(b->slots[slot].at);
	const char *bytes = (const char *)b + at;

	if (at < low(b) || at > PAGE_BYTES - LENGTHS)
		return false;
	e->key_bytes = load16(bytes);
	e->value_bytes = load16(bytes + 2);
	e->key = bytes + LENGTHS;
	e->value = bytes + LENGTHS + e->key_bytes;
	e->tag = le16toh(b->slots[slot].tag);
	return e->key_bytes && e->key_bytes <= KEY_MAX_BYTES && e->value_bytes <= VALUE_MAX_BYTES &&
	       at + size_of(e) <= PAGE_BYTES;
}

bool bucket_whole(const struct bucket *b)
{
	bool taken[PAGE_BYTES] = { false };
	unsigned int bytes = 0;
	struct entry e;

	for (unsigned int i = 0; i < bucket_count(b); i++) {
		unsigned int at = le16toh(b->slots[i].at);

		if (!bucket_entry(b, i, &e))
			return false;
		for (unsigned int j = at; j < at + size_of(&e); j++) {
			if (taken[j])
				return false;
			taken[j] = true;
		}
		bytes += size_of(&e);
	}
	return bytes == PAGE_BYTES - low(b);
}

int bucket_find(const struct bucket *b, const struct entry *key)
{
	unsigned int count = bucket_count(b);
	uint16_t tag = htole16(key->tag);
	struct entry e;

	for (unsigned int i = 0; i < count; i++) {
		if (b->slots[i].tag != tag)
			continue;
		if (!bucket_entry(b, i, &e))
			return BUCKET_BROKEN;
		if (e.key_bytes == key->key_bytes && !memcmp(e.key, key->key, e.key_bytes))
			return i;
	}
	return BUCKET_NO_SLOT;
}

bool bucket_add(struct bucket *b, const struct entry *e)
{
	unsigned int count = bucket_count(b), at;
	char *bytes;

	if (size_of(e) + SLOT > room(b))
		return false;
	at = low(b) - size_of(e);
	bytes = (char *)b + at;
	store16(bytes, e->key_bytes);
	store16(bytes + 2, e->value_bytes);
	memcpy(bytes + LENGTHS, e->key, e->key_bytes);
	memcpy(bytes + LENGTHS + e->key_bytes, e->value, e->value_bytes);
	b->slots[count] = (struct bucket_slot){ htole16(e->tag), htole16(at) };
	b->count = htole16(count + 1);
	b->low = htole16(at);
	return true;
}

/* Entries below the one that goes move up, so that all that is free is in one piece. */
void bucket_remove(struct bucket *b, unsigned int slot)
{
	unsigned int at = le16toh(b->slots[slot].at), from = low(b), count = bucket_count(b);
	struct entry e;
	unsigned int size;

	if (!bucket_entry(b, slot, &e))
		return;
	size = size_of(&e);
	memmove((char *)b + from + size, (char *)b + from, at - from);
	b->slots[slot] = b->slots[count - 1];
	for (unsigned int i = 0; i < count - 1; i++) {
		unsigned int other = le16toh(b->slots[i].at);

		if (other < at)
			b->slots[i].at = htole16(other + size);
	}
	b->count = htole16(count - 1);
	b->low = htole16(from + size);
}

bool bucket_replace(struct bucket *b, unsigned int slot, const struct entry *e)
{
	struct entry old;

	if (!bucket_entry(b, slot, &old))
		return false;
	if (old.value_bytes == e->value_bytes) {
		memcpy((char *)b + ((const char *)old.value - (const char *)b), e->value,
		       e->value_bytes);
		return true;
	}
	if (size_of(e) > room(b) + size_of(&old))
		return false;
	bucket_remove(b, slot);
	return bucket_add(b, e);
}
