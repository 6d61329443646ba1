// SPDX-License-Identifier: MIT
/*
 * Frames as a dma-buf: what a driver can do with one, what ends it, and who waits for whom. The
 * driver is selftests/importer, which does what it is told.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <kselftest_harness.h>

#include "importer/importer.h"
#include "lib.h"

#define FRAMES 8u
#define SIZE (FRAMES * PAGE)
#define RO EXO_RIGHT_READ
#define WO EXO_RIGHT_WRITE
#define RW (RO | WO)
#define AT(member) offsetof(struct exo_frames_export, member)
#define IO_TIMEOUT "/sys/module/exo/parameters/io_timeout_ms"

/* ---- the driver ---- */

static int importer_load(void)
{
	struct utsname os;
	char path[256];
	int fd, ret;

	if (!access("/dev/exo-importer", F_OK))
		return 0;
	uname(&os);
	snprintf(path, sizeof(path), "/build/importer-%s/selftests/importer/exo_importer.ko",
		 os.release);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

static int importer_call(int importer, unsigned int cmd, unsigned long arg)
{
	return ioctl(importer, cmd, arg) ? -errno : 0;
}

static int importer_attach(int importer, int fd, __u32 kind, __u32 segment)
{
	struct importer_attach arg = { .fd = fd, .kind = kind, .segment = segment };

	return importer_call(importer, IMPORTER_ATTACH, (unsigned long)&arg);
}

static int importer_copy(int importer, unsigned int cmd, __u64 offset, void *memory, __u32 bytes)
{
	struct importer_copy arg = { .offset = offset,
				     .memory = (uintptr_t)memory,
				     .bytes = bytes };

	return importer_call(importer, cmd, (unsigned long)&arg);
}

static struct importer_state importer_state(int importer)
{
	struct importer_state state = {};

	if (importer_call(importer, IMPORTER_STATE, (unsigned long)&state))
		state.told = ~0u;
	return state;
}

static int frames_export(int fd, __u32 frames)
{
	struct exo_frames_export arg = { .frames = frames, .out_fd = -1 };
	int ret = call(fd, EXO_FRAMES_EXPORT, &arg);

	return ret ? ret : arg.out_fd;
}

static bool exports_are_there(int fd)
{
	struct exo_info i;

	return !info(fd, &i) && (i.out_features & EXO_FEATURE_EXPORT);
}

/* ---- a program that has exported frames, and a driver that has what it exported ---- */

FIXTURE(export)
{
	struct tenant t;
	struct buffer b;
	int fd;	      /* the dma-buf */
	int importer; /* attached to it */
	__u8 seen[HUGE_PAGE];
	__u8 model[HUGE_PAGE];
};

FIXTURE_SETUP(export)
{
	self->importer = self->fd = -1;
	POOL_SETUP(&self->t);
	if (!exports_are_there(self->t.fd))
		SKIP(return, "no dma-buf importer of this kernel gives memory back");
	record("frames exported\n");
	ASSERT_EQ(0, importer_load());
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, FRAMES, &self->b));
	self->fd = frames_export(self->t.fd, self->b.cap);
	ASSERT_LE(0, self->fd);
	self->importer = open("/dev/exo-importer", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->importer);
	ASSERT_EQ(0, importer_attach(self->importer, self->fd, IMPORTER_DYNAMIC, 0));
	fill_random(self->model, sizeof(self->model));
}

FIXTURE_TEARDOWN(export)
{
	int fd = session_open();

	if (self->importer >= 0)
		close(self->importer);
	if (self->fd >= 0)
		close(self->fd);
	tenant_destroy(&self->t);
	EXPECT_EQ(0, frames_used_soon(fd, 0));
	close(fd);
}

static int map(FIXTURE_DATA(export) * self, unsigned long direction)
{
	return importer_call(self->importer, IMPORTER_MAP, direction);
}

static int unmap(FIXTURE_DATA(export) * self)
{
	return importer_call(self->importer, IMPORTER_UNMAP, 0);
}

/* Exports @cap of @fd in the place of what the fixture exported. */
static void reexport(struct __test_metadata *_metadata, FIXTURE_DATA(export) * self, int fd,
		     __u32 cap, __u32 segment)
{
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_DETACH, 0));
	close(self->fd);
	self->fd = frames_export(fd, cap);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, importer_attach(self->importer, self->fd, IMPORTER_DYNAMIC, segment));
}

