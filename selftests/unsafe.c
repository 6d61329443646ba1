// SPDX-License-Identifier: MIT
/*
 * Unsafe queues: a program rings a device that no IOMMU bounds. Who may, that the kernel says
 * so wherever it says what a queue is, that commands name physical addresses, and that what
 * they may name goes to nobody else before the device was reset.
 */
#include <linux/capability.h>
#include <sys/klog.h>
#include <kselftest_harness.h>

#include "lib.h"

#define DEPTH 16
#define FRAMES 32
#define RIGHTS (EXO_RIGHT_QUEUE | EXO_RIGHT_DIRECT | EXO_RIGHT_EXTENT)
#define TAINT_USER (1u << 6)

static const __u32 mode_field = offsetof(struct exo_queue_create, mode);

/* An unsafe queue, and frames whose physical addresses are known. */
struct unsafe {
	struct exo_queue_create made;
	struct ring ring;
	__u32 tail;
	volatile __u32 *sq_doorbell;
	volatile __u32 *cq_doorbell;
	struct buffer b;
	__u64 at[FRAMES];
};

FIXTURE(unsafe)
{
	struct tenant t;
	bool translated;
	__u32 controller; /* in t.grantor: exclusive */
	struct unsafe q;
};

static int unsafe_create(int fd, __u32 controller, struct exo_queue_create *made)
{
	*made = (struct exo_queue_create){
		.controller = controller,
		.mode = EXO_QUEUE_UNSAFE,
		.depth = DEPTH,
	};
	return call(fd, EXO_QUEUE_CREATE, made);
}

static int unsafe_buffer(int fd, __u32 pool, __u32 controller, struct unsafe *q)
{
	struct exo_frame_name names[FRAMES];
	int ret = buffer_alloc(fd, pool, EXO_ORDER_4K, FRAMES, &q->b), i;

	if (!ret)
		ret = buffer_attach(fd, controller, &q->b);
	if (!ret)
		ret = frames_names(fd, q->b.cap, 0, FRAMES, names);
	for (i = 0; !ret && i < FRAMES; i++)
		q->at[i] = names[i].pfn * PAGE;
	return ret;
}

/* All of it, for a session that may. */
static int unsafe_open(int fd, __u32 pool, __u32 controller, struct unsafe *q)
{
	int ret = unsafe_create(fd, controller, &q->made);
	char *rw;

	if (!ret)
		ret = ring_map(fd, &q->made, &q->ring);
	if (ret)
		return ret;
	rw = (char *)q->ring.control;
	q->tail = 0;
	q->sq_doorbell = (__u32 *)(rw + q->made.out_sq_doorbell);
	q->cq_doorbell = (__u32 *)(rw + q->made.out_cq_doorbell);
	return unsafe_buffer(fd, pool, controller, q);
}

FIXTURE_SETUP(unsafe)
{
	struct tenant *t = &self->t;
	struct exo_controller_query c;

	TENANT_SETUP(t, "exo0");
	ASSERT_EQ(0, drop(t->fd, t->controller));
	ASSERT_EQ(0, drop(t->fd, t->extent));
	ASSERT_EQ(0, controller_query(t->grantor, t->root_controller, &c));
	self->translated = c.out_features & EXO_CONTROLLER_TRANSLATED;
	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller, RIGHTS, &self->controller));
	if (self->translated)
		return;
	ASSERT_EQ(0, unsafe_open(t->grantor, t->root_pool, self->controller, &self->q));
}

FIXTURE_TEARDOWN(unsafe)
{
	tenant_destroy(&self->t);
}

#define NEEDS_NO_IOMMU()                                                \
	do {                                                            \
		if (self->translated)                                   \
			SKIP(return, "behind an IOMMU there are none"); \
	} while (0)

/* ---- who may ---- */

TEST_F(unsafe, a_queue_needs_the_right_to_direct_ones)
{
	struct exo_queue_create made;
	__u32 weak;

	ASSERT_EQ(0, derive(self->t.grantor, self->controller, EXO_RIGHT_QUEUE, EXO_SESSION_SELF, 0,
			    0, &weak));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_create, controller),
		       EXO_RIGHT_DIRECT, unsafe_create(self->t.grantor, weak, &made));
}

TEST_F(unsafe, who_calls_needs_the_privilege)
{
	struct tenant *t = &self->t;
	struct exo_queue_create made;

	ASSERT_EQ(0, become_nobody());
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, mode_field, 0,
		       unsafe_create(t->grantor, self->controller, &made));
	EXPECT_EQ(CAP_SYS_RAWIO, last.limit);
}

TEST_F(unsafe, who_opened_the_session_needs_the_privilege_too)
{
	struct tenant *t = &self->t;
	struct exo_queue_create made;
	__u32 theirs;
	int fd;

	ASSERT_EQ(0, seteuid(1000));
	fd = session_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, derive(t->grantor, self->controller, RIGHTS, fd, 0, 0, &theirs));
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, mode_field, 1,
		       unsafe_create(fd, theirs, &made));
	close(fd);
}

