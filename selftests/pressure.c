// SPDX-License-Identifier: MIT
/*
 * A machine whose memory is mostly in exo pools and that runs out of the rest: it recovers
 * without killing anybody, when the holders comply and when they do not, and what was
 * guaranteed is kept.
 */
#include <pthread.h>
#include <kselftest_harness.h>

#include "lib.h"

#define SET_FRAMES 1024u /* 4 MiB */
#define SETS_MAX 512
#define MORE_THAN_THERE_IS (192ul << 20)
#define HOGS 4 /* threads */

/* A number of /proc/meminfo (in KiB) or /proc/vmstat. */
static unsigned long number_of(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	unsigned long value = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)) &&
		    sscanf(line + strlen(name), "%*[: ]%lu", &value) == 1)
			break;
	if (file)
		fclose(file);
	return value;
}

struct slice {
	char *at;
	unsigned long bytes;
};

static void *touch(void *arg)
{
	struct slice *slice = arg;
	unsigned long at;

	for (at = 0; at < slice->bytes; at += PAGE)
		slice->at[at] = 1;
	return NULL;
}

/* Several at once run out of memory. */
static int touch_all(unsigned long bytes)
{
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct slice slices[HOGS];
	pthread_t threads[HOGS];
	int i;

	if (memory == MAP_FAILED)
		return 3;
	for (i = 0; i < HOGS; i++) {
		slices[i] = (struct slice){ memory + bytes / HOGS * i, bytes / HOGS };
		if (pthread_create(&threads[i], NULL, touch, &slices[i]))
			return 4;
	}
	for (i = 0; i < HOGS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Touches so much memory, as the process that would be killed first: 0 if it lived. */
static int hog(unsigned long bytes)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(write_file("/proc/self/oom_score_adj", "1000") ? 2 : touch_all(bytes));
	waitpid(pid, &status, 0);
	return status;
}

FIXTURE(pressure)
{
	int root, fd;
	__u32 claim, pool, kept; /* two pools: none, and all of it guaranteed */
	__u64 guaranteed;
	__u32 sets[SETS_MAX];
	unsigned int n;
	struct events events;
	unsigned long kills;
};

static int grant(FIXTURE_DATA(pressure) * self, __u64 frames, __u64 minimum, __u32 *out)
{
	struct exo_pool_create arg = {
		.pool = self->claim,
		.rights = EXO_RIGHT_ALLOC,
		.frames = frames,
		.minimum = minimum,
	};
	int ret = call(self->root, EXO_POOL_CREATE, &arg);

	return ret ? ret : derive(self->root, arg.out_cap, EXO_RIGHT_ALLOC, self->fd, 0, 0, out);
}

FIXTURE_SETUP(pressure)
{
	__u64 budget, used;
	struct exo_frames_alloc f;

	self->root = session_open();
	self->fd = session_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, claim_pool(self->root, &self->claim));
	ASSERT_EQ(0, pool_query(self->root, self->claim, &budget, &used));
	self->guaranteed = 16 * SET_FRAMES;
	ASSERT_EQ(0, grant(self, self->guaranteed, self->guaranteed, &self->kept));
	ASSERT_EQ(0, grant(self, budget - self->guaranteed, 0, &self->pool));
	ASSERT_EQ(0, events_create(self->fd, 64, &self->events));
	for (used = 0; used < self->guaranteed; used += SET_FRAMES)
		ASSERT_EQ(0, frames_alloc(self->fd, self->kept, EXO_ORDER_4K, SET_FRAMES, ANY_NODE,
					  &f));
	while (self->n < SETS_MAX &&
	       !frames_alloc(self->fd, self->pool, EXO_ORDER_4K, SET_FRAMES, ANY_NODE, &f))
		self->sets[self->n++] = f.out_cap;
	ASSERT_LT(MORE_THAN_THERE_IS / PAGE, self->n * SET_FRAMES);
	self->kills = number_of("/proc/vmstat", "oom_kill");
}

FIXTURE_TEARDOWN(pressure)
{
	close(self->fd);
	close(self->root);
}

