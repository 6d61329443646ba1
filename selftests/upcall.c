// SPDX-License-Identifier: MIT
/*
 * Fault upcalls: a touch that a window's entry does not allow continues in a handler, and the
 * handler goes on with the touch, as if nothing had been. The handler's assembly is libexo's.
 */
#include <kselftest_harness.h>

#include "window.h"

#ifdef __x86_64__

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "../libexo/src/upcall.h"
#include "upcall.h"

#define FRAMES 64u
#define ENTRIES 4096u
#define SIZE (ENTRIES * PAGE)
#define VALUE 0x55u /* al of touch_with_registers() */

FIXTURE(upcall)
{
	struct tenant t;
	struct exo_frames_alloc frames, large;
	struct exo_upcall_target target;
	char *at;
	int fd;
	volatile unsigned int calls;
	volatile unsigned int entry, access; /* of the last call */
	volatile __u64 address, ip;
	int result;	  /* of what the handler did */
	__u32 mapped;	  /* access that it maps or protects with */
	bool is_general;  /* use it where registers other than general ones do not matter */
	sigjmp_buf leave; /* of one that does not return */
};

/* The same frames again and again: FRAMES is the larger number by far. */
static __u64 frame_of(__u64 entry)
{
	return entry % FRAMES;
}

static __u64 entry_of(FIXTURE_DATA(upcall) * self, const struct exo_upcall *touch)
{
	return (touch->address - (uintptr_t)self->at) / PAGE;
}

static void note(FIXTURE_DATA(upcall) * self, const struct exo_upcall *touch)
{
	self->address = touch->address;
	self->ip = touch->ip;
	self->entry = touch->entry;
	self->access = touch->access;
	__atomic_fetch_add(&self->calls, 1, __ATOMIC_RELAXED);
}

/* A handler: gives the entry a frame, or the frame the access. */
static void map_it(void *arg, struct exo_upcall *touch)
{
	FIXTURE_DATA(upcall) *self = arg;
	__u64 at = entry_of(self, touch);

	note(self, touch);
	if (touch->entry == EXO_UPCALL_PROTECTED)
		self->result = window_protect(self->fd, self->at, at, 1, self->mapped);
	else
		self->result = window_map(self->fd, self->at, at, 1, self->frames.out_cap,
					  frame_of(at), self->mapped);
}

static int handle(FIXTURE_DATA(upcall) * self, exo_fault_fn function, unsigned int flags)
{
	self->target = (struct exo_upcall_target){ .function = function, .arg = self };
	return window_handler(self->fd, self->at, exo_upcall_handler(flags), &self->target);
}

FIXTURE_SETUP(upcall)
{
	touches_begin();
	POOL_SETUP(&self->t);
	/* One needs root: it holds up touches by the kernel. */
	if (strcmp(_metadata->name, "the_module_stays_while_a_stack_is_fetched")) {
		ASSERT_EQ(0, become_nobody());
	}
	self->fd = self->t.fd;
	self->mapped = RW;
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
				  &self->frames));
	ASSERT_EQ(0, frames_alloc(self->fd, self->t.pool, EXO_ORDER_2M, 1, ANY_NODE, &self->large));
	self->at = window_create(self->fd, SIZE);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, handle(self, map_it, EXO_FAULT_GENERAL_REGS));
}

FIXTURE_TEARDOWN(upcall)
{
	tenant_destroy(&self->t);
}

static volatile __u64 *entry(FIXTURE_DATA(upcall) * self, __u64 i)
{
	return (volatile __u64 *)(self->at + i * PAGE);
}

/* ---- what it is ---- */

TEST_F(upcall, a_touch_goes_on_when_the_handler_has_mapped_the_entry)
{
	*entry(self, 5) = 0x1234;
	EXPECT_EQ(1, self->calls);
	EXPECT_EQ((uintptr_t)entry(self, 5), self->address);
	EXPECT_EQ(EXO_UPCALL_EMPTY, self->entry);
	EXPECT_EQ(EXO_RIGHT_WRITE, self->access);
	EXPECT_EQ(0x1234, *entry(self, 5));
	EXPECT_EQ(1, self->calls);
	/* The same frame. */
	EXPECT_EQ(0x1234, *entry(self, 5 + FRAMES));
	EXPECT_EQ(2, self->calls);
	EXPECT_EQ(EXO_RIGHT_READ, self->access);
	/* The address is what was touched, not its page. */
	EXPECT_EQ(0, *(volatile unsigned char *)(self->at + 7 * PAGE + 123));
	EXPECT_EQ((uintptr_t)self->at + 7 * PAGE + 123, self->address);
}

