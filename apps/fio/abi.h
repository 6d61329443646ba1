/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fio's side of an engine: its headers, and what differs between its versions. fio has no
 * stable interface for engines; FIO_IOOPS_VERSION tells one from the other. All that depends
 * on it is here.
 */
#ifndef EXO_FIO_ABI_H
#define EXO_FIO_ABI_H

#include "fio.h"
#include "optgroup.h"
#include "verify.h"

/* fio 3.33 has 31. The latest that was looked at has 39. */
#if FIO_IOOPS_VERSION < 31
#error "this fio is too old for the engine exo: take fio 3.33 or newer (FIO_SRC=, its source)"
#endif
#if FIO_IOOPS_VERSION > 39 && !defined(EXO_FIO_UNKNOWN)
#error "this fio's engine interface is newer than apps/fio/abi.h knows: compare its ioengines.h \
with the table in engine.c, then build with CPPFLAGS=-DEXO_FIO_UNKNOWN, or raise the number here"
#endif

/* Some give errdetails() the job, too. Told by the type: the number moved for other reasons. */
#define EXO_FIO_ERRDETAILS(with_job, without)                                                    \
	__builtin_choose_expr(                                                                   \
		__builtin_types_compatible_p(__typeof__(((struct ioengine_ops *)0)->errdetails), \
					     char *(*)(struct io_u *)),                          \
		without, with_job)

#endif
