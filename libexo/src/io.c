// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Synchronous helpers: a request, cut into commands, kept in flight until the
 * last has ended. Whatever goes wrong, what is in flight is waited for, so that
 * the buffer is the caller's again when the call returns.
 */
#include <errno.h>

#include "private.h"

#define BLOCKS_MAX 65536u /* NLB is a 16-bit field, 0 meaning one block */
#define REAP_MAX 32

/**
 * struct request - what is left of a synchronous call about blocks that lie side by side
 * @work: its commands
 * @opcode: NVMe opcode
 * @offset: in buffer space, of what is left
 * @block: extent block, of what is left
 * @left: blocks
 * @step: blocks that one command carries
 * @moves_data: the offset advances with the block
 */
struct request {
	struct exo_work work;
	uint8_t opcode;
	uint64_t offset;
	uint64_t block;
	uint64_t left;
	uint32_t step;
	bool moves_data;
};

static bool prepare(struct exo_work *work, struct exo_queue *q)
{
	struct request *request = (struct request *)work;
	uint32_t n = request->left < request->step ? request->left : request->step;

	if (!n)
		return false;
	exo_prep_blocks(q, request->opcode, request->offset, request->block, n, request->block);
	request->block += n;
	request->left -= n;
	if (request->moves_data)
		request->offset += (uint64_t)n << q->block_shift;
	return true;
}

/* The first failure among completions, in words; 0 if there is none. */
static int judge(struct exo_queue *q, const char *name, const struct exo_completion *completions,
		 int n)
{
	for (int i = 0; i < n; i++) {
		uint16_t status = exo_nvme_status(&completions[i].raw);

		if (status)
			return exo_queue_fail(q, exo_nvme_status_errno(status), NULL,
					      "the device failed a %s at extent block %llu: %s "
					      "(status %#x)",
					      name, (unsigned long long)completions[i].user_data,
					      exo_nvme_status_text(status), status);
	}
	return 0;
}

static int reap_some(struct exo_queue *q, struct exo_work *work)
{
	struct exo_completion completions[REAP_MAX];
	int n = exo_wait(q, completions, REAP_MAX, -1);

	if (n < 0)
		return n;
	if (work->done)
		work->done(work, completions, n);
	return judge(q, work->name, completions, n);
}

/*
 * Take back what was not accepted, wait for what was; the first failure counts. A wait may
 * find that a thread has refused what it was handed.
 */
static int drain(struct exo_queue *q, struct exo_work *work, int result)
{
	int r = result;

	exo_withdraw(q, 0);
	/* Who did not answer in time is not asked again. */
	while (exo_queue_in_flight(q) && r != -ETIMEDOUT) {
		r = reap_some(q, work);
		if (!result)
			result = r;
		if (r == -ESTALE)
			break;
		exo_withdraw(q, 0);
	}
	return result;
}

int exo_check_idle(struct exo_queue *q, const char *name)
{
	if (!exo_queue_prepared(q) && !exo_queue_in_flight(q))
		return 0;
	return exo_queue_fail(q, -EBUSY, NULL,
			      "a %s needs an idle queue: %u commands are prepared and %u in flight",
			      name, exo_queue_prepared(q), exo_queue_in_flight(q));
}

int exo_work_run(struct exo_queue *q, struct exo_work *work)
{
	bool more = true;
	int r = 0;

	while (!r && (more || exo_queue_prepared(q))) {
		while (more && exo_queue_free(q))
			more = work->prepare(work, q);
		r = exo_submit(q);
		if (r < 0)
			break;
		r = reap_some(q, work);
	}
	return drain(q, work, r);
}

uint32_t exo_blocks_max(struct exo_queue *q)
{
	uint32_t blocks = exo_transfer_max(exo_queue_handle(q)) >> q->block_shift;

	return blocks && blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX;
}

/* 0 if the controller has the command that @flag stands for. */
static int check_has(struct exo_queue *q, uint32_t flag, const char *command)
{
	if (exo_controller_flags(exo_queue_handle(q)) & flag)
		return 0;
	return exo_queue_fail(q, -EOPNOTSUPP, NULL, "the controller has no %s command", command);
}

static int move(struct exo_queue *q, const char *name, uint8_t opcode, const void *buf,
		uint64_t block, uint64_t nblocks)
{
	struct request request = {
		.work = { .name = name, .prepare = prepare },
		.opcode = opcode,
		.offset = exo_buf_offset(q, buf),
		.block = block,
		.left = nblocks,
		.step = exo_blocks_max(q),
		.moves_data = true,
	};
	int r = exo_check_idle(q, name);

	if (!r && q->direct && !exo_direct_reaches(q, buf, request.offset))
		r = exo_queue_fail(q, -EFAULT, NULL,
				   "%s refused: the buffer is not of exo_buf_alloc(), or is gone",
				   name);
	if (!r)
		r = exo_direct_within(q, name, opcode == EXO_NVME_WRITE ? EXO_WRITE : EXO_READ,
				      block, nblocks);
	return r ? r : exo_work_run(q, &request.work);
}

int exo_read(struct exo_queue *q, void *buf, uint64_t block, uint64_t nblocks)
{
	return move(q, "read", EXO_NVME_READ, buf, block, nblocks);
}

