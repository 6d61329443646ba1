// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Checkpoints of windows, in the virtual machine: run by checkpoint.vm.sh under exo-run, without
 * privileges, with an extent of 32 MiB that may be written and is kept, and 64 MiB of memory.
 * Other processes get theirs by tokens, so that all they had is gone when they are killed.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libexo.h>

#include "tap.h"

#define PAGE 4096u
#define LARGE (2u << 20)
#define PAGES 512u
#define FIRST 1024u /* entry that page 0 begins with */
#define READ_WRITE (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define TOKENS_NAME (sizeof("token:") + 3 * EXO_TOKEN_TEXT)

/**
 * struct scene - a window with memory in it, and its checkpoint
 * @buf: the memory
 * @scattered: no page lies beside its neighbours there, so that each is a command
 * @frames: its capability
 * @absent: pages that are holes
 * @read_only: pages that the program does not let itself write to
 * @refused: touches of those
 */
struct scene {
	struct exo *x;
	struct exo_queue *q;
	struct exo_store *s;
	struct exo_window *w;
	struct exo_checkpoint *c;
	char *buf;
	uint32_t frames;
	bool scattered;
	uint32_t page;
	uint32_t pages;
	bool absent[PAGES];
	bool read_only[PAGES];
	unsigned int refused;
	sigjmp_buf out;
};

/* What a test begins with; a failure here is nothing that it is about. */
static void must(struct exo *x, int r)
{
	if (r)
		errx(1, "%s", exo_strerror(x, r));
}

/* Where in the memory a page is, in pages */
static uint64_t frame_of(const struct scene *e, uint64_t page)
{
	return e->scattered ? page * 37 % e->pages : page;
}

static void *page_at(void *arg, uint64_t page, uint32_t *access)
{
	struct scene *e = arg;

	if (e->read_only[page])
		*access = EXO_RIGHT_READ;
	return e->absent[page] ? NULL : e->buf + frame_of(e, page) * e->page;
}

static volatile uint64_t *word(struct scene *e, uint64_t page, unsigned int at)
{
	return (uint64_t *)((char *)exo_window_entry(e->w, FIRST) + page * e->page) + at;
}

static void on_fault(void *arg, struct exo_upcall *touch)
{
	struct scene *e = arg;
	uint64_t page = (touch->address - (uintptr_t)word(e, 0, 0)) / e->page;

	if (exo_checkpoint_touch(e->c, touch) || !e->read_only[page])
		return;
	e->refused++;
	siglongjmp(e->out, 1);
}

static void open_disk(struct scene *e, const char *name)
{
	struct exo_queue_options options = { .size = sizeof(options), .depth = 8 };

	memset(e, 0, sizeof(*e));
	must(e->x, exo_open(name, EXO_READ | EXO_WRITE, &e->x));
	must(e->x, exo_queue_create(e->x, &options, &e->q));
}

static void format(struct scene *e, uint32_t page, uint32_t pages)
{
	struct exo_store_options options = { .size = sizeof(options),
					     .page = page,
					     .pages = pages };

	must(e->x, exo_store_format(e->q, &options));
}

static int map_window(struct scene *e)
{
	int r = 0;

	if (e->page == LARGE)
		return exo_window_map_large(e->w, FIRST, e->pages * 512, e->frames, 0, READ_WRITE);
	if (!e->scattered)
		return exo_window_map(e->w, FIRST, e->pages, e->frames, 0, READ_WRITE);
	for (uint64_t i = 0; !r && i < e->pages; i++)
		r = exo_window_map(e->w, FIRST + i, 1, e->frames, frame_of(e, i), READ_WRITE);
	return r;
}

static void open_window(struct scene *e)
{
	struct exo_checkpoint_options options = { .size = sizeof(options), .first = FIRST };
	void *buf;

	must(e->x, exo_store_open(e->q, 0, &e->s));
	e->page = exo_store_page(e->s);
	e->pages = exo_store_pages(e->s);
	must(e->x, exo_buf_alloc(e->q, (size_t)e->pages * e->page, &buf));
	e->buf = buf;
	e->frames = exo_buf_capability(e->q, buf);
	must(e->x, exo_window_create(e->x, 1ull << 30, &e->w));
	must(e->x, map_window(e));
	options.window = e->w;
	options.function = page_at;
	options.arg = e;
	must(e->x, exo_checkpoint_create(e->s, &options, &e->c));
	must(e->x, exo_window_on_fault(e->w, on_fault, e, 0));
}

static void open_scene(struct scene *e, const char *name)
{
	open_disk(e, name);
	format(e, PAGE, PAGES);
	open_window(e);
}

