/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the source files of libexo share and programs do not see.
 *
 * Locking: struct exo has one mutex. It guards the handle's last error, its
 * list of queues and its buffers, and is never held across a call that waits
 * for the device. A queue needs no lock: it belongs to one thread.
 */
#ifndef LIBEXO_PRIVATE_H
#define LIBEXO_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <libexo.h>

#define EXO_SENTENCE_MAX 576
#define EXO_NAME_MAX 64
#define EXO_SERIAL_MAX 256 /* 21 for a controller's, more for the name of a file */
#define EXO_TOKENS_MAX 3   /* an extent, a controller, a pool */

/* CLOCK_MONOTONIC */
static inline uint64_t exo_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Between two looks at what another processor writes. */
static inline void exo_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* error.c */

/**
 * struct exo_error - the latest failure on a handle or a queue
 * @set: there was one
 * @result: what the call returned
 * @detail: what the kernel said, or reason EXO_REASON_NONE
 * @text: the sentence, finished
 */
struct exo_error {
	bool set;
	int result;
	struct exo_detail detail;
	char text[EXO_SENTENCE_MAX];
};

int exo_error_set(struct exo_error *error, int result, const struct exo_detail *detail,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));
const char *exo_error_sentence(const struct exo_error *error, int result);
void exo_describe_command(char *buf, size_t size, const struct exo_nvme_command *command,
			  uint64_t first);

/* backend.h */
struct exo_backend;
struct exo_uring;

/* spec.c */

enum exo_spec_kind {
	EXO_SPEC_SESSION, /* "exo:NAME" */
	EXO_SPEC_NVME,	  /* "nvme:BDF/NSID..." */
	EXO_SPEC_TOKENS,  /* "token:TEXT,TEXT,TEXT" */
	EXO_SPEC_URING,	  /* "uring:PATH" */
};

/**
 * struct exo_spec - what a name given to exo_open() says
 * @kind: which of the forms
 * @name: of "exo:NAME", may be empty
 * @address: EXO_PCI_ADDRESS() of BDF
 * @nsid: namespace
 * @ranged: START+LENGTH were given
 * @read_only: ":ro" was given
 * @start: first logical block, or first byte
 * @start_bytes: @start counts bytes
 * @len: logical blocks, or bytes; not 0
 * @len_bytes: @len counts bytes
 * @token_count: tokens
 * @tokens: of "token:TEXT,..."
 * @path: of "uring:PATH", within the text that was parsed
 */
struct exo_spec {
	enum exo_spec_kind kind;
	char name[EXO_NAME_MAX];
	uint32_t address;
	uint32_t nsid;
	bool ranged;
	bool read_only;
	bool start_bytes;
	bool len_bytes;
	uint64_t start;
	uint64_t len;
	unsigned int token_count;
	uint8_t tokens[EXO_TOKENS_MAX][16];
	const char *path;
};

int exo_spec_parse(const char *text, struct exo_spec *spec, const char **problem);
int exo_names_find(const char *names, const char *name, uint32_t *cap);
int exo_fd_parse(const char *text, int *fd);

/* options.c */

int exo_options_copy(void *to, uint32_t known, const void *from);

/* redeem.c */

int exo_redeem(struct exo *x, const struct exo_spec *spec);

/* events.c */

/**
 * struct exo_events - the event ring of a session; belongs to one thread at a time
 * @control: shared with the kernel, written here
 * @status: shared with the kernel, written there
 * @ring: behind the status page; NULL: the handle has no ring
 * @mask: entries - 1
 * @head: events ever taken
 * @lost: of status->lost, what was made up for
 * @told: events that the library tells again; from @told_at on not yet taken
 */
struct exo_events {
	struct exo_event_control *control;
	const struct exo_event_status *status;
	const struct exo_event *ring;
	size_t rw_size;
	size_t ro_size;
	uint32_t mask;
	uint32_t head;
	uint32_t lost;
	struct exo_event *told;
	size_t told_at;
	size_t told_count;
	size_t told_room;
};

void exo_events_close(struct exo *x);
int exo_events_tell_again(struct exo *x);
bool exo_events_take_told(struct exo *x, struct exo_event *event);
bool exo_events_pending(const struct exo *x);

/* revoke.c */

/* What became of something that a handle had. */
enum exo_fate {
	EXO_HELD,
	EXO_GIVEN, /* up, when it was asked back */
	EXO_TAKEN, /* by force */
};

/**
 * struct exo_revocation - how a handle answers; belongs to the thread that has the events
 * @function: what is called, or NULL
 * @arg: for it
 * @dispatching: exo_wait_any() dispatches
 * @unmet: something asked for is still in use
 * @deadline: names the latest request to the pool
 * @given: 4 KiB frames given for it
 */
struct exo_revocation {
	exo_revoke_fn function;
	void *arg;
	bool dispatching;
	bool unmet;
	uint64_t deadline;
	uint64_t given;
};

