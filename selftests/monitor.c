// SPDX-License-Identifier: MIT
/*
 * See monitor.h.
 */
#include <poll.h>
#include <termios.h>

#include "lib.h"
#include "monitor.h"

#define MONITOR "/dev/ttyS2"
#define MONITOR_WORD 512 /* longer than what is expected */

int monitor_expect(struct monitor *monitor, const char *what, const char *failure)
{
	char text[4096];
	size_t n = 0;
	__u64 end = now_ms() + 5000;

	while (now_ms() < end) {
		struct pollfd p = { .fd = monitor->fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, 100) != 1)
			continue;
		got = read(monitor->fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			continue;
		n += (size_t)got;
		text[n] = 0;
		if (failure && strstr(text, failure)) {
			snprintf(monitor->said, sizeof(monitor->said), "%.500s", text);
			return -EAGAIN;
		}
		if (strstr(text, what))
			return 0;
		if (n >= sizeof(text) - MONITOR_WORD) {
			memmove(text, text + n - MONITOR_WORD, MONITOR_WORD);
			n = MONITOR_WORD;
		}
	}
	return -ETIMEDOUT;
}

int monitor_say(struct monitor *monitor, const char *text)
{
	ssize_t n = (ssize_t)strlen(text);

	return write(monitor->fd, text, (size_t)n) == n ? 0 : -EIO;
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
		ret = monitor_say(monitor,
				  "\xff{\"execute\":\"qmp_capabilities\",\"id\":\"hello\"}\n");
		if (!ret)
			ret = monitor_expect(monitor, "hello", NULL);
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
	int ret;

	snprintf(text, sizeof(text),
		 "{\"execute\":\"qom-set\",\"id\":\"set\",\"arguments\":{\"path\":\"/machine/"
		 "peripheral/%s\",\"property\":\"%s\",\"value\":%u}}\n",
		 device, property, value);
	ret = monitor_say(monitor, text);
	return ret ? ret : monitor_expect(monitor, "\"return\"", "\"error\"");
}
