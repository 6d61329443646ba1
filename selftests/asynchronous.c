// SPDX-License-Identifier: MIT
/*
 * Asynchronous events: what a device tells unasked reaches whom it concerns, and no more
 * often than is good for the others. A namespace that is detached or formatted behind the
 * module's back takes the queues on it along, before anybody is told.
 *
 * Health warnings are set through QEMU's monitor. The rest needs two controllers of one
 * NVMe subsystem, which have one serial number (exo3; vm/check boots such a machine for this
 * program): one, in the hands of the stock driver, does what exo keeps from everybody on the
 * other.
 */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <linux/nvme_ioctl.h>
#include <kselftest_harness.h>

#include "lib.h"
#include "monitor.h"

#define SOON_MS 15000
#define PAUSE "/sys/module/exo/parameters/event_pause_ms" /* between two events of a device */
#define PAUSE_MS 100
#define LONG_PAUSE_MS 2000 /* for what must happen within one */

/* Dword 0 of the completion of an Asynchronous Event Request */
#define EVENT_TYPE(value) ((value)&7)
#define EVENT_HEALTH 0x020001ull     /* the health log; reliability is degraded */
#define EVENT_NAMESPACES 0x040002ull /* the list of changed namespaces */
#define WARNING_READ_ONLY 8	     /* critical warnings */
#define WARNING_RELIABILITY 4

/* The next event of that type about @cap; others are skipped. */
static int next_event(struct events *events, __u32 type, __u32 cap, struct exo_event *e)
{
	int ret;

	do
		ret = events_next(events, e, SOON_MS);
	while (!ret && (e->type != type || e->cap != cap));
	return ret;
}

/* ---- health ---- */

FIXTURE(health)
{
	struct monitor monitor;
	struct tenant t;
	struct events events;
};

FIXTURE_SETUP(health)
{
	if (monitor_open(&self->monitor))
		SKIP(return, "QEMU's monitor cannot be reached");
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, monitor_set(&self->monitor, "exo0", "smart_critical_warning", 0));
	ASSERT_EQ(0, events_create(self->t.fd, 64, &self->events));
}

FIXTURE_TEARDOWN(health)
{
	monitor_set(&self->monitor, "exo0", "smart_critical_warning", 0);
	tenant_destroy(&self->t);
	monitor_close(&self->monitor);
}

/* A warning that was not there before. */
static int warn(FIXTURE_DATA(health) * self)
{
	int ret = monitor_set(&self->monitor, "exo0", "smart_critical_warning", 0);

	return ret ? ret
		   : monitor_set(&self->monitor, "exo0", "smart_critical_warning",
				 WARNING_RELIABILITY);
}

TEST_F(health, a_warning_is_told_and_the_log_has_it)
{
	struct exo_event e;
	__u8 warnings = 0;
	__u64 before = now_ns();

	ASSERT_EQ(0, warn(self));
	ASSERT_EQ(0, events_next(&self->events, &e, SOON_MS));
	EXPECT_EQ(EXO_EVENT_DEVICE, e.type);
	EXPECT_EQ(self->t.controller, e.cap);
	EXPECT_EQ(EVENT_HEALTH, e.value);
	EXPECT_EQ(0, e.deadline);
	EXPECT_LE(before, e.time);
	EXPECT_GE(now_ns(), e.time);
	ASSERT_EQ(0, log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH, &warnings, 1, NULL));
	EXPECT_EQ(WARNING_RELIABILITY, warnings);
}

TEST_F(health, the_next_warning_is_told_too)
{
	struct exo_event e;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, warn(self));
		ASSERT_EQ(0, events_next(&self->events, &e, SOON_MS));
		EXPECT_EQ(EVENT_HEALTH, e.value);
	}
}

