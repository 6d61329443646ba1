// SPDX-License-Identifier: MIT
/*
 * The standard streams, closed and full: each test has a process of its own for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "streams.h"
#include "child.h"
#include "tap.h"

/* What @fn returns in a child. */
static int result_in_child(int (*fn)(void))
{
	int status = in_child(fn);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_above(void)
{
	char byte;

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	streams_begin();
	if (open("/dev/zero", O_RDWR) < 3)
		return 1;
	if (write(1, "", 1) >= 0 || errno != EBADF || write(2, "", 1) >= 0 || errno != EBADF)
		return 2;
	return read(0, &byte, 1) < 0 && errno == EBADF ? 0 : 3;
}

static void closed(void)
{
	CHECK_EQUAL(result_in_child(open_above), 0);
}

static int keep_open(void)
{
	int ends[2];
	char byte = 0;

	if (pipe(ends) || dup2(ends[0], 0) != 0 || dup2(ends[1], 1) != 1)
		return 1;
	close(2);
	streams_begin();
	return write(1, "x", 1) == 1 && read(0, &byte, 1) == 1 && byte == 'x' ? 0 : 2;
}

static void open_ones(void)
{
	CHECK_EQUAL(result_in_child(keep_open), 0);
}

/* @bytes to a full disk, and what the program would end with; standard error is nobody's. */
static int print(size_t bytes, int status)
{
	dup2(open("/dev/full", O_WRONLY), 1);
	dup2(open("/dev/null", O_WRONLY), 2);
	while (bytes--)
		putchar('x');
	return streams_end("test", status);
}

static int print_little(void)
{
	return print(1, 0);
}

static int print_much(void)
{
	return print(1 << 20, 0);
}

static int print_and_fail(void)
{
	return print(1, 7);
}

static int print_nothing(void)
{
	return print(0, 0);
}

static void full(void)
{
	CHECK_EQUAL(result_in_child(print_little), 1);
	CHECK_EQUAL(result_in_child(print_much), 1);
	CHECK_EQUAL(result_in_child(print_and_fail), 7);
	CHECK_EQUAL(result_in_child(print_nothing), 0);
}

/* A write that failed, and nothing behind it. */
static int print_before(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	dup2(open("/dev/full", O_WRONLY), 1);
	dup2(open("/dev/null", O_WRONLY), 2);
	putchar('x');
	dup2(2, 1);
	return streams_end("test", 0);
}

static void remembered(void)
{
	CHECK_EQUAL(result_in_child(print_before), 1);
}

static const struct tap_test tests[] = {
	TEST(closed, "a closed stream's number goes to no file, and stays closed"),
	TEST(open_ones, "streams that are open stay as they are"),
	TEST(full, "what could not be printed changes the status, unless it is one of failure"),
	TEST(remembered, "a write that failed is not forgotten when the next would not"),
};

TAP_MAIN(tests)
