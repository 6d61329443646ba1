// SPDX-License-Identifier: LGPL-2.1-only
/*
 * libexo on the module and a device of the virtual machine: run by libexo.vm.sh
 * under exo-run, without privileges, with an extent of a few MiB that may be
 * written, eight queues and 32 MiB of memory.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libexo.h>

#include "bus-error.h"
#include "tap.h"

static const char *name = "exo:";
#define MIB (1ul << 20)
#define QUEUES 8

static bool direct; /* through direct queues */
static bool unsafe; /* of which nothing bounds what they reach */

/* What most tests begin with; a failure here is nothing that a test is about. */
static struct exo *open_handle(unsigned int rights)
{
	struct exo *x;
	int r = exo_open(name, rights | (direct ? EXO_DIRECT : 0), &x);

	if (r)
		errx(1, "%s", exo_strerror(x, r));
	return x;
}

/* Of a queue as most tests want one. */
static struct exo_queue_options queue_of(unsigned int depth)
{
	return (struct exo_queue_options){
		.size = sizeof(struct exo_queue_options),
		.depth = depth,
		.mode = unsafe	 ? EXO_QUEUE_UNSAFE
			: direct ? EXO_QUEUE_DIRECT
				 : EXO_QUEUE_CHECKED,
	};
}

static struct exo_queue *open_queue(struct exo *x, unsigned int depth)
{
	struct exo_queue_options options = queue_of(depth);
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

/* What copies takes them as any memory; what keeps references to pages takes none. */
static void system_calls(void)
{
	int file = memfd_create("exo", 0), pipes[2], sockets[2];
	struct iovec iov = { .iov_len = 4096 };
	char *other;

	begin(EXO_READ | EXO_WRITE, 3, 8192);
	other = buf + 4096;
	number_bytes(buf, 4096, 7);
	CHECK(!pipe(pipes) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	CHECK_EQUAL(pwrite(file, buf, 4096, 4096), 4096);
	CHECK_EQUAL(pread(file, other, 4096, 4096), 4096);
	CHECK(!memcmp(buf, other, 4096));
	memset(other, 0, 4096);
	CHECK_EQUAL(write(pipes[1], buf, 4096), 4096);
	CHECK_EQUAL(read(pipes[0], other, 4096), 4096);
	CHECK(!memcmp(buf, other, 4096));
	memset(other, 0, 4096);
	CHECK_EQUAL(send(sockets[0], buf, 4096, 0), 4096);
	CHECK_EQUAL(recv(sockets[1], other, 4096, MSG_WAITALL), 4096);
	CHECK(!memcmp(buf, other, 4096));
	iov.iov_base = buf;
	CHECK(vmsplice(pipes[1], &iov, 1, 0) < 0 && errno == EFAULT);
	close(file);
	for (int i = 0; i < 2; i++) {
		close(pipes[i]);
		close(sockets[i]);
	}
	exo_close(x);
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

static void compares(void)
{
	size_t bytes;

	begin(EXO_READ | EXO_WRITE, 4, 3 * MIB);
	bytes = (size_t)exo_transfer_max(x) * 2;
	CHECK(bytes <= 3 * MIB);
	number_bytes(buf, bytes, 7);
	CHECK_EQUAL(exo_write(q, buf, 0, bytes / exo_block_size(x)), 0);
	CHECK_EQUAL(exo_compare(q, buf, 0, bytes / exo_block_size(x)), 0);
	buf[bytes - 1] ^= 1;
	CHECK_EQUAL(exo_compare(q, buf, 0, bytes / exo_block_size(x)), -EILSEQ);
	exo_close(x);
}

static void copies(void)
{
	const uint64_t blocks = 2000, to = 3000;
	struct exo_copy_limits limits;
	size_t bytes;

	begin(EXO_READ | EXO_WRITE, 4, 3 * MIB);
	limits = exo_copy_limits(x);
	CHECK(limits.ranges > 0 && limits.blocks > 0);
	CHECK(limits.blocks < blocks);
	bytes = blocks * exo_block_size(x);
	number_bytes(buf, bytes, 8);
	CHECK_EQUAL(exo_write(q, buf, 100, blocks), 0);
	CHECK_EQUAL(exo_write_zeroes(q, to - 1, blocks + 2), 0);
	CHECK_EQUAL(exo_copy(q, 100, to, blocks), 0);
	CHECK_EQUAL(exo_compare(q, buf, to, blocks), 0);
	CHECK_EQUAL(exo_read(q, buf, to - 1, 1), 0);
	CHECK(all(buf, exo_block_size(x), 0));
	CHECK_EQUAL(exo_read(q, buf, to + blocks, 1), 0);
	CHECK(all(buf, exo_block_size(x), 0));
	CHECK_EQUAL(exo_copy(q, 0, 1, 2), -EINVAL);
	CHECK_EQUAL(exo_copy(q, 0, exo_blocks(x) - 1, 2), -ERANGE);
	exo_close(x);
}

static void trims(void)
{
	begin(EXO_READ | EXO_WRITE | EXO_TRIM, 4, 64 * 4096);
	memset(buf, 0x55, 64 * exo_block_size(x));
	CHECK_EQUAL(exo_write(q, buf, 0, 64), 0);
	CHECK_EQUAL(exo_trim(q, 16, 32), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 64), 0);
	CHECK(all(buf, 16 * exo_block_size(x), 0x55));
	CHECK(all(buf + 48 * exo_block_size(x), 16 * exo_block_size(x), 0x55));
	CHECK_EQUAL(exo_trim(q, exo_blocks(x) - 1, 2), -ERANGE);
	CHECK(strstr(exo_queue_strerror(q, -ERANGE), direct ? "trim" : "Dataset Management"));
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

/* Pages that are pinned for who registered memory. */
static uint64_t pages_pinned(struct exo *handle)
{
	struct exo_info info = { 0 };

	CHECK_EQUAL(exo_sys_info(exo_fd(handle), &info), 0);
	return info.out_memory_adopted;
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
	options.flags = ~(EXO_QUEUE_POLLED | EXO_QUEUE_THREAD);
	CHECK_EQUAL(exo_queue_create(x, &options, &none), -EOPNOTSUPP);
	options.flags = 0;
	options.mode = 99;
	CHECK(exo_queue_create(x, &options, &none) < 0);
	CHECK(!none);
	exo_close(x);
}

/* ---- where a queue is, and how urgent ---- */

/* A queue with these options is refused so, and takes nothing of the budget. */
static void no_queue(const struct exo_queue_options *options, int result)
{
	struct exo_queue *none;

	CHECK_EQUAL(exo_queue_create(x, options, &none), result);
	CHECK(!none);
}

static void where_asked(void)
{
	struct exo_queue_options options = queue_of(4);
	struct exo_queue *other;
	cpu_set_t allowed;

	begin(EXO_READ, 1, 4096);
	CHECK(exo_queue_irq_cpu(q) >= 0);
	CHECK(exo_queue_node(q) >= 0);
	CHECK_EQUAL(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	CHECK(CPU_COUNT(&allowed) > 0);
	options.spin_ns = EXO_SPIN_NONE;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		options.irq_cpu = EXO_IRQ_ON(cpu);
		CHECK_EQUAL(exo_queue_create(x, &options, &other), 0);
		CHECK_EQUAL(exo_queue_irq_cpu(other), cpu);
		CHECK_STRING(exo_queue_completion(other), "interrupt");
		CHECK_EQUAL(exo_read(other, buf, 0, 1), 0);
		exo_queue_destroy(other);
	}
	options.irq_cpu = 0;
	options.node = EXO_NODE_ON(exo_queue_node(q));
	options.flags = EXO_QUEUE_POLLED;
	CHECK_EQUAL(exo_queue_create(x, &options, &other), 0);
	CHECK_EQUAL(exo_queue_node(other), exo_queue_node(q));
	CHECK_EQUAL(exo_queue_irq_cpu(other), -1);
	CHECK_EQUAL(exo_read(other, buf, 0, 1), 0);
	exo_close(x);
}

static void nowhere(void)
{
	struct exo_queue_options options = queue_of(4);
	cpu_set_t allowed, first;

	begin(EXO_READ, 1, 4096);
	options.irq_cpu = EXO_IRQ_ON(4000);
	no_queue(&options, -EINVAL);
	options.irq_cpu = EXO_IRQ_ON(0);
	options.flags = EXO_QUEUE_POLLED;
	no_queue(&options, -EINVAL);
	CHECK(strstr(exo_strerror(x, -EINVAL), "irq_cpu is set for a queue without interrupts"));
	options.flags = 0;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK_EQUAL(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	CHECK_EQUAL(sched_setaffinity(0, sizeof(first), &first), 0);
	options.irq_cpu = EXO_IRQ_ON(1);
	no_queue(&options, -EINVAL);
	CHECK_EQUAL(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
	options.irq_cpu = 0;
	options.node = EXO_NODE_ON(1023);
	no_queue(&options, -EINVAL);
	for (int i = 1; i < QUEUES; i++)
		open_queue(x, 1);
	exo_close(x);
}

/* Root has the right, who is under exo-run has not. */
static void how_urgent(void)
{
	struct exo_queue_options options = queue_of(4);
	bool has;

	begin(EXO_READ, 1, 4096);
	has = exo_controller_flags(x) & EXO_CONTROLLER_PRIORITY;
	CHECK_EQUAL(exo_queue_priority(q), has ? EXO_PRIORITY_MEDIUM : 0);
	options.priority = EXO_PRIORITY_URGENT + 1;
	no_queue(&options, -EINVAL);
	for (uint32_t p = EXO_PRIORITY_LOW; p <= EXO_PRIORITY_URGENT; p++) {
		bool may = p <= EXO_PRIORITY_MEDIUM || unsafe;
		struct exo_queue *other;

		options.priority = p;
		if (!may) {
			no_queue(&options, -EACCES);
			CHECK(strstr(exo_strerror(x, -EACCES), "PRIORITY"));
		} else if (!has) {
			no_queue(&options, -EOPNOTSUPP);
			CHECK(strstr(exo_strerror(x, -EOPNOTSUPP), "has no priorities"));
		} else {
			CHECK_EQUAL(exo_queue_create(x, &options, &other), 0);
			CHECK_EQUAL(exo_queue_priority(other), p);
			exo_queue_destroy(other);
		}
	}
	exo_close(x);
}

/* ---- a queue with a thread ---- */

static void begin_threaded(uint32_t percent, uint32_t idle_us)
{
	struct exo_queue_options options = {
		.size = sizeof(options),
		.depth = 4,
		.flags = EXO_QUEUE_THREAD,
		.thread_percent = percent,
		.thread_idle_us = idle_us,
	};
	int r;

	x = open_handle(EXO_READ | EXO_WRITE);
	r = exo_queue_create(x, &options, &q);
	if (r)
		errx(1, "%s", exo_strerror(x, r));
	buf = open_buf(q, MIB);
}

/* Calls and no calls mixed: idle for a moment, share used up, or neither. */
static void threaded_data(void)
{
	static const uint32_t percents[] = { 0, 5 }, idles[] = { 0, 1, 100000 };
	char *copy = malloc(MIB);

	for (size_t i = 0; i < 6; i++) {
		begin_threaded(percents[i / 3], idles[i % 3]);
		for (unsigned int round = 0; round < 4; round++) {
			number_bytes(buf, MIB, round);
			memcpy(copy, buf, MIB);
			CHECK_EQUAL(exo_write(q, buf, 0, MIB / exo_block_size(x)), 0);
			memset(buf, 0, MIB);
			CHECK_EQUAL(exo_read(q, buf, 0, MIB / exo_block_size(x)), 0);
			CHECK(!memcmp(buf, copy, MIB));
		}
		exo_close(x);
	}
	free(copy);
}

static void threaded_refusal(void)
{
	struct exo_completion done[4];
	uint64_t user_data = 0, blocks;
	int r, late, n = 0;

	begin_threaded(0, 100000);
	exo_prep_read(q, buf, 0, 1, 10);
	exo_prep_read(q, buf, exo_blocks(x), 1, 11);
	exo_prep_read(q, buf, 1, 1, 12);
	/*
	 * Asleep or not when they were submitted, or on its way, and quick enough for the first: a
	 * wait that finds nothing says why, perhaps before the first has ended.
	 */
	r = exo_submit(q);
	CHECK(r == 3 || r == 1 || r == -ERANGE);
	while ((r = exo_wait(q, done, 4, 10000)) > 0)
		n += r;
	if (!r)
		r = exo_submit(q);
	CHECK_EQUAL(r, -ERANGE);
	while ((late = exo_wait(q, done, 4, 10000)) > 0)
		n += late;
	CHECK_EQUAL(late, 0);
	CHECK_EQUAL(n, 1);
	CHECK(strstr(exo_queue_strerror(q, r), "no extent"));
	CHECK_EQUAL(exo_queue_prepared(q), 2);
	CHECK(exo_prepared(q, 0, &user_data));
	CHECK_EQUAL(user_data, 11);
	exo_prepared(q, 0, NULL)->slba = exo_first_block(x);
	CHECK_EQUAL(exo_submit(q), 2);
	for (n = 0; n < 2; n += r) {
		r = exo_wait(q, done, 4, -1);
		CHECK(r > 0);
		if (r <= 0)
			break;
	}
	CHECK_EQUAL(exo_queue_free(q), 4);
	/* A request that is refused on its way ends, with all that it had prepared. */
	CHECK_EQUAL(exo_read(q, buf, exo_blocks(x) - 1, 2), -ERANGE);
	CHECK_EQUAL(exo_queue_free(q), 4);
	CHECK_EQUAL(exo_read(q, buf, 0, 8), 0);
	/* Of two commands the second is refused, after the first was handed over and reaped. */
	blocks = exo_transfer_max(x) / exo_block_size(x);
	CHECK(2 * exo_transfer_max(x) <= MIB);
	for (n = 0; n < 50; n++)
		CHECK_EQUAL(exo_read(q, buf, exo_blocks(x) - blocks, 2 * blocks), -ERANGE);
	CHECK_EQUAL(exo_queue_free(q), 4);
	CHECK_EQUAL(exo_read(q, buf, 0, 8), 0);
	exo_close(x);
}

static void thread_options(void)
{
	struct exo_queue_options options = { .size = sizeof(options), .thread_cpu = 1 };
	struct exo_queue *none;
	int r;

	x = open_handle(EXO_READ);
	r = exo_queue_create(x, &options, &none);
	CHECK_EQUAL(r, -EINVAL);
	CHECK(strstr(exo_strerror(x, r), "EXO_QUEUE_THREAD"));
	options.flags = EXO_QUEUE_THREAD;
	options.thread_cpu = EXO_THREAD_ON(4000);
	CHECK_EQUAL(exo_queue_create(x, &options, &none), -EINVAL);
	options.thread_cpu = EXO_THREAD_ON(0);
	options.thread_percent = 101;
	CHECK_EQUAL(exo_queue_create(x, &options, &none), -EINVAL);
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
	CHECK_EQUAL(exo_queue_irq_cpu(q), -1);
	CHECK_EQUAL(exo_queue_node(q), -1);
	CHECK_EQUAL(exo_queue_priority(q), -1);
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

/* ---- memory of the program's own ---- */

static void own_memory(void)
{
	size_t bytes = 40 * 4096, blocks;
	char *own = malloc(bytes + 64), *at = own + 4;
	uint64_t pinned;

	begin(EXO_READ | EXO_WRITE, 8, bytes);
	pinned = pages_pinned(x);
	blocks = bytes / exo_block_size(x);
	/* Not known yet. */
	CHECK(exo_read(q, at, 0, 1) < 0);
	CHECK_EQUAL(exo_mem_register(x, at, bytes, 0), 0);
	CHECK(pages_pinned(x) >= pinned + bytes / 4096);
	number_bytes(at, bytes, 3);
	CHECK_EQUAL(exo_write(q, at, 8, blocks), 0);
	CHECK_EQUAL(exo_read(q, buf, 8, blocks), 0);
	CHECK(!memcmp(buf, at, bytes));
	number_bytes(buf, bytes, 4);
	CHECK_EQUAL(exo_write(q, buf, 8, blocks), 0);
	CHECK_EQUAL(exo_read(q, at, 8, blocks), 0);
	CHECK(!memcmp(buf, at, bytes));
	/* From within, and a queue that came later. */
	CHECK_EQUAL(exo_read(open_queue(x, 4), at + 4096 * 3 + 512, 8, 3), 0);
	CHECK(!memcmp(buf, at + 4096 * 3 + 512, 3 * exo_block_size(x)));
	CHECK_EQUAL(exo_mem_unregister(x, at + 4), -EINVAL);
	CHECK_EQUAL(exo_mem_unregister(x, at), 0);
	CHECK_EQUAL(pages_pinned(x), pinned);
	CHECK_EQUAL(exo_mem_unregister(x, at), -EINVAL);
	CHECK(strstr(exo_strerror(x, -EINVAL), "registered"));
	CHECK(exo_read(q, at, 0, 1) < 0);
	CHECK_EQUAL(exo_mem_unregister(x, NULL), 0);
	exo_close(x);
	free(own);
}

/* Its physical addresses are nobody's to know; of a checked queue beside it they are no matter. */
static void own_memory_unsafely(void)
{
	struct exo_queue_options options = { .size = sizeof(options) };
	char *own = malloc(3 * 4096);
	struct exo_queue *other;
	uint64_t pinned;

	begin(EXO_READ | EXO_WRITE, 4, 4096);
	CHECK_EQUAL(exo_queue_create(x, &options, &other), 0);
	CHECK_EQUAL(exo_mem_register(x, own, 3 * 4096, 0), 0);
	pinned = pages_pinned(x);
	CHECK(pinned >= 3);
	CHECK_EQUAL(exo_buf_offset(q, own), (uintptr_t)own);
	CHECK_EQUAL(exo_read(q, own, 0, 1), -EFAULT);
	CHECK(strstr(exo_queue_strerror(q, -EFAULT), "not of exo_buf_alloc()"));
	exo_prep_write(q, own, 0, 1, 1);
	CHECK_EQUAL(exo_submit(q), -EFAULT);
	CHECK(strstr(exo_queue_strerror(q, -EFAULT), "not of exo_buf_alloc()"));
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	number_bytes(own, 4096, 9);
	CHECK_EQUAL(exo_write(other, own, 0, 4096 / exo_block_size(x)), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 4096 / exo_block_size(x)), 0);
	CHECK(!memcmp(buf, own, 4096));
	CHECK_EQUAL(exo_mem_unregister(x, own), 0);
	CHECK_EQUAL(exo_read(q, own, 0, 1), -EFAULT);
	/* Until the function was reset. */
	CHECK_EQUAL(pages_pinned(x), pinned);
	exo_close(x);
	x = open_handle(EXO_READ);
	CHECK_EQUAL(pages_pinned(x), 0);
	exo_close(x);
	free(own);
}

static void many_pieces(void)
{
	enum { PIECES = 50 };
	char *own = malloc(PIECES * 6000), *at[PIECES];
	size_t bytes;

	begin(EXO_READ | EXO_WRITE, 8, 4096);
	bytes = exo_block_size(x);
	/* In no order, several on a page. */
	for (unsigned int i = 0; i < PIECES; i++) {
		at[i] = own + (i * 17 % PIECES) * 6000;
		CHECK_EQUAL(exo_mem_register(x, at[i], bytes, 0), 0);
	}
	CHECK_EQUAL(exo_mem_register(x, at[7] + 4, 4, 0), -EEXIST);
	CHECK_EQUAL(exo_mem_register(x, at[7] - 4, 8, 0), -EEXIST);
	for (unsigned int i = 0; i < PIECES; i++) {
		number_bytes(at[i], bytes, i);
		CHECK_EQUAL(exo_write(q, at[i], i, 1), 0);
	}
	for (unsigned int i = 0; i < PIECES; i += 2)
		CHECK_EQUAL(exo_mem_unregister(x, at[i]), 0);
	for (unsigned int i = 0; i < PIECES; i++) {
		number_bytes(buf, bytes, i);
		memset(at[i], 0, bytes);
		CHECK_EQUAL(exo_read(q, at[i], i, 1) == 0, i % 2);
		CHECK_EQUAL(!memcmp(at[i], buf, bytes), i % 2);
	}
	/* What is left is the handle's to give back. */
	exo_close(x);
	free(own);
}

static void read_only_memory(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *file = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(file != MAP_FAILED);
	begin(EXO_READ | EXO_WRITE, 8, 65536);
	CHECK_EQUAL(exo_mem_register(x, file, 65536, 0), -EFAULT);
	CHECK(strstr(exo_strerror(x, -EFAULT), "cannot be pinned for READ, WRITE"));
	CHECK_EQUAL(exo_mem_register(x, file, 65536, EXO_MEM_READ_ONLY), 0);
	CHECK_EQUAL(exo_write(q, file, 0, 65536 / exo_block_size(x)), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 65536 / exo_block_size(x)), 0);
	CHECK(!memcmp(buf, file, 65536));
	if (!direct)
		CHECK_EQUAL(exo_read(q, file, 0, 1), -EACCES);
	exo_close(x);
	close(fd);
	munmap(file, 65536);
}

static void refused_memory(void)
{
	struct rlimit limit, none = { 4096, 0 };
	char *own = malloc(8 * 4096);

	begin(EXO_READ, 4, 4096);
	CHECK_EQUAL(exo_mem_register(x, own, 0, 0), -EINVAL);
	CHECK_EQUAL(exo_mem_register(x, own, 4096, 2), -EINVAL);
	CHECK_EQUAL(exo_mem_register(x, own, ~0ul, 0), -EINVAL);
	CHECK_EQUAL(exo_mem_register(x, NULL, 4096, 0), -EFAULT);
	/* Of the library's own: it would have two offsets. */
	CHECK_EQUAL(exo_mem_register(x, buf, 4096, 0), -EFAULT);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &none);
	CHECK_EQUAL(exo_mem_register(x, own, 8 * 4096, 0), -EDQUOT);
	CHECK(strstr(exo_strerror(x, -EDQUOT), "RLIMIT_MEMLOCK leaves the user 4096"));
	setrlimit(RLIMIT_MEMLOCK, &limit);
	CHECK_EQUAL(exo_mem_register(x, own, 8 * 4096, 0), 0);
	exo_close(x);
	free(own);
}

static sigjmp_buf touched;

static void on_touch(int signal)
{
	siglongjmp(touched, signal);
}

/* 0, or the signal. */
static int touch(volatile char *at, bool write)
{
	struct sigaction action = { .sa_handler = on_touch }, before;
	int signal;

	sigaction(SIGBUS, &action, &before);
	signal = sigsetjmp(touched, 1);
	if (!signal && write)
		*at = 1;
	else if (!signal)
		(void)*at;
	sigaction(SIGBUS, &before, NULL);
	return signal;
}

static void windows(void)
{
	const uint32_t rw = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	struct exo_window *w, *none;
	uint64_t bits;
	unsigned int done;
	uint32_t frames;

	begin(EXO_READ | EXO_WRITE, 4, 65536);
	frames = exo_buf_capability(q, buf);
	CHECK(frames);
	CHECK_EQUAL(exo_window_create(x, 1ull << 38, &w), 0);
	CHECK_EQUAL((uintptr_t)exo_window_entry(w, 0) % (2ul << 20), 0);
	CHECK_EQUAL(touch(exo_window_entry(w, 3), false), SIGBUS);
	/* What the window shows is the buffer, which the device reaches. */
	CHECK_EQUAL(exo_window_map(w, 3, 2, frames, 0, rw), 0);
	memset(exo_window_entry(w, 3), 0x5a, 4096);
	CHECK_EQUAL(*(char *)buf, 0x5a);
	CHECK_EQUAL(exo_window_dirty(w, 0, 64, &bits), 1);
	CHECK_EQUAL(bits, 1 << 3);
	CHECK_EQUAL(exo_window_protect(w, 3, 1, EXO_RIGHT_READ), 0);
	CHECK_EQUAL(touch(exo_window_entry(w, 3), true), SIGBUS);
	CHECK_EQUAL(touch(exo_window_entry(w, 4), true), 0);
	{
		const struct exo_window_op ops[] = {
			{ .op = EXO_WINDOW_UNMAP, .first = 3, .count = 1 },
			{ .op = EXO_WINDOW_PROTECT, .first = 3, .count = 2, .access = rw },
			{ .op = EXO_WINDOW_UNMAP, .first = 4, .count = 1 },
		};

		CHECK_EQUAL(exo_window_change(w, ops, 3, &done), -ENOENT);
		CHECK_EQUAL(done, 1);
		CHECK(strstr(exo_strerror(x, -ENOENT), "operation 1 on a window is refused"));
		CHECK(strstr(exo_strerror(x, -ENOENT), "entry 3 of the window is empty"));
	}
	CHECK_EQUAL(touch(exo_window_entry(w, 3), false), SIGBUS);
	CHECK_EQUAL(touch(exo_window_entry(w, 4), true), 0);
	CHECK_EQUAL(exo_window_map_large(w, 512, 512, frames, 0, rw), -EINVAL);
	CHECK_EQUAL(exo_window_map(w, 0, 1, frames, 1ull << 40, rw), -ERANGE);
	CHECK_EQUAL(exo_window_dirty(w, 1ull << 26, 1, &bits), -ERANGE);
	CHECK_EQUAL(exo_window_create(x, 4095, &none), -EINVAL);
	CHECK(!none);
	CHECK_EQUAL(exo_window_create(x, EXO_WINDOW_BYTES_MAX + 4096, &none), -EINVAL);
	CHECK_EQUAL(exo_window_unmap(w, 0, 512), 0);
	CHECK_EQUAL(touch(exo_window_entry(w, 4), false), SIGBUS);
	exo_window_destroy(w);
	exo_window_destroy(NULL);
	exo_close(x);
}

struct faults {
	struct exo_window *w;
	uint32_t frames;
	unsigned int calls;
	struct exo_upcall touch;
};

static void map_on_fault(void *arg, struct exo_upcall *touch)
{
	struct faults *f = arg;
	uint64_t at = (touch->address - (uintptr_t)exo_window_entry(f->w, 0)) / 4096;

	f->calls++;
	f->touch = *touch;
	if (touch->entry == EXO_UPCALL_PROTECTED)
		exo_window_protect(f->w, at, 1, EXO_RIGHT_READ | EXO_RIGHT_WRITE);
	else
		exo_window_map(f->w, at, 1, f->frames, 0, EXO_RIGHT_READ);
}

static void calls_on_fault(void)
{
	struct faults f = { 0 };
	volatile double sum = 0;

	begin(EXO_READ | EXO_WRITE, 4, 65536);
	f.frames = exo_buf_capability(q, buf);
	CHECK_EQUAL(exo_window_create(x, 1ull << 30, &f.w), 0);
	CHECK_EQUAL(exo_window_on_fault(f.w, map_on_fault, &f, 2), -EINVAL);
	CHECK_EQUAL(exo_window_on_fault(f.w, map_on_fault, &f, 0), 0);
	*(double *)buf = 1.5;
	/* Values that are on their way stay what they are. */
	for (uint64_t i = 1; i <= 100; i++)
		sum += i * *(volatile double *)exo_window_entry(f.w, i);
	CHECK(sum == 1.5 * 5050);
	CHECK_EQUAL(f.calls, 100);
	CHECK_EQUAL(f.touch.entry, EXO_UPCALL_EMPTY);
	CHECK_EQUAL(f.touch.access, EXO_RIGHT_READ);
	*((volatile char *)exo_window_entry(f.w, 7) + 9) = 1;
	CHECK_EQUAL(f.calls, 101);
	CHECK_EQUAL(f.touch.entry, EXO_UPCALL_PROTECTED);
	CHECK_EQUAL(f.touch.access, EXO_RIGHT_WRITE);
	CHECK_EQUAL(f.touch.address, (uintptr_t)exo_window_entry(f.w, 7) + 9);
	CHECK_EQUAL(exo_window_on_fault(f.w, map_on_fault, &f, EXO_FAULT_GENERAL_REGS), 0);
	CHECK_EQUAL(touch(exo_window_entry(f.w, 1000), false), 0);
	CHECK_EQUAL(f.calls, 102);
	CHECK_EQUAL(exo_window_on_fault(f.w, NULL, NULL, 0), 0);
	CHECK_EQUAL(touch(exo_window_entry(f.w, 1001), false), SIGBUS);
	CHECK_EQUAL(f.calls, 102);
	exo_window_destroy(f.w);
	exo_close(x);
}

static void own_memory_after_fork(void)
{
	char *own = malloc(65536);
	int status;
	pid_t pid;

	begin(EXO_READ | EXO_WRITE, 4, 65536);
	CHECK_EQUAL(exo_mem_register(x, own, 65536, 0), 0);
	memset(own, 0x77, 65536);
	pid = fork();
	if (!pid) {
		memset(own, 0x11, 65536);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	CHECK_EQUAL(exo_write(q, own, 0, 65536 / exo_block_size(x)), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 65536 / exo_block_size(x)), 0);
	CHECK(all(buf, 65536, 0x77));
	exo_close(x);
	free(own);
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

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t in_ms(uint64_t ms)
{
	return clock_ns(CLOCK_MONOTONIC) + ms * 1000000;
}

/* Reads that each sleep at once, on a queue with and on one without interrupt. */
static void sleepers(void)
{
	static const char *const modes[] = { "interrupt", "polled" };
	struct exo_queue_options options = queue_of(4);

	begin(EXO_READ, 1, 4096);
	options.spin_ns = EXO_SPIN_NONE;
	for (int i = 0; i < 2; i++) {
		struct exo_queue *sleepy;

		options.flags = i ? EXO_QUEUE_POLLED : 0;
		CHECK_EQUAL(exo_queue_create(x, &options, &sleepy), 0);
		CHECK_STRING(exo_queue_completion(sleepy), modes[i]);
		for (int round = 0; round < 200; round++)
			CHECK_EQUAL(exo_read(sleepy, buf, round, 1), 0);
		exo_queue_destroy(sleepy);
	}
	exo_close(x);
}

static void any_of_several(void)
{
	struct exo_queue *queues[2];
	struct exo_completion done;
	struct exo_cap_drop drop = { 0 };
	uint64_t ready = 99;

	begin(EXO_READ, 4, 4096);
	queues[0] = q;
	queues[1] = open_queue(x, 4);
	CHECK_EQUAL(exo_wait_any(x, queues, 2, 0, &ready), 0);
	CHECK_EQUAL(ready, 0);
	for (int i = 0; i < 2; i++) {
		exo_prep_read(queues[i], buf, 0, 1, 5);
		CHECK_EQUAL(exo_submit(queues[i]), 1);
		CHECK_EQUAL(exo_wait_any(x, queues, 2, EXO_WAIT_FOREVER, &ready), EXO_READY_QUEUES);
		CHECK_EQUAL(ready, 1 << i);
		CHECK_EQUAL(exo_wait_any(x, queues, 2, 0, NULL), EXO_READY_QUEUES);
		CHECK_EQUAL(exo_reap(queues[i], &done, 1), 1);
	}
	drop.cap = exo_queue_cap(queues[1]);
	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &drop), 0);
	CHECK_EQUAL(exo_wait_any(x, queues, 2, in_ms(10000), &ready), EXO_READY_QUEUES);
	CHECK_EQUAL(ready, 2);
	CHECK_EQUAL(exo_wait_any(x, queues, EXO_WAIT_QUEUES_MAX + 1, 0, &ready), -EINVAL);
	exo_close(x);
}

static void deadlines(void)
{
	uint64_t begun, used, until;

	begin(EXO_READ, 4, 4096);
	begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	until = in_ms(200);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, until, NULL), 0);
	used = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
	CHECK(clock_ns(CLOCK_MONOTONIC) >= until);
	/* Most of the 200 ms were slept. */
	CHECK(used < 100000000);
	CHECK_EQUAL(exo_wait_any(x, NULL, 0, in_ms(1), NULL), 0);
	exo_close(x);
}

