// SPDX-License-Identifier: MIT
/*
 * Adopting memory: what can be adopted and works as frames do, what is refused and why, who
 * pays for it, and that it is its adopter's alone. What becomes of it is in adopted.c.
 */
#include <dirent.h>
#include <linux/memfd.h>
#include <sched.h>
#include <sys/resource.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RO EXO_RIGHT_READ
#define WO EXO_RIGHT_WRITE
#define RW (RO | WO)
#define PAGES 16u
#define SIZE (PAGES * PAGE)

#define AT(member) offsetof(struct exo_mem_adopt, member)

static int set_memlock(rlim_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	return setrlimit(RLIMIT_MEMLOCK, &limit) ? -errno : 0;
}

/* KiB that /proc says this process has pinned. */
static long pinned_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPin: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* ---- what can be adopted ---- */

static void *map_anonymous(void)
{
	return anonymous(2 * SIZE);
}

static void *map_malloc(void)
{
	void *at = NULL;

	return posix_memalign(&at, PAGE, 2 * SIZE) ? MAP_FAILED : at;
}

static void *map_shared(void)
{
	return mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void *map_memfd(void)
{
	int fd = memfd_create("adopt", MFD_CLOEXEC);
	void *at = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, 2 * SIZE))
		at = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at;
}

/* What is written to it is the program's own, and the file's no more. */
static void *map_private_file(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *at = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	close(fd);
	return at;
}

static void *map_hugetlb(void)
{
	return mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

FIXTURE(kind)
{
	struct tenant t;
	struct ring ring;
	__u64 adopted;
	void *at;
};

FIXTURE_VARIANT(kind)
{
	void *(*map)(void);
	bool optional;
};

#define KIND(name)                                \
	FIXTURE_VARIANT_ADD(kind, name)           \
	{                                         \
		.map = map_##name, .optional = 0, \
	}

KIND(anonymous);
KIND(malloc);
KIND(shared);
KIND(memfd);
KIND(private_file);
FIXTURE_VARIANT_ADD(kind, hugetlb){ .map = map_hugetlb, .optional = true };

FIXTURE_SETUP(kind)
{
	TENANT_SETUP(&self->t, "exo0");
	if (variant->optional)
		write_file("/proc/sys/vm/nr_hugepages", "1");
	else
		ASSERT_EQ(0, become_nobody());
	self->adopted = memory_adopted(self->t.fd);
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 8, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	self->at = variant->map();
	if (variant->optional && self->at == MAP_FAILED)
		SKIP(return, "this machine has no huge page to spare");
	ASSERT_NE(MAP_FAILED, self->at);
}

FIXTURE_TEARDOWN(kind)
{
	tenant_destroy(&self->t);
	if (variant->optional)
		write_file("/proc/sys/vm/nr_hugepages", "0");
}

TEST_F(kind, of_memory_carries_data_both_ways)
{
	struct tenant *t = &self->t;
	const __u32 blocks = SIZE / t->block;
	char *back = (char *)self->at + SIZE;
	struct buffer b;

	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RW, self->at, 2 * SIZE, &b));
	EXPECT_EQ(self->adopted + 2 * PAGES, memory_adopted(t->fd));
	fill_random(self->at, SIZE);
	ASSERT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, blocks, b.offset));
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, blocks, b.offset + SIZE));
	EXPECT_EQ(0, memcmp(self->at, back, SIZE));
	/* To its end, and no further. */
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, b.offset + 2 * SIZE,
		       ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset + 2 * SIZE));
	ASSERT_EQ(0, dma_detach(t->fd, t->controller, b.cap));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, b.offset,
		       ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &b));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
	EXPECT_REFUSED(EEXIST, EXO_REASON_ATTACHED, offsetof(struct exo_dma_attach, frames), b.cap,
		       buffer_attach(t->fd, t->controller, &b));
	ASSERT_EQ(0, drop(t->fd, b.cap));
	EXPECT_EQ(self->adopted, memory_adopted(t->fd));
	EXPECT_EQ(0, touch_write(self->at));
}

/* ---- refusals ---- */

FIXTURE(adopt)
{
	struct tenant t;
	struct ring ring;
	__u64 adopted;
	__u64 caps;
	char *at; /* PAGES of them */
	__u32 cap;
};

FIXTURE_SETUP(adopt)
{
	struct exo_info i;

	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 8, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	self->at = anonymous(SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->at);
	ASSERT_EQ(0, info(self->t.fd, &i));
	self->adopted = i.out_memory_adopted;
	self->caps = i.out_caps;
}

