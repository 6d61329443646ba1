// SPDX-License-Identifier: MIT
/*
 * Answers that are not accepted: the program lets the kernel wait, for as long as it likes,
 * where the answer is to go (userfaultfd). What the call made is taken back all the same,
 * and the call ends with a refusal.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <kselftest_harness.h>

#include "lib.h"

#define SOON_MS 5000

/* A call whose answer goes to a page that is not to be written. */
struct stalled {
	int uffd;
	char *page;
	int fd;
	unsigned int cmd;
	pthread_t thread;
	int ret;
	struct exo_detail why;
};

static int stalled_open(struct stalled *s)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };

	s->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (s->uffd < 0)
		return -errno;
	s->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->page == MAP_FAILED)
		return -errno;
	s->page[0] = 1;
	reg.range.start = (uintptr_t)s->page;
	reg.range.len = PAGE;
	if (ioctl(s->uffd, UFFDIO_API, &api) || ioctl(s->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	return 0;
}

static int stalled_protect(struct stalled *s, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)s->page, PAGE },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(s->uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

static void *stalled_run(void *arg)
{
	struct stalled *s = arg;

	s->ret = ioctl(s->fd, s->cmd, s->page) ? -errno : 0;
	return NULL;
}

/* Returns once the kernel waits for somebody to let it write. */
static int stalled_begin(struct stalled *s, int fd, unsigned int cmd, const void *arg, __u32 size)
{
	struct exo_info *head = (void *)s->page; /* all begin alike */
	struct pollfd p = { .fd = s->uffd, .events = POLLIN };
	struct uffd_msg msg;
	int ret;

	memcpy(s->page, arg, size);
	head->size = size;
	head->detail = (uintptr_t)&s->why;
	s->fd = fd;
	s->cmd = cmd;
	memset(&s->why, 0, sizeof(s->why));
	ret = stalled_protect(s, true);
	if (ret || pthread_create(&s->thread, NULL, stalled_run, s))
		return ret ? ret : -EAGAIN;
	if (poll(&p, 1, SOON_MS) != 1 || read(s->uffd, &msg, sizeof(msg)) != sizeof(msg))
		return -ETIMEDOUT;
	return msg.event == UFFD_EVENT_PAGEFAULT ? 0 : -EPROTO;
}

/* Lets it write: what the call returned. */
static int stalled_end(struct stalled *s)
{
	int ret = stalled_protect(s, false);

	if (ret || pthread_join(s->thread, NULL))
		return -EDEADLK;
	return s->ret;
}

FIXTURE(stalled)
{
	struct tenant t;
	struct stalled s;
	__u64 used;
};

FIXTURE_SETUP(stalled)
{
	int ret = stalled_open(&self->s);

	if (ret == -ENOSYS || ret == -EINVAL)
		SKIP(return, "no userfaultfd here: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
	TENANT_SETUP(&self->t, "exo0");
	self->used = frames_used(self->t.grantor);
	ASSERT_EQ(0, become_nobody());
}

FIXTURE_TEARDOWN(stalled)
{
	close(self->s.uffd);
	tenant_destroy(&self->t);
}

#define BEGIN(cmd, arg) ASSERT_EQ(0, stalled_begin(&self->s, self->t.fd, cmd, &(arg), sizeof(arg)))

#define EXPECT_ENDED(err, why_)                               \
	do {                                                  \
		EXPECT_EQ(-(err), stalled_end(&self->s));     \
		EXPECT_EQ((__u32)(why_), self->s.why.reason); \
	} while (0)

static int revoke_pool(FIXTURE_DATA(stalled) * self, __u64 frames, struct exo_revoke *out)
{
	return cap_revoke(self->t.grantor, self->t.root_pool, 0, frames, out);
}

TEST_F(stalled, frames_are_free_again_when_their_pool_was_taken)
{
	struct exo_frames_alloc arg = { .pool = self->t.pool, .count = 8, .node = ANY_NODE };

	BEGIN(EXO_FRAMES_ALLOC, arg);
	EXPECT_EQ(self->used + 8, frames_used(self->t.grantor));
	EXPECT_EQ(0, revoke_pool(self, 0, NULL));
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
	EXPECT_ENDED(ESTALE, EXO_REASON_STALE);
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
}

TEST_F(stalled, frames_are_among_the_so_many_of_a_pool)
{
	struct exo_frames_alloc arg = { .pool = self->t.pool, .count = 8, .node = ANY_NODE };
	struct exo_revoke r = {};

	BEGIN(EXO_FRAMES_ALLOC, arg);
	EXPECT_EQ(0, revoke_pool(self, 8, &r));
	EXPECT_EQ(8, r.out_frames);
	EXPECT_EQ(1, r.out_taken);
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
	EXPECT_ENDED(ESTALE, EXO_REASON_STALE);
	/* The pool is the tenant's as before. */
	EXPECT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 1, ANY_NODE, &arg));
}

