// SPDX-License-Identifier: MIT
/*
 * The index over plain memory: against a model, over full pages, and with every page an attack.
 */
#include <endian.h>

#include "inside.h"
#include "plain.h"
#include "tap.h"

#define BUCKETS 8

static struct plain *made(uint64_t buckets, bool base)
{
	struct plain *m = plain_open(buckets + 1, base);

	CHECK_EQUAL(index_create(&m->pages, buckets, false), 0);
	return m;
}

static int put(struct index *ix, uint64_t key, const void *value, size_t bytes)
{
	return index_put(ix, &key, sizeof(key), value, bytes);
}

/* Whether the key has that value. */
static bool has(struct index *ix, uint64_t key, const void *value, size_t bytes)
{
	char got[VALUE_MAX_BYTES];
	size_t n;

	return !index_get(ix, &key, sizeof(key), got, &n) && n == bytes && !memcmp(got, value, n);
}

static int get(struct index *ix, uint64_t key)
{
	char value[VALUE_MAX_BYTES];
	size_t n;

	return index_get(ix, &key, sizeof(key), value, &n);
}

static int count(void *arg, const struct entry *e)
{
	(void)e;
	++*(uint64_t *)arg;
	return 0;
}

static bool in_order(struct pages *pages, uint64_t keys)
{
	struct index_report found;

	return !index_check(pages, false, &found) && found.keys == keys;
}

static void what_is_put_is_got(void)
{
	struct plain *m = made(BUCKETS, true);
	struct index ix;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	CHECK_EQUAL(index_put(&ix, "name", 4, "value", 5), 0);
	CHECK_EQUAL(index_put(&ix, "na", 2, "", 0), 0);
	CHECK_EQUAL(put(&ix, 7, "seven", 5), 0);
	CHECK_EQUAL(index_close(&ix), 0);

	CHECK_EQUAL(index_open(&ix, &m->pages, false), 0);
	CHECK_EQUAL(ix.keys, 3);
	CHECK(has(&ix, 7, "seven", 5));
	CHECK_EQUAL(get(&ix, 8), -ENOENT);
	char value[VALUE_MAX_BYTES];
	size_t n = 9;

	CHECK_EQUAL(index_get(&ix, "name", 4, value, &n), 0);
	CHECK(n == 5 && !memcmp(value, "value", 5));
	CHECK_EQUAL(index_get(&ix, "na", 2, value, &n), 0);
	CHECK_EQUAL(n, 0);
	CHECK_EQUAL(index_get(&ix, "n", 1, value, &n), -ENOENT);
	CHECK(in_order(&m->pages, 3));
	pages_close(&m->pages);
}

#define MODEL_KEYS 400

struct model {
	bool there[MODEL_KEYS];
	uint16_t bytes[MODEL_KEYS];
	char values[MODEL_KEYS][VALUE_MAX_BYTES];
	uint64_t keys;
};

static void model_put(struct model *model, struct index *ix, uint64_t key, uint64_t random)
{
	size_t bytes = random % 17 ? random % 60 : random % (VALUE_MAX_BYTES + 1);
	char value[VALUE_MAX_BYTES];
	int r;

	memset(value, (int)(random >> 20), bytes);
	r = put(ix, key, value, bytes);
	if (r == -ENOSPC)
		return;
	CHECK_EQUAL(r, 0);
	model->keys += !model->there[key];
	model->there[key] = true;
	model->bytes[key] = bytes;
	memcpy(model->values[key], value, bytes);
}

static void model_delete(struct model *model, struct index *ix, uint64_t key)
{
	CHECK_EQUAL(index_delete(ix, &key, sizeof(key)), model->there[key] ? 0 : -ENOENT);
	model->keys -= model->there[key];
	model->there[key] = false;
}

static void model_compare(const struct model *model, struct index *ix)
{
	uint64_t counted = 0;

	for (uint64_t key = 0; key < MODEL_KEYS; key++) {
		if (model->there[key])
			CHECK(has(ix, key, model->values[key], model->bytes[key]));
		else
			CHECK_EQUAL(get(ix, key), -ENOENT);
	}
	CHECK_EQUAL(ix->keys, model->keys);
	CHECK_EQUAL(index_each(ix, count, &counted), 0);
	CHECK_EQUAL(counted, model->keys);
}

