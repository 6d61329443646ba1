/* SPDX-License-Identifier: MIT */
/*
 * Being told to stop: SIGINT, SIGTERM, SIGHUP. The first is a wish, which is granted between two
 * pieces of the copy; the second ends the program at once.
 */
#ifndef EXO_CP_STOP_H
#define EXO_CP_STOP_H

#include <stdbool.h>

void stop_begin(void);

/* Whether it was asked for. */
bool stop_asked(void);

/* Wait until @fd is ready for @events of poll(), or stop_asked(). */
void stop_wait(int fd, short events);

/* End as the signal would have had it. */
void stop_now(void) __attribute__((noreturn));

#endif
