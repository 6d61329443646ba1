// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Pagers, on the module and a disk of the virtual machine: run by pager.vm.sh under exo-run, without
 * privileges, with an extent of 64 MiB that may be written, and 24 MiB of memory.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../src/store.h"
#include "pager-vm-rig.h"

#define MEMORY (8 * MIB)
#define BYTES (32 * MIB)
#define PAGE 4096u
#define PAGES (BYTES / PAGE)

static struct exo_pager_options usual(void)
{
	return (struct exo_pager_options){ .size = sizeof(struct exo_pager_options),
					   .memory = MEMORY,
					   .bytes = BYTES };
}

static void begin(void)
{
	struct exo_pager_options o = usual();

	begin_with(EXO_READ | EXO_WRITE, &o);
}

/* A word of a page, which value() is of. */
static uint64_t *word(uint64_t page)
{
	return at + page * PAGE / 8 + page % (PAGE / 8);
}

static void write_all(uint64_t pass)
{
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) = value(i, pass);
}

static uint64_t wrong_words(uint64_t pass)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		wrong += *word(i) != value(i, pass);
	return wrong;
}

/* ---- what it is for ---- */

static void it_all_comes_back(void)
{
	begin();
	CHECK_EQUAL(exo_pager_bytes(p), BYTES);
	CHECK_EQUAL(stats().pages, MEMORY / PAGE);
	write_all(1);
	CHECK_EQUAL(wrong_words(1), 0);
	CHECK(stats().evictions > 0 && stats().writes > 0);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
	begin();
	CHECK_EQUAL(wrong_words(1), 0);
	CHECK_EQUAL(stats().writes, 0);
	end();
}

static uint32_t counts[PAGES];

static void in_any_order_of(struct exo_pager_options o, unsigned int steps)
{
	uint64_t random = 88172645463325252ull, wrong = 0;

	memset(counts, 0, sizeof(counts));
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (uint64_t i = 0; i < PAGES; i++)
		at[i * PAGE / 8] = 0;
	for (unsigned int i = 0; i < steps; i++) {
		uint64_t page = next_random(&random) % PAGES;

		if (next_random(&random) % 2)
			at[page * PAGE / 8] = ++counts[page];
		else
			wrong += at[page * PAGE / 8] != counts[page];
		if (i % (steps / 4) == 0)
			CHECK_EQUAL(exo_pager_flush(p), 0);
	}
	CHECK_EQUAL(wrong, 0);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
	begin();
	for (uint64_t i = 0; i < PAGES; i++)
		wrong += at[i * PAGE / 8] != counts[i];
	CHECK_EQUAL(wrong, 0);
	end();
}

static void in_any_order(void)
{
	in_any_order_of(usual(), 4000);
}

static void in_pages_of_64k(void)
{
	struct exo_pager_options o = usual();

	o.page = 65536;
	in_any_order_of(o, 1000);
}

static void pages_of_2m_need_memory(void)
{
	struct exo_pager_options o = usual();

	o.page = EXO_PAGE_MAX;
	o.memory = 16 * EXO_PAGE_MAX;
	must(exo_open(name, EXO_READ | EXO_WRITE, &x));
	/* 16 of them are the whole session's memory. */
	CHECK_EQUAL(exo_pager_create(x, &o, &p), -EDQUOT);
	exo_close(x);
	o.memory = 15 * EXO_PAGE_MAX;
	must(exo_open(name, EXO_READ | EXO_WRITE, &x));
	CHECK_EQUAL(exo_pager_create(x, &o, &p), -EINVAL);
	exo_close(x);
}

static void with_one_lane_and_fifo(void)
{
	struct exo_pager_options o = usual();

	o.lanes = 1;
	o.policy = exo_policy_fifo();
	o.read_ahead = EXO_READ_AHEAD_NONE;
	in_any_order_of(o, 2000);
}

/* ---- what is read and written ---- */

static void clean_pages_are_not_written(void)
{
	uint64_t sum = 0, before;

	begin();
	for (uint64_t i = 0; i < PAGES; i++)
		sum += *word(i);
	CHECK(sum);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes, 0);
	CHECK_EQUAL(stats().reads, PAGES);
	for (uint64_t i = 100; i < 110; i++)
		*word(i) = 5;
	before = stats().writes;
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes - before, 10);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes - before, 10);
	end();
}

