// SPDX-License-Identifier: MIT
/* Ways to give pages to addresses and to take them away; see memory.h. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../selftests/lib.h"
#include "memory.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define THREADS_MAX 2u
#define PAGES_MAX 512u

static char *at[THREADS_MAX];
static size_t bytes; /* of one */
static unsigned int threads_nr;

static void touch_all(char *first, unsigned int pages, size_t step)
{
	for (unsigned int i = 0; i < pages; i++)
		*(volatile char *)(first + i * step) = 1;
}

static void unmap_all(void)
{
	for (unsigned int i = 0; i < threads_nr; i++)
		munmap(at[i], bytes);
}

/* ---- exo ---- */

static int session = -1;
static __u32 pool;
static __u32 frames[THREADS_MAX];

static bool exo_begin_order(unsigned int pages, unsigned int threads, __u32 order)
{
	const size_t unit = order == EXO_ORDER_2M ? HUGE_PAGE : PAGE;
	struct exo_frames_alloc arg;

	threads_nr = threads;
	bytes = pages * unit;
	session = session_open();
	exo_must(session, "/dev/exo");
	exo_must(claim_pool(session, &pool), "claim");
	for (unsigned int i = 0; i < threads; i++) {
		exo_must(frames_alloc(session, pool, order, pages, ANY_NODE, &arg), "frames");
		frames[i] = arg.out_cap;
		at[i] = window_create(session, bytes);
		if (at[i] == MAP_FAILED)
			err(1, "window");
	}
	return true;
}

static void exo_end(void)
{
	unmap_all();
	close(session);
}

static bool exo_begin(unsigned int pages, unsigned int threads)
{
	return exo_begin_order(pages, threads, EXO_ORDER_4K);
}

static void exo_map_unmap(unsigned int number, unsigned int pages)
{
	exo_must(window_map(session, at[number], 0, pages, frames[number], 0, RW), "map");
	touch_all(at[number], pages, PAGE);
	exo_must(window_unmap(session, at[number], 0, pages), "unmap");
}

static const struct memory_mapper exo = {
	.name = "exo",
	.begin = exo_begin,
	.end = exo_end,
	.map_unmap = exo_map_unmap,
};

/* Each page by an operation of its own, the frames in the opposite order. */
static void exo_map_unmap_scattered(unsigned int number, unsigned int pages)
{
	struct exo_window_op ops[PAGES_MAX] = { 0 };

	for (unsigned int i = 0; i < pages; i++)
		ops[i] = (struct exo_window_op){
			.op = EXO_WINDOW_MAP,
			.first = i,
			.count = 1,
			.access = RW,
			.frames = frames[number],
			.page = pages - 1 - i,
		};
	exo_must(window_set(session, at[number], ops, pages), "map");
	touch_all(at[number], pages, PAGE);
	exo_must(window_unmap(session, at[number], 0, pages), "unmap");
}

static const struct memory_mapper exo_scattered = {
	.name = "exo-scattered",
	.begin = exo_begin,
	.end = exo_end,
	.map_unmap = exo_map_unmap_scattered,
};

static bool exo_begin_large(unsigned int pages, unsigned int threads)
{
	return exo_begin_order(pages, threads, EXO_ORDER_2M);
}

static void exo_map_unmap_large(unsigned int number, unsigned int pages)
{
	const unsigned int entries = pages * (HUGE_PAGE / PAGE);

	exo_must(window_map_large(session, at[number], 0, entries, frames[number], 0, RW), "map");
	touch_all(at[number], pages, HUGE_PAGE);
	exo_must(window_unmap(session, at[number], 0, entries), "unmap");
}

static const struct memory_mapper exo_large = {
	.name = "exo",
	.large = true,
	.begin = exo_begin_large,
	.end = exo_end,
	.map_unmap = exo_map_unmap_large,
};

/* ---- anonymous memory ---- */

static bool anonymous_begin_unit(unsigned int pages, unsigned int threads, size_t unit, int advice)
{
	threads_nr = threads;
	bytes = pages * unit + HUGE_PAGE;
	for (unsigned int i = 0; i < threads; i++) {
		at[i] = anonymous(bytes);
		if (at[i] == MAP_FAILED)
			err(1, "mmap");
		madvise(at[i], bytes, advice);
	}
	return true;
}

static bool anonymous_begin(unsigned int pages, unsigned int threads)
{
	return anonymous_begin_unit(pages, threads, PAGE, MADV_NOHUGEPAGE);
}

static void anonymous_map_unmap(unsigned int number, unsigned int pages)
{
	touch_all(at[number], pages, PAGE);
	madvise(at[number], pages * PAGE, MADV_DONTNEED);
}

static const struct memory_mapper anonymous_4k = {
	.name = "touch-dontneed",
	.begin = anonymous_begin,
	.end = unmap_all,
	.map_unmap = anonymous_map_unmap,
};

static bool anonymous_begin_large(unsigned int pages, unsigned int threads)
{
	return anonymous_begin_unit(pages, threads, HUGE_PAGE, MADV_HUGEPAGE);
}

static char *aligned(char *address)
{
	return (char *)(((uintptr_t)address + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
}

static void anonymous_map_unmap_large(unsigned int number, unsigned int pages)
{
	char *first = aligned(at[number]);

	touch_all(first, pages, HUGE_PAGE);
	madvise(first, pages * HUGE_PAGE, MADV_DONTNEED);
}

static const struct memory_mapper anonymous_2m = {
	.name = "touch-dontneed",
	.large = true,
	.begin = anonymous_begin_large,
	.end = unmap_all,
	.map_unmap = anonymous_map_unmap_large,
};

/* ---- a memfd whose pages are there ---- */

static int memfd[THREADS_MAX];

static bool memfd_begin(unsigned int pages, unsigned int threads)
{
	threads_nr = threads;
	bytes = pages * PAGE;
	for (unsigned int i = 0; i < threads; i++) {
		memfd[i] = memfd_create("memory", MFD_CLOEXEC);
		if (memfd[i] < 0 || ftruncate(memfd[i], bytes))
			err(1, "memfd");
		at[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd[i], 0);
		if (at[i] == MAP_FAILED)
			err(1, "mmap");
		touch_all(at[i], pages, PAGE);
	}
	return true;
}

static void memfd_end(void)
{
	unmap_all();
	for (unsigned int i = 0; i < threads_nr; i++)
		close(memfd[i]);
}

static void memfd_map_unmap(unsigned int number, unsigned int pages)
{
	char *first = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   memfd[number], 0);

	if (first == MAP_FAILED)
		err(1, "mmap");
	touch_all(first, pages, PAGE);
	munmap(first, pages * PAGE);
}

static const struct memory_mapper memfd_4k = {
	.name = "memfd-mmap",
	.begin = memfd_begin,
	.end = memfd_end,
	.map_unmap = memfd_map_unmap,
};

const struct memory_mapper *const memory_mappers[] = {
	&exo, &exo_scattered, &anonymous_4k, &memfd_4k, &exo_large, &anonymous_2m, NULL,
};
