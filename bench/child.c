// SPDX-License-Identifier: MIT
/* A measurement as a process; see child.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "loop.h"
#include "stop.h"

static void __attribute__((noreturn)) run(struct child *child, pid_t parent, int said, void *answer)
{
	/* All that it starts is of its group, too, and ends with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(LOOP_BROKE);
	dup2(said, STDERR_FILENO);
	child->run(child->arg, answer);
	_exit(0);
}

/* The first line that it said, which is nearest to the cause. */
static void first_words(int said, int status, char *why, size_t size)
{
	char text[512], *line = text;
	ssize_t length = pread(said, text, sizeof(text) - 1, 0);

	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!strncmp(line, "exo-bench: ", 11))
		line += 11;
	if (line[0])
		snprintf(why, size, "%.*s", (int)size - 1, line);
	else
		snprintf(why, size, "it ended with status %d", status);
}

static enum child_end judge(struct child *child, int status, int said)
{
	if (WIFSIGNALED(status)) {
		snprintf(child->why, sizeof(child->why), "it crashed: %s",
			 strsignal(WTERMSIG(status)));
		return CHILD_BROKE;
	}
	if (!WEXITSTATUS(status))
		return CHILD_DONE;
	first_words(said, WEXITSTATUS(status), child->why, sizeof(child->why));
	return WEXITSTATUS(status) == LOOP_CANNOT ? CHILD_CANNOT : CHILD_BROKE;
}

static enum child_end await(struct child *child, pid_t pid, int said)
{
	struct pollfd end = { .fd = syscall(__NR_pidfd_open, pid, 0), .events = POLLIN };
	int ret = end.fd < 0 ? -errno : stop_poll(&end, 1, child->seconds), status = 0;

	if (end.fd >= 0)
		close(end.fd);
	if (ret <= 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret == -EINTR)
		return CHILD_STOPPED;
	if (ret > 0)
		return judge(child, status, said);
	snprintf(child->why, sizeof(child->why), "it had not ended after %.0f s", child->seconds);
	return CHILD_BROKE;
}

enum child_end child_run(struct child *child)
{
	void *shared =
		mmap(NULL, child->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int said = memfd_create("stderr", MFD_CLOEXEC);
	enum child_end end = CHILD_BROKE;
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = shared == MAP_FAILED || said < 0 ? -1 : fork();
	if (!pid)
		run(child, parent, said, shared);
	if (pid < 0) {
		snprintf(child->why, sizeof(child->why), "no process: %s", strerror(errno));
	} else {
		setpgid(pid, pid); /* whoever of the two is first */
		end = await(child, pid, said);
	}
	if (end == CHILD_DONE)
		memcpy(child->answer, shared, child->size);
	if (shared != MAP_FAILED)
		munmap(shared, child->size);
	if (said >= 0)
		close(said);
	return end;
}
