// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A shared cache whose owner means ill, or is gone: what it writes into the directory does a reader no
 * harm. Run by share-evil.vm.sh under exo-run, without privileges.
 */
#define _GNU_SOURCE 1
#include "../src/share.h"
#include "../src/touch.h"
#include "cache-vm-rig.h"

/* ---- copies of what vanishes ---- */

static void touched(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	int file = memfd_create("copies", MFD_CLOEXEC);
	char to[2 * PAGE];
	struct exo_window *w;
	struct exo_queue *q;
	uint64_t number;
	void *buf;
	char *at;

	CHECK_EQUAL(exo_queue_create(x, NULL, &q), 0);
	CHECK_EQUAL(exo_buf_alloc(q, PAGE, &buf), 0);
	set(buf, 0x1234567);
	CHECK_EQUAL(exo_window_create(x, 2 * PAGE, &w), 0);
	CHECK_EQUAL(exo_window_map(w, 0, 1, exo_buf_capability(q, buf), 0, EXO_RIGHT_READ), 0);
	CHECK_EQUAL(exo_touch_arm(w), 0);
	at = exo_window_entry(w, 0);
	CHECK_EQUAL(exo_touch_copy(to, at, PAGE), 0);
	CHECK(is(to, 0x1234567));
	CHECK_EQUAL(exo_touch_copy(to, at + 8, PAGE), -EFAULT);
	CHECK_EQUAL(exo_touch_load(&number, (uint64_t *)at), 0);
	CHECK_EQUAL(number, 0x1234567);
	CHECK_EQUAL(exo_touch_load(&number, (uint64_t *)(at + PAGE)), -EFAULT);
	memset(to, 0, sizeof(to));
	CHECK_EQUAL(exo_touch_copy_by(file, to, at, PAGE), 0);
	CHECK(is(to, 0x1234567));
	CHECK_EQUAL(exo_touch_copy_by(file, to, at + 8, PAGE), -EFAULT);
	CHECK_EQUAL(exo_touch_copy_by(file, to, at + PAGE, 8), -EFAULT);
	exo_buf_free(q, buf);
	CHECK_EQUAL(exo_touch_copy(to, at, 1), -EFAULT);
	CHECK_EQUAL(exo_touch_load(&number, (uint64_t *)at), -EFAULT);
	CHECK_EQUAL(exo_touch_copy_by(file, to, at, 1), -EFAULT);
	exo_window_destroy(w);
	close(file);
	exo_close(x);
}

/* ---- an owner that means ill ---- */

static char page[PAGE];

static struct {
	struct exo *x;
	struct exo_queue *q;
	char *directory;
	size_t bytes;
	struct exo_share_head *head;
	struct exo_share_layout layout;
	char text[EXO_TOKEN_TEXT];
	uint64_t random;
	int stop;
} evil;

static uint64_t some(void)
{
	evil.random ^= evil.random << 13;
	evil.random ^= evil.random >> 7;
	evil.random ^= evil.random << 17;
	return evil.random;
}

static void evil_token(const void *buf, uint8_t token[16])
{
	struct exo_token_create arg = { .cap = exo_buf_capability(evil.q, buf),
					.rights = EXO_RIGHT_READ };

	CHECK_EQUAL(exo_sys_token_create(exo_fd(evil.x), &arg), 0);
	memcpy(token, arg.out_token, 16);
}

#define EVIL_SLOTS 64u

