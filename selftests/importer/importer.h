/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * /dev/exo-importer: a driver for a device that there is not, which uses dma-bufs. It does
 * with them what its test says: each open has one at most.
 */
#ifndef EXO_IMPORTER_H
#define EXO_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* How a driver can use a dma-buf */
#define IMPORTER_DYNAMIC 0 /* gives it back when it is told */
#define IMPORTER_STATIC 1  /* does not */

/* What its device does; the kernel's enum dma_data_direction */
#define IMPORTER_BOTH 0
#define IMPORTER_READS 1
#define IMPORTER_WRITES 2

struct importer_attach {
	__s32 fd;
	__u32 kind;
	__u32 segment; /* bytes that the device takes at most in one piece; 0: any number */
};

struct importer_copy {
	__aligned_u64 offset;
	__aligned_u64 memory;
	__u32 bytes;
	__u32 __pad;
};

struct importer_state {
	__u32 told;	/* how often it was told to give the memory back */
	__u32 segments; /* pieces of the mapping; 0: there is none */
	__u32 largest;	/* bytes of the largest */
};

#define IMPORTER_ATTACH _IOW('I', 0, struct importer_attach)
#define IMPORTER_DETACH _IO('I', 1)
#define IMPORTER_PIN _IO('I', 2)
#define IMPORTER_MAP _IO('I', 3) /* what the device does */
#define IMPORTER_UNMAP _IO('I', 4)
#define IMPORTER_BEGIN _IO('I', 5) /* the device is at work: a fence says when it has ended */
#define IMPORTER_END _IO('I', 6)
#define IMPORTER_READ _IOW('I', 7, struct importer_copy) /* the device reads, to show it */
#define IMPORTER_WRITE _IOW('I', 8, struct importer_copy)
#define IMPORTER_REACH _IO('I', 10) /* the last address that the device reaches; 0: all */
#define IMPORTER_STATE _IOR('I', 9, struct importer_state)

#endif
