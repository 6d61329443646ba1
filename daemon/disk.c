// SPDX-License-Identifier: MIT
/*
 * The disk behind a PCI function; see disk.h.
 *
 * A namespace of a controller that may have siblings (CMIC, multiple
 * controllers) appears as a hidden path "nvme<subsystem>c<controller>n<head>"
 * below the controller, and as the usable head "nvme<subsystem>n<head>" below
 * the subsystem. All others are "nvme<controller>n<head>" below the controller.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "disk.h"

static dev_t device_number(const struct machine *m, const char *class, const char *name)
{
	unsigned int major, minor;
	char text[32];

	if (machine_read(m, text, sizeof(text), "sys/class/%s/%s/dev", class, name) < 0 ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		return 0;
	return makedev(major, minor);
}

static void add_device(const struct machine *m, struct disk *disk, enum disk_kind kind,
		       const char *class, const char *name)
{
	struct disk_device *new;

	disk->devices = must_alloc(disk->devices, (disk->count + 1) * sizeof(*disk->devices));
	new = &disk->devices[disk->count++];
	*new = (struct disk_device){ .kind = kind, .number = device_number(m, class, name) };
	snprintf(new->name, sizeof(new->name), "%s", name);
}

static void add_namespace(const struct machine *m, struct disk *disk, unsigned int instance,
			  unsigned int head)
{
	char name[40], generic[40], nsid[16];
	struct names inside;

	snprintf(name, sizeof(name), "nvme%un%u", instance, head);
	snprintf(generic, sizeof(generic), "ng%un%u", instance, head);
	add_device(m, disk, DISK_NAMESPACE, "block", name);
	if (machine_read(m, nsid, sizeof(nsid), "sys/class/block/%s/nsid", name) > 0)
		disk->devices[disk->count - 1].nsid = atoi(nsid);
	disk->namespaces++;
	inside = machine_list(m, "sys/class/block/%s", name);
	for (size_t i = 0; i < inside.count; i++)
		if (machine_has(m, "sys/class/block/%s/%s/partition", name, inside.name[i]))
			add_device(m, disk, DISK_PARTITION, "block", inside.name[i]);
	names_free(&inside);
	if (machine_has(m, "sys/class/nvme-generic/%s", generic))
		add_device(m, disk, DISK_CHARACTER, "nvme-generic", generic);
}

static bool is_path(const char *name, unsigned int *subsystem, unsigned int *head)
{
	unsigned int controller;
	int end = -1;

	return sscanf(name, "nvme%uc%un%u%n", subsystem, &controller, head, &end) == 3 && end > 0 &&
	       !name[end];
}

/* The same namespace, reached through another controller of the subsystem. */
static void find_other_paths(const struct machine *m, struct disk *disk, unsigned int subsystem,
			     unsigned int head)
{
	struct names controllers = machine_list(m, "sys/class/nvme");
	unsigned int s, h;

	for (size_t i = 0; i < controllers.count; i++) {
		const char *other = controllers.name[i];
		struct names entries;

		if (!strcmp(other, disk->controller))
			continue;
		entries = machine_list(m, "sys/class/nvme/%s", other);
		for (size_t k = 0; k < entries.count; k++) {
			if (!is_path(entries.name[k], &s, &h) || s != subsystem || h != head)
				continue;
			char *text = must_print("nvme%un%u through %s", s, h, other);

			names_add(&disk->shared, text);
			free(text);
		}
		names_free(&entries);
	}
	names_free(&controllers);
}

static void find_namespaces(const struct machine *m, struct disk *disk)
{
	struct names entries = machine_list(m, "sys/class/nvme/%s", disk->controller);

	for (size_t i = 0; i < entries.count; i++) {
		unsigned int instance, head;
		int end = -1;

		if (is_path(entries.name[i], &instance, &head)) {
			add_namespace(m, disk, instance, head);
			find_other_paths(m, disk, instance, head);
		} else if (sscanf(entries.name[i], "nvme%un%u%n", &instance, &head, &end) == 2 &&
			   end > 0 && !entries.name[i][end]) {
			add_namespace(m, disk, instance, head);
		}
	}
	names_free(&entries);
}

void disk_find(const struct machine *m, const struct function *f, struct disk *disk)
{
	struct names controllers = machine_list(m, "sys/bus/pci/devices/%s/nvme", f->address);
	char text[16];

	*disk = (struct disk){};
	if (controllers.count) {
		snprintf(disk->controller, sizeof(disk->controller), "%s", controllers.name[0]);
		machine_read(m, disk->serial, sizeof(disk->serial), "sys/class/nvme/%s/serial",
			     disk->controller);
		machine_read(m, disk->model, sizeof(disk->model), "sys/class/nvme/%s/model",
			     disk->controller);
		/* queue_count has the admin queue in it. */
		if (machine_read(m, text, sizeof(text), "sys/class/nvme/%s/queue_count",
				 disk->controller) > 0 &&
		    atoi(text) > 0)
			disk->queues = atoi(text) - 1;
		find_namespaces(m, disk);
		add_device(m, disk, DISK_CHARACTER, "nvme", disk->controller);
	}
	names_free(&controllers);
}

void disk_free(struct disk *disk)
{
	free(disk->devices);
	names_free(&disk->shared);
	*disk = (struct disk){};
}
