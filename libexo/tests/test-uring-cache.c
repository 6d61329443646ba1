// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The buffer cache, promise by promise, on a file that can be looked at behind its back.
 */
#include <sys/resource.h>

#include "cache-rig.h"

static void hits_and_misses(void)
{
	struct exo_cache_stats stats;
	struct cached d;
	void *first, *again;

	cache_of(&d, 16);
	put_on_disk(&d, 3, 3);
	CHECK_EQUAL(exo_cache_page(d.c), PAGE);
	CHECK(exo_cache_pages(d.c) >= PAGES);
	CHECK(!is_cached(&d, 3));
	first = pinned(&d, 3, 0);
	CHECK(filled(first, PAGE, 3));
	/* The device is not asked again. */
	put_on_disk(&d, 3, 4);
	again = pinned(&d, 3, 0);
	CHECK(first == again);
	CHECK(filled(again, PAGE, 3));
	stats = stats_of(&d);
	CHECK_EQUAL(stats.misses, 1);
	CHECK_EQUAL(stats.hits, 1);
	CHECK_EQUAL(stats.cached, 1);
	CHECK_EQUAL(stats.pinned, 1);
	CHECK_EQUAL(exo_cache_put(d.c, 3), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 3), 0);
	CHECK_EQUAL(stats_of(&d).pinned, 0);
	/* Of a program that knew fewer numbers nothing behind them is touched. */
	stats.size = offsetof(struct exo_cache_stats, pinned);
	stats.pinned = 77;
	exo_cache_get_stats(d.c, &stats);
	CHECK_EQUAL(stats.pinned, 77);
	CHECK_EQUAL(stats.size, offsetof(struct exo_cache_stats, pinned));
	/* Before it is read anew it must have gone. */
	CHECK_EQUAL(exo_cache_evict(d.c, 3), 0);
	CHECK(!is_cached(&d, 3));
	CHECK_EQUAL(exo_cache_evict(d.c, 3), -ENOENT);
	CHECK(holds(&d, 3, 4));
	cache_close(&d);
}

static void refusals(void)
{
	struct cached d;
	void *buf;
	int r;

	cache_of(&d, 16);
	r = exo_cache_get(d.c, exo_cache_pages(d.c), 0, &buf);
	CHECK_EQUAL(r, -ERANGE);
	CHECK(!buf);
	CHECK(strstr(exo_strerror(d.x, r), "there is no page"));
	CHECK_EQUAL(exo_cache_get(d.c, ~0ull, EXO_CACHE_WRITE, &buf), -ERANGE);
	CHECK_EQUAL(exo_cache_get(d.c, 0, 1u << 20, &buf), -EINVAL);
	CHECK_EQUAL(exo_cache_get(d.c, 0, EXO_CACHE_CACHED, &buf), -ENOENT);
	CHECK_EQUAL(exo_cache_put(d.c, 0), -EINVAL);
	CHECK_EQUAL(exo_cache_dirty(d.c, 0), -EINVAL);
	CHECK_EQUAL(exo_cache_order(d.c, 1, 0), -EINVAL);
	CHECK(strstr(exo_strerror(d.x, -EINVAL), "not pinned"));
	pinned(&d, 0, 0);
	CHECK_EQUAL(exo_cache_put(d.c, 0), 0);
	/* Cached, and not pinned any more. */
	CHECK_EQUAL(exo_cache_put(d.c, 0), -EINVAL);
	CHECK_EQUAL(exo_cache_dirty(d.c, 0), -EINVAL);
	CHECK_EQUAL(stats_of(&d).dirty, 0);
	cache_close(&d);
}

static void bad_options(void)
{
	struct exo_queue_options shallow = { .size = sizeof(shallow), .depth = 1 };
	const struct exo_cache_options good = { .size = sizeof(good) };
	struct exo_policy part = *exo_policy_fifo();
	struct exo_cache_options o = good;
	struct exo_cache *c;
	struct exo *x;

	CHECK_EQUAL(exo_open(rig_name, EXO_READ, &x), 0);
	o.page = 2048;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	o.page = 4097;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	o.page = 2 * EXO_PAGE_MAX;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	CHECK(!c);
	o = good;
	o.limit = 4095;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	o = good;
	o.flags = 1;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	o = good;
	o.size = 0;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	o = good;
	part.leave = NULL;
	o.policy = &part;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	CHECK(strstr(exo_strerror(x, -EINVAL), "all its functions"));
	o = good;
	o.page = EXO_PAGE_MAX;
	o.limit = EXO_PAGE_MAX;
	o.queue = &shallow;
	CHECK_EQUAL(exo_cache_create(x, &o, &c), -EINVAL);
	CHECK(strstr(exo_strerror(x, -EINVAL), "commands"));
	exo_cache_destroy(NULL);
	exo_close(x);
}

