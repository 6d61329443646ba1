/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Module parameters.
 */
#ifndef EXO_PARAMS_H
#define EXO_PARAMS_H

#include <linux/types.h>

u32 exo_io_timeout_ms(void);
u32 exo_admin_timeout_ms(void);
u64 exo_frames_limit(void);

#endif