/* ---- time stamps ---- */

static void stamped_queue(uint32_t flags)
{
	struct exo_queue_options options = {
		.size = sizeof(options),
		.depth = 8,
		.flags = flags,
		.times = 1,
	};
	int r;

	x = open_handle(EXO_READ);
	r = exo_queue_create(x, &options, &q);
	if (r)
		errx(1, "%s", exo_strerror(x, r));
	buf = open_buf(q, MIB);
}

static void stamps(void)
{
	static const uint32_t flags[] = { 0, EXO_QUEUE_POLLED, EXO_QUEUE_THREAD };
	struct exo_completion done[8];
	struct exo_times times;
	uint64_t before, after;
	int n, r;

	for (size_t i = 0; i < 3; i++) {
		stamped_queue(flags[i]);
		for (unsigned int round = 0; round < 50; round++) {
			for (uint64_t k = 0; k < 8; k++)
				exo_prep_read(q, buf, k, 1, k);
			before = clock_ns(CLOCK_MONOTONIC);
			CHECK_EQUAL(exo_submit(q), 8);
			after = clock_ns(CLOCK_MONOTONIC);
			for (n = 0; n < 8; n += r) {
				r = exo_wait(q, done, 8, -1);
				CHECK(r > 0);
				for (int k = 0; k < r; k++) {
					CHECK_EQUAL(exo_completion_times(q, &done[k].raw, &times),
						    0);
					CHECK(before <= times.submitted_ns);
					CHECK(times.submitted_ns <= after);
					CHECK(times.submitted_ns < times.seen_ns);
					CHECK(times.seen_ns <= clock_ns(CLOCK_MONOTONIC));
				}
				if (r <= 0)
					break;
			}
		}
		exo_close(x);
	}
}