/* On so few pages that they are full, now and then all. */
static void compare_with_a_model(bool base)
{
	static struct model model;
	struct plain *m = made(BUCKETS, base);
	uint64_t state = 88172645463325252;
	struct index ix;

	memset(&model, 0, sizeof(model));
	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	for (int i = 0; i < 40000; i++) {
		uint64_t random = next_random(&state), key = random % MODEL_KEYS;

		if (random >> 32 & 1)
			model_put(&model, &ix, key, random >> 33);
		else
			model_delete(&model, &ix, key);
		if (i % 2000 == 0)
			model_compare(&model, &ix);
	}
	model_compare(&model, &ix);
	CHECK_EQUAL(index_close(&ix), 0);
	CHECK(in_order(&m->pages, model.keys));
	pages_close(&m->pages);
}

static void a_random_life_with_a_base(void)
{
	compare_with_a_model(true);
}

static void a_random_life_without_a_base(void)
{
	compare_with_a_model(false);
}

static void a_full_index_refuses(void)
{
	struct plain *m = made(2, false);
	char value[1000];
	struct index ix;
	uint64_t n = 0;

	memset(value, 'v', sizeof(value));
	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	while (!put(&ix, n, value, sizeof(value)))
		n++;
	CHECK_EQUAL(n, 8);
	CHECK_EQUAL(put(&ix, n, value, sizeof(value)), -ENOSPC);
	CHECK_EQUAL(put(&ix, 3, value, VALUE_MAX_BYTES), -ENOSPC);
	CHECK_EQUAL(ix.keys, 8);
	for (uint64_t key = 0; key < 8; key++)
		CHECK(has(&ix, key, value, sizeof(value)));
	CHECK_EQUAL(put(&ix, 3, value, 10), 0);
	CHECK(has(&ix, 3, value, 10));
	CHECK_EQUAL(index_close(&ix), 0);
	CHECK(in_order(&m->pages, 8));
	pages_close(&m->pages);
}

static void a_search_is_bounded(void)
{
	struct plain *m = made(4 * INDEX_PROBES, true);
	char value[VALUE_MAX_BYTES] = { 0 };
	struct index ix;
	uint64_t n = 0;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	while (!put(&ix, n, value, sizeof(value)))
		n++;
	/* One a page: the last that was refused had no page left within its reach. */
	CHECK(n > INDEX_PROBES && n <= 4 * INDEX_PROBES);
	CHECK_EQUAL(index_close(&ix), 0);
	CHECK(in_order(&m->pages, n));
	pages_close(&m->pages);
}

static void lengths_are_bounded(void)
{
	static char bytes[VALUE_MAX_BYTES + 1];
	struct plain *m = made(BUCKETS, true);
	char value[VALUE_MAX_BYTES];
	struct index ix;
	size_t n;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	CHECK_EQUAL(index_put(&ix, bytes, 0, bytes, 1), -EMSGSIZE);
	CHECK_EQUAL(index_put(&ix, bytes, KEY_MAX_BYTES + 1, bytes, 1), -EMSGSIZE);
	CHECK_EQUAL(index_put(&ix, bytes, 1, bytes, VALUE_MAX_BYTES + 1), -EMSGSIZE);
	CHECK_EQUAL(index_get(&ix, bytes, 0, value, &n), -EMSGSIZE);
	CHECK_EQUAL(index_delete(&ix, bytes, SIZE_MAX), -EMSGSIZE);
	CHECK_EQUAL(index_put(&ix, bytes, KEY_MAX_BYTES, bytes, VALUE_MAX_BYTES), 0);
	CHECK_EQUAL(index_get(&ix, bytes, KEY_MAX_BYTES, value, &n), 0);
	CHECK_EQUAL(n, VALUE_MAX_BYTES);
	pages_close(&m->pages);
}

