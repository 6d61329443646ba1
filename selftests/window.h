/* SPDX-License-Identifier: MIT */
/*
 * Touches from any number of threads at once: a word is read or written, or the touch is
 * refused.
 */
#ifndef EXO_SELFTESTS_WINDOW_H
#define EXO_SELFTESTS_WINDOW_H

#include <setjmp.h>

#include "lib.h"

#define R EXO_RIGHT_READ
#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define NONE 0u
#define LARGE 512u /* entries of 4 KiB in one of 2 MiB */

static __thread sigjmp_buf refused_here;
static __thread volatile sig_atomic_t may_be_refused;

static inline void refused(int signal)
{
	if (!may_be_refused)
		_exit(128 + signal);
	siglongjmp(refused_here, signal);
}

/* Once, before any thread touches. */
static inline void touches_begin(void)
{
	const struct sigaction action = { .sa_handler = refused };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* 0, or the signal. */
static inline int peek(const volatile void *at, __u64 *value)
{
	int signal = sigsetjmp(refused_here, 1);

	may_be_refused = 1;
	if (!signal)
		*value = *(const volatile __u64 *)at;
	may_be_refused = 0;
	return signal;
}

static inline int poke(volatile void *at, __u64 value)
{
	int signal = sigsetjmp(refused_here, 1);

	may_be_refused = 1;
	if (!signal)
		*(volatile __u64 *)at = value;
	may_be_refused = 0;
	return signal;
}

#endif
