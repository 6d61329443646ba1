// SPDX-License-Identifier: MIT
/*
 * Progress lines.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "progress.h"

void progress(const struct options *o, const char *format, ...)
{
	bool terminal = isatty(STDERR_FILENO);
	va_list args;

	if (!terminal && !o->progress)
		return;
	fputs(terminal ? "\r\033[Kexo-perf: " : "exo-perf: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (!terminal)
		fputc('\n', stderr);
	fflush(stderr);
}

/* Wipe the line, so that what follows begins on an empty one. */
void progress_end(const struct options *o)
{
	(void)o;
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
