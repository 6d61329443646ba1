// SPDX-License-Identifier: GPL-2.0
/*
 * Tokens. All of them are in one table, found by a hash under a secret key, so that
 * nobody can steer where they fall or learn of one from how long a look-up takes. A token
 * is never shown again after it was made: not in the log, not in a listing. Whoever
 * presents one that cannot be redeemed gets the same answer, whatever the reason.
 *
 * A token holds a reference to its capability's node, but keeps nothing alive: it ends
 * with the capability, at the latest.
 */
#include <linux/cred.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/siphash.h>
#include <linux/slab.h>

#include "cap.h"
#include "ioctl.h"
#include "params.h"
#include "session.h"
#include "token.h"

#define EXO_TOKEN_BYTES 16

/**
 * struct exo_token - a token
 * @hashed: in the table
 * @key: the token itself
 * @cap: what it is a token of; a reference
 * @on_cap: in @cap->tokens, under exo_token_lock; empty: it has ended
 * @spec: what it is redeemed for; its object is the capability's
 * @uses: how often yet; under exo_token_lock
 * @pending: redemptions under way, which may give their use back; likewise
 * @unlimited: any number of times
 * @expires: CLOCK_MONOTONIC, ns; 0: never
 * @uid: who may redeem it, if @limited
 * @limited: only @uid may
 * @rcu: look-ups run under RCU
 */
struct exo_token {
	struct rhash_head hashed;
	u8 key[EXO_TOKEN_BYTES];
	struct exo_cap *cap;
	struct list_head on_cap;
	struct exo_cap_spec spec;
	u32 uses;
	u32 pending;
	bool unlimited;
	u64 expires;
	kuid_t uid;
	bool limited;
	struct rcu_head rcu;
};

static siphash_key_t exo_token_secret;
static struct rhashtable exo_tokens;
static DEFINE_SPINLOCK(exo_token_lock);

static u32 exo_token_hash(const void *key, u32 len, u32 seed)
{
	return siphash(key, EXO_TOKEN_BYTES, &exo_token_secret);
}

static const struct rhashtable_params exo_token_params = {
	.key_len = EXO_TOKEN_BYTES,
	.key_offset = offsetof(struct exo_token, key),
	.head_offset = offsetof(struct exo_token, hashed),
	.hashfn = exo_token_hash,
	.automatic_shrinking = true,
};

int exo_token_init(void)
{
	get_random_bytes(&exo_token_secret, sizeof(exo_token_secret));
	return rhashtable_init(&exo_tokens, &exo_token_params);
}

void exo_token_exit(void)
{
	rhashtable_destroy(&exo_tokens);
}

/* ---- death ---- */

/* True: by this call, and the caller frees it. */
static bool exo_token_unlink(struct exo_token *token)
{
	lockdep_assert_held(&exo_token_lock);
	if (list_empty(&token->on_cap))
		return false;
	list_del_init(&token->on_cap);
	rhashtable_remove_fast(&exo_tokens, &token->hashed, exo_token_params);
	return true;
}

static void exo_token_free(struct exo_token *token)
{
	struct exo_cap *cap = token->cap;

	kfree_rcu(token, rcu);
	exo_cap_put(cap);
}

void exo_token_end_all(struct exo_cap *cap)
{
	struct exo_token *token;

	do {
		scoped_guard(spinlock, &exo_token_lock) {
			cap->tokens_ended = true;
			token = list_first_entry_or_null(&cap->tokens, struct exo_token, on_cap);
			if (token)
				exo_token_unlink(token);
		}
		if (token)
			exo_token_free(token);
		cond_resched();
	} while (token);
}

/* ---- EXO_TOKEN_CREATE ---- */

static int exo_token_publish(struct exo_token *token)
{
	struct exo_cap *cap = token->cap;
	int ret;

	guard(spinlock)(&exo_token_lock);
	if (cap->tokens_ended || !READ_ONCE(cap->usable))
		return -ESTALE;
	ret = rhashtable_insert_fast(&exo_tokens, &token->hashed, exo_token_params);
	if (ret)
		return -ENOMEM;
	list_add(&token->on_cap, &cap->tokens);
	return 0;
}

static struct exo_token *exo_token_alloc(struct exo_call *call, struct exo_cap *cap,
					 const struct exo_cap_spec *spec)
{
	struct exo_token_create *cmd = &call->arg.token_create;
	struct exo_token *token = kzalloc(sizeof(*token), EXO_GFP);

	if (!token)
		return NULL;
	get_random_bytes(token->key, sizeof(token->key));
	INIT_LIST_HEAD(&token->on_cap);
	kref_get(&cap->ref);
	token->cap = cap;
	token->spec = *spec;
	token->uses = cmd->uses;
	token->unlimited = !cmd->uses;
	if (cmd->lifetime_ms)
		token->expires = ktime_get_ns() + (u64)cmd->lifetime_ms * NSEC_PER_MSEC;
	token->limited = cmd->flags & EXO_TOKEN_UID;
	if (token->limited)
		token->uid = make_kuid(current_user_ns(), cmd->uid);
	return token;
}

