/* SPDX-License-Identifier: MIT */
/*
 * What the selftests share: calls that remember why they were refused, the
 * machine's test controllers, and a ready-made tenant.
 *
 * The tests speak to the kernel in nothing but the ABI header: no library of
 * ours stands between an attack and the module.
 *
 * Rules: every function that can fail returns 0 or a negative errno; what the
 * kernel said about the last call of this thread is in @last. Each refusal is
 * recorded, so that errnos.c can tell which promises of the header nobody
 * provoked.
 */
#ifndef EXO_SELFTESTS_LIB_H
#define EXO_SELFTESTS_LIB_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <linux/exo.h>

/* Seconds for one test: a kernel with every check on, emulated, is a hundred times slower. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

#define PAGE 4096ul
#define HUGE_PAGE (2ul << 20)
#define ANY_NODE EXO_NODE_ANY

/*
 * Where tests may read and write: everything else that a device is asked for
 * is a hole in the check. check.host.sh knows these numbers too.
 */
#define WINDOW_FIRST 4032ull
#define EXTENT_FIRST 4096ull
#define EXTENT_BLOCKS 8192ull
#define WINDOW_END (EXTENT_FIRST + EXTENT_BLOCKS + 64)

/* ---- calls ---- */

/* What the kernel said about this thread's last call. */
extern __thread struct exo_detail last;

/* A line for the tests that run after this one. */
void record(const char *line);

/* Passes @arg as it is but for the detail, which goes to @last unless the caller set one. */
int call_raw(int fd, unsigned int cmd, void *arg);

/* The same with size filled in. */
#define call(fd, cmd, arg)                    \
	({                                    \
		(arg)->size = sizeof(*(arg)); \
		call_raw(fd, cmd, arg);       \
	})

/* A refusal must name the errno, the reason, the place and the value. */
#define EXPECT_WHY(why, where, what)                   \
	do {                                           \
		EXPECT_EQ((__u32)(why), last.reason);  \
		EXPECT_EQ((__u32)(where), last.field); \
		EXPECT_EQ((__u64)(what), last.value);  \
	} while (0)

#define EXPECT_REFUSED(err, why, where, what, expr) \
	do {                                        \
		EXPECT_EQ(-(err), expr);            \
		EXPECT_WHY(why, where, what);       \
	} while (0)

/* One element per command of the ABI. */
struct command {
	const char *name;
	unsigned int cmd;
	__u32 size;
	__u32 reserved; /* offset of __reserved, 0: none */
	__u32 flags;	/* flags it knows */
};

extern const struct command commands[];
extern const unsigned int commands_count;

/* ---- one function per command ---- */

int session_open(void);
int info(int fd, struct exo_info *out);
__u64 frames_used(int fd);
/* The same, once it is @expected: another thread may be about to let go of a reference. */
__u64 frames_used_soon(int fd, __u64 expected);
int claim_pool(int fd, __u32 *cap);
int claim_controller(int fd, __u32 address, __u32 *cap);
int derive(int fd, __u32 cap, __u32 rights, int to, __u64 start, __u64 len, __u32 *child);
int query(int fd, __u32 cap, struct exo_cap_query *out);
int drop(int fd, __u32 cap);
/* Number of capabilities, or a negative errno; fills up to @max of @caps. */
int list(int fd, __u32 *caps, __u32 max);
int pool_create(int fd, __u32 pool, __u32 rights, __u64 frames, __u32 *cap);
int pool_query(int fd, __u32 pool, __u64 *budget, __u64 *used);
int frames_alloc(int fd, __u32 pool, __u32 order, __u32 count, __s32 node,
		 struct exo_frames_alloc *out);
int frames_names(int fd, __u32 frames, __u32 first, __u32 count, struct exo_frame_name *names);
int mem_adopt(int fd, __u32 controller, __u32 rights, const void *at, __u64 bytes, __u32 *cap);
/* A window, at a multiple of 2 MiB; MAP_FAILED and errno. */
void *window_create(int fd, __u64 bytes);
int window_set(int fd, const void *window, const struct exo_window_op *ops, __u32 count);
/* One operation each; entries and pages are of 4 KiB. */
int window_map(int fd, const void *window, __u64 first, __u32 count, __u32 frames, __u64 page,
	       __u32 access);
int window_map_large(int fd, const void *window, __u64 first, __u32 count, __u32 frames, __u64 page,
		     __u32 access);
