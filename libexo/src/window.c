// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Windows: where one lies, and calls on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"
#include "upcall.h"

#define FRAME 4096ul
#define LARGE (2ul << 20)
#define TRIES 16 /* to be there before another thread */

/**
 * struct exo_window - a window
 * @x: the handle
 * @at: its first byte
 * @bytes: size
 * @targets: of exo_window_on_fault(), the latest first; a thread may be on its way to an older one
 */
struct exo_window {
	struct exo *x;
	char *at;
	uint64_t bytes;
	struct exo_upcall_target *targets;
};

/* Where a range of addresses is free that begins at a multiple of 2 MiB; NULL: nowhere. */
static char *find_room(uint64_t bytes)
{
	char *at = mmap(NULL, bytes + LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);

	if (at == MAP_FAILED)
		return NULL;
	munmap(at, bytes + LARGE);
	return at + (-(uintptr_t)at & (LARGE - 1));
}

/*
 * Not in the place of a mapping: a kernel that then refuses the window has taken that away, and
 * what another thread has there by now is not ours to unmap.
 */
static char *map_aligned(struct exo *x, uint64_t bytes)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		char *room = find_room(bytes), *at;

		if (!room)
			return NULL;
		at = mmap(room, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
			  x->fd, (off_t)EXO_WINDOW_OFFSET);
		if (at != MAP_FAILED)
			return at;
		if (errno != EEXIST)
			return NULL;
	}
	errno = ENOMEM;
	return NULL;
}

static int map_window(struct exo *x, struct exo_window *w)
{
	w->at = map_aligned(x, w->bytes);
	if (w->at)
		return 0;
	/* Its size is right. */
	if (errno == EINVAL)
		return exo_fail(x, -EOPNOTSUPP, NULL,
				"the module has no windows: its kernel lacks "
				"CONFIG_MAPPING_DIRTY_HELPERS");
	return exo_fail(x, -errno, NULL, "cannot make a window: %s", strerror(errno));
}

int exo_window_create(struct exo *x, uint64_t bytes, struct exo_window **out)
{
	struct exo_window *w;
	int r = exo_check_module(x, "windows");

	*out = NULL;
	if (r)
		return r;
	if (!bytes || bytes % FRAME || bytes > EXO_WINDOW_BYTES_MAX)
		return exo_fail(x, -EINVAL, NULL,
				"the size of a window is a multiple of 4096, at most %llu",
				(unsigned long long)EXO_WINDOW_BYTES_MAX);
	w = calloc(1, sizeof(*w));
	if (!w)
		return exo_fail(x, -ENOMEM, NULL, "cannot make a window: no memory");
	w->x = x;
	w->bytes = bytes;
	r = map_window(x, w);
	if (r)
		free(w);
	else
		*out = w;
	return r;
}

void exo_window_destroy(struct exo_window *w)
{
	struct exo_upcall_target *target, *next;

	if (!w)
		return;
	munmap(w->at, w->bytes);
	for (target = w->targets; target; target = next) {
		next = target->next;
		free(target);
	}
	free(w);
}

void *exo_window_entry(const struct exo_window *w, uint64_t entry)
{
	return w->at + entry * FRAME;
}

bool exo_window_has(const struct exo_window *w, uint64_t entry, uint64_t count)
{
	uint64_t entries = w->bytes / FRAME;

	return entry <= entries && count <= entries - entry;
}

/* ---- calls ---- */

int exo_window_change(struct exo_window *w, const struct exo_window_op *ops, unsigned int count,
		      unsigned int *done)
{
	struct exo_detail detail = { 0 };
	struct exo_window_set arg = {
		.detail = exo_sys_address(&detail),
		.window = exo_sys_address(w->at),
		.ops = exo_sys_address(ops),
		.count = count,
	};
	int r = exo_sys_window_set(w->x->fd, &arg);

	if (done)
		*done = r ? detail.index : count;
	if (r)
		return exo_fail(w->x, r, &detail, "operation %u on a window is refused",
				detail.index);
	return 0;
}

