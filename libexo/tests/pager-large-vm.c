// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Pagers of pages of 2 MiB, which their windows show by entries of 2 MiB: run by pager-large.vm.sh
 * under exo-run, without privileges, with an extent of 128 MiB that may be written, and 96 MiB of memory.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sys/mman.h>

#include "pager-vm-rig.h"

#define LARGE (2 * MIB)
#define ENTRIES 512u /* of 4 KiB, a page */
#define PAGES 40u
#define HELD 20u
#define WORDS (LARGE / 8)

static struct exo_pager_options usual(void)
{
	return (struct exo_pager_options){
		.size = sizeof(struct exo_pager_options),
		.page = LARGE,
		.memory = HELD * LARGE,
		.bytes = PAGES * LARGE,
		.read_ahead = EXO_READ_AHEAD_NONE,
	};
}

static void begin(void)
{
	struct exo_pager_options o = usual();

	begin_with(EXO_READ | EXO_WRITE, &o);
}

/* The word of a page that lies in one of its 4 KiB. */
static volatile uint64_t *word(uint64_t page, uint64_t entry)
{
	return at + page * WORDS + entry * 512 + (page + entry) % 512;
}

/* Its first 4 KiB, its last, and some between. */
static const uint64_t some[] = { 0, 1, 255, 300, ENTRIES - 1 };
#define SOME (sizeof(some) / sizeof(some[0]))

static void write_page(uint64_t page, uint64_t pass)
{
	for (size_t i = 0; i < SOME; i++)
		*word(page, some[i]) = value(page * ENTRIES + some[i], pass);
}

static uint64_t wrong_in(uint64_t page, uint64_t pass)
{
	uint64_t wrong = 0;

	for (size_t i = 0; i < SOME; i++)
		wrong += *word(page, some[i]) != value(page * ENTRIES + some[i], pass);
	return wrong;
}

static void write_all(uint64_t pass)
{
	for (uint64_t i = 0; i < PAGES; i++)
		write_page(i, pass);
}

static uint64_t wrong_words(uint64_t pass)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		wrong += wrong_in(i, pass);
	return wrong;
}

/* ---- entries ---- */

/* Only an entry of 2 MiB cannot be had in parts. Returns the reason, 0: it could. */
static uint32_t reason_for_a_part(uint64_t page)
{
	struct exo_window_op op = {
		.op = EXO_WINDOW_PROTECT,
		.first = page * exo_pager_page(p) / 4096 + 1,
		.count = 1,
		.access = EXO_RIGHT_READ,
	};
	struct exo_detail detail = { 0 };
	struct exo_window_set arg = {
		.detail = exo_sys_address(&detail),
		.window = exo_sys_address(at),
		.ops = exo_sys_address(&op),
		.count = 1,
	};

	CHECK_EQUAL(exo_sys_window_set(exo_fd(x), &arg), detail.reason ? -EINVAL : 0);
	return detail.reason;
}

static void a_page_is_one_entry(void)
{
	struct exo_pager_options o = usual();

	begin();
	(void)*word(3, 7);
	CHECK_EQUAL(reason_for_a_part(3), EXO_REASON_LARGE);
	*word(3, 7) = 1;
	CHECK_EQUAL(reason_for_a_part(3), EXO_REASON_LARGE);
	end();
	o.page = LARGE / 2;
	begin_with(EXO_READ | EXO_WRITE, &o);
	(void)*(volatile uint64_t *)at;
	CHECK_EQUAL(reason_for_a_part(0), 0);
	end();
}

/* What is read is shown without the write access, as long as pages are mostly read. */
static void a_page_is_one_fault(void)
{
	begin();
	for (uint64_t i = 0; i < ENTRIES; i++)
		(void)*word(5, i);
	CHECK_EQUAL(stats().faults, 1);
	for (uint64_t i = 0; i < ENTRIES; i++)
		*word(5, i) = i;
	CHECK_EQUAL(stats().faults, 2);
	CHECK_EQUAL(stats().reads, 1);
	end();
}

/* ---- what it is for ---- */

