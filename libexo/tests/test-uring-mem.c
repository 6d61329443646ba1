// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Registered memory of an emulated handle: used as that of the module is, with its refusals.
 */
#include <sys/mman.h>

#include "uring-rig.h"

#define DEPTH 8u
#define BYTES 65536u

static void used(void)
{
	char *own = malloc(BYTES + 64), *at = own + 4;
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	CHECK(exo_write(rig.q, at, 0, 1) < 0);
	CHECK_EQUAL(exo_mem_register(rig.x, at, BYTES, 0), 0);
	fill(at, BYTES, 5);
	CHECK_EQUAL(exo_write(rig.q, at, 3, BYTES / rig.size), 0);
	memset(at, 0, BYTES);
	CHECK_EQUAL(exo_read(rig.q, at, 3, BYTES / rig.size), 0);
	CHECK(filled(at, BYTES, 5));
	CHECK_EQUAL(exo_compare(rig.q, at, 3, BYTES / rig.size), 0);
	/* To the end and no further. */
	exo_prep_read(rig.q, at + BYTES - rig.size + 4, 0, 1, 0);
	CHECK_EQUAL(exo_submit(rig.q), -EFAULT);
	exo_withdraw(rig.q, 0);
	CHECK_EQUAL(exo_mem_unregister(rig.x, at), 0);
	CHECK_EQUAL(exo_mem_unregister(rig.x, at), -EINVAL);
	CHECK(exo_read(rig.q, at, 0, 1) < 0);
	rig_close(&rig);
	free(own);
}

static void pieces(void)
{
	enum { PIECES = 20 };
	char *own = malloc(PIECES * 6000), *at[PIECES];
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	for (unsigned int i = 0; i < PIECES; i++) {
		at[i] = own + i * 7 % PIECES * 6000;
		CHECK_EQUAL(exo_mem_register(rig.x, at[i], rig.size, 0), 0);
		fill(at[i], rig.size, i);
		CHECK_EQUAL(exo_write(rig.q, at[i], i, 1), 0);
	}
	CHECK_EQUAL(exo_mem_register(rig.x, at[3] + rig.size - 1, 2, 0), -EEXIST);
	CHECK(strstr(exo_strerror(rig.x, -EEXIST), "registered already"));
	for (unsigned int i = 0; i < PIECES; i += 2)
		CHECK_EQUAL(exo_mem_unregister(rig.x, at[i]), 0);
	for (unsigned int i = 0; i < PIECES; i++) {
		memset(at[i], 0, rig.size);
		CHECK_EQUAL(exo_read(rig.q, at[i], i, 1) == 0, i % 2);
		CHECK_EQUAL(filled(at[i], rig.size, i), i % 2);
	}
	/* The rest goes with the handle. */
	rig_close(&rig);
	free(own);
}

static void refused(void)
{
	char *own =
		mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	CHECK_EQUAL(exo_mem_register(rig.x, own, 0, 0), -EINVAL);
	CHECK_EQUAL(exo_mem_register(rig.x, own, 4096, 2), -EINVAL);
	CHECK_EQUAL(exo_mem_register(rig.x, own, ~0ul, 0), -EINVAL);
	CHECK(!munmap(own + 4096, 4096));
	CHECK_EQUAL(exo_mem_register(rig.x, own, 3 * 4096, 0), -EFAULT);
	CHECK_EQUAL(exo_mem_register(rig.x, own, 4096, 0), 0);
	rig_close(&rig);
	munmap(own, 4 * 4096);
}

static void read_only(void)
{
	char *own = malloc(BYTES);
	struct rig rig;

	fill(own, BYTES, 8);
	rig_open(&rig, RIG_ALL, DEPTH);
	CHECK_EQUAL(exo_mem_register(rig.x, own, BYTES, EXO_MEM_READ_ONLY), 0);
	CHECK_EQUAL(exo_write(rig.q, own, 0, BYTES / rig.size), 0);
	exo_prep_read(rig.q, own, 0, 1, 0);
	CHECK_EQUAL(exo_submit(rig.q), -EACCES);
	CHECK_EQUAL(rig.q->detail.reason, EXO_REASON_BUFFER_RIGHT);
	CHECK_EQUAL(rig.q->detail.limit, EXO_RIGHT_WRITE);
	CHECK(filled(own, BYTES, 8));
	rig_close(&rig);
	free(own);
}

static void in_flight(void)
{
	struct exo_completion done;
	char *own = malloc(BYTES);
	struct rig rig;

	rig_open(&rig, RIG_ALL, DEPTH);
	CHECK_EQUAL(exo_mem_register(rig.x, own, BYTES, 0), 0);
	exo_prep_read(rig.q, own, 0, 1, 0);
	CHECK_EQUAL(exo_submit(rig.q), 1);
	CHECK_EQUAL(exo_mem_unregister(rig.x, own), -EBUSY);
	CHECK(strstr(exo_strerror(rig.x, -EBUSY), "reap them first"));
	CHECK_EQUAL(exo_wait(rig.q, &done, 1, -1), 1);
	CHECK_EQUAL(exo_mem_unregister(rig.x, own), 0);
	rig_close(&rig);
	free(own);
}

static const struct tap_test tests[] = {
	TEST(used, "memory of malloc() is registered, used and let go"),
	TEST(pieces, "pieces of memory are told apart, wherever they lie"),
	TEST(refused, "memory that is not there is refused"),
	TEST(read_only, "memory that is only read is a source and no target"),
	TEST(in_flight, "memory that a command has is not let go"),
};

RIG_MAIN(tests)
