// SPDX-License-Identifier: MIT
/* The processor's counters; see counters.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "counters.h"

static int open_counter(unsigned int number)
{
	bool kernel = number == COUNTER_CYCLES_KERNEL || number == COUNTER_INSTRUCTIONS_KERNEL;
	bool cycles = number == COUNTER_CYCLES_USER || number == COUNTER_CYCLES_KERNEL;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = cycles ? PERF_COUNT_HW_CPU_CYCLES : PERF_COUNT_HW_INSTRUCTIONS,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.disabled = 1,
		.exclude_user = kernel,
		.exclude_kernel = !kernel,
		.exclude_hv = 1,
	};

	return syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void close_all(struct counters *c)
{
	for (unsigned int i = 0; i < COUNTERS; i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	memset(c->fd, 0xff, sizeof(c->fd));
}

void counters_start(struct counters *c)
{
	*c = (struct counters){};
	memset(c->fd, 0xff, sizeof(c->fd));
	for (unsigned int i = 0; !c->error && i < COUNTERS; i++) {
		c->fd[i] = open_counter(i);
		if (c->fd[i] < 0)
			c->error = errno;
	}
	if (c->error)
		close_all(c);
	for (unsigned int i = 0; !c->error && i < COUNTERS; i++)
		ioctl(c->fd[i], PERF_EVENT_IOC_ENABLE, 0);
}

void counters_stop(struct counters *c)
{
	struct {
		uint64_t value, enabled, running;
	} read_;

	for (unsigned int i = 0; !c->error && i < COUNTERS; i++)
		ioctl(c->fd[i], PERF_EVENT_IOC_DISABLE, 0);
	for (unsigned int i = 0; !c->error && i < COUNTERS; i++) {
		if (read(c->fd[i], &read_, sizeof(read_)) != sizeof(read_))
			c->error = EIO;
		else if (!read_.running)
			c->error = EBUSY;
		else
			c->value[i] = (double)read_.value * read_.enabled / read_.running;
	}
	close_all(c);
}

const char *counters_why(int error)
{
	switch (error) {
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
		return "this machine has no hardware counters, or its hypervisor hides them";
	case EACCES:
	case EPERM:
		return "perf_event_open is forbidden: kernel.perf_event_paranoid, or a seccomp "
		       "filter";
	case ENOSYS:
		return "this kernel has no perf events";
	case EBUSY:
		return "others had the hardware counters all the time";
	default:
		return strerror(error);
	}
}
