// SPDX-License-Identifier: LGPL-2.1-only
/*
 * An emulated handle from beginning to end: what can be opened, how waits end, what is given
 * up in the middle, and who shares it.
 */
#include <dirent.h>
#include <sys/wait.h>

#include "uring-rig.h"

#define DEPTH 8u
#define THREADS 4

static void described(void)
{
	uint8_t token[16] = { 0 }, data[4096];
	struct rig rig;

	rig_open(&rig, RIG_ALL, 0);
	CHECK_STRING(exo_queue_mode(rig.q), "emulated, no isolation");
	CHECK_STRING(exo_queue_completion(rig.q), "interrupt");
	CHECK(rig.size == 512 || rig.size == 4096);
	CHECK(exo_blocks(rig.x) * rig.size >= RIG_BYTES);
	CHECK(rig_is_device || exo_blocks(rig.x) * rig.size == RIG_BYTES);
	CHECK_EQUAL(exo_first_block(rig.x), 0);
	CHECK_EQUAL(exo_nsid(rig.x), 1);
	CHECK_EQUAL(exo_rights(rig.x), RIG_ALL);
	CHECK_EQUAL(rig.q->depth, 128);
	CHECK_EQUAL(exo_queue_irq_cpu(rig.q), -1);
	CHECK_EQUAL(exo_queue_node(rig.q), -1);
	CHECK_EQUAL(exo_queue_priority(rig.q), -1);
	CHECK_STRING(exo_address(rig.x), "io_uring");
	CHECK_STRING(exo_serial(rig.x), strrchr(rig_path, '/') + 1);
	CHECK(strstr(exo_model(rig.x), rig_is_device ? "block device, " : "file, "));
	printf("# %s: %s\n", rig_name, exo_model(rig.x));
	/* What belongs to a session or a controller is not there, and says so. */
	CHECK_EQUAL(exo_fd(rig.x), -1);
	CHECK_EQUAL(exo_queue_cap(rig.q) | exo_extent_cap(rig.x) | exo_pool_cap(rig.x), 0);
	CHECK_EQUAL(exo_buf_capability(rig.q, rig.buf), 0);
	CHECK_EQUAL(exo_events_open(rig.x, 0), -EOPNOTSUPP);
	CHECK(strstr(exo_strerror(rig.x, -EOPNOTSUPP), "events need the module"));
	CHECK_EQUAL(exo_on_revoke(rig.x, NULL, NULL), -EOPNOTSUPP);
	CHECK_EQUAL(exo_token_create(rig.x, EXO_TYPE_EXTENT, 0, 1, 0, EXO_TOKEN_ANYBODY, token),
		    -EOPNOTSUPP);
	CHECK_EQUAL(exo_token_cancel(rig.x, token), -EOPNOTSUPP);
	CHECK_EQUAL(exo_identify_controller(rig.x, 1, data), -EOPNOTSUPP);
	CHECK_EQUAL(exo_identify_namespace(rig.x, 0, data), -EOPNOTSUPP);
	CHECK_EQUAL(exo_log_page(rig.x, 2, data, 512, NULL), -EOPNOTSUPP);
	rig_close(&rig);
}

