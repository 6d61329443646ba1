// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Registered memory: the program's own, adopted by the kernel and attached.
 *
 * It may lie anywhere, and several pieces within one chunk: so it is found by a search, in
 * an array that is ordered by address. A piece is a struct exo_buf without chunks, and in
 * the list of those, so that revocation finds it as any buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

#define FRAME 4096ul

/* How many pieces begin at or below @at. The caller holds the lock. */
static size_t rank(const struct exo *x, uintptr_t at)
{
	size_t first = 0, end = x->mem_count;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (x->mems[middle]->at <= at)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

/* The piece that has the byte at @at, or NULL. The caller holds the lock. */
static struct exo_buf *piece_at(const struct exo *x, uintptr_t at)
{
	size_t n = rank(x, at);

	return n && at - x->mems[n - 1]->at < x->mems[n - 1]->bytes ? x->mems[n - 1] : NULL;
}

/* Of an unsafe queue the address as it is: what it should be exchanged for, nobody tells. */
uint64_t exo_mem_offset(const struct exo_queue *q, const void *address)
{
	struct exo *x = exo_queue_handle(q);
	uint64_t at = (uintptr_t)address;
	const struct exo_buf *mem;

	if (q->direct && exo_direct_is_unsafe(q))
		return at;
	pthread_mutex_lock(&x->lock);
	mem = piece_at(x, at);
	if (mem && mem->fate == EXO_HELD)
		at = mem->offset + (at - mem->at);
	pthread_mutex_unlock(&x->lock);
	return at;
}

/* ---- the module's ---- */

static int adopt(struct exo *x, struct exo_buf *mem)
{
	uintptr_t first = mem->at & ~(FRAME - 1);
	struct exo_detail detail = { 0 };
	struct exo_mem_adopt arg = {
		.detail = exo_sys_address(&detail),
		.controller = x->controller,
		.rights = EXO_RIGHT_READ | (mem->read_only ? 0 : EXO_RIGHT_WRITE),
		.address = first,
		.bytes = ((mem->at + mem->bytes + FRAME - 1) & ~(FRAME - 1)) - first,
	};
	int r = exo_sys_mem_adopt(x->fd, &arg);

	if (r)
		return exo_fail(x, r, &detail, "cannot register %zu bytes of memory", mem->bytes);
	mem->frames = arg.out_cap;
	return 0;
}

int exo_module_mem_register(struct exo *x, struct exo_buf *mem)
{
	int r = exo_check_held(x, EXO_TYPE_CONTROLLER);

	if (!r)
		r = adopt(x, mem);
	if (r)
		return r;
	r = exo_buf_attach(x, mem->frames, &mem->offset);
	if (r)
		exo_buf_drop(x, mem->frames);
	mem->offset += mem->at & (FRAME - 1);
	return r;
}

/* Dropping the memory detaches it first, which waits for commands in flight. */
int exo_module_mem_unregister(struct exo *x, struct exo_buf *mem)
{
	uint32_t frames;

	pthread_mutex_lock(&x->lock);
	frames = mem->frames;
	mem->frames = 0;
	exo_mem_unlist(x, mem);
	pthread_mutex_unlock(&x->lock);
	if (frames)
		exo_buf_drop(x, frames);
	return 0;
}

/* ---- both ---- */

/* The caller holds the lock. */
void exo_mem_unlist(struct exo *x, struct exo_buf *mem)
{
	size_t n = rank(x, mem->at);

	memmove(&x->mems[n - 1], &x->mems[n], (x->mem_count - n) * sizeof(*x->mems));
	x->mem_count--;
	exo_buf_unlist(x, mem);
}

/* Where it belongs, if nothing of it is there yet. The caller holds the lock. */
static int insert(struct exo *x, struct exo_buf *mem)
{
	size_t n = rank(x, mem->at);
	struct exo_buf **mems;

	if (n && mem->at - x->mems[n - 1]->at < x->mems[n - 1]->bytes)
		return -EEXIST;
	if (n < x->mem_count && x->mems[n]->at - mem->at < mem->bytes)
		return -EEXIST;
	mems = realloc(x->mems, (x->mem_count + 1) * sizeof(*mems));
	if (!mems)
		return -ENOMEM;
	memmove(&mems[n + 1], &mems[n], (x->mem_count - n) * sizeof(*mems));
	mems[n] = mem;
	x->mems = mems;
	x->mem_count++;
	return 0;
}

/* From here on exo_mem_offset() finds it. */
static int publish(struct exo *x, struct exo_buf *mem)
{
	int r;

	pthread_mutex_lock(&x->lock);
	r = insert(x, mem);
	if (!r) {
		mem->next = x->buf_first;
		x->buf_first = mem;
	}
	pthread_mutex_unlock(&x->lock);
	if (r == -EEXIST)
		return exo_fail(x, r, NULL, "part of the memory at %p is registered already",
				(void *)mem->at);
	return r ? exo_fail(x, r, NULL, "no memory to note memory in") : 0;
}

int exo_mem_register(struct exo *x, void *address, size_t bytes, unsigned int flags)
{
	uintptr_t at = (uintptr_t)address, end;
	struct exo_buf *mem;
	int r;

	if (flags & ~EXO_MEM_READ_ONLY)
		return exo_fail(x, -EINVAL, NULL, "there are no such flags as %#x",
				flags & ~EXO_MEM_READ_ONLY);
	/* The last page, too, must end within the addresses that there are. */
	if (!bytes || __builtin_add_overflow(at, bytes, &end) || end > -FRAME)
		return exo_fail(x, -EINVAL, NULL, "there is no memory of %zu bytes at %p", bytes,
				address);
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return exo_fail(x, -ENOMEM, NULL, "no memory to note memory in");
	mem->at = at;
	mem->bytes = bytes;
	mem->mine = true;
	mem->read_only = flags & EXO_MEM_READ_ONLY;
	mem->refs = 1;
	r = x->backend->mem_register(x, mem);
	if (!r) {
		r = publish(x, mem);
		if (r && mem->frames)
			exo_buf_drop(x, mem->frames);
	}
	if (r)
		free(mem);
	return r;
}

/* At exo_close(), too: what an emulated command has that would not end is left as it is. */
int exo_mem_unregister(struct exo *x, void *address)
{
	struct exo_buf *mem;
	int r;

	if (!address)
		return 0;
	pthread_mutex_lock(&x->lock);
	mem = piece_at(x, (uintptr_t)address);
	if (mem && (mem->at != (uintptr_t)address || mem->leaving))
		mem = NULL;
	if (mem)
		mem->leaving = true; /* nobody else's any more */
	pthread_mutex_unlock(&x->lock);
	if (!mem)
		return exo_fail(x, -EINVAL, NULL, "nothing that begins at %p is registered",
				address);
	r = x->backend->mem_unregister(x, mem);
	if (!r)
		free(mem);
	return r;
}

void exo_mem_release_all(struct exo *x)
{
	while (x->mem_count && !exo_mem_unregister(x, (void *)x->mems[0]->at))
		;
	free(x->mems);
}
