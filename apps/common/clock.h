/* SPDX-License-Identifier: MIT */
/*
 * Time, on the hot path as well. The processor's own counter where it has one, because
 * the system's clock costs a system call in many virtual machines; ticks become
 * nanoseconds afterwards, by comparing both clocks over the whole run.
 */
#ifndef EXO_COMMON_CLOCK_H
#define EXO_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline uint64_t clock_ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return clock_ns();
#endif
}

#endif
