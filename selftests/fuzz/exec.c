// SPDX-License-Identifier: MIT
/*
 * See exec.h: the calls of the ABI, and what is around a run.
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "exec.h"

#define WAIT_MAX_NS 30000000ull
#define ALARM_US 200000 /* for EXO_WAIT_FOREVER */

__thread sigjmp_buf exec_gone;
__thread volatile sig_atomic_t exec_armed;
__thread char *exec_argument;

static struct {
	pthread_t thread;
	sem_t start, end;
	struct run *run;
	unsigned int from;
} helper;

static void on_fault(int signal)
{
	if (exec_armed)
		siglongjmp(exec_gone, 1);
	/* The program's own: die of it. */
	sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

/* The kernel gives it to one thread, the first. */
static void on_alarm(int signal)
{
	if (exec_argument == memory_argument(0))
		pthread_kill(helper.thread, signal);
}

/* ---- values ---- */

static __u64 value_of(const struct run *run, const struct value *v)
{
	const struct made *made = &run->made[v->index % OPS_MAX];

	switch (v->kind) {
	case V_MADE:
		return made->cap;
	case V_MAP:
		return made->map + v->n;
	case V_BUFFER:
		return made->buffer + v->n;
	case V_SESSION:
		return (__u64)run->fd[v->index % SESSIONS];
	case V_ADDRESS:
		return (__u64)(uintptr_t)memory_area(run, v->index) + (v->n & 0xffff);
	case V_LATER:
		return now_ns() + v->n % 100000 * 1000;
	default:
		return v->n;
	}
}

/* A descriptor is a session's, or the eventfd, or none that the program needs. */
static __u64 descriptor_of(const struct run *run, const struct value *v)
{
	__u32 n = (__u32)v->n;

	if (v->kind == V_SESSION)
		return value_of(run, v);
	return n < 0x10000 && n != EXEC_EVENTFD ? n | 0x4000 : n;
}

static void store(char *argument, const struct field *f, const struct run *run,
		  const struct value *v)
{
	__u64 n = f->kind == F_SESSION ? descriptor_of(run, v) : value_of(run, v);

	if (f->kind == F_TOKEN && v->kind == V_MADE)
		memcpy(argument + f->offset, run->made[v->index % OPS_MAX].token, 16);
	else
		memcpy(argument + f->offset, &n, f->bytes < 8 ? f->bytes : 8);
}

/* ---- calls ---- */

/* Nothing takes long, and root's runs leave others their blocks and their memory. */
static void restrain(const struct run *run, unsigned int cmd, void *argument)
{
	struct exo_wait *wait = argument;
	struct exo_revoke *revoke = argument;
	struct exo_claim *claim = argument;
	__u64 latest = now_ns() + WAIT_MAX_NS;

	if (cmd == EXO_WAIT && wait->deadline > latest &&
	    (wait->deadline != EXO_WAIT_FOREVER || exec_argument != memory_argument(0)))
		wait->deadline = latest;
	if (cmd == EXO_REVOKE)
		revoke->timeout_ms &= 31;
	if (cmd == EXO_CLAIM && claim->type == EXO_TYPE_POOL && !claim->address)
		claim->type = 99;
	if (cmd == EXO_CLAIM && claim->address == run->world->address[0])
		claim->address = run->world->address[1];
}

static void keep(struct run *run, unsigned int i, int fd, const struct op_type *type,
		 const char *argument)
{
	struct made *made = &run->made[i];

	if (type->out_cap)
		memcpy(&made->cap, argument + type->out_cap, 4);
	if (type->out_map)
		memcpy(&made->map, argument + type->out_map, 8);
	if (type->out_buffer)
		memcpy(&made->buffer, argument + type->out_buffer, 8);
	if (type->out_token)
		memcpy(made->token, argument + type->out_token, 16);
	if (type->cmd == EXO_QUEUE_CREATE)
		memory_of_queue(run, i, fd, (const void *)argument);
	if (type->cmd == EXO_EVENTS_CREATE)
		memory_of_events(run, i, fd, (const void *)argument);
	if (type->cmd == EXO_FRAMES_ALLOC)
		memory_of_frames(run, i, fd, (const void *)argument);
}

/* Where the argument lies, @from has what is to be there. */
static char *place(const struct run *run, const struct value *at, const char *from, size_t size)
{
	char *to = (char *)(uintptr_t)value_of(run, at);

	if (at->kind == V_NUMBER && !at->n)
		return exec_argument;
	if (at->kind == V_ADDRESS && at->index != AREA_KERNEL)
		TRY(memcpy(to, from, size));
	return to;
}

static void call_abi(struct run *run, unsigned int i)
{
	const struct op *op = &run->in->op[i];
	const struct op_type *type = &op_types[op->type];
	char own[1024] __attribute__((aligned(8))) = { 0 }, *at;
	unsigned int f, n = fields_of(type);
	struct exo_info *head = (void *)own;
	int fd = run->fd[op->session];

	for (f = 0; f < n; f++)
		store(own, &type->field[f], run, &op->v[f]);
	if (op->v[0].kind == V_NUMBER && !op->v[0].n)
		head->size = type->size;
	if (op->v[2].kind == V_NUMBER && !op->v[2].n)
		head->detail = (uintptr_t)(exec_argument + 2048);
	restrain(run, type->cmd, own);
	memcpy(exec_argument, own, sizeof(own));
	at = place(run, &op->v[3], own, type->size);
	if (ioctl(fd, type->cmd, at))
		return;
	/* A thread may have taken the memory away from under the answer. */
	TRY(memcpy(own, at, type->size));
	keep(run, i, fd, type, own);
}

/* Any bytes to any number; not to what restrain() knows. */
static void call_noise(struct run *run, int fd, const __u64 *n, const struct value *where)
{
	unsigned int i, nr = (unsigned int)n[0] & 0xff, size = (unsigned int)n[1] & 0x3ff;
	__u64 state = n[2];
	char own[1024];

	if (nr == _IOC_NR(EXO_CLAIM) || nr == _IOC_NR(EXO_WAIT) || nr == _IOC_NR(EXO_REVOKE))
		nr = 0x5f;
	for (i = 0; i < sizeof(own); i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		own[i] = (char)(state >> 60 ? state >> 33 : 0);
	}
	memcpy(own, &size, sizeof(size));
	memcpy(exec_argument, own, sizeof(own));
	if (ioctl(fd, _IO(EXO_IOC_MAGIC, nr), place(run, where, own, sizeof(own))))
		return;
}

static void special(struct run *run, const struct op *op)
{
	const struct op_type *type = &op_types[op->type];
	unsigned int f, fields = fields_of(type);
	__u64 n[FIELDS_MAX] = { 0 };

	for (f = 0; f < fields; f++)
		n[f] = value_of(run, &op->v[f]);
	if (type->special == OP_NOISE)
		call_noise(run, run->fd[op->session], n, &op->v[3]);
	else
		special_run(run, op, n);
}

static void one(struct run *run, unsigned int i)
{
	const struct op *op = &run->in->op[i];

	if (op_types[op->type].cmd)
		call_abi(run, i);
	else
		special(run, op);
}

/* ---- the second thread ---- */

static void *help(void *unused)
{
	unsigned int i;

	(void)unused;
	exec_argument = memory_argument(1);
	for (;;) {
		while (sem_wait(&helper.start))
			;
		for (i = helper.from; i < helper.run->in->n; i++)
			if (op_types[helper.run->in->op[i].type].special != OP_FORK)
				one(helper.run, i);
		sem_post(&helper.end);
	}
	return NULL;
}

static int helper_init(void)
{
	if (sem_init(&helper.start, 0, 0) || sem_init(&helper.end, 0, 0))
		return -errno;
	return -pthread_create(&helper.thread, NULL, help, NULL);
}

/* ---- runs ---- */

int executor_init(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct sigaction alarm = { .sa_handler = on_alarm };
	struct itimerval timer = { { 0, ALARM_US }, { 0, ALARM_US } };
	int ret = memory_init();

	if (ret)
		return ret;
	exec_argument = memory_argument(0);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGALRM, &alarm, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (dup2(eventfd(0, EFD_NONBLOCK), EXEC_EVENTFD) < 0)
		return -errno;
	ret = helper_init();
	if (!ret && setitimer(ITIMER_REAL, &timer, NULL))
		ret = -errno;
	return ret;
}

static void run_ops(struct run *run)
{
	bool two = false;
	unsigned int i;

	for (i = 0; i < run->in->n; i++) {
		if (op_types[run->in->op[i].type].special != OP_BOTH) {
			one(run, i);
			continue;
		}
		if (two)
			continue;
		two = true;
		helper.run = run;
		helper.from = i + 1;
		sem_post(&helper.start);
	}
	while (two && sem_wait(&helper.end))
		;
}

/* The next that open() would return. */
static int next_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

/* Sessions, and what was exported. */
static void close_from(int first)
{
	if (first >= 0)
		close_range(first, EXEC_EVENTFD - 1, 0);
}

void executor_run(const struct world *world, const struct input *in)
{
	int first = next_descriptor();
	static struct run run;

	memset(&run, 0, sizeof(run));
	run.world = world;
	run.in = in;
	memory_reset();
	if (!world_begin(world, run.fd))
		run_ops(&run);
	close_from(first);
	memory_reset();
}
