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
 *    EACCES (right not held, PROT_EXEC, or what /dev/exo was not opened for), ERANGE
 *    (outside the capability's range, or across the two regions of a queue), EINVAL
 *    (MAP_PRIVATE, or /dev/exo was not opened for reading and writing), ENOMEM, of a
 *    window ENFILE. Such a mapping is undone whole or not
 *    at all: munmap() of a part, mremap() are EINVAL, mprotect() is EACCES. At
 *    EXO_WINDOW_OFFSET it makes a window.
 *  - detail is 0 or the address of a struct exo_detail, written when something
 *    was refused and left alone otherwise. An address that cannot be written is
 *    ignored: the result of the call stands.
 *
 * Errors (the reason in struct exo_detail says which case it is)
 *
 *  ENOTTY      no such command
 *  EFAULT      an address in the argument cannot be read or written, or memory there
 *              cannot be adopted; a buffer offset of an NVMe command is not attached
 *  E2BIG       size is larger than the kernel knows and the rest is not zero
 *  EINVAL      size too small; a value that can never be right; a capability
 *              of another type; a bit that an NVMe command may not have
 *  EOPNOTSUPP  unknown flag, reserved field not zero, an NVMe opcode or a
 *              feature that this kernel or this device does not offer
 *  EPERM       a root claim without CAP_SYS_ADMIN, or an unsafe queue without
 *              CAP_SYS_RAWIO, in the initial user namespace (both of who opened
 *              the file and of who calls)
 *  EBADF       session_fd is not a session; eventfd is not an eventfd
 *  ENOENT      no such capability in this session; no such namespace; not
 *              attached; a token that cannot be redeemed; no window there, or an entry
 *              of it that is empty
 *  ENODEV      no such controller, or it was unbound or has failed for good
 *  EACCES      the capability does not carry the right
 *  ERANGE      outside the capability's range or the attached extents
 *  EOVERFLOW   first plus length overflows
 *  EDQUOT      the budget of the pool or of the controller, the quota of open or active
 *              zones, or RLIMIT_MEMLOCK is used up
 *  ENOMEM      no memory, or the memory cgroup is at its limit
 *  ENOSPC      no capability number, buffer offset or table entry is left
 *  ELOOP       the derivation tree is at its depth limit
 *  EEXIST      already attached; command id already in flight; the session has an
 *              event ring
 *  EMFILE      the program can have no more file descriptors
 *  EBUSY       what was derived from the capability, or from one above it, is being
 *              taken back: nothing new can be derived meanwhile; the function is in
 *              another's hands alone, or it is to be exclusive and is in use
 *  EMSGSIZE    a transfer, Write Zeroes or Copy is larger than the controller's limit,
 *              a Dataset Management larger than EXO_TRIM_BYTES, a report of more zones
 *              than the extent has left
 *  EAGAIN      the queue has no room; consume completions and submit again
 *  ESTALE      the capability was taken back (EXO_CAP_TAKEN has the record), or its
 *              object died: dropped meanwhile, or its device went away or failed, or its
 *              namespace was detached or formatted
 *  ETIMEDOUT   the device did not answer an admin command in time
 *  EIO         the device refused an admin command
 *  EINTR       a fatal signal arrived; nothing was changed (EXO_WINDOW_SET: by what was left
 *              to do). For EXO_WAIT: any signal
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
#define EXO_REVOKE _IO(EXO_IOC_MAGIC, 0x06)
#define EXO_CAP_TAKEN _IO(EXO_IOC_MAGIC, 0x07)
#define EXO_TREE_LIST _IO(EXO_IOC_MAGIC, 0x08)
#define EXO_POOL_CREATE _IO(EXO_IOC_MAGIC, 0x10)
#define EXO_POOL_QUERY _IO(EXO_IOC_MAGIC, 0x11)
#define EXO_FRAMES_ALLOC _IO(EXO_IOC_MAGIC, 0x12)
#define EXO_FRAMES_NAMES _IO(EXO_IOC_MAGIC, 0x13)
#define EXO_MEM_ADOPT _IO(EXO_IOC_MAGIC, 0x14)
#define EXO_FRAMES_EXPORT _IO(EXO_IOC_MAGIC, 0x15)
#define EXO_CONTROLLER_CREATE _IO(EXO_IOC_MAGIC, 0x20)
#define EXO_CONTROLLER_QUERY _IO(EXO_IOC_MAGIC, 0x21)
#define EXO_NAMESPACE_QUERY _IO(EXO_IOC_MAGIC, 0x22)
#define EXO_EXTENT_CREATE _IO(EXO_IOC_MAGIC, 0x23)
#define EXO_DMA_ATTACH _IO(EXO_IOC_MAGIC, 0x24)
#define EXO_DMA_DETACH _IO(EXO_IOC_MAGIC, 0x25)
#define EXO_IDENTIFY _IO(EXO_IOC_MAGIC, 0x26)
#define EXO_LOG _IO(EXO_IOC_MAGIC, 0x27)
#define EXO_QUEUE_CREATE _IO(EXO_IOC_MAGIC, 0x30)
#define EXO_QUEUE_QUERY _IO(EXO_IOC_MAGIC, 0x31)
#define EXO_QUEUE_ATTACH _IO(EXO_IOC_MAGIC, 0x32)
#define EXO_QUEUE_DETACH _IO(EXO_IOC_MAGIC, 0x33)
#define EXO_QUEUE_SUBMIT _IO(EXO_IOC_MAGIC, 0x34)
#define EXO_QUEUE_EVENTFD _IO(EXO_IOC_MAGIC, 0x35)
#define EXO_TOKEN_CREATE _IO(EXO_IOC_MAGIC, 0x40)
#define EXO_TOKEN_REDEEM _IO(EXO_IOC_MAGIC, 0x41)
#define EXO_TOKEN_CANCEL _IO(EXO_IOC_MAGIC, 0x42)
#define EXO_WAIT _IO(EXO_IOC_MAGIC, 0x50)
#define EXO_EVENTS_CREATE _IO(EXO_IOC_MAGIC, 0x51)
#define EXO_WINDOW_SET _IO(EXO_IOC_MAGIC, 0x60)
#define EXO_WINDOW_DIRTY _IO(EXO_IOC_MAGIC, 0x61)
#define EXO_WINDOW_HANDLER _IO(EXO_IOC_MAGIC, 0x62)

/* Limits that are part of the ABI */
#define EXO_DEPTH_MAX 32		/* nodes from a root (0) to a capability */
#define EXO_CAPS_MAX 0xfffff		/* capabilities of one session */
#define EXO_FRAMES_UNITS_MAX (1u << 20) /* units of one EXO_FRAMES_ALLOC */
#define EXO_MEM_PAGES_MAX (1u << 20)	/* pages of 4 KiB of one EXO_MEM_ADOPT */
#define EXO_ORDER_4K 0
#define EXO_ORDER_2M 9
#define EXO_NODE_ANY (-1)
#define EXO_SESSION_SELF (-1)
#define EXO_QUEUE_EXTENTS_MAX 64  /* extents attached to one queue */
#define EXO_TRIM_RANGES 64	  /* ranges of one Dataset Management */
#define EXO_TRIM_BYTES (1u << 30) /* that it may name */
#define EXO_COPY_RANGES 32	  /* source ranges of one Copy */
#define EXO_WAIT_QUEUES_MAX 64	  /* queues of one EXO_WAIT */
#define EXO_RECORDS_MAX 65536	  /* entries of one EXO_REVOKE or EXO_TREE_LIST */
#define EXO_EVENTS_MIN 16	  /* entries of an event ring */
#define EXO_EVENTS_MAX 4096
#define EXO_IDENTIFY_BYTES 4096u	  /* of an Identify data structure */
#define EXO_WINDOW_OFFSET (1ull << 42)	  /* for mmap() of a session: a new window */
#define EXO_WINDOW_BYTES_MAX (1ull << 42) /* of one window */
#define EXO_WINDOW_OPS_MAX 4096		  /* operations of one EXO_WINDOW_SET */
#define EXO_WINDOW_PAGES_MAX (1u << 20)	  /* entries that one call may be about */

/**
 * enum exo_type - what a capability is a right to
 * @EXO_TYPE_POOL: a budget of frames; no range
 * @EXO_TYPE_FRAMES: page frames; range in units of the order they were
 *	allocated with, from 0
 * @EXO_TYPE_CONTROLLER: an NVMe function with a budget of queues; no range
 * @EXO_TYPE_EXTENT: logical blocks of a namespace; range in logical blocks
 * @EXO_TYPE_QUEUE: a submission and completion queue pair; no range
 * @EXO_TYPE_MEMORY: a program's own memory, adopted; range in pages of 4 KiB, from 0
 */
enum exo_type {
	EXO_TYPE_POOL = 1,
	EXO_TYPE_FRAMES = 2,
	EXO_TYPE_CONTROLLER = 3,
	EXO_TYPE_EXTENT = 4,
	EXO_TYPE_QUEUE = 5,
	EXO_TYPE_MEMORY = 6,
};

/* Rights. Each names the types it is meaningful for. */
/* READ: extent: Read, Compare, Copy from. frames: map, device reads. memory: device reads.
   queue: see completions, wait */
#define EXO_RIGHT_READ (1u << 0)
/* WRITE: extent: Write, Write Zeroes, Flush, Copy to. frames: map, device writes. memory:
   device writes */
#define EXO_RIGHT_WRITE (1u << 1)
#define EXO_RIGHT_TRIM (1u << 2)  /* extent: deallocate */
#define EXO_RIGHT_NAMES (1u << 3) /* pool, frames: see physical frame numbers */
#define EXO_RIGHT_ALLOC (1u << 4) /* pool: allocate frames, make child pools */
#define EXO_RIGHT_QUEUE \
	(1u << 5) /* controller: create queues, attach frames, adopt, make child controllers */
#define EXO_RIGHT_EXTENT (1u << 6) /* controller: make extents, query namespaces */
#define EXO_RIGHT_SUBMIT (1u << 7) /* queue: map the rings, attach extents, submit */
#define EXO_RIGHT_THREAD (1u << 8) /* controller: queues with a polling thread of the kernel's */
/* DIRECT: controller: have the function exclusively, and direct or unsafe queues then */
#define EXO_RIGHT_DIRECT (1u << 9)
/* PRIORITY: controller: queues of a priority above medium, which others then wait for */
#define EXO_RIGHT_PRIORITY (1u << 10)
#define EXO_RIGHTS_ALL 0x7ffu

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
	EXO_REASON_PRIVILEGE = 11, /* EPERM: value 0: the caller, 1: the opener lacks it; 2: the */
	/* kernel is locked down; limit: the capability (CAP_SYS_ADMIN, CAP_SYS_RAWIO) */
	EXO_REASON_SESSION = 12,    /* EBADF: offset of session_fd; value: the fd */
	EXO_REASON_DEPTH = 13,	    /* ELOOP: value: depth; limit: EXO_DEPTH_MAX */
	EXO_REASON_TABLE_FULL = 14, /* ENOSPC: limit: entries there are */
	/* resources */
	EXO_REASON_BUDGET = 15,	      /* EDQUOT: value: wanted; limit: left */
	EXO_REASON_MEMORY = 16,	      /* ENOMEM: value: units got before it ended */
	EXO_REASON_NO_DEVICE = 17,    /* ENODEV: value: the address asked for */
	EXO_REASON_NO_NAMESPACE = 18, /* ENOENT: value: nsid */
	EXO_REASON_FORMAT = 19,	  /* EOPNOTSUPP: value: bytes of metadata; 0: block size, zones */
	EXO_REASON_ATTACHED = 20, /* EEXIST: value: the capability already attached */
	EXO_REASON_NOT_ATTACHED = 21,	  /* ENOENT: value: the capability */
	EXO_REASON_OTHER_CONTROLLER = 22, /* EINVAL: the extent is another controller's */
	EXO_REASON_DEVICE = 23,	   /* EIO: value: NVMe status, if known; ETIMEDOUT: ms waited */
	EXO_REASON_COHERENCE = 24, /* EOPNOTSUPP: no IOMMU, and not reachable without copies */
	EXO_REASON_POLLED = 25,	   /* EOPNOTSUPP: value: the queue, which has no interrupt */
	EXO_REASON_EVENTFD = 26,   /* EBADF: offset; value: the fd */
	EXO_REASON_REVOKING = 27,  /* EBUSY: value: the capability to derive from */
	EXO_REASON_NOT_TAKEN = 28, /* EINVAL: offset; value: the capability */
	EXO_REASON_EVENTS = 29,	   /* EEXIST: the session has an event ring */
	EXO_REASON_TOKEN = 30,	   /* ENOENT: unknown, used, expired, cancelled, another's */
	EXO_REASON_NO_NODE = 31,   /* ENOENT: value: the node, which is not below the capability */
	/* submission; index: how many commands of the call were accepted before it */
	EXO_REASON_RING_INDEX = 32, /* EINVAL: value: sq_tail; limit: sq_head */
	EXO_REASON_CQ_HEAD = 33,    /* EINVAL: value: cq_head claimed; limit: completions posted */
	EXO_REASON_QUEUE_FULL = 34, /* EAGAIN: value: not consumed; limit: depth */
	EXO_REASON_OPCODE = 35,	    /* EOPNOTSUPP: dword 0; value: opcode */
	EXO_REASON_BITS = 36,	    /* EINVAL: dword; value: bits that must be 0 */
	EXO_REASON_NSID = 37,	    /* ERANGE: dword 1; value: nsid, of no attached extent */
	EXO_REASON_LBA = 38,	    /* ERANGE: dword 10, 6: in a list; value: slba; limit: nlb */
	EXO_REASON_LBA_OVERFLOW = 39,  /* EOVERFLOW: dword 10 or 6; value: slba; limit: nlb */
	EXO_REASON_LBA_RIGHT = 40,     /* EACCES: dword 0; value: right missing; limit: held */
	EXO_REASON_CID = 41,	       /* EINVAL: dword 0; value: cid; limit: depth */
	EXO_REASON_CID_IN_FLIGHT = 42, /* EEXIST: dword 0; value: cid */
	EXO_REASON_TRANSFER = 43,      /* EMSGSIZE: dword 12 or 10; value: bytes; limit: bytes */
	EXO_REASON_BUFFER_ALIGN = 44,  /* EINVAL: dword 6; value: offset, not a multiple of 4 */
	EXO_REASON_BUFFER = 45, /* EFAULT: dword 6; value: first offset that is not attached */
	EXO_REASON_BUFFER_RIGHT =
		46, /* EACCES: dword 6; value: first such offset; limit: right missing */
	EXO_REASON_RANGES = 47,	    /* EINVAL: dword 10 or 12; value: ranges listed; limit */
	EXO_REASON_RANGE_BITS = 48, /* EINVAL: dword 6; value: the range's slba; limit: bits */
	/* data and log pages of the device */
	EXO_REASON_PAGE = 49, /* EOPNOTSUPP: offset; value: of none of those that programs may
				 read, or the device has no such */
	/* exclusive controllers and direct queues; offset */
	EXO_REASON_EXCLUSIVE =
		50,	      /* EBUSY: the function is another's alone, or not yet anybody's */
	EXO_REASON_MODE = 51, /* EINVAL: value: the queue's mode; limit: the mode it takes */
	EXO_REASON_UNTRANSLATED = 52, /* EOPNOTSUPP: no IOMMU bounds what the device reaches */
	EXO_REASON_INTERRUPTS = 53,   /* EOPNOTSUPP: the device can signal interrupts of others */
	EXO_REASON_DOORBELLS = 54,    /* EOPNOTSUPP: there is more than doorbells on their pages */
	EXO_REASON_SHARED_NAMESPACE =
		55, /* EOPNOTSUPP: value: nsid, which another controller reaches too */
	/* zones; of commands that name a range of blocks, too */
	EXO_REASON_ZONE = 56, /* EINVAL: offset or dword 10; value: not whole zones, or */
	/* the slba of what crosses one; limit: blocks of a zone */
	EXO_REASON_ZONE_ACTION = 57, /* EINVAL: dword 13; value; limit: what may be there */
	EXO_REASON_ZONE_REPORT = 58, /* EMSGSIZE: dword 12; value: bytes; limit */
	EXO_REASON_ZONE_QUOTA = 59,  /* EDQUOT: field 0: open, 1: active; value: slba; limit */
	EXO_REASON_PLACEMENT = 60, /* EACCES: offset or dword 13; value; limit: identifiers held */
	EXO_REASON_ARBITRATION =
		61, /* EOPNOTSUPP: offset; value: the priority, of which the device has none */
	/* adopted memory */
	EXO_REASON_MEMLOCK = 62, /* EDQUOT: value: bytes; limit: bytes that RLIMIT_MEMLOCK leaves */
	EXO_REASON_PIN = 63, /* EFAULT: value: first address that cannot be pinned; limit: rights */
	EXO_REASON_UNSHARED = 64, /* EINVAL: offset; value: the capability, to adopted memory */
	/* windows; index: the operation */
	EXO_REASON_NO_WINDOW = 65, /* ENOENT: value: the address, where no window begins */
	EXO_REASON_EMPTY = 66,	   /* ENOENT: value: the first entry that is empty */
	EXO_REASON_LARGE = 67, /* EINVAL: value: the first entry of the 2 MiB that would be cut */
	EXO_REASON_ENTRY_RIGHT = 68, /* EACCES: value: the first such entry; limit: right missing */
	EXO_REASON_UPCALL = 69, /* EOPNOTSUPP: value 0: not on this architecture; 1: the thread */
				/* has a shadow stack */
	/* exports */
	EXO_REASON_DESCRIPTORS = 70, /* EMFILE: RLIMIT_NOFILE leaves none */
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
#define EXO_REASON_MAX EXO_REASON_DESCRIPTORS

/* Feature bits of struct exo_info */
#define EXO_FEATURE_FRAMES_2M (1ull << 0) /* EXO_ORDER_2M can be mapped as such */
#define EXO_FEATURE_QUEUE_CHECKED (1ull << 1)
#define EXO_FEATURE_QUEUE_DIRECT (1ull << 2) /* where the function allows it */
#define EXO_FEATURE_MEM_ADOPT (1ull << 3)
#define EXO_FEATURE_WINDOW (1ull << 4) /* else its calls are ENOTTY and its mmap() EINVAL */
#define EXO_FEATURE_UPCALL (1ull << 5) /* EXO_WINDOW_HANDLER */
#define EXO_FEATURE_EXPORT (1ull << 6) /* else EXO_FRAMES_EXPORT is ENOTTY */

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
 * @out_frames_quarantined: 4 KiB frames, those of rings and adopted ones included, that a
 *	silent device may still write to
 * @out_controllers: NVMe functions bound to exo
 * @out_io_timeout_ms: how long after its last submission a queue's commands may be
 *	in flight when what they use is taken away, before the queue is deleted
 * @out_admin_timeout_ms: how long an admin command may take before the controller
 *	is considered failed
 * @out_caps: capabilities in this session
 * @out_memory_adopted: 4 KiB pages that are pinned for whoever adopted them, quarantined ones
 *	included; one that was adopted twice counts twice
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
	__aligned_u64 out_memory_adopted;
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
 * @out_cap: capability with all rights to the root itself: what is derived from it hangs
 *	from the root, and EXO_REVOKE through it reaches all that hangs there, whoever
 *	derived it, but no other claim
 * @__reserved: must be 0
 *
 * Both who opened the session and who calls need CAP_SYS_ADMIN in the initial
 * user namespace. Several sessions may claim the same root: a new one finds what
 * an old one left.
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
 * @placement: of an extent: a subset of its placement identifiers; 0: all of them
 * @open_zones: of an extent with such a quota: so many of it, set aside for the child as for
 *	EXO_EXTENT_CREATE; 0: it shares those of @cap
 * @active_zones: the same of active zones
 *
 * The child begins without mappings and attachments; those of @cap stay.
 *
 * Errors: ENOENT, ESTALE, EBUSY, EACCES rights not held, EINVAL no right at all,
 * a range or a quota for what has none, or adopted memory, ERANGE, EOVERFLOW, EBADF session_fd,
 * EDQUOT, ELOOP, ENOSPC, ENOMEM.
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
	__aligned_u64 placement;
	__u32 open_zones;
	__u32 active_zones;
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
 *	the frame size of frames and of adopted memory; 0 for other types
 * @out_nsid: namespace of an extent, else 0
 * @out_mmap_offset: frames: offset for mmap() of unit 0 of the object. queue:
 *	offset of its rings. 0: it cannot be mapped
 * @out_address: EXO_PCI_ADDRESS() of the function behind a controller, an
 *	extent or a queue, else 0
 * @out_qid: NVMe queue identifier of a queue, else 0
 * @out_deadline: it is asked back, or frames of it are, until then: CLOCK_MONOTONIC, ns;
 *	0: it is not
 * @out_wanted: how many 4 KiB frames of a pool are asked back; 0: all of the capability
 * @out_copy_ranges: source ranges of one Copy within an extent; 0: there is no Copy
 * @out_copy_range_blocks: logical blocks of each
 * @out_copy_blocks: logical blocks of all
 * @out_mode: of a queue: EXO_QUEUE_CHECKED, EXO_QUEUE_DIRECT or EXO_QUEUE_UNSAFE; else 0
 * @out_zone_blocks: logical blocks of each zone of an extent; 0: its namespace is not zoned
 * @out_append_max: bytes of the largest Zone Append
 * @out_open_zones: zones that may be open through the extent and what else shares its quota;
 *	0: there is no limit
 * @out_open_zones_used: zones that count as open there
 * @out_active_zones: the same of active zones
 * @out_active_zones_used: likewise
 * @out_command_set: I/O command set of an extent's namespace: 0 NVM, 2 zoned
 * @out_placement: placement identifiers that Writes may name, bit i: identifier i
 *
 * Errors: ENOENT, ESTALE if it was taken or its object died.
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
	__u32 out_qid;
	__aligned_u64 out_deadline;
	__aligned_u64 out_wanted;
	__u32 out_copy_ranges;
	__u32 out_copy_range_blocks;
	__u32 out_copy_blocks;
	__u32 out_mode;
	__aligned_u64 out_zone_blocks;
	__u32 out_append_max;
	__u32 out_open_zones;
	__u32 out_open_zones_used;
	__u32 out_active_zones;
	__u32 out_active_zones_used;
	__u32 out_command_set;
	__aligned_u64 out_placement;
};

