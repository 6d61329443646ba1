// SPDX-License-Identifier: MIT
/*
 * Where a queue is, and how urgent: the CPU that its interrupts go to, the NUMA node of its
 * memory, its priority. All are asked for and told; a tenant sends no interrupt to a CPU that it
 * may not run on, and has no priority above others without the right to it.
 */
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <kselftest_harness.h>

#include "cgroup.h"
#include "lib.h"

#define CPUS 64
#define VECTORS 3 /* of exo1, for its queues */

static const __u32 irq_cpu_field = offsetof(struct exo_queue_create, irq_cpu);
static const __u32 node_field = offsetof(struct exo_queue_create, node);

/* Of the queue whose interrupt is the only one: how many each CPU had. Returns its number. */
static int interrupts(unsigned long long counts[CPUS])
{
	FILE *file = fopen("/proc/interrupts", "r");
	int irq = -ENOENT, cpu, skip;
	char line[4096], *at;

	while (irq < 0 && file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, "exo-queue") || sscanf(line, " %d:%n", &irq, &skip) != 1)
			continue;
		at = line + skip;
		for (cpu = 0; cpu < CPUS && sscanf(at, " %llu%n", &counts[cpu], &skip) == 1; cpu++)
			at += skip;
	}
	if (file)
		fclose(file);
	return irq;
}

static int queue_on(int fd, __u32 controller, __u32 flags, __u32 cpu, __s32 node, __u32 *cap)
{
	struct exo_queue_create arg = {
		.flags = flags,
		.controller = controller,
		.depth = 8,
		.irq_cpu = cpu,
		.node = node,
	};
	int ret = call(fd, EXO_QUEUE_CREATE, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

static __u32 irq_cpu(int fd, __u32 queue)
{
	struct exo_queue_query q;

	return queue_query(fd, queue, &q) ? EXO_CPU_NONE - 1 : q.out_irq_cpu;
}

/* This thread may run there and nowhere else. */
static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

FIXTURE(place)
{
	struct tenant t;
	__u32 queue;
};

FIXTURE_SETUP(place)
{
	TENANT_SETUP(&self->t, "exo1");
}

FIXTURE_TEARDOWN(place)
{
	write_file("/sys/devices/system/cpu/cpu1/online", "1");
	tenant_destroy(&self->t);
}

/* ---- interrupts ---- */

/* A completion for which somebody waits, so that there is an interrupt. */
static int complete_one(struct tenant *t, struct ring *ring, const struct buffer *b)
{
	struct pollfd waits = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	struct sqe sqe = sqe_io(OP_READ, 0, 1, EXTENT_FIRST, 0, b->offset);
	struct cqe cqe;
	int ret = queue_eventfd(t->fd, ring->cap, waits.fd);

	ring_push(ring, &sqe);
	if (!ret)
		ret = ring_submit(ring, NULL);
	if (!ret)
		ret = poll(&waits, 1, 10000) == 1 ? 0 : -ETIMEDOUT;
	if (!ret)
		ret = ring_reap(ring, &cqe, 0);
	close(waits.fd);
	return ret;
}

TEST_F(place, interrupts_go_to_the_cpu_that_was_asked_for)
{
	struct tenant *t = &self->t;
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu, other;
	struct buffer b;

	ASSERT_LT(1, cpus);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &b));
	for (cpu = 0; cpu < cpus; cpu++) {
		unsigned long long before[CPUS] = { 0 }, after[CPUS] = { 0 };
		struct exo_queue_create arg = {
			.flags = EXO_QUEUE_IRQ_CPU,
			.controller = t->controller,
			.depth = 8,
			.irq_cpu = cpu,
		};
		struct ring ring;

		ASSERT_EQ(0, call(t->fd, EXO_QUEUE_CREATE, &arg));
		EXPECT_EQ(EXO_COMPLETION_INTERRUPT, arg.out_completion);
		EXPECT_EQ((__u32)cpu, irq_cpu(t->fd, arg.out_cap));
		ASSERT_EQ(0, ring_map(t->fd, &arg, &ring));
		ASSERT_EQ(0, queue_attach(t->fd, ring.cap, t->extent));
		ASSERT_LT(0, interrupts(before));
		ASSERT_EQ(0, complete_one(t, &ring, &b));
		ASSERT_LT(0, interrupts(after));
		EXPECT_LT(before[cpu], after[cpu]);
		for (other = 0; other < cpus; other++) {
			EXPECT_TRUE(other == cpu || before[other] == after[other]);
		}
		ring_unmap(&ring);
		ASSERT_EQ(0, drop(t->fd, ring.cap));
		EXPECT_EQ(-ENOENT, interrupts(after));
	}
}

