// SPDX-License-Identifier: MIT
/*
 * exoctl list: who holds what, as the derivation trees below all roots.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libexo/sys.h>

#include "claim.h"
#include "label.h"
#include "list.h"
#include "options.h"
#include "report.h"
#include "zones.h"

unsigned long long list_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* ---- for a person ---- */

/* What is the whole function's, and no capability's. */
static void print_namespaces(const struct roots *roots, const struct root *root)
{
	struct exo_namespace_query ns = { .flags = EXO_NAMESPACE_NEXT, .controller = root->cap };

	while (!exo_sys_namespace_query(roots->session, &ns)) {
		zones_tell(stdout, &ns);
		ns.nsid = ns.out_nsid;
	}
}

static void print_root(const struct roots *roots, const struct root *root)
{
	const struct exo_controller_query *about = &root->controller;
	char used[LABEL_SIZE], limit[LABEL_SIZE], model[64];

	if (root->address[0]) {
		claim_text(about->out_model, sizeof(about->out_model), model);
		printf("%s, %s: %u of %u queues in use%s\n", root->address, model,
		       about->out_queues_used, about->out_queues,
		       about->out_state == EXO_CONTROLLER_LIVE ? "" : ", FAILED");
		print_namespaces(roots, root);
		return;
	}
	printf("memory: %s of %s in use\n", label_bytes(used, roots->info.out_frames_used << 12),
	       label_bytes(limit, roots->info.out_frames_limit << 12));
}

void list_heading(void)
{
	printf("%8s  %-50s %-16s %-38s %s\n", "NODE", "WHAT", "RIGHTS", "HOLDER", "STATE");
}

void list_line(const struct machine *m, struct holders_known *known,
	       const struct exo_tree_entry *entry, const char *state)
{
	char what[LABEL_SIZE], rights[LABEL_SIZE], holder[LABEL_SIZE];
	int indent = 2 * (entry->depth > 2 ? entry->depth - 2 : 0);

	printf("%8llu  %*s%-*s %-16s %-38s %s\n", entry->node, indent, "",
	       indent < 50 ? 50 - indent : 0, label_what(what, entry),
	       label_rights(rights, entry->rights),
	       label_holder(holder, holder_find(m, known, entry)), state);
}

static void print_tree(const struct machine *m, const struct roots *roots, const struct root *root,
		       struct holders_known *known)
{
	char state[LABEL_SIZE];

	print_root(roots, root);
	if (!root->count) {
		printf("          nobody holds any of it\n");
		return;
	}
	list_heading();
	for (size_t i = 0; i < root->count; i++)
		list_line(m, known, &root->entries[i],
			  label_state(state, &root->entries[i], list_now()));
}

/* ---- for a program ---- */

static void print_rights_json(__u32 rights)
{
	char text[LABEL_SIZE], *rest = label_rights(text, rights), *name;

	printf(", \"rights\": [");
	for (bool first = true; rest[0] && (name = strsep(&rest, ",")); first = false) {
		printf("%s\"%s\"", first ? "" : ", ", name);
		if (!rest)
			break;
	}
	printf("]");
}

static void print_object_json(const struct exo_tree_entry *entry)
{
	printf(", \"type\": \"%s\", \"object\": %llu", type_name(entry->type), entry->object);
	if (entry->type == EXO_TYPE_FRAMES || entry->type == EXO_TYPE_EXTENT ||
	    entry->type == EXO_TYPE_MEMORY)
		printf(", \"start\": %llu, \"length\": %llu, \"unit_bytes\": %llu", entry->start,
		       entry->len, 1ull << entry->unit_shift);
	if (entry->nsid)
		printf(", \"namespace\": %u", entry->nsid);
	if (entry->qid)
		printf(", \"queue\": %u, \"mode\": \"%s\"", entry->qid, mode_name(entry->mode));
	if (entry->budget)
		printf(", \"budget\": %llu, \"used\": %llu", entry->budget, entry->used);
}

