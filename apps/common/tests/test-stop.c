// SPDX-License-Identifier: MIT
/*
 * Being told to stop: each test has a process of its own for it.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stop.h"
#include "child.h"
#include "tap.h"

static int ask(void)
{
	stop_begin();
	if (stop_asked())
		return 1;
	raise(SIGTERM);
	return stop_asked() == SIGTERM ? 0 : 2;
}

static void asked(void)
{
	CHECK_EQUAL(in_child(ask), 0);
}

static int ask_twice(void)
{
	stop_begin();
	raise(SIGINT);
	raise(SIGINT);
	return 0;
}

static void twice(void)
{
	int status = in_child(ask_twice);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

static int ignore(void)
{
	signal(SIGHUP, SIG_IGN);
	stop_begin();
	raise(SIGHUP);
	raise(SIGHUP);
	return stop_asked();
}

static void ignored(void)
{
	CHECK_EQUAL(in_child(ignore), 0);
}

/* Of a pipe that nobody writes to: without the signal it would not end. */
static int stop_before(void)
{
	int ends[2];

	stop_begin();
	raise(SIGHUP);
	if (pipe(ends))
		return 1;
	stop_wait(ends[0], POLLIN);
	return 0;
}

static int stop_within(void)
{
	pid_t parent = getpid(), child;
	int ends[2], status;

	stop_begin();
	if (pipe(ends))
		return 1;
	child = fork();
	if (!child) {
		kill(parent, SIGTERM);
		_exit(0);
	}
	stop_wait(ends[0], POLLIN);
	waitpid(child, &status, 0);
	return stop_asked() == SIGTERM ? 0 : 2;
}

static void waits(void)
{
	CHECK_EQUAL(in_child(stop_before), 0);
	CHECK_EQUAL(in_child(stop_within), 0);
}

static int wait_for_bytes(void)
{
	int ends[2];

	stop_begin();
	if (pipe(ends) || write(ends[1], "x", 1) != 1)
		return 1;
	stop_wait(ends[0], POLLIN);
	return stop_asked();
}

static void ready(void)
{
	CHECK_EQUAL(in_child(wait_for_bytes), 0);
}

static int end(void)
{
	stop_begin();
	raise(SIGHUP);
	stop_now();
}

static void ends(void)
{
	int status = in_child(end);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
}

static const struct tap_test tests[] = {
	TEST(asked, "the first signal is a wish, and which it was is known"),
	TEST(twice, "the second ends the program at once"),
	TEST(ignored, "a signal that was ignored from the start still is"),
	TEST(waits, "a wait ends by a signal, before it and within"),
	TEST(ready, "a wait ends when there is something to read"),
	TEST(ends, "the program ends as the signal would have had it"),
};

TAP_MAIN(tests)