static void no_stamps(void)
{
	struct exo_queue_options options = { .size = sizeof(options), .times = 2 };
	struct exo_completion done;
	struct exo_queue *none;
	struct exo_times times;

	begin(EXO_READ, 8, MIB);
	CHECK_EQUAL(exo_queue_create(x, &options, &none), -EINVAL);
	CHECK(!none);
	CHECK(strstr(exo_strerror(x, -EINVAL), "times"));
	exo_prep_read(q, buf, 0, 1, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	CHECK_EQUAL(exo_wait(q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_completion_times(q, &done.raw, &times), -ENODATA);
	exo_close(x);
}

/* ---- events ---- */

/**
 * struct estate - a session that holds what another session can take back
 * @fd: of that other session, ours from exo-run
 * @extent: capabilities in it, each granted to the new session
 * @controller: the same
 * @pool: the same
 *
 * The handle x and its queue q live in the new session.
 */
struct estate {
	int fd;
	uint32_t extent;
	uint32_t controller;
	uint32_t pool;
};

static uint32_t grant(int fd, uint32_t cap, int to)
{
	struct exo_cap_query about = { .cap = cap };
	struct exo_cap_derive arg = { .cap = cap, .session_fd = to };

	CHECK_EQUAL(exo_sys_cap_query(fd, &about), 0);
	arg.rights = about.out_rights;
	CHECK_EQUAL(exo_sys_cap_derive(fd, &arg), 0);
	return arg.out_cap;
}

static int take_back(const struct estate *e, uint32_t cap, uint32_t timeout_ms, uint64_t frames)
{
	struct exo_revoke arg = { .cap = cap, .timeout_ms = timeout_ms, .frames = frames };
	int r = exo_sys_revoke(e->fd, &arg);

	return r ? r : (int)arg.out_taken;
}

/* A new session with an extent, a controller and a pool of @frames, and x in it. */
static void settle(struct estate *e, uint64_t frames)
{
	struct exo *ours = open_handle(EXO_READ | EXO_WRITE);
	struct exo_pool_create pool = {
		.pool = exo_pool_cap(ours),
		.rights = EXO_RIGHT_ALLOC,
		.frames = frames,
	};
	int session = open(EXO_DEVICE, O_RDWR | O_CLOEXEC);
	char *before = strdup(getenv("EXO_FD")), text[16];

	e->fd = atoi(before);
	e->extent = grant(e->fd, exo_extent_cap(ours), EXO_SESSION_SELF);
	e->controller = grant(e->fd, exo_controller_cap(ours), EXO_SESSION_SELF);
	CHECK_EQUAL(exo_sys_pool_create(e->fd, &pool), 0);
	e->pool = pool.out_cap;
	grant(e->fd, e->extent, session);
	grant(e->fd, e->controller, session);
	grant(e->fd, e->pool, session);
	exo_close(ours);

	snprintf(text, sizeof(text), "%d", session);
	setenv("EXO_FD", text, 1);
	x = open_handle(EXO_READ | EXO_WRITE);
	q = open_queue(x, 8);
	setenv("EXO_FD", before, 1);
	free(before);
	close(session);
}

static void unsettle(const struct estate *e)
{
	struct exo_cap_drop drop = { 0 };

	exo_close(x);
	drop.cap = e->extent;
	exo_sys_cap_drop(e->fd, &drop);
	drop.cap = e->controller;
	exo_sys_cap_drop(e->fd, &drop);
	drop.cap = e->pool;
	exo_sys_cap_drop(e->fd, &drop);
}

static void events_arrive(void)
{
	struct exo_event event;
	struct estate e;

	settle(&e, 64);
	CHECK_EQUAL(exo_event_next(x, &event), 0);
	CHECK_EQUAL(exo_events_open(x, 16), 0);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, 0, NULL), 0);
	CHECK_EQUAL(poll(&(struct pollfd){ .fd = exo_fd(x), .events = POLLIN }, 1, 0), 0);
	CHECK_EQUAL(take_back(&e, e.pool, 0, 0), 1);
	CHECK_EQUAL(poll(&(struct pollfd){ .fd = exo_fd(x), .events = POLLIN }, 1, 0), 1);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, EXO_WAIT_FOREVER, NULL), EXO_READY_EVENTS);
	CHECK_EQUAL(exo_event_next(x, &event), 1);
	CHECK_EQUAL(event.type, EXO_EVENT_REVOKE);
	CHECK_EQUAL(event.cap, exo_pool_cap(x));
	CHECK_EQUAL(exo_event_next(x, &event), 1);
	CHECK_EQUAL(event.type, EXO_EVENT_TAKEN);
	CHECK_EQUAL(exo_event_next(x, &event), 0);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, 0, NULL), 0);
	unsettle(&e);
}

