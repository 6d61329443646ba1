// SPDX-License-Identifier: MIT
/*
 * The rules that hold for every command: sizes, flags, reserved fields, bad
 * addresses, the detail, and numbers that are no command.
 */
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <pthread.h>
#include <setjmp.h>
#include <kselftest_harness.h>

#include "lib.h"

#define SLACK 64
#define KERNEL_ADDRESS 0xffffffff81000000ull
#define NON_CANONICAL 0x0123456789abcdefull

/* ---- every command ---- */

FIXTURE(command)
{
	int fd;
	const struct command *command;
	int base; /* what an argument full of zeroes yields in an empty session */
	__u64 arg[128];
};

FIXTURE_VARIANT(command)
{
	unsigned int cmd;
};

#define VARIANT(name)                      \
	FIXTURE_VARIANT_ADD(command, name) \
	{                                  \
		.cmd = EXO_##name          \
	}

VARIANT(INFO);
VARIANT(CLAIM);
VARIANT(CAP_DERIVE);
VARIANT(CAP_QUERY);
VARIANT(CAP_LIST);
VARIANT(CAP_DROP);
VARIANT(POOL_CREATE);
VARIANT(POOL_QUERY);
VARIANT(FRAMES_ALLOC);
VARIANT(FRAMES_NAMES);
VARIANT(FRAMES_EXPORT);
VARIANT(MEM_ADOPT);
VARIANT(CONTROLLER_CREATE);
VARIANT(CONTROLLER_QUERY);
VARIANT(NAMESPACE_QUERY);
VARIANT(EXTENT_CREATE);
VARIANT(IDENTIFY);
VARIANT(LOG);
VARIANT(DMA_ATTACH);
VARIANT(DMA_DETACH);
VARIANT(QUEUE_CREATE);
VARIANT(QUEUE_QUERY);
VARIANT(QUEUE_ATTACH);
VARIANT(QUEUE_DETACH);
VARIANT(QUEUE_SUBMIT);
VARIANT(QUEUE_EVENTFD);
VARIANT(REVOKE);
VARIANT(CAP_TAKEN);
VARIANT(TREE_LIST);
VARIANT(WAIT);
VARIANT(EVENTS_CREATE);
VARIANT(WINDOW_SET);
VARIANT(WINDOW_DIRTY);
VARIANT(WINDOW_HANDLER);
VARIANT(TOKEN_CREATE);
VARIANT(TOKEN_REDEEM);
VARIANT(TOKEN_CANCEL);

static __u32 *arg_size(void *arg)
{
	return arg;
}

static __u32 *arg_flags(void *arg)
{
	return (__u32 *)arg + 1;
}

static __u64 *arg_detail(void *arg)
{
	return (__u64 *)arg + 1;
}

static int call_zeroes(FIXTURE_DATA(command) * self, __u32 size)
{
	memset(self->arg, 0, sizeof(self->arg));
	*arg_size(self->arg) = size;
	return call_raw(self->fd, self->command->cmd, self->arg);
}

static bool has_exports(int fd)
{
	struct exo_info i;

	return !info(fd, &i) && (i.out_features & EXO_FEATURE_EXPORT);
}

FIXTURE_SETUP(command)
{
	unsigned int i;

	self->fd = session_open();
	ASSERT_LE(0, self->fd);
	for (i = 0; i < commands_count; i++)
		if (commands[i].cmd == variant->cmd)
			self->command = &commands[i];
	ASSERT_NE(NULL, self->command);
	ASSERT_EQ(0, become_nobody());
	self->base = call_zeroes(self, self->command->size);
	if (variant->cmd == EXO_FRAMES_EXPORT && !has_exports(self->fd)) {
		ASSERT_EQ(-ENOTTY, self->base);
		SKIP(return, "this kernel has nothing to export to");
	}
	if (variant->cmd == EXO_INFO || variant->cmd == EXO_WAIT) {
		ASSERT_EQ(0, self->base);
	} else if (variant->cmd == EXO_CLAIM) {
		ASSERT_EQ(-EPERM, self->base);
	} else if (variant->cmd == EXO_CAP_LIST || variant->cmd == EXO_EVENTS_CREATE) {
		ASSERT_EQ(-EINVAL, self->base);
	} else if (variant->cmd == EXO_CAP_DERIVE) {
		ASSERT_EQ(-EBADF, self->base); /* 0 is not a session */
	} else {
		ASSERT_EQ(-ENOENT, self->base);
	}
}

