// SPDX-License-Identifier: MIT
/*
 * Mappings: only what is held, only while it is held, and none of the ways in
 * which a mapping can be stretched, copied, re-protected or pinned.
 */
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RW (PROT_READ | PROT_WRITE)

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif

FIXTURE(map)
{
	struct tenant t;
	struct buffer b;
	__u64 used;
	size_t unit;
};

FIXTURE_VARIANT(map)
{
	__u32 order;
	__u32 count;
};

FIXTURE_VARIANT_ADD(map, of_4k){
	.order = EXO_ORDER_4K,
	.count = 16,
};

FIXTURE_VARIANT_ADD(map, of_2m){
	.order = EXO_ORDER_2M,
	.count = 2,
};

FIXTURE_SETUP(map)
{
	size_t i;

	POOL_SETUP(&self->t);
	self->used = frames_used(self->t.grantor);
	self->unit = PAGE << variant->order;
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0,
		  buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count, &self->b));
	for (i = 0; i < self->b.size; i += PAGE)
		*(__u64 *)((char *)self->b.at + i) = i + 1;
}

FIXTURE_TEARDOWN(map)
{
	tenant_destroy(&self->t);
}

static bool intact(const struct buffer *b)
{
	size_t i;

	for (i = 0; i < b->size; i += PAGE)
		if (*(volatile __u64 *)((char *)b->at + i) != i + 1)
			return false;
	return true;
}

static void *map_cap(int fd, __u32 cap, __u64 unit, size_t size, int prot)
{
	struct exo_cap_query q;

	if (query(fd, cap, &q))
		return MAP_FAILED;
	return mmap(NULL, size, prot, MAP_SHARED, fd,
		    (off_t)(q.out_mmap_offset + (unit << q.out_unit_shift)));
}

static bool refused(int err)
{
	return err == EINVAL || err == EACCES;
}

TEST_F(map, private_mappings_are_refused)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE, RW };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, self->b.size, prots[i], MAP_PRIVATE, self->t.fd,
					   (off_t)self->b.mmap_offset));
		EXPECT_TRUE(refused(errno));
	}
}

TEST_F(map, executable_mappings_are_refused)
{
	static const int prots[] = { PROT_EXEC, PROT_EXEC | PROT_READ, PROT_EXEC | RW };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, self->b.size, prots[i], MAP_SHARED, self->t.fd,
					   (off_t)self->b.mmap_offset));
		EXPECT_TRUE(refused(errno));
	}
}

