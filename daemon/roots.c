// SPDX-License-Identifier: MIT
/*
 * The roots, claimed; see roots.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libexo/sys.h>

#include "claim.h"
#include "driver.h"
#include "roots.h"

/* Most trees are small: the kernel makes room for as many entries as are asked for. */
#define FIRST_PAGE 1024

static int claim(int session, const char *address, __u32 *cap)
{
	struct exo_claim arg = {
		.type = address[0] ? EXO_TYPE_CONTROLLER : EXO_TYPE_POOL,
		.address = address[0] ? address_number(address) : 0,
	};
	int ret = exo_sys_claim(session, &arg);

	*cap = arg.out_cap;
	return ret;
}

static int add_root(struct roots *roots, const char *address)
{
	struct root root = {};
	int ret = claim(roots->session, address, &root.cap);

	if (ret)
		return ret;
	snprintf(root.address, sizeof(root.address), "%s", address);
	if (address[0]) {
		root.controller.controller = root.cap;
		ret = exo_sys_controller_query(roots->session, &root.controller);
		if (ret)
			return ret;
	}
	roots->at = must_alloc(roots->at, (roots->count + 1) * sizeof(root));
	roots->at[roots->count++] = root;
	return 0;
}

static int add_functions(const struct machine *m, struct roots *roots)
{
	struct names list = function_list(m);
	int ret = 0;

	for (size_t i = 0; !ret && i < list.count; i++) {
		struct function f;

		if (function_find(m, list.name[i], &f) || strcmp(f.driver, EXO_DRIVER))
			continue;
		ret = add_root(roots, f.address);
		if (ret == -ENODEV || ret == -ESTALE)
			ret = 0;
	}
	names_free(&list);
	return ret;
}

int roots_open(const struct machine *m, struct roots *roots, const char **what)
{
	int ret;

	*roots = (struct roots){};
	*what = EXO_DEVICE;
	roots->session = claim_open(m, &roots->info);
	if (roots->session < 0)
		return roots->session;
	*what = "claiming the machine's frames";
	ret = add_root(roots, "");
	if (!ret) {
		*what = "claiming a function";
		ret = add_functions(m, roots);
	}
	if (ret)
		roots_close(roots);
	return ret;
}

void roots_close(struct roots *roots)
{
	for (size_t i = 0; i < roots->count; i++)
		free(roots->at[i].entries);
	free(roots->at);
	close(roots->session);
	*roots = (struct roots){ .session = -1 };
}

/* ---- listing ---- */

struct place {
	uint64_t node;
	size_t index;
};

static int by_node(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

size_t entries_once(struct exo_tree_entry *entries, size_t count)
{
	struct place *places = must_alloc(NULL, (count + 1) * sizeof(*places));
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		places[i] = (struct place){ entries[i].node, i };
	qsort(places, count, sizeof(*places), by_node);
	for (size_t i = 1; i < count; i++)
		if (places[i].node == places[i - 1].node)
			entries[places[i].index].node = 0; /* no node has this number */
	free(places);
	for (size_t i = 0; i < count; i++)
		if (entries[i].node)
			entries[kept++] = entries[i];
	return kept;
}

static int list_page(int session, struct root *root, __u32 room, __u32 *got)
{
	struct exo_tree_list arg = { .cap = root->cap, .skip = root->count, .count = room };
	int ret;

	root->entries = must_alloc(root->entries, (root->count + room) * sizeof(*root->entries));
	arg.entries = exo_sys_address(root->entries + root->count);
	ret = exo_sys_tree_list(session, &arg);
	*got = ret ? 0 : arg.out_count;
	root->node = arg.out_node;
	root->count += *got;
	return ret;
}

static int list_root(int session, struct root *root)
{
	__u32 room = FIRST_PAGE, got;
	bool pages = false;
	int ret;

	root->count = 0;
	while (!(ret = list_page(session, root, room, &got)) && got == room) {
		room = EXO_RECORDS_MAX;
		pages = true;
	}
	/* What moved from one page to the next while we read was seen twice. */
	if (pages)
		root->count = entries_once(root->entries, root->count);
	return ret;
}

int roots_list(struct roots *roots)
{
	for (size_t i = 0; i < roots->count; i++) {
		int ret = list_root(roots->session, &roots->at[i]);

		/* Unbound meanwhile: nothing hangs there any more. */
		if (ret == -ESTALE || ret == -ENODEV)
			roots->at[i].count = 0;
		else if (ret)
			return ret;
	}
	return 0;
}

static void tell(const char *what, int error)
{
	if (error == -ENOENT || error == -ENXIO)
		fprintf(stderr, "exoctl: " EXO_DEVICE " is missing: modprobe exo\n");
	else if (error == -EPERM || error == -EACCES)
		fprintf(stderr, "exoctl: seeing and granting all there is needs root: "
				"sudo exoctl …\n");
	else
		fprintf(stderr, "exoctl: %s: %s\n", what, strerror(-error));
}

int roots_read(const struct machine *m, struct roots *roots)
{
	const char *what;
	int ret = roots_open(m, roots, &what);

	if (!ret) {
		what = "listing who holds what";
		ret = roots_list(roots);
		if (ret)
			roots_close(roots);
	}
	if (ret)
		tell(what, ret);
	return ret;
}

struct root *roots_find(struct roots *roots, const char *address)
{
	for (size_t i = 0; i < roots->count; i++)
		if (!strcmp(roots->at[i].address, address))
			return &roots->at[i];
	return NULL;
}
