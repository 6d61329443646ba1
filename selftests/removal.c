// SPDX-License-Identifier: MIT
/*
 * Surprise removal: the device is pulled at any instant, without asking. The test turns
 * off the power of its slot in the root port's registers; QEMU takes the device away then
 * and there, and the kernel hears of it afterwards: from its hotplug driver, or, where that
 * is not in use (pcie_ports=compat), from the test through sysfs. QEMU's monitor, which the
 * machine has on its third serial line, puts it back.
 *
 * The time-outs are long here: nothing may wait for them once the device is gone.
 */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <kselftest_harness.h>

#include "lib.h"
#include "monitor.h"

#define DEVICES "/sys/bus/pci/devices"
#define SERIAL "exo2"
#define SOON_MS 15000ull /* the time-outs are 30 s and 60 s */

/* ---- the slot ---- */

#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x2
#define PCI_EXP_ID 0x10
#define PCI_EXP_SLTCTL 0x18
#define PCI_EXP_SLTCTL_HPIE 0x20
#define PCI_EXP_SLTCTL_PIC 0x300
#define PCI_EXP_SLTCTL_PIC_ON 0x100
#define PCI_EXP_SLTCTL_PIC_OFF 0x300
#define PCI_EXP_SLTCTL_PCC 0x400

struct slot {
	bool watched; /* by the kernel's hotplug driver */
	struct monitor monitor;
	int port;      /* configuration space of the root port */
	char name[16]; /* the root port's */
	off_t express; /* its PCI Express capability */
};

static bool slot_is_root_port(const char *name)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), DEVICES "/%s/class", name);
	if (read_file(path, text, sizeof(text)) || strcmp(text, "0x060400"))
		return false;
	snprintf(path, sizeof(path), DEVICES "/%s/vendor", name);
	return !read_file(path, text, sizeof(text)) && !strcmp(text, "0x1b36");
}

static off_t slot_capability(int config)
{
	__u8 at = 0, id;
	int i;

	if (pread(config, &at, 1, 0x34) != 1)
		return 0;
	for (i = 0; at && i < 48; i++) {
		if (pread(config, &id, 1, at) != 1)
			return 0;
		if (id == PCI_EXP_ID)
			return at;
		if (pread(config, &at, 1, at + 1) != 1)
			return 0;
	}
	return 0;
}

static int slot_find_port(struct slot *slot)
{
	DIR *dir = opendir(DEVICES);
	struct dirent *entry;
	char path[PATH_MAX];

	slot->port = -1;
	while (dir && slot->port < 0 && (entry = readdir(dir))) {
		if (!slot_is_root_port(entry->d_name))
			continue;
		snprintf(slot->name, sizeof(slot->name), "%.15s", entry->d_name);
		snprintf(path, sizeof(path), DEVICES "/%s/config", entry->d_name);
		slot->port = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	if (slot->port < 0)
		return -ENODEV;
	slot->watched = !access("/sys/bus/pci_express/drivers/pciehp", F_OK);
	slot->express = slot_capability(slot->port);
	return slot->express ? 0 : -ENODEV;
}

/* The function in the slot, as the kernel knows it: "" for none. */
static void slot_function(const struct slot *slot, char name[16])
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	name[0] = 0;
	snprintf(path, sizeof(path), DEVICES "/%s", slot->name);
	dir = opendir(path);
	while (dir && !name[0] && (entry = readdir(dir)))
		if (strlen(entry->d_name) == 12 && entry->d_name[10] == '.')
			snprintf(name, 16, "%.15s", entry->d_name);
	if (dir)
		closedir(dir);
}

static bool slot_occupied(const struct slot *slot)
{
	char name[16];

	slot_function(slot, name);
	return name[0];
}

static int slot_control(struct slot *slot, __u16 control)
{
	return pwrite(slot->port, &control, 2, slot->express + PCI_EXP_SLTCTL) == 2 ? 0 : -EIO;
}

