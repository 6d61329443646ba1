/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The kernel ABI of exo: everything that passes between a program and exo.ko.
 *
 * One character device, /dev/exo. Each open of it is a *session*: a space of
 * numbered capabilities, an account, and nothing else until somebody grants it
 * something. A capability is (object, range, rights); its number means nothing
 * outside its session. Capabilities form a derivation tree below immortal
 * roots; rights and ranges only shrink on the way down.
 *
 * Rules that hold for every command
 *
 *  - The argument starts with size, flags and detail. size is the sizeof() the
 *    program was compiled with; structures only ever grow at the end, a larger
 *    structure is accepted while what the kernel does not know is zero.
 *  - Unknown flags and non-zero __reserved fields are EOPNOTSUPP.
 *  - Fields named out_ are written by the kernel and mean something on success only.
 *  - Unless its text says otherwise, a command that fails has changed nothing.
 *  - mmap() of a session takes an offset that a command gave (out_mmap_offset) plus
 *    a byte offset in the object. It fails with ENOENT (no such capability), ESTALE,
 *    EACCES (right not held, or PROT_EXEC), ERANGE (outside the capability's range,
 *    or across the two regions of a queue), EINVAL (MAP_PRIVATE, or /dev/exo was not
 *    opened for reading and writing), ENOMEM. Such a mapping is undone whole or not
 *    at all: munmap() of a part, mremap() are EINVAL, mprotect() is EACCES.
 *  - detail is 0 or the address of a struct exo_detail, written when something
 *    was refused and left alone otherwise. An address that cannot be written is
 *    ignored: the result of the call stands.
 *
 * Errors (the reason in struct exo_detail says which case it is)
 *
 *  ENOTTY      no such command
 *  EFAULT      an address in the argument cannot be read or written; a buffer
 *              offset of an NVMe command is not attached
 *  E2BIG       size is larger than the kernel knows and the rest is not zero
 *  EINVAL      size too small; a value that can never be right; a capability
 *              of another type; a bit that an NVMe command may not have
 *  EOPNOTSUPP  unknown flag, reserved field not zero, an NVMe opcode or a
 *              feature that this kernel or this device does not offer
 *  EPERM       a root claim without CAP_SYS_ADMIN in the initial user namespace
 *              (both of who opened the file and of who calls)
 *  EBADF       session_fd is not a session
 *  ENOENT      no such capability in this session; no such namespace; not
 *              attached
 *  ENODEV      no such controller, or it was unbound or has failed for good
 *  EACCES      the capability does not carry the right
 *  ERANGE      outside the capability's range or the attached extents
 *  EOVERFLOW   first plus length overflows
 *  EDQUOT      the budget of the pool or of the controller is used up
 *  ENOMEM      no memory, or the memory cgroup is at its limit
 *  ENOSPC      no capability number, buffer offset or table entry is left
 *  ELOOP       the derivation tree is at its depth limit
 *  EEXIST      already attached; command id already in flight
 *  EMSGSIZE    a transfer is larger than the controller's limit
 *  EAGAIN      the queue has no room; consume completions and submit again
 *  ESTALE      the object died: dropped or taken back meanwhile, or its device
 *              went away or failed
 *  ETIMEDOUT   the device did not answer an admin command in time
 *  EIO         the device refused an admin command
 *  EINTR       a fatal signal arrived; nothing was changed
 */
#ifndef _UAPI_LINUX_EXO_H
#define _UAPI_LINUX_EXO_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define EXO_DEVICE "/dev/exo"

#define EXO_VERSION_MAJOR 0 /* incompatible changes; never after 1 */
#define EXO_VERSION_MINOR 1 /* additions */

#define EXO_IOC_MAGIC 0xE0

