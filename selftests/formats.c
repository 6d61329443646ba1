// SPDX-License-Identifier: MIT
/*
 * Data, byte for byte: every size from one block to the largest transfer, every offset
 * that a buffer may have in its page, with blocks of 512 bytes and of 4 KiB, over 4 KiB
 * frames, over frames that lie scattered in memory, and over 2 MiB frames. Every transfer has
 * a pattern of its own; neither the bytes around the buffer nor the blocks around those that
 * are named may change.
 */
#include <kselftest_harness.h>

#include "lib.h"

#define GUARD 64u /* bytes on either side of a buffer */
#define GUARD_BYTE 0x3c
#define CLASSES (PAGE / 4) /* offsets in a page that a buffer may have */

enum memory { FRAMES_4K, FRAMES_SCATTERED, FRAMES_2M };

FIXTURE(formats)
{
	struct tenant t;
	struct ring ring;
	struct buffer out, in;
	__u32 nsid;
	__u32 block;
	__u32 max;  /* blocks of the largest transfer */
	__u64 seed; /* of the last pattern */
};

FIXTURE_VARIANT(formats)
{
	const char *serial;
	__u32 nsid;
	__u32 block;
	enum memory memory;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(formats, blocks_512_frames_4k){
	.serial = "exo0", .nsid = 1, .block = 512, .memory = FRAMES_4K,
};
FIXTURE_VARIANT_ADD(formats, blocks_512_frames_scattered){
	.serial = "exo0", .nsid = 1, .block = 512, .memory = FRAMES_SCATTERED,
};
FIXTURE_VARIANT_ADD(formats, blocks_512_frames_2m){
	.serial = "exo0", .nsid = 1, .block = 512, .memory = FRAMES_2M,
};
FIXTURE_VARIANT_ADD(formats, blocks_4k_frames_4k){
	.serial = "exo1", .nsid = 4, .block = 4096, .memory = FRAMES_4K,
};
FIXTURE_VARIANT_ADD(formats, blocks_4k_frames_scattered){
	.serial = "exo1", .nsid = 4, .block = 4096, .memory = FRAMES_SCATTERED,
};
FIXTURE_VARIANT_ADD(formats, blocks_4k_frames_2m){
	.serial = "exo1", .nsid = 4, .block = 4096, .memory = FRAMES_2M,
};
/* clang-format on */

/* ---- memory ---- */

/* Single frames, attached in an order that is not that of their addresses. */
static int scatter(struct tenant *t, __u32 pages, struct buffer *out)
{
	struct exo_frame_name name[2] = {};
	struct exo_frames_alloc frame[256];
	unsigned int i, jumps = 0;
	__u64 offset;
	int ret = 0;

	if (pages > ARRAY_SIZE(frame))
		return -E2BIG;
	*out = (struct buffer){ .size = pages * PAGE };
	out->at = mmap(NULL, out->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (out->at == MAP_FAILED)
		return -errno;
	for (i = 0; i < pages && !ret; i++)
		ret = frames_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, ANY_NODE, &frame[i]);
	for (i = 0; i < pages && !ret; i++) {
		/* 97 is no divisor of any number of pages here: each comes once. */
		struct exo_frames_alloc *f = &frame[i * 97 % pages];

		ret = dma_attach(t->fd, t->controller, f->out_cap, &offset);
		if (!ret)
			ret = frames_names(t->fd, f->out_cap, 0, 1, &name[i % 2]);
		if (ret)
			return ret;
		if (!i)
			out->offset = offset;
		if (offset != out->offset + i * PAGE)
			return -ESPIPE;
		jumps += i && name[i % 2].pfn != name[!(i % 2)].pfn + 1;
		if (mmap((char *)out->at + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, t->fd, (off_t)f->out_mmap_offset) == MAP_FAILED)
			return -errno;
	}
	if (!ret && jumps < pages / 2)
		return -EDOM;
	return ret;
}

static int memory_make(struct tenant *t, enum memory memory, struct buffer *out)
{
	const __u32 order = memory == FRAMES_2M ? EXO_ORDER_2M : EXO_ORDER_4K;
	const __u64 size = t->transfer_max + 4 * PAGE;
	int ret;

	if (memory == FRAMES_SCATTERED)
		return scatter(t, (__u32)(size / PAGE), out);
	ret = buffer_alloc(t->fd, t->pool, order, (__u32)((size - 1) / (PAGE << order)) + 1, out);
	return ret ? ret : buffer_attach(t->fd, t->controller, out);
}

/* ---- patterns: of the blocks around, and of each transfer ---- */

static __u64 pattern_word(__u64 seed, __u64 lba, __u32 word)
{
	return (seed << 40 ^ lba << 16 ^ word) * 0x9e3779b97f4a7c15ull;
}

/* Words of 4 bytes: buffers need no better alignment. */
static void pattern_fill(void *at, __u64 seed, __u64 lba, __u32 block)
{
	__u32 *word = at, i;

	for (i = 0; i < block / 4; i++)
		word[i] = (__u32)(pattern_word(seed, lba, i) >> 32);
}

static bool pattern_holds(const void *at, __u64 seed, __u64 lba, __u32 block)
{
	const __u32 *word = at;
	__u32 i, wrong = 0;

	for (i = 0; i < block / 4; i++)
		wrong |= word[i] ^ (__u32)(pattern_word(seed, lba, i) >> 32);
	return !wrong;
}

static void guards_set(char *at, size_t size)
{
	memset(at - GUARD, GUARD_BYTE, GUARD);
	memset(at + size, GUARD_BYTE, GUARD);
}

static bool guards_hold(const char *at, size_t size)
{
	const char *before = at - GUARD, *behind = at + size;
	unsigned int i;

	for (i = 0; i < GUARD; i++)
		if (before[i] != GUARD_BYTE || behind[i] != GUARD_BYTE)
			return false;
	return true;
}

/* ---- transfers ---- */

/* The blocks around are those of pattern 0: one at FIRST, the others behind what was written. */
#define FIRST EXTENT_FIRST

static int lay_ground(FIXTURE_DATA(formats) * self)
{
	__u32 block = self->block, n = self->max, i;
	__u64 lba;
	int ret = 0;

	for (lba = FIRST; !ret && lba < FIRST + 2 * self->max; lba += n) {
		for (i = 0; i < n; i++)
			pattern_fill((char *)self->out.at + (size_t)i * block, 0, lba + i, block);
		ret = ring_io(&self->ring, OP_WRITE, self->nsid, lba, n, self->out.offset);
	}
	return ret;
}

/* Writes @blocks behind the first, of a new pattern, from offset @from. */
static int put(FIXTURE_DATA(formats) * self, __u32 blocks, __u32 from)
{
	const size_t size = (size_t)blocks * self->block;
	char *out = (char *)self->out.at + PAGE + from;
	__u32 i;
	int ret;

	self->seed++;
	for (i = 0; i < blocks; i++)
		pattern_fill(out + (size_t)i * self->block, self->seed, FIRST + 1 + i, self->block);
	guards_set(out, size);
	ret = ring_io(&self->ring, OP_WRITE, self->nsid, FIRST + 1, blocks,
		      self->out.offset + PAGE + from);
	if (!ret && !guards_hold(out, size))
		ret = -EOVERFLOW;
	return ret;
}

/* Reads them to offset @to, and with them the blocks around where a transfer has room for those. */
static int get(FIXTURE_DATA(formats) * self, __u32 blocks, __u32 to)
{
	const __u32 around = blocks + 2 <= self->max;
	const __u64 slba = FIRST + !around;
	const __u32 count = blocks + 2 * around;
	const size_t size = (size_t)count * self->block;
	char *in = (char *)self->in.at + PAGE + to;
	__u32 i;
	int ret;

	guards_set(in, size);
	ret = ring_io(&self->ring, OP_READ, self->nsid, slba, count, self->in.offset + PAGE + to);
	if (ret)
		return ret;
	if (!guards_hold(in, size))
		return -EOVERFLOW;
	for (i = 0; i < count; i++) {
		__u64 lba = slba + i, seed = self->seed;

		if (lba == FIRST || lba == FIRST + 1 + blocks)
			seed = 0;
		if (!pattern_holds(in + (size_t)i * self->block, seed, lba, self->block))
			return -EBADMSG;
	}
	return 0;
}

static int transfer(FIXTURE_DATA(formats) * self, __u32 blocks, __u32 from, __u32 to)
{
	int ret = put(self, blocks, from);

	return ret ? ret : get(self, blocks, to);
}

FIXTURE_SETUP(formats)
{
	const __u32 rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	struct exo_namespace_query ns;
	struct tenant *t = &self->t;
	__u32 extent;

	TENANT_SETUP(t, variant->serial);
	self->nsid = variant->nsid;
	self->block = variant->block;
	self->max = t->transfer_max / variant->block;
	if (namespace_query(t->grantor, t->root_controller, 0, self->nsid, &ns) ||
	    ns.out_block_shift != (__u32)__builtin_ctz(variant->block))
		SKIP(return, "%s has no namespace %u with blocks of %u bytes", variant->serial,
			   variant->nsid, variant->block);
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, self->nsid, rights, FIRST,
				   2 * self->max, &extent));
	ASSERT_EQ(0, derive(t->grantor, extent, rights, t->fd, 0, 0, &extent));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 4, &self->ring));
	ASSERT_EQ(0, queue_attach(t->fd, self->ring.cap, extent));
	ASSERT_EQ(0, memory_make(t, variant->memory, &self->out));
	ASSERT_EQ(0, memory_make(t, variant->memory, &self->in));
	ASSERT_EQ(0, lay_ground(self));
}