static void order_is_read_ahead(void)
{
	struct exo_pager_stats s;

	begin();
	for (uint64_t i = 0; i < PAGES; i++)
		(void)*(volatile uint64_t *)word(i);
	s = stats();
	CHECK_EQUAL(s.reads, PAGES);
	CHECK(s.ahead > PAGES * 9 / 10);
	CHECK(s.faults < PAGES / 8);
	end();
}

static void disorder_is_not(void)
{
	uint64_t random = 1;

	begin();
	for (unsigned int i = 0; i < 2000; i++)
		(void)*(volatile uint64_t *)word(next_random(&random) % PAGES);
	CHECK(stats().ahead < 100);
	end();
}

static void prefetched_pages_need_no_touch(void)
{
	uint64_t before;

	begin();
	CHECK_EQUAL(exo_pager_prefetch(p, at, 20 * PAGE), 20);
	CHECK_EQUAL(exo_pager_prefetch(p, at, 20 * PAGE), 0);
	(void)*(volatile uint64_t *)word(19);
	before = stats().faults;
	for (int i = 0; i < 20; i++)
		(void)*(volatile uint64_t *)word(i);
	/* Those that the first wait did not see may be waited for. */
	CHECK(stats().faults - before < 20);
	CHECK_EQUAL(stats().reads, 20);
	CHECK_EQUAL(exo_pager_prefetch(p, (char *)at + BYTES - 1, 2), -EINVAL);
	CHECK_EQUAL(exo_pager_prefetch(p, (char *)at - 1, 1), -EINVAL);
	end();
}

static void fresh_pages_are_zero(void)
{
	struct exo_pager_options o = usual();
	uint64_t wrong = 0;

	o.flags = EXO_PAGER_FRESH;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (uint64_t i = 0; i < PAGES; i++) {
		wrong += *word(i) != 0;
		if (i % 2)
			*word(i) = value(i, 7);
	}
	for (uint64_t i = 0; i < PAGES; i++)
		wrong += *word(i) != (i % 2 ? value(i, 7) : 0);
	CHECK_EQUAL(wrong, 0);
	end();
}

/* What lies around a small write on the disk is not the page's. */
static void fresh_pages_are_zero_around_a_write(void)
{
	struct exo_pager_options o = usual();
	uint64_t wrong = 0;

	begin();
	for (uint64_t i = 0; i < BYTES / 8; i++)
		at[i] = ~0ull;
	must(exo_pager_flush(p));
	end();
	o.flags = EXO_PAGER_FRESH;
	o.page = 65536;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (uint64_t i = 0; i < BYTES / 65536; i++)
		at[i * 8192] = 1;
	for (uint64_t i = 0; i < BYTES / 65536; i++)
		wrong += at[i * 8192 + 4096] != 0;
	CHECK_EQUAL(wrong, 0);
	end();
}

static void each_flush_counts(void)
{
	struct exo_pager_options o = usual();
	uint64_t before;

	o.page = 65536;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (int i = 0; i < 255; i++)
		must(exo_pager_flush(p));
	at[0]++;
	before = stats().writes;
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(stats().writes - before, 1);
	end();
}

static void touch(uint64_t page)
{
	(void)*(volatile uint64_t *)word(page);
}

/* Each pair begins a stream that nobody goes on with. */
static void abandoned_streams_of(const struct exo_policy *policy)
{
	struct exo_pager_options o = usual();
	uint64_t reads;

	o.memory = MIB;
	o.policy = policy;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (uint64_t i = 0; i + 1 < PAGES; i += 8) {
		touch(i);
		touch(i + 1);
	}
	for (int k = 0; k < 2; k++)
		for (uint64_t i = 7; i < 512; i += 8)
			touch(i);
	reads = stats().reads;
	for (uint64_t i = 7; i < 512; i += 8)
		touch(i);
	CHECK_EQUAL(stats().reads, reads);
	end();
}

static void abandoned_streams_leave_room(void)
{
	abandoned_streams_of(exo_policy_lru());
	abandoned_streams_of(exo_policy_fifo());
}

/* ---- the program's own policy ---- */

static struct {
	unsigned int entered, left, victims;
	uint32_t slots, last;
} seen;

static void *own_create(void *arg, uint32_t slots)
{
	seen.slots = slots;
	return arg;
}

static void own_destroy(void *state)
{
	CHECK(state == &seen);
	seen.slots = 0;
}

/* Most recently used: of all slots, the one that entered last. */
static uint32_t stack[MEMORY / PAGE], stack_nr;

