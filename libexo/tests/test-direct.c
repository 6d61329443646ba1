// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Direct queues without a device: what a submission leaves in the ring, in the lists and at
 * the doorbells.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"
#include "tap.h"

#define DEPTH 4
#define ENTRIES 8
#define PAGE 4096ull
#define LISTS_OFFSET 0x200000000ull /* where the device would have them */
#define LIST_SHIFT 8		    /* 32 pages a command */
#define SQ_DOORBELL 0
#define CQ_DOORBELL 4
#define LISTS 64

static struct exo handle;
static struct exo_queue_private private;
static struct exo_nvme_command sq[ENTRIES];
static struct exo_nvme_completion cq[ENTRIES];
static struct exo_queue_control control;
static struct exo_queue_status status;
static uint64_t user_data[DEPTH];
static uint16_t cids[DEPTH];
static _Alignas(8) char rw[LISTS + (DEPTH << LIST_SHIFT)];

static struct exo_queue *begin_in(uint32_t mode)
{
	struct exo_queue *q = &private.q;
	struct exo_queue_create arg = {
		.mode = mode,
		.out_sq_doorbell = SQ_DOORBELL,
		.out_cq_doorbell = CQ_DOORBELL,
		.out_lists = LISTS,
		.out_list_shift = LIST_SHIFT,
		.out_lists_offset = LISTS_OFFSET,
	};

	memset(&handle, 0, sizeof(handle));
	memset(&private, 0, sizeof(private));
	memset(sq, 0, sizeof(sq));
	memset(cq, 0, sizeof(cq));
	memset(rw, 0xff, sizeof(rw));
	pthread_mutex_init(&handle.lock, NULL);
	handle.transfer_max = 31 * PAGE;
	handle.blocks = 100;
	handle.rights = EXO_READ;
	private.x = &handle;
	q->sq = sq;
	q->cq = cq;
	q->control = &control;
	q->status = &status;
	q->user_data = user_data;
	q->cids = cids;
	q->depth = DEPTH;
	q->mask = ENTRIES - 1;
	q->block_shift = 9;
	q->detour = 1;
	exo_cids_init(q);
	CHECK_EQUAL(exo_direct_init(q, rw, &arg), 0);
	return q;
}

static struct exo_queue *begin(void)
{
	return begin_in(EXO_QUEUE_DIRECT);
}

static void end(struct exo_queue *q)
{
	free(q->direct);
	pthread_mutex_destroy(&handle.lock);
}

static uint32_t doorbell(size_t at)
{
	return *(uint32_t *)(rw + at);
}

/* The device ends all that was submitted, in order. */
static void complete(struct exo_queue *q)
{
	struct exo_completion done;

	while (exo_queue_in_flight(q)) {
		struct exo_nvme_completion *entry = &cq[q->cq_head & q->mask];

		entry->cid = sq[(q->sq_head - exo_queue_in_flight(q)) & q->mask].cid;
		entry->status = exo_phase(q, q->cq_head);
		CHECK_EQUAL(exo_reap(q, &done, 1), 1);
	}
}

/* A command of so many bytes from @prp1 on: its PRP2 must be none, the next page, or a list. */
static void check_prps(uint8_t opcode, uint64_t prp1, uint64_t cdw10, uint32_t cdw12,
		       uint64_t bytes)
{
	struct exo_queue *q = begin();
	struct exo_nvme_command *c = exo_prep(q, 0);
	uint64_t second = (prp1 | (PAGE - 1)) + 1, pages = 0, *list;

	if (prp1 + bytes > second)
		pages = (prp1 + bytes - second + PAGE - 1) / PAGE;
	c->opcode = opcode;
	c->prp1 = prp1;
	c->slba = cdw10;
	c->cdw12 = cdw12;
	CHECK_EQUAL(exo_submit(q), 1);
	list = (uint64_t *)(rw + LISTS + ((size_t)c->cid << LIST_SHIFT));
	CHECK_EQUAL(c->prp1, prp1);
	if (pages < 2) {
		CHECK_EQUAL(c->prp2, pages ? second : 0);
		CHECK_EQUAL(list[0], ~0ull);
	} else {
		CHECK_EQUAL(c->prp2, LISTS_OFFSET + ((uint64_t)c->cid << LIST_SHIFT));
		for (uint64_t i = 0; i < pages; i++)
			CHECK_EQUAL(list[i], second + i * PAGE);
		if (pages < 1 << (LIST_SHIFT - 3))
			CHECK_EQUAL(list[pages], ~0ull);
	}
	complete(q);
	end(q);
}

