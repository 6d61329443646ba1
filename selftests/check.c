// SPDX-License-Identifier: MIT
/*
 * The check: what a queue refuses. Each attack must be refused with the
 * documented errno, reason, place and value; must harm no block beside the
 * extent; and must not disturb the queue next to it. That nothing of it reached
 * the device is for check.host.sh to prove, from the device's own trace.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

#define FIRST EXTENT_FIRST
#define END (EXTENT_FIRST + EXTENT_BLOCKS)
#define SENTINEL_BLOCKS 64u
#define INSIDE 8192u /* bytes at the start of the extent that no attack may change */

static const __u8 permitted_opcodes[] = { OP_FLUSH, OP_WRITE, OP_READ, OP_COMPARE,
					  OP_WRITE_ZEROES };

/* Those that list their blocks, and those of zones: ranges.c and zones.c have them. */
static const __u8 other_opcodes[] = { OP_DSM, OP_COPY, OP_ZONE_SEND, OP_ZONE_RECEIVE,
				      OP_ZONE_APPEND };

static bool reads_or_writes(__u8 opcode)
{
	return opcode == OP_READ || opcode == OP_WRITE || opcode == OP_COMPARE;
}

/* Bits that a command may have, from the table in the header, opcode aside. */
static __u32 permitted_bits(__u8 opcode, unsigned int dword)
{
	const __u32 nlb = 0xffff;

	switch (dword) {
	case 0:
		return 0xffff0000; /* CID */
	case 1:
		return 0xffffffff; /* NSID */
	case 6:
	case 7: /* PRP1 */
		return reads_or_writes(opcode) ? 0xffffffff : 0;
	case 10:
	case 11: /* SLBA */
		return opcode == OP_FLUSH ? 0 : 0xffffffff;
	case 12:
		if (opcode == OP_FLUSH)
			return 0;
		return nlb | DW12_FUA | (opcode == OP_WRITE_ZEROES ? DW12_DEAC : 0);
	default:
		return 0;
	}
}

/* ---- for check.host.sh ---- */

/*
 * The device's trace knows nothing of tests: reads of three blocks that nobody
 * else reads in this order mark where this program begins and ends, and after the
 * end three more say how many commands were accepted between, 12 bits each.
 */
static const __u32 marker[3] = { 4321, 1234, 4321 };

FIXTURE(trace)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
};

FIXTURE_SETUP(trace)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 4, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

FIXTURE_TEARDOWN(trace)
{
	tenant_destroy(&self->t);
}

static int mark(FIXTURE_DATA(trace) * self, __u32 block)
{
	return ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + block, 1, self->b.offset);
}

/* Commands accepted in this boot, by what every submission recorded. */
static unsigned long long accepted_total(void)
{
	const char *path = getenv("EXO_PROVOKED");
	FILE *file = fopen(path ? path : "/tmp/exo-provoked", "r");
	unsigned long long sum = 0, n;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "accepted %llu", &n) == 1)
			sum += n;
		else if (!strncmp(line, "marked", 6))
			sum = 0;
	}
	if (file)
		fclose(file);
	return sum;
}

TEST_F(trace, begins_with_a_mark)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mark(self, marker[i]));
	}
	record("marked\n");
	ASSERT_EQ(0, accepted_total());
}

/* ---- a queue to attack, one beside it, and one that sees everything ---- */

FIXTURE(check)
{
	struct tenant t;
	struct ring ring;    /* the attacker's */
	struct ring witness; /* another session's queue on the same controller */
	struct ring god;     /* the grantor's: the whole window */
	struct buffer b, witness_b, god_b;
	int witness_fd;
	char sentinel[SENTINEL_BLOCKS * 512];
	char inside[INSIDE];
};

static int god_io(FIXTURE_DATA(check) * self, __u8 opcode, __u64 slba, __u32 blocks, void *data)
{
	const size_t size = (size_t)blocks << self->t.block_shift;
	int ret;

	if (opcode == OP_WRITE)
		memcpy(self->god_b.at, data, size);
	ret = ring_io(&self->god, opcode, 1, slba, blocks, self->god_b.offset);
	if (!ret && opcode == OP_READ)
		memcpy(data, self->god_b.at, size);
	return ret;
}

static int setup_god(FIXTURE_DATA(check) * self)
{
	struct tenant *t = &self->t;
	__u32 extent;
	int ret;

	ret = extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ | EXO_RIGHT_WRITE,
			    WINDOW_FIRST, WINDOW_END - WINDOW_FIRST, &extent);
	if (ret)
		return ret;
	ret = ring_create(t->grantor, t->root_controller, 4, &self->god);
	if (ret)
		return ret;
	ret = queue_attach(t->grantor, self->god.cap, extent);
	if (ret)
		return ret;
	ret = buffer_alloc(t->grantor, t->root_pool, EXO_ORDER_4K, 16, &self->god_b);
	if (ret)
		return ret;
	return buffer_attach(t->grantor, t->root_controller, &self->god_b);
}