/* ---- what a device does ---- */

static void exchange(struct __test_metadata *_metadata, FIXTURE_DATA(export) * self, __u8 *at,
		     __u32 bytes)
{
	memcpy(at, self->model, bytes);
	ASSERT_EQ(0, importer_copy(self->importer, IMPORTER_READ, 0, self->seen, bytes));
	EXPECT_EQ(0, memcmp(self->seen, self->model, bytes));
	fill_random(self->model, bytes);
	ASSERT_EQ(0, importer_copy(self->importer, IMPORTER_WRITE, 0, self->model, bytes));
	EXPECT_EQ(0, memcmp(at, self->model, bytes));
	EXPECT_EQ(-ERANGE, importer_copy(self->importer, IMPORTER_READ, bytes, self->seen, 1));
}

TEST_F(export, a_device_reads_what_the_program_wrote_and_writes_what_it_reads)
{
	EXPECT_EQ((off_t)SIZE, lseek(self->fd, 0, SEEK_END));
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	exchange(_metadata, self, self->b.at, SIZE);
}

TEST_F(export, frames_of_2_mib_are_mapped_in_pieces_that_the_device_takes)
{
	static const __u32 pieces[] = { 0, 64 << 10, PAGE, 12 << 10 };
	struct importer_state state;
	struct buffer large;
	unsigned int i;

	if (buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_2M, 1, &large))
		SKIP(return, "no frames of 2 MiB");
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		__u32 most = pieces[i] ? pieces[i] : HUGE_PAGE;

		reexport(_metadata, self, self->t.fd, large.cap, pieces[i]);
		ASSERT_EQ(0, map(self, IMPORTER_BOTH));
		state = importer_state(self->importer);
		EXPECT_EQ(most, state.largest);
		EXPECT_EQ((HUGE_PAGE + most - 1) / most, state.segments);
		exchange(_metadata, self, large.at, HUGE_PAGE);
	}
}

TEST_F(export, a_part_of_frames_is_exported_by_a_capability_to_that_part)
{
	__u32 part;

	ASSERT_EQ(0, derive(self->t.fd, self->b.cap, RW, EXO_SESSION_SELF, 2, 3, &part));
	reexport(_metadata, self, self->t.fd, part, 0);
	EXPECT_EQ((off_t)(3 * PAGE), lseek(self->fd, 0, SEEK_END));
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	exchange(_metadata, self, (__u8 *)self->b.at + 2 * PAGE, 3 * PAGE);
}

TEST_F(export, a_device_gets_the_rights_of_the_capability_and_no_others)
{
	__u32 cap;

	ASSERT_EQ(0, derive(self->t.fd, self->b.cap, RO, EXO_SESSION_SELF, 0, 0, &cap));
	reexport(_metadata, self, self->t.fd, cap, 0);
	EXPECT_EQ(-EACCES, map(self, IMPORTER_WRITES));
	EXPECT_EQ(-EACCES, map(self, IMPORTER_BOTH));
	EXPECT_EQ(0, map(self, IMPORTER_READS));
	ASSERT_EQ(0, derive(self->t.fd, self->b.cap, WO, EXO_SESSION_SELF, 0, 0, &cap));
	reexport(_metadata, self, self->t.fd, cap, 0);
	EXPECT_EQ(-EACCES, map(self, IMPORTER_READS));
	EXPECT_EQ(-EACCES, map(self, IMPORTER_BOTH));
	EXPECT_EQ(0, map(self, IMPORTER_WRITES));
}

TEST_F(export, a_driver_that_does_not_give_memory_back_is_refused)
{
	int other = open("/dev/exo-importer", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, other);
	EXPECT_EQ(-EOPNOTSUPP, importer_attach(other, self->fd, IMPORTER_STATIC, 0));
	EXPECT_EQ(-EOPNOTSUPP, importer_call(self->importer, IMPORTER_PIN, 0));
	EXPECT_EQ(0, map(self, IMPORTER_BOTH));
	close(other);
}