static void blocks(void)
{
	static const uint8_t opcodes[] = { EXO_NVME_READ, EXO_NVME_WRITE, EXO_NVME_COMPARE,
					   EXO_NVME_ZONE_APPEND };

	for (unsigned int i = 0; i < sizeof(opcodes); i++)
		for (uint32_t n = 1; n <= 8 * 31; n++)
			for (uint64_t at = 0; at < PAGE; at += 508)
				check_prps(opcodes[i], 0x100000000 + at, 7, n - 1, n * 512);
}

static void lists(void)
{
	for (uint64_t at = 0; at < PAGE; at += 252) {
		for (uint32_t n = 1; n <= 256; n += 5)
			check_prps(EXO_NVME_DSM, 0x100000000 + at, n - 1, 0, n * 16);
		for (uint32_t n = 1; n <= 128; n += 3)
			check_prps(EXO_NVME_COPY, 0x100000000 + at, 7, n - 1, n * 32);
	}
}

/* CDW12 is a number of dwords there, of which the low 16 bits may be anything. */
static void reports(void)
{
	for (uint32_t dwords = 16; dwords <= 31 * 1024; dwords += 331)
		check_prps(EXO_NVME_ZONE_RECEIVE, 0x100000040, 7, dwords - 1, dwords * 4ull);
}

static void no_data(void)
{
	check_prps(EXO_NVME_FLUSH, 0, 0, 0, 0);
	check_prps(EXO_NVME_WRITE_ZEROES, 0, 7, 0xffff, 0);
	check_prps(EXO_NVME_ZONE_SEND, 0, 7, 0, 0);
}

static void by_hand(void)
{
	struct exo_queue *q = begin();
	struct exo_nvme_command *c = exo_prep_blocks(q, EXO_NVME_READ, 0x100000000, 0, 64, 0);

	c->prp2 = 0x12345000;
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(c->prp2, 0x12345000);
	complete(q);
	end(q);
}

static void doorbells(void)
{
	struct exo_queue *q = begin();

	CHECK_EQUAL(exo_submit(q), 0);
	CHECK_EQUAL(doorbell(SQ_DOORBELL), ~0u);
	for (uint32_t n = 0; n < 100; n++) {
		uint32_t told = doorbell(CQ_DOORBELL) == ~0u ? 0 : doorbell(CQ_DOORBELL);

		for (uint32_t i = 0; i <= n % DEPTH; i++)
			exo_prep_blocks(q, EXO_NVME_READ, 0, 0, 1, 0);
		CHECK_EQUAL(exo_submit(q), n % DEPTH + 1);
		CHECK_EQUAL(doorbell(SQ_DOORBELL), q->sq_tail & q->mask);
		/* An entry for each in flight, beyond what the device believes unread. */
		told = doorbell(CQ_DOORBELL) == ~0u ? told : doorbell(CQ_DOORBELL);
		CHECK(((q->sq_tail - told) & q->mask) != 0 && q->sq_tail - q->cq_head <= q->mask);
		complete(q);
	}
	exo_direct_ring_cq(q);
	CHECK_EQUAL(doorbell(CQ_DOORBELL), q->cq_head & q->mask);
	end(q);
}

