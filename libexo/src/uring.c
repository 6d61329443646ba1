// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The emulation as a backend: queues, buffers, sleeping.
 *
 * An offset in buffer space is that in the handle's range of addresses plus a chunk, so that
 * 0 names no buffer. Buffers are not registered with io_uring: they come and go while queues
 * are in use, and each queue would have to be told.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "uring.h"

#define FRAME 4096ul
#define CHUNK (1ul << EXO_BUF_CHUNK_SHIFT)
#define MEMORY (1ull << 62) /* what offsets in registered memory begin with: no buffer has it */
#define LINE 64		    /* bytes: the pages of a queue need no more here */
#define NS_PER_MS 1000000ull

/* ---- buffers ---- */

/* Registered memory is few pieces. The caller holds the lock. */
static struct exo_buf *find_mem(const struct exo *x, uint64_t offset)
{
	for (size_t i = 0; i < x->mem_count; i++)
		if (offset - x->mems[i]->offset < x->mems[i]->bytes)
			return x->mems[i];
	return NULL;
}

/* Whose bytes @offset names, counted; NULL: nobody's. */
struct exo_buf *exo_uring_buf_get(struct exo *x, uint64_t offset)
{
	size_t chunk = (offset >> EXO_BUF_CHUNK_SHIFT) - 1;
	struct exo_buf *buf = NULL;

	pthread_mutex_lock(&x->lock);
	if (chunk < x->buf_chunks)
		buf = x->bufs[chunk];
	else if (offset >= MEMORY)
		buf = find_mem(x, offset);
	if (buf && !buf->freed && offset - buf->offset < buf->bytes)
		buf->refs++;
	else
		buf = NULL;
	pthread_mutex_unlock(&x->lock);
	return buf;
}

void exo_uring_buf_put(struct exo *x, struct exo_buf *buf)
{
	unsigned int left;

	pthread_mutex_lock(&x->lock);
	left = --buf->refs;
	pthread_mutex_unlock(&x->lock);
	if (left)
		return;
	exo_buf_unmap(buf);
	exo_buf_unplace(x, buf);
	free(buf);
}

bool exo_uring_one_buf(struct exo *x, uint64_t offset, uint64_t bytes)
{
	struct exo_buf *buf = exo_uring_buf_get(x, offset);
	bool one = buf && bytes <= buf->bytes - (offset - buf->offset);

	if (buf)
		exo_uring_buf_put(x, buf);
	return one;
}

