// SPDX-License-Identifier: MIT
/*
 * EINTR: a call that is long is given up when its task is being killed, and
 * nothing was changed. The task itself is gone before it could tell, so that it was
 * so is read from the kernel's trace of system calls.
 *
 * The victim works on a session that it shares with us: what it leaves behind stays.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "lib.h"

#define TRACING "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/exo-signal"
#define EVENT INSTANCE "/events/raw_syscalls/sys_exit"

#define FRAMES 16384u
#define LIMIT_MS 20000u
#define PAUSE_US_MAX 50000u /* several times what one call takes */

/* ---- the trace ---- */

static int trace_begin(void)
{
	char filter[64];
	int ret;

	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		return -errno;
	if (mkdir(INSTANCE, 0700) && errno != EEXIST)
		return -errno;
	snprintf(filter, sizeof(filter), "id == %d && ret == %d", SYS_ioctl, -EINTR);
	ret = write_file(EVENT "/filter", filter);
	return ret ? ret : write_file(EVENT "/enable", "1");
}

static void trace_end(void)
{
	write_file(EVENT "/enable", "0");
	rmdir(INSTANCE);
}

/* Did a call of @pid end with EINTR? */
static bool trace_tells(pid_t pid)
{
	FILE *file = fopen(INSTANCE "/trace", "re");
	char line[256], task[16];
	bool found = false;

	snprintf(task, sizeof(task), "-%d ", pid);
	while (file && !found && fgets(line, sizeof(line), file))
		found = line[0] != '#' && strstr(line, task) && strstr(line, "= -4");
	if (file)
		fclose(file);
	return found;
}

/* ---- a session for two, and what there is in it ---- */

FIXTURE(signal)
{
	struct tenant t;
	__u32 pool; /* of the grantor */
	struct exo_frame_name *names;
	/* the session that the victim works on */
	int fd;
	__u32 fd_pool, fd_controller, fd_frames;
	void *own; /* FRAMES pages */
};

struct state {
	__u64 caps;
	__u64 frames_used;
	__u64 pool_used;
	__u64 queues_used;
	__u64 adopted;
};

FIXTURE_SETUP(signal)
{
	int ret;

	TENANT_SETUP(&self->t, "exo0");
	ret = trace_begin();
	if (ret)
		SKIP(return, "this kernel does not trace system calls: %s", strerror(-ret));
	record("system calls traced\n");
	self->names = calloc(FRAMES, sizeof(*self->names));
	ASSERT_NE(NULL, self->names);
	ASSERT_EQ(0, pool_create(self->t.grantor, self->t.root_pool,
				 EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, FRAMES, &self->pool));
}

FIXTURE_TEARDOWN(signal)
{
	trace_end();
	free(self->names);
	tenant_destroy(&self->t);
}

/* What the victim's session has beside its pool and controller. */
enum with { WITH_NOTHING, WITH_FRAMES, WITH_TAKEN_FRAMES };

static int session_begin(FIXTURE_DATA(signal) * self, enum with with)
{
	struct exo_frames_alloc arg;
	int ret;

	self->fd = session_open();
	if (self->fd < 0)
		return self->fd;
	ret = derive(self->t.grantor, self->pool, EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, self->fd, 0, 0,
		     &self->fd_pool);
	if (!ret)
		ret = derive(self->t.fd, self->t.controller, EXO_RIGHT_QUEUE, self->fd, 0, 0,
			     &self->fd_controller);
	if (ret || with == WITH_NOTHING)
		return ret;
	ret = frames_alloc(self->fd, self->fd_pool, EXO_ORDER_4K, FRAMES, ANY_NODE, &arg);
	self->fd_frames = arg.out_cap;
	if (!ret && with == WITH_TAKEN_FRAMES)
		ret = cap_revoke(self->fd, self->fd_pool, 0, 0, NULL);
	return ret;
}

static int state_of(FIXTURE_DATA(signal) * self, struct state *state)
{
	struct exo_controller_query q;
	struct exo_info i;
	int ret = info(self->fd, &i);

	if (!ret)
		ret = pool_query(self->fd, self->fd_pool, NULL, &state->pool_used);
	if (!ret)
		ret = controller_query(self->fd, self->fd_controller, &q);
	if (ret)
		return ret;
	state->caps = i.out_caps;
	state->frames_used = i.out_frames_used;
	state->adopted = i.out_memory_adopted;
	state->queues_used = q.out_queues_used;
	return 0;
}

/* ---- the victim ---- */

/* One round of its loop: the call, and what undoes it. */
typedef int (*victim_fn)(FIXTURE_DATA(signal) * self);

