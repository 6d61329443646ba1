// SPDX-License-Identifier: MIT
/*
 * What a block device bears; see contents.h. libblkid knows signatures. Data
 * without one (a database on the bare disk, what a program left in an extent)
 * is looked for where most of it begins or ends.
 */
#define _GNU_SOURCE
#include <blkid/blkid.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contents.h"

#define LOOK_BYTES (1u << 20) /* at each end */

static const char *value_of(blkid_probe probe, const char *name)
{
	const char *value;

	return blkid_probe_lookup_value(probe, name, &value, NULL) ? NULL : value;
}

static void add_signature(blkid_probe probe, const char *device, struct findings *found)
{
	const char *type = value_of(probe, "TYPE"), *label = value_of(probe, "LABEL");
	const char *table = value_of(probe, "PTTYPE");

	if (type)
		findings_add(found, "", "/dev/%s bears %s%s%s%s", device, type,
			     label ? " labelled \"" : "", label ? label : "", label ? "\"" : "");
	else if (table)
		findings_add(found, "", "/dev/%s bears a partition table (%s)", device, table);
}

static void find_signatures(int fd, const char *device, struct findings *found)
{
	blkid_probe probe = blkid_new_probe();
	int ret;

	if (!probe || blkid_probe_set_device(probe, fd, 0, 0)) {
		findings_add(found, "", "what /dev/%s bears cannot be examined", device);
		blkid_free_probe(probe);
		return;
	}
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
	blkid_probe_enable_partitions(probe, 1);
	/* Each round finds one signature more; 1: no other. */
	while ((ret = blkid_do_probe(probe)) == 0)
		add_signature(probe, device, found);
	if (ret < 0)
		findings_add(found, "", "/dev/%s cannot be read: %s", device, strerror(errno));
	blkid_free_probe(probe);
}

/* The first byte in the range that is not zero; length if there is none. */
static off_t first_data(int fd, off_t start, size_t length, char *buf)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = pread(fd, buf, length - done, start + done);

		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			if (buf[i])
				return done + i;
		done += got;
	}
	return length;
}

static void find_raw_data(int fd, const char *device, struct findings *found)
{
	off_t end = lseek(fd, 0, SEEK_END), from[2] = {};
	char *buf;

	if (end <= 0)
		return;
	from[1] = end > 2 * LOOK_BYTES ? end - LOOK_BYTES : 0;
	buf = must_alloc(NULL, LOOK_BYTES);
	for (int i = 0; i < 2; i++) {
		size_t length = end - from[i] < LOOK_BYTES ? end - from[i] : LOOK_BYTES;
		off_t at = first_data(fd, from[i], length, buf);

		if (at == (off_t)length)
			continue;
		findings_add(found, "", "/dev/%s bears data of no known kind at byte %lld", device,
			     (long long)(from[i] + at));
		break;
	}
	free(buf);
}

void contents_find(int fd, const char *name, struct findings *found)
{
	size_t before = found->count;

	find_signatures(fd, name, found);
	if (found->count == before)
		find_raw_data(fd, name, found);
}
