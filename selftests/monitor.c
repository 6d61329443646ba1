// SPDX-License-Identifier: MIT
/*
 * See monitor.h.
 */
#include <poll.h>
#include <termios.h>

#include "lib.h"
#include "monitor.h"

#define MONITOR "/dev/ttyS2"

static int monitor_say(struct monitor *monitor, const char *text)
{
	ssize_t n = (ssize_t)strlen(text);

	return write(monitor->fd, text, (size_t)n) == n ? 0 : -EIO;
}

/* The next line, without its end; what is longer than the room is cut off. */
static int monitor_line(struct monitor *monitor, char *line, size_t size, __u64 end)
{
	size_t n = 0;
	char byte = 0;

	while (byte != '\n') {
		struct pollfd p = { .fd = monitor->fd, .events = POLLIN };

		if (now_ms() > end)
			return -ETIMEDOUT;
		if (poll(&p, 1, 100) != 1 || read(monitor->fd, &byte, 1) != 1)
			continue;
		if (n < size - 1)
			line[n++] = byte;
	}
	line[n] = 0;
	return 0;
}

/* The answer with that name: others may come before it, late ones and events. */
static int monitor_answer(struct monitor *monitor, const char *id)
{
	__u64 end = now_ms() + 5000;
	char line[4096], name[64];
	int ret;

	snprintf(name, sizeof(name), "\"id\": \"%s\"", id);
	do {
		ret = monitor_line(monitor, line, sizeof(line), end);
		if (ret)
			return ret;
	} while (!strstr(line, name));
	if (!strstr(line, "\"error\""))
		return 0;
	snprintf(monitor->said, sizeof(monitor->said), "%.500s", line);
	return -EAGAIN;
}

int monitor_run(struct monitor *monitor, const char *command)
{
	char text[512], id[32];
	int ret;

	snprintf(id, sizeof(id), "%d-%u", getpid(), ++monitor->commands);
	snprintf(text, sizeof(text), "{\"id\":\"%s\",%s}\n", id, command);
	ret = monitor_say(monitor, text);
	return ret ? ret : monitor_answer(monitor, id);
}

/* One capability negotiation for each connection, and the machine has one for ever. */
int monitor_open(struct monitor *monitor)
{
	struct termios raw;
	int i, ret = -EIO;

	monitor->said[0] = 0;
	monitor->fd = open(MONITOR, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (monitor->fd < 0)
		return -errno;
	if (tcgetattr(monitor->fd, &raw))
		return -ENODEV;
	cfmakeraw(&raw);
	tcsetattr(monitor->fd, TCSANOW, &raw);
	tcflush(monitor->fd, TCIOFLUSH);
	/*
	 * What the line discipline had echoed to it before may have left it in the middle of
	 * an object. A byte that no text has makes it begin anew (QMP specification, section
	 * "Server's responses", "QGA Synchronization").
	 */
	for (i = 0; i < 5 && ret; i++) {
		ret = monitor_say(monitor, "\xff\n");
		if (!ret)
			ret = monitor_run(monitor, "\"execute\":\"qmp_capabilities\"");
		/* It has been negotiated before. */
		if (ret == -EAGAIN)
			ret = 0;
	}
	return ret;
}

void monitor_close(struct monitor *monitor)
{
	close(monitor->fd);
}

int monitor_set(struct monitor *monitor, const char *device, const char *property,
		unsigned int value)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "\"execute\":\"qom-set\",\"arguments\":{\"path\":\"/machine/peripheral/%s\","
		 "\"property\":\"%s\",\"value\":%u}",
		 device, property, value);
	return monitor_run(monitor, text);
}
