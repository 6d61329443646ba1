/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Queues: prepare, submit, reap.
 *
 *	exo_prep_read(q, buf, block, nblocks, user_data);	any number of them
 *	exo_submit(q);						one system call, or none
 *	n = exo_reap(q, completions, max);			no system call
 *
 * A queue is an NVMe submission and completion queue pair. Preparing writes a
 * native 64-byte command into a ring in shared memory; submitting asks the
 * kernel to check the ring's commands and to hand them to the device, or, with
 * EXO_QUEUE_THREAD, lets a thread of the kernel's find them there; reaping
 * reads the completion queue that the device itself writes. The command and the
 * completion are the raw ones and always in reach: exo_prep() gives an empty
 * command to fill by hand.
 *
 * Logical blocks are counted from the start of the handle's extent ("extent
 * block 0") in every function here; a raw command holds LBAs of the namespace.
 *
 * A command's identifier (CID) is chosen by the library from a stack of free
 * slots, one for each of the queue's depth. user_data travels with the slot.
 *
 * A queue of a "uring:" handle is emulated: the library checks each command as the kernel
 * would, and gives it to io_uring. Its completion is written by who looks for one: by exo_reap()
 * and exo_peek() when they find none, for the next look; by exo_submit() and the waits.
 *
 * Threads: a queue belongs to one thread at a time. Different queues are
 * independent, also those of one handle.
 */
#ifndef LIBEXO_QUEUE_H
#define LIBEXO_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/exo.h>
#include <libexo/nvme.h>
#include <libexo/times.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_direct;

/**
 * struct exo_queue_options - what exo_queue_create() may be told
 * @size: sizeof(struct exo_queue_options); the structure grows at the end, and
 *	what a program does not know of is as if it were 0
 * @depth: commands prepared and not yet reaped, at most exo_depth_max(); 0: 128
 *	or what the controller allows
 * @mode: EXO_QUEUE_CHECKED, or EXO_QUEUE_DIRECT: exo_submit() rings the device itself.
 *	Nobody checks the commands: they reach all of the device. For a handle that was
 *	opened with EXO_DIRECT. EXO_QUEUE_UNSAFE: the same where there is no IOMMU, and the
 *	commands reach all memory, too: for who has CAP_SYS_RAWIO; taints the kernel
 * @flags: EXO_QUEUE_POLLED: leave the function's interrupt vectors to others.
 *	EXO_QUEUE_THREAD: a thread of the kernel's takes the commands, so that
 *	exo_submit() needs no system call while it looks. It takes a CPU to do so,
 *	and a controller capability with EXO_RIGHT_THREAD
 * @spin_ns: ns that a wait looks at the queue before it sleeps; 0: 30 us, or
 *	EXO_SPIN_NONE: sleep at once
 * @thread_cpu: where that thread runs: EXO_THREAD_ON(number), or 0: on any CPU
 *	of the caller's
 * @thread_percent: of one CPU, in any EXO_THREAD_PERIOD_MS, that it may use; 0: 100.
 *	When it has, exo_submit() is a system call for the rest of the period
 * @thread_idle_us: it sleeps after so long without a command; 0: 1000
 * @times: 1: keep time stamps of each command, for exo_completion_times(); 0: do not
 * @irq_cpu: where its interrupts go, which wake who sleeps for completions: EXO_IRQ_ON(number),
 *	a CPU of the caller's, or 0: where the kernel sends them
 * @node: NUMA node of the memory of its rings: EXO_NODE_ON(number), or 0: near the device
 * @priority: EXO_PRIORITY_LOW to EXO_PRIORITY_URGENT, of devices that have priorities; those
 *	above EXO_PRIORITY_MEDIUM want the right EXO_RIGHT_PRIORITY; 0: medium, if there are some
 */
