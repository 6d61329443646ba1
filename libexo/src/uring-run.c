// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What a command is for io_uring: steps, one after the other, each of which io_uring has
 * until it is done whole. Then a completion is written as a device would.
 *
 *	Flush			fdatasync
 *	Read, Write		read, write; by scratch memory if the buffer is not aligned
 *	Compare			read to scratch memory, which is compared
 *	Write Zeroes		write of zeroes; a hole, if it may deallocate and the file can
 *	Dataset Management	a hole for each range
 *	Copy			a read to scratch memory for each range, one write
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "uring.h"

/* ---- status ---- */

#define STATUS(type, code) ((type) << 8 | (code))

/* The Status Field that exo_nvme_status_errno() makes the most like errno of. */
uint16_t exo_uring_status(int result, bool writes)
{
	switch (-result) {
	case 0:
		return 0;
	case EOPNOTSUPP:
	case ENOTTY:
		return STATUS(0, 0x01); /* invalid command opcode */
	case EINVAL:
		return STATUS(0, 0x02); /* invalid field in command */
	case ECANCELED:
		return STATUS(0, 0x07); /* command aborted on request */
	case ENODEV:
	case ENXIO:
	case ESHUTDOWN:
		return STATUS(0, 0x0b); /* invalid namespace or format */
	case EROFS:
	case EPERM:
		return STATUS(0, 0x20); /* namespace is write protected */
	case EFBIG:
	case ERANGE:
		return STATUS(0, 0x80); /* LBA out of range */
	case ENOSPC:
	case EDQUOT:
		return STATUS(0, 0x81); /* capacity exceeded */
	case EBUSY:
		return STATUS(0, 0x82); /* namespace not ready */
	case EIO:
	case ENODATA: /* what Linux calls a medium error */
		return writes ? STATUS(2, 0x80) : STATUS(2, 0x81);
	case EILSEQ:
	case EBADMSG:
		return STATUS(2, 0x82); /* end-to-end guard check error */
	}
	return STATUS(0, 0x06); /* internal error */
}

#define COMPARE_FAILURE STATUS(2, 0x85)

/* ---- steps ---- */

static uint64_t position(const struct exo *x, uint64_t block)
{
	return (block - x->start) << x->block_shift;
}

/* Always true: there is something to do. */
static bool set(struct exo_uring_op *op, enum exo_uring_do what, char *memory, uint64_t at,
		uint64_t bytes)
{
	op->what = what;
	op->memory = memory;
	op->at = at;
	op->left = bytes;
	return true;
}

static char *memory_of(const struct exo_uring_op *op)
{
	return op->scratch ? op->scratch : op->data;
}

static bool set_zeroes(const struct exo *x, struct exo_uring_op *op)
{
	uint64_t at = position(x, op->command.slba);
	uint64_t bytes = ((op->command.cdw12 & 0xffff) + 1ull) << x->block_shift;

	/* A hole is not durable before the next flush. */
	if ((op->command.cdw12 & (EXO_NVME_DEAC | EXO_NVME_FUA)) == EXO_NVME_DEAC && !op->unpunched)
		return set(op, EXO_URING_PUNCH, NULL, at, bytes);
	return set(op, EXO_URING_WRITE, x->uring->zeroes, at, bytes);
}

/* Ranges of no blocks are nothing to do; nor is a hint that is not to deallocate. */
static bool set_trim(const struct exo *x, struct exo_uring_op *op)
{
	if (!(op->command.dword[11] & EXO_NVME_AD))
		return false;
	while (op->step < op->count && !op->trims[op->step].nlb)
		op->step++;
	if (op->step == op->count)
		return false;
	return set(op, EXO_URING_PUNCH, NULL, position(x, op->trims[op->step].slba),
		   (uint64_t)op->trims[op->step].nlb << x->block_shift);
}

