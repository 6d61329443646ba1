/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tokens: 128 random bits by which another session gets a child of a capability.
 */
#ifndef EXO_TOKEN_H
#define EXO_TOKEN_H

struct exo_call;
struct exo_cap;

int exo_token_init(void);
void exo_token_exit(void);

/* The capability ends, and its tokens with it; no more are made. */
void exo_token_end_all(struct exo_cap *cap);

int exo_token_create(struct exo_call *call);
int exo_token_redeem(struct exo_call *call);
int exo_token_cancel(struct exo_call *call);

#endif
