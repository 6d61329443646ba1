/* SPDX-License-Identifier: MIT */
/*
 * Who uses a disk, by name: mounts, swap, dm, md, btrfs, loop, nvmet,
 * processes. It finds names for what an exclusive open can only say yes or no
 * to; the open (exclusive.h) is what proves that nobody does.
 */
#ifndef EXO_DAEMON_HOLDERS_H
#define EXO_DAEMON_HOLDERS_H

#include "disk.h"

void holders_find(const struct machine *m, const struct disk *disk, struct findings *found);

#endif
