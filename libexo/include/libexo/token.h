/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Tokens: 128 random bits that let another session have what this one has.
 *
 * As text a token is "exo1", 26 digits of the 128 bits and 2 check digits, in
 * Crockford's base 32: 0-9 and a-z without i, l, o and u. Any one wrong digit,
 * and any two that changed places, are noticed before the kernel is asked. Upper
 * and lower case are the same; it is printed in lower case.
 *
 * Whoever reads a token can redeem it: treat it as a password.
 */
#ifndef LIBEXO_TOKEN_H
#define LIBEXO_TOKEN_H

#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;

#define EXO_TOKEN_TEXT 33	/* bytes of a token as text, the final 0 included */
#define EXO_TOKEN_ANYBODY (~0u) /* a uid for exo_token_create() that is nobody's */

/**
 * exo_token_print - a token as text
 * @token: the token
 * @text: where to put it
 *
 * Returns @text. Safe from any thread.
 */
const char *exo_token_print(const uint8_t token[16], char text[EXO_TOKEN_TEXT]);

/**
 * exo_token_parse - a token from its text
 * @text: the text, nothing before or behind it
 * @token: set on success only
 * @problem: set on failure to a constant that says what is wrong; or NULL
 *
 * Returns 0 or -EINVAL. Safe from any thread.
 */
int exo_token_parse(const char *text, uint8_t token[16], const char **problem);

/**
 * exo_token_create - make a token of what a handle has
 * @x: the handle
 * @what: EXO_TYPE_EXTENT, EXO_TYPE_CONTROLLER or EXO_TYPE_POOL. exo_open() of a
 *	"token:" name needs one of each
 * @rights: what it is redeemed for: a subset of the rights that the handle has; 0:
 *	all of them
 * @uses: how often it can be redeemed; 0: any number of times
 * @lifetime_ms: until when, ms from now; 0: until it is cancelled
 * @uid: who alone may redeem it, or EXO_TOKEN_ANYBODY
 * @token: the token
 *
 * Budgets are shared: what is redeemed draws on the same queues and frames. The
 * token ends with exo_close() of the handle's session at the latest, what was
 * redeemed does not.
 *
 * Returns 0, or -EINVAL @what or @uid, -EACCES rights not held, -ESTALE what the
 * handle has was taken back, -EOPNOTSUPP it is emulated, -ENOMEM. Threads: safe.
 */
int exo_token_create(struct exo *x, uint32_t what, uint32_t rights, uint32_t uses,
		     uint32_t lifetime_ms, uint32_t uid, uint8_t token[16]);

/**
 * exo_token_cancel - end a token; what was redeemed stays
 * @x: a handle of the session that made it
 * @token: the token
 *
 * Returns 0, or -ENOENT unknown, used up, or made in another session, -EOPNOTSUPP the handle
 * is emulated.
 * Threads: safe.
 */
int exo_token_cancel(struct exo *x, const uint8_t token[16]);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_TOKEN_H */
