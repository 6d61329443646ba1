/* SPDX-License-Identifier: MIT */
/*
 * Marks: no-ops that the insncount plugin recognises in the guest's code.
 *
 * nopl TAG(%rax), with a displacement no compiler emits; nothing where that is no
 * instruction. On real hardware, and without the plugin, they do nothing. Instructions
 * are counted on the virtual CPU that executed MARK_START, until MARK_COMMIT keeps them
 * or MARK_DISCARD forgets them; the marks themselves are never counted.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#define MARK_MAGIC 0xE0B10000u
#define MARK_MASK 0xFFFF0000u

#define MARK_TAG_RESET 1 /* forget all counts */
#define MARK_TAG_START 2
#define MARK_TAG_COMMIT 3
#define MARK_TAG_DISCARD 4
#define MARK_TAG_REPORT 5 /* write the kept counts out */

#ifdef __x86_64__
#define MARK(tag)                                     \
	__asm__ volatile(".byte 0x0f, 0x1f, 0x80\n\t" \
			 ".long %c0"                  \
			 :                            \
			 : "i"(MARK_MAGIC | (tag))    \
			 : "memory")
#else
#define MARK(tag) ((void)0)
#endif

#define MARK_RESET() MARK(MARK_TAG_RESET)
#define MARK_START() MARK(MARK_TAG_START)
#define MARK_COMMIT() MARK(MARK_TAG_COMMIT)
#define MARK_DISCARD() MARK(MARK_TAG_DISCARD)
#define MARK_REPORT() MARK(MARK_TAG_REPORT)

#endif
