// SPDX-License-Identifier: MIT
/*
 * The part of the address space in which a run maps: nothing of the program's own lies there,
 * so that a mapping that comes, goes or is replaced at any moment hurts nobody else.
 */
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "exec.h"

#define ARENA_SIZE (128ul << 20)
#define FIXED_SIZE (2ul << 20) /* stays: arguments, scratch memory */
#define SLOTS_AT FIXED_SIZE
#define SLOT_SIZE (4ul << 20)
#define MADE_AT (SLOTS_AT + SLOTS * SLOT_SIZE)
#define MADE_SIZE (2ul << 20)
#define RO_AT (3ul << 19)
#define FRAMES_MAX (64u << 10)
#define KERNEL_ADDRESS 0xffff888000000000ull

static char *arena;

/* In the order in which they lie there, 128 KiB each. */
enum { ARGUMENT_0, ARGUMENT_1, SCRATCH, READ_ONLY, EDGE, NONE };

static char *fixed(unsigned int i)
{
	return arena + i * ARGUMENT_SIZE;
}

static int make_area(unsigned int i, size_t size, int prot)
{
	return mmap(fixed(i), size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
			       MAP_FAILED
		       ? -errno
		       : 0;
}

int memory_init(void)
{
	const int rw = PROT_READ | PROT_WRITE;

	arena = mmap(NULL, ARENA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		     0);
	if (arena == MAP_FAILED)
		return -errno;
	if (make_area(ARGUMENT_0, ARGUMENT_SIZE, rw) || make_area(ARGUMENT_1, ARGUMENT_SIZE, rw) ||
	    make_area(SCRATCH, ARGUMENT_SIZE, rw) || make_area(READ_ONLY, PAGE, PROT_READ) ||
	    make_area(EDGE, PAGE, rw))
		return -ENOMEM;
	return 0;
}

void memory_reset(void)
{
	if (mmap(arena + SLOTS_AT, ARENA_SIZE - SLOTS_AT, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		abort();
	memset(fixed(SCRATCH), 0, PAGE);
}

char *memory_argument(unsigned int thread)
{
	return fixed(thread);
}

__u32 *memory_scratch(void)
{
	return (__u32 *)fixed(SCRATCH);
}

char *memory_area(const struct run *run, enum area area)
{
	const struct made *ring = &run->made[run->ring], *frames = &run->made[run->frames];

	switch (area) {
	case AREA_ARGUMENT:
		return exec_argument;
	case AREA_READ_ONLY:
		return fixed(READ_ONLY);
	case AREA_EDGE:
		return fixed(EDGE) + PAGE - 64;
	case AREA_NONE:
		return fixed(NONE);
	case AREA_RING:
		return ring->rw ? ring->rw : fixed(SCRATCH);
	case AREA_STATUS:
		return ring->ro ? ring->ro : fixed(SCRATCH);
	case AREA_FRAMES:
		return frames->frames ? frames->frames : fixed(SCRATCH);
	case AREA_SLOT:
		return arena + SLOTS_AT;
	case AREA_KERNEL:
		return (char *)KERNEL_ADDRESS;
	default:
		return fixed(SCRATCH);
	}
}

static char *made_at(unsigned int i)
{
	return arena + MADE_AT + i * MADE_SIZE;
}

static char *map_fixed(char *at, size_t size, int prot, int fd, __u64 offset)
{
	if (mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
		return NULL;
	return at;
}

/*
 * The answers may lie where another thread writes: none is believed. The lists and doorbells
 * of a direct queue, behind its entries, are not for runs.
 */
void memory_of_queue(struct run *run, unsigned int i, int fd, const struct exo_queue_create *arg)
{
	struct made *made = &run->made[i];
	const __u32 entries = arg->out_entries, rw = arg->out_rw_size, ro = arg->out_ro_size;

	made->direct = arg->mode != EXO_QUEUE_CHECKED;
	memory_scratch()[run->queues++ % 64] = arg->out_cap;
	if (rw > RO_AT || ro > MADE_SIZE - RO_AT || entries > RO_AT / 128 ||
	    rw < PAGE + entries * 64 || ro < PAGE + entries * 16 || (entries & (entries - 1)))
		return;
	made->entries = entries;
	made->rw_size = (__u32)PAGE + entries * 64;
	made->ro = map_fixed(made_at(i) + RO_AT, ro, PROT_READ, fd, arg->out_mmap_offset + rw);
	made->rw = map_fixed(made_at(i), rw, PROT_READ | PROT_WRITE, fd, arg->out_mmap_offset);
	run->ring = i;
}

void memory_of_events(struct run *run, unsigned int i, int fd, const struct exo_events_create *arg)
{
	struct made *made = &run->made[i];
	const __u32 rw = arg->out_rw_size, ro = arg->out_ro_size;

	if (rw > RO_AT || ro > MADE_SIZE - RO_AT)
		return;
	made->rw_size = rw;
	made->rw = map_fixed(made_at(i), rw, PROT_READ | PROT_WRITE, fd, arg->out_mmap_offset);
	made->ro = map_fixed(made_at(i) + RO_AT, ro, PROT_READ, fd, arg->out_mmap_offset + rw);
}

void memory_of_frames(struct run *run, unsigned int i, int fd, const struct exo_frames_alloc *arg)
{
	struct made *made = &run->made[i];
	__u64 size = (__u64)arg->count * (PAGE << (arg->order ? EXO_ORDER_2M : EXO_ORDER_4K));

	made->frames_size = size < FRAMES_MAX ? (__u32)size : FRAMES_MAX;
	made->frames = map_fixed(made_at(i), made->frames_size, PROT_READ | PROT_WRITE, fd,
				 arg->out_mmap_offset);
	run->frames = i;
}

/* ---- what a run does with mappings of its own ---- */

/* A part of a slot: @from and @length, cut to it. */
static char *part(const __u64 *n, size_t *length)
{
	__u64 from = n[1] & (SLOT_SIZE - 1);

	*length = n[2];
	if (*length > SLOT_SIZE - from)
		*length = SLOT_SIZE - from;
	return arena + SLOTS_AT + n[0] % SLOTS * SLOT_SIZE + from;
}

static void slot_map(int fd, const __u64 *n)
{
	const __u64 place[] = { n[4], 0, n[1] };
	size_t length;
	char *at = part(place, &length);
	int flags = ((int)n[3] | MAP_FIXED) & ~(MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_HUGETLB);

	if (mmap(at, length, (int)n[2], flags, fd, (off_t)(n[0] & ~(PAGE - 1))) == MAP_FAILED)
		return;
}

static void slot_remap(const __u64 *n)
{
	size_t length, to = n[3] < SLOT_SIZE ? n[3] : SLOT_SIZE;
	char *at = part(n, &length), *now;

	if (at + to > arena + SLOTS_AT + (n[0] % SLOTS + 1) * SLOT_SIZE)
		to = length;
	now = mremap(at, length, to, (int)n[4] & MREMAP_MAYMOVE);
	if (now != MAP_FAILED && now != at)
		munmap(now, to);
}

static void slot_copy(const __u64 *n)
{
	size_t length;
	char *at = part(n, &length);
	struct iovec iov = { at, length > PAGE ? PAGE : length };
	int end[2], mem;

	if (pipe(end))
		return;
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	switch (n[3] % 6) {
	case 0:
		length = (size_t)write(end[1], at, iov.iov_len);
		break;
	case 1:
		if (write(end[1], memory_argument(0), PAGE) > 0)
			length = (size_t)read(end[0], at, iov.iov_len);
		break;
	case 2:
		length = (size_t)vmsplice(end[1], &iov, 1, n[3] > 5 ? SPLICE_F_GIFT : 0);
		break;
	case 3:
		length = (size_t)pread(mem, memory_scratch() + PAGE, iov.iov_len,
				       (off_t)(uintptr_t)at);
		break;
	case 4:
		length = (size_t)pwrite(mem, memory_scratch() + PAGE, iov.iov_len,
					(off_t)(uintptr_t)at);
		break;
	default:
		length = (size_t)process_vm_readv(
			getpid(), &(struct iovec){ memory_scratch() + PAGE, PAGE }, 1, &iov, 1, 0);
	}
	close(mem);
	close(end[0]);
	close(end[1]);
}

/* A slot whole; a window can be nothing less. */
static char *slot_at(__u64 slot)
{
	return arena + SLOTS_AT + slot % SLOTS * SLOT_SIZE;
}

/* The same operation, each a little further on; of 2 MiB if it says so, aligned as it should. */
static void slot_window(int fd, const __u64 *n)
{
	struct exo_window_op ops[4];
	struct exo_window_set arg = {
		.size = sizeof(arg),
		.window = (uintptr_t)slot_at(n[0]),
		.ops = (uintptr_t)ops,
		.count = 1 + n[8] % 4,
	};
	const bool large = n[5] == EXO_ORDER_2M;
	__u32 i;

	for (i = 0; i < arg.count; i++)
		ops[i] = (struct exo_window_op){
			.op = (__u32)n[1],
			.first = large ? n[2] / 512 * 512 : n[2] + i * n[3] * 2,
			.count = large ? 512 : (__u32)n[3],
			.access = (__u32)n[4],
			.order = (__u32)n[5],
			.frames = (__u32)n[6],
			.page = large ? 0 : n[7],
		};
	if (!ioctl(fd, EXO_WINDOW_SET, &arg) || errno != ENOENT)
		return;
	if (map_fixed(slot_at(n[0]), SLOT_SIZE, PROT_READ | PROT_WRITE, fd, EXO_WINDOW_OFFSET))
		ioctl(fd, EXO_WINDOW_SET, &arg);
}

static void slot_dirty(int fd, const __u64 *n)
{
	struct exo_window_dirty arg = {
		.size = sizeof(arg),
		.window = (uintptr_t)slot_at(n[0]),
		.first = n[1],
		.count = (__u32)n[2],
		.bitmap = (uintptr_t)(memory_scratch() + PAGE),
	};

	ioctl(fd, EXO_WINDOW_DIRTY, &arg);
}

bool memory_run(enum special special, int fd, const __u64 *n)
{
	size_t length;
	char *at = part(n, &length);

	switch (special) {
	case OP_MMAP:
		slot_map(fd, n);
		return true;
	case OP_MUNMAP:
		munmap(at, length);
		return true;
	case OP_MPROTECT:
		mprotect(at, length, (int)n[3]);
		return true;
	case OP_MREMAP:
		slot_remap(n);
		return true;
	case OP_MADVISE:
		/* Beyond are those that take the machine's memory away. */
		madvise(at, length, (int)(n[3] % 26));
		return true;
	case OP_TOUCH:
		if (n[2] & 1)
			TRY(*(volatile char *)at = (char)n[2]);
		else
			TRY((void)*(volatile char *)at);
		return true;
	case OP_COPY_BYTES:
		slot_copy(n);
		return true;
	case OP_WINDOW:
		slot_window(fd, n);
		return true;
	case OP_WINDOW_DIRTY:
		slot_dirty(fd, n);
		return true;
	default:
		return false;
	}
}
