// SPDX-License-Identifier: MIT
/*
 * Tracepoints: each thing that happens is told, with the right numbers, to who watches;
 * nothing is told while nobody does; and never a token or an address.
 */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <kselftest_harness.h>

#include "lib.h"
#include "tracefs.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)

/* ---- a tenant whose deeds are traced ---- */

FIXTURE(trace)
{
	struct tenant t;
	struct ring ring;
	struct buffer buffer;
	char bdf[16];
	__u64 session;
};

/* Number of the session @fd, which holds @cap: what is of that number in that place. */
static __u64 session_number(const struct tenant *t, int fd, __u32 cap)
{
	struct exo_tree_entry entries[64];
	struct exo_tree_list arg = {
		.cap = t->root_controller,
		.count = ARRAY_SIZE(entries),
		.entries = (uintptr_t)entries,
	};
	struct exo_cap_query q;
	unsigned int i;

	if (query(fd, cap, &q) || call(t->grantor, EXO_TREE_LIST, &arg))
		return 0;
	for (i = 0; i < arg.out_count; i++)
		if (entries[i].cap == cap && entries[i].object == q.out_object &&
		    entries[i].depth == q.out_depth)
			return entries[i].session;
	return 0;
}

FIXTURE_SETUP(trace)
{
	int ret;

	TENANT_SETUP(&self->t, "exo0");
	machine_name(self->t.address, self->bdf);
	ret = trace_open();
	if (ret)
		SKIP(return, "this kernel has no trace of events: %s", strerror(-ret));
	self->session = session_number(&self->t, self->t.fd, self->t.extent);
	ASSERT_NE(0, self->session);
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 8, &self->ring));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, &self->buffer));
	trace_clear();
	ASSERT_EQ(0, trace_switch(true));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->buffer));
}

FIXTURE_TEARDOWN(trace)
{
	trace_close();
	tenant_destroy(&self->t);
}

static void push(FIXTURE_DATA(trace) * self, __u8 opcode, __u16 cid, __u64 lba, __u32 blocks)
{
	struct sqe sqe = sqe_io(opcode, cid, 1, lba, blocks - 1, self->buffer.offset);

	if (opcode == OP_FLUSH)
		sqe = (struct sqe){ .dw = { cid << 16, 1 } };
	ring_push(&self->ring, &sqe);
}

static int reap(struct ring *ring, unsigned int n)
{
	struct cqe cqe;
	int ret = 0;

	while (n-- && !ret)
		ret = ring_reap(ring, &cqe, 10000);
	return ret;
}

TEST_F(trace, a_batch_is_told_command_by_command)
{
	struct exo_queue_query q;
	__u32 accepted;

	push(self, OP_READ, 3, EXTENT_FIRST + 7, 2);
	push(self, OP_FLUSH, 5, 0, 0);
	ASSERT_EQ(0, ring_submit(&self->ring, &accepted));
	ASSERT_EQ(2, accepted);
	EXPECT_TOLD(2, " exo_submit: ");
	EXPECT_TOLD(1, " exo_submit: %s qid=%u cid=3 opcode=0x02 nsid=1 slba=%llu nlb=2\n",
		    self->bdf, self->ring.qid, EXTENT_FIRST + 7);
	EXPECT_TOLD(1, " exo_submit: %s qid=%u cid=5 opcode=0x00 nsid=1 slba=0 nlb=0\n", self->bdf,
		    self->ring.qid);

	/* The kernel sees completions when it looks. */
	ASSERT_EQ(0, reap(&self->ring, 2));
	EXPECT_TOLD(0, " exo_complete: ");
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_TOLD(1, " exo_complete: %s qid=%u cid=3 status=0x0\n", self->bdf, self->ring.qid);
	EXPECT_TOLD(1, " exo_complete: %s qid=%u cid=5 status=0x0\n", self->bdf, self->ring.qid);
	EXPECT_TOLD(2, " exo_complete: ");
}

TEST_F(trace, every_command_is_told_once_however_often_the_ring_turns)
{
	struct exo_queue_query q;
	unsigned int i;

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST + i, 1,
				     self->buffer.offset));
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_TOLD(100, " exo_submit: ");
	for (i = 0; i < 100; i += 11)
		EXPECT_TOLD(1, " slba=%llu nlb=1\n", EXTENT_FIRST + i);
	EXPECT_TOLD(100, " exo_complete: ");
}

