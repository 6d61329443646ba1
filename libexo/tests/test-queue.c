// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The arithmetic of a queue, on rings in ordinary memory: command identifiers,
 * indexes that wrap at 2^32, phases that turn, numbers a device should not post.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"
#include "tap.h"

#define ENTRIES 8u
#define DEPTH 5u

/* What a queue lies in: the pages that the kernel would share, and our arrays. */
struct rig {
	struct exo x;
	struct exo_queue_private p;
	struct exo_nvme_command sq[ENTRIES];
	struct exo_nvme_completion cq[ENTRIES];
	struct exo_queue_control control;
	struct exo_queue_status status;
	uint16_t cids[DEPTH];
	uint64_t user_data[DEPTH];
	uint64_t deltas[4];
	uint32_t posted; /* completions ever written */
};

/* A queue whose indexes all begin at @begin, a multiple of twice the entries. */
static void rig_init(struct rig *rig, uint32_t begin)
{
	memset(rig, 0, sizeof(*rig));
	rig->p.q.sq = rig->sq;
	rig->p.q.cq = rig->cq;
	rig->p.q.control = &rig->control;
	rig->p.q.status = &rig->status;
	rig->p.q.cids = rig->cids;
	rig->p.q.user_data = rig->user_data;
	rig->p.q.mask = ENTRIES - 1;
	rig->p.q.depth = DEPTH;
	rig->p.q.first = 1000;
	rig->p.q.first_qword = 7ull << 32;
	rig->p.q.sq_tail = rig->p.q.sq_head = rig->p.q.cq_head = rig->posted = begin;
	rig->p.q.buf_base = 0x40000000;
	rig->p.q.buf_delta = rig->deltas;
	rig->p.q.buf_chunks = 4;
	rig->p.x = &rig->x;
	pthread_mutex_init(&rig->x.lock, NULL);
	exo_cids_init(&rig->p.q);
}

/* What a device does at the end of a command. */
static void post(struct rig *rig, uint16_t cid, uint16_t status)
{
	struct exo_nvme_completion *entry = &rig->cq[rig->posted % ENTRIES];
	uint16_t phase = !(rig->posted / ENTRIES & 1);

	entry->dw0 = rig->posted;
	entry->cid = cid;
	entry->status = status << 1 | phase;
	rig->posted++;
}

/* What the kernel does with all that is prepared. */
static void accept_all(struct rig *rig)
{
	rig->p.q.sq_head = rig->p.q.sq_tail;
}

static void identifiers_differ(void)
{
	bool seen[DEPTH] = { false };
	struct rig rig;

	rig_init(&rig, 0);
	for (unsigned int i = 0; i < DEPTH; i++) {
		struct exo_nvme_command *c = exo_prep(&rig.p.q, i);

		CHECK(c && c->cid < DEPTH && !seen[c->cid]);
		seen[c->cid] = true;
	}
	CHECK(!exo_prep(&rig.p.q, 0));
	CHECK_EQUAL(exo_queue_free(&rig.p.q), 0);
	CHECK_EQUAL(exo_queue_prepared(&rig.p.q), DEPTH);
	CHECK_EQUAL(exo_queue_in_flight(&rig.p.q), 0);
	CHECK_EQUAL(rig.p.q.sq_tail, DEPTH);
}

