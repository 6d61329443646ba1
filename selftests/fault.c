// SPDX-License-Identifier: MIT
/*
 * Faults: every allocation and every copy on a success path failed in turn, where
 * the kernel offers that; and a device that stops answering or disappears.
 */
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "lib.h"

/* ---- fault injection: Documentation/fault-injection, "fail-nth" ---- */

#define DEBUGFS "/sys/kernel/debug/"

FIXTURE(injection)
{
	struct tenant t;
	int nth;
	struct exo_frames_alloc frames;
	struct exo_queue_create queue;
	__u32 scratch; /* what a successful call made */
	/* For those that need more before each fault. */
	int other;
	struct events events;
	__u32 top, victim, taken;
	__u8 token[16];
	int eventfd;
	__u64 deadline;
	void *ring;
	unsigned int polled; /* queues that got no vector */
};

FIXTURE_SETUP(injection)
{
	static const char *const settings[] = {
		"failslab/ignore-gfp-wait",
		"fail_page_alloc/ignore-gfp-wait",
	};
	static const char *const quiet[] = { "failslab/verbose", "fail_page_alloc/verbose",
					     "fail_usercopy/verbose" };
	char path[96];
	unsigned int i;

	if (access("/proc/self/fail-nth", W_OK))
		SKIP(return, "this kernel has no fault injection");
	if (access(DEBUGFS "failslab", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s", settings[i]);
		write_file(path, "N");
	}
	for (i = 0; i < ARRAY_SIZE(quiet); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s", quiet[i]);
		write_file(path, "0");
	}
	write_file(DEBUGFS "fail_page_alloc/min-order", "0");
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0,
		  frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, ANY_NODE, &self->frames));
	ASSERT_EQ(0, queue_create(self->t.fd, self->t.controller, 8, &self->queue));
}

FIXTURE_TEARDOWN(injection)
{
	tenant_destroy(&self->t);
}

/* The n-th thing of this thread that can fail does. */
static void inject(int n)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
	snprintf(text, sizeof(text), "%d", n);
	write_file(path, text);
}

/* Did it happen? Ends the injection. */
static bool injected(void)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
	if (read_file(path, text, sizeof(text)))
		return false;
	inject(0);
	return atoi(text) == 0;
}

typedef int (*operation)(FIXTURE_DATA(injection) * self);

static int do_claim(FIXTURE_DATA(injection) * self)
{
	return claim_pool(self->t.grantor, &self->scratch);
}

static int do_claim_controller(FIXTURE_DATA(injection) * self)
{
	return claim_controller(self->t.grantor, self->t.address, &self->scratch);
}

static int do_derive(FIXTURE_DATA(injection) * self)
{
	return derive(self->t.grantor, self->t.root_pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0,
		      &self->scratch);
}

static int do_pool_create(FIXTURE_DATA(injection) * self)
{
	return pool_create(self->t.grantor, self->t.root_pool, EXO_RIGHT_ALLOC, 16, &self->scratch);
}

static int do_frames_alloc(FIXTURE_DATA(injection) * self)
{
	struct exo_frames_alloc arg;
	int ret = frames_alloc(self->t.grantor, self->t.root_pool, EXO_ORDER_4K, 8, ANY_NODE, &arg);

	self->scratch = arg.out_cap;
	return ret;
}

static int do_frames_alloc_huge(FIXTURE_DATA(injection) * self)
{
	struct exo_frames_alloc arg;
	int ret = frames_alloc(self->t.grantor, self->t.root_pool, EXO_ORDER_2M, 2, ANY_NODE, &arg);

	self->scratch = arg.out_cap;
	return ret;
}

/* Fresh each time: bringing it in allocates, too. */
static int do_mem_adopt(FIXTURE_DATA(injection) * self)
{
	const size_t size = 600 * PAGE;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = -ENOMEM;

	if (at == MAP_FAILED) {
		last.reason = EXO_REASON_MEMORY;
		return ret;
	}
	ret = mem_adopt(self->t.grantor, self->t.root_controller, EXO_RIGHT_READ | EXO_RIGHT_WRITE,
			at, size, &self->scratch);
	munmap(at, size);
	return ret;
}

static int do_controller_create(FIXTURE_DATA(injection) * self)
{
	return controller_create(self->t.grantor, self->t.root_controller, EXO_RIGHT_QUEUE, 1,
				 &self->scratch);
}

static int do_extent_create(FIXTURE_DATA(injection) * self)
{
	return extent_create(self->t.grantor, self->t.root_controller, 1, EXO_RIGHT_READ,
			     EXTENT_FIRST, 8, &self->scratch);
}

/* It takes an interrupt vector; without memory for that it is polled instead. */
static int do_queue_create(FIXTURE_DATA(injection) * self)
{
	struct exo_queue_create arg;
	int ret = queue_create(self->t.grantor, self->t.root_controller, 64, &arg);

	self->scratch = arg.out_cap;
	self->polled += !ret && arg.out_completion == EXO_COMPLETION_POLLED;
	return ret;
}

static int do_queue_create_thread(FIXTURE_DATA(injection) * self)
{
	struct exo_queue_create arg = {
		.flags = EXO_QUEUE_POLLED | EXO_QUEUE_THREAD,
		.controller = self->t.root_controller,
		.depth = 8,
		.thread_cpu = EXO_CPU_ANY,
		.thread_percent = 1,
	};
	int ret = call(self->t.grantor, EXO_QUEUE_CREATE, &arg);

	self->scratch = arg.out_cap;
	return ret;
}