static void own_enter(void *state, uint32_t slot, uint64_t page, int how)
{
	(void)state;
	(void)how;
	CHECK(slot < seen.slots && page < PAGES && stack_nr < MEMORY / PAGE);
	stack[stack_nr++] = slot;
	seen.entered++;
}

static void own_leave(void *state, uint32_t slot)
{
	(void)state;
	for (uint32_t i = 0; i < stack_nr; i++)
		if (stack[i] == slot)
			stack[i--] = stack[--stack_nr];
	seen.left++;
}

static uint32_t own_victim(void *state)
{
	(void)state;
	seen.victims++;
	return stack_nr ? stack[--stack_nr] : EXO_SLOT_NONE;
}

static void the_program_chooses(void)
{
	static const struct exo_policy own = {
		.size = sizeof(own),
		.arg = &seen,
		.create = own_create,
		.destroy = own_destroy,
		.enter = own_enter,
		.leave = own_leave,
		.victim = own_victim,
	};
	struct exo_pager_options o = usual();
	uint64_t reads;

	o.policy = &own;
	o.read_ahead = EXO_READ_AHEAD_NONE;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (int k = 0; k < 3; k++)
		for (uint64_t i = 0; i < PAGES / 2; i++)
			(void)*(volatile uint64_t *)word(i);
	reads = stats().reads;
	CHECK(seen.victims > 0 && seen.entered >= reads);
	/* Twice the memory, in turn, is what LRU is worst at: it would read all of it thrice. */
	CHECK(reads < PAGES / 2 * 3 * 3 / 4);
	end();
	CHECK_EQUAL(seen.slots, 0);
}

static uint32_t no_victim(void *state)
{
	(void)state;
	return EXO_SLOT_NONE;
}

static void ignore_enter(void *state, uint32_t slot, uint64_t page, int how)
{
	(void)state;
	(void)slot;
	(void)page;
	(void)how;
}

static void ignore_leave(void *state, uint32_t slot)
{
	(void)state;
	(void)slot;
}

static void a_policy_without_victims_is_overruled(void)
{
	static const struct exo_policy own = {
		.size = sizeof(own),
		.arg = &seen,
		.create = own_create,
		.destroy = own_destroy,
		.enter = ignore_enter,
		.leave = ignore_leave,
		.victim = no_victim,
	};
	struct exo_pager_options o = usual();

	o.policy = &own;
	begin_with(EXO_READ | EXO_WRITE, &o);
	write_all(2);
	CHECK_EQUAL(wrong_words(2), 0);
	end();
}

/* ---- system calls ---- */

static void system_calls_need_pins(void)
{
	int fds[2];
	uint64_t got = 0;

	begin();
	*word(3) = value(3, 9);
	for (uint64_t i = 4; i < PAGES; i++)
		(void)*(volatile uint64_t *)word(i);
	CHECK(!pipe(fds));
	CHECK(write(fds[1], word(3), 8) < 0 && errno == EFAULT);
	CHECK_EQUAL(exo_pager_pin(p, word(3), 8), 0);
	CHECK_EQUAL(write(fds[1], word(3), 8), 8);
	CHECK_EQUAL(read(fds[0], &got, 8), 8);
	CHECK_EQUAL(got, value(3, 9));
	/* It stays, whatever comes. */
	for (uint64_t i = 4; i < PAGES; i++)
		(void)*(volatile uint64_t *)word(i);
	CHECK_EQUAL(write(fds[1], &got, 8), 8);
	CHECK_EQUAL(read(fds[0], word(3) + 1, 8), 8);
	exo_pager_unpin(p, word(3), 8);
	/* What the kernel wrote is dirty, too. */
	for (uint64_t i = 4; i < PAGES; i++)
		(void)*(volatile uint64_t *)word(i);
	CHECK(write(fds[1], word(3), 8) < 0 && errno == EFAULT);
	CHECK_EQUAL(word(3)[1], value(3, 9));
	close(fds[0]);
	close(fds[1]);
	end();
}

