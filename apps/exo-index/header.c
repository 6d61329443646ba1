// SPDX-License-Identifier: MIT
/*
 * The header of an index: is there one, is it whole, was it closed.
 */
#include <endian.h>
#include <string.h>
#include <sys/random.h>

#include "inside.h"

#define ENTRIES_MAX (PAGE_BYTES / 9) /* of a page: a slot, lengths, one byte of a key */

static const char magic[8] = "exoindex";

/* ---- hashes ---- */

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93;
	return h ^ h >> 32;
}

/* The seed is the store's, so that nobody can choose keys beforehand that meet in one bucket. */
uint64_t index_hash(uint64_t seed, const void *bytes, size_t n)
{
	const char *at = bytes;
	uint64_t h = mix(seed + n), word;

	for (; n >= 8; n -= 8, at += 8) {
		memcpy(&word, at, 8);
		h = mix(h ^ le64toh(word));
	}
	if (!n)
		return h;
	word = 0;
	memcpy(&word, at, n);
	return mix(h ^ le64toh(word));
}

/* ---- the header ---- */

static uint64_t checksum(const struct header *h)
{
	return index_hash(INDEX_VERSION, h, offsetof(struct header, check));
}

static int read_header(struct pages *pages, struct header *h)
{
	const void *page = pages_get(pages, 0);
	uint64_t buckets;

	if (!page)
		return pages->error;
	memcpy(h, page, sizeof(*h));
	if (memcmp(h->magic, magic, sizeof(magic)))
		return -EILSEQ;
	if (le32toh(h->version) != INDEX_VERSION)
		return -EPROTO;
	buckets = le64toh(h->buckets);
	if (h->check != htole64(checksum(h)) || !buckets || buckets & (buckets - 1) ||
	    le32toh(h->state) > STATE_OPEN || le64toh(h->keys) / ENTRIES_MAX > buckets)
		return -EILSEQ;
	return buckets >= pages->count ? -ENOSPC : 0;
}

int index_save(const struct index *ix, uint32_t state)
{
	struct header h = {
		.version = htole32(INDEX_VERSION),
		.state = htole32(state),
		.id = htole64(ix->id),
		.buckets = htole64(ix->mask + 1),
		.keys = htole64(ix->keys),
	};
	void *page = pages_get(ix->pages, 0);

	if (!page)
		return ix->pages->error;
	memcpy(h.magic, magic, sizeof(magic));
	h.check = htole64(checksum(&h));
	memcpy(page, &h, sizeof(h));
	pages_changed(ix->pages, 0);
	return pages_flush(ix->pages);
}

uint64_t index_buckets_in(uint64_t pages)
{
	uint64_t n = 1;

	if (pages < 2)
		return 0;
	while (n <= (pages - 1) / 2)
		n *= 2;
	return n;
}

static bool is_zeroes(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

int index_create(struct pages *pages, uint64_t buckets, bool force)
{
	struct index ix = { .pages = pages, .mask = buckets - 1 };
	char *page = pages_get(pages, 0);

	if (!page)
		return pages->error;
	if (!force && !is_zeroes(page))
		return -EEXIST;
	memset(page, 0, PAGE_BYTES);
	if (getrandom(&ix.id, sizeof(ix.id), 0) != sizeof(ix.id))
		return -errno;
	return index_save(&ix, STATE_CLOSED);
}

int index_load(struct index *ix, struct pages *pages, uint32_t *state)
{
	struct header h;
	int r = read_header(pages, &h);

	if (r)
		return r;
	*state = le32toh(h.state);
	*ix = (struct index){
		.pages = pages,
		.id = le64toh(h.id),
		.mask = le64toh(h.buckets) - 1,
		.keys = le64toh(h.keys),
	};
	return 0;
}

int index_open(struct index *ix, struct pages *pages, bool write)
{
	uint32_t state;
	int r = index_load(ix, pages, &state);

	if (!r && state != STATE_CLOSED)
		r = -EUCLEAN;
	if (r || !write)
		return r;
	ix->write = true;
	return index_save(ix, STATE_OPEN);
}

int index_close(struct index *ix)
{
	int r = ix->write ? pages_flush(ix->pages) : 0;

	return r || !ix->write ? r : index_save(ix, STATE_CLOSED);
}
