// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Checkpoints without a window: what is marked is saved, no more, in few commands; what is saved is
 * restored; what fails is made up for. The window's part is tested in the machine
 * (checkpoint-vm.c).
 */
#include <pthread.h>

#include "checkpoint.h"
#include "store-rig.h"

#define FRAMES_BYTES (4u << 20)

/**
 * struct range - a range of pages, in a buffer
 * @at: of each page, NULL: a hole
 */
struct range {
	struct rig rig;
	struct exo_store *s;
	struct exo_checkpoint *c;
	char *buf;
	char *at[PAGES];
};

static void *page_at(void *arg, uint64_t page, uint32_t *access)
{
	struct range *range = arg;

	CHECK_EQUAL(*access, EXO_RIGHT_READ | EXO_RIGHT_WRITE);
	return range->at[page];
}

static void range_open(struct range *range, uint32_t page)
{
	struct exo_checkpoint_options options = { .size = sizeof(options),
						  .function = page_at,
						  .arg = range };
	void *buf;

	memset(range, 0, sizeof(*range));
	rig_open(&range->rig, RIG_ALL, 8);
	if (page)
		store_make(&range->rig, 0, page, page == PAGE ? PAGES : 2);
	range->s = store_open(&range->rig);
	CHECK_EQUAL(exo_buf_alloc(range->rig.q, FRAMES_BYTES, &buf), 0);
	range->buf = buf;
	for (unsigned int i = 0; i < exo_store_pages(range->s); i++)
		range->at[i] = range->buf + (size_t)i * exo_store_page(range->s);
	CHECK_EQUAL(exo_checkpoint_create(range->s, &options, &range->c), 0);
}

static void range_close(struct range *range)
{
	exo_checkpoint_destroy(range->c);
	exo_store_close(range->s);
	rig_close(&range->rig);
}

static void write_page(struct range *range, uint64_t page, uint32_t version)
{
	fill(range->at[page], PAGE, seed_of(page, version));
	exo_checkpoint_mark(range->c, page, 1);
}

static int take(struct range *range)
{
	int r = exo_checkpoint_take(range->c, range->rig.q);

	CHECK_EQUAL(exo_queue_free(range->rig.q), range->rig.q->depth);
	return r;
}

static const struct exo_checkpoint_stats *stats(const struct range *range)
{
	return exo_checkpoint_stats(range->c);
}

/* What is there is as the model says, and the store agrees. */
static int range_is(struct range *range, const struct model *m)
{
	for (unsigned int i = 0; i < PAGES; i++)
		if (range->at[i] &&
		    !(m->versions[i] ? filled(range->at[i], PAGE, seed_of(i, m->versions[i]))
				     : all_zero(range->at[i], PAGE)))
			return 0;
	return 1;
}

static void only_marked(void)
{
	struct model m = { { 0 } };
	struct range range;

	range_open(&range, PAGE);
	for (unsigned int i = 0; i < PAGES; i++)
		write_page(&range, i, m.versions[i] = 1);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, PAGES);
	CHECK_EQUAL(stats(&range)->bytes, PAGES * PAGE);
	CHECK(stats(&range)->ns > 0 && stats(&range)->frozen_ns <= stats(&range)->ns);
	CHECK(store_is(&range.rig, range.s, &m));
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 0);
	write_page(&range, 3, m.versions[3] = 2);
	write_page(&range, 17, m.versions[17] = 2);
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 2);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 2);
	CHECK_EQUAL(stats(&range)->commands, 2);
	CHECK_EQUAL(exo_store_generation(range.s), 2);
	CHECK(store_is(&range.rig, range.s, &m));
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 0);
	CHECK_EQUAL(exo_store_generation(range.s), 2);
	exo_checkpoint_mark(range.c, PAGES - 1, ~0ull);
	exo_checkpoint_mark(range.c, PAGES, 1);
	exo_checkpoint_mark(range.c, ~0ull, ~0ull);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 1);
	range_close(&range);
}

/* Side by side in the buffer and on the disk: one command, up to the largest. */
static void few_commands(void)
{
	struct range range;
	char *other;

	range_open(&range, PAGE);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->commands, 1);
	CHECK(PAGES * PAGE < exo_transfer_max(range.rig.x));
	exo_checkpoint_mark(range.c, 4, 8);
	exo_checkpoint_mark(range.c, 13, 2);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->commands, 2);
	/* By now 12 is at another place than its neighbours. */
	exo_checkpoint_mark(range.c, 10, 5);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->commands, 3);
	/* Two that change their places in memory */
	other = range.at[30];
	range.at[30] = range.at[32];
	range.at[32] = other;
	exo_checkpoint_mark(range.c, 28, 8);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->commands, 5);
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 0);
	range_close(&range);
}