static void not_all_can_be_pinned(void)
{
	begin();
	CHECK_EQUAL(exo_pager_pin(p, at, MEMORY), -ENOBUFS);
	CHECK(strstr(exo_strerror(x, -ENOBUFS), "cannot be pinned"));
	CHECK_EQUAL(exo_pager_pin(p, at, MEMORY - 16 * PAGE), 0);
	CHECK_EQUAL(exo_pager_pin(p, at, MEMORY / 2), -ENOBUFS);
	/* What is left is enough. */
	CHECK_EQUAL(*word(PAGES - 1), *word(PAGES - 1));
	for (uint64_t i = PAGES - 300; i < PAGES; i++)
		*word(i) = value(i, 3);
	for (uint64_t i = PAGES - 300; i < PAGES; i++)
		CHECK_EQUAL(*word(i), value(i, 3));
	exo_pager_unpin(p, at, MEMORY - 16 * PAGE);
	CHECK_EQUAL(exo_pager_pin(p, at, MEMORY / 2), 0);
	exo_pager_unpin(p, at, MEMORY / 2);
	CHECK_EQUAL(exo_pager_pin(p, (char *)at + BYTES, 1), -EINVAL);
	end();
}

/* First in, first out: what came first stays, and what came later has to go in its place. */
static void what_is_pinned_is_in_nobodys_way(void)
{
	struct exo_pager_options o = usual();

	o.policy = exo_policy_fifo();
	o.memory = MIB;
	begin_with(EXO_READ | EXO_WRITE, &o);
	CHECK_EQUAL(exo_pager_pin(p, at, 32 * PAGE), 0);
	for (uint64_t i = 0; i < 1000; i++)
		touch(i * 3);
	exo_pager_unpin(p, at, 32 * PAGE);
	end();
}

/* ---- in a store ---- */

#define STORE_PAGES 2048u
#define KILLS 6

static struct exo_queue *store_queue;

static void format_store(void)
{
	struct exo_store_options o = { .size = sizeof(o), .pages = STORE_PAGES };
	struct exo_queue *q;

	must(exo_open(name, EXO_READ | EXO_WRITE, &x));
	must(exo_queue_create(x, NULL, &q));
	must(exo_store_format(q, &o));
	exo_close(x);
}

static void begin_in_store(void)
{
	store_queue = begin_with_store(MIB);
}

static void write_store(uint64_t pass)
{
	for (uint64_t i = 0; i < STORE_PAGES; i++)
		*word(i) = value(i, pass);
}

/* The pass that all pages of the store are of; ~0: they are not of one. */
static uint64_t pass_of_store(void)
{
	uint64_t pass, wrong = 0;

	begin_in_store();
	pass = *word(0) ? *word(0) ^ value(0, 0) : 0;
	for (uint64_t i = 0; i < STORE_PAGES; i++)
		wrong += *word(i) != (pass ? value(i, pass) : 0);
	end_in_store();
	return wrong ? ~0ull : pass;
}

static void a_flush_is_all_or_nothing(void)
{
	format_store();
	CHECK_EQUAL(pass_of_store(), 0);
	begin_in_store();
	CHECK_EQUAL(exo_pager_bytes(p), STORE_PAGES * PAGE);
	write_store(1);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	write_store(2);
	CHECK(stats().evictions > STORE_PAGES);
	end_in_store();
	CHECK_EQUAL(pass_of_store(), 1);
	begin_in_store();
	write_store(3);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end_in_store();
	CHECK_EQUAL(pass_of_store(), 3);
}

/* A session of its own for who is killed: what is in one that lives on would stay. */
static void name_another_session(struct exo *grantor)
{
	static const uint32_t parts[] = { EXO_TYPE_EXTENT, EXO_TYPE_CONTROLLER, EXO_TYPE_POOL };
	char text[EXO_TOKEN_TEXT];
	uint8_t token[16];

	strcpy(name, "token:");
	for (int i = 0; i < 3; i++) {
		must(exo_token_create(grantor, parts[i], 0, 1, 0, EXO_TOKEN_ANYBODY, token));
		strcat(name, i ? "," : "");
		strcat(name, exo_token_print(token, text));
	}
}

/* Until it is killed, it writes passes, and says before and after each flush which it is. */
static void write_passes(int to, uint64_t pass)
{
	begin_in_store();
	for (;; pass++) {
		write_store(pass);
		if (write(to, &pass, sizeof(pass)) < 0 || exo_pager_flush(p))
			_exit(1);
	}
}