/* A directory as an honest owner would have it, empty. */
static void evil_begin(void)
{
	struct exo_share_head head = {
		.magic = EXO_SHARE_MAGIC,
		.page_shift = 12,
		.block_shift = 9,
		.pages = 4096,
		.nsid = 1,
		.bucket_bits = 4,
		.slots = EVIL_SLOTS,
		.slabs = 4,
		.per_slab = 8,
		.pid = (uint32_t)getpid(),
	};
	int fd = exo_share_pidfd(head.pid);
	uint8_t token[16];
	void *buf;

	head.process = exo_share_process(fd);
	close(fd);
	evil.random = 0x9e3779b97f4a7c15ull;
	evil.x = open_handle(EXO_READ);
	evil.bytes = 3 * PAGE;
	CHECK_EQUAL(exo_queue_create(evil.x, NULL, &evil.q), 0);
	CHECK_EQUAL(exo_buf_alloc(evil.q, evil.bytes, &buf), 0);
	evil.directory = buf;
	evil.head = buf;
	evil.layout = exo_share_lay_out(&head);
	CHECK(evil.layout.end <= evil.bytes);
	memset(buf, 0xff, evil.bytes);
	*evil.head = head;
	evil_token(buf, token);
	exo_token_print(token, evil.text);
}

static void evil_head(void)
{
	struct exo_share_head good;
	struct exo_reader *r;
	unsigned int joined = 0;
	uint64_t held;

	evil_begin();
	good = *evil.head;
	held = caps_held(evil.x);
	for (unsigned int i = 0; i < 1500; i++) {
		char *byte = evil.directory + some() % sizeof(good);
		int ret;

		*evil.head = good;
		for (unsigned int n = some() % 3; n < 3; n++)
			byte[n % (sizeof(good) - (byte - evil.directory))] = (char)some();
		ret = exo_cache_join(evil.x, evil.text, &r);
		CHECK(!ret || ret == -EPROTO || ret == -ESTALE || ret == -ENOMEM);
		joined += !ret;
		if (!ret)
			exo_reader_read(r, some() % 4096, page);
		exo_reader_leave(r);
		CHECK_EQUAL(caps_held(evil.x), held);
		if (tap_failed)
			break;
	}
	printf("# joined %u times\n", joined);
	CHECK(joined > 0 && joined < 1500);
	exo_close(evil.x);
}

/* Pages 0 to 15 lie in turn in each of four slabs. */
static void evil_fill(void)
{
	struct exo_share_bucket *buckets = (void *)(evil.directory + evil.layout.buckets);
	struct exo_share_entry *entries = (void *)(evil.directory + evil.layout.entries);

	memset(evil.directory + evil.layout.buckets, 0, evil.layout.slabs - evil.layout.buckets);
	for (unsigned int i = 0; i < 16; i++)
		buckets[i].first = EXO_SHARE_NONE;
	for (uint32_t n = 0; n < 16; n++) {
		uint32_t *first = &buckets[(uint32_t)(n * 0x9e3779b97f4a7c15ull >> 60)].first;

		entries[n].page = n;
		entries[n].slab = n % 4;
		entries[n].index = n / 4;
		entries[n].next = *first;
		*first = n;
	}
}

/* A number that is nearly right, for a moment. */
static void scribble(void)
{
	static const uint32_t numbers[] = { 0, 1, 2, 7, 8, EVIL_SLOTS - 1, EVIL_SLOTS, ~0u };
	uint64_t parts = evil.layout.slabs - evil.layout.buckets, what = some();
	uint32_t *word =
		(uint32_t *)(evil.directory + evil.layout.buckets + (some() % parts & ~3ull));
	uint32_t before = *word;

	__atomic_store_n(word, what % 3 ? numbers[what / 3 % 8] : (uint32_t)(what >> 32),
			 __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < (what >> 40) % 2048; i++)
		__asm__ volatile("" ::: "memory");
	__atomic_store_n(word, before, __ATOMIC_RELAXED);
}

static void *scribbling(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&evil.stop, __ATOMIC_RELAXED))
		scribble();
	return NULL;
}

/* A slab that is one, one that is too small, the directory itself, and a token of nothing. */
static void evil_slabs(const void *slab, const void *small, uint64_t seq)
{
	struct exo_share_slab *at = (void *)(evil.directory + evil.layout.slabs);
	const void *const bufs[] = { slab, small, evil.directory };

	for (unsigned int n = 0; n < 3; n++)
		evil_token(bufs[n], at[n].token);
	for (unsigned int n = 0; n < 4; n++)
		at[n].seq = seq;
}

