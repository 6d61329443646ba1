/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A write that must be SIGBUS; tried in this process, for a child inherits no buffer.
 */
#ifndef LIBEXO_TESTS_BUS_ERROR_H
#define LIBEXO_TESTS_BUS_ERROR_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

static sigjmp_buf bus_error_back;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error_back, 1);
}

static inline bool write_is_sigbus(volatile char *at)
{
	struct sigaction action = { .sa_handler = on_bus_error }, before;
	bool caught = true;

	sigaction(SIGBUS, &action, &before);
	if (!sigsetjmp(bus_error_back, 1)) {
		*at = 1;
		caught = false;
	}
	sigaction(SIGBUS, &before, NULL);
	return caught;
}

#endif