static int change_one(struct exo_window *w, const struct exo_window_op *op)
{
	return exo_window_change(w, op, 1, NULL);
}

static int map(struct exo_window *w, uint32_t order, uint64_t entry, uint32_t count,
	       uint32_t frames, uint64_t page, uint32_t access)
{
	return change_one(w, &(struct exo_window_op){
				     .op = EXO_WINDOW_MAP,
				     .first = entry,
				     .count = count,
				     .access = access,
				     .order = order,
				     .frames = frames,
				     .page = page,
			     });
}

int exo_window_map(struct exo_window *w, uint64_t entry, uint32_t count, uint32_t frames,
		   uint64_t page, uint32_t access)
{
	return map(w, EXO_ORDER_4K, entry, count, frames, page, access);
}

int exo_window_map_large(struct exo_window *w, uint64_t entry, uint32_t count, uint32_t frames,
			 uint64_t page, uint32_t access)
{
	return map(w, EXO_ORDER_2M, entry, count, frames, page, access);
}

int exo_window_unmap(struct exo_window *w, uint64_t entry, uint32_t count)
{
	return change_one(w, &(struct exo_window_op){
				     .op = EXO_WINDOW_UNMAP,
				     .first = entry,
				     .count = count,
			     });
}

int exo_window_protect(struct exo_window *w, uint64_t entry, uint32_t count, uint32_t access)
{
	return change_one(w, &(struct exo_window_op){
				     .op = EXO_WINDOW_PROTECT,
				     .first = entry,
				     .count = count,
				     .access = access,
			     });
}

int exo_window_dirty(struct exo_window *w, uint64_t entry, uint32_t count, uint64_t *bitmap)
{
	struct exo_detail detail = { 0 };
	struct exo_window_dirty arg = {
		.detail = exo_sys_address(&detail),
		.window = exo_sys_address(w->at),
		.first = entry,
		.bitmap = exo_sys_address(bitmap),
		.count = count,
	};
	int r = exo_sys_window_dirty(w->x->fd, &arg);

	if (r)
		return exo_fail(w->x, r, &detail, "cannot ask for the dirty bits of a window");
	return (int)arg.out_dirty;
}

/* ---- touches that are not allowed ---- */

static int set_handler(struct exo_window *w, uint64_t handler, struct exo_upcall_target *target)
{
	struct exo_detail detail = { 0 };
	struct exo_window_handler arg = {
		.detail = exo_sys_address(&detail),
		.window = exo_sys_address(w->at),
		.handler = handler,
		.context = exo_sys_address(target),
	};
	int r = exo_sys_window_handler(w->x->fd, &arg);

	if (r)
		return exo_fail(w->x, r, &detail, "no function can be called for touches");
	return 0;
}

int exo_window_on_fault(struct exo_window *w, exo_fault_fn function, void *arg, unsigned int flags)
{
	struct exo_upcall_target *target;
	uint64_t handler;
	int r;

	if (flags & ~EXO_FAULT_GENERAL_REGS)
		return exo_fail(w->x, -EINVAL, NULL, "flags %#x are unknown", flags);
	if (!function)
		return set_handler(w, 0, NULL);
	handler = exo_upcall_handler(flags);
	if (!handler)
		return exo_fail(w->x, -EOPNOTSUPP, NULL,
				"no function can be called for touches: this processor cannot "
				"save its registers (XSAVE)");
	for (target = w->targets; target; target = target->next)
		if (target->function == function && target->arg == arg)
			return set_handler(w, handler, target);
	target = malloc(sizeof(*target));
	if (!target)
		return exo_fail(w->x, -ENOMEM, NULL, "no memory for a function to be called");
	*target = (struct exo_upcall_target){ function, arg, w->targets };
	r = set_handler(w, handler, target);
	if (r)
		free(target);
	else
		w->targets = target;
	return r;
}
