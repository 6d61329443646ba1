// SPDX-License-Identifier: MIT
/*
 * See lib.h.
 */
#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "lib.h"

#define PROVOKED_DEFAULT "/tmp/exo-provoked"

__thread struct exo_detail last;

#define COMMAND(cmd_, type)                            \
	{                                              \
#cmd_, cmd_, sizeof(struct type), 0, 0 \
	}
#define COMMAND_RESERVED(cmd_, type)                                                   \
	{                                                                              \
#cmd_, cmd_, sizeof(struct type), offsetof(struct type, __reserved), 0 \
	}

const struct command commands[] = {
	COMMAND(EXO_INFO, exo_info),
	COMMAND_RESERVED(EXO_CLAIM, exo_claim),
	COMMAND(EXO_CAP_DERIVE, exo_cap_derive),
	COMMAND(EXO_CAP_QUERY, exo_cap_query),
	{ "EXO_CAP_LIST", EXO_CAP_LIST, sizeof(struct exo_cap_list),
	  offsetof(struct exo_cap_list, __reserved), EXO_LIST_ASKED | EXO_LIST_TAKEN },
	COMMAND_RESERVED(EXO_CAP_DROP, exo_cap_drop),
	COMMAND_RESERVED(EXO_REVOKE, exo_revoke),
	COMMAND_RESERVED(EXO_CAP_TAKEN, exo_cap_taken),
	COMMAND_RESERVED(EXO_TREE_LIST, exo_tree_list),
	COMMAND_RESERVED(EXO_POOL_CREATE, exo_pool_create),
	COMMAND_RESERVED(EXO_POOL_QUERY, exo_pool_query),
	COMMAND_RESERVED(EXO_FRAMES_ALLOC, exo_frames_alloc),
	COMMAND_RESERVED(EXO_FRAMES_NAMES, exo_frames_names),
	COMMAND(EXO_FRAMES_EXPORT, exo_frames_export),
	COMMAND_RESERVED(EXO_MEM_ADOPT, exo_mem_adopt),
	{ "EXO_CONTROLLER_CREATE", EXO_CONTROLLER_CREATE, sizeof(struct exo_controller_create), 0,
	  EXO_CONTROLLER_EXCLUSIVE },
	COMMAND_RESERVED(EXO_CONTROLLER_QUERY, exo_controller_query),
	{ "EXO_NAMESPACE_QUERY", EXO_NAMESPACE_QUERY, sizeof(struct exo_namespace_query),
	  offsetof(struct exo_namespace_query, __reserved), EXO_NAMESPACE_NEXT },
	COMMAND(EXO_EXTENT_CREATE, exo_extent_create),
	COMMAND_RESERVED(EXO_IDENTIFY, exo_identify),
	COMMAND_RESERVED(EXO_LOG, exo_log),
	COMMAND(EXO_DMA_ATTACH, exo_dma_attach),
	COMMAND(EXO_DMA_DETACH, exo_dma_detach),
	{ "EXO_QUEUE_CREATE", EXO_QUEUE_CREATE, sizeof(struct exo_queue_create),
	  offsetof(struct exo_queue_create, __reserved),
	  EXO_QUEUE_POLLED | EXO_QUEUE_THREAD | EXO_QUEUE_IRQ_CPU | EXO_QUEUE_NODE },
	COMMAND_RESERVED(EXO_QUEUE_QUERY, exo_queue_query),
	COMMAND(EXO_QUEUE_ATTACH, exo_queue_attach),
	COMMAND(EXO_QUEUE_DETACH, exo_queue_detach),
	COMMAND(EXO_QUEUE_SUBMIT, exo_queue_submit),
	COMMAND(EXO_QUEUE_EVENTFD, exo_queue_eventfd),
	{ "EXO_WAIT", EXO_WAIT, sizeof(struct exo_wait), 0, EXO_WAIT_EVENTS },
	COMMAND_RESERVED(EXO_EVENTS_CREATE, exo_events_create),
	COMMAND_RESERVED(EXO_WINDOW_SET, exo_window_set),
	COMMAND(EXO_WINDOW_DIRTY, exo_window_dirty),
	COMMAND(EXO_WINDOW_HANDLER, exo_window_handler),
	{ "EXO_TOKEN_CREATE", EXO_TOKEN_CREATE, sizeof(struct exo_token_create),
	  offsetof(struct exo_token_create, __reserved), EXO_TOKEN_UID },
	COMMAND(EXO_TOKEN_REDEEM, exo_token_redeem),
	COMMAND(EXO_TOKEN_CANCEL, exo_token_cancel),
};
const unsigned int commands_count = sizeof(commands) / sizeof(commands[0]);

/* ---- the record of what was provoked ---- */

static int provoked_fd = -1;

/* Opened before main: a test that gave up root can still append. */
__attribute__((constructor)) static void provoked_open(void)
{
	const char *path = getenv("EXO_PROVOKED");

	provoked_fd = open(path ? path : PROVOKED_DEFAULT,
			   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (provoked_fd >= 0)
		dprintf(provoked_fd, "program %s\n", program_invocation_short_name);
}

static const char *command_name(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < commands_count; i++)
		if (commands[i].cmd == cmd)
			return commands[i].name;
	return "-";
}

