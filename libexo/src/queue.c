// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Queues: making one, submitting, and the slow ways beside the inline hot path
 * of <libexo/queue.h>.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"

#define DEPTH_DEFAULT 128
#define CONTROL_PAGE 4096 /* before the entries, in either mapping */
#define SPIN_DEFAULT_NS 30000
#define THREAD_DEFAULT_IDLE_US 1000

/* The stack of command identifiers, full, the lowest on top. */
void exo_cids_init(struct exo_queue *q)
{
	for (uint32_t i = 0; i < q->depth; i++)
		q->cids[i] = q->depth - 1 - i;
	q->free = q->depth;
}

static int read_options(struct exo *x, const struct exo_queue_options *from,
			struct exo_queue_options *to)
{
	int r;

	memset(to, 0, sizeof(*to));
	r = from ? exo_options_copy(to, sizeof(*to), from) : 0;
	if (r == -E2BIG)
		return exo_fail(
			x, r, NULL,
			"the queue options use a field that this version of libexo does not "
			"know");
	if (r)
		return exo_fail(x, r, NULL,
				"the queue options have size %u: set it to sizeof(struct "
				"exo_queue_options)",
				from->size);
	if (to->mode > EXO_QUEUE_UNSAFE)
		return exo_fail(x, -EOPNOTSUPP, NULL, "queue mode %u is unknown", to->mode);
	if (to->mode != EXO_QUEUE_CHECKED && to->flags & EXO_QUEUE_THREAD)
		return exo_fail(x, -EINVAL, NULL,
				"a direct or unsafe queue has no thread: its commands go to the "
				"device");
	if (to->flags & ~(EXO_QUEUE_POLLED | EXO_QUEUE_THREAD))
		return exo_fail(x, -EOPNOTSUPP, NULL, "queue flags %#x are unknown", to->flags);
	if (!(to->flags & EXO_QUEUE_THREAD) &&
	    (to->thread_cpu || to->thread_percent || to->thread_idle_us))
		return exo_fail(x, -EINVAL, NULL,
				"options of a thread are set for a queue without one: "
				"EXO_QUEUE_THREAD asks for it");
	if (to->flags & EXO_QUEUE_POLLED && to->irq_cpu)
		return exo_fail(x, -EINVAL, NULL,
				"irq_cpu is set for a queue without interrupts "
				"(EXO_QUEUE_POLLED)");
	if (to->times > 1)
		return exo_fail(x, -EINVAL, NULL, "the queue option times is %u: it may be 0 or 1",
				to->times);
	if (!to->spin_ns)
		to->spin_ns = SPIN_DEFAULT_NS;
	else if (to->spin_ns == EXO_SPIN_NONE)
		to->spin_ns = 0;
	if (!to->depth)
		to->depth = x->depth_max < DEPTH_DEFAULT ? x->depth_max : DEPTH_DEFAULT;
	if (to->depth > x->depth_max)
		return exo_fail(
			x, -EINVAL, NULL,
			"a depth of %u is more than the %u commands that a queue of %s can hold",
			to->depth, x->depth_max, x->address);
	return 0;
}

static int create(struct exo *x, const struct exo_queue_options *options,
		  struct exo_queue_create *arg)
{
	struct exo_detail detail = { 0 };
	int r;

	memset(arg, 0, sizeof(*arg));
	arg->detail = exo_sys_address(&detail);
	arg->controller = x->controller;
	arg->flags = options->flags;
	arg->mode = options->mode;
	arg->depth = options->depth;
	arg->priority = options->priority;
	if (options->flags & EXO_QUEUE_THREAD) {
		arg->thread_cpu = options->thread_cpu - EXO_THREAD_ON(0);
		arg->thread_percent = options->thread_percent ? options->thread_percent : 100;
		arg->thread_idle_us = options->thread_idle_us ? options->thread_idle_us
							      : THREAD_DEFAULT_IDLE_US;
	}
	if (options->irq_cpu) {
		arg->flags |= EXO_QUEUE_IRQ_CPU;
		arg->irq_cpu = options->irq_cpu - EXO_IRQ_ON(0);
	}
	if (options->node) {
		arg->flags |= EXO_QUEUE_NODE;
		arg->node = options->node - EXO_NODE_ON(0);
	}
	r = exo_sys_queue_create(x->fd, arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot create a %squeue of depth %u on %s",
				options->mode == EXO_QUEUE_UNSAFE   ? "unsafe "
				: options->mode == EXO_QUEUE_DIRECT ? "direct "
								    : "",
				options->depth, x->address);
	return 0;
}

