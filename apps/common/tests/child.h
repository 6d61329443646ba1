/* SPDX-License-Identifier: MIT */
/* A function of a test that has a process of its own. */
#ifndef APPS_COMMON_TESTS_CHILD_H
#define APPS_COMMON_TESTS_CHILD_H

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The wait status of a child that ends with what @fn returns. */
static inline int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		_exit(fn());
	waitpid(child, &status, 0);
	return status;
}

#endif