TEST_F(map, a_mapping_cannot_be_re_protected)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_EXEC | PROT_READ, PROT_EXEC | RW
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		EXPECT_EQ(-1, mprotect(self->b.at, self->b.size, prots[i]))
		{
			TH_LOG("prot %d", prots[i]);
		}
		EXPECT_TRUE(refused(errno));
		EXPECT_EQ(-1, mprotect((char *)self->b.at + PAGE, PAGE, prots[i]));
		EXPECT_TRUE(refused(errno));
	}
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, a_mapping_cannot_be_moved_or_grown)
{
	void *to = mmap(NULL, 2 * self->b.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, to);
	EXPECT_EQ(MAP_FAILED, mremap(self->b.at, self->b.size, self->b.size,
				     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(MAP_FAILED, mremap(self->b.at, self->b.size, 2 * self->b.size, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->b.at, self->b.size, 2 * self->b.size, 0));
	EXPECT_EQ(MAP_FAILED, mremap(self->b.at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(MAP_FAILED,
		  mremap((char *)self->b.at + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	/* Length 0 would duplicate a shared mapping. */
	EXPECT_EQ(MAP_FAILED, mremap(self->b.at, 0, self->b.size, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->b.at, self->b.size, self->b.size,
				     MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, unmapping_a_part_is_refused_or_leaves_the_rest_whole)
{
	char *at = self->b.at;
	size_t size = self->b.size, i;

	/* A hole in the middle, then the head, then the tail. */
	if (munmap(at + 2 * PAGE, PAGE)) {
		EXPECT_TRUE(refused(errno));
		EXPECT_TRUE(intact(&self->b));
	} else {
		EXPECT_EQ(SIGSEGV, touch_read(at + 2 * PAGE));
		for (i = 0; i < size; i += PAGE) {
			if (i != 2 * PAGE) {
				EXPECT_EQ(i + 1, *(__u64 *)(at + i));
			}
		}
	}
	if (!munmap(at, PAGE)) {
		EXPECT_EQ(SIGSEGV, touch_read(at));
		EXPECT_EQ(PAGE + 1, *(__u64 *)(at + PAGE));
	}
	if (!munmap(at + size - PAGE, PAGE)) {
		EXPECT_EQ(SIGSEGV, touch_read(at + size - PAGE));
		EXPECT_EQ(size - 2 * PAGE + 1, *(__u64 *)(at + size - 2 * PAGE));
	}
	/* Shrinking by mremap is the same thing. */
	mremap(at + PAGE, size - 2 * PAGE, PAGE, 0);
	/* And what was split still ends with its capability. */
	EXPECT_EQ(0, drop(self->t.fd, self->b.cap));
	for (i = 0; i < size; i += PAGE) {
		EXPECT_NE(0, touch_read(at + i));
	}
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(map, a_new_mapping_over_the_middle_is_refused_or_leaves_the_rest_whole)
{
	char *at = self->b.at;
	size_t size = self->b.size, i;

	mmap(at + 3 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (i = 0; i < size; i += PAGE) {
		if (i != 3 * PAGE) {
			EXPECT_EQ(i + 1, *(__u64 *)(at + i));
		}
	}
	EXPECT_EQ(0, drop(self->t.fd, self->b.cap));
	for (i = 0; i < size; i += PAGE) {
		if (i != 3 * PAGE) {
			EXPECT_NE(0, touch_read(at + i));
		}
	}
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

TEST_F(map, a_forked_child_does_not_inherit_it)
{
	int status;
	pid_t pid;

	/* Not even when it asks to. */
	EXPECT_EQ(-1, madvise(self->b.at, self->b.size, MADV_DOFORK));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(touch_read(self->b.at) == SIGSEGV ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, advice_and_other_system_calls_do_it_no_harm)
{
	unsigned char core[1024];
	unsigned int i;
	unsigned long mask = 1;
	void *at = self->b.at;
	int status = 0;

	for (i = 0; i < advice_count; i++) {
		madvise(at, self->b.size, advice[i]);
		madvise((char *)at + PAGE, PAGE, advice[i]);
		ASSERT_TRUE(intact(&self->b))
		{
			TH_LOG("advice %d", advice[i]);
		}
	}
	mlock(at, self->b.size);
	munlock(at, self->b.size);
	mlock2(at, self->b.size, MLOCK_ONFAULT);
	mincore(at, self->b.size, core);
	msync(at, self->b.size, MS_SYNC | MS_INVALIDATE);
	msync(at, self->b.size, MS_ASYNC);
	syscall(SYS_mbind, at, self->b.size, 2, &mask, 64, 3);
	syscall(SYS_move_pages, 0, 1, &at, NULL, &status, 2);
	syscall(SYS_migrate_pages, 0, 64, &mask, &mask);
	syscall(SYS_set_mempolicy_home_node, at, self->b.size, 0, 0);
	EXPECT_TRUE(intact(&self->b));
}

static void read_whole(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && read(fd, text, sizeof(text)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

TEST_F(map, what_proc_tells_about_it_does_it_no_harm)
{
	static const char *const files[] = { "/proc/self/maps", "/proc/self/smaps",
					     "/proc/self/smaps_rollup", "/proc/self/numa_maps" };
	static const char *const clear[] = { "1", "2", "3", "4", "5" };
	__u64 entries[512];
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		read_whole(files[i]);
	fd = open("/proc/self/pagemap", O_RDONLY);
	if (fd >= 0) {
		size_t from, n = self->b.size / PAGE;

		for (from = 0; from < n; from += 512)
			if (pread(fd, entries, sizeof(entries),
				  (off_t)(((uintptr_t)self->b.at / PAGE + from) * 8)) < 8)
				break;
		close(fd);
	}
	for (i = 0; i < ARRAY_SIZE(clear); i++) {
		write_file("/proc/self/clear_refs", clear[i]);
		EXPECT_TRUE(intact(&self->b));
		EXPECT_EQ(0, touch_write(self->b.at));
	}
}

TEST_F(map, each_refusal_has_its_errno)
{
	const off_t at = (off_t)self->b.mmap_offset;
	const int fd = self->t.fd;
	struct exo_cap_query q;
	__u32 part;

#define REFUSED(err, expr)                   \
	do {                                 \
		errno = 0;                   \
		EXPECT_EQ(MAP_FAILED, expr); \
		EXPECT_EQ(err, errno);       \
	} while (0)
	REFUSED(EINVAL, mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, at));
	REFUSED(EACCES, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, at));
	REFUSED(ERANGE, mmap(NULL, self->b.size + PAGE, RW, MAP_SHARED, fd, at));
	ASSERT_EQ(0, derive(fd, self->b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 1, 1, &part));
	ASSERT_EQ(0, query(fd, part, &q));
	REFUSED(ERANGE, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)q.out_mmap_offset));
	REFUSED(EACCES,
		mmap(NULL, PAGE, RW, MAP_SHARED, fd, (off_t)(q.out_mmap_offset + self->unit)));
	ASSERT_EQ(0, drop(fd, part));
	REFUSED(ENOENT, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)q.out_mmap_offset));
	EXPECT_EQ(-1, mprotect(self->b.at, self->b.size, PROT_READ));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, munmap(self->b.at, PAGE));
	EXPECT_EQ(EINVAL, errno);
	REFUSED(EINVAL, mremap(self->b.at, self->b.size, self->b.size,
			       MREMAP_MAYMOVE | MREMAP_FIXED, (char *)self->b.at + (1ul << 30)));
#undef REFUSED
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, remap_file_pages_reaches_nothing_else)
{
	struct exo_frames_alloc arg;
	char *at = self->b.at;

	/* Frames of the same session, whose offset follows on. */
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, 1, ANY_NODE, &arg));
	remap_file_pages(at, self->b.size, 0, (size_t)-1 >> 13, 0);
	remap_file_pages(at, PAGE, 0, 0, 0);
	remap_file_pages(at, self->b.size, 0, (self->b.mmap_offset >> 12) + variant->count * 512,
			 0);
	EXPECT_TRUE(touch_read(at) || intact(&self->b));
}

TEST_F(map, userfaultfd_cannot_take_it_over)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)self->b.at, self->b.size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	int mode;

	if (uffd < 0)
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	for (mode = 1; mode <= 4; mode <<= 1) {
		reg.mode = (__u64)mode;
		EXPECT_EQ(-1, ioctl(uffd, UFFDIO_REGISTER, &reg))
		{
			TH_LOG("mode %d", mode);
		}
	}
	close(uffd);
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, the_kernel_flags_forbid_copy_growth_dump_and_execution)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512], *flags = NULL;
	bool ours = false;

	ASSERT_NE(NULL, smaps);
	while (!flags && fgets(line, sizeof(line), smaps)) {
		unsigned long from;
		char dash;

		if (sscanf(line, "%lx%c", &from, &dash) == 2 && dash == '-')
			ours = from == (unsigned long)self->b.at;
		else if (ours && !strncmp(line, "VmFlags:", 8))
			flags = line + 8;
	}
	ASSERT_NE(NULL, flags);
	EXPECT_NE(NULL, strstr(flags, " sh"));
	EXPECT_NE(NULL, strstr(flags, " io"));
	EXPECT_NE(NULL, strstr(flags, " pf"));
	EXPECT_NE(NULL, strstr(flags, " dc"));
	EXPECT_NE(NULL, strstr(flags, " de"));
	EXPECT_NE(NULL, strstr(flags, " dd"));
	EXPECT_EQ(NULL, strstr(flags, " ex"));
	EXPECT_EQ(NULL, strstr(flags, " me"));
	fclose(smaps);
}

TEST_F(map, a_read_only_capability_cannot_be_mapped_writable_or_become_so)
{
	__u32 part;
	void *at;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &part));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	at = map_cap(self->t.fd, part, 0, self->b.size, PROT_READ);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(1, *(__u64 *)at);
	EXPECT_EQ(SIGSEGV, touch_write(at));
	EXPECT_EQ(-1, mprotect(at, self->b.size, RW));
	EXPECT_TRUE(refused(errno));
	EXPECT_EQ(SIGSEGV, touch_write(at));
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, without_the_right_to_read_nothing_is_readable)
{
	__u32 part;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_WRITE, EXO_SESSION_SELF, 0, 0, &part));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, PROT_READ));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, RW));
	/* A writable page is a readable one on this hardware. */
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, PROT_WRITE));
	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_NAMES, EXO_SESSION_SELF, 0, 0, &part));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, PROT_READ));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->b.size, PROT_WRITE));
}