static void drop_queue(struct exo *x, uint32_t cap)
{
	struct exo_cap_drop drop = { .cap = cap };

	exo_sys_cap_drop(x->fd, &drop);
}

/* The queue and its arrays, in one piece of memory. */
struct exo_queue_private *exo_queue_alloc(uint32_t depth, bool times)
{
	size_t user_data = depth * sizeof(uint64_t), cids = depth * sizeof(uint16_t);
	size_t stamps = times ? depth * sizeof(struct exo_times) : 0;
	struct exo_queue_private *p = calloc(1, sizeof(*p) + user_data + stamps + cids);

	if (!p)
		return NULL;
	p->q.depth = depth;
	p->q.user_data = (uint64_t *)(p + 1);
	if (times)
		p->q.times = (struct exo_times *)(p->q.user_data + depth);
	p->q.cids = (uint16_t *)((char *)(p->q.user_data + depth) + stamps);
	exo_cids_init(&p->q);
	return p;
}

static int map_rings(struct exo *x, struct exo_queue_private *p, const struct exo_queue_create *arg)
{
	p->rw_size = arg->out_rw_size;
	p->ro_size = arg->out_ro_size;
	p->rw = mmap(NULL, p->rw_size, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd,
		     arg->out_mmap_offset);
	if (p->rw == MAP_FAILED)
		return exo_fail(x, -errno, NULL, "cannot map the submission ring of a queue: %s",
				exo_errno_meaning(errno));
	p->ro = mmap(NULL, p->ro_size, PROT_READ, MAP_SHARED, x->fd,
		     arg->out_mmap_offset + arg->out_rw_size);
	if (p->ro == MAP_FAILED) {
		int r = -errno;

		munmap(p->rw, p->rw_size);
		return exo_fail(x, r, NULL, "cannot map the completion queue of a queue: %s",
				exo_errno_meaning(r));
	}
	return 0;
}

static void unmap_rings(struct exo_queue_private *p)
{
	munmap(p->rw, p->rw_size);
	munmap(p->ro, p->ro_size);
}

/* What the inline functions need, from what the kernel answered. */
static int set_up(struct exo *x, struct exo_queue_private *p, const struct exo_queue_create *arg)
{
	struct exo_queue *q = &p->q;

	q->control = p->rw;
	q->sq = (void *)((char *)p->rw + CONTROL_PAGE);
	q->status = p->ro;
	q->cq = (void *)((char *)p->ro + CONTROL_PAGE);
	q->mask = arg->out_entries - 1;
	q->block_shift = x->block_shift;
	q->threaded = arg->flags & EXO_QUEUE_THREAD;
	q->first_qword = (uint64_t)x->nsid << 32;
	q->first = x->start;
	q->submit.size = sizeof(q->submit);
	q->submit.detail = exo_sys_address(&q->detail);
	q->submit.queue = arg->out_cap;
	p->x = x;
	p->cap = arg->out_cap;
	p->qid = arg->out_qid;
	p->completion = arg->out_completion;
	q->detour = q->threaded || q->times || arg->mode != EXO_QUEUE_CHECKED;
	if (arg->mode == EXO_QUEUE_CHECKED || !exo_direct_init(q, p->rw, arg))
		return 0;
	return exo_fail(x, -ENOMEM, NULL, "no memory for a direct queue");
}

static int attach_extent(struct exo *x, uint32_t queue)
{
	struct exo_detail detail = { 0 };
	struct exo_queue_attach arg = {
		.detail = exo_sys_address(&detail),
		.queue = queue,
		.extent = x->extent,
	};
	int r = exo_sys_queue_attach(x->fd, &arg);

	if (r)
		return exo_fail(x, r, &detail, "cannot attach the extent to a queue");
	return 0;
}