TEST_F(trace, a_status_is_told_as_the_device_gave_it)
{
	struct exo_queue_query q;
	int status;

	fill_random(self->buffer.at, PAGE);
	ASSERT_EQ(0, ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, 1, self->buffer.offset));
	fill_random(self->buffer.at, PAGE);
	status = ring_io(&self->ring, OP_COMPARE, 1, EXTENT_FIRST, 1, self->buffer.offset);
	/* Beside it: "do not retry". */
	ASSERT_EQ(STATUS_COMPARE_FAILURE, status & 0x7ff);
	ASSERT_EQ(0, queue_query(self->t.fd, self->ring.cap, &q));
	EXPECT_TOLD(1, " exo_submit: %s qid=%u cid=0 opcode=0x05 nsid=1 slba=%llu nlb=1\n",
		    self->bdf, self->ring.qid, EXTENT_FIRST);
	EXPECT_TOLD(1, " exo_complete: %s qid=%u cid=0 status=0x%x\n", self->bdf, self->ring.qid,
		    status);
}

TEST_F(trace, a_refused_command_is_told_with_its_place_and_reason_and_not_as_submitted)
{
	__u64 outside = EXTENT_FIRST + EXTENT_BLOCKS;
	__u32 accepted;

	push(self, OP_READ, 0, EXTENT_FIRST, 1);
	push(self, OP_READ, 1, outside, 1);
	ASSERT_EQ(0, ring_submit(&self->ring, &accepted));
	ASSERT_EQ(1, accepted);
	EXPECT_TOLD(1, " exo_submit: ");
	EXPECT_TOLD(
		1,
		" exo_refuse: %s qid=%u index=1 error=%d reason=LBA field=10 value=%llu limit=1\n",
		self->bdf, self->ring.qid, -ERANGE, outside);
	/* The call itself succeeded. */
	EXPECT_TOLD(0, " exo_refuse_call: ");

	/* Again the first: now nothing is accepted. */
	ASSERT_EQ(-ERANGE, ring_submit(&self->ring, &accepted));
	EXPECT_TOLD(1, " qid=%u index=0 error=%d reason=LBA ", self->ring.qid, -ERANGE);
	EXPECT_TOLD(1, " exo_refuse_call: session=%llu nr=0x34 error=%d reason=LBA ", self->session,
		    -ERANGE);
	ring_rewind(&self->ring);

	self->ring.control->sq_tail += 1000;
	ASSERT_EQ(-EINVAL, ring_submit(&self->ring, &accepted));
	EXPECT_TOLD(1, " qid=%u index=0 error=%d reason=RING_INDEX ", self->ring.qid, -EINVAL);
	self->ring.control->sq_tail -= 1000;
	ASSERT_EQ(0, reap(&self->ring, 1));
}

TEST_F(trace, a_refused_call_is_told_with_its_session_and_reason)
{
	struct exo_cap_query q = { .flags = 0x80 };

	ASSERT_EQ(-ENOENT, drop(self->t.fd, 54321));
	EXPECT_TOLD(1,
		    " exo_refuse_call: session=%llu nr=0x05 error=%d reason=NO_CAP field=%zu "
		    "value=54321 ",
		    self->session, -ENOENT, offsetof(struct exo_cap_drop, cap));
	ASSERT_EQ(-EOPNOTSUPP, call(self->t.fd, EXO_CAP_QUERY, &q));
	EXPECT_TOLD(1, " session=%llu nr=0x03 error=%d reason=FLAGS field=4 value=%u ",
		    self->session, -EOPNOTSUPP, 0x80);
	EXPECT_TOLD(2, " exo_refuse_call: ");
}

