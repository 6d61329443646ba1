// SPDX-License-Identifier: MIT
/*
 * The kernel's log, read as it is written, against the list that guest-tests has, too.
 */
#include <regex.h>

#include "fuzz.h"

#define BAD_LOG "/exo/selftests/vm/bad-log"

static regex_t bad;
static int kmsg = -1;

/* One expression a line: together they are one with alternatives. */
static int read_expressions(char *all, size_t size)
{
	FILE *file = fopen(BAD_LOG, "r");
	char line[512];
	size_t n = 0;

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (*line && *line != '#' && n + strlen(line) + 2 < size)
			n += (size_t)sprintf(all + n, "%s%s", n ? "|" : "", line);
	}
	fclose(file);
	return n ? 0 : -ENOENT;
}

int log_open(void)
{
	char all[4096];
	int ret = read_expressions(all, sizeof(all));

	if (ret)
		return ret;
	if (regcomp(&bad, all, REG_EXTENDED | REG_NOSUB))
		return -EINVAL;
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0)
		return -errno;
	return lseek(kmsg, 0, SEEK_END) < 0 ? -errno : 0;
}

const char *log_next(void)
{
	static char record[8192];
	ssize_t n;

	/* EPIPE: records were overwritten before they were read. */
	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		if (n <= 0)
			continue;
		record[n] = 0;
		if (!regexec(&bad, record, 0, NULL, 0))
			return record;
	}
	return NULL;
}
