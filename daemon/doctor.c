// SPDX-License-Identifier: MIT
/*
 * exoctl doctor: what this machine has and lacks for exo, each with its cure.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "disk.h"
#include "driver.h"
#include "holders.h"
#include "report.h"

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 12

static void add(struct checks *checks, enum check_result result, const char *cure, const char *what,
		...) printf_like(4, 5);

static void add(struct checks *checks, enum check_result result, const char *cure, const char *what,
		...)
{
	struct check *new;
	va_list args;

	checks->at = must_alloc(checks->at, (checks->count + 1) * sizeof(*checks->at));
	new = &checks->at[checks->count++];
	new->result = result;
	new->cure = must_print("%s", cure);
	va_start(args, what);
	if (vasprintf(&new->what, what, args) < 0)
		err(EXIT_FAILURE, "no memory");
	va_end(args);
}

void checks_free(struct checks *checks)
{
	for (size_t i = 0; i < checks->count; i++) {
		free(checks->at[i].what);
		free(checks->at[i].cure);
	}
	free(checks->at);
	*checks = (struct checks){};
}

static void check_kernel(struct checks *checks, const char *release)
{
	unsigned int major = 0, minor = 0;

	sscanf(release, "%u.%u", &major, &minor);
	if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		add(checks, CHECK_OK, "", "kernel %s", release);
	else
		add(checks, CHECK_FAIL,
		    "apt install linux-image-6.12-amd64 (Debian 12: bookworm-security or "
		    "bookworm-backports), reboot; or use the virtual machine: make demo",
		    "kernel %s is older than %u.%u", release, KERNEL_MAJOR, KERNEL_MINOR);
}

static void check_headers(const struct machine *m, struct checks *checks, const char *release)
{
	char *cure;

	if (machine_has(m, "lib/modules/%s/build/Makefile", release)) {
		add(checks, CHECK_OK, "", "kernel headers to build the module");
		return;
	}
	cure = must_print("apt install linux-headers-%s", release);
	add(checks, machine_has(m, "sys/module/exo") ? CHECK_WARN : CHECK_FAIL, cure,
	    "no kernel headers for %s", release);
	free(cure);
}

static bool module_installed(const struct machine *m, const char *release)
{
	int fd = machine_fd(m, O_RDONLY, "lib/modules/%s/modules.dep", release);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	if (!file)
		return false;
	while (!found && getline(&line, &size, file) > 0) {
		char *base;

		/* "updates/exo.ko.xz: what it depends on" */
		line[strcspn(line, ":")] = '\0';
		base = strrchr(line, '/');
		base = base ? base + 1 : line;
		found = !strncmp(base, "exo.ko", 6);
	}
	free(line);
	fclose(file);
	return found;
}

static void check_module(const struct machine *m, struct checks *checks, const char *release)
{
	if (machine_has(m, "sys/module/exo"))
		add(checks, CHECK_OK, "", "module exo is loaded");
	else if (module_installed(m, release))
		add(checks, CHECK_WARN, "modprobe exo", "module exo is installed, but not loaded");
	else
		add(checks, CHECK_FAIL, "make && sudo make install && sudo modprobe exo",
		    "module exo is not installed for kernel %s", release);
}

static void check_device(const struct machine *m, struct checks *checks)
{
	struct stat st;

	if (!machine_has(m, "sys/module/exo"))
		return;
	if (fstatat(m->root, "dev/exo", &st, 0))
		add(checks, CHECK_FAIL, "is devtmpfs mounted on /dev? udevadm trigger",
		    "/dev/exo is missing");
	else if ((st.st_mode & 0666) != 0666)
		add(checks, CHECK_WARN,
		    "install the udev rule (make install), or chmod 666 /dev/exo: by itself it "
		    "gives nobody anything",
		    "/dev/exo has mode %03o, so only root can use what it is granted",
		    st.st_mode & 0777);
	else
		add(checks, CHECK_OK, "", "/dev/exo can be opened by everybody");
}

