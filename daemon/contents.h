/* SPDX-License-Identifier: MIT */
/*
 * What an open block device bears: partition tables, file systems, RAID and
 * LVM members, encrypted volumes, or data that nothing known begins.
 */
#ifndef EXO_DAEMON_CONTENTS_H
#define EXO_DAEMON_CONTENTS_H

#include "machine.h"

/* name: for the findings. */
void contents_find(int fd, const char *name, struct findings *found);

#endif
