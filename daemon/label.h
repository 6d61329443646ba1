/* SPDX-License-Identifier: MIT */
/*
 * A capability in a derivation tree, in words: what it is, who holds it.
 */
#ifndef EXO_DAEMON_LABEL_H
#define EXO_DAEMON_LABEL_H

#include <linux/exo.h>

#include "machine.h"

#define LABEL_SIZE 160

/* "pool", "frames"…; a constant. */
const char *type_name(__u32 type);
/* "checked"…, of a queue; likewise. */
const char *mode_name(__u32 mode);

/* Each writes at most LABEL_SIZE bytes and returns text. */
char *label_bytes(char *text, unsigned long long bytes);
char *label_what(char *text, const struct exo_tree_entry *entry);
char *label_rights(char *text, __u32 rights);
/* now: CLOCK_MONOTONIC, ns. */
char *label_state(char *text, const struct exo_tree_entry *entry, unsigned long long now);

/* Who opened a session. */
struct holder {
	unsigned long long session;
	__u32 pid, uid;
	bool lives;	  /* process pid has a session open */
	char command[32]; /* of process pid, if it lives */
	char user[64];	  /* empty: no entry in passwd */
};

/* Remembered for a while: many capabilities have one holder. */
struct holders_known {
	struct holder at[256];
};

const struct holder *holder_find(const struct machine *m, struct holders_known *known,
				 const struct exo_tree_entry *entry);
void holder_forget(struct holders_known *known, const struct exo_tree_entry *entry);
char *label_holder(char *text, const struct holder *holder);

#endif
