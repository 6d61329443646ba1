// SPDX-License-Identifier: LGPL-2.1-only
/*
 * libexo on the module and a device of the virtual machine: run by libexo.vm.sh
 * under exo-run, without privileges, with an extent of a few MiB that may be
 * written, eight queues and 32 MiB of memory.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libexo.h>

#include "tap.h"

#define NAME "exo:"
#define MIB (1ul << 20)
#define QUEUES 8

/* What most tests begin with; a failure here is nothing that a test is about. */
static struct exo *open_handle(unsigned int rights)
{
	struct exo *x;
	int r = exo_open(NAME, rights, &x);

	if (r)
		errx(1, "%s", exo_strerror(x, r));
	return x;
}

static struct exo_queue *open_queue(struct exo *x, unsigned int depth)
{
	struct exo_queue_options options = { .size = sizeof(options), .depth = depth };
	struct exo_queue *q;
	int r = exo_queue_create(x, &options, &q);

	if (r)
		errx(1, "%s", exo_strerror(x, r));
	return q;
}

static void *open_buf(struct exo_queue *q, size_t bytes)
{
	void *buf;
	int r = exo_buf_alloc(q, bytes, &buf);

	if (r)
		errx(1, "%s", exo_strerror(exo_queue_handle(q), r));
	return buf;
}

static struct exo *x;
static struct exo_queue *q;
static char *buf;

static void begin(unsigned int rights, unsigned int depth, size_t bytes)
{
	x = open_handle(rights);
	q = open_queue(x, depth);
	buf = open_buf(q, bytes);
}

static bool all(const char *bytes, size_t n, char value)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void number_bytes(char *bytes, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n / 4; i++)
		((uint32_t *)bytes)[i] = seed + i * 2654435761u;
}

static void split_requests(void)
{
	size_t bytes = 3 * MIB, blocks;
	char *copy = malloc(bytes);

	begin(EXO_READ | EXO_WRITE, 3, bytes);
	blocks = bytes / exo_block_size(x);
	CHECK(bytes > exo_transfer_max(x));
	number_bytes(buf, bytes, 1);
	memcpy(copy, buf, bytes);
	CHECK_EQUAL(exo_write(q, buf, 1, blocks), 0);
	CHECK_EQUAL(exo_flush(q), 0);
	memset(buf, 0, bytes);
	CHECK_EQUAL(exo_read(q, buf, 1, blocks), 0);
	CHECK(!memcmp(buf, copy, bytes));
	CHECK_EQUAL(exo_read(q, buf, 0, 0), 0);
	exo_close(x);
	free(copy);
}

static void zeroes(void)
{
	begin(EXO_READ | EXO_WRITE, 8, 64 * 4096);
	memset(buf, 0x55, 64 * exo_block_size(x));
	CHECK_EQUAL(exo_write(q, buf, 0, 64), 0);
	CHECK_EQUAL(exo_write_zeroes(q, 16, 32), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 64), 0);
	CHECK(all(buf, 16 * exo_block_size(x), 0x55));
	CHECK(all(buf + 16 * exo_block_size(x), 32 * exo_block_size(x), 0));
	CHECK(all(buf + 48 * exo_block_size(x), 16 * exo_block_size(x), 0x55));
	exo_close(x);
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static void large_frames(void)
{
	long before;

	begin(EXO_READ, 1, 4 * MIB);
	CHECK_EQUAL((uintptr_t)buf % (2 * MIB), 0);
	before = faults();
	for (size_t i = 0; i < 4 * MIB; i += 4096)
		buf[i] = 1;
	/* 2 if 2 MiB frames could be had, which a machine need not have. */
	CHECK(faults() - before <= 1024);
	printf("# touching 4 MiB took %ld faults\n", faults() - before);
	exo_close(x);
}

static uint32_t caps_held(struct exo *handle)
{
	struct exo_info info = { 0 };

	CHECK_EQUAL(exo_sys_info(exo_fd(handle), &info), 0);
	return info.out_caps;
}

