// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The check of an emulated queue: what a command may say. It answers as the module would:
 * the same errno, the same struct exo_detail, in the same order, from the table beside struct
 * exo_queue_submit in <linux/exo.h>. What it finds on the way stays in the command's slot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "uring.h"

#define ALL 0xffffffffu
#define OPCODE_CID 0xffff00ffu
#define NLB 0xffffu
#define RANGES 0xffu /* 0's based */

/**
 * struct rule - what one opcode may say
 * @permitted: bits, by dword
 * @needs: right on the extent; 0: the opcode is not permitted
 * @feature: EXO_CONTROLLER_* that it needs
 * @data: has some, as many as it names blocks
 */
struct rule {
	uint32_t permitted[16];
	uint32_t needs;
	uint32_t feature;
	bool data;
};

#define DWORDS_TRANSFER [0] = OPCODE_CID, [1] = ALL, [6] = ALL, [7] = ALL, [10] = ALL, [11] = ALL

static const struct rule rules[] = {
	[EXO_NVME_FLUSH] = { { [0] = OPCODE_CID, [1] = ALL }, EXO_WRITE, 0, false },
	[EXO_NVME_WRITE] = { { DWORDS_TRANSFER, [12] = NLB | EXO_NVME_FUA }, EXO_WRITE, 0, true },
	[EXO_NVME_READ] = { { DWORDS_TRANSFER, [12] = NLB | EXO_NVME_FUA }, EXO_READ, 0, true },
	[EXO_NVME_COMPARE] = { { DWORDS_TRANSFER, [12] = NLB | EXO_NVME_FUA },
			       EXO_READ,
			       EXO_CONTROLLER_COMPARE,
			       true },
	[EXO_NVME_WRITE_ZEROES] = { { [0] = OPCODE_CID,
				      [1] = ALL,
				      [10] = ALL,
				      [11] = ALL,
				      [12] = NLB | EXO_NVME_FUA | EXO_NVME_DEAC },
				    EXO_WRITE,
				    EXO_CONTROLLER_WRITE_ZEROES,
				    false },
	[EXO_NVME_DSM] = { { [0] = OPCODE_CID,
			     [1] = ALL,
			     [6] = ALL,
			     [7] = ALL,
			     [10] = RANGES,
			     [11] = EXO_NVME_AD },
			   EXO_TRIM,
			   EXO_CONTROLLER_TRIM,
			   false },
	[EXO_NVME_COPY] = { { DWORDS_TRANSFER, [12] = RANGES | EXO_NVME_FUA },
			    EXO_WRITE,
			    EXO_CONTROLLER_COPY,
			    false },
};

/**
 * struct check - what is being checked
 * @p: the queue
 * @x: its handle
 * @command: the copy
 * @op: its slot, once that is known to be free
 * @detail: the answer
 */
struct check {
	struct exo_queue_private *p;
	struct exo *x;
	const struct exo_nvme_command *command;
	struct exo_uring_op *op;
	struct exo_detail *detail;
};

static int deny(const struct check *c, int result, uint32_t reason, uint32_t dword, uint64_t value,
		uint64_t limit)
{
	c->detail->reason = reason;
	c->detail->field = dword;
	c->detail->value = value;
	c->detail->limit = limit;
	return result;
}

/* ---- form ---- */

static const struct rule *rule_of(const struct check *c)
{
	const struct rule *rule;

	if (c->command->opcode >= sizeof(rules) / sizeof(rules[0]))
		return NULL;
	rule = &rules[c->command->opcode];
	return rule->needs && !(rule->feature & ~c->x->controller_flags) ? rule : NULL;
}

static int check_bits(const struct check *c, const struct rule *rule)
{
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t bad = c->command->dword[i] & ~rule->permitted[i];

		if (bad)
			return deny(c, -EINVAL, EXO_REASON_BITS, i, bad, 0);
	}
	return 0;
}

static int check_cid(const struct check *c)
{
	uint32_t cid = c->command->cid;

	if (cid >= c->p->q.depth)
		return deny(c, -EINVAL, EXO_REASON_CID, 0, cid, c->p->q.depth);
	if (c->p->uring->ops[cid].busy)
		return deny(c, -EEXIST, EXO_REASON_CID_IN_FLIGHT, 0, cid, 0);
	return 0;
}