TEST_F(map, a_part_maps_its_own_range_only)
{
	__u32 part;
	char *at;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 1, 1, &part));
	at = map_cap(self->t.fd, part, 1, self->unit, PROT_READ);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(self->unit + 1, *(__u64 *)at);
	munmap(at, self->unit);
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, self->unit, PROT_READ));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 0, 2 * self->unit, PROT_READ));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 2, self->unit, PROT_READ));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 1, self->unit + PAGE, PROT_READ));
	EXPECT_EQ(MAP_FAILED, map_cap(self->t.fd, part, 1, 2 * self->unit, PROT_READ));
}

TEST_F(map, nothing_is_mapped_beyond_the_end)
{
	struct exo_cap_query q;
	__u64 off;

	ASSERT_EQ(0, query(self->t.fd, self->b.cap, &q));
	off = q.out_mmap_offset;
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, self->b.size + PAGE, PROT_READ, MAP_SHARED, self->t.fd, (off_t)off));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->t.fd, (off_t)(off + self->b.size)));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, self->b.size, PROT_READ, MAP_SHARED, self->t.fd, (off_t)(off + PAGE)));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 1ul << 40, PROT_READ, MAP_SHARED | MAP_NORESERVE,
				   self->t.fd, (off_t)off));
	/* The last page on its own is fine. */
	EXPECT_NE(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->t.fd,
				   (off_t)(off + self->b.size - PAGE)));
}