static void one_ring(void)
{
	struct exo *second;
	struct exo_event event;

	x = open_handle(EXO_READ);
	second = open_handle(EXO_READ);
	CHECK_EQUAL(exo_events_open(x, 17), -EINVAL);
	CHECK_EQUAL(exo_events_open(x, 0), 0);
	CHECK_EQUAL(exo_events_open(x, 0), 0);
	CHECK_EQUAL(exo_event_next(second, &event), -EEXIST);
	CHECK(strstr(exo_strerror(second, -EEXIST), "another handle"));
	exo_close(second);
	exo_close(x);
}

/* Serial number and size where NVMe base 2.0 figures 275 and 97 have them. */
static void identified(void)
{
	uint8_t data[EXO_IDENTIFY_BYTES];
	uint64_t blocks;

	x = open_handle(EXO_READ);
	CHECK_EQUAL(exo_identify_controller(x, EXO_CNS_CONTROLLER, data), 0);
	CHECK(!memcmp(data + 4, exo_serial(x), strlen(exo_serial(x))));
	CHECK_EQUAL(exo_identify_namespace(x, EXO_CNS_NAMESPACE, data), 0);
	memcpy(&blocks, data, sizeof(blocks));
	CHECK(blocks >= exo_first_block(x) + exo_blocks(x));
	CHECK_EQUAL(exo_identify_namespace(x, 3, data), -EOPNOTSUPP);
	CHECK(strstr(exo_strerror(x, -EOPNOTSUPP), "page 0x3"));
	exo_close(x);
}