/* Ordinary memory where the chunks are. A fork() must not move it under the kernel. */
static int map_memory(struct exo *x, const struct exo_buf *buf)
{
	void *at = mmap((void *)buf->at, buf->bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (at == MAP_FAILED)
		return exo_fail(x, -ENOMEM, NULL, "no memory for a buffer of %zu bytes",
				buf->bytes);
	madvise(at, buf->bytes, MADV_DONTFORK);
	return 0;
}

static int buf_alloc(struct exo *x, size_t bytes, const struct exo_buf_options *options, void **out)
{
	struct exo_buf *buf = calloc(1, sizeof(*buf));
	int r;

	(void)options; /* there are no frames to choose from */
	if (!buf)
		return exo_fail(x, -ENOMEM, NULL, "no memory to note a buffer in");
	buf->bytes = (bytes + FRAME - 1) & ~(FRAME - 1);
	buf->chunks = (buf->bytes + CHUNK - 1) >> EXO_BUF_CHUNK_SHIFT;
	buf->refs = 1;
	buf->freed = true; /* until there is memory: others may look the chunk up */
	r = exo_buf_place(x, buf);
	if (r)
		goto out_free;
	r = map_memory(x, buf);
	if (r)
		goto out_unplace;
	buf->offset = buf->at - x->buf_base + CHUNK;
	exo_buf_publish(x, buf);
	*out = (void *)buf->at;
	return 0;

out_unplace:
	exo_buf_unplace(x, buf);
out_free:
	free(buf);
	return r;
}

/* Of a buffer that commands still use, only the name goes. */
static void buf_release(struct exo *x, struct exo_buf *buf, uint32_t frames)
{
	(void)frames;
	pthread_mutex_lock(&x->lock);
	exo_buf_lose(x, buf, EXO_HELD);
	buf->freed = true;
	pthread_mutex_unlock(&x->lock);
	exo_uring_buf_put(x, buf);
}

/* ---- memory of the program's ---- */

/* Something lies on each page from @at to @end; what may be done to it, io_uring finds out. */
static bool is_there(uintptr_t at, uintptr_t end)
{
	unsigned char pages[256];

	for (size_t step = sizeof(pages) * FRAME; at < end; at += step) {
		if (step > end - at)
			step = end - at;
		if (mincore((void *)at, step, pages))
			return false;
	}
	return true;
}

static int mem_register(struct exo *x, struct exo_buf *mem)
{
	if (!is_there(mem->at & ~(FRAME - 1), mem->at + mem->bytes))
		return exo_fail(x, -EFAULT, NULL, "there are not %zu bytes of memory at %p",
				mem->bytes, (void *)mem->at);
	mem->offset = MEMORY + mem->at;
	return 0;
}

/* The program may free it at once: it is in no command's hands then. */
static int mem_unregister(struct exo *x, struct exo_buf *mem)
{
	bool busy;

	pthread_mutex_lock(&x->lock);
	busy = mem->refs > 1;
	if (busy)
		mem->leaving = false;
	else
		exo_mem_unlist(x, mem);
	pthread_mutex_unlock(&x->lock);
	if (!busy)
		return 0;
	return exo_fail(x, -EBUSY, NULL, "commands in flight use the memory at %p: reap them first",
			(void *)mem->at);
}

/* ---- queues ---- */

static int no_ring(struct exo *x, int result)
{
	if (result == -ENOSYS || result == -EPERM)
		return exo_fail(x, result, NULL,
				"this kernel gives no io_uring (%s): is it switched off by sysctl "
				"kernel.io_uring_disabled, or filtered by a container?",
				strerrordesc_np(-result));
	return exo_fail(x, result, NULL, "cannot make an io_uring: %s", strerrordesc_np(-result));
}

/* A power of two above the depth, as the module has it. */
static uint32_t entries(uint32_t depth)
{
	return 1u << (32 - __builtin_clz(depth));
}

static void *zeroed(size_t bytes)
{
	void *memory = aligned_alloc(LINE, (bytes + LINE - 1) & ~(size_t)(LINE - 1));

	return memory ? memset(memory, 0, bytes) : NULL;
}

static void free_queue(struct exo_queue_private *p)
{
	if (p->uring)
		free(p->uring->ops);
	free(p->uring);
	free(p->rw);
	free(p->ro);
	free(p);
}

/* All the memory of a queue, or NULL. */
static struct exo_queue_private *alloc_queue(uint32_t depth, bool times)
{
	struct exo_queue_private *p = exo_queue_alloc(depth, times);
	uint32_t n = entries(depth);

	if (!p)
		return NULL;
	p->rw = zeroed(LINE + n * sizeof(struct exo_nvme_command));
	p->ro = zeroed(LINE + n * sizeof(struct exo_nvme_completion));
	p->uring = calloc(1, sizeof(*p->uring));
	if (p->uring)
		p->uring->ops = calloc(depth, sizeof(*p->uring->ops));
	if (p->rw && p->ro && p->uring && p->uring->ops)
		return p;
	free_queue(p);
	return NULL;
}

static uint32_t next_qid(struct exo *x)
{
	uint32_t qid;

	pthread_mutex_lock(&x->lock);
	qid = ++x->uring->queues;
	pthread_mutex_unlock(&x->lock);
	return qid;
}

static void set_up(struct exo *x, struct exo_queue_private *p,
		   const struct exo_queue_options *options)
{
	struct exo_queue *q = &p->q;

	q->control = p->rw;
	q->sq = (void *)((char *)p->rw + LINE);
	q->status = p->uring->status = p->ro;
	q->cq = p->uring->cq = (void *)((char *)p->ro + LINE);
	q->mask = entries(options->depth) - 1;
	q->block_shift = x->block_shift;
	q->threaded = 1;
	q->detour = 1;
	q->emulated = 1;
	q->first_qword = (uint64_t)x->nsid << 32;
	p->x = x;
	p->qid = next_qid(x);
	p->completion = options->flags & EXO_QUEUE_POLLED ? EXO_COMPLETION_POLLED
							  : EXO_COMPLETION_INTERRUPT;
	p->spin_ns = options->spin_ns;
}

static int queue_open(struct exo *x, const struct exo_queue_options *options,
		      struct exo_queue **out)
{
	struct exo_queue_private *p;
	int r;

	if (options->flags & EXO_QUEUE_THREAD || options->mode != EXO_QUEUE_CHECKED)
		return exo_fail(x, -EOPNOTSUPP, NULL,
				"an emulated queue has no thread and no other mode");
	if (options->irq_cpu || options->node || options->priority)
		return exo_fail(x, -EOPNOTSUPP, NULL,
				"an emulated queue has no interrupts, no place and no priority");
	p = alloc_queue(options->depth, options->times);
	if (!p)
		return exo_fail(x, -ENOMEM, NULL, "no memory for a queue of depth %u",
				options->depth);
	r = io_uring_queue_init(options->depth, &p->uring->ring, 0);
	if (r) {
		free_queue(p);
		return no_ring(x, r);
	}
	set_up(x, p, options);
	r = exo_queue_enlist(x, p);
	if (r) {
		io_uring_queue_exit(&p->uring->ring);
		free_queue(p);
		return r;
	}
	*out = &p->q;
	return 0;
}

/* ---- sleeping ---- */

/* What the kernel had no memory to take is offered again by the next look. */
static uint64_t patience(struct exo_queue *const *queues, unsigned int count, uint64_t deadline)
{
	uint64_t now = exo_now_ns(), left = deadline > now ? deadline - now : 0;

	for (unsigned int i = 0; i < count; i++)
		if (io_uring_sq_ready(&exo_queue_private(queues[i])->uring->ring) &&
		    left > NS_PER_MS)
			left = NS_PER_MS;
	return left;
}

static int poll_rings(struct exo_queue *const *queues, unsigned int count, uint64_t deadline)
{
	struct pollfd polls[EXO_WAIT_QUEUES_MAX];
	uint64_t left = patience(queues, count, deadline);
	struct timespec time = { left / 1000000000, left % 1000000000 };

	for (unsigned int i = 0; i < count; i++)
		polls[i] = (struct pollfd){
			.fd = exo_queue_private(queues[i])->uring->ring.ring_fd,
			.events = POLLIN,
		};
	if (ppoll(polls, count, left > INT64_MAX ? NULL : &time, NULL) < 0)
		return -errno;
	return 0;
}

/* What was posted already, the rings do not tell any more. */
static int sleep_until(struct exo *x, struct exo_queue *const *queues, unsigned int count,
		       bool events, uint64_t deadline, struct exo_detail *detail)
{
	(void)x;
	(void)events;
	(void)detail;
	for (unsigned int i = 0; i < count; i++)
		if (exo_queue_private(queues[i])->uring->posted != queues[i]->cq_head)
			return 0;
	return poll_rings(queues, count, deadline);
}

/* ---- the end ---- */

/* All commands in flight end, or, at the I/O timeout, do not. */
static bool drain(struct exo_queue_private *p)
{
	uint64_t deadline = exo_now_ns() + p->x->io_timeout_ms * NS_PER_MS;
	struct exo_queue *q = &p->q;

	for (;;) {
		exo_uring_post(q);
		if (!p->uring->in_flight)
			return true;
		if (exo_now_ns() >= deadline)
			return false;
		poll_rings(&q, 1, deadline);
	}
}

/* What would not end may write to its memory yet: that is left behind. */
static void queue_close(struct exo_queue_private *p)
{
	if (!drain(p)) {
		p->x->uring->stuck = true;
		return;
	}
	io_uring_queue_exit(&p->uring->ring);
	free_queue(p);
}

static void close_file(struct exo *x)
{
	if (x->uring->fd >= 0)
		close(x->uring->fd);
	if (x->uring->zeroes && !x->uring->stuck)
		munmap(x->uring->zeroes, EXO_URING_TRANSFER_MAX);
	free(x->uring);
}

const struct exo_backend exo_backend_uring = {
	.queue_open = queue_open,
	.queue_close = queue_close,
	.buf_alloc = buf_alloc,
	.buf_release = buf_release,
	.mem_register = mem_register,
	.mem_unregister = mem_unregister,
	.sleep = sleep_until,
	.close = close_file,
	.submit = exo_uring_submit,
	.post = exo_uring_post,
};
