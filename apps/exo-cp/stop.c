// SPDX-License-Identifier: MIT
/*
 * Signals that end a copy.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "stop.h"

static volatile sig_atomic_t caught;

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static void handle(int number)
{
	caught = number;
}

/* A touch of the buffer, which is not there any more: who gave it has taken it back. */
static void lose_buffer(int number)
{
	static const char text[] = "exo-cp: not all was copied: the buffer was taken back\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)number;
	(void)n;
	_exit(1);
}

/* No SA_RESTART: a read of a pipe that nobody writes to ends. */
void stop_begin(void)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESETHAND };
	struct sigaction before;

	for (size_t i = 0; i < SIGNALS; i++) {
		/* As nohup(1) wants it. */
		if (!sigaction(signals[i], NULL, &before) && before.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i], &action, NULL);
	}
	/* Who reads no more is found out by write(). */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGBUS, lose_buffer);
}

bool stop_asked(void)
{
	return caught;
}

/* Nothing is lost between the look and the sleep: the signals come while ppoll() sleeps only. */
void stop_wait(int fd, short events)
{
	struct pollfd on = { .fd = fd, .events = events };
	sigset_t ours, before;

	sigemptyset(&ours);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaddset(&ours, signals[i]);
	sigprocmask(SIG_BLOCK, &ours, &before);
	while (!caught && ppoll(&on, 1, NULL, &before) < 0 && errno == EINTR)
		;
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void stop_now(void)
{
	signal(caught, SIG_DFL);
	raise(caught);
	_exit(128 + caught);
}