struct exo_queue_options {
	uint32_t size;
	uint32_t depth;
	uint32_t mode;
	uint32_t flags;
	uint32_t spin_ns;
	uint32_t thread_cpu;
	uint32_t thread_percent;
	uint32_t thread_idle_us;
	uint32_t times;
	uint32_t irq_cpu;
	uint32_t node;
	uint32_t priority;
};

#define EXO_SPIN_NONE (~0u)
#define EXO_THREAD_ON(cpu) ((cpu) + 1u)
#define EXO_IRQ_ON(cpu) ((cpu) + 1u)
#define EXO_NODE_ON(node) ((node) + 1u)

/**
 * struct exo_completion - the end of one command
 * @user_data: what it was prepared with
 * @raw: what the device wrote; exo_nvme_status(&raw) is 0 for success
 */
struct exo_completion {
	uint64_t user_data;
	struct exo_nvme_completion raw;
};

/* Buffers are looked up in steps of this many bytes. */
#define EXO_BUF_CHUNK_SHIFT 21

/**
 * struct exo_queue - a queue, as the inline functions below see it
 *
 * Its fields are the library's: look, but write only through the functions.
 * All counts run modulo 2^32; an entry's place is its number & @mask.
 *
 * @sq: submission ring, shared with the kernel
 * @cq: completion queue, written by the device
 * @cids: stack of free command identifiers, the top at @free
 * @user_data: one per command identifier
 * @buf_base: where the handle's range of buffer addresses begins
 * @buf_delta: per chunk of that range, offset in buffer space minus address
 * @buf_chunks: chunks in that range
 * @free: free command identifiers
 * @sq_tail: commands ever prepared
 * @sq_head: of which the kernel had accepted by the end of the latest submit, or,
 *	if the queue has a thread, that were handed over
 * @cq_head: completions ever reaped
 * @mask: entries of each ring - 1
 * @depth: command identifiers there are
 * @first_qword: NSID of the extent where a command's first 8 bytes have it
 * @first: extent block 0 as an LBA of the namespace
 * @control: shared with the kernel, written here
 * @status: shared with the kernel, written there
 * @submit: the argument of the submit call, kept ready
 * @detail: where the latest submit says what it refused
 * @block_shift: log2 of the bytes in a logical block
 * @threaded: no call takes the commands: a thread of the kernel's does, or, if the queue is
 *	emulated, the library
 * @detour: any of @threaded, @direct, @times
 * @direct: of a direct queue, else NULL
 * @times: one per command identifier; NULL: none are kept
 * @emulated: there is no device that writes completions: the library does, when it is
 *	looked for some
 */
struct exo_queue {
	struct exo_nvme_command *sq;
	const struct exo_nvme_completion *cq;
	uint16_t *cids;
	uint64_t *user_data;
	uintptr_t buf_base;
	const uint64_t *buf_delta;
	size_t buf_chunks;
	uint32_t free;
	uint32_t sq_tail;
	uint32_t sq_head;
	uint32_t cq_head;
	uint32_t mask;
	uint32_t depth;
	uint32_t block_shift;
	uint32_t threaded;
	uint32_t detour;
	uint32_t emulated;
	uint64_t first_qword;
	uint64_t first;
	struct exo_queue_control *control;
	const struct exo_queue_status *status;
	struct exo_direct *direct;
	struct exo_times *times;
	struct exo_queue_submit submit;
	struct exo_detail detail;
};