static void written_back(void)
{
	struct cached d;
	void *buf;

	cache_of(&d, 16);
	put_on_disk(&d, 5, 50);
	CHECK_EQUAL(change(&d, 5, 55), 0);
	buf = pinned(&d, 6, 0);
	CHECK_EQUAL(exo_cache_dirty(d.c, 6), 0);
	fill(buf, PAGE, 66);
	CHECK_EQUAL(exo_cache_put(d.c, 6), 0);
	CHECK_EQUAL(stats_of(&d).dirty, 2);
	/* Not before somebody wants it. */
	CHECK(on_disk(&d, 5, 50));
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK(on_disk(&d, 5, 55));
	CHECK(on_disk(&d, 6, 66));
	CHECK_EQUAL(stats_of(&d).dirty, 0);
	CHECK_EQUAL(stats_of(&d).written, 2);
	CHECK_EQUAL(stats_of(&d).flushes, 1);
	/* Nothing to do. */
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(stats_of(&d).written, 2);
	CHECK_EQUAL(stats_of(&d).flushes, 1);
	/* A page that goes is written first. */
	CHECK_EQUAL(change(&d, 5, 57), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 5), 0);
	CHECK(on_disk(&d, 5, 57));
	cache_close(&d);
}

static void open_pages(void)
{
	struct cached d;
	char *buf;

	cache_of(&d, 16);
	buf = pinned(&d, 2, EXO_CACHE_WRITE);
	fill(buf, PAGE, 1);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK(on_disk(&d, 2, 1));
	/* What is changed after that and before it is put, is not lost. */
	fill(buf, PAGE, 2);
	CHECK_EQUAL(exo_cache_put(d.c, 2), 0);
	CHECK_EQUAL(stats_of(&d).dirty, 1);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK(on_disk(&d, 2, 2));
	cache_close(&d);
}

static void pins_hold(void)
{
	struct cached d;
	void *buf;
	int r;

	cache_of(&d, 4);
	for (unsigned int i = 0; i < 4; i++) {
		put_on_disk(&d, i, i);
		pinned(&d, i, 0);
	}
	put_on_disk(&d, 9, 9);
	r = exo_cache_get(d.c, 9, 0, &buf);
	CHECK_EQUAL(r, -ENOBUFS);
	CHECK(strstr(exo_strerror(d.x, r), "of its 4 pages 4 are pinned"));
	CHECK_EQUAL(exo_cache_prefetch(d.c, 9, 1), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 2), -EBUSY);
	CHECK_EQUAL(exo_cache_put(d.c, 2), 0);
	CHECK(holds(&d, 9, 9));
	CHECK(!is_cached(&d, 2));
	for (unsigned int i = 0; i < 4; i++)
		CHECK(i == 2 || is_cached(&d, i));
	CHECK_EQUAL(exo_cache_put(d.c, 1), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 1), 0);
	cache_close(&d);
}

/* Whatever it holds. */
static void look_at(const struct cached *d, uint64_t page)
{
	pinned(d, page, 0);
	CHECK_EQUAL(exo_cache_put(d->c, page), 0);
}

/* ---- the policy ---- */

#define CALLS_MAX 64

/* A policy that notes what it is told, and names the victim that it was told to name. */
static struct {
	char calls[CALLS_MAX * 16];
	uint32_t slots;
	uint64_t pages[8]; /* by slot */
	uint64_t next;	   /* page that is to go; ~0: none */
	int destroyed;
} noted;

static void note(const char *what, uint64_t page, int how)
{
	size_t n = strlen(noted.calls);

	snprintf(noted.calls + n, sizeof(noted.calls) - n, "%s%llu%.*s ", what,
		 (unsigned long long)page, how < 0 ? 0 : 1, &"uar"[how < 0 ? 0 : how]);
}

static void *noting_create(void *arg, uint32_t slots)
{
	CHECK(arg == &noted);
	noted.slots = slots;
	return &noted;
}

static void noting_destroy(void *state)
{
	CHECK(state == &noted);
	noted.destroyed++;
}

static void noting_enter(void *state, uint32_t slot, uint64_t page, int how)
{
	CHECK(state == &noted && slot < noted.slots);
	noted.pages[slot] = page;
	note("+", page, how);
}

static void noting_touch(void *state, uint32_t slot)
{
	(void)state;
	note("!", noted.pages[slot], -1);
}

static void noting_leave(void *state, uint32_t slot)
{
	(void)state;
	note("-", noted.pages[slot], -1);
	noted.pages[slot] = ~0ull;
}

static uint32_t noting_victim(void *state)
{
	(void)state;
	for (uint32_t slot = 0; slot < noted.slots; slot++) {
		if (noted.pages[slot] != noted.next)
			continue;
		note("?", noted.pages[slot], -1);
		noted.pages[slot] = ~0ull;
		return slot;
	}
	return EXO_SLOT_NONE;
}

