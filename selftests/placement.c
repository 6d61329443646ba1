// SPDX-License-Identifier: MIT
/*
 * Flexible data placement: a Write may name the placement identifiers that its extent holds,
 * and no other; and the device does place it so. Needs a controller of its own, which `check`
 * boots this test with.
 */
#include <dirent.h>
#include <limits.h>
#include <linux/nvme_ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <kselftest_harness.h>

#include "lib.h"

#define SERIAL "exo5"
#define HELD 0x6ull /* identifiers 1 and 2 */
#define DTYPE_PLACEMENT (2u << 20)
#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)

FIXTURE(placement)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
	__u32 extent;
};

static int extent_of(const struct tenant *t, __u64 placement, __u32 *cap)
{
	struct exo_extent_create arg = {
		.controller = t->root_controller,
		.nsid = 1,
		.rights = RW,
		.start = EXTENT_FIRST,
		.len = EXTENT_BLOCKS,
		.placement = placement,
	};
	int ret = call(t->grantor, EXO_EXTENT_CREATE, &arg);

	*cap = arg.out_cap;
	return ret;
}

static int derive_placed(int fd, __u32 cap, __u64 placement, int to, __u32 *child)
{
	struct exo_cap_derive arg = {
		.cap = cap,
		.rights = RW,
		.session_fd = to,
		.placement = placement,
	};
	int ret = call(fd, EXO_CAP_DERIVE, &arg);

	*child = arg.out_cap;
	return ret;
}

FIXTURE_SETUP(placement)
{
	struct exo_namespace_query ns;
	struct tenant *t = &self->t;
	__u32 extent;

	TENANT_SETUP(t, SERIAL);
	ASSERT_EQ(0, namespace_query(t->grantor, t->root_controller, 0, 1, &ns));
	if (!ns.out_placement)
		SKIP(return, "namespace 1 has no data placement");
	EXPECT_EQ(1, ns.out_endurance_group);
	ASSERT_EQ(0, extent_of(t, HELD, &extent));
	ASSERT_EQ(0, derive(t->grantor, extent, RW, t->fd, 0, 0, &self->extent));
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 4, &self->ring));
	ASSERT_EQ(0, queue_attach(t->fd, self->ring.cap, self->extent));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 2, &self->b));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &self->b));
}

FIXTURE_TEARDOWN(placement)
{
	tenant_destroy(&self->t);
}

static struct sqe placed(FIXTURE_DATA(placement) * self, __u32 dw12, __u32 identifier)
{
	struct sqe sqe = sqe_io(OP_WRITE, 0, 1, EXTENT_FIRST, 7 | dw12, self->b.offset);

	sqe.dw[13] = identifier << 16;
	return sqe;
}

TEST_F(placement, a_write_names_an_identifier_that_its_extent_holds)
{
	__u32 identifier;
	struct sqe sqe;

	fill_random(self->b.at, PAGE);
	for (identifier = 0; identifier < 65536; identifier += identifier < 300 ? 1 : 97) {
		sqe = placed(self, DTYPE_PLACEMENT, identifier);
		if (identifier < 64 && HELD >> identifier & 1) {
			EXPECT_EQ(0, ring_do(&self->ring, &sqe));
			continue;
		}
		EXPECT_REFUSED(EACCES, EXO_REASON_PLACEMENT, 13, identifier,
			       ring_do(&self->ring, &sqe));
		EXPECT_EQ(HELD, last.limit);
	}
	/* Without one the device chooses. */
	sqe = placed(self, 0, 0);
	EXPECT_EQ(0, ring_do(&self->ring, &sqe));
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, self->b.offset + PAGE));
	EXPECT_EQ(0, memcmp(self->b.at, (char *)self->b.at + PAGE, PAGE));
}