/* From here on the handle knows the queue, and the queue the handle's buffers. */
int exo_queue_enlist(struct exo *x, struct exo_queue_private *p)
{
	int r;

	pthread_mutex_lock(&x->lock);
	r = exo_buf_reserve(x);
	if (!r) {
		p->q.buf_base = x->buf_base;
		p->q.buf_delta = x->buf_delta;
		p->q.buf_chunks = x->buf_chunks;
		p->next = x->queues;
		x->queues = p;
	}
	pthread_mutex_unlock(&x->lock);
	if (r)
		return exo_fail(x, r, NULL, "no range of addresses can be reserved for buffers");
	return 0;
}

int exo_module_queue_open(struct exo *x, const struct exo_queue_options *options,
			  struct exo_queue **out)
{
	struct exo_queue_private *p;
	struct exo_queue_create arg;
	int r;

	r = create(x, options, &arg);
	if (r)
		return r;
	p = exo_queue_alloc(options->depth, options->times);
	if (!p) {
		r = exo_fail(x, -ENOMEM, NULL, "no memory for a queue of depth %u", options->depth);
		goto out_drop;
	}
	r = map_rings(x, p, &arg);
	if (r)
		goto out_free;
	r = set_up(x, p, &arg);
	p->spin_ns = options->spin_ns;
	if (!r && !p->q.direct)
		r = attach_extent(x, arg.out_cap);
	if (!r)
		r = exo_queue_enlist(x, p);
	if (r)
		goto out_unmap;
	/* Then exo_buf_offset() gives an address back as it is. */
	if (options->mode == EXO_QUEUE_UNSAFE)
		p->q.buf_chunks = 0;
	*out = &p->q;
	return 0;

out_unmap:
	free(p->q.direct);
	unmap_rings(p);
out_free:
	free(p);
out_drop:
	drop_queue(x, arg.out_cap);
	return r;
}

void exo_module_queue_close(struct exo_queue_private *p)
{
	if (p->cap)
		drop_queue(p->x, p->cap);
	unmap_rings(p);
	free(p->q.direct);
	free(p);
}

int exo_queue_create(struct exo *x, const struct exo_queue_options *from, struct exo_queue **out)
{
	struct exo_queue_options options;
	int r;

	*out = NULL;
	r = exo_check_held(x, EXO_TYPE_CONTROLLER);
	if (!r)
		r = exo_check_held(x, EXO_TYPE_EXTENT);
	if (!r)
		r = read_options(x, from, &options);
	return r ? r : x->backend->queue_open(x, &options, out);
}

/* The kernel waits for the commands of the others. */
static void drain(struct exo_queue *q)
{
	struct exo_completion done;

	while (exo_queue_in_flight(q) && exo_wait(q, &done, 1, -1) > 0)
		;
}

void exo_queue_destroy(struct exo_queue *q)
{
	struct exo_queue_private *p = q ? exo_queue_private(q) : NULL, **at;

	if (!p)
		return;
	if (q->direct)
		drain(q);
	pthread_mutex_lock(&p->x->lock);
	for (at = &p->x->queues; *at; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		break;
	}
	pthread_mutex_unlock(&p->x->lock);
	p->x->backend->queue_close(p);
}

const char *exo_queue_mode(const struct exo_queue *q)
{
	if (q->emulated)
		return "emulated, no isolation";
	if (q->direct)
		return exo_direct_is_unsafe(q) ? "unsafe" : "direct";
	return "checked";
}

const char *exo_queue_completion(const struct exo_queue *q)
{
	return exo_queue_private(q)->completion == EXO_COMPLETION_INTERRUPT ? "interrupt"
									    : "polled";
}

/* False: there is no queue to ask about. */
static bool query(const struct exo_queue *q, struct exo_queue_query *about)
{
	*about = (struct exo_queue_query){ .queue = exo_queue_cap(q) };
	return !q->emulated && !exo_sys_queue_query(exo_queue_private(q)->x->fd, about);
}

int exo_queue_irq_cpu(const struct exo_queue *q)
{
	struct exo_queue_query about;

	return query(q, &about) ? (int)about.out_irq_cpu : -1;
}

