/* SPDX-License-Identifier: MIT */
/*
 * Being told to stop: SIGINT, SIGTERM, SIGHUP. The first is a wish, which the program grants when what
 * it has begun is in order; the second ends it at once. One that was ignored from the start (nohup(1))
 * still is.
 */
#ifndef EXO_COMMON_STOP_H
#define EXO_COMMON_STOP_H

void stop_begin(void);

/* The number of the signal, or 0: nobody asked. */
int stop_asked(void);

/* Wait until @fd is ready for @events of poll(), or stop_asked(). */
void stop_wait(int fd, short events);

/* End as the signal would have had it. */
void stop_now(void) __attribute__((noreturn));

#endif