static int setup_witness(FIXTURE_DATA(check) * self)
{
	struct tenant *t = &self->t;
	__u32 pool, controller, extent;
	int ret;

	self->witness_fd = session_open();
	if (self->witness_fd < 0)
		return self->witness_fd;
	ret = derive(t->fd, t->pool, EXO_RIGHT_ALLOC, self->witness_fd, 0, 0, &pool);
	if (!ret)
		ret = derive(t->fd, t->controller, EXO_RIGHT_QUEUE, self->witness_fd, 0, 0,
			     &controller);
	if (!ret)
		ret = derive(t->fd, t->extent, EXO_RIGHT_READ | EXO_RIGHT_WRITE, self->witness_fd,
			     END - 1024, 1024, &extent);
	if (!ret)
		ret = ring_create(self->witness_fd, controller, 8, &self->witness);
	if (!ret)
		ret = queue_attach(self->witness_fd, self->witness.cap, extent);
	if (!ret)
		ret = buffer_alloc(self->witness_fd, pool, EXO_ORDER_4K, 8, &self->witness_b);
	if (!ret)
		ret = buffer_attach(self->witness_fd, controller, &self->witness_b);
	return ret;
}

/* Writes something new to its own blocks and reads it back. */
static int witness_once(FIXTURE_DATA(check) * self)
{
	char *out = self->witness_b.at, *in = out + 4 * PAGE;
	const __u32 blocks = (4 * PAGE) >> self->t.block_shift;
	const __u64 slba = END - 512;
	int ret;

	fill_random(out, 256);
	ret = ring_io(&self->witness, OP_WRITE, 1, slba, blocks, self->witness_b.offset);
	if (!ret)
		ret = ring_io(&self->witness, OP_READ, 1, slba, blocks,
			      self->witness_b.offset + 4 * PAGE);
	if (ret)
		return ret;
	return memcmp(in, out, 4 * PAGE) ? -EBADMSG : 0;
}

FIXTURE_SETUP(check)
{
	TENANT_SETUP(&self->t, "exo0");
	if (self->t.block != 512)
		SKIP(return, "namespace 1 has blocks of %u bytes, not 512", self->t.block);
	ASSERT_EQ(0, setup_god(self));
	ASSERT_EQ(0, setup_witness(self));
	ASSERT_EQ(0, become_nobody());
	fill_random(self->sentinel, sizeof(self->sentinel));
	fill_random(self->inside, sizeof(self->inside));
	ASSERT_EQ(0, god_io(self, OP_WRITE, WINDOW_FIRST, SENTINEL_BLOCKS, self->sentinel));
	ASSERT_EQ(0, god_io(self, OP_WRITE, END, SENTINEL_BLOCKS, self->sentinel));
	ASSERT_EQ(0, god_io(self, OP_WRITE, FIRST, INSIDE / 512, self->inside));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 16, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 16, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

/* No attack may have changed anything, and everybody still works. */
FIXTURE_TEARDOWN(check)
{
	char now[SENTINEL_BLOCKS * 512];

	EXPECT_EQ(0, god_io(self, OP_READ, WINDOW_FIRST, SENTINEL_BLOCKS, now));
	EXPECT_EQ(0, memcmp(now, self->sentinel, sizeof(now)));
	EXPECT_EQ(0, god_io(self, OP_READ, END, SENTINEL_BLOCKS, now));
	EXPECT_EQ(0, memcmp(now, self->sentinel, sizeof(now)));
	EXPECT_EQ(0, god_io(self, OP_READ, FIRST, INSIDE / 512, now));
	EXPECT_EQ(0, memcmp(now, self->inside, INSIDE));
	EXPECT_EQ(0, witness_once(self));
	ring_rewind(&self->ring);
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, FIRST, 1, self->b.offset));
	close(self->witness_fd);
	tenant_destroy(&self->t);
}

/* A legal command of each kind; only the writes of FIRST + 32 and up change blocks. */
static struct sqe legal(FIXTURE_DATA(check) * self, __u8 opcode)
{
	if (opcode == OP_FLUSH)
		return (struct sqe){ .dw = { OP_FLUSH, 1 } };
	if (opcode == OP_WRITE_ZEROES)
		return sqe_io(opcode, 0, 1, FIRST + 32, 7, 0);
	return sqe_io(opcode, 0, 1, FIRST + 32, 7, self->b.offset);
}

#define BLOCKS_OPCODES 4
static const __u8 blocks_opcodes[BLOCKS_OPCODES] = { OP_READ, OP_WRITE, OP_COMPARE,
						     OP_WRITE_ZEROES };

/* ---- values ---- */

TEST_F(check, what_is_legal_is_accepted)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(permitted_opcodes); i++) {
		struct sqe sqe = legal(self, permitted_opcodes[i]);

		EXPECT_EQ(0, ring_do(&self->ring, &sqe))
		{
			TH_LOG("opcode %02x", permitted_opcodes[i]);
		}
	}
}

TEST_F(check, one_block_outside_the_extent_at_either_end_is_refused)
{
	static const struct {
		__u64 slba;
		__u32 blocks;
	} cases[] = {
		{ FIRST - 1, 1 }, { FIRST - 1, 2 },	{ FIRST - 8, 8 }, { FIRST - 8, 16 },
		{ END, 1 },	  { END - 1, 2 },	{ END - 8, 9 },	  { END, 8 },
		{ 0, 1 },	  { FIRST - 1, 65536 },
	};
	unsigned int i, j;

	for (j = 0; j < BLOCKS_OPCODES; j++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			EXPECT_REFUSED(
				ERANGE, EXO_REASON_LBA, 10, cases[i].slba,
				ring_io(&self->ring, blocks_opcodes[j], 1, cases[i].slba,
					cases[i].blocks,
					blocks_opcodes[j] == OP_WRITE_ZEROES ? 0 : self->b.offset));
			EXPECT_EQ(cases[i].blocks, last.limit);
		}
	}
	/* The last block inside is fine. */
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, END - 1, 1, self->b.offset));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, FIRST, 1, self->b.offset));
}