/* Each triple once per process: sweeps provoke the same thing a thousand times. */
static void provoked_record(unsigned int cmd, int err, __u32 reason)
{
	static unsigned char seen[256][134][EXO_REASON_MAX + 1];
	unsigned char *mark;
	char line[96];

	if (err > 133 || reason > EXO_REASON_MAX)
		return;
	mark = &seen[cmd & 0xff][err][reason];
	if (*mark || provoked_fd < 0)
		return;
	*mark = 1;
	/* In one write: a test may kill this process at any moment. */
	snprintf(line, sizeof(line), "refusal %s %s %u\n", command_name(cmd), strerrorname_np(err),
		 reason);
	record(line);
}

void record(const char *line)
{
	if (provoked_fd >= 0 && write(provoked_fd, line, strlen(line)) < 0)
		fprintf(stderr, "# cannot record: %s\n", strerror(errno));
}

int call_raw(int fd, unsigned int cmd, void *arg)
{
	struct exo_info *head = arg; /* all begin alike */
	bool ours = head->detail == 0, told = ours || head->detail == (uintptr_t)&last;
	int ret;

	memset(&last, 0, sizeof(last));
	if (ours)
		head->detail = (uintptr_t)&last;
	ret = ioctl(fd, cmd, arg) ? -errno : 0;
	if (ours)
		head->detail = 0;
	/* A detail that cannot be written tells nothing to record. */
	if (ret && told)
		provoked_record(cmd, -ret, last.reason);
	return ret;
}

/* ---- one function per command ---- */