TEST_F(place, a_cpu_that_is_not_the_callers_is_refused)
{
	static const __u32 wrong[] = { 1, 2, 1000, 65536, 1u << 31, ~0u };
	struct tenant *t = &self->t;
	unsigned int i;

	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, run_on(0));
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, irq_cpu_field, wrong[i],
			       queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, wrong[i], 0,
					&self->queue));
	ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 0, 0, &self->queue));
	/* From where it may run by then, whatever it might before. */
	ASSERT_EQ(0, run_on(1));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, irq_cpu_field, 0,
		       queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 0, 0, &self->queue));
}

TEST_F(place, a_cpu_without_an_interrupt_makes_no_sense)
{
	struct tenant *t = &self->t;

	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, irq_cpu_field, 1,
		       queue_on(t->fd, t->controller, 0, 1, 0, &self->queue));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, irq_cpu_field, 1,
		       queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU | EXO_QUEUE_POLLED, 1, 0,
				&self->queue));
	ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_POLLED, 0, 0, &self->queue));
	EXPECT_EQ(EXO_CPU_NONE, irq_cpu(t->fd, self->queue));
}

TEST_F(place, without_a_vector_left_who_asks_for_a_cpu_is_refused_and_others_are_polled)
{
	struct tenant *t = &self->t;
	struct exo_controller_query c;
	__u32 caps[VECTORS];
	int i;

	for (i = 0; i < VECTORS; i++)
		ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, i % 2, 0, &caps[i]));
	EXPECT_REFUSED(ENOSPC, EXO_REASON_TABLE_FULL, irq_cpu_field, 1,
		       queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 1, 0, &self->queue));
	EXPECT_EQ(VECTORS, last.limit);
	ASSERT_EQ(0, controller_query(t->fd, t->controller, &c));
	EXPECT_EQ(VECTORS, c.out_queues_used);
	ASSERT_EQ(0, queue_on(t->fd, t->controller, 0, 0, 0, &self->queue));
	EXPECT_EQ(EXO_CPU_NONE, irq_cpu(t->fd, self->queue));
	ASSERT_EQ(0, drop(t->fd, self->queue));
	ASSERT_EQ(0, drop(t->fd, caps[1]));
	EXPECT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 0, 0, &self->queue));
	EXPECT_EQ(0, irq_cpu(t->fd, self->queue));
}

/* Where interrupts of the only queue's vector may go. */
static int affinity_path(char *path, size_t size)
{
	unsigned long long counts[CPUS];
	int irq = interrupts(counts);

	snprintf(path, size, "/proc/irq/%d/smp_affinity_list", irq);
	return irq < 0 ? irq : 0;
}

static int affinity(char *text, size_t size)
{
	char path[64];
	int ret = affinity_path(path, sizeof(path));

	return ret ? ret : read_file(path, text, size);
}