TEST_F(map, any_address_page_and_length_works)
{
	char *room =
		mmap(NULL, self->b.size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t shift, from, i;

	ASSERT_NE(MAP_FAILED, room);
	/* Neither the address nor the offset is aligned to the unit. */
	for (shift = 0; shift < 3; shift++) {
		for (from = 0; from < 3; from++) {
			size_t size = self->b.size - (from + 1) * PAGE;
			char *at = mmap(room + shift * PAGE, size, RW, MAP_SHARED | MAP_FIXED,
					self->t.fd, (off_t)(self->b.mmap_offset + from * PAGE));

			ASSERT_NE(MAP_FAILED, at);
			for (i = 0; i < size; i += PAGE) {
				ASSERT_EQ(from * PAGE + i + 1, *(__u64 *)(at + i));
			}
			ASSERT_EQ(0, munmap(at, size));
		}
	}
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, random_offsets_and_flags_reach_nothing)
{
	static const int flags[] = { MAP_SHARED,
				     MAP_PRIVATE,
				     MAP_SHARED_VALIDATE,
				     MAP_SHARED | MAP_POPULATE,
				     MAP_SHARED | MAP_LOCKED,
				     MAP_SHARED | MAP_HUGETLB,
				     MAP_SHARED_VALIDATE | MAP_SYNC,
				     MAP_SHARED | MAP_GROWSDOWN,
				     MAP_PRIVATE | MAP_POPULATE,
				     MAP_SHARED | MAP_NONBLOCK };
	__u64 end = now_ms() + 8000;
	int i, prot, hits = 0;

	/* Offsets near every number that means something, and far from all. */
	for (i = 0; i < 20000 && now_ms() < end; i++) {
		__u64 off = (__u64)random_u32() << 32 | random_u32();
		size_t size = PAGE << (random_u32() % 12);
		char *at;

		switch (i % 4) {
		case 0:
			off >>= random_u32() % 52;
			break;
		case 1:
			off = self->b.mmap_offset ^ (1ull << (12 + random_u32() % 52));
			break;
		case 2:
			off = self->b.mmap_offset - (off % (8 * self->b.size + 1));
			break;
		case 3:
			off = (off % 4096) << (random_u32() % 50);
			break;
		}
		off &= ~(PAGE - 1);
		prot = (int)(random_u32() % 8);
		at = mmap(NULL, size, prot, flags[random_u32() % ARRAY_SIZE(flags)], self->t.fd,
			  (off_t)off);
		if (at == MAP_FAILED)
			continue;
		/* Never executable; our own frames, or the page that the session reads itself in. */
		EXPECT_EQ(0, prot & PROT_EXEC);
		if (off == EXO_INFO_PAGE_OFFSET) {
			EXPECT_EQ(0, prot & PROT_WRITE);
			EXPECT_EQ(PAGE, size);
			munmap(at, size);
			continue;
		}
		/* Or an empty window, which nothing of this can be seen in. */
		if (off == (off_t)EXO_WINDOW_OFFSET) {
			munmap(at, size);
			continue;
		}
		hits++;
		EXPECT_LE(self->b.mmap_offset, off);
		EXPECT_GE(self->b.mmap_offset + self->b.size, off + size);
		munmap(at, size);
	}
	TH_LOG("%d of %d hit our own frames", hits, i);
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, populate_and_touch_agree)
{
	char *at = mmap(NULL, self->b.size, RW, MAP_SHARED | MAP_POPULATE, self->t.fd,
			(off_t)self->b.mmap_offset);
	size_t i;

	ASSERT_NE(MAP_FAILED, at);
	for (i = 0; i < self->b.size; i += PAGE) {
		ASSERT_EQ(i + 1, *(__u64 *)(at + i));
	}
	EXPECT_EQ(0, munmap(at, self->b.size));
}

/* ---- the way in by other processes and by the kernel ---- */

TEST_F(map, proc_mem_reads_what_the_owner_may_read)
{
	int mem = open("/proc/self/mem", O_RDWR);
	__u64 word = 0, words[2];
	char *room;

	ASSERT_LE(0, mem);
	ASSERT_EQ(8, pread(mem, &word, 8, (off_t)(uintptr_t)self->b.at));
	EXPECT_EQ(1, word);
	/* Across the end of a frame, and up to the end of the mapping. */
	ASSERT_EQ(8, pread(mem, &word, 8, (off_t)(uintptr_t)self->b.at + (off_t)PAGE - 4));
	EXPECT_EQ((PAGE + 1) << 32, word);
	word = 0x1122;
	ASSERT_EQ(8, pwrite(mem, &word, 8, (off_t)(uintptr_t)self->b.at + 8));
	EXPECT_EQ(0x1122, ((__u64 *)self->b.at)[1]);
	/* Never past the end: here, with nothing mapped behind it. */
	room = mmap(NULL, self->b.size + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	ASSERT_EQ(0, munmap(room, self->b.size + PAGE));
	ASSERT_EQ(room, mmap(room, self->b.size, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, self->t.fd,
			     (off_t)self->b.mmap_offset));
	EXPECT_EQ(8, pread(mem, words, 16, (off_t)((uintptr_t)room + self->b.size - 8)));
	close(mem);
}

TEST_F(map, proc_mem_cannot_write_what_is_mapped_read_only)
{
	/* Debuggers write with FOLL_FORCE, past the protection of the mapping. */
	int mem = open("/proc/self/mem", O_RDWR);
	__u64 word = 0xbad;
	char *at;
	__u32 part;

	ASSERT_LE(0, mem);
	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &part));
	at = map_cap(self->t.fd, part, 0, self->b.size, PROT_READ);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(-1, pwrite(mem, &word, 8, (off_t)(uintptr_t)at));
	EXPECT_EQ(-1, pwrite(mem, &word, 8, (off_t)((uintptr_t)at + self->b.size - 8)));
	EXPECT_TRUE(intact(&self->b));
	close(mem);
}