/**
 * exo_queue_create - make a queue that may use the handle's extent
 * @x: the handle; it must outlive the queue
 * @options: how, or NULL for the defaults
 * @q: the queue
 *
 * NVMe Base 2.0, sections 5.4 and 5.5, "Create I/O Completion/Submission Queue".
 *
 * Returns 0, or -EINVAL an option, a CPU that is not the caller's, no such node or priority,
 * -EPERM an unsafe queue without the privilege, -EACCES a thread, a direct queue or a priority
 * above medium without the right to it, -E2BIG an option that this library does not know,
 * -EOPNOTSUPP a flag or mode it does not know, a priority of a device that has none, or a direct
 * queue where it could not be kept within bounds, -EBUSY the function is not this holder's alone,
 * or another's is, -EDQUOT no queue left in the controller's budget, -ENOSPC no interrupt vector
 * for @irq_cpu, -ENOMEM, also on @node, -ESTALE, -ENODEV, -EIO and -ETIMEDOUT from the device;
 * emulated: -EOPNOTSUPP a thread, a direct queue, a CPU, a node or a priority, -ENOSYS and -EPERM
 * the kernel gives no io_uring. Threads: safe.
 */
int exo_queue_create(struct exo *x, const struct exo_queue_options *options, struct exo_queue **q);

/**
 * exo_queue_destroy - give a queue back
 * @q: the queue, or NULL
 *
 * Waits for commands in flight, at most the kernel's I/O timeout; their
 * completions are lost. Threads: nobody may use the queue any more.
 */
void exo_queue_destroy(struct exo_queue *q);

/**
 * exo_queue_mode - who checks the commands of a queue
 * @q: the queue
 *
 * Returns a constant: "checked": the kernel looks at every command; "direct": nobody
 * does, the IOMMU bounds what they reach; "unsafe": nothing does; or "emulated, no isolation": the handle is a
 * "uring:" one, and nothing but this library keeps the program from doing with the file
 * what it may.
 */
const char *exo_queue_mode(const struct exo_queue *q);

/**
 * exo_queue_completion - how who sleeps for a completion of a queue is woken
 * @q: the queue
 *
 * Returns a constant: "interrupt", by a vector of the queue's own, which is
 * silent while nobody sleeps; or "polled": the kernel looks, with pauses up to
 * 1 ms, for the function had no vector left or EXO_QUEUE_POLLED was asked for.
 */
const char *exo_queue_completion(const struct exo_queue *q);

/**
 * exo_queue_irq_cpu, exo_queue_node, exo_queue_priority - where a queue is, and how urgent
 * @q: the queue
 *
 * The CPU that its interrupts go to at present, the NUMA node of its memory, and
 * EXO_PRIORITY_*, 0 where the device has none; asks the kernel. -1: it has no interrupt, or the
 * queue is emulated or was given back or taken.
 */
int exo_queue_irq_cpu(const struct exo_queue *q);
int exo_queue_node(const struct exo_queue *q);
int exo_queue_priority(const struct exo_queue *q);

/* The names of the layers below: capability number, NVMe queue id, handle. */
uint32_t exo_queue_cap(const struct exo_queue *q);
uint32_t exo_queue_id(const struct exo_queue *q);
struct exo *exo_queue_handle(const struct exo_queue *q);

/* Commands that can be prepared before something has to be reaped. */
static inline unsigned int exo_queue_free(const struct exo_queue *q)
{
	return q->free;
}

/* Commands prepared and not accepted by the kernel. */
static inline unsigned int exo_queue_prepared(const struct exo_queue *q)
{
	return q->sq_tail - q->sq_head;
}

/* Commands accepted and not reaped. */
static inline unsigned int exo_queue_in_flight(const struct exo_queue *q)
{
	return q->depth - q->free - exo_queue_prepared(q);
}

/* False once the queue was taken away or its device failed; for good. */
static inline int exo_queue_alive(const struct exo_queue *q)
{
	return __atomic_load_n(&q->status->state, __ATOMIC_RELAXED) == EXO_QUEUE_LIVE;
}

/*
 * For the inline function below alone: what it returns for an address outside the handle's
 * range of buffers, which may be that of registered memory.
 */
__attribute__((cold)) uint64_t exo_mem_offset(const struct exo_queue *q, const void *address);

