// SPDX-License-Identifier: MIT
/*
 * A disk on loan; see loan.h.
 *
 * The keeper has the reading end of a pipe, and the borrower and its children the writing
 * end: it ends when the last of them has let go of the disk. The keeper is there before the
 * first change, and takes no signal that a terminal or a service manager sends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../daemon/driver.h"
#include "../daemon/holders.h"
#include "loan.h"

#define POLL_QUEUES "sys/module/nvme/parameters/poll_queues"
#define DYING_MS 3000
#define DYING_LOOKS 30

/* Empty: no IOMMU. */
static void current_type(const struct loan *loan, char *type, size_t size)
{
	type[0] = '\0';
	machine_read(loan->m, type, size, "sys/bus/pci/devices/%s/iommu_group/type",
		     loan->f.address);
}

static int set_group_type(const struct loan *loan, const char *type)
{
	char now[16];

	current_type(loan, now, sizeof(now));
	if (!now[0] || !strcmp(now, type))
		return 0;
	return machine_write(loan->m, type, "sys/bus/pci/devices/%s/iommu_group/type",
			     loan->f.address);
}

static void current_driver(const struct loan *loan, char *driver, size_t size)
{
	driver[0] = '\0';
	machine_link(loan->m, driver, size, "sys/bus/pci/devices/%s/driver", loan->f.address);
}

/* The names of the namespace, which change each time. */
static bool name_namespace(struct loan *loan, const struct disk *disk)
{
	const struct disk_device *found = NULL;

	for (size_t i = 0; i < disk->count; i++)
		if (disk->devices[i].kind == DISK_NAMESPACE &&
		    (!loan->nsid || disk->devices[i].nsid == loan->nsid) &&
		    (!found || disk->devices[i].nsid < found->nsid))
			found = &disk->devices[i];
	if (!found)
		return false;
	loan->nsid = found->nsid;
	snprintf(loan->block, sizeof(loan->block), "/dev/%s", found->name);
	snprintf(loan->generic, sizeof(loan->generic), "/dev/ng%s", found->name + strlen("nvme"));
	snprintf(loan->ours, sizeof(loan->ours), "nvme:%s/%u", loan->f.address, loan->nsid);
	return true;
}

/* ---- asking ---- */

static void remember(struct loan *loan, const struct disk *disk)
{
	snprintf(loan->serial, sizeof(loan->serial), "%s", disk->serial);
	snprintf(loan->model, sizeof(loan->model), "%s", disk->model);
	loan->namespaces = disk->namespaces;
	current_type(loan, loan->iommu_before, sizeof(loan->iommu_before));
	machine_read(loan->m, loan->poll_before, sizeof(loan->poll_before), POLL_QUEUES);
}

static void ask_disk(struct loan *loan, struct findings *refused)
{
	struct findings contents = {};
	struct disk disk;

	disk_find(loan->m, &loan->f, &disk);
	bind_check_function(loan->m, &loan->f, &disk, refused);
	if (!refused->count)
		bind_check_users(loan->m, &disk, &loan->held, &contents, refused);
	if (!refused->count && !name_namespace(loan, &disk))
		findings_add(refused, "exoctl status shows what there is", "it has no namespace %u",
			     loan->nsid);
	remember(loan, &disk);
	if (refused->count)
		exclusive_release(&loan->held);
	findings_free(&contents);
	disk_free(&disk);
}

void loan_ask(struct loan *loan, const char *device, struct findings *refused)
{
	int ret = function_find(loan->m, device, &loan->f);
	char *cure;

	loan->line = -1;
	if (ret) {
		findings_add(refused, "exoctl status lists the NVMe functions",
			     ret == -EINVAL ? "%s is not a PCI address (like 0000:01:00.0) nor a "
					      "controller (like nvme0)"
					    : "there is no PCI function %s",
			     device);
	} else if (!strcmp(loan->f.driver, EXO_DRIVER)) {
		cure = must_print("exoctl unbind %s", loan->f.address);
		findings_add(refused, cure, "exo has it, and somebody may use it");
		free(cure);
	} else {
		ask_disk(loan, refused);
	}
}

/* ---- moving ---- */