/**
 * struct subject - a call to be failed
 * @prepare: what comes before it, each time; NULL: nothing
 * @run: the call
 * @finish: what must hold after it, if it succeeded and if not; ends what @prepare began.
 *	NULL: it made a capability in the grantor's session
 */
struct subject {
	const char *name;
	operation run;
	operation prepare;
	void (*finish)(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self, int ret);
};

/* Everything that makes a capability in the grantor's session; a queue last. */
static const struct subject makers[] = {
	{ .name = "claim a pool", .run = do_claim },
	{ .name = "claim a controller", .run = do_claim_controller },
	{ .name = "derive", .run = do_derive },
	{ .name = "make a pool", .run = do_pool_create },
	{ .name = "allocate frames", .run = do_frames_alloc },
	{ .name = "allocate 2 MiB frames", .run = do_frames_alloc_huge },
	{ .name = "adopt memory", .run = do_mem_adopt },
	{ .name = "make a controller", .run = do_controller_create },
	{ .name = "make an extent", .run = do_extent_create },
	{ .name = "make a queue with a thread", .run = do_queue_create_thread },
	{ .name = "make a queue", .run = do_queue_create },
};

struct state {
	int caps;
	__u64 frames;
	__u64 pool_used;
	__u32 queues_used;
	__u32 vectors_used;
	__u64 adopted;
};

static struct state state_of(FIXTURE_DATA(injection) * self)
{
	struct exo_controller_query q = { 0 };
	struct state s = { 0 };
	__u32 caps[64];

	s.caps = list(self->t.grantor, caps, 64);
	s.frames = frames_used(self->t.grantor);
	pool_query(self->t.grantor, self->t.root_pool, NULL, &s.pool_used);
	controller_query(self->t.grantor, self->t.root_controller, &q);
	s.queues_used = q.out_queues_used;
	s.vectors_used = q.out_vectors_used;
	s.adopted = memory_adopted(self->t.grantor);
	return s;
}

static void expect_same(struct __test_metadata *_metadata, struct state before, struct state after)
{
	EXPECT_EQ(before.caps, after.caps);
	EXPECT_EQ(before.frames, after.frames);
	EXPECT_EQ(before.pool_used, after.pool_used);
	EXPECT_EQ(before.queues_used, after.queues_used);
	EXPECT_EQ(before.vectors_used, after.vectors_used);
	EXPECT_EQ(before.adopted, after.adopted);
}

static void expect_fault(struct __test_metadata *_metadata, const struct subject *subject, int n,
			 int ret)
{
	EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT)
	{
		TH_LOG("%s, fault %d: %s", subject->name, n, strerror(-ret));
	}
	if (ret == -ENOMEM) {
		EXPECT_EQ(EXO_REASON_MEMORY, last.reason);
	}
}

/*
 * Fails the 1st, 2nd, … thing until none is left; what failed must have changed nothing.
 * Returns how many did fail: something else that the kernel does for this task may take the
 * fault instead.
 */
static int sweep_once(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
		      const struct subject *subject, bool *memory)
{
	int n, ret = 0, failed = 0, tolerated = 0;
	bool hit = true;

	for (n = 1; n < 400 && hit; n++) {
		struct state before = state_of(self);

		if (subject->prepare) {
			ASSERT_EQ(0, subject->prepare(self));
		}
		inject(n);
		ret = subject->run(self);
		hit = injected();
		if (ret) {
			EXPECT_TRUE(hit);
			expect_fault(_metadata, subject, n, ret);
		}
		failed += ret != 0;
		*memory |= ret == -ENOMEM;
		tolerated += !ret && hit;
		if (subject->finish)
			subject->finish(_metadata, self, ret);
		else if (!ret)
			EXPECT_EQ(0, drop(self->t.grantor, self->scratch));
		expect_same(_metadata, before, state_of(self));
	}
	EXPECT_EQ(0, ret);
	TH_LOG("%s: %d faults failed it, %d did not", subject->name, failed, tolerated);
	return failed;
}

static void sweep(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
		  const struct subject *subject)
{
	bool memory = false;
	int i, failed = 0;

	/* Some do without memory. */
	for (i = 0; i < 5 && !(failed && memory); i++)
		failed += sweep_once(_metadata, self, subject, &memory);
	EXPECT_LT(0, failed);
}

TEST_F_TIMEOUT(injection, fails_whatever_makes_a_capability_and_changes_nothing, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(makers); i++)
		sweep(_metadata, self, &makers[i]);
	for (i = 0; i < 5 && !self->polled; i++)
		sweep(_metadata, self, &makers[ARRAY_SIZE(makers) - 1]);
	/* A queue without a vector is one that could not have one. */
	EXPECT_LT(0, self->polled);
}

/* ---- events and waits ---- */

static int prepare_session(FIXTURE_DATA(injection) * self)
{
	self->other = session_open();
	return self->other < 0 ? self->other : 0;
}

static int do_events_create(FIXTURE_DATA(injection) * self)
{
	struct exo_events_create arg = { .entries = 256 };

	return call(self->other, EXO_EVENTS_CREATE, &arg);
}