static const struct exo_policy noting = {
	.size = sizeof(noting),
	.arg = &noted,
	.create = noting_create,
	.destroy = noting_destroy,
	.enter = noting_enter,
	.touch = noting_touch,
	.leave = noting_leave,
	.victim = noting_victim,
};

#define CHECK_NOTED(expected)                        \
	do {                                         \
		CHECK_STRING(noted.calls, expected); \
		noted.calls[0] = 0;                  \
	} while (0)

static void policy_calls(void)
{
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = 4 * PAGE,
						   .policy = &noting };
	struct cached d;
	void *buf;

	memset(&noted, 0, sizeof(noted));
	memset(noted.pages, 0xff, sizeof(noted.pages));
	noted.next = ~1ull;
	cache_open(&d, EXO_READ | EXO_WRITE, &options);
	CHECK_EQUAL(noted.slots, 4);
	CHECK_EQUAL(exo_cache_prefetch(d.c, 10, 2), 2);
	look_at(&d, 12);
	while (!is_cached(&d, 10) || !is_cached(&d, 11))
		exo_cache_poll(d.c);
	noted.calls[0] = 0;
	CHECK(is_cached(&d, 11));
	CHECK_NOTED("!11 ");
	CHECK_EQUAL(change(&d, 13, 13), 0);
	CHECK_NOTED("+13u ");
	/* The victim is pinned: it comes back when it is put. There is no other. */
	pinned(&d, 10, 0);
	noted.next = 10;
	CHECK_EQUAL(exo_cache_get(d.c, 14, 0, &buf), -ENOBUFS);
	CHECK_NOTED("!10 ?10 ");
	CHECK_EQUAL(exo_cache_put(d.c, 10), 0);
	CHECK_NOTED("+10r ");
	/* One that is dirty is written before it goes. */
	noted.next = 13;
	CHECK_EQUAL(change(&d, 14, 14), 0);
	CHECK_NOTED("?13 +14u ");
	CHECK(on_disk(&d, 13, 13));
	CHECK_EQUAL(exo_cache_evict(d.c, 12), 0);
	CHECK_NOTED("-12 ");
	cache_close(&d);
	CHECK_EQUAL(noted.destroyed, 1);
}

/* What enters as a page that was read ahead. */
static void policy_ahead(void)
{
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = 4 * PAGE,
						   .policy = &noting };
	struct cached d;

	memset(&noted, 0, sizeof(noted));
	memset(noted.pages, 0xff, sizeof(noted.pages));
	cache_open(&d, EXO_READ, &options);
	CHECK_EQUAL(exo_cache_prefetch(d.c, 20, 1), 1);
	CHECK_NOTED("");
	while (!stats_of(&d).cached)
		exo_cache_poll(d.c);
	CHECK_NOTED("+20a ");
	CHECK(is_cached(&d, 20));
	CHECK_NOTED("!20 ");
	cache_close(&d);
}

static void lru_and_fifo(void)
{
	struct exo_cache_options options = { .size = sizeof(options), .limit = 3 * PAGE };
	struct cached d;

	for (int fifo = 0; fifo < 2; fifo++) {
		options.policy = fifo ? exo_policy_fifo() : NULL;
		cache_open(&d, EXO_READ, &options);
		for (unsigned int page = 0; page < 3; page++)
			look_at(&d, page);
		CHECK(is_cached(&d, 0));
		look_at(&d, 3);
		CHECK_EQUAL(is_cached(&d, 0), !fifo);
		CHECK_EQUAL(is_cached(&d, 1), fifo);
		cache_close(&d);
	}
}

/* A policy that names what it should not does no harm. */
static uint32_t mad_victim(void *state)
{
	(void)state;
	return 3;
}

static void mad_policy(void)
{
	struct exo_policy mad = noting;
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = 4 * PAGE,
						   .policy = &mad };
	struct cached d;
	void *buf;

	memset(&noted, 0, sizeof(noted));
	mad.victim = mad_victim;
	cache_open(&d, EXO_READ, &options);
	for (unsigned int page = 0; page < 5; page++)
		look_at(&d, page);
	CHECK_EQUAL(stats_of(&d).cached, 4);
	CHECK(is_cached(&d, 4));
	/* The same again, which is pinned. */
	pinned(&d, 4, 0);
	CHECK_EQUAL(exo_cache_get(d.c, 9, 0, &buf), -ENOBUFS);
	CHECK_EQUAL(exo_cache_put(d.c, 4), 0);
	look_at(&d, 9);
	CHECK(!is_cached(&d, 4));
	cache_close(&d);
}

/* ---- order ---- */

