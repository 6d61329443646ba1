/* SPDX-License-Identifier: MIT */
/*
 * QEMU's monitor (QMP), which the machine has on its third serial line: how a test makes
 * a device do what no program could ask of it.
 */
#ifndef EXO_SELFTESTS_MONITOR_H
#define EXO_SELFTESTS_MONITOR_H

struct monitor {
	int fd;
	unsigned int commands;
	char said[512]; /* the last failure that it told */
};

/* -ENOENT, -ENODEV: this machine has none. */
int monitor_open(struct monitor *monitor);
void monitor_close(struct monitor *monitor);

/*
 * A command, as JSON without the braces around it: "execute" and "arguments". Waits for its
 * answer; -EAGAIN: that was an error, which @said tells.
 */
int monitor_run(struct monitor *monitor, const char *command);

/* Sets a property of the device with the id @device. */
int monitor_set(struct monitor *monitor, const char *device, const char *property,
		unsigned int value);

#endif