FIXTURE_TEARDOWN(formats)
{
	tenant_destroy(&self->t);
}

/* The offsets take turns, so that no size has always the same. */
TEST_F(formats, every_size_from_one_block_to_the_largest_transfer_arrives_whole)
{
	__u32 blocks, from, to;

	for (blocks = 1; blocks <= self->max; blocks++) {
		from = blocks * 61 % CLASSES * 4;
		to = blocks * 389 % CLASSES * 4;
		ASSERT_EQ(0, transfer(self, blocks, from, to))
		{
			TH_LOG("%u blocks, from +%u to +%u", blocks, from, to);
		}
	}
}

/* One, two, three and four pages touched; and, less often, as many as there can be. */
TEST_F(formats, every_offset_in_a_page_is_good_for_a_buffer)
{
	const __u32 page = PAGE / self->block;
	const __u32 sizes[] = { 2 * page + 1, page + 1, page, 1 };
	__u32 class, i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, lay_ground(self));
		for (class = 0; class < CLASSES; class ++) {
			ASSERT_EQ(0, transfer(self, sizes[i], class * 4, (CLASSES - 1 - class) * 4))
			{
				TH_LOG("%u blocks, from +%u", sizes[i], class * 4);
			}
		}
	}
	for (class = 0; class < CLASSES; class += class < 4 || class > CLASSES - 4 ? 1 : 31) {
		ASSERT_EQ(0, transfer(self, self->max, class * 4, (CLASSES - 1 - class) * 4))
		{
			TH_LOG("%u blocks, from +%u", self->max, class * 4);
		}
	}
}

