// SPDX-License-Identifier: MIT
/*
 * A controller that does not reach all memory, and no IOMMU to help it: frames
 * above what it can address are refused, for nobody would copy them; those below
 * and the kernel's own memory work.
 *
 * It needs a boot of its own, with dma_bits=32 and memory on both sides of 4 GiB, a
 * NUMA node each: see reach() in selftests/vm/check.
 */
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "lib.h"

#define NODES_MAX 8

FIXTURE(coherence)
{
	struct tenant t;
	__u64 reach; /* first PFN that is out of it */
};

FIXTURE_VARIANT(coherence)
{
	__u32 order;
	__u32 count;
};

FIXTURE_VARIANT_ADD(coherence, of_4k){
	.order = EXO_ORDER_4K,
	.count = 256,
};

FIXTURE_VARIANT_ADD(coherence, of_2m){
	.order = EXO_ORDER_2M,
	.count = 1,
};

FIXTURE_SETUP(coherence)
{
	struct exo_controller_query q;
	char bits[16];

	if (read_file("/sys/module/exo/parameters/dma_bits", bits, sizeof(bits)) ||
	    atoi(bits) >= 52)
		SKIP(return, "dma_bits covers all memory: this needs a boot of its own");
	self->reach = 1ull << (atoi(bits) - 12);
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	if (q.out_features & EXO_CONTROLLER_TRANSLATED)
		SKIP(return, "there is an IOMMU: all frames can be reached");
}

FIXTURE_TEARDOWN(coherence)
{
	tenant_destroy(&self->t);
}

static bool lies(const struct tenant *t, __u32 frames, __u32 count, __u64 reach, bool above)
{
	struct exo_frame_name names[256];
	__u32 i;

	if (frames_names(t->fd, frames, 0, count, names))
		return false;
	for (i = 0; i < count; i++)
		if ((names[i].pfn >= reach) != above)
			return false;
	return true;
}

/* Mapped frames that all lie above what the device reaches, or all below. */
static int find_frames(struct tenant *t, __u32 order, __u32 count, __u64 reach, bool above,
		       struct buffer *out)
{
	struct exo_frames_alloc arg;
	__s32 node;

	for (node = 0; node < NODES_MAX; node++) {
		if (frames_alloc(t->fd, t->pool, order, count, node, &arg))
			continue;
		if (lies(t, arg.out_cap, count, reach, above))
			break;
		drop(t->fd, arg.out_cap);
	}
	if (node == NODES_MAX)
		return -ENOENT;
	*out = (struct buffer){ .cap = arg.out_cap, .size = (__u64)count * (PAGE << order) };
	out->at = mmap(NULL, out->size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd,
		       (off_t)arg.out_mmap_offset);
	return out->at == MAP_FAILED ? -errno : 0;
}

TEST_F(coherence, frames_out_of_reach_are_refused_and_nothing_changes)
{
	struct tenant *t = &self->t;
	struct buffer above, below;
	__u64 used, pool_used, now;
	int i;

	ASSERT_EQ(0, find_frames(t, variant->order, variant->count, self->reach, true, &above));
	used = frames_used(t->fd);
	ASSERT_EQ(0, pool_query(t->fd, t->pool, NULL, &pool_used));
	for (i = 0; i < 3; i++) {
		EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_COHERENCE,
			       offsetof(struct exo_dma_attach, frames), 0,
			       buffer_attach(t->fd, t->controller, &above));
	}
	EXPECT_EQ(-ENOENT, dma_detach(t->fd, t->controller, above.cap));
	EXPECT_EQ(EXO_REASON_NOT_ATTACHED, last.reason);
	EXPECT_EQ(used, frames_used(t->fd));
	ASSERT_EQ(0, pool_query(t->fd, t->pool, NULL, &now));
	EXPECT_EQ(pool_used, now);
	EXPECT_EQ(0, touch_write(above.at));
	/* Nothing of buffer space was taken: the next one comes first. */
	ASSERT_EQ(0, find_frames(t, variant->order, variant->count, self->reach, false, &below));
	EXPECT_EQ(0, buffer_attach(t->fd, t->controller, &below));
	EXPECT_EQ(0, below.offset);
	EXPECT_EQ(0, buffer_free(t->fd, &above));
	EXPECT_EQ(0, buffer_free(t->fd, &below));
}

TEST_F(coherence, frames_within_reach_carry_data_both_ways)
{
	const __u32 blocks = self->t.transfer_max / self->t.block;
	const size_t size = self->t.transfer_max, half = 512 << 10;
	struct tenant *t = &self->t;
	struct buffer b;
	struct ring ring;

	ASSERT_GE(half, size);
	ASSERT_EQ(0, find_frames(t, variant->order, variant->count, self->reach, false, &b));
	ASSERT_LE(2 * half, b.size);
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &b));
	/* As many lists of addresses as there can be, in the kernel's memory. */
	ASSERT_EQ(0, ring_create(t->fd, t->controller, t->depth_max, &ring));
	ASSERT_EQ(0, queue_attach(t->fd, ring.cap, t->extent));
	fill_random(b.at, size);
	ASSERT_EQ(0, ring_io(&ring, OP_WRITE, 1, EXTENT_FIRST, blocks, b.offset));
	ASSERT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, blocks, b.offset + half));
	EXPECT_EQ(0, memcmp(b.at, (char *)b.at + half, size));
	ring_unmap(&ring);
	EXPECT_EQ(0, buffer_free(t->fd, &b));
}

/* PFN of the page at @at, as /proc tells root; 0: not known. */
static __u64 pfn_of(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (pread(fd, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8)
		entry = 0;
	close(fd);
	return entry & ((1ull << 55) - 1);
}

/* Ordinary memory of one node, if it lies on the side that is wanted. */
static char *memory_of(unsigned long node, size_t size, __u64 reach, bool above)
{
	const unsigned long mask = 1ul << node;
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (at == MAP_FAILED ||
	    syscall(SYS_mbind, at, size, 2 /* MPOL_BIND */, &mask, NODES_MAX + 1, 0))
		return NULL;
	memset(at, 0x3c, size);
	for (i = 0; i < size; i += PAGE) {
		__u64 pfn = pfn_of(at + i);

		if (!pfn || (pfn >= reach) != above)
			return NULL;
	}
	return at;
}

TEST_F(coherence, memory_of_the_programs_own_is_held_to_the_same)
{
	const __u32 rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	__u64 adopted = memory_adopted(self->t.fd);
	const size_t size = variant->count * PAGE;
	struct tenant *t = &self->t;
	unsigned long node;
	struct buffer b;
	bool side[2] = { false, false };

	for (node = 0; node < NODES_MAX; node++) {
		char *above = memory_of(node, size, self->reach, true);
		char *below = above ? NULL : memory_of(node, size, self->reach, false);

		side[0] |= above != NULL;
		side[1] |= below != NULL;
		if (above) {
			EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_COHERENCE,
				       offsetof(struct exo_dma_attach, frames), 0,
				       buffer_adopt(t->fd, t->controller, rights, above, size, &b));
		} else if (below) {
			EXPECT_EQ(0, buffer_adopt(t->fd, t->controller, rights, below, size, &b));
			EXPECT_EQ(0, drop(t->fd, b.cap));
		}
	}
	EXPECT_TRUE(side[0] && side[1]);
	EXPECT_EQ(adopted, memory_adopted(t->fd));
}

TEST_HARNESS_MAIN
