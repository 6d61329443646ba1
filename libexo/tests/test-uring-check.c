// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What an emulated queue refuses: with the errno and the detail that the module would give
 * (selftests/check.c and ranges.c have the module's), and as if the command had never been.
 */
#include "uring-rig.h"

#define DEPTH 4u

/* What the first command that is prepared must be refused with. */
static void refused(struct rig *rig, int result, uint32_t reason, uint32_t field, uint64_t value,
		    uint64_t limit)
{
	const struct exo_detail *d = &rig->q->detail;

	CHECK_EQUAL(exo_submit(rig->q), result);
	CHECK_STRING(exo_reason_name(d->reason), exo_reason_name(reason));
	CHECK_EQUAL(d->field, field);
	CHECK_EQUAL(d->index, 0);
	CHECK_EQUAL(d->value, value);
	CHECK_EQUAL(d->limit, limit);
	CHECK(strlen(exo_queue_strerror(rig->q, result)) > 20);
	CHECK_EQUAL(exo_queue_in_flight(rig->q), 0);
	CHECK(exo_withdraw(rig->q, 0) >= 1);
	CHECK_EQUAL(exo_queue_free(rig->q), DEPTH);
}

/* The queue works on. */
static void works(struct rig *rig)
{
	CHECK_EQUAL(exo_read(rig->q, rig->buf, 0, 1), 0);
	rig_close(rig);
}

static void blocks(void)
{
	struct rig rig;
	uint64_t end;

	rig_open(&rig, RIG_ALL, DEPTH);
	end = exo_blocks(rig.x);
	exo_prep_read(rig.q, rig.buf, end, 1, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 10, end, 1);
	exo_prep_write(rig.q, rig.buf, end - 1, 2, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 10, end - 1, 2);
	exo_prep_write_zeroes(rig.q, end - 7, 8, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 10, end - 7, 8);
	exo_prep_compare(rig.q, rig.buf, 1ull << 63, 1, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 10, 1ull << 63, 1);
	exo_prep_read(rig.q, rig.buf, UINT64_MAX, 1, 0);
	refused(&rig, -EOVERFLOW, EXO_REASON_LBA_OVERFLOW, 10, UINT64_MAX, 1);
	exo_prep_read(rig.q, rig.buf, 0, 1, 0)->nsid = 2;
	refused(&rig, -ERANGE, EXO_REASON_NSID, 1, 2, 0);
	exo_prep_flush(rig.q, 0)->nsid = UINT32_MAX;
	refused(&rig, -ERANGE, EXO_REASON_NSID, 1, UINT32_MAX, 0);
	works(&rig);
}

static void sizes(void)
{
	uint32_t max, over;
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	max = exo_transfer_max(rig.x);
	over = max / rig.size + 1;
	exo_prep_read(rig.q, rig.buf, 0, over, 0);
	refused(&rig, -EMSGSIZE, EXO_REASON_TRANSFER, 12, max + rig.size, max);
	exo_prep_write_zeroes(rig.q, 0, over, 0);
	refused(&rig, -EMSGSIZE, EXO_REASON_TRANSFER, 12, max + rig.size, max);
	exo_prep_read(rig.q, rig.buf, 0, over - 1, 0);
	CHECK_EQUAL(exo_submit(rig.q), 1);
	rig_close(&rig);
}

static void rights(void)
{
	struct rig rig;

	rig_open(&rig, EXO_READ, DEPTH);
	exo_prep_write(rig.q, rig.buf, 0, 1, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_WRITE, EXO_READ);
	exo_prep_write_zeroes(rig.q, 0, 1, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_WRITE, EXO_READ);
	exo_prep_flush(rig.q, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_WRITE, EXO_READ);
	*(struct exo_nvme_copy_range *)rig.buf = exo_copy_range(rig.q, 0, 1);
	exo_prep_copy(rig.q, (void *)rig.buf, 1, 8, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_WRITE, EXO_READ);
	works(&rig);
	rig_open(&rig, EXO_WRITE, DEPTH);
	exo_prep_read(rig.q, rig.buf, 0, 1, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_READ, EXO_WRITE);
	exo_prep_compare(rig.q, rig.buf, 0, 1, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_READ, EXO_WRITE);
	*(struct exo_nvme_copy_range *)rig.buf = exo_copy_range(rig.q, 0, 1);
	exo_prep_copy(rig.q, (void *)rig.buf, 1, 8, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_READ, EXO_WRITE);
	exo_prep_write_zeroes(rig.q, 0, 1, 0)->cdw12 |= EXO_NVME_DEAC;
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_TRIM, EXO_WRITE);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, 1), 0);
	rig_close(&rig);
}