static void killed_at_any_instant_there_is_a_whole_pass(void)
{
	uint64_t pass = 1, told, found, random = 5;
	struct exo *grantor;
	int fds[2];

	format_store();
	must(exo_open(name, EXO_READ | EXO_WRITE, &grantor));
	for (int i = 0; i < KILLS; i++) {
		struct timespec nap = { .tv_nsec = next_random(&random) % 300000000 };
		pid_t pid;

		CHECK(!pipe2(fds, O_NONBLOCK));
		name_another_session(grantor);
		pid = fork();
		if (!pid)
			write_passes(fds[1], pass);
		strcpy(name, "exo:");
		CHECK_EQUAL(poll(&(struct pollfd){ fds[0], POLLIN, 0 }, 1, -1), 1);
		nanosleep(&nap, NULL);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, NULL, 0) == pid);
		/* The last that it told of was being flushed, or is; what it did not tell of, not. */
		for (told = pass - 1; read(fds[0], &found, sizeof(found)) == sizeof(found);)
			told = found;
		found = pass_of_store();
		CHECK(found == told || found == told - 1);
		pass = found + 1;
		close(fds[0]);
		close(fds[1]);
	}
	CHECK(pass > KILLS / 2);
	exo_close(grantor);
}

/* ---- threads ---- */

#define THREADS 4
#define TURNS 800

static void *add_everywhere(void *arg)
{
	uint64_t random = (uintptr_t)arg + 99;

	for (int i = 0; i < TURNS; i++) {
		uint64_t page = next_random(&random) % PAGES;

		/* Its first word is everybody's, its others are a thread's own. */
		__atomic_add_fetch(at + page * PAGE / 8, 1, __ATOMIC_RELAXED);
		at[page * PAGE / 8 + 1 + (uintptr_t)arg]++;
		if (i % 400 == 0)
			CHECK_EQUAL(exo_pager_flush(p), 0);
	}
	return NULL;
}

static void threads_share_it(void)
{
	pthread_t threads[THREADS];
	uint64_t sums[THREADS + 1] = { 0 };
	struct exo_pager_options o = usual();

	o.flags = EXO_PAGER_FRESH;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, add_everywhere, (void *)i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t page = 0; page < PAGES; page++)
		for (int i = 0; i <= THREADS; i++)
			sums[i] += at[page * PAGE / 8 + i];
	CHECK_EQUAL(sums[0], THREADS * TURNS);
	for (int i = 1; i <= THREADS; i++)
		CHECK_EQUAL(sums[i], TURNS);
	end();
}

/* Each has its own pages, and says what it finds there; somebody else flushes all the time. */
static uint32_t written[STORE_PAGES];
static bool enough;

static void *write_own(void *arg)
{
	uint64_t random = (uintptr_t)arg * 77 + 5, wrong = 0;

	for (int i = 0; i < 4000; i++) {
		uint64_t page = next_random(&random) % 110 * 4 + (uintptr_t)arg;

		wrong += at[page * PAGE / 8] != written[page];
		at[page * PAGE / 8] = ++written[page];
	}
	CHECK_EQUAL(wrong, 0);
	return NULL;
}

static void *flush_all_the_time(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
		CHECK_EQUAL(exo_pager_flush(p), 0);
	return NULL;
}

static uint64_t wrong_pages(void)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < STORE_PAGES; i++)
		wrong += at[i * PAGE / 8] != written[i];
	return wrong;
}

static void threads_write_while_a_store_commits(void)
{
	pthread_t writers[3], flusher;

	format_store();
	begin_in_store();
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(!pthread_create(&writers[i], NULL, write_own, (void *)i));
	CHECK(!pthread_create(&flusher, NULL, flush_all_the_time, NULL));
	for (int i = 0; i < 3; i++)
		pthread_join(writers[i], NULL);
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	pthread_join(flusher, NULL);
	CHECK_EQUAL(wrong_pages(), 0);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end_in_store();
	begin_in_store();
	CHECK_EQUAL(wrong_pages(), 0);
	end_in_store();
}

static void a_commit_that_failed_is_repeated(void)
{
	format_store();
	begin_in_store();
	*word(1) = 1;
	must(exo_pager_flush(p));
	*word(1) = 2;
	/* As after a root that could not be written. */
	store->doubt = store->changed = true;
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end_in_store();
	begin_in_store();
	CHECK_EQUAL(*word(1), 2);
	end_in_store();
}

/* ---- less memory ---- */

static void it_gives_up_what_is_asked(void)
{
	begin();
	write_all(4);
	CHECK_EQUAL(exo_pager_give_up(p, 1), 512);
	CHECK_EQUAL(exo_pager_give_up(p, 1000), 1024);
	CHECK_EQUAL(stats().pages, 512);
	/* The rest is its own. */
	CHECK_EQUAL(exo_pager_give_up(p, 1), 0);
	CHECK_EQUAL(wrong_words(4), 0);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
}

