// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Frames of a NUMA node, in a machine that has two, each with a processor: run by nodes.vm.sh as root, as
 * who may see where a frame is (EXO_FRAMES_NAMES). What asks for frames runs on the other node's
 * processor: what the kernel gives to who does not ask would be wrong.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>

#include "pager-vm-rig.h"

#define NODES 2
#define ABSENT 5 /* of the machine's nodes */
#define PAGE 4096u
#define THREADS 4
#define HELD 100

static void run_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(0, sizeof(set), &set));
}

/* Processor n is node n's. */
static void run_away_from(uint32_t node)
{
	run_on(!node);
}

static struct exo_frames_options on_node(uint32_t node)
{
	return (struct exo_frames_options){ .size = sizeof(struct exo_frames_options),
					    .node = EXO_NODE_ON(node) };
}

static struct exo_frames *frames_of(struct exo_queue *q, const struct exo_frames_options *o)
{
	struct exo_frames *f;

	must(exo_frames_create(q, o, &f));
	return f;
}

static struct exo_frames_cache *cache_of(struct exo_frames *f)
{
	struct exo_frames_cache *c;

	must(exo_frames_cache_create(f, &c));
	return c;
}

static struct exo_queue *open_queue(void)
{
	struct exo_queue *q;

	must(exo_open(name, EXO_READ, &x));
	must(exo_queue_create(x, NULL, &q));
	return q;
}

/* Where a frame of a capability is, by its number of 4 KiB there; -1: nobody says. */
static int node_of_frame(uint32_t cap, uint64_t first)
{
	struct exo_frame_name frame = { 0 };
	struct exo_frames_names arg = {
		.frames = cap,
		.count = 1,
		.names = exo_sys_address(&frame),
	};

	if (exo_sys_frames_names(exo_fd(x), &arg))
		return -1;
	arg.first = first >> frame.order;
	return exo_sys_frames_names(exo_fd(x), &arg) ? -1 : (int)frame.node;
}

static int node_of(const struct exo_frames *f, uint32_t page)
{
	uint64_t first;
	uint32_t cap = exo_frames_capability(f, page, &first);

	return node_of_frame(cap, first);
}

/* ---- an allocator ---- */

static void frames_come_from(const struct exo_frames_options *o, uint32_t node)
{
	uint32_t page, n = 0, wrong = 0;
	struct exo_queue *q = open_queue();
	struct exo_frames *f = frames_of(q, o);
	struct exo_frames_cache *c = cache_of(f);

	while (!exo_frames_get(c, &page)) {
		wrong += node_of(f, page) != (int)node;
		n++;
	}
	CHECK_EQUAL(n, o->limit / (o->page ? o->page : PAGE));
	CHECK_EQUAL(wrong, 0);
	exo_frames_cache_destroy(c);
	exo_frames_destroy(f);
	exo_close(x);
}

static void frames_are_of_the_node(void)
{
	for (uint32_t node = 0; node < NODES; node++) {
		struct exo_frames_options o = on_node(node);

		run_away_from(node);
		o.limit = 64 << 10; /* frames of 4 KiB */
		frames_come_from(&o, node);
		o.limit = 8 * MIB;
		frames_come_from(&o, node);
		o.page = EXO_PAGE_MAX;
		o.order = EXO_BUF_ORDER(EXO_ORDER_2M);
		frames_come_from(&o, node);
	}
}

/* All that the node has, and the other has more. */
static void a_node_that_is_full_is_not_helped_out(void)
{
	struct exo_frames_options o = on_node(1);
	struct exo_queue *q = open_queue();
	struct exo_frames *f = frames_of(q, &o);
	struct exo_frames_cache *c = cache_of(f);
	uint32_t page, wrong = 0, n = 0;
	int r;

	run_away_from(1);
	CHECK_EQUAL(exo_frames_reserve(f, 2048 * MIB), -ENOMEM);
	for (;;) {
		r = exo_frames_get(c, &page);
		if (r)
			break;
		if (page % exo_frames_per_slab(f) == 0)
			wrong += node_of(f, page) != 1;
		n++;
	}
	CHECK_EQUAL(r, -ENOMEM);
	CHECK(n > 256 * MIB / PAGE);
	CHECK_EQUAL(wrong, 0);
	exo_frames_cache_destroy(c);
	exo_frames_destroy(f);
	o.node = EXO_NODE_ON(0);
	f = frames_of(q, &o);
	CHECK_EQUAL(exo_frames_reserve(f, 8 * MIB), 0);
	exo_frames_destroy(f);
	exo_close(x);
}