#define EXO_INFO _IO(EXO_IOC_MAGIC, 0x00)
#define EXO_CLAIM _IO(EXO_IOC_MAGIC, 0x01)
#define EXO_CAP_DERIVE _IO(EXO_IOC_MAGIC, 0x02)
#define EXO_CAP_QUERY _IO(EXO_IOC_MAGIC, 0x03)
#define EXO_CAP_LIST _IO(EXO_IOC_MAGIC, 0x04)
#define EXO_CAP_DROP _IO(EXO_IOC_MAGIC, 0x05)
#define EXO_POOL_CREATE _IO(EXO_IOC_MAGIC, 0x10)
#define EXO_POOL_QUERY _IO(EXO_IOC_MAGIC, 0x11)
#define EXO_FRAMES_ALLOC _IO(EXO_IOC_MAGIC, 0x12)
#define EXO_FRAMES_NAMES _IO(EXO_IOC_MAGIC, 0x13)
#define EXO_CONTROLLER_CREATE _IO(EXO_IOC_MAGIC, 0x20)
#define EXO_CONTROLLER_QUERY _IO(EXO_IOC_MAGIC, 0x21)
#define EXO_NAMESPACE_QUERY _IO(EXO_IOC_MAGIC, 0x22)
#define EXO_EXTENT_CREATE _IO(EXO_IOC_MAGIC, 0x23)
#define EXO_DMA_ATTACH _IO(EXO_IOC_MAGIC, 0x24)
#define EXO_DMA_DETACH _IO(EXO_IOC_MAGIC, 0x25)
#define EXO_QUEUE_CREATE _IO(EXO_IOC_MAGIC, 0x30)
#define EXO_QUEUE_QUERY _IO(EXO_IOC_MAGIC, 0x31)
#define EXO_QUEUE_ATTACH _IO(EXO_IOC_MAGIC, 0x32)
#define EXO_QUEUE_DETACH _IO(EXO_IOC_MAGIC, 0x33)
#define EXO_QUEUE_SUBMIT _IO(EXO_IOC_MAGIC, 0x34)

/* Limits that are part of the ABI */
#define EXO_DEPTH_MAX 32		/* nodes from a root (0) to a capability */
#define EXO_CAPS_MAX 0xfffff		/* capabilities of one session */
#define EXO_FRAMES_UNITS_MAX (1u << 20) /* units of one EXO_FRAMES_ALLOC */
#define EXO_ORDER_4K 0
#define EXO_ORDER_2M 9
#define EXO_NODE_ANY (-1)
#define EXO_SESSION_SELF (-1)
#define EXO_QUEUE_EXTENTS_MAX 64 /* extents attached to one queue */

/**
 * enum exo_type - what a capability is a right to
 * @EXO_TYPE_POOL: a budget of frames; no range
 * @EXO_TYPE_FRAMES: page frames; range in units of the order they were
 *	allocated with, from 0
 * @EXO_TYPE_CONTROLLER: an NVMe function with a budget of queues; no range
 * @EXO_TYPE_EXTENT: logical blocks of a namespace; range in logical blocks
 * @EXO_TYPE_QUEUE: a submission and completion queue pair; no range
 */
enum exo_type {
	EXO_TYPE_POOL = 1,
	EXO_TYPE_FRAMES = 2,
	EXO_TYPE_CONTROLLER = 3,
	EXO_TYPE_EXTENT = 4,
	EXO_TYPE_QUEUE = 5,
};

/* Rights. Each names the types it is meaningful for. */
#define EXO_RIGHT_READ (1u << 0) /* extent: Read. frames: map, device reads */
#define EXO_RIGHT_WRITE \
	(1u << 1) /* extent: Write, Write Zeroes, Flush. frames: map, device writes */
#define EXO_RIGHT_TRIM (1u << 2)  /* extent: deallocate */
#define EXO_RIGHT_NAMES (1u << 3) /* pool, frames: see physical frame numbers */
#define EXO_RIGHT_ALLOC (1u << 4) /* pool: allocate frames, make child pools */
#define EXO_RIGHT_QUEUE \
	(1u << 5) /* controller: create queues, attach frames, make child controllers */
#define EXO_RIGHT_EXTENT (1u << 6) /* controller: make extents, query namespaces */
#define EXO_RIGHT_SUBMIT (1u << 7) /* queue: map the rings, attach extents, submit */
#define EXO_RIGHTS_ALL 0xffu

/**
 * enum exo_reason - why a call or an NVMe command was refused
 *
 * Beside each: the errno it comes with, what @field and @value (and @limit) of
 * struct exo_detail hold. "offset" is a byte offset in the argument structure,
 * "dword" the number (0-15) of a dword of the NVMe command.
 */