/* flags of struct exo_cap_list: one of them at most */
#define EXO_LIST_ASKED (1u << 0) /* only those that are asked back */
#define EXO_LIST_TAKEN (1u << 1) /* only those that were taken and not dropped since */

/**
 * struct exo_cap_list - ioctl(EXO_CAP_LIST): the capabilities of this session
 * @size: sizeof(struct exo_cap_list)
 * @flags: 0, EXO_LIST_ASKED or EXO_LIST_TAKEN
 * @detail: 0 or address of a struct exo_detail
 * @after: list only numbers above this one; 0 to begin
 * @count: entries that fit at @caps
 * @caps: address of an array of __u32
 * @out_count: entries written, in ascending order; fewer than @count: the end.
 *	Capabilities that were taken, or whose object died, are listed until they are dropped
 * @__reserved: must be 0
 *
 * On EFAULT part of the array may have been written.
 *
 * Errors: EFAULT, EINVAL @count is 0 or above EXO_CAPS_MAX, or both flags.
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
 * SIGBUS), its frames or memory leave the controllers they were attached to, its extent
 * leaves the queues. Waits for the commands in flight that this concerns, on all queues
 * at once, at most until the I/O timeout after the last submission before the call; a queue
 * that is stuck then is deleted. What was derived stays.
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
 * struct exo_revoke_record - a capability that was taken by force
 * @type: enum exo_type
 * @cap: its number in the session that held it
 * @session: number of that session, as in struct exo_tree_entry
 * @object: number of its object, as in struct exo_cap_query
 * @start: first unit of its range
 * @len: units
 * @nsid: namespace of an extent, else 0
 * @qid: identifier of a queue, else 0
 */