static void print_holder_json(const struct holder *holder, const struct exo_tree_entry *entry)
{
	printf(", \"session\": %llu, \"capability\": %u, \"pid\": %u, \"lives\": %s, "
	       "\"command\": ",
	       entry->session, entry->cap, entry->pid, holder->lives ? "true" : "false");
	json_string(stdout, holder->command);
	printf(", \"uid\": %u, \"user\": ", entry->uid);
	json_string(stdout, holder->user);
}

static void print_entry_json(const struct machine *m, struct holders_known *known,
			     const struct exo_tree_entry *entry)
{
	static const char *const states[] = { "held", "asked", "dropped" };
	unsigned long long now = list_now();

	printf("{\"node\": %llu, \"parent\": %llu, \"depth\": %u", entry->node, entry->parent,
	       entry->depth);
	print_object_json(entry);
	print_rights_json(entry->rights);
	print_holder_json(holder_find(m, known, entry), entry);
	printf(", \"state\": \"%s\"", entry->state < 3 ? states[entry->state] : "?");
	if (entry->state == EXO_TREE_ASKED)
		printf(", \"left_ms\": %llu",
		       entry->deadline > now ? (entry->deadline - now) / 1000000 : 0);
	printf("}");
}

static void print_tree_json(const struct machine *m, const struct roots *roots,
			    const struct root *root, struct holders_known *known)
{
	printf("    {\"type\": \"%s\", \"node\": %llu, ", root->address[0] ? "controller" : "pool",
	       (unsigned long long)root->node);
	if (root->address[0])
		printf("\"address\": \"%s\", \"state\": \"%s\", \"budget\": %u, \"used\": %u",
		       root->address,
		       root->controller.out_state == EXO_CONTROLLER_LIVE ? "live" : "failed",
		       root->controller.out_queues, root->controller.out_queues_used);
	else
		printf("\"budget\": %llu, \"used\": %llu", roots->info.out_frames_limit,
		       roots->info.out_frames_used);
	printf(", \"capabilities\": [");
	for (size_t i = 0; i < root->count; i++) {
		printf("%s\n      ", i ? "," : "");
		print_entry_json(m, known, &root->entries[i]);
	}
	printf("%s]}", root->count ? "\n    " : "");
}

/* ---- */

static bool wanted(const struct root *root, const char *address)
{
	return !address || !strcmp(root->address, address);
}

static void print_all(const struct machine *m, const struct roots *roots, const char *address,
		      bool json)
{
	struct holders_known *known = must_alloc(NULL, sizeof(*known));
	bool first = true;

	memset(known, 0, sizeof(*known));
	for (size_t i = 0; i < roots->count; i++) {
		if (!wanted(&roots->at[i], address))
			continue;
		if (json) {
			printf("%s", first ? "{\n  \"roots\": [\n" : ",\n");
			print_tree_json(m, roots, &roots->at[i], known);
		} else {
			printf("%s", first ? "" : "\n");
			print_tree(m, roots, &roots->at[i], known);
		}
		first = false;
	}
	if (json)
		printf("\n  ]\n}\n");
	free(known);
}

int list_command(const struct machine *m, const char *device, bool json)
{
	struct function f = {};
	struct roots roots;

	if (device && strcmp(device, "memory") && address_parse(device, f.address)) {
		fprintf(stderr, "exoctl: list knows \"memory\" and PCI addresses, not %s\n",
			device);
		return EXIT_USAGE;
	}
	if (roots_read(m, &roots))
		return EXIT_FAILURE;
	if (device && !roots_find(&roots, f.address)) {
		fprintf(stderr, "exoctl: %s is not bound to exo: exoctl status lists what is\n",
			f.address);
		roots_close(&roots);
		return EXIT_FAILURE;
	}
	print_all(m, &roots, device ? f.address : NULL, json);
	roots_close(&roots);
	return EXIT_SUCCESS;
}