TEST_F(place, who_has_the_vector_next_is_not_where_the_one_before_was)
{
	struct tenant *t = &self->t;
	char before[64], pinned[64], after[64];

	ASSERT_EQ(0, queue_on(t->fd, t->controller, 0, 0, 0, &self->queue));
	ASSERT_EQ(0, affinity(before, sizeof(before)));
	ASSERT_EQ(0, drop(t->fd, self->queue));
	ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 1, 0, &self->queue));
	ASSERT_EQ(0, affinity(pinned, sizeof(pinned)));
	EXPECT_EQ(1, atoi(pinned));
	EXPECT_STRNE(before, pinned);
	ASSERT_EQ(0, drop(t->fd, self->queue));
	ASSERT_EQ(0, queue_on(t->fd, t->controller, 0, 0, 0, &self->queue));
	ASSERT_EQ(0, affinity(after, sizeof(after)));
	EXPECT_STREQ(before, after);
}

TEST_F(place, an_interrupt_that_the_administrator_moves_is_told_where_it_is)
{
	struct tenant *t = &self->t;
	char path[64];
	struct buffer b;
	struct ring ring;
	struct exo_queue_create arg = {
		.flags = EXO_QUEUE_IRQ_CPU,
		.controller = t->controller,
		.depth = 8,
		.irq_cpu = 1,
	};

	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &b));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &b));
	ASSERT_EQ(0, call(t->fd, EXO_QUEUE_CREATE, &arg));
	ASSERT_EQ(0, ring_map(t->fd, &arg, &ring));
	ASSERT_EQ(0, queue_attach(t->fd, ring.cap, t->extent));
	ASSERT_EQ(0, affinity_path(path, sizeof(path)));
	ASSERT_EQ(0, write_file(path, "0"));
	/* It may move at its next one. */
	ASSERT_EQ(0, complete_one(t, &ring, &b));
	ASSERT_EQ(0, complete_one(t, &ring, &b));
	EXPECT_EQ(0, irq_cpu(t->fd, ring.cap));
}

TEST_F(place, interrupts_of_a_cpu_that_goes_offline_go_elsewhere_and_that_is_told)
{
	struct tenant *t = &self->t;
	int efd = eventfd(0, EFD_CLOEXEC);
	__u32 silent;

	ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 1, 0, &self->queue));
	ASSERT_EQ(0, queue_eventfd(t->fd, self->queue, efd));
	ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 1, 0, &silent));
	if (write_file("/sys/devices/system/cpu/cpu1/online", "0"))
		SKIP(return, "this machine takes no CPU offline");
	EXPECT_EQ(0, irq_cpu(t->fd, self->queue));
	EXPECT_EQ(EXO_CPU_NONE, irq_cpu(t->fd, silent));
	ASSERT_EQ(0, queue_eventfd(t->fd, silent, efd));
	EXPECT_EQ(0, irq_cpu(t->fd, silent));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, irq_cpu_field, 1,
		       queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 1, 0, &self->queue));
	EXPECT_EQ(0, drop(t->fd, self->queue));
	close(efd);
}

TEST_F(place, a_dead_queue_has_no_interrupt_and_still_its_node)
{
	struct tenant *t = &self->t;
	struct exo_queue_query before, q;

	ASSERT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_IRQ_CPU, 1, 0, &self->queue));
	ASSERT_EQ(0, queue_query(t->fd, self->queue, &before));
	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	ASSERT_EQ(0, queue_query(t->fd, self->queue, &q));
	EXPECT_EQ(EXO_QUEUE_DEAD, q.out_state);
	EXPECT_EQ(EXO_CPU_NONE, q.out_irq_cpu);
	EXPECT_EQ(before.out_node, q.out_node);
}

/* ---- nodes ---- */

/* A kernel without NUMA tells of none, and all its memory is node 0's. */
static bool node_exists(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	return !access(path, F_OK) || (!node && access("/sys/devices/system/node", F_OK));
}

