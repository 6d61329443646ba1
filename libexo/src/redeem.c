// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Opening by tokens: an extent, a controller for queues on it and a pool for
 * buffers, each redeemed and known by its type, in any order.
 */
#include <errno.h>
#include <string.h>

#include "private.h"

static uint32_t *place_for(struct exo *x, uint32_t type)
{
	switch (type) {
	case EXO_TYPE_EXTENT:
		return &x->extent;
	case EXO_TYPE_CONTROLLER:
		return &x->controller;
	case EXO_TYPE_POOL:
		return &x->pool;
	}
	return NULL;
}

/* The text of a token is never repeated in a sentence: those end up in logs. */
static int redeem_one(struct exo *x, const struct exo_spec *spec, unsigned int n)
{
	struct exo_detail detail = { 0 };
	struct exo_token_redeem arg = { .detail = exo_sys_address(&detail) };
	uint32_t *place;
	int r;

	memcpy(arg.token, spec->tokens[n], sizeof(arg.token));
	r = exo_sys_token_redeem(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot redeem token %u of %u", n + 1,
				spec->token_count);
	place = place_for(x, arg.out_type);
	if (!place)
		return exo_fail(x, -EINVAL, NULL,
				"token %u of %u is for a capability of type %u: only extents, "
				"controllers and pools can be opened",
				n + 1, spec->token_count, arg.out_type);
	if (*place)
		return exo_fail(x, -EINVAL, NULL,
				"token %u of %u is for the same kind of thing as one before it: "
				"one extent, one controller and one pool are needed",
				n + 1, spec->token_count);
	*place = arg.out_cap;
	return 0;
}

static int check_complete(struct exo *x)
{
	if (!x->extent)
		return exo_fail(x, -ENOENT, NULL, "no token for an extent was among them");
	if (!x->controller)
		return exo_fail(x, -ENOENT, NULL,
				"no token for a controller was among them: queues are made on one");
	if (!x->pool)
		return exo_fail(x, -ENOENT, NULL,
				"no token for a pool was among them: buffers come from one");
	return 0;
}

/* What was redeemed must be good for what handles do with it. */
static int check_use(struct exo *x, uint32_t cap, uint32_t right, uint32_t address,
		     const char *what, const char *called)
{
	struct exo_cap_query arg = { .cap = cap };
	int r = exo_sys_cap_query(x->fd, &arg);

	if (r)
		return exo_fail(x, r, NULL, "the %s of the token is gone: %s", what,
				exo_errno_meaning(r));
	if (!(arg.out_rights & right))
		return exo_fail(x, -EACCES, NULL, "the %s of the token lacks the right %s", what,
				called);
	if (arg.out_address != address)
		return exo_fail(x, -EINVAL, NULL,
				"the extent and the controller of the tokens are of different NVMe "
				"functions");
	return 0;
}

/* The tokens of a name, into the empty session of @x. */
int exo_redeem(struct exo *x, const struct exo_spec *spec)
{
	struct exo_cap_query extent = { 0 };
	int r = 0;

	for (unsigned int n = 0; n < spec->token_count && !r; n++)
		r = redeem_one(x, spec, n);
	if (!r)
		r = check_complete(x);
	if (r)
		return r;
	extent.cap = x->extent;
	r = exo_sys_cap_query(x->fd, &extent);
	if (r)
		return exo_fail(x, r, NULL, "the extent of the token is gone: %s",
				exo_errno_meaning(r));
	r = check_use(x, x->controller, EXO_RIGHT_QUEUE, extent.out_address, "controller", "QUEUE");
	if (!r && x->direct)
		r = check_use(x, x->controller, EXO_RIGHT_DIRECT, extent.out_address, "controller",
			      "DIRECT");
	if (!r)
		r = check_use(x, x->pool, EXO_RIGHT_ALLOC, 0, "pool", "ALLOC");
	return r;
}
