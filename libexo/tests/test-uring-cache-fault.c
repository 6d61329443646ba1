// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The buffer cache on devices and queues that do not do as they should: every call ends, with an
 * error, and no memory is used again that the device may still write to.
 */
#include "../src/cache.h"
#include "cache-rig.h"

/* The device says that a command has ended which is @instead of the one that has. */
static void mistake(const struct cached *d, uint64_t name, uint64_t instead)
{
	struct exo_queue *q = d->c->q;

	for (uint32_t cid = 0; cid < q->depth; cid++)
		if (q->user_data[cid] == name)
			q->user_data[cid] = instead;
}

/* As cache-io.c names the reading of the page in a slot. */
static uint64_t read_of(const struct cached *d, uint64_t page)
{
	return exo_slot_number(d->c, exo_cache_find(d->c, page));
}

static void ended_twice(void)
{
	struct cached d;
	void *buf;

	cache_of(&d, 16);
	put_on_disk(&d, 1, 1);
	CHECK(holds(&d, 1, 1));
	CHECK_EQUAL(exo_cache_prefetch(d.c, 20, 2), 2);
	mistake(&d, read_of(&d, 20), read_of(&d, 21));
	CHECK_EQUAL(exo_cache_get(d.c, 20, 0, &buf), -EIO);
	CHECK(!is_cached(&d, 20));
	CHECK(is_cached(&d, 21));
	/* Its slot is not used for another. */
	CHECK_EQUAL(change(&d, 30, 3), -EIO);
	CHECK(holds(&d, 1, 1));
	cache_close(&d);
}

static void ended_and_never_begun(void)
{
	struct cached d;
	void *buf;

	cache_of(&d, 16);
	put_on_disk(&d, 0, 1);
	put_on_disk(&d, 9, 9);
	CHECK(holds(&d, 0, 1));
	CHECK_EQUAL(exo_cache_prefetch(d.c, 9, 1), 1);
	/* A read of page 0, once more; a write of it; a flush. */
	for (uint64_t what = 0; what < 3; what++) {
		const uint64_t page = 9 + what;

		CHECK_EQUAL(exo_cache_prefetch(d.c, page, 1), 1);
		mistake(&d, read_of(&d, page), what << 56 | read_of(&d, 0));
		CHECK_EQUAL(exo_cache_get(d.c, page, 0, &buf), -EIO);
		CHECK(holds(&d, 0, 1));
		CHECK_EQUAL(stats_of(&d).cached, 1);
		cache_close(&d);
		cache_of(&d, 16);
		CHECK(holds(&d, 0, 1));
	}
	cache_close(&d);
}

/* Nothing is thrown away for pages that cannot be had. */
static void dead_and_full(void)
{
	struct cached d;
	void *buf;
	int r;

	cache_of(&d, 16);
	for (unsigned int page = 0; page < 16; page++)
		CHECK_EQUAL(change(&d, page, page), 0);
	CHECK_EQUAL(exo_cache_flush(d.c), 0);
	CHECK_EQUAL(exo_cache_evict(d.c, 15), 0);
	CHECK_EQUAL(exo_cache_prefetch(d.c, 100, 1), 1);
	mistake(&d, read_of(&d, 100), read_of(&d, 0));
	CHECK_EQUAL(exo_cache_get(d.c, 100, 0, &buf), -EIO);
	r = exo_cache_get(d.c, 101, 0, &buf);
	CHECK_EQUAL(r, -EIO);
	CHECK(strstr(exo_strerror(d.x, r), "dead"));
	CHECK_EQUAL(exo_cache_prefetch(d.c, 200, 100), 0);
	CHECK_EQUAL(stats_of(&d).cached, 15);
	for (unsigned int page = 0; page < 15; page++)
		CHECK(holds(&d, page, page));
	/* What is changed cannot be written; to say so takes no time. */
	CHECK_EQUAL(change(&d, 0, 1), 0);
	CHECK_EQUAL(exo_cache_flush(d.c), -EIO);
	CHECK_EQUAL(exo_cache_evict(d.c, 0), -EIO);
	CHECK_EQUAL(stats_of(&d).dirty, 1);
	cache_close(&d);
}

/* ---- devices that are other files for a while ---- */

static void swap_files(const struct cached *d, int other)
{
	CHECK(dup2(other, d->x->uring->fd) >= 0);
}

/* A pipe that nothing is in: what is read of it comes when it is there. */
static void no_answer(void)
{
	char bytes[PAGE];
	struct cached d;
	void *buf;
	int ends[2];

	CHECK(!pipe(ends));
	cache_of(&d, 2);
	swap_files(&d, ends[0]);
	d.x->io_timeout_ms = 20;
	CHECK_EQUAL(exo_cache_get(d.c, 5, 0, &buf), -ETIMEDOUT);
	CHECK(!buf);
	CHECK_EQUAL(exo_cache_get(d.c, 5, 0, &buf), -ETIMEDOUT);
	/* What is being read is in nobody's way, and in nobody else's hands. */
	pinned(&d, 6, EXO_CACHE_OVERWRITE);
	CHECK_EQUAL(exo_cache_get(d.c, 7, EXO_CACHE_OVERWRITE, &buf), -ETIMEDOUT);
	CHECK_EQUAL(exo_cache_evict(d.c, 5), -ETIMEDOUT);
	CHECK_EQUAL(exo_cache_give_up(d.c, 1), 0);
	/* At last. */
	fill(bytes, PAGE, 55);
	CHECK_EQUAL(write(ends[1], bytes, PAGE), PAGE);
	d.x->io_timeout_ms = 10000;
	CHECK(holds(&d, 5, 55));
	cache_close(&d);
	close(ends[0]);
	close(ends[1]);
}

/* A victim that waits for a flush waits for the next. */
static void unflushed_victim(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), was;
	struct cached d;
	void *buf;
	int r;

	cache_of(&d, 2);
	was = fcntl(d.x->uring->fd, F_DUPFD_CLOEXEC, 0);
	CHECK_EQUAL(change(&d, 0, 1), 0);
	fill(pinned(&d, 1, EXO_CACHE_OVERWRITE), PAGE, 2);
	CHECK_EQUAL(exo_cache_order(d.c, 0, 1), 0);
	CHECK_EQUAL(exo_cache_put(d.c, 1), 0);
	swap_files(&d, null);
	pinned(&d, 7, EXO_CACHE_OVERWRITE);
	for (unsigned int i = 0; i < 2; i++) {
		r = exo_cache_get(d.c, 8, EXO_CACHE_OVERWRITE, &buf);
		CHECK_EQUAL(r, -EINVAL);
		CHECK(strstr(exo_strerror(d.x, r), "has no room"));
	}
	swap_files(&d, was);
	CHECK_EQUAL(change(&d, 8, 8), 0);
	CHECK(on_disk(&d, 1, 2));
	CHECK_EQUAL(exo_cache_put(d.c, 7), 0);
	cache_close(&d);
	close(was);
	close(null);
}

static const struct tap_test tests[] = {
	TEST(ended_twice, "a command that ends twice is not another that has not ended"),
	TEST(ended_and_never_begun, "the end of what never began is not believed"),
	TEST(no_answer, "a command without an answer keeps its memory, and no call for ever"),
	TEST(unflushed_victim, "room that wants a flush is there when one succeeds"),
	TEST(dead_and_full, "on a dead queue no page goes for one that cannot be had"),
};

RIG_MAIN(tests)
