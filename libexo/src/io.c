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
 * struct request - what is left of a synchronous call
 * @opcode: NVMe opcode
 * @offset: in buffer space, of what is left
 * @block: extent block, of what is left
 * @left: blocks
 * @step: blocks that one command carries
 * @moves_data: the offset advances with the block
 */
struct request {
	uint8_t opcode;
	uint64_t offset;
	uint64_t block;
	uint64_t left;
	uint32_t step;
	bool moves_data;
};

/* Prepare as much as the queue has room for. */
static void prepare(struct exo_queue *q, struct request *request)
{
	while (request->left && exo_queue_free(q)) {
		uint32_t n = request->left < request->step ? request->left : request->step;

		exo_prep_blocks(q, request->opcode, request->offset, request->block, n,
				request->block);
		request->block += n;
		request->left -= n;
		if (request->moves_data)
			request->offset += (uint64_t)n << q->block_shift;
	}
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

static int reap_some(struct exo_queue *q, const char *name)
{
	struct exo_completion completions[REAP_MAX];
	int n = exo_wait(q, completions, REAP_MAX, -1);

	return n < 0 ? n : judge(q, name, completions, n);
}

/* Wait for all that is in flight; the first failure counts. */
static int drain(struct exo_queue *q, const char *name, int result)
{
	while (exo_queue_in_flight(q)) {
		int r = reap_some(q, name);

		if (!result)
			result = r;
		if (r == -ESTALE || r == -ETIMEDOUT)
			break;
	}
	return result;
}

static int check_idle(struct exo_queue *q, const char *name)
{
	if (!exo_queue_prepared(q) && !exo_queue_in_flight(q))
		return 0;
	return exo_queue_fail(q, -EBUSY, NULL,
			      "a %s needs an idle queue: %u commands are prepared and %u in flight",
			      name, exo_queue_prepared(q), exo_queue_in_flight(q));
}

static int run(struct exo_queue *q, const char *name, struct request *request)
{
	int r = 0;

	while (!r && (request->left || exo_queue_prepared(q))) {
		prepare(q, request);
		r = exo_submit(q);
		if (r < 0)
			break;
		r = reap_some(q, name);
	}
	exo_withdraw(q, 0);
	return drain(q, name, r);
}

/* Blocks that one command may carry, by its field and by the controller. */
static uint32_t step(struct exo_queue *q)
{
	uint32_t blocks = exo_transfer_max(exo_queue_handle(q)) >> q->block_shift;

	return blocks && blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX;
}

static int move(struct exo_queue *q, const char *name, uint8_t opcode, const void *buf,
		uint64_t block, uint64_t nblocks)
{
	struct request request = {
		.opcode = opcode,
		.offset = exo_buf_offset(q, buf),
		.block = block,
		.left = nblocks,
		.step = step(q),
		.moves_data = true,
	};
	int r = check_idle(q, name);

	return r ? r : run(q, name, &request);
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
		.opcode = EXO_NVME_WRITE_ZEROES,
		.block = block,
		.left = nblocks,
		.step = step(q),
	};
	int r = check_idle(q, "write of zeroes");

	if (r)
		return r;
	if (!(exo_controller_flags(exo_queue_handle(q)) & EXO_CONTROLLER_WRITE_ZEROES))
		return exo_queue_fail(q, -EOPNOTSUPP, NULL,
				      "the controller has no Write Zeroes command: write zeroes "
				      "instead");
	return run(q, "write of zeroes", &request);
}

int exo_flush(struct exo_queue *q)
{
	struct request nothing = { 0 };
	int r = check_idle(q, "flush");

	if (r)
		return r;
	exo_prep_flush(q, 0);
	return run(q, "flush", &nothing);
}