TEST_F(upcall, the_handler_is_told_why)
{
	__u32 child;

	ASSERT_EQ(0, window_map(self->fd, self->at, 1, 1, self->frames.out_cap, 0, NONE));
	EXPECT_EQ(0, *entry(self, 1));
	EXPECT_EQ(EXO_UPCALL_PROTECTED, self->entry);
	EXPECT_EQ(EXO_RIGHT_READ, self->access);
	/* Present, and then not to be written. */
	ASSERT_EQ(0, window_protect(self->fd, self->at, 1, 1, R));
	EXPECT_EQ(0, *entry(self, 1));
	EXPECT_EQ(1, self->calls);
	*entry(self, 1) = 1;
	EXPECT_EQ(2, self->calls);
	EXPECT_EQ(EXO_UPCALL_PROTECTED, self->entry);
	EXPECT_EQ(EXO_RIGHT_WRITE, self->access);
	EXPECT_EQ(1, *entry(self, 1));
	/* Taken, once. */
	ASSERT_EQ(0, derive(self->fd, self->frames.out_cap, RW, EXO_SESSION_SELF, 0, 0, &child));
	ASSERT_EQ(0, window_map(self->fd, self->at, 2, 1, child, 0, RW));
	ASSERT_EQ(0, drop(self->fd, child));
	EXPECT_EQ(0, *entry(self, 2));
	EXPECT_EQ(EXO_UPCALL_TAKEN, self->entry);
	ASSERT_EQ(0, window_unmap(self->fd, self->at, 2, 1));
	EXPECT_EQ(1, *entry(self, 2 + FRAMES - 2));
	EXPECT_EQ(EXO_UPCALL_EMPTY, self->entry);
}

static void map_large(void *arg, struct exo_upcall *touch)
{
	FIXTURE_DATA(upcall) *self = arg;
	__u64 at = entry_of(self, touch) / LARGE * LARGE;

	note(self, touch);
	if (touch->entry == EXO_UPCALL_PROTECTED)
		self->result = window_protect(self->fd, self->at, at, LARGE, self->mapped);
	else
		self->result = window_map_large(self->fd, self->at, at, LARGE, self->large.out_cap,
						0, self->mapped);
}

TEST_F(upcall, so_it_is_with_entries_of_2_MiB)
{
	ASSERT_EQ(0, handle(self, map_large, EXO_FAULT_GENERAL_REGS));
	*entry(self, LARGE + 100) = 7;
	EXPECT_EQ(1, self->calls);
	EXPECT_EQ(0, self->result);
	EXPECT_EQ(7, *entry(self, 3 * LARGE + 100));
	EXPECT_EQ(2, self->calls);
	ASSERT_EQ(0, window_protect(self->fd, self->at, LARGE, LARGE, R));
	EXPECT_EQ(7, *entry(self, LARGE + 100));
	EXPECT_EQ(2, self->calls);
	*entry(self, LARGE + 101) = 8;
	EXPECT_EQ(3, self->calls);
	EXPECT_EQ(EXO_UPCALL_PROTECTED, self->entry);
	EXPECT_EQ(EXO_RIGHT_WRITE, self->access);
}

TEST_F(upcall, without_a_handler_it_is_a_signal_again)
{
	__u64 value;

	ASSERT_EQ(0, window_handler(self->fd, self->at, 0, NULL));
	EXPECT_EQ(SIGBUS, peek(entry(self, 0), &value));
	EXPECT_EQ(0, self->calls);
	ASSERT_EQ(0, handle(self, map_it, EXO_FAULT_GENERAL_REGS));
	EXPECT_EQ(0, peek(entry(self, 0), &value));
	EXPECT_EQ(1, self->calls);
}

