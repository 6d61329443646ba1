/* SPDX-License-Identifier: MIT */
/*
 * Runs inputs. One executor a process: it has signal handlers, a helper thread, and a part
 * of the address space in which mappings come and go.
 */
#ifndef EXO_FUZZ_EXEC_H
#define EXO_FUZZ_EXEC_H

#include <setjmp.h>

#include "input.h"
#include "world.h"

/* What an operation made. */
struct made {
	__u32 cap;
	__u64 map, buffer;
	__u8 token[16];
	bool direct; /* a direct queue: its doorbells are left alone */
	char *rw, *ro, *frames;
	__u32 rw_size, entries, frames_size;
};

struct run {
	const struct world *world;
	const struct input *in;
	int fd[SESSIONS];
	struct made made[OPS_MAX];
	unsigned int queues;
	unsigned int ring, frames; /* the operations that made the newest */
};

/* Once for each process. */
int executor_init(void);
void executor_run(const struct world *world, const struct input *in);

/* ---- between its files ---- */

#define EXEC_EVENTFD 900 /* the descriptor of an eventfd */
#define ARGUMENT_SIZE (128u << 10)

/* Evaluates @statement, which may touch memory that is not there. */
#define TRY(statement)                        \
	do {                                  \
		exec_armed = 1;               \
		if (!sigsetjmp(exec_gone, 0)) \
			statement;            \
		exec_armed = 0;               \
	} while (0)

extern __thread sigjmp_buf exec_gone;
extern __thread volatile sig_atomic_t exec_armed;
extern __thread char *exec_argument;

int memory_init(void);
/* All that was mapped is gone. */
void memory_reset(void);
char *memory_area(const struct run *run, enum area area);
char *memory_argument(unsigned int thread);
/* Maps what operation @i made. */
void memory_of_queue(struct run *run, unsigned int i, int fd, const struct exo_queue_create *arg);
void memory_of_events(struct run *run, unsigned int i, int fd, const struct exo_events_create *arg);
void memory_of_frames(struct run *run, unsigned int i, int fd, const struct exo_frames_alloc *arg);
__u32 *memory_scratch(void);
/* Whether @special is one of mappings, which it has done then. */
bool memory_run(enum special special, int fd, const __u64 *n);

/* The system calls, and the stores; @n: values of the fields. */
void special_run(struct run *run, const struct op *op, const __u64 *n);

#endif