/* The device is reset behind one, and must be asked for events again. */
TEST_F(health, a_warning_is_told_after_a_direct_queue)
{
	struct tenant *t = &self->t;
	struct exo_controller_create alone = {
		.flags = EXO_CONTROLLER_EXCLUSIVE,
		.controller = t->root_controller,
		.rights = EXO_RIGHT_QUEUE | EXO_RIGHT_DIRECT,
		.queues = 1,
	};
	struct exo_queue_create q = { .mode = EXO_QUEUE_DIRECT, .depth = 1 };
	struct events root;
	struct exo_event e;
	int ret;

	ASSERT_EQ(0, drop(t->fd, t->controller));
	ASSERT_EQ(0, drop(t->fd, t->extent));
	ASSERT_EQ(0, call(t->grantor, EXO_CONTROLLER_CREATE, &alone));
	q.controller = alone.out_cap;
	ret = call(t->grantor, EXO_QUEUE_CREATE, &q);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "no IOMMU: no direct queues");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, drop(t->grantor, q.out_cap));
	ASSERT_EQ(0, drop(t->grantor, alone.out_cap));
	ASSERT_EQ(0, events_create(t->grantor, 16, &root));
	ASSERT_EQ(0, warn(self));
	EXPECT_EQ(0, next_event(&root, EXO_EVENT_DEVICE, t->root_controller, &e));
}

/* A claim, a child with a budget of its own, a second session; not who holds an extent alone. */
TEST_F(health, all_who_hold_a_controller_are_told_and_nobody_else)
{
	struct tenant *t = &self->t;
	struct events root, other, extent;
	int other_fd = session_open(), extent_fd = session_open();
	__u32 child, granted, part;
	struct exo_event e;

	ASSERT_LE(0, other_fd);
	ASSERT_LE(0, extent_fd);
	ASSERT_EQ(0, events_create(t->grantor, 16, &root));
	ASSERT_EQ(0, events_create(other_fd, 16, &other));
	ASSERT_EQ(0, events_create(extent_fd, 16, &extent));
	ASSERT_EQ(0, controller_create(t->fd, t->controller, EXO_RIGHT_QUEUE, 1, &child));
	ASSERT_EQ(0, derive(t->fd, child, EXO_RIGHT_QUEUE, other_fd, 0, 0, &granted));
	ASSERT_EQ(0, derive(t->fd, t->extent, EXO_RIGHT_READ, extent_fd, 0, 0, &part));
	ASSERT_EQ(0, drop(t->fd, child));
	ASSERT_EQ(0, warn(self));
	EXPECT_EQ(0, next_event(&root, EXO_EVENT_DEVICE, t->root_controller, &e));
	EXPECT_EQ(0, next_event(&other, EXO_EVENT_DEVICE, granted, &e));
	EXPECT_EQ(EVENT_HEALTH, e.value);
	EXPECT_EQ(0, next_event(&self->events, EXO_EVENT_DEVICE, t->controller, &e));
	/* Twice: when the second is here the first is over. */
	ASSERT_EQ(0, warn(self));
	EXPECT_EQ(0, next_event(&self->events, EXO_EVENT_DEVICE, t->controller, &e));
	EXPECT_EQ(-ETIMEDOUT, events_next(&extent, &e, 0));
	close(other_fd);
	close(extent_fd);
}

static bool ring_is_full(const struct events *events)
{
	return events->status->tail - events->control->head == events->mask + 1;
}

TEST_F(health, a_full_ring_loses_them_and_counts_them)
{
	struct tenant *t = &self->t;
	__u64 end = now_ms() + SOON_MS;
	struct events events;
	struct exo_event e;
	int fd = session_open(), i;
	__u32 cap;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, events_create(fd, EXO_EVENTS_MIN, &events));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, derive(t->fd, t->controller, EXO_RIGHT_QUEUE, fd, 0, 0, &cap));
	while (__atomic_load_n(&events.status->lost, __ATOMIC_RELAXED) < 2 && now_ms() < end)
		ASSERT_EQ(0, warn(self));
	EXPECT_LE(2, events.status->lost);
	EXPECT_TRUE(ring_is_full(&events));
	for (i = 0; i < EXO_EVENTS_MIN; i++) {
		ASSERT_EQ(0, events_next(&events, &e, 0));
		EXPECT_EQ(EXO_EVENT_DEVICE, e.type);
	}
	/* There is room again. */
	ASSERT_EQ(0, warn(self));
	EXPECT_EQ(0, events_next(&events, &e, SOON_MS));
	close(fd);
}

/* However fast the device is: QEMU's warns as often as its monitor is asked to. */
TEST_F(health, a_device_with_much_to_say_is_heard_ten_times_a_second)
{
	__u64 start = now_ms(), warnings = 0, told;

	while (now_ms() < start + 3000) {
		ASSERT_EQ(0, warn(self));
		warnings++;
	}
	told = __atomic_load_n(&self->events.status->tail, __ATOMIC_ACQUIRE);
	TH_LOG("%llu of %llu warnings were told", told, warnings);
	EXPECT_LE(3, told);
	EXPECT_GE((now_ms() - start) / PAUSE_MS + 2, told);
}