/* Writes at and beyond @page fail, until there is no limit again. */
static void limit_writes(uint64_t page)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = page == ~0ull ? limit.rlim_max : page * PAGE;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static void order_of_two(void)
{
	struct cached d;
	void *buf;

	cache_of(&d, 16);
	put_on_disk(&d, 1, 0);
	put_on_disk(&d, 2, 0);
	CHECK_EQUAL(change(&d, 1, 11), 0);
	buf = pinned(&d, 2, 0);
	CHECK_EQUAL(exo_cache_order(d.c, 1, 2), 0);
	CHECK_EQUAL(exo_cache_dirty(d.c, 2), 0);
	fill(buf, PAGE, 22);
	CHECK_EQUAL(exo_cache_put(d.c, 2), 0);
	CHECK(on_disk(&d, 1, 0));
	/* The other is written first, and the device flushed between. */
	CHECK_EQUAL(exo_cache_evict(d.c, 2), 0);
	CHECK(on_disk(&d, 1, 11));
	CHECK(on_disk(&d, 2, 22));
	CHECK_EQUAL(stats_of(&d).flushes, 1);
	CHECK_EQUAL(stats_of(&d).dirty, 0);
	/* It held once: what the one holds from now on is nothing to the other. */
	CHECK_EQUAL(change(&d, 1, 12), 0);
	CHECK_EQUAL(change(&d, 2, 23), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 2), 0);
	CHECK(on_disk(&d, 1, 11));
	CHECK(on_disk(&d, 2, 23));
	/* And never the other way round. */
	CHECK_EQUAL(exo_cache_evict(d.c, 1), 0);
	CHECK(on_disk(&d, 1, 12));
	cache_close(&d);
}

static void order_of_what_is_gone(void)
{
	struct cached d;

	cache_of(&d, 16);
	CHECK_EQUAL(change(&d, 1, 11), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 1), 0);
	/* It was written, and nobody has flushed the device since. */
	CHECK_EQUAL(stats_of(&d).flushes, 0);
	pinned(&d, 2, EXO_CACHE_WRITE);
	CHECK_EQUAL(exo_cache_order(d.c, 1, 2), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 2), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 2), 0);
	CHECK_EQUAL(stats_of(&d).flushes, 1);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(stats_of(&d).flushes, 2);
	/* It is durable now. */
	pinned(&d, 2, EXO_CACHE_WRITE);
	CHECK_EQUAL(exo_cache_order(d.c, 1, 2), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 2), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 2), 0);
	CHECK_EQUAL(stats_of(&d).flushes, 2);
	cache_close(&d);
}

/* Page n + 1 after page n, for all n below @count, each dirty with @seed + n. */
static void chain(struct cached *d, unsigned int count, uint64_t seed)
{
	for (unsigned int n = 0; n < count; n++) {
		void *buf = pinned(d, n, EXO_CACHE_OVERWRITE);

		if (n)
			CHECK_EQUAL(exo_cache_order(d->c, n - 1, n), 0);
		fill(buf, PAGE, seed + n);
		CHECK_EQUAL(exo_cache_put(d->c, n), 0);
	}
}

static void order_of_many(void)
{
	enum { CHAIN = 10 };
	struct cached d;

	cache_of(&d, 16);
	chain(&d, CHAIN, 100);
	CHECK_EQUAL(exo_cache_evict(d.c, 4), 0);
	for (unsigned int n = 0; n < CHAIN; n++)
		CHECK_EQUAL(on_disk(&d, n, 100 + n), n <= 4);
	CHECK_EQUAL(stats_of(&d).flushes, 4);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	for (unsigned int n = 0; n < CHAIN; n++)
		CHECK(on_disk(&d, n, 100 + n));
	cache_close(&d);
}

/* One flush serves all pages that wait for one. */
static void order_by_fans(void)
{
	struct cached d;
	void *buf;

	cache_of(&d, 32);
	for (unsigned int n = 0; n < 10; n++)
		CHECK_EQUAL(change(&d, n, n), 0);
	for (unsigned int n = 10; n < 20; n++) {
		buf = pinned(&d, n, EXO_CACHE_OVERWRITE);
		for (unsigned int before = 0; before < 10; before++) {
			CHECK_EQUAL(exo_cache_order(d.c, before, n), 0);
			CHECK_EQUAL(exo_cache_order(d.c, before, n), 0);
		}
		fill(buf, PAGE, n);
		CHECK_EQUAL(exo_cache_put(d.c, n), 0);
	}
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(stats_of(&d).flushes, 2);
	CHECK_EQUAL(stats_of(&d).written, 20);
	for (unsigned int n = 0; n < 20; n++)
		CHECK(on_disk(&d, n, n));
	cache_close(&d);
}

