// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Time stamps of commands, on rings in ordinary memory.
 */
#include <errno.h>
#include <time.h>

#include "private.h"
#include "tap.h"

#define ENTRIES 8u
#define DEPTH 4u

/* A queue whose thread looks, so that submitting is no call; what the kernel and a device hold. */
struct rig {
	struct exo x;
	struct exo_queue_private p;
	struct exo_nvme_command sq[ENTRIES];
	struct exo_nvme_completion cq[ENTRIES];
	struct exo_queue_control control;
	struct exo_queue_status status;
	uint16_t cids[DEPTH];
	uint64_t user_data[DEPTH];
	struct exo_times times[DEPTH];
	uint32_t posted;
};

static struct exo_queue *rig_init(struct rig *rig, bool times)
{
	struct exo_queue *q = &rig->p.q;

	memset(rig, 0, sizeof(*rig));
	q->sq = rig->sq;
	q->cq = rig->cq;
	q->control = &rig->control;
	q->status = &rig->status;
	q->cids = rig->cids;
	q->user_data = rig->user_data;
	q->times = times ? rig->times : NULL;
	q->mask = ENTRIES - 1;
	q->depth = DEPTH;
	q->threaded = 1;
	q->detour = 1;
	rig->status.thread = EXO_THREAD_RUNNING;
	rig->p.x = &rig->x;
	rig->x.fd = -1;
	pthread_mutex_init(&rig->x.lock, NULL);
	exo_cids_init(q);
	return q;
}

static void post(struct rig *rig, uint16_t cid)
{
	struct exo_nvme_completion *entry = &rig->cq[rig->posted % ENTRIES];

	entry->cid = cid;
	entry->status = !(rig->posted / ENTRIES & 1);
	rig->posted++;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Until it has moved on, so that what comes later is later. */
static uint64_t tick(void)
{
	uint64_t begin = now_ns(), now;

	do
		now = now_ns();
	while (now == begin);
	return now;
}

static void stamps(void)
{
	struct exo_completion done[DEPTH];
	struct exo_times a, b;
	uint64_t t[3];
	struct rig rig;
	struct exo_queue *q = rig_init(&rig, true);

	for (unsigned int round = 0; round < 20; round++) {
		uint16_t first = exo_prep(q, 0)->cid, second = exo_prep(q, 1)->cid;

		t[0] = tick();
		CHECK_EQUAL(exo_submit(q), 2);
		t[1] = tick();
		post(&rig, second);
		post(&rig, first);
		CHECK_EQUAL(exo_reap(q, done, 1), 1);
		t[2] = tick();
		CHECK_EQUAL(exo_completion_times(q, &done[0].raw, &a), 0);
		CHECK(t[0] <= a.submitted_ns && a.submitted_ns < t[1]);
		CHECK(t[1] <= a.seen_ns && a.seen_ns < t[2]);
		/* The other, where it lies: submitted with the first, seen later. */
		CHECK(exo_peek(q));
		done[1].raw = *exo_peek(q);
		CHECK_EQUAL(exo_completion_times(q, &done[1].raw, &b), 0);
		CHECK_EQUAL(b.submitted_ns, a.submitted_ns);
		CHECK_EQUAL(b.seen_ns, 0);
		exo_consume(q);
		CHECK_EQUAL(exo_completion_times(q, &done[1].raw, &b), 0);
		CHECK(b.seen_ns >= t[2]);
	}
}

/* The call fails, as no descriptor is open. */
static void refused_and_submitted_again(void)
{
	struct exo_nvme_completion raw = { 0 };
	struct exo_times first, second;
	struct rig rig;
	struct exo_queue *q = rig_init(&rig, true);

	q->threaded = 0;
	raw.cid = exo_prep(q, 0)->cid;
	CHECK(exo_submit(q) < 0);
	CHECK_EQUAL(exo_completion_times(q, &raw, &first), 0);
	tick();
	CHECK(exo_submit(q) < 0);
	CHECK_EQUAL(exo_completion_times(q, &raw, &second), 0);
	CHECK(second.submitted_ns > first.submitted_ns);
	CHECK_EQUAL(second.seen_ns, 0);
}

static void not_asked_for(void)
{
	struct exo_completion done[DEPTH];
	struct exo_times times = { 1, 2 };
	struct rig rig;
	struct exo_queue *q = rig_init(&rig, false);
	uint16_t cid = exo_prep(q, 0)->cid;

	CHECK_EQUAL(exo_submit(q), 1);
	post(&rig, cid);
	CHECK_EQUAL(exo_reap(q, done, DEPTH), 1);
	CHECK_EQUAL(exo_completion_times(q, &done[0].raw, &times), -ENODATA);
	CHECK_EQUAL(times.submitted_ns, 1);
	CHECK_EQUAL(rig.times[cid].seen_ns | rig.times[cid].submitted_ns, 0);
}

/* The sanitizers look on. */
static void wild_identifiers(void)
{
	static const uint16_t wild[] = { DEPTH, DEPTH + 1, 0x7fff, 0xffff };
	struct exo_nvme_completion raw = { 0 };
	struct exo_completion done[DEPTH];
	struct exo_times times;
	struct rig rig;

	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		struct exo_queue *q = rig_init(&rig, true);

		raw.cid = wild[i];
		CHECK_EQUAL(exo_completion_times(q, &raw, &times), -EINVAL);
		raw.cid = 0;
		CHECK_EQUAL(exo_completion_times(q, &raw, &times), -EINVAL);
		exo_prep(q, 0)->cid = wild[i];
		CHECK_EQUAL(exo_submit(q), 1);
		post(&rig, wild[i]);
		CHECK_EQUAL(exo_reap(q, done, DEPTH), 0);
		exo_consume(q);
		for (unsigned int cid = 0; cid < DEPTH; cid++)
			CHECK_EQUAL(rig.times[cid].submitted_ns | rig.times[cid].seen_ns, 0);
	}
}

static const struct tap_test tests[] = {
	TEST(stamps, "a command was submitted and seen when the clock says so"),
	TEST(refused_and_submitted_again, "what is submitted again is stamped again"),
	TEST(not_asked_for, "a queue that was not asked keeps no time stamps, and says so"),
	TEST(wild_identifiers, "an identifier that cannot be stamps nothing"),
};

TAP_MAIN(tests)