static void health(void)
{
	uint8_t data[512];
	uint64_t time;

	x = open_handle(EXO_READ);
	CHECK_EQUAL(exo_log_page(x, EXO_LOG_HEALTH, data, sizeof(data), &time), 0);
	CHECK((data[1] | data[2] << 8) > 273);
	CHECK(time > 0);
	CHECK_EQUAL(exo_log_page(x, EXO_LOG_HEALTH, data, 513, NULL), -EINVAL);
	CHECK_EQUAL(exo_log_page(x, 1, data, 64, NULL), -EOPNOTSUPP);
	CHECK(strstr(exo_strerror(x, -EOPNOTSUPP), "log page 0x1"));
	exo_close(x);
}

#define MANY 100

/* More than the ring holds: each capability that was taken is told all the same. */
static void overflow(void)
{
	static bool told[4096];
	uint32_t caps[MANY];
	struct exo_event event;
	struct estate e;
	int n = 0;

	settle(&e, 64);
	CHECK_EQUAL(exo_events_open(x, EXO_EVENTS_MIN), 0);
	for (int i = 0; i < MANY; i++)
		caps[i] = grant(e.fd, e.pool, exo_fd(x));
	CHECK_EQUAL(take_back(&e, e.pool, 0, 0), MANY + 1);
	memset(told, 0, sizeof(told));
	while (exo_event_next(x, &event) == 1 && ++n < 10 * MANY)
		if (event.type == EXO_EVENT_TAKEN && event.cap < sizeof(told))
			told[event.cap] = true;
	for (int i = 0; i < MANY; i++)
		CHECK(told[caps[i]]);
	CHECK(told[exo_pool_cap(x)]);
	/* And from then on as before. */
	CHECK_EQUAL(exo_event_next(x, &event), 0);
	CHECK_EQUAL(take_back(&e, e.extent, 0, 0), 1);
	CHECK_EQUAL(exo_event_next(x, &event), 1);
	CHECK_EQUAL(event.cap, exo_extent_cap(x));
	unsettle(&e);
}

struct revoker {
	pthread_t thread;
	const struct estate *e;
	uint32_t cap;
	uint32_t timeout_ms;
	uint64_t frames;
	unsigned int delay_ms;
	int result;
	uint64_t frames_back;
	uint32_t taken;
};

static void *run_revoker(void *arg)
{
	struct revoker *r = arg;
	struct exo_revoke call = { .cap = r->cap,
				   .timeout_ms = r->timeout_ms,
				   .frames = r->frames };

	usleep(r->delay_ms * 1000);
	r->result = exo_sys_revoke(r->e->fd, &call);
	r->frames_back = call.out_frames;
	r->taken = call.out_taken;
	return NULL;
}

static void start_revoker(struct revoker *r)
{
	CHECK_EQUAL(pthread_create(&r->thread, NULL, run_revoker, r), 0);
}

static void woken_by_an_event(void)
{
	struct estate e;
	struct revoker r = { .e = &e, .delay_ms = 50 };
	uint64_t ready = 1;

	settle(&e, 64);
	r.cap = e.pool;
	CHECK_EQUAL(exo_events_open(x, 0), 0);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, 0, &ready), 0);
	start_revoker(&r);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, EXO_WAIT_FOREVER, &ready), EXO_READY_EVENTS);
	CHECK_EQUAL(ready, 0);
	pthread_join(r.thread, NULL);
	CHECK_EQUAL(r.result, 0);
	unsettle(&e);
}

/* ---- revocation ---- */

#define FRAMES 8 /* of each buffer here */
#define BUFS 4

static void open_bufs(char *bufs[BUFS])
{
	for (int i = 0; i < BUFS; i++)
		bufs[i] = open_buf(q, FRAMES * 4096);
}

static unsigned int count_held(char *const bufs[BUFS])
{
	unsigned int n = 0;

	for (int i = 0; i < BUFS; i++)
		n += exo_buf_capability(q, bufs[i]) != 0;
	return n;
}

/* Ask for @frames, give what exo_wait_any() gives, and see that no force was needed. */
static void ask(const struct estate *e, uint64_t frames)
{
	struct revoker r = { .e = e, .cap = e->pool, .timeout_ms = 20000, .frames = frames };

	start_revoker(&r);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, in_ms(20000), NULL), EXO_READY_EVENTS);
	pthread_join(r.thread, NULL);
	CHECK_EQUAL(r.result, 0);
	CHECK_EQUAL(r.frames_back, frames);
	CHECK_EQUAL(r.taken, 0);
	/* That it is over is an event, too. */
	CHECK(exo_dispatch(x) >= 0);
}

static void spare_first(void)
{
	char *bufs[BUFS];
	struct estate e;
	void *more;
	int r;

	settle(&e, 64);
	open_bufs(bufs);
	CHECK_EQUAL(exo_on_revoke(x, NULL, NULL), 0);
	CHECK_EQUAL(exo_buf_spare(q, bufs[1], 1), 0);
	CHECK_EQUAL(exo_buf_spare(q, bufs[2], 1), 0);
	CHECK_EQUAL(exo_buf_spare(q, bufs[1], 0), 0);
	CHECK_EQUAL(exo_buf_spare(q, bufs[0] + 4096, 1), -EINVAL);
	ask(&e, FRAMES);
	CHECK_EQUAL(count_held(bufs), BUFS - 1);
	CHECK_EQUAL(exo_buf_capability(q, bufs[2]), 0);
	r = exo_buf_spare(q, bufs[2], 0);
	CHECK_EQUAL(r, -ESTALE);
	CHECK(strstr(exo_strerror(x, r), "given up"));
	r = exo_read(q, bufs[2], 0, 1);
	CHECK_EQUAL(r, -ESTALE);
	CHECK(strstr(exo_strerror(x, r), "its buffer was given up when it was asked back"));
	CHECK(write_is_sigbus(bufs[2]));
	/* Its addresses are nobody else's until it is freed. */
	more = open_buf(q, 4096);
	CHECK(more != bufs[2]);
	CHECK_EQUAL(exo_buf_free(q, bufs[2]), 0);
	CHECK_EQUAL(exo_buf_free(q, bufs[2]), -EINVAL);
	CHECK_EQUAL(exo_buf_free(q, more), 0);
	/* When there is nothing spare, what is idle goes, and no more than was asked for. */
	ask(&e, 2 * FRAMES);
	CHECK_EQUAL(count_held(bufs), 1);
	unsettle(&e);
}