/* A queue of a polling thread: full, it is no refusal each time the thread looks. */
TEST_F(trace, what_a_thread_refuses_is_told_by_the_thread)
{
	struct exo_queue_create arg = {
		.flags = EXO_QUEUE_THREAD,
		.depth = 2,
		.thread_cpu = EXO_CPU_ANY,
		.thread_percent = 100,
		.thread_idle_us = EXO_THREAD_IDLE_MAX_US,
	};
	struct ring ring;
	struct sqe sqe;
	__u64 end = now_ms() + 60000;
	unsigned int i;

	ASSERT_EQ(0, controller_create(self->t.grantor, self->t.root_controller,
				       EXO_RIGHT_QUEUE | EXO_RIGHT_THREAD, 1, &arg.controller));
	ASSERT_EQ(0, derive(self->t.grantor, arg.controller, EXO_RIGHT_QUEUE | EXO_RIGHT_THREAD,
			    self->t.fd, 0, 0, &arg.controller));
	ASSERT_EQ(0, call(self->t.fd, EXO_QUEUE_CREATE, &arg));
	ASSERT_EQ(0, ring_map(self->t.fd, &arg, &ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, ring.cap, self->t.extent));
	/* Two that stay unconsumed, and one for which there is no room. */
	for (i = 0; i < 3; i++) {
		sqe = sqe_io(OP_READ, i % 2, 1, EXTENT_FIRST, 0, self->buffer.offset);
		ring_push(&ring, &sqe);
	}
	while (told(" qid=%u cid=1 opcode=0x02 ", ring.qid) < 1 && now_ms() < end)
		sched_yield();
	/* Room: the third goes, too. A command outside the extent is next. */
	ASSERT_EQ(0, reap(&ring, 3));
	sqe = sqe_io(OP_READ, 0, 2, EXTENT_FIRST, 0, self->buffer.offset);
	ring_push(&ring, &sqe);
	while (!told(" reason=NSID ") && now_ms() < end)
		sched_yield();
	EXPECT_TOLD(1, " exo_refuse: %s qid=%u index=0 error=%d reason=NSID field=1 value=2 ",
		    self->bdf, ring.qid, -ERANGE);
	EXPECT_EQ(1, told_by("exo-poll/", " exo_refuse: "));
	EXPECT_TOLD(0, "QUEUE_FULL");
}

TEST_F(trace, what_is_attached_is_told_and_told_again_when_it_is_not)
{
	struct tenant *t = &self->t;
	__u32 again;

	EXPECT_TOLD(1, " exo_attach: %s qid=%u type=EXTENT session=%llu cap=%u object=", self->bdf,
		    self->ring.qid, self->session, t->extent);
	EXPECT_TOLD(1, " nsid=1 start=%llu len=%llu rights=0x%x\n", EXTENT_FIRST, EXTENT_BLOCKS,
		    RW);
	EXPECT_TOLD(1, " exo_attach: %s qid=0 type=FRAMES session=%llu cap=%u object=", self->bdf,
		    self->session, self->buffer.cap);
	EXPECT_TOLD(1, " nsid=0 start=0 len=8 rights=");
	EXPECT_TOLD(2, " exo_attach: ");

	ASSERT_EQ(0, queue_detach(t->fd, self->ring.cap, t->extent));
	EXPECT_TOLD(1, " exo_detach: %s qid=%u type=EXTENT session=%llu cap=%u ", self->bdf,
		    self->ring.qid, self->session, t->extent);
	/* A drop and a refusal, which attaches nothing. */
	ASSERT_EQ(0, drop(t->fd, self->buffer.cap));
	EXPECT_TOLD(1, " exo_detach: %s qid=0 type=FRAMES session=%llu cap=%u ", self->bdf,
		    self->session, self->buffer.cap);
	EXPECT_EQ(-ENOENT, queue_attach(t->fd, self->ring.cap, 54321));
	/* With the queue. */
	ASSERT_EQ(0, derive(t->fd, t->extent, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &again));
	ASSERT_EQ(0, queue_attach(t->fd, self->ring.cap, again));
	ASSERT_EQ(0, drop(t->fd, self->ring.cap));
	EXPECT_TOLD(1, " exo_detach: %s qid=%u type=EXTENT session=%llu cap=%u ", self->bdf,
		    self->ring.qid, self->session, again);
	EXPECT_TOLD(3, " exo_attach: ");
	EXPECT_TOLD(3, " exo_detach: ");
}

/* ---- revocation ---- */

struct revoker {
	int fd;
	__u32 cap;
	int result;
	struct exo_revoke answer;
};

static void *revoke_all(void *arg)
{
	struct revoker *r = arg;

	r->result = cap_revoke(r->fd, r->cap, 500, 0, &r->answer);
	return NULL;
}