int window_unmap(int fd, const void *window, __u64 first, __u32 count);
int window_protect(int fd, const void *window, __u64 first, __u32 count, __u32 access);
/* How many are dirty, or a negative errno. */
int window_dirty(int fd, const void *window, __u64 first, __u32 count, __u64 *bitmap);
int window_handler(int fd, const void *window, __u64 handler, const void *context);
/* Pages that are pinned for all sessions. */
__u64 memory_adopted(int fd);
int controller_create(int fd, __u32 controller, __u32 rights, __u32 queues, __u32 *cap);
int exclusive_create(int fd, __u32 controller, __u32 rights, __u32 *cap);
int controller_query(int fd, __u32 controller, struct exo_controller_query *out);
int namespace_query(int fd, __u32 controller, __u32 flags, __u32 nsid,
		    struct exo_namespace_query *out);
int extent_create(int fd, __u32 controller, __u32 nsid, __u32 rights, __u64 start, __u64 len,
		  __u32 *cap);
/* @nsid 0: @cap is of what is asked for. @data: EXO_IDENTIFY_BYTES. */
int identify(int fd, __u32 cap, __u32 cns, __u32 nsid, void *data);
/* *time may be NULL. */
int log_page(int fd, __u32 cap, __u32 lid, void *data, __u32 len, __u64 *time);
int dma_attach(int fd, __u32 controller, __u32 frames, __u64 *offset);
int dma_detach(int fd, __u32 controller, __u32 frames);
int queue_create(int fd, __u32 controller, __u32 depth, struct exo_queue_create *out);
int queue_query(int fd, __u32 queue, struct exo_queue_query *out);
int queue_attach(int fd, __u32 queue, __u32 extent);
int queue_detach(int fd, __u32 queue, __u32 extent);
int queue_submit(int fd, __u32 queue, __u32 *accepted);
int queue_eventfd(int fd, __u32 queue, int eventfd);
/* Bit i of *ready: queue i. @deadline as in struct exo_wait. */
int wait_queues(int fd, const __u32 *queues, __u32 count, __u64 deadline, __u64 *ready);

/* @out may be NULL; its records, count and node are used, the rest is written. */
int cap_revoke(int fd, __u32 cap, __u32 timeout_ms, __u64 frames, struct exo_revoke *out);
int cap_taken(int fd, __u32 cap, struct exo_cap_taken *out);
/* As list(), of those with EXO_LIST_*. */
int list_marked(int fd, __u32 flags, __u32 *caps, __u32 max);

int token_create(int fd, __u32 cap, __u32 rights, __u32 uses, __u8 token[16]);
int token_redeem(int fd, const __u8 token[16], __u32 *cap);
int token_cancel(int fd, const __u8 token[16]);

/* ---- events ---- */

struct events {
	int fd;
	__u32 head;
	__u32 mask;
	struct exo_event_control *control;
	const struct exo_event_status *status;
	const struct exo_event *ring;
};

int events_create(int fd, __u32 entries, struct events *out);
/* The next one, or -ETIMEDOUT. */
int events_next(struct events *events, struct exo_event *out, int timeout_ms);

/* ---- buffers: frames, mapped (units of 2 MiB as such) and attached ---- */

struct buffer {
	__u32 cap;
	__u64 size;
	__u64 mmap_offset;
	__u64 offset; /* in buffer space, once attached */
	void *at;
};

int buffer_alloc(int fd, __u32 pool, __u32 order, __u32 count, struct buffer *out);
int buffer_attach(int fd, __u32 controller, struct buffer *buffer);
/* Unmaps and drops. */
int buffer_free(int fd, struct buffer *buffer);

/* The same of memory that the program has at @at: adopted and attached. */
int buffer_adopt(int fd, __u32 controller, __u32 rights, void *at, __u64 size, struct buffer *out);

/* ---- memory of the program's own ---- */

/* Private memory of @size bytes, to be read and written; MAP_FAILED. */
void *anonymous(size_t size);
/* All that madvise() takes, a kernel's that is newer than these headers included. */
extern const int advice[];
extern const unsigned int advice_count;

/* ---- rings ---- */

struct sqe {
	__u32 dw[16];
};

struct cqe {
	__u32 dw0;
	__u32 dw1;
	__u16 sq_head;
	__u16 sq_id;
	__u16 cid;
	__u16 status; /* bit 0: phase */
};

#define OP_FLUSH 0x00
#define OP_WRITE 0x01
#define OP_READ 0x02
#define OP_COMPARE 0x05
#define OP_WRITE_ZEROES 0x08
#define OP_DSM 0x09
#define OP_COPY 0x19
#define OP_ZONE_SEND 0x79
#define OP_ZONE_RECEIVE 0x7a
#define OP_ZONE_APPEND 0x7d

#define STATUS_COMPARE_FAILURE 0x285

#define DW11_AD (1u << 2)

#define DW12_FUA (1u << 30)
#define DW12_DEAC (1u << 25)
#define DW12_DTYPE_PLACEMENT (1u << 21)