/* Without a hotplug driver the power is the test's business, too. */
static int slot_power_on(struct slot *slot)
{
	__u16 control;
	int ret;

	if (pread(slot->port, &control, 2, slot->express + PCI_EXP_SLTCTL) != 2)
		return -EIO;
	control &= ~(PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_HPIE);
	ret = slot_control(slot, control | PCI_EXP_SLTCTL_PIC_ON);
	return ret ? ret : write_file("/sys/bus/pci/rescan", "1");
}

/* The kernel turns an empty slot off: what is plugged in before it has is thrown out by that. */
static int slot_wait_off(struct slot *slot)
{
	const __u16 off = PCI_EXP_SLTCTL_PIC_OFF | PCI_EXP_SLTCTL_PCC;
	__u64 end = now_ms() + SOON_MS;
	__u16 control = 0;

	while (now_ms() < end) {
		if (pread(slot->port, &control, 2, slot->express + PCI_EXP_SLTCTL) != 2)
			return -EIO;
		if ((control & off) == off)
			return 0;
		usleep(10000);
	}
	return -ETIMEDOUT;
}

/*
 * The device in, and in the hands of exo. QEMU may not have freed the one that was pulled
 * yet: they share the disk.
 */
static int slot_fill(struct slot *slot)
{
	static const char add[] =
		"\"execute\":\"device_add\",\"arguments\":{\"driver\":\"nvme\",\"id\":\"exo2\","
		"\"serial\":\"exo2\",\"bus\":\"slot2\",\"drive\":\"disk2\",\"share-rw\":true}";
	__u64 end = now_ms() + SOON_MS;
	int ret = slot_wait_off(slot);
	__u32 address;

	if (ret)
		return ret;
	do {
		ret = monitor_run(&slot->monitor, add);
		if (ret)
			usleep(50000);
	} while (ret && now_ms() < end);
	if (!ret && !slot->watched)
		ret = slot_power_on(slot);
	while (!ret && (!slot_occupied(slot) || machine_find(SERIAL, &address))) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(10000);
	}
	return ret;
}

/* The kernel finds out when somebody looks: the calls before that meet a device that is gone. */
static int slot_tell(struct slot *slot)
{
	char path[PATH_MAX], name[16];

	slot_function(slot, name);
	snprintf(path, sizeof(path), DEVICES "/%s/remove", name);
	usleep(random_u32() % 50000);
	return write_file(path, "1");
}

/* What a processor was in the middle of is over once it has run something else. */
static int every_processor_passed(void)
{
	cpu_set_t all, one;
	int cpu, ret = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		return -errno;
	for (cpu = 0; cpu < CPU_SETSIZE && !ret; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		ret = sched_setaffinity(0, sizeof(one), &one);
	}
	return sched_setaffinity(0, sizeof(all), &all) || ret ? -errno : 0;
}

/* What the machine was asked for before, it has taken up when it answers this. */
static int machine_passed(struct slot *slot)
{
	return monitor_run(&slot->monitor, "\"execute\":\"query-status\"");
}

/* PCI-to-PCI Bridge 1.2 section 3.2.5.3: no memory access passes the port from now on. */
static int slot_decode(struct slot *slot, bool on)
{
	__u16 command;

	if (pread(slot->port, &command, 2, PCI_COMMAND) != 2)
		return -EIO;
	command = on ? command | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MEMORY;
	return pwrite(slot->port, &command, 2, PCI_COMMAND) == 2 ? 0 : -EIO;
}

/*
 * PCI Express 4.0 section 7.5.3.10: power controller and indicator off, without an
 * interrupt; then all as it was. The kernel finds a powered slot with nothing in it.
 *
 * The link goes first, as it does in a real slot: QEMU (10.0, hw/nvme) crashes when a
 * doorbell write that has found the device is carried out after it was taken away, and when
 * it starts the commands of a doorbell while it waits for those in flight to take it away.
 */