struct exo_revoke_record {
	__u32 type;
	__u32 cap;
	__aligned_u64 session;
	__aligned_u64 object;
	__aligned_u64 start;
	__aligned_u64 len;
	__u32 nsid;
	__u32 qid;
};

/**
 * struct exo_revoke - ioctl(EXO_REVOKE): take back what was derived from a capability
 * @size: sizeof(struct exo_revoke)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: everything below it goes, in whatever session; it stays
 * @timeout_ms: how long the holders have to give it up themselves; 0: not at all
 * @frames: 0: everything. Of a pool: only until so many 4 KiB frames fewer are allocated
 *	from it and from pools made from it; which, the holders choose, by force whole sets
 *	of frames are taken
 * @records: address of an array of struct exo_revoke_record
 * @count: entries that fit there, 0 to EXO_RECORDS_MAX
 * @out_asked: capabilities whose holders were asked
 * @out_taken: capabilities taken by force; the first @count of them are at @records
 * @out_frames: of a pool: by how many 4 KiB frames fewer are allocated than before the call
 * @__reserved: must be 0
 * @node: 0, or the node (struct exo_tree_entry) of something below @cap: then only that and
 *	everything below it goes, in whatever session; @frames and @out_frames are those of
 *	the pool that it is
 *
 * Each holder is told once for each capability, by EXO_EVENT_REVOKE and by EXO_CAP_LIST;
 * to comply is to drop it. Asked for frames of a pool, whoever holds a pool below is told,
 * and whoever holds frames of it that he did not allocate from a pool of his own.
 *
 * Until the call returns nothing can be derived from @cap (@node) or below (but when frames are
 * asked for: then the holders go on working, but for the moments of asking and of
 * taking). Returns as soon as what is asked for was
 * given. What was not given by the deadline is taken, leaves first: mappings are withdrawn
 * (a touch is SIGBUS), commands in flight waited for as EXO_CAP_DROP does, queues deleted;
 * calls with it are ESTALE; it keeps its number in its session until it is dropped there,
 * for EXO_CAP_TAKEN. Taking is not interrupted by signals; it waits for the I/O timeout,
 * however many commands are stuck, and for the admin commands.
 *
 * A signal before the deadline ends the revocation: what was given stays given, nothing
 * was taken, and the holders are told so (EXO_EVENT_REVOKE_END).
 *
 * Errors: ENOENT (also no such node below @cap), ESTALE, EINVAL @frames of what is no pool,
 * or @count, EFAULT @records (what was taken stays taken), ENOMEM, EINTR.
 */
struct exo_revoke {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 timeout_ms;
	__aligned_u64 frames;
	__aligned_u64 records;
	__u32 count;
	__u32 out_asked;
	__u32 out_taken;
	__u32 __reserved;
	__aligned_u64 out_frames;
	__aligned_u64 node;
};

/**
 * struct exo_cap_taken - ioctl(EXO_CAP_TAKEN): what was taken under a number
 * @size: sizeof(struct exo_cap_taken)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: a capability that was taken by force and not dropped since
 * @out_type: enum exo_type
 * @out_rights: EXO_RIGHT_* it had
 * @out_unit_shift: as in struct exo_cap_query
 * @out_start: first unit of its range
 * @out_len: units
 * @out_object: number of its object
 * @out_nsid: namespace of an extent, else 0
 * @out_qid: identifier of a queue, else 0
 * @out_address: EXO_PCI_ADDRESS() of the function, else 0
 * @first: frames with EXO_RIGHT_NAMES: first unit to name
 * @count: units to name, within the range; 0: none
 * @__reserved: must be 0
 * @names: address of an array of @count page frame numbers (__u64): what those frames
 *	were; they are somebody else's now
 *
 * What is being taken may be refused (ESTALE, ERANGE) a moment before its record is there:
 * EXO_EVENT_TAKEN comes after it.
 *
 * On EFAULT or EINTR part of the array may have been written.
 *
 * Errors: ENOENT, EINVAL @cap was not taken, or names of what is no frames, EACCES, ERANGE,
 * EFAULT, EINTR.
 */
struct exo_cap_taken {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 out_type;
	__u32 out_rights;
	__u32 out_unit_shift;
	__aligned_u64 out_start;
	__aligned_u64 out_len;
	__aligned_u64 out_object;
	__u32 out_nsid;
	__u32 out_qid;
	__u32 out_address;
	__u32 first;
	__u32 count;
	__u32 __reserved;
	__aligned_u64 names;
};

/* state of struct exo_tree_entry */
#define EXO_TREE_HELD 0
#define EXO_TREE_ASKED 1   /* held, and asked back */
#define EXO_TREE_DROPPED 2 /* nobody holds it; what was derived from it is held */

/**
 * struct exo_tree_entry - a capability in a derivation tree
 * @node: its own number, never used twice
 * @parent: @node of what it was derived from
 * @session: number of the session that holds it
 * @object: number of its object, as in struct exo_cap_query
 * @start: first unit of its range
 * @len: units
 * @type: enum exo_type
 * @rights: EXO_RIGHT_*
 * @depth: derivations between its root and it
 * @cap: its number in that session
 * @pid: process that opened the session, as the caller sees it; 0: it cannot
 * @uid: and as whom, as the caller sees it
 * @state: EXO_TREE_*
 * @unit_shift: as in struct exo_cap_query
 * @nsid: namespace of an extent, else 0
 * @qid: identifier of a queue, else 0
 * @deadline: with EXO_TREE_ASKED: until when (CLOCK_MONOTONIC, ns)
 * @budget: of a pool: 4 KiB frames; of a controller: queue pairs; else 0
 * @used: of which in use or handed on
 * @mode: of a queue: EXO_QUEUE_CHECKED, EXO_QUEUE_DIRECT or EXO_QUEUE_UNSAFE; else 0
 * @__reserved: 0
 */
struct exo_tree_entry {
	__aligned_u64 node;
	__aligned_u64 parent;
	__aligned_u64 session;
	__aligned_u64 object;
	__aligned_u64 start;
	__aligned_u64 len;
	__u32 type;
	__u32 rights;
	__u32 depth;
	__u32 cap;
	__u32 pid;
	__u32 uid;
	__u32 state;
	__u32 unit_shift;
	__u32 nsid;
	__u32 qid;
	__aligned_u64 deadline;
	__aligned_u64 budget;
	__aligned_u64 used;
	__u32 mode;
	__u32 __reserved;
};

/**
 * struct exo_tree_list - ioctl(EXO_TREE_LIST): who holds what was derived from @cap
 * @size: sizeof(struct exo_tree_list)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: any capability; it is not listed itself, nor are other claims
 * @count: entries that fit at @entries, 1 to EXO_RECORDS_MAX
 * @skip: leave out so many; what changes between two calls may be missed or seen twice
 * @entries: address of an array of struct exo_tree_entry
 * @out_node: node of @cap, of a claim that of the root: @parent of the first level
 * @out_count: entries written, parents before children; fewer than @count: the end
 * @__reserved: must be 0
 *
 * Errors: ENOENT, ESTALE, EINVAL @count, EFAULT, ENOMEM.
 */