static void a_node_that_is_not_there_is_refused(void)
{
	struct exo_frames_options o = on_node(ABSENT);
	struct exo_pager_options paged = { .size = sizeof(paged),
					   .memory = 2 * MIB,
					   .node = EXO_NODE_ON(ABSENT) };
	struct exo_queue *q = open_queue();
	struct exo_frames *f = frames_of(q, &o);
	struct exo_frames_cache *c = cache_of(f);
	uint32_t page;

	CHECK_EQUAL(exo_frames_get(c, &page), -EINVAL);
	CHECK_EQUAL(page, EXO_FRAMES_NONE);
	CHECK(strstr(exo_strerror(x, -EINVAL), "of NUMA node 5"));
	CHECK_EQUAL(exo_frames_reserve(f, MIB), -EINVAL);
	exo_frames_cache_destroy(c);
	exo_frames_destroy(f);
	CHECK_EQUAL(exo_pager_create(x, &paged, &p), -EINVAL);
	CHECK(!p);
	CHECK_EQUAL(some_frames(), 0);
	exo_close(x);
}

/* ---- caches ---- */

static struct exo_frames *of_node[NODES];

struct hoard {
	struct exo_frames_cache *cache;
	uint32_t pages[HELD];
	uint32_t nr;
};

/* Takes one, and says whether it is of another node, or gives the latest back. */
static uint32_t step(struct hoard *h, uint32_t node, bool takes)
{
	if (!takes && h->nr)
		exo_frames_put(h->cache, h->pages[--h->nr]);
	if (!takes || h->nr == HELD)
		return 0;
	CHECK_EQUAL(exo_frames_get(h->cache, &h->pages[h->nr]), 0);
	return node_of(of_node[node], h->pages[h->nr++]) != (int)node;
}

static void *take_and_give(void *arg)
{
	uint64_t random = (uintptr_t)arg + 3;
	struct hoard hoards[NODES] = { 0 };
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < NODES; i++)
		hoards[i].cache = cache_of(of_node[i]);
	for (int i = 0; i < 4000; i++) {
		uint32_t node = next_random(&random) % NODES;

		if (i % 500 == 0)
			run_on(next_random(&random) % NODES);
		/* In turn mostly the one and mostly the other: caches fill and drain. */
		wrong +=
			step(&hoards[node], node, next_random(&random) % 8 < (i / 250 % 2 ? 1 : 7));
	}
	CHECK_EQUAL(wrong, 0);
	for (uint32_t i = 0; i < NODES; i++) {
		while (hoards[i].nr)
			exo_frames_put(hoards[i].cache, hoards[i].pages[--hoards[i].nr]);
		exo_frames_cache_destroy(hoards[i].cache);
	}
	return NULL;
}

static void no_thread_gets_a_page_of_another_node(void)
{
	struct exo_queue *q = open_queue();
	pthread_t threads[THREADS];

	for (uint32_t i = 0; i < NODES; i++) {
		struct exo_frames_options o = on_node(i);

		of_node[i] = frames_of(q, &o);
	}
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, take_and_give, (void *)i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < NODES; i++) {
		CHECK(exo_frames_trim(of_node[i]) > 0);
		exo_frames_destroy(of_node[i]);
	}
	exo_close(x);
}

/* ---- a pager ---- */

static void a_pager_has_frames_of_its_node(void)
{
	for (uint32_t node = 0; node < NODES; node++) {
		struct exo_pager_options o = { .size = sizeof(o),
					       .memory = 4 * MIB,
					       .node = EXO_NODE_ON(node) };
		uint32_t caps[8], n, wrong = 0;

		run_away_from(node);
		begin_with(EXO_READ, &o);
		n = all_frames(caps, 8);
		CHECK_EQUAL(n, 2);
		for (uint32_t i = 0; i < n; i++)
			wrong += node_of_frame(caps[i], 0) != (int)node;
		CHECK_EQUAL(wrong, 0);
		(void)*(volatile uint64_t *)at;
		end();
	}
}

static const struct tap_test tests[] = {
	TEST(frames_are_of_the_node, "frames are of the node that was asked for"),
	TEST(a_node_that_is_full_is_not_helped_out, "a node that is full has none of another's"),
	TEST(a_node_that_is_not_there_is_refused, "a node that is not there is refused"),
	TEST(no_thread_gets_a_page_of_another_node,
	     "no thread's cache hands out a page of another node"),
	TEST(a_pager_has_frames_of_its_node, "a pager has frames of its node"),
};

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: nodes-vm EXTENT");
	snprintf(name, sizeof(name), "%s", argv[1]);
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