/**
 * exo_buf_offset - what a command's PRP1 must hold to name an address
 * @q: a queue of the handle that owns the buffer
 * @address: anywhere in a buffer of exo_buf_alloc(), or in memory of exo_mem_register()
 *
 * Returns the offset in bytes. For an address in no buffer of the handle it is
 * one that the kernel refuses (EXO_REASON_BUFFER). Of an unsafe queue, the address itself:
 * exo_submit() makes a physical one of it, if it is in a buffer of exo_buf_alloc().
 */
static inline uint64_t exo_buf_offset(const struct exo_queue *q, const void *address)
{
	uintptr_t at = (uintptr_t)address;
	size_t chunk = (at - q->buf_base) >> EXO_BUF_CHUNK_SHIFT;

	/* No buffer space reaches as high as an address does. */
	if (__builtin_expect(chunk < q->buf_chunks, 1))
		return at + q->buf_delta[chunk];
	return exo_mem_offset(q, address);
}

/* Fill the next entry of the ring, all 64 bytes of it. */
static inline struct exo_nvme_command *exo_prep_command(struct exo_queue *q, uint8_t opcode,
							uint64_t prp1, uint64_t slba,
							uint64_t cdw12, uint64_t user_data)
{
	struct exo_nvme_command *command;
	uint64_t cid;

	if (__builtin_expect(!q->free, 0))
		return NULL;
	cid = q->cids[--q->free];
	q->user_data[cid] = user_data;
	command = &q->sq[q->sq_tail++ & q->mask];
	command->qword[0] = q->first_qword | cid << 16 | opcode;
	command->qword[1] = 0;
	command->mptr = 0;
	command->prp1 = prp1;
	command->prp2 = 0;
	command->slba = slba;
	command->qword[6] = cdw12;
	command->qword[7] = 0;
	return command;
}

/**
 * exo_prep - an empty command to fill by hand
 * @q: the queue
 * @user_data: comes back with the completion
 *
 * The command has its CID and the extent's NSID set and is zero otherwise
 * (Flush). It may be changed until exo_submit(); the CID must not be.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep(struct exo_queue *q, uint64_t user_data)
{
	return exo_prep_command(q, 0, 0, 0, 0, user_data);
}

/**
 * exo_prep_blocks - Read, Write or Write Zeroes by number
 * @q: the queue
 * @opcode: EXO_NVME_READ, EXO_NVME_WRITE or EXO_NVME_WRITE_ZEROES
 * @offset: exo_buf_offset() of the buffer, worked out beforehand; 0 for none
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks, 1 to 65536 and at most exo_transfer_max() bytes
 * @user_data: comes back with the completion
 *
 * The functions below are this one; it saves the look-up of the buffer.
 */
static inline struct exo_nvme_command *exo_prep_blocks(struct exo_queue *q, uint8_t opcode,
						       uint64_t offset, uint64_t block,
						       uint32_t nblocks, uint64_t user_data)
{
	return exo_prep_command(q, opcode, offset, q->first + block, nblocks - 1, user_data);
}

