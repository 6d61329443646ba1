// SPDX-License-Identifier: MIT
/*
 * What becomes of adopted memory: the device reaches the pages that were there, whatever
 * the program does with its addresses, forks, executes or ends, until their capability goes.
 */
#include <linux/memfd.h>
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define PAGES 16u
#define SIZE (PAGES * PAGE)

FIXTURE(adopted)
{
	struct tenant t;
	struct ring ring;
	__u64 before;
	__u32 blocks; /* SIZE of them */
	char *at;
	struct buffer b;      /* that memory */
	struct buffer frames; /* the same size, to see by what is on the disk */
};

FIXTURE_SETUP(adopted)
{
	struct tenant *t = &self->t;

	TENANT_SETUP(t, "exo0");
	self->before = memory_adopted(t->fd);
	self->blocks = SIZE / t->block;
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, ring_create(t->fd, t->controller, 8, &self->ring));
	ASSERT_EQ(0, queue_attach(t->fd, self->ring.cap, t->extent));
	ASSERT_EQ(0, buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, PAGES, &self->frames));
	ASSERT_EQ(0, buffer_attach(t->fd, t->controller, &self->frames));
	self->at = anonymous(SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->at);
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RW, self->at, SIZE, &self->b));
}

FIXTURE_TEARDOWN(adopted)
{
	tenant_destroy(&self->t);
}

/* The device's copy of @b is what @expected is. */
static bool device_sees(FIXTURE_DATA(adopted) * self, const struct buffer *b, const void *expected)
{
	memset(self->frames.at, 0, SIZE);
	return !ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, self->blocks, b->offset) &&
	       !ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, self->blocks, self->frames.offset) &&
	       !memcmp(self->frames.at, expected, SIZE);
}

/* The device writes @data to where @b is. */
static int device_writes(FIXTURE_DATA(adopted) * self, const struct buffer *b, const void *data)
{
	int ret;

	memcpy(self->frames.at, data, SIZE);
	ret = ring_io(&self->ring, OP_WRITE, 1, EXTENT_FIRST, self->blocks, self->frames.offset);
	return ret ? ret : ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, self->blocks, b->offset);
}

static void nothing_is_left(struct __test_metadata *_metadata, FIXTURE_DATA(adopted) * self)
{
	EXPECT_EQ(self->before, memory_adopted(self->t.fd));
	EXPECT_EQ(EXO_QUEUE_LIVE, self->ring.status->state);
}

TEST_F(adopted, memory_that_is_unmapped_stays_what_the_device_reaches)
{
	char old[SIZE], new[SIZE], other[SIZE];
	char *at = self->at;

	fill_random(old, SIZE);
	fill_random(new, SIZE);
	memcpy(at, old, SIZE);
	ASSERT_EQ(0, munmap(at, SIZE));
	EXPECT_TRUE(device_sees(self, &self->b, old));
	/* Other memory at the same address is other memory. */
	ASSERT_EQ(at, mmap(at, SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memcpy(at, new, SIZE);
	EXPECT_TRUE(device_sees(self, &self->b, old));
	fill_random(other, SIZE);
	EXPECT_EQ(0, device_writes(self, &self->b, other));
	EXPECT_EQ(0, memcmp(at, new, SIZE));
	EXPECT_TRUE(device_sees(self, &self->b, other));
	EXPECT_EQ(0, drop(self->t.fd, self->b.cap));
	nothing_is_left(_metadata, self);
}

TEST_F(adopted, memory_that_is_given_back_stays_what_the_device_reaches)
{
	char old[SIZE], other[SIZE];
	unsigned int i;

	fill_random(old, SIZE);
	fill_random(other, SIZE);
	memcpy(self->at, old, SIZE);
	ASSERT_EQ(0, madvise(self->at, SIZE, MADV_DONTNEED));
	EXPECT_TRUE(device_sees(self, &self->b, old));
	EXPECT_EQ(0, device_writes(self, &self->b, other));
	for (i = 0; i < SIZE; i++)
		ASSERT_EQ(0, self->at[i]);
	EXPECT_TRUE(device_sees(self, &self->b, other));
}

TEST_F(adopted, a_truncated_file_leaves_its_pages_to_the_device)
{
	int fd = memfd_create("adopted", MFD_CLOEXEC);
	struct tenant *t = &self->t;
	char old[SIZE];
	struct buffer b;
	char *at;

	ASSERT_EQ(0, ftruncate(fd, SIZE));
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)at);
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RW, at, SIZE, &b));
	fill_random(old, SIZE);
	memcpy(at, old, SIZE);
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(SIGBUS, touch_read(at));
	EXPECT_TRUE(device_sees(self, &b, old));
	EXPECT_EQ(0, drop(t->fd, b.cap));
	EXPECT_EQ(self->before + PAGES, memory_adopted(t->fd));
}

/* The kernel seals a memfd against writing only if nobody has a page of it pinned. */
TEST_F(adopted, memory_is_let_go_with_its_capability)
{
	int fd = memfd_create("adopted", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct tenant *t = &self->t;
	struct buffer b;
	char *at;

	ASSERT_EQ(0, ftruncate(fd, SIZE));
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)at);
	ASSERT_EQ(0, buffer_adopt(t->fd, t->controller, RW, at, SIZE, &b));
	ASSERT_EQ(0, munmap(at, SIZE));
	EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ(0, drop(t->fd, b.cap));
	EXPECT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(0, drop(t->fd, self->b.cap));
	nothing_is_left(_metadata, self);
}