int exo_write(struct exo_queue *q, const void *buf, uint64_t block, uint64_t nblocks)
{
	return move(q, "write", EXO_NVME_WRITE, buf, block, nblocks);
}

int exo_write_zeroes(struct exo_queue *q, uint64_t block, uint64_t nblocks)
{
	struct request request = {
		.work = { .name = "write of zeroes", .prepare = prepare },
		.opcode = EXO_NVME_WRITE_ZEROES,
		.block = block,
		.left = nblocks,
		.step = exo_blocks_max(q),
	};
	int r = exo_check_idle(q, "write of zeroes");

	if (!r)
		r = check_has(q, EXO_CONTROLLER_WRITE_ZEROES, "Write Zeroes");
	if (!r)
		r = exo_direct_within(q, "write of zeroes", EXO_WRITE, block, nblocks);
	return r ? r : exo_work_run(q, &request.work);
}

int exo_compare(struct exo_queue *q, const void *buf, uint64_t block, uint64_t nblocks)
{
	int r = check_has(q, EXO_CONTROLLER_COMPARE, "Compare");

	return r ? r : move(q, "comparison", EXO_NVME_COMPARE, buf, block, nblocks);
}

/* What is prepared already. */
int exo_run_prepared(struct exo_queue *q, const char *name)
{
	struct request nothing = { .work = { .name = name, .prepare = prepare } };

	return exo_work_run(q, &nothing.work);
}

int exo_flush(struct exo_queue *q)
{
	int r = exo_check_idle(q, "flush");

	if (!r)
		r = exo_direct_within(q, "flush", EXO_WRITE, 0, 0);
	if (r)
		return r;
	exo_prep_flush(q, 0);
	return exo_run_prepared(q, "flush");
}

/* One command after the other, each with one range, for which @range has room. */
static int trim(struct exo_queue *q, struct exo_nvme_dsm_range *range, uint64_t block,
		uint64_t nblocks)
{
	uint32_t step = EXO_TRIM_BYTES >> q->block_shift;
	int r = 0;

	while (!r && nblocks) {
		uint32_t n = nblocks < step ? (uint32_t)nblocks : step;

		*range = exo_trim_range(q, block, n);
		exo_prep_trim(q, range, 1, block);
		r = exo_run_prepared(q, "trim");
		block += n;
		nblocks -= n;
	}
	return r;
}

int exo_trim(struct exo_queue *q, uint64_t block, uint64_t nblocks)
{
	void *list;
	int r = exo_check_idle(q, "trim");

	if (!r)
		r = check_has(q, EXO_CONTROLLER_TRIM, "Dataset Management");
	if (!r)
		r = exo_direct_within(q, "trim", EXO_TRIM, block, nblocks);
	if (!r)
		r = exo_buf_alloc(q, sizeof(struct exo_nvme_dsm_range), &list);
	if (r)
		return r;
	r = trim(q, list, block, nblocks);
	exo_buf_free(q, list);
	return r;
}

/* Prepares a copy of as much as one command may: how many blocks. */
static uint32_t prepare_copy(struct exo_queue *q, struct exo_nvme_copy_range *list, uint64_t from,
			     uint64_t to, uint64_t nblocks)
{
	const struct exo_copy_limits limits = exo_copy_limits(exo_queue_handle(q));
	uint32_t left = nblocks < limits.blocks ? (uint32_t)nblocks : limits.blocks;
	uint32_t count = 0, done = 0;

	while (left && count < limits.ranges) {
		uint32_t n = left < limits.range_blocks ? left : limits.range_blocks;

		list[count++] = exo_copy_range(q, from + done, n);
		done += n;
		left -= n;
	}
	exo_prep_copy(q, list, count, to, from);
	return done;
}

static int copy(struct exo_queue *q, void *list, uint64_t from, uint64_t to, uint64_t nblocks)
{
	int r = 0;

	while (!r && nblocks) {
		uint32_t n = prepare_copy(q, list, from, to, nblocks);

		r = exo_run_prepared(q, "copy");
		from += n;
		to += n;
		nblocks -= n;
	}
	return r;
}

static int check_apart(struct exo_queue *q, uint64_t from, uint64_t to, uint64_t nblocks)
{
	if ((from < to ? to - from : from - to) >= nblocks)
		return 0;
	return exo_queue_fail(
		q, -EINVAL, NULL, "%llu blocks from %llu on overlap with as many from %llu on",
		(unsigned long long)nblocks, (unsigned long long)from, (unsigned long long)to);
}

int exo_copy(struct exo_queue *q, uint64_t from, uint64_t to, uint64_t nblocks)
{
	void *list;
	int r = exo_check_idle(q, "copy");

	if (!r)
		r = check_apart(q, from, to, nblocks);
	if (!r && !exo_copy_limits(exo_queue_handle(q)).ranges)
		r = check_has(q, 0, "Copy");
	if (!r)
		r = exo_direct_within(q, "copy", EXO_READ, from, nblocks);
	if (!r)
		r = exo_direct_within(q, "copy", EXO_WRITE, to, nblocks);
	if (!r)
		r = exo_buf_alloc(q, EXO_COPY_RANGES * sizeof(struct exo_nvme_copy_range), &list);
	if (r)
		return r;
	r = copy(q, list, from, to, nblocks);
	exo_buf_free(q, list);
	return r;
}