TEST_F(export, a_device_that_does_not_reach_the_frames_is_refused)
{
	static const __u32 orders[] = { EXO_ORDER_4K, EXO_ORDER_2M };
	struct buffer far;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, orders[i], 1, &far));
		reexport(_metadata, self, self->t.fd, far.cap, 0);
		ASSERT_EQ(0, importer_call(self->importer, IMPORTER_REACH, (1 << 20) - 1));
		EXPECT_EQ(-EOPNOTSUPP, map(self, IMPORTER_BOTH));
		EXPECT_EQ(0, importer_state(self->importer).segments);
		ASSERT_EQ(0, importer_call(self->importer, IMPORTER_REACH, 0));
		EXPECT_EQ(0, map(self, IMPORTER_BOTH));
		EXPECT_EQ(0, unmap(self));
		EXPECT_EQ(0, buffer_free(self->t.fd, &far));
	}
}

TEST_F(export, a_dma_buf_is_closed_by_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

TEST_F(export, a_dma_buf_cannot_be_mapped_by_a_program)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
}

/* ---- what is refused ---- */

TEST_F(export, only_frames_are_exported_and_only_with_a_right_to_what_is_in_them)
{
	__u32 cap;

	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, AT(frames), 99, frames_export(self->t.fd, 99));
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, AT(frames), EXO_TYPE_POOL,
		       frames_export(self->t.fd, self->t.pool));
	ASSERT_EQ(0,
		  derive(self->t.fd, self->b.cap, EXO_RIGHT_NAMES, EXO_SESSION_SELF, 0, 0, &cap));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, AT(frames), RW, frames_export(self->t.fd, cap));
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->b.cap, 0, 0, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, AT(frames), cap, frames_export(self->t.fd, cap));
}

TEST_F(export, without_a_file_descriptor_left_nothing_is_exported)
{
	struct rlimit limit, none = {};

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none.rlim_max = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_REFUSED(EMFILE, EXO_REASON_DESCRIPTORS, 0, 0,
		       frames_export(self->t.fd, self->b.cap));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

TEST_F(export, an_answer_that_cannot_be_written_exports_nothing)
{
	struct exo_frames_export *arg =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int before = dup(self->fd), after;

	ASSERT_NE(MAP_FAILED, (void *)arg);
	*arg = (struct exo_frames_export){ .size = sizeof(*arg), .frames = self->b.cap };
	ASSERT_EQ(0, mprotect(arg, PAGE, PROT_READ));
	close(before);
	EXPECT_EQ(-EFAULT, ioctl(self->t.fd, EXO_FRAMES_EXPORT, arg) ? -errno : 0);
	after = dup(self->fd);
	EXPECT_EQ(before, after);
	close(after);
}

TEST_F(export, frames_are_attached_to_a_controller_and_exported_at_once)
{
	struct tenant d;
	struct buffer b;
	int fd;

	TENANT_SETUP(&d, "exo0");
	ASSERT_EQ(0, buffer_alloc(d.fd, d.pool, EXO_ORDER_4K, FRAMES, &b));
	fd = frames_export(d.fd, b.cap);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, buffer_attach(d.fd, d.controller, &b));
	EXPECT_EQ(-EEXIST, dma_attach(d.fd, d.controller, b.cap, &b.offset));
	EXPECT_EQ(0, dma_detach(d.fd, d.controller, b.cap));
	EXPECT_EQ(-ENOENT, dma_detach(d.fd, d.controller, b.cap));
	close(fd);
	EXPECT_EQ(0, buffer_free(d.fd, &b));
	tenant_destroy(&d);
}

/* ---- the end ---- */

TEST_F(export, dropping_the_frames_ends_it_and_what_a_driver_keeps_mapped_stays_charged)
{
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	EXPECT_EQ(0, importer_state(self->importer).told);
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(1, importer_state(self->importer).told);
	EXPECT_EQ(FRAMES, frames_used(self->t.fd));
	EXPECT_EQ(0, unmap(self));
	EXPECT_EQ(0, frames_used_soon(self->t.fd, 0));
	EXPECT_EQ(-ENODEV, map(self, IMPORTER_BOTH));
	EXPECT_EQ(0, importer_call(self->importer, IMPORTER_DETACH, 0));
	EXPECT_EQ(-ENODEV, importer_attach(self->importer, self->fd, IMPORTER_DYNAMIC, 0));
}

TEST_F(export, a_driver_can_unmap_and_map_again_as_long_as_the_frames_are_there)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, map(self, i % 3));
		ASSERT_EQ(0, unmap(self));
	}
	EXPECT_EQ(0, importer_state(self->importer).told);
	EXPECT_EQ(FRAMES, frames_used(self->t.fd));
}