int session_open(void)
{
	int fd = open(EXO_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int info(int fd, struct exo_info *out)
{
	*out = (struct exo_info){ 0 };
	return call(fd, EXO_INFO, out);
}

__u64 frames_used(int fd)
{
	struct exo_info i;

	return info(fd, &i) ? ~0ull : i.out_frames_used;
}

__u64 frames_used_soon(int fd, __u64 expected)
{
	__u64 end = now_ms() + 20000, used;

	/* What was seen is what counts: a call under way may take a frame the next moment. */
	while ((used = frames_used(fd)) != expected && now_ms() < end)
		usleep(1000);
	return used;
}

static int claim(int fd, __u32 type, __u32 address, __u32 *cap)
{
	struct exo_claim arg = { .type = type, .address = address };
	int ret = call(fd, EXO_CLAIM, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

int claim_pool(int fd, __u32 *cap)
{
	return claim(fd, EXO_TYPE_POOL, 0, cap);
}

int claim_controller(int fd, __u32 address, __u32 *cap)
{
	return claim(fd, EXO_TYPE_CONTROLLER, address, cap);
}

int derive(int fd, __u32 cap, __u32 rights, int to, __u64 start, __u64 len, __u32 *child)
{
	struct exo_cap_derive arg = {
		.cap = cap,
		.rights = rights,
		.session_fd = to,
		.start = start,
		.len = len,
	};
	int ret = call(fd, EXO_CAP_DERIVE, &arg);

	if (!ret)
		*child = arg.out_cap;
	return ret;
}

int query(int fd, __u32 cap, struct exo_cap_query *out)
{
	*out = (struct exo_cap_query){ .cap = cap };
	return call(fd, EXO_CAP_QUERY, out);
}

int drop(int fd, __u32 cap)
{
	struct exo_cap_drop arg = { .cap = cap };

	return call(fd, EXO_CAP_DROP, &arg);
}

int list(int fd, __u32 *caps, __u32 max)
{
	struct exo_cap_list arg = { .count = max, .caps = (uintptr_t)caps };
	int ret = call(fd, EXO_CAP_LIST, &arg);

	return ret ? ret : (int)arg.out_count;
}

int pool_create(int fd, __u32 pool, __u32 rights, __u64 frames, __u32 *cap)
{
	struct exo_pool_create arg = { .pool = pool, .rights = rights, .frames = frames };
	int ret = call(fd, EXO_POOL_CREATE, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

int pool_query(int fd, __u32 pool, __u64 *budget, __u64 *used)
{
	struct exo_pool_query arg = { .pool = pool };
	int ret = call(fd, EXO_POOL_QUERY, &arg);

	if (ret)
		return ret;
	if (budget)
		*budget = arg.out_budget;
	if (used)
		*used = arg.out_used;
	return 0;
}

int frames_alloc(int fd, __u32 pool, __u32 order, __u32 count, __s32 node,
		 struct exo_frames_alloc *out)
{
	*out = (struct exo_frames_alloc){
		.pool = pool,
		.order = order,
		.count = count,
		.node = node,
	};
	return call(fd, EXO_FRAMES_ALLOC, out);
}

int frames_names(int fd, __u32 frames, __u32 first, __u32 count, struct exo_frame_name *names)
{
	struct exo_frames_names arg = {
		.frames = frames,
		.first = first,
		.count = count,
		.names = (uintptr_t)names,
	};

	return call(fd, EXO_FRAMES_NAMES, &arg);
}

int mem_adopt(int fd, __u32 controller, __u32 rights, const void *at, __u64 bytes, __u32 *cap)
{
	struct exo_mem_adopt arg = {
		.controller = controller,
		.rights = rights,
		.address = (uintptr_t)at,
		.bytes = bytes,
	};
	int ret = call(fd, EXO_MEM_ADOPT, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

void *window_create(int fd, __u64 bytes)
{
	const __u64 room = bytes + HUGE_PAGE;
	char *at = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned;

	if (at == MAP_FAILED)
		return MAP_FAILED;
	aligned = at + (-(uintptr_t)at & (HUGE_PAGE - 1));
	munmap(at, (size_t)(aligned - at));
	munmap(aligned + bytes, room - bytes - (size_t)(aligned - at));
	at = mmap(aligned, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		  (off_t)EXO_WINDOW_OFFSET);
	if (at == MAP_FAILED)
		munmap(aligned, bytes);
	return at;
}

int window_set(int fd, const void *window, const struct exo_window_op *ops, __u32 count)
{
	struct exo_window_set arg = {
		.window = (uintptr_t)window,
		.ops = (uintptr_t)ops,
		.count = count,
	};

	return call(fd, EXO_WINDOW_SET, &arg);
}

static int window_map_order(int fd, const void *window, __u32 order, __u64 first, __u32 count,
			    __u32 frames, __u64 page, __u32 access)
{
	const struct exo_window_op op = {
		.order = order,
		.op = EXO_WINDOW_MAP,
		.first = first,
		.count = count,
		.frames = frames,
		.page = page,
		.access = access,
	};

	return window_set(fd, window, &op, 1);
}

int window_map(int fd, const void *window, __u64 first, __u32 count, __u32 frames, __u64 page,
	       __u32 access)
{
	return window_map_order(fd, window, EXO_ORDER_4K, first, count, frames, page, access);
}

int window_map_large(int fd, const void *window, __u64 first, __u32 count, __u32 frames, __u64 page,
		     __u32 access)
{
	return window_map_order(fd, window, EXO_ORDER_2M, first, count, frames, page, access);
}

int window_unmap(int fd, const void *window, __u64 first, __u32 count)
{
	const struct exo_window_op op = {
		.op = EXO_WINDOW_UNMAP,
		.first = first,
		.count = count,
	};

	return window_set(fd, window, &op, 1);
}

int window_protect(int fd, const void *window, __u64 first, __u32 count, __u32 access)
{
	const struct exo_window_op op = {
		.op = EXO_WINDOW_PROTECT,
		.first = first,
		.count = count,
		.access = access,
	};

	return window_set(fd, window, &op, 1);
}

int window_handler(int fd, const void *window, __u64 handler, const void *context)
{
	struct exo_window_handler arg = {
		.window = (uintptr_t)window,
		.handler = handler,
		.context = (uintptr_t)context,
	};

	return call(fd, EXO_WINDOW_HANDLER, &arg);
}

int window_dirty(int fd, const void *window, __u64 first, __u32 count, __u64 *bitmap)
{
	struct exo_window_dirty arg = {
		.window = (uintptr_t)window,
		.first = first,
		.count = count,
		.bitmap = (uintptr_t)bitmap,
	};
	int ret = call(fd, EXO_WINDOW_DIRTY, &arg);

	return ret ? ret : (int)arg.out_dirty;
}

__u64 memory_adopted(int fd)
{
	struct exo_info i;

	return info(fd, &i) ? ~0ull : i.out_memory_adopted;
}

int controller_create(int fd, __u32 controller, __u32 rights, __u32 queues, __u32 *cap)
{
	struct exo_controller_create arg = {
		.controller = controller,
		.rights = rights,
		.queues = queues,
	};
	int ret = call(fd, EXO_CONTROLLER_CREATE, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

int exclusive_create(int fd, __u32 controller, __u32 rights, __u32 *cap)
{
	struct exo_controller_create arg = {
		.flags = EXO_CONTROLLER_EXCLUSIVE,
		.controller = controller,
		.rights = rights,
		.queues = 4,
	};
	int ret = call(fd, EXO_CONTROLLER_CREATE, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

int controller_query(int fd, __u32 controller, struct exo_controller_query *out)
{
	*out = (struct exo_controller_query){ .controller = controller };
	return call(fd, EXO_CONTROLLER_QUERY, out);
}

int namespace_query(int fd, __u32 controller, __u32 flags, __u32 nsid,
		    struct exo_namespace_query *out)
{
	*out = (struct exo_namespace_query){
		.controller = controller,
		.flags = flags,
		.nsid = nsid,
	};
	return call(fd, EXO_NAMESPACE_QUERY, out);
}

int extent_create(int fd, __u32 controller, __u32 nsid, __u32 rights, __u64 start, __u64 len,
		  __u32 *cap)
{
	struct exo_extent_create arg = {
		.controller = controller,
		.nsid = nsid,
		.rights = rights,
		.start = start,
		.len = len,
	};
	int ret = call(fd, EXO_EXTENT_CREATE, &arg);

	if (!ret)
		*cap = arg.out_cap;
	return ret;
}

int identify(int fd, __u32 cap, __u32 cns, __u32 nsid, void *data)
{
	struct exo_identify arg = {
		.cap = cap,
		.cns = cns,
		.nsid = nsid,
		.data = (uintptr_t)data,
	};

	return call(fd, EXO_IDENTIFY, &arg);
}

int log_page(int fd, __u32 cap, __u32 lid, void *data, __u32 len, __u64 *time)
{
	struct exo_log arg = {
		.cap = cap,
		.lid = lid,
		.len = len,
		.data = (uintptr_t)data,
	};
	int ret = call(fd, EXO_LOG, &arg);

	if (!ret && time)
		*time = arg.out_time;
	return ret;
}

int dma_attach(int fd, __u32 controller, __u32 frames, __u64 *offset)
{
	struct exo_dma_attach arg = { .controller = controller, .frames = frames };
	int ret = call(fd, EXO_DMA_ATTACH, &arg);

	if (!ret)
		*offset = arg.out_offset;
	return ret;
}

int dma_detach(int fd, __u32 controller, __u32 frames)
{
	struct exo_dma_detach arg = { .controller = controller, .frames = frames };

	return call(fd, EXO_DMA_DETACH, &arg);
}

int queue_create(int fd, __u32 controller, __u32 depth, struct exo_queue_create *out)
{
	*out = (struct exo_queue_create){
		.controller = controller,
		.mode = EXO_QUEUE_CHECKED,
		.depth = depth,
	};
	return call(fd, EXO_QUEUE_CREATE, out);
}

int queue_eventfd(int fd, __u32 queue, int eventfd)
{
	struct exo_queue_eventfd arg = { .queue = queue, .eventfd = eventfd };

	return call(fd, EXO_QUEUE_EVENTFD, &arg);
}

int wait_queues(int fd, const __u32 *queues, __u32 count, __u64 deadline, __u64 *ready)
{
	struct exo_wait arg = {
		.queues = (uintptr_t)queues,
		.count = count,
		.deadline = deadline,
	};
	int ret = call(fd, EXO_WAIT, &arg);

	*ready = arg.out_ready;
	return ret;
}

int cap_revoke(int fd, __u32 cap, __u32 timeout_ms, __u64 frames, struct exo_revoke *out)
{
	struct exo_revoke arg = { .cap = cap, .timeout_ms = timeout_ms, .frames = frames };
	int ret;

	if (out) {
		arg.records = out->records;
		arg.count = out->count;
		arg.node = out->node;
	}
	ret = call(fd, EXO_REVOKE, &arg);
	if (out)
		*out = arg;
	return ret;
}

int cap_taken(int fd, __u32 cap, struct exo_cap_taken *out)
{
	*out = (struct exo_cap_taken){ .cap = cap };
	return call(fd, EXO_CAP_TAKEN, out);
}

int list_marked(int fd, __u32 flags, __u32 *caps, __u32 max)
{
	struct exo_cap_list arg = { .flags = flags, .count = max, .caps = (uintptr_t)caps };
	int ret = call(fd, EXO_CAP_LIST, &arg);

	return ret ? ret : (int)arg.out_count;
}

/* ---- tokens ---- */

int token_create(int fd, __u32 cap, __u32 rights, __u32 uses, __u8 token[16])
{
	struct exo_token_create arg = { .cap = cap, .rights = rights, .uses = uses };
	int ret = call(fd, EXO_TOKEN_CREATE, &arg);

	memcpy(token, arg.out_token, 16);
	return ret;
}

int token_redeem(int fd, const __u8 token[16], __u32 *cap)
{
	struct exo_token_redeem arg = { 0 };
	int ret;

	memcpy(arg.token, token, 16);
	ret = call(fd, EXO_TOKEN_REDEEM, &arg);
	*cap = arg.out_cap;
	return ret;
}

int token_cancel(int fd, const __u8 token[16])
{
	struct exo_token_cancel arg = { 0 };

	memcpy(arg.token, token, 16);
	return call(fd, EXO_TOKEN_CANCEL, &arg);
}

/* ---- events ---- */

int events_create(int fd, __u32 entries, struct events *out)
{
	struct exo_events_create arg = { .entries = entries };
	int ret = call(fd, EXO_EVENTS_CREATE, &arg);
	void *rw, *ro;

	if (ret)
		return ret;
	rw = mmap(NULL, arg.out_rw_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  (off_t)arg.out_mmap_offset);
	ro = mmap(NULL, arg.out_ro_size, PROT_READ, MAP_SHARED, fd,
		  (off_t)(arg.out_mmap_offset + arg.out_rw_size));
	if (rw == MAP_FAILED || ro == MAP_FAILED)
		return -errno;
	*out = (struct events){
		.fd = fd,
		.mask = entries - 1,
		.control = rw,
		.status = ro,
		.ring = ro + PAGE,
	};
	return 0;
}

int events_next(struct events *events, struct exo_event *out, int timeout_ms)
{
	struct exo_wait arg = {
		.flags = EXO_WAIT_EVENTS,
		.deadline = now_ns() + timeout_ms * 1000000ull,
	};
	int ret = call(events->fd, EXO_WAIT, &arg);

	if (ret)
		return ret;
	if (events->head == __atomic_load_n(&events->status->tail, __ATOMIC_ACQUIRE))
		return -ETIMEDOUT;
	*out = events->ring[events->head++ & events->mask];
	__atomic_store_n(&events->control->head, events->head, __ATOMIC_RELEASE);
	return 0;
}

int queue_query(int fd, __u32 queue, struct exo_queue_query *out)
{
	*out = (struct exo_queue_query){ .queue = queue };
	return call(fd, EXO_QUEUE_QUERY, out);
}

int queue_attach(int fd, __u32 queue, __u32 extent)
{
	struct exo_queue_attach arg = { .queue = queue, .extent = extent };

	return call(fd, EXO_QUEUE_ATTACH, &arg);
}

int queue_detach(int fd, __u32 queue, __u32 extent)
{
	struct exo_queue_detach arg = { .queue = queue, .extent = extent };

	return call(fd, EXO_QUEUE_DETACH, &arg);
}

int queue_submit(int fd, __u32 queue, __u32 *accepted)
{
	struct exo_queue_submit arg = { .queue = queue };
	char line[32];
	int ret = call(fd, EXO_QUEUE_SUBMIT, &arg);

	if (accepted)
		*accepted = ret ? 0 : arg.out_accepted;
	/* For check.host.sh: the device must have seen exactly these. */
	if (!ret && arg.out_accepted) {
		snprintf(line, sizeof(line), "accepted %u\n", arg.out_accepted);
		record(line);
	}
	return ret;
}

/* ---- buffers ---- */

/* At a multiple of @unit, so that a unit can have an entry of its own size. */
static void *map_aligned(int fd, __u64 size, __u64 unit, __u64 offset)
{
	char *room = mmap(NULL, size + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;

	if (room == MAP_FAILED)
		return room;
	at = (char *)(((uintptr_t)room + unit - 1) & ~(unit - 1));
	/* Over it, not after it was unmapped: another thread may be mapping, too. */
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) ==
	    MAP_FAILED) {
		int err = errno;

		munmap(room, size + unit);
		errno = err;
		return MAP_FAILED;
	}
	if (at != room)
		munmap(room, (size_t)(at - room));
	munmap(at + size, (size_t)(room + unit - at));
	return at;
}

int buffer_alloc(int fd, __u32 pool, __u32 order, __u32 count, struct buffer *out)
{
	struct exo_frames_alloc arg;
	int ret = frames_alloc(fd, pool, order, count, ANY_NODE, &arg);

	if (ret)
		return ret;
	*out = (struct buffer){
		.cap = arg.out_cap,
		.size = (__u64)count * (PAGE << order),
		.mmap_offset = arg.out_mmap_offset,
	};
	out->at = map_aligned(fd, out->size, PAGE << order, out->mmap_offset);
	if (out->at != MAP_FAILED)
		return 0;
	ret = -errno;
	drop(fd, out->cap);
	return ret;
}

int buffer_attach(int fd, __u32 controller, struct buffer *buffer)
{
	return dma_attach(fd, controller, buffer->cap, &buffer->offset);
}

const int advice[] = {
	MADV_NORMAL,
	MADV_RANDOM,
	MADV_SEQUENTIAL,
	MADV_WILLNEED,
	MADV_DONTNEED,
	MADV_FREE,
	MADV_REMOVE,
	MADV_DONTFORK,
	MADV_DOFORK,
	MADV_MERGEABLE,
	MADV_UNMERGEABLE,
	MADV_HUGEPAGE,
	MADV_NOHUGEPAGE,
	MADV_DONTDUMP,
	MADV_DODUMP,
	MADV_WIPEONFORK,
	MADV_KEEPONFORK,
	MADV_COLD,
	MADV_PAGEOUT,
	22 /* POPULATE_READ */,
	23 /* POPULATE_WRITE */,
	24 /* DONTNEED_LOCKED */,
	25 /* COLLAPSE */,
	MADV_HWPOISON,
	101 /* SOFT_OFFLINE */,
	102 /* GUARD_INSTALL */,
	103 /* GUARD_REMOVE */,
};
const unsigned int advice_count = sizeof(advice) / sizeof(advice[0]);

void *anonymous(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int buffer_adopt(int fd, __u32 controller, __u32 rights, void *at, __u64 size, struct buffer *out)
{
	struct exo_detail why;
	int ret;

	*out = (struct buffer){ .at = at, .size = size };
	ret = mem_adopt(fd, controller, rights, at, size, &out->cap);
	if (ret)
		return ret;
	ret = buffer_attach(fd, controller, out);
	if (!ret)
		return 0;
	why = last;
	drop(fd, out->cap);
	last = why;
	return ret;
}

int buffer_free(int fd, struct buffer *buffer)
{
	munmap(buffer->at, buffer->size);
	return drop(fd, buffer->cap);
}

/* ---- rings ---- */

int ring_map(int fd, const struct exo_queue_create *queue, struct ring *out)
{
	void *rw, *ro;

	rw = mmap(NULL, queue->out_rw_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  (off_t)queue->out_mmap_offset);
	if (rw == MAP_FAILED)
		return -errno;
	ro = mmap(NULL, queue->out_ro_size, PROT_READ, MAP_SHARED, fd,
		  (off_t)(queue->out_mmap_offset + queue->out_rw_size));
	if (ro == MAP_FAILED) {
		int ret = -errno;

		munmap(rw, queue->out_rw_size);
		return ret;
	}
	*out = (struct ring){
		.fd = fd,
		.cap = queue->out_cap,
		.qid = queue->out_qid,
		.depth = queue->depth,
		.entries = queue->out_entries,
		.rw_size = queue->out_rw_size,
		.ro_size = queue->out_ro_size,
		.mmap_offset = queue->out_mmap_offset,
		.control = rw,
		.sq = (void *)((char *)rw + PAGE),
		.status = ro,
		.cq = (void *)((char *)ro + PAGE),
	};
	return 0;
}

int ring_create(int fd, __u32 controller, __u32 depth, struct ring *out)
{
	struct exo_queue_create arg;
	int ret = queue_create(fd, controller, depth, &arg);

	if (ret)
		return ret;
	ret = ring_map(fd, &arg, out);
	if (ret)
		drop(fd, arg.out_cap);
	return ret;
}

void ring_unmap(struct ring *ring)
{
	munmap(ring->control, ring->rw_size);
	munmap((void *)ring->status, ring->ro_size);
}

struct sqe sqe_io(__u8 opcode, __u16 cid, __u32 nsid, __u64 slba, __u32 nlb, __u64 prp1)
{
	struct sqe sqe = { .dw = {
				   [0] = opcode | (__u32)cid << 16,
				   [1] = nsid,
				   [6] = (__u32)prp1,
				   [7] = (__u32)(prp1 >> 32),
				   [10] = (__u32)slba,
				   [11] = (__u32)(slba >> 32),
				   [12] = nlb,
			   } };

	return sqe;
}

void ring_push(struct ring *ring, const struct sqe *sqe)
{
	__u32 tail = ring->control->sq_tail;

	ring->sq[tail & (ring->entries - 1)] = *sqe;
	__atomic_store_n(&ring->control->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

void ring_rewind(struct ring *ring)
{
	ring->control->sq_tail = __atomic_load_n(&ring->status->sq_head, __ATOMIC_ACQUIRE);
}

int ring_submit(struct ring *ring, __u32 *accepted)
{
	return queue_submit(ring->fd, ring->cap, accepted);
}

int ring_reap(struct ring *ring, struct cqe *out, int timeout_ms)
{
	__u32 phase = !(ring->head & ring->entries);
	const struct cqe *cqe = &ring->cq[ring->head & (ring->entries - 1)];
	__u64 end = now_ms() + (__u64)timeout_ms;

	while ((__atomic_load_n(&cqe->status, __ATOMIC_ACQUIRE) & 1) != phase)
		if (now_ms() > end)
			return -ETIMEDOUT;
	*out = *cqe;
	ring->head++;
	__atomic_store_n(&ring->control->cq_head, ring->head, __ATOMIC_RELEASE);
	return 0;
}

int ring_do(struct ring *ring, const struct sqe *sqe)
{
	struct cqe cqe;
	int ret;

	ring_push(ring, sqe);
	ret = ring_submit(ring, NULL);
	if (ret) {
		ring_rewind(ring);
		return ret;
	}
	ret = ring_reap(ring, &cqe, 10000);
	if (ret)
		return ret;
	if (cqe.cid != sqe->dw[0] >> 16)
		return -EPROTO;
	return cqe.status >> 1;
}

int ring_io(struct ring *ring, __u8 opcode, __u32 nsid, __u64 slba, __u32 blocks, __u64 prp1)
{
	struct sqe sqe = sqe_io(opcode, 0, nsid, slba, blocks - 1, prp1);

	return ring_do(ring, &sqe);
}

/* ---- the machine ---- */

#define PCI_DEVICES "/sys/bus/pci/devices"

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int ret;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	ret = n < 0 ? -errno : 0;
	close(fd);
	return ret;
}

int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int ret;

	text[0] = 0;
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	ret = n < 0 ? -errno : 0;
	close(fd);
	if (ret)
		return ret;
	text[n] = 0;
	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = 0;
	return 0;
}

void machine_name(__u32 address, char name[16])
{
	snprintf(name, 16, "%04x:%02x:%02x.%x", address >> 16, address >> 8 & 0xff,
		 address >> 3 & 0x1f, address & 7);
}

void machine_driver(__u32 address, char *driver, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX], name[16];
	ssize_t n;
	char *slash;

	driver[0] = 0;
	machine_name(address, name);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = 0;
	slash = strrchr(target, '/');
	snprintf(driver, size, "%.*s", (int)size - 1, slash ? slash + 1 : target);
}

int machine_unbind(__u32 address)
{
	char path[PATH_MAX], name[16], driver[64];

	machine_driver(address, driver, sizeof(driver));
	if (!driver[0])
		return 0;
	machine_name(address, name);
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/unbind", driver);
	return write_file(path, name);
}

int machine_bind(__u32 address, const char *driver)
{
	char path[PATH_MAX], name[16], now[64];
	int ret;

	machine_driver(address, now, sizeof(now));
	if (!strcmp(now, driver))
		return 0;
	ret = machine_unbind(address);
	if (ret)
		return ret;
	machine_name(address, name);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver_override", name);
	/* Only exo needs it; an empty line clears it. */
	ret = write_file(path, strcmp(driver, "exo") ? "\n" : "exo");
	if (ret)
		return ret;
	ret = write_file("/sys/bus/pci/drivers_probe", name);
	if (ret)
		return ret;
	machine_driver(address, now, sizeof(now));
	return strcmp(now, driver) ? -ENODEV : 0;
}

static bool machine_is(const char *name, const char *file, const char *expected)
{
	char path[PATH_MAX], text[64];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", name, file);
	return !read_file(path, text, sizeof(text)) && !strcmp(text, expected);
}

/* QEMU's NVMe controller and nothing else: no test may ever touch a person's disk. */
static bool machine_is_ours(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/physfn", name);
	return machine_is(name, "class", "0x010802") && machine_is(name, "vendor", "0x1b36") &&
	       machine_is(name, "device", "0x0010") && access(path, F_OK);
}

static bool machine_has_serial(__u32 address, const char *serial)
{
	struct exo_controller_query controller;
	int fd = session_open();
	bool found = false;
	__u32 cap;

	if (fd < 0)
		return false;
	if (!claim_controller(fd, address, &cap) && !controller_query(fd, cap, &controller)) {
		size_t n = strlen(serial);

		found = !memcmp(controller.out_serial, serial, n) &&
			controller.out_serial[n] == ' ';
	}
	close(fd);
	return found;
}

int machine_find(const char *serial, __u32 *address)
{
	unsigned int domain, bus, device, function;
	DIR *dir = opendir(PCI_DEVICES);
	struct dirent *entry;
	int ret = -ENODEV;

	if (!dir)
		return -ENODEV;
	while (ret && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
			continue;
		if (!machine_is_ours(entry->d_name))
			continue;
		*address = EXO_PCI_ADDRESS(domain, bus, device << 3 | function);
		if (!machine_bind(*address, "exo") && machine_has_serial(*address, serial))
			ret = 0;
	}
	closedir(dir);
	return ret;
}

bool await(int pipe)
{
	char byte;

	return read(pipe, &byte, 1) == 1;
}

bool tell(int pipe)
{
	return write(pipe, "", 1) == 1;
}

#define FAIL "/sys/kernel/debug/fail_function/"

bool can_inject(void)
{
	return !access(FAIL "inject", W_OK);
}

int inject_always(const char *function, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FAIL "%s/retval", function);
	return write_file(FAIL "inject", function) || write_file(path, value) ||
	       write_file(FAIL "probability", "100") || write_file(FAIL "interval", "1") ||
	       write_file(FAIL "times", "-1") || write_file(FAIL "verbose", "0") ||
	       write_file(FAIL "space", "0");
}

int inject_nothing(void)
{
	return write_file(FAIL "inject", "");
}

int disk_find(const char *serial, char *name, size_t size)
{
	__u64 end = now_ms() + 15000;
	char path[PATH_MAX], text[64];
	struct dirent *entry;

	/* The driver scans for namespaces after it has bound. */
	while (now_ms() < end) {
		DIR *dir = opendir("/sys/class/block");

		while (dir && (entry = readdir(dir))) {
			unsigned int a, b;
			char rest;

			if (sscanf(entry->d_name, "nvme%un%u%c", &a, &b, &rest) != 2)
				continue;
			snprintf(path, sizeof(path), "/sys/class/block/%s/device/serial",
				 entry->d_name);
			if (read_file(path, text, sizeof(text)) || strcmp(text, serial))
				continue;
			/* The number in the name is not that of the namespace. */
			snprintf(path, sizeof(path), "/sys/class/block/%s/nsid", entry->d_name);
			if (read_file(path, text, sizeof(text)) || strcmp(text, "1"))
				continue;
			snprintf(name, size, "%.32s", entry->d_name);
			closedir(dir);
			return 0;
		}
		if (dir)
			closedir(dir);
		usleep(20000);
	}
	return -ENOENT;
}

/* There may be no /dev that follows the kernel. */
int disk_open(const char *name)
{
	char path[PATH_MAX], text[32], node[] = "/tmp/exo-disk";
	unsigned int major, minor;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
	if (read_file(path, text, sizeof(text)) || sscanf(text, "%u:%u", &major, &minor) != 2)
		return -ENODEV;
	unlink(node);
	if (mknod(node, S_IFBLK | 0600, makedev(major, minor)))
		return -errno;
	fd = open(node, O_RDWR | O_CLOEXEC);
	unlink(node);
	return fd < 0 ? -errno : fd;
}

int become_nobody(void)
{
	if (geteuid() == 0 && setgroups(0, NULL))
		return -errno;
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		return -errno;
	/* /proc/self stays ours after the change of uid. */
	prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

__u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u64)t.tv_sec * 1000000000 + (__u64)t.tv_nsec;
}

__u64 now_ms(void)
{
	return now_ns() / 1000000;
}

__u32 random_u32(void)
{
	static __thread __u64 state;

	/* splitmix64, seeded per thread */
	if (!state && getrandom(&state, sizeof(state), 0) != sizeof(state))
		state = (uintptr_t)&state;
	state += 0x9e3779b97f4a7c15ull;
	__u64 z = state;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (__u32)(z >> 16);
}

void fill_random(void *at, size_t size)
{
	__u32 *word = at;
	size_t i;

	for (i = 0; i < size / 4; i++)
		word[i] = random_u32();
}

/* ---- tenants ---- */

static int tenant_need(int ret, const char **why, const char *what)
{
	if (ret)
		*why = what;
	return ret;
}

int tenant_create_pool(struct tenant *t, const char **why)
{
	int ret;

	*t = (struct tenant){ .fd = -1, .grantor = -1 };
	if (geteuid()) {
		*why = "must start as root";
		return -EPERM;
	}
	t->grantor = session_open();
	if (t->grantor < 0) {
		*why = "cannot open " EXO_DEVICE " (is exo.ko loaded?)";
		return t->grantor;
	}
	t->fd = session_open();
	if (t->fd < 0)
		return tenant_need(t->fd, why, "cannot open a second session");
	ret = tenant_need(claim_pool(t->grantor, &t->root_pool), why, "claim the pool");
	if (!ret) {
		__u32 pool;

		ret = tenant_need(pool_create(t->grantor, t->root_pool,
					      EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, TENANT_FRAMES,
					      &pool),
				  why, "make a pool");
		if (!ret)
			ret = tenant_need(derive(t->grantor, pool,
						 EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES, t->fd, 0, 0,
						 &t->pool),
					  why, "grant the pool");
		if (!ret)
			ret = drop(t->grantor, pool);
	}
	return ret;
}

static int tenant_grant_controller(struct tenant *t, const char **why)
{
	const __u32 rights = EXO_RIGHT_QUEUE;
	__u32 controller;
	int ret;

	ret = tenant_need(controller_create(t->grantor, t->root_controller, rights, TENANT_QUEUES,
					    &controller),
			  why, "make a controller with a queue budget");
	if (ret)
		return ret;
	ret = tenant_need(derive(t->grantor, controller, rights, t->fd, 0, 0, &t->controller), why,
			  "grant the controller");
	return ret ? ret : drop(t->grantor, controller);
}

static int tenant_grant_extent(struct tenant *t, const char **why)
{
	const __u32 rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	__u32 extent;
	int ret;

	ret = tenant_need(extent_create(t->grantor, t->root_controller, 1, rights, EXTENT_FIRST,
					EXTENT_BLOCKS, &extent),
			  why, "make an extent");
	if (ret)
		return ret;
	ret = tenant_need(derive(t->grantor, extent, rights, t->fd, 0, 0, &t->extent), why,
			  "grant the extent");
	return ret ? ret : drop(t->grantor, extent);
}

int tenant_create(struct tenant *t, const char *serial, const char **why)
{
	struct exo_controller_query controller;
	struct exo_namespace_query ns;
	__u32 address;
	int ret;

	*t = (struct tenant){ .fd = -1, .grantor = -1 };
	if (geteuid()) {
		*why = "must start as root";
		return -EPERM;
	}
	if (machine_find(serial, &address)) {
		*why = strcmp(serial, "exo0") && strcmp(serial, "exo1")
			       ? "there is such a controller in a boot of its own"
			       : "no QEMU NVMe controller with the test serial number (exo0, exo1)";
		return -ENODEV;
	}
	ret = tenant_create_pool(t, why);
	if (ret)
		return ret;
	t->address = address;
	ret = tenant_need(claim_controller(t->grantor, address, &t->root_controller), why,
			  "claim the controller");
	if (!ret)
		ret = tenant_need(controller_query(t->grantor, t->root_controller, &controller),
				  why, "query the controller");
	if (!ret)
		ret = tenant_need(namespace_query(t->grantor, t->root_controller, 0, 1, &ns), why,
				  "query namespace 1");
	if (ret)
		return ret;
	t->block_shift = ns.out_block_shift;
	t->block = 1u << ns.out_block_shift;
	t->transfer_max = controller.out_transfer_max;
	t->depth_max = controller.out_depth_max;
	ret = tenant_grant_controller(t, why);
	return ret ? ret : tenant_grant_extent(t, why);
}

void tenant_destroy(struct tenant *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->grantor >= 0)
		close(t->grantor);
}

/* ---- touching memory that may not be there ---- */

static sigjmp_buf touch_env;

static void touch_signal(int signal)
{
	siglongjmp(touch_env, signal);
}

static int touch(volatile char *at, bool write)
{
	struct sigaction action = { .sa_handler = touch_signal }, bus, segv;
	int signal;

	sigaction(SIGBUS, &action, &bus);
	sigaction(SIGSEGV, &action, &segv);
	signal = sigsetjmp(touch_env, 1);
	if (!signal) {
		char byte = *at;

		if (write)
			*at = byte;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return signal;
}

int touch_read(const volatile void *at)
{
	return touch((volatile char *)at, false);
}

int touch_write(volatile void *at)
{
	return touch(at, true);
}