FIXTURE_TEARDOWN(command)
{
	close(self->fd);
}

TEST_F(command, a_smaller_size_is_refused)
{
	__u32 size, known = self->command->size;

	for (size = 0; size < known; size++) {
		ASSERT_EQ(-EINVAL, call_zeroes(self, size))
		{
			TH_LOG("size %u", size);
		}
		/* Below 16 the argument has no detail field. */
		if (size < 16) {
			ASSERT_EQ(0, last.reason);
			continue;
		}
		ASSERT_EQ(EXO_REASON_SIZE, last.reason);
		ASSERT_EQ(size, last.value);
		ASSERT_EQ(known, last.limit);
	}
}

TEST_F(command, a_larger_size_is_accepted_while_the_rest_is_zero)
{
	__u32 size, known = self->command->size;

	for (size = known; size <= known + SLACK; size++) {
		ASSERT_EQ(self->base, call_zeroes(self, size))
		{
			TH_LOG("size %u", size);
		}
	}
}

TEST_F(command, trailing_garbage_is_refused_wherever_it_lies)
{
	__u32 at, known = self->command->size;

	for (at = known; at < known + SLACK; at++) {
		memset(self->arg, 0, sizeof(self->arg));
		*arg_size(self->arg) = known + SLACK;
		((char *)self->arg)[at] = 1;
		ASSERT_EQ(-E2BIG, call_raw(self->fd, self->command->cmd, self->arg))
		{
			TH_LOG("byte %u", at);
		}
		ASSERT_EQ(EXO_REASON_SIZE, last.reason);
		ASSERT_EQ(known + SLACK, last.value);
		ASSERT_EQ(known, last.limit);
	}
}

TEST_F(command, a_size_without_end_is_refused)
{
	static const __u32 sizes[] = { 1u << 31, 0xffffffff, 0x80000000 | 96 };
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ret = call_zeroes(self, sizes[i]);
		EXPECT_TRUE(ret == -E2BIG || ret == -EFAULT);
	}
}

TEST_F(command, an_unknown_flag_is_refused)
{
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (self->command->flags & (1u << bit))
			continue;
		memset(self->arg, 0, sizeof(self->arg));
		*arg_size(self->arg) = self->command->size;
		*arg_flags(self->arg) = 1u << bit | self->command->flags;
		EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_FLAGS, 4, 1u << bit,
			       call_raw(self->fd, self->command->cmd, self->arg));
	}
}

TEST_F(command, a_reserved_field_must_be_zero)
{
	__u32 at = self->command->reserved;
	int bit;

	/* Not every command has one. */
	if (!at)
		return;
	for (bit = 0; bit < 32; bit++) {
		memset(self->arg, 0, sizeof(self->arg));
		*arg_size(self->arg) = self->command->size;
		*(__u32 *)((char *)self->arg + at) = 1u << bit;
		EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_RESERVED, at, 1u << bit,
			       call_raw(self->fd, self->command->cmd, self->arg));
	}
}

TEST_F(command, a_bad_address_of_the_argument_is_efault)
{
	static const __u64 bad[] = { 0,		1,	    PAGE - 1,	   KERNEL_ADDRESS,   ~0ull,
				     ~0ull - 3, ~0ull - 95, NON_CANONICAL, 0x7ffffffff000ull };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-1, ioctl(self->fd, self->command->cmd, bad[i]));
		EXPECT_EQ(EFAULT, errno);
	}
}

TEST_F(command, an_argument_that_ends_at_the_end_of_memory_is_read_to_its_size_only)
{
	__u32 known = self->command->size;
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u32 *arg;

	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	arg = (__u32 *)(pages + PAGE - known);
	*arg = known;
	EXPECT_EQ(self->base, call_raw(self->fd, self->command->cmd, arg));

	/* One byte short of what it says. */
	arg = (__u32 *)(pages + PAGE - known + 8);
	memset(pages, 0, PAGE);
	*arg = known;
	EXPECT_EQ(-1, ioctl(self->fd, self->command->cmd, arg));
	EXPECT_EQ(EFAULT, errno);
	/* The trailing part, which must be zero, cannot be read either. */
	arg = (__u32 *)(pages + PAGE - known);
	memset(pages, 0, PAGE);
	*arg = known + SLACK;
	EXPECT_EQ(-1, ioctl(self->fd, self->command->cmd, arg));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(command, a_detail_that_cannot_be_written_changes_no_result)
{
	char *constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const __u64 bad[] = {
		1, KERNEL_ADDRESS, ~0ull, NON_CANONICAL, 0x7fffffffeff8ull, (uintptr_t)constant
	};
	unsigned int i;

	ASSERT_NE(MAP_FAILED, constant);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(self->arg, 0, sizeof(self->arg));
		*arg_size(self->arg) = self->command->size;
		*arg_detail(self->arg) = bad[i];
		EXPECT_EQ(self->base, call_raw(self->fd, self->command->cmd, self->arg))
		{
			TH_LOG("detail at %llx", bad[i]);
		}
	}
}

