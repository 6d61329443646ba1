// SPDX-License-Identifier: MIT
/*
 * Faults: every allocation and every copy on a success path failed in turn, where
 * the kernel offers that; and a device that stops answering or disappears.
 */
#include <limits.h>
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
	bool made;
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

static int do_queue_create(FIXTURE_DATA(injection) * self)
{
	struct exo_queue_create arg;
	int ret = queue_create(self->t.grantor, self->t.root_controller, 64, &arg);

	self->scratch = arg.out_cap;
	return ret;
}

struct subject {
	const char *name;
	operation run;
};

/* Everything that makes a capability in the grantor's session. */
static const struct subject makers[] = {
	{ "claim a pool", do_claim },
	{ "claim a controller", do_claim_controller },
	{ "derive", do_derive },
	{ "make a pool", do_pool_create },
	{ "allocate frames", do_frames_alloc },
	{ "allocate 2 MiB frames", do_frames_alloc_huge },
	{ "make a controller", do_controller_create },
	{ "make an extent", do_extent_create },
	{ "make a queue", do_queue_create },
};

struct state {
	int caps;
	__u64 frames;
	__u64 pool_used;
	__u32 queues_used;
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
	return s;
}

/* Fails the 1st, 2nd, … thing until none is left; what failed must have changed nothing. */
static void sweep(struct __test_metadata *_metadata, FIXTURE_DATA(injection) * self,
		  const struct subject *subject)
{
	struct state before = state_of(self), after;
	int n, ret, failed = 0, tolerated = 0;

	for (n = 1; n < 400; n++) {
		bool hit;

		inject(n);
		ret = subject->run(self);
		hit = injected();
		if (ret) {
			failed++;
			EXPECT_TRUE(hit);
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT)
			{
				TH_LOG("%s, fault %d: %s", subject->name, n, strerror(-ret));
			}
			if (ret == -ENOMEM) {
				EXPECT_EQ(EXO_REASON_MEMORY, last.reason);
			}
		} else {
			tolerated += hit;
			EXPECT_EQ(0, drop(self->t.grantor, self->scratch));
		}
		after = state_of(self);
		EXPECT_EQ(before.caps, after.caps);
		EXPECT_EQ(before.frames, after.frames);
		EXPECT_EQ(before.pool_used, after.pool_used);
		EXPECT_EQ(before.queues_used, after.queues_used);
		if (!hit)
			break;
	}
	EXPECT_EQ(0, ret);
	TH_LOG("%s: %d faults failed it, %d did not", subject->name, failed, tolerated);
	EXPECT_LT(0, failed);
}

TEST_F_TIMEOUT(injection, fails_whatever_makes_a_capability_and_changes_nothing, 300)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(makers); i++)
		sweep(_metadata, self, &makers[i]);
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
	__u16 without;
};

FIXTURE_VARIANT_ADD(device, that_reaches_no_memory){
	.without = PCI_COMMAND_MASTER,
};

FIXTURE_VARIANT_ADD(device, that_has_no_registers){
	.without = PCI_COMMAND_MEMORY,
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

static int cripple(int config, __u16 without, bool broken)
{
	__u16 command;

	if (pread(config, &command, 2, PCI_COMMAND) != 2)
		return -EIO;
	command = broken ? command & ~without : command | without;
	return pwrite(config, &command, 2, PCI_COMMAND) == 2 ? 0 : -EIO;
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
	EXPECT_FAILED(namespace_query(t->grantor, t->root_controller, EXO_NAMESPACE_NEXT, 0, &ns));
	EXPECT_FAILED(namespace_query(t->grantor, t->root_controller, 0, 1, &ns));
	EXPECT_FAILED(extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 1, &cap));
	ASSERT_EQ(0, frames_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, ANY_NODE, &f));
	EXPECT_FAILED(dma_attach(t->fd, t->controller, f.out_cap, &offset));
	ASSERT_EQ(0, drop(t->fd, f.out_cap));
#undef EXPECT_FAILED
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

	ASSERT_EQ(0, cripple(self->config, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, queue_create(self->t.fd, self->t.controller, 8, &queue));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	EXPECT_GT(10000, now_ms() - start);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self->config, variant->without, false));
	/* Its memory is not lost, whatever it believes. */
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_F_TIMEOUT(device, that_does_not_identify_a_namespace_fails, 120)
{
	__u32 cap;

	/* Its first extent in this binding: the device is asked. */
	ASSERT_EQ(0, cripple(self->config, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, extent_create(self->t.grantor, self->t.root_controller, 2,
					    EXO_RIGHT_READ, 0, 1, &cap));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self->config, variant->without, false));
}

TEST_F_TIMEOUT(device, that_does_not_list_its_namespaces_fails, 120)
{
	struct exo_namespace_query ns;

	ASSERT_EQ(0, cripple(self->config, variant->without, true));
	EXPECT_EQ(-ETIMEDOUT, namespace_query(self->t.grantor, self->t.root_controller,
					      EXO_NAMESPACE_NEXT, 1, &ns));
	EXPECT_EQ(EXO_REASON_DEVICE, last.reason);
	EXPECT_EQ(400, last.value);
	the_controller_has_failed(_metadata, self);
	ASSERT_EQ(0, cripple(self->config, variant->without, false));
}

TEST_F_TIMEOUT(device, that_fails_lets_processes_end_in_bounded_time, 120)
{
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 7, self->b.offset);
	__u64 start;
	__u32 i, accepted;

	ASSERT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "400"));
	ASSERT_EQ(0, cripple(self->config, variant->without, true));
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
	ASSERT_EQ(0, cripple(self->config, variant->without, false));
}

TEST_F_TIMEOUT(device, that_fails_can_be_unbound, 120)
{
	__u64 start;

	ASSERT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "400"));
	ASSERT_EQ(0, cripple(self->config, variant->without, true));
	start = now_ms();
	EXPECT_EQ(0, machine_unbind(self->t.address));
	EXPECT_GT(20000, now_ms() - start);
	EXPECT_EQ(0, write_file("/sys/module/exo/parameters/io_timeout_ms", "30000"));
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_EQ(-ESTALE, queue_submit(self->t.fd, self->ring.cap, NULL));
	cripple(self->config, variant->without, false);
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_HARNESS_MAIN