TEST_F(unsafe, behind_an_iommu_there_are_direct_queues_instead)
{
	struct exo_queue_create made;

	if (!self->translated)
		SKIP(return, "there is no IOMMU");
	EXPECT_REFUSED(EINVAL, EXO_REASON_MODE, mode_field, EXO_QUEUE_UNSAFE,
		       unsafe_create(self->t.grantor, self->controller, &made));
	EXPECT_EQ(EXO_QUEUE_DIRECT, last.limit);
}

TEST_F(unsafe, the_function_must_be_its_holders_alone)
{
	struct tenant *t = &self->t;
	struct exo_queue_create made;

	NEEDS_NO_IOMMU();
	EXPECT_REFUSED(EBUSY, EXO_REASON_EXCLUSIVE, offsetof(struct exo_queue_create, controller),
		       t->root_controller, unsafe_create(t->grantor, t->root_controller, &made));
}

/* ---- what is said of it ---- */

static __u32 listed_mode(int fd, __u32 cap, __u32 qid)
{
	struct exo_tree_entry entries[64];
	struct exo_tree_list arg = {
		.cap = cap,
		.count = 64,
		.entries = (uintptr_t)entries,
	};
	__u32 i;

	if (call(fd, EXO_TREE_LIST, &arg))
		return ~0u;
	for (i = 0; i < arg.out_count; i++)
		if (entries[i].type == EXO_TYPE_QUEUE && entries[i].qid == qid)
			return entries[i].mode;
	return ~0u;
}

TEST_F(unsafe, a_queue_says_what_it_is_wherever_it_is_told_of)
{
	struct tenant *t = &self->t;
	struct exo_queue_query q;
	struct exo_cap_query c;

	NEEDS_NO_IOMMU();
	ASSERT_EQ(0, queue_query(t->grantor, self->q.ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_UNSAFE, q.out_mode);
	ASSERT_EQ(0, query(t->grantor, self->q.ring.cap, &c));
	EXPECT_EQ(EXO_QUEUE_UNSAFE, c.out_mode);
	EXPECT_EQ(EXO_QUEUE_UNSAFE,
		  listed_mode(t->grantor, t->root_controller, self->q.made.out_qid));
}

/* Lines of the kernel's log that name this program, since boot. */
static int confessions(void)
{
	static char log[1 << 20];
	int size = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log) - 1), n = 0;
	char wanted[64], *at = log;

	log[size > 0 ? size : 0] = '\0';
	snprintf(wanted, sizeof(wanted), "unsafe[%d] has an unsafe queue", getpid());
	while ((at = strstr(at, wanted))) {
		at++;
		n++;
	}
	return n;
}

TEST_F(unsafe, the_kernel_is_tainted_and_its_log_says_once_by_whom)
{
	struct exo_queue_create second;
	char tainted[32];

	NEEDS_NO_IOMMU();
	ASSERT_EQ(0, read_file("/proc/sys/kernel/tainted", tainted, sizeof(tainted)));
	EXPECT_TRUE(strtoul(tainted, NULL, 10) & TAINT_USER);
	EXPECT_EQ(1, confessions());
	ASSERT_EQ(0, unsafe_create(self->t.grantor, self->controller, &second));
	EXPECT_EQ(1, confessions());
}

/* ---- commands ---- */

static void push(struct unsafe *q, const struct sqe *sqe)
{
	q->ring.sq[q->tail++ & (q->ring.entries - 1)] = *sqe;
}

static void ring_bell(struct unsafe *q)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*q->sq_doorbell = q->tail & (q->ring.entries - 1);
}

static int reap(struct unsafe *q)
{
	struct cqe cqe;
	int ret = ring_reap(&q->ring, &cqe, 10000);

	if (ret)
		return ret;
	*q->cq_doorbell = q->ring.head & (q->ring.entries - 1);
	return cqe.status >> 1;
}

/* Of @n frames from the @first on: PRP1, and PRP2 or the list of slot 0. */
static int move(struct unsafe *q, __u8 opcode, __u32 first, __u32 n, __u32 block)
{
	struct sqe sqe = sqe_io(opcode, 0, 1, EXTENT_FIRST, n * PAGE / block - 1, q->at[first]);
	__u64 *list = (__u64 *)((char *)q->ring.control + q->made.out_lists);
	__u64 prp2 = n == 2 ? q->at[first + 1] : q->made.out_lists_offset;
	__u32 i;

	for (i = 1; n > 2 && i < n; i++)
		list[i - 1] = q->at[first + i];
	if (n > 1)
		memcpy(&sqe.dw[8], &prp2, sizeof(prp2));
	push(q, &sqe);
	ring_bell(q);
	return reap(q);
}