/* Once for each session: one that failed does not count. */
static void finish_events_create(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
				 int ret)
{
	EXPECT_EQ(ret ? 0 : -EEXIST, do_events_create(self));
	close(self->other);
}

static int prepare_events(FIXTURE_DATA(injection) * self)
{
	int ret = prepare_session(self);

	return ret ? ret : events_create(self->other, 16, &self->events);
}

static void events_end(FIXTURE_DATA(injection) * self)
{
	munmap(self->events.control, PAGE);
	munmap((void *)self->events.status, 2 * PAGE);
	close(self->other);
}

/* Control page and status page, as the program would have them. */
static int do_events_map(FIXTURE_DATA(injection) * self)
{
	self->ring = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->other, 2 * PAGE);
	/* mmap() has no detail. */
	last.reason = EXO_REASON_MEMORY;
	if (self->ring == MAP_FAILED)
		return -errno;
	return touch_read(self->ring) ? -EFAULT : 0;
}

static void finish_events_map(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			      int ret)
{
	if (ret && self->ring != MAP_FAILED)
		munmap(self->ring, 2 * PAGE);
	if (ret) {
		EXPECT_EQ(0, do_events_map(self));
	}
	EXPECT_EQ(0, touch_read(self->ring));
	munmap(self->ring, 2 * PAGE);
	events_end(self);
}

/* Beforehand: where the clock is a system call, it can fail, too. */
static int prepare_wait(FIXTURE_DATA(injection) * self)
{
	self->deadline = now_ns() + 5000000;
	return 0;
}

static int do_wait(FIXTURE_DATA(injection) * self)
{
	__u64 ready;

	return wait_queues(self->t.fd, &self->queue.out_cap, 1, self->deadline, &ready);
}

static void finish_wait(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			int ret __attribute__((unused)))
{
	EXPECT_EQ(0, do_wait(self));
}

static int prepare_eventfd(FIXTURE_DATA(injection) * self)
{
	self->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return self->eventfd < 0 ? -errno : 0;
}

static int do_eventfd(FIXTURE_DATA(injection) * self)
{
	return queue_eventfd(self->t.fd, self->queue.out_cap, self->eventfd);
}

static void finish_eventfd(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			   int ret __attribute__((unused)))
{
	EXPECT_EQ(0, queue_eventfd(self->t.fd, self->queue.out_cap, -1));
	EXPECT_EQ(0, close(self->eventfd));
}

static const struct subject waits[] = {
	{ "make an event ring", do_events_create, prepare_session, finish_events_create },
	{ "map an event ring", do_events_map, prepare_events, finish_events_map },
	{ "wait", do_wait, prepare_wait, finish_wait },
	{ "set an eventfd", do_eventfd, prepare_eventfd, finish_eventfd },
};

TEST_F_TIMEOUT(injection, fails_events_and_waits_and_changes_nothing, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(waits); i++)
		sweep(_metadata, self, &waits[i]);
}

/* ---- exports ---- */

static int do_export(FIXTURE_DATA(injection) * self)
{
	struct exo_frames_export arg = { .frames = self->frames.out_cap, .out_fd = -1 };
	int ret = call(self->t.fd, EXO_FRAMES_EXPORT, &arg);

	self->other = arg.out_fd;
	return ret;
}

/* A descriptor that was reserved is free again. */
static void finish_export(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			  int ret)
{
	if (!ret)
		close(self->other);
	EXPECT_EQ((int)self->scratch, dup(self->t.fd));
	close(self->scratch);
}

static int prepare_export(FIXTURE_DATA(injection) * self)
{
	self->scratch = dup(self->t.fd);
	close(self->scratch);
	return 0;
}

static const struct subject exporting = { "export frames", do_export, prepare_export,
					  finish_export };

TEST_F_TIMEOUT(injection, fails_an_export_and_nothing_is_exported, 300)
{
	struct exo_info i;

	ASSERT_EQ(0, info(self->t.fd, &i));
	if (!(i.out_features & EXO_FEATURE_EXPORT))
		SKIP(return, "this kernel has nothing to export to");
	sweep(_metadata, self, &exporting);
}

/* ---- windows ---- */

#define WINDOW_ENTRIES 4096u
#define WINDOW_OPS 6u /* each in 2 MiB of its own: more than a call takes without memory */

static int do_window(FIXTURE_DATA(injection) * self)
{
	struct exo_window_op ops[WINDOW_OPS] = { 0 };
	__u32 i;

	self->ring = window_create(self->t.fd, WINDOW_ENTRIES * PAGE);
	/* mmap() has no detail. */
	last.reason = EXO_REASON_MEMORY;
	if (self->ring == MAP_FAILED)
		return -errno;
	for (i = 0; i < WINDOW_OPS; i++)
		ops[i] = (struct exo_window_op){
			.op = EXO_WINDOW_MAP,
			.first = 512 * i + i,
			.count = 1,
			.frames = self->frames.out_cap,
			.access = EXO_RIGHT_READ | EXO_RIGHT_WRITE,
		};
	return window_set(self->t.fd, self->ring, ops, WINDOW_OPS);
}