static int slot_pull(struct slot *slot)
{
	__u16 control, off;
	int ret;

	if (pread(slot->port, &control, 2, slot->express + PCI_EXP_SLTCTL) != 2)
		return -EIO;
	off = control | PCI_EXP_SLTCTL_PIC_OFF | PCI_EXP_SLTCTL_PCC;
	ret = slot_decode(slot, false);
	if (!ret)
		ret = every_processor_passed();
	if (!ret)
		ret = machine_passed(slot);
	if (!ret)
		ret = slot_control(slot, off & ~PCI_EXP_SLTCTL_HPIE);
	if (!ret)
		ret = slot_decode(slot, true);
	if (ret)
		return ret;
	return slot->watched ? slot_control(slot, control) : slot_tell(slot);
}

/* Has the driver let go of it? Milliseconds until then, or -1. */
static long slot_emptied(struct slot *slot, __u64 since)
{
	while (slot_occupied(slot)) {
		if (now_ms() > since + SOON_MS)
			return -1;
		usleep(5000);
	}
	return (long)(now_ms() - since);
}

/* ---- what is pulled from under ---- */

FIXTURE(pulled)
{
	struct slot slot;
	struct tenant t;
	struct ring ring;
	struct buffer b;
	struct events events;
	__u64 used;
	__u64 since;
};

#define DEPTH 32

FIXTURE_SETUP(pulled)
{
	if (slot_find_port(&self->slot))
		SKIP(return, "this machine has no slot to pull a device from");
	ASSERT_EQ(0, monitor_open(&self->slot.monitor));
	if (!slot_occupied(&self->slot)) {
		ASSERT_EQ(0, slot_fill(&self->slot))
		{
			TH_LOG("the monitor: %s", self->slot.monitor.said);
		}
	}
	TENANT_SETUP(&self->t, SERIAL);
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, events_create(self->t.fd, 64, &self->events));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, DEPTH, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 4, &self->b));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->b));
}

/* Whatever happened: nothing is left, and put back it works. The slot stays empty. */
FIXTURE_TEARDOWN(pulled)
{
	struct exo_info about;
	struct tenant t;
	const char *why;
	struct ring ring;
	struct buffer b;
	int fd;

	if (slot_occupied(&self->slot))
		slot_pull(&self->slot);
	EXPECT_LE(0, slot_emptied(&self->slot, now_ms()));
	tenant_destroy(&self->t);
	fd = session_open();
	ASSERT_EQ(0, info(fd, &about));
	EXPECT_EQ(0, about.out_frames_quarantined);
	close(fd);

	ASSERT_EQ(0, slot_fill(&self->slot));
	ASSERT_EQ(0, tenant_create(&t, SERIAL, &why));
	EXPECT_EQ(0, ring_create(t.fd, t.controller, 4, &ring));
	EXPECT_EQ(0, queue_attach(t.fd, ring.cap, t.extent));
	EXPECT_EQ(0, buffer_alloc(t.fd, t.pool, EXO_ORDER_4K, 1, &b));
	EXPECT_EQ(0, buffer_attach(t.fd, t.controller, &b));
	EXPECT_EQ(0, ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset));
	tenant_destroy(&t);
	EXPECT_EQ(0, slot_pull(&self->slot));
	EXPECT_LE(0, slot_emptied(&self->slot, now_ms()));
	monitor_close(&self->slot.monitor);
	close(self->slot.port);
}

/* Fills the queue; the disk is slow enough to leave most of it in flight. */
static int fill(FIXTURE_DATA(pulled) * self)
{
	__u32 i, accepted;

	for (i = 0; i < DEPTH; i++) {
		struct sqe sqe = sqe_io(i % 2 ? OP_READ : OP_WRITE, (__u16)i, 1, EXTENT_FIRST + i,
					0, self->b.offset);

		ring_push(&self->ring, &sqe);
	}
	return ring_submit(&self->ring, &accepted);
}

static void pull_now(struct __test_metadata *_metadata, FIXTURE_DATA(pulled) * self)
{
	self->since = now_ms();
	ASSERT_EQ(0, slot_pull(&self->slot));
}