TEST_F(formats, other_offsets_are_refused)
{
	__u32 offset;

	for (offset = 1; offset < PAGE; offset += offset % 4 == 3 ? 2 : 1) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_BUFFER_ALIGN, 6, self->in.offset + offset,
			       ring_io(&self->ring, OP_READ, self->nsid, FIRST, 1,
				       self->in.offset + offset));
	}
}

TEST_F(formats, one_block_more_than_the_largest_transfer_is_refused)
{
	static const __u8 opcodes[] = { OP_READ, OP_WRITE, OP_WRITE_ZEROES };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		EXPECT_REFUSED(EMSGSIZE, EXO_REASON_TRANSFER, 12,
			       (__u64)(self->max + 1) * self->block,
			       ring_io(&self->ring, opcodes[i], self->nsid, FIRST, self->max + 1,
				       opcodes[i] == OP_WRITE_ZEROES ? 0 : self->in.offset));
		EXPECT_EQ(self->t.transfer_max, last.limit);
	}
}

TEST_F(formats, with_force_unit_access_arrive_and_are_cleared_alike)
{
	static const __u32 sizes[] = { 1, 3, 8 };
	struct sqe sqe;
	__u32 i, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		n = sizes[i];
		pattern_fill(self->out.at, ++self->seed, FIRST + n, self->block);
		sqe = sqe_io(OP_WRITE, 1, self->nsid, FIRST + n, DW12_FUA, self->out.offset);
		ASSERT_EQ(0, ring_do(&self->ring, &sqe));
		sqe = sqe_io(OP_READ, 2, self->nsid, FIRST + n, DW12_FUA, self->in.offset);
		ASSERT_EQ(0, ring_do(&self->ring, &sqe));
		EXPECT_TRUE(pattern_holds(self->in.at, self->seed, FIRST + n, self->block));
		sqe = sqe_io(OP_WRITE_ZEROES, 3, self->nsid, FIRST + n, DW12_FUA, 0);
		ASSERT_EQ(0, ring_do(&self->ring, &sqe));
		ASSERT_EQ(0,
			  ring_io(&self->ring, OP_READ, self->nsid, FIRST + n, 1, self->in.offset));
		memset(self->out.at, 0, self->block);
		EXPECT_EQ(0, memcmp(self->in.at, self->out.at, self->block));
	}
}

TEST_HARNESS_MAIN