/* What is plugged in there now, if the stock driver has it. */
static bool is_another_disk(struct loan *loan)
{
	struct disk disk;
	bool other;

	disk_find(loan->m, &loan->f, &disk);
	other = disk.serial[0] && strcmp(disk.serial, loan->serial);
	disk_free(&disk);
	return other;
}

/* From whatever driver to none, others being kept off until it is gone. */
static int take_from_driver(struct loan *loan, const char *next, const char **where)
{
	int ret;

	*where = "another disk is in its place";
	if (is_another_disk(loan))
		return -ENODEV;
	*where = "driver_override cannot be written";
	ret = driver_override(loan->m, loan->f.address, next);
	if (ret)
		return ret;
	*where = "its driver did not let go of it";
	ret = driver_unbind(loan->m, loan->f.address);
	exclusive_release(&loan->held);
	return ret;
}

/* Held again, unless somebody was faster. */
static int hold(struct loan *loan, const struct disk *disk)
{
	struct findings refused = {}, contents = {};
	int ret = 0;

	bind_check_users(loan->m, disk, &loan->held, &contents, &refused);
	for (size_t i = 0; i < refused.count; i++)
		fprintf(stderr, "exo-bench: somebody took the disk: %s\n", refused.at[i].what);
	if (refused.count) {
		exclusive_release(&loan->held);
		ret = -EBUSY;
	}
	findings_free(&refused);
	findings_free(&contents);
	return ret;
}

/* The disk is there; not held: it is anybody's again. */
static int await_disk(struct loan *loan, int events, const char **where)
{
	struct disk disk;
	int ret = 0;

	*where = "its namespaces did not come back within 30 s";
	if (!bind_wait_for_disk(loan->m, &loan->f, &disk, loan->namespaces, events))
		ret = -ETIMEDOUT;
	disk_free(&disk);
	return ret;
}

static int await_namespace(struct loan *loan, int events, const char **where)
{
	struct disk disk;
	int ret = 0;

	*where = "its namespaces did not come back within 30 s";
	if (!bind_wait_for_disk(loan->m, &loan->f, &disk, loan->namespaces, events) ||
	    !name_namespace(loan, &disk))
		ret = -ETIMEDOUT;
	*where = ret ? *where : "another disk is in its place";
	if (!ret && strcmp(disk.serial, loan->serial))
		ret = -ENODEV;
	if (!ret) {
		*where = "somebody took it";
		ret = hold(loan, &disk);
	}
	disk_free(&disk);
	return ret;
}

static int probe_stock(struct loan *loan, const char **where)
{
	char driver[32];
	int ret = driver_probe(loan->m, loan->f.address);

	*where = "its own driver did not take it";
	current_driver(loan, driver, sizeof(driver));
	return ret ? ret : strcmp(driver, STOCK_DRIVER) ? -ENODEV : 0;
}

/* With a polled queue, which it gives itself when it binds. */
int loan_to_stock(struct loan *loan, const char **where)
{
	int events = uevents_open(), ret;

	ret = take_from_driver(loan, STOCK_DRIVER, where);
	if (!ret && loan->iommu[0]) {
		*where = "its IOMMU group does not take the type";
		ret = set_group_type(loan, loan->iommu);
	}
	if (!ret && loan->poll_before[0]) {
		*where = "nvme's parameter poll_queues cannot be set";
		ret = machine_write(loan->m, atoi(loan->poll_before) ? loan->poll_before : "1",
				    POLL_QUEUES);
	}
	if (!ret)
		ret = probe_stock(loan, where);
	if (!ret)
		ret = await_disk(loan, events, where);
	if (events >= 0)
		close(events);
	return ret;
}

int loan_to_exo(struct loan *loan, const char **where)
{
	int ret = take_from_driver(loan, EXO_DRIVER, where);

	if (!ret && loan->iommu_before[0]) {
		*where = "its IOMMU group does not take back its type";
		ret = set_group_type(loan, loan->iommu_before);
	}
	return ret ? ret : driver_give_exo(loan->m, &loan->f, where);
}

/* ---- giving back ---- */