TEST_F(stalled, a_pool_gives_its_budget_back)
{
	struct exo_pool_create arg = {
		.pool = self->t.pool,
		.rights = EXO_RIGHT_ALLOC,
		.frames = TENANT_FRAMES / 2,
	};
	__u64 budget, before, used;

	ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, &budget, &before));
	BEGIN(EXO_POOL_CREATE, arg);
	ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, &budget, &used));
	EXPECT_EQ(before + arg.frames, used);
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->t.pool, 0, 0, NULL));
	ASSERT_EQ(0, pool_query(self->t.fd, self->t.pool, &budget, &used));
	EXPECT_EQ(before, used);
	EXPECT_ENDED(ESTALE, EXO_REASON_STALE);
}

TEST_F(stalled, a_queue_is_deleted_with_its_controller)
{
	struct exo_queue_create arg = { .controller = self->t.controller, .depth = 8 };
	struct exo_controller_query before, after;

	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &before));
	BEGIN(EXO_QUEUE_CREATE, arg);
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &after));
	EXPECT_EQ(before.out_queues_used + 1, after.out_queues_used);
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->t.controller, 0, 0, NULL));
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &after));
	EXPECT_EQ(before.out_queues_used, after.out_queues_used);
	EXPECT_EQ(before.out_vectors_used, after.out_vectors_used);
	EXPECT_ENDED(ESTALE, EXO_REASON_STALE);
}

TEST_F(stalled, a_controller_gives_its_queues_back)
{
	struct exo_controller_create arg = {
		.controller = self->t.controller,
		.rights = EXO_RIGHT_QUEUE,
		.queues = 1,
	};
	struct exo_controller_query before, after;

	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &before));
	BEGIN(EXO_CONTROLLER_CREATE, arg);
	ASSERT_EQ(0, cap_revoke(self->t.fd, self->t.controller, 0, 0, NULL));
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &after));
	EXPECT_EQ(before.out_queues_used, after.out_queues_used);
	EXPECT_ENDED(ESTALE, EXO_REASON_STALE);
}

TEST_F(stalled, a_child_does_not_keep_the_frames_of_its_parent)
{
	struct exo_cap_derive arg = { .rights = EXO_RIGHT_READ, .session_fd = EXO_SESSION_SELF };
	struct exo_frames_alloc f;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, ANY_NODE, &f));
	arg.cap = f.out_cap;
	BEGIN(EXO_CAP_DERIVE, arg);
	EXPECT_EQ(0, revoke_pool(self, 0, NULL));
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
	EXPECT_ENDED(ESTALE, EXO_REASON_STALE);
}

TEST_F(stalled, a_redemption_does_not_keep_the_frames_of_its_token)
{
	struct exo_token_redeem arg = {};
	struct exo_frames_alloc f;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, ANY_NODE, &f));
	ASSERT_EQ(0, token_create(self->t.fd, f.out_cap, EXO_RIGHT_READ, 1, arg.token));
	BEGIN(EXO_TOKEN_REDEEM, arg);
	EXPECT_EQ(0, revoke_pool(self, 0, NULL));
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
	EXPECT_ENDED(ENOENT, EXO_REASON_TOKEN);
}

TEST_F(stalled, its_number_reaches_nothing_before_the_answer)
{
	struct exo_cap_derive arg = { .rights = EXO_RIGHT_READ, .session_fd = EXO_SESSION_SELF };
	struct exo_cap_derive *answer = (void *)self->s.page;
	struct exo_frames_alloc f;
	struct exo_cap_query q;
	__u32 id, caps[64];
	int held;

	ASSERT_EQ(0, frames_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 8, ANY_NODE, &f));
	held = list(self->t.fd, caps, 64);
	arg.cap = f.out_cap;
	BEGIN(EXO_CAP_DERIVE, arg);
	EXPECT_EQ(held, list(self->t.fd, caps, 64));
	for (id = 1; id < 64; id++)
		if (id != f.out_cap && query(self->t.fd, id, &q) == -ENOENT)
			EXPECT_EQ(-ENOENT, drop(self->t.fd, id));
	EXPECT_EQ(0, stalled_end(&self->s));
	EXPECT_EQ(0, query(self->t.fd, answer->out_cap, &q));
	EXPECT_EQ(held + 1, list(self->t.fd, caps, 64));
}

TEST_F(stalled, accepted_while_all_is_asked_back_it_is_refused)
{
	struct exo_frames_alloc arg = { .pool = self->t.pool, .count = 8, .node = ANY_NODE };
	struct exo_cap_query q;
	int status;
	pid_t pid;

	BEGIN(EXO_FRAMES_ALLOC, arg);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-cap_revoke(self->t.grantor, self->t.root_pool, 1000, 0, NULL));
	do {
		ASSERT_EQ(0, query(self->t.fd, self->t.pool, &q));
	} while (!q.out_deadline);
	EXPECT_ENDED(EBUSY, EXO_REASON_REVOKING);
	EXPECT_EQ(self->used, frames_used(self->t.grantor));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
