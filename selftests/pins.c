// SPDX-License-Identifier: MIT
/*
 * Ways by which the kernel, for a program, gets at the memory behind a mapping and might
 * hold on to it: direct I/O, a virtual machine's memory, a debugger. None may reach what was
 * taken away. (map.c has those that need no more than a mapping.)
 */
#include <linux/kvm.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <kselftest_harness.h>

#include "lib.h"

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif
#define PAGES 4u

FIXTURE(pins)
{
	struct tenant t;
	struct buffer b;
	__u64 used;
};

FIXTURE_SETUP(pins)
{
	__u32 i;

	POOL_SETUP(&self->t);
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, PAGES, &self->b));
	for (i = 0; i < PAGES; i++)
		memset((char *)self->b.at + i * PAGE, (int)(0x10 + i), PAGE);
}

FIXTURE_TEARDOWN(pins)
{
	tenant_destroy(&self->t);
}

static bool intact(const struct buffer *b)
{
	const char *at = b->at;
	__u32 i;

	for (i = 0; i < PAGES; i++)
		if (at[i * PAGE] != (char)(0x10 + i) || at[i * PAGE + 4095] != (char)(0x10 + i))
			return false;
	return true;
}

/* ---- direct I/O ---- */

/* A loop device over a file, opened for direct I/O; *file is the file. */
static int loop_open(int *file)
{
	char path[32], name[] = "/tmp/exo-loop-XXXXXX";
	int control, number, fd;

	if (system("modprobe -q loop"))
		fprintf(stderr, "# no module loop: it may be in the kernel\n");
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -errno;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (number < 0)
		return -errno;
	snprintf(path, sizeof(path), "/dev/loop%d", number);
	*file = mkstemp(name);
	if (*file < 0 || unlink(name) || ftruncate(*file, 65536))
		return -errno;
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_SET_FD, *file))
		return -errno;
	return fd;
}

TEST_F(pins, direct_io_of_a_block_device_gets_no_hold_of_it)
{
	int file, loop = loop_open(&file);
	void *plain;

	if (loop < 0)
		SKIP(return, "no loop device: %s", strerror(-loop));
	plain = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, plain);
	EXPECT_EQ((ssize_t)PAGE, pwrite(loop, plain, PAGE, 0));
	EXPECT_EQ(-1, pwrite(loop, self->b.at, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(loop, self->b.at, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(intact(&self->b));
	/* A file that is cached is copied, which needs no hold. */
	EXPECT_EQ((ssize_t)PAGE, pwrite(file, self->b.at, PAGE, 0));
	EXPECT_EQ(0, ioctl(loop, LOOP_CLR_FD));
	close(loop);
	close(file);
	EXPECT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

/* ---- a debugger ---- */

/* Maps and touches, then waits; the mapping is not inherited. */
static void debugged(FIXTURE_DATA(pins) * self, int told)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->t.fd,
			(off_t)self->b.mmap_offset);

	if (at == MAP_FAILED || at[0] != 0x10 || write(told, &at, sizeof(at)) != sizeof(at))
		_exit(1);
	pause();
	_exit(0);
}

TEST_F(pins, a_debugger_sees_what_the_debugged_may_and_nothing_afterwards)
{
	int end[2], status;
	char *at;
	long word;
	pid_t pid;

	ASSERT_EQ(0, pipe(end));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		debugged(self, end[1]);
	ASSERT_EQ((ssize_t)sizeof(at), read(end[0], &at, sizeof(at)));
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, pid, at, NULL);
	EXPECT_EQ(0, errno);
	EXPECT_EQ(0x1010101010101010, word);
	EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, pid, at, (void *)word));
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
	errno = 0;
	EXPECT_EQ(-1, ptrace(PTRACE_PEEKDATA, pid, at, NULL));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, ptrace(PTRACE_POKEDATA, pid, at, (void *)word));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
}

/* ---- a virtual machine ---- */

#ifdef __x86_64__

struct machine {
	int kvm, vm, vcpu;
	struct kvm_run *run;
};