struct ring {
	int fd;
	__u32 cap;
	__u32 qid;
	__u32 depth;
	__u32 entries;
	__u32 rw_size;
	__u32 ro_size;
	__u32 head; /* completions consumed */
	__u64 mmap_offset;
	struct exo_queue_control *control;
	struct sqe *sq;
	const struct exo_queue_status *status;
	const struct cqe *cq;
};

/* Creates and maps a queue. */
int ring_create(int fd, __u32 controller, __u32 depth, struct ring *out);
int ring_map(int fd, const struct exo_queue_create *queue, struct ring *out);
void ring_unmap(struct ring *ring);
struct sqe sqe_io(__u8 opcode, __u16 cid, __u32 nsid, __u64 slba, __u32 nlb, __u64 prp1);
/* Places a command behind the last one, without telling the kernel. */
void ring_push(struct ring *ring, const struct sqe *sqe);
/* Takes back what the kernel did not take. */
void ring_rewind(struct ring *ring);
int ring_submit(struct ring *ring, __u32 *accepted);
/* One completion, or -ETIMEDOUT. */
int ring_reap(struct ring *ring, struct cqe *out, int timeout_ms);
/* Push, submit, reap: the NVMe status field (0: success), or a negative errno. */
int ring_do(struct ring *ring, const struct sqe *sqe);
int ring_io(struct ring *ring, __u8 opcode, __u32 nsid, __u64 slba, __u32 blocks, __u64 prp1);

/* ---- the machine ---- */

/* Gives every NVMe function of the test machine to exo and finds the one with @serial. */
int machine_find(const char *serial, __u32 *address);
void machine_name(__u32 address, char name[16]);
int machine_bind(__u32 address, const char *driver);
int machine_unbind(__u32 address);
/* The kernel's disk, namespace 1 of the controller with @serial; it may take 15 s to be there. */
int disk_find(const char *serial, char *name, size_t size);
/* A disk of the kernel's, by its name: a file to read and write, or a negative errno. */
int disk_open(const char *name);
/* Name of the driver that has the function now, "" for none. */
void machine_driver(__u32 address, char *driver, size_t size);
int write_file(const char *path, const char *text);
/* One byte through a pipe: another process has come so far. False: it has ended. */
bool await(int pipe);
bool tell(int pipe);
/* The kernel's fail_function, on a kernel that has it: from now on @function returns @value. */
bool can_inject(void);
int inject_always(const char *function, const char *value);
int inject_nothing(void);
int read_file(const char *path, char *text, size_t size);

/* Gives up root for good, all capabilities included; becomes uid and gid 1000. */
int become_nobody(void);
__u64 now_ns(void);
__u64 now_ms(void);
__u32 random_u32(void);
void fill_random(void *at, size_t size);

/* ---- a tenant: a session without privileges that was granted something ---- */

struct tenant {
	int fd;
	int grantor; /* root's session, with all the roots */
	__u32 address;
	__u32 root_pool, root_controller; /* numbers in grantor */
	__u32 pool, controller;		  /* numbers in fd */
	__u32 extent;			  /* of nsid 1, READ and WRITE */
	__u32 block_shift, block;
	__u32 transfer_max;
	__u32 depth_max;
};

#define TENANT_FRAMES 4096 /* 16 MiB */
#define TENANT_QUEUES 4

/* 0, or a negative errno; *@why says what lacked, for SKIP */
int tenant_create(struct tenant *t, const char *serial, const char **why);
/* The same without a device: a pool only. */
int tenant_create_pool(struct tenant *t, const char **why);
void tenant_destroy(struct tenant *t);

/* For fixtures: SKIP or fail with the reason. */
#define TENANT_SETUP(t, serial)                                                       \
	do {                                                                          \
		const char *why_ = NULL;                                              \
		int ret_ = tenant_create(t, serial, &why_);                           \
                                                                                      \
		if (ret_ == -ENODEV)                                                  \
			SKIP(return, "%s", why_);                                     \
		ASSERT_EQ(0, ret_)                                                    \
		{                                                                     \
			TH_LOG("tenant: %s: %s", why_ ? why_ : "?", strerror(-ret_)); \
		}                                                                     \
	} while (0)

#define POOL_SETUP(t)                                                                 \
	do {                                                                          \
		const char *why_ = NULL;                                              \
		int ret_ = tenant_create_pool(t, &why_);                              \
                                                                                      \
		if (ret_ == -ENODEV)                                                  \
			SKIP(return, "%s", why_);                                     \
		ASSERT_EQ(0, ret_)                                                    \
		{                                                                     \
			TH_LOG("tenant: %s: %s", why_ ? why_ : "?", strerror(-ret_)); \
		}                                                                     \
	} while (0)

/* Signals that a touch raises: returns the signal, 0 if the byte could be read (written). */
int touch_read(const volatile void *at);
int touch_write(volatile void *at);

#endif