#define EXPECT_GONE(expr)                                       \
	do {                                                    \
		int ret_ = expr;                                \
                                                                \
		EXPECT_TRUE(ret_ == -ESTALE || ret_ == -ENODEV) \
		{                                               \
			TH_LOG("%s: %d", #expr, ret_);          \
		}                                               \
	} while (0)

static void everything_is_gone(struct __test_metadata *_metadata, FIXTURE_DATA(pulled) * self)
{
	struct tenant *t = &self->t;
	struct exo_controller_query c;
	struct exo_queue_create q;
	struct exo_frames_alloc f;
	__u64 offset;
	__u32 cap;

	EXPECT_LE(0, slot_emptied(&self->slot, self->since));
	EXPECT_EQ(EXO_QUEUE_DEAD, self->ring.status->state);
	EXPECT_GONE(queue_submit(t->fd, self->ring.cap, NULL));
	EXPECT_GONE(queue_attach(t->fd, self->ring.cap, t->extent));
	EXPECT_GONE(queue_create(t->fd, t->controller, 4, &q));
	EXPECT_GONE(controller_query(t->fd, t->controller, &c));
	EXPECT_EQ(-ENODEV, claim_controller(t->grantor, t->address, &cap));
	ASSERT_EQ(0, frames_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, ANY_NODE, &f));
	EXPECT_GONE(dma_attach(t->fd, t->controller, f.out_cap, &offset));
	EXPECT_EQ(0, drop(t->fd, f.out_cap));
	/* What the holder has left is his: the frames, the rings to read. */
	EXPECT_EQ(0, touch_write(self->b.at));
	EXPECT_EQ(0, touch_read(self->ring.cq));
	EXPECT_EQ(0, drop(t->fd, self->ring.cap));
	EXPECT_EQ(0, buffer_free(t->fd, &self->b));
	EXPECT_EQ(self->used, frames_used_soon(t->grantor, self->used));
	EXPECT_GT(SOON_MS, now_ms() - self->since);
}

static void the_holder_was_told(struct __test_metadata *_metadata, FIXTURE_DATA(pulled) * self)
{
	struct exo_event e;

	ASSERT_EQ(0, events_next(&self->events, &e, SOON_MS));
	EXPECT_EQ(EXO_EVENT_QUEUE_DEAD, e.type);
	EXPECT_EQ(self->ring.cap, e.cap);
}

TEST_F_TIMEOUT(pulled, with_commands_in_flight_the_queue_is_dead_and_its_holder_told, 120)
{
	ASSERT_EQ(0, fill(self));
	usleep(random_u32() % 50000);
	pull_now(_metadata, self);
	the_holder_was_told(_metadata, self);
	everything_is_gone(_metadata, self);
}

TEST_F_TIMEOUT(pulled, with_nothing_to_do_as_well, 120)
{
	pull_now(_metadata, self);
	the_holder_was_told(_metadata, self);
	everything_is_gone(_metadata, self);
}

/* One for the queue, one for the queue's eventfd, one for events by poll(). */
static int sleeper(FIXTURE_DATA(pulled) * self, unsigned int which, int efd)
{
	struct pollfd p = { .fd = which == 1 ? efd : self->t.fd, .events = POLLIN };
	__u64 ready = 0;

	if (which)
		return poll(&p, 1, -1) != 1;
	return wait_queues(self->t.fd, &self->ring.cap, 1, EXO_WAIT_FOREVER, &ready) || ready != 1;
}

TEST_F_TIMEOUT(pulled, from_under_sleepers_it_wakes_them_all, 120)
{
	int efd = eventfd(0, EFD_CLOEXEC), status;
	pid_t pids[3];
	unsigned int i;

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, queue_eventfd(self->t.fd, self->ring.cap, efd));
	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			_exit(sleeper(self, i, efd));
	}
	usleep(50000);
	pull_now(_metadata, self);
	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_GT(SOON_MS, now_ms() - self->since);
	everything_is_gone(_metadata, self);
}