TEST_F(check, a_start_that_is_right_only_in_its_lower_bits_is_refused)
{
	unsigned int bit, j;

	for (j = 0; j < BLOCKS_OPCODES; j++) {
		for (bit = 14; bit < 64; bit++) {
			__u64 slba = (FIRST + 32) ^ 1ull << bit;
			struct sqe sqe = legal(self, blocks_opcodes[j]);

			sqe.dw[10] = (__u32)slba;
			sqe.dw[11] = (__u32)(slba >> 32);
			EXPECT_REFUSED(ERANGE, EXO_REASON_LBA, 10, slba,
				       ring_do(&self->ring, &sqe));
		}
	}
}

TEST_F(check, a_range_that_wraps_around_is_refused)
{
	static const struct {
		__u64 slba;
		__u32 blocks;
	} cases[] = {
		{ ~0ull, 1 },
		{ ~0ull, 2 },
		{ ~0ull - 6, 8 },
		{ ~0ull, 65536 },
		{ ~0ull - 65534, 65536 },
		{ ~0ull - 7, 8 },
	};
	unsigned int i, j;

	for (j = 0; j < BLOCKS_OPCODES; j++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			EXPECT_REFUSED(
				EOVERFLOW, EXO_REASON_LBA_OVERFLOW, 10, cases[i].slba,
				ring_io(&self->ring, blocks_opcodes[j], 1, cases[i].slba,
					cases[i].blocks,
					blocks_opcodes[j] == OP_WRITE_ZEROES ? 0 : self->b.offset));
			EXPECT_EQ(cases[i].blocks, last.limit);
		}
	}
}

TEST_F(check, a_namespace_without_an_attached_extent_is_refused)
{
	static const __u32 wrong[] = {
		0, 2, 3, 0x101, 0x10001, 0x80000001, 0xfffffffe, 0xffffffff
	};
	unsigned int i, j;

	for (j = 0; j < ARRAY_SIZE(permitted_opcodes); j++) {
		for (i = 0; i < ARRAY_SIZE(wrong); i++) {
			struct sqe sqe = legal(self, permitted_opcodes[j]);

			sqe.dw[1] = wrong[i];
			EXPECT_REFUSED(ERANGE, EXO_REASON_NSID, 1, wrong[i],
				       ring_do(&self->ring, &sqe));
		}
	}
}

TEST_F(check, every_other_opcode_is_refused)
{
	unsigned int opcode;

	for (opcode = 0; opcode < 256; opcode++) {
		struct sqe sqe = legal(self, OP_READ);

		if (memchr(permitted_opcodes, (int)opcode, sizeof(permitted_opcodes)) ||
		    memchr(other_opcodes, (int)opcode, sizeof(other_opcodes)))
			continue;
		sqe.dw[0] = opcode;
		EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_OPCODE, 0, opcode,
			       ring_do(&self->ring, &sqe));
		/* With nothing else in it, too. */
		sqe = (struct sqe){ .dw = { opcode, 1 } };
		EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_OPCODE, 0, opcode,
			       ring_do(&self->ring, &sqe));
	}
}

TEST_F(check, every_bit_that_an_opcode_may_not_have_is_refused)
{
	unsigned int i, bit, swept = 0;

	for (i = 0; i < ARRAY_SIZE(permitted_opcodes); i++) {
		for (bit = 8; bit < 512; bit++) {
			struct sqe sqe = legal(self, permitted_opcodes[i]);

			if (permitted_bits(permitted_opcodes[i], bit / 32) & 1u << bit % 32)
				continue;
			sqe.dw[bit / 32] |= 1u << bit % 32;
			EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, bit / 32, 1u << bit % 32,
				       ring_do(&self->ring, &sqe));
			swept++;
		}
	}
	TH_LOG("%u combinations refused", swept);
}

TEST_F(check, several_forbidden_bits_are_all_named_in_the_first_dword)
{
	struct sqe sqe = legal(self, OP_READ);

	sqe.dw[2] = 0x12345678;
	sqe.dw[15] = 1;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 2, 0x12345678, ring_do(&self->ring, &sqe));
	sqe = legal(self, OP_READ);
	sqe.dw[12] |= 0x83ff0000;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 12, 0x83ff0000, ring_do(&self->ring, &sqe));
}

TEST_F(check, an_extent_without_the_right_is_refused)
{
	struct ring ring;
	struct sqe sqe;
	__u32 ro, wo;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->t.extent, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &ro));
	ASSERT_EQ(0,
		  derive(self->t.fd, self->t.extent, EXO_RIGHT_WRITE, EXO_SESSION_SELF, 0, 0, &wo));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 4, &ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, ring.cap, ro));