TEST_F(trace, a_revocation_is_told_from_the_request_to_the_counts)
{
	struct tenant *t = &self->t;
	struct revoker r = { .fd = t->grantor };
	__u64 end = now_ms() + 10000;
	__u32 given, kept, asked[4];
	pthread_t thread;
	__u64 grantor;

	ASSERT_EQ(0,
		  extent_create(t->grantor, t->root_controller, 1, RW, EXTENT_FIRST, 64, &r.cap));
	ASSERT_EQ(0, derive(t->grantor, r.cap, RW, t->fd, EXTENT_FIRST, 32, &given));
	ASSERT_EQ(0, derive(t->grantor, r.cap, RW, t->fd, EXTENT_FIRST + 32, 32, &kept));
	grantor = session_number(t, t->grantor, r.cap);
	ASSERT_NE(0, grantor);
	ASSERT_EQ(0, pthread_create(&thread, NULL, revoke_all, &r));
	while (list_marked(t->fd, EXO_LIST_ASKED, asked, 4) < 2 && now_ms() < end)
		sched_yield();
	ASSERT_EQ(0, drop(t->fd, given));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, r.result);
	ASSERT_EQ(1, r.answer.out_taken);

	EXPECT_TOLD(1, " exo_revoke_begin: session=%llu cap=%u node=0 type=EXTENT ", grantor,
		    r.cap);
	EXPECT_TOLD(1, " frames=0 timeout_ms=500\n");
	EXPECT_TOLD(2, " exo_revoke_ask: session=%llu ", self->session);
	EXPECT_TOLD(1, " exo_revoke_comply: session=%llu cap=%u type=EXTENT ", self->session,
		    given);
	EXPECT_TOLD(1, " exo_revoke_force: session=%llu cap=%u type=EXTENT ", self->session, kept);
	EXPECT_TOLD(2, " start=%llu len=32\n", EXTENT_FIRST);
	EXPECT_TOLD(1, " exo_revoke_end: session=%llu cap=%u error=0 asked=2 taken=1 frames=0\n",
		    grantor, r.cap);
	/* Dropping the record of what was taken is no compliance. */
	ASSERT_EQ(0, drop(t->fd, kept));
	EXPECT_TOLD(1, " exo_revoke_comply: ");
}

/* ---- reset ---- */

static unsigned int generation(const char *bdf, const char *why)
{
	char wanted[64], line[512], *at;
	unsigned int n = 0;
	FILE *file = fopen(INSTANCE "/trace", "re");

	snprintf(wanted, sizeof(wanted), " exo_reset: %s generation=", bdf);
	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, wanted);
		if (at && strstr(at, why))
			n = strtoul(at + strlen(wanted), NULL, 10);
	}
	if (file)
		fclose(file);
	return n;
}

TEST_F(trace, a_reset_is_told_with_its_cause_and_its_generation)
{
	unsigned int first, second;
	struct tenant other;
	char bdf[16], path[PATH_MAX];
	struct ring ring;
	const char *why;

	ASSERT_EQ(0, tenant_create(&other, "exo1", &why));
	machine_name(other.address, bdf);
	/* Behind the module's back: it forgets its queues, and the module finds out. */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", bdf);
	ASSERT_EQ(0, write_file(path, "1"));
	EXPECT_NE(0, ring_create(other.fd, other.controller, 4, &ring));
	first = generation(bdf, "why=\"it was reset, or is gone\"");
	EXPECT_NE(0, first);
	EXPECT_EQ(0, machine_unbind(other.address));
	tenant_destroy(&other);
	ASSERT_EQ(0, machine_bind(other.address, "exo"));
	second = generation(bdf, "why=\"bind\"");
	EXPECT_LT(first, second);
	EXPECT_EQ(0, machine_unbind(other.address));
	EXPECT_EQ(second, generation(bdf, "why=\"unbind, shutdown or suspend\""));
	ASSERT_EQ(0, machine_bind(other.address, "exo"));
	EXPECT_TOLD(0, " exo_reset: %s", self->bdf);
}