struct exo_tree_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 count;
	__aligned_u64 skip;
	__aligned_u64 entries;
	__aligned_u64 out_node;
	__u32 out_count;
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
 * @minimum: of @frames, so many are not taken away when the machine is short of memory; they
 *	leave the minimum of @pool meanwhile. The root has a minimum for all its frames
 *
 * When the machine is short of memory, whoever holds a pool of which more than its minimum
 * is allocated is told so (EXO_EVENT_PRESSURE); when a process would have to be killed
 * otherwise, sets of frames are taken from such pools as EXO_REVOKE does. Frames that were
 * allocated from the root itself are not.
 *
 * Errors: ENOENT, ESTALE, EBUSY, EACCES, EINVAL, EDQUOT, ELOOP, ENOSPC, ENOMEM.
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
	__aligned_u64 minimum;
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
 * @out_minimum: 4 KiB frames that are not taken for want of memory
 * @out_allocated: 4 KiB frames allocated from it and from pools made from it
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
	__aligned_u64 out_minimum;
	__aligned_u64 out_allocated;
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
 * Errors: ENOENT, ESTALE, EBUSY, EACCES, EINVAL order, count or node, EDQUOT, ENOMEM,
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
 * struct exo_frames_export - ioctl(EXO_FRAMES_EXPORT): frames as a dma-buf
 * @size: sizeof(struct exo_frames_export)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @frames: frames capability with EXO_RIGHT_READ or EXO_RIGHT_WRITE
 * @out_fd: the dma-buf, of the frames in the range of @frames in their order. Closed by exec
 *
 * For the drivers of other devices, to which the program hands it: they map it for their device (a
 * device that reads needs EXO_RIGHT_READ, one that writes EXO_RIGHT_WRITE: EACCES). The program
 * itself maps @frames; the dma-buf cannot be mapped (EINVAL). Frames that the device does not reach,
 * or only by copies or with caches that have to be flushed, are not for it (EOPNOTSUPP).
 *
 * Only drivers that give memory back when they are told can use it ("dynamic" importers), and
 * none can pin it: EOPNOTSUPP to the driver. So only where EXO_FEATURE_EXPORT is set: before
 * Linux 7.1 if the kernel was built with CONFIG_DMABUF_MOVE_NOTIFY, which those of Debian are not.
 *
 * Whoever has the file can use it, as with a token. It ends with @frames, whatever ends that: it is not mapped
 * any more (ENODEV), its importers are told, and what their devices have begun is waited for,
 * out_io_timeout_ms of struct exo_info at most, once for all that a session or a revocation
 * ends. Whoever else closes the file does not wait. Frames that an importer keeps mapped beyond that stay
 * charged to the pool until it lets them go. As long as the file is open the module cannot be unloaded.
 *
 * Errors: ENOENT, ESTALE, EINVAL not frames, EACCES, EMFILE, ENOMEM.
 */
struct exo_frames_export {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 frames;
	__s32 out_fd;
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
 * struct exo_mem_adopt - ioctl(EXO_MEM_ADOPT): memory that the caller already has
 * @size: sizeof(struct exo_mem_adopt)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE
 * @rights: EXO_RIGHT_READ: the device may read it; EXO_RIGHT_WRITE: it may write it; not empty
 * @address: of the first byte, in the caller's address space; a multiple of 4096
 * @bytes: a multiple of 4096, 1 to EXO_MEM_PAGES_MAX pages
 * @out_cap: the memory, with @rights; a child of @controller
 * @__reserved: must be 0
 *
 * Pins the pages that are there (they are brought in first) and makes an object of them, for
 * EXO_DMA_ATTACH with whatever controller. Ordinary memory, huge pages, memfds, and mappings
 * of files that are only read can be adopted: with EXO_RIGHT_WRITE what the caller may write to,
 * else what it may read. What cannot be: addresses where nothing is, mappings of devices
 * and of this module, with EXO_RIGHT_WRITE shared mappings of files on a disk.
 *
 * The pages stay those that they were, until the object's end: after munmap(),
 * MADV_DONTNEED, truncation of the file, exec or exit of the process the device reaches the same pages, and
 * not what was put in their place. After a fork the pages of private memory are the parent's; the
 * child gets copies.
 *
 * @bytes are charged to the user of the caller, against its RLIMIT_MEMLOCK, with what else that user
 * has pinned, until the pages are let go; CAP_IPC_LOCK in the initial user namespace lifts that. They
 * are seen in VmPin of /proc/PID/status.
 *
 * The memory is its adopter's alone: it can be given to no other session, by EXO_CAP_DERIVE
 * or token (EINVAL, EXO_REASON_UNSHARED), it has no physical names, and it is not mapped
 * through the session (mmap() is EINVAL). It may be taken back like whatever comes
 * of a controller; that ends the device's access, not the program's own.
 *
 * Errors: ENOENT, ESTALE, EBUSY, ENODEV, EACCES also @rights that there are not, EINVAL, EOVERFLOW,
 * EFAULT memory that cannot be pinned so, EDQUOT RLIMIT_MEMLOCK, ENOMEM, ELOOP, ENOSPC, EINTR.
 */
struct exo_mem_adopt {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 controller;
	__u32 rights;
	__aligned_u64 address;
	__aligned_u64 bytes;
	__u32 out_cap;
	__u32 __reserved;
};

/* flags of struct exo_controller_create */
#define EXO_CONTROLLER_EXCLUSIVE (1u << 0) /* the whole function is in its holder's hands */

/**
 * struct exo_controller_create - ioctl(EXO_CONTROLLER_CREATE): a controller
 * with part of the queue budget
 * @size: sizeof(struct exo_controller_create)
 * @flags: 0 or EXO_CONTROLLER_EXCLUSIVE
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE, for
 *	EXO_CONTROLLER_EXCLUSIVE EXO_RIGHT_DIRECT too
 * @rights: of the new capability, a subset of @controller's, not empty
 * @queues: queue pairs, 1 or more; they leave the budget of @controller until
 *	the new controller object is dead, those in use until they are dead too
 * @out_cap: the new controller, a child of @controller
 *
 * An exclusive controller is made only while nobody has a queue, attached frames or an
 * extent on the function. From then on these are made, there, through it and the
 * controllers made through it alone; who holds those is one trust domain. That ends when
 * the last of these controllers and of their queues is dead. If there was a direct or an
 * unsafe queue the device is reset then, and extents that were made there are stale. A device
 * with EXO_CONTROLLER_SHADOW_DOORBELLS is reset when that begins and when it ends; extents stay.
 *
 * Errors: ENOENT, ESTALE, EBUSY also: the function is another's alone, or is to be
 * exclusive and is in use, ENODEV, EACCES, EINVAL, EDQUOT, ELOOP, ENOSPC, ENOMEM.
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
#define EXO_CONTROLLER_COMPARE (1u << 3)
#define EXO_CONTROLLER_TRIM (1u << 4)	   /* Dataset Management */
#define EXO_CONTROLLER_COPY (1u << 5)	   /* with source descriptor format 0h */
#define EXO_CONTROLLER_ZONED (1u << 6)	   /* the zoned namespace command set */
#define EXO_CONTROLLER_PLACEMENT (1u << 7) /* flexible data placement */
#define EXO_CONTROLLER_PRIORITY (1u << 8)  /* weighted round robin among its queues */
/* doorbells of checked queues lie in memory (Doorbell Buffer Config): not while it is exclusive */
#define EXO_CONTROLLER_SHADOW_DOORBELLS (1u << 9)

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
 * @out_transfer_max: largest data transfer of a command, and as much as one Write
 *	Zeroes may clear, bytes
 * @out_vendor: PCI vendor id
 * @out_device: PCI device id
 * @out_serial: Identify Controller SN, space padded, not terminated
 * @out_model: Identify Controller MN
 * @out_firmware: Identify Controller FR
 * @out_nvme_version: the VS register
 * @out_vectors: interrupt vectors that queues can have, of the whole function
 * @out_vectors_used: of which in use
 * @out_arbitration: with EXO_CONTROLLER_PRIORITY: dword 0 of the Arbitration feature (NVMe base
 *	specification, "Arbitration"), as it was when the function was bound: bits 2:0 burst,
 *	15:8, 23:16 and 31:24 the weights of low, medium and high, less 1
 * @__reserved: must be 0
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
	__u32 out_vectors;
	__u32 out_vectors_used;
	__u32 out_arbitration;
	__u32 __reserved;
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
 * @out_zone_blocks: logical blocks of each zone; 0: it is not zoned
 * @out_command_set: I/O command set: 0 NVM, 2 zoned; extents need one of these
 * @out_open_zones: zones that may be open at a time; 0: there is no limit
 * @out_active_zones: the same of active zones
 * @out_open_zones_left: of which nobody has set aside or uses so many
 * @out_active_zones_left: likewise
 * @out_append_max: bytes of the largest Zone Append
 * @out_placement: 1: flexible data placement is enabled, and Writes may name placement
 *	identifiers
 * @out_endurance_group: ENDGID
 *
 * A zone counts from the first command on that the kernel accepted for it: what was open
 * or active when the function was bound is not known.
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
	__aligned_u64 out_zone_blocks;
	__u32 out_command_set;
	__u32 out_open_zones;
	__u32 out_active_zones;
	__u32 out_open_zones_left;
	__u32 out_active_zones_left;
	__u32 out_append_max;
	__u32 out_placement;
	__u32 out_endurance_group;
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
 * @open_zones: zones that may be open through it and what is derived from it; set aside
 *	until it is gone, and each that is open until that is closed. 0: it shares those that
 *	nobody has set aside. Else 0 where out_open_zones of the namespace is
 * @active_zones: the same of active zones
 * @placement: placement identifiers that Writes may name, bit i: identifier i. 0 where
 *	out_placement of the namespace is
 *
 * Extents may overlap: who holds the controller decides. What the blocks hold
 * is the grantor's duty. Of a zoned namespace @start and @len are multiples of
 * out_zone_blocks, like those of what is derived.
 *
 * Errors: ENOENT (also no such namespace), ESTALE, EBUSY, ENODEV, EACCES, EINVAL,
 * ERANGE, EOVERFLOW, EDQUOT, EOPNOTSUPP format with metadata or with blocks above 4 KiB,
 * another I/O command set, or zones whose size is no power of two or that are more than
 * 2^20, ETIMEDOUT, ELOOP, ENOSPC, ENOMEM.
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
	__u32 open_zones;
	__u32 active_zones;
	__aligned_u64 placement;
};

