/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A handle: one session with exo.ko, and one extent of it to work on.
 *
 * Or, without the module: a file or block device, whose queues are emulated with io_uring.
 * Everything works on it that works on an extent, and refuses what would be refused there,
 * but there is no isolation: what keeps the program off other files is only who it is.
 *
 * The session is either the one that exo-run left in the environment (EXO_FD)
 * or, for root's convenience and for tokens, one of the handle's own. The handle finds in it
 * the three capabilities that storage needs: the extent, the controller that
 * the extent lies on, and a pool of frames.
 *
 * Threads: a handle may be shared. exo_open() and exo_close() are for one
 * thread, while nobody else uses the handle.
 */
#ifndef LIBEXO_SESSION_H
#define LIBEXO_SESSION_H

#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;

/* What a program means to do with the extent; the rights of <linux/exo.h>. */
#define EXO_READ EXO_RIGHT_READ
#define EXO_WRITE EXO_RIGHT_WRITE
#define EXO_TRIM EXO_RIGHT_TRIM
/* Beside these: through direct queues. The function must be, or becomes, this holder's alone. */
#define EXO_DIRECT EXO_RIGHT_DIRECT

/**
 * exo_open - open an extent
 * @name: which one:
 *
 *	"exo:NAME"  the extent called NAME in EXO_NAMES ("name=number,...") of
 *	            the session whose file descriptor EXO_FD names
 *	"exo:"      the first extent of that session
 *	"nvme:BDF/NSID[:START+LENGTH][:ro]"
 *	            blocks START to START + LENGTH - 1, or all, of namespace NSID
 *	            of the NVMe function BDF (0000:01:00.0 or 01:00.0), which must
 *	            be bound to exo. A number counts logical blocks, or bytes if
 *	            K, M, G or T (2^10, 2^20, 2^30, 2^40) is behind it. "ro" forbids writing. Needs CAP_SYS_ADMIN
 *	"token:TEXT,TEXT,TEXT"
 *	            what three tokens (<libexo/token.h>) are redeemed for: an extent, a
 *	            controller of the same function with the right QUEUE, a pool with
 *	            the right ALLOC, in any order. Tokens that were redeemed before
 *	            one that cannot be are used up
 *	"uring:PATH"
 *	            all whole blocks of the file or block device PATH, without the module. Its
 *	            size is looked at once. A block is 512 bytes, or what the device or O_DIRECT
 *	            want, up to 4096. O_DIRECT is used where the file can; exo_model() tells.
 *	            Not there (-EOPNOTSUPP): events, tokens, Identify data, log pages,
 *	            EXO_QUEUE_THREAD, EXO_DIRECT
 *
 * @rights: EXO_READ, EXO_WRITE, EXO_TRIM: what the handle can do afterwards;
 *	the rest is given up, so that a mistake in the program cannot do it. With
 *	EXO_DIRECT, queues may be direct ones (struct exo_queue_options): "nvme:" takes the
 *	whole function for this handle, the others want a controller with the right DIRECT
 * @x: the handle. Set on failure too, to a handle that is only good for
 *	exo_strerror() and exo_close(), or to NULL if there was no memory
 *
 * A session from the environment may be opened several times; each handle has
 * a file descriptor, queues and buffers of its own. EXO_FD stays open.
 *
 * Returns 0, or -EINVAL @name cannot be understood or @rights is empty, -ENOENT
 * no such extent, no session in the environment, or a token that is missing or cannot
 * be redeemed, -EACCES a right is not held,
 * -EBADF EXO_FD is no session, -EPERM not privileged, -ENODEV the module is not
 * loaded or the function not bound to exo, -EOPNOTSUPP a module of another version, or
 * blocks above 4096 bytes, -EBUSY a block device that is to be written to and is mounted or
 * otherwise in the kernel's own use, -ENOMEM, or what open() of PATH or the commands of
 * <linux/exo.h> return.
 */
int exo_open(const char *name, unsigned int rights, struct exo **x);

/**
 * exo_close - give a handle back with all its queues and buffers
 * @x: the handle, or NULL
 *
 * Waits for commands in flight. Pointers to its queues and buffers are invalid
 * afterwards.
 */
void exo_close(struct exo *x);

/* What the handle found. Constant while it is open; safe from any thread. */
uint64_t exo_blocks(const struct exo *x);	    /* logical blocks of the extent */
uint32_t exo_block_size(const struct exo *x);	    /* bytes in a logical block */
uint64_t exo_first_block(const struct exo *x);	    /* extent block 0 as an LBA of the namespace */
uint32_t exo_nsid(const struct exo *x);		    /* namespace of the extent */
uint32_t exo_rights(const struct exo *x);	    /* EXO_READ and so on */
uint32_t exo_transfer_max(const struct exo *x);	    /* bytes that one command can move */
uint32_t exo_depth_max(const struct exo *x);	    /* commands that one queue can hold */
uint32_t exo_controller_flags(const struct exo *x); /* EXO_CONTROLLER_* of <linux/exo.h> */

/**
 * struct exo_copy_limits - what one Copy may be
 * @ranges: source ranges; 0: the controller has no Copy
 * @range_blocks: logical blocks of each
 * @blocks: logical blocks of all
 */
struct exo_copy_limits {
	uint32_t ranges;
	uint32_t range_blocks;
	uint32_t blocks;
};

/**
 * exo_copy_limits - how much a Copy within the extent may name
 * @x: the handle
 */
struct exo_copy_limits exo_copy_limits(const struct exo *x);

/**
 * exo_placement - the placement identifiers that Writes within the extent may name
 * @x: the handle
 *
 * Returns a bit for each of the identifiers 0 to 63: exo_place(). 0 where the device has
 * no flexible data placement, or none was granted.
 */
uint64_t exo_placement(const struct exo *x);
const char *exo_address(const struct exo *x); /* PCI address, "0000:01:00.0"; or "io_uring" */
const char *exo_serial(const struct exo *x);  /* serial number, padding removed; or a file's name */
const char *exo_model(const struct exo *x);   /* likewise; or "file, O_DIRECT" and the like */

/* The names of the layer below, for use with <libexo/sys.h>. */
int exo_fd(const struct exo *x);	      /* the session, the handle's own; -1: emulated */
uint32_t exo_extent_cap(const struct exo *x); /* capability numbers in it; 0: gone, or none */
uint32_t exo_controller_cap(const struct exo *x);
uint32_t exo_pool_cap(const struct exo *x);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_SESSION_H */
