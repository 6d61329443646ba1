// SPDX-License-Identifier: MIT
/*
 * Checksums of pieces.
 */
#include <stdlib.h>

#include "crc.h"
#include "sums.h"

#define ROOM_MIN 64

int sums_note(struct sums *s, const void *data, size_t bytes)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : ROOM_MIN;
		uint32_t *crc = realloc(s->crc, room * sizeof(*crc));

		if (!crc)
			return -1;
		s->crc = crc;
		s->room = room;
	}
	s->crc[s->count++] = crc32c(data, bytes);
	return 0;
}

int sums_match(struct sums *s, const void *data, size_t bytes)
{
	int same = s->checked < s->count && s->crc[s->checked] == crc32c(data, bytes);

	s->checked++;
	s->wrong += !same;
	return same;
}

void sums_free(struct sums *s)
{
	free(s->crc);
}
