// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Buffers: frames, mapped and attached.
 *
 * All buffers of a handle lie in one range of addresses, reserved (PROT_NONE)
 * with the first queue and divided into chunks of 2 MiB. A buffer takes whole
 * chunks, so that 2 MiB frames can be mapped as such, and one number per chunk
 * leads from an address to its offset in buffer space. Addresses are cheap; the
 * tables are touched only where buffers are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"

#define CHUNK (1ul << EXO_BUF_CHUNK_SHIFT)
#define RANGE_MAX (64ul << 30)
#define RANGE_MIN (64ul << 20)
#define FRAME 4096ul

/* A range of addresses, less where RLIMIT_AS wants it so. */
static void *reserve_range(size_t *bytes)
{
	for (*bytes = RANGE_MAX; *bytes >= RANGE_MIN; *bytes /= 2) {
		void *range = mmap(NULL, *bytes + CHUNK, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (range != MAP_FAILED)
			return range;
	}
	return NULL;
}

/* Reserve the range and its tables, once per handle. The caller holds the lock. */
int exo_buf_reserve(struct exo *x)
{
	size_t bytes, chunks;
	uintptr_t base;
	void *range;

	if (x->buf_base)
		return 0;
	range = reserve_range(&bytes);
	if (!range)
		return -ENOMEM;
	base = ((uintptr_t)range + CHUNK - 1) & ~(CHUNK - 1);
	chunks = bytes >> EXO_BUF_CHUNK_SHIFT;
	x->buf_delta = calloc(chunks, sizeof(*x->buf_delta));
	x->bufs = calloc(chunks, sizeof(*x->bufs));
	if (!x->buf_delta || !x->bufs) {
		free(x->buf_delta);
		free(x->bufs);
		munmap(range, bytes + CHUNK);
		return -ENOMEM;
	}
	/* Exactly the aligned part stays reserved, so that its size is known. */
	if (base > (uintptr_t)range)
		munmap(range, base - (uintptr_t)range);
	if ((uintptr_t)range + CHUNK > base)
		munmap((void *)(base + bytes), (uintptr_t)range + CHUNK - base);
	x->buf_base = base;
	x->buf_chunks = chunks;
	return 0;
}

/* The first @chunks free chunks in a row, taken by @buf. Returns their address or 0. */
static uintptr_t take_chunks(struct exo *x, struct exo_buf *buf)
{
	size_t run = 0;

	for (size_t i = 0; i < x->buf_chunks; i++) {
		run = x->bufs[i] ? 0 : run + 1;
		if (run < buf->chunks)
			continue;
		for (size_t j = i + 1 - run; j <= i; j++)
			x->bufs[j] = buf;
		return x->buf_base + ((i + 1 - run) << EXO_BUF_CHUNK_SHIFT);
	}
	return 0;
}

static void set_delta(struct exo *x, const struct exo_buf *buf, uint64_t delta)
{
	size_t first = (buf->at - x->buf_base) >> EXO_BUF_CHUNK_SHIFT;

	for (size_t i = first; i < first + buf->chunks; i++)
		x->buf_delta[i] = delta;
}

static void give_chunks(struct exo *x, struct exo_buf *buf)
{
	size_t first = (buf->at - x->buf_base) >> EXO_BUF_CHUNK_SHIFT;

	set_delta(x, buf, 0);
	for (size_t i = first; i < first + buf->chunks; i++)
		x->bufs[i] = NULL;
}

/* 2 MiB frames if they waste no more than an eighth. */
static bool suits_large(size_t bytes)
{
	size_t large = (bytes + CHUNK - 1) & ~(CHUNK - 1);

	return bytes >= CHUNK && large - bytes <= bytes / 8;
}

static int alloc_order(struct exo *x, size_t bytes, unsigned int order, int32_t node,
		       struct exo_frames_alloc *arg, struct exo_detail *detail)
{
	size_t unit = FRAME << order, count = (bytes + unit - 1) / unit;

	memset(detail, 0, sizeof(*detail));
	memset(arg, 0, sizeof(*arg));
	arg->detail = exo_sys_address(detail);
	arg->pool = x->pool;
	arg->order = order;
	arg->count = count <= EXO_FRAMES_UNITS_MAX ? count : EXO_FRAMES_UNITS_MAX + 1;
	arg->node = node;
	return exo_sys_frames_alloc(x->fd, arg);
}

static int alloc_frames(struct exo *x, size_t bytes, const struct exo_buf_options *options,
			struct exo_frames_alloc *arg)
{
	bool any = !options->order, large = options->order == EXO_BUF_ORDER(EXO_ORDER_2M);
	int32_t node = options->node ? (int32_t)(options->node - 1) : EXO_NODE_ANY;
	struct exo_detail detail;
	int r = -ENOMEM;

	if (large || (any && suits_large(bytes)))
		r = alloc_order(x, bytes, EXO_ORDER_2M, node, arg, &detail);
	/* Large frames may be used up, or the budget just too small for them. */
	if (!large && (r == -ENOMEM || r == -EDQUOT || r == -EINVAL || r == -EOPNOTSUPP))
		r = alloc_order(x, bytes, EXO_ORDER_4K, node, arg, &detail);
	if (r && options->node)
		return exo_fail(x, r, &detail,
				"cannot allocate a buffer of %zu bytes of NUMA node %d", bytes,
				node);
	if (r)
		return exo_fail(x, r, &detail, "cannot allocate a buffer of %zu bytes", bytes);
	return 0;
}

void exo_buf_drop(struct exo *x, uint32_t frames)
{
	struct exo_cap_drop drop = { .cap = frames };

	exo_sys_cap_drop(x->fd, &drop);
}

/* Frames, or adopted memory, into buffer space. */
int exo_buf_attach(struct exo *x, uint32_t frames, uint64_t *offset)
{
	struct exo_detail detail = { 0 };
	struct exo_dma_attach arg = {
		.detail = exo_sys_address(&detail),
		.controller = x->controller,
		.frames = frames,
	};
	int r = exo_sys_dma_attach(x->fd, &arg);

	if (r)
		return exo_fail(x, r, &detail, "cannot attach a buffer to the controller %s",
				x->address);
	*offset = arg.out_offset;
	return 0;
}

/* Put the frames where the chunks of @buf are. */
static int map_frames(struct exo *x, const struct exo_buf *buf, uint64_t mmap_offset)
{
	void *at = mmap((void *)buf->at, buf->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			x->fd, mmap_offset);

	if (at == MAP_FAILED)
		return exo_fail(x, -errno, NULL, "cannot map a buffer of %zu bytes: %s", buf->bytes,
				exo_errno_meaning(errno));
	return 0;
}

/* Take the mapping away and keep the addresses reserved. */
void exo_buf_unmap(const struct exo_buf *buf)
{
	mmap((void *)buf->at, buf->chunks << EXO_BUF_CHUNK_SHIFT, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/* Addresses for @buf, by its chunks. */
int exo_buf_place(struct exo *x, struct exo_buf *buf)
{
	pthread_mutex_lock(&x->lock);
	buf->at = take_chunks(x, buf);
	pthread_mutex_unlock(&x->lock);
	if (buf->at)
		return 0;
	return exo_fail(x, -ENOSPC, NULL,
			"no %zu MiB of addresses in a row are left for buffers of the handle",
			buf->chunks << EXO_BUF_CHUNK_SHIFT >> 20);
}

/* From here on exo_buf_offset() finds the buffer. */
void exo_buf_publish(struct exo *x, struct exo_buf *buf)
{
	pthread_mutex_lock(&x->lock);
	set_delta(x, buf, buf->offset - buf->at);
	buf->freed = false;
	buf->next = x->buf_first;
	x->buf_first = buf;
	pthread_mutex_unlock(&x->lock);
}

/* The caller holds the lock. */
void exo_buf_unlist(struct exo *x, struct exo_buf *buf)
{
	struct exo_buf **at = &x->buf_first;

	while (*at && *at != buf)
		at = &(*at)->next;
	if (*at)
		*at = buf->next;
}

void exo_buf_unplace(struct exo *x, struct exo_buf *buf)
{
	pthread_mutex_lock(&x->lock);
	exo_buf_unlist(x, buf);
	give_chunks(x, buf);
	pthread_mutex_unlock(&x->lock);
}

int exo_module_buf_alloc(struct exo *x, size_t bytes, const struct exo_buf_options *options,
			 void **out)
{
	struct exo_frames_alloc frames;
	struct exo_buf *buf;
	int r;

	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return exo_fail(x, -ENOMEM, NULL, "no memory to note a buffer in");
	r = alloc_frames(x, bytes, options, &frames);
	if (r)
		goto out_free;
	buf->frames = frames.out_cap;
	buf->bytes = (size_t)frames.count * FRAME << frames.order;
	buf->unit_shift = 12 + frames.order;
	buf->chunks = (buf->bytes + CHUNK - 1) >> EXO_BUF_CHUNK_SHIFT;
	r = exo_buf_place(x, buf);
	if (r)
		goto out_drop;
	r = map_frames(x, buf, frames.out_mmap_offset);
	if (r)
		goto out_unplace;
	r = exo_buf_attach(x, buf->frames, &buf->offset);
	if (r)
		goto out_unmap;
	exo_buf_publish(x, buf);
	*out = (void *)buf->at;
	return 0;

out_unmap:
	exo_buf_unmap(buf);
out_unplace:
	exo_buf_unplace(x, buf);
out_drop:
	exo_buf_drop(x, frames.out_cap);
out_free:
	free(buf);
	return r;
}

static int check_options(struct exo *x, struct exo_buf_options *to,
			 const struct exo_buf_options *from)
{
	int r = 0;

	memset(to, 0, sizeof(*to));
	if (from)
		r = exo_options_copy(to, sizeof(*to), from);
	if (r)
		return exo_fail(x, -EINVAL, NULL, "options that this library does not know");
	if (to->order && to->order != EXO_BUF_ORDER(EXO_ORDER_4K) &&
	    to->order != EXO_BUF_ORDER(EXO_ORDER_2M))
		return exo_fail(x, -EINVAL, NULL, "there are no frames of order %d",
				(int)(to->order - 1));
	if (to->node > INT32_MAX)
		return exo_fail(x, -EINVAL, NULL, "there is no NUMA node %u", to->node - 1);
	return 0;
}

int exo_buf_make(struct exo *x, size_t bytes, const struct exo_buf_options *options, void **out)
{
	struct exo_buf_options o;
	int r;

	*out = NULL;
	if (!bytes || bytes > RANGE_MAX)
		return exo_fail(x, -EINVAL, NULL, "a buffer cannot have %zu bytes", bytes);
	r = check_options(x, &o, options);
	if (!r)
		r = exo_check_held(x, EXO_TYPE_POOL);
	if (!r)
		r = exo_check_held(x, EXO_TYPE_CONTROLLER);
	return r ? r : x->backend->buf_alloc(x, bytes, &o, out);
}

int exo_buf_alloc_with(struct exo_queue *q, size_t bytes, const struct exo_buf_options *options,
		       void **out)
{
	return exo_buf_make(exo_queue_handle(q), bytes, options, out);
}

int exo_buf_alloc(struct exo_queue *q, size_t bytes, void **out)
{
	return exo_buf_alloc_with(q, bytes, NULL, out);
}

/* The buffer that begins at @at, or NULL. The caller holds the lock. */
static struct exo_buf *find_buf(struct exo *x, const void *at)
{
	size_t chunk = ((uintptr_t)at - x->buf_base) >> EXO_BUF_CHUNK_SHIFT;

	if (chunk >= x->buf_chunks || !x->bufs[chunk] || x->bufs[chunk]->at != (uintptr_t)at ||
	    x->bufs[chunk]->freed)
		return NULL;
	return x->bufs[chunk];
}

/* Dropping the frames detaches them first, which waits for commands in flight. */
void exo_module_buf_release(struct exo *x, struct exo_buf *buf, uint32_t frames)
{
	if (frames)
		exo_buf_drop(x, frames);
	exo_buf_unmap(buf);
	exo_buf_unplace(x, buf);
	free(buf->physical);
	free(buf);
}

static int no_buffer(struct exo *x, const void *at)
{
	return exo_fail(x, -EINVAL, NULL, "%p is not where a buffer of this handle begins", at);
}

/* exo_buf_free(), by the handle. */
int exo_buf_return(struct exo *x, void *at)
{
	struct exo_buf *buf;
	uint32_t frames = 0;

	if (!at)
		return 0;
	pthread_mutex_lock(&x->lock);
	buf = find_buf(x, at);
	if (buf) {
		frames = buf->frames;
		buf->frames = 0; /* from here on nobody else gives it up */
	}
	pthread_mutex_unlock(&x->lock);
	if (!buf)
		return no_buffer(x, at);
	x->backend->buf_release(x, buf, frames);
	return 0;
}

int exo_buf_free(struct exo_queue *q, void *at)
{
	return exo_buf_return(exo_queue_handle(q), at);
}

uint32_t exo_buf_frames(struct exo *x, const void *at)
{
	struct exo_buf *buf;
	uint32_t frames;

	pthread_mutex_lock(&x->lock);
	buf = find_buf(x, at);
	frames = buf ? buf->frames : 0;
	pthread_mutex_unlock(&x->lock);
	return frames;
}

uint64_t exo_buf_keep(struct exo *x, const void *at)
{
	struct exo_buf *buf;
	uint64_t offset;

	pthread_mutex_lock(&x->lock);
	buf = find_buf(x, at);
	buf->kept = true;
	offset = buf->offset;
	pthread_mutex_unlock(&x->lock);
	return offset;
}

uint32_t exo_buf_capability(struct exo_queue *q, const void *at)
{
	return exo_buf_frames(exo_queue_handle(q), at);
}

int exo_buf_spare(struct exo_queue *q, void *at, int spare)
{
	struct exo *x = exo_queue_handle(q);
	enum exo_fate fate = EXO_HELD;
	struct exo_buf *buf;

	pthread_mutex_lock(&x->lock);
	buf = find_buf(x, at);
	if (buf) {
		buf->spare = spare;
		fate = buf->fate;
	}
	pthread_mutex_unlock(&x->lock);
	if (!buf)
		return no_buffer(x, at);
	if (fate != EXO_HELD)
		return exo_fail(x, -ESTALE, NULL, "the buffer at %p %s", at, exo_fate_text(fate));
	return 0;
}

/*
 * The frames of @buf are going, or gone: no offset leads to them any more. Its
 * addresses stay its own until it is freed, so that no other buffer is taken for it.
 * Returns the capability, for the caller to drop once he has left the lock.
 */
uint32_t exo_buf_lose(struct exo *x, struct exo_buf *buf, enum exo_fate fate)
{
	uint32_t frames = buf->frames;

	set_delta(x, buf, 0);
	buf->frames = 0;
	buf->fate = fate;
	return frames;
}

/*
 * What became of the buffer that a command names. One that was prepared before its
 * buffer went has an offset, a later one the address itself.
 */
enum exo_fate exo_buf_fate(struct exo *x, uint64_t prp1)
{
	enum exo_fate fate = EXO_HELD;

	pthread_mutex_lock(&x->lock);
	for (struct exo_buf *buf = x->buf_first; buf; buf = buf->next)
		if (prp1 - buf->at < buf->bytes || prp1 - buf->offset < buf->bytes)
			fate = fate ? fate : buf->fate;
	pthread_mutex_unlock(&x->lock);
	return fate;
}

/* At exo_close(): nobody else uses the handle any more. */
void exo_buf_release_all(struct exo *x)
{
	bool left = false;

	for (size_t i = 0; i < x->buf_chunks; i++)
		if (x->bufs[i] && !x->bufs[i]->freed)
			x->backend->buf_release(x, x->bufs[i], x->bufs[i]->frames);
	/* What a command has that would not end is not pulled away under the kernel. */
	for (size_t i = 0; i < x->buf_chunks; i++)
		left |= !!x->bufs[i];
	if (left)
		return;
	if (x->buf_base)
		munmap((void *)x->buf_base, x->buf_chunks << EXO_BUF_CHUNK_SHIFT);
	free(x->buf_delta);
	free(x->bufs);
}
