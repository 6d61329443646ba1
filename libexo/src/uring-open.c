// SPDX-License-Identifier: LGPL-2.1-only
/*
 * "uring:PATH": what the file is, and what the handle can do with it.
 *
 * O_DIRECT where the file says that it can, and how (statx(), STATX_DIOALIGN): then the
 * kernel's cache is out of the way as it is for the module. Else by way of the cache.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "uring.h"

#define BLOCK_MIN 512u
#define BLOCK_MAX 4096u
#define IO_TIMEOUT_MS 30000 /* the module's, too */

/* Since Linux 6.1; the header may be older. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif

/**
 * struct file - what is being opened
 * @path: its name
 * @how: for open()
 * @stat: what it is
 * @direct: O_DIRECT is used
 * @memory_align: what it wants of addresses
 * @block: bytes of a logical block
 * @bytes: size
 */
struct file {
	const char *path;
	int how;
	struct stat stat;
	bool direct;
	uint32_t memory_align;
	uint32_t block;
	uint64_t bytes;
};

static int how_to_open(unsigned int rights)
{
	if (!(rights & (EXO_WRITE | EXO_TRIM)))
		return O_RDONLY | O_CLOEXEC;
	return (rights & EXO_READ ? O_RDWR : O_WRONLY) | O_CLOEXEC;
}

static int cannot_open(struct exo *x, const struct file *f, int error)
{
	if (error == ENOENT)
		return exo_fail(x, -error, NULL,
				"there is no %.128s: \"truncate -s 64M FILE\" makes an empty file",
				f->path);
	return exo_fail(x, -error, NULL, "cannot open %.128s for %s: %s", f->path,
			f->how & (O_RDWR | O_WRONLY) ? "writing" : "reading",
			strerrordesc_np(error));
}

static int check_kind(struct exo *x, const struct file *f)
{
	if (S_ISREG(f->stat.st_mode) || S_ISBLK(f->stat.st_mode))
		return 0;
	return exo_fail(x, -EINVAL, NULL, "%.128s is neither a file nor a block device", f->path);
}

/* A FIFO would block, and some devices act: it is looked at before it is opened. */
static int look_at(struct exo *x, struct file *f)
{
	if (stat(f->path, &f->stat))
		return cannot_open(x, f, errno);
	return check_kind(x, f);
}

/*
 * A block device that the kernel itself uses is not written to: O_EXCL is refused for one
 * that is mounted, swap, or part of another. Other programs do not count.
 */
static int check_unused(struct exo *x, const struct file *f)
{
	int fd;

	if (!S_ISBLK(f->stat.st_mode) || !(f->how & (O_RDWR | O_WRONLY)))
		return 0;
	fd = open(f->path, f->how | O_EXCL);
	if (fd >= 0)
		close(fd);
	else if (errno == EBUSY)
		return exo_fail(x, -EBUSY, NULL,
				"%.128s is in use (mounted, swap, or part of another device), and "
				"writing would destroy that",
				f->path);
	return 0;
}

/* Does O_DIRECT work, and what does it want? */
static bool direct_works(struct exo *x, struct file *f)
{
	struct statx about;

	if (statx(x->uring->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about))
		return false;
	if (!(about.stx_mask & STATX_DIOALIGN) || !about.stx_dio_mem_align ||
	    !about.stx_dio_offset_align || about.stx_dio_offset_align > BLOCK_MAX)
		return false;
	f->memory_align = about.stx_dio_mem_align;
	if (f->block < about.stx_dio_offset_align)
		f->block = about.stx_dio_offset_align;
	return true;
}

static int open_file(struct exo *x, struct file *f)
{
	x->uring->fd = open(f->path, f->how | O_DIRECT);
	f->direct = x->uring->fd >= 0 && direct_works(x, f);
	if (!f->direct) {
		if (x->uring->fd >= 0)
			close(x->uring->fd);
		f->memory_align = 1;
		x->uring->fd = open(f->path, f->how);
	}
	/* The name may be another's by now. */
	if (x->uring->fd < 0 || fstat(x->uring->fd, &f->stat))
		return cannot_open(x, f, errno);
	return check_kind(x, f);
}

static int measure_device(struct exo *x, struct file *f)
{
	int block;

	if (ioctl(x->uring->fd, BLKSSZGET, &block) || ioctl(x->uring->fd, BLKGETSIZE64, &f->bytes))
		return exo_fail(x, -errno, NULL, "cannot learn the size of %.128s: %s", f->path,
				strerrordesc_np(errno));
	if ((uint32_t)block > f->block)
		f->block = block;
	return 0;
}