/* What the device holds of ours ends with the binding; the next one has events again. */
TEST_F(health, a_function_that_was_bound_again_tells_as_before)
{
	struct tenant again;
	struct events events;
	struct exo_event e;
	const char *why;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, warn(self));
		usleep(random_u32() % (2 * PAUSE_MS * 1000));
		ASSERT_EQ(0, machine_unbind(self->t.address));
		ASSERT_EQ(0, machine_bind(self->t.address, "exo"));
	}
	ASSERT_EQ(0, tenant_create(&again, "exo0", &why));
	ASSERT_EQ(0, events_create(again.fd, 16, &events));
	ASSERT_EQ(0, warn(self));
	EXPECT_EQ(0, events_next(&events, &e, SOON_MS));
	EXPECT_EQ(EVENT_HEALTH, e.value);
	tenant_destroy(&again);
}

/* ---- a neighbour controller ---- */

#define ADMIN_IDENTIFY 0x06
#define ADMIN_ATTACH 0x15
#define ADMIN_FORMAT 0x80
#define CNS_CONTROLLER 0x01
#define CTRL_CNTLID 78
#define NS_FLBAS 26
#define SEL_ATTACH 0
#define SEL_DETACH 1
#define FORMAT_512 0 /* indexes of QEMU's LBA formats */
#define FORMAT_4K 4

#define DEPTH 16

struct neighbour {
	int fd; /* /dev/nvmeN of the other controller */
	__u16 own_cntlid;
	__u16 cntlid; /* of ours */
};

/* The two lie at 0000:00:13.0 and 14.0; QEMU calls them so. */
#define PAIR_FIRST EXO_PCI_ADDRESS(0, 0, 0x13 << 3)
#define PAIR_SECOND EXO_PCI_ADDRESS(0, 0, 0x14 << 3)

static const char *pair_name(__u32 address)
{
	return address == PAIR_FIRST ? "pair13" : "pair14";
}