enum exo_reason {
	EXO_REASON_NONE = 0,
	/* any command */
	EXO_REASON_SIZE = 1,	   /* EINVAL, E2BIG: size; limit: the size known */
	EXO_REASON_FLAGS = 2,	   /* EOPNOTSUPP: offset; value: the unknown bits */
	EXO_REASON_RESERVED = 3,   /* EOPNOTSUPP: offset; value */
	EXO_REASON_NO_CAP = 4,	   /* ENOENT: offset; value: the number */
	EXO_REASON_WRONG_TYPE = 5, /* EINVAL: offset; value: its type; limit: wanted */
	EXO_REASON_RIGHT = 6,	   /* EACCES: offset; value: rights missing; limit: rights held */
	EXO_REASON_STALE = 7,	   /* ESTALE, ENODEV: offset; value: the number */
	EXO_REASON_RANGE = 8,	   /* ERANGE: offset; value: first bad; limit: end of range */
	EXO_REASON_OVERFLOW = 9,   /* EOVERFLOW: offset; value: start; limit: length */
	EXO_REASON_VALUE = 10, /* EINVAL: offset; value; limit: the largest that is right, or 0 */
	EXO_REASON_PRIVILEGE = 11,  /* EPERM: value 0: the caller, 1: the opener lacks it */
	EXO_REASON_SESSION = 12,    /* EBADF: offset of session_fd; value: the fd */
	EXO_REASON_DEPTH = 13,	    /* ELOOP: value: depth; limit: EXO_DEPTH_MAX */
	EXO_REASON_TABLE_FULL = 14, /* ENOSPC: limit: entries there are */
	/* resources */
	EXO_REASON_BUDGET = 15,	      /* EDQUOT: value: wanted; limit: left */
	EXO_REASON_MEMORY = 16,	      /* ENOMEM: value: units got before it ended */
	EXO_REASON_NO_DEVICE = 17,    /* ENODEV: value: the address asked for */
	EXO_REASON_NO_NAMESPACE = 18, /* ENOENT: value: nsid */
	EXO_REASON_FORMAT = 19,	      /* EOPNOTSUPP: value: bytes of metadata; 0: the block size */
	EXO_REASON_ATTACHED = 20,     /* EEXIST: value: the capability already attached */
	EXO_REASON_NOT_ATTACHED = 21, /* ENOENT: value: the capability */
	EXO_REASON_OTHER_CONTROLLER = 22, /* EINVAL: the extent is another controller's */
	EXO_REASON_DEVICE = 23,	   /* EIO: value: NVMe status, if known; ETIMEDOUT: ms waited */
	EXO_REASON_COHERENCE = 24, /* EOPNOTSUPP: no IOMMU, and not reachable without copies */
	/* submission; index: how many commands of the call were accepted before it */
	EXO_REASON_RING_INDEX = 32, /* EINVAL: value: sq_tail; limit: sq_head */
	EXO_REASON_CQ_HEAD = 33,    /* EINVAL: value: cq_head claimed; limit: completions posted */
	EXO_REASON_QUEUE_FULL = 34, /* EAGAIN: value: not consumed; limit: depth */
	EXO_REASON_OPCODE = 35,	    /* EOPNOTSUPP: dword 0; value: opcode */
	EXO_REASON_BITS = 36,	    /* EINVAL: dword; value: bits that must be 0 */
	EXO_REASON_NSID = 37,	    /* ERANGE: dword 1; value: nsid, of no attached extent */
	EXO_REASON_LBA = 38,	    /* ERANGE: dword 10; value: slba; limit: nlb */
	EXO_REASON_LBA_OVERFLOW = 39,  /* EOVERFLOW: dword 10; value: slba; limit: nlb */
	EXO_REASON_LBA_RIGHT = 40,     /* EACCES: dword 0; value: right missing; limit: held */
	EXO_REASON_CID = 41,	       /* EINVAL: dword 0; value: cid; limit: depth */
	EXO_REASON_CID_IN_FLIGHT = 42, /* EEXIST: dword 0; value: cid */
	EXO_REASON_TRANSFER = 43,      /* EMSGSIZE: dword 12; value: bytes; limit: bytes */
	EXO_REASON_BUFFER_ALIGN = 44,  /* EINVAL: dword 6; value: offset, not a multiple of 4 */
	EXO_REASON_BUFFER = 45, /* EFAULT: dword 6; value: first offset that is not attached */
	EXO_REASON_BUFFER_RIGHT =
		46, /* EACCES: dword 6; value: first such offset; limit: right missing */
};

/**
 * struct exo_detail - which part of a call was refused, and why
 * @reason: enum exo_reason
 * @field: as @reason says
 * @index: entry of a list; for a submission, commands accepted before this one
 * @__reserved: 0
 * @value: as @reason says
 * @limit: as @reason says
 *
 * Never grows. Written whole or not at all.
 */
struct exo_detail {
	__u32 reason;
	__u32 field;
	__u32 index;
	__u32 __reserved;
	__aligned_u64 value;
	__aligned_u64 limit;
};

/* The largest number in enum exo_reason, for tables. */
#define EXO_REASON_MAX EXO_REASON_BUFFER_RIGHT

/* Feature bits of struct exo_info */
#define EXO_FEATURE_FRAMES_2M (1ull << 0) /* EXO_ORDER_2M can be mapped as such */
#define EXO_FEATURE_QUEUE_CHECKED (1ull << 1)