TEST_F(map, proc_mem_sees_nothing_after_the_capability_is_dropped)
{
	int mem = open("/proc/self/mem", O_RDWR);
	__u64 word;

	ASSERT_LE(0, mem);
	ASSERT_EQ(0, drop(self->t.fd, self->b.cap));
	EXPECT_EQ(-1, pread(mem, &word, 8, (off_t)(uintptr_t)self->b.at));
	EXPECT_EQ(-1, pwrite(mem, &word, 8, (off_t)(uintptr_t)self->b.at));
	close(mem);
}

TEST_F(map, ordinary_system_calls_can_copy_from_and_to_it)
{
	int pipe_[2];
	char text[16] = "";

	ASSERT_EQ(0, pipe(pipe_));
	strcpy(self->b.at, "plain copy");
	EXPECT_EQ(11, write(pipe_[1], self->b.at, 11));
	EXPECT_EQ(11, read(pipe_[0], text, 11));
	EXPECT_STREQ("plain copy", text);
	EXPECT_EQ(11, write(pipe_[1], "back again", 11));
	EXPECT_EQ(11, read(pipe_[0], (char *)self->b.at + 100, 11));
	EXPECT_STREQ("back again", (char *)self->b.at + 100);
}

TEST_F(map, the_kernel_cannot_pin_it)
{
	struct iovec iov = { self->b.at, PAGE };
	struct io_uring_params params = { 0 };
	int fd, ring, pipe_[2];

	/* Direct I/O pins its buffer. */
	fd = open("/tmp/exo-direct", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	if (fd >= 0) {
		EXPECT_EQ(0, ftruncate(fd, 65536));
		ssize_t n = pwrite(fd, self->b.at, PAGE, 0);

		/* tmpfs takes O_DIRECT and copies. */
		if (n < 0) {
			EXPECT_EQ(EFAULT, errno);
		}
		close(fd);
	}
	unlink("/tmp/exo-direct");
	/* vmsplice hands pages to a pipe. */
	ASSERT_EQ(0, pipe(pipe_));
	EXPECT_EQ(-1, vmsplice(pipe_[1], &iov, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, vmsplice(pipe_[1], &iov, 1, SPLICE_F_GIFT));
	/* io_uring registers buffers with FOLL_LONGTERM. */
	ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring >= 0) {
		EXPECT_EQ(-1, syscall(SYS_io_uring_register, ring, 0 /* BUFFERS */, &iov, 1));
		EXPECT_TRUE(errno == EFAULT || errno == EOPNOTSUPP);
		close(ring);
	}
	/* process_vm_readv gets at pages, not at copies. */
	{
		char text[8];
		struct iovec local = { text, 8 }, remote = { self->b.at, 8 };

		/* ENOSYS: a kernel without these calls. */
		EXPECT_EQ(-1, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
		EXPECT_TRUE(errno == EFAULT || errno == ENOSYS);
		EXPECT_EQ(-1, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
		EXPECT_TRUE(errno == EFAULT || errno == ENOSYS);
	}
	EXPECT_TRUE(intact(&self->b));
}

TEST_F(map, a_futex_in_it_is_refused_or_works_but_never_harms)
{
	__u32 *word = self->b.at;
	struct timespec soon = { 0, 1000000 };

	syscall(SYS_futex, word, 0 /* FUTEX_WAIT, shared */, *word, &soon, NULL, 0);
	syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
	syscall(SYS_futex, word, 128, *word, &soon, NULL, 0);
	EXPECT_TRUE(intact(&self->b));
}

/* ---- the end of a mapping ---- */

TEST_F(map, a_touch_after_the_drop_is_sigbus)
{
	int pipe_[2];

	ASSERT_EQ(0, pipe(pipe_));
	ASSERT_EQ(0, drop(self->t.fd, self->b.cap));
	EXPECT_EQ(SIGBUS, touch_read(self->b.at));
	EXPECT_EQ(SIGBUS, touch_write(self->b.at));
	EXPECT_EQ(SIGBUS, touch_read((char *)self->b.at + self->b.size - 1));
	EXPECT_EQ(-1, write(pipe_[1], self->b.at, 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(self->used, frames_used(self->t.fd));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->t.fd, (off_t)self->b.mmap_offset));
}

TEST_F(map, a_dead_mapping_never_shows_what_comes_after)
{
	struct buffer next;
	int i;

	ASSERT_EQ(0, drop(self->t.fd, self->b.cap));
	/* The number, the offset and probably the frames are used again. */
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
					  &next));
		memset(next.at, 0x77, next.size);
		EXPECT_EQ(SIGBUS, touch_read(self->b.at));
		ASSERT_EQ(0, buffer_free(self->t.fd, &next));
	}
}