#define DENIED(opcode, missing, held)                                                           \
	do {                                                                                    \
		sqe = legal(self, opcode);                                                      \
		EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, missing, ring_do(&ring, &sqe)); \
		EXPECT_EQ(held, last.limit);                                                    \
	} while (0)
	DENIED(OP_WRITE, EXO_RIGHT_WRITE, EXO_RIGHT_READ);
	DENIED(OP_WRITE_ZEROES, EXO_RIGHT_WRITE, EXO_RIGHT_READ);
	DENIED(OP_FLUSH, EXO_RIGHT_WRITE, EXO_RIGHT_READ);
	sqe = legal(self, OP_READ);
	EXPECT_EQ(0, ring_do(&ring, &sqe));
	ASSERT_EQ(0, queue_detach(self->t.fd, ring.cap, ro));
	ASSERT_EQ(0, queue_attach(self->t.fd, ring.cap, wo));
	DENIED(OP_READ, EXO_RIGHT_READ, EXO_RIGHT_WRITE);
	sqe = legal(self, OP_FLUSH);
	EXPECT_EQ(0, ring_do(&ring, &sqe));
#undef DENIED
}

TEST_F(check, deallocating_needs_the_right_to_trim)
{
	struct sqe sqe = legal(self, OP_WRITE_ZEROES);
	__u32 extent;

	sqe.dw[12] |= DW12_DEAC;
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_TRIM, ring_do(&self->ring, &sqe));
	EXPECT_EQ(EXO_RIGHT_READ | EXO_RIGHT_WRITE, last.limit);
	/* TRIM without WRITE is not enough either. */
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, extent_create(self->t.grantor, self->t.root_controller, 1,
				   EXO_RIGHT_TRIM | EXO_RIGHT_READ, FIRST, EXTENT_BLOCKS, &extent));
	ASSERT_EQ(0, derive(self->t.grantor, extent, EXO_RIGHT_TRIM | EXO_RIGHT_READ, self->t.fd, 0,
			    0, &extent));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, extent));
	EXPECT_REFUSED(EACCES, EXO_REASON_LBA_RIGHT, 0, EXO_RIGHT_WRITE,
		       ring_do(&self->ring, &sqe));
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, extent));
	ASSERT_EQ(0, extent_create(self->t.grantor, self->t.root_controller, 1,
				   EXO_RIGHT_TRIM | EXO_RIGHT_READ | EXO_RIGHT_WRITE, FIRST,
				   EXTENT_BLOCKS, &extent));
	ASSERT_EQ(0,
		  derive(self->t.grantor, extent, EXO_RIGHT_TRIM | EXO_RIGHT_READ | EXO_RIGHT_WRITE,
			 self->t.fd, 0, 0, &extent));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, extent));
	EXPECT_EQ(0, ring_do(&self->ring, &sqe));
}

/* Without a buffer nothing else would bound what it makes the device do. */
TEST_F(check, a_write_zeroes_larger_than_a_transfer_is_refused)
{
	const __u32 max = self->t.transfer_max / 512, start = FIRST + 32;
	const __u32 more[] = { max + 1, max + 8, 2 * max, EXTENT_BLOCKS - 32 };
	unsigned int i;

	ASSERT_LT(2 * max, EXTENT_BLOCKS - 32);
	for (i = 0; i < ARRAY_SIZE(more); i++) {
		EXPECT_REFUSED(EMSGSIZE, EXO_REASON_TRANSFER, 12, more[i] * 512,
			       ring_io(&self->ring, OP_WRITE_ZEROES, 1, start, more[i], 0));
		EXPECT_EQ(self->t.transfer_max, last.limit);
	}
	EXPECT_EQ(0, ring_io(&self->ring, OP_WRITE_ZEROES, 1, start, max, 0));
}

/* ---- buffers ---- */

TEST_F(check, an_unaligned_buffer_is_refused)
{
	static const __u64 wrong[] = { 1, 2, 3, 5, 511, 4093, 4095, 4097 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_REFUSED(
			EINVAL, EXO_REASON_BUFFER_ALIGN, 6, self->b.offset + wrong[i],
			ring_io(&self->ring, OP_READ, 1, FIRST, 1, self->b.offset + wrong[i]));
		EXPECT_EQ(-EINVAL,
			  ring_io(&self->ring, OP_WRITE, 1, FIRST, 1, self->b.offset + wrong[i]));
	}
}

TEST_F(check, a_buffer_that_is_not_attached_is_refused_wherever_it_lies)
{
	unsigned int bit;
	__u64 offset;

	for (bit = 16; bit < 64; bit++) {
		offset = self->b.offset ^ 1ull << bit;
		EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, offset,
			       ring_io(&self->ring, OP_READ, 1, FIRST, 1, offset));
		EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, offset,
			       ring_io(&self->ring, OP_WRITE, 1, FIRST, 1, offset));
	}
	for (offset = ~0ull - 8191; offset >= ~0ull - 8191; offset += 4) {
		ASSERT_EQ(-EFAULT, ring_io(&self->ring, OP_READ, 1, FIRST, 64, offset));
	}
	/* Addresses that mean something to somebody else. */
	EXPECT_EQ(-EFAULT, ring_io(&self->ring, OP_READ, 1, FIRST, 1, 0xffffffff81000000));
	EXPECT_EQ(-EFAULT, ring_io(&self->ring, OP_READ, 1, FIRST, 1, 0xfee00000));
	EXPECT_EQ(-EFAULT, ring_io(&self->ring, OP_READ, 1, FIRST, 1, 0x000a0000));
}