static int neighbour_open(__u32 ours, struct neighbour *n)
{
	__u32 address = ours == PAIR_FIRST ? PAIR_SECOND : PAIR_FIRST;
	char path[PATH_MAX], name[16];
	int ret = machine_bind(address, "nvme");
	struct dirent *entry;
	DIR *dir;

	if (ret)
		return ret;
	n->fd = -1;
	machine_name(address, name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/nvme", name);
	dir = opendir(path);
	while (dir && n->fd < 0 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "nvme", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/%.32s", entry->d_name);
		n->fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return n->fd < 0 ? -ENODEV : 0;
}

static int neighbour_admin(const struct neighbour *n, __u8 opcode, __u32 nsid, __u32 cdw10,
			   void *data, __u32 len)
{
	struct nvme_admin_cmd cmd = {
		.opcode = opcode,
		.nsid = nsid,
		.addr = (uintptr_t)data,
		.data_len = len,
		.cdw10 = cdw10,
		.timeout_ms = SOON_MS,
	};

	return ioctl(n->fd, NVME_IOCTL_ADMIN_CMD, &cmd);
}

/* NVMe base 2.0 section 5.23: @nsid of the controller @cntlid. */
static int neighbour_attachment(const struct neighbour *n, __u32 nsid, __u16 cntlid, __u32 select)
{
	__u16 list[2048] = { 1, cntlid };

	return neighbour_admin(n, ADMIN_ATTACH, nsid, select, list, sizeof(list));
}

static int neighbour_detach(const struct neighbour *n, __u32 nsid)
{
	return neighbour_attachment(n, nsid, n->cntlid, SEL_DETACH);
}

/* QEMU (10.0) attaches nothing that the controller it is asked through has itself. */
static int neighbour_attach(const struct neighbour *n, __u32 nsid)
{
	int ret;

	neighbour_attachment(n, nsid, n->own_cntlid, SEL_DETACH);
	ret = neighbour_attachment(n, nsid, n->cntlid, SEL_ATTACH);
	return neighbour_attachment(n, nsid, n->own_cntlid, SEL_ATTACH) ? -EIO : ret;
}

static int neighbour_identify(struct neighbour *n)
{
	__u8 data[EXO_IDENTIFY_BYTES];
	int ret = neighbour_admin(n, ADMIN_IDENTIFY, 0, CNS_CONTROLLER, data, sizeof(data));

	memcpy(&n->own_cntlid, data + CTRL_CNTLID, 2);
	return ret;
}

/*
 * A read that the kernel's own driver began with the old block size is longer with the new one, and
 * then its list of pages lies at address 0: not our fault.
 */
static int neighbour_format(const struct neighbour *n, __u32 nsid, __u32 format)
{
	write_file("/dev/kmsg", "exo-test: IOMMU faults are expected\n");
	return neighbour_admin(n, ADMIN_FORMAT, nsid, format, NULL, 0);
}

FIXTURE(shared)
{
	char pause[16];
	struct monitor monitor;
	struct neighbour neighbour;
	struct tenant t;
	__u64 used;
	struct events root, events;
	__u32 second;	      /* an extent of namespace 2 */
	struct ring one, two; /* queues on namespace 1, on 2 */
	struct buffer b;
};

static int shared_tenant(FIXTURE_DATA(shared) * self)
{
	struct tenant *t = &self->t;
	__u8 data[EXO_IDENTIFY_BYTES];
	__u32 cap;
	int ret = identify(t->fd, t->controller, EXO_CNS_CONTROLLER, 0, data);

	memcpy(&self->neighbour.cntlid, data + CTRL_CNTLID, 2);
	if (!ret)
		ret = extent_create(t->grantor, t->root_controller, 2, EXO_RIGHT_READ, 0, 64, &cap);
	if (!ret)
		ret = derive(t->grantor, cap, EXO_RIGHT_READ, t->fd, 0, 0, &self->second);
	if (!ret)
		ret = drop(t->grantor, cap);
	if (!ret)
		ret = events_create(t->grantor, 64, &self->root);
	return ret ? ret : events_create(t->fd, 64, &self->events);
}

static int shared_queues(FIXTURE_DATA(shared) * self)
{
	struct tenant *t = &self->t;
	int ret = ring_create(t->fd, t->controller, DEPTH, &self->one);

	if (!ret)
		ret = queue_attach(t->fd, self->one.cap, t->extent);
	if (!ret)
		ret = ring_create(t->fd, t->controller, DEPTH, &self->two);
	if (!ret)
		ret = queue_attach(t->fd, self->two.cap, self->second);
	if (!ret)
		ret = buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &self->b);
	return ret ? ret : buffer_attach(t->fd, t->controller, &self->b);
}

FIXTURE_SETUP(shared)
{
	__u32 address;

	/* Of the two, always the same is found first. */
	if (machine_find("exo3", &address))
		SKIP(return, "this machine has no NVMe subsystem of two controllers (exo3)");
	ASSERT_EQ(0, read_file(PAUSE, self->pause, sizeof(self->pause)));
	ASSERT_EQ(0, neighbour_open(address, &self->neighbour));
	ASSERT_EQ(0, neighbour_identify(&self->neighbour));
	ASSERT_EQ(0, monitor_open(&self->monitor));
	TENANT_SETUP(&self->t, "exo3");
	ASSERT_EQ(address, self->t.address);
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, shared_tenant(self));
	ASSERT_EQ(0, shared_queues(self));
}

/* The namespace is attached again, in the format that it had. */
FIXTURE_TEARDOWN(shared)
{
	write_file(PAUSE, self->pause);
	neighbour_format(&self->neighbour, 1, FORMAT_512);
	neighbour_attach(&self->neighbour, 1);
	close(self->neighbour.fd);
	tenant_destroy(&self->t);
	monitor_close(&self->monitor);
}

#define EXPECT_EXTENT_GONE(expr, where) \
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, where, self->t.extent, expr)