static void never_in_flight(void)
{
	struct exo_completion done;
	struct revoker r = { .timeout_ms = 20000, .frames = BUFS * FRAMES };
	char *bufs[BUFS];
	struct estate e;

	settle(&e, 64);
	open_bufs(bufs);
	CHECK_EQUAL(exo_on_revoke(x, NULL, NULL), 0);
	CHECK_EQUAL(exo_buf_spare(q, bufs[2], 1), 0);
	r.e = &e;
	r.cap = e.pool;
	/* In flight is what was not reaped. */
	exo_prep_read(q, bufs[2] + 4096, 0, 1, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	exo_prep_read(q, bufs[3], 0, 1, 0);
	start_revoker(&r);
	while (count_held(bufs) > 2)
		CHECK(exo_wait_any(x, &q, 1, in_ms(20000), NULL) > 0);
	CHECK_EQUAL(exo_dispatch(x) >= 0, 1);
	CHECK(exo_buf_capability(q, bufs[2]));
	CHECK(exo_buf_capability(q, bufs[3]));
	/* What was not given for that is given once it can be. */
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	CHECK_EQUAL(exo_wait(q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_nvme_status(&done.raw), 0);
	exo_wait_any(x, &q, 1, 0, NULL);
	CHECK_EQUAL(count_held(bufs), 0);
	pthread_join(r.thread, NULL);
	CHECK_EQUAL(r.taken, 0);
	CHECK_EQUAL(r.frames_back, BUFS * FRAMES);
	unsettle(&e);
}

struct choice {
	char **bufs;
	unsigned int calls;
	struct exo_asked asked;
};

static void choose(struct exo *handle, const struct exo_asked *asked, void *arg)
{
	struct choice *c = arg;

	CHECK(handle == x);
	c->asked = *asked;
	c->calls++;
	CHECK_EQUAL(exo_buf_free(q, c->bufs[3]), 0);
}

static void callback_chooses(void)
{
	char *bufs[BUFS];
	struct choice c = { .bufs = bufs };
	struct estate e;

	settle(&e, 64);
	open_bufs(bufs);
	CHECK_EQUAL(exo_buf_spare(q, bufs[0], 1), 0);
	CHECK_EQUAL(exo_on_revoke(x, choose, &c), 0);
	ask(&e, FRAMES);
	CHECK_EQUAL(c.calls, 1);
	CHECK_EQUAL(c.asked.cap, exo_pool_cap(x));
	CHECK_EQUAL(c.asked.type, EXO_TYPE_POOL);
	CHECK_EQUAL(c.asked.frames, FRAMES);
	CHECK(c.asked.deadline > clock_ns(CLOCK_MONOTONIC));
	CHECK(!c.asked.buf && !c.asked.queue);
	CHECK_EQUAL(count_held(bufs), BUFS - 1);
	CHECK(exo_buf_capability(q, bufs[0]));
	unsettle(&e);
}

static void taken_is_noted(void)
{
	char *bufs[BUFS];
	struct estate e;
	uint32_t held;
	void *more;
	int r;

	settle(&e, 64);
	open_bufs(bufs);
	held = caps_held(x);
	CHECK_EQUAL(take_back(&e, e.pool, 0, 0), BUFS + 1);
	CHECK(exo_dispatch(x) > 0);
	/* The buffers' numbers are free again, the pool's is the session's. */
	CHECK_EQUAL(caps_held(x), held - BUFS);
	CHECK_EQUAL(count_held(bufs), 0);
	r = exo_read(q, bufs[0], 0, 1);
	CHECK_EQUAL(r, -ESTALE);
	CHECK(strstr(exo_strerror(x, r), "its buffer was taken back by force"));
	r = exo_buf_alloc(q, 4096, &more);
	CHECK_EQUAL(r, -ESTALE);
	CHECK(strstr(exo_strerror(x, r), "the pool of the handle was taken back"));
	CHECK_EQUAL(exo_buf_free(q, bufs[0]), 0);
	unsettle(&e);
}

static void extent_taken(void)
{
	struct estate e;
	int r;

	settle(&e, 64);
	buf = open_buf(q, 4096);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	CHECK_EQUAL(take_back(&e, e.extent, 0, 0), 1);
	/* Before the events are read, and after. */
	for (int i = 0; i < 2; i++) {
		struct exo_queue *another;

		r = exo_read(q, buf, 0, 1);
		CHECK_EQUAL(r, -ESTALE);
		CHECK(strstr(exo_strerror(x, r), "the extent was taken back"));
		CHECK_EQUAL(exo_queue_create(x, NULL, &another), -ESTALE);
		CHECK(exo_dispatch(x) >= 0);
	}
	CHECK(strstr(exo_strerror(x, -ESTALE), "taken back"));
	unsettle(&e);
}

static void queue_taken(void)
{
	struct exo_queue *another;
	struct estate e;
	int r;

	settle(&e, 64);
	buf = open_buf(q, 4096);
	CHECK_EQUAL(take_back(&e, e.controller, 0, 0), 2);
	CHECK(exo_dispatch(x) > 0);
	CHECK_EQUAL(exo_queue_cap(q), 0);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, in_ms(20000), NULL), EXO_READY_QUEUES);
	r = exo_read(q, buf, 0, 1);
	CHECK_EQUAL(r, -ESTALE);
	CHECK(strstr(exo_strerror(x, r), "the queue was taken back by force"));
	r = exo_queue_create(x, NULL, &another);
	CHECK_EQUAL(r, -ESTALE);
	CHECK(strstr(exo_strerror(x, r), "the controller of the handle was taken back"));
	unsettle(&e);
}

/* ---- revocation of registered memory ---- */

#define OWN (5 * 4096)

/* x with memory at *own registered, of a handle that has a block to read. Returns pages pinned before. */
static uint64_t settle_memory(struct estate *e, char **own)
{
	uint64_t pinned;

	settle(e, 64);
	*own = malloc(OWN);
	pinned = pages_pinned(x);
	CHECK_EQUAL(exo_mem_register(x, *own, OWN, 0), 0);
	CHECK(pages_pinned(x) > pinned);
	CHECK_EQUAL(exo_read(q, *own, 0, 1), 0);
	return pinned;
}

/* The mapping is the program's whatever became of the device's access. */
static void unsettle_memory(const struct estate *e, char *own, uint64_t pinned)
{
	CHECK_EQUAL(pages_pinned(x), pinned);
	CHECK(!write_is_sigbus(own));
	number_bytes(own, OWN, 5);
	unsettle(e);
	free(own);
}

static void give_controller(void)
{
	struct exo_cap_drop drop = { .cap = exo_controller_cap(x) };

	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &drop), 0);
}

struct asked_of {
	char *own;
	unsigned int memories;
	unsigned int queues;
	unsigned int controllers;
};

static void comply(struct exo *handle, const struct exo_asked *asked, void *arg)
{
	struct asked_of *of = arg;

	CHECK(asked->deadline > clock_ns(CLOCK_MONOTONIC));
	CHECK_EQUAL(asked->frames, 0);
	switch (asked->type) {
	case EXO_TYPE_MEMORY:
		CHECK(asked->buf == of->own && !asked->queue);
		CHECK_EQUAL(exo_mem_unregister(handle, asked->buf), 0);
		of->memories++;
		break;
	case EXO_TYPE_QUEUE:
		CHECK(asked->queue == q && !asked->buf);
		exo_queue_destroy(asked->queue);
		of->queues++;
		break;
	case EXO_TYPE_CONTROLLER:
		CHECK_EQUAL(asked->cap, exo_controller_cap(handle));
		give_controller();
		of->controllers++;
	}
}

static void memory_is_let_go(void)
{
	struct revoker r = { .timeout_ms = 20000 };
	struct asked_of of = { 0 };
	struct estate e;
	uint64_t pinned;

	pinned = settle_memory(&e, &of.own);
	CHECK_EQUAL(exo_on_revoke(x, comply, &of), 0);
	r.e = &e;
	r.cap = e.controller;
	start_revoker(&r);
	while (!of.memories || !of.queues || !of.controllers)
		if (exo_wait_any(x, NULL, 0, in_ms(20000), NULL) != EXO_READY_EVENTS)
			break;
	pthread_join(r.thread, NULL);
	CHECK_EQUAL(r.result, 0);
	CHECK_EQUAL(r.taken, 0);
	CHECK_EQUAL(of.memories, 1);
	CHECK_EQUAL(of.queues, 1);
	CHECK_EQUAL(exo_mem_unregister(x, of.own), -EINVAL);
	unsettle_memory(&e, of.own, pinned);
}

/* As never_in_flight() has it of a buffer. */
static void memory_is_given_up(void)
{
	struct pollfd events = { .events = POLLIN };
	struct revoker r = { .timeout_ms = 20000 };
	struct exo_completion done;
	struct estate e;
	uint64_t pinned;
	char *own;
	int n;

	pinned = settle_memory(&e, &own);
	CHECK_EQUAL(exo_on_revoke(x, NULL, NULL), 0);
	exo_prep_read(q, own + 4096, 0, 1, 0);
	CHECK_EQUAL(exo_submit(q), 1);
	r.e = &e;
	r.cap = e.controller;
	start_revoker(&r);
	events.fd = exo_fd(x);
	/* For controller, queue and memory. */
	for (n = 0; n < 3; n += exo_dispatch(x))
		if (poll(&events, 1, 20000) != 1)
			break;
	CHECK_EQUAL(n, 3);
	CHECK(pages_pinned(x) > pinned);
	CHECK_EQUAL(exo_wait(q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_nvme_status(&done.raw), 0);
	exo_wait_any(x, &q, 1, 0, NULL);
	CHECK_EQUAL(pages_pinned(x), pinned);
	CHECK_EQUAL(exo_read(q, own, 0, 1), -ESTALE);
	CHECK(strstr(exo_strerror(x, -ESTALE), "its buffer was given up when it was asked back"));
	CHECK_EQUAL(exo_mem_unregister(x, own), 0);
	exo_queue_destroy(q);
	give_controller();
	pthread_join(r.thread, NULL);
	CHECK_EQUAL(r.result, 0);
	CHECK_EQUAL(r.taken, 0);
	unsettle_memory(&e, own, pinned);
}

static void memory_is_taken(void)
{
	struct estate e;
	uint64_t pinned;
	char *own;

	pinned = settle_memory(&e, &own);
	CHECK_EQUAL(take_back(&e, e.controller, 0, 0), 3);
	CHECK(exo_dispatch(x) > 0);
	CHECK_EQUAL(pages_pinned(x), pinned);
	CHECK_EQUAL(exo_read(q, own, 0, 1), -ESTALE);
	CHECK_EQUAL(exo_mem_register(x, own, OWN, 0), -ESTALE);
	CHECK(strstr(exo_strerror(x, -ESTALE), "the controller of the handle was taken back"));
	CHECK_EQUAL(exo_mem_unregister(x, own), 0);
	CHECK_EQUAL(exo_mem_unregister(x, own), -EINVAL);
	unsettle_memory(&e, own, pinned);
}

static void make_tokens(char *name, int n, uint32_t rights, uint32_t uses, uint32_t uid);

/* A handle with a session of its own, from tokens of x. */
static void whole_pool(void)
{
	char name[256];
	struct exo_queue *own;
	struct exo *its;
	struct estate e;
	struct revoker r = { .timeout_ms = 20000 };
	void *data;
	int ret;

	settle(&e, 64);
	make_tokens(name, 3, 0, 1, EXO_TOKEN_ANYBODY);
	CHECK_EQUAL(exo_open(name, EXO_READ, &its), 0);
	CHECK_EQUAL(exo_queue_create(its, NULL, &own), 0);
	CHECK_EQUAL(exo_buf_alloc(own, 4096, &data), 0);
	CHECK_EQUAL(exo_on_revoke(its, NULL, NULL), 0);
	r.e = &e;
	r.cap = e.pool;
	/* x, which looks at no events, would be waited for. */
	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &(struct exo_cap_drop){ .cap = exo_pool_cap(x) }),
		    0);
	start_revoker(&r);
	while (exo_pool_cap(its))
		CHECK_EQUAL(exo_wait_any(its, &own, 1, in_ms(20000), NULL), EXO_READY_EVENTS);
	pthread_join(r.thread, NULL);
	CHECK_EQUAL(r.result, 0);
	CHECK_EQUAL(r.taken, 0);
	ret = exo_buf_alloc(own, 4096, &data);
	CHECK_EQUAL(ret, -ESTALE);
	CHECK(strstr(exo_strerror(its, ret), "the pool of the handle was given up"));
	exo_close(its);
	unsettle(&e);
}

