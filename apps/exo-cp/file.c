// SPDX-License-Identifier: MIT
/*
 * Files, block devices and streams.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "report.h"
#include "stop.h"

static struct identity identify(const struct stat *about)
{
	struct identity identity = {
		.known = true,
		.device = about->st_dev,
		.inode = about->st_ino,
	};

	if (S_ISBLK(about->st_mode)) {
		identity.device = about->st_rdev;
		identity.inode = 0;
	}
	return identity;
}

struct identity file_identity(const char *path)
{
	struct stat about;

	return stat(path, &about) ? (struct identity){ 0 } : identify(&about);
}

/* Of the calls that get the buffer, which is there as long as it is ours. */
static const char *reason(int error)
{
	return error == EFAULT ? "the buffer was taken back" : strerrordesc_np(error);
}

static int cannot(const char *what, const struct side *s)
{
	return fail("cannot %s %s: %s", what, s->name, strerrordesc_np(errno));
}

static int measure_device(struct side *s)
{
	off_t end = lseek(s->fd, 0, SEEK_END);

	if (end < 0)
		return cannot("learn the size of", s);
	s->size = end;
	return 0;
}

/* A file of no bytes may be one of /proc, which has as many as are read from it. */
static int classify(struct side *s, bool writes)
{
	struct stat about;

	if (fstat(s->fd, &about))
		return cannot("look at", s);
	s->identity = identify(&about);
	s->block = 1;
	s->kind = SIDE_FILE;
	s->size = UNKNOWN;
	if (S_ISDIR(about.st_mode))
		return fail("%s is a directory: name a file", s->name);
	if (S_ISBLK(about.st_mode))
		return measure_device(s);
	if (!S_ISREG(about.st_mode) || (!writes && !about.st_size))
		s->kind = SIDE_STREAM;
	else if (!writes)
		s->size = about.st_size;
	return 0;
}

int file_open_source(struct side *s)
{
	if (!strcmp(s->name, "-")) {
		s->name = "standard input";
		s->fd = STDIN_FILENO;
		if (classify(s, false))
			return -1;
		/* From where it stands. */
		s->kind = SIDE_STREAM;
		s->size = UNKNOWN;
		return 0;
	}
	s->fd = open(s->name, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return cannot("open", s);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return classify(s, false);
}

/* A device that the kernel itself uses is not written to: O_EXCL is refused for one. */
static int how_to_write(const char *name, bool reads_too)
{
	int how = (reads_too ? O_RDWR : O_WRONLY) | O_CLOEXEC;
	struct stat about;

	if (!stat(name, &about) && S_ISBLK(about.st_mode))
		return how | O_EXCL;
	return how;
}

/* It is made by side_replace(), when nothing is left to refuse. */
static int will_be_made(struct side *s)
{
	s->kind = SIDE_FILE;
	s->block = 1;
	s->size = UNKNOWN;
	s->absent = true;
	return 0;
}

int file_make(struct side *s, const struct options *o)
{
	s->fd = open(s->name, how_to_write(s->name, o->verify) | O_CREAT, 0666);
	return s->fd < 0 ? cannot("make", s) : 0;
}

int file_open_destination(struct side *s, const struct options *o)
{
	if (!strcmp(s->name, "-")) {
		s->name = "standard output";
		s->fd = STDOUT_FILENO;
		if (classify(s, true))
			return -1;
		s->kind = SIDE_STREAM;
		s->size = UNKNOWN;
		return 0;
	}
	s->fd = open(s->name, how_to_write(s->name, o->verify));
	if (s->fd < 0 && errno == ENOENT)
		return will_be_made(s);
	if (s->fd < 0 && errno == EBUSY)
		return fail("%s is in use (mounted, swap, or part of another device), and writing "
			    "would destroy that",
			    s->name);
	if (s->fd < 0)
		return cannot("open", s);
	if (classify(s, true))
		return -1;
	s->truncate = !o->to.given && s->kind == SIDE_FILE && s->size == UNKNOWN;
	return 0;
}

static ssize_t read_some(struct side *s, void *to, uint64_t at, size_t bytes)
{
	if (s->kind == SIDE_FILE)
		return pread(s->fd, to, bytes, s->offset + at);
	stop_wait(s->fd, POLLIN);
	if (stop_asked())
		return 0;
	return read(s->fd, to, bytes);
}

ssize_t file_read(struct side *s, void *to, uint64_t at, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = read_some(s, (char *)to + done, at + done, bytes - done);

		if (!n)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail("cannot read %s at byte %llu: %s", s->name,
				    (unsigned long long)(s->offset + at + done), reason(errno));
		done += n;
	}
	return done;
}

static ssize_t write_some(struct side *s, const void *from, uint64_t at, size_t bytes)
{
	if (s->kind == SIDE_FILE)
		return pwrite(s->fd, from, bytes, s->offset + at);
	stop_wait(s->fd, POLLOUT);
	if (stop_asked()) {
		errno = EINTR;
		return -1;
	}
	return write(s->fd, from, bytes);
}

/* What a stream has no room for is given up when it is to stop. */
int file_write(struct side *s, const void *from, uint64_t at, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = write_some(s, (const char *)from + done, at + done, bytes - done);

		if (n < 0 && errno == EINTR && !(s->kind == SIDE_STREAM && stop_asked()))
			continue;
		if (n < 0 && errno == EINTR)
			return -1;
		if (n < 0)
			return fail("cannot write %s at byte %llu: %s", s->name,
				    (unsigned long long)(s->offset + at + done), reason(errno));
		done += n;
	}
	return 0;
}

/* A pipe or terminal has no disk behind it: fsync(2). */
int file_sync(struct side *s)
{
	if (!fsync(s->fd) || (s->kind == SIDE_STREAM && (errno == EINVAL || errno == EROFS)))
		return 0;
	return fail("cannot make durable what was written to %s: %s", s->name,
		    strerrordesc_np(errno));
}

void file_forget(struct side *s)
{
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
}