static void sizes(void)
{
	CHECK_EQUAL(index_buckets_in(0), 0);
	CHECK_EQUAL(index_buckets_in(1), 0);
	CHECK_EQUAL(index_buckets_in(2), 1);
	CHECK_EQUAL(index_buckets_in(3), 2);
	CHECK_EQUAL(index_buckets_in(1024), 512);
	CHECK_EQUAL(index_buckets_in(1025), 1024);
	CHECK_EQUAL(index_buckets_in(UINT64_MAX), 1ull << 63);
}

static void a_new_index_is_empty(void)
{
	struct plain *m = made(BUCKETS, true);
	struct index ix;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	CHECK_EQUAL(put(&ix, 1, "old", 3), 0);
	CHECK_EQUAL(index_close(&ix), 0);
	CHECK_EQUAL(index_create(&m->pages, BUCKETS, false), -EEXIST);
	CHECK_EQUAL(index_create(&m->pages, BUCKETS, true), 0);
	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	CHECK_EQUAL(get(&ix, 1), -ENOENT);
	CHECK_EQUAL(put(&ix, 2, "new", 3), 0);
	CHECK_EQUAL(index_close(&ix), 0);
	CHECK(in_order(&m->pages, 1));
	pages_close(&m->pages);
}

/* ---- headers ---- */

static void forge(struct plain *m, struct header *h)
{
	h->check = htole64(index_hash(INDEX_VERSION, h, offsetof(struct header, check)));
	memcpy(m->bytes, h, sizeof(*h));
}

static void every_bit_of_a_header_counts(void)
{
	struct plain *m = made(BUCKETS, true);
	struct index ix;

	for (size_t bit = 0; bit < 8 * sizeof(struct header); bit++) {
		m->bytes[bit / 8] ^= 1 << bit % 8;
		CHECK(index_open(&ix, &m->pages, false) < 0);
		m->bytes[bit / 8] ^= 1 << bit % 8;
	}
	CHECK_EQUAL(index_open(&ix, &m->pages, false), 0);
	pages_close(&m->pages);
}

static void forged_headers_are_refused(void)
{
	struct plain *m = made(BUCKETS, true);
	struct header good, h;
	struct index ix;

	memcpy(&good, m->bytes, sizeof(good));
	h = good, h.buckets = 0;
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -EILSEQ);
	h = good, h.buckets = htole64(3);
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -EILSEQ);
	h = good, h.buckets = htole64(2 * BUCKETS);
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -ENOSPC);
	h = good, h.buckets = htole64(1ull << 63);
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -ENOSPC);
	h = good, h.keys = htole64(UINT64_MAX);
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -EILSEQ);
	h = good, h.state = htole32(2);
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -EILSEQ);
	h = good, h.version = htole32(INDEX_VERSION + 1);
	forge(m, &h);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -EPROTO);
	forge(m, &good);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), 0);
	pages_close(&m->pages);
}

static void what_was_not_closed_is_refused(void)
{
	struct plain *m = made(BUCKETS, true);
	struct index_report found;
	struct index ix;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	/* Said, and durable, before anything is changed. */
	CHECK_EQUAL(m->flushes, 2);
	CHECK_EQUAL(put(&ix, 1, "one", 3), 0);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), -EUCLEAN);
	CHECK_EQUAL(index_open(&ix, &m->pages, true), -EUCLEAN);
	CHECK_EQUAL(index_check(&m->pages, false, &found), -EUCLEAN);
	CHECK_EQUAL(index_check(&m->pages, true, &found), 0);
	CHECK_EQUAL(found.keys, 1);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), 0);
	CHECK(has(&ix, 1, "one", 3));
	CHECK_EQUAL(ix.keys, 1);
	pages_close(&m->pages);
}

/* ---- repair ---- */

/* Full pages, so that many keys are not where they belong. */
static uint64_t fill(struct plain *m, uint64_t keys)
{
	static const char value[90];
	struct index ix;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	for (uint64_t key = 0; key < keys; key++)
		CHECK_EQUAL(put(&ix, key, value, sizeof(value)), 0);
	CHECK_EQUAL(index_close(&ix), 0);
	return keys;
}

static struct bucket *bucket(struct plain *m, uint64_t page)
{
	return (struct bucket *)(m->bytes + page * PAGE_BYTES);
}

static bool any_mark(struct plain *m)
{
	for (uint64_t page = 1; page <= BUCKETS; page++)
		if (bucket(m, page)->flags)
			return true;
	return false;
}