static void no_cycles(void)
{
	struct cached d;

	cache_of(&d, 16);
	chain(&d, 4, 7);
	pinned(&d, 0, 0);
	CHECK_EQUAL(exo_cache_order(d.c, 3, 0), -ELOOP);
	CHECK(strstr(exo_strerror(d.x, -ELOOP), "flush the cache"));
	CHECK_EQUAL(exo_cache_order(d.c, 1, 0), -ELOOP);
	CHECK_EQUAL(exo_cache_order(d.c, 0, 0), -ELOOP);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(exo_cache_order(d.c, 3, 0), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 0), 0);
	cache_close(&d);
}

/* What cannot be written holds up what is to be written after it. */
static void order_and_failure(void)
{
	struct cached d;

	if (rig_is_device)
		return;
	cache_of(&d, 16);
	put_on_disk(&d, 1, 0);
	CHECK_EQUAL(change(&d, 100, 1), 0);
	fill(pinned(&d, 1, EXO_CACHE_OVERWRITE), PAGE, 2);
	CHECK_EQUAL(exo_cache_order(d.c, 100, 1), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 1), 0);
	limit_writes(50);
	CHECK_EQUAL(exo_cache_flush(d.c), -ERANGE);
	CHECK_EQUAL(exo_cache_evict(d.c, 1), -ERANGE);
	limit_writes(~0ull);
	CHECK(on_disk(&d, 1, 0));
	CHECK_EQUAL(stats_of(&d).dirty, 2);
	CHECK_EQUAL(stats_of(&d).failed, 1);
	CHECK_EQUAL(exo_cache_evict(d.c, 1), 0);
	CHECK(on_disk(&d, 1, 2));
	CHECK(on_disk(&d, 100, 1));
	CHECK_EQUAL(stats_of(&d).failed, 0);
	cache_close(&d);
}

/* One that is open cannot be written for room, nor what waits for it. */
static void order_and_room(void)
{
	struct cached d;
	void *buf;

	cache_of(&d, 2);
	put_on_disk(&d, 1, 0);
	fill(pinned(&d, 0, EXO_CACHE_OVERWRITE), PAGE, 1);
	fill(pinned(&d, 1, EXO_CACHE_OVERWRITE), PAGE, 2);
	CHECK_EQUAL(exo_cache_order(d.c, 0, 1), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 1), 0);
	CHECK_EQUAL(exo_cache_get(d.c, 7, 0, &buf), -ENOBUFS);
	CHECK_EQUAL(exo_cache_evict(d.c, 1), -EBUSY);
	CHECK(on_disk(&d, 1, 0));
	CHECK_EQUAL(exo_cache_put(d.c, 0), 0);
	CHECK_EQUAL(exo_cache_get(d.c, 7, 0, &buf), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 7), 0);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK(on_disk(&d, 0, 1));
	CHECK(on_disk(&d, 1, 2));
	cache_close(&d);
}

/* ---- reading ahead, writing behind ---- */

static void prefetched(void)
{
	struct exo_cache_stats stats;
	struct cached d;

	cache_of(&d, 64);
	for (unsigned int n = 0; n < 40; n++)
		put_on_disk(&d, n, n);
	CHECK_EQUAL(exo_cache_prefetch(d.c, 0, 32), 32);
	/* Those that are on their way are not begun again. */
	CHECK_EQUAL(exo_cache_prefetch(d.c, 8, 32), 32);
	for (unsigned int n = 0; n < 40; n++)
		CHECK(holds(&d, n, n));
	stats = stats_of(&d);
	CHECK_EQUAL(stats.misses, 0);
	CHECK_EQUAL(stats.prefetched, 40);
	CHECK_EQUAL(stats.cached, 40);
	/* Beyond the end there is nothing, and no room is waited for. */
	CHECK_EQUAL(exo_cache_prefetch(d.c, exo_cache_pages(d.c) - 3, 10), 3);
	CHECK_EQUAL(exo_cache_prefetch(d.c, ~0ull - 1, 10), 0);
	cache_close(&d);
}

static void prefetch_is_bounded(void)
{
	struct exo_queue_options shallow = { .size = sizeof(shallow), .depth = 4 };
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = 64 * PAGE,
						   .queue = &shallow };
	struct cached d;
	uint32_t n;

	cache_open(&d, EXO_READ, &options);
	n = exo_cache_prefetch(d.c, 0, 64);
	CHECK(n >= 4 && n < 64);
	cache_close(&d);
}

/* Who writes more than there is room for is not told, and waits for no page of his own. */
static void written_behind(void)
{
	struct exo_cache_stats stats;
	struct cached d;

	cache_of(&d, 64);
	for (unsigned int n = 0; n < 500; n++)
		CHECK_EQUAL(change(&d, n, n), 0);
	stats = stats_of(&d);
	CHECK(stats.written >= 500 - 64);
	CHECK(stats.dirty <= 64);
	CHECK_EQUAL(stats.held, 64);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	for (unsigned int n = 0; n < 500; n++)
		CHECK(on_disk(&d, n, n));
	for (unsigned int n = 0; n < 500; n++)
		CHECK(holds(&d, n, n));
	cache_close(&d);
}