TEST_F(map, each_capability_has_its_own_mappings)
{
	__u32 part;
	char *at;

	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &part));
	at = map_cap(self->t.fd, part, 0, self->b.size, PROT_READ);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, drop(self->t.fd, part));
	EXPECT_EQ(SIGBUS, touch_read(at));
	EXPECT_TRUE(intact(&self->b));
}

struct toucher {
	volatile char *at;
	size_t size;
	bool stop;
	char tag; /* what to write: tells whose write it was */
	unsigned long touched;
};

static sigjmp_buf toucher_env;

static void toucher_signal(int signal)
{
	(void)signal;
	siglongjmp(toucher_env, 1);
}

static void *touch_all(void *arg)
{
	struct toucher *toucher = arg;
	size_t i;

	while (!__atomic_load_n(&toucher->stop, __ATOMIC_RELAXED)) {
		if (sigsetjmp(toucher_env, 1))
			continue;
		for (i = 0; i < toucher->size; i += PAGE) {
			volatile char *at = __atomic_load_n(&toucher->at, __ATOMIC_ACQUIRE);

			if (at) {
				(void)at[i];
				at[i] = __atomic_load_n(&toucher->tag, __ATOMIC_RELAXED);
			}
			toucher->touched++;
		}
	}
	return NULL;
}

#define ROUNDS 60
#define ROUND_UNITS 16
#define TAG_NONE 0x7f /* of what was there before the first round */

/* One round's buffer, and which frames it had. */
struct round {
	struct buffer b;
	struct exo_frame_name names[ROUND_UNITS];
};

static __u64 round_pfn(const struct round *round, size_t unit, size_t offset)
{
	return round->names[offset / unit].pfn + offset % unit / PAGE;
}

/* The last round before @n that had the frame, and where; -1: none. */
static int round_before(const struct round *rounds, int n, size_t unit, __u64 pfn, size_t *offset)
{
	while (n--)
		for (*offset = 0; *offset < rounds[n].b.size; *offset += PAGE)
			if (round_pfn(&rounds[n], unit, *offset) == pfn)
				return n;
	return -1;
}

/*
 * A fresh frame was not zero. It happened once and never again, so whoever sees it next
 * gets all there is to know: whether the kernel, by its own mapping, and a new mapping
 * see the same (then it is in the frame: not cleared, or written late; else the entry
 * that was read is stale), who had the frame before, and whether he still reaches it.
 * /proc/self/pagemap would not help: it shows nothing of VM_PFNMAP.
 */