/* ---- blocks ---- */

static int check_nsid(const struct check *c)
{
	if (c->command->nsid == c->x->nsid)
		return 0;
	return deny(c, -ERANGE, EXO_REASON_NSID, 1, c->command->nsid, 0);
}

static int check_rights(const struct check *c, uint32_t needs)
{
	uint32_t missing = needs & ~c->x->rights;

	if (!missing)
		return 0;
	return deny(c, -EACCES, EXO_REASON_LBA_RIGHT, 0, missing, c->x->rights);
}

static int check_blocks(const struct check *c, uint64_t start, uint64_t count, uint32_t needs,
			uint32_t dword)
{
	uint64_t end;
	int r;

	if (__builtin_add_overflow(start, count, &end))
		return deny(c, -EOVERFLOW, EXO_REASON_LBA_OVERFLOW, dword, start, count);
	r = check_nsid(c);
	if (r)
		return r;
	if (start < c->x->start || end > c->x->start + c->x->blocks)
		return deny(c, -ERANGE, EXO_REASON_LBA, dword, start, count);
	return check_rights(c, needs);
}

static int check_bytes(const struct check *c, uint64_t bytes, uint64_t max, uint32_t dword)
{
	if (bytes <= max)
		return 0;
	return deny(c, -EMSGSIZE, EXO_REASON_TRANSFER, dword, bytes, max);
}

/* ---- memory ---- */

/* Finds and counts the buffer. */
static int check_buffer(const struct check *c, uint32_t bytes)
{
	uint64_t offset = c->command->prp1, end;
	struct exo_buf *buf;

	if (offset & 3)
		return deny(c, -EINVAL, EXO_REASON_BUFFER_ALIGN, 6, offset, 0);
	buf = exo_uring_buf_get(c->x, offset);
	if (!buf)
		return deny(c, -EFAULT, EXO_REASON_BUFFER, 6, offset, 0);
	if (buf->read_only && c->command->opcode == EXO_NVME_READ) {
		exo_uring_buf_put(c->x, buf);
		return deny(c, -EACCES, EXO_REASON_BUFFER_RIGHT, 6, offset, EXO_RIGHT_WRITE);
	}
	end = buf->offset + buf->bytes;
	if (offset + bytes > end) {
		exo_uring_buf_put(c->x, buf);
		return deny(c, -EFAULT, EXO_REASON_BUFFER, 6, end, 0);
	}
	c->op->buf = buf;
	c->op->data = (char *)buf->at + (offset - buf->offset);
	return 0;
}