/* cns of struct exo_identify: NVMe base specification, "Identify" */
#define EXO_CNS_NAMESPACE 0x00
#define EXO_CNS_CONTROLLER 0x01
#define EXO_CNS_NAMESPACE_NVM 0x05  /* of the NVM command set */
#define EXO_CNS_CONTROLLER_NVM 0x06 /* likewise */

/**
 * struct exo_identify - ioctl(EXO_IDENTIFY): Identify data, as the device gave them
 * @size: sizeof(struct exo_identify)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: of a controller: a controller capability; of a namespace: an extent capability of
 *	it, or, with @nsid, a controller capability with EXO_RIGHT_EXTENT
 * @cns: EXO_CNS_*
 * @nsid: 0, or the namespace
 * @__reserved: must be 0
 * @data: address of EXO_IDENTIFY_BYTES bytes, which are written
 *
 * The data are those of when the function was bound or the namespace first used; they are read
 * again each time that the device told that they changed, and after a reset: a controller's in it,
 * a namespace's soon after. The call waits for no device, but with an @nsid that was not used since then. Works on a failed controller,
 * but not with @nsid (ENODEV).
 *
 * Reads as zero: what vendors define (controller: bytes 3072 to 4095, namespace: 384 to
 * 4095), and NUSE, which tells how much of their blocks neighbours have deallocated.
 *
 * Errors: ENOENT (also no such namespace), ESTALE, ENODEV, EACCES, EINVAL @cap of another
 * type, or @nsid with a @cns of a controller, EOPNOTSUPP @cns, EFAULT, ETIMEDOUT, ENOMEM.
 */
struct exo_identify {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 cns;
	__u32 nsid;
	__u32 __reserved;
	__aligned_u64 data;
};

/* lid of struct exo_log: NVMe base specification, "Get Log Page" */
#define EXO_LOG_HEALTH 0x02   /* SMART / Health Information, 512 bytes */
#define EXO_LOG_FIRMWARE 0x03 /* Firmware Slot Information, 512 bytes */
#define EXO_LOG_EFFECTS 0x05  /* Commands Supported and Effects, NVM command set, 4096 bytes */

/**
 * struct exo_log - ioctl(EXO_LOG): a log page of a controller
 * @size: sizeof(struct exo_log)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @cap: controller capability, with whatever rights
 * @lid: EXO_LOG_*
 * @len: bytes of the page, from its first; at most all
 * @__reserved: must be 0
 * @data: address of @len bytes, which are written
 * @out_time: when the device was asked: CLOCK_MONOTONIC, ns; at most a second ago
 *
 * Asks the device once a second at most, however many ask here.
 *
 * Without EXO_RIGHT_EXTENT these fields of the health page, which tell how much work the
 * tenants of the controller have given it, read as zero: Data Units Read and Written, Host
 * Read and Write Commands, Controller Busy Time, Number of Error Information Log Entries.
 *
 * Errors: ENOENT, ESTALE, ENODEV, EINVAL not a controller, or @len, EOPNOTSUPP @lid,
 * EFAULT, ETIMEDOUT, ENOMEM.
 */
struct exo_log {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 lid;
	__u32 len;
	__u32 __reserved;
	__aligned_u64 data;
	__aligned_u64 out_time;
};

/**
 * struct exo_dma_attach - ioctl(EXO_DMA_ATTACH): frames, or adopted memory, into buffer space
 * @size: sizeof(struct exo_dma_attach)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE
 * @frames: capability to frames or memory with EXO_RIGHT_READ (the device may read: Write
 *	commands) or EXO_RIGHT_WRITE (the device may write: Read commands)
 * @out_offset: bytes: where the range of @frames begins in the buffer space of
 *	this session on this NVMe function. PRP1 of a command is such an offset
 *
 * The buffer space serves all queues that this session creates on the function. On an
 * exclusive function behind an IOMMU an offset is also the address that the device uses, so
 * that the PRPs of a direct queue's commands are offsets too. When frames go from there the device
 * can reach them no more; a command in flight that needs them fails.
 *
 * Errors: ENOENT, ESTALE, EBUSY the function is another's alone, ENODEV, EACCES, EINVAL, EEXIST already attached by
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
 * @frames: capability to frames or memory that was attached
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
#define EXO_QUEUE_DIRECT 1  /* the program rings the device; the IOMMU bounds what it reaches */
#define EXO_QUEUE_UNSAFE 2  /* the program rings the device, which reaches all memory */

/* flags of struct exo_queue_create */
#define EXO_QUEUE_POLLED (1u << 0)  /* leave the function's interrupt vectors to others */
#define EXO_QUEUE_THREAD (1u << 1)  /* a thread of the kernel's takes commands from the ring */
#define EXO_QUEUE_IRQ_CPU (1u << 2) /* its interrupts go to irq_cpu */
#define EXO_QUEUE_NODE (1u << 3)    /* its memory lies on node */

#define EXO_CPU_ANY (~0u)
#define EXO_CPU_NONE (~0u) /* there is no interrupt */
#define EXO_THREAD_IDLE_MAX_US 10000000u
#define EXO_THREAD_PERIOD_MS 100u /* in which a thread may use its share of a CPU */

/*
 * the thread of a queue: what a program that has stored sq_tail must do. Between the store
 * and the look there must be a full memory barrier
 */
#define EXO_THREAD_NONE 0    /* there is none: call EXO_QUEUE_SUBMIT */
#define EXO_THREAD_RUNNING 1 /* nothing: it will see it, and take it when there is room */
#define EXO_THREAD_ASLEEP 2  /* call EXO_QUEUE_SUBMIT: it takes what it can and tells the rest */

/*
 * priority of a queue: how often the device takes commands from it, where it has
 * EXO_CONTROLLER_PRIORITY (NVMe base specification, "Weighted Round Robin with Urgent Priority
 * Class Arbitration"). While an urgent queue has commands the others wait
 */
#define EXO_PRIORITY_DEFAULT 0 /* medium, or what the device does without priorities */
#define EXO_PRIORITY_LOW 1
#define EXO_PRIORITY_MEDIUM 2
#define EXO_PRIORITY_HIGH 3   /* needs EXO_RIGHT_PRIORITY */
#define EXO_PRIORITY_URGENT 4 /* likewise */

/* completion mode of a queue: how who sleeps for a completion is woken */
#define EXO_COMPLETION_POLLED 0	   /* the kernel looks, with pauses up to 1 ms */
#define EXO_COMPLETION_INTERRUPT 1 /* an interrupt vector of its own, silent while nobody waits */

