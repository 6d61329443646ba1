// SPDX-License-Identifier: MIT
/*
 * Moving a PCI function between drivers; see driver.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

/* An empty name is written as a newline: a write of nothing is no write. */
int driver_override(const struct machine *m, const char *address, const char *driver)
{
	return machine_write(m, driver[0] ? driver : "\n", "sys/bus/pci/devices/%s/driver_override",
			     address);
}

int driver_unbind(const struct machine *m, const char *address)
{
	int ret = machine_write(m, address, "sys/bus/pci/devices/%s/driver/unbind", address);

	return ret == -ENOENT ? 0 : ret; /* it had none */
}

int driver_probe(const struct machine *m, const char *address)
{
	return machine_write(m, address, "sys/bus/pci/drivers_probe");
}

int driver_give_exo(const struct machine *m, const struct function *f, const char **where)
{
	char driver[32] = "";
	int ret;

	*where = "its driver cannot be looked for";
	ret = driver_probe(m, f->address);
	if (ret)
		return ret;
	/* The kernel reports a failed probe to nobody but its log. */
	*where = "exo did not take it";
	machine_link(m, driver, sizeof(driver), "sys/bus/pci/devices/%s/driver", f->address);
	return strcmp(driver, EXO_DRIVER) ? -ENODEV : 0;
}

int driver_give_back(const struct machine *m, const struct function *f, const char **where)
{
	char driver[32] = "";
	int ret;

	/* First, so that whatever happens next it is not exo that gets it. */
	*where = "driver_override cannot be cleared";
	ret = driver_override(m, f->address, "");
	if (ret)
		return ret;
	*where = "exo did not let go of it";
	machine_link(m, driver, sizeof(driver), "sys/bus/pci/devices/%s/driver", f->address);
	if (!strcmp(driver, EXO_DRIVER)) {
		ret = driver_unbind(m, f->address);
		if (ret)
			return ret;
		driver[0] = '\0';
	}
	*where = "its driver cannot be looked for";
	if (!driver[0])
		ret = driver_probe(m, f->address);
	if (ret)
		return ret;
	*where = "its own driver did not take it";
	return machine_link(m, driver, sizeof(driver), "sys/bus/pci/devices/%s/driver", f->address)
		       ? -ENODEV
		       : 0;
}

long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

int uevents_open(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&kernel, sizeof(kernel))) {
		close(fd);
		return -errno;
	}
	return fd;
}

bool uevents_wait(int fd, long long deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	long long left = deadline - now_ms();
	char event[8192];

	if (left <= 0 || poll(&poll_fd, 1, left) <= 0)
		return false;
	/* What happened does not matter: the caller looks at sysfs again. An
	 * overrun (ENOBUFS) is as good as an event. */
	while (recv(fd, event, sizeof(event), 0) > 0)
		;
	return true;
}

int kernel_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

void kernel_log_print(int fd, const char *address)
{
	char record[8192];
	bool any = false;
	ssize_t len;

	while (fd >= 0 && ((len = read(fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE)) {
		char *text;

		if (len <= 0)
			continue;
		record[len] = '\0';
		/* "level,sequence,time,flags;text\n KEY=value\n" */
		text = strchr(record, ';');
		if (!text || !strstr(text, address))
			continue;
		fprintf(stderr, "%s    %.*s\n", any ? "" : "  the kernel says:\n",
			(int)strcspn(text + 1, "\n"), text + 1);
		any = true;
	}
	if (!any)
		fprintf(stderr, "  the kernel log (dmesg) may say more\n");
}
