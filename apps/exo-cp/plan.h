/* SPDX-License-Identifier: MIT */
/*
 * What is to be copied, and how: all that can be refused is refused here, before anything is
 * written.
 */
#ifndef EXO_CP_PLAN_H
#define EXO_CP_PLAN_H

#include "side.h"

/**
 * struct plan - a copy
 * @bytes: of it; UNKNOWN: until SOURCE, a stream, ends
 * @room: bytes that DESTINATION has from its offset on; UNKNOWN: as many as there are
 * @offload: whole blocks are copied by NVMe Copy
 * @size: bytes of a piece that goes by way of the buffer
 * @stride: bytes of the buffer for each piece
 * @count: pieces on their way at a time
 */
struct plan {
	uint64_t bytes;
	uint64_t room;
	bool offload;
	uint32_t size;
	uint32_t stride;
	unsigned int count;
};

/* Sets the offsets of both sides, too. 0, or -1 after saying why. */
int plan_make(struct plan *p, const struct options *o, struct side *from, struct side *to);

#endif
