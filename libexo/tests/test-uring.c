// SPDX-License-Identifier: LGPL-2.1-only
/*
 * An emulated queue at work: each command does what the specification says, and its
 * completion comes, in whatever way it is waited for.
 */
#include "uring-rig.h"

#define DEPTH 8u

/* What went through the queue is in the file, seen without it. */
static void round_trip(void)
{
	uint64_t blocks;
	char *own;
	struct rig rig;
	int fd;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	blocks = RIG_BUF / rig.size; /* more than one command moves */
	CHECK(exo_transfer_max(rig.x) < RIG_BUF);
	fill(rig.buf, RIG_BUF, 1);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 3, blocks), 0);
	CHECK_EQUAL(exo_flush(rig.q), 0);
	memset(rig.buf, 0, RIG_BUF);
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 3, blocks), 0);
	CHECK(filled(rig.buf, RIG_BUF, 1));
	own = malloc(RIG_BUF);
	fd = open(rig_path, O_RDONLY);
	CHECK_EQUAL(pread(fd, own, RIG_BUF, 3 * rig.size), RIG_BUF);
	CHECK(filled(own, RIG_BUF, 1));
	close(fd);
	free(own);
	CHECK_EQUAL(exo_read(rig.q, rig.buf, exo_blocks(rig.x), 1), -ERANGE);
	CHECK_EQUAL(exo_read(rig.q, rig.buf, exo_blocks(rig.x) - 1, 1), 0);
	rig_close(&rig);
}

static void durable(void)
{
	struct exo_completion done;
	struct rig rig;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	fill(rig.buf, rig.size, 7);
	exo_prep_write(rig.q, rig.buf, 9, 1, 1)->cdw12 |= EXO_NVME_FUA;
	CHECK_EQUAL(exo_submit(rig.q), 1);
	CHECK_EQUAL(exo_wait(rig.q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_nvme_status(&done.raw), 0);
	CHECK_EQUAL(exo_compare(rig.q, rig.buf, 9, 1), 0);
	rig_close(&rig);
}

/* At an address that O_DIRECT does not take. */
static void odd_addresses(void)
{
	struct rig rig;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	fill(rig.buf + 4, 5 * rig.size, 2);
	CHECK_EQUAL(exo_write(rig.q, rig.buf + 4, 0, 5), 0);
	memset(rig.buf, 0, 8 * rig.size);
	CHECK_EQUAL(exo_read(rig.q, rig.buf + 12, 0, 5), 0);
	CHECK(filled(rig.buf + 12, 5 * rig.size, 2));
	CHECK(all_zero(rig.buf, 12) && all_zero(rig.buf + 12 + 5 * rig.size, rig.size));
	CHECK_EQUAL(exo_compare(rig.q, rig.buf + 12, 0, 5), 0);
	rig_close(&rig);
}

static void comparing(void)
{
	struct rig rig;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	fill(rig.buf, RIG_BUF, 3);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	CHECK_EQUAL(exo_compare(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	rig.buf[RIG_BUF - 1]++;
	CHECK_EQUAL(exo_compare(rig.q, rig.buf, 0, RIG_BUF / rig.size), -EILSEQ);
	CHECK(strstr(exo_queue_strerror(rig.q, -EILSEQ), "compare failure"));
	rig_close(&rig);
}

static int submit_and_wait(struct exo_queue *q)
{
	struct exo_completion done;

	if (exo_submit(q) != 1 || exo_wait(q, &done, 1, -1) != 1)
		return -1;
	return exo_nvme_status(&done.raw);
}

static void zeroes(void)
{
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	fill(rig.buf, 8 * rig.size, 4);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, 8), 0);
	CHECK_EQUAL(exo_write_zeroes(rig.q, 2, 3), 0);
	/* A file that can have no hole here gets zeroes. */
	exo_prep_write_zeroes(rig.q, 6, 1, 0)->cdw12 |= EXO_NVME_DEAC;
	CHECK_EQUAL(submit_and_wait(rig.q), 0);
	exo_prep_write_zeroes(rig.q, 7, 1, 0)->cdw12 |= EXO_NVME_DEAC | EXO_NVME_FUA;
	CHECK_EQUAL(submit_and_wait(rig.q), 0);
	CHECK_EQUAL(exo_read(rig.q, rig.buf + 8 * rig.size, 0, 8), 0);
	memset(rig.buf + 2 * rig.size, 0, 3 * rig.size);
	memset(rig.buf + 6 * rig.size, 0, 2 * rig.size);
	CHECK(!memcmp(rig.buf, rig.buf + 8 * rig.size, 8 * rig.size));
	CHECK_EQUAL(exo_write_zeroes(rig.q, 0, RIG_BYTES / rig.size), 0);
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	CHECK(all_zero(rig.buf, RIG_BUF));
	rig_close(&rig);
}

/* 8 blocks of 4 KiB each, so that holes are possible. */
static void trimming(void)
{
	struct exo_nvme_dsm_range *list;
	uint32_t page;
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	if (!(exo_controller_flags(rig.x) & EXO_CONTROLLER_TRIM)) {
		CHECK_EQUAL(exo_trim(rig.q, 0, 8), -EOPNOTSUPP);
		printf("# no holes can be made in %s\n", rig_path);
		rig_close(&rig);
		return;
	}
	page = 4096 / rig.size;
	fill(rig.buf, 8 * 4096, 5);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, 8 * page), 0);
	CHECK_EQUAL(exo_trim(rig.q, 0, page), 0);
	list = (void *)(rig.buf + (1u << 20));
	list[0] = exo_trim_range(rig.q, 2 * page, page);
	list[1] = exo_trim_range(rig.q, 0, 0);
	list[2] = exo_trim_range(rig.q, 6 * page, 2 * page);
	exo_prep_trim(rig.q, list, 3, 0);
	CHECK_EQUAL(submit_and_wait(rig.q), 0);
	/* Without AD it is a hint. */
	list[0] = exo_trim_range(rig.q, 4 * page, page);
	exo_prep_trim(rig.q, list, 1, 0)->dword[11] = 0;
	CHECK_EQUAL(submit_and_wait(rig.q), 0);
	CHECK_EQUAL(exo_read(rig.q, rig.buf + 8 * 4096, 0, 8 * page), 0);
	memset(rig.buf, 0, 4096);
	memset(rig.buf + 2 * 4096, 0, 4096);
	memset(rig.buf + 6 * 4096, 0, 2 * 4096);
	CHECK(!memcmp(rig.buf, rig.buf + 8 * 4096, 8 * 4096));
	rig_close(&rig);
}