/* Those before the one that failed are done, it and those after it are not. */
static void finish_window(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			  int ret)
{
	const __u32 done = ret == -ENOMEM ? last.index : ret ? 0 : WINDOW_OPS;
	__u32 i;

	if (self->ring == MAP_FAILED)
		return;
	for (i = 0; i < WINDOW_OPS; i++) {
		EXPECT_EQ(i < done ? 0 : SIGBUS,
			  touch_write((char *)self->ring + (512 * i + i) * PAGE));
	}
	munmap(self->ring, WINDOW_ENTRIES * PAGE);
}

static int prepare_dirty(FIXTURE_DATA(injection) * self)
{
	int ret = do_window(self);

	return ret ? ret : touch_write(self->ring);
}

static int do_dirty(FIXTURE_DATA(injection) * self)
{
	static __u64 bitmap[WINDOW_ENTRIES / 64];
	int ret = window_dirty(self->t.fd, self->ring, 0, WINDOW_ENTRIES, bitmap);

	return ret < 0 ? ret : ret == 1 ? 0 : -EIO;
}

static void finish_dirty(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self, int ret)
{
	__u64 bitmap;

	EXPECT_EQ(ret ? 1 : 0, window_dirty(self->t.fd, self->ring, 0, 64, &bitmap));
	munmap(self->ring, WINDOW_ENTRIES * PAGE);
}

static const struct subject windows[] = {
	{ "set a window", do_window, NULL, finish_window },
	{ "ask for dirty bits", do_dirty, prepare_dirty, finish_dirty },
};

TEST_F_TIMEOUT(injection, fails_windows_and_says_how_far_they_came, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(windows); i++)
		sweep(_metadata, self, &windows[i]);
}

/* ---- tokens ---- */

static int do_token_create(FIXTURE_DATA(injection) * self)
{
	memset(self->token, 0, sizeof(self->token));
	return token_create(self->t.grantor, self->t.root_pool, EXO_RIGHT_ALLOC, 1, self->token);
}

/* One that failed does not exist, even if it was told before it did. */
static void finish_token_create(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
				int ret)
{
	EXPECT_EQ(ret ? -ENOENT : 0, token_cancel(self->t.grantor, self->token));
}

static int do_token_redeem(FIXTURE_DATA(injection) * self)
{
	return token_redeem(self->t.grantor, self->token, &self->scratch);
}

/* It was good for one time: one that failed has not used that. */
static void finish_token_redeem(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
				int ret)
{
	if (ret) {
		EXPECT_EQ(0, do_token_redeem(self));
	}
	EXPECT_EQ(0, drop(self->t.grantor, self->scratch));
	EXPECT_EQ(-ENOENT, do_token_redeem(self));
}

static int do_token_cancel(FIXTURE_DATA(injection) * self)
{
	return token_cancel(self->t.grantor, self->token);
}

static void finish_token_cancel(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
				int ret)
{
	EXPECT_EQ(ret ? 0 : -ENOENT, do_token_redeem(self));
	if (ret) {
		EXPECT_EQ(0, drop(self->t.grantor, self->scratch));
	}
}

static const struct subject tokens[] = {
	{ "make a token", do_token_create, NULL, finish_token_create },
	{ "redeem a token", do_token_redeem, do_token_create, finish_token_redeem },
	{ "cancel a token", do_token_cancel, do_token_create, finish_token_cancel },
};

TEST_F_TIMEOUT(injection, fails_tokens_and_uses_nothing_up, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tokens); i++)
		sweep(_metadata, self, &tokens[i]);
}

/* ---- revocation ---- */

#define TAKEN_MAX 4

/* Below @top another session holds a pool and frames. */
static int prepare_pool(FIXTURE_DATA(injection) * self)
{
	const __u32 rights = EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES;
	struct exo_frames_alloc f;
	int ret = prepare_events(self);

	if (!ret)
		ret = pool_create(self->t.grantor, self->t.root_pool, rights, 64, &self->top);
	if (!ret)
		ret = derive(self->t.grantor, self->top, rights, self->other, 0, 0, &self->victim);
	if (!ret)
		ret = frames_alloc(self->other, self->victim, EXO_ORDER_4K, 4, ANY_NODE, &f);
	self->taken = f.out_cap;
	return ret;
}

/* Another session has a queue, with an extent and frames to use with it. */
static int prepare_controller(FIXTURE_DATA(injection) * self)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	__u32 frames, extent;
	__u64 offset;
	int ret = prepare_events(self);

	if (!ret)
		ret = controller_create(t->grantor, t->root_controller, EXO_RIGHT_QUEUE, 1,
					&self->top);
	if (!ret)
		ret = derive(t->grantor, self->top, EXO_RIGHT_QUEUE, self->other, 0, 0,
			     &self->victim);
	if (!ret)
		ret = derive(t->fd, self->frames.out_cap, EXO_RIGHT_READ, self->other, 0, 0,
			     &frames);
	if (!ret)
		ret = derive(t->fd, t->extent, EXO_RIGHT_READ, self->other, 0, 0, &extent);
	if (!ret)
		ret = queue_create(self->other, self->victim, 8, &q);
	if (!ret)
		ret = queue_attach(self->other, q.out_cap, extent);
	if (!ret)
		ret = dma_attach(self->other, self->victim, frames, &offset);
	self->taken = q.out_cap;
	return ret;
}