/* Killed at some moment of its loop, for which it was prepared, if there is something to prepare. */
static pid_t kill_one(FIXTURE_DATA(signal) * self, victim_fn prepare, victim_fn victim)
{
	int begun[2], status;
	char byte;
	pid_t pid;

	if (pipe(begun))
		return -errno;
	pid = fork();
	if (!pid) {
		if ((prepare && prepare(self)) || write(begun[1], "", 1) != 1)
			_exit(1);
		while (!victim(self))
			;
		_exit(2);
	}
	close(begun[1]);
	if (pid > 0 && read(begun[0], &byte, 1) == 1)
		usleep(random_u32() % PAUSE_US_MAX);
	close(begun[0]);
	if (pid > 0 &&
	    (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)))
		return -ECHILD;
	return pid;
}

/* Again and again, until the trace tells that the call was given up; leaves the session open. */
static void interrupt_prepared(struct __test_metadata *_metadata, FIXTURE_DATA(signal) * self,
			       const char *command, victim_fn prepare, victim_fn victim,
			       enum with with)
{
	const __u64 end = now_ms() + LIMIT_MS;
	struct state before, after;
	unsigned int n = 0;
	char line[64];
	pid_t pid;

	for (;;) {
		ASSERT_EQ(0, session_begin(self, with));
		ASSERT_EQ(0, state_of(self, &before));
		pid = kill_one(self, prepare, victim);
		ASSERT_LT(0, pid);
		n++;
		if (trace_tells(pid))
			break;
		close(self->fd);
		ASSERT_GT(end, now_ms())
		{
			TH_LOG("none of %u was interrupted", n);
		}
	}
	TH_LOG("the one of %u", n);
	ASSERT_EQ(0, state_of(self, &after));
	EXPECT_EQ(before.caps, after.caps);
	EXPECT_EQ(before.frames_used, after.frames_used);
	EXPECT_EQ(before.pool_used, after.pool_used);
	EXPECT_EQ(before.queues_used, after.queues_used);
	EXPECT_EQ(before.adopted, after.adopted);
	snprintf(line, sizeof(line), "refusal %s EINTR 0\n", command);
	record(line);
}

static void interrupt(struct __test_metadata *_metadata, FIXTURE_DATA(signal) * self,
		      const char *command, victim_fn victim, enum with with)
{
	interrupt_prepared(_metadata, self, command, NULL, victim, with);
}

/* ---- each command that promises it ---- */

static int alloc_and_drop(FIXTURE_DATA(signal) * self)
{
	struct exo_frames_alloc arg;
	int ret = frames_alloc(self->fd, self->fd_pool, EXO_ORDER_4K, FRAMES, ANY_NODE, &arg);

	return ret ? ret : drop(self->fd, arg.out_cap);
}

TEST_F(signal, an_allocation_is_given_up_and_nothing_is_left)
{
	struct exo_frames_alloc arg;

	interrupt(_metadata, self, "EXO_FRAMES_ALLOC", alloc_and_drop, WITH_NOTHING);
	/* All of the budget is there again. */
	EXPECT_EQ(0, frames_alloc(self->fd, self->fd_pool, EXO_ORDER_4K, FRAMES, ANY_NODE, &arg));
	close(self->fd);
}

static int ask_names(FIXTURE_DATA(signal) * self)
{
	return frames_names(self->fd, self->fd_frames, 0, FRAMES, self->names);
}

TEST_F(signal, the_telling_of_names_is_given_up)
{
	interrupt(_metadata, self, "EXO_FRAMES_NAMES", ask_names, WITH_FRAMES);
	EXPECT_EQ(0, ask_names(self));
	EXPECT_NE(0, self->names[FRAMES - 1].pfn);
	close(self->fd);
}

static int ask_names_of_taken(FIXTURE_DATA(signal) * self)
{
	struct exo_cap_taken arg = {
		.cap = self->fd_frames,
		.count = FRAMES,
		.names = (uintptr_t)self->names,
	};

	return call(self->fd, EXO_CAP_TAKEN, &arg);
}

TEST_F(signal, the_telling_of_names_of_what_was_taken_is_given_up)
{
	interrupt(_metadata, self, "EXO_CAP_TAKEN", ask_names_of_taken, WITH_TAKEN_FRAMES);
	EXPECT_EQ(0, ask_names_of_taken(self));
	close(self->fd);
}

static int attach_and_detach(FIXTURE_DATA(signal) * self)
{
	__u64 offset;
	int ret = dma_attach(self->fd, self->fd_controller, self->fd_frames, &offset);

	return ret ? ret : dma_detach(self->fd, self->fd_controller, self->fd_frames);
}