static void copying(void)
{
	struct exo_nvme_copy_range *list;
	struct exo_completion done;
	struct rig rig;
	uint64_t far;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	far = RIG_BYTES / 2 / rig.size;
	list = (void *)(rig.buf + (1u << 20));
	fill(rig.buf, 8 * rig.size, 6);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, 8), 0);
	list[0] = exo_copy_range(rig.q, 5, 3);
	list[1] = exo_copy_range(rig.q, 0, 1);
	list[2] = exo_copy_range(rig.q, 2, 2);
	exo_prep_copy(rig.q, list, 3, far, 0)->cdw12 |= EXO_NVME_FUA;
	CHECK_EQUAL(exo_submit(rig.q), 1);
	memset(list, 0xff, 3 * sizeof(*list)); /* it was read when it was submitted */
	CHECK_EQUAL(exo_wait(rig.q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_nvme_status(&done.raw), 0);
	CHECK_EQUAL(exo_read(rig.q, rig.buf + 8 * rig.size, far, 6), 0);
	CHECK(!memcmp(rig.buf + 8 * rig.size, rig.buf + 5 * rig.size, 3 * rig.size));
	CHECK(!memcmp(rig.buf + 11 * rig.size, rig.buf, rig.size));
	CHECK(!memcmp(rig.buf + 12 * rig.size, rig.buf + 2 * rig.size, 2 * rig.size));
	/* More than one command copies. */
	fill(rig.buf, RIG_BUF, 8);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	CHECK_EQUAL(exo_copy(rig.q, 0, far, RIG_BUF / rig.size), 0);
	CHECK_EQUAL(exo_compare(rig.q, rig.buf, far, RIG_BUF / rig.size), 0);
	CHECK_EQUAL(exo_copy(rig.q, 0, 1, 2), -EINVAL);
	rig_close(&rig);
}

enum way { BY_REAP, BY_PEEK, BY_WAIT, BY_WAIT_ANY };