static void it_all_comes_back(void)
{
	begin();
	CHECK_EQUAL(exo_pager_page(p), LARGE);
	CHECK_EQUAL(stats().pages, HELD);
	write_all(1);
	CHECK_EQUAL(wrong_words(1), 0);
	CHECK(stats().evictions >= 2 * (PAGES - HELD));
	CHECK(stats().writes >= PAGES - HELD);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
	begin();
	CHECK_EQUAL(wrong_words(1), 0);
	CHECK_EQUAL(stats().reads, PAGES);
	CHECK_EQUAL(stats().writes, 0);
	end();
}

/* All of it, not the words of a test alone. */
static void every_byte_comes_back(void)
{
	uint64_t wrong = 0;

	begin();
	for (uint64_t i = 0; i < 24 * WORDS; i++)
		at[i] = value(i, 2);
	for (uint64_t i = 0; i < 24 * WORDS; i++)
		wrong += at[i] != value(i, 2);
	CHECK_EQUAL(wrong, 0);
	CHECK(stats().evictions > 0);
	end();
}

static void in_any_order(void)
{
	uint64_t random = 88172645463325252ull, counts[PAGES] = { 0 }, wrong = 0;

	begin();
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i, 9) = 0;
	for (int i = 0; i < 400; i++) {
		uint64_t page = next_random(&random) % PAGES;

		if (next_random(&random) % 2)
			*word(page, 9) = ++counts[page];
		else
			wrong += *word(page, 9) != counts[page];
		if (i % 100 == 0)
			CHECK_EQUAL(exo_pager_flush(p), 0);
	}
	CHECK_EQUAL(wrong, 0);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
	begin();
	for (uint64_t i = 0; i < PAGES; i++)
		wrong += *word(i, 9) != counts[i];
	CHECK_EQUAL(wrong, 0);
	end();
}

/* Of a large entry there is one dirty bit. */
static void a_flush_writes_what_was_written(void)
{
	begin();
	for (uint64_t i = 0; i < 10; i++)
		(void)*word(i, 0);
	for (uint64_t i = 0; i < 3; i++)
		*word(i * 2, ENTRIES - 1) = value(i, 3);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes, 3);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes, 3);
	/* The page is open to writes still: nobody is told of one. */
	*word(4, 1) = 1;
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes, 4);
	end();
	begin();
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQUAL(*word(i * 2, ENTRIES - 1), value(i, 3));
	CHECK_EQUAL(*word(4, 1), 1);
	end();
}

#define STORE_PAGES 20u /* twice, on the disk */

static void begin_in_store(void)
{
	begin_with_store(16 * LARGE);
}

static void format_store(void)
{
	struct exo_store_options o = { .size = sizeof(o), .page = LARGE, .pages = STORE_PAGES };
	struct exo_queue *q;

	must(exo_open(name, EXO_READ | EXO_WRITE, &x));
	must(exo_queue_create(x, NULL, &q));
	must(exo_store_format(q, &o));
	exo_close(x);
}

static void a_flush_in_a_store_is_all_or_nothing(void)
{
	uint64_t wrong = 0;

	format_store();
	begin_in_store();
	CHECK_EQUAL(exo_pager_bytes(p), STORE_PAGES * LARGE);
	for (uint64_t i = 0; i < STORE_PAGES; i++)
		write_page(i, 1);
	CHECK_EQUAL(reason_for_a_part(STORE_PAGES - 1), EXO_REASON_LARGE);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	for (uint64_t i = 0; i < STORE_PAGES; i++)
		write_page(i, 2);
	/* Some of it is on the disk, and does not count. */
	CHECK(stats().writes > STORE_PAGES);
	end_in_store();
	begin_in_store();
	for (uint64_t i = 0; i < STORE_PAGES; i++)
		wrong += wrong_in(i, 1);
	CHECK_EQUAL(wrong, 0);
	end_in_store();
}