TEST_F(place, memory_lies_on_the_node_that_was_asked_for)
{
	struct tenant *t = &self->t;
	struct exo_queue_query q;
	int node;

	ASSERT_EQ(0, become_nobody());
	for (node = 0; node < 8; node++) {
		int ret = queue_on(t->fd, t->controller, EXO_QUEUE_NODE, 0, node, &self->queue);

		if (!node_exists(node)) {
			EXPECT_EQ(-EINVAL, ret);
			EXPECT_WHY(EXO_REASON_VALUE, node_field, node);
			continue;
		}
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, queue_query(t->fd, self->queue, &q));
		EXPECT_EQ(node, q.out_node);
		ASSERT_EQ(0, drop(t->fd, self->queue));
	}
}

TEST_F(place, a_node_that_there_is_not_is_refused)
{
	static const __s32 wrong[] = { -1, -2, 1023, 1024, 1 << 20, INT_MAX, INT_MIN };
	struct tenant *t = &self->t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_REFUSED(
			EINVAL, EXO_REASON_VALUE, node_field, (__u64)wrong[i],
			queue_on(t->fd, t->controller, EXO_QUEUE_NODE, 0, wrong[i], &self->queue));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, node_field, 1,
		       queue_on(t->fd, t->controller, 0, 0, 1, &self->queue));
}

/* Elsewhere there is memory; a program that has none of it gets none. */
TEST_F(place, memory_of_a_node_that_the_callers_cpuset_has_not_is_refused)
{
	struct tenant *t = &self->t;
	struct cgroup c;
	int ret;

	if (!node_exists(1))
		SKIP(return, "this machine has one node");
	ret = cgroup_enter(&c, "cpuset");
	if (!ret)
		ret = cgroup_write(&c, "cpuset.mems", "0");
	if (ret) {
		cgroup_leave(&c);
		SKIP(return, "this kernel has no cpusets");
	}
	EXPECT_REFUSED(ENOMEM, EXO_REASON_MEMORY, 0, 0,
		       queue_on(t->fd, t->controller, EXO_QUEUE_NODE, 0, 1, &self->queue));
	EXPECT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_NODE, 0, 0, &self->queue));
	cgroup_leave(&c);
	ASSERT_EQ(0, drop(t->fd, self->queue));
	EXPECT_EQ(0, queue_on(t->fd, t->controller, EXO_QUEUE_NODE, 0, 1, &self->queue));
}

/* ---- priorities ---- */

static const __u32 priority_field = offsetof(struct exo_queue_create, priority);

