// SPDX-License-Identifier: MIT
/*
 * The command line of exo-index. What cannot work is refused here, in a sentence that names the
 * option; what depends on the store is checked later.
 */
#include <stdio.h>
#include <string.h>

#include "cmdline.h"
#include "number.h"
#include "options.h"
#include "pages.h"

static const char help[] =
	"usage: exo-index COMMAND STORE [ARGUMENT]... [OPTION]...\n"
	"\n"
	"A persistent hash index, of more than fits into memory.\n"
	"\n"
	"  create STORE          an empty index: --pages N (a power of two) or --size BYTES,\n"
	"                        else as large as STORE is; --force: whatever is there\n"
	"  load STORE [FILE|-]   put lines \"KEY VALUE\", of standard input if no FILE is named;\n"
	"                        or --generate N keys of its own, from --seed N\n"
	"  get STORE [KEY]...    print lines \"KEY VALUE\"; keys from standard input if none is\n"
	"                        named, --batch N (32) read ahead at a time\n"
	"  delete STORE KEY...\n"
	"  dump STORE            all of it, as lines that load reads\n"
	"  stat STORE            what its header says\n"
	"  check STORE           look at every page; --repair: put in order what a crash left\n"
	"  bench STORE           the out-of-core job: --force overwrites what is there; --keys N,\n"
	"                        --pages N (4 times the memory), --seed N, --batch N, --json\n"
	"\n"
	"STORE is one of\n"
	"  exo:NAME, nvme:BDF/NSID[:START+LENGTH], token:TEXT,TEXT,TEXT\n"
	"                        an extent, through a pager of libexo\n"
	"  mmap:FILE             a file or block device, through mmap()\n"
	"  direct:FILE           the same through O_DIRECT and a pool of buffers\n"
	"and --memory BYTES (32M) what exo and direct may have of it in memory. K, M, G, T behind\n"
	"a number are powers of 1024. In keys and values \\\\ is a backslash, \\x0a any byte.\n"
	"\n"
	"Exit status: 0 done; 1 something failed, was refused, is not there or not in order;\n"
	"2 wrong usage.\n";

#define ARGS_ANY INT32_MAX
#define ALLOW(option) (1u << (option))

enum {
	OPT_MEMORY,
	OPT_PAGES,
	OPT_SIZE,
	OPT_GENERATE,
	OPT_SEED,
	OPT_KEYS,
	OPT_BATCH,
	OPT_FORCE,
	OPT_REPAIR,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "pages", required_argument, NULL, OPT_PAGES },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "generate", required_argument, NULL, OPT_GENERATE },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "keys", required_argument, NULL, OPT_KEYS },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "repair", no_argument, NULL, OPT_REPAIR },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

/* What a command takes: arguments beside the store, options beside --memory. */
static const struct {
	const char *name;
	enum command command;
	int least, most;
	unsigned int options;
} commands[] = {
	{ "create", COMMAND_CREATE, 0, 0, ALLOW(OPT_PAGES) | ALLOW(OPT_SIZE) | ALLOW(OPT_FORCE) },
	{ "load", COMMAND_LOAD, 0, 1, ALLOW(OPT_GENERATE) | ALLOW(OPT_SEED) },
	{ "get", COMMAND_GET, 0, ARGS_ANY, ALLOW(OPT_BATCH) },
	{ "delete", COMMAND_DELETE, 1, ARGS_ANY, 0 },
	{ "dump", COMMAND_DUMP, 0, 0, 0 },
	{ "stat", COMMAND_STAT, 0, 0, 0 },
	{ "check", COMMAND_CHECK, 0, 0, ALLOW(OPT_REPAIR) },
	{ "bench", COMMAND_BENCH, 0, 0,
	  ALLOW(OPT_PAGES) | ALLOW(OPT_KEYS) | ALLOW(OPT_SEED) | ALLOW(OPT_BATCH) |
		  ALLOW(OPT_FORCE) | ALLOW(OPT_JSON) },
};