static bool set_copy(const struct exo *x, struct exo_uring_op *op)
{
	char *to = op->scratch;

	if (op->step > op->count)
		return false;
	if (op->step == op->count)
		return set(op, EXO_URING_WRITE, op->scratch, position(x, op->command.slba),
			   op->bytes);
	for (uint32_t i = 0; i < op->step; i++)
		to += (op->copies[i].nlb + 1ul) << x->block_shift;
	return set(op, EXO_URING_READ, to, position(x, op->copies[op->step].slba),
		   (op->copies[op->step].nlb + 1ull) << x->block_shift);
}

/* Set up the next step; false: there is none left. */
static bool set_step(const struct exo *x, struct exo_uring_op *op)
{
	uint64_t at = position(x, op->command.slba);

	switch (op->command.opcode) {
	case EXO_NVME_DSM:
		return set_trim(x, op);
	case EXO_NVME_COPY:
		return set_copy(x, op);
	}
	if (op->step)
		return false;
	switch (op->command.opcode) {
	case EXO_NVME_FLUSH:
		return set(op, EXO_URING_SYNC, NULL, 0, 0);
	case EXO_NVME_WRITE_ZEROES:
		return set_zeroes(x, op);
	case EXO_NVME_WRITE:
		if (op->scratch)
			memcpy(op->scratch, op->data, op->bytes);
		return set(op, EXO_URING_WRITE, memory_of(op), at, op->bytes);
	}
	return set(op, EXO_URING_READ, memory_of(op), at, op->bytes);
}

/* There is an entry for each command in flight. */
static void issue(struct exo_queue_private *p, struct exo_uring_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&p->uring->ring);
	int fd = p->x->uring->fd;

	switch (op->what) {
	case EXO_URING_READ:
		io_uring_prep_read(sqe, fd, op->memory, op->left, op->at);
		break;
	case EXO_URING_WRITE:
		io_uring_prep_write(sqe, fd, op->memory, op->left, op->at);
		if (op->command.cdw12 & EXO_NVME_FUA)
			sqe->rw_flags = RWF_DSYNC;
		break;
	case EXO_URING_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case EXO_URING_PUNCH:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->at,
					op->left);
		break;
	}
	sqe->user_data = op->command.cid;
}

/* ---- the end of a command ---- */

/* Give back what the check has found for it. */
void exo_uring_forget(struct exo *x, struct exo_uring_op *op)
{
	if (op->buf)
		exo_uring_buf_put(x, op->buf);
	free(op->scratch);
	free(op->list);
	op->buf = NULL;
	op->scratch = NULL;
	op->list = NULL;
}

/* The last dword has the phase tag: until it is stored, there is no completion. */
static void post(struct exo_queue_private *p, uint16_t cid, uint16_t status)
{
	struct exo_uring_queue *u = p->uring;
	struct exo_nvme_completion entry = { .sq_head = u->taken & p->q.mask,
					     .sq_id = p->qid,
					     .cid = cid };
	struct exo_nvme_completion *to = &u->cq[u->posted & p->q.mask];

	entry.status = status << 1 | exo_phase(&p->q, u->posted);
	to->qword[0] = entry.qword[0];
	__atomic_store_n(&to->qword[1], entry.qword[1], __ATOMIC_RELEASE);
	u->posted++;
}

static uint16_t finish_data(struct exo_uring_op *op)
{
	if (op->command.opcode == EXO_NVME_COMPARE)
		return memcmp(op->scratch, op->data, op->bytes) ? COMPARE_FAILURE : 0;
	if (op->command.opcode == EXO_NVME_READ && op->scratch)
		memcpy(op->data, op->scratch, op->bytes);
	return 0;
}

static void finish(struct exo_queue_private *p, struct exo_uring_op *op, uint16_t status)
{
	if (!status)
		status = finish_data(op);
	exo_uring_forget(p->x, op);
	op->busy = false;
	p->uring->in_flight--;
	post(p, op->command.cid, status);
}

static void go_on(struct exo_queue_private *p, struct exo_uring_op *op)
{
	if (set_step(p->x, op))
		issue(p, op);
	else
		finish(p, op, 0);
}

static bool moves_bytes(const struct exo_uring_op *op)
{
	return op->what == EXO_URING_READ || op->what == EXO_URING_WRITE;
}

