/* SPDX-License-Identifier: MIT */
/*
 * exoctl bind and unbind.
 */
#ifndef EXO_DAEMON_BIND_H
#define EXO_DAEMON_BIND_H

#include "disk.h"

/* Why the function, as it stands, cannot be given to exo: what it is. */
void bind_check_function(const struct machine *m, const struct function *f, const struct disk *disk,
			 struct findings *refused);
/* The same for what it bears. serial: what the user gave with --overwrite, or NULL. */
void bind_check_contents(const struct disk *disk, const char *address, const char *serial,
			 const struct findings *contents, struct findings *refused);

/* Exit codes. */
int bind_command(const struct machine *m, const char *device, const char *serial);
int unbind_command(const struct machine *m, const char *device);

#endif