static void native_commands(void)
{
	struct exo_nvme_command *c;
	struct rig rig;

	rig_init(&rig, 0);
	memset(rig.sq, 0xff, sizeof(rig.sq));
	rig.deltas[1] = 0x5000 - (rig.p.q.buf_base + (1u << EXO_BUF_CHUNK_SHIFT));
	c = exo_prep_read(&rig.p.q,
			  (void *)(rig.p.q.buf_base + (1u << EXO_BUF_CHUNK_SHIFT) + 0x123),
			  0x100000000ull, 8, 1);
	CHECK_EQUAL(c->opcode, 2);
	CHECK_EQUAL(c->flags, 0);
	CHECK_EQUAL(c->nsid, 7);
	CHECK_EQUAL(c->prp1, 0x5123);
	CHECK_EQUAL(c->slba, 0x100000000ull + 1000);
	CHECK_EQUAL(c->dword[10], 1000);
	CHECK_EQUAL(c->dword[11], 1);
	CHECK_EQUAL(c->cdw12, 7);
	CHECK_EQUAL(c->cdw2 | c->cdw3 | c->cdw13 | c->cdw14 | c->cdw15, 0);
	CHECK_EQUAL(c->mptr | c->prp2, 0);
	c = exo_prep_write(&rig.p.q, (void *)rig.p.q.buf_base, 0, 8, 4);
	exo_place(c, 5);
	CHECK_EQUAL(c->cdw12, 0x200007);
	CHECK_EQUAL(c->cdw13, 0x50000);
	c = exo_prep_flush(&rig.p.q, 2);
	CHECK_EQUAL(c->opcode, 0);
	CHECK_EQUAL(c->nsid, 7);
	for (int i = 1; i < 8; i++)
		CHECK_EQUAL(c->qword[i], 0);
	c = exo_prep_write_zeroes(&rig.p.q, 3, 65536, 3);
	CHECK_EQUAL(c->opcode, 8);
	CHECK_EQUAL(c->cdw12, 0xffff);
	CHECK_EQUAL(c->prp1, 0);
}

static void zone_commands(void)
{
	struct exo_nvme_completion done = { .dw0 = 1256, .dw1 = 1 };
	struct exo_nvme_command *c;
	struct rig rig;

	rig_init(&rig, 0);
	memset(rig.sq, 0xff, sizeof(rig.sq));
	rig.deltas[0] = 0x5000 - rig.p.q.buf_base;
	c = exo_prep_zone_append(&rig.p.q, (void *)rig.p.q.buf_base, 256, 8, 1);
	CHECK_EQUAL(c->opcode, 0x7d);
	CHECK_EQUAL(c->prp1, 0x5000);
	CHECK_EQUAL(c->slba, 1256);
	CHECK_EQUAL(c->cdw12, 7);
	CHECK_EQUAL(c->cdw13, 0);
	c = exo_prep_zone_send(&rig.p.q, EXO_NVME_ZONE_RESET, 256, 2);
	CHECK_EQUAL(c->opcode, 0x79);
	CHECK_EQUAL(c->prp1 | c->cdw12, 0);
	CHECK_EQUAL(c->slba, 1256);
	CHECK_EQUAL(c->cdw13, 4);
	c = exo_prep_zone_report(&rig.p.q, (void *)rig.p.q.buf_base, 0, 3, 3);
	CHECK_EQUAL(c->opcode, 0x7a);
	CHECK_EQUAL(c->prp1, 0x5000);
	CHECK_EQUAL(c->slba, 1000);
	CHECK_EQUAL(c->cdw12, (64 + 3 * 64) / 4 - 1);
	CHECK_EQUAL(c->cdw13, 0x10000);
	CHECK_EQUAL(exo_zone_appended(&rig.p.q, &done), 0x100000000ull + 256);
	exo_prep(&rig.p.q, 4);
	exo_prep(&rig.p.q, 5);
	CHECK(!exo_prep_zone_send(&rig.p.q, EXO_NVME_ZONE_OPEN, 0, 6));
	CHECK(!exo_prep_zone_report(&rig.p.q, NULL, 0, 1, 6));
}

static void layout(void)
{
	struct exo_nvme_command c = { 0 };
	struct exo_nvme_completion e = { 0 };

	c.nsid = 1;
	c.prp1 = 2;
	c.slba = 3;
	c.cdw12 = 4;
	c.cdw15 = 5;
	CHECK_EQUAL(c.dword[1], 1);
	CHECK_EQUAL(c.dword[6], 2);
	CHECK_EQUAL(c.dword[10], 3);
	CHECK_EQUAL(c.dword[12], 4);
	CHECK_EQUAL(c.dword[15], 5);
	e.status = 1;
	CHECK_EQUAL(e.qword[1] >> 48, 1);
	e.status = 0x81 << 1 | 1;
	CHECK_EQUAL(exo_nvme_status(&e), 0x81);
}

