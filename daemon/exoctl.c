// SPDX-License-Identifier: MIT
/*
 * exoctl: a person's hands on exo. See exoctl(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <linux/exo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"
#include "options.h"
#include "report.h"

static const char help[] =
	"usage: exoctl bind DEVICE [--overwrite SERIAL]   give an NVMe disk to exo\n"
	"       exoctl unbind DEVICE                      give it back to its own driver\n"
	"       exoctl status [DEVICE] [--json]           who has which NVMe disk\n"
	"       exoctl doctor [--json]                    what this machine lacks for exo\n"
	"       exoctl list [memory|BDF] [--json]         who holds what of it\n"
	"       exoctl watch [--interval MS]              tell what changes, until Ctrl-C\n"
	"       exoctl grant --extent BDF/NSID:START+LENGTH[:ro] [--queues N] [--threads]\n"
	"                    [--priority] [--mem SIZE] [--uid USER | --anyone] [--lifetime S] "
	"[--uses N] "
	"[--zones N] [--placement LIST]\n"
	"                    [--keep | --zero]\n"
	"                                                 print tokens for a running program\n"
	"       exoctl revoke --node N | --pid PID | --uid USER | --session N | --function BDF |\n"
	"                     --frames N [--node N]  [--deadline MS]\n"
	"                                                 take back, asking first\n"
	"       exoctl --help | --version\n"
	"\n"
	"DEVICE is a PCI address (0000:01:00.0 or 01:00.0) or a controller (nvme0).\n"
	"bind refuses a disk that something uses, and one that bears data unless\n"
	"--overwrite names its serial number. bind itself writes nothing to the disk.\n"
	"A reboot gives every disk back. More: man exoctl\n";

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "exoctl: %s%s%s\n%s", why, what ? ": " : "", what ? what : "", help);
	return EXIT_USAGE;
}

static int need_root(void)
{
	if (!geteuid())
		return 0;
	fprintf(stderr, "exoctl: moving a disk between drivers needs root: sudo exoctl …\n");
	return EXIT_FAILURE;
}

/* ---- the commands ---- */

static int run_bind(const struct machine *m, const char *word, const struct options *options)
{
	return need_root() ?: bind_command(m, word, options->value[OPT_OVERWRITE]);
}

static int run_unbind(const struct machine *m, const char *word, const struct options *options)
{
	(void)options;
	return need_root() ?: unbind_command(m, word);
}

static int run_status(const struct machine *m, const char *word, const struct options *options)
{
	return status_command(m, word, options->value[OPT_JSON]);
}

static int run_doctor(const struct machine *m, const char *word, const struct options *options)
{
	(void)word;
	return doctor_command(m, options->value[OPT_JSON]);
}

static int run_list(const struct machine *m, const char *word, const struct options *options)
{
	return list_command(m, word, options->value[OPT_JSON]);
}

static int run_watch(const struct machine *m, const char *word, const struct options *options)
{
	(void)word;
	return watch_command(m, options);
}

static int run_grant(const struct machine *m, const char *word, const struct options *options)
{
	(void)word;
	return grant_command(m, options);
}

static int run_revoke(const struct machine *m, const char *word, const struct options *options)
{
	(void)word;
	return revoke_command(m, options);
}

/* How many words follow its name, and the letters of the options that go with it. */
static const struct command {
	const char *name;
	int least, most;
	const char *options;
	int (*run)(const struct machine *m, const char *word, const struct options *options);
} commands[] = {
	{ "bind", 1, 1, "o", run_bind },
	{ "unbind", 1, 1, "", run_unbind },
	{ "status", 0, 1, "j", run_status },
	{ "doctor", 0, 0, "j", run_doctor },
	{ "list", 0, 1, "j", run_list },
	{ "watch", 0, 0, "i", run_watch },
	{ "grant", 0, 0, "efqtrmualckzZP", run_grant },
	{ "revoke", 0, 0, "npusfFd", run_revoke },
};

static const struct option known[] = {
	{ "anyone", no_argument, NULL, OPT_ANYONE },
	{ "deadline", required_argument, NULL, OPT_DEADLINE },
	{ "extent", required_argument, NULL, OPT_EXTENT },
	{ "frames", required_argument, NULL, OPT_FRAMES },
	{ "function", required_argument, NULL, OPT_FUNCTION },
	{ "help", no_argument, NULL, 'h' },
	{ "interval", required_argument, NULL, OPT_INTERVAL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "lifetime", required_argument, NULL, OPT_LIFETIME },
	{ "mem", required_argument, NULL, OPT_MEM },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "overwrite", required_argument, NULL, OPT_OVERWRITE },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "placement", required_argument, NULL, OPT_PLACEMENT },
	{ "priority", no_argument, NULL, OPT_PRIORITY },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "session", required_argument, NULL, OPT_SESSION },
	{ "threads", no_argument, NULL, OPT_THREADS },
	{ "uid", required_argument, NULL, OPT_UID },
	{ "uses", required_argument, NULL, OPT_USES },
	{ "version", no_argument, NULL, 'V' },
	{ "zero", no_argument, NULL, OPT_ZERO },
	{ "zones", required_argument, NULL, OPT_ZONES },
	{},
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* An option that was given and does not go with the command. */
static const char *stray_option(const struct command *command, const struct options *options)
{
	for (const struct option *o = known; o->name; o++)
		if (options->value[o->val] && !strchr(command->options, o->val))
			return o->name;
	return NULL;
}

static int run(char **word, int words, const struct options *options)
{
	const struct command *command = find_command(word[0]);
	struct machine m;
	int ret;

	if (!command)
		return usage("no such command", word[0]);
	if (words - 1 > command->most)
		return usage("too many arguments", word[command->most + 1]);
	if (words - 1 < command->least)
		return usage("which DEVICE?", NULL);
	if (stray_option(command, options))
		return usage("an option that does not go with this command",
			     stray_option(command, options));
	ret = machine_open(&m, "/");
	if (ret) {
		fprintf(stderr, "exoctl: /: %s\n", strerror(-ret));
		return EXIT_FAILURE;
	}
	ret = command->run(&m, words > 1 ? word[1] : NULL, options);
	machine_close(&m);
	return ret;
}

int main(int argc, char **argv)
{
	struct options options = {};
	int letter;

	while ((letter = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
		switch (letter) {
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("exoctl %d.%d\n", EXO_VERSION_MAJOR, EXO_VERSION_MINOR);
			return EXIT_SUCCESS;
		case '?':
			return usage("cannot understand that", NULL);
		default:
			options.value[letter] = optarg ? optarg : "";
		}
	}
	if (optind == argc)
		return usage("what is to be done?", NULL);
	return run(argv + optind, argc - optind, &options);
}
