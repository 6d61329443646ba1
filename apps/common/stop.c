// SPDX-License-Identifier: MIT
/*
 * Being told to stop.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "stop.h"

static volatile sig_atomic_t caught;

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static void handle(int number)
{
	caught = number;
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
}

int stop_asked(void)
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