static void tell_sighting(struct __test_metadata *_metadata, int fd, const struct round *rounds,
			  int n, size_t unit, size_t offset)
{
	const struct buffer *b = &rounds[n].b;
	const char *at = (char *)b->at + offset, *fresh;
	__u64 pfn = round_pfn(&rounds[n], unit, offset);
	int mem = open("/proc/self/mem", O_RDONLY), before;
	char kernel = -1;
	size_t then = 0;

	if (pread(mem, &kernel, 1, (off_t)(uintptr_t)at) != 1)
		TH_LOG("/proc/self/mem: %s", strerror(errno));
	close(mem);
	fresh = mmap(NULL, b->size, PROT_READ, MAP_SHARED, fd, (off_t)b->mmap_offset);
	TH_LOG("round %d, page %zu at %p, PFN %#llx: now %d, by the kernel %d, newly mapped %d", n,
	       offset / PAGE, (const void *)at, (unsigned long long)pfn, *(const volatile char *)at,
	       kernel, fresh == MAP_FAILED ? -1 : *(const volatile char *)(fresh + offset));
	before = round_before(rounds, n, unit, pfn, &then);
	if (before < 0)
		TH_LOG("no earlier round had the frame");
	else
		TH_LOG("round %d had it as page %zu at %p; a touch there: signal %d", before,
		       then / PAGE, (void *)((char *)rounds[before].b.at + then),
		       touch_read((char *)rounds[before].b.at + then));
}

/* Zero, as promised; else the tag (less one) is the round whose write it is. */
static void check_zero(struct __test_metadata *_metadata, int fd, const struct round *rounds, int n,
		       size_t unit)
{
	const struct buffer *b = &rounds[n].b;
	size_t offset;

	for (offset = 0; offset < b->size; offset += PAGE) {
		char byte = *((const volatile char *)b->at + offset);

		ASSERT_EQ(0, byte)
		{
			tell_sighting(_metadata, fd, rounds, n, unit, offset);
		}
	}
}

TEST_F(map, a_drop_during_touches_loses_and_leaks_nothing)
{
	struct toucher toucher = { .size = self->b.size };
	struct sigaction action = { .sa_handler = toucher_signal };
	static struct round rounds[ROUNDS];
	pthread_t thread;
	size_t j;
	int i;

	ASSERT_GE(ROUND_UNITS, variant->count);
	for (j = 0; j < self->b.size; j += PAGE)
		*((volatile char *)self->b.at + j) = TAG_NONE;
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_all, &toucher));
	for (i = 0; i < ROUNDS; i++) {
		struct buffer *b = &rounds[i].b;

		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
					  b));
		ASSERT_EQ(0, frames_names(self->t.fd, b->cap, 0, variant->count, rounds[i].names));
		check_zero(_metadata, self->t.fd, rounds, i, self->unit);
		__atomic_store_n(&toucher.tag, (char)(i + 1), __ATOMIC_RELAXED);
		__atomic_store_n(&toucher.at, (volatile char *)b->at, __ATOMIC_RELEASE);
		usleep(1000);
		ASSERT_EQ(0, drop(self->t.fd, b->cap));
		EXPECT_EQ(self->used, frames_used(self->t.fd));
		__atomic_store_n(&toucher.at, NULL, __ATOMIC_RELEASE);
		/* Not unmapped: a touch under way must not hit the next round's frames. */
	}
	__atomic_store_n(&toucher.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(0, toucher.touched);
}

struct mapper {
	struct tenant *t;
	__u32 cap;
	__u64 offset;
	size_t size;
	bool stop;
};

static void *map_and_unmap(void *arg)
{
	struct mapper *m = arg;

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED)) {
		void *at = mmap(NULL, m->size, RW, MAP_SHARED, m->t->fd,
				(off_t)__atomic_load_n(&m->offset, __ATOMIC_RELAXED));

		if (at != MAP_FAILED)
			munmap(at, m->size);
	}
	return NULL;
}

TEST_F(map, mapping_races_with_dropping)
{
	struct mapper m = { .t = &self->t, .size = self->b.size, .offset = self->b.mmap_offset };
	pthread_t threads[2];
	__u64 end = now_ms() + 8000;
	unsigned int i;
	int round;

	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, map_and_unmap, &m));
	}
	for (round = 0; round < 150 && now_ms() < end; round++) {
		struct exo_frames_alloc arg;

		ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, variant->order, variant->count,
					  ANY_NODE, &arg));
		__atomic_store_n(&m.offset, arg.out_mmap_offset, __ATOMIC_RELAXED);
		ASSERT_EQ(0, drop(self->t.fd, arg.out_cap));
		ASSERT_EQ(self->used, frames_used_soon(self->t.fd, self->used));
	}
	__atomic_store_n(&m.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(self->used, frames_used(self->t.fd));
}

/* ---- what cannot be mapped at all ---- */

