// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A store in use: what is committed stays, what is not is gone, and what is no store is refused.
 */
#include <endian.h>

#include "crc32c.h"
#include "store-rig.h"
#include "store.h"

#define ALL_PAGES(i) (uint64_t i = 0; i < PAGES; i++)

/* ---- pages ---- */

static void empty(void)
{
	struct exo_store *s;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	store_make(&rig, 0, 0, PAGES);
	s = store_open(&rig);
	CHECK_EQUAL(exo_store_page(s), 4096);
	CHECK_EQUAL(exo_store_pages(s), PAGES);
	CHECK_EQUAL(exo_store_generation(s), 0);
	for
		ALL_PAGES(i)
	CHECK_EQUAL(exo_store_find(s, i), EXO_STORE_HOLE);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	CHECK_EQUAL(exo_store_generation(s), 0);
	exo_store_close(s);
	exo_store_close(NULL);
	rig_close(&rig);
}

static void kept(void)
{
	struct model m = { { 0 } };
	struct exo_store *s;
	struct rig rig;

	s = store_begin(&rig, PAGES);
	for (uint32_t round = 1; round <= 7; round++) {
		for (uint64_t i = round; i < PAGES; i += round)
			store_put(&rig, s, i, m.versions[i] = round);
		exo_store_forget(s, 3 * round);
		m.versions[3 * round] = 0;
		CHECK(store_is(&rig, s, &m));
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		CHECK_EQUAL(exo_store_generation(s), round);
		CHECK(store_is(&rig, s, &m));
		if (round % 2)
			continue;
		s = store_anew(&rig, s);
		CHECK_EQUAL(exo_store_generation(s), round);
		CHECK(store_is(&rig, s, &m));
	}
	store_end(&rig, s);
}