int exo_queue_node(const struct exo_queue *q)
{
	struct exo_queue_query about;

	return query(q, &about) ? about.out_node : -1;
}

int exo_queue_priority(const struct exo_queue *q)
{
	struct exo_queue_query about;

	return query(q, &about) ? (int)about.out_priority : -1;
}

uint32_t exo_queue_cap(const struct exo_queue *q)
{
	return exo_queue_private(q)->cap;
}

uint32_t exo_queue_id(const struct exo_queue *q)
{
	return exo_queue_private(q)->qid;
}

struct exo *exo_queue_handle(const struct exo_queue *q)
{
	return exo_queue_private(q)->x;
}

/* Is the extent gone, dispatched or not? */
static bool extent_is_stale(struct exo *x)
{
	struct exo_cap_query about = { .cap = x->extent };

	if (x->uring)
		return false;
	return x->fates[EXO_TYPE_EXTENT] != EXO_HELD || exo_sys_cap_query(x->fd, &about) == -ESTALE;
}

/*
 * A refusal because something was given up or taken is not the command's fault: the
 * kernel, which sees that it is not there, does not know that it ever was. Returns
 * what it was and what became of it, or NULL.
 */
static const char *what_went(struct exo_queue *q, const struct exo_nvme_command *command,
			     const char **fate)
{
	struct exo_queue_private *p = exo_queue_private(q);
	enum exo_fate how = p->fate;

	*fate = exo_fate_text(EXO_TAKEN);
	if (how != EXO_HELD)
		return "the queue";
	if (command && q->detail.reason == EXO_REASON_BUFFER) {
		how = exo_buf_fate(p->x, command->prp1);
		*fate = exo_fate_text(how);
		return how == EXO_HELD ? NULL : "its buffer";
	}
	if (q->detail.reason != EXO_REASON_NSID && q->detail.reason != EXO_REASON_LBA)
		return NULL;
	return extent_is_stale(p->x) ? "the extent" : NULL;
}

/* Say which command was refused and why. Out of line: it is the rare case. */
static int __attribute__((noinline, cold)) refused(struct exo_queue *q, int result)
{
	const char *gone, *fate;
	const struct exo_nvme_command *command = exo_prepared(q, 0, NULL);
	struct exo_queue_private *p = exo_queue_private(q);
	char what[128] = "submission";

	if (result == -ESTALE || result == -ENODEV)
		return exo_queue_fail(q, result, &q->detail, "the queue is dead");
	if (command && q->detail.reason >= EXO_REASON_OPCODE &&
	    q->detail.reason <= EXO_REASON_RANGE_BITS)
		exo_describe_command(what, sizeof(what), command, q->first);
	gone = what_went(q, command, &fate);
	if (gone)
		return exo_queue_fail(q, result ? -ESTALE : 0, NULL, "%s refused: %s %s", what,
				      gone, fate);
	if (q->detail.reason == EXO_REASON_LBA)
		return exo_queue_fail(q, result, &q->detail,
				      "%s refused (the extent is %llu blocks from LBA %llu of "
				      "namespace %u)",
				      what, (unsigned long long)p->x->blocks,
				      (unsigned long long)p->x->start, p->x->nsid);
	return exo_queue_fail(q, result, &q->detail, "%s refused", what);
}

static int submit_call(struct exo_queue *q)
{
	q->detail.reason = EXO_REASON_NONE;
	q->submit.out_accepted = 0;
	return ioctl(exo_queue_private(q)->x->fd, EXO_QUEUE_SUBMIT, &q->submit) ? -errno : 0;
}

static uint32_t taken(const struct exo_queue *q)
{
	return __atomic_load_n(&q->status->sq_head, __ATOMIC_ACQUIRE);
}

bool exo_stuck(const struct exo_queue *q)
{
	return q->threaded &&
	       __atomic_load_n(&q->status->thread, __ATOMIC_ACQUIRE) != EXO_THREAD_RUNNING &&
	       taken(q) != q->sq_head && exo_queue_alive(q);
}