/**
 * exo_prep_read - Read (NVM Command Set 1.0, section 3.2.4)
 * @q: the queue
 * @buf: where the device writes @nblocks logical blocks; a multiple of 4, in a
 *	buffer of exo_buf_alloc()
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks, 1 to 65536 and at most exo_transfer_max() bytes
 * @user_data: comes back with the completion
 *
 * Nothing is checked here; the kernel does that when the command is submitted.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_read(struct exo_queue *q, void *buf, uint64_t block,
						     uint32_t nblocks, uint64_t user_data)
{
	return exo_prep_blocks(q, EXO_NVME_READ, exo_buf_offset(q, buf), block, nblocks, user_data);
}

/**
 * exo_prep_write - Write (NVM Command Set 1.0, section 3.2.6)
 * @q: the queue
 * @buf: what to write; as for exo_prep_read()
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks, 1 to 65536 and at most exo_transfer_max() bytes
 * @user_data: comes back with the completion
 *
 * The data are durable after a later Flush, or if EXO_NVME_FUA is set in the
 * command's cdw12.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_write(struct exo_queue *q, const void *buf,
						      uint64_t block, uint32_t nblocks,
						      uint64_t user_data)
{
	return exo_prep_blocks(q, EXO_NVME_WRITE, exo_buf_offset(q, buf), block, nblocks,
			       user_data);
}

/**
 * exo_prep_write_zeroes - Write Zeroes (NVM Command Set 1.0, section 3.2.8)
 * @q: the queue
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks, 1 to 65536 and at most exo_transfer_max() bytes
 * @user_data: comes back with the completion
 *
 * Only where exo_controller_flags() has EXO_CONTROLLER_WRITE_ZEROES.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_write_zeroes(struct exo_queue *q, uint64_t block,
							     uint32_t nblocks, uint64_t user_data)
{
	return exo_prep_blocks(q, EXO_NVME_WRITE_ZEROES, 0, block, nblocks, user_data);
}

/**
 * exo_prep_compare - Compare (NVM Command Set 1.0, section 3.2.1)
 * @q: the queue
 * @buf: what the blocks should hold; as for exo_prep_read()
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks, 1 to 65536 and at most exo_transfer_max() bytes
 * @user_data: comes back with the completion
 *
 * It ends with the status 285h (-EILSEQ) where they differ. Only where
 * exo_controller_flags() has EXO_CONTROLLER_COMPARE.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_compare(struct exo_queue *q, const void *buf,
							uint64_t block, uint32_t nblocks,
							uint64_t user_data)
{
	return exo_prep_blocks(q, EXO_NVME_COMPARE, exo_buf_offset(q, buf), block, nblocks,
			       user_data);
}

/* One of the ranges of exo_prep_trim(): blocks counted from the start of the extent. */
static inline struct exo_nvme_dsm_range exo_trim_range(const struct exo_queue *q, uint64_t block,
						       uint32_t nblocks)
{
	struct exo_nvme_dsm_range range = { .nlb = nblocks, .slba = q->first + block };

	return range;
}

/**
 * exo_prep_trim - deallocate: Dataset Management (NVM Command Set 1.0, section 3.2.3)
 * @q: the queue
 * @ranges: of exo_trim_range(), in a buffer of exo_buf_alloc(); they are the caller's again
 *	once the command is submitted
 * @count: of them, 1 to EXO_TRIM_RANGES; together at most EXO_TRIM_BYTES
 * @user_data: comes back with the completion
 *
 * What the blocks read as afterwards is the device's choice: zeroes, ones, or what they
 * held. Needs EXO_TRIM. Only where exo_controller_flags() has EXO_CONTROLLER_TRIM.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_trim(struct exo_queue *q,
						     const struct exo_nvme_dsm_range *ranges,
						     unsigned int count, uint64_t user_data)
{
	return exo_prep_command(q, EXO_NVME_DSM, exo_buf_offset(q, ranges),
				(uint64_t)EXO_NVME_AD << 32 | (count - 1), 0, user_data);
}

/* One of the ranges of exo_prep_copy(): blocks counted from the start of the extent. */
static inline struct exo_nvme_copy_range exo_copy_range(const struct exo_queue *q, uint64_t block,
							uint32_t nblocks)
{
	struct exo_nvme_copy_range range = {
		.slba = q->first + block,
		.nlb = (uint16_t)(nblocks - 1),
	};

	return range;
}