static int queue_urgent(int fd, __u32 controller, __u32 priority, __u32 *cap)
{
	struct exo_queue_create arg = {
		.controller = controller,
		.depth = 8,
		.priority = priority,
	};
	int ret = call(fd, EXO_QUEUE_CREATE, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

static __u32 priority_of(int fd, __u32 queue)
{
	struct exo_queue_query q;

	return queue_query(fd, queue, &q) ? ~0u : q.out_priority;
}

TEST_F(place, priorities_above_medium_need_the_right)
{
	struct tenant *t = &self->t;
	__u32 priority;

	ASSERT_EQ(0, become_nobody());
	for (priority = EXO_PRIORITY_HIGH; priority <= EXO_PRIORITY_URGENT; priority++)
		EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT,
			       offsetof(struct exo_queue_create, controller), EXO_RIGHT_PRIORITY,
			       queue_urgent(t->fd, t->controller, priority, &self->queue));
}

TEST_F(place, a_priority_that_does_not_exist_is_refused)
{
	static const __u32 wrong[] = { 5, 6, 1u << 31, ~0u };
	struct tenant *t = &self->t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_REFUSED(
			EINVAL, EXO_REASON_VALUE, priority_field, wrong[i],
			queue_urgent(t->grantor, t->root_controller, wrong[i], &self->queue));
}

TEST_F(place, a_device_without_priorities_is_asked_for_none)
{
	struct tenant *t = &self->t;
	struct exo_controller_query c;
	__u32 priority;

	ASSERT_EQ(0, controller_query(t->grantor, t->root_controller, &c));
	if (c.out_features & EXO_CONTROLLER_PRIORITY)
		SKIP(return, "it has priorities");
	EXPECT_EQ(0, c.out_arbitration);
	for (priority = EXO_PRIORITY_LOW; priority <= EXO_PRIORITY_URGENT; priority++)
		EXPECT_REFUSED(
			EOPNOTSUPP, EXO_REASON_ARBITRATION, priority_field, priority,
			queue_urgent(t->grantor, t->root_controller, priority, &self->queue));
	ASSERT_EQ(0, queue_urgent(t->fd, t->controller, EXO_PRIORITY_DEFAULT, &self->queue));
	EXPECT_EQ(EXO_PRIORITY_DEFAULT, priority_of(t->fd, self->queue));
}

/*
 * No emulated device has weighted round robin: the kernel's fail_function makes exo believe so
 * when it binds one, on a kernel that has it (the debug kernel). That device ignores what it is
 * told; QEMU's trace shows what that was (weights() of vm/check).
 */
static int bind_anew(__u32 address)
{
	int ret = machine_unbind(address);

	return ret ? ret : machine_bind(address, "exo");
}

FIXTURE(weighted)
{
	__u32 address;
	struct tenant t;
};

FIXTURE_SETUP(weighted)
{
	int ret;

	if (!can_inject())
		SKIP(return, "this kernel has no fail_function");
	ASSERT_EQ(0, machine_find("exo1", &self->address));
	ret = inject_always("exo_nvme_has_weights", "1") ? -EIO : bind_anew(self->address);
	ASSERT_EQ(0, inject_nothing());
	ASSERT_EQ(0, ret);
	TENANT_SETUP(&self->t, "exo1");
}

FIXTURE_TEARDOWN(weighted)
{
	if (!self->address)
		return;
	tenant_destroy(&self->t);
	EXPECT_EQ(0, bind_anew(self->address));
}

TEST_F(weighted, a_queue_has_the_priority_that_was_asked_for_or_medium)
{
	static const __u32 made[] = { EXO_PRIORITY_DEFAULT, EXO_PRIORITY_LOW, EXO_PRIORITY_MEDIUM,
				      EXO_PRIORITY_HIGH, EXO_PRIORITY_URGENT };
	struct tenant *t = &self->t;
	struct exo_controller_query c;
	unsigned int i;
	__u32 queue;

	ASSERT_EQ(0, controller_query(t->grantor, t->root_controller, &c));
	EXPECT_TRUE(c.out_features & EXO_CONTROLLER_PRIORITY);
	for (i = 0; i < ARRAY_SIZE(made); i++) {
		ASSERT_EQ(0, queue_urgent(t->grantor, t->root_controller, made[i], &queue));
		EXPECT_EQ(made[i] ? made[i] : EXO_PRIORITY_MEDIUM, priority_of(t->grantor, queue));
		ASSERT_EQ(0, drop(t->grantor, queue));
	}
}

TEST_F(weighted, the_right_is_not_had_by_who_was_not_given_it)
{
	struct tenant *t = &self->t;
	__u32 child, queue;

	EXPECT_EQ(0, queue_urgent(t->fd, t->controller, EXO_PRIORITY_MEDIUM, &queue));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_queue_create, controller),
		       EXO_RIGHT_PRIORITY,
		       queue_urgent(t->fd, t->controller, EXO_PRIORITY_HIGH, &queue));
	/* Nor made. */
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_controller_create, rights),
		       EXO_RIGHT_PRIORITY,
		       controller_create(t->fd, t->controller, EXO_RIGHT_QUEUE | EXO_RIGHT_PRIORITY,
					 1, &child));
	ASSERT_EQ(0, controller_create(t->grantor, t->root_controller,
				       EXO_RIGHT_QUEUE | EXO_RIGHT_PRIORITY, 1, &child));
	EXPECT_EQ(0, queue_urgent(t->grantor, child, EXO_PRIORITY_URGENT, &queue));
}

TEST_HARNESS_MAIN
