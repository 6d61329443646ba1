// SPDX-License-Identifier: MIT
/*
 * exoctl bind and unbind: a disk goes to exo only when nothing uses it and
 * nothing on it is lost without a word, and it comes back to its own driver
 * whatever goes wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "claim.h"
#include "driver.h"
#include "exclusive.h"
#include "holders.h"

#define RETURN_MS 30000 /* for the namespaces to come back */

static int no_such_function(const char *device, int error)
{
	if (error == -EINVAL)
		fprintf(stderr,
			"exoctl: %s is not a PCI address (like 0000:01:00.0) "
			"nor a controller (like nvme0)\n",
			device);
	else
		fprintf(stderr,
			"exoctl: there is no PCI function %s: "
			"exoctl status lists the NVMe functions\n",
			device);
	return EXIT_FAILURE;
}

void bind_print_refusal(const char *tool, const char *name, const struct findings *refused)
{
	fprintf(stderr, "%s: %s stays as it is:\n", tool, name);
	for (size_t i = 0; i < refused->count; i++)
		fprintf(stderr, "  %s%s%s\n", refused->at[i].what,
			refused->at[i].cure[0] ? ": " : "", refused->at[i].cure);
}

static void check_driver(const struct machine *m, const struct function *f,
			 struct findings *refused)
{
	char *cure;

	if (!f->driver[0]) {
		cure = must_print("echo %s > /sys/bus/pci/drivers_probe, then try again",
				  f->address);
		findings_add(refused, cure, "no driver has it, so what it bears cannot be seen");
		free(cure);
	} else if (strcmp(f->driver, STOCK_DRIVER)) {
		findings_add(refused, "end its users and give it back to nvme",
			     "the driver %s has it", f->driver);
	}
	if (f->override[0] && strcmp(f->override, EXO_DRIVER))
		findings_add(refused, "undo it with what set it",
			     "somebody reserved it for the driver %s (driver_override)",
			     f->override);
	if (!machine_has(m, "sys/bus/pci/drivers/" EXO_DRIVER))
		findings_add(refused, "modprobe exo; exoctl doctor helps if that fails",
			     "the module exo is not loaded");
}

void bind_check_function(const struct machine *m, const struct function *f, const struct disk *disk,
			 struct findings *refused)
{
	char *cure;

	if (f->class != PCI_CLASS_NVME) {
		findings_add(refused, "exoctl status lists the NVMe functions",
			     "it is not an NVMe controller (PCI class %06x, NVMe is %06x)",
			     f->class, PCI_CLASS_NVME);
		return;
	}
	check_driver(m, f, refused);
	if (f->vfs) {
		cure = must_print("echo 0 > /sys/bus/pci/devices/%s/sriov_numvfs", f->address);
		findings_add(refused, cure,
			     "its SR-IOV virtual functions (%u) stop "
			     "when their parent is reset",
			     f->vfs);
		free(cure);
	}
	for (size_t i = 0; i < disk->shared.count; i++)
		findings_add(refused, "unbind the other controller first",
			     "the nvme driver also reaches %s", disk->shared.name[i]);
}

void bind_check_contents(const struct disk *disk, const char *address, const char *serial,
			 const struct findings *contents, struct findings *refused)
{
	char *cure;

	if (serial && strcmp(serial, disk->serial)) {
		findings_add(refused, "exoctl status shows serial numbers; is it the right disk?",
			     "--overwrite %s: the serial number of this disk is %s", serial,
			     disk->serial);
		return;
	}
	if (serial)
		return;
	cure = must_print("if nobody needs it: exoctl bind %s --overwrite %s", address,
			  disk->serial);
	for (size_t i = 0; i < contents->count; i++)
		findings_add(refused, cure, "%s", contents->at[i].what);
	free(cure);
}

/* Between taking a disk from one driver and giving it to the next, only SIGKILL. */
static void defer_signals(sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, old);
}

/* What exo-run remembers of who held which blocks ends with the binding. */
static void forget_holders(const struct machine *m, const struct function *f)
{
	char path[64];

	snprintf(path, sizeof(path), "run/exo/holders-%s", f->address);
	unlinkat(m->root, path, 0);
}

static int report_failure(const struct machine *m, const struct function *f, const char *where,
			  int error, int log)
{
	struct names neighbours = function_neighbours(m, f);

	fprintf(stderr, "exoctl: %s was not bound: %s (%s)\n", f->address, where, strerror(-error));
	kernel_log_print(log, f->address);
	for (size_t i = 0; i < neighbours.count; i++)
		fprintf(stderr, "  %s is in the same IOMMU group %s: give it up first\n",
			neighbours.name[i], f->group);
	names_free(&neighbours);
	if (driver_give_back(m, f, &where))
		fprintf(stderr,
			"  and its own driver does not take it back (%s): "
			"echo %s > /sys/bus/pci/drivers_probe, or reboot\n",
			where, f->address);
	else
		fprintf(stderr, "  its own driver has it again\n");
	return EXIT_FAILURE;
}

/* The claim on the disk is held until its driver has let go of it. */
static int hand_over(const struct machine *m, const struct function *f, struct exclusive *held)
{
	int log = kernel_log_open(), ret;
	const char *where = "driver_override cannot be written";
	sigset_t old;

	defer_signals(&old);
	ret = driver_override(m, f->address, EXO_DRIVER);
	if (!ret) {
		where = "its driver did not let go of it";
		ret = driver_unbind(m, f->address);
	}
	exclusive_release(held);
	if (!ret)
		ret = driver_give_exo(m, f, &where);
	if (ret)
		ret = report_failure(m, f, where, ret, log);
	else
		forget_holders(m, f);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (log >= 0)
		close(log);
	return ret;
}