static void forms(void)
{
	static const uint8_t opcodes[] = { 0x04, 0x0c, 0x0d, 0x18, 0x1a, 0x7d, 0xc0, 0xff };
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		exo_prep(rig.q, 0)->opcode = opcodes[i];
		refused(&rig, -EOPNOTSUPP, EXO_REASON_OPCODE, 0, opcodes[i], 0);
	}
	/* Fused, PSDT; then a bit of each dword that a Read has no business with. */
	exo_prep_read(rig.q, rig.buf, 0, 1, 0)->flags = 0x41;
	refused(&rig, -EINVAL, EXO_REASON_BITS, 0, 0x4100, 0);
	for (uint32_t i = 2; i < 16; i++) {
		if (i == 6 || i == 7 || i == 10 || i == 11)
			continue;
		exo_prep_read(rig.q, rig.buf, 0, 1, 0)->dword[i] |= 1u << 17;
		refused(&rig, -EINVAL, EXO_REASON_BITS, i, 1u << 17, 0);
	}
	exo_prep_read(rig.q, rig.buf, 0, 1, 0)->cdw12 |= EXO_NVME_DEAC;
	refused(&rig, -EINVAL, EXO_REASON_BITS, 12, EXO_NVME_DEAC, 0);
	exo_prep_flush(rig.q, 0)->prp1 = 4;
	refused(&rig, -EINVAL, EXO_REASON_BITS, 6, 4, 0);
	exo_prep_write_zeroes(rig.q, 0, 1, 0)->prp1 = 1ull << 32;
	refused(&rig, -EINVAL, EXO_REASON_BITS, 7, 1, 0);
	works(&rig);
}

static void identifiers(void)
{
	struct exo_completion done[DEPTH];
	struct exo_nvme_command *first;
	struct rig rig;
	uint16_t cid;

	rig_open(&rig, RIG_ALL, DEPTH);
	first = exo_prep_read(rig.q, rig.buf, 0, 1, 0);
	cid = first->cid;
	first->cid = DEPTH;
	CHECK_EQUAL(exo_submit(rig.q), -EINVAL);
	CHECK_EQUAL(rig.q->detail.reason, EXO_REASON_CID);
	CHECK_EQUAL(rig.q->detail.value, DEPTH);
	CHECK_EQUAL(rig.q->detail.limit, DEPTH);
	first->cid = cid;
	exo_prep_read(rig.q, rig.buf, 0, 1, 1)->cid = cid;
	CHECK_EQUAL(exo_submit(rig.q), 1);
	CHECK_EQUAL(rig.q->detail.reason, EXO_REASON_CID_IN_FLIGHT);
	CHECK_EQUAL(rig.q->detail.index, 1);
	CHECK_EQUAL(rig.q->detail.value, cid);
	CHECK_EQUAL(exo_wait(rig.q, done, DEPTH, -1), 1);
	rig_close(&rig);
}

static void buffers(void)
{
	uint64_t offset, end;
	struct rig rig;
	char outside;

	rig_open(&rig, RIG_ALL, DEPTH);
	offset = exo_buf_offset(rig.q, rig.buf);
	end = offset + RIG_BUF;
	exo_prep_read(rig.q, rig.buf + 2, 0, 1, 0);
	refused(&rig, -EINVAL, EXO_REASON_BUFFER_ALIGN, 6, offset + 2, 0);
	exo_prep_read(rig.q, rig.buf + RIG_BUF, 0, 1, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, exo_buf_offset(rig.q, rig.buf + RIG_BUF), 0);
	exo_prep_write(rig.q, rig.buf + RIG_BUF - rig.size, 0, 2, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, end, 0);
	exo_prep_compare(rig.q, rig.buf + RIG_BUF - rig.size + 4, 0, 1, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, end, 0);
	exo_prep_blocks(rig.q, EXO_NVME_READ, 0, 0, 1, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, 0, 0);
	exo_prep_blocks(rig.q, EXO_NVME_READ, UINT64_MAX - 3, 0, 1, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, UINT64_MAX - 3, 0);
	exo_prep_read(rig.q, (void *)((uintptr_t)&outside & ~3ul), 0, 1, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, (uintptr_t)&outside & ~3ul, 0);
	CHECK_EQUAL(exo_buf_free(rig.q, rig.buf), 0);
	exo_prep_blocks(rig.q, EXO_NVME_READ, offset, 0, 1, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, offset, 0);
	rig_close(&rig);
}