static void evil_contents(void)
{
	unsigned int counts[135] = { 0 };
	struct exo_reader *r;
	pthread_t thread;
	void *slab, *small;

	evil_begin();
	CHECK_EQUAL(exo_buf_alloc(evil.q, 8 * PAGE, &slab), 0);
	CHECK_EQUAL(exo_buf_alloc(evil.q, PAGE, &small), 0);
	CHECK_EQUAL(exo_cache_join(evil.x, evil.text, &r), 0);
	evil_fill();
	evil.stop = 0;
	CHECK_EQUAL(pthread_create(&thread, NULL, scribbling, NULL), 0);
	for (unsigned int i = 0; i < 4000; i++) {
		int ret;

		if (i % 256 == 0)
			evil_slabs(slab, small, i + 2);
		ret = exo_reader_read(r, i % 17, page);
		CHECK(!ret || ret == -ENOENT || ret == -EAGAIN || ret == -EPROTO || ret == -ESTALE);
		counts[ret > -135 ? -ret : 1]++;
	}
	__atomic_store_n(&evil.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %u read, %u not there, %u changing, %u nonsense, %u gone\n", counts[0],
	       counts[ENOENT], counts[EAGAIN], counts[EPROTO], counts[ESTALE]);
	CHECK(counts[0] && counts[ENOENT] && counts[EPROTO] && counts[ESTALE]);
	exo_reader_leave(r);
	exo_close(evil.x);
}

/* A chain that goes round. */
static void evil_chain(void)
{
	struct exo_reader *r;

	evil_begin();
	CHECK_EQUAL(exo_cache_join(evil.x, evil.text, &r), 0);
	for (unsigned int i = 0; i < 16; i++)
		*(struct exo_share_bucket *)(evil.directory + evil.layout.buckets +
					     i * sizeof(struct exo_share_bucket)) =
			(struct exo_share_bucket){ .seq = 2, .first = 0 };
	for (unsigned int i = 0; i < EVIL_SLOTS; i++)
		*(struct exo_share_entry *)(evil.directory + evil.layout.entries +
					    i * sizeof(struct exo_share_entry)) =
			(struct exo_share_entry){ .seq = 2,
						  .page = 1u << 30,
						  .next = (i + 1) % EVIL_SLOTS };
	CHECK_EQUAL(exo_reader_read(r, 5, page), -EPROTO);
	CHECK(strstr(exo_strerror(evil.x, -EPROTO), "nonsense"));
	exo_reader_leave(r);
	exo_close(evil.x);
}

/* A slab with the number that a reader has for none: what is redeemed for it is not lost sight of. */
static void evil_slab_of_none(void)
{
	struct exo_reader *r;
	uint64_t held;
	void *slab;

	evil_begin();
	CHECK_EQUAL(exo_buf_alloc(evil.q, 8 * PAGE, &slab), 0);
	held = caps_held(evil.x);
	CHECK_EQUAL(exo_cache_join(evil.x, evil.text, &r), 0);
	evil_fill();
	evil_slabs(slab, slab, 0);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_EQUAL(exo_reader_read(r, 0, page), -EPROTO);
	evil_slabs(slab, slab, 2);
	CHECK_EQUAL(exo_reader_read(r, 0, page), 0);
	exo_reader_leave(r);
	CHECK_EQUAL(caps_held(evil.x), held);
	exo_close(evil.x);
}

static const struct tap_test tests[] = {
	TEST(touched, "a copy of what vanishes is an error and no signal, by either way"),
	TEST(evil_head, "a directory of nonsense is refused"),
	TEST(evil_contents, "a directory that turns into nonsense does a reader no harm"),
	TEST(evil_slab_of_none, "what a directory of nonsense is redeemed for is given back"),
	TEST(evil_chain, "a chain without an end is not followed for ever"),
};

TAP_MAIN(tests)
