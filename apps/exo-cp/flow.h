/* SPDX-License-Identifier: MIT */
/*
 * The way of the data: pieces, in a ring. Each is read, then written; several are on their way at
 * a time, in any state, so that the devices have something to do while a file is read or written.
 * They are begun and ended in their order: what has arrived is one range without a gap.
 */
#ifndef EXO_CP_FLOW_H
#define EXO_CP_FLOW_H

#include "side.h"
#include "sums.h"

/* What becomes of a piece. */
enum flow_kind {
	FLOW_COPY,    /* read, written; noted, if there are sums */
	FLOW_OFFLOAD, /* copied by the device */
	FLOW_NOTE,    /* read, noted */
	FLOW_CHECK,   /* read, compared with what was noted */
};

enum piece_state {
	PIECE_FREE,
	PIECE_READING, /* the device has it */
	PIECE_FULL,
	PIECE_WRITING, /* the device has it */
	PIECE_DONE,
	PIECE_FAILED,
};

/**
 * struct piece - a part of the copy
 * @state: how far it is
 * @at: its first byte, counted from the start of the copy
 * @bytes: of it
 */
struct piece {
	enum piece_state state;
	uint64_t at;
	uint32_t bytes;
};

/**
 * struct flow - a run over some bytes of the copy
 * @kind: what it does
 * @from: where from
 * @to: where to; NULL: nowhere
 * @sums: or NULL
 * @pad: as struct options has it
 * @begin: first byte, counted from the start of the copy
 * @end: behind the last one; a stream may end before
 * @size: bytes of a piece; fewer at the end
 * @buffer: memory that both sides reach
 * @stride: bytes of it for each piece
 * @pieces: the ring
 * @count: pieces in it
 * @started: pieces ever begun, modulo 2^64: the next is @pieces[@started % @count]
 * @written: pieces whose writing was ever begun
 * @ended: pieces that have arrived
 * @next: first byte of the next piece
 * @done: everything before it has arrived
 * @over: no piece is begun any more
 */
struct flow {
	enum flow_kind kind;
	struct side *from;
	struct side *to;
	struct sums *sums;
	bool pad;
	uint64_t begin;
	uint64_t end;
	uint32_t size;
	char *buffer;
	uint32_t stride;
	struct piece *pieces;
	unsigned int count;
	uint64_t started;
	uint64_t written;
	uint64_t ended;
	uint64_t next;
	uint64_t done;
	bool over;
};

/*
 * All of it, or until SOURCE ends, or stop_asked(): then what was begun is finished. @done says
 * how far it came, whatever happened. 0, or -1 after saying why.
 */
int flow_run(struct flow *f);

#endif