static int no_memory(const struct check *c)
{
	return deny(c, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
}

static bool goes_directly(const struct check *c)
{
	if (c->command->opcode == EXO_NVME_COMPARE || c->command->opcode == EXO_NVME_COPY)
		return false;
	return !((uintptr_t)c->op->data & (c->x->uring->memory_align - 1));
}

/*
 * Memory of our own for what cannot go between file and buffer. Cleared for valgrind, which
 * does not see the kernel write there.
 */
static int get_scratch(const struct check *c, uint32_t bytes)
{
	c->op->bytes = bytes;
	if (goes_directly(c))
		return 0;
	c->op->scratch = aligned_alloc(4096, (bytes + 4095) & ~4095u);
	if (!c->op->scratch)
		return no_memory(c);
	memset(c->op->scratch, 0, bytes);
	return 0;
}

/* Copies the list; the buffer may go then. */
static int get_list(const struct check *c, uint32_t count, uint32_t size)
{
	int r = check_buffer(c, count * size);

	if (r)
		return r;
	c->op->count = count;
	c->op->list = malloc((size_t)count * size);
	if (c->op->list)
		memcpy(c->op->list, c->op->data, (size_t)count * size);
	exo_uring_buf_put(c->x, c->op->buf);
	c->op->buf = NULL;
	c->op->data = NULL;
	return c->op->list ? 0 : no_memory(c);
}

/* ---- by opcode ---- */

static int check_flush(const struct check *c)
{
	int r = check_nsid(c);

	return r ? r : check_rights(c, EXO_WRITE);
}

static int check_transfer(const struct check *c, const struct rule *rule)
{
	uint32_t count = (c->command->cdw12 & NLB) + 1, needs = rule->needs;
	uint64_t bytes = (uint64_t)count << c->x->block_shift;
	int r;

	if (c->command->cdw12 & EXO_NVME_DEAC)
		needs |= EXO_TRIM;
	r = check_blocks(c, c->command->slba, count, needs, 10);
	if (!r)
		r = check_bytes(c, bytes, c->x->transfer_max, 12);
	if (!r && rule->data)
		r = check_buffer(c, bytes);
	if (!r && rule->data)
		r = get_scratch(c, bytes);
	return r;
}

static int check_count(const struct check *c, uint32_t count, uint32_t max, uint32_t dword)
{
	if (count <= max)
		return 0;
	return deny(c, -EINVAL, EXO_REASON_RANGES, dword, count, max);
}

static int check_trim(const struct check *c)
{
	uint32_t count = (c->command->dword[10] & RANGES) + 1;
	uint64_t blocks = 0;
	int r = check_count(c, count, EXO_TRIM_RANGES, 10);

	if (!r)
		r = get_list(c, count, sizeof(struct exo_nvme_dsm_range));
	for (uint32_t i = 0; i < count && !r; i++) {
		const struct exo_nvme_dsm_range *range = &c->op->trims[i];

		r = check_blocks(c, range->slba, range->nlb, EXO_TRIM, 6);
		if (!r && range->cattr)
			r = deny(c, -EINVAL, EXO_REASON_RANGE_BITS, 6, range->slba, range->cattr);
		blocks += range->nlb;
	}
	return r ? r : check_bytes(c, blocks << c->x->block_shift, EXO_TRIM_BYTES, 10);
}

static int check_copy_source(const struct check *c, const struct exo_nvme_copy_range *range)
{
	uint64_t raw[4], more;
	int r = check_blocks(c, range->slba, range->nlb + 1ull, EXO_READ, 6);

	if (r)
		return r;
	memcpy(raw, range, sizeof(raw));
	more = raw[0] | raw[2] >> 16 | raw[3];
	return more ? deny(c, -EINVAL, EXO_REASON_RANGE_BITS, 6, range->slba, more) : 0;
}

static int check_copy(const struct check *c)
{
	uint32_t count = (c->command->cdw12 & RANGES) + 1;
	uint64_t blocks = 0;
	int r = check_count(c, count, EXO_COPY_RANGES, 12);

	if (!r)
		r = get_list(c, count, sizeof(struct exo_nvme_copy_range));
	for (uint32_t i = 0; i < count && !r; i++) {
		r = check_copy_source(c, &c->op->copies[i]);
		blocks += c->op->copies[i].nlb + 1ull;
	}
	if (!r)
		r = check_blocks(c, c->command->slba, blocks, EXO_WRITE, 10);
	if (!r)
		r = check_bytes(c, blocks << c->x->block_shift, c->x->transfer_max, 12);
	return r ? r : get_scratch(c, blocks << c->x->block_shift);
}

static int check_rest(const struct check *c, const struct rule *rule)
{
	switch (c->command->opcode) {
	case EXO_NVME_FLUSH:
		return check_flush(c);
	case EXO_NVME_DSM:
		return check_trim(c);
	case EXO_NVME_COPY:
		return check_copy(c);
	}
	return check_transfer(c, rule);
}

/* 0: the command is in its slot, with what it needs, and nothing has been done. */
int exo_uring_check(struct exo_queue_private *p, const struct exo_nvme_command *command,
		    struct exo_detail *detail)
{
	struct check c = { .p = p, .x = p->x, .command = command, .detail = detail };
	const struct rule *rule = rule_of(&c);
	int r;

	if (!rule)
		return deny(&c, -EOPNOTSUPP, EXO_REASON_OPCODE, 0, command->opcode, 0);
	r = check_bits(&c, rule);
	if (!r)
		r = check_cid(&c);
	if (r)
		return r;
	c.op = &p->uring->ops[command->cid];
	memset(c.op, 0, sizeof(*c.op));
	c.op->command = *command;
	r = check_rest(&c, rule);
	if (r)
		exo_uring_forget(p->x, c.op);
	return r;
}