/**
 * exo_prep_copy - Copy within the extent (NVM Command Set 1.0, section 3.2.2)
 * @q: the queue
 * @ranges: from where: of exo_copy_range(), in a buffer of exo_buf_alloc(); they are the
 *	caller's again once the command is submitted
 * @count: of them, at least 1; exo_copy_limits() says how many and how large
 * @block: to where, one after the other; counted from the start of the extent
 * @user_data: comes back with the completion
 *
 * Only where exo_controller_flags() has EXO_CONTROLLER_COPY.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_copy(struct exo_queue *q,
						     const struct exo_nvme_copy_range *ranges,
						     unsigned int count, uint64_t block,
						     uint64_t user_data)
{
	return exo_prep_command(q, EXO_NVME_COPY, exo_buf_offset(q, ranges), q->first + block,
				count - 1, user_data);
}

/**
 * exo_prep_flush - Flush (Base 2.0, section 7.1)
 * @q: the queue
 * @user_data: comes back with the completion
 *
 * Makes durable what was written before, by completed commands of any queue, to
 * the whole namespace. Needs EXO_WRITE.
 *
 * Returns the command in the ring, or NULL if no slot is free: reap first.
 */
static inline struct exo_nvme_command *exo_prep_flush(struct exo_queue *q, uint64_t user_data)
{
	return exo_prep(q, user_data);
}

/**
 * exo_submit - have the kernel check and start what was prepared
 * @q: the queue
 *
 * One system call, or none if nothing is prepared. Commands are taken in the
 * order they were prepared in, up to the first one that is refused. That one
 * and those behind it stay prepared: exo_submit() again starts with it, and
 * exo_withdraw() takes it back. A refused command has reached no device.
 *
 * If the queue has a thread (EXO_QUEUE_THREAD) and it looks, there is no system call:
 * the commands are handed over, and count as accepted. One that the thread refuses stops
 * it; the next exo_submit() or exo_wait() says why, and then that command and those
 * behind it are prepared again.
 *
 * Of a direct queue (EXO_QUEUE_DIRECT) there is no system call either, and no check but of
 * length: PRP2 is filled in where it is 0 and needed, the doorbell is rung.
 *
 * Returns the number accepted, which may be less than were prepared (the reason
 * is in q->detail and in exo_queue_strerror(q, 0)), or, if the very first was
 * refused, a negative errno:
 *
 *	-EAGAIN      the queue has no room: reap, then submit again. Does not
 *	             happen to a program that prepares and reaps only with the
 *	             functions of this page
 *	-ERANGE      blocks outside the extent, or a namespace that is not its own
 *	-EOVERFLOW   first block plus length overflows
 *	-EACCES      the extent or the buffer may not be used this way
 *	-EFAULT      the buffer is not attached, in whole or in part
 *	-EMSGSIZE    more than exo_transfer_max() bytes
 *	-EINVAL      a bit that must be 0, a misaligned buffer, a wrong CID or ring
 *	-EEXIST      the CID is in flight
 *	-EOPNOTSUPP  an opcode that the queue's mode does not permit
 *	-ESTALE, -ENODEV  the queue is dead: taken back, or its device is gone
 *	-ENOMEM      an emulated queue only: no memory for a list, a comparison, a copy, or a
 *	             buffer that is not aligned as the file wants it
 */
int exo_submit(struct exo_queue *q);

/**
 * exo_withdraw - take back commands that were prepared and not accepted
 * @q: the queue
 * @keep: how many, the oldest, stay prepared; 0: none
 *
 * The others are forgotten as if they had never been prepared. After a refusal,
 * exo_prepared() shows them first.
 *
 * Returns the number taken back.
 */
unsigned int exo_withdraw(struct exo_queue *q, unsigned int keep);

/**
 * exo_prepared - look at a command that was prepared and not accepted
 * @q: the queue
 * @index: 0 is the oldest: the one that was refused, if one was
 * @user_data: set to what it was prepared with, unless NULL
 *
 * Returns the command, which may be changed in place, or NULL past the last.
 */
struct exo_nvme_command *exo_prepared(struct exo_queue *q, unsigned int index, uint64_t *user_data);

/*
 * For the inline functions below alone, which found an emulated queue empty: writes the
 * completions of what has ended, for the next look. Cold, and without a result, so that they
 * cost a queue of the module nothing.
 */
__attribute__((cold)) void exo_emulate(const struct exo_queue *q);

