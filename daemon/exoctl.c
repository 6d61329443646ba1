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
#include "report.h"

#define EXIT_USAGE 2

struct options {
	const char *serial;
	bool json;
};

static const char help[] =
	"usage: exoctl bind DEVICE [--overwrite SERIAL]   give an NVMe disk to exo\n"
	"       exoctl unbind DEVICE                      give it back to its own driver\n"
	"       exoctl status [DEVICE] [--json]           who has which NVMe disk\n"
	"       exoctl doctor [--json]                    what this machine lacks for exo\n"
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

static int run(const struct machine *m, char **word, int words, const struct options *options)
{
	bool bind = !strcmp(word[0], "bind"), unbind = !strcmp(word[0], "unbind");
	bool status = !strcmp(word[0], "status"), doctor = !strcmp(word[0], "doctor");

	if (!bind && !unbind && !status && !doctor)
		return usage("no such command", word[0]);
	if (words > (doctor ? 1 : 2))
		return usage("too many arguments", word[doctor ? 1 : 2]);
	if ((bind || unbind) && words < 2)
		return usage("which DEVICE?", NULL);
	if (options->serial && !bind)
		return usage("--overwrite goes with bind", NULL);
	if (options->json && (bind || unbind))
		return usage("--json goes with status and doctor", NULL);
	if (status)
		return status_command(m, words > 1 ? word[1] : NULL, options->json);
	if (doctor)
		return doctor_command(m, options->json);
	if (need_root())
		return EXIT_FAILURE;
	return bind ? bind_command(m, word[1], options->serial) : unbind_command(m, word[1]);
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "overwrite", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	struct options options = {};
	struct machine m;
	int option, ret;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
		switch (option) {
		case 'o':
			options.serial = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("exoctl %d.%d\n", EXO_VERSION_MAJOR, EXO_VERSION_MINOR);
			return EXIT_SUCCESS;
		default:
			return usage("cannot understand that", NULL);
		}
	}
	if (optind == argc)
		return usage("what is to be done?", NULL);
	ret = machine_open(&m, "/");
	if (ret) {
		fprintf(stderr, "exoctl: /: %s\n", strerror(-ret));
		return EXIT_FAILURE;
	}
	ret = run(&m, argv + optind, argc - optind, &options);
	machine_close(&m);
	return ret;
}
