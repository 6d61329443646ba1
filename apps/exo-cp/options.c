// SPDX-License-Identifier: MIT
/*
 * The command line of exo-cp. What cannot work is refused here, in a sentence that names
 * the option; what depends on SOURCE and DESTINATION is checked by plan.c.
 */
#include <stdio.h>
#include <string.h>

#include "cmdline.h"
#include "number.h"
#include "options.h"

static const char help[] =
	"usage: exo-cp [OPTION]... SOURCE DESTINATION\n"
	"\n"
	"Copies between an extent and a file, or between two extents. Each of the two is\n"
	"  exo: or exo:NAME          an extent of the session that exo-run made\n"
	"  nvme:BDF/NSID[:START+LENGTH][:ro]  blocks of an NVMe namespace, as root\n"
	"  token:TEXT,TEXT,TEXT      what tokens are redeemed for\n"
	"  uring:FILE                whole blocks of a file, without the module\n"
	"  FILE                      a file or block device (./exo: is a file, too)\n"
	"  -                         standard input or standard output\n"
	"and one of them at least is an extent.\n"
	"\n"
	"What to copy (N counts bytes; KiB, MiB, GiB, TiB with K, M, G, T behind it; logical\n"
	"blocks of the extent with b)\n"
	"  --from N          begin at this byte of SOURCE (0)\n"
	"  --to N            begin at this byte of DESTINATION (0); a file keeps what it has\n"
	"                    before and behind. Without --to a file is replaced\n"
	"  --bytes N         copy so many (all that SOURCE has)\n"
	"How\n"
	"  --offload         by NVMe Copy, within the device, or not at all\n"
	"  --no-offload      not by NVMe Copy (it is used where it is possible)\n"
	"  --pad             the last block of an extent gets zeroes behind the last byte;\n"
	"                    without --pad it keeps what it has there\n"
	"  --verify          read DESTINATION back and compare checksums\n"
	"  --depth N         transfers on their way at a time (8)\n"
	"  --size N          bytes of each (what the device moves at once, at most 1M)\n"
	"Output\n"
	"  --progress        also when standard error is no terminal\n"
	"  --quiet           say nothing when all went well\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 all was copied and is durable; 1 something failed or was refused;\n"
	"2 wrong usage. Ctrl-C ends it by that signal, after a sentence that says how far it\n"
	"came.\n";

enum {
	OPT_FROM = 256,
	OPT_TO,
	OPT_BYTES,
	OPT_OFFLOAD,
	OPT_NO_OFFLOAD,
	OPT_PAD,
	OPT_VERIFY,
	OPT_DEPTH,
	OPT_SIZE,
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "from", required_argument, NULL, OPT_FROM },
	{ "to", required_argument, NULL, OPT_TO },
	{ "bytes", required_argument, NULL, OPT_BYTES },
	{ "offload", no_argument, NULL, OPT_OFFLOAD },
	{ "no-offload", no_argument, NULL, OPT_NO_OFFLOAD },
	{ "pad", no_argument, NULL, OPT_PAD },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "progress", no_argument, NULL, OPT_PROGRESS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

void options_help(void)
{
	fputs(help, stdout);
}

bool options_is_extent(const char *name)
{
	static const char *const kinds[] = { "exo:", "nvme:", "token:", "uring:" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(name, kinds[i], strlen(kinds[i])))
			return true;
	return false;
}

int options_number(const char *text, struct number *number)
{
	const char *behind = text;

	*number = (struct number){ .given = true };
	number->blocks = !number_digits(&behind, &number->n) && !strcmp(behind, "b");
	return number->blocks ? 0 : number_bytes(text, 0, UINT64_MAX, &number->n);
}

static int set_bytes(struct number *number, const char *text)
{
	return options_number(text, number) || !number->n ? -1 : 0;
}

static int set_depth(unsigned int *depth, const char *text)
{
	uint64_t n;

	if (number_bytes(text, 1, DEPTH_MAX, &n))
		return -1;
	*depth = n;
	return 0;
}

static int set_offload(struct options *o, enum offload offload)
{
	if (o->offload != OFFLOAD_IF_POSSIBLE && o->offload != offload)
		return -1;
	o->offload = offload;
	return 0;
}

/* One option; -1 if it makes no sense. */
static int set(struct options *o, int option, const char *arg)
{
	switch (option) {
	case OPT_FROM:
		return options_number(arg, &o->from);
	case OPT_TO:
		return options_number(arg, &o->to);
	case OPT_BYTES:
		return set_bytes(&o->bytes, arg);
	case OPT_OFFLOAD:
		return set_offload(o, OFFLOAD_ALWAYS);
	case OPT_NO_OFFLOAD:
		return set_offload(o, OFFLOAD_NEVER);
	case OPT_PAD:
		o->pad = true;
		return 0;
	case OPT_VERIFY:
		o->verify = true;
		return 0;
	case OPT_DEPTH:
		return set_depth(&o->depth, arg);
	case OPT_SIZE:
		return number_bytes(arg, 1, UINT32_MAX, &o->size);
	case OPT_PROGRESS:
		o->progress = true;
		return 0;
	case OPT_QUIET:
		o->quiet = true;
		return 0;
	case OPT_HELP:
		o->action = ACTION_HELP;
		return 0;
	case OPT_VERSION:
		o->action = ACTION_VERSION;
		return 0;
	}
	return -1;
}

static int check_names(struct options *o, int count, char **names, char *why, size_t size)
{
	if (o->action != ACTION_COPY)
		return 0;
	if (count != 2) {
		snprintf(why, size, "SOURCE and DESTINATION are wanted, and %d name%s given", count,
			 count == 1 ? " is" : "s are");
		return -1;
	}
	o->source = names[0];
	o->destination = names[1];
	if (options_is_extent(o->source) || options_is_extent(o->destination))
		return 0;
	snprintf(why, size,
		 "neither %s nor %s is an extent (exo:, nvme:, token:, uring:): cp copies files",
		 o->source, o->destination);
	return -1;
}

int options_parse(int argc, char **argv, struct options *o, char *why, size_t size)
{
	int option, index;

	*o = (struct options){ .depth = DEPTH_DEFAULT };
	cmdline_begin();
	while ((option = cmdline_next(argc, argv, long_options, &index, why, size)) !=
	       CMDLINE_END) {
		if (option == CMDLINE_WRONG)
			return -1;
		if (!set(o, option, optarg))
			continue;
		if (optarg)
			return cmdline_refuse(&long_options[index], optarg, why, size);
		snprintf(why, size, "--offload and --no-offload exclude each other");
		return -1;
	}
	return check_names(o, argc - optind, argv + optind, why, size);
}
