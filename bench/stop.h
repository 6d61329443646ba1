/* SPDX-License-Identifier: MIT */
/*
 * Signals that ask exo-bench to end come in only where it waits, and never while a disk is
 * between two drivers.
 */
#ifndef BENCH_STOP_H
#define BENCH_STOP_H

#include <poll.h>
#include <stdbool.h>

void stop_begin(void);

/* The signal that came, or 0. */
int stop_signal(void);

/* As poll(2), but -EINTR when it is to stop. */
int stop_poll(struct pollfd *fds, unsigned int count, double seconds);

#endif