/* Larger than a command moves: page 1 is in several hands at once. */
static void large_pages(void)
{
	struct range range;

	CHECK_EQUAL(truncate(rig_path, 20 << 20), 0);
	range_open(&range, 2u << 20);
	CHECK(exo_transfer_max(range.rig.x) < 2u << 20);
	fill(range.buf, FRAMES_BYTES, 5);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 2);
	CHECK_EQUAL(stats(&range)->commands, FRAMES_BYTES / exo_transfer_max(range.rig.x));
	range.buf[(3u << 20) + 17]++;
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 1);
	exo_checkpoint_mark(range.c, 1, 1);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 1);
	range.buf[(3u << 20) + 17]--;
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 1);
	CHECK_EQUAL(exo_checkpoint_restore(range.c, range.rig.q), 0);
	range.buf[(3u << 20) + 17]--;
	CHECK(filled(range.buf, FRAMES_BYTES, 5));
	range_close(&range);
	CHECK_EQUAL(truncate(rig_path, RIG_BYTES), 0);
}

/* Their offsets in buffer space are neighbours, and no command may be about both. */
static void two_buffers(void)
{
	struct model m = { { 0 } };
	struct range range;
	void *one, *other;

	range_open(&range, PAGE);
	CHECK_EQUAL(exo_buf_alloc(range.rig.q, RIG_BUF, &one), 0);
	CHECK_EQUAL(exo_buf_alloc(range.rig.q, RIG_BUF, &other), 0);
	CHECK((char *)other == (char *)one + RIG_BUF);
	for (unsigned int i = 0; i < PAGES; i++) {
		range.at[i] = (char *)one + RIG_BUF - 20 * PAGE + i * PAGE;
		write_page(&range, i, m.versions[i] = 1);
	}
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->commands, 2);
	CHECK(store_is(&range.rig, range.s, &m));
	CHECK_EQUAL(exo_checkpoint_restore(range.c, range.rig.q), 0);
	CHECK(range_is(&range, &m));
	range_close(&range);
}

static void restored(void)
{
	struct model m = { { 0 } };
	struct range range;

	range_open(&range, PAGE);
	for (unsigned int i = 0; i < PAGES; i += 1 + i % 3)
		write_page(&range, i, m.versions[i] = 1);
	CHECK_EQUAL(take(&range), 0);
	for (unsigned int i = 0; i < PAGES; i += 5)
		write_page(&range, i, m.versions[i] = 2);
	CHECK_EQUAL(take(&range), 0);
	write_page(&range, 9, 3);
	range_close(&range);

	range_open(&range, 0);
	memset(range.buf, 0xee, FRAMES_BYTES);
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), PAGES);
	CHECK_EQUAL(exo_checkpoint_restore(range.c, range.rig.q), 0);
	CHECK(range_is(&range, &m));
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 0);
	/* What was restored need not be saved. */
	write_page(&range, 8, m.versions[8] = 4);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 1);
	CHECK(range_is(&range, &m));
	range_close(&range);
}

static void holes(void)
{
	struct model m = { { 0 } };
	struct range range;
	char *was;

	range_open(&range, PAGE);
	for (unsigned int i = 0; i < PAGES; i++) {
		if (i % 4)
			range.at[i] = NULL;
		else
			write_page(&range, i, m.versions[i] = 1);
	}
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, PAGES / 4);
	CHECK(store_is(&range.rig, range.s, &m));
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 0);
	/* One comes, which nobody marks, and one goes. */
	range.at[5] = range.buf + 5 * PAGE;
	fill(range.at[5], PAGE, seed_of(5, 2));
	m.versions[5] = 2;
	was = range.at[8];
	range.at[8] = NULL;
	m.versions[8] = 0;
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 2);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 1);
	CHECK(store_is(&range.rig, range.s, &m));
	/* A hole is zeroes, and zeroes are no less than a hole. */
	range.at[8] = was;
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 1);
	CHECK_EQUAL(exo_checkpoint_restore(range.c, range.rig.q), 0);
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 0);
	CHECK(all_zero(was, PAGE));
	range.at[12] = NULL;
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 1);
	CHECK_EQUAL(exo_checkpoint_restore(range.c, range.rig.q), -EINVAL);
	CHECK(strstr(exo_queue_strerror(range.rig.q, -EINVAL), "the store has page 12"));
	range_close(&range);
}

/* ---- what fails ---- */

static struct exo_backend failing;
static int fail_in; /* submissions until one fails; 0: none does */