static int measure(struct exo *x, struct file *f)
{
	int r = 0;

	f->bytes = f->stat.st_size;
	if (S_ISBLK(f->stat.st_mode))
		r = measure_device(x, f);
	if (r)
		return r;
	if (f->block > BLOCK_MAX)
		return exo_fail(x, -EOPNOTSUPP, NULL,
				"%.128s has blocks of %u bytes, and at most %u are supported",
				f->path, f->block, BLOCK_MAX);
	if (f->bytes < f->block)
		return exo_fail(x, -EINVAL, NULL,
				"%.128s has %llu bytes, which is less than a block of %u: "
				"\"truncate -s 64M FILE\" makes a file larger",
				f->path, (unsigned long long)f->bytes, f->block);
	return 0;
}

/* A device can make holes if it can write zeroes without being sent them. */
static bool device_punches(const struct file *f)
{
	unsigned long long bytes = 0;
	char path[96];
	FILE *limit;

	/* A partition has what its disk has. */
	for (int parent = 0; parent < 2; parent++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/queue/write_zeroes_max_bytes",
			 major(f->stat.st_rdev), minor(f->stat.st_rdev), parent ? "/.." : "");
		limit = fopen(path, "re");
		if (!limit)
			continue;
		if (fscanf(limit, "%llu", &bytes) != 1)
			bytes = 0;
		fclose(limit);
		break;
	}
	return bytes;
}

/* Beyond the end of a file there is nothing to lose by a hole. */
static bool punches(struct exo *x, const struct file *f)
{
	if (!(f->how & (O_RDWR | O_WRONLY)))
		return false;
	if (S_ISBLK(f->stat.st_mode))
		return device_punches(f);
	return !fallocate(x->uring->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (f->bytes + BLOCK_MAX) & ~(uint64_t)(BLOCK_MAX - 1), BLOCK_MAX);
}

/* The page of zeroes, again and again: takes no memory. */
static int map_zeroes(struct exo *x)
{
	void *zeroes = mmap(NULL, EXO_URING_TRANSFER_MAX, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (zeroes == MAP_FAILED)
		return exo_fail(x, -ENOMEM, NULL, "no memory to open a file in");
	x->uring->zeroes = zeroes;
	return 0;
}

/* What the module and the controller would have told. */
static void describe(struct exo *x, const struct file *f, unsigned int rights)
{
	const char *name = strrchr(f->path, '/');

	x->rights = rights;
	x->nsid = EXO_URING_NSID;
	x->block_shift = __builtin_ctz(f->block);
	x->blocks = f->bytes >> x->block_shift;
	x->transfer_max = EXO_URING_TRANSFER_MAX;
	x->depth_max = EXO_URING_DEPTH_MAX;
	x->controller_flags = EXO_CONTROLLER_WRITE_ZEROES | EXO_CONTROLLER_VOLATILE_CACHE |
			      EXO_CONTROLLER_COMPARE | EXO_CONTROLLER_COPY |
			      (punches(x, f) ? EXO_CONTROLLER_TRIM : 0);
	x->copy = (struct exo_copy_limits){
		.ranges = EXO_COPY_RANGES,
		.range_blocks = EXO_URING_TRANSFER_MAX >> x->block_shift,
		.blocks = EXO_URING_TRANSFER_MAX >> x->block_shift,
	};
	x->io_timeout_ms = IO_TIMEOUT_MS;
	snprintf(x->address, sizeof(x->address), "io_uring");
	snprintf(x->serial, sizeof(x->serial), "%s", name ? name + 1 : f->path);
	snprintf(x->model, sizeof(x->model), "%s, %s",
		 S_ISBLK(f->stat.st_mode) ? "block device" : "file",
		 f->direct ? "O_DIRECT" : "through the page cache");
}

int exo_uring_open(struct exo *x, const char *path, unsigned int rights)
{
	struct file f = { .path = path, .how = how_to_open(rights), .block = BLOCK_MIN };
	int r;

	if (x->direct)
		return exo_fail(x, -EOPNOTSUPP, NULL,
				"there are no direct queues behind a uring: name");
	x->uring = calloc(1, sizeof(*x->uring));
	if (!x->uring)
		return exo_fail(x, -ENOMEM, NULL, "no memory to open a file in");
	x->uring->fd = -1;
	x->backend = &exo_backend_uring;
	r = look_at(x, &f);
	if (!r)
		r = check_unused(x, &f);
	if (!r)
		r = open_file(x, &f);
	if (!r)
		r = measure(x, &f);
	if (!r)
		r = map_zeroes(x);
	if (r)
		return r;
	x->uring->memory_align = f.memory_align;
	describe(x, &f, rights);
	return 0;
}
