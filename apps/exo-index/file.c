// SPDX-License-Identifier: MIT
/*
 * The file or block device below the engines mmap and direct.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "file.h"

static int refuse(char *why, size_t size, const char *path, int error)
{
	snprintf(why, size, "%s: %s", path, strerror(error));
	return -error;
}

static int open_flags(const struct pages_options *o, const char *path)
{
	struct stat st;
	/* O_NONBLOCK: a pipe is to be refused, and not waited for. */
	int flags = O_CLOEXEC | O_NONBLOCK | (o->write ? O_RDWR : O_RDONLY);

	/* Of a block device: nobody else has it, no file system is on it. */
	if (!stat(path, &st) && S_ISBLK(st.st_mode))
		return o->write ? flags | O_EXCL : flags;
	return o->write && o->grow ? flags | O_CREAT : flags;
}

/* Whether there is nothing in the first page, or what there is of it. */
static int look_empty(int fd)
{
	/* For O_DIRECT. */
	_Alignas(PAGE_BYTES) char page[PAGE_BYTES];
	ssize_t n = pread(fd, page, sizeof(page), 0);

	for (ssize_t i = 0; i < n; i++)
		if (page[i])
			return -EEXIST;
	return n < 0 ? -errno : 0;
}

static int lengthen(int fd, const struct pages_options *o)
{
	int r = o->force ? 0 : look_empty(fd);

	if (r)
		return r;
	return ftruncate(fd, o->grow) ? -errno : 0;
}

static int bytes_of(int fd, const struct stat *st, const struct pages_options *o, uint64_t *bytes)
{
	if (S_ISBLK(st->st_mode))
		return ioctl(fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (!S_ISREG(st->st_mode))
		return -ENODEV;
	*bytes = st->st_size;
	if (o->grow <= *bytes)
		return 0;
	*bytes = o->grow;
	return lengthen(fd, o);
}

static int prepare(int fd, const struct pages_options *o, uint64_t *pages, const char *path,
		   char *why, size_t size)
{
	struct stat st;
	uint64_t bytes;
	int r;

	if (flock(fd, (o->write ? LOCK_EX : LOCK_SH) | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return refuse(why, size, path, errno);
		snprintf(why, size, "%s: another process works on it", path);
		return -EBUSY;
	}
	r = fstat(fd, &st) ? -errno : bytes_of(fd, &st, o, &bytes);
	if (r == -ENODEV)
		snprintf(why, size, "%s: neither a regular file nor a block device", path);
	if (r == -EEXIST)
		snprintf(why, size, "%s: something is there already: --force overwrites it", path);
	if (r == -ENODEV || r == -EEXIST)
		return r;
	if (r)
		return refuse(why, size, path, -r);
	*pages = bytes / PAGE_BYTES;
	return 0;
}

int file_open(const char *path, const struct pages_options *o, int flags, uint64_t *pages,
	      char *why, size_t size)
{
	int fd = open(path, flags | open_flags(o, path), 0666), r;

	if (fd < 0 && errno == EINVAL && flags & O_DIRECT) {
		snprintf(why, size, "%s: O_DIRECT is not possible there", path);
		return -EINVAL;
	}
	if (fd < 0)
		return refuse(why, size, path, errno);
	r = prepare(fd, o, pages, path, why, size);
	if (!r)
		return fd;
	close(fd);
	return r;
}

void file_traffic(int fd, struct pages_stats *stats)
{
	uint64_t read = 0, written = 0;
	char path[64];
	struct stat st;
	dev_t device;
	FILE *f;

	stats->read_bytes = stats->written_bytes = 0;
	if (fstat(fd, &st))
		return;
	device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(device), minor(device));
	f = fopen(path, "re");
	if (!f)
		return;
	/* Documentation/block/stat.rst: sectors of 512 bytes. */
	if (fscanf(f, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &read, &written) == 2) {
		stats->read_bytes = read * 512;
		stats->written_bytes = written * 512;
	}
	fclose(f);
}
