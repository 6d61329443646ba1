// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Direct queues: commands go to the device without a call. What the kernel does for a
 * checked queue is done here: PRPs of what is longer than a page, and the doorbells. Of unsafe
 * ones also what the IOMMU does: addresses.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

#define PAGE 4096ull

/**
 * struct exo_direct - what a direct queue has besides
 * @sq_doorbell, @cq_doorbell: registers
 * @lists: memory for PRP lists
 * @lists_offset: where the device has it
 * @list_shift: log2 of the bytes for one command
 * @rung: completions that the device was told are consumed
 * @unsafe: there is no IOMMU
 */
struct exo_direct {
	volatile uint32_t *sq_doorbell;
	volatile uint32_t *cq_doorbell;
	char *lists;
	uint64_t lists_offset;
	uint32_t list_shift;
	uint32_t rung;
	bool unsafe;
};

int exo_direct_init(struct exo_queue *q, char *rw, const struct exo_queue_create *arg)
{
	struct exo_direct *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->sq_doorbell = (volatile uint32_t *)(rw + arg->out_sq_doorbell);
	d->cq_doorbell = (volatile uint32_t *)(rw + arg->out_cq_doorbell);
	d->lists = rw + arg->out_lists;
	d->lists_offset = arg->out_lists_offset;
	d->list_shift = arg->out_list_shift;
	d->unsafe = arg->mode == EXO_QUEUE_UNSAFE;
	q->direct = d;
	return 0;
}

/* ---- PRPs: NVMe base 2.0 section 4.1.1 ---- */

/* Bytes of the buffer; of an opcode that the library does not prepare the PRPs are its maker's. */
static uint64_t data_bytes(const struct exo_queue *q, const struct exo_nvme_command *command)
{
	switch (command->opcode) {
	case EXO_NVME_READ:
	case EXO_NVME_WRITE:
	case EXO_NVME_COMPARE:
	case EXO_NVME_ZONE_APPEND:
		return ((command->cdw12 & 0xffffull) + 1) << q->block_shift;
	case EXO_NVME_DSM:
		return ((command->slba & 0xff) + 1) * sizeof(struct exo_nvme_dsm_range);
	case EXO_NVME_COPY:
		return ((command->cdw12 & 0xffull) + 1) * sizeof(struct exo_nvme_copy_range);
	case EXO_NVME_ZONE_RECEIVE:
		return (command->cdw12 + 1ull) * 4;
	default:
		return 0;
	}
}

/* What lies behind the first page: one more page, or a list of them. */
static int point_beyond(struct exo_queue *q, struct exo_nvme_command *command, uint64_t bytes)
{
	struct exo_direct *d = q->direct;
	uint64_t second = (command->prp1 | (PAGE - 1)) + 1, *list;
	uint64_t pages = (command->prp1 + bytes - second + PAGE - 1) / PAGE;

	if (pages == 1) {
		command->prp2 = second;
		return 0;
	}
	if (command->cid >= q->depth)
		return -EINVAL;
	if (pages * sizeof(*list) > 1ull << d->list_shift)
		return -EMSGSIZE;
	list = (uint64_t *)(d->lists + ((size_t)command->cid << d->list_shift));
	for (uint64_t i = 0; i < pages; i++)
		list[i] = second + i * PAGE;
	command->prp2 = d->lists_offset + ((uint64_t)command->cid << d->list_shift);
	return 0;
}

static uint64_t room(const struct exo_nvme_command *command)
{
	return PAGE - (command->prp1 & (PAGE - 1));
}

/* Who filled PRP2 by hand knows why. */
static int __attribute__((noinline))
point_slowly(struct exo_queue *q, struct exo_nvme_command *command)
{
	uint64_t bytes = data_bytes(q, command);

	return bytes <= room(command) || command->prp2 ? 0 : point_beyond(q, command, bytes);
}

/* Most fit, and are of those that say their blocks in CDW12, which have the low opcodes. */
static inline int point(struct exo_queue *q, struct exo_nvme_command *command)
{
	uint64_t most = ((command->cdw12 & 0xffffull) + 1) << q->block_shift;

	if (__builtin_expect(most <= room(command) && command->opcode <= EXO_NVME_COMPARE, 1))
		return 0;
	return point_slowly(q, command);
}

/* The first @n that can be: how many. */
static inline uint32_t point_all(struct exo_queue *q, uint32_t n, int *why)
{
	for (uint32_t i = 0; i < n; i++) {
		*why = point(q, &q->sq[(q->sq_head + i) & q->mask]);
		if (__builtin_expect(*why, 0))
			return i;
	}
	return n;
}

/* ---- the same, of an unsafe queue ---- */

static int list_physically(struct exo_queue *q, const struct exo_nvme_command *command,
			   uint64_t second, uint64_t pages, uint64_t *prp2)
{
	struct exo_direct *d = q->direct;
	uint64_t at = (uint64_t)command->cid << d->list_shift;
	int r = 0;

	if (command->cid >= q->depth)
		return -EINVAL;
	if (pages * sizeof(uint64_t) > 1ull << d->list_shift)
		return -EMSGSIZE;
	for (uint64_t i = 0; !r && i < pages; i++)
		r = exo_buf_physical(exo_queue_private(q)->x, second + i * PAGE,
				     (uint64_t *)(d->lists + at) + i);
	*prp2 = d->lists_offset + at;
	return r;
}

