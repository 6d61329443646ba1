// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Frames, a page at a time, where there are none: of buffers of the emulation.
 */
#include <pthread.h>

#include "uring-rig.h"

#define MIB (1u << 20)
#define THREADS 4
#define ROUNDS 20000

static struct exo_frames *frames_of(struct rig *rig, uint32_t page, uint64_t limit)
{
	struct exo_frames_options o = { .size = sizeof(o), .page = page, .limit = limit };
	struct exo_frames *f = NULL;

	CHECK_EQUAL(exo_frames_create(rig->q, &o, &f), 0);
	return f;
}

static struct exo_frames_cache *cache_of(struct exo_frames *f)
{
	struct exo_frames_cache *c = NULL;

	CHECK_EQUAL(exo_frames_cache_create(f, &c), 0);
	return c;
}

static void no_two_are_the_same(void)
{
	struct rig rig;
	struct exo_frames *f;
	struct exo_frames_cache *c;
	uint32_t page, pages = 3 * 512;

	rig_open(&rig, RIG_ALL, 4);
	f = frames_of(&rig, 0, 6 * MIB);
	c = cache_of(f);
	for (uint32_t i = 0; i < pages; i++) {
		CHECK_EQUAL(exo_frames_get(c, &page), 0);
		CHECK(all_zero(exo_frames_address(f, page), 4096));
		*(uint32_t *)exo_frames_address(f, page) = ~page;
	}
	CHECK_EQUAL(exo_frames_get(c, &page), -EDQUOT);
	CHECK_EQUAL(page, EXO_FRAMES_NONE);
	CHECK(strstr(exo_strerror(rig.x, -EDQUOT), "6144 KiB"));
	for (page = 0; page < pages; page++) {
		CHECK_EQUAL(*(uint32_t *)exo_frames_address(f, page), ~page);
		CHECK_EQUAL(exo_frames_offset(f, page),
			    exo_buf_offset(rig.q, exo_frames_address(f, page)));
	}
	exo_frames_put(c, 77);
	CHECK_EQUAL(exo_frames_get(c, &page), 0);
	CHECK_EQUAL(page, 77);
	exo_frames_cache_destroy(c);
	exo_frames_destroy(f);
	rig_close(&rig);
}

static void they_go_to_the_device(void)
{
	struct rig rig;
	struct exo_frames *f;
	struct exo_frames_cache *c;
	uint32_t one, other;

	rig_open(&rig, RIG_ALL, 4);
	f = frames_of(&rig, 65536, 4 * MIB);
	c = cache_of(f);
	CHECK_EQUAL(exo_frames_get(c, &one), 0);
	CHECK_EQUAL(exo_frames_get(c, &other), 0);
	CHECK_EQUAL(other, one + 1);
	CHECK_EQUAL((char *)exo_frames_address(f, other) - (char *)exo_frames_address(f, one),
		    65536);
	fill(exo_frames_address(f, one), 65536, 5);
	CHECK_EQUAL(exo_write(rig.q, exo_frames_address(f, one), 0, 65536 / rig.size), 0);
	CHECK_EQUAL(exo_read(rig.q, exo_frames_address(f, other), 0, 65536 / rig.size), 0);
	CHECK(filled(exo_frames_address(f, other), 65536, 5));
	exo_frames_cache_destroy(c);
	exo_frames_destroy(f);
	rig_close(&rig);
}

static void what_is_free_can_go(void)
{
	struct rig rig;
	struct exo_frames *f;
	struct exo_frames_cache *c;
	uint32_t page;

	rig_open(&rig, RIG_ALL, 4);
	f = frames_of(&rig, EXO_PAGE_MAX, 8 * MIB);
	CHECK_EQUAL(exo_frames_per_slab(f), 1);
	CHECK_EQUAL(exo_frames_slabs(f), 4);
	CHECK_EQUAL(exo_frames_reserve(f, 6 * MIB), 0);
	CHECK_EQUAL(exo_frames_reserve(f, 10 * MIB), -EDQUOT);
	c = cache_of(f);
	CHECK_EQUAL(exo_frames_get(c, &page), 0);
	CHECK_EQUAL(exo_frames_trim(f), 3 * 512);
	CHECK_EQUAL(exo_frames_trim(f), 0);
	CHECK_EQUAL(exo_frames_release(f, page), 512);
	CHECK_EQUAL(exo_frames_release(f, page), 0);
	CHECK_EQUAL(exo_frames_release(f, 4), 0);
	exo_frames_cache_destroy(c);
	exo_frames_destroy(f);
	rig_close(&rig);
}