static void forgotten(void)
{
	struct model m = { { [2] = 1, [3] = 1, [4] = 1 } };
	struct exo_store *s;
	struct rig rig;

	s = store_begin(&rig, PAGES);
	for (uint64_t i = 2; i <= 4; i++)
		store_put(&rig, s, i, 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	store_put(&rig, s, 2, 2);
	store_put(&rig, s, 2, 3); /* at the same place */
	store_put(&rig, s, 9, 2);
	exo_store_forget(s, 3);
	CHECK_EQUAL(exo_store_find(s, 3), EXO_STORE_HOLE);
	s = store_anew(&rig, s);
	CHECK_EQUAL(exo_store_generation(s), 1);
	CHECK(store_is(&rig, s, &m));
	store_end(&rig, s);
}

static void undone(void)
{
	struct model m = { { [2] = 1, [3] = 1 } };
	struct exo_store *s;
	struct rig rig;

	s = store_begin(&rig, PAGES);
	store_put(&rig, s, 2, 1);
	store_put(&rig, s, 3, 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	store_put(&rig, s, 2, 2);
	store_put(&rig, s, 4, 2);
	exo_store_forget(s, 3);
	exo_store_undo(s);
	CHECK(store_is(&rig, s, &m));
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	CHECK_EQUAL(exo_store_generation(s), 1);
	store_put(&rig, s, 5, m.versions[5] = 3);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	s = store_anew(&rig, s);
	CHECK_EQUAL(exo_store_generation(s), 2);
	CHECK(store_is(&rig, s, &m));
	store_end(&rig, s);
}

/* Never where the committed page is, whatever happened since. */
static void two_places(void)
{
	uint64_t committed, place;
	struct exo_store *s;
	struct rig rig;

	s = store_begin(&rig, PAGES);
	store_put(&rig, s, 5, 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	committed = exo_store_find(s, 5);
	place = exo_store_place(s, 5);
	CHECK(place != committed);
	exo_store_wrote(s, 5);
	CHECK_EQUAL(exo_store_place(s, 5), place);
	exo_store_forget(s, 5);
	CHECK_EQUAL(exo_store_place(s, 5), place);
	exo_store_wrote(s, 5);
	CHECK_EQUAL(exo_store_find(s, 5), place);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	CHECK_EQUAL(exo_store_place(s, 5), committed);
	/* Neighbours in the store are neighbours on the disk. */
	CHECK_EQUAL(exo_store_place(s, 8), exo_store_place(s, 7) + PAGE / rig.size);
	store_end(&rig, s);
}

/* With pages of every size, not at the beginning of the extent, up to its last block. */
static void anywhere(void)
{
	struct exo_store_options options = { .size = sizeof(options) };
	struct exo_store *s;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	for (options.page = PAGE; options.page <= 1u << 20; options.page *= 4) {
		options.pages = 3;
		options.first = exo_blocks(rig.x) - exo_store_blocks(rig.q, &options);
		CHECK_EQUAL(exo_store_format(rig.q, &options), 0);
		CHECK_EQUAL(exo_store_open(rig.q, options.first, &s), 0);
		CHECK_EQUAL(exo_store_page(s), options.page);
		exo_store_wrote(s, 2);
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		exo_store_wrote(s, 2);
		CHECK_EQUAL(exo_store_find(s, 2) + options.page / rig.size, exo_blocks(rig.x));
		exo_store_close(s);
		options.first += PAGE / rig.size;
		CHECK_EQUAL(exo_store_format(rig.q, &options), -ENOSPC);
		CHECK_EQUAL(exo_store_open(rig.q, options.first, &s), -EILSEQ);
		CHECK(!s);
	}
	rig_close(&rig);
}

/* Its map has three blocks; the file is a hole but for them. */
static void many_pages(void)
{
	static const uint64_t some[] = { 0, EXO_STORE_MAP_PAGES - 1, EXO_STORE_MAP_PAGES,
					 2 * EXO_STORE_MAP_PAGES - 1,
					 2 * EXO_STORE_MAP_PAGES + 99 };
	const uint64_t pages = 2 * EXO_STORE_MAP_PAGES + 100;
	struct exo_store *s;
	struct rig rig;

	CHECK_EQUAL(truncate(rig_path, 300 << 20), 0);
	s = store_begin(&rig, pages);
	for (uint32_t round = 1; round <= 12; round++) {
		store_put(&rig, s, some[round % 5], round);
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		if (round % 3 == 0) {
			s = store_anew(&rig, s);
		}
		for (uint32_t i = 0; i < 5; i++)
			CHECK(store_holds(&rig, s, some[i],
					  round >= i && round - (round - i) % 5 > 0
						  ? round - (round - i) % 5
						  : 0));
	}
	CHECK_EQUAL(exo_store_find(s, 1), EXO_STORE_HOLE);
	store_end(&rig, s);
	CHECK_EQUAL(truncate(rig_path, RIG_BYTES), 0);
}

/* ---- what it costs ---- */

static struct exo_backend counting;
static unsigned int wrote_blocks, flushes;

static int count_and_submit(struct exo_queue *q)
{
	for (uint32_t i = q->sq_head; i != q->sq_tail; i++) {
		const struct exo_nvme_command *c = &q->sq[i & q->mask];

		if (c->opcode == EXO_NVME_WRITE)
			wrote_blocks += (((c->cdw12 & 0xffff) + 1) << q->block_shift) / PAGE;
		flushes += c->opcode == EXO_NVME_FLUSH;
	}
	return exo_backend_uring.submit(q);
}

/* Of three blocks of the map, the one that changed, and the one that the other side had alone. */
static void only_what_changed(void)
{
	const uint64_t pages = 2 * EXO_STORE_MAP_PAGES + 100;
	struct exo_store *s;
	struct rig rig;

	CHECK_EQUAL(truncate(rig_path, 300 << 20), 0);
	s = store_begin(&rig, pages);
	counting = exo_backend_uring;
	counting.submit = count_and_submit;
	rig.x->backend = &counting;
	for (uint64_t round = 0; round < 9; round++) {
		if (round == 4 || round == 7) {
			s = store_anew(&rig, s);
		}
		exo_store_wrote(s, round % 3 * EXO_STORE_MAP_PAGES);
		wrote_blocks = flushes = 0;
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		CHECK_EQUAL(wrote_blocks, 1 + (round ? 2 : 1));
		CHECK_EQUAL(flushes, 1);
	}
	rig.x->backend = &exo_backend_uring;
	store_end(&rig, s);
	CHECK_EQUAL(truncate(rig_path, RIG_BYTES), 0);
}

/* ---- what is no store ---- */

static void refused(struct rig *rig, int result, const char *words)
{
	struct exo_store *s = (void *)rig;
	int r = exo_store_open(rig->q, 0, &s);

	CHECK_EQUAL(r, result);
	CHECK(!s);
	if (!strstr(exo_queue_strerror(rig->q, r), words)) {
		printf("# %s\n", exo_queue_strerror(rig->q, r));
		CHECK(!"the sentence says why");
	}
}

/* A block of the store, to be changed and put back. */
static void *get(struct rig *rig, unsigned int block)
{
	CHECK_EQUAL(exo_read(rig->q, rig->buf, block * PAGE / rig->size, PAGE / rig->size), 0);
	return rig->buf;
}

static void put(struct rig *rig, unsigned int block)
{
	CHECK_EQUAL(exo_write(rig->q, rig->buf, block * PAGE / rig->size, PAGE / rig->size), 0);
}

static void put_sealed(struct rig *rig, unsigned int block)
{
	((uint32_t *)rig->buf)[1023] = htole32(exo_crc32c(rig->buf, 4092));
	put(rig, block);
}

static void wrong_options(void)
{
	struct exo_store_options options = { .size = sizeof(options), .page = PAGE, .pages = 1 };
	struct {
		struct exo_store_options known;
		uint64_t unknown;
	} longer = { { .size = sizeof(longer), .pages = 1 }, 1 };
	struct exo_store *s;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	options.pages = 0;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -EINVAL);
	CHECK_EQUAL(exo_store_blocks(rig.q, &options), 0);
	options.pages = ~0ull;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -EINVAL);
	options.pages = 1ull << 40;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -ENOSPC);
	CHECK(exo_store_blocks(rig.q, &options) > 1ull << 40);
	options.pages = 1;
	options.page = 6144;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -EINVAL);
	options.page = 2 * EXO_PAGE_MAX;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -EINVAL);
	options.page = PAGE;
	options.first = exo_blocks(rig.x);
	CHECK_EQUAL(exo_store_format(rig.q, &options), -ENOSPC);
	options.first = ~0ull << 6;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -ENOSPC);
	CHECK(exo_store_open(rig.q, options.first, &s) < 0);
	if (rig.size < PAGE) {
		options.first = 1;
		CHECK_EQUAL(exo_store_format(rig.q, &options), -EINVAL);
		CHECK_EQUAL(exo_store_open(rig.q, 1, &s), -EINVAL);
	}
	CHECK_EQUAL(exo_store_format(rig.q, &longer.known), -E2BIG);
	options.size = 3;
	CHECK_EQUAL(exo_store_format(rig.q, &options), -EINVAL);
	rig_close(&rig);
}