TEST_F(upcall, what_is_not_a_handler_is_refused)
{
	const __u32 at = offsetof(struct exo_window_handler, handler);
	const __u32 window = offsetof(struct exo_window_handler, window);

	/* The last page below the kernel's half is nobody's, also with five levels of page tables. */
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, at, (1ull << 56) - PAGE,
		       window_handler(self->fd, self->at, (1ull << 56) - PAGE, NULL));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, at, 1ull << 63,
		       window_handler(self->fd, self->at, 1ull << 63, NULL));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, at, ~0ull,
		       window_handler(self->fd, self->at, ~0ull, NULL));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_WINDOW, window, (uintptr_t)self->at + PAGE,
		       window_handler(self->fd, self->at + PAGE, 0, NULL));
	EXPECT_EQ(-1, ioctl(self->fd, EXO_WINDOW_HANDLER, NULL));
	EXPECT_EQ(EFAULT, errno);
	/* The old one is in force. */
	EXPECT_EQ(0, *entry(self, 0));
	EXPECT_EQ(1, self->calls);
}

/* ---- what the code keeps ---- */

static void registers_fill(struct registers *r)
{
	unsigned char *byte = (unsigned char *)r;
	unsigned int i;

	for (i = 0; i < sizeof(*r); i++)
		byte[i] = i * 7 + 3;
	r->general[0] = 0x1122334455667700ull | VALUE;
	r->flags =
		0xcd7; /* overflow, direction, sign, zero, adjust, parity, carry; and IF, always on */
	r->flags = (r->flags & ~0x300ull) | 0x202;
}

static void expect_kept(struct __test_metadata *_metadata, const struct registers *in,
			const struct registers *out, bool vectors)
{
	unsigned int i;

	for (i = 0; i < 13; i++) {
		EXPECT_EQ(in->general[i], out->general[i])
		{
			TH_LOG("register %u", i);
		}
	}
	EXPECT_EQ(in->flags, out->flags);
	EXPECT_EQ(0, memcmp(in->red_zone, out->red_zone, sizeof(in->red_zone)));
	EXPECT_TRUE(!vectors || !memcmp(in->vector, out->vector, sizeof(in->vector)));
}

/* Leaves nothing as it was that a function may change. */
static void spoil(void *arg, struct exo_upcall *touch)
{
	volatile long double third = 1.0L / 3;
	volatile float zero = 0;
	__u64 flags;

	asm volatile("pushf\n pop %0" : "=r"(flags));
	map_it(arg, touch);
	/* The ABI wants it clear; and an x87 stack that is empty, and no exceptions. */
	if (flags & 0x400 || third * 3 != 1 || !(1 / zero > 1))
		((FIXTURE_DATA(upcall) *)arg)->result = -EINVAL;
	asm volatile("fldpi\n"
		     "vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n"
		     "vmovdqa %%ymm0, %%ymm1\n vmovdqa %%ymm0, %%ymm2\n vmovdqa %%ymm0, %%ymm3\n"
		     "vmovdqa %%ymm0, %%ymm4\n vmovdqa %%ymm0, %%ymm5\n vmovdqa %%ymm0, %%ymm6\n"
		     "vmovdqa %%ymm0, %%ymm7\n vmovdqa %%ymm0, %%ymm8\n vmovdqa %%ymm0, %%ymm9\n"
		     "vmovdqa %%ymm0, %%ymm10\n vmovdqa %%ymm0, %%ymm11\n vmovdqa %%ymm0, %%ymm12\n"
		     "vmovdqa %%ymm0, %%ymm13\n vmovdqa %%ymm0, %%ymm14\n vmovdqa %%ymm0, %%ymm15\n"
		     "xor %%eax, %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n xor %%esi, %%esi\n"
		     "xor %%edi, %%edi\n xor %%r8, %%r8\n xor %%r9, %%r9\n xor %%r10, %%r10\n"
		     "xor %%r11, %%r11\n" ::
			     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc",
			       "memory");
}

TEST_F(upcall, registers_flags_and_red_zone_are_kept)
{
	struct registers in, out = { 0 };

	registers_fill(&in);
	touch_with_registers(&in, &out, (void *)entry(self, 3), NULL, 0);
	EXPECT_EQ(1, self->calls);
	expect_kept(_metadata, &in, &out, false);
	EXPECT_EQ(VALUE, *entry(self, 3));
}

