// SPDX-License-Identifier: MIT
/*
 * Extents: handles, queues, memory, commands.
 */
#include <errno.h>
#include <string.h>

#include <libexo/sys.h>

#include "extent.h"
#include "report.h"

/* "exo:" has its colon. */
static int fail_of(const struct side *s, const char *why)
{
	size_t length = strlen(s->name);

	return fail("%s%s %s", s->name, length && s->name[length - 1] == ':' ? "" : ":", why);
}

static int fail_of_handle(const struct side *s, int result)
{
	return fail_of(s, exo_strerror(s->x, result));
}

static int fail_of_queue(const struct side *s, int result)
{
	return fail_of(s, exo_queue_strerror(s->q, result));
}

/* Of a command of the kernel's. */
static int fail_of_call(const struct side *s, const char *what, int result,
			const struct exo_detail *detail)
{
	char why[256];

	return fail("%s: %s: %s", s->name, what, exo_explain(why, sizeof(why), result, detail));
}

int extent_open(struct side *s, unsigned int rights)
{
	int r = exo_open(s->name, rights, &s->x);

	/* Who reads a token can redeem it. */
	if (!strncmp(s->name, "token:", 6))
		s->name = "token:";
	if (r)
		return fail_of_handle(s, r);
	s->kind = SIDE_EXTENT;
	s->block = exo_block_size(s->x);
	s->size = exo_blocks(s->x) * s->block;
	s->first = exo_first_block(s->x);
	return 0;
}

static bool emulated(const struct side *s)
{
	return exo_fd(s->x) < 0;
}

void extent_borrow_handle(struct side *from, struct side *to)
{
	exo_close(from->x);
	from->x = to->x;
	from->x_borrowed = true;
}

/* An emulated file has a handle for both sides; the module's are told apart by their function. */
static bool same_function(const struct side *a, const struct side *b)
{
	if (a->kind != SIDE_EXTENT || b->kind != SIDE_EXTENT)
		return false;
	if (a->x == b->x)
		return true;
	return !emulated(a) && !emulated(b) && !strcmp(exo_address(a->x), exo_address(b->x));
}

bool extent_same_namespace(const struct side *a, const struct side *b)
{
	return same_function(a, b) && exo_nsid(a->x) == exo_nsid(b->x);
}

/* ---- queues ---- */

static int open_queue(struct side *s, unsigned int pieces)
{
	struct exo_queue_options options = { .size = sizeof(options), .depth = pieces };
	int r = exo_queue_create(s->x, &options, &s->q);

	return r ? fail_of_handle(s, r) : 0;
}

/* A child of capability @cap of @of's in the session of @to, with @rights. */
static int lend(struct side *of, uint32_t cap, uint32_t rights, struct side *to)
{
	struct exo_detail detail = { 0 };
	struct exo_cap_derive arg = {
		.detail = exo_sys_address(&detail),
		.cap = cap,
		.rights = rights,
		.session_fd = exo_fd(to->x),
	};
	int r = exo_sys_cap_derive(exo_fd(of->x), &arg);

	if (r)
		return fail_of_call(of, "cannot lend it to the other side's session", r, &detail);
	to->lent = arg.out_cap;
	return 0;
}

/* From here on DESTINATION's queue reads SOURCE's blocks, too. */
static int attach_source(struct side *from, struct side *to)
{
	struct exo_detail detail = { 0 };
	struct exo_queue_attach arg = {
		.detail = exo_sys_address(&detail),
		.queue = exo_queue_cap(to->q),
	};
	int r;

	if (lend(from, exo_extent_cap(from->x), EXO_RIGHT_READ, to))
		return -1;
	arg.extent = to->lent;
	r = exo_sys_queue_attach(exo_fd(to->x), &arg);
	return r ? fail_of_call(from, "cannot attach it to a queue", r, &detail) : 0;
}

int extent_open_queues(struct side *from, struct side *to, unsigned int pieces)
{
	if (to->kind == SIDE_EXTENT && open_queue(to, pieces))
		return -1;
	if (from->kind != SIDE_EXTENT)
		return 0;
	if (!same_function(from, to))
		return open_queue(from, pieces);
	from->q = to->q;
	from->q_borrowed = true;
	return from->x == to->x ? 0 : attach_source(from, to);
}

/* ---- memory ---- */

/* The frames of @owner's buffer into the other's buffer space. */
static int share_frames(struct side *owner, struct side *other, void *buffer)
{
	struct exo_detail detail = { 0 };
	struct exo_dma_attach arg = {
		.detail = exo_sys_address(&detail),
		.controller = exo_controller_cap(other->x),
	};
	int r;

	if (lend(owner, exo_buf_capability(owner->q, buffer), EXO_RIGHT_READ | EXO_RIGHT_WRITE,
		 other))
		return -1;
	arg.frames = other->lent;
	r = exo_sys_dma_attach(exo_fd(other->x), &arg);
	if (r)
		return fail_of_call(other, "cannot reach the buffer", r, &detail);
	other->memory = arg.out_offset;
	return 0;
}