/**
 * struct exo_info - ioctl(EXO_INFO): what this module is and offers
 * @size: sizeof(struct exo_info)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @out_version_major: EXO_VERSION_MAJOR of the module
 * @out_version_minor: EXO_VERSION_MINOR of the module
 * @out_features: EXO_FEATURE_*
 * @out_frames_limit: 4 KiB frames that the memory root has
 * @out_frames_used: 4 KiB frames allocated from it, quarantined ones included
 * @out_frames_quarantined: 4 KiB frames, those of rings included, that a silent
 *	device may still write to
 * @out_controllers: NVMe functions bound to exo
 * @out_io_timeout_ms: how long after its last submission a queue's commands may be
 *	in flight when what they use is taken away, before the queue is deleted
 * @out_admin_timeout_ms: how long an admin command may take before the controller
 *	is considered failed
 * @out_caps: capabilities in this session
 *
 * Needs no capability.
 *
 * Errors: none but those of every command.
 */
struct exo_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 out_version_major;
	__u32 out_version_minor;
	__aligned_u64 out_features;
	__aligned_u64 out_frames_limit;
	__aligned_u64 out_frames_used;
	__aligned_u64 out_frames_quarantined;
	__u32 out_controllers;
	__u32 out_io_timeout_ms;
	__u32 out_admin_timeout_ms;
	__u32 out_caps;
};

/**
 * EXO_PCI_ADDRESS - a PCI function as one number
 * @domain: PCI domain (segment), 0-0xffff
 * @bus: bus number
 * @devfn: device << 3 | function
 */
#define EXO_PCI_ADDRESS(domain, bus, devfn) \
	(((__u32)(domain) << 16) | ((__u32)(bus) << 8) | (__u32)(devfn))

/**
 * struct exo_claim - ioctl(EXO_CLAIM): a capability to a root, for root only
 * @size: sizeof(struct exo_claim)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @type: EXO_TYPE_POOL: the machine's frames up to the module's limit.
 *	EXO_TYPE_CONTROLLER: the NVMe function at @address
 * @address: EXO_PCI_ADDRESS() of the function; must be 0 for a pool
 * @out_cap: capability with all rights, a child of the root
 * @__reserved: must be 0
 *
 * Both who opened the session and who calls need CAP_SYS_ADMIN in the initial
 * user namespace. Several sessions may claim the same root; each claim sits
 * below the one root node, so that none is out of another's reach.
 *
 * Errors: EPERM, EINVAL type or address, ENODEV no such function is bound to
 * exo (a function in a PCI domain above 0xffff never is), ENOMEM, ENOSPC.
 */
struct exo_claim {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 type;
	__u32 address;
	__u32 out_cap;
	__u32 __reserved;
};

/**
 * struct exo_cap_derive - ioctl(EXO_CAP_DERIVE): a weaker child capability
 * @size: sizeof(struct exo_cap_derive)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: capability to weaken
 * @rights: subset of its rights, EXO_RIGHT_*, not empty
 * @session_fd: EXO_SESSION_SELF, or a file descriptor of the session that
 *	receives the child
 * @out_cap: the child, a number of the receiving session
 * @start: first unit of the child's range, in the units and the numbering of
 *	@cap; must be 0 if @len is 0
 * @len: units; 0: the whole range of @cap
 *
 * The child begins without mappings and attachments; those of @cap stay.
 *
 * Errors: ENOENT, ESTALE, EACCES rights not held, EINVAL no right at all, or
 * a range for a type that has none, ERANGE, EOVERFLOW, EBADF session_fd,
 * ELOOP, ENOSPC, ENOMEM.
 */
struct exo_cap_derive {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 rights;
	__s32 session_fd;
	__u32 out_cap;
	__aligned_u64 start;
	__aligned_u64 len;
};

/**
 * struct exo_cap_query - ioctl(EXO_CAP_QUERY): what a capability is
 * @size: sizeof(struct exo_cap_query)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: capability
 * @out_type: enum exo_type
 * @out_rights: EXO_RIGHT_*
 * @out_depth: derivations between its root and it
 * @out_start: first unit of its range
 * @out_len: units in its range; 0 for types without one
 * @out_object: number of its object: the same for all capabilities to it, never
 *	used twice; for an extent the number of its namespace
 * @out_unit_shift: log2 of the bytes in a unit: the logical block of an extent,
 *	the frame size of frames; 0 for other types
 * @out_nsid: namespace of an extent, else 0
 * @out_mmap_offset: frames: offset for mmap() of unit 0 of the object. queue:
 *	offset of its rings. 0: it cannot be mapped
 * @out_address: EXO_PCI_ADDRESS() of the function behind a controller, an
 *	extent or a queue, else 0
 * @__reserved: must be 0
 *
 * Errors: ENOENT, ESTALE if its object died.
 */