FIXTURE_TEARDOWN(adopt)
{
	tenant_destroy(&self->t);
}

static void nothing_changed(struct __test_metadata *_metadata, FIXTURE_DATA(adopt) * self)
{
	struct exo_info i;

	ASSERT_EQ(0, info(self->t.fd, &i));
	EXPECT_EQ(self->adopted, i.out_memory_adopted);
	EXPECT_EQ(self->caps, i.out_caps);
	EXPECT_EQ(0, pinned_kib());
}

static int try(FIXTURE_DATA(adopt) * self, __u32 rights, const void *at, __u64 bytes)
{
	return mem_adopt(self->t.fd, self->t.controller, rights, at, bytes, &self->cap);
}

TEST_F(adopt, arguments_that_cannot_be_right_are_refused)
{
	const __u64 most = (__u64)EXO_MEM_PAGES_MAX * PAGE;
	struct tenant *t = &self->t;
	__u32 weak;

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, AT(rights), 0, try(self, 0, self->at, SIZE));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, AT(rights), EXO_RIGHT_NAMES,
		       try(self, RO | EXO_RIGHT_NAMES, self->at, SIZE));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, AT(address), (uintptr_t)self->at + 4,
		       try(self, RW, self->at + 4, SIZE));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, AT(bytes), 0, try(self, RW, self->at, 0));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, AT(bytes), 100, try(self, RW, self->at, 100));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, AT(bytes), most + PAGE,
		       try(self, RW, self->at, most + PAGE));
	EXPECT_EQ(most, last.limit);
	EXPECT_REFUSED(EOVERFLOW, EXO_REASON_OVERFLOW, AT(bytes), -PAGE,
		       try(self, RW, (void *)-PAGE, 2 * PAGE));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, AT(controller), 77,
		       mem_adopt(t->fd, 77, RW, self->at, SIZE, &self->cap));
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, AT(controller), EXO_TYPE_POOL,
		       mem_adopt(t->fd, t->pool, RW, self->at, SIZE, &self->cap));
	ASSERT_EQ(0, derive(t->grantor, t->root_controller, EXO_RIGHT_EXTENT, t->fd, 0, 0, &weak));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, AT(controller), EXO_RIGHT_QUEUE,
		       mem_adopt(t->fd, weak, RW, self->at, SIZE, &self->cap));
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, AT(controller), weak,
		       mem_adopt(t->fd, weak, RW, self->at, SIZE, &self->cap));
	EXPECT_EQ(self->adopted, memory_adopted(t->fd));
	EXPECT_EQ(0, pinned_kib());
}

#define EXPECT_UNPINNABLE(first, rights, at, bytes)                             \
	EXPECT_REFUSED(EFAULT, EXO_REASON_PIN, AT(address), (uintptr_t)(first), \
		       try(self, rights, at, bytes))

TEST_F(adopt, where_nothing_is_nothing_is_pinned)
{
	const size_t many = 1500 * PAGE; /* more than the kernel takes at once */
	char *large = anonymous(many);

	ASSERT_NE(MAP_FAILED, (void *)large);
	ASSERT_EQ(0, munmap(self->at + 5 * PAGE, PAGE));
	EXPECT_UNPINNABLE(self->at + 5 * PAGE, RW, self->at, SIZE);
	EXPECT_UNPINNABLE(self->at + 5 * PAGE, RO, self->at + 5 * PAGE, PAGE);
	EXPECT_UNPINNABLE(NULL, RW, NULL, PAGE);
	EXPECT_UNPINNABLE(~0xffful << 32, RO, (void *)(~0xffful << 32), PAGE);
	ASSERT_EQ(0, munmap(large + many - PAGE, PAGE));
	EXPECT_UNPINNABLE(large + many - PAGE, WO, large, many);
	nothing_changed(_metadata, self);
	EXPECT_EQ(0, try(self, RW, self->at, 5 * PAGE));
}