/* Those that are about to go are kept if they are asked for. */
static void rescued(void)
{
	struct cached d;

	cache_of(&d, 64);
	for (unsigned int n = 0; n < 64; n++)
		CHECK_EQUAL(change(&d, n, n), 0);
	CHECK_EQUAL(change(&d, 64, 64), 0);
	CHECK(stats_of(&d).evicted < 4);
	for (unsigned int n = 1; n < 64; n++)
		CHECK(!is_cached(&d, n) || holds(&d, n, n));
	CHECK(stats_of(&d).rescued > 0);
	CHECK_EQUAL(stats_of(&d).misses, 65);
	cache_close(&d);
}

/* ---- devices that fail ---- */

static void unreadable(void)
{
	struct cached d;
	void *buf;
	int r;

	if (rig_is_device)
		return;
	cache_of(&d, 16);
	put_on_disk(&d, PAGES - 1, 5);
	CHECK(!ftruncate(d.file, RIG_BYTES / 2));
	r = exo_cache_get(d.c, PAGES - 1, 0, &buf);
	CHECK_EQUAL(r, -ERANGE);
	CHECK(!buf);
	CHECK(strstr(exo_strerror(d.x, r), "the device failed a read for page"));
	CHECK(!is_cached(&d, PAGES - 1));
	CHECK_EQUAL(stats_of(&d).cached, 0);
	CHECK_EQUAL(stats_of(&d).errors, 1);
	/* Nor is one that was read ahead. */
	CHECK_EQUAL(exo_cache_prefetch(d.c, PAGES - 2, 2), 2);
	CHECK_EQUAL(exo_cache_get(d.c, PAGES - 2, 0, &buf), -ERANGE);
	CHECK_EQUAL(stats_of(&d).cached, 0);
	CHECK(!ftruncate(d.file, RIG_BYTES));
	put_on_disk(&d, PAGES - 1, 6);
	CHECK(holds(&d, PAGES - 1, 6));
	cache_close(&d);
}

static void unwritable(void)
{
	struct cached d;
	void *buf;
	int r;

	if (rig_is_device)
		return;
	cache_of(&d, 4);
	put_on_disk(&d, 100, 0);
	put_on_disk(&d, 102, 0);
	CHECK_EQUAL(change(&d, 1, 1), 0);
	CHECK_EQUAL(change(&d, 100, 2), 0);
	limit_writes(50);
	CHECK_EQUAL(exo_cache_flush(d.c), -ERANGE);
	/* The others were written. */
	CHECK(on_disk(&d, 1, 1));
	CHECK(on_disk(&d, 100, 0));
	CHECK_EQUAL(stats_of(&d).dirty, 1);
	CHECK(holds(&d, 100, 2));
	CHECK_EQUAL(exo_cache_evict(d.c, 100), -ERANGE);
	/* Room is made of what can go ... */
	for (unsigned int n = 10; n < 20; n++)
		CHECK_EQUAL(change(&d, n, n), 0);
	CHECK(holds(&d, 100, 2));
	/* ... and if nothing can, that is why. */
	for (unsigned int n = 101; n < 104; n++)
		CHECK_EQUAL(change(&d, n, n), 0);
	r = exo_cache_get(d.c, 5, 0, &buf);
	CHECK_EQUAL(r, -ERANGE);
	CHECK(strstr(exo_strerror(d.x, r), "could not be written"));
	CHECK_EQUAL(stats_of(&d).failed, 4);
	limit_writes(~0ull);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(stats_of(&d).failed, 0);
	CHECK(on_disk(&d, 100, 2));
	CHECK(on_disk(&d, 102, 102));
	CHECK_EQUAL(exo_cache_get(d.c, 5, 0, &buf), 0);
	cache_close(&d);
}

static void read_only(void)
{
	const struct exo_cache_options options = { .size = sizeof(options), .limit = 16 * PAGE };
	struct cached d;
	void *buf;

	cache_open(&d, EXO_READ, &options);
	put_on_disk(&d, 1, 1);
	CHECK_EQUAL(exo_cache_get(d.c, 1, EXO_CACHE_WRITE, &buf), -EACCES);
	CHECK_EQUAL(exo_cache_get(d.c, 1, EXO_CACHE_OVERWRITE, &buf), -EACCES);
	pinned(&d, 1, 0);
	CHECK_EQUAL(exo_cache_dirty(d.c, 1), -EACCES);
	CHECK_EQUAL(exo_cache_put(d.c, 1), 0);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(stats_of(&d).flushes, 0);
	cache_close(&d);
}