static void close_scene(struct scene *e)
{
	exo_checkpoint_destroy(e->c);
	exo_window_destroy(e->w);
	exo_store_close(e->s);
	exo_close(e->x);
}

static uint64_t take(struct scene *e)
{
	int r = exo_checkpoint_take(e->c, e->q);

	CHECK_EQUAL(r, 0);
	if (r)
		printf("# %s\n", exo_strerror(e->x, r));
	return exo_checkpoint_stats(e->c)->pages;
}

/* 1: it is written; 0: the program does not allow it. */
static int try_write(struct scene *e, uint64_t page, uint64_t value)
{
	if (sigsetjmp(e->out, 1))
		return 0;
	*word(e, page, 0) = value;
	return 1;
}

/* ---- other processes ---- */

static char tokens[TOKENS_NAME];

static void make_tokens(struct exo *x)
{
	static const uint32_t kinds[] = { EXO_TYPE_EXTENT, EXO_TYPE_CONTROLLER, EXO_TYPE_POOL };
	char text[EXO_TOKEN_TEXT];
	uint8_t token[16];

	strcpy(tokens, "token:");
	for (int i = 0; i < 3; i++) {
		must(x, exo_token_create(x, kinds[i], 0, 0, 0, getuid(), token));
		strcat(strcat(tokens, i ? "," : ""), exo_token_print(token, text));
	}
}

static pid_t start(void (*run)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	unsetenv("EXO_FD");
	closefrom(3);
	tap_failed = 0;
	run();
	fflush(stdout);
	_exit(tap_failed);
}

/* Its checks are ours. */
static void run_elsewhere(void (*run)(void))
{
	int status = -1;

	CHECK(waitpid(start(run), &status, 0) > 0);
	CHECK_EQUAL(status, 0);
}

/* ---- what a take saves ---- */

static void only_written(void)
{
	struct scene e;

	open_scene(&e, "exo:");
	for (uint64_t i = 0; i < PAGES; i++)
		*word(&e, i, 0) = i;
	CHECK_EQUAL(take(&e), PAGES);
	CHECK(exo_checkpoint_stats(e.c)->commands <= PAGES * PAGE / exo_transfer_max(e.x) + 1);
	CHECK_EQUAL(take(&e), 0);
	*word(&e, 7, 99) = 1;
	*word(&e, 8, 0) = 1;
	*word(&e, 400, 511) = 1;
	(void)*word(&e, 9, 0);
	CHECK_EQUAL(take(&e), 3);
	CHECK_EQUAL(exo_checkpoint_stats(e.c)->commands, 2);
	CHECK_EQUAL(take(&e), 0);
	CHECK_EQUAL(exo_store_generation(e.s), 2);
	/* Past the window, nobody tells but the program. */
	e.buf[20 * PAGE] = 1;
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 1);
	exo_checkpoint_mark(e.c, 20, 1);
	*word(&e, 21, 0) = 1;
	CHECK_EQUAL(take(&e), 2);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	CHECK_EQUAL(exo_checkpoint_stats(e.c)->touches, 0);
	close_scene(&e);
}

static void in_another_process(void)
{
	struct scene e;

	open_disk(&e, tokens);
	open_window(&e);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), PAGES - 1); /* page 0 is zeroes */
	*word(&e, 3, 5) = 77;
	CHECK_EQUAL(exo_checkpoint_restore(e.c, e.q), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		CHECK(*word(&e, i, 0) == i * (i % 3 ? 1 : 2) && *word(&e, i, 5) == 0);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	CHECK_EQUAL(take(&e), 0);
	*word(&e, 3, 5) = 78;
	CHECK_EQUAL(take(&e), 1);
	CHECK_EQUAL(exo_store_generation(e.s), 3);
	close_scene(&e);
}

static void restored_elsewhere(void)
{
	struct scene e;

	open_scene(&e, "exo:");
	make_tokens(e.x);
	for (uint64_t i = 0; i < PAGES; i++)
		*word(&e, i, 0) = i;
	CHECK_EQUAL(take(&e), PAGES);
	for (uint64_t i = 0; i < PAGES; i += 3)
		*word(&e, i, 0) *= 2;
	CHECK_EQUAL(take(&e), (PAGES + 2) / 3);
	*word(&e, 5, 0) = 0; /* which no checkpoint has */
	run_elsewhere(in_another_process);
	close_scene(&e);
}

