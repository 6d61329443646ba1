// SPDX-License-Identifier: MIT
/*
 * Holding a disk exclusively; see exclusive.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

#include "contents.h"
#include "exclusive.h"

#define UDEV_SECONDS 10

static void keep(struct exclusive *held, int fd)
{
	held->fd = must_alloc(held->fd, (held->count + 1) * sizeof(*held->fd));
	held->fd[held->count++] = fd;
}

static void ignore_alarm(int signal)
{
	(void)signal;
}

/*
 * udev's worker shares a lock on a disk while it looks at it, and skips a disk
 * that another has locked (systemd.io/BLOCK_DEVICE_LOCKING): so the lock both
 * waits for a worker that is at it now and keeps the next away.
 */
static int lock_against_udev(int fd)
{
	struct sigaction old, act = { .sa_handler = ignore_alarm };
	struct itimerval limit = { .it_value.tv_sec = UDEV_SECONDS, .it_interval.tv_sec = 1 };
	struct itimerval none = {};
	int ret;

	sigaction(SIGALRM, &act, &old);
	setitimer(ITIMER_REAL, &limit, NULL);
	ret = flock(fd, LOCK_EX) ? -errno : 0;
	setitimer(ITIMER_REAL, &none, NULL);
	sigaction(SIGALRM, &old, NULL);
	return ret;
}

static void refuse(struct findings *refused, const struct disk_device *dev, int error)
{
	const char *cure = "";

	if (error == -EBUSY)
		cure = "stop what uses it: a mounted filesystem of several devices, ZFS, bcache, …";
	else if (error == -EINTR)
		cure = "a program keeps it locked (flock); see fuser";
	else if (error == -ENOENT)
		cure = "wait for udev to make its node (udevadm settle)";
	findings_add(refused, cure, "/dev/%s cannot be held exclusively: %s", dev->name,
		     error == -EINTR ? "it is locked" : strerror(-error));
}

/* A namespace that this kernel cannot use, as of zones it was not built for, has no node. */
static bool is_hidden(const struct machine *m, const char *name)
{
	char text[8];

	return machine_read(m, text, sizeof(text), "sys/class/block/%s/hidden", name) > 0 &&
	       text[0] == '1';
}

/*
 * A claim of the whole namespace excludes claims of its partitions and the
 * other way round, so partitions are opened plainly while the namespace is held.
 */
static void take_device(const struct machine *m, const struct disk_device *dev,
			struct exclusive *held, struct findings *refused, struct findings *contents)
{
	int flags = O_RDONLY | (dev->kind == DISK_NAMESPACE ? O_EXCL : 0);
	int fd = machine_fd(m, flags, "dev/%s", dev->name), ret;

	if (fd == -ENOENT && is_hidden(m, dev->name))
		return;
	if (fd < 0) {
		refuse(refused, dev, fd);
		return;
	}
	keep(held, fd);
	if (dev->kind == DISK_NAMESPACE) {
		ret = lock_against_udev(fd);
		if (ret)
			refuse(refused, dev, ret);
	}
	contents_find(fd, dev->name, contents);
}

void exclusive_take(const struct machine *m, const struct disk *disk, struct exclusive *held,
		    struct findings *refused, struct findings *contents)
{
	*held = (struct exclusive){};
	for (size_t i = 0; i < disk->count; i++)
		if (disk->devices[i].kind != DISK_CHARACTER)
			take_device(m, &disk->devices[i], held, refused, contents);
}

void exclusive_release(struct exclusive *held)
{
	for (size_t i = 0; i < held->count; i++)
		close(held->fd[i]);
	free(held->fd);
	*held = (struct exclusive){};
}