/* An emulated queue cannot use frames; its own buffers are memory like any. */
static int register_memory(struct side *other, void *buffer, size_t bytes)
{
	int r = exo_mem_register(other->x, buffer, bytes, 0);

	if (r)
		return fail_of_handle(other, r);
	other->memory = exo_buf_offset(other->q, buffer);
	return 0;
}

static int share(struct side *owner, struct side *other, void *buffer, size_t bytes)
{
	if (other->kind != SIDE_EXTENT)
		return 0;
	if (other->q == owner->q) {
		other->memory = owner->memory;
		return 0;
	}
	return emulated(owner) ? register_memory(other, buffer, bytes)
			       : share_frames(owner, other, buffer);
}

void *extent_alloc(struct side *from, struct side *to, size_t bytes)
{
	struct side *owner = to, *other = from;
	void *buffer;
	int r;

	if (to->kind != SIDE_EXTENT || (from->kind == SIDE_EXTENT && emulated(from))) {
		owner = from;
		other = to;
	}
	r = exo_buf_alloc(owner->q, bytes, &buffer);
	if (r) {
		fail("%s: %s%s", owner->name, exo_strerror(owner->x, r),
		     r == -EDQUOT || r == -ENOMEM ? " (--depth and --size make do with less)" : "");
		return NULL;
	}
	owner->memory = exo_buf_offset(owner->q, buffer);
	return share(owner, other, buffer, bytes) ? NULL : buffer;
}

/* ---- commands ---- */

static uint32_t blocks(const struct side *s, uint32_t bytes)
{
	return (bytes + s->block - 1) / s->block;
}

static uint64_t lba(const struct side *s, uint64_t at)
{
	return s->first + (s->offset + at) / s->block;
}

/* By numbers of the namespace: the queue may be one of another extent. */
static void prep(struct side *s, uint8_t opcode, uint64_t offset, uint64_t at, uint32_t bytes,
		 unsigned int piece)
{
	struct exo_nvme_command *command =
		exo_prep_blocks(s->q, opcode, s->memory + offset, 0, blocks(s, bytes), piece);

	command->nsid = exo_nsid(s->x);
	command->slba = lba(s, at);
}

void extent_prep_read(struct side *s, uint64_t offset, uint64_t at, uint32_t bytes,
		      unsigned int piece)
{
	prep(s, EXO_NVME_READ, offset, at, bytes, piece);
}

void extent_prep_write(struct side *s, uint64_t offset, uint64_t at, uint32_t bytes,
		       unsigned int piece)
{
	prep(s, EXO_NVME_WRITE, offset, at, bytes, piece);
}

uint32_t extent_copy_max(const struct side *to)
{
	struct exo_copy_limits limits = exo_copy_limits(to->x);

	if (!limits.ranges)
		return 0;
	return (limits.range_blocks < limits.blocks ? limits.range_blocks : limits.blocks) *
	       to->block;
}

void extent_prep_copy(struct side *from, struct side *to, void *list, uint64_t at, uint32_t bytes,
		      unsigned int piece)
{
	struct exo_nvme_copy_range *range = list;

	*range =
		(struct exo_nvme_copy_range){ .slba = lba(from, at), .nlb = blocks(to, bytes) - 1 };
	exo_prep_copy(to->q, range, 1, lba(to, at) - to->first, piece);
}

int extent_keep_rest(struct side *s, uint64_t at, uint32_t bytes, char *data)
{
	uint32_t kept = bytes % s->block;
	void *block;
	int r = exo_buf_alloc(s->q, s->block, &block);

	if (r)
		return fail_of_handle(s, r);
	r = exo_read(s->q, block, (s->offset + at + bytes) / s->block, 1);
	if (r)
		fail_of_queue(s, r);
	else
		memcpy(data + bytes, (char *)block + kept, s->block - kept);
	exo_buf_free(s->q, block);
	return r ? -1 : 0;
}

int extent_flush(struct side *s)
{
	int r = exo_flush(s->q);

	return r ? fail_of_queue(s, r) : 0;
}

/* What was lent ends before the session, which may be one that others go on with. */
void extent_close(struct side *s)
{
	struct exo_cap_drop drop = { .cap = s->lent };

	if (!s->q_borrowed)
		exo_queue_destroy(s->q);
	if (s->lent)
		exo_sys_cap_drop(exo_fd(s->x), &drop);
	if (!s->x_borrowed)
		exo_close(s->x);
}