static void beyond(void)
{
	struct exo_checkpoint_options options = { .size = sizeof(options), .function = page_at };
	const uint64_t entries = (1ull << 30) / PAGE;
	struct exo_checkpoint *c;
	struct scene e;

	open_scene(&e, "exo:");
	options.window = e.w;
	options.arg = &e;
	options.first = entries - PAGES;
	CHECK_EQUAL(exo_checkpoint_create(e.s, &options, &c), 0);
	exo_checkpoint_destroy(c);
	options.first++;
	CHECK_EQUAL(exo_checkpoint_create(e.s, &options, &c), -EINVAL);
	CHECK(!c && strstr(exo_strerror(e.x, -EINVAL), "the store has 512 pages"));
	options.first = ~0ull;
	CHECK_EQUAL(exo_checkpoint_create(e.s, &options, &c), -EINVAL);
	close_scene(&e);
}

static void holes(void)
{
	struct scene e;

	open_disk(&e, "exo:");
	format(&e, PAGE, PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		e.absent[i] = i % 2;
	open_window(&e);
	for (uint64_t i = 1; i < PAGES; i += 2)
		CHECK_EQUAL(exo_window_unmap(e.w, FIRST + i, 1), 0);
	CHECK_EQUAL(take(&e), PAGES / 2);
	CHECK_EQUAL(exo_window_map(e.w, FIRST + 5, 1, e.frames, 5, READ_WRITE), 0);
	e.absent[5] = false;
	CHECK_EQUAL(exo_window_unmap(e.w, FIRST + 8, 1), 0);
	e.absent[8] = true;
	*word(&e, 10, 0) = 1;
	CHECK_EQUAL(take(&e), 2);
	CHECK_EQUAL(exo_store_find(e.s, 8), EXO_STORE_HOLE);
	CHECK(exo_store_find(e.s, 5) != EXO_STORE_HOLE);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	close_scene(&e);
}

/* Entries of 2 MiB, which no command of this disk can carry. */
static void large_entries(void)
{
	struct scene e;

	open_disk(&e, "exo:");
	format(&e, LARGE, 6);
	open_window(&e);
	CHECK(exo_transfer_max(e.x) < LARGE);
	for (uint64_t i = 0; i < 6; i++)
		*word(&e, i, i) = i;
	CHECK_EQUAL(take(&e), 6);
	CHECK_EQUAL(take(&e), 0);
	*word(&e, 2, 100000) = 1;
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 1);
	CHECK_EQUAL(take(&e), 1);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	CHECK_EQUAL(try_write(&e, 2, 1), 1);
	close_scene(&e);
}

/* ---- access ---- */

static void own_access(void)
{
	struct scene e;

	open_scene(&e, "exo:");
	*word(&e, 4, 0) = 4;
	CHECK_EQUAL(take(&e), PAGES);
	*word(&e, 4, 0) = 5;
	CHECK_EQUAL(exo_window_protect(e.w, FIRST + 4, 1, EXO_RIGHT_READ), 0);
	e.read_only[4] = true;
	/* What was written before is saved, and it stays read-only. */
	CHECK_EQUAL(take(&e), 1);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	CHECK_EQUAL(try_write(&e, 4, 6), 0);
	CHECK_EQUAL(e.refused, 1);
	CHECK_EQUAL(try_write(&e, 3, 6), 1);
	CHECK_EQUAL(try_write(&e, 5, 6), 1);
	CHECK_EQUAL(take(&e), 2);
	CHECK_EQUAL(*word(&e, 4, 0), 5);
	close_scene(&e);
}

static void all_writable(struct scene *e)
{
	for (uint64_t i = 0; i < PAGES; i++)
		if (!e->absent[i])
			CHECK_EQUAL(try_write(e, i, 1000 + i), 1);
}

/* A take that fails on the way gives all access back, and forgets nothing. */
static void failed_takes(void)
{
	struct exo_queue *elsewhere;
	struct exo *other;
	struct scene e;
	int r;

	open_scene(&e, "exo:");
	CHECK_EQUAL(take(&e), PAGES);
	*word(&e, 40, 0) = 1;
	/* The window has not what the function says. */
	CHECK_EQUAL(exo_window_unmap(e.w, FIRST + 100, 1), 0);
	r = exo_checkpoint_take(e.c, e.q);
	CHECK_EQUAL(r, -ENOENT);
	CHECK(strstr(exo_strerror(e.x, r), "entry 1124 of the window is empty"));
	e.absent[100] = true;
	all_writable(&e);
	CHECK_EQUAL(take(&e), PAGES - 1);
	/* The commands are refused: the buffer is another handle's. */
	*word(&e, 41, 0) = 1;
	*word(&e, 43, 0) = 1;
	CHECK_EQUAL(exo_open("exo:", EXO_READ | EXO_WRITE, &other), 0);
	CHECK_EQUAL(exo_queue_create(other, NULL, &elsewhere), 0);
	CHECK_EQUAL(exo_checkpoint_take(e.c, elsewhere), -EFAULT);
	exo_close(other);
	CHECK_EQUAL(exo_store_generation(e.s), 2);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 2);
	CHECK_EQUAL(try_write(&e, 41, 2), 1);
	*word(&e, 60, 0) = 1;
	CHECK_EQUAL(take(&e), 3);
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	all_writable(&e);
	close_scene(&e);
}

