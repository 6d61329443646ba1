// SPDX-License-Identifier: MIT
/*
 * Mutations: an input becomes another one that is a little like it. Values are right for
 * their field about as often as they are not, as what is refused at once reaches nothing.
 */
#include <string.h>
#include <linux/exo.h>

#include "../lib.h"
#include "input.h"
#include "world.h"

static uint32_t below(uint32_t n)
{
	return random_u32() % n;
}

static bool one_in(uint32_t n)
{
	return !below(n);
}

static uint64_t any_number(void)
{
	static const uint64_t edges[] = { 0,	1,	    2,		7,	    8,
					  63,	64,	    511,	512,	    4095,
					  4096, 65535,	    65536,	0xfffff,    0x100000,
					  ~0u,	0x7fffffff, 0x80000000, ~0ull >> 1, 1ull << 63,
					  ~0ull };
	uint64_t n = (uint64_t)random_u32() << 32 | random_u32();

	switch (below(4)) {
	case 0:
		return edges[below(sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return 1ull << below(64);
	case 2:
		return (1ull << below(64)) - 1;
	default:
		return n >> below(64);
	}
}

/* An earlier operation that makes something of @type, or OPS_MAX. */
static unsigned int maker(const struct input *in, unsigned int before, unsigned int type)
{
	unsigned int i, found = OPS_MAX, n = 0;

	for (i = 0; i < before; i++) {
		unsigned int makes = op_types[in->op[i].type].makes;

		if (!makes || (type && makes != type && makes != MAKES_CHILD))
			continue;
		if (one_in(++n))
			found = i;
	}
	return found;
}

static unsigned int attacher(const struct input *in, unsigned int before)
{
	unsigned int i, found = OPS_MAX, n = 0;

	for (i = 0; i < before; i++)
		if (op_types[in->op[i].type].out_buffer && one_in(++n))
			found = i;
	return found;
}

/* What a session begins with: see world.h. */
static uint64_t granted(unsigned int type)
{
	switch (type) {
	case EXO_TYPE_POOL:
		return 1;
	case EXO_TYPE_CONTROLLER:
		return one_in(2) ? 2 : 4;
	case EXO_TYPE_EXTENT:
		return 3;
	default:
		return 1 + below(8);
	}
}

static struct value number(uint64_t n)
{
	return (struct value){ .kind = V_NUMBER, .n = n };
}

static struct value cap_value(const struct input *in, unsigned int at, unsigned int type)
{
	unsigned int made = maker(in, at, type);

	if (made == OPS_MAX || one_in(4))
		return number(granted(type));
	return (struct value){ .kind = V_MADE, .index = (uint8_t)made };
}

static struct value address_value(void)
{
	struct value v = { .kind = V_ADDRESS, .index = AREA_SCRATCH };

	if (one_in(3))
		v.index = (uint8_t)below(AREAS);
	if (one_in(3))
		v.n = below(2) ? below(128) : below(4096);
	return v;
}

/* Blocks of the extent that was granted, its edges, whole zones of others. */
static uint64_t block_number(void)
{
	switch (below(5)) {
	case 0:
		return 0;
	case 1:
		return below(64);
	case 2:
		return below(16) * 256;
	case 3:
		return FUZZ_FIRST + (one_in(2) ? FUZZ_BLOCKS : 0) + below(3) - 1;
	default:
		return FUZZ_FIRST + below(FUZZ_BLOCKS);
	}
}

static struct value map_value(const struct input *in, unsigned int at)
{
	struct value v = { .kind = V_MAP };
	unsigned int made = maker(in, at, one_in(2) ? EXO_TYPE_FRAMES : EXO_TYPE_QUEUE);

	if (made == OPS_MAX)
		return number(below(8) * PAGE);
	v.index = (uint8_t)made;
	if (one_in(2))
		v.n = below(8) * PAGE;
	return v;
}

static struct value buffer_value(const struct input *in, unsigned int at)
{
	struct value v = { .kind = V_BUFFER };
	unsigned int made = attacher(in, at);

	if (made == OPS_MAX)
		return number(below(4) * PAGE);
	v.index = (uint8_t)made;
	if (one_in(2))
		v.n = below(16) * 512;
	return v;
}

static struct value good_value(const struct input *in, unsigned int at, const struct field *f)
{
	switch (f->kind) {
	case F_SIZE:
		return number(0);
	case F_FLAGS:
		return number(f->hint ? random_u32() & f->hint : 0);
	case F_ADDRESS:
		return address_value();
	case F_CAP:
		return cap_value(in, at, f->hint);
	case F_TOKEN:
		return cap_value(in, at, MAKES_TOKEN);
	case F_RIGHTS:
		return number(one_in(2) ? random_u32() & EXO_RIGHTS_ALL : 1u << below(10));
	case F_SESSION:
		if (f->hint && !one_in(4))
			return number(f->hint);
		if (one_in(2))
			return number(~0u);
		return (struct value){ .kind = V_SESSION, .index = (uint8_t)below(SESSIONS) };
	case F_TIME:
		return (struct value){ .kind = V_LATER, .n = below(5000) };
	case F_BLOCK:
		return number(block_number());
	case F_MAP:
		return map_value(in, at);
	case F_BUFFER:
		return buffer_value(in, at);
	case F_SLOT:
		return number(below(SLOTS));
	default:
		return number(f->hint && !one_in(4) ? below(f->hint + 1) : 0);
	}
}

static void mutate_value(const struct input *in, unsigned int at, unsigned int i)
{
	struct op *op = (struct op *)&in->op[at];
	struct value *v = &op->v[i];

	switch (below(8)) {
	case 0:
		*v = number(any_number());
		break;
	case 1:
		v->n += below(2) ? 1 : ~0ull;
		break;
	case 2:
		v->n ^= 1ull << below(64);
		break;
	default:
		*v = good_value(in, at, &op_types[op->type].field[i]);
	}
}

/* The head of a command is left alone but rarely. */
static void fill_op(struct input *in, unsigned int at, unsigned int type)
{
	struct op *op = &in->op[at];
	unsigned int i, n = fields_of(&op_types[type]);

	memset(op, 0, sizeof(*op));
	op->type = (uint8_t)type;
	op->session = one_in(4) ? (uint8_t)below(SESSIONS) : 0;
	for (i = 0; i < n; i++) {
		const struct field *f = &op_types[type].field[i];
		bool head = op_types[type].cmd && i < 4;

		if (head && !(f->kind == F_FLAGS && one_in(3)) && !one_in(16))
			continue;
		if (!strcmp(f->name, "__reserved") && !one_in(32))
			continue;
		if (op_types[type].special == OP_COMMAND_PUSH && i >= 8 && !one_in(4))
			continue;
		op->v[i] = good_value(in, at, f);
		if (one_in(12))
			mutate_value(in, at, i);
	}
}

static unsigned int any_type(void)
{
	/* Without a command nothing is in flight. */
	if (one_in(8))
		return op_type_of(OP_COMMAND_PUSH);
	return below(op_types_n);
}

static void shift_up(struct input *in, unsigned int at)
{
	unsigned int j, k;

	if (in->n == OPS_MAX)
		input_remove(in, OPS_MAX - 1);
	for (j = in->n; j > at; j--) {
		in->op[j] = in->op[j - 1];
		for (k = 0; k < FIELDS_MAX; k++) {
			struct value *v = &in->op[j].v[k];

			if ((v->kind == V_MADE || v->kind == V_MAP || v->kind == V_BUFFER) &&
			    v->index >= at)
				v->index++;
		}
	}
	in->n++;
}

static void insert(struct input *in)
{
	unsigned int at = one_in(2) ? in->n : below(in->n + 1);

	if (at >= OPS_MAX)
		at = OPS_MAX - 1;
	shift_up(in, at);
	fill_op(in, at, any_type());
}

/* The tail of the other one, behind the head of this. */
static void join(struct input *in, const struct input *other)
{
	unsigned int keep = below(in->n + 1), from = below(other->n + 1), k;

	in->n = keep;
	for (; from < other->n && in->n < OPS_MAX; from++) {
		struct op *op = &in->op[in->n++];

		*op = other->op[from];
		for (k = 0; k < FIELDS_MAX; k++)
			if (op->v[k].index >= in->n)
				op->v[k].index = (uint8_t)(in->n - 1);
	}
}

/* Of the fields of one operation, those that matter most times. */
static void change(struct input *in)
{
	unsigned int at = below(in->n), n = fields_of(&op_types[in->op[at].type]);

	if (!n || one_in(12))
		in->op[at].session = (uint8_t)below(SESSIONS);
	else if (op_types[in->op[at].type].cmd && n > 4 && !one_in(6))
		mutate_value(in, at, 4 + below(n - 4));
	else
		mutate_value(in, at, below(n));
}

void input_mutate(struct input *in, const struct input *other)
{
	unsigned int times = 1 + below(4);

	while (times--) {
		if (!in->n) {
			insert(in);
			continue;
		}
		switch (below(10)) {
		case 0:
		case 1:
		case 2:
			insert(in);
			break;
		case 3:
			input_remove(in, below(in->n));
			break;
		case 4:
			if (other)
				join(in, other);
			break;
		case 5: /* the same again */
			shift_up(in, in->n);
			in->op[in->n - 1] = in->op[below(in->n)];
			break;
		default:
			change(in);
		}
	}
}
