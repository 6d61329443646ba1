// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The buffer cache under whatever may happen to it: random calls beside a model of what the pages
 * hold, and several threads at once.
 */
#include <pthread.h>

#include "cache-rig.h"

/* ---- random calls ---- */

#define MODEL 200u  /* pages that are used */
#define ROOM 48u    /* pages that there is room for */
#define HOLD 8u	    /* pins at a time */
#define ORDERS 32u  /* the latest, which are looked after */
#define STEPS 6000u /* calls */

/**
 * struct ordered - what exo_cache_order() has promised
 * @before: if page @after has a version above @than on the disk, this has
 * @version: or a later one
 */
struct ordered {
	uint32_t before;
	uint32_t after;
	uint64_t version;
	uint64_t than;
};

static struct {
	struct cached d;
	uint64_t random;
	uint64_t versions[MODEL]; /* what each page holds: a number of its own, or 0: zeroes */
	uint64_t next;
	uint32_t held[HOLD];
	uint32_t held_count;
	struct ordered orders[ORDERS];
	uint32_t orders_count;
	uint32_t ordered;
} m;

static uint32_t below(uint32_t n)
{
	m.random ^= m.random << 13;
	m.random ^= m.random >> 7;
	m.random ^= m.random << 17;
	return (uint32_t)(m.random >> 32) % n;
}

/* Few pages are used often. */
static uint32_t some_page(void)
{
	return below(4) ? below(MODEL / 8) : below(MODEL);
}

static void set_version(void *buf, uint32_t page)
{
	m.versions[page] = ++m.next;
	fill(buf, PAGE, m.next);
	memcpy(buf, &m.next, sizeof(m.next));
}

static int has_version(const char *buf, uint64_t version)
{
	uint64_t said;

	memcpy(&said, buf, sizeof(said));
	if (!version)
		return all_zero(buf, PAGE);
	for (size_t i = sizeof(said); i < PAGE; i++)
		if (buf[i] != (char)((i ^ i >> 8 ^ version * 41) + version))
			return 0;
	return said == version;
}

static uint64_t disk_version(uint32_t page)
{
	uint64_t version;

	CHECK_EQUAL(pread(m.d.file, &version, sizeof(version), (off_t)(page * PAGE)), 8);
	return version;
}

static void check_orders(void)
{
	for (uint32_t i = 0; i < m.orders_count; i++) {
		const struct ordered *o = &m.orders[i];

		if (disk_version(o->after) <= o->than)
			continue;
		CHECK(disk_version(o->before) >= o->version);
	}
}

static void do_get(void)
{
	static const unsigned int flags[] = { 0, 0, 0, EXO_CACHE_WRITE, EXO_CACHE_OVERWRITE };
	unsigned int flag = flags[below(5)];
	uint32_t page = some_page();
	void *buf;
	int r = exo_cache_get(m.d.c, page, flag, &buf);

	CHECK(!r || r == -ENOBUFS);
	if (r)
		return;
	CHECK(flag == EXO_CACHE_OVERWRITE || has_version(buf, m.versions[page]));
	if (!flag && !below(4)) {
		CHECK_EQUAL(exo_cache_dirty(m.d.c, page), 0);
		flag = EXO_CACHE_WRITE;
	}
	if (flag)
		set_version(buf, page);
	if (m.held_count < HOLD && !below(3))
		m.held[m.held_count++] = page;
	else
		CHECK_EQUAL(exo_cache_put(m.d.c, page), 0);
}

static void do_put(void)
{
	uint32_t i;

	if (!m.held_count)
		return;
	i = below(m.held_count);
	CHECK_EQUAL(exo_cache_put(m.d.c, m.held[i]), 0);
	m.held[i] = m.held[--m.held_count];
}

/* The order is said before the change that it is about. */
static void do_order(void)
{
	uint32_t before = some_page(), after = some_page();
	void *buf;
	int r;

	if (exo_cache_get(m.d.c, after, 0, &buf))
		return;
	r = exo_cache_order(m.d.c, before, after);
	CHECK(!r || r == -ELOOP);
	if (!r) {
		m.orders[m.ordered++ % ORDERS] =
			(struct ordered){ before, after, m.versions[before], m.versions[after] };
		m.orders_count += m.orders_count < ORDERS;
		CHECK_EQUAL(exo_cache_dirty(m.d.c, after), 0);
		set_version(buf, after);
	}
	CHECK_EQUAL(exo_cache_put(m.d.c, after), 0);
}

static void do_evict(void)
{
	uint32_t page = some_page();
	int r = exo_cache_evict(m.d.c, page);

	CHECK(!r || r == -ENOENT || r == -EBUSY);
	if (!r)
		CHECK_EQUAL(disk_version(page), m.versions[page]);
}

static void do_flush(void)
{
	CHECK_EQUAL(exo_cache_flush(m.d.c), 0);
	for (uint32_t page = 0; page < MODEL; page++)
		CHECK_EQUAL(disk_version(page), m.versions[page]);
}

static void do_memory(void)
{
	if (below(2))
		exo_cache_give_up(m.d.c, 1);
	else
		CHECK_EQUAL(exo_cache_limit(m.d.c, ROOM * PAGE), 0);
}

static void step(void)
{
	uint32_t what = below(100);

	if (what < 60)
		do_get();
	else if (what < 78)
		do_put();
	else if (what < 86)
		do_order();
	else if (what < 91)
		do_evict();
	else if (what < 96)
		exo_cache_prefetch(m.d.c, some_page(), below(12));
	else if (what < 97)
		do_flush();
	else if (what < 98)
		do_memory();
	else
		exo_cache_poll(m.d.c);
}

