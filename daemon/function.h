/* SPDX-License-Identifier: MIT */
/*
 * A PCI function that may be an NVMe controller: its address, and what sysfs
 * says of it whatever driver it has.
 */
#ifndef EXO_DAEMON_FUNCTION_H
#define EXO_DAEMON_FUNCTION_H

#include "machine.h"

#define PCI_CLASS_NVME 0x010802 /* mass storage, non-volatile memory, NVM Express */

#define ADDRESS_SIZE sizeof("0000:00:00.0")

struct function {
	char address[ADDRESS_SIZE];
	unsigned int class;
	char driver[32];   /* empty: none */
	char override[32]; /* empty: none */
	char group[16];	   /* IOMMU group, empty: no IOMMU before it */
	unsigned int vfs;  /* SR-IOV virtual functions enabled on it */
};

/* [DDDD:]BB:DD.F in canonical form; -EINVAL if it is anything else. */
int address_parse(const char *text, char address[ADDRESS_SIZE]);

/* The same address as EXO_PCI_ADDRESS() has it. */
unsigned int address_number(const char address[ADDRESS_SIZE]);

/* text: an address, or the name of a controller (nvme0, /dev/nvme0).
 * -EINVAL: it is neither; -ENODEV: there is none. */
int function_find(const struct machine *m, const char *text, struct function *f);

/* Every NVMe function of the machine. */
struct names function_list(const struct machine *m);

/* Other functions of its IOMMU group that a driver holds, "BDF (driver)". */
struct names function_neighbours(const struct machine *m, const struct function *f);

#endif
