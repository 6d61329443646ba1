// SPDX-License-Identifier: MIT
/*
 * Whatever else the kernel lets a program do to a VMA, done to a window: none of it gives more
 * than the table says, stretches or copies it, takes hold of its frames, or makes the
 * kernel complain.
 */
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <pthread.h>
#include <kselftest_harness.h>

#include "window.h"

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define ENTRIES 1536u
#define SIZE (ENTRIES * PAGE)
/* Of each access some entries, one behind the other, all dirty but for those that are empty. */
#define COUNT 16u
#define WRITABLE 0u
#define READABLE 16u
#define PROTECTED 32u
#define EMPTY 48u

FIXTURE(wintraps)
{
	struct tenant t;
	struct exo_frames_alloc frames, large;
	char *at;
	int fd;
};

static volatile __u64 *entry(FIXTURE_DATA(wintraps) * self, __u64 i)
{
	return (volatile __u64 *)(self->at + i * PAGE);
}

static int fill(FIXTURE_DATA(wintraps) * self)
{
	int ret = window_map(self->fd, self->at, 0, 3 * COUNT, self->frames.out_cap, 0, RW);
	__u64 i;

	for (i = 0; !ret && i < 3 * COUNT; i++)
		ret = poke(entry(self, i), i + 1);
	if (!ret)
		ret = window_protect(self->fd, self->at, READABLE, COUNT, R);
	if (!ret)
		ret = window_protect(self->fd, self->at, PROTECTED, COUNT, NONE);
	if (!ret)
		ret = window_map_large(self->fd, self->at, LARGE, LARGE, self->large.out_cap, 0, R);
	return ret ? ret
		   : window_map_large(self->fd, self->at, 2 * LARGE, LARGE, self->large.out_cap,
				      LARGE, RW);
}

FIXTURE_SETUP(wintraps)
{
	touches_begin();
	POOL_SETUP(&self->t);
	ASSERT_EQ(0, become_nobody());
	self->fd = self->t.fd;
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, 3 * COUNT, ANY_NODE,
				  &self->frames));
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_2M, 2, ANY_NODE, &self->large));
	self->at = window_create(self->fd, SIZE);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, fill(self));
}

FIXTURE_TEARDOWN(wintraps)
{
	tenant_destroy(&self->t);
}

/* Every entry shows what it did and allows what it did. Writes what is there. */
static bool as_it_was(FIXTURE_DATA(wintraps) * self)
{
	__u64 i, value;

	for (i = 0; i < EMPTY + COUNT; i++) {
		int read = peek(entry(self, i), &value);
		int written = poke(entry(self, i), i + 1);

		if (read != (i < PROTECTED ? 0 : SIGBUS) || (!read && value != i + 1) ||
		    written != (i < READABLE ? 0 : SIGBUS)) {
			fprintf(stderr, "# entry %llu: %d %d\n", i, read, written);
			return false;
		}
	}
	return !peek(entry(self, LARGE + 3), &value) && poke(entry(self, LARGE + 3), 1) == SIGBUS &&
	       !poke(entry(self, 2 * LARGE + 3), 1) &&
	       peek(entry(self, LARGE - 1), &value) == SIGBUS;
}

/* ---- mprotect, mremap, munmap, mmap ---- */

TEST_F(wintraps, mprotect_is_refused_and_makes_nothing_writable)
{
	static const int prots[] = { PROT_NONE,	 PROT_READ,
				     PROT_WRITE, PROT_READ | PROT_WRITE,
				     PROT_EXEC,	 PROT_EXEC | PROT_READ };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		EXPECT_EQ(-1, mprotect(self->at, SIZE, prots[i]));
		EXPECT_TRUE(errno == EACCES || prots[i] == (PROT_READ | PROT_WRITE));
		EXPECT_EQ(-1, mprotect((void *)entry(self, READABLE), PAGE, prots[i]));
		EXPECT_TRUE(as_it_was(self));
	}
}