TEST_F(command, a_failed_call_leaves_its_argument_as_it_was)
{
	__u64 copy[128];

	/* EXO_INFO cannot fail. */
	if (!self->base)
		return;
	memset(self->arg, 0, sizeof(self->arg));
	*arg_size(self->arg) = self->command->size;
	*arg_detail(self->arg) = (uintptr_t)&last;
	memcpy(copy, self->arg, sizeof(copy));
	EXPECT_EQ(self->base, call_raw(self->fd, self->command->cmd, self->arg));
	EXPECT_EQ(0, memcmp(copy, self->arg, sizeof(copy)));
}

struct flipper {
	__u32 *at;
	__u32 a, b;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *flipper = arg;

	while (!__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(flipper->at, flipper->a, __ATOMIC_RELAXED);
		__atomic_store_n(flipper->at, flipper->b, __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST_F(command, a_size_that_changes_during_the_call_is_read_once)
{
	__u32 known = self->command->size;
	struct flipper flipper = { .at = arg_size(self->arg), .a = known, .b = known + SLACK };
	__u64 end = now_ms() + 60;
	char *after = (char *)self->arg + known;
	pthread_t thread;

	memset(self->arg, 0, sizeof(self->arg));
	memset(after, 0, SLACK);
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &flipper));
	while (now_ms() < end) {
		int ret = ioctl(self->fd, self->command->cmd, self->arg) ? -errno : 0;
		int i;

		/* The flipper may not have run yet: size 0. */
		ASSERT_TRUE(ret == self->base || ret == -EINVAL);
		for (i = 0; i < SLACK; i++) {
			ASSERT_EQ(0, after[i]);
		}
	}
	__atomic_store_n(&flipper.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* ---- the detail ---- */

FIXTURE(detail)
{
	int fd;
};

FIXTURE_SETUP(detail)
{
	self->fd = session_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(detail)
{
	close(self->fd);
}

TEST_F(detail, a_successful_call_leaves_it_alone)
{
	struct exo_detail detail;
	struct exo_info arg = { .size = sizeof(arg), .detail = (uintptr_t)&detail };

	memset(&detail, 0xa5, sizeof(detail));
	EXPECT_EQ(0, ioctl(self->fd, EXO_INFO, &arg));
	EXPECT_EQ(0xa5a5a5a5, detail.reason);
	EXPECT_EQ(0xa5a5a5a5a5a5a5a5ull, detail.limit);
	EXPECT_EQ((uintptr_t)&detail, arg.detail);
}

TEST_F(detail, it_is_written_whole)
{
	struct exo_detail detail;
	struct exo_cap_drop arg = {
		.size = sizeof(arg),
		.detail = (uintptr_t)&detail,
		.cap = 77,
	};

	memset(&detail, 0xa5, sizeof(detail));
	EXPECT_EQ(-1, ioctl(self->fd, EXO_CAP_DROP, &arg));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(EXO_REASON_NO_CAP, detail.reason);
	EXPECT_EQ(offsetof(struct exo_cap_drop, cap), detail.field);
	EXPECT_EQ(0, detail.index);
	EXPECT_EQ(0, detail.__reserved);
	EXPECT_EQ(77, detail.value);
	EXPECT_EQ(0, detail.limit);
}

TEST_F(detail, it_may_lie_inside_the_argument_or_anywhere_unaligned)
{
	char room[sizeof(struct exo_detail) + 1];
	struct exo_cap_drop arg = {
		.size = sizeof(arg),
		.detail = (uintptr_t)(room + 1),
		.cap = 78,
	};
	struct exo_detail detail;

	EXPECT_EQ(-1, ioctl(self->fd, EXO_CAP_DROP, &arg));
	EXPECT_EQ(ENOENT, errno);
	memcpy(&detail, room + 1, sizeof(detail));
	EXPECT_EQ(EXO_REASON_NO_CAP, detail.reason);
	EXPECT_EQ(78, detail.value);

	arg.detail = (uintptr_t)&arg;
	EXPECT_EQ(-1, ioctl(self->fd, EXO_CAP_DROP, &arg));
	EXPECT_EQ(ENOENT, errno);
}

TEST_F(detail, it_never_says_more_than_the_kernel_put_there)
{
	/* Stack garbage in a field that a reason does not use would be a leak. */
	struct exo_cap_derive arg = {
		.size = sizeof(arg), .session_fd = EXO_SESSION_SELF, .cap = 5, .rights = 1
	};
	int i;

	for (i = 0; i < 100; i++) {
		EXPECT_EQ(-ENOENT, call(self->fd, EXO_CAP_DERIVE, &arg));
		EXPECT_EQ(0, last.index);
		EXPECT_EQ(0, last.__reserved);
		EXPECT_EQ(0, last.limit);
	}
}

/* ---- numbers that are no command ---- */

static bool known(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < commands_count; i++)
		if (commands[i].cmd == cmd)
			return true;
	return false;
}

TEST(an_unknown_command_is_enotty)
{
	int fd = session_open();
	struct exo_info arg = { .size = sizeof(arg) };
	unsigned int nr, i;

	ASSERT_LE(0, fd);
	for (nr = 0; nr < 256; nr++) {
		unsigned int cmd = _IO(EXO_IOC_MAGIC, nr);
		/* The right number with another direction, size or magic is another command. */
		const unsigned int others[] = {
			_IOC(_IOC_READ, EXO_IOC_MAGIC, nr, 0),
			_IOC(_IOC_WRITE, EXO_IOC_MAGIC, nr, 0),
			_IOC(_IOC_NONE, EXO_IOC_MAGIC, nr, 8),
			_IOC(_IOC_READ | _IOC_WRITE, EXO_IOC_MAGIC, nr, 72),
			_IOC(_IOC_NONE, EXO_IOC_MAGIC ^ 1, nr, 0),
			_IOC(_IOC_NONE, 0, nr, 0) | 0xf0000000u,
		};

		if (!known(cmd)) {
			EXPECT_EQ(-ENOTTY, call(fd, cmd, &arg));
		}
		for (i = 0; i < ARRAY_SIZE(others); i++) {
			EXPECT_EQ(-ENOTTY, call(fd, others[i], &arg))
			{
				TH_LOG("command %x", others[i]);
			}
		}
	}
	close(fd);
}

TEST(every_command_of_the_header_is_known)
{
	int fd = session_open();
	unsigned int i;

	ASSERT_LE(0, fd);
	for (i = 0; i < commands_count; i++) {
		bool there = commands[i].cmd != EXO_FRAMES_EXPORT || has_exports(fd);

		EXPECT_EQ(-1, ioctl(fd, commands[i].cmd, NULL));
		EXPECT_EQ(there ? EFAULT : ENOTTY, errno)
		{
			TH_LOG("%s", commands[i].name);
		}
	}
	close(fd);
}

TEST(info_tells_version_and_features)
{
	int fd = session_open();
	struct exo_info i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, info(fd, &i));
	EXPECT_EQ(EXO_VERSION_MAJOR, i.out_version_major);
	EXPECT_EQ(EXO_VERSION_MINOR, i.out_version_minor);
	EXPECT_TRUE(i.out_features & EXO_FEATURE_QUEUE_CHECKED);
	EXPECT_TRUE(i.out_features & EXO_FEATURE_MEM_ADOPT);
	EXPECT_EQ(0,
		  i.out_features & ~(EXO_FEATURE_FRAMES_2M | EXO_FEATURE_QUEUE_CHECKED |
				     EXO_FEATURE_MEM_ADOPT | EXO_FEATURE_QUEUE_DIRECT |
				     EXO_FEATURE_WINDOW | EXO_FEATURE_UPCALL | EXO_FEATURE_EXPORT));
	EXPECT_LT(0, i.out_frames_limit);
	EXPECT_LE(i.out_frames_used, i.out_frames_limit);
	EXPECT_LT(0, i.out_io_timeout_ms);
	EXPECT_LT(0, i.out_admin_timeout_ms);
	EXPECT_EQ(0, i.out_caps);
	close(fd);
}

#ifdef __x86_64__
static sigjmp_buf no_32_bit_env;

static void no_32_bit(int signal)
{
	siglongjmp(no_32_bit_env, signal);
}

/* ioctl is number 54 of the 32-bit table. */
static long ioctl_32_bit(int fd, unsigned int cmd, void *arg)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(54L), "b"((long)fd), "c"((long)cmd), "d"(arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

TEST(a_32_bit_program_gets_the_same_answers)
{
	struct exo_info *arg = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd = session_open();
	struct exo_info native;
	long ret;

	ASSERT_NE(MAP_FAILED, arg);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, info(fd, &native));
	arg->size = sizeof(*arg);
	/* Without 32-bit programs the instruction itself is a fault. */
	signal(SIGSEGV, no_32_bit);
	ret = sigsetjmp(no_32_bit_env, 1) ? -ENOSYS : ioctl_32_bit(fd, EXO_INFO, arg);
	signal(SIGSEGV, SIG_DFL);
	if ((int)ret == -ENOSYS)
		SKIP(return, "this kernel runs no 32-bit programs");
	EXPECT_EQ(0, (int)ret);
	EXPECT_EQ(native.out_features, arg->out_features);
	EXPECT_EQ(native.out_frames_limit, arg->out_frames_limit);
	close(fd);
}
#endif

/* ---- answers that cannot be delivered change nothing ---- */

FIXTURE(answer)
{
	struct tenant t;
	char *page; /* holds the argument, made read-only for the call */
	int before;
	__u32 caps[64];
};

FIXTURE_SETUP(answer)
{
	TENANT_SETUP(&self->t, "exo0");
	self->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
}

FIXTURE_TEARDOWN(answer)
{
	tenant_destroy(&self->t);
}

/* The kernel can read the argument but not answer: the call must fail and leave no trace. */
static int call_read_only(char *page, int fd, unsigned int cmd, const void *arg, size_t size)
{
	struct exo_info *head = (void *)page;
	int ret;

	memcpy(page, arg, size);
	head->size = (__u32)size;
	head->detail = (uintptr_t)&last;
	memset(&last, 0, sizeof(last));
	mprotect(page, PAGE, PROT_READ);
	ret = call_raw(fd, cmd, page);
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	return ret;
}

TEST_F(answer, that_cannot_be_delivered_leaves_no_capability_and_no_charge_behind)
{
	struct tenant *t = &self->t;
	struct exo_claim claim = { .type = EXO_TYPE_POOL };
	struct exo_claim claim_c = { .type = EXO_TYPE_CONTROLLER, .address = t->address };
	struct exo_cap_derive derive_p = { .cap = t->root_pool,
					   .rights = EXO_RIGHT_ALLOC,
					   .session_fd = EXO_SESSION_SELF };
	struct exo_pool_create pool = { .pool = t->root_pool,
					.rights = EXO_RIGHT_ALLOC,
					.frames = 8 };
	struct exo_frames_alloc frames = {
		.pool = t->root_pool, .order = EXO_ORDER_4K, .count = 8, .node = EXO_NODE_ANY
	};
	struct exo_controller_create controller = { .controller = t->root_controller,
						    .rights = EXO_RIGHT_QUEUE,
						    .queues = 1 };
	struct exo_extent_create extent = { .controller = t->root_controller,
					    .nsid = 1,
					    .rights = EXO_RIGHT_READ,
					    .start = EXTENT_FIRST,
					    .len = 1 };
	struct exo_queue_create queue = { .controller = t->root_controller, .depth = 8 };
	struct {
		unsigned int cmd;
		const void *arg;
		size_t size;
	} calls[] = {
		{ EXO_CLAIM, &claim, sizeof(claim) },
		{ EXO_CLAIM, &claim_c, sizeof(claim_c) },
		{ EXO_CAP_DERIVE, &derive_p, sizeof(derive_p) },
		{ EXO_POOL_CREATE, &pool, sizeof(pool) },
		{ EXO_FRAMES_ALLOC, &frames, sizeof(frames) },
		{ EXO_CONTROLLER_CREATE, &controller, sizeof(controller) },
		{ EXO_EXTENT_CREATE, &extent, sizeof(extent) },
		{ EXO_QUEUE_CREATE, &queue, sizeof(queue) },
	};
	struct exo_controller_query before, after;
	int n = list(t->grantor, self->caps, 64);
	__u64 used = frames_used(t->grantor), pool_used, pool_after;
	unsigned int i;

	ASSERT_EQ(0, pool_query(t->grantor, t->root_pool, NULL, &pool_used));
	ASSERT_EQ(0, controller_query(t->grantor, t->root_controller, &before));
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(-EFAULT, call_read_only(self->page, t->grantor, calls[i].cmd,
						  calls[i].arg, calls[i].size))
		{
			TH_LOG("call %u of the list", i);
		}
		EXPECT_EQ(n, list(t->grantor, self->caps, 64));
	}
	EXPECT_EQ(used, frames_used(t->grantor));
	ASSERT_EQ(0, pool_query(t->grantor, t->root_pool, NULL, &pool_after));
	EXPECT_EQ(pool_used, pool_after);
	ASSERT_EQ(0, controller_query(t->grantor, t->root_controller, &after));
	EXPECT_EQ(before.out_queues_used, after.out_queues_used);
}

TEST_F(answer, to_a_query_that_cannot_be_delivered_is_efault)
{
	struct tenant *t = &self->t;
	struct exo_info i = { 0 };
	struct exo_cap_query cap = { .cap = t->root_pool };
	struct exo_cap_list caps = { .count = 64, .caps = (uintptr_t)self->caps };
	struct exo_pool_query pool = { .pool = t->root_pool };
	struct exo_controller_query controller = { .controller = t->root_controller };
	struct exo_namespace_query ns = { .controller = t->root_controller, .nsid = 1 };
	char *page = self->page;

	EXPECT_EQ(-EFAULT, call_read_only(page, t->grantor, EXO_INFO, &i, sizeof(i)));
	EXPECT_EQ(-EFAULT, call_read_only(page, t->grantor, EXO_CAP_QUERY, &cap, sizeof(cap)));
	EXPECT_EQ(-EFAULT, call_read_only(page, t->grantor, EXO_CAP_LIST, &caps, sizeof(caps)));
	EXPECT_EQ(-EFAULT, call_read_only(page, t->grantor, EXO_POOL_QUERY, &pool, sizeof(pool)));
	EXPECT_EQ(-EFAULT, call_read_only(page, t->grantor, EXO_CONTROLLER_QUERY, &controller,
					  sizeof(controller)));
	EXPECT_EQ(-EFAULT, call_read_only(page, t->grantor, EXO_NAMESPACE_QUERY, &ns, sizeof(ns)));
}

TEST_F(answer, to_a_submission_that_cannot_be_delivered_is_in_the_status_page)
{
	struct tenant *t = &self->t;
	struct exo_queue_submit submit;
	struct sqe sqe = { .dw = { OP_FLUSH, 1 } };
	struct ring ring;
	struct cqe cqe;

	ASSERT_EQ(0, ring_create(t->fd, t->controller, 8, &ring));
	ASSERT_EQ(0, queue_attach(t->fd, ring.cap, t->extent));
	ring_push(&ring, &sqe);
	submit = (struct exo_queue_submit){ .queue = ring.cap };
	EXPECT_EQ(-EFAULT,
		  call_read_only(self->page, t->fd, EXO_QUEUE_SUBMIT, &submit, sizeof(submit)));
	EXPECT_EQ(1, ring.status->sq_head);
	record("accepted 1\n");
	EXPECT_EQ(0, ring_reap(&ring, &cqe, 5000));
}

TEST_F(answer, to_an_attach_that_cannot_be_delivered_leaves_nothing_attached)
{
	struct tenant *t = &self->t;
	struct buffer buffer;
	struct exo_dma_attach attach;

	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &buffer));
	attach = (struct exo_dma_attach){ .controller = t->controller, .frames = buffer.cap };
	EXPECT_EQ(-EFAULT,
		  call_read_only(self->page, t->fd, EXO_DMA_ATTACH, &attach, sizeof(attach)));
	EXPECT_EQ(-ENOENT, dma_detach(t->fd, t->controller, buffer.cap));
	EXPECT_EQ(0, buffer_attach(t->fd, t->controller, &buffer));
	EXPECT_EQ(0, dma_detach(t->fd, t->controller, buffer.cap));
}

TEST_HARNESS_MAIN