/* Where keys belong is another place in each index: seldom, all find room there. */
static struct plain *filled_with_marks(uint64_t keys)
{
	for (;;) {
		struct plain *m = made(BUCKETS, true);

		fill(m, keys);
		if (any_mark(m))
			return m;
		pages_close(&m->pages);
	}
}

static void lost_marks_are_found(void)
{
	uint64_t keys = 270;
	struct plain *m = filled_with_marks(keys);
	struct index_report found;
	struct index ix;

	for (uint64_t page = 1; page <= BUCKETS; page++)
		bucket(m, page)->flags = 0;
	CHECK_EQUAL(index_check(&m->pages, false, &found), -EUCLEAN);
	CHECK(found.lost > 0);
	CHECK_EQUAL(found.lost + found.keys, keys);
	CHECK_EQUAL(index_check(&m->pages, true, &found), 0);
	CHECK_EQUAL(found.keys, keys);
	CHECK(in_order(&m->pages, keys));
	CHECK_EQUAL(index_open(&ix, &m->pages, false), 0);
	for (uint64_t key = 0; key < keys; key++)
		CHECK_EQUAL(get(&ix, key), 0);
	pages_close(&m->pages);
}

static void a_page_that_is_broken_is_given_up(void)
{
	struct plain *m = made(BUCKETS, false);
	uint64_t keys = fill(m, 100), gone = bucket_count(bucket(m, 3));
	struct index_report found;

	CHECK(gone > 0);
	bucket(m, 3)->low = htole16(PAGE_BYTES + 1);
	CHECK_EQUAL(index_check(&m->pages, false, &found), -EUCLEAN);
	CHECK_EQUAL(found.broken, 1);
	CHECK_EQUAL(found.keys, keys - gone);
	CHECK_EQUAL(index_check(&m->pages, true, &found), 0);
	CHECK(in_order(&m->pages, keys - gone));
	pages_close(&m->pages);
}

static void of_two_of_a_key_one_stays(void)
{
	struct plain *m = made(2, true);
	struct entry e = { .key = "key", .key_bytes = 3, .value = "2", .value_bytes = 1 };
	struct index_report found;
	struct index ix;
	uint64_t hash;

	CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
	CHECK_EQUAL(index_put(&ix, "key", 3, "1", 1), 0);
	CHECK_EQUAL(index_close(&ix), 0);
	hash = index_hash(ix.id, "key", 3);
	e.tag = hash >> 48;
	bucket_format(bucket(m, 1 + ((hash + 1) & 1)), ix.id + 1 + ((hash + 1) & 1));
	CHECK(bucket_add(bucket(m, 1 + ((hash + 1) & 1)), &e));
	CHECK_EQUAL(index_check(&m->pages, false, &found), -EUCLEAN);
	CHECK_EQUAL(found.lost, 1);
	CHECK_EQUAL(index_check(&m->pages, true, &found), 0);
	CHECK_EQUAL(found.keys, 1);
	CHECK_EQUAL(index_open(&ix, &m->pages, false), 0);
	char value[VALUE_MAX_BYTES];
	size_t n;

	CHECK_EQUAL(index_get(&ix, "key", 3, value, &n), 0);
	CHECK(n == 1 && *value == '1');
	pages_close(&m->pages);
}

/* ---- attacks ---- */

static void damage(struct plain *m, uint64_t page, uint64_t *state)
{
	struct bucket *b = bucket(m, page);
	uint64_t random = next_random(state);

	switch (random % 4) {
	case 0: /* slots */
		b->slots[random >> 8 & 31].at = random >> 16;
		return;
	case 1: /* head */
		((char *)b)[8 + (random >> 8) % 8] = random >> 16;
		return;
	case 2: /* anything */
		((char *)b)[8 + (random >> 8) % (PAGE_BYTES - 8)] = random >> 24;
		return;
	default: /* all of it, but the seal */
		for (int i = 8; i < PAGE_BYTES; i++)
			((char *)b)[i] = next_random(state);
		b->count = htole16(random >> 8 & 255);
		b->low = htole16(random >> 16 & 4095);
		b->flags = random >> 32 & 1;
	}
}