/* ---- threads that write all the time ---- */

/*
 * Two threads take turns: number n is written to the first and the last word of page n % PAGES, and
 * only then the turn is the other's. So what the range held at any instant is known from the
 * largest number in it.
 */
struct writers {
	struct scene e;
	uint64_t next;
	int stop;
};

struct writer {
	struct writers *all;
	unsigned int index;
	pthread_t thread;
};

static void *write_always(void *arg)
{
	struct writer *w = arg;
	struct writers *all = w->all;
	uint64_t n;

	while (!__atomic_load_n(&all->stop, __ATOMIC_ACQUIRE)) {
		n = __atomic_load_n(&all->next, __ATOMIC_ACQUIRE);
		if (n % 2 != w->index) {
			sched_yield();
			continue;
		}
		*word(&all->e, n % PAGES, 0) = n;
		*word(&all->e, n % PAGES, 511) = n;
		__atomic_store_n(&all->next, n + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The latest number up to @last that belongs to a page; 0: none */
static uint64_t latest(uint64_t last, uint64_t page)
{
	uint64_t back = (last - page) % PAGES;

	return back <= last ? last - back : 0;
}

/* What the store holds is what the range held at one instant. */
static void is_one_instant(struct scene *e, uint64_t *last)
{
	static uint64_t firsts[PAGES], lasts[PAGES];
	uint64_t most = 0, wrong = 0;
	uint64_t *data;
	void *buf;

	must(e->x, exo_buf_alloc(e->q, PAGE, &buf));
	data = buf;
	for (uint64_t i = 0; i < PAGES; i++) {
		must(e->x,
		     exo_read(e->q, buf, exo_store_find(e->s, i), PAGE / exo_block_size(e->x)));
		firsts[i] = data[0];
		lasts[i] = data[511];
		most = firsts[i] > most ? firsts[i] : most;
	}
	for (uint64_t i = 0; i < PAGES; i++)
		wrong += firsts[i] != latest(most, i) ||
			 (lasts[i] != firsts[i] &&
			  (i != most % PAGES || lasts[i] != latest(most - 1, i)));
	CHECK_EQUAL(wrong, 0);
	CHECK(most >= *last);
	*last = most;
	exo_buf_free(e->q, buf);
}

static void one_instant(void)
{
	struct writer threads[2];
	static struct writers all;
	uint64_t last = 0, touches = 0, pages = 0, took = 0, began;

	open_disk(&all.e, "exo:");
	format(&all.e, PAGE, PAGES);
	all.e.scattered = true;
	open_window(&all.e);
	all.next = 1;
	for (unsigned int i = 0; i < 2; i++) {
		threads[i] = (struct writer){ .all = &all, .index = i };
		CHECK_EQUAL(pthread_create(&threads[i].thread, NULL, write_always, &threads[i]), 0);
	}
	for (unsigned int i = 0; i < 30; i++) {
		began = __atomic_load_n(&all.next, __ATOMIC_ACQUIRE);
		take(&all.e);
		CHECK(exo_checkpoint_stats(all.e.c)->pages > 0);
		touches += exo_checkpoint_stats(all.e.c)->touches;
		pages += exo_checkpoint_stats(all.e.c)->pages;
		took += __atomic_load_n(&all.next, __ATOMIC_ACQUIRE) - began;
		is_one_instant(&all.e, &last);
		CHECK(last + 1 >= began);
	}
	__atomic_store_n(&all.stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i].thread, NULL);
	printf("# 30 takes: %llu pages, %llu writes meanwhile, of which %llu waited\n",
	       (unsigned long long)pages, (unsigned long long)took, (unsigned long long)touches);
	CHECK(touches > 0);
	CHECK(took > touches);
	CHECK(take(&all.e) > 0);
	CHECK_EQUAL(exo_checkpoint_compare(all.e.c, all.e.q), 0);
	CHECK_EQUAL(take(&all.e), 0);
	close_scene(&all.e);
}

/* ---- killed at any instant ---- */

/**
 * struct news - what the one that is killed tells
 * @taken: generation of the last take that returned
 * @kept: takes that did not return, and count
 * @takes: takes that returned, of all rounds
 * @ns: how long the last of them took
 * @within: a take is under way
 */
static struct news {
	uint64_t taken;
	uint64_t kept;
	uint64_t takes;
	uint64_t ns;
	int within;
} * news;

#define ROUNDS 40

/* Generation @n writes this to page @page, or nothing: 0. */
static bool writes(uint64_t n, uint64_t page)
{
	return n == 1 || ((n * 2654435761u) ^ (page * 40503u)) % 5 == 0;
}

static uint64_t value_at(uint64_t generation, uint64_t page)
{
	while (generation && !writes(generation, page))
		generation--;
	return generation ? generation << 16 | page : 0;
}

static void write_generation(struct scene *e, uint64_t n)
{
	for (uint64_t i = 0; i < PAGES; i++)
		if (writes(n, i))
			for (unsigned int at = 0; at < 512; at += 64)
				*word(e, i, at + n % 64) = value_at(n, i);
}

/* The words of a page that generation @n should have left; words move with the generation. */
static bool holds_generation(struct scene *e, uint64_t n)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t value = value_at(n, i);

		for (unsigned int at = 0; at < 512; at += 64)
			wrong += value && *word(e, i, at + (value >> 16) % 64) != value;
		for (unsigned int at = 0; at < 512; at++)
			wrong += *word(e, i, at) > value;
	}
	return !wrong;
}

