/* SPDX-License-Identifier: MIT */
/*
 * The file or block device below the engines mmap and direct.
 */
#ifndef EXO_INDEX_FILE_H
#define EXO_INDEX_FILE_H

#include "pages.h"

/**
 * file_open - open a file for one user alone
 * @path: a regular file or a block device
 * @o: @write, and @grow of a regular file, which is then made if it is not there
 * @flags: for open(), beside those that follow from @o
 * @pages: whole pages in it
 * @why: on failure, a sentence
 * @size: bytes there
 *
 * Locked: shared if it is only read. A block device that is mounted is not written to.
 *
 * Returns a file descriptor or a negative errno.
 */
int file_open(const char *path, const struct pages_options *o, int flags, uint64_t *pages,
	      char *why, size_t size);

/**
 * file_traffic - what the disk below a file moved since the machine started
 * @fd: the file
 * @stats: its bytes are set; to 0 if the kernel does not say
 */
void file_traffic(int fd, struct pages_stats *stats);

#endif
