// SPDX-License-Identifier: MIT
/*
 * exoctl grant: gives a running program an extent, queues and memory, as three tokens in
 * the form that exo_open() takes. A token ends with the session that made it, so this
 * stays until they are redeemed or their time is over. What was redeemed stays.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libexo/error.h>
#include <libexo/sys.h>
#include <libexo/token.h>

#include "identity.h"
#include "label.h"
#include "list.h"
#include "options.h"
#include "request.h"
#include "roots.h"
#include "settle.h"
#include "zones.h"

#define FRAME_SHIFT 12
#define DEFAULT_BYTES "64M"
#define DEFAULT_LIFETIME_S 60
#define LIFETIME_MAX_S (24 * 3600)
#define LOOK_MS 100
#define SEEN_AT_ONCE 256

enum { EXTENT, CONTROLLER, POOL, PARTS };

/**
 * struct part - one of the three capabilities
 * @cap: ours, of which the token is
 * @rights: what the token is redeemed for
 * @last: the largest node of those that came from it
 * @redeemed: how often that was
 */
struct part {
	__u32 cap;
	__u32 rights;
	__u8 token[16];
	uint64_t last;
	uint64_t redeemed;
};

struct grant {
	const struct machine *machine;
	struct roots roots;
	struct request request;
	struct parcel parcel;
	struct identity identity;
	bool anyone;
	__u32 more_rights; /* to the controller */
	enum zeroing zeroing;
	uint64_t queues, bytes, lifetime_s, uses, zones, placement;
	struct exo_namespace_query ns;
	struct part parts[PARTS];
};

/* False if a command of exo.ko failed, after telling why. */
static bool went(int ret, const struct exo_detail *detail, const char *what)
{
	char text[256];

	if (ret)
		fprintf(stderr, "exoctl: %s: %s\n", what,
			exo_explain(text, sizeof(text), ret, detail));
	return !ret;
}

/* ---- what was asked for ---- */

static bool complain(const char *option, const char *text, const char *why)
{
	fprintf(stderr, "exoctl: --%s %s: %s\n", option, text, why);
	return false;
}

static bool parse_receiver(const struct options *options, struct grant *g)
{
	const char *user = options->value[OPT_UID], *why;

	g->anyone = options->value[OPT_ANYONE];
	if (g->anyone && user)
		return complain("uid", user, "excludes --anyone");
	why = g->anyone ? NULL : identity_find(user, &g->identity);
	if (why)
		return complain("uid", user ? user : getenv("SUDO_UID"), why);
	return true;
}

static bool parse_zeroing(const struct options *options, struct grant *g)
{
	bool keep = options->value[OPT_KEEP], zero = options->value[OPT_ZERO];

	g->zeroing = keep ? ZERO_NEVER : zero ? ZERO_ALWAYS : ZERO_FOREIGN;
	if (keep && zero)
		fprintf(stderr, "exoctl: --keep and --zero exclude each other\n");
	return !keep || !zero;
}

static bool parse(const struct options *options, struct grant *g)
{
	const char *extent = options->value[OPT_EXTENT], *mem = options->value[OPT_MEM], *why;
	const char *placement = options->value[OPT_PLACEMENT];

	if (!extent) {
		fprintf(stderr, "exoctl: grant wants --extent BDF/NSID:START+LENGTH\n");
		return false;
	}
	why = request_parse(extent, &g->request);
	if (why)
		return complain("extent", extent, why);
	g->more_rights = (options->value[OPT_THREADS] ? EXO_RIGHT_THREAD : 0) |
			 (options->value[OPT_PRIORITY] ? EXO_RIGHT_PRIORITY : 0);
	why = placement ? request_placement(placement, &g->placement) : NULL;
	if (why)
		return complain("placement", placement, why);
	why = request_bytes(mem ? mem : DEFAULT_BYTES, &g->bytes);
	if (why)
		return complain("mem", mem, why);
	return option_number(options, OPT_QUEUES, 1, 0xffff, 1, &g->queues) &&
	       option_number(options, OPT_ZONES, 1, UINT32_MAX, 0, &g->zones) &&
	       option_number(options, OPT_LIFETIME, 1, LIFETIME_MAX_S, DEFAULT_LIFETIME_S,
			     &g->lifetime_s) &&
	       option_number(options, OPT_USES, 1, UINT32_MAX, 1, &g->uses) &&
	       parse_receiver(options, g) && parse_zeroing(options, g);
}

/* ---- the capabilities ---- */