TEST_F(adopt, what_may_only_be_read_is_a_source_and_no_target)
{
	struct tenant *t = &self->t;
	struct buffer b;

	fill_random(self->at, SIZE);
	ASSERT_EQ(0, mprotect(self->at, SIZE, PROT_READ));
	EXPECT_UNPINNABLE(self->at, RW, self->at, SIZE);
	EXPECT_EQ(RW, last.limit);
	EXPECT_UNPINNABLE(self->at, WO, self->at, SIZE);
	nothing_changed(_metadata, self);
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RO, self->at, SIZE, &b));
	EXPECT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, 8, b.offset));
	EXPECT_REFUSED(EACCES, EXO_REASON_BUFFER_RIGHT, 6, b.offset,
		       ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, b.offset));
	EXPECT_EQ(WO, last.limit);
	/* And the reverse, though the program may do both. */
	ASSERT_EQ(0, drop(t->fd, b.cap));
	ASSERT_EQ(0, mprotect(self->at, SIZE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, WO, self->at, SIZE, &b));
	EXPECT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 8, b.offset));
	EXPECT_REFUSED(EACCES, EXO_REASON_BUFFER_RIGHT, 6, b.offset,
		       ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, 8, b.offset));
	EXPECT_EQ(RO, last.limit);
	/* Not even that. */
	ASSERT_EQ(0, mprotect(self->at, SIZE, PROT_NONE));
	EXPECT_UNPINNABLE(self->at, RO, self->at, SIZE);
}

/* Never touched: not the zero page, which would be another's by the time it is written. */
TEST_F(adopt, fresh_memory_that_the_device_only_reads_is_what_the_program_writes_to)
{
	struct tenant *t = &self->t;
	struct buffer b, other;

	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RO, self->at, SIZE, &b));
	fill_random(self->at, SIZE);
	ASSERT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, SIZE / t->block, b.offset));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, PAGES, &other));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &other));
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, SIZE / t->block, other.offset));
	EXPECT_EQ(0, memcmp(self->at, other.at, SIZE));
}

TEST_F(adopt, pages_of_a_file_are_a_source)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *file = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	struct tenant *t = &self->t;
	struct buffer b, back;

	ASSERT_NE(MAP_FAILED, (void *)file);
	close(fd);
	EXPECT_UNPINNABLE(file, RW, file, SIZE);
	nothing_changed(_metadata, self);
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RO, file, SIZE, &b));
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, WO, self->at, SIZE, &back));
	ASSERT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, SIZE / t->block, b.offset));
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, SIZE / t->block, back.offset));
	EXPECT_EQ(0, memcmp(file, self->at, SIZE));
}

/* The kernel keeps account of what is written to such a page, which a device would not do. */
TEST_F(adopt, a_file_on_a_disk_is_a_source_and_no_target)
{
	__u32 address;
	char name[32];
	char *disk;
	int fd;

	if (machine_find("exo1", &address))
		SKIP(return, "there is no second controller");
	if (access("/sys/bus/pci/drivers/nvme", F_OK) && system("modprobe nvme 2>/dev/null"))
		SKIP(return, "this kernel has no nvme driver");
	if (machine_bind(address, "nvme"))
		SKIP(return, "this kernel has no nvme driver");
	ASSERT_EQ(0, disk_find("exo1", name, sizeof(name)));
	fd = disk_open(name);
	ASSERT_LE(0, fd);
	ASSERT_EQ(SIZE, pread(fd, self->at, SIZE, 0));
	disk = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT_NE(MAP_FAILED, (void *)disk);
	close(fd);
	EXPECT_UNPINNABLE(disk, RW, disk, SIZE);
	nothing_changed(_metadata, self);
	EXPECT_EQ(0, try(self, RO, disk, SIZE));
	EXPECT_EQ(self->adopted + PAGES, memory_adopted(self->t.fd));
	EXPECT_EQ(0, drop(self->t.fd, self->cap));
	munmap(disk, SIZE);
	EXPECT_EQ(0, machine_bind(address, "exo"));
}

TEST_F(adopt, mappings_of_the_module_are_refused)
{
	struct tenant *t = &self->t;
	struct buffer b;
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t->fd, EXO_INFO_PAGE_OFFSET);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 4, &b));
	memset(b.at, 1, b.size);
	self->caps++;
	EXPECT_UNPINNABLE(b.at, RW, b.at, PAGE);
	EXPECT_UNPINNABLE(b.at, RO, b.at, PAGE);
	EXPECT_UNPINNABLE(page, RO, page, PAGE);
	EXPECT_UNPINNABLE(self->ring.control, RW, self->ring.control, PAGE);
	EXPECT_UNPINNABLE(self->ring.status, RO, self->ring.status, PAGE);
	/* Between ordinary pages, too. */
	ASSERT_NE(MAP_FAILED, mmap(self->at + PAGE, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, t->fd, (off_t)b.mmap_offset));
	EXPECT_UNPINNABLE(self->at + PAGE, RW, self->at, SIZE);
	if (!buffer_alloc(t->fd, t->pool, EXO_ORDER_2M, 1, &b)) {
		memset(b.at, 1, b.size);
		self->caps++;
		EXPECT_UNPINNABLE(b.at, RW, b.at, b.size);
	}
	nothing_changed(_metadata, self);
}