static void options(void)
{
	struct exo_queue_options o = { .size = sizeof(o), .flags = EXO_QUEUE_THREAD };
	struct exo_queue *q;
	struct rig rig;

	rig_open(&rig, EXO_READ, 0);
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), -EOPNOTSUPP);
	o.flags = 0;
	o.mode = 1;
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), -EOPNOTSUPP);
	o.mode = EXO_QUEUE_CHECKED;
	o.irq_cpu = EXO_IRQ_ON(0);
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), -EOPNOTSUPP);
	CHECK(strstr(exo_strerror(rig.x, -EOPNOTSUPP), "no interrupts, no place and no priority"));
	o.irq_cpu = 0;
	o.node = EXO_NODE_ON(0);
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), -EOPNOTSUPP);
	o.node = 0;
	o.priority = EXO_PRIORITY_MEDIUM;
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), -EOPNOTSUPP);
	o.priority = 0;
	o.depth = exo_depth_max(rig.x) + 1;
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), -EINVAL);
	CHECK(!q);
	o.depth--;
	o.flags = EXO_QUEUE_POLLED;
	CHECK_EQUAL(exo_queue_create(rig.x, &o, &q), 0);
	CHECK_EQUAL(exo_queue_id(q), 2);
	CHECK_EQUAL(exo_read(q, rig.buf, 0, 1), 0);
	rig_close(&rig);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void waits_end(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerspec in = { .it_value.tv_nsec = 20000000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct exo_completion done;
	uint64_t ready = 7, begin;
	struct exo_queue *other;
	struct rig rig;
	timer_t timer;

	rig_open(&rig, EXO_READ, DEPTH);
	CHECK_EQUAL(exo_wait(rig.q, &done, 1, -1), 0);
	CHECK_EQUAL(exo_wait_any(rig.x, &rig.q, 1, 0, &ready), 0);
	CHECK_EQUAL(ready, 0);
	begin = soon(0);
	CHECK_EQUAL(exo_wait_any(rig.x, &rig.q, 1, soon(20), NULL), 0);
	CHECK_EQUAL(exo_wait_any(rig.x, NULL, 0, soon(20), NULL), 0);
	CHECK(soon(0) - begin >= 40000000);
	CHECK_EQUAL(exo_queue_create(rig.x, NULL, &other), 0);
	exo_prep_read(other, rig.buf, 0, 1, 0);
	CHECK_EQUAL(exo_submit(other), 1);
	CHECK_EQUAL(exo_wait_any(rig.x, (struct exo_queue *[]){ rig.q, other }, 2, EXO_WAIT_FOREVER,
				 &ready),
		    EXO_READY_QUEUES);
	CHECK_EQUAL(ready, 2);
	sigaction(SIGALRM, &action, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &in, NULL);
	CHECK_EQUAL(exo_wait_any(rig.x, &rig.q, 1, EXO_WAIT_FOREVER, NULL), -EINTR);
	timer_delete(timer);
	rig_close(&rig);
}

/* The memory stays until the commands have ended, and nobody else gets it. */
static void freed_too_early(void)
{
	struct exo_completion done[DEPTH];
	void *buf, *next;
	unsigned int n = 0;
	struct rig rig;

	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	memset(rig.buf, 0x55, RIG_BUF);
	CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, RIG_BUF / rig.size), 0);
	for (int round = 0; round < 20; round++) {
		CHECK_EQUAL(exo_buf_alloc(rig.q, DEPTH << 16, &buf), 0);
		for (unsigned int i = 0; i < DEPTH; i++)
			exo_prep_read(rig.q, (char *)buf + (i << 16), 0, 65536 / rig.size, i);
		CHECK_EQUAL(exo_submit(rig.q), DEPTH);
		CHECK_EQUAL(exo_buf_free(rig.q, buf), 0);
		CHECK_EQUAL(exo_buf_free(rig.q, buf), -EINVAL);
		CHECK_EQUAL(exo_buf_alloc(rig.q, DEPTH << 16, &next), 0);
		CHECK(next != buf);
		for (n = 0; n < DEPTH;)
			n += exo_wait(rig.q, done, DEPTH, -1);
		CHECK(all_zero(next, DEPTH << 16));
		CHECK_EQUAL(exo_buf_free(rig.q, next), 0);
	}
	/* Now it is free. */
	CHECK_EQUAL(exo_buf_alloc(rig.q, DEPTH << 16, &next), 0);
	CHECK(next == buf);
	rig_close(&rig);
}

static void left_in_flight(void)
{
	struct exo_queue *q;
	struct rig rig;

	for (int round = 0; round < 10; round++) {
		rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
		CHECK_EQUAL(exo_queue_create(rig.x, NULL, &q), 0);
		for (unsigned int i = 0; i < DEPTH; i++) {
			exo_prep_read(rig.q, rig.buf + i * rig.size, i, 1, i);
			exo_prep_compare(q, rig.buf, i, 65536 / rig.size, i);
			exo_prep_write(q, rig.buf + 4, i, 1, i);
		}
		CHECK_EQUAL(exo_submit(rig.q), DEPTH);
		CHECK_EQUAL(exo_submit(q), 2 * DEPTH);
		exo_queue_destroy(q);
		rig_close(&rig);
	}
}

/* Can the buffer be read, and is it ours? A sanitizer may put something else there. */
static int sees(const char *buf)
{
	char seen[64] = { 0 };
	int ends[2];

	CHECK(!pipe(ends));
	if (write(ends[1], buf, sizeof(seen)) > 0)
		CHECK_EQUAL(read(ends[0], seen, sizeof(seen)), sizeof(seen));
	close(ends[0]);
	close(ends[1]);
	return filled(seen, sizeof(seen), 1);
}