static void foreign_addresses(void)
{
	struct rig rig;

	rig_init(&rig, 0);
	CHECK(exo_buf_offset(&rig.p.q, NULL) == 0);
	CHECK_EQUAL(exo_buf_offset(&rig.p.q, (void *)(rig.p.q.buf_base - 1)), rig.p.q.buf_base - 1);
	CHECK_EQUAL(exo_buf_offset(&rig.p.q, (void *)UINTPTR_MAX), UINTPTR_MAX);
	CHECK_EQUAL(
		exo_buf_offset(&rig.p.q, (void *)(rig.p.q.buf_base + (4ul << EXO_BUF_CHUNK_SHIFT))),
		rig.p.q.buf_base + (4ul << EXO_BUF_CHUNK_SHIFT));
}

static void empty_ring(void)
{
	struct exo_completion done[DEPTH];
	struct rig rig;

	rig_init(&rig, 0);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 0);
	CHECK(!exo_peek(&rig.p.q));
	exo_prep(&rig.p.q, 1);
	accept_all(&rig);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 0);
	CHECK_EQUAL(exo_wait(&rig.p.q, done, DEPTH, 0), -ETIMEDOUT);
}

static void user_data_returns(void)
{
	struct exo_completion done[DEPTH];
	uint16_t cids[DEPTH];
	struct rig rig;

	rig_init(&rig, 0);
	for (unsigned int i = 0; i < DEPTH; i++)
		cids[i] = exo_prep(&rig.p.q, 100 + i)->cid;
	accept_all(&rig);
	for (unsigned int i = DEPTH; i-- > 0;) /* in reverse */
		post(&rig, cids[i], i);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, 2), 2);
	CHECK_EQUAL(done[0].user_data, 104);
	CHECK_EQUAL(done[1].user_data, 103);
	CHECK_EQUAL(exo_nvme_status(&done[1].raw), 3);
	CHECK_EQUAL(done[1].raw.dw0, 1);
	CHECK_EQUAL(rig.control.cq_head, 2);
	CHECK_EQUAL(exo_queue_in_flight(&rig.p.q), 3);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 3);
	CHECK_EQUAL(done[2].user_data, 100);
	CHECK_EQUAL(exo_queue_free(&rig.p.q), DEPTH);
}

/* Many laps around the ring from @begin, out of order, with whatever is free. */
static void go_round(uint32_t begin, unsigned int commands, bool one_by_one)
{
	struct exo_completion done[DEPTH];
	uint16_t cids[DEPTH];
	uint64_t expected[DEPTH];
	unsigned int n, i, got;
	struct rig rig;

	rig_init(&rig, begin);
	srandom(1);
	for (uint64_t next = 0; next < commands;) {
		n = random() % DEPTH + 1;
		for (i = 0; i < n; i++) {
			struct exo_nvme_command *c = exo_prep(&rig.p.q, next);

			CHECK(c == &rig.sq[(begin + (uint32_t)next) % ENTRIES]);
			cids[i] = c->cid;
			expected[i] = next++;
		}
		accept_all(&rig);
		for (i = 0; i < n; i++)
			post(&rig, cids[n - 1 - i], 0);
		for (got = 0; one_by_one && got < n; got++) {
			CHECK(exo_peek(&rig.p.q));
			CHECK_EQUAL(exo_consume(&rig.p.q), expected[n - 1 - got]);
		}
		while (got < n) {
			unsigned int more = exo_reap(&rig.p.q, done, DEPTH);

			CHECK(more);
			for (i = 0; i < more; i++)
				CHECK_EQUAL(done[i].user_data, expected[n - 1 - got - i]);
			got += more;
			if (!more)
				return;
		}
		CHECK(!exo_peek(&rig.p.q));
		CHECK_EQUAL(rig.p.q.free, DEPTH);
		CHECK_EQUAL(rig.control.cq_head, rig.posted);
	}
}