TEST_F(check, a_buffer_is_refused_that_leaves_the_attachment_at_any_page)
{
	const __u64 end = self->b.offset + self->b.size;
	__u32 blocks;

	/* From the last page, the last but one, and so on. */
	for (blocks = 9; blocks <= 128; blocks += 7) {
		__u64 from = end - (__u64)(blocks - 1) * 512;

		EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, end,
			       ring_io(&self->ring, OP_READ, 1, FIRST, blocks, from));
		EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, end,
			       ring_io(&self->ring, OP_READ, 1, FIRST, blocks, from + 4));
		EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, FIRST, blocks - 1, from));
	}
}

TEST_F(check, a_hole_between_two_attachments_is_refused)
{
	struct buffer two[2];
	__u64 low, high;

	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 2, &two[0]));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 2, &two[1]));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &two[0]));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &two[1]));
	low = two[0].offset < two[1].offset ? two[0].offset : two[1].offset;
	high = two[0].offset < two[1].offset ? two[1].offset : two[0].offset;
	if (high == low + 2 * PAGE) {
		/* Neighbours in buffer space: contiguous offsets may be scattered frames. */
		EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, FIRST, 16, low + PAGE));
	}
	ASSERT_EQ(0, dma_detach(self->t.fd, self->t.controller,
				two[0].offset == low ? two[1].cap : two[0].cap));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, low + 2 * PAGE,
		       ring_io(&self->ring, OP_READ, 1, FIRST, 16, low + PAGE));
}

TEST_F(check, anothers_buffer_is_refused)
{
	/* The witness's and the grantor's offsets, in the attacker's queue. */
	struct exo_cap_query q;

	ASSERT_EQ(0, dma_detach(self->t.fd, self->t.controller, self->b.cap));
	EXPECT_EQ(-EFAULT, ring_io(&self->ring, OP_READ, 1, FIRST, 1, self->witness_b.offset));
	EXPECT_EQ(-EFAULT, ring_io(&self->ring, OP_WRITE, 1, FIRST, 1, self->god_b.offset));
	EXPECT_EQ(-ENOENT, query(self->t.fd, 700, &q));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

/* ---- slots ---- */

TEST_F(check, a_command_id_that_is_no_slot_is_refused)
{
	static const __u16 wrong[] = { 16, 17, 31, 32, 255, 256, 0x1000, 0x7fff, 0x8000, 0xffff };
	unsigned int i, j;

	for (j = 0; j < ARRAY_SIZE(permitted_opcodes); j++) {
		for (i = 0; i < ARRAY_SIZE(wrong); i++) {
			struct sqe sqe = legal(self, permitted_opcodes[j]);

			sqe.dw[0] |= (__u32)wrong[i] << 16;
			EXPECT_REFUSED(EINVAL, EXO_REASON_CID, 0, wrong[i],
				       ring_do(&self->ring, &sqe));
			EXPECT_EQ(16, last.limit);
		}
	}
}

TEST_F(check, a_command_id_in_flight_is_refused)
{
	struct ring *r = &self->ring;
	struct sqe sqe = sqe_io(OP_READ, 3, 1, FIRST, 7, self->b.offset);
	int i, seen = 0;

	for (i = 0; i < 500 && seen < 3; i++) {
		struct cqe cqe;
		__u32 accepted;
		int ret;

		ring_push(r, &sqe);
		ring_push(r, &sqe);
		ASSERT_EQ(0, ring_submit(r, &accepted));
		/* The first went; the second is refused as long as it has not ended. */
		ASSERT_EQ(1, accepted);
		EXPECT_EQ(EXO_REASON_CID_IN_FLIGHT, last.reason);
		EXPECT_EQ(0, last.field);
		EXPECT_EQ(3, last.value);
		EXPECT_EQ(1, last.index);
		ret = ring_submit(r, &accepted);
		if (ret) {
			EXPECT_EQ(-EEXIST, ret);
			EXPECT_WHY(EXO_REASON_CID_IN_FLIGHT, 0, 3);
			seen++;
			ring_rewind(r);
		} else {
			ASSERT_EQ(0, ring_reap(r, &cqe, 5000));
		}
		ASSERT_EQ(0, ring_reap(r, &cqe, 5000));
		EXPECT_EQ(3, cqe.cid);
	}
	EXPECT_LT(0, seen);
}

/* ---- indexes ---- */

TEST_F(check, a_tail_that_is_further_than_the_ring_is_refused)
{
	const __u32 n = self->ring.entries;
	const __u32 wrong[] = {
		n + 1, n + 2, 2 * n, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff
	};
	__u32 head = self->ring.status->sq_head, accepted, i;

	for (i = 0; i < ARRAY_SIZE(wrong) + 3000; i++) {
		__u32 tail = i < ARRAY_SIZE(wrong) ? head + wrong[i] : random_u32();

		if (tail - head <= n)
			continue;
		__atomic_store_n(&self->ring.control->sq_tail, tail, __ATOMIC_RELEASE);
		EXPECT_REFUSED(EINVAL, EXO_REASON_RING_INDEX, 0, tail,
			       ring_submit(&self->ring, &accepted));
		EXPECT_EQ(head, last.limit);
		EXPECT_EQ(head, self->ring.status->sq_head);
	}
}

TEST_F(check, a_completion_head_that_the_device_has_not_reached_is_refused)
{
	__u32 i, accepted, posted = self->ring.head;

	/* Nothing posted yet, then something. */
	for (i = 0; i < 1500; i++) {
		__u32 claimed = i < 40 ? posted + 1 + i : random_u32();

		if (i == 40) {
			self->ring.control->cq_head = posted;
			ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, FIRST, 1, self->b.offset));
			posted = self->ring.head;
			ASSERT_EQ(0, ring_submit(&self->ring, &accepted));
		}
		if (claimed == posted)
			continue;
		__atomic_store_n(&self->ring.control->cq_head, claimed, __ATOMIC_RELEASE);
		EXPECT_REFUSED(EINVAL, EXO_REASON_CQ_HEAD, 0, claimed,
			       ring_submit(&self->ring, &accepted));
		EXPECT_EQ(posted, last.limit);
	}
	self->ring.control->cq_head = posted;
}