TEST_F(export, closing_the_session_ends_it)
{
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	munmap(self->b.at, self->b.size);
	close(self->t.fd);
	self->t.fd = -1;
	EXPECT_EQ(1, importer_state(self->importer).told);
	EXPECT_EQ(FRAMES, frames_used(self->t.grantor));
	EXPECT_EQ(0, unmap(self));
	EXPECT_EQ(0, frames_used_soon(self->t.grantor, 0));
}

TEST_F(export, a_driver_goes_on_when_the_program_closes_the_dma_buf)
{
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	exchange(_metadata, self, self->b.at, SIZE);
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_DETACH, 0));
	EXPECT_EQ(0, importer_state(self->importer).told);
	EXPECT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(0, frames_used_soon(self->t.fd, 0));
}

TEST_F(export, frames_are_exported_more_than_once_and_all_of_it_ends_with_them)
{
	int other = open("/dev/exo-importer", O_RDWR | O_CLOEXEC);
	int again = frames_export(self->t.fd, self->b.cap);

	ASSERT_LE(0, other);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, importer_attach(other, again, IMPORTER_DYNAMIC, 0));
	ASSERT_EQ(0, importer_call(other, IMPORTER_MAP, IMPORTER_READS));
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	ASSERT_EQ(0, buffer_free(self->t.fd, &self->b));
	EXPECT_EQ(1, importer_state(other).told);
	EXPECT_EQ(1, importer_state(self->importer).told);
	EXPECT_EQ(0, unmap(self));
	EXPECT_EQ(FRAMES, frames_used(self->t.fd));
	close(other);
	EXPECT_EQ(0, frames_used_soon(self->t.fd, 0));
	close(again);
}

TEST_F(export, a_killed_program_takes_its_exports_with_it)
{
	int ready[2];
	pid_t child;

	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct exo_frames_alloc f;
		int own = session_open(), fd;
		__u32 pool;

		if (derive(self->t.grantor, self->t.root_pool, EXO_RIGHT_ALLOC, own, 0, 0, &pool) ||
		    frames_alloc(own, pool, EXO_ORDER_4K, FRAMES, ANY_NODE, &f))
			_exit(1);
		fd = frames_export(own, f.out_cap);
		if (importer_call(self->importer, IMPORTER_DETACH, 0) ||
		    importer_attach(self->importer, fd, IMPORTER_DYNAMIC, 0) ||
		    map(self, IMPORTER_BOTH))
			_exit(1);
		tell(ready[1]);
		pause();
	}
	close(ready[1]);
	ASSERT_TRUE(await(ready[0]));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_EQ(1, importer_state(self->importer).told);
	EXPECT_EQ(2 * FRAMES, frames_used(self->t.fd));
	EXPECT_EQ(0, unmap(self));
	EXPECT_EQ(-ENODEV, map(self, IMPORTER_BOTH));
	EXPECT_EQ(FRAMES, frames_used_soon(self->t.fd, FRAMES));
	close(ready[0]);
}

TEST_F(export, the_module_stays_while_a_dma_buf_is_open)
{
	char count[16] = "";

	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_DETACH, 0));
	munmap(self->b.at, self->b.size);
	tenant_destroy(&self->t);
	self->t.fd = self->t.grantor = -1;
	ASSERT_EQ(0, read_file("/sys/module/exo/refcnt", count, sizeof(count)));
	EXPECT_EQ(1, atoi(count));
	close(self->fd);
	self->fd = -1;
}

/* ---- who waits for whom ---- */

struct revoker {
	FIXTURE_DATA(export) * self;
	atomic_bool over;
	int ret;
};

static void *revoke_frames(void *arg)
{
	struct revoker *r = arg;

	r->ret = cap_revoke(r->self->t.grantor, r->self->t.root_pool, 0, 0, NULL);
	atomic_store(&r->over, true);
	return NULL;
}

TEST_F(export, a_revocation_waits_for_what_the_device_has_begun)
{
	struct revoker r = { .self = self };
	pthread_t thread;

	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_BEGIN, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, revoke_frames, &r));
	while (!importer_state(self->importer).told)
		usleep(1000);
	/* It would be over in no time, had it not to wait. */
	usleep(200000);
	EXPECT_FALSE(atomic_load(&r.over));
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_END, 0));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, r.ret);
	EXPECT_EQ(1, importer_state(self->importer).told);
}

