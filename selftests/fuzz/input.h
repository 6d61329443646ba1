/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzer feeds the kernel: an input is a short sequence of operations, each a
 * command of the ABI or a system call on a session, its rings or its mappings, with values
 * for its fields. It has a text form, a line an operation, which a person can read:
 *
 *	s0 QUEUE_CREATE controller=0x2 depth=0x8
 *	s0 QUEUE_ATTACH queue=@0 extent=0x3
 *	s0 command queue=@0 opcode=0x2 nsid=0x1 slba=0x40 prp1=@4.buf
 *
 * Fields that are not named are 0, but for size and detail, which are right then. Values:
 *
 *	0x10		a number
 *	@3		what operation 3 made: a capability, a queue's rings, frames, a token
 *	@3.map+0x1000	its offset for mmap(); .buf: its offset in buffer space
 *	s1		the descriptor of session 1
 *	&ring+0x40	an address: see area_names
 *	+500		in 500 us from now
 *
 * A session begins with the capabilities that world.h says. Inputs of a file are separated
 * by empty lines; # begins a comment.
 */
#ifndef EXO_FUZZ_INPUT_H
#define EXO_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPS_MAX 20u
#define FIELDS_MAX 14u
#define SESSIONS 4u
#define SLOTS 4u
#define TEXT_MAX 8192u

enum area {
	AREA_ARGUMENT,	/* the argument of the call itself */
	AREA_SCRATCH,	/* 64 KiB; the numbers of the input's queues come first */
	AREA_READ_ONLY, /* a page that cannot be written */
	AREA_EDGE,	/* the last 64 bytes before a hole */
	AREA_NONE,	/* PROT_NONE */
	AREA_RING,	/* what the program writes of the newest queue */
	AREA_STATUS,	/* what it reads of it */
	AREA_FRAMES,	/* the newest frames */
	AREA_SLOT,	/* the mapping in slot 0 */
	AREA_KERNEL,	/* an address of the kernel's */
	AREAS
};

enum value_kind { V_NUMBER, V_MADE, V_MAP, V_BUFFER, V_SESSION, V_ADDRESS, V_LATER };

struct value {
	uint8_t kind;
	uint8_t index; /* of an operation, a session, an area */
	uint64_t n;    /* the number, or what is added */
};

/* What a field is for, so that a mutation has good values as often as bad ones. */
enum field_kind {
	F_NUMBER,
	F_SIZE,
	F_FLAGS,
	F_ADDRESS,
	F_CAP,
	F_TOKEN,
	F_RIGHTS,
	F_SESSION,
	F_TIME,
	F_BLOCK,
	F_MAP,
	F_BUFFER,
	F_SLOT,
};

struct field {
	const char *name;
	uint16_t offset; /* in the argument of a command of the ABI */
	uint8_t bytes;
	uint8_t kind;
	uint32_t hint; /* the type of a capability, the flags known, the largest sensible number */
};

enum special {
	OP_NONE,
	OP_COMMAND_PUSH,
	OP_POKE,
	OP_FILL,
	OP_RANGE,
	OP_REAP,
	OP_MMAP,
	OP_MUNMAP,
	OP_MPROTECT,
	OP_MREMAP,
	OP_MADVISE,
	OP_TOUCH,
	OP_WINDOW,
	OP_WINDOW_DIRTY,
	OP_COPY_BYTES,
	OP_NOISE,
	OP_OPEN,
	OP_CLOSE,
	OP_DUP,
	OP_POLL,
	OP_RW,
	OP_PASS,
	OP_FORK,
	OP_BOTH,
	OP_PAUSE,
};

struct op_type {
	const char *name;
	unsigned int cmd; /* EXO_*, 0: none, see @special */
	uint32_t size;	  /* of the argument */
	uint8_t special;  /* enum special */
	uint8_t makes;	  /* EXO_TYPE_*, MAKES_* */
	uint16_t out_cap; /* offsets in the argument, 0: none */
	uint16_t out_map;
	uint16_t out_buffer;
	uint16_t out_token;
	struct field field[FIELDS_MAX];
};

#define MAKES_CHILD 16 /* of the type that was derived */
#define MAKES_TOKEN 17
#define MAKES_EVENTS 18

extern const struct op_type op_types[];
extern const unsigned int op_types_n;

unsigned int fields_of(const struct op_type *type);
/* The type of the special operation. */
unsigned int op_type_of(enum special special);

struct op {
	uint8_t type; /* index of op_types */
	uint8_t session;
	struct value v[FIELDS_MAX];
};

struct input {
	unsigned int n;
	struct op op[OPS_MAX];
};

/* Writes the text form; returns its length. */
size_t input_print(const struct input *in, char *text, size_t size);
/* The next input of a file: 1, 0 at its end, or -1 with the line that is wrong in *line. */
int input_read(FILE *file, struct input *in, unsigned int *line);
/* Without operation @i: what referred to it is 0. */
void input_remove(struct input *in, unsigned int i);

/* Makes another input of it, perhaps with a piece of @other. */
void input_mutate(struct input *in, const struct input *other);

#endif