static void laps(void)
{
	go_round(0, 1000, false);
	go_round(0, 1000, true);
}

static void wrap(void)
{
	go_round(0u - 64 * 2 * ENTRIES, 4000, false);
	go_round(0u - 64 * 2 * ENTRIES, 4000, true);
}

static void wild_identifiers(void)
{
	struct exo_completion done[DEPTH];
	struct rig rig;

	rig_init(&rig, 0);
	exo_prep(&rig.p.q, 1);
	accept_all(&rig);
	post(&rig, DEPTH, 0);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 0);
	rig_init(&rig, 0);
	exo_prep(&rig.p.q, 1);
	accept_all(&rig);
	post(&rig, 0xffff, 0);
	CHECK_EQUAL(exo_consume(&rig.p.q), 0);
	CHECK_EQUAL(rig.p.q.free, DEPTH - 1);
}

static void too_many_completions(void)
{
	struct exo_completion done[ENTRIES];
	struct rig rig;

	rig_init(&rig, 0);
	exo_prep(&rig.p.q, 1);
	accept_all(&rig);
	for (unsigned int i = 0; i < 4; i++)
		post(&rig, 0, 0);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, ENTRIES), 1);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, ENTRIES), 0);
	CHECK_EQUAL(exo_queue_free(&rig.p.q), DEPTH);
	exo_consume(&rig.p.q);
	CHECK_EQUAL(exo_queue_free(&rig.p.q), DEPTH);
}

static void withdrawing(void)
{
	uint64_t user_data = 0;
	struct rig rig;

	rig_init(&rig, 0u - 2 * ENTRIES);
	for (unsigned int i = 0; i < 4; i++)
		exo_prep(&rig.p.q, 10 + i);
	rig.p.q.sq_head++; /* the first was accepted, the second refused */
	CHECK(exo_prepared(&rig.p.q, 0, &user_data));
	CHECK_EQUAL(user_data, 11);
	CHECK(exo_prepared(&rig.p.q, 2, &user_data));
	CHECK_EQUAL(user_data, 13);
	CHECK(!exo_prepared(&rig.p.q, 3, NULL));
	CHECK_EQUAL(exo_withdraw(&rig.p.q, 1), 2);
	CHECK_EQUAL(exo_queue_prepared(&rig.p.q), 1);
	CHECK_EQUAL(exo_withdraw(&rig.p.q, 0), 1);
	CHECK_EQUAL(exo_withdraw(&rig.p.q, 0), 0);
	CHECK_EQUAL(exo_queue_free(&rig.p.q), DEPTH - 1);
	CHECK_EQUAL(exo_queue_in_flight(&rig.p.q), 1);
	CHECK_EQUAL(rig.control.sq_tail, rig.p.q.sq_tail);
	CHECK_EQUAL(rig.p.q.sq_tail, rig.p.q.sq_head);
}