static int fail_sometimes(struct exo_queue *q)
{
	return fail_in && !--fail_in ? -EIO : exo_backend_uring.submit(q);
}

/* Wherever it fails, the store is as before, and the next take has what this should have had. */
static void made_up_for(void)
{
	struct model m = { { 0 } }, before;
	struct range range;
	int failures = 0, r;

	range_open(&range, PAGE);
	for (unsigned int i = 0; i < PAGES; i++)
		write_page(&range, i, m.versions[i] = 1);
	CHECK_EQUAL(take(&range), 0);
	failing = exo_backend_uring;
	failing.submit = fail_sometimes;
	range.rig.x->backend = &failing;
	for (unsigned int at = 1; at <= 16; at++) {
		before = m;
		for (unsigned int i = at % 2; i < PAGES; i += 2 + at % 2)
			write_page(&range, i, m.versions[i] = 1 + at);
		fail_in = at;
		r = take(&range);
		fail_in = 0;
		failures += r != 0;
		if (r) {
			CHECK_EQUAL(r, -EIO);
			CHECK(store_is(&range.rig, range.s, range.s->doubt ? &m : &before));
			/* Other pages, so that it must remember. */
			write_page(&range, 39, m.versions[39] = 100 + at);
			CHECK_EQUAL(take(&range), 0);
		}
		CHECK(store_is(&range.rig, range.s, &m));
		CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), 0);
	}
	CHECK(failures > 4 && failures < 16);
	range.rig.x->backend = &exo_backend_uring;
	range_close(&range);
}

/* When its queue is destroyed, what it had in flight ends; another queue saves it all. */
static void silent_device(void)
{
	struct model before = { { 0 } }, m;
	struct range range;

	range_open(&range, PAGE);
	for (unsigned int i = 0; i < PAGES; i++)
		write_page(&range, i, before.versions[i] = 1);
	CHECK_EQUAL(take(&range), 0);
	m = before;
	for (unsigned int i = 0; i < PAGES; i += 2)
		write_page(&range, i, m.versions[i] = 2);
	failing = exo_backend_uring;
	failing.submit = rig_swallow;
	range.rig.x->backend = &failing;
	range.rig.x->io_timeout_ms = 20;
	CHECK_EQUAL(exo_checkpoint_take(range.c, range.rig.q), -ETIMEDOUT);
	CHECK(exo_queue_in_flight(range.rig.q) > 0);
	CHECK_EQUAL(exo_checkpoint_take(range.c, range.rig.q), -EBUSY);
	range.rig.x->backend = &exo_backend_uring;
	exo_queue_destroy(range.rig.q);
	CHECK_EQUAL(exo_queue_create(range.rig.x, NULL, &range.rig.q), 0);
	CHECK_EQUAL(exo_store_generation(range.s), 1);
	CHECK(store_is(&range.rig, range.s, &before));
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, PAGES / 2);
	CHECK(store_is(&range.rig, range.s, &m));
	range_close(&range);
}

static int lies;

/* A device that says of a command that another has ended, once more. */
static unsigned int lie(struct exo_queue *q)
{
	struct exo_uring_queue *u = exo_queue_private(q)->uring;
	unsigned int n = exo_backend_uring.post(q);

	if (n < 2 || !lies)
		return n;
	lies--;
	u->cq[(u->posted - 1) & q->mask].cid = u->cq[(u->posted - 2) & q->mask].cid;
	return n;
}

static void lying_device(void)
{
	struct range range;
	unsigned int lied;

	range_open(&range, PAGE);
	for (unsigned int i = 0; i < PAGES; i++)
		range.at[i] = range.buf + (PAGES - 1 - i) * PAGE;
	failing = exo_backend_uring;
	failing.post = lie;
	range.rig.x->backend = &failing;
	lies = 1;
	/* If it never had two to tell of, it told the truth. */
	CHECK_EQUAL(exo_checkpoint_take(range.c, range.rig.q) != 0, !lies);
	lied = !lies;
	lies = 0;
	CHECK_EQUAL(exo_store_generation(range.s), !lied);
	printf("# the device %s\n", lied ? "lied" : "had no occasion to lie");
	range_close(&range);
}

static char not_a_buffer[PAGE];

static void nowhere(void)
{
	struct model m = { { [0] = 1 } };
	struct range range;

	range_open(&range, PAGE);
	for (unsigned int i = 1; i < PAGES; i++)
		range.at[i] = NULL;
	write_page(&range, 0, 1);
	CHECK_EQUAL(take(&range), 0);
	range.at[6] = not_a_buffer;
	CHECK_EQUAL(take(&range), -EFAULT);
	CHECK(store_is(&range.rig, range.s, &m));
	range.at[6] = NULL;
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(exo_store_generation(range.s), 1);
	range_close(&range);
}