/* Restores, checks, and takes until it is killed. */
static void take_for_ever(void)
{
	static struct scene e;
	uint64_t n;

	open_disk(&e, tokens);
	e.scattered = true;
	open_window(&e);
	n = exo_store_generation(e.s);
	CHECK(n == news->taken || n == news->taken + 1);
	news->kept += n - news->taken;
	CHECK_EQUAL(exo_checkpoint_restore(e.c, e.q), 0);
	CHECK(holds_generation(&e, n));
	CHECK_EQUAL(exo_checkpoint_compare(e.c, e.q), 0);
	__atomic_store_n(&news->taken, n, __ATOMIC_RELEASE);
	while (!tap_failed) {
		write_generation(&e, ++n);
		__atomic_store_n(&news->within, 1, __ATOMIC_RELEASE);
		take(&e);
		__atomic_store_n(&news->taken, n, __ATOMIC_RELEASE);
		__atomic_store_n(&news->within, 0, __ATOMIC_RELEASE);
		news->ns = exo_checkpoint_stats(e.c)->ns;
		CHECK_EQUAL(exo_store_generation(e.s), n);
		__atomic_fetch_add(&news->takes, 1, __ATOMIC_RELAXED);
	}
}

/* At any instant of a take, most often. Returns its status. */
static int kill_soon(pid_t pid)
{
	uint64_t takes = news->takes;
	struct timespec some = { 0 };
	int status = 0;

	while (__atomic_load_n(&news->takes, __ATOMIC_RELAXED) == takes &&
	       waitpid(pid, &status, WNOHANG) == 0)
		sched_yield();
	if (!status) {
		some.tv_nsec = random() % (2 * news->ns + 1) % 999999999;
		nanosleep(&some, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return status;
}

static void killed(void)
{
	unsigned int within = 0;
	struct scene e;

	open_disk(&e, "exo:");
	format(&e, PAGE, PAGES);
	make_tokens(e.x);
	news = mmap(NULL, sizeof(*news), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	srandom(5);
	for (unsigned int i = 0; i < ROUNDS && !tap_failed; i++) {
		int status = kill_soon(start(take_for_ever));

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		within += news->within;
	}
	printf("# %u killed, %u in a take, of which %llu count, after %llu takes of some %llu ms\n",
	       ROUNDS, within, (unsigned long long)news->kept, (unsigned long long)news->takes,
	       (unsigned long long)news->ns / 1000000);
	CHECK(within > ROUNDS / 10);
	munmap(news, sizeof(*news));
	exo_close(e.x);
}

static const struct tap_test tests[] = {
	TEST(only_written, "the first take saves all, the next what was written since"),
	TEST(restored_elsewhere, "another process has it back in a window of its own"),
	TEST(beyond, "a store with more pages than the window has is refused"),
	TEST(holes, "pages come and go, and so they do in the store"),
	TEST(large_entries, "entries of 2 MiB are saved whole"),
	TEST(own_access, "what the program made read-only is saved, and stays so"),
	TEST(failed_takes, "a take that fails gives access back, and the next makes up for it"),
	TEST(one_instant, "a take is one instant of threads that write all the time"),
	TEST(killed, "who is killed at any instant left the last checkpoint or that one, whole"),
};

TAP_MAIN(tests)