TEST_F(trace, the_reset_after_a_direct_queue_is_told)
{
	struct exo_controller_create alone = {
		.flags = EXO_CONTROLLER_EXCLUSIVE,
		.rights = EXO_RIGHT_QUEUE | EXO_RIGHT_DIRECT,
		.queues = 1,
	};
	struct exo_queue_create q = { .mode = EXO_QUEUE_DIRECT, .depth = 1 };
	__u32 address;
	char bdf[16];
	int fd, ret;

	ASSERT_EQ(0, machine_find("exo1", &address));
	machine_name(address, bdf);
	fd = session_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, claim_controller(fd, address, &alone.controller));
	ASSERT_EQ(0, call(fd, EXO_CONTROLLER_CREATE, &alone));
	q.controller = alone.out_cap;
	ret = call(fd, EXO_QUEUE_CREATE, &q);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "no IOMMU: no direct queues");
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, generation(bdf, "why=\"no longer exclusive\""));
	close(fd);
	EXPECT_NE(0, generation(bdf, "why=\"no longer exclusive\""));
}

/* ---- what is never told ---- */

TEST_F(trace, nothing_is_told_while_nobody_watches)
{
	ASSERT_EQ(0, trace_switch(false));
	trace_clear();
	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->buffer.offset));
	ASSERT_EQ(-ERANGE, ring_io(&self->ring, OP_READ, 1, 0, 1, self->buffer.offset));
	ASSERT_EQ(-ENOENT, drop(self->t.fd, 54321));
	ASSERT_EQ(0, cap_revoke(self->t.grantor, self->t.root_controller, 0, 0, NULL));
	EXPECT_TOLD(0, "exo");
	ASSERT_EQ(0, trace_switch(true));
	ASSERT_EQ(-ENOENT, drop(self->t.fd, 54321));
	EXPECT_TOLD(1, "exo_refuse_call");
}

TEST_F(trace, a_token_is_never_told)
{
	struct tenant *t = &self->t;
	__u32 cap, marker = random_u32();
	__u8 tokens[2][16];
	unsigned int i, at;
	size_t size;
	char *raw;

	ASSERT_EQ(0, token_create(t->fd, t->extent, EXO_RIGHT_READ, 2, tokens[0]));
	fill_random(tokens[1], 16);
	ASSERT_EQ(0, token_redeem(t->grantor, tokens[0], &cap));
	ASSERT_EQ(-ENOENT, token_redeem(t->grantor, tokens[1], &cap));
	ASSERT_EQ(-ENOENT, token_cancel(t->fd, tokens[1]));
	ASSERT_EQ(0, token_cancel(t->fd, tokens[0]));
	ASSERT_EQ(-ENOENT, token_redeem(t->grantor, tokens[0], &cap));
	ASSERT_EQ(-ENOENT, drop(t->fd, marker));
	EXPECT_TOLD(2, " nr=0x41 error=%d reason=TOKEN field=0 value=0 limit=0\n", -ENOENT);

	size = trace_raw(&raw);
	/* What is told is found this way. */
	EXPECT_NE(NULL, memmem(raw, size, &marker, sizeof(marker)));
	for (i = 0; i < 2; i++)
		for (at = 0; at <= 12; at++)
			EXPECT_EQ(NULL, memmem(raw, size, tokens[i] + at, 4));
	free(raw);
}

static void check_format(struct __test_metadata *_metadata, const char *event)
{
	static const char *const secrets[] = { "*", "prp", "pfn", "dma", "token" };
	char text[16384], *fields, *print;
	unsigned int i;

	read_format(event, text, sizeof(text));
	print = strstr(text, "print fmt:");
	ASSERT_NE(NULL, print);
	EXPECT_EQ(NULL, strstr(print, "%p"));
	print[-1] = 0;
	fields = strstr(text, "\n\n");
	ASSERT_NE(NULL, fields);
	for (i = 0; i < ARRAY_SIZE(secrets); i++)
		EXPECT_EQ(NULL, strstr(fields, secrets[i]))
		{
			TH_LOG("%s: %s", event, secrets[i]);
		}
	for (i = 1; strstr(fields, " reason;") && i <= EXO_REASON_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "{ %u, \"", i);
		EXPECT_NE(NULL, strstr(print, name))
		{
			TH_LOG("%s: reason %u has no name in module/trace.h", event, i);
		}
	}
}

TEST_F(trace, no_event_has_a_pointer_and_every_reason_has_a_name)
{
	DIR *dir = opendir(EVENTS);
	unsigned int n = 0;
	struct dirent *entry;

	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "exo_", 4))
			continue;
		check_format(_metadata, entry->d_name);
		n++;
	}
	closedir(dir);
	EXPECT_EQ(12, n);
}

TEST_HARNESS_MAIN