/* The function forgets a page while a take has it. */
static unsigned int calls_left;

static void *forgetful(void *arg, uint64_t page, uint32_t *access)
{
	(void)access;
	return calls_left && calls_left-- ? ((struct range *)arg)->at[page] : NULL;
}

static void forgets(void)
{
	struct exo_checkpoint_options options = { .size = sizeof(options), .function = forgetful };
	struct exo_checkpoint *c;
	struct range range;

	range_open(&range, PAGE);
	options.arg = &range;
	CHECK_EQUAL(exo_checkpoint_create(range.s, &options, &c), 0);
	calls_left = PAGES + 7;
	CHECK_EQUAL(exo_checkpoint_take(c, range.rig.q), -EINVAL);
	CHECK(strstr(exo_queue_strerror(range.rig.q, -EINVAL), "is in no buffer"));
	CHECK_EQUAL(exo_store_generation(range.s), 0);
	calls_left = ~0u;
	CHECK_EQUAL(exo_checkpoint_take(c, range.rig.q), 0);
	CHECK_EQUAL(exo_checkpoint_stats(c)->pages, PAGES);
	exo_checkpoint_destroy(c);
	range_close(&range);
}

static void wrong_options(void)
{
	struct exo_checkpoint_options options = { .size = sizeof(options) };
	struct exo_checkpoint *c;
	struct range range;

	range_open(&range, PAGE);
	CHECK_EQUAL(exo_checkpoint_create(range.s, &options, &c), -EINVAL);
	CHECK(!c);
	options.function = page_at;
	options.flags = 1;
	CHECK_EQUAL(exo_checkpoint_create(range.s, &options, &c), -EINVAL);
	options.flags = 0;
	options.size = 2;
	CHECK_EQUAL(exo_checkpoint_create(range.s, &options, &c), -EINVAL);
	exo_checkpoint_destroy(NULL);
	exo_prep_read(range.rig.q, range.buf, 0, 1, 0);
	CHECK_EQUAL(exo_checkpoint_take(range.c, range.rig.q), -EBUSY);
	CHECK_EQUAL(exo_checkpoint_restore(range.c, range.rig.q), -EBUSY);
	CHECK_EQUAL(exo_checkpoint_compare(range.c, range.rig.q), -EBUSY);
	CHECK_EQUAL(exo_withdraw(range.rig.q, 0), 1);
	range_close(&range);
}

/* ---- marks from elsewhere ---- */

static int stop;

static void *mark_always(void *arg)
{
	struct range *range = arg;
	uint64_t n = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		exo_checkpoint_mark(range->c, n++ % PAGES, 1);
	return NULL;
}

static void marked_by_others(void)
{
	struct range range;
	pthread_t thread;
	uint64_t pages = 0;

	range_open(&range, PAGE);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(pthread_create(&thread, NULL, mark_always, &range), 0);
	for (unsigned int takes = 0; takes < 50; takes += stats(&range)->pages != 0) {
		CHECK_EQUAL(take(&range), 0);
		pages += stats(&range)->pages;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	exo_checkpoint_mark(range.c, 0, PAGES);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, PAGES);
	CHECK_EQUAL(take(&range), 0);
	CHECK_EQUAL(stats(&range)->pages, 0);
	printf("# %llu pages in 50 takes that had some\n", (unsigned long long)pages);
	range_close(&range);
}

static const struct tap_test tests[] = {
	TEST(only_marked, "the first take saves all, the others what was marked"),
	TEST(few_commands, "neighbours in memory and on the disk are one command"),
	TEST(large_pages, "a page that no command can carry is saved by several"),
	TEST(two_buffers, "pages that lie side by side in two buffers are two commands"),
	TEST(restored, "what was saved is restored elsewhere, and need not be saved again"),
	TEST(holes, "a page that comes is saved, one that goes is a hole"),
	TEST(made_up_for, "what a take that failed should have saved, the next one has"),
	TEST(silent_device,
	     "what a silent device was given is saved by the next take, by another queue"),
	TEST(lying_device, "a device that tells wrongly what has ended makes no checkpoint"),
	TEST(nowhere, "a page that is in no buffer is refused, and nothing is lost"),
	TEST(forgets, "a page that the program forgets in the middle is an error"),
	TEST(wrong_options, "options that cannot be, and queues at work, are refused"),
	TEST(marked_by_others, "another thread marks while takes are under way"),
};

RIG_MAIN(tests)