static void pinned_pages_are_not_given_up(void)
{
	begin();
	for (uint64_t i = 0; i < MEMORY / PAGE; i += 512)
		CHECK_EQUAL(exo_pager_pin(p, word(i), 8), 0);
	write_all(5);
	CHECK(exo_pager_give_up(p, 2048) < 2048);
	CHECK_EQUAL(wrong_words(5), 0);
	end();
}

static void it_lives_on_when_frames_are_taken(void)
{
	uint64_t wrong = 0;

	begin();
	write_all(6);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	take(some_frames());
	/* What was on the disk is still there. */
	for (int k = 0; k < 2; k++)
		wrong += wrong_words(6);
	CHECK_EQUAL(wrong, 0);
	CHECK(stats().lost > 0);
	CHECK_EQUAL(stats().pages, 1536);
	/* What was not may have been in them. */
	CHECK_EQUAL(exo_pager_flush(p), -ESTALE);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
}

/* Nobody touched anything since: the flush has to look for itself. */
static void a_flush_notices_what_was_taken(void)
{

	begin();
	for (uint64_t i = 0; i < 1900; i++)
		*word(i) = 1;
	CHECK_EQUAL(exo_pager_flush(p), 0);
	for (uint64_t i = 0; i < 1900; i++)
		*word(i) = 2;
	take(some_frames());
	CHECK_EQUAL(exo_pager_flush(p), -ESTALE);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
}

static void fresh_pages_come_where_frames_are(void)
{
	struct exo_pager_options o = usual();

	o.flags = EXO_PAGER_FRESH;
	begin_with(EXO_READ | EXO_WRITE, &o);
	touch(0);
	take(some_frames());
	for (uint64_t i = 0; i < PAGES; i++)
		CHECK_EQUAL(*word(i), 0);
	CHECK_EQUAL(stats().pages, 1536);
	end();
}

/* The number of a capability that is gone is the next one's. */
static void what_is_asked_back_is_not_given_behind_its_back(void)
{
	struct exo_asked asked = { .type = EXO_TYPE_FRAMES };
	struct exo_queue *q;
	uint64_t changed = 0, *words;
	void *buf;

	begin();
	must(exo_queue_create(x, NULL, &q));
	write_all(8);
	must(exo_pager_flush(p));
	asked.cap = some_frames();
	CHECK_EQUAL(exo_give_up(x, &asked), 0);
	take(asked.cap);
	CHECK_EQUAL(wrong_words(8), 0);
	must(exo_buf_alloc(q, 2 * MIB, &buf));
	words = buf;
	for (uint64_t i = 0; i < 2 * MIB / 8; i++)
		words[i] = 0xa5;
	write_all(9);
	CHECK_EQUAL(wrong_words(9), 0);
	for (uint64_t i = 0; i < 2 * MIB / 8; i++)
		changed += words[i] != 0xa5;
	CHECK_EQUAL(changed, 0);
	end();
}

/* Frames are taken until a system call does not reach @word any more; some stay. */
static void take_frames_of(const uint64_t *word, int fd)
{
	uint32_t caps[4], n = all_frames(caps, 4);

	CHECK_EQUAL(n, 4);
	/* The latest are used first. */
	while (n > 1 && write(fd, word, 8) == 8)
		take(caps[--n]);
	CHECK(write(fd, word, 8) < 0 && errno == EFAULT);
}

/* Whatever is not pinned goes. */
static void touch_all_but(uint64_t page)
{
	for (uint64_t i = page + 1; i < PAGES / 2; i++)
		touch(i);
}

/* Page 3 holds that of a pass, on the disk too, and was pinned by two. */
static void begin_pinned_twice(uint64_t pass)
{
	begin();
	*word(3) = value(3, pass);
	CHECK_EQUAL(exo_pager_flush(p), 0);
	CHECK_EQUAL(exo_pager_pin(p, word(3), 8), 0);
	CHECK_EQUAL(exo_pager_pin(p, word(3), 8), 0);
}