/**
 * struct exo_queue_create - ioctl(EXO_QUEUE_CREATE): a queue pair
 * @size: sizeof(struct exo_queue_create)
 * @flags: EXO_QUEUE_POLLED, EXO_QUEUE_THREAD, EXO_QUEUE_IRQ_CPU, EXO_QUEUE_NODE
 * @detail: 0 or address of a struct exo_detail
 * @controller: controller capability with EXO_RIGHT_QUEUE, for EXO_QUEUE_THREAD
 *	EXO_RIGHT_THREAD too, for EXO_QUEUE_DIRECT and EXO_QUEUE_UNSAFE EXO_RIGHT_DIRECT, for a @priority above
 *	medium EXO_RIGHT_PRIORITY
 * @mode: EXO_QUEUE_CHECKED, EXO_QUEUE_DIRECT or EXO_QUEUE_UNSAFE
 * @depth: commands submitted and not yet consumed, 1 to out_depth_max of the
 *	controller; command ids are 0 to @depth - 1
 * @out_cap: the queue, with EXO_RIGHT_SUBMIT and EXO_RIGHT_READ; a child of @controller
 * @out_entries: entries of each ring, a power of two above @depth
 * @out_qid: NVMe queue identifier
 * @out_mmap_offset: for mmap(); the regions lie one behind the other
 * @out_rw_size: bytes of the first region, PROT_READ | PROT_WRITE: one page
 *	with struct exo_queue_control, then @out_entries 64-byte submission
 *	queue entries (NVMe base specification, "Submission Queue Entry")
 * @out_ro_size: bytes of the second region, PROT_READ: one page with struct
 *	exo_queue_status, then @out_entries 16-byte completion queue entries,
 *	written by the device
 * @out_completion: EXO_COMPLETION_*: the queue takes an interrupt vector if the function
 *	has one left
 * @thread_cpu: EXO_QUEUE_THREAD: where the thread runs, one of the caller's CPUs; or
 *	EXO_CPU_ANY: on those. Without the flag this and the next two are 0
 * @thread_percent: of one CPU, which it may use of every EXO_THREAD_PERIOD_MS; 1 to 100.
 *	The account is the scheduler's, late by a tick (a second on a CPU without one);
 *	what was used beyond the share is taken off the next
 * @thread_idle_us: it sleeps when there was nothing to do for so long; at most
 *	EXO_THREAD_IDLE_MAX_US
 *
 * @out_lists: not EXO_QUEUE_CHECKED, like the next four, which are left alone else: byte offset,
 *	in the first region, of memory for PRP lists: 1 << @out_list_shift bytes for each of
 *	@depth commands. For EXO_QUEUE_UNSAFE it is physically contiguous, as no IOMMU makes it
 *	so: a large @depth may be ENOMEM
 * @out_list_shift: see there
 * @out_sq_doorbell: byte offset, in the first region, of the submission queue's tail
 *	doorbell: 32 bits, to be written
 * @out_cq_doorbell: of the completion queue's head doorbell
 * @out_lists_offset: where that memory is for the device, as PRP2 of a command
 * @irq_cpu: EXO_QUEUE_IRQ_CPU: where its interrupts go, one of the caller's CPUs; not with
 *	EXO_QUEUE_POLLED. Without the flag 0: they go where the kernel sends them, and so they
 *	do when that CPU goes offline, or who administers the machine says otherwise
 *	(/proc/irq). It is ENOSPC if the function or that CPU has no vector left
 * @node: EXO_QUEUE_NODE: NUMA node of the memory of its rings and lists; ENOMEM if there is
 *	none left, or none that the caller's cpuset may have. Without the flag 0: near the
 *	device, as far as there is some
 * @priority: EXO_PRIORITY_*; another than EXO_PRIORITY_DEFAULT wants a controller with
 *	EXO_CONTROLLER_PRIORITY
 * @__reserved: must be 0
 *
 * Mapping the first region needs EXO_RIGHT_SUBMIT, the second that or EXO_RIGHT_READ.
 *
 * Of a direct queue the program has the device's own submission queue behind the control
 * page, and both doorbells. Nobody looks at its commands: they reach every block of every
 * namespace that the controller has, and all memory that was attached to it, by whom ever.
 * So it is made only
 *
 *  - through an exclusive controller (EBUSY, EXO_REASON_EXCLUSIVE);
 *  - behind an IOMMU (EOPNOTSUPP, EXO_REASON_UNTRANSLATED) that isolates
 *    interrupts (EXO_REASON_INTERRUPTS);
 *  - where the pages of the doorbells hold nothing else (EXO_REASON_DOORBELLS);
 *  - where no other controller reaches a namespace of this one
 *    (EXO_REASON_SHARED_NAMESPACE).
 *
 * The program follows the NVMe base specification: sections 3.3.3 for the rings, 4.1.1 for
 * the PRPs. It alone rings doorbells; of the control page only cq_head is used, by EXO_WAIT.
 * The submission queue, the lists and the completion queue are the device's; no extent is
 * attached. When the queue dies a page of all ones takes the place of the doorbells, and
 * writing there rings nothing.
 *
 * An unsafe queue is a direct one where there is no IOMMU. Nothing bounds what its commands
 * reach: all of the device, and all of memory, the kernel's too. So it is made only
 *
 *  - where there is no IOMMU before the device (EINVAL, EXO_REASON_MODE: a direct one is to be
 *    had);
 *  - if both who opened the session and who calls have CAP_SYS_RAWIO in the initial user
 *    namespace, and the kernel is not locked down (EPERM);
 *  - as the first, the third and the fourth condition of a direct one say.
 *
 * It taints the kernel (TAINT_USER), which says in its log who was the first. The addresses in
 * its commands are physical ones: those of attached frames are told by EXO_FRAMES_NAMES. Frames
 * that were attached when it lived, and are detached, are quarantined until the function is in
 * nobody's hands alone and was reset.
 *
 * A queue with a thread needs no call for what a program does most: the thread takes
 * commands from the ring as EXO_QUEUE_SUBMIT does, with the same check. Its time is
 * charged to the queue, by @thread_percent, not to the caller's control groups; it has
 * the caller's nice value (19 for a caller of SCHED_IDLE). status.thread says whether
 * it looks. It does not when it was idle; when it has used up its share, until the
 * period ends; and when a command was refused, by it or by a call. That command is at
 * status.sq_head then: the ring is the program's, to mend it or to take it back, until
 * an EXO_QUEUE_SUBMIT, which says why if it is refused again, and else sends the thread
 * on. Whoever waits for the queue is woken by a refusal.
 *
 * Errors: ENOENT, ESTALE, EBUSY also: the function is another's alone, ENODEV, EACCES, EPERM,
 * EINVAL, EDQUOT, EIO and ETIMEDOUT from the device, EOPNOTSUPP as for EXO_DMA_ATTACH,
 * @priority, and as above, ELOOP, ENOSPC, ENOMEM, EINTR.
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
	__u32 out_completion;
	__u32 thread_cpu;
	__u32 thread_percent;
	__u32 thread_idle_us;
	__u32 out_lists;
	__u32 out_list_shift;
	__u32 out_sq_doorbell;
	__u32 out_cq_doorbell;
	__aligned_u64 out_lists_offset;
	__u32 irq_cpu;
	__s32 node;
	__u32 priority;
	__u32 __reserved;
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
 * @thread: EXO_THREAD_*
 */
struct exo_queue_status {
	__u32 sq_head;
	__u32 state;
	__u32 thread;
};

/**
 * struct exo_queue_query - ioctl(EXO_QUEUE_QUERY): a queue and its counters
 * @size: sizeof(struct exo_queue_query)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @queue: queue capability
 * @out_mode: EXO_QUEUE_CHECKED; or EXO_QUEUE_DIRECT or EXO_QUEUE_UNSAFE, of which nobody
 *	counts commands
 * @out_state: EXO_QUEUE_LIVE or EXO_QUEUE_DEAD
 * @out_qid: NVMe queue identifier
 * @out_depth: as created
 * @out_entries: as created
 * @out_submitted: commands ever accepted
 * @out_completed: completions seen by the kernel, which looks when it is called
 * @out_refused: commands ever refused by the check
 * @out_extents: extents attached
 * @out_completion: EXO_COMPLETION_*
 * @out_thread: EXO_THREAD_*
 * @out_thread_throttled: times that its share of a CPU was used up
 * @out_thread_ns: time of a CPU that it has used, as exact as the scheduler's tick
 * @out_irq_cpu: where its interrupts go at present, or EXO_CPU_NONE: it has none, is dead, or
 *	that CPU went offline before anybody waited for one
 * @out_node: NUMA node of its memory
 * @out_priority: EXO_PRIORITY_LOW to EXO_PRIORITY_URGENT; EXO_PRIORITY_DEFAULT: the device has
 *	no priorities
 * @__reserved: must be 0
 *
 * Works on a dead queue, and when the capability was taken, until it is dropped.
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
	__u32 out_completion;
	__u32 out_thread;
	__u32 out_thread_throttled;
	__aligned_u64 out_thread_ns;
	__u32 out_irq_cpu;
	__s32 out_node;
	__u32 out_priority;
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
 * Errors: ENOENT, ESTALE, EACCES, EINVAL also: a direct queue, EEXIST, ENOSPC more than
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
 *  Write 01h    WRITE  CID, NSID, PRP1, SLBA, NLB, FUA; DTYPE 2h with DSPEC
 *  Read 02h     READ   CID, NSID, PRP1, SLBA, NLB, FUA
 *  Compare 05h  READ   CID, NSID, PRP1, SLBA, NLB, FUA
 *  Write        WRITE  CID, NSID, SLBA, NLB, FUA; DEAC (deallocate) needs
 *  Zeroes 08h          EXO_RIGHT_TRIM too
 *  Dataset      TRIM   CID, NSID, PRP1, NR, AD
 *  Mgmt. 09h
 *  Copy 19h     WRITE  CID, NSID, PRP1, SDLBA, NR, FUA; format 0h
 *  Zone Mgmt.   WRITE  CID, NSID, SLBA, ZSA: Close, Finish, Open; Reset needs
 *  Send 79h            EXO_RIGHT_TRIM too
 *  Zone Mgmt.   READ   CID, NSID, PRP1, SLBA, NUMD; dword 13 is 10000h: Report
 *  Receive 7Ah         Zones, of all states, partial
 *  Zone Append  WRITE  CID, NSID, PRP1, ZSLBA, NLB, FUA
 *  7Dh
 *  ============ ====== ==========================================================
 *
 * PRP1 is an offset in buffer space, a multiple of 4, and the buffer is the
 * (NLB + 1) * block bytes behind it; PRP2 and MPTR are 0. CID is the slot of
 * the command: below the depth, free again when its completion was posted.
 *
 * (NLB + 1) * block bytes is at most out_transfer_max of the controller, for Write
 * Zeroes too: so much and no more can be left to do when a queue is taken away. So is
 * all that a Copy moves; a Dataset Management may name EXO_TRIM_BYTES.
 *
 * Of these two PRP1 is that of a list of NR + 1 ranges, at most EXO_TRIM_RANGES or
 * EXO_COPY_RANGES, in frames that the device may read. It is copied before it is checked.
 * Of each range everything but SLBA and the number of blocks is 0. Ranges of Dataset
 * Management need TRIM, those of Copy READ; what Copy writes, one range, needs WRITE. Each
 * lies in one attached extent of the namespace, not necessarily the same.
 *
 * DSPEC of a Write is a placement identifier that its extent holds, if it holds any;
 * without DTYPE it is 0.
 *
 * The last three are for zoned namespaces, and name the first block of a zone. A Zone Append
 * is at most out_append_max bytes. A report has room for the zones that the extent
 * has left, from the named one on, and no more. What a Write, Write Zeroes or Copy
 * writes lies in one zone.
 *
 * A zone counts as open and as active (out_open_zones of struct exo_cap_query) from the first
 * Write, Write Zeroes, Zone Append, Open or Copy to it on, even if that fails. It does
 * not any more when the kernel has seen that a Reset or Finish, or for open alone a Close,
 * ended well, unless another such command was accepted since then, or had
 * not ended when that was accepted. A zone that is written to its end counts until it
 * is finished. The kernel sees what has ended when EXO_QUEUE_SUBMIT, EXO_QUEUE_QUERY or
 * EXO_WAIT are called for the queue.
 *
 * If the answer cannot be written (EFAULT) the commands were taken all the same:
 * status.sq_head says how many.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL also: a direct queue, and those of the EXO_REASON_
 * codes for submission: EAGAIN, EOPNOTSUPP, ERANGE, EOVERFLOW, EEXIST,
 * EMSGSIZE, EFAULT, EDQUOT.
 */
struct exo_queue_submit {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 queue;
	__u32 out_accepted;
};

/**
 * struct exo_queue_eventfd - ioctl(EXO_QUEUE_EVENTFD): completions on an eventfd
 * @size: sizeof(struct exo_queue_eventfd)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @queue: queue capability with EXO_RIGHT_SUBMIT
 * @eventfd: an eventfd, which takes the place of the one before; -1: none
 *
 * 1 is added to the eventfd by each interrupt of the queue, and when the queue dies.
 * A device posts an interrupt for one or several completions: look at the ring after
 * each, and read the eventfd before the ring. While an eventfd is set the interrupt
 * is on whether anybody waits or not.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL not a queue, EBADF @eventfd, EOPNOTSUPP the
 * queue has no interrupt vector.
 */
struct exo_queue_eventfd {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 queue;
	__s32 eventfd;
};

/* flags of struct exo_token_create */
#define EXO_TOKEN_UID (1u << 0) /* only uid may redeem it */