/* With a full x87 stack and unmasked exceptions, which the handler must not have. */
TEST_F(upcall, so_are_vector_and_x87_registers_if_the_handler_uses_them)
{
	const unsigned int mxcsr_in = 0x1f80 & ~0x200u, mxcsr_usual = 0x1f80;
	struct registers in, out = { 0 };
	unsigned short x87_before, x87;
	double kept[8] = { 0 };
	unsigned int mxcsr, i;

	if (!__builtin_cpu_supports("avx2"))
		SKIP(return, "this processor has no AVX2");
	ASSERT_EQ(0, handle(self, spoil, 0));
	registers_fill(&in);
	asm volatile("fninit\n fld1\n fldpi\n fldl2e\n fldl2t\n fldlg2\n fldln2\n fld1\n fldpi\n"
		     "fnstsw %0\n"
		     "ldmxcsr %1\n"
		     : "=m"(x87_before)
		     : "m"(mxcsr_in));
	touch_with_registers(&in, &out, (void *)entry(self, 3), NULL, 1);
	asm volatile("fnstsw %0\n"
		     "stmxcsr %1\n"
		     "ldmxcsr %3\n"
		     "fstpl 0+%2\n fstpl 8+%2\n fstpl 16+%2\n fstpl 24+%2\n"
		     "fstpl 32+%2\n fstpl 40+%2\n fstpl 48+%2\n fstpl 56+%2\n"
		     "fninit\n"
		     : "=m"(x87), "=m"(mxcsr), "=m"(kept)
		     : "m"(mxcsr_usual));
	EXPECT_EQ(1, self->calls);
	EXPECT_EQ(0, self->result);
	expect_kept(_metadata, &in, &out, true);
	EXPECT_EQ(x87_before, x87);
	EXPECT_EQ(mxcsr_in, mxcsr & ~0x3fu);
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(kept[i * 6] > 3.14 && kept[i * 6] < 3.15);
		EXPECT_TRUE(kept[i * 6 + 1] == 1);
	}
	EXPECT_EQ(VALUE, *entry(self, 3));
}

/* ---- nesting, leaving ---- */

static void touch_next(void *arg, struct exo_upcall *touch)
{
	FIXTURE_DATA(upcall) *self = arg;
	__u64 at = entry_of(self, touch);

	if (at + 1 < FRAMES)
		self->result = *entry(self, at + 1) == 0xbad;
	map_it(arg, touch);
}

TEST_F(upcall, handlers_nest)
{
	unsigned int i;

	ASSERT_EQ(0, handle(self, touch_next, 0));
	*entry(self, 0) = 1;
	EXPECT_EQ(FRAMES, self->calls);
	for (i = 0; i < FRAMES; i++) {
		EXPECT_EQ(!i, *entry(self, i));
	}
	EXPECT_EQ(FRAMES, self->calls);
}

static void leave(void *arg, struct exo_upcall *touch)
{
	FIXTURE_DATA(upcall) *self = arg;

	note(self, touch);
	siglongjmp(self->leave, 1);
}

TEST_F(upcall, a_handler_need_not_return)
{
	volatile unsigned int i;

	ASSERT_EQ(0, handle(self, leave, 0));
	for (i = 0; i < 10000; i++) {
		if (!sigsetjmp(self->leave, 0)) {
			*entry(self, i % ENTRIES) = 1;
			ASSERT_TRUE(false);
		}
	}
	EXPECT_EQ(10000, self->calls);
}

/* Again and again, until it is allowed. */
static void once_more(void *arg, struct exo_upcall *touch)
{
	FIXTURE_DATA(upcall) *self = arg;

	if (self->calls < 100)
		note(self, touch);
	else
		map_it(arg, touch);
}

static void step_over(void *arg, struct exo_upcall *touch)
{
	FIXTURE_DATA(upcall) *self = arg;

	note(self, touch);
	touch->ip += 3; /* movb %al, (%r14) */
}

TEST_F(upcall, the_handler_says_where_the_code_goes_on)
{
	struct registers in, out;

	ASSERT_EQ(0, handle(self, step_over, EXO_FAULT_GENERAL_REGS));
	registers_fill(&in);
	touch_with_registers(&in, &out, (void *)entry(self, 3), NULL, 0);
	EXPECT_EQ(1, self->calls);
	EXPECT_EQ((uintptr_t)touch_with_registers_here, self->ip);
	expect_kept(_metadata, &in, &out, false);
	ASSERT_EQ(0, handle(self, map_it, EXO_FAULT_GENERAL_REGS));
	EXPECT_EQ(0, *entry(self, 3));
}