TEST_F(wintraps, mremap_is_refused)
{
	void *to = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *part = (void *)entry(self, 8);

	ASSERT_NE(MAP_FAILED, to);
	EXPECT_EQ(MAP_FAILED, mremap(self->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(MAP_FAILED, mremap(self->at, SIZE, 2 * SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->at, SIZE, 2 * SIZE, 0));
	EXPECT_EQ(MAP_FAILED, mremap(self->at, SIZE, PAGE, 0));
	EXPECT_EQ(MAP_FAILED, mremap(self->at, 0, SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(part, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(MAP_FAILED, mremap(self->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	EXPECT_TRUE(as_it_was(self));
}

TEST_F(wintraps, a_part_is_not_unmapped_or_replaced)
{
	char *at = self->at;

	EXPECT_EQ(-1, munmap(at + PAGE, PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, munmap(at, PAGE));
	EXPECT_EQ(-1, munmap(at + SIZE - PAGE, PAGE));
	EXPECT_EQ(-1, munmap(at, LARGE * PAGE));
	EXPECT_EQ(MAP_FAILED,
		  mmap(at + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(MAP_FAILED, mmap(at + LARGE * PAGE, LARGE * PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, self->fd, (off_t)EXO_WINDOW_OFFSET));
	EXPECT_TRUE(as_it_was(self));
}

TEST_F(wintraps, a_window_in_the_place_of_a_window_is_a_new_one)
{
	__u64 value;

	ASSERT_EQ(self->at, mmap(self->at, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 self->fd, (off_t)EXO_WINDOW_OFFSET));
	EXPECT_EQ(SIGBUS, peek(entry(self, WRITABLE), &value));
	EXPECT_EQ(SIGBUS, peek(entry(self, LARGE), &value));
	ASSERT_EQ(0, fill(self));
	EXPECT_TRUE(as_it_was(self));
}

/* ---- fork, advice, locks, soft dirty ---- */

TEST_F(wintraps, a_child_does_not_inherit_it)
{
	__u64 value;
	int status;
	pid_t pid;

	EXPECT_EQ(-1, madvise(self->at, SIZE, MADV_DOFORK));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(peek(self->at, &value) == SIGSEGV ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(as_it_was(self));
}

TEST_F(wintraps, advice_does_it_no_harm)
{
	unsigned int i;

	for (i = 0; i < advice_count; i++) {
		madvise(self->at, SIZE, advice[i]);
		madvise((void *)entry(self, READABLE), PAGE, advice[i]);
		madvise((void *)entry(self, LARGE), LARGE * PAGE, advice[i]);
		ASSERT_TRUE(as_it_was(self))
		{
			TH_LOG("advice %d", advice[i]);
		}
	}
}

TEST_F(wintraps, locking_and_policies_do_it_no_harm)
{
	unsigned char core[ENTRIES];
	unsigned long mask = 1;
	int status = 0;
	void *at = self->at;

	mlock(at, SIZE);
	munlock(at, SIZE);
	mlock2(at, SIZE, MLOCK_ONFAULT);
	mincore(at, SIZE, core);
	msync(at, SIZE, MS_SYNC | MS_INVALIDATE);
	syscall(SYS_mbind, at, SIZE, 2, &mask, 64, 3);
	syscall(SYS_move_pages, 0, 1, &at, NULL, &status, 2);
	syscall(SYS_migrate_pages, 0, 64, &mask, &mask);
	EXPECT_TRUE(as_it_was(self));
	/* A window that is populated when it is made is as empty as any. */
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE | MAP_LOCKED,
		  self->fd, (off_t)EXO_WINDOW_OFFSET);
	if (at != MAP_FAILED) {
		__u64 value;

		EXPECT_EQ(SIGBUS, peek(at, &value));
		munmap(at, SIZE);
	}
}

TEST_F(wintraps, soft_dirty_tracking_changes_no_access_and_loses_no_dirty_bit)
{
	static const char *const clear[] = { "1", "2", "3", "4", "5" };
	__u64 bitmap;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clear); i++) {
		ASSERT_EQ(0, fill(self));
		write_file("/proc/self/clear_refs", clear[i]);
		EXPECT_EQ(3 * (int)COUNT, window_dirty(self->fd, self->at, 0, 64, &bitmap));
		EXPECT_TRUE(as_it_was(self));
		EXPECT_EQ((int)COUNT, window_dirty(self->fd, self->at, 0, 64, &bitmap));
	}
}

TEST_F(wintraps, userfaultfd_cannot_watch_it)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register reg = { .range = { (uintptr_t)self->at, SIZE } };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	__u64 mode;

	if (uffd < 0)
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api)) {
		api = (struct uffdio_api){ .api = UFFD_API };
		close(uffd);
		uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);
		ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	}
	for (mode = 1; mode <= 4; mode <<= 1) {
		reg.mode = mode;
		/* Some kernels let it track writes of any memory: it does not change what is allowed. */
		if (!ioctl(uffd, UFFDIO_REGISTER, &reg)) {
			struct uffdio_writeprotect protect = { .range = reg.range, .mode = 1 };

			ioctl(uffd, UFFDIO_WRITEPROTECT, &protect);
			EXPECT_TRUE(as_it_was(self));
			protect.mode = 0;
			ioctl(uffd, UFFDIO_WRITEPROTECT, &protect);
		}
		EXPECT_TRUE(as_it_was(self));
	}
	close(uffd);
	EXPECT_TRUE(as_it_was(self));
}

TEST_F(wintraps, the_kernel_flags_forbid_copy_growth_dump_and_execution)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	static const char *const wanted[] = { " sh", " io", " pf", " dc", " de", " dd" };
	char line[512], *flags = NULL;
	bool ours = false;
	unsigned int i;

	ASSERT_NE(NULL, smaps);
	while (!flags && fgets(line, sizeof(line), smaps)) {
		unsigned long from;
		char dash;

		if (sscanf(line, "%lx%c", &from, &dash) == 2 && dash == '-')
			ours = from == (unsigned long)self->at;
		else if (ours && !strncmp(line, "VmFlags:", 8))
			flags = line + 8;
	}
	fclose(smaps);
	ASSERT_NE(NULL, flags);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		EXPECT_NE(NULL, strstr(flags, wanted[i]));
	}
	EXPECT_EQ(NULL, strstr(flags, " ex"));
	EXPECT_EQ(NULL, strstr(flags, " me"));
}

/* ---- touches that are not the program's ---- */

TEST_F(wintraps, a_debugger_may_what_the_entry_allows)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	__u64 value, bitmap;

	ASSERT_LE(0, mem);
	ASSERT_EQ(3 * (int)COUNT, window_dirty(self->fd, self->at, 0, 64, &bitmap));
#define MEM(what, i) what(mem, &value, sizeof(value), (off_t)(uintptr_t)entry(self, i))
	EXPECT_EQ(8, MEM(pread, WRITABLE));
	EXPECT_EQ(WRITABLE + 1, value);
	EXPECT_EQ(8, MEM(pread, READABLE));
	EXPECT_EQ(READABLE + 1, value);
	EXPECT_EQ(-1, MEM(pread, PROTECTED));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, MEM(pread, EMPTY));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(8, MEM(pread, LARGE + 3));
	EXPECT_EQ(-1, MEM(pwrite, READABLE));
	EXPECT_EQ(-1, MEM(pwrite, PROTECTED));
	EXPECT_EQ(-1, MEM(pwrite, EMPTY));
	EXPECT_EQ(-1, MEM(pwrite, LARGE + 3));
	EXPECT_EQ(0, window_dirty(self->fd, self->at, 0, 64, &bitmap));
	value = WRITABLE + 2;
	EXPECT_EQ(8, MEM(pwrite, WRITABLE + 1));
	/* That was a write, too. */
	EXPECT_EQ(1, window_dirty(self->fd, self->at, 0, 64, &bitmap));
	EXPECT_EQ(1 << (WRITABLE + 1), bitmap);
	value = 1;
	EXPECT_EQ(8, MEM(pwrite, 2 * LARGE + 7));
	EXPECT_LE(512,
		  window_dirty(self->fd, self->at, 2 * LARGE, LARGE, (__u64[LARGE / 64]){ 0 }));
	EXPECT_TRUE(as_it_was(self));
	close(mem);
}

