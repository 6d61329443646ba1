/* SPDX-License-Identifier: MIT */
/*
 * Who a program runs as, and giving up everything else.
 */
#ifndef EXO_DAEMON_IDENTITY_H
#define EXO_DAEMON_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

struct identity {
	uid_t user;
	gid_t group;
	char name[64];	 /* empty: the user has no entry in passwd */
	char home[256];	 /* empty: the same */
	bool all_groups; /* of name; else group only */
};

/* text: UID, UID:GID or a name; NULL: who called sudo, else nobody.
 * Returns NULL, or why not. */
const char *identity_find(const char *text, struct identity *identity);

/* Irrevocable: ids, groups, capabilities, and no more by execve(). NULL, or
 * the step that failed with errno set. */
const char *identity_become(const struct identity *identity);

#endif
