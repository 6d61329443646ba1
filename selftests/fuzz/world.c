// SPDX-License-Identifier: MIT
/*
 * See world.h.
 */
#include "world.h"

#define POOL_FRAMES 1024u
#define VICTIM_BLOCKS 64u
#define VICTIM_BYTES (VICTIM_BLOCKS * 512u)

static int need(int ret, const char **why, const char *what)
{
	if (ret < 0)
		*why = what;
	return ret;
}

int world_open(struct world *w, const char **why)
{
	static const char *const serial[] = { "exo0", "exo1" };
	int i, ret;

	*w = (struct world){ .root = true };
	w->grantor = need(session_open(), why, "open " EXO_DEVICE);
	w->shared = need(session_open(), why, "open " EXO_DEVICE);
	if (w->grantor < 0 || w->shared < 0)
		return -ENODEV;
	ret = need(claim_pool(w->grantor, &w->root_pool), why, "claim the pool");
	for (i = 0; i < 2 && !ret; i++) {
		ret = need(machine_find(serial[i], &w->address[i]), why, "find exo0 and exo1");
		if (!ret)
			ret = need(
				claim_controller(w->grantor, w->address[i], &w->root_controller[i]),
				why, "claim a controller");
	}
	return ret;
}

/* What was made goes to its session and leaves the grantor. */
static int hand_over(const struct world *w, __u32 made, __u32 rights, int to)
{
	__u32 cap;
	int ret = derive(w->grantor, made, rights, to, 0, 0, &cap);

	drop(w->grantor, made);
	return ret;
}

static void grant_pool(const struct world *w, const int fd[SESSIONS])
{
	const __u32 rights = EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES;
	__u32 pool, cap;

	if (pool_create(w->grantor, w->root_pool, rights, POOL_FRAMES, &pool))
		return;
	derive(w->grantor, pool, rights, fd[1], 0, 0, &cap);
	hand_over(w, pool, rights, fd[0]);
}

static void grant_controller(const struct world *w, int i, __u32 rights, int to)
{
	__u32 controller;

	if (!controller_create(w->grantor, w->root_controller[i], rights, 2, &controller))
		hand_over(w, controller, rights, to);
}

static void grant_extent(const struct world *w, int to)
{
	const __u32 rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM;
	__u32 extent;

	if (!extent_create(w->grantor, w->root_controller[0], 1, rights, FUZZ_FIRST, FUZZ_BLOCKS,
			   &extent))
		hand_over(w, extent, rights, to);
}

int world_begin(const struct world *w, int fd[SESSIONS])
{
	const __u32 rights = EXO_RIGHT_QUEUE | EXO_RIGHT_THREAD;
	unsigned int i;
	__u32 claim;

	for (i = 0; i < SESSIONS; i++) {
		fd[i] = i == 3 ? dup(w->shared) : session_open();
		if (fd[i] < 0)
			return -errno;
	}
	grant_pool(w, fd);
	grant_controller(w, 0, rights, fd[0]);
	grant_extent(w, fd[0]);
	grant_controller(w, 1, rights | EXO_RIGHT_EXTENT | EXO_RIGHT_DIRECT, fd[0]);
	if (w->root)
		claim_controller(fd[2], w->address[1], &claim);
	return 0;
}

void world_tidy(const struct world *w)
{
	__u32 caps[64];
	int i, n;

	while ((n = list(w->shared, caps, 64)) > 0)
		for (i = 0; i < n; i++)
			drop(w->shared, caps[i]);
}

/* ---- the victim ---- */

static __u64 victim_block(int i)
{
	return i ? FUZZ_FIRST + FUZZ_BLOCKS : FUZZ_FIRST - VICTIM_BLOCKS;
}

static void victim_pattern(__u32 *to, __u32 generation)
{
	size_t i;

	for (i = 0; i < VICTIM_BYTES / 4; i++)
		to[i] = generation * 0x9e3779b9u + (__u32)i;
}

static int victim_io(struct victim *v, __u8 opcode, int i, __u64 offset)
{
	return ring_io(&v->ring, opcode, 1, victim_block(i), VICTIM_BLOCKS,
		       v->frames.offset + offset);
}

static int victim_write(struct victim *v)
{
	int i, ret = 0;

	victim_pattern(v->frames.at, ++v->generation);
	for (i = 0; i < 2 && !ret; i++)
		ret = victim_io(v, OP_WRITE, i, 0);
	return ret;
}

static int victim_grant(const struct world *w, struct victim *v, const char **why)
{
	const __u32 rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	int i, ret;

	v->fd = need(session_open(), why, "open a session");
	if (v->fd < 0)
		return v->fd;
	ret = need(derive(w->grantor, w->root_pool, EXO_RIGHT_ALLOC, v->fd, 0, 0, &v->pool), why,
		   "grant a pool");
	if (!ret)
		ret = need(derive(w->grantor, w->root_controller[0], EXO_RIGHT_QUEUE, v->fd, 0, 0,
				  &v->controller),
			   why, "grant a controller");
	for (i = 0; i < 2 && !ret; i++) {
		__u32 extent;

		ret = need(extent_create(w->grantor, w->root_controller[0], 1, rights,
					 victim_block(i), VICTIM_BLOCKS, &extent),
			   why, "make an extent");
		if (!ret)
			ret = need(derive(w->grantor, extent, rights, v->fd, 0, 0, &v->extent[i]),
				   why, "grant an extent");
	}
	return ret;
}

int victim_create(const struct world *w, struct victim *v, const char **why)
{
	int i, ret;

	*v = (struct victim){ .fd = -1 };
	ret = victim_grant(w, v, why);
	if (!ret)
		ret = need(ring_create(v->fd, v->controller, 8, &v->ring), why, "make a queue");
	for (i = 0; i < 2 && !ret; i++)
		ret = need(queue_attach(v->fd, v->ring.cap, v->extent[i]), why, "attach");
	if (!ret)
		ret = need(buffer_alloc(v->fd, v->pool, EXO_ORDER_4K, 2 * VICTIM_BYTES / PAGE,
					&v->frames),
			   why, "allocate frames");
	if (!ret)
		ret = need(buffer_attach(v->fd, v->controller, &v->frames), why, "attach frames");
	return ret ? ret : need(-abs(victim_write(v)), why, "write");
}

const char *victim_check(struct victim *v)
{
	static __u32 expected[VICTIM_BYTES / 4];
	char *room = (char *)v->frames.at + VICTIM_BYTES;
	int i;

	victim_pattern(expected, v->generation);
	if (memcmp(v->frames.at, expected, VICTIM_BYTES))
		return "the victim's frames were changed";
	for (i = 0; i < 2; i++) {
		memset(room, 0xee, VICTIM_BYTES);
		if (victim_io(v, OP_READ, i, VICTIM_BYTES))
			return "the victim's read failed";
		if (memcmp(room, expected, VICTIM_BYTES))
			return "the victim's blocks were changed";
	}
	return victim_write(v) ? "the victim's write failed" : NULL;
}