struct exo_cap_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 out_type;
	__u32 out_rights;
	__u32 out_depth;
	__aligned_u64 out_start;
	__aligned_u64 out_len;
	__aligned_u64 out_object;
	__u32 out_unit_shift;
	__u32 out_nsid;
	__aligned_u64 out_mmap_offset;
	__u32 out_address;
	__u32 __reserved;
};

/**
 * struct exo_cap_list - ioctl(EXO_CAP_LIST): the capabilities of this session
 * @size: sizeof(struct exo_cap_list)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @after: list only numbers above this one; 0 to begin
 * @count: entries that fit at @caps
 * @caps: address of an array of __u32
 * @out_count: entries written, in ascending order; fewer than @count: the end.
 *	Capabilities whose object died are listed until they are dropped
 * @__reserved: must be 0
 *
 * On EFAULT part of the array may have been written.
 *
 * Errors: EFAULT, EINVAL @count is 0 or above EXO_CAPS_MAX.
 */
struct exo_cap_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 after;
	__u32 count;
	__aligned_u64 caps;
	__u32 out_count;
	__u32 __reserved;
};

/**
 * struct exo_cap_drop - ioctl(EXO_CAP_DROP): give up one capability
 * @size: sizeof(struct exo_cap_drop)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: capability; its number is free for reuse afterwards
 * @__reserved: must be 0
 *
 * Ends what it had attached: mappings of its frames are withdrawn (a touch is
 * SIGBUS), its frames leave the controllers they were attached to, its extent
 * leaves the queues. Waits for the commands in flight that this concerns: at most
 * the I/O timeout for each queue that must let go of the extent, for the buffer all
 * queues at once; a queue that is stuck then is deleted. What was derived stays.
 * The object dies with its last capability; the rings of a dead queue stay readable
 * where mapped.
 *
 * Errors: ENOENT.
 */
struct exo_cap_drop {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 __reserved;
};

/**
 * struct exo_pool_create - ioctl(EXO_POOL_CREATE): part of a pool's budget
 * @size: sizeof(struct exo_pool_create)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @pool: pool capability with EXO_RIGHT_ALLOC
 * @rights: of the new capability, a subset of @pool's, not empty
 * @frames: 4 KiB frames, 1 or more; they leave the budget of @pool until the
 *	new pool is dead; those allocated then, until they are free
 * @out_cap: the new pool, a child of @pool
 * @__reserved: must be 0
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL, EDQUOT, ELOOP, ENOSPC, ENOMEM.
 */
struct exo_pool_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 pool;
	__u32 rights;
	__aligned_u64 frames;
	__u32 out_cap;
	__u32 __reserved;
};

/**
 * struct exo_pool_query - ioctl(EXO_POOL_QUERY): a pool's budget
 * @size: sizeof(struct exo_pool_query)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @pool: pool capability
 * @__reserved: must be 0
 * @out_budget: 4 KiB frames it was made with
 * @out_used: 4 KiB frames allocated or handed to child pools
 *
 * Errors: ENOENT, ESTALE, EINVAL not a pool.
 */
struct exo_pool_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 pool;
	__u32 __reserved;
	__aligned_u64 out_budget;
	__aligned_u64 out_used;
};

/**
 * struct exo_frames_alloc - ioctl(EXO_FRAMES_ALLOC): page frames from a pool
 * @size: sizeof(struct exo_frames_alloc)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @pool: pool capability with EXO_RIGHT_ALLOC
 * @order: EXO_ORDER_4K or EXO_ORDER_2M
 * @count: units of that order, 1 to EXO_FRAMES_UNITS_MAX
 * @node: NUMA node that they must come from, or EXO_NODE_ANY
 * @out_cap: the frames, with EXO_RIGHT_READ, EXO_RIGHT_WRITE, and
 *	EXO_RIGHT_NAMES if @pool has it; a child of @pool
 * @__reserved: must be 0
 * @out_mmap_offset: for mmap(), as in struct exo_cap_query
 *
 * The frames are zero, charged to the caller's memory cgroup, and scattered:
 * only the frames of one unit are contiguous. A mapping of them is not inherited
 * by fork; it ends with the capability, and when the session's file is closed for
 * the last time: a touch is SIGBUS then.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL order, count or node, EDQUOT, ENOMEM,
 * ELOOP, ENOSPC, EINTR.
 */
struct exo_frames_alloc {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 pool;
	__u32 order;
	__u32 count;
	__s32 node;
	__u32 out_cap;
	__u32 __reserved;
	__aligned_u64 out_mmap_offset;
};