static void a_system_call_reaches_all_of_it(void)
{
	int fd = memfd_create("copy", 0);
	uint64_t *copy;

	begin();
	write_page(2, 4);
	must(exo_pager_pin(p, at + 2 * WORDS, LARGE));
	for (uint64_t i = 3; i < PAGES; i++)
		(void)*word(i, 0);
	CHECK_EQUAL(write(fd, at + 2 * WORDS, LARGE), LARGE);
	copy = mmap(NULL, LARGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(copy != MAP_FAILED && !memcmp(copy, at + 2 * WORDS, LARGE));
	munmap(copy, LARGE);
	CHECK_EQUAL(pread(fd, at + 2 * WORDS, 4096, LARGE - 4096), 4096);
	exo_pager_unpin(p, at + 2 * WORDS, LARGE);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes, 1);
	close(fd);
	end();
}

/* ---- less memory ---- */

static void it_gives_up_a_page_at_a_time(void)
{
	begin();
	write_all(5);
	must(exo_pager_pin(p, at, 8));
	CHECK_EQUAL(exo_pager_give_up(p, 1), ENTRIES);
	CHECK_EQUAL(exo_pager_give_up(p, 100 * ENTRIES), (HELD - 17) * ENTRIES);
	CHECK_EQUAL(stats().pages, 16);
	CHECK_EQUAL(exo_pager_give_up(p, 1), 0);
	exo_pager_unpin(p, at, 8);
	CHECK_EQUAL(wrong_words(5), 0);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
}

static void it_lives_on_when_frames_are_taken(void)
{
	uint32_t frames[3];

	begin();
	write_all(6);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(all_frames(frames, 3), 3);
	for (int i = 0; i < 3; i++)
		take(frames[i]);
	for (int k = 0; k < 2; k++)
		CHECK_EQUAL(wrong_words(6), 0);
	CHECK_EQUAL(stats().pages, HELD - 3);
	CHECK_EQUAL(exo_pager_flush(p), -ESTALE);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	write_all(7);
	CHECK_EQUAL(wrong_words(7), 0);
	(void)*word(3, 7);
	CHECK_EQUAL(reason_for_a_part(3), EXO_REASON_LARGE);
	end();
}

static void a_flush_notices_what_was_taken(void)
{
	begin();
	for (uint64_t i = 0; i < HELD - 4; i++)
		write_page(i, 8);
	take(some_frames());
	CHECK_EQUAL(exo_pager_flush(p), -ESTALE);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
}

static bool enough;

static void *read_all_the_time(void *arg)
{
	uint64_t random = (uintptr_t)arg + 7, wrong = 0;

	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
		wrong += wrong_in(next_random(&random) % PAGES, 9);
	CHECK_EQUAL(wrong, 0);
	return NULL;
}

/* What is on the disk is what a thread finds, however its frames go meanwhile. */
static void frames_are_taken_under_its_threads(void)
{
	uint32_t frames[8], n;
	pthread_t threads[3];

	begin();
	write_all(9);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	n = all_frames(frames, 8);
	CHECK_EQUAL(n, 8);
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(!pthread_create(&threads[i], NULL, read_all_the_time, (void *)i));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t reads = stats().reads;

		take(frames[i]);
		while (stats().reads < reads + 8)
			sched_yield();
	}
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQUAL(wrong_words(9), 0);
	CHECK_EQUAL(stats().pages, HELD - n);
	end();
}

static const struct tap_test tests[] = {
	TEST(a_page_is_one_entry, "a page of 2 MiB is one entry of the window"),
	TEST(a_page_is_one_fault,
	     "its 512 parts are read after one fault, and written after another"),
	TEST(it_all_comes_back, "twice its memory is written, and comes back"),
	TEST(every_byte_comes_back, "every byte of a page comes back"),
	TEST(in_any_order, "in any order, too"),
	TEST(a_flush_writes_what_was_written, "a flush writes the pages that were written to"),
	TEST(a_flush_in_a_store_is_all_or_nothing, "in a store a flush is all or nothing"),
	TEST(a_system_call_reaches_all_of_it, "a system call reaches all of a pinned page"),
	TEST(it_gives_up_a_page_at_a_time, "it gives up a page at a time, and no pinned one"),
	TEST(it_lives_on_when_frames_are_taken, "frames taken by force: it says so, and goes on"),
	TEST(a_flush_notices_what_was_taken, "a flush says that a written page was taken"),
	TEST(frames_are_taken_under_its_threads, "frames are taken while threads read all of it"),
};

TAP_MAIN(tests)
