/* SPDX-License-Identifier: MIT */
/*
 * A control group of the test's own.
 */
#ifndef EXO_SELFTESTS_CGROUP_H
#define EXO_SELFTESTS_CGROUP_H

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib.h"

#define CGROUP_ROOT "/tmp/exo-cgroup"

struct cgroup {
	char root[64]; /* where cgroup2 is mounted */
	char path[96]; /* ours */
	bool mounted;
};

static inline int cgroup_write(const struct cgroup *c, const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", c->path, file);
	return write_file(path, text);
}

/* For whoever may have no memory left to open it with. */
static inline int cgroup_open(const struct cgroup *c, const char *file)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", c->path, file);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static inline long long cgroup_read(const struct cgroup *c, const char *file)
{
	char path[160], text[64];

	snprintf(path, sizeof(path), "%s/%s", c->path, file);
	if (read_file(path, text, sizeof(text)))
		return -1;
	return atoll(text);
}

/* Moves this process into it. -ENODEV: this kernel has none, or not that @controller. */
static inline int cgroup_enter(struct cgroup *c, const char *controller)
{
	char control[96], text[32];

	c->mounted = access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	strcpy(c->root, c->mounted ? CGROUP_ROOT : "/sys/fs/cgroup");
	if (c->mounted) {
		mkdir(CGROUP_ROOT, 0755);
		if (mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL)) {
			c->mounted = false;
			return -ENODEV;
		}
	}
	snprintf(control, sizeof(control), "%s/cgroup.subtree_control", c->root);
	snprintf(text, sizeof(text), "+%s", controller);
	if (write_file(control, text))
		return -ENODEV;
	snprintf(c->path, sizeof(c->path), "%s/exo-selftest", c->root);
	rmdir(c->path);
	if (mkdir(c->path, 0755))
		return -errno;
	snprintf(text, sizeof(text), "%d", getpid());
	return cgroup_write(c, "cgroup.procs", text);
}

static inline void cgroup_leave(const struct cgroup *c)
{
	char procs[96], text[32];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", c->root);
	snprintf(text, sizeof(text), "%d", getpid());
	write_file(procs, text);
	rmdir(c->path);
	if (c->mounted)
		umount(c->root);
}

/* For fixtures: enters a memory cgroup, or skips. */
#define CGROUP_SETUP(c)                                                    \
	do {                                                               \
		int ret_ = cgroup_enter(c, "memory");                      \
                                                                           \
		if (ret_ == -ENODEV)                                       \
			SKIP(return, "this kernel has no memory cgroups"); \
		ASSERT_EQ(0, ret_);                                        \
	} while (0)

#endif