/**
 * struct exo_frames_names - ioctl(EXO_FRAMES_NAMES): physical names of frames
 * @size: sizeof(struct exo_frames_names)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @frames: frames capability with EXO_RIGHT_NAMES
 * @first: first unit, within the range of @frames
 * @count: units; @first + @count must be within the range too
 * @__reserved: must be 0
 * @names: address of an array of @count struct exo_frame_name
 *
 * On EFAULT or EINTR part of the array may have been written.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL @count is 0, ERANGE, EFAULT, EINTR.
 */
struct exo_frames_names {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 frames;
	__u32 first;
	__u32 count;
	__u32 __reserved;
	__aligned_u64 names;
};

/**
 * struct exo_frame_name - what the machine calls a unit of frames
 * @pfn: page frame number of its first frame
 * @node: NUMA node it lies on
 * @order: EXO_ORDER_4K or EXO_ORDER_2M
 */
struct exo_frame_name {
	__aligned_u64 pfn;
	__u32 node;
	__u32 order;
};

/**
 * struct exo_controller_create - ioctl(EXO_CONTROLLER_CREATE): a controller
 * with part of the queue budget
 * @size: sizeof(struct exo_controller_create)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE
 * @rights: of the new capability, a subset of @controller's, not empty
 * @queues: queue pairs, 1 or more; they leave the budget of @controller until
 *	the new controller object is dead, those in use until they are dead too
 * @out_cap: the new controller, a child of @controller
 *
 * Errors: ENOENT, ESTALE, ENODEV, EACCES, EINVAL, EDQUOT, ELOOP, ENOSPC,
 * ENOMEM.
 */
struct exo_controller_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 rights;
	__u32 queues;
	__u32 out_cap;
};

/* out_state of struct exo_controller_query */
#define EXO_CONTROLLER_LIVE 0
#define EXO_CONTROLLER_FAILED 1 /* fatal status or no answer: bind it again */

/* out_features of struct exo_controller_query */
#define EXO_CONTROLLER_TRANSLATED (1u << 0) /* an IOMMU stands before it */
#define EXO_CONTROLLER_WRITE_ZEROES (1u << 1)
#define EXO_CONTROLLER_VOLATILE_CACHE (1u << 2) /* Flush has work to do */

/**
 * struct exo_controller_query - ioctl(EXO_CONTROLLER_QUERY): what it is
 * @size: sizeof(struct exo_controller_query)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability
 * @out_address: EXO_PCI_ADDRESS() of the function
 * @out_state: EXO_CONTROLLER_LIVE or EXO_CONTROLLER_FAILED
 * @out_features: EXO_CONTROLLER_*
 * @out_queues: queue pairs in the budget of this controller object
 * @out_queues_used: of which in use or handed to child controllers
 * @out_depth_max: largest depth of a queue, commands
 * @out_transfer_max: largest data transfer of a command, bytes
 * @out_vendor: PCI vendor id
 * @out_device: PCI device id
 * @out_serial: Identify Controller SN, space padded, not terminated
 * @out_model: Identify Controller MN
 * @out_firmware: Identify Controller FR
 * @out_nvme_version: the VS register
 *
 * Works on a failed controller.
 *
 * Errors: ENOENT, ESTALE, EINVAL not a controller.
 */
struct exo_controller_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 out_address;
	__u32 out_state;
	__u32 out_features;
	__u32 out_queues;
	__u32 out_queues_used;
	__u32 out_depth_max;
	__u32 out_transfer_max;
	__u32 out_vendor;
	__u32 out_device;
	__u8 out_serial[20];
	__u8 out_model[40];
	__u8 out_firmware[8];
	__u32 out_nvme_version;
};

/* flags of struct exo_namespace_query */
#define EXO_NAMESPACE_NEXT (1u << 0) /* the first namespace with a number above nsid */

/**
 * struct exo_namespace_query - ioctl(EXO_NAMESPACE_QUERY): one namespace
 * @size: sizeof(struct exo_namespace_query)
 * @flags: 0 or EXO_NAMESPACE_NEXT
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_EXTENT
 * @nsid: namespace; with EXO_NAMESPACE_NEXT, 0 to begin
 * @out_nsid: the namespace found
 * @out_block_shift: log2 of the bytes in a logical block
 * @out_metadata: bytes of metadata per block; extents need 0
 * @__reserved: must be 0
 * @out_blocks: logical blocks (NSZE)
 *
 * Errors: ENOENT (also no such namespace, or none above), ESTALE, ENODEV, EACCES,
 * EINVAL, EIO, ETIMEDOUT, ENOMEM.
 */
struct exo_namespace_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 nsid;
	__u32 out_nsid;
	__u32 out_block_shift;
	__u32 out_metadata;
	__u32 __reserved;
	__aligned_u64 out_blocks;
};