/* ---- RLIMIT_MEMLOCK ---- */

#define EXPECT_UNPAID(left, wanted)                                           \
	do {                                                                  \
		EXPECT_REFUSED(EDQUOT, EXO_REASON_MEMLOCK, AT(bytes), wanted, \
			       try(self, RW, self->at, wanted));              \
		EXPECT_EQ((__u64)(left), last.limit);                         \
	} while (0)

TEST_F(adopt, counts_against_rlimit_memlock_and_says_so)
{
	__u32 first;

	ASSERT_EQ(0, set_memlock(SIZE - 1));
	ASSERT_EQ(0, become_nobody());
	EXPECT_UNPAID(SIZE - PAGE, SIZE);
	nothing_changed(_metadata, self);
	ASSERT_EQ(0, try(self, RW, self->at, SIZE - PAGE));
	first = self->cap;
	EXPECT_EQ((long)(SIZE - PAGE) / 1024, pinned_kib());
	EXPECT_EQ(self->adopted + PAGES - 1, memory_adopted(self->t.fd));
	/* The same pages once more are not free. */
	EXPECT_UNPAID(0, PAGE);
	/* What cannot be pinned costs nothing. */
	ASSERT_EQ(0, drop(self->t.fd, first));
	nothing_changed(_metadata, self);
	ASSERT_EQ(0, munmap(self->at + PAGE, PAGE));
	EXPECT_UNPINNABLE(self->at + PAGE, RW, self->at, 2 * PAGE);
	EXPECT_EQ(0, try(self, RW, self->at + 2 * PAGE, SIZE - 2 * PAGE));
}

TEST_F(adopt, does_not_count_with_cap_ipc_lock)
{
	ASSERT_EQ(0, set_memlock(0));
	ASSERT_EQ(0, try(self, RW, self->at, SIZE));
	EXPECT_EQ((long)SIZE / 1024, pinned_kib());
	ASSERT_EQ(0, drop(self->t.fd, self->cap));
	ASSERT_EQ(0, become_nobody());
	EXPECT_UNPAID(0, PAGE);
	nothing_changed(_metadata, self);
}

/* Whoever makes a user namespace has every capability, in there. */
TEST_F(adopt, counts_with_cap_ipc_lock_in_a_user_namespace_of_ones_own)
{
	ASSERT_EQ(0, set_memlock(0));
	ASSERT_EQ(0, become_nobody());
	if (unshare(CLONE_NEWUSER))
		SKIP(return, "this kernel lets nobody make user namespaces");
	EXPECT_UNPAID(0, PAGE);
	nothing_changed(_metadata, self);
}

/* A limit of the user's: neither a child nor another session nor a new program goes around it. */
TEST_F(adopt, counts_for_all_processes_and_sessions_of_a_user)
{
	struct tenant *t = &self->t;
	int other = session_open(), status;
	__u32 theirs, cap;
	pid_t pid;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, derive(t->fd, t->controller, EXO_RIGHT_QUEUE, other, 0, 0, &theirs));
	self->caps = 0;
	ASSERT_EQ(0, set_memlock(SIZE));
	ASSERT_EQ(0, become_nobody());
	/* A child of it adopts all there is, and ends: the session keeps the pages. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(mem_adopt(other, theirs, RW, self->at, SIZE, &cap) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(self->adopted + PAGES, memory_adopted(t->fd));
	EXPECT_EQ(0, pinned_kib());
	EXPECT_UNPAID(0, PAGE);
	close(other);
	EXPECT_EQ(self->adopted, memory_adopted(t->fd));
	EXPECT_EQ(0, try(self, RW, self->at, SIZE));
}

/* ---- controllers ---- */