/* The last byte of an EFI variable of one byte, behind 4 of attributes. */
static bool secure_boot(const struct machine *m)
{
	char value[8];
	int fd = machine_fd(m, O_RDONLY,
			    "sys/firmware/efi/efivars/"
			    "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
	ssize_t len = fd < 0 ? 0 : read(fd, value, sizeof(value));

	if (fd >= 0)
		close(fd);
	return len == 5 && value[4] == 1;
}

static void check_signing(const struct machine *m, struct checks *checks)
{
	bool boot = secure_boot(m), locked, enforced;
	char lockdown[128], enforce[8];

	machine_read(m, lockdown, sizeof(lockdown), "sys/kernel/security/lockdown");
	machine_read(m, enforce, sizeof(enforce), "sys/module/module/parameters/sig_enforce");
	locked = strstr(lockdown, "[integrity]") || strstr(lockdown, "[confidentiality]");
	enforced = enforce[0] == 'Y';
	if (!boot && !locked && !enforced)
		add(checks, CHECK_OK, "", "modules need no signature");
	else if (machine_has(m, "sys/module/exo"))
		add(checks, CHECK_OK, "", "modules need a signature, and exo's was accepted");
	else
		add(checks, CHECK_WARN,
		    "apt install dkms mokutil, install exo with dkms (it signs), mokutil --import "
		    "/var/lib/dkms/mok.pub, reboot and enroll the key; or turn Secure Boot off in "
		    "the firmware; or use the virtual machine: make demo",
		    "the kernel takes only signed modules (%s)",
		    boot     ? "Secure Boot"
		    : locked ? "lockdown"
			     : "module.sig_enforce");
}

static void check_iommu(const struct machine *m, struct checks *checks)
{
	struct names groups = machine_list(m, "sys/kernel/iommu_groups");
	char cpu[4096];

	machine_read(m, cpu, sizeof(cpu), "proc/cpuinfo");
	if (groups.count)
		add(checks, CHECK_OK, "", "IOMMU on, %zu groups", groups.count);
	else if (strstr(cpu, "AuthenticAMD"))
		add(checks, CHECK_WARN,
		    "switch the IOMMU (AMD-Vi) on in the firmware; exo works without, but nothing "
		    "then stands between a faulty device and memory",
		    "no IOMMU");
	else
		add(checks, CHECK_WARN,
		    "switch VT-d on in the firmware and add intel_iommu=on to "
		    "GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, update-grub, reboot; exo "
		    "works "
		    "without, but nothing then stands between a faulty device and memory",
		    "no IOMMU");
	names_free(&groups);
}

static bool check_disk(const struct machine *m, struct checks *checks, const char *address)
{
	struct findings held = {};
	struct function f;
	struct disk disk;
	bool usable;

	if (function_find(m, address, &f))
		return false;
	disk_find(m, &f, &disk);
	holders_find(m, &disk, &held);
	usable = (!strcmp(f.driver, STOCK_DRIVER) && !held.count && !disk.shared.count && !f.vfs) ||
		 !strcmp(f.driver, EXO_DRIVER);
	if (!strcmp(f.driver, EXO_DRIVER))
		add(checks, CHECK_OK, "", "%s is exo's", address);
	else if (strcmp(f.driver, STOCK_DRIVER))
		add(checks, CHECK_OK, "", "%s: %s has it", address,
		    f.driver[0] ? f.driver : "no driver");
	else if (held.count)
		add(checks, CHECK_OK, "", "%s (%s) is in use: %s", address, disk.controller,
		    held.at[0].what);
	else if (!usable)
		add(checks, CHECK_OK, "", "%s (%s) is shared: %s", address, disk.controller,
		    f.vfs ? "it has virtual functions" : disk.shared.name[0]);
	else
		add(checks, disk.queues < 2 ? CHECK_WARN : CHECK_OK,
		    disk.queues < 2 ? "one program at a time; another disk may offer more" : "",
		    "%s (%s, %s, serial %s) is free, with %u queues at least", address,
		    disk.controller, disk.model, disk.serial, disk.queues);
	findings_free(&held);
	disk_free(&disk);
	return usable;
}

static void check_disks(const struct machine *m, struct checks *checks)
{
	struct names list = function_list(m);
	bool spare = false;

	for (size_t i = 0; i < list.count; i++)
		spare |= check_disk(m, checks, list.name[i]);
	if (!spare)
		add(checks, CHECK_WARN, "add one, or use the virtual machine: make demo",
		    list.count ? "no spare NVMe disk" : "no NVMe disk");
	names_free(&list);
}

void doctor_examine(const struct machine *m, const char *release, struct checks *checks)
{
	check_kernel(checks, release);
	check_headers(m, checks, release);
	check_signing(m, checks);
	check_module(m, checks, release);
	check_device(m, checks);
	check_iommu(m, checks);
	check_disks(m, checks);
}

static void print_check(const struct check *check)
{
	static const char *const mark[] = { "ok", "warn", "FAIL" };

	printf("%-5s %s\n", mark[check->result], check->what);
	if (check->cure[0])
		printf("      -> %s\n", check->cure);
}

static void print_check_json(const struct check *check, bool first)
{
	static const char *const mark[] = { "ok", "warn", "fail" };

	printf("%s\n  {\"result\": \"%s\", \"what\": ", first ? "" : ",", mark[check->result]);
	json_string(stdout, check->what);
	printf(", \"cure\": ");
	json_string(stdout, check->cure);
	printf("}");
}

int doctor_command(const struct machine *m, bool json)
{
	struct checks checks = {};
	struct utsname name;
	bool failed = false;

	uname(&name);
	doctor_examine(m, name.release, &checks);
	if (json)
		printf("[");
	for (size_t i = 0; i < checks.count; i++) {
		if (json)
			print_check_json(&checks.at[i], !i);
		else
			print_check(&checks.at[i]);
		failed |= checks.at[i].result == CHECK_FAIL;
	}
	if (json)
		printf("\n]\n");
	else if (geteuid())
		printf("\nroot sees more: who holds a disk is only visible for your own "
		       "processes\n");
	checks_free(&checks);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
