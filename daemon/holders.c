// SPDX-License-Identifier: MIT
/*
 * Who uses a disk, by name; see holders.h.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "holders.h"

static bool is_pid(const char *name)
{
	return name[strspn(name, "0123456789")] == '\0';
}

static const struct disk_device *device_named(const struct disk *disk, const char *path)
{
	if (strncmp(path, "/dev/", 5))
		return NULL;
	for (size_t i = 0; i < disk->count; i++)
		if (!strcmp(disk->devices[i].name, path + 5))
			return &disk->devices[i];
	return NULL;
}

static const struct disk_device *device_numbered(const struct disk *disk, dev_t number,
						 bool character)
{
	for (size_t i = 0; i < disk->count; i++)
		if (number && disk->devices[i].number == number &&
		    (disk->devices[i].kind == DISK_CHARACTER) == character)
			return &disk->devices[i];
	return NULL;
}

/* A path as mountinfo and swaps write it: by name, else by what it leads to. */
static const struct disk_device *device_at(const struct machine *m, const struct disk *disk,
					   const char *path)
{
	const struct disk_device *dev = device_named(disk, path);
	struct stat st;

	if (dev || path[0] != '/' || fstatat(m->root, path + 1, &st, 0) || !S_ISBLK(st.st_mode))
		return dev;
	return device_numbered(disk, st.st_rdev, false);
}

/* mountinfo and swaps write blanks and backslashes as \ooo. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && isdigit((unsigned char)text[1]) &&
		    isdigit((unsigned char)text[2]) && isdigit((unsigned char)text[3])) {
			*out++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

struct mount {
	dev_t number;
	char *where, *type, *source;
};

/* "36 35 98:0 /root /where opts [tags] - type source superopts", proc(5) */
static bool parse_mount(char *line, struct mount *mount)
{
	char *field[5], *rest = strstr(line, " - ");
	unsigned int major, minor;

	if (!rest)
		return false;
	*rest = '\0';
	rest += 3;
	for (int i = 0; i < 5; i++) {
		field[i] = strsep(&line, " ");
		if (!field[i])
			return false;
	}
	if (sscanf(field[2], "%u:%u", &major, &minor) != 2)
		return false;
	mount->number = makedev(major, minor);
	mount->where = field[4];
	mount->type = strsep(&rest, " ");
	mount->source = strsep(&rest, " ");
	if (!mount->source)
		return false;
	unescape(mount->where);
	unescape(mount->source);
	return true;
}

static FILE *open_text(const struct machine *m, const char *directory, const char *name)
{
	int fd = machine_fd(m, O_RDONLY, "proc/%s/%s", directory, name);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static void find_mounts_of(const struct machine *m, const struct disk *disk, const char *process,
			   const char *whose, struct findings *found)
{
	FILE *file = open_text(m, process, "mountinfo");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		const struct disk_device *dev;
		struct mount mount;
		char *cure;

		line[strcspn(line, "\n")] = '\0';
		if (!parse_mount(line, &mount))
			continue;
		dev = device_numbered(disk, mount.number, false);
		/* btrfs and overlays carry an anonymous number: go by the source. */
		if (!dev)
			dev = device_at(m, disk, mount.source);
		if (!dev)
			continue;
		cure = must_print("umount %s", mount.where);
		findings_add(found, cure, "/dev/%s is mounted on %s (%s)%s", dev->name, mount.where,
			     mount.type, whose);
		free(cure);
	}
	free(line);
	fclose(file);
}

/* Every mount namespace that some process shows, each once. */
static void find_mounts(const struct machine *m, const struct disk *disk, struct findings *found)
{
	struct names processes = machine_list(m, "proc"), seen = {};
	char space[64], comm[32];

	if (!machine_link(m, space, sizeof(space), "proc/self/ns/mnt"))
		names_add(&seen, space);
	find_mounts_of(m, disk, "self", "", found);
	for (size_t i = 0; i < processes.count; i++) {
		const char *pid = processes.name[i];
		char *whose;

		if (!is_pid(pid) || machine_link(m, space, sizeof(space), "proc/%s/ns/mnt", pid) ||
		    names_have(&seen, space))
			continue;
		names_add(&seen, space);
		machine_read(m, comm, sizeof(comm), "proc/%s/comm", pid);
		whose = must_print(" in the mount namespace of process %s (%s)", pid, comm);
		find_mounts_of(m, disk, pid, whose, found);
		free(whose);
	}
	names_free(&seen);
	names_free(&processes);
}

static void find_swap(const struct machine *m, const struct disk *disk, struct findings *found)
{
	FILE *file = open_text(m, ".", "swaps");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		const struct disk_device *dev;
		char *cure;

		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		dev = device_at(m, disk, line);
		if (!dev)
			continue;
		cure = must_print("swapoff %s", line);
		findings_add(found, cure, "/dev/%s is swap space in use", dev->name);
		free(cure);
	}
	free(line);
	fclose(file);
}

/* Devices that the kernel stacked on this one. */
static void find_stacked(const struct machine *m, const struct disk_device *dev,
			 struct findings *found)
{
	struct names list = machine_list(m, "sys/class/block/%s/holders", dev->name);
	char name[128], uuid[128];