static unsigned long too_much(void)
{
	return number_of("/proc/meminfo", "MemAvailable") * 1024 + MORE_THAN_THERE_IS;
}

struct holder {
	FIXTURE_DATA(pressure) * self;
	bool stop;
	unsigned int asked, given;
};

/* Gives what is asked for, its newest sets first. */
static void *comply(void *arg)
{
	struct holder *h = arg;
	struct exo_event e;

	while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE)) {
		__u64 left;

		if (events_next(&h->self->events, &e, 50) || e.type != EXO_EVENT_PRESSURE)
			continue;
		h->asked++;
		for (left = e.value; left && h->self->n;
		     left -= left < SET_FRAMES ? left : SET_FRAMES)
			h->given += !drop(h->self->fd, h->self->sets[--h->self->n]);
	}
	return NULL;
}

TEST_F(pressure, holders_that_comply_save_the_day)
{
	struct holder holder = { .self = self };
	__u32 caps[SETS_MAX];
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, comply, &holder));
	EXPECT_EQ(0, hog(too_much()));
	holder.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(self->kills, number_of("/proc/vmstat", "oom_kill"));
	EXPECT_LT(0, holder.asked);
	EXPECT_LE(MORE_THAN_THERE_IS / 2 / PAGE, holder.given * SET_FRAMES);
	EXPECT_EQ(0, list_marked(self->fd, EXO_LIST_TAKEN, caps, SETS_MAX));
}

TEST_F(pressure, from_those_that_do_not_it_is_taken_above_their_minimum)
{
	struct exo_pool_query kept = { .pool = self->kept }, pool = { .pool = self->pool };
	__u32 caps[SETS_MAX];
	int taken;

	EXPECT_EQ(0, hog(too_much()));
	EXPECT_EQ(self->kills, number_of("/proc/vmstat", "oom_kill"));
	taken = list_marked(self->fd, EXO_LIST_TAKEN, caps, SETS_MAX);
	EXPECT_LT(0, taken);
	TH_LOG("%d of %u sets were taken", taken, self->n);
	ASSERT_EQ(0, call(self->fd, EXO_POOL_QUERY, &kept));
	EXPECT_EQ(self->guaranteed, kept.out_minimum);
	EXPECT_EQ(self->guaranteed, kept.out_allocated);
	ASSERT_EQ(0, call(self->fd, EXO_POOL_QUERY, &pool));
	EXPECT_EQ((self->n - taken) * SET_FRAMES, pool.out_allocated);
}

TEST(a_minimum_comes_out_of_the_minimum_above)
{
	struct exo_pool_create arg = { .rights = EXO_RIGHT_ALLOC, .frames = 100, .minimum = 40 };
	int root = session_open();
	__u32 claim, pool;

	ASSERT_LE(0, root);
	ASSERT_EQ(0, claim_pool(root, &claim));
	arg.pool = claim;
	ASSERT_EQ(0, call(root, EXO_POOL_CREATE, &arg));
	pool = arg.out_cap;
	arg = (struct exo_pool_create){
		.pool = pool, .rights = EXO_RIGHT_ALLOC, .frames = 50, .minimum = 51
	};
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_pool_create, minimum), 51,
		       call(root, EXO_POOL_CREATE, &arg));
	arg.minimum = 41;
	EXPECT_REFUSED(EDQUOT, EXO_REASON_BUDGET, offsetof(struct exo_pool_create, minimum), 41,
		       call(root, EXO_POOL_CREATE, &arg));
	EXPECT_EQ(40, last.limit);
	arg.minimum = 30;
	ASSERT_EQ(0, call(root, EXO_POOL_CREATE, &arg));
	arg.minimum = 11;
	EXPECT_EQ(-EDQUOT, call(root, EXO_POOL_CREATE, &arg));
	EXPECT_EQ(10, last.limit);
	/* It goes back with its pool, as the budget does. */
	ASSERT_EQ(0, drop(root, arg.out_cap));
	arg.minimum = 40;
	EXPECT_EQ(0, call(root, EXO_POOL_CREATE, &arg));
	close(root);
}

TEST_HARNESS_MAIN