/* What is true when its holder is told. */
static void the_namespace_has_ended(struct __test_metadata *_metadata, FIXTURE_DATA(shared) * self,
				    __u64 how)
{
	struct tenant *t = &self->t;
	__u8 data[EXO_IDENTIFY_BYTES];
	struct exo_cap_query q;
	struct exo_event e;
	__u32 cap;

	ASSERT_EQ(0, next_event(&self->events, EXO_EVENT_NAMESPACE, t->extent, &e));
	EXPECT_EQ(how, e.value);
	EXPECT_EQ(EXO_QUEUE_DEAD, self->one.status->state);
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_queue_submit, queue),
		       self->one.cap, queue_submit(t->fd, self->one.cap, NULL));
	EXPECT_EXTENT_GONE(queue_attach(t->fd, self->two.cap, t->extent),
			   offsetof(struct exo_queue_attach, extent));
	EXPECT_EXTENT_GONE(query(t->fd, t->extent, &q), offsetof(struct exo_cap_query, cap));
	EXPECT_EXTENT_GONE(derive(t->fd, t->extent, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &cap),
			   offsetof(struct exo_cap_derive, cap));
	EXPECT_EXTENT_GONE(identify(t->fd, t->extent, EXO_CNS_NAMESPACE, 0, data),
			   offsetof(struct exo_identify, cap));
	EXPECT_EQ(0, drop(t->fd, t->extent));
	EXPECT_EQ(0, drop(t->fd, self->one.cap));
	/* The neighbour's work goes on. */
	EXPECT_EQ(EXO_QUEUE_LIVE, self->two.status->state);
	EXPECT_EQ(0, ring_io(&self->two, OP_READ, 2, 0, 1, self->b.offset));
}

/* Fills the queue; what is in flight ends with it. */
static void fill(FIXTURE_DATA(shared) * self)
{
	__u32 i, accepted;

	for (i = 0; i < DEPTH; i++) {
		struct sqe sqe = sqe_io(i % 2 ? OP_READ : OP_WRITE, (__u16)i, 1, EXTENT_FIRST + i,
					0, self->b.offset);

		ring_push(&self->one, &sqe);
	}
	ring_submit(&self->one, &accepted);
}

TEST_F(shared, a_namespace_that_is_detached_takes_the_queues_on_it_along)
{
	struct tenant *t = &self->t;
	struct exo_event e;
	__u32 cap;

	fill(self);
	ASSERT_EQ(0, neighbour_detach(&self->neighbour, 1));
	the_namespace_has_ended(_metadata, self, EXO_NAMESPACE_DETACHED);
	EXPECT_REFUSED(
		ENOENT, EXO_REASON_NO_NAMESPACE, offsetof(struct exo_extent_create, nsid), 1,
		extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 1, &cap));
	/* Who may make extents is told that namespaces changed. */
	ASSERT_EQ(0, next_event(&self->root, EXO_EVENT_DEVICE, t->root_controller, &e));
	EXPECT_EQ(EVENT_NAMESPACES, e.value);
}

TEST_F(shared, the_holder_of_a_queue_is_told_that_it_died)
{
	struct exo_event e;

	ASSERT_EQ(0, neighbour_detach(&self->neighbour, 1));
	EXPECT_EQ(0, next_event(&self->events, EXO_EVENT_QUEUE_DEAD, self->one.cap, &e));
}

TEST_F(shared, every_holder_of_an_extent_is_told)
{
	struct tenant *t = &self->t;
	struct events events;
	struct exo_event e;
	int fd = session_open();
	__u32 part, other;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, events_create(fd, 16, &events));
	ASSERT_EQ(0, derive(t->fd, t->extent, EXO_RIGHT_READ, fd, EXTENT_FIRST, 1, &part));
	ASSERT_EQ(0, derive(t->fd, self->second, EXO_RIGHT_READ, fd, 0, 1, &other));
	ASSERT_EQ(0, neighbour_detach(&self->neighbour, 1));
	ASSERT_EQ(0, events_next(&events, &e, SOON_MS));
	EXPECT_EQ(EXO_EVENT_NAMESPACE, e.type);
	EXPECT_EQ(part, e.cap);
	EXPECT_EQ(EXO_NAMESPACE_DETACHED, e.value);
	/* Nothing about the other, nor what concerns who makes extents. */
	ASSERT_EQ(0, next_event(&self->root, EXO_EVENT_DEVICE, t->root_controller, &e));
	EXPECT_EQ(-ETIMEDOUT, events_next(&events, &e, 0));
	close(fd);
}

TEST_F(shared, what_is_attached_again_is_another_namespace)
{
	struct tenant *t = &self->t;
	struct exo_event e;
	struct ring ring;
	__u32 cap;

	ASSERT_EQ(0, neighbour_detach(&self->neighbour, 1));
	the_namespace_has_ended(_metadata, self, EXO_NAMESPACE_DETACHED);
	ASSERT_EQ(0, next_event(&self->root, EXO_EVENT_DEVICE, t->root_controller, &e));
	ASSERT_EQ(0, neighbour_attach(&self->neighbour, 1));
	ASSERT_EQ(0, next_event(&self->root, EXO_EVENT_DEVICE, t->root_controller, &e));
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 64, &cap));
	ASSERT_EQ(0, derive(t->grantor, cap, EXO_RIGHT_READ, t->fd, 0, 0, &cap));
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 4, &ring));
	ASSERT_EQ(0, queue_attach(t->fd, ring.cap, cap));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, 0, 1, self->b.offset));
}