static void no_store(void)
{
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	memset(rig.buf, 0, RIG_BUF);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	refused(&rig, -EILSEQ, "there is no store");
	memset(rig.buf, 0xff, RIG_BUF);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	refused(&rig, -EILSEQ, "there is no store");
	store_make(&rig, 0, PAGE, PAGES);
	exo_store_close(store_open(&rig));
	rig_close(&rig);
}

static void later_version(void)
{
	struct exo_store_root_block *root;
	struct exo_store *s;
	struct rig rig;

	s = store_begin(&rig, PAGES);
	store_put(&rig, s, 1, 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	exo_store_close(s);
	/* Also if only the older root is: whoever wrote that knows what the newer one is. */
	root = get(&rig, 0);
	root->version = htole32(2);
	put_sealed(&rig, 0);
	refused(&rig, -EPROTO, "later version");
	rig_close(&rig);
}

static void larger_than_the_extent(void)
{
	struct exo_store_root_block *root;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	store_make(&rig, 0, PAGE, PAGES);
	root = get(&rig, 0);
	root->pages = htole64(RIG_BYTES / PAGE / 2);
	put_sealed(&rig, 0);
	refused(&rig, -ENOSPC, "the store takes");
	root = get(&rig, 0);
	root->pages = htole64(1ull << 47);
	put_sealed(&rig, 0);
	refused(&rig, -ENOSPC, "the store takes");
	root = get(&rig, 0);
	root->pages = htole64(~0ull / 4096);
	put_sealed(&rig, 0);
	refused(&rig, -EILSEQ, "there can be no store");
	root = get(&rig, 0);
	root->pages = htole64(PAGES);
	root->page = htole32(0);
	put_sealed(&rig, 0);
	refused(&rig, -EILSEQ, "there can be no store");
	/* A whole store that was cut off. */
	store_make(&rig, 0, PAGE, PAGES);
	rig_close(&rig);
	CHECK_EQUAL(truncate(rig_path, 80 * PAGE), 0);
	rig_open(&rig, RIG_ALL, 8);
	refused(&rig, -ENOSPC, "the store takes");
	rig_close(&rig);
	CHECK_EQUAL(truncate(rig_path, RIG_BYTES), 0);
}

static void two_stores(void)
{
	struct exo_store_root_block *root;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	store_make(&rig, 0, PAGE, PAGES);
	root = get(&rig, 0);
	root->generation = htole64(1);
	root->id++;
	put_sealed(&rig, 1);
	refused(&rig, -EILSEQ, "not of one store");
	root->id--;
	root->pages++;
	put_sealed(&rig, 1);
	refused(&rig, -EILSEQ, "not of one store");
	/* A copy of the root of the other side is none. */
	root = get(&rig, 0);
	put(&rig, 1);
	exo_store_close(store_open(&rig));
	rig_close(&rig);
}

/* A map of the store that was here before, at the same generation, is not this one's. */
static void former_store(void)
{
	struct model m = { { [1] = 2 } };
	struct exo_store *s;
	struct rig rig;
	char *former;

	s = store_begin(&rig, PAGES);
	store_put(&rig, s, 7, 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	exo_store_close(s);
	former = malloc(PAGE);
	memcpy(former, get(&rig, 3), PAGE);
	store_make(&rig, 0, PAGE, PAGES);
	s = store_open(&rig);
	store_put(&rig, s, 1, 2);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	CHECK(store_is(&rig, s, &m));
	exo_store_close(s);
	memcpy(rig.buf, former, PAGE);
	put(&rig, 3);
	s = store_open(&rig);
	CHECK_EQUAL(exo_store_generation(s), 0);
	CHECK_EQUAL(exo_store_find(s, 7), EXO_STORE_HOLE);
	exo_store_close(s);
	free(former);
	rig_close(&rig);
}

static void reader(void)
{
	struct exo_store *s;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 8);
	store_make(&rig, 0, PAGE, PAGES);
	rig_close(&rig);
	rig_open(&rig, EXO_READ, 8);
	s = store_open(&rig);
	exo_store_wrote(s, 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), -EACCES);
	CHECK_EQUAL(exo_store_commit(s, rig.q), -EACCES);
	s = store_anew(&rig, s);
	CHECK_EQUAL(exo_store_generation(s), 0);
	store_end(&rig, s);
}