int exo_check_held(struct exo *x, uint32_t type);
const char *exo_fate_text(enum exo_fate fate);
int exo_dispatch_unmet(struct exo *x);

/* session.c */

struct exo_buf;
struct exo_queue_private;
struct exo_uring_queue;

/**
 * struct exo - a handle
 * @backend: what stands behind it
 * @uring: of the one that is emulated, or NULL
 * @fd: the session, ours to close; -1: there is none
 * @extent: capability numbers in it
 * @direct: of direct queues too
 * @own_session: no other handle, and nobody else, uses the session
 * @own_extent: @extent was derived by this handle, to be dropped with it
 * @start: first LBA of the extent
 * @blocks: logical blocks of it
 * @block_shift: log2 of the bytes in one
 * @io_timeout_ms: the kernel's
 * @events: see there
 * @revoke: see there
 * @lock: guards what follows
 * @fates: of the pool, the controller and the extent, by type
 * @error: the latest failure
 * @sentence: what exo_strerror() returned last
 * @queues: all queues of the handle
 * @buf_base: begin of the reserved range of addresses, 0 before the first queue
 * @buf_chunks: chunks in it
 * @buf_delta: see struct exo_queue
 * @bufs: per chunk, the buffer that occupies it
 * @buf_first: all buffers that were published, registered memory among them
 * @mems: registered memory, by address
 * @mem_count: pieces of it
 */
struct exo {
	const struct exo_backend *backend;
	struct exo_uring *uring;
	int fd;
	uint32_t extent;
	uint32_t controller;
	uint32_t pool;
	bool direct;
	bool own_session;
	bool own_extent;
	uint32_t rights;
	uint32_t nsid;
	uint32_t block_shift;
	uint64_t start;
	uint64_t blocks;
	uint32_t transfer_max;
	uint32_t depth_max;
	uint32_t controller_flags;
	struct exo_copy_limits copy;
	struct exo_zone_limits zones;
	uint64_t placement;
	uint32_t io_timeout_ms;
	char address[16];
	char serial[EXO_SERIAL_MAX];
	char model[41];

	struct exo_events events;
	struct exo_revocation revoke;

	pthread_mutex_t lock;
	enum exo_fate fates[EXO_TYPE_QUEUE + 1];
	struct exo_error error;
	char sentence[EXO_SENTENCE_MAX];
	struct exo_queue_private *queues;
	uintptr_t buf_base;
	size_t buf_chunks;
	uint64_t *buf_delta;
	struct exo_buf **bufs;
	struct exo_buf *buf_first;
	struct exo_buf **mems;
	size_t mem_count;
};