	for (size_t i = 0; i < list.count; i++) {
		const char *holder = list.name[i];
		char *cure;

		if (machine_read(m, name, sizeof(name), "sys/class/block/%s/dm/name", holder) > 0) {
			machine_read(m, uuid, sizeof(uuid), "sys/class/block/%s/dm/uuid", holder);
			if (!strncmp(uuid, "LVM-", 4))
				cure = must_print("vgchange -an, the volume group of %s", name);
			else if (!strncmp(uuid, "CRYPT-", 6))
				cure = must_print("cryptsetup close %s", name);
			else
				cure = must_print("dmsetup remove %s", name);
			findings_add(found, cure,
				     "/dev/%s carries the device-mapper device %s (%s)%s",
				     dev->name, name, holder,
				     !strncmp(uuid, "LVM-", 4) ? ", a logical volume" : "");
		} else if (machine_has(m, "sys/class/block/%s/md", holder)) {
			cure = must_print("mdadm --stop /dev/%s", holder);
			findings_add(found, cure, "/dev/%s is a member of the RAID array %s",
				     dev->name, holder);
		} else {
			cure = must_print("take %s down", holder);
			findings_add(found, cure, "/dev/%s carries %s", dev->name, holder);
		}
		free(cure);
	}
	names_free(&list);
}

/* btrfs names only one of its devices in mountinfo; here it lists all. */
static void find_btrfs(const struct machine *m, const struct disk_device *dev,
		       struct findings *found)
{
	struct names volumes = machine_list(m, "sys/fs/btrfs");

	for (size_t i = 0; i < volumes.count; i++)
		if (machine_has(m, "sys/fs/btrfs/%s/devices/%s", volumes.name[i], dev->name))
			findings_add(found, "umount that filesystem",
				     "/dev/%s is part of the mounted btrfs %s", dev->name,
				     volumes.name[i]);
	names_free(&volumes);
}

/* Loop devices keep their file open without a process or an exclusive claim. */
static void find_loop(const struct machine *m, const struct disk *disk, struct findings *found)
{
	struct names blocks = machine_list(m, "sys/class/block");
	char path[256];

	for (size_t i = 0; i < blocks.count; i++) {
		const struct disk_device *dev;
		char *cure;

		if (strncmp(blocks.name[i], "loop", 4) ||
		    machine_read(m, path, sizeof(path), "sys/class/block/%s/loop/backing_file",
				 blocks.name[i]) < 0)
			continue;
		dev = device_at(m, disk, path);
		if (!dev)
			continue;
		cure = must_print("losetup -d /dev/%s", blocks.name[i]);
		findings_add(found, cure, "/dev/%s is behind the loop device %s", dev->name,
			     blocks.name[i]);
		free(cure);
	}
	names_free(&blocks);
}

/* So does the NVMe target. */
static void find_nvmet(const struct machine *m, const struct disk *disk, struct findings *found)
{
	struct names subsystems = machine_list(m, "sys/kernel/config/nvmet/subsystems");
	char path[256];

	for (size_t i = 0; i < subsystems.count; i++) {
		const char *base = "sys/kernel/config/nvmet/subsystems";
		struct names spaces = machine_list(m, "%s/%s/namespaces", base, subsystems.name[i]);

		for (size_t k = 0; k < spaces.count; k++) {
			const struct disk_device *dev;

			if (machine_read(m, path, sizeof(path), "%s/%s/namespaces/%s/device_path",
					 base, subsystems.name[i], spaces.name[k]) < 0)
				continue;
			dev = device_at(m, disk, path);
			if (dev)
				findings_add(found, "nvmetcli, or disable that namespace",
					     "/dev/%s is exported by the NVMe target %s", dev->name,
					     subsystems.name[i]);
		}
		names_free(&spaces);
	}
	names_free(&subsystems);
}

static const struct disk_device *device_open_as(const struct machine *m, const struct disk *disk,
						const char *pid, const char *fd)
{
	const struct disk_device *dev;
	char path[512], target[256];
	struct stat st;
	ssize_t len;

	snprintf(path, sizeof(path), "proc/%s/fd/%s", pid, fd);
	len = readlinkat(m->root, path, target, sizeof(target) - 1);
	if (len < 0)
		return NULL;
	target[len] = '\0';
	dev = device_named(disk, target);
	if (dev)
		return dev;
	/* Another name for it, or a container's /dev; a pipe or a socket is no path. */
	if (target[0] != '/' || fstatat(m->root, path, &st, 0))
		return NULL;
	if (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
		return NULL;
	return device_numbered(disk, st.st_rdev, S_ISCHR(st.st_mode));
}

static void find_process(const struct machine *m, const struct disk *disk, const char *pid,
			 struct findings *found)
{
	struct names fds = machine_list(m, "proc/%s/fd", pid);
	const struct disk_device *last = NULL;
	char comm[32];

	for (size_t i = 0; i < fds.count; i++) {
		const struct disk_device *dev = device_open_as(m, disk, pid, fds.name[i]);
		char *cure;

		if (!dev || dev == last)
			continue;
		last = dev;
		machine_read(m, comm, sizeof(comm), "proc/%s/comm", pid);
		cure = must_print("end process %s", pid);
		findings_add(found, cure, "/dev/%s is open in process %s (%s)", dev->name, pid,
			     comm);
		free(cure);
	}
	names_free(&fds);
}

static void find_processes(const struct machine *m, const struct disk *disk, struct findings *found)
{
	struct names processes = machine_list(m, "proc");
	char self[16];

	snprintf(self, sizeof(self), "%d", getpid());
	for (size_t i = 0; i < processes.count; i++)
		if (is_pid(processes.name[i]) && strcmp(processes.name[i], self))
			find_process(m, disk, processes.name[i], found);
	names_free(&processes);
}

void holders_find(const struct machine *m, const struct disk *disk, struct findings *found)
{
	find_mounts(m, disk, found);
	find_swap(m, disk, found);
	for (size_t i = 0; i < disk->count; i++) {
		if (disk->devices[i].kind == DISK_CHARACTER)
			continue;
		find_stacked(m, &disk->devices[i], found);
		find_btrfs(m, &disk->devices[i], found);
	}
	find_loop(m, disk, found);
	find_nvmet(m, disk, found);
	find_processes(m, disk, found);
}