/* Until the kernel has seen every completion; then nothing is outstanding. */
static int settle(struct ring *r)
{
	__u64 end = now_ms() + 5000;
	struct exo_queue_query q;

	do {
		if (queue_query(r->fd, r->cap, &q))
			return -EINVAL;
	} while (q.out_completed != q.out_submitted && now_ms() < end);
	if (q.out_completed != q.out_submitted)
		return -ETIMEDOUT;
	r->head = (__u32)q.out_completed;
	__atomic_store_n(&r->control->cq_head, r->head, __ATOMIC_RELEASE);
	return 0;
}

TEST_F(check, a_head_claimed_too_early_makes_no_room)
{
	struct ring *r = &self->ring;
	__u32 round, i, accepted;

	for (round = 0; round < 50; round++) {
		__u32 sent = 0;

		/* Claims everything at once, whatever the device has posted. */
		for (i = 0; i < 3 * r->depth; i++) {
			struct sqe sqe = sqe_io(OP_READ, (__u16)(i % r->depth), 1, FIRST, 63,
						self->b.offset);
			int ret;

			ring_push(r, &sqe);
			__atomic_store_n(&r->control->cq_head, r->head + sent, __ATOMIC_RELEASE);
			ret = ring_submit(r, &accepted);
			if (!ret) {
				sent += accepted;
				continue;
			}
			ASSERT_TRUE(ret == -EINVAL || ret == -EEXIST || ret == -EAGAIN);
			ring_rewind(r);
			break;
		}
		ASSERT_EQ(0, settle(r));
	}
}

/* ---- a ring that changes while it is read ---- */

struct flipper {
	struct ring *ring;
	unsigned int dword;
	__u32 good, bad;
	bool stop;
	unsigned long flips;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	__u32 i, n = f->ring->entries;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < n; i++)
			__atomic_store_n(&f->ring->sq[i].dw[f->dword], f->bad, __ATOMIC_RELAXED);
		for (i = 0; i < n; i++)
			__atomic_store_n(&f->ring->sq[i].dw[f->dword], f->good, __ATOMIC_RELAXED);
		f->flips++;
	}
	return NULL;
}

struct watch {
	FIXTURE_DATA(check) * self;
	bool stop;
	int ret;
	unsigned int rounds;
};

static void *watch(void *arg)
{
	struct watch *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED) && !w->ret) {
		w->ret = witness_once(w->self);
		w->rounds++;
		usleep(2000);
	}
	return NULL;
}

/* One kind of rewriting. @write: the attack writes, and must not hit the sentinel. */
struct rewrite {
	const char *name;
	unsigned int dword;
	__u32 good, bad;
	bool write;
	bool may_be_accepted; /* the "bad" value is legal as well */
};

static void rewrite_attack(struct __test_metadata *_metadata, FIXTURE_DATA(check) * self,
			   const struct rewrite *attack, struct sqe base, unsigned int ms)
{
	struct flipper f = { .ring = &self->ring,
			     .dword = attack->dword,
			     .good = attack->good,
			     .bad = attack->bad };
	unsigned int accepted_n = 0, refused_n = 0;
	const char *sentinel_last = self->sentinel + sizeof(self->sentinel) - 512;
	__u64 end = now_ms() + ms;
	struct ring *r = &self->ring;
	pthread_t thread;
	__u32 i;

	base.dw[attack->dword] = attack->good;
	for (i = 0; i < r->entries; i++)
		r->sq[i] = base;
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &f));
	/* At least until both outcomes were seen, for a bounded time. */
	while (now_ms() < end ||
	       ((!accepted_n || !refused_n) && !attack->may_be_accepted && now_ms() < end + 3000)) {
		struct cqe cqe;
		__u32 accepted;

		/* Only the index moves: the entry is whatever the flipper left there. */
		if (r->control->sq_tail == r->status->sq_head)
			__atomic_store_n(&r->control->sq_tail, r->status->sq_head + 1,
					 __ATOMIC_RELEASE);
		if (ring_submit(r, &accepted)) {
			refused_n++;
			continue;
		}
		accepted_n++;
		ASSERT_EQ(1, accepted);
		ASSERT_EQ(0, ring_reap(r, &cqe, 5000));
		/* Had the bad value passed, the device would say so, or the data would. */
		ASSERT_EQ(0, cqe.status >> 1);
		ASSERT_GT(r->depth, cqe.cid);
		if (!attack->write) {
			ASSERT_NE(0, memcmp(self->b.at, sentinel_last, 512));
		}
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	for (i = 0; i < r->entries; i++)
		r->sq[i] = (struct sqe){ 0 };
	ring_rewind(r);
	TH_LOG("%s: %u accepted, %u refused, %lu rewritings", attack->name, accepted_n, refused_n,
	       f.flips);
	EXPECT_LT(0, accepted_n);
	if (!attack->may_be_accepted) {
		EXPECT_LT(0, refused_n);
	}
}