/* Who filled PRP2 by hand has named physical addresses by hand. A refused one is left as it is. */
static int point_physically(struct exo_queue *q, struct exo_nvme_command *command)
{
	struct exo *x = exo_queue_private(q)->x;
	uint64_t bytes = data_bytes(q, command), second = (command->prp1 | (PAGE - 1)) + 1;
	uint64_t end = command->prp1 + bytes, prp1, prp2 = 0;
	int r;

	if (!bytes || command->prp2)
		return 0;
	r = exo_buf_physical(x, command->prp1, &prp1);
	if (!r && end > second + PAGE)
		r = list_physically(q, command, second, (end - second + PAGE - 1) / PAGE, &prp2);
	else if (!r && end > second)
		r = exo_buf_physical(x, second, &prp2);
	if (r)
		return r;
	command->prp1 = prp1;
	command->prp2 = prp2;
	return 0;
}

static uint32_t __attribute__((noinline))
point_all_physically(struct exo_queue *q, uint32_t n, int *why)
{
	for (uint32_t i = 0; i < n; i++) {
		*why = point_physically(q, &q->sq[(q->sq_head + i) & q->mask]);
		if (*why)
			return i;
	}
	return n;
}

/* ---- doorbells ---- */

void exo_direct_ring_cq(struct exo_queue *q)
{
	struct exo_direct *d = q->direct;

	if (d->rung == q->cq_head)
		return;
	d->rung = q->cq_head;
	*d->cq_doorbell = d->rung & q->mask;
}

/* The device finds the commands that the doorbell rings for: on Arm it is no processor's peer. */
static void commands_before_doorbell(void)
{
#ifdef __aarch64__
	__asm__ volatile("dmb oshst" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

/*
 * The completion doorbell only when the device could run out of entries: it must always
 * find one for each command in flight.
 */
static void ring(struct exo_queue *q, uint32_t tail)
{
	struct exo_direct *d = q->direct;

	if (tail - d->rung > q->mask)
		exo_direct_ring_cq(q);
	commands_before_doorbell();
	*d->sq_doorbell = tail & q->mask;
}

static void __attribute__((noinline, cold)) refused(struct exo_queue *q, int result, int why)
{
	q->detail = (struct exo_detail){ 0 };
	if (why == -EMSGSIZE)
		exo_queue_fail(q, result, NULL, "a command names more than %u bytes",
			       exo_queue_private(q)->x->transfer_max);
	else if (why == -EFAULT)
		exo_queue_fail(q, result, NULL,
			       "a command's buffer is not of exo_buf_alloc(), or is gone");
	else if (why != -EINVAL)
		exo_queue_fail(q, result, NULL,
			       "the physical addresses of a command's buffer are not told: %s",
			       exo_errno_meaning(why));
	else
		exo_queue_fail(q, result, NULL, "a command's CID is not below the depth of %u",
			       q->depth);
}

int exo_direct_submit(struct exo_queue *q)
{
	uint32_t head = q->sq_head, tail;
	int r = 0;

	if (__builtin_expect(!exo_queue_alive(q), 0))
		return exo_queue_fail(q, -ESTALE, NULL,
				      "the queue is dead: it was taken back, or its device "
				      "failed or was unbound");
	if (__builtin_expect(q->direct->unsafe, 0))
		tail = head + point_all_physically(q, q->sq_tail - head, &r);
	else
		tail = head + point_all(q, q->sq_tail - head, &r);
	if (tail != head)
		ring(q, tail);
	q->sq_head = tail;
	if (r)
		refused(q, tail != head ? 0 : r, r);
	return tail != head ? (int)(tail - head) : r;
}

/* ---- what nobody else checks ---- */

bool exo_direct_is_unsafe(const struct exo_queue *q)
{
	return q->direct->unsafe;
}

bool exo_direct_reaches(struct exo_queue *q, const void *buf, uint64_t offset)
{
	uint64_t physical;

	if (!q->direct->unsafe)
		return offset != (uintptr_t)buf;
	return !exo_buf_physical(exo_queue_private(q)->x, offset, &physical);
}

/* For the synchronous helpers: a guard against mistakes, not against malice. */
int exo_direct_within(struct exo_queue *q, const char *name, uint32_t right, uint64_t block,
		      uint64_t nblocks)
{
	const struct exo *x = exo_queue_private(q)->x;

	if (!q->direct)
		return 0;
	if (!(x->rights & right))
		return exo_queue_fail(q, -EACCES, NULL,
				      "%s refused: the extent is held without the right %s", name,
				      right == EXO_READ	   ? "READ"
				      : right == EXO_WRITE ? "WRITE"
							   : "TRIM");
	if (block > x->blocks || nblocks > x->blocks - block)
		return exo_queue_fail(q, -ERANGE, NULL,
				      "%s refused: %llu blocks from %llu on are not all within the "
				      "extent's %llu",
				      name, (unsigned long long)nblocks, (unsigned long long)block,
				      (unsigned long long)x->blocks);
	return 0;
}