int exo_fail(struct exo *x, int result, const struct exo_detail *detail, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* queue.c */

/**
 * struct exo_queue_private - a queue with what the hot path does not need
 * @q: what programs hold; must be first
 * @x: the handle
 * @next: in the handle's list
 * @cap: capability number of the queue; 0: it was taken, see @fate
 * @fate: what became of it
 * @qid: NVMe queue identifier
 * @completion: EXO_COMPLETION_*
 * @spin_ns: how long a wait looks before it sleeps
 * @rw: mapping of control page and submission ring
 * @ro: mapping of status page and completion queue
 * @uring: of an emulated queue, or NULL
 * @error: the latest failure
 */
struct exo_queue_private {
	struct exo_queue q;
	struct exo *x;
	struct exo_queue_private *next;
	uint32_t cap;
	uint32_t qid;
	enum exo_fate fate;
	uint32_t completion;
	uint32_t spin_ns;
	void *rw;
	size_t rw_size;
	void *ro;
	size_t ro_size;
	struct exo_uring_queue *uring;
	struct exo_error error;
	char sentence[EXO_SENTENCE_MAX];
};

/* Commands were handed over that only a call gets on: their thread sleeps, or refused one. */
bool exo_stuck(const struct exo_queue *q);
/* That call: what exo_submit() returns, of those alone. */
int exo_unstick(struct exo_queue *q);

static inline struct exo_queue_private *exo_queue_private(const struct exo_queue *q)
{
	return (struct exo_queue_private *)(uintptr_t)q;
}

/* times.c: what is prepared is being submitted. Only if q->times. */
void exo_stamp_submitted(struct exo_queue *q) __attribute__((cold));

void exo_cids_init(struct exo_queue *q);
struct exo_queue_private *exo_queue_alloc(uint32_t depth, bool times);
int exo_queue_enlist(struct exo *x, struct exo_queue_private *p);
int exo_queue_fail(struct exo_queue *q, int result, const struct exo_detail *detail,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* unsafe.c */

/* Where the device has what lies at @at in a buffer; -EFAULT: in none. */
int exo_buf_physical(struct exo *x, uint64_t at, uint64_t *physical);

/* direct.c */

int exo_direct_init(struct exo_queue *q, char *rw, const struct exo_queue_create *arg);
/* As exo_submit(): something is prepared. */
int exo_direct_submit(struct exo_queue *q);
/* The queue is direct without an IOMMU: its PRPs are the program's addresses until they are submitted. */
bool exo_direct_is_unsafe(const struct exo_queue *q);
/* Can @buf, for which exo_buf_offset() gave @offset, be named by a direct queue's command? */
bool exo_direct_reaches(struct exo_queue *q, const void *buf, uint64_t offset);
/* The blocks of a direct queue's command lie within the handle's extent; 0 for others. */
int exo_direct_within(struct exo_queue *q, const char *name, uint32_t right, uint64_t block,
		      uint64_t nblocks);
/* Tell the device what was reaped. */
void exo_direct_ring_cq(struct exo_queue *q);

/* uring.c: are they all in one buffer? No command of an emulated queue may be about two. */
bool exo_uring_one_buf(struct exo *x, uint64_t offset, uint64_t bytes);

/* io.c: synchronous calls */

/**
 * struct exo_work - commands of a synchronous call, as many in flight as the queue holds
 * @name: what they are, in words
 * @prepare: prepares the next, for which there is a slot; its user data are its extent block. False:
 *	none is left
 * @done: these have ended, well or not; or NULL
 */
struct exo_work {
	const char *name;
	bool (*prepare)(struct exo_work *work, struct exo_queue *q);
	void (*done)(struct exo_work *work, const struct exo_completion *completions, int n);
};

/* Whatever goes wrong, none is in flight afterwards, unless the device is silent. */
int exo_work_run(struct exo_queue *q, struct exo_work *work);
/* Blocks that one command may carry, by its field and by the controller. */
uint32_t exo_blocks_max(struct exo_queue *q);
int exo_check_idle(struct exo_queue *q, const char *name);
/* What is prepared already is run to its end. */
int exo_run_prepared(struct exo_queue *q, const char *name);

/* window.c: is there each of @count entries from @entry on? */
struct exo_window;
bool exo_window_has(const struct exo_window *w, uint64_t entry, uint64_t count);

/* uses.c */

bool exo_queue_uses(const struct exo_queue *q, void (*use)(void *arg, uint64_t offset), void *arg);

/* buf.c */

/**
 * struct exo_buf - one buffer; guarded by the handle's lock
 * @next: in the handle's list
 * @at: its address
 * @chunks: chunks it takes
 * @bytes: size of its frames
 * @offset: in buffer space; stays when it is gone, for commands that name it
 * @frames: capability number of its frames; 0: gone, see @fate, or being freed, or
 *	emulated
 * @fate: what became of them
 * @spare: the program can do without it
 * @kept: exo_give_up() leaves it
 * @busy: a command uses it; only while something is being given up
 * @freed: emulated, and only commands in flight still have it
 * @mine: registered memory of the program's, at any address and without chunks
 * @read_only: of that: no command may write to it
 * @leaving: of that: it is being unregistered
 * @refs: emulated: commands in flight that use it, and 1 until it is freed
 */
struct exo_buf {
	struct exo_buf *next;
	uintptr_t at;
	size_t chunks;
	size_t bytes;
	uint64_t offset;
	uint32_t frames;
	enum exo_fate fate;
	bool spare;
	bool kept;
	bool busy;
	bool freed;
	bool mine;
	bool read_only;
	bool leaving;
	unsigned int refs;
	uint32_t unit_shift;
	uint64_t *physical;
};

uint32_t exo_buf_lose(struct exo *x, struct exo_buf *buf, enum exo_fate fate);
enum exo_fate exo_buf_fate(struct exo *x, uint64_t prp1);
int exo_buf_reserve(struct exo *x);
int exo_buf_place(struct exo *x, struct exo_buf *buf);
void exo_buf_publish(struct exo *x, struct exo_buf *buf);
void exo_buf_unplace(struct exo *x, struct exo_buf *buf);
int exo_buf_return(struct exo *x, void *buf);
/* As exo_buf_alloc_with() and exo_buf_capability(), by the handle. */
int exo_buf_make(struct exo *x, size_t bytes, const struct exo_buf_options *options, void **buf);
uint32_t exo_buf_frames(struct exo *x, const void *buf);
/* exo_give_up() leaves it, whose user alone knows what is in it. Returns its offset. */
uint64_t exo_buf_keep(struct exo *x, const void *buf);
/* What is in the cache goes back to its allocator. */
void exo_frames_cache_drain(struct exo_frames_cache *c);
void exo_buf_unmap(const struct exo_buf *buf);
void exo_buf_unlist(struct exo *x, struct exo_buf *buf);
void exo_buf_release_all(struct exo *x);
int exo_buf_attach(struct exo *x, uint32_t frames, uint64_t *offset);
void exo_buf_drop(struct exo *x, uint32_t frames);

/* mem.c */

void exo_mem_unlist(struct exo *x, struct exo_buf *mem);
void exo_mem_release_all(struct exo *x);

#endif /* LIBEXO_PRIVATE_H */