TEST_F(wintraps, another_process_is_treated_alike)
{
	struct iovec mine = { &(__u64){ 0 }, 8 };
	int status;
	pid_t pid;

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		const pid_t parent = getppid();
		struct iovec theirs = { (void *)entry(self, WRITABLE), 8 };
		char path[64];
		int mem;

		/* Takes references to pages. */
		if (process_vm_readv(parent, &mine, 1, &theirs, 1, 0) > 0 ||
		    process_vm_writev(parent, &mine, 1, &theirs, 1, 0) > 0)
			_exit(1);
		snprintf(path, sizeof(path), "/proc/%d/mem", parent);
		mem = open(path, O_RDWR | O_CLOEXEC);
		if (mem < 0)
			_exit(errno == EACCES ? 0 : 2);
		if (pread(mem, mine.iov_base, 8, (off_t)(uintptr_t)entry(self, READABLE)) != 8 ||
		    pwrite(mem, mine.iov_base, 8, (off_t)(uintptr_t)entry(self, READABLE)) > 0 ||
		    pread(mem, mine.iov_base, 8, (off_t)(uintptr_t)entry(self, EMPTY)) > 0)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(as_it_was(self));
}

/* The kernel, on behalf of the program: as far as the entry allows, else EFAULT. */
TEST_F(wintraps, system_calls_get_EFAULT_where_the_program_gets_a_signal)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), ends[2];

	ASSERT_LE(0, zero);
	ASSERT_EQ(0, pipe(ends));
#define READ(i) read(zero, (void *)entry(self, i), PAGE)
#define WRITE(i) write(ends[1], (void *)entry(self, i), 8)
	EXPECT_EQ(8, WRITE(WRITABLE));
	EXPECT_EQ(8, WRITE(READABLE));
	EXPECT_EQ(8, WRITE(LARGE));
	EXPECT_EQ(-1, WRITE(PROTECTED));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, WRITE(EMPTY));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, WRITE(LARGE - 1));
	EXPECT_EQ(-1, READ(READABLE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, READ(PROTECTED));
	EXPECT_EQ(-1, READ(EMPTY));
	EXPECT_EQ(-1, READ(LARGE + 7));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(as_it_was(self));
	EXPECT_EQ((ssize_t)PAGE, READ(WRITABLE));
	EXPECT_EQ(0, *entry(self, WRITABLE));
	close(zero);
	close(ends[0]);
	close(ends[1]);
}