/* One command more than there is: it will not end, and may write to its buffer for ever. */
static void stuck(void)
{
	static struct exo_queue_private *volatile kept; /* or it would be called a leak */
	static struct exo_buf **volatile bufs;
	struct exo_buf *buf;
	struct rig rig;
	uint64_t begin;

	rig_open(&rig, EXO_READ, DEPTH);
	fill(rig.buf, RIG_BUF, 1);
	kept = exo_queue_private(rig.q);
	kept->uring->in_flight++;
	buf = exo_uring_buf_get(rig.x, exo_buf_offset(rig.q, rig.buf));
	bufs = rig.x->bufs;
	CHECK(buf && bufs[0] == buf);
	rig.x->io_timeout_ms = 50;
	begin = soon(0);
	rig_close(&rig);
	CHECK(soon(0) - begin >= 50000000);
	CHECK(sees(rig.buf));
}

static uint64_t slept_until;
static unsigned int waits;

static int sleep_to_the_end(struct exo *x, struct exo_queue *const *queues, unsigned int count,
			    bool events, uint64_t deadline, struct exo_detail *detail)
{
	waits += deadline != slept_until;
	slept_until = deadline;
	return exo_backend_uring.sleep(x, queues, count, events, deadline, detail);
}

/* Of the whole call, however many commands there are. */
static void silent(void)
{
	struct exo_backend device = exo_backend_uring;
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	device.submit = rig_swallow;
	device.sleep = sleep_to_the_end;
	rig.x->backend = &device;
	rig.x->io_timeout_ms = 20;
	waits = 0;
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, RIG_BUF / rig.size), -ETIMEDOUT);
	CHECK_EQUAL(waits, 1);
	CHECK(exo_queue_in_flight(rig.q) > 1);
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, 1), -EBUSY);
	rig.x->backend = &exo_backend_uring;
	rig_close(&rig);
}

static void not_inherited(void)
{
	struct rig rig;
	int status = -1;
	pid_t child;

	rig_open(&rig, EXO_READ, DEPTH);
	fill(rig.buf, RIG_BUF, 1);
	CHECK(sees(rig.buf));
	child = fork();
	if (!child)
		_exit(sees(rig.buf));
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK_EQUAL(status, 0);
	rig_close(&rig);
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void nothing_left(void)
{
	int before = descriptors();
	struct exo *x;
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	CHECK(descriptors() > before);
	rig_close(&rig);
	CHECK_EQUAL(exo_open("uring:/dev", EXO_READ, &x), -EINVAL);
	exo_close(x);
	CHECK_EQUAL(descriptors(), before);
}

/* Open @path; it must fail so, in a sentence that has @words. */
static void cannot_open(const char *path, unsigned int rights, int result, const char *words)
{
	char name[600];
	struct exo *x;

	snprintf(name, sizeof(name), "uring:%s", path);
	CHECK_EQUAL(exo_open(name, rights, &x), result);
	if (!strstr(exo_strerror(x, result), words))
		printf("# %s\n", exo_strerror(x, result));
	CHECK(strstr(exo_strerror(x, result), words));
	exo_close(x);
}

static void bad_files(void)
{
	char path[] = "/tmp/exo-uring-XXXXXX";
	int fd = mkstemp(path);

	cannot_open("", EXO_READ, -EINVAL, "must be followed by the path");
	cannot_open("/nowhere/at/all", EXO_READ, -ENOENT, "there is no /nowhere");
	cannot_open("/tmp", EXO_READ, -EINVAL, "neither a file nor a block device");
	cannot_open("/dev/null", EXO_READ, -EINVAL, "neither a file nor a block device");
	cannot_open(path, EXO_READ, -EINVAL, "less than a block");
	CHECK(!ftruncate(fd, 511));
	cannot_open(path, EXO_READ, -EINVAL, "less than a block");
	unlink(path);
	CHECK(!mkfifo(path, 0600));
	cannot_open(path, EXO_READ, -EINVAL, "neither a file nor a block device");
	unlink(path);
	cannot_open(path, EXO_READ, -ENOENT, "makes an empty file");
	close(fd);
}

/* What is gone when it is read ends in a status, not in old bytes. */
static void shrinking(void)
{
	struct rig rig;

	if (rig_is_device)
		return;
	rig_open(&rig, EXO_READ | EXO_WRITE, DEPTH);
	CHECK(!truncate(rig_path, 4096));
	memset(rig.buf, 0x33, 16 * 4096);
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, 16 * 4096 / rig.size), -ERANGE);
	CHECK(strstr(exo_queue_strerror(rig.q, -ERANGE), "LBA out of range"));
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, 4096 / rig.size), 0);
	CHECK(!truncate(rig_path, 4100));
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, 16 * 4096 / rig.size), -ERANGE);
	CHECK(!truncate(rig_path, RIG_BYTES));
	CHECK_EQUAL(exo_read(rig.q, rig.buf, 0, 16 * 4096 / rig.size), 0);
	rig_close(&rig);
}

