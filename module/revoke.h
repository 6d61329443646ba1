/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Revocation: taking back what was derived from a capability.
 */
#ifndef EXO_REVOKE_H
#define EXO_REVOKE_H

struct exo_call;
struct exo_object;

/* Takes every capability of @obj by force, whoever holds it. May wait for the I/O timeout. */
void exo_revoke_object(struct exo_object *obj);

int exo_revoke(struct exo_call *call);
int exo_cap_taken(struct exo_call *call);

#endif