static int exo_token_check(struct exo_call *call, struct exo_cap *cap, struct exo_cap_spec *spec)
{
	struct exo_token_create *cmd = &call->arg.token_create;
	const struct exo_child child = {
		.rights = cmd->rights,
		.start = cmd->start,
		.len = cmd->len,
		.rights_field = EXO_FIELD(token_create, rights),
		.start_field = EXO_FIELD(token_create, start),
		.len_field = EXO_FIELD(token_create, len),
	};

	if (exo_cap_gone(cap))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(token_create, cap),
				  cmd->cap, 0);
	if (cap->object->ops->unshared)
		return exo_refuse(call, -EINVAL, EXO_REASON_UNSHARED, EXO_FIELD(token_create, cap),
				  cmd->cap, 0);
	if (!(cmd->flags & EXO_TOKEN_UID) && cmd->uid)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(token_create, uid),
				  cmd->uid, 0);
	if ((cmd->flags & EXO_TOKEN_UID) && !uid_valid(make_kuid(current_user_ns(), cmd->uid)))
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(token_create, uid),
				  cmd->uid, 0);
	return exo_cap_check_child(call, cap, &child, spec);
}

/* The answer comes before the token works: one that nobody heard of does not exist. */
int exo_token_create(struct exo_call *call)
{
	struct exo_token_create *cmd = &call->arg.token_create;
	struct exo_cap_spec spec = {};
	struct exo_token *token;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(token_create, cap), cmd->cap);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	ret = exo_token_check(call, cap, &spec);
	if (ret)
		return ret;
	token = exo_token_alloc(call, cap, &spec);
	if (!token)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	memcpy(cmd->out_token, token->key, sizeof(cmd->out_token));
	ret = exo_call_respond(call);
	if (!ret)
		ret = exo_token_publish(token);
	if (!ret)
		return 0;
	exo_token_free(token);
	if (ret == -ENOMEM)
		return exo_refuse(call, ret, EXO_REASON_MEMORY, 0, 0, 0);
	if (ret == -ESTALE)
		return exo_refuse(call, ret, EXO_REASON_STALE, EXO_FIELD(token_create, cap),
				  cmd->cap, 0);
	return ret;
}

/* ---- EXO_TOKEN_REDEEM, EXO_TOKEN_CANCEL ---- */

/* Unknown, used, expired, cancelled, another's: nobody is told which. */
static int exo_token_refuse(struct exo_call *call)
{
	return exo_refuse(call, -ENOENT, EXO_REASON_TOKEN, 0, 0, 0);
}

/* Both who opened the session, which gets the capability, and who calls must be the one. */
static bool exo_token_allows(const struct exo_token *token, const struct exo_call *call)
{
	if (token->expires && ktime_get_ns() >= token->expires)
		return false;
	if (exo_cap_gone(token->cap))
		return false;
	return !token->limited ||
	       (uid_eq(token->uid, current_euid()) && uid_eq(token->uid, call->file->f_cred->euid));
}

static struct exo_token *exo_token_find(const __u8 *key)
{
	return rhashtable_lookup(&exo_tokens, key, exo_token_params);
}

/* One use of it: a reference to its capability, and what is to be given. */
static struct exo_cap *exo_token_take_use(struct exo_call *call, struct exo_cap_spec *spec)
{
	struct exo_token *token;

	guard(rcu)();
	token = exo_token_find(call->arg.token_redeem.token);
	if (!token)
		return NULL;
	guard(spinlock)(&exo_token_lock);
	/* Until it has ended, under the lock, its capability's object cannot go. */
	if (list_empty(&token->on_cap) || !exo_token_allows(token, call))
		return NULL;
	if (!token->unlimited && !token->uses)
		return NULL;
	if (!token->unlimited) {
		token->uses--;
		token->pending++;
	}
	*spec = token->spec;
	kref_get(&token->cap->ref);
	return token->cap;
}

/* Used up, it goes; not used after all, it is as before. */
static void exo_token_end_use(const __u8 *key, bool used)
{
	struct exo_token *token;
	bool ended = false;

	guard(rcu)();
	token = exo_token_find(key);
	if (!token || token->unlimited)
		return;
	scoped_guard(spinlock, &exo_token_lock) {
		token->pending--;
		if (!used)
			token->uses++;
		if (!token->uses && !token->pending)
			ended = exo_token_unlink(token);
	}
	if (ended)
		exo_token_free(token);
}

int exo_token_redeem(struct exo_call *call)
{
	struct exo_token_redeem *cmd = &call->arg.token_redeem;
	u8 key[EXO_TOKEN_BYTES];
	struct exo_cap_spec spec;
	int ret;

	memcpy(key, cmd->token, sizeof(key));
	struct exo_cap *cap __free(exo_cap_put) = exo_token_take_use(call, &spec);
	if (!cap)
		return exo_token_refuse(call);
	spec.object = cap->object;
	cmd->out_type = cap->object->ops->type;
	ret = exo_cap_give(call, cap, &spec, &cmd->out_cap, NULL);
	exo_token_end_use(key, !ret);
	/* The capability went meanwhile, and the token with it. */
	return ret == -ESTALE ? exo_token_refuse(call) : ret;
}

/* By the session that made it. */
int exo_token_cancel(struct exo_call *call)
{
	struct exo_token *token;
	bool ended = false;

	scoped_guard(rcu) {
		token = exo_token_find(call->arg.token_cancel.token);
		guard(spinlock)(&exo_token_lock);
		if (token && token->cap->session == call->session)
			ended = exo_token_unlink(token);
	}
	if (!ended)
		return exo_token_refuse(call);
	exo_token_free(token);
	return 0;
}