TEST_F(adopt, through_one_controller_is_for_another_too)
{
	struct tenant *t = &self->t;
	__u32 address, root, other, extent, theirs;
	struct buffer b = { .at = self->at, .size = SIZE };
	struct ring ring;

	ASSERT_EQ(0, try(self, RW, self->at, SIZE));
	b.cap = self->cap;
	ASSERT_EQ(0, machine_find("exo1", &address));
	ASSERT_EQ(0, claim_controller(t->grantor, address, &root));
	ASSERT_EQ(0, derive(t->grantor, root, EXO_RIGHT_QUEUE, t->fd, 0, 0, &other));
	ASSERT_EQ(0, extent_create(t->grantor, root, 1, RW, EXTENT_FIRST, 64, &extent));
	ASSERT_EQ(0, derive(t->grantor, extent, RW, t->fd, 0, 0, &theirs));
	ASSERT_EQ(0, ring_create(t->fd, other, 4, &ring));
	ASSERT_EQ(0, queue_attach(t->fd, ring.cap, theirs));
	ASSERT_EQ(0, buffer_attach(t->fd, other, &b));
	fill_random(self->at, PAGE);
	ASSERT_EQ(0, ring_io(&ring, OP_WRITE, 1, EXTENT_FIRST, PAGE / 512, b.offset));
	ASSERT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, PAGE / 512, b.offset + PAGE));
	EXPECT_EQ(0, memcmp(self->at, self->at + PAGE, PAGE));
	/* A child of the first it is all the same. */
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_REFUSED(EFAULT, EXO_REASON_BUFFER, 6, b.offset,
		       ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
	EXPECT_EQ(self->adopted, memory_adopted(t->fd));
}

/* ---- its adopter's alone ---- */

TEST_F(adopt, is_said_to_be_what_it_is)
{
	struct exo_tree_entry entries[64];
	struct exo_tree_list list_ = { .entries = (uintptr_t)entries, .count = 64 };
	const struct exo_info_page *page;
	struct tenant *t = &self->t;
	struct exo_cap_query q;
	bool found = false;
	__u32 i;

	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t->fd, EXO_INFO_PAGE_OFFSET);
	ASSERT_NE(MAP_FAILED, (void *)page);
	ASSERT_EQ(0, try(self, RO, self->at, SIZE));
	ASSERT_EQ(0, query(t->fd, self->cap, &q));
	EXPECT_EQ(EXO_TYPE_MEMORY, q.out_type);
	EXPECT_EQ(RO, q.out_rights);
	EXPECT_EQ(0, q.out_start);
	EXPECT_EQ(PAGES, q.out_len);
	EXPECT_EQ(12, q.out_unit_shift);
	EXPECT_EQ(0, q.out_mmap_offset);
	EXPECT_EQ(PAGES, page->memory_adopted);
	EXPECT_EQ(0, page->memory_quarantined);
	EXPECT_EQ(0, page->frames_held);
	/* Whoever granted the controller sees it there. */
	list_.cap = t->root_controller;
	ASSERT_EQ(0, call(t->grantor, EXO_TREE_LIST, &list_));
	for (i = 0; i < list_.out_count; i++)
		found |= entries[i].type == EXO_TYPE_MEMORY && entries[i].len == PAGES &&
			 entries[i].cap == self->cap && entries[i].rights == RO;
	EXPECT_TRUE(found);
	ASSERT_EQ(0, drop(t->fd, self->cap));
	EXPECT_EQ(0, page->memory_adopted);
}

TEST_F(adopt, is_not_shared_not_named_and_not_mapped)
{
	struct tenant *t = &self->t;
	int other = session_open();
	struct exo_frame_name name;
	__u8 token[16];
	__u32 child;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, try(self, RW, self->at, SIZE));
#define EXPECT_UNSHARED(argument, expr) \
	EXPECT_REFUSED(EINVAL, EXO_REASON_UNSHARED, offsetof(struct argument, cap), self->cap, expr)
	EXPECT_UNSHARED(exo_cap_derive, derive(t->fd, self->cap, RO, other, 0, 0, &child));
	EXPECT_UNSHARED(exo_cap_derive,
			derive(t->fd, self->cap, RO, EXO_SESSION_SELF, 0, 1, &child));
	EXPECT_UNSHARED(exo_token_create, token_create(t->fd, self->cap, RO, 1, token));
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_frames_names, frames),
		       EXO_TYPE_MEMORY, frames_names(t->fd, self->cap, 0, 1, &name));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t->fd, (off_t)self->cap << 43));
	EXPECT_EQ(EINVAL, errno);
	/* Nor does its number mean anything to another session. */
	EXPECT_EQ(-ENOENT, drop(other, self->cap));
	close(other);
}

TEST_HARNESS_MAIN
