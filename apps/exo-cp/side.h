/* SPDX-License-Identifier: MIT */
/*
 * SOURCE and DESTINATION: what each of them is, and what can be done with it.
 */
#ifndef EXO_CP_SIDE_H
#define EXO_CP_SIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libexo.h>

#include "options.h"

#define UNKNOWN UINT64_MAX

enum side_kind {
	SIDE_EXTENT, /* has blocks, and queues */
	SIDE_FILE,   /* a file or block device: bytes at offsets */
	SIDE_STREAM, /* a pipe, a terminal: bytes in their order */
};

/* What a file is, whatever it is called. */
struct identity {
	bool known;
	dev_t device; /* of a block device its own number */
	ino_t inode;
};

/**
 * struct side - SOURCE or DESTINATION
 * @name: as given; but tokens, which are secret
 * @kind: what it is
 * @size: bytes; UNKNOWN of a stream, and of a file that is written to, which grows
 * @offset: byte where the copy begins
 * @block: bytes that it is read and written in; 1 of a file
 * @identity: of the file, also of that behind "uring:"
 * @fd: of a file or stream, or -1
 * @truncate: a file that is to be replaced
 * @absent: a file that is not there yet
 * @x: handle of an extent
 * @q: a queue that reads and writes it
 * @x_borrowed: @x is the other side's, which closes it
 * @q_borrowed: @q is
 * @first: extent block 0 as an LBA of its namespace
 * @memory: where the buffer begins in the buffer space of @q
 * @lent: a capability of @x's session that only this program wants; 0: none
 */
struct side {
	const char *name;
	enum side_kind kind;
	uint64_t size;
	uint64_t offset;
	uint32_t block;
	struct identity identity;
	int fd;
	bool truncate;
	bool absent;
	struct exo *x;
	struct exo_queue *q;
	bool x_borrowed;
	bool q_borrowed;
	uint64_t first;
	uint64_t memory;
	uint32_t lent;
};

/* Whether both are the same file, or emulate an extent with it. */
bool side_same_file(const struct side *a, const struct side *b);

/* All that can fail says why and returns -1. Nothing is changed before side_replace(). */
int side_open_source(struct side *s, const struct options *o);
int side_open_destination(struct side *s, const struct options *o, struct side *from);
/* An old file goes, and one that is not there is made. */
int side_replace(struct side *s, const struct options *o);
/* What was written becomes durable, where that means anything. */
int side_sync(struct side *s);
void side_close(struct side *s);

#endif
