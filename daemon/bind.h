/* SPDX-License-Identifier: MIT */
/*
 * exoctl bind and unbind.
 */
#ifndef EXO_DAEMON_BIND_H
#define EXO_DAEMON_BIND_H

#include "disk.h"
#include "exclusive.h"

/* Why the function, as it stands, cannot be given to exo: what it is. */
void bind_check_function(const struct machine *m, const struct function *f, const struct disk *disk,
			 struct findings *refused);
/* The same for what it bears. serial: what the user gave with --overwrite, or NULL. */
void bind_check_contents(const struct disk *disk, const char *address, const char *serial,
			 const struct findings *contents, struct findings *refused);

/* On standard error: that a disk stays as it is, and why. @tool: the program. */
void bind_print_refusal(const char *tool, const char *name, const struct findings *refused);

/*
 * Takes the disk, so that nobody else can, and looks who uses it. @held is taken as far as
 * it could be, and the caller's to release, whether anything was @refused or not.
 */
void bind_check_users(const struct machine *m, const struct disk *disk, struct exclusive *held,
		      struct findings *contents, struct findings *refused);

/*
 * The stock driver looks for namespaces on its own time: waits until there are so many, but
 * not for ever. @events: of uevents_open(), before the driver was asked. @disk is the
 * caller's to free in either case.
 */
bool bind_wait_for_disk(const struct machine *m, const struct function *f, struct disk *disk,
			unsigned int namespaces, int events);

/* Exit codes. */
int bind_command(const struct machine *m, const char *device, const char *serial);
int unbind_command(const struct machine *m, const char *device);

#endif