TEST_F(upcall, a_touch_that_is_not_allowed_yet_comes_back)
{
	ASSERT_EQ(0, handle(self, once_more, EXO_FAULT_GENERAL_REGS));
	*entry(self, 0) = 1;
	EXPECT_EQ(101, self->calls);
}

/* ---- who touches ---- */

TEST_F(upcall, the_kernel_gets_an_errno)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int pipes[2];

	ASSERT_LE(0, zero);
	EXPECT_EQ(-1, read(zero, (void *)entry(self, 0), 8));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-1, write(pipes[1], (void *)entry(self, 0), 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, self->calls);
	close(pipes[0]);
	close(pipes[1]);
	close(zero);
}

static void *touch_some(void *arg)
{
	FIXTURE_DATA(upcall) *self = arg;
	struct registers in, out;
	long wrong = 0;
	unsigned int i;

	registers_fill(&in);
	for (i = 0; i < 2000; i++) {
		__u64 at = random_u32() % ENTRIES;

		touch_with_registers(&in, &out, (void *)entry(self, at), NULL, 0);
		wrong += memcmp(in.general, out.general, 13 * 8) || in.flags != out.flags;
		if (window_unmap(self->fd, self->at, random_u32() % (ENTRIES - FRAMES), FRAMES))
			wrong++;
	}
	return (void *)wrong;
}

TEST_F(upcall, threads_that_begin_later_have_it_and_are_independent)
{
	pthread_t threads[3];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, touch_some, self));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		void *wrong;

		ASSERT_EQ(0, pthread_join(threads[i], &wrong));
		EXPECT_EQ(NULL, wrong);
	}
	EXPECT_LT(100, self->calls);
	EXPECT_EQ(0, self->result);
}