/* What has ended, in one of the ways to learn of it. */
static unsigned int take(struct rig *rig, enum way way, struct exo_completion *done)
{
	unsigned int n = 0;
	uint64_t ready;

	switch (way) {
	case BY_WAIT:
		return exo_wait(rig->q, done, DEPTH, -1);
	case BY_WAIT_ANY:
		CHECK_EQUAL(exo_wait_any(rig->x, &rig->q, 1, soon(30000), &ready),
			    EXO_READY_QUEUES);
		CHECK_EQUAL(ready, 1);
		return exo_reap(rig->q, done, DEPTH);
	case BY_PEEK:
		for (const struct exo_nvme_completion *c; (c = exo_peek(rig->q)); n++) {
			done[n].raw = *c;
			done[n].user_data = exo_consume(rig->q);
		}
		return n;
	case BY_REAP:
		break;
	}
	return exo_reap(rig->q, done, DEPTH);
}

/* Rounds of writes and reads, each at a place that its user data tell. */
static void go_round(enum way way)
{
	struct exo_completion done[DEPTH];
	unsigned int seen, left;
	struct rig rig;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	for (unsigned int round = 0; round < 40; round++) {
		/* Asleep at once, or looking first */
		exo_queue_private(rig.q)->spin_ns = round % 4 < 2 ? 0 : 30000;
		for (unsigned int i = 0; i < DEPTH; i++) {
			char *piece = rig.buf + i * rig.size;

			if (round % 2) {
				memset(piece, 0, rig.size);
				exo_prep_read(rig.q, piece, 5 * i, 1, i);
			} else {
				fill(piece, rig.size, round + i);
				exo_prep_write(rig.q, piece, 5 * i, 1, i);
			}
		}
		CHECK_EQUAL(exo_submit(rig.q), DEPTH);
		for (seen = 0, left = DEPTH; left;) {
			unsigned int n = take(&rig, way, done);

			for (unsigned int i = 0; i < n; i++) {
				CHECK_EQUAL(exo_nvme_status(&done[i].raw), 0);
				CHECK(!(seen & 1u << done[i].user_data));
				seen |= 1u << done[i].user_data;
			}
			left -= n;
		}
		for (unsigned int i = 0; i < DEPTH; i++)
			CHECK(filled(rig.buf + i * rig.size, rig.size, round - round % 2 + i));
	}
	CHECK_EQUAL(exo_queue_free(rig.q), DEPTH);
	CHECK_EQUAL(exo_reap(rig.q, done, DEPTH), 0);
	CHECK_EQUAL(exo_reap(rig.q, done, DEPTH), 0);
	CHECK(!exo_peek(rig.q));
	rig_close(&rig);
}

static void by_reaping(void)
{
	go_round(BY_REAP);
	go_round(BY_PEEK);
}

static void by_waiting(void)
{
	go_round(BY_WAIT);
	go_round(BY_WAIT_ANY);
}

static void statuses(void)
{
	static const int same[] = { EOPNOTSUPP, EINVAL, ECANCELED, ENODEV, EROFS,
				    ERANGE,	ENOSPC, EBUSY,	   EIO,	   EILSEQ };

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		CHECK_EQUAL(exo_nvme_status_errno(exo_uring_status(-same[i], i % 2)), -same[i]);
	CHECK_EQUAL(exo_uring_status(0, true), 0);
	CHECK_EQUAL(exo_uring_status(-EIO, true), 0x280);
	CHECK_EQUAL(exo_uring_status(-EIO, false), 0x281);
	for (int error = 1; error < 4096; error++)
		CHECK(exo_nvme_status_errno(exo_uring_status(-error, false)) < 0);
}

static const struct tap_test tests[] = {
	TEST(round_trip, "what is written is read back, and is in the file"),
	TEST(durable, "a write that is durable by itself works"),
	TEST(odd_addresses, "buffers need no more alignment than the module wants"),
	TEST(comparing, "a comparison tells equal from different"),
	TEST(zeroes, "zeroes are written where they should be, holes or not"),
	TEST(trimming, "what is deallocated reads as zero, the rest as before"),
	TEST(copying, "ranges are copied one after the other"),
	TEST(by_reaping, "completions come to who only looks, lap after lap"),
	TEST(by_waiting, "completions come to who waits"),
	TEST(statuses, "errors of io_uring become those of a device, and back"),
};

RIG_MAIN(tests)