/* Its memory is the frames; it counts at 2000h. In 16-bit mode: inc byte [2000h]; hlt; again. */
static const unsigned char program[] = { 0xfe, 0x06, 0x00, 0x20, 0xf4, 0xeb, 0xf9 };

static int machine_memory(struct machine *m, void *at)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = PAGES * PAGE,
		.userspace_addr = (uintptr_t)at,
	};

	return ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int machine_registers(struct machine *m)
{
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(m->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) || ioctl(m->vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

static int machine_create(struct machine *m, void *at)
{
	int size, ret;

	if (system("modprobe -q kvm_intel 2>/dev/null || modprobe -q kvm_amd 2>/dev/null"))
		fprintf(stderr, "# no module of KVM\n");
	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0)
		return -errno;
	m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		return -errno;
	ret = machine_memory(m, at);
	if (ret)
		return ret;
	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (m->vcpu < 0 || size < 0)
		return -errno;
	m->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	return m->run == MAP_FAILED ? -errno : machine_registers(m);
}

/* Whether it came to its hlt. */
static bool machine_runs(struct machine *m)
{
	return !ioctl(m->vcpu, KVM_RUN, 0) && m->run->exit_reason == KVM_EXIT_HLT;
}

TEST_F(pins, a_virtual_machine_loses_its_memory_with_the_capability)
{
	struct machine m;
	struct buffer next;
	int ret, i;

	memcpy((char *)self->b.at + PAGE, program, sizeof(program));
	ret = machine_create(&m, self->b.at);
	if (ret)
		SKIP(return, "no virtual machines here: %s", strerror(-ret));
	if (!machine_runs(&m))
		SKIP(return, "virtual machines do not run here: exit %u", m.run->exit_reason);
	EXPECT_EQ(0x13, ((char *)self->b.at)[0x2000]);
	ASSERT_EQ(0, drop(self->t.fd, self->b.cap));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
	/* The same frames, as likely as not, for somebody else. */
	ASSERT_EQ(0, buffer_alloc(self->t.grantor, self->t.root_pool, EXO_ORDER_4K, 64, &next));
	for (i = 0; i < 64; i++)
		memcpy((char *)next.at + (size_t)i * PAGE, program, sizeof(program));
	for (i = 0; i < 3; i++)
		EXPECT_FALSE(machine_runs(&m));
	for (i = 0; i < 64; i++)
		EXPECT_EQ(0, memcmp((char *)next.at + (size_t)i * PAGE, program, sizeof(program)));
	EXPECT_EQ(0, buffer_free(self->t.grantor, &next));
	close(m.vcpu);
	close(m.vm);
	close(m.kvm);
}

#else

TEST_F(pins, a_virtual_machine_loses_its_memory_with_the_capability)
{
	SKIP(return, "the virtual machine's program is x86's");
}

#endif

/* ---- guessing ---- */

/* Every number that another session has, with every flag: an empty session has its own page. */
TEST_F(pins, an_empty_session_maps_nothing_of_others_whatever_the_offset)
{
	static const int flags[] = { MAP_SHARED, MAP_SHARED_VALIDATE, MAP_PRIVATE,
				     MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED };
	int fd = session_open(), prot, tries = 0;
	__u64 cap, page;
	unsigned int i;

	ASSERT_LE(0, fd);
	for (cap = 0; cap < 64; cap++) {
		for (page = 0; page < 8; page++) {
			for (prot = 0; prot < 8; prot++) {
				for (i = 0; i < ARRAY_SIZE(flags); i++) {
					__u64 off = cap * self->b.mmap_offset / self->b.cap +
						    page * PAGE;
					void *at = mmap(NULL, PAGE, prot, flags[i], fd, (off_t)off);

					tries++;
					if (at == MAP_FAILED)
						continue;
					EXPECT_EQ(EXO_INFO_PAGE_OFFSET, off);
					EXPECT_FALSE(prot & (PROT_WRITE | PROT_EXEC));
					munmap(at, PAGE);
				}
			}
		}
	}
	TH_LOG("%d offsets and flags", tries);
	EXPECT_TRUE(intact(&self->b));
	close(fd);
}

TEST_HARNESS_MAIN