static bool find_blocks(struct grant *g, const struct root *root)
{
	struct exo_detail detail = {};
	struct exo_namespace_query arg = {
		.detail = exo_sys_address(&detail),
		.controller = root->cap,
		.nsid = g->request.nsid,
	};
	const char *why;

	if (!went(exo_sys_namespace_query(g->roots.session, &arg), &detail, "the namespace"))
		return false;
	why = request_resolve(&g->request, arg.out_block_shift, arg.out_blocks, &g->parcel.range);
	if (!why)
		why = request_check_zones(&g->parcel.range, arg.out_zone_blocks);
	if (why) {
		fprintf(stderr, "exoctl: --extent: %s; it has %llu blocks of %u bytes", why,
			arg.out_blocks, 1u << arg.out_block_shift);
		zones_tell_size(stderr, &arg);
		fprintf(stderr, "\n");
	}
	g->ns = arg;
	g->parcel.nsid = g->request.nsid;
	g->parcel.block_shift = arg.out_block_shift;
	return !why;
}

static bool make_extent(struct grant *g, const struct root *root)
{
	struct part *part = &g->parts[EXTENT];
	struct exo_detail detail = {};
	struct exo_extent_create arg = {
		.detail = exo_sys_address(&detail),
		.controller = root->cap,
		.nsid = g->request.nsid,
		.start = g->parcel.range.start,
		.len = g->parcel.range.length,
		.placement = g->placement,
	};
	struct exo_cap_query query = {};
	const char *why = zones_set_quota(&arg, &g->ns, g->zones);

	if (!why && g->placement && !g->ns.out_placement)
		why = "--placement: data placement is not enabled for the namespace";
	if (why) {
		fprintf(stderr, "exoctl: %s\n", why);
		return false;
	}
	part->rights = EXO_RIGHT_READ;
	if (!g->request.readonly)
		part->rights |= EXO_RIGHT_WRITE | EXO_RIGHT_TRIM;
	arg.rights = part->rights;
	if (!went(exo_sys_extent_create(g->roots.session, &arg), &detail, "the extent"))
		return false;
	part->cap = query.cap = arg.out_cap;
	if (!went(exo_sys_cap_query(g->roots.session, &query), NULL, "the extent"))
		return false;
	g->parcel.object = query.out_object;
	return true;
}

static bool make_controller(struct grant *g, const struct root *root)
{
	struct exo_detail detail = {};
	struct exo_controller_create arg = {
		.detail = exo_sys_address(&detail),
		.controller = root->cap,
		.rights = EXO_RIGHT_QUEUE | g->more_rights,
		.queues = g->queues,
	};
	int ret = exo_sys_controller_create(g->roots.session, &arg);

	g->parts[CONTROLLER].cap = arg.out_cap;
	g->parts[CONTROLLER].rights = arg.rights;
	return went(ret, &detail, "--queues");
}

static bool make_pool(struct grant *g, const struct root *root)
{
	struct exo_detail detail = {};
	struct exo_pool_create arg = {
		.detail = exo_sys_address(&detail),
		.pool = root->cap,
		.rights = EXO_RIGHT_ALLOC,
		.frames = ((g->bytes - 1) >> FRAME_SHIFT) + 1,
	};
	int ret = exo_sys_pool_create(g->roots.session, &arg);

	g->parts[POOL].cap = arg.out_cap;
	g->parts[POOL].rights = EXO_RIGHT_ALLOC;
	return went(ret, &detail, "--mem");
}

static bool make_token(struct grant *g, struct part *part)
{
	struct exo_detail detail = {};
	struct exo_token_create arg = {
		.detail = exo_sys_address(&detail),
		.flags = g->anyone ? 0 : EXO_TOKEN_UID,
		.cap = part->cap,
		.rights = part->rights,
		.uses = g->uses,
		.lifetime_ms = g->lifetime_s * 1000,
		.uid = g->anyone ? 0 : g->identity.user,
	};
	int ret = exo_sys_token_create(g->roots.session, &arg);

	memcpy(part->token, arg.out_token, sizeof(part->token));
	return went(ret, &detail, "a token");
}

/* All that can fail does before anything is written to the disk. */
static bool make_parts(struct grant *g)
{
	const struct root *function = roots_find(&g->roots, g->request.address);

	if (!function) {
		fprintf(stderr, "exoctl: %s is not bound to exo: exoctl bind %s\n",
			g->request.address, g->request.address);
		return false;
	}
	return find_blocks(g, function) && make_extent(g, function) &&
	       make_controller(g, function) && make_pool(g, roots_find(&g->roots, ""));
}