static bool in_use_now(struct loan *loan)
{
	struct findings refused = {}, contents = {};
	struct disk disk;
	bool used;

	disk_find(loan->m, &loan->f, &disk);
	exclusive_release(&loan->held);
	bind_check_users(loan->m, &disk, &loan->held, &contents, &refused);
	used = refused.count;
	findings_free(&refused);
	findings_free(&contents);
	disk_free(&disk);
	return used;
}

/*
 * Between two rounds somebody may have mounted it. What a process that is being killed had
 * open goes piece by piece, with no sign when the last is gone: so this looks again.
 */
static bool in_use_by_others(struct loan *loan)
{
	struct timespec pause = { .tv_nsec = DYING_MS * 1000000l / DYING_LOOKS };

	for (int looks = 0; in_use_now(loan); looks++) {
		if (looks == DYING_LOOKS)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int restore(struct loan *loan, const char **where)
{
	int events = uevents_open(), ret, was;

	if (loan->poll_before[0])
		machine_write(loan->m, loan->poll_before, POLL_QUEUES);
	ret = take_from_driver(loan, "", where);
	if (!ret && loan->iommu_before[0]) {
		*where = "its IOMMU group does not take back its type";
		ret = set_group_type(loan, loan->iommu_before);
	}
	/* A disk with the wrong type is better than none. */
	was = ret;
	ret = probe_stock(loan, where);
	if (!ret)
		ret = await_namespace(loan, events, where);
	if (events >= 0)
		close(events);
	return ret ? ret : was;
}

/* It is where it belongs. Its group's type could be changed only while no driver has it. */
static void leave_in_use(struct loan *loan)
{
	char type[16];

	driver_override(loan->m, loan->f.address, "");
	if (loan->poll_before[0])
		machine_write(loan->m, loan->poll_before, POLL_QUEUES);
	fprintf(stderr, "exo-bench: %s is in use, with its own driver: left there\n",
		loan->f.address);
	current_type(loan, type, sizeof(type));
	if (strcmp(type, loan->iommu_before))
		fprintf(stderr,
			"  its IOMMU group still has the type %s and not %s: unbind its driver, "
			"echo "
			"%s > /sys/bus/pci/devices/%s/iommu_group/type, or reboot\n",
			type, loan->iommu_before, loan->iommu_before, loan->f.address);
}

/* Whatever was being done when the borrower ended. */
static int give_back(struct loan *loan)
{
	const char *where = "";
	char driver[32];
	int ret;

	current_driver(loan, driver, sizeof(driver));
	if (!strcmp(driver, STOCK_DRIVER) && in_use_by_others(loan)) {
		leave_in_use(loan);
		return 0;
	}
	ret = restore(loan, &where);
	exclusive_release(&loan->held);
	if (ret)
		fprintf(stderr,
			"exo-bench: %s is not back as it was: %s (%s): modprobe nvme, echo %s > "
			"/sys/bus/pci/drivers_probe, or reboot\n",
			loan->f.address, where, strerror(-ret), loan->f.address);
	return ret;
}

static void let_go(struct loan *loan)
{
	exclusive_release(&loan->held);
	close(loan->line);
	loan->line = -1;
}

static void __attribute__((noreturn)) keep(struct loan *loan, int line)
{
	sigset_t all;
	char byte;

	sigfillset(&all);
	sigdelset(&all, SIGALRM); /* which limits the wait for a lock: exclusive.c */
	signal(SIGALRM, SIG_IGN);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();
	let_go(loan);
	while (read(line, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(give_back(loan) ? EXIT_FAILURE : EXIT_SUCCESS);
}

int loan_begin(struct loan *loan, const char **where)
{
	int ends[2];

	*where = "no pipe";
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	*where = "no process to see to it that the disk comes back";
	loan->line = ends[1];
	loan->keeper = fork();
	if (!loan->keeper)
		keep(loan, ends[0]);
	close(ends[0]);
	return loan->keeper < 0 ? -errno : 0;
}

int loan_end(struct loan *loan)
{
	int status = 0;

	let_go(loan);
	if (loan->keeper <= 0)
		return 0;
	while (waitpid(loan->keeper, &status, 0) < 0 && errno == EINTR)
		;
	/* Somebody killed it: then there is nobody else. */
	if (WIFSIGNALED(status))
		return give_back(loan) ? EXIT_FAILURE : EXIT_SUCCESS;
	return WEXITSTATUS(status);
}
