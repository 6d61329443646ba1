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

#include <libexo.h>

#define EXO_SENTENCE_MAX 512
#define EXO_NAME_MAX 64

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

/* spec.c */

enum exo_spec_kind {
	EXO_SPEC_SESSION, /* "exo:NAME" */
	EXO_SPEC_NVME,	  /* "nvme:BDF/NSID..." */
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
};

int exo_spec_parse(const char *text, struct exo_spec *spec, const char **problem);
int exo_names_find(const char *names, const char *name, uint32_t *cap);
int exo_fd_parse(const char *text, int *fd);

/* options.c */

int exo_options_copy(void *to, uint32_t known, const void *from);

/* session.c */

struct exo_buf;
struct exo_queue_private;

/**
 * struct exo - a handle
 * @fd: the session, ours to close
 * @extent: capability numbers in it
 * @own_extent: @extent was derived by this handle, to be dropped with it
 * @start: first LBA of the extent
 * @blocks: logical blocks of it
 * @block_shift: log2 of the bytes in one
 * @io_timeout_ms: the kernel's
 * @lock: guards what follows
 * @error: the latest failure
 * @sentence: what exo_strerror() returned last
 * @queues: all queues of the handle
 * @buf_base: begin of the reserved range of addresses, 0 before the first queue
 * @buf_chunks: chunks in it
 * @buf_delta: see struct exo_queue
 * @bufs: per chunk, the buffer that occupies it
 */
struct exo {
	int fd;
	uint32_t extent;
	uint32_t controller;
	uint32_t pool;
	bool own_extent;
	uint32_t rights;
	uint32_t nsid;
	uint32_t block_shift;
	uint64_t start;
	uint64_t blocks;
	uint32_t transfer_max;
	uint32_t depth_max;
	uint32_t controller_flags;
	uint32_t io_timeout_ms;
	char address[16];
	char serial[21];
	char model[41];

	pthread_mutex_t lock;
	struct exo_error error;
	char sentence[EXO_SENTENCE_MAX];
	struct exo_queue_private *queues;
	uintptr_t buf_base;
	size_t buf_chunks;
	uint64_t *buf_delta;
	struct exo_buf **bufs;
};

int exo_fail(struct exo *x, int result, const struct exo_detail *detail, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* queue.c */

/**
 * struct exo_queue_private - a queue with what the hot path does not need
 * @q: what programs hold; must be first
 * @x: the handle
 * @next: in the handle's list
 * @cap: capability number of the queue
 * @qid: NVMe queue identifier
 * @rw: mapping of control page and submission ring
 * @ro: mapping of status page and completion queue
 * @error: the latest failure
 */
struct exo_queue_private {
	struct exo_queue q;
	struct exo *x;
	struct exo_queue_private *next;
	uint32_t cap;
	uint32_t qid;
	void *rw;
	size_t rw_size;
	void *ro;
	size_t ro_size;
	struct exo_error error;
	char sentence[EXO_SENTENCE_MAX];
};

static inline struct exo_queue_private *exo_queue_private(const struct exo_queue *q)
{
	return (struct exo_queue_private *)(uintptr_t)q;
}

void exo_cids_init(struct exo_queue *q);
int exo_queue_fail(struct exo_queue *q, int result, const struct exo_detail *detail,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* buf.c */

int exo_buf_reserve(struct exo *x);
void exo_buf_release_all(struct exo *x);

#endif /* LIBEXO_PRIVATE_H */