/* No descriptor is open: a system call would fail. */
static void handed_over(void)
{
	struct rig rig;

	rig_init(&rig, 0u - 2 * ENTRIES);
	rig.x.fd = -1;
	rig.p.q.threaded = 1;
	rig.p.q.detour = 1;
	rig.status.thread = EXO_THREAD_RUNNING;
	rig.control.sq_tail = rig.status.sq_head = rig.p.q.sq_head;
	CHECK_EQUAL(exo_submit(&rig.p.q), 0);
	exo_prep(&rig.p.q, 0);
	exo_prep(&rig.p.q, 1);
	CHECK_EQUAL(exo_submit(&rig.p.q), 2);
	CHECK_EQUAL(rig.control.sq_tail, rig.p.q.sq_tail);
	CHECK_EQUAL(exo_queue_prepared(&rig.p.q), 0);
	CHECK_EQUAL(exo_queue_in_flight(&rig.p.q), 2);
	CHECK(!exo_stuck(&rig.p.q));
	/* Asleep, and not all was taken. */
	rig.status.thread = EXO_THREAD_ASLEEP;
	rig.status.sq_head++;
	CHECK(exo_stuck(&rig.p.q));
	CHECK(exo_submit(&rig.p.q) < 0);
	CHECK_EQUAL(exo_queue_prepared(&rig.p.q), 1);
	CHECK_EQUAL(exo_withdraw(&rig.p.q, 0), 1);
	CHECK_EQUAL(rig.control.sq_tail, rig.status.sq_head);
	CHECK(!exo_stuck(&rig.p.q));
	/* What is asleep with nothing to do is not stuck. */
	CHECK_EQUAL(exo_submit(&rig.p.q), 0);
}

/* The thread would take what the ring's tail covers. */
static void kept_back(void)
{
	struct rig rig;

	rig_init(&rig, 0);
	rig.x.fd = -1;
	rig.p.q.threaded = 1;
	rig.p.q.detour = 1;
	rig.status.thread = EXO_THREAD_RUNNING;
	for (unsigned int i = 0; i < 3; i++)
		exo_prep(&rig.p.q, i);
	CHECK_EQUAL(exo_withdraw(&rig.p.q, 2), 1);
	CHECK_EQUAL(rig.control.sq_tail, 0);
	CHECK_EQUAL(exo_submit(&rig.p.q), 2);
	CHECK_EQUAL(rig.control.sq_tail, 2);
}

/* To wait for what was handed over must not hand over more. */
static void waiting_hands_nothing_over(void)
{
	struct exo_completion done[1];
	struct rig rig;

	rig_init(&rig, 0);
	rig.x.fd = -1;
	rig.p.q.threaded = 1;
	rig.p.q.detour = 1;
	rig.status.thread = EXO_THREAD_RUNNING;
	exo_prep(&rig.p.q, 0);
	CHECK_EQUAL(exo_submit(&rig.p.q), 1);
	exo_prep(&rig.p.q, 1);
	rig.status.thread = EXO_THREAD_ASLEEP;
	CHECK(exo_wait(&rig.p.q, done, 1, 1000) < 0);
	CHECK_EQUAL(rig.control.sq_tail, 1);
	CHECK_EQUAL(exo_queue_prepared(&rig.p.q), 2);
}

static void nothing_to_submit(void)
{
	struct exo_completion done[1];
	struct rig rig;

	rig_init(&rig, 0);
	CHECK_EQUAL(exo_submit(&rig.p.q), 0);
	CHECK_EQUAL(exo_wait(&rig.p.q, done, 1, -1), 0);
}

static void liveness(void)
{
	struct rig rig;

	rig_init(&rig, 0);
	CHECK(exo_queue_alive(&rig.p.q));
	rig.status.state = EXO_QUEUE_DEAD;
	CHECK(!exo_queue_alive(&rig.p.q));
}

static void add_offset(void *arg, uint64_t offset)
{
	*(uint64_t *)arg += offset;
}

/* The sum of the offsets in use; each test gives them as powers of 16. */
static uint64_t in_use(struct rig *rig, bool known)
{
	uint64_t sum = 0;

	CHECK_EQUAL(exo_queue_uses(&rig->p.q, add_offset, &sum), known);
	return sum;
}

static uint16_t prep_at(struct rig *rig, uint64_t offset)
{
	return exo_prep_blocks(&rig->p.q, EXO_NVME_READ, offset, 0, 1, 0)->cid;
}

