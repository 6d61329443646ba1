// SPDX-License-Identifier: MIT
/*
 * Zeroes over a range of blocks; see zero.h. Write Zeroes where the controller
 * has it, since no data moves then; else plain writes. Zones are reset.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <libexo.h>

#include "zero.h"

#define STEP_BYTES (64u << 20) /* between two looks at the progress */
#define BUFFER_BYTES (1u << 20)

struct zeroer {
	struct exo *x;
	struct exo_queue *q;
	void *buf; /* zeroes; NULL: Write Zeroes does without */
};

static int write_step(struct zeroer *z, uint64_t block, uint64_t count)
{
	uint64_t per_buffer = BUFFER_BYTES / exo_block_size(z->x), done;
	int ret = 0;

	if (!z->buf) {
		ret = exo_write_zeroes(z->q, block, count);
		if (ret != -EOPNOTSUPP)
			return ret;
		ret = exo_buf_alloc(z->q, BUFFER_BYTES, &z->buf);
	}
	for (done = 0; !ret && done < count; done += per_buffer)
		ret = exo_write(z->q, z->buf, block + done,
				count - done < per_buffer ? count - done : per_buffer);
	return ret;
}

static void tell(uint64_t done, uint64_t total)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%s: writing zeroes: %" PRIu64 "%%%s",
			program_invocation_short_name, done * 100 / total,
			done == total ? "\n" : "");
}

static int write_all(struct zeroer *z, uint64_t blocks)
{
	uint64_t step = STEP_BYTES / exo_block_size(z->x);
	int ret = 0;

	for (uint64_t done = 0; !ret && done < blocks;) {
		uint64_t count = blocks - done < step ? blocks - done : step;

		ret = write_step(z, done, count);
		done += count;
		if (!ret)
			tell(done, blocks);
	}
	return ret ? ret : exo_flush(z->q);
}

/* What the first block of a zone reads as now is what a device makes of the others, too. */
static int check_zone(struct zeroer *z, uint64_t zone)
{
	const uint64_t *word = z->buf;
	int ret = exo_read(z->q, z->buf, zone, 1);

	for (uint32_t i = 0; !ret && i < exo_block_size(z->x) / sizeof(*word); i++)
		if (word[i])
			ret = -ENOTSUP;
	if (ret == -ENOTSUP)
		fprintf(stderr, "%s: after a reset zones of this device do not read as zeroes\n",
			program_invocation_short_name);
	return ret;
}

/* Empty zones: no write can put zeroes there without filling them. */
static int reset_all(struct zeroer *z, uint64_t blocks, uint64_t zone_blocks)
{
	int ret = exo_buf_alloc(z->q, exo_block_size(z->x), &z->buf);

	for (uint64_t zone = 0; !ret && zone < blocks; zone += zone_blocks) {
		ret = exo_zone_send(z->q, EXO_NVME_ZONE_RESET, zone, 1);
		if (!ret)
			ret = check_zone(z, zone);
		if (!ret)
			tell(zone + zone_blocks, blocks);
	}
	return ret;
}

int zero_blocks(const char *address, uint32_t nsid, struct range range)
{
	struct zeroer z = {};
	char name[96];
	int ret;

	snprintf(name, sizeof(name), "nvme:%s/%u:%" PRIu64 "+%" PRIu64, address, nsid, range.start,
		 range.length);
	ret = exo_open(name, EXO_READ | EXO_WRITE | EXO_TRIM, &z.x);
	if (!ret)
		ret = exo_queue_create(z.x, NULL, &z.q);
	if (!ret && exo_zone_limits(z.x).blocks)
		ret = reset_all(&z, range.length, exo_zone_limits(z.x).blocks);
	else if (!ret)
		ret = write_all(&z, range.length);
	if (ret)
		fprintf(stderr, "%s: writing zeroes to %s: %s\n", program_invocation_short_name,
			name + 5, exo_strerror(z.x, ret));
	exo_close(z.x);
	return ret;
}