#define TRIES 5

/*
 * Within the pause behind an event: the module hears of both at once, and finds whatever is
 * there then. -EAGAIN: it took longer than that, and nobody knows what the module found.
 */
static int detach_and_attach(FIXTURE_DATA(shared) * self, __u32 nsid)
{
	const struct neighbour *n = &self->neighbour;
	struct exo_event e;
	const char *name = pair_name(self->t.address);
	int ret = neighbour_attachment(n, nsid, n->own_cntlid, SEL_DETACH);

	if (!ret)
		ret = monitor_set(&self->monitor, name, "smart_critical_warning", 0);

	if (!ret)
		ret = monitor_set(&self->monitor, name, "smart_critical_warning",
				  WARNING_READ_ONLY);
	do
		ret = ret ? ret
			  : next_event(&self->root, EXO_EVENT_DEVICE, self->t.root_controller, &e);
	while (!ret && EVENT_TYPE(e.value) != EVENT_TYPE(EVENT_HEALTH));
	if (!ret)
		ret = neighbour_detach(n, nsid);
	if (!ret)
		ret = neighbour_attachment(n, nsid, n->cntlid, SEL_ATTACH);
	if (!ret && now_ns() - e.time > LONG_PAUSE_MS * 1000000ull)
		ret = -EAGAIN;
	return neighbour_attachment(n, nsid, n->own_cntlid, SEL_ATTACH) ? -EIO : ret;
}

/* The same, after @prepare, begun anew until the machine was fast enough. */
static void in_one_pause(struct __test_metadata *_metadata, FIXTURE_DATA(shared) * self, __u32 nsid,
			 int (*prepare)(FIXTURE_DATA(shared) * self))
{
	struct exo_event e;
	int tries, ret;
	char text[16];

	snprintf(text, sizeof(text), "%d", LONG_PAUSE_MS);
	ASSERT_EQ(0, write_file(PAUSE, text));
	for (tries = 0; tries < TRIES; tries++) {
		ASSERT_EQ(0, prepare ? prepare(self) : 0);
		ret = detach_and_attach(self, nsid);
		if (ret != -EAGAIN)
			break;
		/* What it hears late would be of the next try. */
		while (!events_next(&self->root, &e, 2 * LONG_PAUSE_MS))
			;
		ASSERT_EQ(0, neighbour_format(&self->neighbour, 1, FORMAT_512));
		tenant_destroy(&self->t);
		TENANT_SETUP(&self->t, "exo3");
		ASSERT_EQ(0, shared_tenant(self));
		ASSERT_EQ(0, shared_queues(self));
	}
	ASSERT_EQ(0, write_file(PAUSE, self->pause));
	ASSERT_EQ(0, ret);
}

static int fill_and_format(FIXTURE_DATA(shared) * self)
{
	fill(self);
	return neighbour_format(&self->neighbour, 1, FORMAT_4K);
}

/* (QEMU tells other controllers nothing of a format.) */
TEST_F(shared, a_format_under_a_live_queue_kills_it_and_tells_its_holder)
{
	struct tenant *t = &self->t;
	struct exo_namespace_query before, after;
	__u8 data[EXO_IDENTIFY_BYTES];
	struct exo_cap_query q;
	struct ring ring;
	__u32 cap;

	ASSERT_EQ(0, namespace_query(t->grantor, t->root_controller, 0, 1, &before));
	ASSERT_EQ(9, before.out_block_shift);
	ASSERT_EQ(0, identify(t->fd, t->extent, EXO_CNS_NAMESPACE, 0, data));
	EXPECT_EQ(FORMAT_512, data[NS_FLBAS] & 0xf);
	in_one_pause(_metadata, self, 1, fill_and_format);
	the_namespace_has_ended(_metadata, self, EXO_NAMESPACE_CHANGED);
	/* What is made from now on is as the namespace is now. */
	ASSERT_EQ(0, namespace_query(t->grantor, t->root_controller, 0, 1, &after));
	EXPECT_EQ(12, after.out_block_shift);
	EXPECT_EQ(before.out_blocks >> 3, after.out_blocks);
	EXPECT_EQ(-ERANGE, extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ,
					 after.out_blocks, 1, &cap));
	ASSERT_EQ(0, extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_READ, 0, 8, &cap));
	ASSERT_EQ(0, derive(t->grantor, cap, EXO_RIGHT_READ, t->fd, 0, 0, &cap));
	ASSERT_EQ(0, query(t->fd, cap, &q));
	EXPECT_EQ(12, q.out_unit_shift);
	ASSERT_EQ(0, identify(t->fd, cap, EXO_CNS_NAMESPACE, 0, data));
	EXPECT_EQ(FORMAT_4K, data[NS_FLBAS] & 0xf);
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 4, &ring));
	ASSERT_EQ(0, queue_attach(t->fd, ring.cap, cap));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, 7, 1, self->b.offset));
}