static bool settle_blocks(const struct grant *g)
{
	if (g->request.readonly)
		return true;
	return !settle(g->machine, g->request.address, &g->parcel, 1,
		       g->anyone ? SETTLE_ANYBODY : g->identity.user, g->zeroing);
}

static bool print_tokens(struct grant *g)
{
	char text[EXO_TOKEN_TEXT];

	for (int i = 0; i < PARTS; i++)
		if (!make_token(g, &g->parts[i]))
			return false;
	for (int i = 0; i < PARTS; i++)
		printf("%s%s", i ? "," : "token:", exo_token_print(g->parts[i].token, text));
	printf("\n");
	return !fflush(stdout);
}

/* ---- until they are redeemed ---- */

static void tell_redeemed(struct grant *g, const struct exo_tree_entry *entry)
{
	char what[LABEL_SIZE], holder[LABEL_SIZE];
	struct holders_known *known = must_alloc(NULL, sizeof(*known));

	memset(known, 0, sizeof(*known));
	fprintf(stderr, "exoctl: redeemed: %s by %s\n", label_what(what, entry),
		label_holder(holder, holder_find(g->machine, known, entry)));
	free(known);
	if (entry->type == EXO_TYPE_EXTENT && !g->request.readonly)
		settle_holder(g->machine, g->request.address, &g->parcel, entry->uid, entry->pid);
}

/* Numbers of nodes grow, so that those that came since the last look are told apart. */
static void look(struct grant *g, struct part *part)
{
	struct exo_tree_entry entries[SEEN_AT_ONCE];
	struct exo_tree_list arg = {
		.cap = part->cap,
		.count = SEEN_AT_ONCE,
		.entries = exo_sys_address(entries),
	};
	uint64_t last = part->last;

	if (exo_sys_tree_list(g->roots.session, &arg))
		return;
	for (__u32 i = 0; i < arg.out_count; i++) {
		if (entries[i].parent != arg.out_node || entries[i].node <= part->last)
			continue;
		part->redeemed++;
		last = entries[i].node > last ? entries[i].node : last;
		tell_redeemed(g, &entries[i]);
	}
	part->last = last;
}

static bool all_redeemed(struct grant *g)
{
	bool all = true;

	for (int i = 0; i < PARTS; i++) {
		look(g, &g->parts[i]);
		all &= g->parts[i].redeemed >= g->uses;
	}
	return all;
}

/* One that is given back at once is seen by nobody; but then the token is used up. */
static bool used_up(const struct grant *g, struct part *part)
{
	struct exo_token_cancel arg = {};

	memcpy(arg.token, part->token, sizeof(arg.token));
	return exo_sys_token_cancel(g->roots.session, &arg) == -ENOENT;
}

static int withdraw(struct grant *g, const char *why)
{
	unsigned int used = 0;

	for (int i = 0; i < PARTS; i++)
		used += used_up(g, &g->parts[i]) || g->parts[i].redeemed >= g->uses;
	if (used == PARTS)
		return EXIT_SUCCESS;
	fprintf(stderr, "exoctl: %s: %u of %u tokens were redeemed, the others are void\n", why,
		used, PARTS);
	return EXIT_FAILURE;
}

/* Ends a little before the tokens do of themselves, to learn which were used up. */
static int wait_for_all(struct grant *g)
{
	unsigned long long end = list_now() + g->lifetime_s * 1000000000 - 200000000;
	const struct timespec interval = { 0, LOOK_MS * 1000000 };
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	fprintf(stderr,
		"exoctl: waiting until they are redeemed, %" PRIu64 " s at most; Ctrl-C makes "
		"them void\n",
		g->lifetime_s);
	while (!all_redeemed(g)) {
		if (list_now() >= end)
			return withdraw(g, "time is over");
		if (sigtimedwait(&ends, NULL, &interval) > 0)
			return withdraw(g, "interrupted");
	}
	return EXIT_SUCCESS;
}

int grant_command(const struct machine *m, const struct options *options)
{
	struct grant g = { .machine = m };
	int ret = EXIT_FAILURE;

	if (!parse(options, &g))
		return EXIT_USAGE;
	if (roots_read(m, &g.roots))
		return EXIT_FAILURE;
	if (make_parts(&g) && settle_blocks(&g) && print_tokens(&g))
		ret = wait_for_all(&g);
	roots_close(&g.roots);
	return ret;
}