static void refusals(void)
{
	struct exo_queue *q = begin();
	struct exo_nvme_command *c;

	exo_prep_blocks(q, EXO_NVME_READ, 0, 0, 1, 0);
	exo_prep_blocks(q, EXO_NVME_READ, 8, 0, 8 * 40, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK(strstr(exo_queue_strerror(q, 0), "more than 126976 bytes"));
	CHECK_EQUAL(doorbell(SQ_DOORBELL), 1);
	CHECK_EQUAL(exo_submit(q), -EMSGSIZE);
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	c = exo_prep_blocks(q, EXO_NVME_READ, 0, 0, 64, 0);
	c->cid = DEPTH;
	CHECK_EQUAL(exo_submit(q), -EINVAL);
	CHECK(strstr(exo_queue_strerror(q, -EINVAL), "CID"));
	exo_withdraw(q, 0);
	status.state = EXO_QUEUE_DEAD;
	exo_prep_blocks(q, EXO_NVME_READ, 0, 0, 1, 0);
	CHECK_EQUAL(exo_submit(q), -ESTALE);
	status.state = EXO_QUEUE_LIVE;
	end(q);
}

static void within(void)
{
	struct exo_queue *q = begin();

	CHECK_EQUAL(exo_direct_within(q, "read", EXO_READ, 99, 1), 0);
	CHECK_EQUAL(exo_direct_within(q, "read", EXO_READ, 99, 2), -ERANGE);
	CHECK_EQUAL(exo_direct_within(q, "read", EXO_READ, 101, 0), -ERANGE);
	CHECK_EQUAL(exo_direct_within(q, "read", EXO_READ, 1, UINT64_MAX), -ERANGE);
	CHECK_EQUAL(exo_direct_within(q, "write", EXO_WRITE, 0, 1), -EACCES);
	end(q);
}

/* Where frames lie is nothing to where they are in the buffer. */
static void scattered(void)
{
	static uint64_t physical[8] = { 70 * PAGE, 60 * PAGE, 50 * PAGE, 40 * PAGE,
					10 * PAGE, 20 * PAGE, 30 * PAGE, 80 * PAGE };
	struct exo_queue *q = begin_in(EXO_QUEUE_UNSAFE);
	struct exo_buf b = {
		.at = 1ul << 40,
		.bytes = sizeof(physical) / sizeof(physical[0]) * PAGE,
		.frames = 1,
		.unit_shift = 12,
		.physical = physical,
	};
	struct exo_buf *bufs[] = { &b };
	struct exo_nvme_command *c;
	uint64_t *list;

	handle.buf_base = b.at;
	handle.buf_chunks = 1;
	handle.bufs = bufs;
	CHECK_STRING(exo_queue_mode(q), "unsafe");
	CHECK_EQUAL(exo_buf_offset(q, (void *)b.at), b.at);
	c = exo_prep_blocks(q, EXO_NVME_READ, b.at + 512, 0, 7, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(c->prp1, physical[0] + 512);
	CHECK_EQUAL(c->prp2, 0);
	c = exo_prep_blocks(q, EXO_NVME_READ, b.at + 512, 0, 8, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(c->prp1, physical[0] + 512);
	CHECK_EQUAL(c->prp2, physical[1]);
	c = exo_prep_blocks(q, EXO_NVME_READ, b.at + 2 * PAGE, 0, 6 * PAGE / 512, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(c->prp1, physical[2]);
	CHECK_EQUAL(c->prp2, LISTS_OFFSET + ((uint64_t)c->cid << LIST_SHIFT));
	list = (uint64_t *)(rw + LISTS + ((size_t)c->cid << LIST_SHIFT));
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(list[i], physical[3 + i]);
	complete(q);
	/* Beyond it, and once it is gone: refused, and left as it was prepared. */
	c = exo_prep_blocks(q, EXO_NVME_READ, b.at + 7 * PAGE, 0, 9, 0);
	CHECK_EQUAL(exo_submit(q), -EFAULT);
	CHECK_EQUAL(c->prp1, b.at + 7 * PAGE);
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	b.frames = 0;
	exo_prep_blocks(q, EXO_NVME_READ, b.at, 0, 1, 0);
	CHECK_EQUAL(exo_submit(q), -EFAULT);
	end(q);
}

static const struct tap_test tests[] = {
	TEST(blocks, "blocks at every place in a page have the PRPs they need"),
	TEST(lists, "so have lists of ranges"),
	TEST(reports, "so have reports of zones, which count dwords"),
	TEST(no_data, "a command without data has none"),
	TEST(by_hand, "a PRP2 that was filled by hand is left alone"),
	TEST(doorbells, "the device always has room for a completion"),
	TEST(refusals, "what cannot be is refused, and what came before it goes"),
	TEST(scattered, "an unsafe queue's commands name physical addresses of frames anywhere"),
	TEST(within, "the helpers' guard knows the extent"),
};

TAP_MAIN(tests)