void options_help(void)
{
	fputs(help, stdout);
}

static int power_of_two(const char *text, uint64_t *n)
{
	return number_bytes(text, 1, 1ull << 48, n) || *n & (*n - 1) ? -1 : 0;
}

/* One option; -1 if its argument makes no sense. */
static int set(struct options *o, int option, const char *arg)
{
	switch (option) {
	case OPT_MEMORY:
		return number_bytes(arg, PAGES_MEMORY_MIN, 1ull << 44, &o->memory);
	case OPT_PAGES:
		return power_of_two(arg, &o->pages);
	case OPT_SIZE:
		return number_bytes(arg, 2 * PAGE_BYTES, 1ull << 60, &o->size);
	case OPT_GENERATE:
		return number_bytes(arg, 1, UINT64_MAX, &o->generate);
	case OPT_SEED:
		return number_bytes(arg, 0, UINT64_MAX, &o->seed);
	case OPT_KEYS:
		return power_of_two(arg, &o->keys);
	case OPT_BATCH:
		return number_bytes(arg, 1, BATCH_MAX, &o->batch);
	case OPT_FORCE:
		o->force = true;
		return 0;
	case OPT_REPAIR:
		o->repair = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	}
	return -1;
}

static int options_only(int argc, char **argv, struct options *o, unsigned int *given, char *why,
			size_t size)
{
	int option, index = 0;

	cmdline_begin();
	while ((option = cmdline_next(argc, argv, long_options, &index, why, size)) !=
	       CMDLINE_END) {
		if (option == CMDLINE_WRONG)
			return -1;
		if (option == OPT_HELP || option == OPT_VERSION) {
			o->command = option == OPT_HELP ? COMMAND_HELP : COMMAND_VERSION;
			return 0;
		}
		if (set(o, option, optarg))
			return cmdline_refuse(&long_options[index], optarg, why, size);
		*given |= ALLOW(option);
	}
	return 0;
}

static const char *first_name(unsigned int options)
{
	return long_options[__builtin_ctz(options)].name;
}

/* The command, its store and arguments, and whether the options are its. */
static int arguments(int argc, char **argv, struct options *o, unsigned int given, char *why,
		     size_t size)
{
	const size_t n = sizeof(commands) / sizeof(commands[0]);
	size_t i = 0;

	while (argc && i < n && strcmp(commands[i].name, argv[0]))
		i++;
	if (!argc || i == n) {
		snprintf(why, size,
			 "a command comes first: create, load, get, delete, dump, "
			 "stat, check or bench");
		return -1;
	}
	if (argc < 2 + commands[i].least || argc - 2 > commands[i].most) {
		snprintf(why, size, "%s takes a STORE%s", argv[0],
			 commands[i].least  ? " and keys"
			 : commands[i].most ? " and what --help says"
					    : " and nothing else");
		return -1;
	}
	given &= ~(commands[i].options | ALLOW(OPT_MEMORY));
	if (given) {
		snprintf(why, size, "--%s is of no use to %s", first_name(given), argv[0]);
		return -1;
	}
	o->command = commands[i].command;
	o->store = argv[1];
	o->args = argv + 2;
	o->args_nr = argc - 2;
	return 0;
}

int options_parse(int argc, char **argv, struct options *o, char *why, size_t size)
{
	unsigned int given = 0;

	*o = (struct options){ .memory = 32 << 20, .seed = 1, .batch = 32 };
	if (options_only(argc, argv, o, &given, why, size))
		return -1;
	if (o->command != COMMAND_NONE)
		return 0;
	if (arguments(argc - optind, argv + optind, o, given, why, size))
		return -1;
	if (o->pages && o->size) {
		snprintf(why, size, "--pages and --size say the same: one of them");
		return -1;
	}
	if (o->generate && o->args_nr) {
		snprintf(why, size, "--generate reads no file");
		return -1;
	}
	return 0;
}