static void write_only(void)
{
	const struct exo_cache_options options = { .size = sizeof(options), .limit = 16 * PAGE };
	struct cached d;
	void *buf;

	cache_open(&d, EXO_WRITE, &options);
	/* Refused by the queue, not by the device. */
	CHECK_EQUAL(exo_cache_get(d.c, 1, 0, &buf), -EACCES);
	CHECK_EQUAL(exo_cache_prefetch(d.c, 1, 4), 4);
	CHECK_EQUAL(stats_of(&d).cached, 0);
	CHECK_EQUAL(change(&d, 1, 17), 0);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK(on_disk(&d, 1, 17));
	cache_close(&d);
}

/* ---- memory ---- */

static void given_up(void)
{
	enum { SLAB = 512 }; /* pages */
	const uint64_t slab = SLAB * PAGE;
	struct cached d;

	cache_of(&d, 3 * SLAB);
	for (unsigned int n = 0; n < 3 * SLAB; n++)
		CHECK_EQUAL(change(&d, n, n), 0);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	/* Pages come from slabs in turn: of the first, one is dirty, of the second, one pinned. */
	CHECK_EQUAL(change(&d, 5, 1005), 0);
	pinned(&d, SLAB + 5, 0);
	CHECK_EQUAL(exo_cache_give_up(d.c, 1), SLAB);
	CHECK(is_cached(&d, 5));
	CHECK(!is_cached(&d, 2 * SLAB + 5));
	CHECK_EQUAL(stats_of(&d).held, 2 * SLAB);
	CHECK_EQUAL(exo_cache_give_up(d.c, 1), SLAB);
	CHECK(on_disk(&d, 5, 1005));
	CHECK(!is_cached(&d, 5));
	CHECK_EQUAL(exo_cache_give_up(d.c, 1), 0);
	CHECK_EQUAL(exo_cache_limit(d.c, PAGE - 1), -EINVAL);
	/* It goes on with what it has, and with more when it may. */
	for (unsigned int n = 0; n < 3 * SLAB; n++)
		CHECK(holds(&d, n, n == 5 ? 1005 : n));
	CHECK_EQUAL(stats_of(&d).held, SLAB);
	CHECK_EQUAL(exo_cache_limit(d.c, 2 * slab), 0);
	for (unsigned int n = 0; n < 3 * SLAB; n++)
		CHECK(holds(&d, n, n == 5 ? 1005 : n));
	CHECK_EQUAL(stats_of(&d).held, 2 * SLAB);
	/* Of both slabs one is pinned; then that which was all the time. */
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		pinned(&d, n, 0);
	CHECK_EQUAL(exo_cache_limit(d.c, slab), -EBUSY);
	CHECK(strstr(exo_strerror(d.x, -EBUSY), "holds 1024 pages"));
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK_EQUAL(exo_cache_put(d.c, n), 0);
	CHECK_EQUAL(exo_cache_limit(d.c, slab), 0);
	CHECK_EQUAL(stats_of(&d).held, SLAB);
	CHECK_EQUAL(exo_cache_put(d.c, SLAB + 5), 0);
	CHECK_EQUAL(exo_cache_give_up(d.c, ~0ull), SLAB);
	CHECK_EQUAL(stats_of(&d).held, 0);
	CHECK_EQUAL(exo_cache_limit(d.c, ~0ull), 0);
	CHECK(holds(&d, 7, 7));
	cache_close(&d);
}

static void asked_back(void)
{
	struct exo_asked asked = { .type = EXO_TYPE_POOL, .frames = 1, .deadline = 1 };
	struct cached d;

	cache_of(&d, 512);
	CHECK_EQUAL(change(&d, 1, 41), 0);
	asked.cap = exo_pool_cap(d.x);
	/* For want of memory alone nothing is written. */
	asked.deadline = 0;
	CHECK_EQUAL(exo_cache_comply(d.c, &asked), 0);
	CHECK(is_cached(&d, 1));
	asked.deadline = 1;
	asked.cap++;
	CHECK_EQUAL(exo_cache_comply(d.c, &asked), 0);
	asked.cap--;
	CHECK_EQUAL(exo_cache_comply(d.c, &asked), 512);
	CHECK(on_disk(&d, 1, 41));
	CHECK_EQUAL(exo_cache_limit(d.c, 512 * PAGE), 0);
	/* One slab, by its address. */
	CHECK_EQUAL(change(&d, 2, 42), 0);
	asked.type = EXO_TYPE_FRAMES;
	asked.buf = (void *)((uintptr_t)pinned(&d, 2, 0) & ~(uintptr_t)0x1fffff);
	CHECK_EQUAL(exo_cache_comply(d.c, &asked), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 2), 0);
	CHECK_EQUAL(exo_cache_comply(d.c, &asked), 512);
	CHECK_EQUAL(exo_cache_comply(d.c, &asked), 0);
	CHECK(on_disk(&d, 2, 42));
	cache_close(&d);
}