/**
 * struct exo_extent_create - ioctl(EXO_EXTENT_CREATE): an extent
 * @size: sizeof(struct exo_extent_create)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_EXTENT
 * @nsid: namespace
 * @rights: subset of EXO_RIGHT_READ, EXO_RIGHT_WRITE, EXO_RIGHT_TRIM, not empty
 * @out_cap: the extent, a child of @controller
 * @start: first logical block
 * @len: logical blocks, 1 or more
 *
 * Extents may overlap: who holds the controller decides. What the blocks hold
 * is the grantor's duty.
 *
 * Errors: ENOENT (also no such namespace), ESTALE, ENODEV, EACCES, EINVAL,
 * ERANGE, EOVERFLOW, EOPNOTSUPP format with metadata or with blocks above 4 KiB,
 * EIO, ETIMEDOUT, ELOOP, ENOSPC, ENOMEM.
 */
struct exo_extent_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 nsid;
	__u32 rights;
	__u32 out_cap;
	__aligned_u64 start;
	__aligned_u64 len;
};

/**
 * struct exo_dma_attach - ioctl(EXO_DMA_ATTACH): frames into buffer space
 * @size: sizeof(struct exo_dma_attach)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE
 * @frames: frames capability with EXO_RIGHT_READ (the device may read: Write
 *	commands) or EXO_RIGHT_WRITE (the device may write: Read commands)
 * @out_offset: bytes: where the range of @frames begins in the buffer space of
 *	this session on this NVMe function. PRP1 of a command is such an offset
 *
 * The buffer space serves all queues that this session creates on the function.
 *
 * Errors: ENOENT, ESTALE, ENODEV, EACCES, EINVAL, EEXIST already attached by
 * this capability, ENOSPC, ENOMEM, EOPNOTSUPP without an IOMMU, memory that
 * the device cannot reach coherently, EINTR.
 */
struct exo_dma_attach {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 frames;
	__aligned_u64 out_offset;
};

/**
 * struct exo_dma_detach - ioctl(EXO_DMA_DETACH): frames out of buffer space
 * @size: sizeof(struct exo_dma_detach)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability
 * @frames: frames capability that was attached
 *
 * New commands cannot name the buffer from the start of the call; it returns
 * when those in flight have ended; a queue on which they have not by the I/O timeout
 * is deleted.
 *
 * Errors: ENOENT no such capability or not attached, ESTALE, EINVAL.
 */
struct exo_dma_detach {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 frames;
};

/* mode of a queue */
#define EXO_QUEUE_CHECKED 0 /* the kernel checks every command */

/**
 * struct exo_queue_create - ioctl(EXO_QUEUE_CREATE): a queue pair
 * @size: sizeof(struct exo_queue_create)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE
 * @mode: EXO_QUEUE_CHECKED
 * @depth: commands submitted and not yet consumed, 1 to out_depth_max of the
 *	controller; command ids are 0 to @depth - 1
 * @out_cap: the queue, with EXO_RIGHT_SUBMIT; a child of @controller
 * @out_entries: entries of each ring, a power of two above @depth
 * @out_qid: NVMe queue identifier
 * @out_mmap_offset: for mmap(); the regions lie one behind the other
 * @out_rw_size: bytes of the first region, PROT_READ | PROT_WRITE: one page
 *	with struct exo_queue_control, then @out_entries 64-byte submission
 *	queue entries (NVMe base specification, "Submission Queue Entry")
 * @out_ro_size: bytes of the second region, PROT_READ: one page with struct
 *	exo_queue_status, then @out_entries 16-byte completion queue entries,
 *	written by the device
 *
 * Errors: ENOENT, ESTALE, ENODEV, EACCES, EINVAL, EDQUOT, EIO and ETIMEDOUT
 * from the device, EOPNOTSUPP as for EXO_DMA_ATTACH, ELOOP, ENOSPC, ENOMEM, EINTR.
 */
struct exo_queue_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 mode;
	__u32 depth;
	__u32 out_cap;
	__u32 out_entries;
	__u32 out_qid;
	__aligned_u64 out_mmap_offset;
	__u32 out_rw_size;
	__u32 out_ro_size;
};

/**
 * struct exo_queue_control - written by the program, believed by nobody
 * @sq_tail: commands ever placed in the ring, modulo 2^32; the next goes to
 *	entry sq_tail & (entries - 1). Store with release order
 * @cq_head: completions ever consumed, modulo 2^32. An honest program never
 *	claims one that the device has not posted
 */
struct exo_queue_control {
	__u32 sq_tail;
	__u32 cq_head;
};

/* state of a queue */
#define EXO_QUEUE_LIVE 0
#define EXO_QUEUE_DEAD 1 /* its capability, its controller or its device is gone */