TEST_F(upcall, a_forked_child_has_neither_window_nor_handler)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		__u64 value;

		_exit(peek(entry(self, 0), &value) == SIGSEGV && !self->calls ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* mov (%rbx), %eax, as 32-bit code, entered by a far return. */
TEST_F(upcall, code_of_32_bits_gets_the_signal)
{
	static const unsigned char code[] = { 0x8b, 0x03, 0xf4 };
	const int prot = PROT_READ | PROT_WRITE;
	char *low = mmap(NULL, 16 * PAGE, prot | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			 -1, 0);
	char *window =
		mmap(NULL, PAGE, prot, MAP_SHARED | MAP_32BIT, self->fd, (off_t)EXO_WINDOW_OFFSET);
	stack_t stack = { .ss_sp = malloc(SIGSTKSZ * 4), .ss_size = SIGSTKSZ * 4 };
	struct sigaction action = { .sa_handler = refused, .sa_flags = SA_ONSTACK };
	int signal;

	ASSERT_NE(MAP_FAILED, low);
	ASSERT_NE(MAP_FAILED, window);
	ASSERT_EQ(0, sigaltstack(&stack, NULL));
	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	ASSERT_EQ(0, sigaction(SIGSEGV, &action, NULL));
	memcpy(low, code, sizeof(code));
	ASSERT_EQ(0, window_handler(self->fd, window, exo_upcall_handler(1), &self->target));
	may_be_refused = 1;
	signal = sigsetjmp(refused_here, 1);
	if (!signal)
		asm volatile("mov %0, %%rsp\n"
			     "pushq $0x23\n"
			     "pushq %1\n"
			     "lretq\n" ::"r"(low + 8 * PAGE),
			     "r"((__u64)(uintptr_t)low), "b"(window)
			     : "memory");
	may_be_refused = 0;
	if (signal == SIGSEGV)
		SKIP(return, "this kernel runs no 32-bit code");
	EXPECT_EQ(SIGBUS, signal);
	EXPECT_EQ(0, self->calls);
}

/* ---- the stack ---- */

#define STACK (16 * PAGE)

static char *stack_create(void)
{
	return mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Only what touch_with_registers() pushes and the red zone are there, at the end of a page. */
TEST_F(upcall, a_stack_that_is_not_there_is_fetched)
{
	char *stack = stack_create();
	struct registers in, out;
	unsigned int i;

	ASSERT_NE(MAP_FAILED, stack);
	registers_fill(&in);
	ASSERT_EQ(0, window_map(self->fd, self->at, 1, 1, self->frames.out_cap, 1, R));
	ASSERT_EQ(0, *entry(self, 1));
	ASSERT_EQ(0, window_map_large(self->fd, self->at, LARGE, LARGE, self->large.out_cap, 0, R));
	ASSERT_EQ(0, *entry(self, LARGE));
	/* Empty, protected, and protected of 2 MiB. */
	for (i = 0; i < 3; i++) {
		__u64 at = (__u64[]){ 0, 1, LARGE }[i];

		ASSERT_EQ(0, madvise(stack, STACK, MADV_DONTNEED));
		ASSERT_EQ(0, handle(self, i == 2 ? map_large : map_it, EXO_FAULT_GENERAL_REGS));
		touch_with_registers(&in, &out, (void *)entry(self, at),
				     stack + 8 * PAGE + RED_ZONE + 24, 0);
		EXPECT_EQ(i + 1, self->calls);
		EXPECT_EQ(0, self->result);
		expect_kept(_metadata, &in, &out, false);
	}
}

TEST_F(upcall, a_stack_that_cannot_be_written_is_a_signal)
{
	struct sigaction action = { .sa_handler = refused, .sa_flags = SA_ONSTACK };
	stack_t other = { .ss_sp = malloc(SIGSTKSZ * 4), .ss_size = SIGSTKSZ * 4 };
	char *const volatile stack = stack_create();
	struct registers in, out;
	volatile unsigned int i;

	ASSERT_NE(MAP_FAILED, stack);
	ASSERT_EQ(0, sigaltstack(&other, NULL));
	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	registers_fill(&in);
	ASSERT_EQ(0, mprotect(stack, 8 * PAGE, PROT_READ));
	for (i = 0; i < 3; i++) {
		int signal = sigsetjmp(refused_here, 1);

		/* Nothing is there; in the second turn it may not be written; or it is a window. */
		char *at = i == 2 ? self->at + 9 * PAGE : stack + 8 * PAGE;

		if (i == 2) {
			ASSERT_EQ(0, window_map(self->fd, self->at, 9, 1, self->frames.out_cap, 9,
						RW));
		}
		if (!i) {
			ASSERT_EQ(0, munmap(stack, 8 * PAGE));
		}
		may_be_refused = 1;
		if (!signal)
			touch_with_registers(&in, &out, (void *)entry(self, 1), at + RED_ZONE + 24,
					     0);
		may_be_refused = 0;
		EXPECT_EQ(SIGBUS, signal);
		EXPECT_EQ(0, self->calls);
	}
}

/* The kernel's half, between the halves, and where the frame would begin below 0. */
TEST_F(upcall, nor_can_one_that_is_nowhere_be)
{
	static const __u64 nowhere[] = { 1ull << 63, 1ull << 56, ~0ull - 7, 8, 0 };
	struct sigaction action = { .sa_handler = refused, .sa_flags = SA_ONSTACK };
	stack_t other = { .ss_sp = malloc(SIGSTKSZ * 4), .ss_size = SIGSTKSZ * 4 };
	volatile unsigned int i;

	ASSERT_EQ(0, sigaltstack(&other, NULL));
	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	for (i = 0; i < ARRAY_SIZE(nowhere); i++) {
		int signal = sigsetjmp(refused_here, 1);

		may_be_refused = 1;
		if (!signal)
			asm volatile("mov %0, %%rsp\n"
				     "movb $1, (%1)\n" ::"r"(nowhere[i]),
				     "r"(self->at)
				     : "memory");
		may_be_refused = 0;
		EXPECT_EQ(SIGBUS, signal);
		EXPECT_EQ(0, self->calls);
	}
}

/* ---- the module ---- */

struct held {
	FIXTURE_DATA(upcall) * self;
	char *stack;
};

static void *touch_with_held_stack(void *arg)
{
	struct held *held = arg;
	struct registers in, out;

	registers_fill(&in);
	may_be_refused = 1;
	/* When it goes on, there is no window any more. */
	if (!sigsetjmp(refused_here, 1))
		touch_with_registers(&in, &out, held->self->at,
				     held->stack + 8 * PAGE + RED_ZONE + 24, 0);
	may_be_refused = 0;
	return NULL;
}

static int module_uses(void)
{
	char text[16];

	return read_file("/sys/module/exo/refcnt", text, sizeof(text)) ? -1 : atoi(text);
}

/* A stack that userfaultfd does not give: the thread is in the module's code, and only there. */
TEST_F(upcall, the_module_stays_while_a_stack_is_fetched)
{
	struct sigaction action = { .sa_handler = refused, .sa_flags = SA_ONSTACK };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { 0 };
	struct held held = { self, stack_create() };
	struct uffd_msg message;
	pthread_t thread;
	int uffd, status;
	pid_t pid;

	/* In a child, which may hang: this one only waits. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid) {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
			SKIP(return, "userfaultfd may not be used for the kernel's touches");
		EXPECT_EQ(0, status);
		return;
	}
	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (uffd < 0)
		_exit(4);
	range.range = (struct uffdio_range){ (uintptr_t)held.stack + 7 * PAGE, PAGE };
	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range))
		_exit(2);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	*(volatile char *)(held.stack + 8 * PAGE) = 1;
	self->at = window_create(self->fd, SIZE);
	if (self->at == MAP_FAILED || handle(self, map_it, 0) ||
	    pthread_create(&thread, NULL, touch_with_held_stack, &held) ||
	    read(uffd, &message, sizeof(message)) != sizeof(message))
		_exit(3);
	status = module_uses();
	munmap(self->at, SIZE);
	if (module_uses() < status)
		_exit(5);
	zero.range = range.range;
	if (ioctl(uffd, UFFDIO_ZEROPAGE, &zero))
		_exit(6);
	pthread_join(thread, NULL);
	_exit(module_uses() < status ? 0 : 7);
}

/* ---- debuggers and signals ---- */

static FIXTURE_DATA(upcall) * in_signal;
static volatile unsigned int signals;

/* Touches an empty entry of its own, far from the others'. */
static void on_signal(int signal)
{
	const unsigned int n = signals++;

	(void)signal;
	*entry(in_signal, 2048 + n % 1024) = 1;
}

/* The child of the tests below: touches, each time between two stops, until it has done all. */
static void touch_and_stop(FIXTURE_DATA(upcall) * self, unsigned int times)
{
	struct registers in, out;
	unsigned int i;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	self->at = window_create(self->fd, SIZE);
	in_signal = self;
	signal(SIGUSR1, on_signal);
	if (self->at == MAP_FAILED || handle(self, map_it, EXO_FAULT_GENERAL_REGS))
		_exit(2);
	registers_fill(&in);
	for (i = 0; i < times; i++) {
		raise(SIGSTOP);
		touch_with_registers(&in, &out, (void *)entry(self, i % 1024), NULL, 0);
		if (memcmp(in.general, out.general, 13 * 8) || in.flags != out.flags ||
		    memcmp(in.red_zone, out.red_zone, sizeof(in.red_zone)))
			_exit(3);
		/* Its frame may have been another entry's. */
		if ((unsigned char)*entry(self, i % 1024) != VALUE || self->result)
			_exit(4);
	}
	_exit(self->calls == times + signals ? 0 : 5);
}

static __u64 ip_of(pid_t pid)
{
	return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL);
}

/* One instruction, with a signal or 0. False: it stopped for another reason, or ended. */
static bool step(pid_t pid, int signal, int *status)
{
	ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(long)signal);
	return waitpid(pid, status, 0) == pid && WIFSTOPPED(*status) &&
	       WSTOPSIG(*status) == SIGTRAP;
}

static bool is_in_handler(__u64 ip)
{
	const __u64 begin = exo_upcall_handler(EXO_FAULT_GENERAL_REGS);

	return ip >= begin && ip < begin + 128;
}

static long flags_of(pid_t pid)
{
	return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, eflags), NULL);
}

