/* SPDX-License-Identifier: MIT */
/*
 * The disk that the kernel's nvme driver shows of a PCI function: namespaces,
 * their partitions, and the character devices that reach past them.
 */
#ifndef EXO_DAEMON_DISK_H
#define EXO_DAEMON_DISK_H

#include <sys/types.h>

#include "function.h"

enum disk_kind {
	DISK_NAMESPACE,
	DISK_PARTITION, /* of the namespace before it */
	DISK_CHARACTER, /* nvme0, ng0n1: commands of any kind */
};

struct disk_device {
	char name[40]; /* below /dev and /sys/class/block */
	enum disk_kind kind;
	dev_t number;
	unsigned int nsid; /* of a namespace; its name need not follow it */
};

struct disk {
	char controller[16]; /* nvme0; empty: the nvme driver does not have it */
	char serial[64];
	char model[64];
	unsigned int queues; /* I/O queues the nvme driver uses */
	unsigned int namespaces;
	struct disk_device *devices; /* a namespace's partitions follow it */
	size_t count;
	struct names shared; /* "nvme0n1 through nvme1": another controller has it too */
};

void disk_find(const struct machine *m, const struct function *f, struct disk *disk);
void disk_free(struct disk *disk);

#endif