/* Whatever comes of it, but not an access outside. */
static void use(struct index *ix, uint64_t *state)
{
	static const char value[VALUE_MAX_BYTES];
	uint64_t counted = 0;

	for (int i = 0; i < 40; i++) {
		uint64_t random = next_random(state), key = random % 300;

		get(ix, key);
		put(ix, key, value, random >> 16 & 127);
		index_delete(ix, &key, sizeof(key));
	}
	index_each(ix, count, &counted);
}

static void pages_may_be_attacks(void)
{
	struct plain *m = made(BUCKETS, true);
	char *good = malloc((BUCKETS + 1) * PAGE_BYTES);
	uint64_t state = 1;
	struct index_report found;
	struct index ix;

	fill(m, 200);
	memcpy(good, m->bytes, (BUCKETS + 1) * PAGE_BYTES);
	for (int i = 0; i < 3000; i++) {
		memcpy(m->bytes, good, (BUCKETS + 1) * PAGE_BYTES);
		for (int j = i % 9; j >= 0; j--)
			damage(m, 1 + next_random(&state) % BUCKETS, &state);
		index_check(&m->pages, false, &found);
		if (i & 1) {
			CHECK_EQUAL(index_open(&ix, &m->pages, true), 0);
			use(&ix, &state);
		}
		CHECK_EQUAL(index_check(&m->pages, true, &found), 0);
		CHECK(in_order(&m->pages, found.keys));
	}
	free(good);
	pages_close(&m->pages);
}

/* ---- errors of the engine ---- */

static int everything(struct pages *pages)
{
	static const char value[100];
	uint64_t counted = 0, key = 5;
	struct index_report found;
	struct index ix;
	int r = index_open(&ix, pages, true);

	for (uint64_t n = 0; n < 60 && !r; n++)
		r = put(&ix, n, value, n & 1 ? 20 : 100);
	for (uint64_t n = 0; n < 60 && !r; n++)
		r = get(&ix, n);
	r = r ? r : put(&ix, 3, value, 100);
	r = r ? r : index_delete(&ix, &key, sizeof(key));
	r = r ? r : index_each(&ix, count, &counted);
	r = r ? r : index_close(&ix);
	r = r ? r : index_check(pages, false, &found);
	return r ? r : index_check(pages, true, &found);
}

static void every_error_is_handed_up(void)
{
	for (int left = 0;; left++) {
		struct plain *m = made(2, false);
		int r;

		m->left = left;
		r = everything(&m->pages);
		CHECK(r == -EIO || !r);
		pages_close(&m->pages);
		if (!r) {
			CHECK(left > 100);
			break;
		}
	}
}

static const struct tap_test tests[] = {
	TEST(what_is_put_is_got, "what was put is got, after closing too, and nothing else is"),
	TEST(a_random_life_with_a_base, "an index does what an array does, with addresses"),
	TEST(a_random_life_without_a_base, "an index does what an array does, a page at a time"),
	TEST(a_full_index_refuses, "a full index refuses what is new, and keeps what it has"),
	TEST(a_search_is_bounded, "a key is never further off than a search goes"),
	TEST(lengths_are_bounded, "keys and values that are too long are refused"),
	TEST(sizes, "an index has the largest power of two of pages beside its header"),
	TEST(a_new_index_is_empty,
	     "a new index is empty, whatever was there, and needs force there"),
	TEST(every_bit_of_a_header_counts, "a header with any bit changed is refused"),
	TEST(forged_headers_are_refused, "a header that promises too much is refused"),
	TEST(what_was_not_closed_is_refused,
	     "an index that was not closed is refused until repaired"),
	TEST(lost_marks_are_found, "a repair finds all entries whose marks were lost"),
	TEST(a_page_that_is_broken_is_given_up,
	     "a repair gives up a page that is broken, and no other"),
	TEST(of_two_of_a_key_one_stays,
	     "of two entries of one key a repair keeps that which was found"),
	TEST(pages_may_be_attacks, "no page makes it reach outside, and each can be repaired"),
	TEST(every_error_is_handed_up, "every error of the engine is handed up"),
};

TAP_MAIN(tests)