TEST_F(unsafe, commands_name_physical_addresses)
{
	struct unsafe *q = &self->q;
	__u32 n, half = FRAMES / 2;
	char *from = q->b.at, *to = from + half * PAGE;

	NEEDS_NO_IOMMU();
	fill_random(from, half * PAGE);
	for (n = 1; n <= half; n++) {
		memset(to, 0, half * PAGE);
		ASSERT_EQ(0, move(q, OP_WRITE, 0, n, self->t.block));
		ASSERT_EQ(0, move(q, OP_READ, half, n, self->t.block));
		ASSERT_EQ(0, memcmp(from, to, n * PAGE));
	}
}

TEST_F(unsafe, calls_for_checked_queues_are_refused)
{
	struct tenant *t = &self->t;
	__u32 extent;

	NEEDS_NO_IOMMU();
	self->q.ring.control->sq_tail = 1;
	EXPECT_REFUSED(EINVAL, EXO_REASON_MODE, offsetof(struct exo_queue_submit, queue),
		       EXO_QUEUE_UNSAFE, queue_submit(t->grantor, self->q.ring.cap, NULL));
	ASSERT_EQ(0, extent_create(t->grantor, self->controller, 1, EXO_RIGHT_READ, 0, 8, &extent));
	EXPECT_REFUSED(EINVAL, EXO_REASON_MODE, offsetof(struct exo_queue_attach, queue),
		       EXO_QUEUE_UNSAFE, queue_attach(t->grantor, self->q.ring.cap, extent));
}

/* ---- its end ---- */

static __u64 quarantined(int fd)
{
	struct exo_info i;

	return info(fd, &i) ? ~0ull : i.out_frames_quarantined;
}

TEST_F(unsafe, frames_that_are_detached_are_kept_until_the_device_was_reset)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	__u64 used;

	NEEDS_NO_IOMMU();
	used = frames_used(t->grantor);
	ASSERT_EQ(0, buffer_free(t->grantor, &self->q.b));
	EXPECT_EQ(FRAMES, quarantined(t->grantor));
	EXPECT_EQ(used, frames_used(t->grantor));
	/* The queue's own, too. */
	ring_unmap(&self->q.ring);
	ASSERT_EQ(0, drop(t->grantor, self->q.ring.cap));
	EXPECT_LT(FRAMES, quarantined(t->grantor));
	ASSERT_EQ(0, drop(t->grantor, self->controller));
	EXPECT_EQ(0, quarantined(t->grantor));
	EXPECT_EQ(used - FRAMES, frames_used_soon(t->grantor, used - FRAMES));
	EXPECT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
}

TEST_F(unsafe, a_dead_queues_doorbells_ring_nothing)
{
	struct tenant *t = &self->t;
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, 0);

	NEEDS_NO_IOMMU();
	memcpy(&sqe.dw[6], &self->q.at[0], sizeof(__u64));
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_EQ(EXO_QUEUE_DEAD, self->q.ring.status->state);
	EXPECT_EQ(~0u, *self->q.sq_doorbell);
	push(&self->q, &sqe);
	ring_bell(&self->q);
	EXPECT_EQ(0, quarantined(t->grantor));
}

/* Until it is killed: a queue of its own, never empty; says when it goes to have one. */
static void run_wild(__u32 address, int begun)
{
	static struct unsafe q;
	__u32 pool, root, controller, i;
	int fd = session_open();

	if (!tell(begun) || fd < 0 || claim_pool(fd, &pool) ||
	    claim_controller(fd, address, &root) ||
	    exclusive_create(fd, root, RIGHTS, &controller) ||
	    unsafe_open(fd, pool, controller, &q))
		_exit(1);
	for (;;) {
		for (i = 0; i < DEPTH; i++) {
			struct sqe sqe = sqe_io(OP_READ, i, 1, EXTENT_FIRST, 0, q.at[i]);

			push(&q, &sqe);
		}
		ring_bell(&q);
		for (i = 0; i < DEPTH; i++)
			if (reap(&q))
				_exit(1);
	}
}

TEST_F(unsafe, a_killed_holder_leaves_nothing_behind)
{
	struct tenant *t = &self->t;
	struct exo_queue_create q;
	int round, status, begun[2];
	__u64 used;

	NEEDS_NO_IOMMU();
	ASSERT_EQ(0, pipe(begun));
	ASSERT_EQ(0, buffer_free(t->grantor, &self->q.b));
	ring_unmap(&self->q.ring);
	ASSERT_EQ(0, drop(t->grantor, self->q.ring.cap));
	ASSERT_EQ(0, drop(t->grantor, self->controller));
	used = frames_used(t->grantor);
	for (round = 0; round < 8; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			run_wild(t->address, begun[1]);
		ASSERT_TRUE(await(begun[0]));
		/* At any moment: also before it has what it wants. */
		usleep(random_u32() % 150000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(used, frames_used_soon(t->grantor, used));
		EXPECT_EQ(0, quarantined(t->grantor));
	}
	EXPECT_EQ(0, queue_create(t->grantor, t->root_controller, DEPTH, &q));
}

TEST_HARNESS_MAIN