/* Flushes, one after the other, that a thread of the kernel's submits until all is over. */
static void *flusher(void *arg)
{
	struct ring *ring = arg;
	struct cqe cqe;

	while (ring->status->state == EXO_QUEUE_LIVE) {
		struct sqe sqe = sqe_io(OP_FLUSH, 0, 1, 0, 0, 0);

		ring_push(ring, &sqe);
		if (ring_reap(ring, &cqe, 1000))
			break;
	}
	return NULL;
}

TEST_F_TIMEOUT(pulled, from_under_a_polling_thread_that_ends, 120)
{
	struct tenant *t = &self->t;
	struct exo_queue_create arg = {
		.flags = EXO_QUEUE_THREAD,
		.controller = t->root_controller,
		.depth = 4,
		.thread_cpu = EXO_CPU_ANY,
		.thread_percent = 100,
		.thread_idle_us = 10000000,
	};
	struct exo_queue_query q;
	pthread_t thread;
	struct ring ring;
	__u32 extent;

	ASSERT_EQ(0,
		  extent_create(t->grantor, t->root_controller, 1, EXO_RIGHT_WRITE, 0, 8, &extent));
	ASSERT_EQ(0, call(t->grantor, EXO_QUEUE_CREATE, &arg));
	ASSERT_EQ(0, ring_map(t->grantor, &arg, &ring));
	ASSERT_EQ(0, queue_attach(t->grantor, ring.cap, extent));
	ASSERT_EQ(0, pthread_create(&thread, NULL, flusher, &ring));
	usleep(100000 + random_u32() % 100000);
	ASSERT_EQ(0, queue_query(t->grantor, ring.cap, &q));
	EXPECT_LT(0, q.out_completed);
	pull_now(_metadata, self);
	pthread_join(thread, NULL);
	EXPECT_LE(0, slot_emptied(&self->slot, self->since));
	ASSERT_EQ(0, queue_query(t->grantor, ring.cap, &q));
	EXPECT_EQ(EXO_QUEUE_DEAD, q.out_state);
	EXPECT_EQ(EXO_THREAD_NONE, q.out_thread);
	EXPECT_EQ(0, drop(t->grantor, ring.cap));
	the_holder_was_told(_metadata, self);
	everything_is_gone(_metadata, self);
}

/* ---- in the middle of a revocation ---- */

/* What is derived from the root goes; asked for, for so long. */
static int revoke_all(FIXTURE_DATA(pulled) * self, __u32 timeout_ms)
{
	return -cap_revoke(self->t.grantor, self->t.root_controller, timeout_ms, 0, NULL);
}

TEST_F_TIMEOUT(pulled, while_it_is_asked_back_the_revocation_keeps_its_deadline, 120)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, fill(self));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(revoke_all(self, 500));
	usleep(random_u32() % 400000);
	pull_now(_metadata, self);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_GT(SOON_MS, now_ms() - self->since);
	everything_is_gone(_metadata, self);
}

TEST_F_TIMEOUT(pulled, while_it_is_taken_by_force_both_end, 120)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, fill(self));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(revoke_all(self, 0));
	/* The commands in flight are waited for: it is in the middle of that. */
	while (self->ring.status->state == EXO_QUEUE_LIVE)
		sched_yield();
	usleep(random_u32() % 100000);
	pull_now(_metadata, self);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_GT(SOON_MS, now_ms() - self->since);
	everything_is_gone(_metadata, self);
}

/* ---- at a random instant of everything ---- */

struct worker {
	struct tenant *t;
	bool *stop;
	unsigned long calls;
	__u64 longest;
};

static void worker_timed(struct worker *w, __u64 since)
{
	__u64 took = now_ms() - since;

	w->calls++;
	if (took > w->longest)
		w->longest = took;
}

#define TIMED(w, expr)                   \
	({                               \
		__u64 since_ = now_ms(); \
		int ret_ = expr;         \
                                         \
		worker_timed(w, since_); \
		ret_;                    \
	})