/* Goes on, with the signal or 0. After a step over popf the kernel leaves the trap flag to us. */
static void let_go(pid_t pid, int signal)
{
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, eflags),
	       (void *)(flags_of(pid) & ~0x100l));
	ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal);
}

/* To that instruction, by a breakpoint. */
static bool go_to(pid_t pid, void *here, int *status)
{
	const long text = ptrace(PTRACE_PEEKTEXT, pid, here, NULL);
	bool there;

	ptrace(PTRACE_POKETEXT, pid, here, (void *)((text & ~0xffl) | 0xcc));
	let_go(pid, 0);
	there = waitpid(pid, status, 0) == pid && WIFSTOPPED(*status) &&
		WSTOPSIG(*status) == SIGTRAP;
	ptrace(PTRACE_POKETEXT, pid, here, (void *)text);
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rip), here);
	return there;
}

/* To instruction @n of the handler; -1: it has fewer; 0: it is there. */
static int step_into_handler(pid_t pid, unsigned int n, int *status)
{
	if (!go_to(pid, (void *)(uintptr_t)exo_upcall_handler(EXO_FAULT_GENERAL_REGS), status))
		return -2;
	for (;;) {
		__u64 ip = ip_of(pid);

		if (is_in_handler(ip) && !n--)
			return 0;
		if (ip == (uintptr_t)touch_with_registers_here)
			return -1;
		if (!step(pid, 0, status))
			return -2;
	}
}

