/* SPDX-License-Identifier: MIT */
/*
 * Holding a disk so that nothing else in the machine can start to use it:
 * every namespace opened O_EXCL. The kernel grants that only while no
 * filesystem, swap, dm, md, ZFS or other exclusive opener has the namespace or
 * one of its partitions, and lets none of them in as long as it is held.
 */
#ifndef EXO_DAEMON_EXCLUSIVE_H
#define EXO_DAEMON_EXCLUSIVE_H

#include "disk.h"

struct exclusive {
	int *fd;
	size_t count;
};

/* Who was in the way is in refused, what the disk bears in contents. */
void exclusive_take(const struct machine *m, const struct disk *disk, struct exclusive *held,
		    struct findings *refused, struct findings *contents);
void exclusive_release(struct exclusive *held);

#endif
