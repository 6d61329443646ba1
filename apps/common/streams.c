// SPDX-License-Identifier: MIT
/*
 * The standard streams.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmdline.h"
#include "streams.h"

/* In the direction in which nobody uses it. The lowest that is free is the one that is missing. */
void streams_begin(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			abort();
	}
}

int streams_end(const char *program, int status)
{
	/* Of a write that failed before, the reason may be gone. */
	bool lost = ferror(stdout);

	errno = 0;
	if (!fflush(stdout) && !lost)
		return status;
	fprintf(stderr, "%s: what was to be printed could not be: %s\n", program,
		strerror(errno ? errno : EIO));
	return status ? status : EXIT_FAILED;
}