static int do_revoke(FIXTURE_DATA(injection) * self)
{
	struct exo_revoke_record records[TAKEN_MAX];
	struct exo_revoke arg = { .records = (uintptr_t)records, .count = TAKEN_MAX };

	return cap_revoke(self->t.grantor, self->top, 0, 0, &arg);
}

static int do_revoke_frames(FIXTURE_DATA(injection) * self)
{
	struct exo_revoke_record records[TAKEN_MAX];
	struct exo_revoke arg = { .records = (uintptr_t)records, .count = TAKEN_MAX };

	return cap_revoke(self->t.grantor, self->top, 0, 2, &arg);
}

/* Without memory it is refused before anything was asked or taken. */
static void nothing_was_asked(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self)
{
	struct exo_cap_query q;
	struct exo_event e;
	__u32 caps[TAKEN_MAX], child;

	EXPECT_EQ(0, list_marked(self->other, EXO_LIST_ASKED, caps, TAKEN_MAX));
	EXPECT_EQ(0, list_marked(self->other, EXO_LIST_TAKEN, caps, TAKEN_MAX));
	EXPECT_EQ(-ETIMEDOUT, events_next(&self->events, &e, 0));
	EXPECT_EQ(0, query(self->other, self->taken, &q));
	/* And nothing is closed to derivation. */
	EXPECT_EQ(0, query(self->other, self->victim, &q));
	EXPECT_EQ(0,
		  derive(self->other, self->victim, q.out_rights, EXO_SESSION_SELF, 0, 0, &child));
	EXPECT_EQ(0, drop(self->other, child));
}

static void finish_revoke(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			  int ret)
{
	__u32 caps[TAKEN_MAX];
	int taken = list_marked(self->other, EXO_LIST_TAKEN, caps, TAKEN_MAX);

	if (ret == -ENOMEM)
		nothing_was_asked(_metadata, self);
	else if (!ret)
		EXPECT_LT(0, taken);
	/* Whatever happened, it can be done now; and twice does no harm. */
	EXPECT_EQ(0, do_revoke(self));
	EXPECT_EQ(2, list_marked(self->other, EXO_LIST_TAKEN, caps, TAKEN_MAX));
	EXPECT_EQ(0, drop(self->t.grantor, self->top));
	events_end(self);
}

static int prepare_taken(FIXTURE_DATA(injection) * self)
{
	int ret = prepare_pool(self);

	return ret ? ret : do_revoke(self);
}

static int do_cap_taken(FIXTURE_DATA(injection) * self)
{
	__u64 names[4];
	struct exo_cap_taken arg = {
		.cap = self->taken,
		.count = 4,
		.names = (uintptr_t)names,
	};

	return call(self->other, EXO_CAP_TAKEN, &arg);
}

static void finish_cap_taken(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			     int ret __attribute__((unused)))
{
	EXPECT_EQ(0, do_cap_taken(self));
	EXPECT_EQ(0, drop(self->t.grantor, self->top));
	events_end(self);
}

static int do_tree_list(FIXTURE_DATA(injection) * self)
{
	struct exo_tree_entry entries[8];
	struct exo_tree_list arg = {
		.cap = self->t.root_pool,
		.count = ARRAY_SIZE(entries),
		.entries = (uintptr_t)entries,
	};

	return call(self->t.grantor, EXO_TREE_LIST, &arg);
}

static void finish_tree_list(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			     int ret __attribute__((unused)))
{
	EXPECT_EQ(0, do_tree_list(self));
}

static const struct subject revocations[] = {
	{ "revoke a pool", do_revoke, prepare_pool, finish_revoke },
	{ "revoke frames of a pool", do_revoke_frames, prepare_pool, finish_revoke },
	{ "revoke a controller", do_revoke, prepare_controller, finish_revoke },
	{ "ask what was taken", do_cap_taken, prepare_taken, finish_cap_taken },
	{ "list a tree", do_tree_list, NULL, finish_tree_list },
};

TEST_F_TIMEOUT(injection, fails_a_revocation_before_anything_was_asked, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(revocations); i++)
		sweep(_metadata, self, &revocations[i]);
}

/* ---- what the device says ---- */

static int do_identify(FIXTURE_DATA(injection) * self)
{
	__u8 data[EXO_IDENTIFY_BYTES];

	return identify(self->t.fd, self->t.extent, EXO_CNS_NAMESPACE, 0, data);
}

static int do_log(FIXTURE_DATA(injection) * self)
{
	__u8 data[512];

	return log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH, data, sizeof(data), NULL);
}

static void finish_question(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
			    int ret __attribute__((unused)))
{
	EXPECT_EQ(0, do_identify(self));
	EXPECT_EQ(0, do_log(self));
}

static const struct subject questions[] = {
	{ "identify", do_identify, NULL, finish_question },
	{ "read a log page", do_log, NULL, finish_question },
};

TEST_F_TIMEOUT(injection, fails_a_question_and_the_next_is_answered, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(questions); i++)
		sweep(_metadata, self, &questions[i]);
}

/* The first of a binding asks the device. */
TEST_F_TIMEOUT(injection, fails_the_reading_of_a_log_page_and_the_next_succeeds, 300)
{
	int n, ret, failed = 0;
	bool hit = true;

	for (n = 1; n < 100 && hit; n++) {
		const char *why;

		tenant_destroy(&self->t);
		ASSERT_EQ(0, machine_unbind(self->t.address));
		ASSERT_EQ(0, machine_bind(self->t.address, "exo"));
		ASSERT_EQ(0, tenant_create(&self->t, "exo0", &why));
		inject(n);
		ret = do_log(self);
		hit = injected();
		if (ret) {
			EXPECT_TRUE(hit);
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT);
		}
		failed += ret != 0;
		EXPECT_EQ(0, do_log(self));
	}
	/* The program's buffer, the page, what the device writes to. */
	EXPECT_LE(3, failed);
}