static void trims(void)
{
	struct exo_nvme_dsm_range *list;
	struct rig rig;
	uint64_t end;

	rig_open(&rig, RIG_ALL, DEPTH);
	list = (void *)rig.buf;
	end = exo_blocks(rig.x);
	if (!(exo_controller_flags(rig.x) & EXO_CONTROLLER_TRIM)) {
		exo_prep_trim(rig.q, list, 1, 0);
		refused(&rig, -EOPNOTSUPP, EXO_REASON_OPCODE, 0, EXO_NVME_DSM, 0);
		CHECK_EQUAL(exo_trim(rig.q, 0, 1), -EOPNOTSUPP);
		rig_close(&rig);
		return;
	}
	list[0] = exo_trim_range(rig.q, 0, 1);
	list[1] = exo_trim_range(rig.q, end, 1);
	exo_prep_trim(rig.q, list, 2, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 6, end, 1);
	list[1] = exo_trim_range(rig.q, 3, 1);
	list[1].cattr = 7;
	exo_prep_trim(rig.q, list, 2, 0);
	refused(&rig, -EINVAL, EXO_REASON_RANGE_BITS, 6, 3, 7);
	exo_prep_trim(rig.q, list, EXO_TRIM_RANGES + 1, 0);
	refused(&rig, -EINVAL, EXO_REASON_RANGES, 10, EXO_TRIM_RANGES + 1, EXO_TRIM_RANGES);
	exo_prep_trim(rig.q, (void *)(rig.buf + RIG_BUF - 16), 2, 0);
	refused(&rig, -EFAULT, EXO_REASON_BUFFER, 6, exo_buf_offset(rig.q, rig.buf) + RIG_BUF, 0);
	exo_prep_trim(rig.q, list, 1, 0)->dword[11] = 3;
	refused(&rig, -EINVAL, EXO_REASON_BITS, 11, 3, 0);
	works(&rig);
	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	*(struct exo_nvme_dsm_range *)rig.buf = exo_trim_range(rig.q, 0, 1);
	exo_prep_trim(rig.q, (void *)rig.buf, 1, 0);
	refused(&rig, -EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_TRIM, EXO_READ | EXO_WRITE);
	works(&rig);
}

static void copies(void)
{
	struct exo_nvme_copy_range *list;
	uint32_t max, many;
	struct rig rig;
	uint64_t end;

	rig_open(&rig, RIG_ALL, DEPTH);
	list = (void *)rig.buf;
	end = exo_blocks(rig.x);
	max = exo_transfer_max(rig.x);
	many = max / rig.size;
	list[0] = exo_copy_range(rig.q, end - 1, 2);
	exo_prep_copy(rig.q, list, 1, 0, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 6, end - 1, 2);
	list[0] = exo_copy_range(rig.q, 0, 2);
	exo_prep_copy(rig.q, list, 1, end - 1, 0);
	refused(&rig, -ERANGE, EXO_REASON_LBA, 10, end - 1, 2);
	list[0].reserved0 = 1ull << 63;
	exo_prep_copy(rig.q, list, 1, 8, 0);
	refused(&rig, -EINVAL, EXO_REASON_RANGE_BITS, 6, 0, 1ull << 63);
	list[0] = exo_copy_range(rig.q, 0, many);
	list[1] = exo_copy_range(rig.q, 0, 1);
	exo_prep_copy(rig.q, list, 2, many, 0);
	refused(&rig, -EMSGSIZE, EXO_REASON_TRANSFER, 12, max + rig.size, max);
	exo_prep_copy(rig.q, list, EXO_COPY_RANGES + 1, 8, 0);
	refused(&rig, -EINVAL, EXO_REASON_RANGES, 12, EXO_COPY_RANGES + 1, EXO_COPY_RANGES);
	/* A descriptor format with a namespace of its own. */
	exo_prep_copy(rig.q, list, 1, 8, 0)->cdw12 |= 2u << 8;
	refused(&rig, -EINVAL, EXO_REASON_BITS, 12, 2u << 8, 0);
	works(&rig);
}