TEST_F(signal, an_attach_is_given_up_and_nothing_is_attached)
{
	__u64 offset;

	interrupt(_metadata, self, "EXO_DMA_ATTACH", attach_and_detach, WITH_FRAMES);
	EXPECT_REFUSED(ENOENT, EXO_REASON_NOT_ATTACHED, offsetof(struct exo_dma_detach, frames),
		       self->fd_frames, dma_detach(self->fd, self->fd_controller, self->fd_frames));
	/* Nothing of buffer space is taken. */
	EXPECT_EQ(0, dma_attach(self->fd, self->fd_controller, self->fd_frames, &offset));
	EXPECT_EQ(0, offset);
	close(self->fd);
}

/* Shared, so that the victim need not bring it in anew. */
static int adopt_and_drop(FIXTURE_DATA(signal) * self)
{
	__u32 cap;
	int ret = mem_adopt(self->fd, self->fd_controller, EXO_RIGHT_READ, self->own, FRAMES * PAGE,
			    &cap);

	return ret ? ret : drop(self->fd, cap);
}

TEST_F(signal, an_adoption_is_given_up_and_nothing_is_pinned)
{
	self->own = mmap(NULL, FRAMES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->own);
	interrupt(_metadata, self, "EXO_MEM_ADOPT", adopt_and_drop, WITH_NOTHING);
	EXPECT_EQ(0, adopt_and_drop(self));
	close(self->fd);
	munmap(self->own, FRAMES * PAGE);
}

/* ---- windows ---- */

#define WINDOW_PAGES (4 * FRAMES)

#define OP_PAGES (WINDOW_PAGES / EXO_WINDOW_OPS_MAX)

/* Of the process's own: a child does not have it. */
static char *window;

static int make_window(FIXTURE_DATA(signal) * self)
{
	window = window_create(self->fd, WINDOW_PAGES * PAGE);
	return window == MAP_FAILED ? -errno : 0;
}

/* All frames, four times over; without access, so that most of the time goes to the operations. */
static int set_window(FIXTURE_DATA(signal) * self)
{
	static struct exo_window_op ops[EXO_WINDOW_OPS_MAX];
	__u64 i;

	for (i = 0; i < EXO_WINDOW_OPS_MAX; i++)
		ops[i] = (struct exo_window_op){
			.op = EXO_WINDOW_MAP,
			.first = OP_PAGES * i,
			.count = OP_PAGES,
			.frames = self->fd_frames,
			.page = OP_PAGES * i % FRAMES,
		};
	return window_set(self->fd, window, ops, EXO_WINDOW_OPS_MAX);
}

TEST_F(signal, the_setting_of_a_window_is_given_up)
{
	interrupt_prepared(_metadata, self, "EXO_WINDOW_SET", make_window, set_window, WITH_FRAMES);
	close(self->fd);
}

#define DIRTY_PAGES (2 * WINDOW_PAGES)

static int make_full_window(FIXTURE_DATA(signal) * self)
{
	int ret = 0;
	__u64 i;

	window = window_create(self->fd, DIRTY_PAGES * PAGE);
	if (window == MAP_FAILED)
		return -errno;
	for (i = 0; !ret && i < DIRTY_PAGES; i += FRAMES)
		ret = window_map(self->fd, window, i, FRAMES, self->fd_frames, 0, EXO_RIGHT_READ);
	return ret;
}

static int ask_dirty(FIXTURE_DATA(signal) * self)
{
	static __u64 bitmap[DIRTY_PAGES / 64];
	int ret = window_dirty(self->fd, window, 0, DIRTY_PAGES, bitmap);

	return ret > 0 ? -EIO : ret;
}

TEST_F(signal, the_asking_for_dirty_bits_is_given_up)
{
	interrupt_prepared(_metadata, self, "EXO_WINDOW_DIRTY", make_full_window, ask_dirty,
			   WITH_FRAMES);
	close(self->fd);
}

/* As deep as can be: with the most memory to map. */
static int create_and_drop(FIXTURE_DATA(signal) * self)
{
	struct exo_queue_create arg;
	int ret = queue_create(self->fd, self->fd_controller, self->t.depth_max, &arg);

	return ret ? ret : drop(self->fd, arg.out_cap);
}

TEST_F(signal, the_making_of_a_queue_is_given_up_and_no_queue_is_left)
{
	struct exo_queue_create arg;
	int i;

	interrupt(_metadata, self, "EXO_QUEUE_CREATE", create_and_drop, WITH_NOTHING);
	/* All of the budget is there again. */
	for (i = 0; i < TENANT_QUEUES; i++) {
		EXPECT_EQ(0, queue_create(self->fd, self->fd_controller, 4, &arg));
	}
	close(self->fd);
}

TEST_HARNESS_MAIN
