/* SPDX-License-Identifier: MIT */
/*
 * Files, block devices and streams.
 *
 * By way of the page cache: a buffer of libexo's is no memory that the kernel could give a disk
 * driver for O_DIRECT.
 */
#ifndef EXO_CP_FILE_H
#define EXO_CP_FILE_H

#include "side.h"

int file_open_source(struct side *s);
/* One that is not there is not made yet: @absent. */
int file_open_destination(struct side *s, const struct options *o);
int file_make(struct side *s, const struct options *o);

/* What @path is, if it is there. */
struct identity file_identity(const char *path);

/*
 * @bytes from byte @at of the copy on; of a stream those that come next. Returns fewer at
 * the end, and when a stream was waited for and stop_asked(); or -1 after saying why.
 */
ssize_t file_read(struct side *s, void *to, uint64_t at, size_t bytes);

/* All of them: 0; -1 after saying why. */
int file_write(struct side *s, const void *from, uint64_t at, size_t bytes);

int file_sync(struct side *s);

/* What is read afterwards comes from the disk. */
void file_forget(struct side *s);

#endif