TEST_F(wintraps, nothing_takes_a_reference_to_its_frames)
{
	struct iovec iov = { (void *)entry(self, WRITABLE), PAGE };
	struct io_uring_params params = { 0 };
	char name[] = "/tmp/exo-window-XXXXXX";
	int ends[2], file, ring;

	ASSERT_EQ(0, pipe(ends));
	EXPECT_EQ(-1, vmsplice(ends[1], &iov, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	file = mkstemp(name);
	ASSERT_LE(0, file);
	unlink(name);
	/* A file system without direct I/O refuses the flag, not the buffer. */
	if (!fcntl(file, F_SETFL, O_DIRECT) && ftruncate(file, PAGE) == 0) {
		ssize_t n = pread(file, (void *)entry(self, READABLE), PAGE, 0);

		EXPECT_EQ(-1, n);
		EXPECT_EQ(EFAULT, errno);
	}
	ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring >= 0) {
		EXPECT_EQ(-1,
			  syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1));
		EXPECT_EQ(EFAULT, errno);
		close(ring);
	}
	close(file);
	EXPECT_TRUE(as_it_was(self));
	/* So they are free when they are dropped. */
	ASSERT_EQ(0, drop(self->fd, self->frames.out_cap));
	ASSERT_EQ(0, drop(self->fd, self->large.out_cap));
	EXPECT_EQ(0, frames_used_soon(self->fd, 0));
}

/* ---- protected entries ---- */

static void *touch_protected(void *arg)
{
	FIXTURE_DATA(wintraps) *self = arg;
	__u64 value, i, n, hits = 0;

	for (n = 0; n < 8; n++)
		for (i = PROTECTED; i < PROTECTED + COUNT; i++)
			hits += !peek(entry(self, i), &value) || !poke(entry(self, i), 1);
	return (void *)(uintptr_t)hits;
}

/* A page table entry without access would be taken for NUMA balancing's, and given back. */
TEST_F(wintraps, an_entry_without_access_never_comes_back_by_itself)
{
	pthread_t thread[4];
	unsigned int i;
	void *hits;

	write_file("/proc/sys/kernel/numa_balancing", "1");
	for (i = 0; i < ARRAY_SIZE(thread); i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, touch_protected, self));
	for (i = 0; i < ARRAY_SIZE(thread); i++) {
		ASSERT_EQ(0, pthread_join(thread[i], &hits));
		EXPECT_EQ(NULL, hits);
	}
	EXPECT_TRUE(as_it_was(self));
}

/* ---- 2 MiB without 2 MiB page table entries ---- */

static void large_works(struct __test_metadata *_metadata, FIXTURE_DATA(wintraps) * self, char *at)
{
	__u64 bitmap[LARGE / 64], value;
	int round;

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, window_map_large(self->fd, at, 0, LARGE, self->large.out_cap, 0, RW));
		ASSERT_EQ(0, poke(at + 5 * PAGE, 55));
		ASSERT_EQ(0, peek(at + 5 * PAGE, &value));
		EXPECT_EQ(55, value);
		EXPECT_EQ((int)LARGE, window_dirty(self->fd, at, 0, LARGE, bitmap));
		EXPECT_EQ(0, window_dirty(self->fd, at, 0, LARGE, bitmap));
		ASSERT_EQ(0, window_protect(self->fd, at, 0, LARGE, R));
		EXPECT_EQ(SIGBUS, poke(at + 5 * PAGE, 1));
		EXPECT_EQ(0, peek(at + 6 * PAGE, &value));
		ASSERT_EQ(0, window_unmap(self->fd, at, 0, LARGE));
		EXPECT_EQ(SIGBUS, peek(at + 5 * PAGE, &value));
	}
}

TEST_F(wintraps, large_entries_work_where_the_kernel_allows_no_large_page_table_entries)
{
	char *at = window_create(self->fd, HUGE_PAGE);

	ASSERT_NE(MAP_FAILED, at);
	madvise(at, HUGE_PAGE, MADV_NOHUGEPAGE);
	large_works(_metadata, self, at);
	munmap(at, HUGE_PAGE);

	at = window_create(self->fd, HUGE_PAGE);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	large_works(_metadata, self, at);
	/* And again when it allows them. */
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	large_works(_metadata, self, at);
	munmap(at, HUGE_PAGE);
}

TEST_HARNESS_MAIN