TEST_F_TIMEOUT(injection, fails_an_attachment_of_frames_and_changes_nothing, 120)
{
	struct tenant *t = &self->t;
	int n, ret;

	for (n = 1; n < 400; n++) {
		__u64 offset;
		bool hit;

		inject(n);
		ret = dma_attach(t->fd, t->controller, self->frames.out_cap, &offset);
		hit = injected();
		if (ret) {
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT);
			EXPECT_EQ(-ENOENT, dma_detach(t->fd, t->controller, self->frames.out_cap));
		} else {
			EXPECT_EQ(0, dma_detach(t->fd, t->controller, self->frames.out_cap));
		}
		if (!hit)
			break;
	}
	EXPECT_EQ(0, ret);
}

TEST_F_TIMEOUT(injection, fails_an_attachment_of_an_extent_and_changes_nothing, 120)
{
	struct tenant *t = &self->t;
	struct exo_queue_query q;
	int n, ret;

	for (n = 1; n < 100; n++) {
		bool hit;

		inject(n);
		ret = queue_attach(t->fd, self->queue.out_cap, t->extent);
		hit = injected();
		ASSERT_EQ(0, queue_query(t->fd, self->queue.out_cap, &q));
		if (ret) {
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT);
			EXPECT_EQ(0, q.out_extents);
		} else {
			EXPECT_EQ(1, q.out_extents);
			EXPECT_EQ(0, queue_detach(t->fd, self->queue.out_cap, t->extent));
		}
		if (!hit)
			break;
	}
	EXPECT_EQ(0, ret);
}

#define ZONED_NSID 5 /* of exo1 */

static __u32 zones_left(const struct tenant *t)
{
	struct exo_namespace_query ns;
	int ret = namespace_query(t->grantor, t->root_controller, 0, ZONED_NSID, &ns);

	return ret ? 0 : ns.out_active_zones_left;
}

static int make_zones(const struct tenant *t, __u32 *cap)
{
	struct exo_extent_create arg = {
		.controller = t->root_controller,
		.nsid = ZONED_NSID,
		.rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE,
		.len = 256,
		.open_zones = 1,
		.active_zones = 2,
	};
	int ret = call(t->grantor, EXO_EXTENT_CREATE, &arg);

	*cap = arg.out_cap;
	return ret;
}

TEST_F_TIMEOUT(injection, fails_an_extent_of_zones_and_changes_nothing, 120)
{
	struct exo_queue_create queue;
	const char *why;
	bool hit = true;
	struct tenant t;
	int n, ret = 0;
	__u32 cap, all;

	ASSERT_EQ(0, tenant_create(&t, "exo1", &why));
	all = zones_left(&t);
	if (!all)
		SKIP(return, "the second controller has no zoned namespace 5");
	for (n = 1; hit && n < 200; n++) {
		inject(n);
		ret = make_zones(&t, &cap);
		hit = injected();
		if (!ret) {
			EXPECT_EQ(all - 2, zones_left(&t));
			EXPECT_EQ(0, drop(t.grantor, cap));
		}
		EXPECT_TRUE(!ret || ret == -ENOMEM || ret == -EFAULT);
		ASSERT_EQ(all, zones_left(&t));
	}
	EXPECT_EQ(0, ret);
	ASSERT_EQ(0, make_zones(&t, &cap));
	/* What a queue needs for zones is made once: a new one each time. */
	for (n = 1, hit = true; hit && n < 100; n++) {
		ASSERT_EQ(0, queue_create(t.grantor, t.root_controller, 8, &queue));
		inject(n);
		ret = queue_attach(t.grantor, queue.out_cap, cap);
		hit = injected();
		EXPECT_TRUE(!ret || ret == -ENOMEM || ret == -EFAULT);
		ASSERT_EQ(0, drop(t.grantor, queue.out_cap));
	}
	EXPECT_EQ(0, ret);
	tenant_destroy(&t);
}

TEST_F_TIMEOUT(injection, fails_a_question_to_the_device_and_the_next_succeeds, 120)
{
	struct exo_namespace_query ns;
	int n, ret = 0, failed = 0;

	for (n = 1; n < 200; n++) {
		bool hit;

		inject(n);
		ret = namespace_query(self->t.grantor, self->t.root_controller, EXO_NAMESPACE_NEXT,
				      0, &ns);
		hit = injected();
		if (ret) {
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT);
			failed += ret == -ENOMEM;
		}
		if (!hit)
			break;
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(1, ns.out_nsid);
	EXPECT_LT(0, failed);
}