TEST_F_TIMEOUT(check, a_command_rewritten_during_the_call_never_passes_unchecked, 120)
{
	const __u32 block = (__u32)FIRST;
	const __u32 offset = (__u32)self->b.offset;
	const struct rewrite attacks[] = {
		{ "start, read", 10, block, block - 1, false, false },
		{ "start, upper half", 11, 0, 1, false, false },
		{ "length", 12, 0, 0x0000ffff, false, false },
		{ "namespace", 1, 1, 0xffffffff, false, false },
		{ "opcode", 0, OP_READ, 0x09, false, false },
		{ "fused bits and PSDT", 0, OP_READ, OP_READ | 0xc100, false, false },
		{ "command id", 0, OP_READ, OP_READ | 0xfff << 16, false, false },
		{ "another legal command id", 0, OP_READ, OP_READ | 5 << 16, false, true },
		{ "buffer", 6, offset, offset + (__u32)self->b.size, false, false },
		{ "buffer, upper half", 7, 0, 0x80000000, false, false },
		{ "second PRP", 8, 0, 0x1000, false, false },
		{ "metadata pointer", 4, 0, 0x1000, false, false },
		{ "start, write", 10, block + 100, block - 1, true, false },
		{ "start behind the end, write", 10, block + 100, (__u32)END, true, false },
		{ "length, write", 12, 0, 0xffff, true, false },
	};
	struct watch w = { .self = self };
	pthread_t watcher;
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&watcher, NULL, watch, &w));
	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		const struct rewrite *a = &attacks[i];
		struct sqe base = sqe_io(a->write ? OP_WRITE : OP_READ, 0, 1,
					 a->write && a->dword != 10 ? END - 2000 : block, 0,
					 self->b.offset);

		rewrite_attack(_metadata, self, a, base, 250);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(watcher, NULL);
	EXPECT_EQ(0, w.ret);
	EXPECT_LT(5, w.rounds);
}

static void *flip_control(void *arg)
{
	struct flipper *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&f->ring->control->sq_tail, random_u32(), __ATOMIC_RELAXED);
		__atomic_store_n(&f->ring->control->cq_head, random_u32(), __ATOMIC_RELAXED);
		__atomic_store_n(&f->ring->control->sq_tail, f->ring->status->sq_head + 1,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&f->ring->control->cq_head, f->good, __ATOMIC_RELAXED);
		f->flips++;
	}
	return NULL;
}

TEST_F(check, indexes_rewritten_during_the_call_break_nothing)
{
	struct flipper f = { .ring = &self->ring };
	struct watch w = { .self = self };
	pthread_t thread, watcher;
	__u64 end = now_ms() + 800;
	struct sqe bad = sqe_io(OP_READ, 0, 1, FIRST - 1, 0, self->b.offset);
	unsigned int refused_n = 0;
	__u32 i, accepted;

	/* Every entry is illegal: whatever the indexes say, nothing may be taken. */
	for (i = 0; i < self->ring.entries; i++)
		self->ring.sq[i] = bad;
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip_control, &f));
	ASSERT_EQ(0, pthread_create(&watcher, NULL, watch, &w));
	while (now_ms() < end) {
		int ret = ring_submit(&self->ring, &accepted);

		if (ret) {
			ASSERT_TRUE(ret == -EINVAL || ret == -ERANGE);
			refused_n++;
		} else {
			ASSERT_EQ(0, accepted);
		}
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	pthread_join(watcher, NULL);
	EXPECT_LT(0, refused_n);
	EXPECT_EQ(0, w.ret);
	EXPECT_EQ(0, self->ring.status->sq_head);
	self->ring.control->cq_head = self->ring.head;
}

struct shaker {
	FIXTURE_DATA(check) * self;
	bool stop;
};

static void *shake_extent(void *arg)
{
	struct shaker *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		queue_detach(s->self->t.fd, s->self->ring.cap, s->self->t.extent);
		queue_attach(s->self->t.fd, s->self->ring.cap, s->self->t.extent);
	}
	return NULL;
}

TEST_F(check, an_extent_taken_away_during_submissions_is_refused_or_served)
{
	struct shaker s = { .self = self };
	__u64 end = now_ms() + 600;
	unsigned int served = 0, refused_n = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, shake_extent, &s));
	while (now_ms() < end) {
		int ret = ring_io(&self->ring, OP_READ, 1, FIRST, 8, self->b.offset);

		if (ret) {
			ASSERT_EQ(-ERANGE, ret);
			refused_n++;
		} else {
			served++;
		}
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	queue_attach(self->t.fd, self->ring.cap, self->t.extent);
	TH_LOG("%u served, %u refused", served, refused_n);
	EXPECT_LT(0, served);
}