/* Of pages that are moved by several commands each. */
static void large_pages(void)
{
	const struct exo_cache_options options = { .size = sizeof(options),
						   .page = EXO_PAGE_MAX,
						   .limit = 2 * EXO_PAGE_MAX };
	struct exo_cache_stats stats = { .size = sizeof(stats) };
	struct cached d;
	char *buf;

	cache_open(&d, EXO_READ | EXO_WRITE, &options);
	CHECK(exo_transfer_max(d.x) < EXO_PAGE_MAX);
	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int n = 0; n < 4; n++) {
			buf = pinned(&d, n, round ? 0 : EXO_CACHE_OVERWRITE);
			if (!round)
				fill(buf, EXO_PAGE_MAX, n);
			CHECK(filled(buf, EXO_PAGE_MAX, n));
			CHECK_EQUAL(exo_cache_put(d.c, n), 0);
		}
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	exo_cache_get_stats(d.c, &stats);
	CHECK_EQUAL(stats.written, 4);
	CHECK_EQUAL(stats.misses, 8);
	if (!rig_is_device) {
		/* One of its commands fails, the other does not. */
		CHECK(!ftruncate(d.file, RIG_BYTES - PAGE));
		CHECK_EQUAL(exo_cache_evict(d.c, 3), 0);
		CHECK_EQUAL(exo_cache_get(d.c, 3, 0, (void **)&buf), -ERANGE);
		CHECK(!ftruncate(d.file, RIG_BYTES));
	}
	cache_close(&d);
}

static void not_shared(void)
{
	char text[EXO_TOKEN_TEXT];
	struct exo_reader *r;
	struct cached d;

	cache_of(&d, 16);
	CHECK_EQUAL(exo_cache_share(d.c, 1, 0, EXO_TOKEN_ANYBODY, text), -EOPNOTSUPP);
	CHECK(strstr(exo_strerror(d.x, -EOPNOTSUPP), "need the module"));
	CHECK_EQUAL(exo_cache_join(d.x, "exo1", &r), -EOPNOTSUPP);
	CHECK(!r);
	exo_cache_unshare(d.c);
	exo_reader_leave(NULL);
	CHECK_EQUAL(change(&d, 1, 1), 0);
	cache_close(&d);
}

static const struct tap_test tests[] = {
	TEST(hits_and_misses, "a page is read once, and looked at in place"),
	TEST(refusals, "pages that are not there or not pinned are refused"),
	TEST(bad_options, "options that make no sense are refused"),
	TEST(written_back, "a changed page is on the disk after a flush, and not before"),
	TEST(open_pages, "what changes while a page is written is written again"),
	TEST(pins_hold, "a pinned page stays, and when all are pinned there is no room"),
	TEST(policy_calls, "a policy is told what happens, and named victims go when they can"),
	TEST(policy_ahead, "a policy is told of pages that were read ahead"),
	TEST(lru_and_fifo, "least recently used and first in, first out differ in what goes"),
	TEST(mad_policy, "a policy that names nonsense makes errors and no harm"),
	TEST(order_of_two, "a page is durable before the page ordered after it is written"),
	TEST(order_of_what_is_gone, "a page that has gone is flushed before one ordered after it"),
	TEST(order_of_many, "a chain of orders is kept, and no more is written than needed"),
	TEST(order_by_fans, "one flush serves all pages that wait for one"),
	TEST(no_cycles, "an order that would make a cycle is refused"),
	TEST(order_and_failure, "a page is not written after one that could not be"),
	TEST(order_and_room, "room is not made by breaking an order"),
	TEST(prefetched, "pages that were read ahead are hits"),
	TEST(prefetch_is_bounded, "reading ahead ends where the queue is full"),
	TEST(written_behind, "more pages than there is room for are written behind"),
	TEST(rescued, "a victim that is asked for stays"),
	TEST(unreadable, "a page that cannot be read is an error and not cached"),
	TEST(unwritable, "a page that cannot be written stays dirty until it could be"),
	TEST(read_only, "of a handle for reading no page becomes dirty"),
	TEST(write_only, "of a handle for writing no page is read"),
	TEST(given_up, "memory is given up in slabs, clean ones first and pinned ones never"),
	TEST(asked_back, "what is asked back is given if it is the cache's"),
	TEST(large_pages, "a page is moved by as many commands as it takes"),
	TEST(not_shared, "without the module no cache is shared"),
};

int main(int argc, char **argv)
{
	/* Beyond RLIMIT_FSIZE there is an error, too. */
	signal(SIGXFSZ, SIG_IGN);
	rig_main(argc, argv);
	return tap_run(tests, (int)(sizeof(tests) / sizeof(tests[0])));
}