static void indexes(void)
{
	uint32_t before;
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	before = rig.q->control->cq_head;
	exo_prep_read(rig.q, rig.buf, 0, 1, 0);
	rig.q->control->cq_head = before + 1;
	refused(&rig, -EINVAL, EXO_REASON_CQ_HEAD, 0, before + 1, before);
	rig.q->control->cq_head = before;
	exo_prep_read(rig.q, rig.buf, 0, 1, 0);
	rig.q->sq_tail += 2 * (rig.q->mask + 1);
	CHECK_EQUAL(exo_submit(rig.q), -EINVAL);
	CHECK_EQUAL(rig.q->detail.reason, EXO_REASON_RING_INDEX);
	rig.q->sq_tail -= 2 * (rig.q->mask + 1);
	CHECK_EQUAL(exo_submit(rig.q), 1);
	rig_close(&rig);
}

/* Only a program that keeps identifiers of its own can meet this. */
static void full(void)
{
	struct exo_completion done[DEPTH];
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	for (uint32_t i = 0; i < DEPTH; i++)
		exo_prep_read(rig.q, rig.buf, i, 1, i);
	CHECK_EQUAL(exo_submit(rig.q), DEPTH);
	while (exo_queue_private(rig.q)->uring->in_flight)
		exo_uring_post(rig.q);
	/* All have ended, and none was consumed. */
	rig.q->cids[rig.q->free++] = 0;
	exo_prep_read(rig.q, rig.buf, 0, 1, 9);
	CHECK_EQUAL(exo_submit(rig.q), -EAGAIN);
	CHECK_EQUAL(rig.q->detail.reason, EXO_REASON_QUEUE_FULL);
	CHECK_EQUAL(rig.q->detail.value, DEPTH);
	exo_withdraw(rig.q, 0);
	rig.q->free--;
	CHECK_EQUAL(exo_reap(rig.q, done, DEPTH), DEPTH);
	works(&rig);
}

static void in_a_batch(void)
{
	struct exo_completion done[DEPTH];
	uint64_t user_data = 0;
	struct rig rig;
	int n = 0;

	rig_open(&rig, RIG_ALL, DEPTH);
	exo_prep_read(rig.q, rig.buf, 0, 1, 10);
	exo_prep_read(rig.q, rig.buf, 1, 1, 11);
	exo_prep_read(rig.q, rig.buf, exo_blocks(rig.x), 1, 12);
	exo_prep_read(rig.q, rig.buf, 2, 1, 13);
	CHECK_EQUAL(exo_submit(rig.q), 2);
	CHECK_EQUAL(rig.q->detail.reason, EXO_REASON_LBA);
	CHECK_EQUAL(rig.q->detail.index, 2);
	CHECK(strstr(exo_queue_strerror(rig.q, 0), "the extent is"));
	CHECK(exo_prepared(rig.q, 0, &user_data));
	CHECK_EQUAL(user_data, 12);
	/* Mended, it and the one behind it go. */
	exo_prepared(rig.q, 0, NULL)->slba = 3;
	CHECK_EQUAL(exo_submit(rig.q), 2);
	while (n < 4)
		n += exo_wait(rig.q, done, DEPTH, -1);
	CHECK_EQUAL(exo_queue_free(rig.q), DEPTH);
	rig_close(&rig);
}

static const struct tap_test tests[] = {
	TEST(blocks, "blocks outside the file are refused, whoever names them"),
	TEST(sizes, "more than the largest transfer is refused, and exactly that is not"),
	TEST(rights, "what the handle was not opened for is refused"),
	TEST(forms, "foreign opcodes and bits that must be 0 are refused"),
	TEST(identifiers, "command identifiers that cannot be, or are in flight, are refused"),
	TEST(buffers, "memory that is no buffer, or no more, is refused"),
	TEST(trims, "lists to deallocate are checked, range by range"),
	TEST(copies, "lists to copy are checked, and the target"),
	TEST(indexes, "indexes that cannot be are refused and change nothing"),
	TEST(full, "a queue whose completions are not consumed is full"),
	TEST(in_a_batch, "of a batch those before the refused command go, and it stays"),
};

RIG_MAIN(tests)