/* Two handles of one session, of which the second has no ring. */
static void without_a_ring(void)
{
	struct exo_queue *first_queue;
	struct exo *first;
	struct estate e;
	char text[16], *before;
	void *data;

	settle(&e, 64);
	first = x;
	first_queue = q;
	CHECK_EQUAL(exo_on_revoke(first, NULL, NULL), 0);
	before = strdup(getenv("EXO_FD"));
	snprintf(text, sizeof(text), "%d", exo_fd(first));
	setenv("EXO_FD", text, 1);
	begin(EXO_READ, 1, 4096);
	setenv("EXO_FD", before, 1);
	free(before);
	CHECK_EQUAL(exo_on_revoke(x, NULL, NULL), 0);
	CHECK_EQUAL(exo_buf_alloc(first_queue, 4096, &data), 0);
	CHECK_EQUAL(take_back(&e, e.pool, 0, 0), 3);
	CHECK_EQUAL(exo_wait_any(x, &q, 1, 0, NULL), 0);
	CHECK_EQUAL(exo_buf_capability(q, buf), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), -ESTALE);
	CHECK_EQUAL(exo_wait_any(first, NULL, 0, 0, NULL), EXO_READY_EVENTS);
	CHECK_EQUAL(exo_buf_capability(first_queue, data), 0);
	exo_close(first);
	unsettle(&e);
}

/* ---- tokens ---- */

static const uint32_t kinds[] = { EXO_TYPE_POOL, EXO_TYPE_EXTENT, EXO_TYPE_CONTROLLER };

#define TOKENS_NAME (sizeof("token:") + 3 * EXO_TOKEN_TEXT)

/* "token:" and a token, good @uses times, of each of the first @n kinds. */
static void make_tokens(char *name, int n, uint32_t rights, uint32_t uses, uint32_t uid)
{
	char text[EXO_TOKEN_TEXT];
	uint8_t token[16];

	strcpy(name, "token:");
	for (int i = 0; i < n; i++) {
		uint32_t of = kinds[i] == EXO_TYPE_EXTENT ? rights : 0;

		CHECK_EQUAL(exo_token_create(x, kinds[i], of, uses, 60000, uid, token), 0);
		strcat(strcat(name, i ? "," : ""), exo_token_print(token, text));
	}
}

/* Another process, with nothing but a name: reads a block that must hold 0x3c. */
static int __attribute__((noreturn)) redeemer(const char *name)
{
	struct exo *its;
	struct exo_queue *own;
	char *data;
	int r;

	closefrom(3);
	unsetenv("EXO_FD");
	unsetenv("EXO_NAMES");
	r = exo_open(name, EXO_READ, &its);
	if (!r)
		r = exo_queue_create(its, NULL, &own);
	if (!r)
		r = exo_buf_alloc(own, 4096, (void **)&data);
	if (!r)
		r = exo_read(own, data, 3, 1);
	if (r) {
		printf("# %s\n", exo_strerror(its, r));
		fflush(stdout);
		_exit(2);
	}
	if (!all(data, exo_block_size(its), 0x3c) || exo_write(own, data, 3, 1) != -EACCES)
		_exit(3);
	exo_close(its);
	_exit(0);
}

static int redeem_elsewhere(const char *name)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		redeemer(name);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void by_tokens(void)
{
	char name[TOKENS_NAME];

	CHECK(getuid() != 0);
	begin(EXO_READ | EXO_WRITE, 2, 4096);
	memset(buf, 0x3c, 4096);
	CHECK_EQUAL(exo_write(q, buf, 3, 1), 0);
	make_tokens(name, 3, EXO_READ, 1, getuid());
	CHECK_EQUAL(redeem_elsewhere(name), 0);
	printf("# once more, which must fail:\n");
	CHECK_EQUAL(redeem_elsewhere(name), 2);
	CHECK_EQUAL(exo_read(q, buf, 3, 1), 0);
	exo_close(x);
}

/* The sentence for a name that cannot be opened. */
static void cannot_open(const char *name, int result, const char *words)
{
	struct exo *none;
	int r = exo_open(name, EXO_READ, &none);

	CHECK_EQUAL(r, result);
	if (!strstr(exo_strerror(none, r), words))
		printf("# \"%s\" has no \"%s\"\n", exo_strerror(none, r), words);
	CHECK(strstr(exo_strerror(none, r), words));
	exo_close(none);
}