TEST_F(placement, no_other_directive_and_no_other_command_passes)
{
	static const __u8 opcodes[] = { OP_READ, OP_COMPARE, OP_WRITE_ZEROES };
	struct sqe sqe;
	unsigned int i;
	__u32 type;

	for (type = 1; type < 16; type++) {
		if (type == 2)
			continue;
		sqe = placed(self, type << 20, 1);
		EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 12, (type & ~2u) << 20,
			       ring_do(&self->ring, &sqe));
	}
	sqe = placed(self, 0, 1);
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 13, 1u << 16, ring_do(&self->ring, &sqe));
	sqe = placed(self, DTYPE_PLACEMENT, 1);
	sqe.dw[13] |= 1;
	EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 13, 1, ring_do(&self->ring, &sqe));
	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		sqe = placed(self, DTYPE_PLACEMENT, 1);
		sqe.dw[0] = opcodes[i];
		if (opcodes[i] == OP_WRITE_ZEROES)
			sqe.dw[6] = sqe.dw[7] = 0;
		EXPECT_REFUSED(EINVAL, EXO_REASON_BITS, 12, DTYPE_PLACEMENT,
			       ring_do(&self->ring, &sqe));
	}
}

TEST_F(placement, identifiers_only_grow_fewer)
{
	struct exo_cap_query q;
	__u8 token[16];
	struct sqe sqe;
	__u32 cap;

	ASSERT_EQ(0, query(self->t.fd, self->extent, &q));
	EXPECT_EQ(HELD, q.out_placement);
	EXPECT_REFUSED(EACCES, EXO_REASON_PLACEMENT, offsetof(struct exo_cap_derive, placement),
		       HELD | 1,
		       derive_placed(self->t.fd, self->extent, HELD | 1, EXO_SESSION_SELF, &cap));
	EXPECT_EQ(HELD, last.limit);
	EXPECT_REFUSED(EACCES, EXO_REASON_PLACEMENT, offsetof(struct exo_cap_derive, placement),
		       1ull << 63,
		       derive_placed(self->t.fd, self->extent, 1ull << 63, EXO_SESSION_SELF, &cap));
	ASSERT_EQ(0, derive_placed(self->t.fd, self->extent, 4, EXO_SESSION_SELF, &cap));
	ASSERT_EQ(0, token_create(self->t.fd, cap, RW, 1, token));
	ASSERT_EQ(0, token_redeem(self->t.fd, token, &cap));
	ASSERT_EQ(0, query(self->t.fd, cap, &q));
	EXPECT_EQ(4, q.out_placement);
	ASSERT_EQ(0, queue_detach(self->t.fd, self->ring.cap, self->extent));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, cap));
	sqe = placed(self, DTYPE_PLACEMENT, 1);
	EXPECT_REFUSED(EACCES, EXO_REASON_PLACEMENT, 13, 1, ring_do(&self->ring, &sqe));
	sqe = placed(self, DTYPE_PLACEMENT, 2);
	EXPECT_EQ(0, ring_do(&self->ring, &sqe));
}

/* ---- what the device made of it ---- */

/* I/O Management Receive, reclaim unit handle status: NVMe 2.1, section 7.3 */
struct handle {
	__u16 identifier;
	__u16 handle;
	__u32 estimate;
	__u64 left; /* blocks that can still be written to the reclaim unit */
	__u8 reserved16[16];
};

/* As many as there are: QEMU wants no longer a list. */
struct handles {
	__u8 reserved0[14];
	__u16 count;
	struct handle at[4];
} __attribute__((aligned(256)));

#define HANDLES_BYTES (16u + 4 * sizeof(struct handle))

static bool is_disk(const char *name)
{
	char path[PATH_MAX], text[64], rest;
	unsigned int a, b;

	if (sscanf(name, "nvme%un%u%c", &a, &b, &rest) != 2)
		return false;
	snprintf(path, sizeof(path), "/sys/class/block/%s/device/serial", name);
	if (!read_file(path, text, sizeof(text)))
		return !strcmp(text, SERIAL);
	/* Of a subsystem that several controllers may have: the test's is the only one. */
	snprintf(path, sizeof(path), "/sys/class/block/%s/device/subsysnqn", name);
	return !read_file(path, text, sizeof(text)) && strstr(text, ":placed");
}

