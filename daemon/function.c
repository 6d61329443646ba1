// SPDX-License-Identifier: MIT
/*
 * A PCI function; see function.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "function.h"

int address_parse(const char *text, char address[ADDRESS_SIZE])
{
	unsigned int domain = 0, bus, device, function;
	int end = -1;

	if (sscanf(text, "%4x:%2x:%2x.%1u%n", &domain, &bus, &device, &function, &end) != 4) {
		domain = 0;
		end = -1;
		if (sscanf(text, "%2x:%2x.%1u%n", &bus, &device, &function, &end) != 3)
			return -EINVAL;
	}
	/* scanf skips blanks and takes signs; an address has neither. */
	if (end < 0 || text[end] || strspn(text, "0123456789abcdefABCDEF:.") != (size_t)end)
		return -EINVAL;
	if (domain > 0xffff || bus > 0xff || device > 0x1f || function > 7)
		return -EINVAL;
	snprintf(address, ADDRESS_SIZE, "%04x:%02x:%02x.%u", domain & 0xffff, bus & 0xff,
		 device & 0x1f, function & 7);
	return 0;
}

unsigned int address_number(const char address[ADDRESS_SIZE])
{
	unsigned int domain, bus, device, function;

	if (sscanf(address, "%x:%x:%x.%u", &domain, &bus, &device, &function) != 4)
		return 0;
	return domain << 16 | bus << 8 | device << 3 | function;
}

static int resolve(const struct machine *m, const char *text, char address[ADDRESS_SIZE])
{
	char path[64];
	int len;

	if (!strncmp(text, "/dev/", 5))
		text += 5;
	if (strncmp(text, "nvme", 4))
		return address_parse(text, address);
	if (!text[4] || strspn(text + 4, "0123456789") != strlen(text + 4) || strlen(text) > 16)
		return -EINVAL;
	len = machine_read(m, path, sizeof(path), "sys/class/nvme/%s/address", text);
	return len < 0 ? -ENODEV : address_parse(path, address);
}

int function_find(const struct machine *m, const char *text, struct function *f)
{
	char value[64];
	int ret;

	*f = (struct function){};
	ret = resolve(m, text, f->address);
	if (ret)
		return ret;
	if (machine_read(m, value, sizeof(value), "sys/bus/pci/devices/%s/class", f->address) < 0)
		return -ENODEV;
	f->class = strtoul(value, NULL, 16);
	machine_link(m, f->driver, sizeof(f->driver), "sys/bus/pci/devices/%s/driver", f->address);
	machine_link(m, f->group, sizeof(f->group), "sys/bus/pci/devices/%s/iommu_group",
		     f->address);
	machine_read(m, f->override, sizeof(f->override), "sys/bus/pci/devices/%s/driver_override",
		     f->address);
	if (!strcmp(f->override, "(null)"))
		f->override[0] = '\0';
	if (machine_read(m, value, sizeof(value), "sys/bus/pci/devices/%s/sriov_numvfs",
			 f->address) > 0)
		f->vfs = strtoul(value, NULL, 10);
	return 0;
}

struct names function_list(const struct machine *m)
{
	struct names all = machine_list(m, "sys/bus/pci/devices"), nvme = {};
	struct function f;

	for (size_t i = 0; i < all.count; i++)
		if (!function_find(m, all.name[i], &f) && f.class == PCI_CLASS_NVME)
			names_add(&nvme, f.address);
	names_free(&all);
	return nvme;
}

struct names function_neighbours(const struct machine *m, const struct function *f)
{
	struct names all, held = {};
	char driver[32];

	if (!f->group[0])
		return held;
	all = machine_list(m, "sys/bus/pci/devices/%s/iommu_group/devices", f->address);
	for (size_t i = 0; i < all.count; i++) {
		if (!strcmp(all.name[i], f->address) ||
		    machine_link(m, driver, sizeof(driver), "sys/bus/pci/devices/%s/driver",
				 all.name[i]))
			continue;
		/* Bridges do no DMA of their own and may stay. */
		if (!strcmp(driver, "pcieport"))
			continue;
		char *text = must_print("%s (%s)", all.name[i], driver);

		names_add(&held, text);
		free(text);
	}
	names_free(&all);
	return held;
}