/* No bytes, or the end within a block: the file has become shorter. */
static bool is_short(const struct exo *x, const struct exo_uring_op *op, int result)
{
	if (result < 0 || !moves_bytes(op))
		return false;
	return !result ||
	       (op->what == EXO_URING_READ && (op->at + result) & ((1u << x->block_shift) - 1));
}

/* A file that cannot have holes can have zeroes. */
static bool writes_instead(struct exo_uring_op *op, int result)
{
	if (op->command.opcode != EXO_NVME_WRITE_ZEROES || op->what != EXO_URING_PUNCH)
		return false;
	op->unpunched = result == -EOPNOTSUPP || result == -ENOSYS;
	return op->unpunched;
}

/* io_uring is done with the step, or with a part of it. */
static void end_step(struct exo_queue_private *p, struct exo_uring_op *op, int result)
{
	if (result == -EINTR || result == -EAGAIN) {
		issue(p, op);
		return;
	}
	if (result < 0 && writes_instead(op, result)) {
		go_on(p, op);
		return;
	}
	if (is_short(p->x, op, result))
		result = -ERANGE;
	if (result < 0) {
		finish(p, op, exo_uring_status(result, op->what != EXO_URING_READ));
		return;
	}
	if (moves_bytes(op) && (uint64_t)result < op->left) {
		set(op, op->what, op->memory + result, op->at + result, op->left - result);
		issue(p, op);
		return;
	}
	op->step++;
	go_on(p, op);
}

/* ---- what a device does ---- */

unsigned int exo_uring_post(struct exo_queue *q)
{
	struct exo_queue_private *p = exo_queue_private(q);
	struct exo_uring_queue *u = p->uring;
	uint32_t before = u->posted;
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		end_step(p, &u->ops[cqe->user_data], cqe->res);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
	return u->posted - before;
}

/* ---- what the module does ---- */

static int deny(struct exo_detail *detail, int result, uint32_t reason, uint64_t value,
		uint64_t limit)
{
	detail->reason = reason;
	detail->field = 0;
	detail->value = value;
	detail->limit = limit;
	return result;
}

/* What the program's indexes say, if it can be true. */
static int believe(struct exo_queue *q, uint32_t *pending)
{
	uint32_t claimed = __atomic_load_n(&q->control->cq_head, __ATOMIC_ACQUIRE);
	uint32_t tail = __atomic_load_n(&q->control->sq_tail, __ATOMIC_ACQUIRE);
	struct exo_uring_queue *u = exo_queue_private(q)->uring;

	*pending = tail - u->taken;
	if (*pending > q->mask + 1)
		return deny(&q->detail, -EINVAL, EXO_REASON_RING_INDEX, tail, u->taken);
	if (claimed - u->consumed > u->posted - u->consumed)
		return deny(&q->detail, -EINVAL, EXO_REASON_CQ_HEAD, claimed, u->posted);
	u->consumed = claimed;
	return 0;
}

static int take_one(struct exo_queue *q)
{
	struct exo_queue_private *p = exo_queue_private(q);
	struct exo_uring_queue *u = p->uring;
	const struct exo_nvme_command command = q->sq[u->taken & q->mask];
	int r;

	if (u->taken - u->consumed == q->depth)
		return deny(&q->detail, -EAGAIN, EXO_REASON_QUEUE_FULL, q->depth, q->depth);
	r = exo_uring_check(p, &command, &q->detail);
	if (r)
		return r;
	u->taken++;
	u->in_flight++;
	u->ops[command.cid].busy = true;
	go_on(p, &u->ops[command.cid]);
	return 0;
}

/* As module/submit.c: what the kernel does not take at once stays in io_uring's ring. */
int exo_uring_submit(struct exo_queue *q)
{
	struct exo_uring_queue *u = exo_queue_private(q)->uring;
	uint32_t pending, done = 0;
	int r;

	exo_uring_post(q);
	r = believe(q, &pending);
	while (!r && done < pending) {
		r = take_one(q);
		done += !r;
	}
	q->detail.index = done;
	__atomic_store_n(&u->status->sq_head, u->taken, __ATOMIC_RELEASE);
	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
	return done ? (int)done : r;
}
