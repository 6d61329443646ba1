// SPDX-License-Identifier: MIT
/*
 * exoctl status: the NVMe functions of the machine and who drives them, and of
 * those that exo drives what root may know.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "claim.h"
#include "disk.h"
#include "driver.h"
#include "report.h"

/* A function as status shows it. */
struct line {
	struct function f;
	char name[16]; /* nvme0 */
	char model[64], serial[64], firmware[16];
	const char *state; /* "" if unknown */
	bool counted;	   /* queues are known */
	unsigned int queues, queues_used;
	bool translated;
	bool healthy; /* health is known */
	struct health health;
};

void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void ask_exo(int session, struct line *line)
{
	struct exo_controller_query query;

	line->state = "";
	if (session < 0 || claim_controller(session, line->f.address, &query))
		return;
	claim_text(query.out_model, sizeof(query.out_model), line->model);
	claim_text(query.out_serial, sizeof(query.out_serial), line->serial);
	claim_text(query.out_firmware, sizeof(query.out_firmware), line->firmware);
	line->healthy = !claim_health(session, line->f.address, &line->health);
	line->state = query.out_state == EXO_CONTROLLER_LIVE ? "live" : "failed";
	line->counted = true;
	line->queues = query.out_queues;
	line->queues_used = query.out_queues_used;
	line->translated = query.out_features & EXO_CONTROLLER_TRANSLATED;
}

static void ask_nvme(const struct machine *m, struct line *line)
{
	struct disk disk;

	disk_find(m, &line->f, &disk);
	snprintf(line->name, sizeof(line->name), "%s", disk.controller);
	snprintf(line->model, sizeof(line->model), "%s", disk.model);
	snprintf(line->serial, sizeof(line->serial), "%s", disk.serial);
	line->queues = disk.queues;
	line->queues_used = disk.queues;
	line->counted = disk.controller[0];
	line->state = "";
	disk_free(&disk);
}

static void fill_line(const struct machine *m, int session, const char *address, struct line *line)
{
	*line = (struct line){};
	function_find(m, address, &line->f);
	line->translated = line->f.group[0];
	if (!strcmp(line->f.driver, EXO_DRIVER))
		ask_exo(session, line);
	else
		ask_nvme(m, line);
}

static void print_line(const struct line *line)
{
	char queues[32] = "?", driver[64], health[32] = "-";

	if (line->counted)
		snprintf(queues, sizeof(queues), "%u/%u", line->queues_used, line->queues);
	snprintf(driver, sizeof(driver), "%s%s%s%s", line->f.driver[0] ? line->f.driver : "none",
		 line->name[0] ? " (" : "", line->name, line->name[0] ? ")" : "");
	if (line->healthy)
		snprintf(health, sizeof(health), "%d C%s", line->health.celsius,
			 line->health.warnings ? " !" : "");
	printf("%-13s %-14s %-7s %-6s %-9s %-7s %-20s %s\n", line->f.address, driver,
	       line->state[0] ? line->state : "-", line->translated ? "yes" : "no", queues, health,
	       line->serial[0] ? line->serial : "?", line->model[0] ? line->model : "?");
}

static void print_line_json(const struct line *line, bool first)
{
	printf("%s\n    {\"address\": ", first ? "" : ",");
	json_string(stdout, line->f.address);
	printf(", \"driver\": ");
	json_string(stdout, line->f.driver);
	printf(", \"controller\": ");
	json_string(stdout, line->name);
	printf(", \"model\": ");
	json_string(stdout, line->model);
	printf(", \"serial\": ");
	json_string(stdout, line->serial);
	printf(", \"state\": ");
	json_string(stdout, line->state);
	printf(", \"iommu\": %s", line->translated ? "true" : "false");
	if (line->counted)
		printf(", \"queues\": %u, \"queues_used\": %u", line->queues, line->queues_used);
	if (line->firmware[0]) {
		printf(", \"firmware\": ");
		json_string(stdout, line->firmware);
	}
	if (line->healthy)
		printf(", \"celsius\": %d, \"critical_warnings\": %u", line->health.celsius,
		       line->health.warnings);
	printf("}");
}

static void print_module(int session, const struct exo_info *info)
{
	if (session == -ENOENT || session == -ENXIO || session == -ENODEV) {
		printf("module: not loaded (modprobe exo)\n");
		return;
	}
	if (session < 0) {
		printf("module: /dev/exo: %s\n", strerror(-session));
		return;
	}
	printf("module: exo %u.%u, %u function%s bound\n", info->out_version_major,
	       info->out_version_minor, info->out_controllers,
	       info->out_controllers == 1 ? "" : "s");
	printf("memory: %llu of %llu MiB in use", info->out_frames_used >> 8,
	       info->out_frames_limit >> 8);
	if (info->out_frames_quarantined)
		printf(", %llu KiB quarantined", info->out_frames_quarantined << 2);
	printf("\n");
}

static void print_module_json(int session, const struct exo_info *info)
{
	printf("{\n  \"module\": {\"loaded\": %s", session >= 0 ? "true" : "false");
	if (session >= 0)
		printf(", \"version\": \"%u.%u\", \"functions_bound\": %u, \"frames_limit\": %llu, "
		       "\"frames_used\": %llu, \"frames_quarantined\": %llu",
		       info->out_version_major, info->out_version_minor, info->out_controllers,
		       info->out_frames_limit, info->out_frames_used, info->out_frames_quarantined);
	printf("},\n  \"functions\": [");
}

static void print_functions(const struct machine *m, int session, const struct names *list,
			    bool json)
{
	bool incomplete = false;

	if (!json && list->count)
		printf("%-13s %-14s %-7s %-6s %-9s %-7s %-20s %s\n", "FUNCTION", "DRIVER", "STATE",
		       "IOMMU", "QUEUES", "HEALTH", "SERIAL", "MODEL");
	for (size_t i = 0; i < list->count; i++) {
		struct line line;

		fill_line(m, session, list->name[i], &line);
		if (json)
			print_line_json(&line, !i);
		else
			print_line(&line);
		incomplete |= !line.counted && !strcmp(line.f.driver, EXO_DRIVER);
	}
	if (json)
		printf("%s]\n}\n", list->count ? "\n  " : "");
	else if (!list->count)
		printf("no NVMe function in this machine\n");
	else if (incomplete)
		printf("root sees more: sudo exoctl status\n");
}

int status_command(const struct machine *m, const char *device, bool json)
{
	struct exo_info info = {};
	struct names list = {};
	struct function f;
	int session;

	if (device && function_find(m, device, &f)) {
		fprintf(stderr,
			"exoctl: there is no PCI function %s: exoctl status lists the NVMe "
			"functions\n",
			device);
		return EXIT_FAILURE;
	}
	if (device)
		names_add(&list, f.address);
	else
		list = function_list(m);
	session = claim_open(m, &info);
	if (json)
		print_module_json(session, &info);
	else
		print_module(session, &info);
	print_functions(m, session, &list, json);
	if (session >= 0)
		close(session);
	names_free(&list);
	return EXIT_SUCCESS;
}