/* Two pinned it, and one more who comes later: each lets go of what is its own. */
static void a_pin_that_ended_is_not_anothers(void)
{
	int fd = memfd_create("sink", 0);

	begin_pinned_twice(9);
	take_frames_of(word(3), fd);
	CHECK_EQUAL(exo_pager_pin(p, word(3), 8), 0);
	CHECK_EQUAL(*word(3), value(3, 9));
	CHECK_EQUAL(exo_pager_flush(p), -ESTALE);
	exo_pager_unpin(p, word(3), 8);
	exo_pager_unpin(p, word(3), 8);
	touch_all_but(3);
	CHECK_EQUAL(write(fd, word(3), 8), 8);
	exo_pager_unpin(p, word(3), 8);
	touch_all_but(3);
	CHECK(write(fd, word(3), 8) < 0 && errno == EFAULT);
	close(fd);
	end();
}

static void what_was_taken_is_not_pinned_when_it_is_touched(void)
{
	int fd = memfd_create("sink", 0);

	begin_pinned_twice(10);
	*word(3) = value(3, 11);
	take_frames_of(word(3), fd);
	CHECK_EQUAL(*word(3), value(3, 10));
	touch_all_but(3);
	CHECK(write(fd, word(3), 8) < 0 && errno == EFAULT);
	CHECK_EQUAL(exo_pager_flush(p), -ESTALE);
	exo_pager_unpin(p, word(3), 8);
	exo_pager_unpin(p, word(3), 8);
	/* Nothing is owed: the next is as the first. */
	CHECK_EQUAL(exo_pager_pin(p, word(3), 8), 0);
	touch_all_but(3);
	CHECK_EQUAL(write(fd, word(3), 8), 8);
	exo_pager_unpin(p, word(3), 8);
	touch_all_but(3);
	CHECK(write(fd, word(3), 8) < 0 && errno == EFAULT);
	close(fd);
	end();
}

static void it_gives_up_under_its_threads(void)
{
	pthread_t threads[THREADS];
	struct exo_pager_options o = usual();
	uint64_t sum = 0;

	o.flags = EXO_PAGER_FRESH;
	o.lanes = 3;
	begin_with(EXO_READ | EXO_WRITE, &o);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, add_everywhere, (void *)i));
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(exo_pager_give_up(p, 512), 512);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t page = 0; page < PAGES; page++)
		sum += at[page * PAGE / 8];
	CHECK_EQUAL(sum, THREADS * TURNS);
	end();
}

/* ---- errors ---- */

static sigjmp_buf out;
static int error_seen;
static void *address_seen;

static void note_error(void *arg, void *address, int error)
{
	CHECK(arg == &out);
	error_seen = error;
	address_seen = address;
	siglongjmp(out, 1);
}

static void a_reader_cannot_write(void)
{
	struct exo_pager_options o = usual();

	o.on_error = note_error;
	o.arg = &out;
	begin_with(EXO_READ, &o);
	(void)*(volatile uint64_t *)word(9);
	if (!sigsetjmp(out, 0))
		*word(9) = 1;
	CHECK_EQUAL(error_seen, -EACCES);
	CHECK(address_seen == word(9));
	error_seen = 0;
	if (!sigsetjmp(out, 0))
		*word(10) = 1;
	CHECK_EQUAL(error_seen, -EACCES);
	CHECK_EQUAL(*word(9), *word(9));
	CHECK_EQUAL(exo_pager_flush(p), 0);
	end();
}

static void without_its_extent_it_says_so(void)
{
	struct exo_pager_options o = usual();

	o.on_error = note_error;
	o.arg = &out;
	begin_with(EXO_READ | EXO_WRITE, &o);
	*word(1) = 1;
	take(exo_extent_cap(x));
	error_seen = 0;
	if (!sigsetjmp(out, 0))
		*word(2) = 1;
	CHECK(error_seen < 0);
	CHECK_EQUAL(*word(1), 1);
	CHECK(exo_pager_flush(p) < 0);
	end();
}

