// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Where frames are for a device that no IOMMU stands before: at their physical addresses,
 * which commands of unsafe queues name. A command is prepared with the address that the
 * program has; it is exchanged when it is submitted.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

#define NAMES_BATCH 512

static int read_names(struct exo *x, struct exo_buf *buf, uint64_t *physical, uint32_t count)
{
	struct exo_frame_name names[NAMES_BATCH];
	struct exo_frames_names arg = { .frames = buf->frames, .names = exo_sys_address(names) };
	int r = 0;

	for (arg.first = 0; !r && arg.first < count; arg.first += arg.count) {
		uint32_t left = count - arg.first;

		arg.count = left < NAMES_BATCH ? left : NAMES_BATCH;
		r = exo_sys_frames_names(x->fd, &arg);
		for (uint32_t i = 0; !r && i < arg.count; i++)
			physical[arg.first + i] = names[i].pfn << 12;
	}
	return r;
}

/* Once for each buffer, when it is first named. */
static int learn(struct exo *x, struct exo_buf *buf)
{
	uint32_t count = buf->bytes >> buf->unit_shift;
	uint64_t *physical = calloc(count, sizeof(*physical));
	int r = physical ? read_names(x, buf, physical, count) : -ENOMEM;

	if (r)
		free(physical);
	else
		buf->physical = physical;
	return r;
}

int exo_buf_physical(struct exo *x, uint64_t at, uint64_t *physical)
{
	size_t chunk = (at - x->buf_base) >> EXO_BUF_CHUNK_SHIFT;
	struct exo_buf *buf = chunk < x->buf_chunks ? x->bufs[chunk] : NULL;
	uint64_t offset;
	int r = 0;

	if (!buf || at - buf->at >= buf->bytes)
		return -EFAULT;
	pthread_mutex_lock(&x->lock);
	if (!buf->frames)
		r = -EFAULT;
	else if (!buf->physical)
		r = learn(x, buf);
	pthread_mutex_unlock(&x->lock);
	if (r)
		return r;
	offset = at - buf->at;
	*physical = buf->physical[offset >> buf->unit_shift] +
		    (offset & ((1ull << buf->unit_shift) - 1));
	return 0;
}
