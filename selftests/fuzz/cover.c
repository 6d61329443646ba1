// SPDX-License-Identifier: MIT
/*
 * See cover.h.
 */
#include <sys/ioctl.h>

#include "../lib.h"
#include "cover.h"

#define KCOV "/sys/kernel/debug/kcov"
#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)
#define KCOV_ENABLE _IO('c', 100)
#define KCOV_TRACE_PC 0
#define WORDS (256ul << 10)

static unsigned long *trace, text;

static int find_text(void)
{
	char line[64];
	int ret = read_file("/sys/module/exo/sections/.text", line, sizeof(line));

	if (!ret)
		text = strtoul(line, NULL, 16);
	return ret;
}

int cover_init(void)
{
	int fd = open(KCOV, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, KCOV_INIT_TRACE, WORDS))
		return -errno;
	trace = mmap(NULL, WORDS * sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (trace == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		return -errno;
	return find_text();
}

void cover_begin(void)
{
	__atomic_store_n(&trace[0], 0, __ATOMIC_RELAXED);
}

unsigned int cover_end(struct places *known, uint32_t *fresh, unsigned int max)
{
	unsigned long i, n = __atomic_load_n(&trace[0], __ATOMIC_RELAXED);
	unsigned int found = 0;

	for (i = 1; i <= n && i < WORDS; i++) {
		unsigned long place = trace[i] - text;

		if (place >= COVER_PLACES || known->seen[place])
			continue;
		known->seen[place] = 1;
		if (found < max)
			fresh[found] = (uint32_t)place;
		found++;
	}
	return found;
}