/**
 * struct worker - a thread with a queue of its own
 * @x: the handle of all
 * @n: its number: it has a part of the file
 * @wrong: things that were not as they should be
 */
struct worker {
	pthread_t thread;
	struct exo *x;
	unsigned int n;
	unsigned int wrong;
};

#define EXPECT(w, condition) ((w)->wrong += !(condition))

static void *work(void *arg)
{
	struct worker *w = arg;
	struct exo_queue *q;
	uint32_t size = exo_block_size(w->x);
	uint64_t first = w->n * (RIG_BYTES / THREADS / size);
	void *buf;

	EXPECT(w, !exo_queue_create(w->x, NULL, &q));
	for (unsigned int round = 0; round < 20; round++) {
		size_t bytes = (round % 4 + 1) * 65536;

		EXPECT(w, !exo_buf_alloc(q, bytes, &buf));
		fill(buf, bytes, w->n * 100 + round);
		EXPECT(w, !exo_write(q, buf, first + round, bytes / size));
		memset(buf, 0, bytes);
		EXPECT(w, !exo_read(q, buf, first + round, bytes / size));
		EXPECT(w, filled(buf, bytes, w->n * 100 + round));
		EXPECT(w, exo_read(q, buf, exo_blocks(w->x), 1) == -ERANGE);
		EXPECT(w, strstr(exo_queue_strerror(q, -ERANGE), "no extent"));
		EXPECT(w, !exo_buf_free(q, buf));
	}
	exo_queue_destroy(q);
	return NULL;
}

static void threads(void)
{
	struct worker workers[THREADS] = { 0 };
	struct exo *x;

	CHECK_EQUAL(exo_open(rig_name, EXO_READ | EXO_WRITE, &x), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].x = x;
		workers[i].n = i;
		CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		CHECK_EQUAL(workers[i].wrong, 0);
	}
	exo_close(x);
}

static void handles(void)
{
	struct rig one, two;

	rig_open(&one, EXO_READ | EXO_WRITE, DEPTH);
	rig_open(&two, EXO_READ, DEPTH);
	fill(one.buf, 65536, 9);
	CHECK_EQUAL(exo_write(one.q, one.buf, 1, 65536 / one.size), 0);
	CHECK_EQUAL(exo_read(two.q, two.buf, 1, 65536 / two.size), 0);
	CHECK(filled(two.buf, 65536, 9));
	/* The one's buffers are not the other's. */
	exo_prep_write(two.q, one.buf, 0, 1, 0);
	CHECK(exo_submit(two.q) < 0);
	rig_close(&one);
	rig_close(&two);
}

static const struct tap_test tests[] = {
	TEST(described, "a handle says what it is, and what it cannot do for want of the module"),
	TEST(options, "queues are made as the options say, or refused"),
	TEST(waits_end, "a wait ends by the deadline, the other queue, or a signal"),
	TEST(freed_too_early, "a buffer that is freed in flight is nobody's until the end"),
	TEST(left_in_flight, "a queue ends with commands in flight"),
	TEST(stuck, "a command that does not end is not waited for, and keeps its memory"),
	TEST(silent, "a device that does not answer is waited for once, and the queue is not idle"),
	TEST(not_inherited, "a child has no buffers"),
	TEST(nothing_left, "a closed handle leaves no descriptor"),
	TEST(bad_files, "what cannot be opened is told by name"),
	TEST(shrinking, "a file that became shorter is no longer read"),
	TEST(threads, "threads with a queue each share a handle"),
	TEST(handles, "two handles see the same file, and not each other's buffers"),
};

RIG_MAIN(tests)