static void name_disk(const struct function *f, const struct disk *disk, char *text, size_t size)
{
	if (disk->controller[0])
		snprintf(text, size, "%s (%s, %s, serial %s)", f->address, disk->controller,
			 disk->model, disk->serial);
	else
		snprintf(text, size, "%s", f->address);
}

void bind_check_users(const struct machine *m, const struct disk *disk, struct exclusive *held,
		      struct findings *contents, struct findings *refused)
{
	struct findings busy = {};

	/* Taken before looking, so that what is seen stays true. */
	exclusive_take(m, disk, held, &busy, contents);
	holders_find(m, disk, refused);
	/* The bare "busy" only when no name was found for it. */
	for (size_t i = 0; i < busy.count && !refused->count; i++)
		findings_add(refused, busy.at[i].cure, "%s", busy.at[i].what);
	findings_free(&busy);
}

static int bind_disk(const struct machine *m, const struct function *f, const struct disk *disk,
		     const char *serial)
{
	struct findings refused = {}, contents = {};
	struct exclusive held = {};
	char name[256];
	int ret = EXIT_FAILURE;

	name_disk(f, disk, name, sizeof(name));
	bind_check_function(m, f, disk, &refused);
	if (!refused.count) {
		bind_check_users(m, disk, &held, &contents, &refused);
		bind_check_contents(disk, f->address, serial, &contents, &refused);
	}
	if (refused.count)
		bind_print_refusal("exoctl", name, &refused);
	else
		ret = hand_over(m, f, &held);
	if (!ret)
		printf("%s is exo's until exoctl unbind %s or a reboot\n", name, f->address);
	exclusive_release(&held);
	findings_free(&refused);
	findings_free(&contents);
	return ret;
}

int bind_command(const struct machine *m, const char *device, const char *serial)
{
	struct function f;
	struct disk disk;
	int ret = function_find(m, device, &f);

	if (ret)
		return no_such_function(device, ret);
	if (!strcmp(f.driver, EXO_DRIVER)) {
		printf("%s is exo's already\n", f.address);
		return EXIT_SUCCESS;
	}
	disk_find(m, &f, &disk);
	ret = bind_disk(m, &f, &disk, serial);
	disk_free(&disk);
	return ret;
}

/* How many namespaces to expect back; 0 if exo cannot say. */
static int expected_namespaces(const struct machine *m, const struct function *f)
{
	struct exo_info info;
	int session = claim_open(m, &info), count;

	if (session < 0)
		return 0;
	count = claim_count_namespaces(session, f->address);
	close(session);
	return count < 0 ? 0 : count;
}

bool bind_wait_for_disk(const struct machine *m, const struct function *f, struct disk *disk,
			unsigned int namespaces, int events)
{
	long long deadline = now_ms() + RETURN_MS;
	char state[32];

	for (;;) {
		disk_find(m, f, disk);
		machine_read(m, state, sizeof(state), "sys/class/nvme/%s/state", disk->controller);
		if (disk->controller[0] && !strcmp(state, "live") && disk->namespaces >= namespaces)
			return true;
		if (events < 0 || !uevents_wait(events, deadline))
			return false;
		disk_free(disk);
	}
}

static int report_return(const struct machine *m, const struct function *f, unsigned int namespaces,
			 int events)
{
	struct disk disk;
	char name[256];
	bool back = bind_wait_for_disk(m, f, &disk, namespaces, events);

	name_disk(f, &disk, name, sizeof(name));
	if (back) {
		printf("%s is back with its own driver:", name);
		for (size_t i = 0; i < disk.count; i++)
			if (disk.devices[i].kind == DISK_NAMESPACE)
				printf(" /dev/%s (namespace %u)", disk.devices[i].name,
				       disk.devices[i].nsid);
		printf("\n");
	} else {
		fprintf(stderr,
			"exoctl: %s is back with its own driver, which shows %u of its %u "
			"namespaces after %d s: dmesg, or reboot\n",
			name, disk.namespaces, namespaces, RETURN_MS / 1000);
	}
	disk_free(&disk);
	return back ? EXIT_SUCCESS : EXIT_FAILURE;
}

int unbind_command(const struct machine *m, const char *device)
{
	struct function f;
	const char *where;
	sigset_t old;
	int ret = function_find(m, device, &f), events, log, namespaces;

	if (ret)
		return no_such_function(device, ret);
	if (strcmp(f.driver, EXO_DRIVER) && strcmp(f.override, EXO_DRIVER)) {
		fprintf(stderr, "exoctl: %s is not exo's: %s%s has it\n", f.address,
			f.driver[0] ? "the driver " : "no driver", f.driver);
		return EXIT_FAILURE;
	}
	namespaces = expected_namespaces(m, &f);
	events = uevents_open();
	log = kernel_log_open();
	defer_signals(&old);
	ret = driver_give_back(m, &f, &where);
	sigprocmask(SIG_SETMASK, &old, NULL);
	forget_holders(m, &f);
	if (ret) {
		fprintf(stderr,
			"exoctl: %s was to go back, but %s (%s): modprobe nvme, "
			"echo %s > /sys/bus/pci/drivers_probe\n",
			f.address, where, strerror(-ret), f.address);
		kernel_log_print(log, f.address);
		ret = EXIT_FAILURE;
	} else {
		ret = report_return(m, &f, namespaces, events);
	}
	if (events >= 0)
		close(events);
	if (log >= 0)
		close(log);
	return ret;
}