/* ---- fork ---- */

TEST_F(adopted, a_fork_takes_no_page_from_the_device)
{
	char before[SIZE], after[SIZE], read[SIZE];
	int go[2], done[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	fill_random(before, SIZE);
	fill_random(after, SIZE);
	fill_random(read, SIZE);
	memcpy(self->at, before, SIZE);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int bad = memcmp(self->at, before, SIZE) != 0;

		/* The first to write to it, which is who would be given a page of his own. */
		memset(self->at, 0x11, SIZE);
		if (!tell(done[1]) || !await(go[0]))
			_exit(1);
		for (unsigned int i = 0; i < SIZE; i++)
			bad |= self->at[i] != 0x11;
		_exit(bad);
	}
	ASSERT_TRUE(await(done[0]));
	EXPECT_EQ(0, memcmp(self->at, before, SIZE));
	EXPECT_TRUE(device_sees(self, &self->b, before));
	memcpy(self->at, after, SIZE);
	EXPECT_TRUE(device_sees(self, &self->b, after));
	EXPECT_EQ(0, device_writes(self, &self->b, read));
	EXPECT_EQ(0, memcmp(self->at, read, SIZE));
	ASSERT_TRUE(tell(go[1]));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(device_sees(self, &self->b, read));
}

/* The other way round: the child does not write first, and ends. */
TEST_F(adopted, what_is_written_after_a_fork_the_device_sees)
{
	char after[SIZE];
	int status;
	pid_t pid;

	memset(self->at, 1, SIZE);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	fill_random(after, SIZE);
	memcpy(self->at, after, SIZE);
	EXPECT_TRUE(device_sees(self, &self->b, after));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(device_sees(self, &self->b, after));
}

/* ---- the end of a process, not of its session ---- */

static const char *const stamps = "as it was left by who is gone";

/* Adopts, tells where that is, and ends, by its own will or another's. */
static void adopt_and_end(FIXTURE_DATA(adopted) * self, int to, bool exec)
{
	struct buffer b;
	char *at = anonymous(SIZE);

	if (buffer_adopt(self->t.fd, self->t.controller, RW, at, SIZE, &b))
		_exit(1);
	strcpy(at, stamps);
	if (write(to, &b, sizeof(b)) != sizeof(b))
		_exit(1);
	if (exec)
		execl("/bin/true", "true", NULL);
	else
		pause();
	_exit(1);
}

static void outlives(struct __test_metadata *_metadata, FIXTURE_DATA(adopted) * self, bool exec)
{
	char expected[SIZE] = { 0 };
	int from[2], status;
	struct buffer b;
	pid_t pid;

	ASSERT_EQ(0, pipe(from));
	/* Into the new program as well. */
	ASSERT_EQ(0, fcntl(self->t.fd, F_SETFD, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		adopt_and_end(self, from[1], exec);
	ASSERT_EQ((ssize_t)sizeof(b), read(from[0], &b, sizeof(b)));
	if (!exec)
		ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(exec ? 0 : SIGKILL, status);
	strcpy(expected, stamps);
	EXPECT_TRUE(device_sees(self, &b, expected));
	EXPECT_EQ(0, device_writes(self, &b, expected));
	EXPECT_EQ(self->before + 2 * PAGES, memory_adopted(self->t.fd));
	EXPECT_EQ(0, drop(self->t.fd, b.cap));
	EXPECT_EQ(self->before + PAGES, memory_adopted(self->t.fd));
}

TEST_F(adopted, memory_outlives_the_process_with_the_session)
{
	outlives(_metadata, self, false);
}

TEST_F(adopted, memory_outlives_the_program_with_the_session)
{
	outlives(_metadata, self, true);
}

TEST_F(adopted, memory_goes_with_the_session)
{
	int other = session_open();

	ASSERT_LE(0, other);
	close(self->t.fd);
	self->t.fd = -1;
	EXPECT_EQ(self->before, memory_adopted(other));
	EXPECT_EQ(0, touch_write(self->at));
	close(other);
}

/* ---- all at once ---- */

struct racer {
	struct tenant *t;
	char *at;
	bool stop;
	unsigned int adopted;
};

static void *adopt_attach_drop(void *arg)
{
	struct racer *r = arg;
	struct buffer b;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		if (buffer_adopt(r->t->fd, r->t->controller, RW, r->at, SIZE, &b))
			continue;
		drop(r->t->fd, b.cap);
		__atomic_fetch_add(&r->adopted, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST_F(adopted, adoptions_unmapping_and_forks_race_freely)
{
	struct racer r = { .t = &self->t, .at = self->at };
	__u64 end = now_ms() + 1000;
	pthread_t threads[2];
	int i, status;
	pid_t pid;

	ASSERT_EQ(0, drop(self->t.fd, self->b.cap));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, adopt_attach_drop, &r));
	while (now_ms() < end || !__atomic_load_n(&r.adopted, __ATOMIC_RELAXED)) {
		size_t page = random_u32() % PAGES;

		ASSERT_EQ(0, munmap(self->at + page * PAGE, PAGE));
		ASSERT_NE(MAP_FAILED, mmap(self->at + page * PAGE, PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		if (random_u32() % 8)
			continue;
		pid = fork();
		if (!pid) {
			memset(self->at, 1, SIZE);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%u adoptions", r.adopted);
	nothing_is_left(_metadata, self);
}

TEST_HARNESS_MAIN