#define TOUCHES 100u /* more than there are instructions in the handler */

static void steps(struct __test_metadata *_metadata, FIXTURE_DATA(upcall) * self, int signal)
{
	unsigned int n, visited = 0;
	int status, where = 0;
	pid_t pid = fork();

	if (!pid)
		touch_and_stop(self, TOUCHES);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	for (n = 0; n < TOUCHES; n++) {
		ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
		{
			TH_LOG("status %#x at touch %u, ip %#llx of %#llx, flags %#lx", status, n,
			       ip_of(pid), exo_upcall_handler(EXO_FAULT_GENERAL_REGS),
			       flags_of(pid));
		}
		if (where != -1) {
			where = step_into_handler(pid, n, &status);
			ASSERT_NE(-2, where);
			visited += !where;
		}
		/* The signal comes before the instruction that it has come to. */
		let_go(pid, where ? 0 : signal);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	}
	EXPECT_EQ(0, status)
	{
		TH_LOG("it ended with status %#x", status);
	}
	/* The whole of it, and it was left. */
	TH_LOG("%u instructions", visited);
	EXPECT_LT(20, visited);
	EXPECT_EQ(-1, where);
	EXPECT_GT(TOUCHES, visited);
}

TEST_F(upcall, a_debugger_steps_through_the_handler_and_lets_go_anywhere)
{
	steps(_metadata, self, 0);
}

TEST_F(upcall, a_signal_may_come_at_every_instruction_of_the_handler)
{
	steps(_metadata, self, SIGUSR1);
}

/* ---- restartable sequences ---- */

static void sleep_and_map(void *arg, struct exo_upcall *touch)
{
	usleep(1000);
	map_it(arg, touch);
}

TEST_F(upcall, a_restartable_sequence_is_over_and_not_aborted)
{
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	volatile __u64 *at = entry(self, 0);
	__u64 ended = 0;

	if (!__rseq_size)
		SKIP(return, "the C library has registered none");
	ASSERT_EQ(0, handle(self, sleep_and_map, 0));
	asm volatile(".pushsection .data, \"aw\"\n"
		     ".balign 32\n"
		     "9: .long 0, 0\n"
		     ".quad 1f, 2f - 1f, 4f\n"
		     ".popsection\n"
		     "leaq 9b(%%rip), %%rax\n"
		     "movq %%rax, %1\n"
		     "1: movq $1, (%2)\n"
		     "nop\n"
		     "2: movq $1, %0\n"
		     "jmp 3f\n"
		     ".byte 0x0f, 0xb9, 0x3d\n"
		     ".long 0x53053053\n"
		     "4: movq $2, %0\n"
		     "3:\n"
		     : "=&r"(ended), "=m"(area->rseq_cs)
		     : "r"(at)
		     : "rax", "memory");
	EXPECT_EQ(1, ended);
	EXPECT_EQ(0, area->rseq_cs);
	EXPECT_EQ(1, self->calls);
	EXPECT_EQ(1, *at);
}

#else

/* The addresses are code, none, and none of a program's. */
TEST(on_this_architecture_each_is_refused_and_a_touch_is_a_signal)
{
	const uintptr_t handlers[] = { (uintptr_t)refused, 0, 1 };
	int fd = session_open();
	struct exo_info features;
	unsigned int i;
	__u64 value;
	char *at;

	touches_begin();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, info(fd, &features));
	EXPECT_FALSE(features.out_features & EXO_FEATURE_UPCALL);
	at = window_create(fd, PAGE);
	ASSERT_NE(MAP_FAILED, at);
	for (i = 0; i < 3; i++)
		EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_UPCALL, 0, 0,
			       window_handler(fd, at, handlers[i], NULL));
	EXPECT_EQ(SIGBUS, peek(at, &value));
	close(fd);
}

#endif

TEST_HARNESS_MAIN
