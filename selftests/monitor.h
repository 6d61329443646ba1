/* SPDX-License-Identifier: MIT */
/*
 * QEMU's monitor (QMP), which the machine has on its third serial line: how a test makes
 * a device do what no program could ask of it.
 */
#ifndef EXO_SELFTESTS_MONITOR_H
#define EXO_SELFTESTS_MONITOR_H

struct monitor {
	int fd;
	char said[512]; /* the last failure that it told */
};

/* -ENOENT, -ENODEV: this machine has none. */
int monitor_open(struct monitor *monitor);
void monitor_close(struct monitor *monitor);

/* A line of JSON, with its newline. */
int monitor_say(struct monitor *monitor, const char *text);
/* Until it says @what, however much it says before; -EAGAIN: it said @failure (may be NULL). */
int monitor_expect(struct monitor *monitor, const char *what, const char *failure);

/* Sets a property of the device with the id @device. */
int monitor_set(struct monitor *monitor, const char *device, const char *property,
		unsigned int value);

#endif