/* ---- noise ---- */

/* The header's table once more, as a program would read it. */
static bool is_legal(FIXTURE_DATA(check) * self, const struct sqe *sqe)
{
	const __u8 opcode = (__u8)sqe->dw[0];
	const __u64 slba = sqe->dw[10] | (__u64)sqe->dw[11] << 32;
	const __u64 prp1 = sqe->dw[6] | (__u64)sqe->dw[7] << 32;
	const __u64 blocks = (sqe->dw[12] & 0xffff) + 1ull;
	unsigned int i;

	if (!memchr(permitted_opcodes, opcode, sizeof(permitted_opcodes)))
		return false;
	for (i = 0; i < 16; i++)
		if (sqe->dw[i] & ~(permitted_bits(opcode, i) | (i ? 0 : 0xff)))
			return false;
	if (sqe->dw[0] >> 16 >= self->ring.depth || sqe->dw[1] != 1)
		return false;
	if (opcode == OP_FLUSH)
		return true;
	if (slba < FIRST || slba >= END || blocks > END - slba)
		return false;
	if (blocks * 512 > self->t.transfer_max)
		return false;
	if (opcode == OP_WRITE_ZEROES)
		return !(sqe->dw[12] & DW12_DEAC);
	if (prp1 & 3)
		return false;
	return prp1 >= self->b.offset && prp1 < self->b.offset + self->b.size &&
	       blocks * 512 <= self->b.offset + self->b.size - prp1;
}

static struct sqe noise(FIXTURE_DATA(check) * self)
{
	struct sqe sqe =
		legal(self, permitted_opcodes[random_u32() % ARRAY_SIZE(permitted_opcodes)]);
	__u32 n = random_u32() % 4;

	switch (random_u32() % 8) {
	case 0:
		fill_random(&sqe, sizeof(sqe));
		return sqe;
	case 1:
		sqe.dw[random_u32() % 16] = random_u32();
		return sqe;
	case 2:
		sqe.dw[12] = random_u32() & 0x400000ff;
		return sqe;
	case 3:
		sqe.dw[6] += random_u32() % (2 * (__u32)self->b.size);
		return sqe;
	case 4:
		sqe.dw[10] = (__u32)FIRST - 16 + random_u32() % (EXTENT_BLOCKS + 32);
		return sqe;
	}
	while (n--)
		sqe.dw[random_u32() % 16] ^= 1u << random_u32() % 32;
	return sqe;
}

TEST_F_TIMEOUT(check, of_random_commands_exactly_the_legal_ones_pass, 120)
{
	unsigned int accepted_n = 0, refused_n = 0;
	__u64 end = now_ms() + 3000;

	while (now_ms() < end) {
		struct sqe sqe = noise(self);
		const __u8 opcode = (__u8)sqe.dw[0];
		bool fine = is_legal(self, &sqe);
		int ret;

		/* What must not change stays as it is: turn such writes away from it. */
		if (fine && (opcode == OP_WRITE || opcode == OP_WRITE_ZEROES) &&
		    sqe.dw[10] < FIRST + INSIDE / 512)
			continue;
		ret = ring_do(&self->ring, &sqe);
		if (fine && opcode == OP_COMPARE && (ret & 0x7ff) == STATUS_COMPARE_FAILURE)
			ret = 0;
		if (fine) {
			ASSERT_EQ(0, ret)
			{
				TH_LOG("dwords %08x %08x .. %08x %08x .. %08x %08x %08x", sqe.dw[0],
				       sqe.dw[1], sqe.dw[6], sqe.dw[7], sqe.dw[10], sqe.dw[11],
				       sqe.dw[12]);
			}
			accepted_n++;
		} else {
			ASSERT_GT(0, ret)
			{
				TH_LOG("dwords %08x %08x .. %08x %08x .. %08x %08x %08x", sqe.dw[0],
				       sqe.dw[1], sqe.dw[6], sqe.dw[7], sqe.dw[10], sqe.dw[11],
				       sqe.dw[12]);
			}
			ASSERT_NE(-ETIMEDOUT, ret);
			ASSERT_NE(EXO_REASON_NONE, last.reason);
			refused_n++;
		}
	}
	TH_LOG("%u passed, %u refused", accepted_n, refused_n);
	EXPECT_LT(0, accepted_n);
	EXPECT_LT(0, refused_n);
}

/* ---- the last test: the fixtures run in the order of this file ---- */

FIXTURE(trace_end)
{
	char unused;
};

FIXTURE_SETUP(trace_end)
{
}

FIXTURE_TEARDOWN(trace_end)
{
}

TEST_F(trace_end, says_how_many_commands_were_accepted)
{
	FIXTURE_DATA(trace) trace;
	unsigned long long n;
	unsigned int i;

	trace_setup(_metadata, &trace, NULL);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	n = accepted_total();
	TH_LOG("%llu", n);
	EXPECT_LT(100, n);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mark(&trace, marker[i]));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mark(&trace, n >> (12 * i) & 0xfff));
	}
	trace_teardown(_metadata, &trace, NULL);
}

TEST_HARNESS_MAIN