TEST_F(shared, a_namespace_that_is_what_it_was_keeps_its_queues)
{
	struct tenant *t = &self->t;
	struct exo_cap_query q;
	struct exo_event e;

	in_one_pause(_metadata, self, 1, NULL);
	do {
		ASSERT_EQ(0, next_event(&self->root, EXO_EVENT_DEVICE, t->root_controller, &e));
	} while (e.value != EVENT_NAMESPACES);
	EXPECT_EQ(EXO_QUEUE_LIVE, self->one.status->state);
	EXPECT_EQ(0, query(t->fd, t->extent, &q));
	EXPECT_EQ(0, ring_io(&self->one, OP_READ, 1, EXTENT_FIRST, 1, self->b.offset));
}

/* It may be another one of that number and size. */
TEST_F(shared, a_namespace_without_a_name_does_not_keep_its_queues)
{
	struct exo_event e;

	in_one_pause(_metadata, self, 2, NULL);
	ASSERT_EQ(0, next_event(&self->events, EXO_EVENT_NAMESPACE, self->second, &e));
	EXPECT_EQ(EXO_NAMESPACE_CHANGED, e.value);
	EXPECT_EQ(EXO_QUEUE_DEAD, self->two.status->state);
	EXPECT_EQ(EXO_QUEUE_LIVE, self->one.status->state);
}

/* Its queues die in the middle of anything: none of it is lost or counted twice. */
TEST_F(shared, queues_that_their_holder_drops_meanwhile_die_once)
{
	struct tenant *t = &self->t;
	int i;

	for (i = 0; i < 10; i++) {
		fill(self);
		ASSERT_EQ(0, neighbour_detach(&self->neighbour, 1));
		usleep(random_u32() % 10000);
		ASSERT_EQ(0, drop(t->fd, self->one.cap));
		ASSERT_EQ(0, drop(t->fd, t->extent));
		ASSERT_EQ(0, neighbour_attach(&self->neighbour, 1));
		tenant_destroy(t);
		TENANT_SETUP(t, "exo3");
		ASSERT_EQ(0, shared_tenant(self));
		ASSERT_EQ(0, shared_queues(self));
	}
	close(t->fd);
	EXPECT_EQ(self->used, frames_used_soon(t->grantor, self->used));
	t->fd = -1;
}

TEST_F(shared, an_unbind_in_the_middle_of_it_ends)
{
	struct tenant *t = &self->t;
	__u64 start;
	int i;

	for (i = 0; i < 10; i++) {
		fill(self);
		ASSERT_EQ(0, neighbour_detach(&self->neighbour, 1));
		usleep(random_u32() % 10000);
		start = now_ms();
		ASSERT_EQ(0, machine_unbind(t->address));
		EXPECT_GT(SOON_MS, now_ms() - start);
		EXPECT_EQ(EXO_QUEUE_DEAD, self->one.status->state);
		EXPECT_EQ(EXO_QUEUE_DEAD, self->two.status->state);
		tenant_destroy(t);
		ASSERT_EQ(0, neighbour_attach(&self->neighbour, 1));
		ASSERT_EQ(0, machine_bind(t->address, "exo"));
		TENANT_SETUP(t, "exo3");
		ASSERT_EQ(0, shared_tenant(self));
		ASSERT_EQ(0, shared_queues(self));
	}
	close(t->fd);
	EXPECT_EQ(self->used, frames_used_soon(t->grantor, self->used));
	t->fd = -1;
}

TEST_HARNESS_MAIN