/**
 * struct exo_token_create - ioctl(EXO_TOKEN_CREATE): a token of a capability
 * @size: sizeof(struct exo_token_create)
 * @flags: 0 or EXO_TOKEN_UID
 * @detail: 0 or address of a struct exo_detail
 * @cap: capability
 * @rights: what it is redeemed for: a subset of its rights, not empty
 * @start: and first unit, as in struct exo_cap_derive
 * @len: and units; 0: the whole range
 * @uses: how often it can be redeemed; 0: any number of times
 * @lifetime_ms: until when, from now; 0: until it is cancelled
 * @uid: with EXO_TOKEN_UID: whose session gets it, as the caller sees uids; else must be 0.
 *	The effective uid counts, both of who opened the redeeming session and of who calls
 * @out_token: 128 random bits: whoever knows them can redeem them
 * @__reserved: must be 0
 *
 * What is redeemed is a child of @cap. The token ends with @cap, at the latest: when that is
 * dropped, taken back, or its session closes. The kernel never shows it again.
 *
 * Errors: ENOENT, ESTALE, EACCES, EINVAL no right at all, a range for a type that has
 * none, adopted memory, or @uid, ERANGE, EOVERFLOW, ENOMEM.
 */
struct exo_token_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 cap;
	__u32 rights;
	__aligned_u64 start;
	__aligned_u64 len;
	__u32 uses;
	__u32 lifetime_ms;
	__u32 uid;
	__u32 __reserved;
	__u8 out_token[16];
};

/**
 * struct exo_token_redeem - ioctl(EXO_TOKEN_REDEEM): a token for a capability
 * @size: sizeof(struct exo_token_redeem)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @token: as EXO_TOKEN_CREATE gave it
 * @out_cap: the capability
 * @out_type: enum exo_type
 *
 * A call that fails uses nothing up.
 *
 * Errors: ENOENT unknown, used, expired, cancelled, another's or of what is gone: which,
 * nobody is told. EBUSY, EFAULT, ELOOP, ENOSPC, ENOMEM.
 */
struct exo_token_redeem {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u8 token[16];
	__u32 out_cap;
	__u32 out_type;
};

/**
 * struct exo_token_cancel - ioctl(EXO_TOKEN_CANCEL): a token ends
 * @size: sizeof(struct exo_token_cancel)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @token: one that was made in this session
 *
 * What was redeemed stays.
 *
 * Errors: ENOENT unknown, used up, cancelled, or made in another session.
 */
struct exo_token_cancel {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u8 token[16];
};

#define EXO_WAIT_FOREVER (~0ull) /* a deadline that never comes */

/* flags of struct exo_wait */
#define EXO_WAIT_EVENTS (1u << 0) /* for events of the session, too */

/**
 * struct exo_wait - ioctl(EXO_WAIT): sleep until something happens
 * @size: sizeof(struct exo_wait)
 * @flags: 0 or EXO_WAIT_EVENTS
 * @detail: 0 or address of a struct exo_detail
 * @queues: address of @count queue capabilities (__u32), with whatever rights
 * @count: 0 to EXO_WAIT_QUEUES_MAX
 * @out_events: with EXO_WAIT_EVENTS: events in the ring that were not consumed
 * @deadline: CLOCK_MONOTONIC, ns; 0: only look; EXO_WAIT_FOREVER: none
 * @out_ready: bit i: the queue at index i has completions beyond cq_head of its
 *	control page, is dead, was taken from this session, or has a thread that met a
 *	command in the ring that is refused: EXO_QUEUE_SUBMIT tells why
 *
 * Returns 0 when a queue is ready or there are events, and with @out_ready and @out_events
 * 0 when the deadline has passed.
 * Before it sleeps the kernel tells the device what cq_head says was consumed, lets it
 * interrupt and looks once more: no completion is missed. A queue in mode
 * EXO_COMPLETION_POLLED is looked at with growing pauses instead.
 *
 * Interrupted by a signal handler with SA_RESTART, it goes on.
 *
 * Errors: ENOENT, EINVAL @count, not a queue, or a cq_head that the device has
 * not posted (index in the detail: which queue), EFAULT, ENOMEM, EINTR.
 */
struct exo_wait {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__aligned_u64 queues;
	__u32 count;
	__u32 out_events;
	__aligned_u64 deadline;
	__aligned_u64 out_ready;
};

/* op of struct exo_window_op */
#define EXO_WINDOW_MAP 1     /* the entries become frames */
#define EXO_WINDOW_UNMAP 2   /* they become empty */
#define EXO_WINDOW_PROTECT 3 /* they keep their frames, and get another access */

/**
 * struct exo_window_op - what becomes of some entries of a window
 * @first: the first entry, in pages of 4 KiB from the beginning of the window
 * @count: entries, in pages of 4 KiB, 1 or more
 * @op: EXO_WINDOW_MAP, EXO_WINDOW_UNMAP or EXO_WINDOW_PROTECT
 * @access: EXO_RIGHT_READ, EXO_RIGHT_READ | EXO_RIGHT_WRITE, or 0: the entry has its frame and
 *	cannot be touched. Of EXO_WINDOW_UNMAP: must be 0
 * @order: of EXO_WINDOW_MAP: EXO_ORDER_4K or EXO_ORDER_2M; else must be 0
 * @frames: of EXO_WINDOW_MAP: frames capability with EXO_RIGHT_READ, and EXO_RIGHT_WRITE if
 *	@access has that; else must be 0
 * @__reserved: must be 0
 * @page: of EXO_WINDOW_MAP: the first frame, in pages of 4 KiB and the numbering of @frames;
 *	else must be 0
 *
 * Any page of frames of either order can be an entry of 4 KiB. An entry of EXO_ORDER_2M is a
 * unit of that order of frames of that order: @first, @count, @page and the address of the
 * window are multiples of 2 MiB. It is one page table entry where the kernel allows it
 * (transparent huge pages are on, and the 2 MiB have not had entries of 4 KiB before); else
 * it is as if. It is unmapped and re-protected as a whole, or replaced as a whole.
 *
 * EXO_WINDOW_MAP replaces what is there. Of the frame that is there already, at the
 * same order and by the same capability, it is EXO_WINDOW_PROTECT.
 */
struct exo_window_op {
	__aligned_u64 first;
	__u32 count;
	__u32 op;
	__u32 access;
	__u32 order;
	__u32 frames;
	__u32 __reserved;
	__aligned_u64 page;
};

/**
 * struct exo_window_set - ioctl(EXO_WINDOW_SET): map, unmap and re-protect entries of a window
 * @size: sizeof(struct exo_window_set)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @window: address at which the window begins
 * @ops: address of @count operations (struct exo_window_op), done in their order
 * @count: 1 to EXO_WINDOW_OPS_MAX. Together they may be about EXO_WINDOW_PAGES_MAX entries
 * @__reserved: must be 0
 *
 * A window is made by mmap() of the session at EXO_WINDOW_OFFSET: PROT_READ | PROT_WRITE,
 * MAP_SHARED, EXO_WINDOW_BYTES_MAX at most (EINVAL; EACCES for another protection). All its
 * entries are empty. It ends with munmap(), of all of it at once, with exec and with the process;
 * a child of fork() does not have it. It is known by its address, in the process that
 * made it, to the session that made it; there may be many, and many of the same frames,
 * each with accesses of its own. Its table is charged to the memory cgroup: 8 bytes for each
 * page, for each 2 MiB in which there ever was, or was to be, an entry; it is kept until the
 * window ends. So are its page tables, as those of any memory: at the limit the table is
 * ENOMEM, and for page tables the cgroup may kill. Above memory.high they are made at a touch.
 *
 * A touch that the entry does not allow is SIGBUS, in a system call EFAULT; if the window has a
 * handler (EXO_WINDOW_HANDLER), 64-bit code goes there instead. Nothing in a window
 * can be executed, inherited, or be the buffer of what takes a reference to pages (O_DIRECT).
 *
 * An entry lives as long as the capability it was mapped with: when that is dropped or taken,
 * its entries in all windows go before the frames do. They are empty then, and their dirty
 * bits are lost.
 *
 * When a call returns, no CPU uses what the entries were before. Entries that lie side by side
 * are best set by operations that follow each other, in ascending order: then what they take
 * away costs one flush of the CPUs' translations together (two, where frames go and others are
 * re-protected), not one each. More access costs none.
 *
 * An operation is done whole or not at all. At the first that is refused the call ends with its
 * error: those before it are done, it and those after it are not. index in the detail is
 * its number, that is how many were done, and field its place in struct exo_window_op. (If memory is
 * short, a call may be done as several would be, one after the other.) If the call
 * itself is refused (index 0; NO_WINDOW, or a field of this structure) nothing was done.
 *
 * Errors: ENOENT no window there, no such capability, or EXO_WINDOW_PROTECT of an entry that is
 * empty; EINVAL @count, an operation, access, order or alignment that there is not, too many
 * entries, not frames, or a part of an entry of 2 MiB; EOPNOTSUPP a reserved field of an
 * operation; EACCES, ESTALE, ERANGE beyond the window or the capability's range, EOVERFLOW,
 * EFAULT @ops, ENOMEM, EINTR.
 */
struct exo_window_set {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__aligned_u64 window;
	__aligned_u64 ops;
	__u32 count;
	__u32 __reserved;
};

/**
 * struct exo_window_dirty - ioctl(EXO_WINDOW_DIRTY): read and clear dirty bits of a window
 * @size: sizeof(struct exo_window_dirty)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @window: address at which the window begins
 * @first: the first entry, in pages of 4 KiB
 * @bitmap: address of (@count + 63) / 64 words (__u64): bit i % 64 of word i / 64 is that of
 *	entry @first + i. All of them are written
 * @count: entries, 1 to EXO_WINDOW_PAGES_MAX. A part of an entry of 2 MiB is EINVAL
 * @out_dirty: bits that are set
 *
 * An entry is dirty if there was a write through it since it was mapped or this was last
 * asked; writes through other windows, by devices, by the guest of a KVM whose memory it is or by
 * the kernel's own mapping do not count.
 * The bit survives EXO_WINDOW_PROTECT, not EXO_WINDOW_UNMAP or the mapping of another frame. Of
 * an entry of 2 MiB all 512 bits are set if any of it was written.
 *
 * No write is missed: one that happens during the call is either told by it, and
 * is in memory when it returns, or by the next. To have all there is and no more, first
 * re-protect the entries to EXO_RIGHT_READ.
 *
 * If @bitmap cannot be written (EFAULT), or on EINTR, the bits stay set, also of an entry that
 * another thread mapped anew meanwhile. Part of @bitmap may have been written.
 *
 * Errors: ENOENT no window there, EINVAL @count, or a part of an entry of 2 MiB, ERANGE beyond
 * the window, EOVERFLOW, EFAULT, ENOMEM, EINTR.
 */