static void busy(void)
{
	struct exo_store_options options = { .size = sizeof(options), .pages = 1 };
	struct exo_completion done;
	struct exo_store *s, *other;
	struct rig rig;

	s = store_begin(&rig, PAGES);
	exo_store_wrote(s, 1);
	exo_prep_read(rig.q, rig.buf, 0, 1, 0);
	CHECK_EQUAL(exo_store_commit(s, rig.q), -EBUSY);
	CHECK_EQUAL(exo_store_open(rig.q, 0, &other), -EBUSY);
	CHECK_EQUAL(exo_store_format(rig.q, &options), -EBUSY);
	CHECK_EQUAL(exo_submit(rig.q), 1);
	CHECK_EQUAL(exo_wait(rig.q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	store_end(&rig, s);
}

static const struct tap_test tests[] = {
	TEST(empty, "a new store is holes"),
	TEST(kept, "what is committed is there after opening it anew"),
	TEST(forgotten, "what is not committed is not"),
	TEST(undone, "what is not committed can be undone"),
	TEST(two_places, "a page is written where the committed one is not"),
	TEST(anywhere, "a store lies where it was asked to, with pages of any size"),
	TEST(many_pages, "a map of several blocks works at their edges"),
	TEST(only_what_changed, "a commit writes the blocks of the map that changed, and one root"),
	TEST(wrong_options, "options that cannot be are refused"),
	TEST(no_store, "zeroes and noise are no store, and become one"),
	TEST(later_version, "a store of a later version is left alone"),
	TEST(larger_than_the_extent, "a store that is larger than the extent is refused"),
	TEST(two_stores, "two roots that are not of one store are refused"),
	TEST(former_store, "the map of a former store is not taken for this one's"),
	TEST(reader, "who may not write can open, and not commit"),
	TEST(busy, "a queue that is at work is refused"),
};

RIG_MAIN(tests)