static void bad_tokens(void)
{
	char name[TOKENS_NAME], text[EXO_TOKEN_TEXT];
	uint8_t token[16] = { 0 };

	begin(EXO_READ, 1, 4096);
	make_tokens(name, 1, 0, 0, EXO_TOKEN_ANYBODY);
	cannot_open(name, -ENOENT, "no token for an extent");
	make_tokens(name, 2, 0, 0, EXO_TOKEN_ANYBODY);
	cannot_open(name, -ENOENT, "no token for a controller");
	CHECK_EQUAL(exo_token_create(x, EXO_TYPE_POOL, 0, 0, 0, getuid(), token), 0);
	strcat(strcat(name, ","), exo_token_print(token, text));
	cannot_open(name, -EINVAL, "token 3 of 3 is for the same kind");
	CHECK_EQUAL(exo_token_cancel(x, token), 0);
	cannot_open(name, -ENOENT, "cannot redeem token 3 of 3");
	CHECK_EQUAL(exo_token_cancel(x, token), -ENOENT);
	name[strlen(name) - 1] ^= 1;
	cannot_open(name, -EINVAL, "cannot understand token 3");
	make_tokens(name, 3, 0, 0, getuid() + 1);
	cannot_open(name, -ENOENT, "cannot redeem token 1 of 3");
	make_tokens(name, 3, EXO_READ, 0, EXO_TOKEN_ANYBODY);
	CHECK_EQUAL(exo_token_create(x, EXO_TYPE_EXTENT, EXO_WRITE, 1, 1, getuid(), token),
		    -EACCES);
	CHECK_EQUAL(exo_token_create(x, EXO_TYPE_QUEUE, 0, 1, 1, getuid(), token), -EINVAL);
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

/* ---- direct queues ---- */

/* From a begin within a page, over the lengths at which one PRP becomes two and two a list. */
static void every_length(void)
{
	uint32_t size, most;
	char *back;

	begin(EXO_READ | EXO_WRITE, 4, 2 * MIB);
	size = exo_block_size(x);
	most = exo_transfer_max(x) / size < 64 ? exo_transfer_max(x) / size : 64;
	back = buf + MIB;
	for (uint32_t n = 1; n <= most; n++) {
		uint32_t at = n % 7 * size;

		number_bytes(buf + at, n * size, n);
		memset(back, 0, n * size + 8192);
		CHECK_EQUAL(exo_write(q, buf + at, 0, n), 0);
		CHECK_EQUAL(exo_read(q, back + 4096 - 4, 0, n), 0);
		CHECK(!memcmp(buf + at, back + 4096 - 4, n * size));
		CHECK(all(back, 4092, 0) && all(back + 4092 + n * size, 4096, 0));
	}
	exo_close(x);
}

static void too_long(void)
{
	struct exo_completion done[2];
	uint32_t most;

	begin(EXO_READ, 4, 8 * MIB);
	most = exo_transfer_max(x) / exo_block_size(x);
	exo_prep_read(q, buf, 0, 1, 1);
	exo_prep_read(q, buf, 0, most, 2);
	exo_prep_read(q, buf + 4, 0, 4 * most, 3);
	CHECK_EQUAL(exo_submit(q), 2);
	for (int n = 0; n < 2; n++)
		CHECK_EQUAL(exo_wait(q, done, 1, -1), 1);
	CHECK_EQUAL(exo_submit(q), -EMSGSIZE);
	CHECK(strstr(exo_queue_strerror(q, -EMSGSIZE), "more than"));
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

/* A checked queue beside that of a direct or unsafe handle, with the same buffers. */
static void checked_beside(void)
{
	struct exo_queue_options options = { .size = sizeof(options), .mode = EXO_QUEUE_CHECKED };
	struct exo_queue *other;

	CHECK_EQUAL(exo_queue_create(x, &options, &other), 0);
	CHECK_STRING(exo_queue_mode(other), "checked");
	CHECK_EQUAL(exo_read(other, buf, 0, 1), 0);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
}

static void modes(void)
{
	struct exo_queue_options options = { .size = sizeof(options), .mode = EXO_QUEUE_DIRECT };
	struct exo_queue *other;

	begin(EXO_READ, 4, 4096);
	CHECK_STRING(exo_queue_mode(q), "direct");
	options.flags = EXO_QUEUE_THREAD;
	CHECK_EQUAL(exo_queue_create(x, &options, &other), -EINVAL);
	options.flags = 0;
	options.mode = EXO_QUEUE_UNSAFE + 1;
	CHECK_EQUAL(exo_queue_create(x, &options, &other), -EOPNOTSUPP);
	options.mode = EXO_QUEUE_UNSAFE;
	CHECK_EQUAL(exo_queue_create(x, &options, &other), -EPERM);
	CHECK(strstr(exo_strerror(x, -EPERM), "CAP_SYS_RAWIO"));
	checked_beside();
	exo_close(x);
}

static void unsafe_modes(void)
{
	struct exo_queue_options options = { .size = sizeof(options), .mode = EXO_QUEUE_DIRECT };
	struct exo_queue *other;

	begin(EXO_READ, 4, 4096);
	CHECK_STRING(exo_queue_mode(q), "unsafe");
	CHECK_EQUAL(exo_queue_create(x, &options, &other), -EOPNOTSUPP);
	checked_beside();
	exo_close(x);
}

static void not_a_buffer(void)
{
	static char elsewhere[8192];
	void *more;

	begin(EXO_READ, 4, 4096);
	CHECK_EQUAL(exo_read(q, elsewhere, 0, 1), -EFAULT);
	exo_prep_read(q, elsewhere, 0, 1, 1);
	CHECK_EQUAL(exo_submit(q), -EFAULT);
	CHECK_EQUAL(exo_withdraw(q, 0), 1);
	CHECK_EQUAL(exo_buf_alloc(q, 4096, &more), 0);
	CHECK_EQUAL(exo_read(q, more, 0, 1), 0);
	CHECK_EQUAL(exo_buf_free(q, more), 0);
	CHECK_EQUAL(exo_read(q, more, 0, 1), -EFAULT);
	CHECK_EQUAL(exo_read(q, buf, 0, 1), 0);
	exo_close(x);
}

static const struct tap_test unsafe_tests[] = {
	TEST(unsafe_modes, "a queue says that it is unsafe, and has a checked one beside it"),
	TEST(not_a_buffer, "what is in no buffer is not given to the device"),
	TEST(where_asked, "interrupts and memory of a queue are where they were asked to be"),
	TEST(nowhere, "a CPU or a node that cannot be is refused, and costs nothing"),
	TEST(how_urgent, "a queue is as urgent as was asked for, or it says why not"),
	TEST(own_memory_unsafely, "registered memory is refused, but by a checked queue beside it"),
	TEST(every_length, "data of every length goes and comes, at every place in a page"),
	TEST(too_long, "what is too long for a list is refused, and what came before it goes"),
	TEST(system_calls, "system calls that copy take a buffer, vmsplice does not"),
	TEST(split_requests, "a large request is split and arrives whole"),
	TEST(zeroes, "zeroes are written where they were asked for and nowhere else"),
	TEST(compares, "blocks are compared with a buffer, by the device"),
	TEST(copies, "blocks are copied, by the device, and no others are touched"),
	TEST(trims, "blocks are deallocated, and no others are touched"),
	TEST(busy, "synchronous calls refuse a queue that is not idle"),
	TEST(small_rings, "rings of every small depth go round with the right data"),
	TEST(threads, "threads with queues of their own do not disturb one another"),
};

static const struct tap_test direct_tests[] = {
	TEST(modes, "a queue says that it is direct, and has a checked one beside it"),
	TEST(where_asked, "interrupts and memory of a queue are where they were asked to be"),
	TEST(nowhere, "a CPU or a node that cannot be is refused, and costs nothing"),
	TEST(how_urgent, "a queue is as urgent as was asked for, or it says why not"),
	TEST(every_length, "data of every length goes and comes, at every place in a page"),
	TEST(too_long, "what is too long for a list is refused, and what came before it goes"),
	TEST(split_requests, "a large request is split and arrives whole"),
	TEST(zeroes, "zeroes are written where they were asked for and nowhere else"),
	TEST(compares, "blocks are compared with a buffer, by the device"),
	TEST(copies, "blocks are copied, by the device, and no others are touched"),
	TEST(trims, "blocks are deallocated, and no others are touched"),
	TEST(large_frames, "a large buffer begins at a multiple of 2 MiB"),
	TEST(buffers_come_back, "freed buffers leave no capability behind and new ones are zero"),
	TEST(fewer_rights, "a handle opened for reading cannot write"),
	TEST(busy, "synchronous calls refuse a queue that is not idle"),
	TEST(small_rings, "rings of every small depth go round with the right data"),
	TEST(in_place, "a raw completion can be looked at where it lies"),
	TEST(threads, "threads with queues of their own do not disturb one another"),
	TEST(dropped_queue, "a queue that was taken away is dead and says so"),
	TEST(closing, "closing a handle gives everything back"),
	TEST(children, "a child process does not inherit a buffer"),
	TEST(own_memory, "memory of malloc() is registered, used by any queue, and let go"),
	TEST(many_pieces, "pieces of memory are told apart, wherever they lie"),
	TEST(read_only_memory, "a mapped file is a source and no target"),
	TEST(refused_memory, "memory that cannot be registered says why"),
	TEST(own_memory_after_fork, "registered memory stays the parent's after a fork"),
	TEST(sleepers, "who sleeps for a completion is woken, with an interrupt and without"),
	TEST(any_of_several, "of several queues, the one that has something is told"),
	TEST(deadlines, "a wait ends at its deadline and sleeps till then"),
};

static const struct tap_test tests[] = {
	TEST(split_requests, "a large request is split and arrives whole"),
	TEST(zeroes, "zeroes are written where they were asked for and nowhere else"),
	TEST(compares, "blocks are compared with a buffer, by the device"),
	TEST(copies, "blocks are copied, by the device, and no others are touched"),
	TEST(trims, "blocks are deallocated, and no others are touched"),
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
	TEST(where_asked, "interrupts and memory of a queue are where they were asked to be"),
	TEST(nowhere, "a CPU or a node that cannot be is refused, and costs nothing"),
	TEST(how_urgent, "a queue is as urgent as was asked for, or it says why not"),
	TEST(stamps, "commands are stamped when they are submitted and seen"),
	TEST(no_stamps, "a queue keeps time stamps if it is asked to"),
	TEST(threaded_data, "a queue with a thread moves the right data, looked for or not"),
	TEST(threaded_refusal, "what a thread refuses is told, put right and goes"),
	TEST(thread_options, "options of a thread that cannot be are refused"),
	TEST(dropped_queue, "a queue that was taken away is dead and says so"),
	TEST(closing, "closing a handle gives everything back"),
	TEST(two_handles, "two handles of one session live apart"),
	TEST(children, "a child process does not inherit a buffer"),
	TEST(own_memory, "memory of malloc() is registered, used by any queue, and let go"),
	TEST(many_pieces, "pieces of memory are told apart, wherever they lie"),
	TEST(read_only_memory, "a mapped file is a source and no target"),
	TEST(refused_memory, "memory that cannot be registered says why"),
	TEST(own_memory_after_fork, "registered memory stays the parent's after a fork"),
	TEST(windows, "a window shows a buffer, and is set, protected, asked and emptied"),
	TEST(calls_on_fault,
	     "a function is called for what a window does not allow, and the code goes on"),
	TEST(sleepers, "who sleeps for a completion is woken, with an interrupt and without"),
	TEST(any_of_several, "of several queues, the one that has something is told"),
	TEST(deadlines, "a wait ends at its deadline and sleeps till then"),
	TEST(events_arrive, "events are polled for, waited for and taken in order"),
	TEST(identified, "controller and namespace tell what they are"),
	TEST(health, "the health log can be read, and others cannot"),
	TEST(one_ring, "the event ring of a session is one handle's"),
	TEST(overflow, "a ring that overflows loses nothing"),
	TEST(woken_by_an_event, "who waits for any of several is woken by an event"),
	TEST(spare_first, "what is given up is spare first, then idle, and no more than asked"),
	TEST(never_in_flight, "a buffer of a command is not given up before it was reaped"),
	TEST(callback_chooses, "a function of the program chooses what to give up"),
	TEST(taken_is_noted, "buffers that were taken are dropped and say so"),
	TEST(extent_taken, "an extent that was taken says so"),
	TEST(queue_taken, "a queue that was taken says so"),
	TEST(memory_is_let_go, "who is asked for registered memory lets it go, and keeps it"),
	TEST(memory_is_given_up, "registered memory is given up once no command uses it"),
	TEST(memory_is_taken, "registered memory that was taken is the program's as before"),
	TEST(whole_pool, "a pool that is asked back whole is given up with its last buffer"),
	TEST(without_a_ring, "of two handles of a session each notes what it lost"),
	TEST(by_tokens, "another process opens an extent with three tokens, once"),
	TEST(bad_tokens, "tokens that are missing, spent or wrong are told apart"),
	TEST(no_privilege, "a device cannot be claimed without privilege"),
	TEST(unknown_name, "a name that was not granted is refused"),
};

#define COUNT(table) ((int)(sizeof(table) / sizeof(table[0])))

/* libexo-vm [direct | unsafe NAME] */
int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "unsafe")) {
		unsafe = direct = true;
		name = argv[2];
		return tap_run(unsafe_tests, COUNT(unsafe_tests));
	}
	direct = argc > 1 && !strcmp(argv[1], "direct");
	return direct ? tap_run(direct_tests, COUNT(direct_tests)) : tap_run(tests, COUNT(tests));
}
