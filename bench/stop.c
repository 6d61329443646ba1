// SPDX-License-Identifier: MIT
/* Signals that ask to end; see stop.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "../apps/common/clock.h"
#include "stop.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static volatile sig_atomic_t came;
static sigset_t unblocked;

static void note(int signal)
{
	came = signal;
}

void stop_begin(void)
{
	struct sigaction act = { .sa_handler = note };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct sigaction was;

		/* nohup, or a shell that runs it in the background, wants it left alone. */
		if (!sigaction(signals[i], NULL, &was) && was.sa_handler == SIG_IGN &&
		    signals[i] != SIGTERM)
			continue;
		sigaddset(&set, signals[i]);
		sigaction(signals[i], &act, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &unblocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigdelset(&unblocked, signals[i]);
}

int stop_signal(void)
{
	struct timespec none = {};

	if (!came)
		ppoll(NULL, 0, &none, &unblocked);
	return came;
}

int stop_poll(struct pollfd *fds, unsigned int count, double seconds)
{
	uint64_t deadline = clock_ns() + seconds * 1e9, now;
	int ret;

	do {
		struct timespec left = {};

		now = clock_ns();
		if (now < deadline)
			left = (struct timespec){ .tv_sec = (deadline - now) / 1000000000,
						  .tv_nsec = (deadline - now) % 1000000000 };
		if (came)
			return -EINTR;
		ret = ppoll(fds, count, &left, &unblocked);
	} while (ret < 0 && errno == EINTR && !came);
	return ret < 0 ? -errno : ret;
}