/* The phase tag, bit 0 of a fresh entry's status: 1 on the first pass, then 0, ... */
static inline uint32_t exo_phase(const struct exo_queue *q, uint32_t head)
{
	return !(head & (q->mask + 1));
}

/**
 * exo_peek - the oldest completion that was not consumed, where it lies
 * @q: the queue
 *
 * Returns the raw completion in the queue, or NULL if there is none yet. Does
 * not wait. Finish with exo_consume().
 */
static inline const struct exo_nvme_completion *exo_peek(const struct exo_queue *q)
{
	const struct exo_nvme_completion *entry = &q->cq[q->cq_head & q->mask];
	uint16_t status = __atomic_load_n(&entry->status, __ATOMIC_ACQUIRE);

	if ((status & 1) == exo_phase(q, q->cq_head))
		return entry;
	if (__builtin_expect(q->emulated, 0))
		exo_emulate(q);
	return NULL;
}

/**
 * exo_consume - be done with the completion that exo_peek() showed
 * @q: the queue
 *
 * Frees its slot and its entry. Returns the command's user_data.
 */
static inline uint64_t exo_consume(struct exo_queue *q)
{
	uint32_t cid = q->cq[q->cq_head & q->mask].cid;
	uint64_t user_data = 0;

	/* The device writes these entries: believe no number without a look. */
	if (__builtin_expect(cid < q->depth && q->free < q->depth, 1)) {
		user_data = q->user_data[cid];
		q->cids[q->free++] = cid;
		if (__builtin_expect(q->times != NULL, 0))
			exo_stamp_seen(q, 1);
	}
	__atomic_store_n(&q->control->cq_head, ++q->cq_head, __ATOMIC_RELEASE);
	return user_data;
}

/**
 * exo_reap - take completions
 * @q: the queue
 * @completions: where to put them
 * @max: how many fit
 *
 * Looks at the phase tag of the completion queue's entries (NVMe Base 2.0,
 * section 4.2.4); no system call, no waiting. The slots are free afterwards.
 *
 * Returns how many there were, 0 to @max; may return fewer than there are. 0
 * for ever if the queue is dead, or its thread refused a command and nothing else is in
 * flight: exo_wait() tells these apart.
 */
static inline unsigned int exo_reap(struct exo_queue *q, struct exo_completion *completions,
				    unsigned int max)
{
	uint32_t place = q->cq_head & q->mask, depth = q->depth, n;
	uint64_t old = exo_phase(q, q->cq_head) ? 0 : 1ull << 48;
	const struct exo_nvme_completion *entry = &q->cq[place];
	const uint64_t *user_data = q->user_data;
	uint16_t *cids = q->cids + q->free;

	/* Up to the end of the ring, where the phase turns; no more than are out. */
	if (max > q->mask + 1 - place)
		max = q->mask + 1 - place;
	if (max > depth - q->free)
		max = depth - q->free;

	for (n = 0; n < max; n++, entry++, completions++) {
		uint64_t high = __atomic_load_n(&entry->qword[1], __ATOMIC_ACQUIRE);
		uint32_t cid = (uint16_t)(high >> 32);

		/* The device writes these entries: believe no number without a look. */
		if (((high ^ old) & 1ull << 48) == 0 || __builtin_expect(cid >= depth, 0))
			break;
		completions->user_data = user_data[cid];
		completions->raw.qword[0] = entry->qword[0];
		completions->raw.qword[1] = high;
		cids[n] = cid;
	}
	q->free += n;
	q->cq_head += n;
	if (n) {
		__atomic_store_n(&q->control->cq_head, q->cq_head, __ATOMIC_RELEASE);
		if (__builtin_expect(q->times != NULL, 0))
			exo_stamp_seen(q, n);
	} else if (__builtin_expect(q->emulated, 0)) {
		exo_emulate(q);
	}
	return n;
}

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_QUEUE_H */