TEST_F(export, a_device_that_never_ends_delays_a_revocation_by_the_io_timeout)
{
	__u64 begun, took;

	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_BEGIN, 0));
	ASSERT_EQ(0, write_file(IO_TIMEOUT, "400"));
	begun = now_ms();
	EXPECT_EQ(0, cap_revoke(self->t.grantor, self->t.root_pool, 0, 0, NULL));
	took = now_ms() - begun;
	EXPECT_EQ(0, write_file(IO_TIMEOUT, "30000"));
	EXPECT_LE(390, took);
	EXPECT_GT(15000, took);
	EXPECT_EQ(FRAMES, frames_used(self->t.grantor));
	EXPECT_EQ(0, unmap(self));
	EXPECT_EQ(0, frames_used_soon(self->t.grantor, 0));
}

TEST_F(export, whoever_else_closes_a_dma_buf_does_not_wait_for_the_device_of_another)
{
	int again = frames_export(self->t.fd, self->b.cap);
	struct revoker r = { .self = self };
	pthread_t thread;
	__u64 begun;

	ASSERT_LE(0, again);
	ASSERT_EQ(0, map(self, IMPORTER_BOTH));
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_BEGIN, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, revoke_frames, &r));
	while (!importer_state(self->importer).told)
		usleep(1000);
	begun = now_ms();
	close(again);
	EXPECT_GT(5000, now_ms() - begun);
	EXPECT_FALSE(atomic_load(&r.over));
	ASSERT_EQ(0, importer_call(self->importer, IMPORTER_END, 0));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, r.ret);
}

/* A set of frames whose export a device does not let go of. */
static void keep_busy(struct __test_metadata *_metadata, FIXTURE_DATA(export) * self, int importer)
{
	struct exo_frames_alloc f;
	int fd;

	ASSERT_LE(0, importer);
	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, ANY_NODE, &f));
	fd = frames_export(self->t.fd, f.out_cap);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, importer_attach(importer, fd, IMPORTER_DYNAMIC, 0));
	ASSERT_EQ(0, importer_call(importer, IMPORTER_MAP, IMPORTER_BOTH));
	ASSERT_EQ(0, importer_call(importer, IMPORTER_BEGIN, 0));
	close(fd);
}

TEST_F(export, a_session_that_closes_waits_for_all_devices_at_once)
{
	int importers[8];
	__u64 begun, took;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(importers); i++) {
		importers[i] = open("/dev/exo-importer", O_RDWR | O_CLOEXEC);
		keep_busy(_metadata, self, importers[i]);
	}
	munmap(self->b.at, self->b.size);
	ASSERT_EQ(0, write_file(IO_TIMEOUT, "1000"));
	begun = now_ms();
	close(self->t.fd);
	took = now_ms() - begun;
	self->t.fd = -1;
	EXPECT_EQ(0, write_file(IO_TIMEOUT, "30000"));
	EXPECT_LE(990, took);
	EXPECT_GT(4000, took);
	EXPECT_EQ(ARRAY_SIZE(importers), frames_used(self->t.grantor));
	for (i = 0; i < ARRAY_SIZE(importers); i++)
		close(importers[i]);
}

/* Mappings come and go while the frames do. */
struct user {
	int importer;
	atomic_bool stop;
	unsigned long mapped;
};

static void *use(void *arg)
{
	struct user *u = arg;

	while (!atomic_load(&u->stop)) {
		u->mapped += !importer_call(u->importer, IMPORTER_MAP, IMPORTER_BOTH);
		importer_call(u->importer, IMPORTER_UNMAP, 0);
	}
	return NULL;
}

TEST_F(export, mapping_and_dropping_race_freely)
{
	unsigned int i, races = 0;

	for (i = 0; i < 200; i++) {
		struct user u = { .importer = self->importer };
		struct exo_frames_alloc f;
		pthread_t thread;

		ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, FRAMES, ANY_NODE,
					  &f));
		reexport(_metadata, self, self->t.fd, f.out_cap, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, use, &u));
		usleep(random_u32() % 500);
		ASSERT_EQ(0, drop(self->t.fd, f.out_cap));
		atomic_store(&u.stop, true);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		races += u.mapped > 0;
	}
	EXPECT_LT(0, races);
	EXPECT_EQ(FRAMES, frames_used_soon(self->t.fd, FRAMES));
}

TEST_HARNESS_MAIN