/**
 * struct exo_queue_status - written by the kernel
 * @sq_head: commands ever taken from the ring, modulo 2^32
 * @state: EXO_QUEUE_LIVE or EXO_QUEUE_DEAD; a dead queue never lives again
 */
struct exo_queue_status {
	__u32 sq_head;
	__u32 state;
};

/**
 * struct exo_queue_query - ioctl(EXO_QUEUE_QUERY): a queue and its counters
 * @size: sizeof(struct exo_queue_query)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @queue: queue capability
 * @out_mode: EXO_QUEUE_CHECKED
 * @out_state: EXO_QUEUE_LIVE or EXO_QUEUE_DEAD
 * @out_qid: NVMe queue identifier
 * @out_depth: as created
 * @out_entries: as created
 * @out_submitted: commands ever accepted
 * @out_completed: completions seen by the kernel, which looks when it is called
 * @out_refused: commands ever refused by the check
 * @out_extents: extents attached
 * @__reserved: must be 0
 *
 * Works on a dead queue while the capability is held.
 *
 * Errors: ENOENT, EINVAL not a queue.
 */
struct exo_queue_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 queue;
	__u32 out_mode;
	__u32 out_state;
	__u32 out_qid;
	__u32 out_depth;
	__u32 out_entries;
	__aligned_u64 out_submitted;
	__aligned_u64 out_completed;
	__aligned_u64 out_refused;
	__u32 out_extents;
	__u32 __reserved;
};

/**
 * struct exo_queue_attach - ioctl(EXO_QUEUE_ATTACH): let a queue use an extent
 * @size: sizeof(struct exo_queue_attach)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @queue: queue capability with EXO_RIGHT_SUBMIT
 * @extent: extent capability of a namespace of the same NVMe function
 *
 * A command must lie whole within one attached extent that carries the right.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL, EEXIST, ENOSPC more than
 * EXO_QUEUE_EXTENTS_MAX, ENOMEM.
 */
struct exo_queue_attach {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 queue;
	__u32 extent;
};

/**
 * struct exo_queue_detach - ioctl(EXO_QUEUE_DETACH): the reverse
 * @size: sizeof(struct exo_queue_detach)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @queue: queue capability with EXO_RIGHT_SUBMIT
 * @extent: extent capability that was attached
 *
 * New commands cannot use the extent from the start of the call; it returns
 * when those in flight have ended; a queue on which they have not by the I/O timeout
 * is deleted.
 *
 * Errors: ENOENT no such capability or not attached, ESTALE, EACCES, EINVAL.
 */
struct exo_queue_detach {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 queue;
	__u32 extent;
};

/**
 * struct exo_queue_submit - ioctl(EXO_QUEUE_SUBMIT): a batch of commands
 * @size: sizeof(struct exo_queue_submit)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @queue: queue capability with EXO_RIGHT_SUBMIT
 * @out_accepted: commands taken from the ring and given to the device
 *
 * Takes the commands from status.sq_head up to control.sq_tail, each copied
 * once and checked. Stops at the first that is refused, which stays in the
 * ring, or when the queue is full. Returns 0 if at least one was accepted or
 * the ring was empty, else the error of the first. When fewer than the ring
 * held were accepted the detail says why, whether the call failed or not: set
 * its reason to EXO_REASON_NONE before the call.
 *
 * What a command may contain (everything else must be 0):
 *
 *  ============ ====== ==========================================================
 *  opcode       needs  dwords
 *  ============ ====== ==========================================================
 *  Flush 00h    WRITE  CID, NSID
 *  Write 01h    WRITE  CID, NSID, PRP1, SLBA, NLB, FUA
 *  Read 02h     READ   CID, NSID, PRP1, SLBA, NLB, FUA
 *  Write        WRITE  CID, NSID, SLBA, NLB, FUA; DEAC (deallocate) needs
 *  Zeroes 08h          EXO_RIGHT_TRIM too
 *  ============ ====== ==========================================================
 *
 * PRP1 is an offset in buffer space, a multiple of 4, and the buffer is the
 * (NLB + 1) * block bytes behind it; PRP2 and MPTR are 0. CID is the slot of
 * the command: below the depth, free again when its completion was posted.
 *
 * If the answer cannot be written (EFAULT) the commands were taken all the same:
 * status.sq_head says how many.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL, and those of the EXO_REASON_
 * codes for submission: EAGAIN, EOPNOTSUPP, ERANGE, EOVERFLOW, EEXIST,
 * EMSGSIZE, EFAULT.
 */
struct exo_queue_submit {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 queue;
	__u32 out_accepted;
};

#endif /* _UAPI_LINUX_EXO_H */