static void worker_use(struct worker *w, int fd, __u32 controller, __u32 extent, __u32 frames)
{
	struct exo_queue_create arg;
	struct ring ring;
	__u64 offset = 0;
	__u32 i;

	TIMED(w, dma_attach(fd, controller, frames, &offset));
	if (TIMED(w, queue_create(fd, controller, 8, &arg)) || ring_map(fd, &arg, &ring))
		return;
	TIMED(w, queue_attach(fd, ring.cap, extent));
	for (i = 0; i < 8; i++) {
		struct sqe sqe = sqe_io(OP_READ, (__u16)i, 1, EXTENT_FIRST + i, 0, offset);

		ring_push(&ring, &sqe);
	}
	TIMED(w, ring_submit(&ring, NULL));
	if (random_u32() % 2)
		TIMED(w, dma_detach(fd, controller, frames));
	if (random_u32() % 2)
		TIMED(w, queue_detach(fd, ring.cap, extent));
	TIMED(w, drop(fd, ring.cap));
	ring_unmap(&ring);
}

/* In a session of its own, again and again. */
static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct tenant *t = w->t;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		struct exo_namespace_query ns;
		struct exo_frames_alloc f;
		__u32 controller, extent, claim, pool;
		int fd = session_open();

		if (TIMED(w, claim_controller(fd, t->address, &claim)))
			usleep(1000);
		TIMED(w, namespace_query(fd, claim, EXO_NAMESPACE_NEXT, 0, &ns));
		/* All of it in this session: what the tenant's gets, a kill leaves there. */
		if (!derive(t->fd, t->pool, EXO_RIGHT_ALLOC, fd, 0, 0, &pool) &&
		    !frames_alloc(fd, pool, EXO_ORDER_4K, 1, ANY_NODE, &f) &&
		    !TIMED(w, controller_create(fd, claim, EXO_RIGHT_QUEUE, 1, &controller)) &&
		    !TIMED(w,
			   extent_create(fd, claim, 1, EXO_RIGHT_READ, EXTENT_FIRST, 64, &extent)))
			worker_use(w, fd, controller, extent, f.out_cap);
		{
			__u64 since = now_ms();

			close(fd);
			worker_timed(w, since);
		}
	}
	return NULL;
}

#define WORKERS 3

TEST_F_TIMEOUT(pulled, at_a_random_instant_of_any_call_all_return_in_time, 240)
{
	struct worker w[WORKERS];
	pthread_t threads[WORKERS];
	bool stop = false;
	__u64 enough = now_ms() + 100000;
	unsigned int i, round;

	for (i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ .t = &self->t, .stop = &stop };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, worker_run, &w[i]));
	}
	/* On a slow machine fewer rounds are as many calls. */
	for (round = 0; round < 6 && now_ms() < enough; round++) {
		__u32 address;

		usleep(20000 + random_u32() % 200000);
		pull_now(_metadata, self);
		EXPECT_LE(0, slot_emptied(&self->slot, self->since));
		ASSERT_EQ(0, slot_fill(&self->slot));
		ASSERT_EQ(0, machine_find(SERIAL, &address));
		EXPECT_EQ(self->t.address, address);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_LT(0, w[i].calls);
		EXPECT_GT(SOON_MS, w[i].longest);
		TH_LOG("%lu calls, the longest took %llu ms", w[i].calls,
		       (unsigned long long)w[i].longest);
	}
	EXPECT_EQ(0, drop(self->t.fd, self->ring.cap));
	EXPECT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(self->used, frames_used_soon(self->t.grantor, self->used));
}

TEST_F_TIMEOUT(pulled, while_its_users_are_killed_leaves_nothing_behind, 120)
{
	bool stop = false;
	pid_t pids[WORKERS];
	unsigned int i;
	int status;

	ASSERT_EQ(0, fill(self));
	for (i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i]) {
			struct worker w = { .t = &self->t, .stop = &stop };

			worker_run(&w);
		}
	}
	usleep(50000 + random_u32() % 100000);
	for (i = 0; i < WORKERS; i++) {
		if (i == 1)
			pull_now(_metadata, self);
		kill(pids[i], SIGKILL);
	}
	for (i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_GT(SOON_MS, now_ms() - self->since);
	everything_is_gone(_metadata, self);
}

TEST_HARNESS_MAIN