/* Its block device, once the driver has found it. */
static int open_disk(void)
{
	__u64 end = now_ms() + 15000;
	struct dirent *entry;
	int fd = -ENODEV;

	while (fd < 0 && now_ms() < end) {
		DIR *dir = opendir("/sys/class/block");

		while (dir && fd < 0 && (entry = readdir(dir)))
			if (is_disk(entry->d_name))
				fd = disk_open(entry->d_name);
		if (dir)
			closedir(dir);
		if (fd < 0)
			usleep(20000);
	}
	return fd;
}

static int read_handles(__u32 address, struct handles *out)
{
	struct nvme_passthru_cmd cmd = {
		.opcode = 0x12,
		.nsid = 1,
		.addr = (uintptr_t)out,
		.data_len = HANDLES_BYTES,
		.cdw10 = 1,
		.cdw11 = HANDLES_BYTES / 4 - 1,
	};
	int fd, ret;

	ret = machine_bind(address, "nvme");
	if (ret)
		return ret;
	fd = open_disk();
	if (fd < 0)
		return fd;
	ret = ioctl(fd, NVME_IOCTL_IO_CMD, &cmd);
	close(fd);
	return ret < 0 ? -errno : ret;
}

TEST(the_device_writes_to_the_reclaim_unit_that_was_named)
{
	struct handles before = {}, after = {};
	struct exo_namespace_query ns;
	const char *why;
	struct tenant t;
	struct buffer b;
	struct ring ring;
	struct sqe sqe;
	__u32 address, cap, i;

	if (machine_find(SERIAL, &address))
		SKIP(return, "no controller with the serial number " SERIAL);
	ASSERT_EQ(0, read_handles(address, &before));
	ASSERT_EQ(4, before.count);
	ASSERT_EQ(0, tenant_create(&t, SERIAL, &why));
	ASSERT_EQ(0, namespace_query(t.grantor, t.root_controller, 0, 1, &ns));
	ASSERT_EQ(1, ns.out_placement);
	ASSERT_EQ(0, extent_of(&t, HELD, &cap));
	ASSERT_EQ(0, ring_create(t.grantor, t.root_controller, 4, &ring));
	ASSERT_EQ(0, queue_attach(t.grantor, ring.cap, cap));
	ASSERT_EQ(0, buffer_alloc(t.grantor, t.root_pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, buffer_attach(t.grantor, t.root_controller, &b));
	sqe = sqe_io(OP_WRITE, 0, 1, EXTENT_FIRST, 7 | DTYPE_PLACEMENT, b.offset);
	sqe.dw[13] = 2u << 16;
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, ring_do(&ring, &sqe));
	}
	tenant_destroy(&t);
	ASSERT_EQ(0, read_handles(address, &after));
	for (i = 0; i < before.count; i++) {
		EXPECT_EQ(before.at[i].identifier, after.at[i].identifier);
		EXPECT_EQ(before.at[i].left - (before.at[i].identifier == 2 ? 5 * 8 : 0),
			  after.at[i].left)
		{
			TH_LOG("identifier %u", before.at[i].identifier);
		}
	}
	ASSERT_EQ(0, machine_bind(address, "exo"));
}

TEST(identifiers_of_a_namespace_without_placement_are_refused)
{
	struct exo_namespace_query ns;
	const char *why;
	struct tenant t;
	__u32 cap;

	if (tenant_create(&t, "exo0", &why))
		SKIP(return, "%s", why);
	ASSERT_EQ(0, namespace_query(t.grantor, t.root_controller, 0, 1, &ns));
	EXPECT_EQ(0, ns.out_placement);
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_extent_create, placement),
		       HELD, extent_of(&t, HELD, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_PLACEMENT, offsetof(struct exo_cap_derive, placement), 1,
		       derive_placed(t.fd, t.extent, 1, EXO_SESSION_SELF, &cap));
	tenant_destroy(&t);
}

TEST_HARNESS_MAIN