static void offsets_in_use(void)
{
	struct exo_completion done[DEPTH];
	uint16_t first, second;
	struct rig rig;

	rig_init(&rig, 0);
	CHECK_EQUAL(in_use(&rig, true), 0);
	first = prep_at(&rig, 0x1);
	CHECK_EQUAL(in_use(&rig, true), 0x1);
	second = prep_at(&rig, 0x10);
	accept_all(&rig);
	prep_at(&rig, 0x100);
	exo_prep_flush(&rig.p.q, 0);
	exo_prep_write_zeroes(&rig.p.q, 0, 1, 0)->prp1 = 0x1000;
	CHECK_EQUAL(in_use(&rig, true), 0x111);
	exo_withdraw(&rig.p.q, 0);
	exo_prep_zone_send(&rig.p.q, EXO_NVME_ZONE_OPEN, 0, 0)->prp1 = 0x1000;
	CHECK_EQUAL(in_use(&rig, true), 0x11);
	exo_withdraw(&rig.p.q, 0);
	CHECK_EQUAL(in_use(&rig, true), 0x11);
	post(&rig, first, 0);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 1);
	CHECK_EQUAL(in_use(&rig, true), 0x10);
	/* The same identifier again, on another buffer: the latest counts. */
	CHECK_EQUAL(prep_at(&rig, 0x10000), first);
	accept_all(&rig);
	CHECK_EQUAL(in_use(&rig, true), 0x10010);
	post(&rig, second, 0);
	CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 1);
	CHECK_EQUAL(in_use(&rig, true), 0x10000);
	rig.status.state = EXO_QUEUE_DEAD;
	CHECK_EQUAL(in_use(&rig, true), 0);
}

/* One slow command, and others around it until its entry is gone. */
static void offsets_written_over(void)
{
	struct exo_completion done[DEPTH];
	struct rig rig;

	rig_init(&rig, -(2 * ENTRIES));
	prep_at(&rig, 0x10);
	accept_all(&rig);
	for (unsigned int i = 1; i < ENTRIES; i++) {
		uint16_t cid = prep_at(&rig, 0x1);

		accept_all(&rig);
		CHECK_EQUAL(in_use(&rig, true), 0x11);
		post(&rig, cid, 0);
		CHECK_EQUAL(exo_reap(&rig.p.q, done, DEPTH), 1);
		CHECK_EQUAL(in_use(&rig, true), 0x10);
	}
	prep_at(&rig, 0x1);
	in_use(&rig, false);
	exo_withdraw(&rig.p.q, 0);
	in_use(&rig, false);
}

static const struct tap_test tests[] = {
	TEST(identifiers_differ, "a full queue has each command identifier once and then refuses"),
	TEST(native_commands, "prepared commands are native and zero where nothing was asked"),
	TEST(zone_commands, "prepared commands of zones are native, too"),
	TEST(layout, "dwords lie where the specification has them"),
	TEST(foreign_addresses, "an address in no buffer leads to no offset of one"),
	TEST(empty_ring, "an empty completion queue gives nothing"),
	TEST(user_data_returns, "user data come back with their command in any order"),
	TEST(laps, "the rings go round, the phase turns"),
	TEST(wrap, "indexes wrap at 2^32"),
	TEST(wild_identifiers, "a command identifier that cannot be is not believed"),
	TEST(too_many_completions, "no more completions are taken than commands are out"),
	TEST(withdrawing, "withdrawn commands free their slots and keep the older ones"),
	TEST(handed_over, "a thread that looks is handed commands without a call"),
	TEST(kept_back, "a thread is not shown what was prepared and not submitted"),
	TEST(waiting_hands_nothing_over, "a wait has nothing taken that was only prepared"),
	TEST(nothing_to_submit, "nothing prepared means no call and nothing to wait for"),
	TEST(liveness, "a dead queue is seen to be dead"),
	TEST(offsets_in_use, "the buffers of commands prepared and in flight are known"),
	TEST(offsets_written_over, "what the ring does not tell any more is not made up"),
};

TAP_MAIN(tests)
