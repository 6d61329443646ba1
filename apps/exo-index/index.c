// SPDX-License-Identifier: MIT
/*
 * The index over its buckets: search, insertion, all of it in order.
 *
 * One pointer to a page is good at a time, so that what spans pages goes by their numbers.
 */
#include <endian.h>
#include <string.h>

#include "inside.h"

/* ---- buckets ---- */

/* What a bucket holds that this index never wrote. */
static const union {
	struct bucket bucket;
	char bytes[PAGE_BYTES];
} nothing;

static uint64_t seal_of(const struct index *ix, uint64_t page)
{
	return ix->id + page;
}

static unsigned int probes_of(const struct index *ix)
{
	return ix->mask < INDEX_PROBES ? (unsigned int)ix->mask + 1 : INDEX_PROBES;
}

int index_look(struct index *ix, uint64_t page, const struct bucket **b)
{
	*b = pages_get(ix->pages, page);
	if (!*b)
		return ix->pages->error;
	switch (bucket_state(*b, seal_of(ix, page))) {
	case BUCKET_FRESH:
		*b = &nothing.bucket;
		return 0;
	case BUCKET_VALID:
		return 0;
	default:
		return -EILSEQ;
	}
}

int index_take(struct index *ix, uint64_t page, struct bucket **b)
{
	enum bucket_state state;

	*b = pages_get(ix->pages, page);
	if (!*b)
		return ix->pages->error;
	state = bucket_state(*b, seal_of(ix, page));
	if (state == BUCKET_FRESH)
		bucket_format(*b, seal_of(ix, page));
	return state == BUCKET_INVALID ? -EILSEQ : 0;
}

/* ---- search ---- */

int index_search(struct index *ix, const struct entry *key, struct place *at)
{
	unsigned int probes = probes_of(ix);
	int r;

	for (at->probe = 0; at->probe < probes; at->probe++) {
		r = index_look(ix, page_of(ix, at), &at->bucket);
		if (r)
			return r;
		at->slot = bucket_find(at->bucket, key);
		if (at->slot == BUCKET_BROKEN)
			return -EILSEQ;
		if (at->slot >= 0 || !bucket_passed(at->bucket))
			return 0;
	}
	at->slot = BUCKET_NO_SLOT;
	return 0;
}

int index_prepare(const struct index *ix, struct entry *e, struct place *at, const void *key,
		  size_t key_bytes, const void *value, size_t value_bytes)
{
	if (!key_bytes || key_bytes > KEY_MAX_BYTES || value_bytes > VALUE_MAX_BYTES)
		return -EMSGSIZE;
	at->hash = index_hash(ix->id, key, key_bytes);
	*e = (struct entry){
		.key = key,
		.value = value,
		.key_bytes = key_bytes,
		.value_bytes = value_bytes,
		.tag = at->hash >> 48,
	};
	return 0;
}

int index_get(struct index *ix, const void *key, size_t key_bytes, void *value, size_t *value_bytes)
{
	struct place at;
	struct entry e;
	int r = index_prepare(ix, &e, &at, key, key_bytes, NULL, 0);

	if (!r)
		r = index_search(ix, &e, &at);
	if (r)
		return r;
	if (at.slot < 0 || !bucket_entry(at.bucket, at.slot, &e))
		return -ENOENT;
	memcpy(value, e.value, e.value_bytes);
	*value_bytes = e.value_bytes;
	return 0;
}

void index_want(struct index *ix, const void *key, size_t key_bytes)
{
	struct place at = { .hash = index_hash(ix->id, key, key_bytes) };

	pages_want(ix->pages, page_of(ix, &at), 1);
}

/* ---- changes ---- */

/* The first bucket with room gets it, those before are marked as passed. */
static int insert(struct index *ix, const struct entry *e, uint64_t hash)
{
	struct place at = { .hash = hash };
	unsigned int probes = probes_of(ix);
	struct bucket *b;
	bool added = false;
	int r;

	for (; !added && at.probe < probes; at.probe++) {
		r = index_take(ix, page_of(ix, &at), &b);
		if (r)
			return r;
		added = bucket_add(b, e);
		if (!added && bucket_passed(b))
			continue;
		if (!added)
			b->flags = htole32(BUCKET_PASSED);
		pages_changed(ix->pages, page_of(ix, &at));
	}
	return added ? 0 : -ENOSPC;
}

int index_remove(struct index *ix, uint64_t page, unsigned int slot)
{
	struct bucket *b;
	int r = index_take(ix, page, &b);

	if (r)
		return r;
	bucket_remove(b, slot);
	pages_changed(ix->pages, page);
	return 0;
}

/* Where it is, or if it has outgrown that, elsewhere first: it is never nowhere. */
static int replace(struct index *ix, const struct entry *e, const struct place *at)
{
	struct bucket *b;
	int r = index_take(ix, page_of(ix, at), &b);

	if (r)
		return r;
	if (bucket_replace(b, at->slot, e)) {
		pages_changed(ix->pages, page_of(ix, at));
		return 0;
	}
	r = insert(ix, e, at->hash);
	return r ? r : index_remove(ix, page_of(ix, at), at->slot);
}

int index_put(struct index *ix, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes)
{
	struct place at;
	struct entry e;
	int r = index_prepare(ix, &e, &at, key, key_bytes, value, value_bytes);

	if (!r)
		r = index_search(ix, &e, &at);
	if (r)
		return r;
	if (at.slot >= 0)
		return replace(ix, &e, &at);
	r = insert(ix, &e, at.hash);
	if (!r)
		ix->keys++;
	return r;
}

int index_delete(struct index *ix, const void *key, size_t key_bytes)
{
	struct place at;
	struct entry e;
	int r = index_prepare(ix, &e, &at, key, key_bytes, NULL, 0);

	if (!r)
		r = index_search(ix, &e, &at);
	if (r)
		return r;
	if (at.slot < 0)
		return -ENOENT;
	r = index_remove(ix, page_of(ix, &at), at.slot);
	/* The count may be the attacker's. */
	if (!r && ix->keys)
		ix->keys--;
	return r;
}

/* ---- all of it ---- */

static int each_in(const struct bucket *b, int (*fn)(void *arg, const struct entry *e), void *arg)
{
	unsigned int count = bucket_count(b);
	struct entry e;
	int r = 0;

	for (unsigned int i = 0; i < count && !r; i++)
		r = bucket_entry(b, i, &e) ? fn(arg, &e) : -EILSEQ;
	return r;
}

int index_each(struct index *ix, int (*fn)(void *arg, const struct entry *e), void *arg)
{
	union {
		struct bucket bucket;
		char bytes[PAGE_BYTES];
	} copy;
	const struct bucket *b;
	int r = 0;

	for (uint64_t page = 1; page <= ix->mask + 1 && !r; page++) {
		if (page % INDEX_AHEAD == 1)
			pages_want(ix->pages, page, INDEX_AHEAD);
		r = index_look(ix, page, &b);
		if (r)
			break;
		/* What is called may write it to somewhere with a system call. */
		memcpy(&copy, b, PAGE_BYTES);
		r = each_in(&copy.bucket, fn, arg);
	}
	return r;
}
