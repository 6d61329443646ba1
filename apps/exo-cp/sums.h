/* SPDX-License-Identifier: MIT */
/*
 * Checksums of what was copied, one for each piece, in their order: noted on the way, and held
 * against what is read back.
 */
#ifndef EXO_CP_SUMS_H
#define EXO_CP_SUMS_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct sums - of a copy
 * @crc: of each piece
 * @count: pieces noted
 * @room: of @crc
 * @checked: pieces compared
 * @wrong: of which so many differ
 */
struct sums {
	uint32_t *crc;
	size_t count;
	size_t room;
	size_t checked;
	size_t wrong;
};

/* The next piece; -1: no memory. */
int sums_note(struct sums *s, const void *data, size_t bytes);

/* The next piece again: whether it is the one that was noted. */
int sums_match(struct sums *s, const void *data, size_t bytes);

void sums_free(struct sums *s);

#endif