TEST_F(map, a_pool_has_no_mapping)
{
	struct exo_cap_query q;

	ASSERT_EQ(0, query(self->t.fd, self->t.pool, &q));
	EXPECT_EQ(0, q.out_mmap_offset);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->t.fd, (off_t)self->t.pool << 43));
	EXPECT_EQ(EINVAL, errno);
}

/* ---- the rings of a queue are mappings too ---- */

FIXTURE(rings)
{
	struct tenant t;
	struct ring ring;
};

FIXTURE_SETUP(rings)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 32, &self->ring));
}

FIXTURE_TEARDOWN(rings)
{
	tenant_destroy(&self->t);
}

TEST_F(rings, the_completion_region_is_never_writable)
{
	struct ring *r = &self->ring;
	off_t ro = (off_t)(r->mmap_offset + r->rw_size);
	int mem = open("/proc/self/mem", O_RDWR);
	__u64 word = ~0ull;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, r->ro_size, RW, MAP_SHARED, r->fd, ro));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, r->ro_size, PROT_WRITE, MAP_SHARED, r->fd, ro));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, RW, MAP_SHARED, r->fd, ro + (off_t)PAGE));
	EXPECT_EQ(-1, mprotect((void *)r->status, r->ro_size, RW));
	EXPECT_EQ(SIGSEGV, touch_write((void *)r->status));
	EXPECT_EQ(SIGSEGV, touch_write((void *)r->cq));
	ASSERT_LE(0, mem);
	EXPECT_EQ(-1, pwrite(mem, &word, 8, (off_t)(uintptr_t)r->status));
	EXPECT_EQ(-1, pwrite(mem, &word, 8, (off_t)(uintptr_t)r->cq));
	EXPECT_EQ(0, r->status->sq_head);
	EXPECT_EQ(EXO_QUEUE_LIVE, r->status->state);
	close(mem);
}

TEST_F(rings, one_mapping_across_both_regions_is_not_writable)
{
	struct ring *r = &self->ring;
	void *at =
		mmap(NULL, r->rw_size + r->ro_size, RW, MAP_SHARED, r->fd, (off_t)r->mmap_offset);

	EXPECT_EQ(MAP_FAILED, at);
	at = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, r->fd,
		  (off_t)(r->mmap_offset + r->rw_size - PAGE));
	EXPECT_EQ(MAP_FAILED, at);
	at = mmap(NULL, r->rw_size + r->ro_size + PAGE, PROT_READ, MAP_SHARED, r->fd,
		  (off_t)r->mmap_offset);
	EXPECT_EQ(MAP_FAILED, at);
}

TEST_F(rings, they_obey_the_same_rules_as_frames)
{
	struct ring *r = &self->ring;
	int status;
	pid_t pid;

	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, r->rw_size, RW, MAP_PRIVATE, r->fd, (off_t)r->mmap_offset));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, r->rw_size, RW | PROT_EXEC, MAP_SHARED, r->fd, (off_t)r->mmap_offset));
	EXPECT_EQ(-1, mprotect(r->control, r->rw_size, PROT_READ));
	EXPECT_EQ(MAP_FAILED, mremap(r->control, r->rw_size, 2 * r->rw_size, MREMAP_MAYMOVE));
	EXPECT_EQ(-1, madvise(r->control, r->rw_size, MADV_DOFORK));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(touch_read(r->control) == SIGSEGV && touch_read(r->status) == SIGSEGV ? 0
											    : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(rings, they_come_empty)
{
	struct ring *r = &self->ring;
	__u32 i;

	EXPECT_EQ(0, r->control->sq_tail);
	EXPECT_EQ(0, r->control->cq_head);
	for (i = 0; i < r->entries; i++) {
		EXPECT_EQ(0, r->sq[i].dw[0]);
		EXPECT_EQ(0, r->cq[i].status);
	}
	/* Nothing behind the last entry either: the rest of the page is nobody's memory. */
	for (i = 0; i < r->rw_size / 4; i++) {
		ASSERT_EQ(0, ((__u32 *)r->control)[i]);
	}
	for (i = 2; i < r->ro_size / 4; i++) {
		ASSERT_EQ(0, ((__u32 *)r->status)[i]);
	}
}

TEST_F(rings, a_dropped_queue_stays_readable_and_says_that_it_is_dead)
{
	struct ring *r = &self->ring;

	ASSERT_EQ(0, drop(r->fd, r->cap));
	EXPECT_EQ(0, touch_read(r->status));
	EXPECT_EQ(EXO_QUEUE_DEAD, r->status->state);
	EXPECT_EQ(0, touch_read(r->cq));
	EXPECT_EQ(0, touch_read(r->control));
}

TEST_HARNESS_MAIN