TEST_F_TIMEOUT(injection, fails_open_map_and_touch_and_leaks_nothing, 120)
{
	struct tenant *t = &self->t;
	int n, fd;

	for (n = 1; n < 200; n++) {
		bool hit;

		inject(n);
		fd = session_open();
		hit = injected();
		if (fd >= 0)
			close(fd);
		if (!hit)
			break;
	}
	EXPECT_LE(0, fd);
	for (n = 1; n < 200; n++) {
		bool hit;
		void *at;
		int signal = 0;

		inject(n);
		at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd,
			  (off_t)self->frames.out_mmap_offset);
		if (at != MAP_FAILED)
			signal = touch_write(at);
		hit = injected();
		if (at != MAP_FAILED) {
			EXPECT_TRUE(signal == 0 || hit);
			EXPECT_EQ(0, touch_write(at));
			munmap(at, 8 * PAGE);
		}
		if (!hit)
			break;
	}
	EXPECT_GT(200, n);
}

TEST_F_TIMEOUT(injection, does_not_stop_a_drop, 120)
{
	struct tenant *t = &self->t;
	struct exo_cap_query q;
	int n;

	for (n = 1; n < 100; n++) {
		__u32 cap;
		bool hit;
		int ret;

		ASSERT_EQ(0, derive(t->fd, t->pool, EXO_RIGHT_ALLOC, EXO_SESSION_SELF, 0, 0, &cap));
		inject(n);
		ret = drop(t->fd, cap);
		hit = injected();
		/* Its argument may be unreadable; but then it was not dropped. */
		if (ret) {
			EXPECT_EQ(-EFAULT, ret);
			EXPECT_EQ(0, drop(t->fd, cap));
		}
		EXPECT_EQ(-ENOENT, query(t->fd, cap, &q));
		if (!hit)
			break;
	}
}

/* ---- a device that fails: the test takes its bus mastering or its registers away ---- */

#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY 2
#define PCI_COMMAND_MASTER 4

FIXTURE(device)
{
	struct tenant t;
	struct ring ring;
	struct buffer b;
	__u64 used;
	int config;
};

FIXTURE_VARIANT(device)
{
	__u16 without; /* 0: nothing, but the function is reset behind the driver's back */
};

FIXTURE_VARIANT_ADD(device, that_reaches_no_memory){
	.without = PCI_COMMAND_MASTER,
};

FIXTURE_VARIANT_ADD(device, that_has_no_registers){
	.without = PCI_COMMAND_MEMORY,
};

FIXTURE_VARIANT_ADD(device, that_was_reset){
	.without = 0,
};

static int timeout_set(unsigned int ms)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", ms);
	return write_file("/sys/module/exo/parameters/admin_timeout_ms", text);
}

FIXTURE_SETUP(device)
{
	char path[PATH_MAX], name[16];

	TENANT_SETUP(&self->t, "exo1");
	self->used = frames_used(self->t.grantor);
	machine_name(self->t.address, name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", name);
	self->config = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->config);
	if (timeout_set(400))
		SKIP(return, "the admin timeout cannot be set");
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 16, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

/* Whatever happened: bound anew, it works. */
FIXTURE_TEARDOWN(device)
{
	struct tenant t;
	const char *why;
	struct ring ring;
	struct buffer b;

	timeout_set(60000);
	close(self->config);
	EXPECT_EQ(0, machine_unbind(self->t.address));
	tenant_destroy(&self->t);
	ASSERT_EQ(0, tenant_create(&t, "exo1", &why));
	EXPECT_EQ(0, ring_create(t.fd, t.controller, 4, &ring));
	EXPECT_EQ(0, queue_attach(t.fd, ring.cap, t.extent));
	EXPECT_EQ(0, buffer_alloc(t.fd, t.pool, EXO_ORDER_4K, 1, &b));
	EXPECT_EQ(0, buffer_attach(t.fd, t.controller, &b));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
	tenant_destroy(&t);
}

static int reset_function(__u32 address)
{
	char path[PATH_MAX], name[16];

	machine_name(address, name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", name);
	return write_file(path, "1");
}

static int cripple(FIXTURE_DATA(device) * self, __u16 without, bool broken)
{
	__u16 command;

	if (!without)
		return broken ? reset_function(self->t.address) : 0;
	if (pread(self->config, &command, 2, PCI_COMMAND) != 2)
		return -EIO;
	command = broken ? command & ~without : command | without;
	return pwrite(self->config, &command, 2, PCI_COMMAND) == 2 ? 0 : -EIO;
}

static void the_controller_has_failed(struct __test_metadata *_metadata,
				      FIXTURE_DATA(device) * self)
{
	struct tenant *t = &self->t;
	struct exo_controller_query q;
	struct exo_namespace_query ns;
	struct exo_queue_create queue;
	struct exo_queue_query qq;
	struct exo_frames_alloc f;
	static _Alignas(PAGE) char own[PAGE];
	__u8 data[EXO_IDENTIFY_BYTES];
	__u64 offset;
	__u32 cap;
	int ret;

	ASSERT_EQ(0, controller_query(t->fd, t->controller, &q));
	EXPECT_EQ(EXO_CONTROLLER_FAILED, q.out_state);
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_EQ(0, queue_query(t->fd, self->ring.cap, &qq));
	EXPECT_EQ(EXO_QUEUE_DEAD, qq.out_state);
#define EXPECT_FAILED(expr)                                   \
	do {                                                  \
		ret = expr;                                   \
		EXPECT_TRUE(ret == -ESTALE || ret == -ENODEV) \
		{                                             \
			TH_LOG("%s: %d", #expr, ret);         \
		}                                             \
		EXPECT_EQ(EXO_REASON_STALE, last.reason);     \
	} while (0)
	EXPECT_FAILED(queue_submit(t->fd, self->ring.cap, NULL));
	EXPECT_FAILED(queue_attach(t->fd, self->ring.cap, t->extent));
	EXPECT_FAILED(queue_create(t->fd, t->controller, 8, &queue));
	EXPECT_FAILED(controller_create(t->fd, t->controller, EXO_RIGHT_QUEUE, 1, &cap));
	EXPECT_FAILED(mem_adopt(t->fd, t->controller, EXO_RIGHT_READ, own, PAGE, &cap));
	EXPECT_FAILED(namespace_query(t->grantor, t->root_controller, EXO_NAMESPACE_NEXT, 0, &ns));
	EXPECT_FAILED(namespace_query(t->grantor, t->root_controller, 0, 1, &ns));
	EXPECT_FAILED(extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 1, &cap));
	EXPECT_FAILED(identify(t->grantor, t->root_controller, EXO_CNS_NAMESPACE, 1, data));
	EXPECT_FAILED(log_page(t->fd, t->controller, EXO_LOG_HEALTH, data, 4, NULL));
	ASSERT_EQ(0, frames_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, ANY_NODE, &f));
	EXPECT_FAILED(dma_attach(t->fd, t->controller, f.out_cap, &offset));
	ASSERT_EQ(0, drop(t->fd, f.out_cap));
#undef EXPECT_FAILED
	/* What it said before is known. */
	EXPECT_EQ(0, identify(t->fd, t->controller, EXO_CNS_CONTROLLER, 0, data));
	/* What is attached can still be let go of, or is gone already. */
	ret = dma_detach(t->fd, t->controller, self->b.cap);
	EXPECT_TRUE(ret == 0 || ret == -ENOENT || ret == -ESTALE || ret == -ENODEV);
	ret = queue_detach(t->fd, self->ring.cap, t->extent);
	EXPECT_TRUE(ret == 0 || ret == -ENOENT || ret == -ESTALE || ret == -ENODEV);
}

TEST_F_TIMEOUT(device, fails_for_good_when_an_admin_command_has_no_answer, 120)
{
	struct exo_queue_create queue;
	__u64 start = now_ms();

	ASSERT_EQ(0, cripple(self, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, queue_create(self->t.fd, self->t.controller, 8, &queue));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	EXPECT_GT(10000, now_ms() - start);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self, variant->without, false));
	/* Its memory is not lost, whatever it believes. */
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_F_TIMEOUT(device, that_does_not_identify_a_namespace_fails, 120)
{
	__u32 cap;

	/* Its first extent in this binding: the device is asked. */
	ASSERT_EQ(0, cripple(self, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, extent_create(self->t.grantor, self->t.root_controller, 2,
					    EXO_RIGHT_READ, 0, 1, &cap));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self, variant->without, false));
}