static void a_small_limit_is_a_small_slab(void)
{
	struct rig rig;
	struct exo_frames *f;

	rig_open(&rig, RIG_ALL, 4);
	f = frames_of(&rig, 0, 100000);
	CHECK_EQUAL(exo_frames_per_slab(f), 32);
	CHECK_EQUAL(exo_frames_slabs(f), 1);
	exo_frames_destroy(f);
	f = frames_of(&rig, 65536, 1);
	CHECK_EQUAL(exo_frames_per_slab(f), 1);
	exo_frames_destroy(f);
	rig_close(&rig);
}

static void nonsense_is_refused(void)
{
	static const struct exo_frames_options wrong[] = {
		{ .size = sizeof(wrong[0]), .page = 2048 },
		{ .size = sizeof(wrong[0]), .page = 12288 },
		{ .size = sizeof(wrong[0]), .page = 4u << 20 },
		{ .size = sizeof(wrong[0]), .order = EXO_BUF_ORDER(EXO_ORDER_4K) },
		{ .size = 2 },
	};
	struct exo_buf_options order = { .size = sizeof(order), .order = 5 },
			       node = { .size = sizeof(node), .node = ~0u };
	struct exo_frames *f = (void *)&f;
	struct rig rig;
	void *buf = &rig;

	rig_open(&rig, RIG_ALL, 4);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_EQUAL(exo_frames_create(rig.q, &wrong[i], &f), -EINVAL);
	CHECK(!f);
	CHECK_EQUAL(exo_buf_alloc_with(rig.q, 1, &order, &buf), -EINVAL);
	CHECK_EQUAL(exo_buf_alloc_with(rig.q, 1, &node, &buf), -EINVAL);
	CHECK(!buf);
	exo_frames_destroy(NULL);
	exo_frames_cache_destroy(NULL);
	rig_close(&rig);
}

static void *take_and_give(void *arg)
{
	struct exo_frames *f = arg;
	struct exo_frames_cache *c = cache_of(f);
	uint32_t held[100], nr = 0;

	for (int i = 0; i < ROUNDS; i++) {
		if (nr < 100 && (i / 150 % 2 == 0)) {
			CHECK_EQUAL(exo_frames_get(c, &held[nr]), 0);
			*(uint32_t *)exo_frames_address(f, held[nr]) = i;
			nr++;
		} else if (nr) {
			exo_frames_put(c, held[--nr]);
		}
	}
	/* The last of a thread is another's: a page may go back through any cache. */
	while (nr)
		exo_frames_put(c, held[--nr]);
	exo_frames_cache_destroy(c);
	return NULL;
}

static void threads_have_caches(void)
{
	pthread_t threads[THREADS];
	struct exo_frames *f;
	struct rig rig;

	rig_open(&rig, RIG_ALL, 4);
	f = frames_of(&rig, 0, 4 * MIB);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, take_and_give, f);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* Nothing is lost: all of it can go. */
	CHECK(exo_frames_trim(f) > 0);
	CHECK_EQUAL(exo_frames_trim(f), 0);
	exo_frames_destroy(f);
	rig_close(&rig);
}

static const struct tap_test tests[] = {
	TEST(no_two_are_the_same, "no page is given twice, and the limit holds"),
	TEST(they_go_to_the_device, "pages are buffers, and neighbours come together"),
	TEST(what_is_free_can_go, "slabs that are free can go, others when told so"),
	TEST(a_small_limit_is_a_small_slab, "a limit below 2 MiB makes slabs small"),
	TEST(nonsense_is_refused, "sizes, orders and nodes that there are not are refused"),
	TEST(threads_have_caches, "threads take and give through caches of their own"),
};

RIG_MAIN(tests)