/* Those before @end that the thread has not taken. A refused one and those behind it are prepared again. */
static int __attribute__((noinline)) submit_past_thread(struct exo_queue *q, uint32_t end)
{
	uint32_t handed_over = q->sq_head;
	int r;

	q->sq_head = taken(q);
	r = submit_call(q);
	q->sq_head = taken(q);
	if (r)
		return refused(q, r);
	if (q->sq_head != end)
		refused(q, 0);
	r = (int)(q->sq_head - handed_over);
	return r > 0 ? r : 0;
}

/* Nobody but the library takes them. */
static int __attribute__((noinline)) submit_emulated(struct exo_queue *q, uint32_t prepared)
{
	int r;

	q->detail.reason = EXO_REASON_NONE;
	r = exo_queue_private(q)->x->backend->submit(q);
	if (r < 0)
		return refused(q, r);
	q->sq_head += r;
	if ((uint32_t)r != prepared)
		refused(q, 0);
	return r;
}

/* No system call while the thread looks. Pairs with the barrier between what it says and its look. */
static int submit_to_thread(struct exo_queue *q, uint32_t prepared)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(q->status->thread == EXO_THREAD_RUNNING, 1)) {
		q->sq_head = q->sq_tail;
		return prepared;
	}
	if (q->emulated)
		return submit_emulated(q, prepared);
	return prepared || exo_stuck(q) ? submit_past_thread(q, q->sq_tail) : 0;
}

/* What is only prepared stays that: the tail in the ring is not moved. */
int exo_unstick(struct exo_queue *q)
{
	return submit_past_thread(q, q->sq_head);
}

static inline int submit_by_call(struct exo_queue *q, uint32_t prepared)
{
	int r;

	__atomic_store_n(&q->control->sq_tail, q->sq_tail, __ATOMIC_RELEASE);
	r = submit_call(q);
	if (__builtin_expect(r, 0))
		return refused(q, r);
	q->sq_head += q->submit.out_accepted;
	if (__builtin_expect(q->submit.out_accepted != prepared, 0))
		refused(q, 0);
	return q->submit.out_accepted;
}

/* Whatever a plain checked queue need not look for. */
static int __attribute__((noinline)) submit_by_detour(struct exo_queue *q, uint32_t prepared)
{
	if (!prepared && !q->threaded)
		return 0;
	if (q->times)
		exo_stamp_submitted(q);
	if (q->direct)
		return exo_direct_submit(q);
	if (!q->threaded)
		return submit_by_call(q, prepared);
	__atomic_store_n(&q->control->sq_tail, q->sq_tail, __ATOMIC_RELEASE);
	return submit_to_thread(q, prepared);
}

int exo_submit(struct exo_queue *q)
{
	uint32_t prepared = q->sq_tail - q->sq_head;

	if (__builtin_expect(q->detour, 0))
		return submit_by_detour(q, prepared);
	return prepared ? submit_by_call(q, prepared) : 0;
}

struct exo_nvme_command *exo_prepared(struct exo_queue *q, unsigned int index, uint64_t *user_data)
{
	struct exo_nvme_command *command;

	if (index >= exo_queue_prepared(q))
		return NULL;
	command = &q->sq[(q->sq_head + index) & q->mask];
	if (user_data)
		*user_data = command->cid < q->depth ? q->user_data[command->cid] : 0;
	return command;
}

unsigned int exo_withdraw(struct exo_queue *q, unsigned int keep)
{
	unsigned int n = 0;

	while (exo_queue_prepared(q) > keep) {
		uint16_t cid = q->sq[--q->sq_tail & q->mask].cid;

		if (cid < q->depth && q->free < q->depth)
			q->cids[q->free++] = cid;
		n++;
	}
	/* Back only: what was prepared and is kept was not handed over. */
	if ((int32_t)(q->control->sq_tail - q->sq_tail) > 0)
		__atomic_store_n(&q->control->sq_tail, q->sq_tail, __ATOMIC_RELEASE);
	return n;
}

/* What the inline functions call, of an emulated queue that seems empty. */
void exo_emulate(const struct exo_queue *q)
{
	struct exo_queue_private *p = exo_queue_private(q);

	p->x->backend->post(&p->q);
}