static void buffers_come_back(void)
{
	uint32_t held;
	void *some[8];

	begin(EXO_READ, 1, 4096);
	held = caps_held(x);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++) {
			some[i] = open_buf(q, 4096 << i);
			CHECK(all(some[i], 4096 << i, 0));
			memset(some[i], 0xee, 4096 << i);
			CHECK_EQUAL(exo_read(q, some[i], 0, 1), 0);
		}
		for (int i = 0; i < 8; i++)
			CHECK_EQUAL(exo_buf_free(q, some[i ^ 3]), 0);
	}
	CHECK_EQUAL(caps_held(x), held);
	CHECK_EQUAL(exo_buf_free(q, NULL), 0);
	CHECK_EQUAL(exo_buf_free(q, some), -EINVAL);
	CHECK_EQUAL(exo_buf_free(q, buf + 1), -EINVAL);
	CHECK(exo_buf_capability(q, buf));
	CHECK_EQUAL(exo_buf_capability(q, some[0]), 0);
	exo_close(x);
}

static void budget(void)
{
	struct exo_detail detail;
	void *more;
	int r;

	begin(EXO_READ, 1, 4096);
	r = exo_buf_alloc(q, 1ul << 30, &more);
	CHECK_EQUAL(r, -EDQUOT);
	CHECK(!more);
	CHECK(strstr(exo_strerror(x, r), "left in the budget"));
	exo_last_detail(x, &detail);
	CHECK_EQUAL(detail.reason, EXO_REASON_BUDGET);
	CHECK_EQUAL(exo_buf_alloc(q, 0, &more), -EINVAL);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

static void refused_in_a_batch(void)
{
	struct exo_completion done[4];
	uint64_t user_data;
	int r;

	begin(EXO_READ, 4, 4096);
	exo_prep_read(q, buf, 0, 1, 10);
	exo_prep_read(q, buf, exo_blocks(x), 1, 11);
	exo_prep_read(q, buf, 1, 1, 12);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(q->detail.reason, EXO_REASON_LBA);
	CHECK(strstr(exo_queue_strerror(q, 0), "no extent"));
	r = exo_submit(q);
	CHECK_EQUAL(r, -ERANGE);
	CHECK(strstr(exo_queue_strerror(q, r), "no extent"));
	CHECK_STRING(exo_strerror(x, r), exo_queue_strerror(q, r));
	/* Put right in place, it goes. */
	exo_prepared(q, 0, &user_data)->slba = exo_first_block(x);
	CHECK_EQUAL(user_data, 11);
	CHECK_EQUAL(exo_submit(q), 2);
	for (int n = 0; n < 3; n += r) {
		r = exo_wait(q, done, 4, -1);
		CHECK(r > 0);
		if (r <= 0)
			break;
		for (int i = 0; i < r; i++)
			CHECK_EQUAL(exo_nvme_status(&done[i].raw), 0);
	}
	CHECK_EQUAL(exo_queue_free(q), 4);
	exo_close(x);
}

/* Submit what is prepared, alone; it must fail, and the queue be as before. */
static int refusal(void)
{
	int r = exo_submit(q);

	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	CHECK_EQUAL(exo_queue_free(q), q->depth);
	return r;
}

static void each_refusal(void)
{
	begin(EXO_READ, 4, 4096);
	exo_prep_read(q, buf, exo_blocks(x), 1, 0);
	CHECK_EQUAL(refusal(), -ERANGE);
	exo_prep_read(q, buf, exo_blocks(x) - 1, 2, 0);
	CHECK_EQUAL(refusal(), -ERANGE);
	exo_prep_read(q, buf, -1, 1, 0);
	CHECK_EQUAL(refusal(), -ERANGE);
	exo_prep_read(q, buf, 0, 1, 0)->slba = -1;
	CHECK_EQUAL(refusal(), -EOVERFLOW);
	exo_prep_write(q, buf, 0, 1, 0);
	CHECK_EQUAL(refusal(), -EACCES);
	exo_prep_flush(q, 0);
	CHECK_EQUAL(refusal(), -EACCES);
	exo_prep_read(q, buf + 2, 0, 1, 0);
	CHECK_EQUAL(refusal(), -EINVAL);
	exo_prep_read(q, buf + 4096 - 4, 0, 1, 0);
	CHECK_EQUAL(refusal(), -EFAULT);
	exo_prep_read(q, &x, 0, 1, 0);
	CHECK(refusal() < 0);
	exo_prep_read(q, buf, 0, exo_transfer_max(x) / exo_block_size(x) + 1, 0);
	CHECK_EQUAL(refusal(), -EMSGSIZE);
	exo_prep(q, 0)->opcode = 0x84;
	CHECK_EQUAL(refusal(), -EOPNOTSUPP);
	exo_prep_read(q, buf, 0, 1, 0)->prp2 = 4096;
	CHECK_EQUAL(refusal(), -EINVAL);
	exo_prep_read(q, buf, 0, 1, 0)->nsid++;
	CHECK_EQUAL(refusal(), -ERANGE);
	CHECK_EQUAL(exo_read(q, buf, exo_blocks(x) - 1, 1), 0);
	exo_close(x);
}

static void stale_buffers(void)
{
	void *gone;

	begin(EXO_READ, 4, 4096);
	gone = open_buf(q, 8192);
	CHECK_EQUAL(exo_read(q, gone, 0, 1), 0);
	CHECK_EQUAL(exo_buf_free(q, gone), 0);
	CHECK_EQUAL(exo_read(q, gone, 0, 1), -EFAULT);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

static void fewer_rights(void)
{
	begin(EXO_READ, 1, 4096);
	CHECK_EQUAL(exo_rights(x), EXO_READ);
	CHECK_EQUAL(exo_write(q, buf, 0, 1), -EACCES);
	CHECK_EQUAL(exo_flush(q), -EACCES);
	CHECK(strstr(exo_strerror(x, -EACCES), "without the right WRITE"));
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

static void busy(void)
{
	struct exo_completion done;

	begin(EXO_READ | EXO_WRITE, 2, 4096);
	exo_prep_read(q, buf, 0, 1, 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), -EBUSY);
	CHECK_EQUAL(exo_flush(q), -EBUSY);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(exo_write(q, buf, 0, 1), -EBUSY);
	CHECK_EQUAL(exo_wait(q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

/* Many laps around small rings of every depth; each read is told by its data. */
static void laps(unsigned int depth)
{
	uint32_t size = exo_block_size(x);
	struct exo_queue *small = open_queue(x, depth);
	char *pieces = open_buf(small, depth * size);
	unsigned int started = 0, ended = 0, total = 40 * depth + 100;
	struct exo_completion done[16];
	uint64_t block[16];

	while (ended < total) {
		int n;

		while (exo_queue_free(small) && started < total) {
			/* user_data is the CID, which is the piece. */
			struct exo_nvme_command *c = exo_prep(small, 0);

			block[c->cid] = (started * 7) % 64;
			c->opcode = EXO_NVME_READ;
			c->prp1 = exo_buf_offset(small, pieces + c->cid * size);
			c->slba = exo_first_block(x) + block[c->cid];
			started++;
		}
		CHECK(exo_submit(small) >= 0);
		n = exo_wait(small, done, 16, -1);
		CHECK(n > 0);
		if (n <= 0)
			return;
		for (int i = 0; i < n; i++) {
			uint16_t cid = done[i].raw.cid;

			CHECK_EQUAL(exo_nvme_status(&done[i].raw), 0);
			CHECK_EQUAL(*(uint64_t *)(pieces + cid * size), block[cid]);
		}
		ended += n;
	}
	CHECK_EQUAL(exo_buf_free(small, pieces), 0);
	exo_queue_destroy(small);
}

static void small_rings(void)
{
	begin(EXO_READ | EXO_WRITE, 64, 64 * 4096);
	for (uint64_t i = 0; i < 64; i++)
		*(uint64_t *)(buf + i * exo_block_size(x)) = i;
	CHECK_EQUAL(exo_write(q, buf, 0, 64), 0);
	for (unsigned int depth = 1; depth <= 16; depth++)
		laps(depth);
	exo_close(x);
}

static void in_place(void)
{
	const struct exo_nvme_completion *entry;

	begin(EXO_READ, 4, 4096);
	exo_prep_read(q, buf, 0, 1, 77);
	CHECK_EQUAL(exo_submit(q), 1);
	while (!(entry = exo_peek(q)) && exo_queue_alive(q))
		;
	CHECK(entry && exo_nvme_status(entry) == 0);
	CHECK_EQUAL(exo_consume(q), 77);
	CHECK(!exo_peek(q));
	CHECK_EQUAL(exo_queue_in_flight(q), 0);
	exo_close(x);
}

struct writer {
	pthread_t thread;
	unsigned int index;
	int result;
};

/* Each thread its queue and its 128 blocks, over and over. */
static void *write_and_read(void *arg)
{
	struct writer *w = arg;
	struct exo_queue *own = open_queue(x, 4);
	size_t bytes = 128 * exo_block_size(x);
	char *data = open_buf(own, bytes), *copy = malloc(bytes);

	for (int round = 0; round < 20 && !w->result; round++) {
		number_bytes(copy, bytes, w->index * 1000 + round);
		memcpy(data, copy, bytes);
		w->result = exo_write(own, data, w->index * 128, 128);
		memset(data, 0, bytes);
		if (!w->result)
			w->result = exo_read(own, data, w->index * 128, 128);
		if (!w->result && memcmp(data, copy, bytes))
			w->result = -EILSEQ;
	}
	free(copy);
	exo_buf_free(own, data);
	exo_queue_destroy(own);
	return NULL;
}

static void threads(void)
{
	struct writer writers[QUEUES] = { 0 };

	x = open_handle(EXO_READ | EXO_WRITE);
	for (unsigned int i = 0; i < QUEUES; i++) {
		writers[i].index = i;
		CHECK_EQUAL(pthread_create(&writers[i].thread, NULL, write_and_read, &writers[i]),
			    0);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		pthread_join(writers[i].thread, NULL);
		CHECK_EQUAL(writers[i].result, 0);
	}
	exo_close(x);
}

static void queue_budget(void)
{
	struct exo_queue *queues[QUEUES + 1];
	int r;

	x = open_handle(EXO_READ);
	for (int i = 0; i < QUEUES; i++)
		queues[i] = open_queue(x, 2);
	r = exo_queue_create(x, NULL, &queues[QUEUES]);
	CHECK_EQUAL(r, -EDQUOT);
	CHECK(!queues[QUEUES]);
	CHECK(strstr(exo_strerror(x, r), "left in the budget"));
	exo_queue_destroy(queues[3]);
	CHECK_EQUAL(exo_queue_create(x, NULL, &queues[3]), 0);
	CHECK_STRING(exo_queue_mode(queues[3]), "checked");
	exo_close(x);
}

static void queue_options(void)
{
	struct exo_queue_options options = { .size = sizeof(options) };
	struct exo_queue *none;

	x = open_handle(EXO_READ);
	options.depth = exo_depth_max(x) + 1;
	CHECK_EQUAL(exo_queue_create(x, &options, &none), -EINVAL);
	options.depth = 1;
	options.flags = 1;
	CHECK_EQUAL(exo_queue_create(x, &options, &none), -EOPNOTSUPP);
	options.flags = 0;
	options.mode = 99;
	CHECK(exo_queue_create(x, &options, &none) < 0);
	CHECK(!none);
	exo_close(x);
}

static void dropped_queue(void)
{
	struct exo_completion done;
	struct exo_cap_drop drop = { 0 };
	int r;

	begin(EXO_READ, 2, 4096);
	drop.cap = exo_queue_cap(q);
	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &drop), 0);
	CHECK(!exo_queue_alive(q));
	exo_prep_read(q, buf, 0, 1, 0);
	r = exo_submit(q);
	CHECK(r == -ESTALE || r == -ENOENT);
	CHECK(strlen(exo_queue_strerror(q, r)) > 20);
	CHECK_EQUAL(exo_wait(q, &done, 1, -1), 0);
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	exo_close(x);
}

static void closing(void)
{
	struct exo *other = open_handle(EXO_READ);
	uint32_t held = caps_held(other);

	for (int i = 0; i < 5; i++) {
		begin(EXO_READ, 8, 3 * MIB);
		open_buf(open_queue(x, 4), 5000);
		CHECK(caps_held(other) > held);
		exo_close(x);
		CHECK_EQUAL(caps_held(other), held);
	}
	exo_close(other);
}

static void two_handles(void)
{
	struct exo *other = open_handle(EXO_READ);
	struct exo_queue *its = open_queue(other, 2);
	char *data = open_buf(its, 4096);

	begin(EXO_READ | EXO_WRITE, 2, 4096);
	memset(buf, 0x77, 4096);
	CHECK_EQUAL(exo_write(q, buf, 5, 1), 0);
	CHECK_EQUAL(exo_read(its, data, 5, 1), 0);
	CHECK(all(data, exo_block_size(other), 0x77));
	exo_close(x);
	CHECK_EQUAL(exo_read(its, data, 5, 1), 0);
	exo_close(other);
}

static void children(void)
{
	int status = 0;
	pid_t child;

	begin(EXO_READ, 1, 4096);
	fflush(stdout);
	child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		*(volatile char *)buf = 1;
		_exit(0);
	}
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

static void no_privilege(void)
{
	struct exo *none;
	int r = exo_open("nvme:0000:00:00.0/1", EXO_READ, &none);

	CHECK_EQUAL(r, -EPERM);
	CHECK(strstr(exo_strerror(none, r), "CAP_SYS_ADMIN"));
	exo_close(none);
}

static void unknown_name(void)
{
	struct exo *none;

	CHECK_EQUAL(exo_open("exo:no-such-extent", EXO_READ, &none), -ENOENT);
	CHECK(strstr(exo_strerror(none, -ENOENT), "no-such-extent"));
	exo_close(none);
}

static const struct tap_test tests[] = {
	TEST(split_requests, "a large request is split and arrives whole"),
	TEST(zeroes, "zeroes are written where they were asked for and nowhere else"),
	TEST(large_frames, "a large buffer begins at a multiple of 2 MiB"),
	TEST(buffers_come_back, "freed buffers leave no capability behind and new ones are zero"),
	TEST(budget, "an exhausted memory budget is an error that says so"),
	TEST(refused_in_a_batch, "a refused command stops its batch, is put right and goes"),
	TEST(each_refusal, "each wrong command is refused alone and leaves the queue usable"),
	TEST(stale_buffers, "a freed buffer is no buffer for a command"),
	TEST(fewer_rights, "a handle opened for reading cannot write"),
	TEST(busy, "synchronous calls refuse a queue that is not idle"),
	TEST(small_rings, "rings of every small depth go round with the right data"),
	TEST(in_place, "a raw completion can be looked at where it lies"),
	TEST(threads, "threads with queues of their own do not disturb one another"),
	TEST(queue_budget, "an exhausted queue budget is an error that says so"),
	TEST(queue_options, "queue options that cannot be are refused"),
	TEST(dropped_queue, "a queue that was taken away is dead and says so"),
	TEST(closing, "closing a handle gives everything back"),
	TEST(two_handles, "two handles of one session live apart"),
	TEST(children, "a child process does not inherit a buffer"),
	TEST(no_privilege, "a device cannot be claimed without privilege"),
	TEST(unknown_name, "a name that was not granted is refused"),
};

TAP_MAIN(tests)