struct exo_window_dirty {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__aligned_u64 window;
	__aligned_u64 first;
	__aligned_u64 bitmap;
	__u32 count;
	__u32 out_dirty;
};

/* struct exo_upcall: why the entry could not be touched */
#define EXO_UPCALL_EMPTY 0
#define EXO_UPCALL_PROTECTED 1 /* it has a frame, and not this access */
#define EXO_UPCALL_TAKEN 2     /* empty, because the capability that it was mapped with ended */

/* Bytes below the stack pointer that are the code's own (the red zone of the x86-64 ABI). */
#define EXO_UPCALL_RED_ZONE 128

/**
 * struct exo_upcall - what a handler of upcalls finds on its stack
 * @context: of EXO_WINDOW_HANDLER
 * @address: what was touched
 * @entry: EXO_UPCALL_*
 * @access: EXO_RIGHT_READ or EXO_RIGHT_WRITE: how
 * @di: rdi of the code that touched it
 * @flags: its rflags
 * @ip: its rip: the instruction that touched it; where the handler lets it go on
 *
 * It ends EXO_UPCALL_RED_ZONE bytes below where that code's stack pointer is.
 */
struct exo_upcall {
	__aligned_u64 context;
	__aligned_u64 address;
	__u32 entry;
	__u32 access;
	__aligned_u64 di;
	__aligned_u64 flags;
	__aligned_u64 ip;
};

/**
 * struct exo_window_handler - ioctl(EXO_WINDOW_HANDLER): who is called when a touch is not allowed
 * @size: sizeof(struct exo_window_handler)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @window: address at which the window begins
 * @handler: code that is called; 0: none, a touch is SIGBUS
 * @context: handed to it, of no meaning to the kernel
 *
 * Only where EXO_FEATURE_UPCALL is set (x86-64). For all threads of the process, those that
 * begin later included; until the next such call.
 *
 * A user-mode touch of the window that the entry does not allow continues at @handler, with rdi and
 * rsp the address of a struct exo_upcall, which the kernel wrote on the stack of the thread, and the
 * direction flag clear; every other register is as it was. No signal is sent, nobody is waited for,
 * no lock is held. The handler does what it likes (it may touch, be interrupted, be called once more
 * within itself, never return) and goes on with the code by restoring its registers and
 *
 *	lea (offset of @di)(%rsp), %rsp; pop %rdi; popf; ret $128
 *
 * without entering the kernel. The instruction is then executed again: if the entry still does not
 * allow it, the handler is called again.
 *
 * It is SIGBUS all the same, with the code's own registers, if the stack cannot be written (then
 * without an address), if the code is not 64-bit or is stepped over for a uprobe, or if the thread has
 * a shadow stack. An rseq critical section that the code was in may be over, and is not aborted:
 * nothing in one may touch a window.
 *
 * Errors: ENOENT no window there, EINVAL @handler is no address of the program's, EOPNOTSUPP
 * (EXO_REASON_UPCALL).
 */
struct exo_window_handler {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__aligned_u64 window;
	__aligned_u64 handler;
	__aligned_u64 context;
};

#define EXO_INFO_PAGE_OFFSET 0	/* of the info page, for mmap() of a session: one page, PROT_READ */
#define EXO_INFO_PAGE_VERSION 1 /* later ones only add at the end */
#define EXO_INFO_QUEUES 64

/**
 * struct exo_info_queue - a queue that the session holds
 * @cap: its number; 0: the entry is free
 * @qid: NVMe queue identifier
 * @state: EXO_QUEUE_LIVE or EXO_QUEUE_DEAD
 * @completion: EXO_COMPLETION_*
 */
struct exo_info_queue {
	__u32 cap;
	__u32 qid;
	__u32 state;
	__u32 completion;
};

/**
 * struct exo_info_page - what a session can read about itself without a call
 * @version: EXO_INFO_PAGE_VERSION
 * @size: sizeof(struct exo_info_page), as the kernel knows it
 * @seq: odd while the kernel writes. A copy is consistent if this was even before and is
 *	the same after it
 * @queue_caps: capabilities to queues; those beyond EXO_INFO_QUEUES have no entry below
 * @caps: capabilities in its table, those that were taken and not dropped since included
 * @caps_taken: ever taken from it by force
 * @revocation_epoch: grows with each request to give something back and each taking: as long
 *	as it stays, EXO_CAP_LIST has nothing new
 * @frames_budget: 4 KiB frames in the budgets of the pools it holds, each time it holds one
 * @frames_held: 4 KiB frames that it allocated and that are not free, quarantined ones included;
 *	also those that only others hold by now
 * @frames_cached: 4 KiB frames kept for it by its pools: 0 in this version
 * @frames_quarantined: of @frames_held, those that a silent device may still write to
 * @queues: queues it holds, in no order
 * @memory_adopted: 4 KiB pages that it adopted and that are pinned, quarantined ones included
 * @memory_quarantined: of these, those that a silent device may still write to
 *
 * The page stays mapped when the session closes.
 */
struct exo_info_page {
	__u32 version;
	__u32 size;
	__u32 seq;
	__u32 queue_caps;
	__aligned_u64 caps;
	__aligned_u64 caps_taken;
	__aligned_u64 revocation_epoch;
	__aligned_u64 frames_budget;
	__aligned_u64 frames_held;
	__aligned_u64 frames_cached;
	__aligned_u64 frames_quarantined;
	struct exo_info_queue queues[EXO_INFO_QUEUES];
	__aligned_u64 memory_adopted;
	__aligned_u64 memory_quarantined;
};

/**
 * enum exo_event_type - what a session is told
 * @EXO_EVENT_REVOKE: @cap is asked back until @deadline; @value: 0, or so many 4 KiB frames
 *	of the pool @cap. Of several requests the most urgent is told, and the next when
 *	that one ends
 * @EXO_EVENT_REVOKE_END: @cap is asked back no more: whoever asked gave up, or got the frames
 * @EXO_EVENT_TAKEN: @cap was taken by force
 * @EXO_EVENT_PRESSURE: the machine is short of memory, and @value 4 KiB frames of the pool
 *	@cap would help; if nothing helps, they are taken
 * @EXO_EVENT_QUEUE_DEAD: the queue @cap died: stuck, or its device failed or went away, or an
 *	extent on it is of a namespace that did (EXO_EVENT_NAMESPACE)
 * @EXO_EVENT_NAMESPACE: the namespace of the extent @cap is not what it was: @value is
 *	EXO_NAMESPACE_*. The extent is ESTALE, and queues that it was attached to are dead
 *	already. New extents are of the namespace as it is by now
 * @EXO_EVENT_DEVICE: the device behind the controller @cap told something: @value is dword 0 of
 *	its completion (NVMe base specification, "Asynchronous Event Request"): bits 2:0 type,
 *	15:8 information, 23:16 log page. Errors (type 0), health (1: EXO_LOG_HEALTH tells
 *	more) and firmware activation (2, information 1) are told to all who hold a
 *	controller of the function; changes of namespaces (2, information 0) to those with
 *	EXO_RIGHT_EXTENT
 */
enum exo_event_type {
	EXO_EVENT_REVOKE = 1,
	EXO_EVENT_REVOKE_END = 2,
	EXO_EVENT_TAKEN = 3,
	EXO_EVENT_QUEUE_DEAD = 4,
	EXO_EVENT_PRESSURE = 5,
	EXO_EVENT_NAMESPACE = 6,
	EXO_EVENT_DEVICE = 7,
};

/* value of EXO_EVENT_NAMESPACE */
#define EXO_NAMESPACE_DETACHED 0 /* the controller has no such namespace any more */
#define EXO_NAMESPACE_CHANGED 1	 /* another size or format, or another namespace */

/**
 * struct exo_event - something happened
 * @type: enum exo_event_type
 * @cap: number of a capability of this session
 * @value: as @type says
 * @deadline: CLOCK_MONOTONIC, ns; as @type says
 * @time: when: CLOCK_MONOTONIC, ns
 */
struct exo_event {
	__u32 type;
	__u32 cap;
	__aligned_u64 value;
	__aligned_u64 deadline;
	__aligned_u64 time;
};

/**
 * struct exo_event_control - written by the program
 * @head: events ever consumed, modulo 2^32
 */
struct exo_event_control {
	__u32 head;
};

/**
 * struct exo_event_status - written by the kernel
 * @tail: events ever posted, modulo 2^32; event i is at entry i & (entries - 1). Load with
 *	acquire order
 * @lost: events that found no room. What they were about is told by EXO_CAP_LIST
 *	(EXO_LIST_ASKED, EXO_LIST_TAKEN), by the status pages of the queues, by EXO_CAP_QUERY
 *	of the extents, and by EXO_LOG
 */
struct exo_event_status {
	__u32 tail;
	__u32 lost;
};

/**
 * struct exo_events_create - ioctl(EXO_EVENTS_CREATE): an event ring for this session
 * @size: sizeof(struct exo_events_create)
 * @flags: must be 0
 * @detail: 0 or address of a struct exo_detail
 * @entries: a power of two, EXO_EVENTS_MIN to EXO_EVENTS_MAX
 * @out_rw_size: bytes of the first region, PROT_READ | PROT_WRITE: struct exo_event_control
 * @out_ro_size: bytes of the second region, PROT_READ: one page with struct exo_event_status,
 *	then the events
 * @__reserved: must be 0
 * @out_mmap_offset: for mmap(); the regions lie one behind the other
 *
 * Once for each session. From then on poll() of the session tells POLLIN while events
 * are there that were not consumed. The ring stays mapped when the session closes.
 *
 * Errors: EINVAL, EEXIST, ENOMEM.
 */
struct exo_events_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 detail;
	__u32 entries;
	__u32 out_rw_size;
	__u32 out_ro_size;
	__u32 __reserved;
	__aligned_u64 out_mmap_offset;
};

#endif /* _UAPI_LINUX_EXO_H */