TEST_F_TIMEOUT(device, that_does_not_say_what_it_is_fails, 120)
{
	__u8 data[EXO_IDENTIFY_BYTES];

	ASSERT_EQ(0, cripple(self, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT,
		  identify(self->t.grantor, self->t.root_controller, EXO_CNS_NAMESPACE, 2, data));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self, variant->without, false));
}

TEST_F_TIMEOUT(device, that_does_not_tell_its_health_fails, 120)
{
	__u8 data[4];

	ASSERT_EQ(0, cripple(self, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH, data,
				       sizeof(data), NULL));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self, variant->without, false));
}

TEST_F_TIMEOUT(device, that_does_not_list_its_namespaces_fails, 120)
{
	struct exo_namespace_query ns;

	ASSERT_EQ(0, cripple(self, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, namespace_query(self->t.grantor, self->t.root_controller,
					      EXO_NAMESPACE_NEXT, 1, &ns));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self, variant->without, false));
}

TEST_F_TIMEOUT(device, that_fails_lets_processes_end_in_bounded_time, 120)
{
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 7, self->b.offset);
	__u64 start;
	__u32 i, accepted;

	ASSERT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "400"));
	ASSERT_EQ(0, cripple(self, variant->without, true));
	for (i = 0; i < 16; i++) {
		sqe.dw[0] = OP_READ | i << 16;
		ring_push(&self->ring, &sqe);
	}
	/* Nobody knows yet: it is accepted, and nothing comes back. */
	EXPECT_EQ(0, ring_submit(&self->ring, &accepted));
	start = now_ms();
	EXPECT_EQ(0, drop(self->t.fd, self->ring.cap));
	EXPECT_GT(15000, now_ms() - start);
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	start = now_ms();
	EXPECT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_GT(15000, now_ms() - start);
	EXPECT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "30000"));
	ASSERT_EQ(0, cripple(self, variant->without, false));
}

TEST_F_TIMEOUT(device, that_fails_can_be_unbound, 120)
{
	__u64 start;

	ASSERT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "400"));
	ASSERT_EQ(0, cripple(self, variant->without, true));
	start = now_ms();
	EXPECT_EQ(0, machine_unbind(self->t.address));
	EXPECT_GT(20000, now_ms() - start);
	EXPECT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "30000"));
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_EQ(-ESTALE, queue_submit(self->t.fd, self->ring.cap, NULL));
	cripple(self, variant->without, false);
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_HARNESS_MAIN