static void unasked_it_is_a_bus_error(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct exo_pager_options o = usual();

		begin_with(EXO_READ, &o);
		*word(9) = 1;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void nobody_is_deaf_to_it(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct exo_pager_options o = usual();

		signal(SIGBUS, SIG_IGN);
		begin_with(EXO_READ, &o);
		*word(9) = 1;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void nonsense_is_refused(void)
{
	static const struct exo_policy empty = { .size = sizeof(empty) };
	static const struct {
		struct exo_pager_options o;
		int r;
	} wrong[] = {
		{ { .memory = 15 * PAGE }, -EINVAL },
		{ { .memory = MEMORY, .page = 5000 }, -EINVAL },
		{ { .memory = MEMORY, .page = 4 * MIB }, -EINVAL },
		{ { .memory = MEMORY, .bytes = 100 }, -EINVAL },
		{ { .memory = MEMORY, .bytes = 1ull << 43 }, -EINVAL },
		{ { .memory = MEMORY, .bytes = 1ull << 40 }, -ERANGE },
		{ { .memory = MEMORY, .first = 1ull << 60 }, -ERANGE },
		{ { .memory = MEMORY, .first = 8, .bytes = 64 * MIB }, -ERANGE },
		{ { .memory = MEMORY, .lanes = 17 }, -EINVAL },
		{ { .memory = MEMORY, .flags = 2 }, -EINVAL },
		{ { .memory = ~0ull }, -EINVAL },
		{ { .memory = 100 * MIB }, -EDQUOT },
		{ { .memory = MEMORY, .policy = &empty }, -EINVAL },
	};

	must(exo_open(name, EXO_READ | EXO_WRITE, &x));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct exo_pager_options o = wrong[i].o;

		o.size = sizeof(o);
		CHECK_EQUAL(exo_pager_create(x, &o, &p), wrong[i].r);
		CHECK(!p);
	}
	exo_pager_destroy(NULL);
	exo_close(x);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TEST(it_all_comes_back, "four times its memory is written, and comes back"),
		TEST(in_any_order, "in any order, too"),
		TEST(in_pages_of_64k, "in pages of 64 KiB"),
		TEST(pages_of_2m_need_memory, "pages of 2 MiB need memory for 16"),
		TEST(with_one_lane_and_fifo, "with one lane, first in, first out"),
		TEST(clean_pages_are_not_written, "what is not dirty is not written"),
		TEST(order_is_read_ahead, "who reads in order seldom waits"),
		TEST(disorder_is_not, "who does not has nothing read ahead"),
		TEST(prefetched_pages_need_no_touch, "what is prefetched is there"),
		TEST(fresh_pages_are_zero,
		     "a fresh pager begins with zeroes, whatever is on the disk"),
		TEST(fresh_pages_are_zero_around_a_write,
		     "and are zero around what was written to them"),
		TEST(each_flush_counts, "the 256th flush is as good as the first"),
		TEST(abandoned_streams_leave_room,
		     "streams that nobody goes on with leave room for others"),
		TEST(the_program_chooses, "the program's own policy is asked"),
		TEST(a_policy_without_victims_is_overruled,
		     "a policy that has no victim is overruled"),
		TEST(system_calls_need_pins, "system calls reach what is pinned, and nothing else"),
		TEST(not_all_can_be_pinned, "some pages have to be left to the others"),
		TEST(what_is_pinned_is_in_nobodys_way, "what is pinned is in nobody's way"),
		TEST(a_flush_is_all_or_nothing, "in a store a flush is all or nothing"),
		TEST(killed_at_any_instant_there_is_a_whole_pass,
		     "killed at any instant, there is what the last flush left"),
		TEST(threads_share_it, "threads lose nothing to each other"),
		TEST(threads_write_while_a_store_commits, "threads write while a store commits"),
		TEST(a_commit_that_failed_is_repeated,
		     "a commit that failed at its last step is repeated"),
		TEST(it_gives_up_what_is_asked, "it gives up slabs and loses nothing"),
		TEST(pinned_pages_are_not_given_up, "it does not give up what is pinned"),
		TEST(it_lives_on_when_frames_are_taken,
		     "frames taken by force: it says so, and goes on"),
		TEST(a_flush_notices_what_was_taken,
		     "a flush says that written pages were taken, though nobody touched them"),
		TEST(a_pin_that_ended_is_not_anothers,
		     "a pin that ended with its frames is not let go of in another's place"),
		TEST(what_was_taken_is_not_pinned_when_it_is_touched,
		     "a page that was taken is pinned by who pins it anew, and not by a touch"),
		TEST(fresh_pages_come_where_frames_are,
		     "pages of zeroes come to frames that are there"),
		TEST(what_is_asked_back_is_not_given_behind_its_back,
		     "the library gives none of its frames to others"),
		TEST(it_gives_up_under_its_threads, "it gives up while threads touch all of it"),
		TEST(a_reader_cannot_write, "without the write right a write is an error"),
		TEST(without_its_extent_it_says_so, "without its extent a touch is an error"),
		TEST(unasked_it_is_a_bus_error, "an error that nobody asked for is SIGBUS"),
		TEST(nobody_is_deaf_to_it, "also for who ignores SIGBUS"),
		TEST(nonsense_is_refused, "options that make no sense are refused"),
	};

	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