static void clear_disk(void)
{
	static const char zeroes[PAGE];

	for (uint32_t page = 0; page < MODEL; page++)
		CHECK_EQUAL(pwrite(m.d.file, zeroes, PAGE, (off_t)(page * PAGE)), PAGE);
}

static void random_calls(const struct exo_policy *policy, uint64_t seed)
{
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = ROOM * PAGE,
						   .policy = policy };

	memset(&m, 0, sizeof(m));
	m.random = seed;
	cache_open(&m.d, EXO_READ | EXO_WRITE, &options);
	clear_disk();
	for (unsigned int i = 0; i < STEPS && !tap_failed; i++) {
		step();
		if (i % 8 == 0)
			check_orders();
	}
	while (m.held_count)
		do_put();
	CHECK_EQUAL(stats_of(&m.d).pinned, 0);
	for (uint32_t page = 0; page < MODEL; page++) {
		void *buf = pinned(&m.d, page, 0);

		CHECK(has_version(buf, m.versions[page]));
		CHECK_EQUAL(exo_cache_put(m.d.c, page), 0);
	}
	do_flush();
	CHECK_EQUAL(stats_of(&m.d).dirty, 0);
	CHECK_EQUAL(stats_of(&m.d).errors, 0);
	CHECK(m.ordered > ORDERS);
	cache_close(&m.d);
}

static void random_lru(void)
{
	random_calls(NULL, 88172645463325252ull);
}

static void random_fifo(void)
{
	random_calls(exo_policy_fifo(), 362436069362436069ull);
}

/* ---- threads ---- */

#define THREADS 3u
#define COUNTERS 150u /* pages, each with a number at its beginning */
#define ADDS 2000u    /* by each thread */

static struct cached shared;
static int stop;

static void *adding(void *arg)
{
	uint64_t random = 7 + (uintptr_t)arg;

	for (unsigned int i = 0; i < ADDS; i++) {
		uint64_t page, *number;
		void *buf;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		page = (random >> 33) % COUNTERS;
		if (exo_cache_get(shared.c, page, EXO_CACHE_WRITE, &buf))
			return "a page could not be had";
		number = buf;
		__atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
		if (exo_cache_put(shared.c, page))
			return "a page could not be put";
	}
	return NULL;
}

/* All that others may do meanwhile. */
static void *meddling(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		int r = exo_cache_evict(shared.c, i % COUNTERS);

		if (r && r != -EBUSY && r != -ENOENT)
			return "a page could not be evicted";
		exo_cache_prefetch(shared.c, i * 17 % COUNTERS, 5);
		if (i % 16 == 0 && exo_cache_flush(shared.c))
			return "no flush";
		if (i % 64 == 0)
			exo_cache_give_up(shared.c, 1);
		if (i % 64 == 1)
			exo_cache_limit(shared.c, ~0ull);
		exo_cache_poll(shared.c);
	}
	return NULL;
}

static void threads(void)
{
	static const char zeroes[PAGE];
	pthread_t ids[THREADS], meddler;
	uint64_t sum = 0;
	void *said;

	cache_of(&shared, 40);
	for (unsigned int page = 0; page < COUNTERS; page++)
		CHECK_EQUAL(pwrite(shared.file, zeroes, PAGE, page * PAGE), PAGE);
	stop = 0;
	for (unsigned int i = 0; i < THREADS; i++)
		CHECK_EQUAL(pthread_create(&ids[i], NULL, adding, (void *)(uintptr_t)i), 0);
	CHECK_EQUAL(pthread_create(&meddler, NULL, meddling, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(ids[i], &said);
		CHECK_STRING(said ? said : "", "");
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(meddler, &said);
	CHECK_STRING(said ? said : "", "");
	CHECK_EQUAL(exo_cache_flush(shared.c), 0);
	CHECK_EQUAL(stats_of(&shared).pinned, 0);
	for (unsigned int page = 0; page < COUNTERS; page++) {
		uint64_t number;

		CHECK_EQUAL(pread(shared.file, &number, sizeof(number), page * PAGE), 8);
		sum += number;
	}
	CHECK_EQUAL(sum, THREADS * ADDS);
	cache_close(&shared);
}

/* Several threads ask for the same pages at the same time: each is read once. */
static void *reading(void *arg)
{
	(void)arg;
	for (unsigned int page = 0; page < COUNTERS; page++) {
		void *buf;

		if (exo_cache_get(shared.c, page, 0, &buf) || exo_cache_put(shared.c, page))
			return "a page could not be had";
	}
	return NULL;
}

static void same_misses(void)
{
	pthread_t ids[THREADS];
	void *said;

	cache_of(&shared, COUNTERS);
	for (unsigned int i = 0; i < THREADS; i++)
		CHECK_EQUAL(pthread_create(&ids[i], NULL, reading, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(ids[i], &said);
		CHECK_STRING(said ? said : "", "");
	}
	CHECK_EQUAL(stats_of(&shared).misses, COUNTERS);
	CHECK_EQUAL(stats_of(&shared).hits, COUNTERS * (THREADS - 1));
	cache_close(&shared);
}

static const struct tap_test tests[] = {
	TEST(random_lru, "whatever is called, pages hold what they should, in order on the disk"),
	TEST(random_fifo, "whatever is called, so they do with another policy"),
	TEST(threads, "no thread's change is lost, whatever others do to the cache"),
	TEST(same_misses, "a page that several threads ask for is read once"),
};

RIG_MAIN(tests)
