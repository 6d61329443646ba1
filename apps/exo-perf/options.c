// SPDX-License-Identifier: MIT
/*
 * The command line of exo-perf. What cannot work is refused here, in a sentence
 * that names the option; what depends on the device is checked later.
 */
#define _GNU_SOURCE 1
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/exo.h>

#include "cmdline.h"
#include "number.h"
#include "options.h"

static const struct {
	const char *name;
	bool random;
	unsigned int reads;
} patterns[] = {
	{ "read", false, 100 },	   { "write", false, 0 },    { "rw", false, 50 },
	{ "randread", true, 100 }, { "randwrite", true, 0 }, { "randrw", true, 50 },
};

static const char help[] =
	"usage: exo-perf [OPTION]... NAME\n"
	"\n"
	"Measures or verifies an extent through NVMe queues. NAME is \"exo:\" or\n"
	"\"exo:EXTENT\" under exo-run; \"nvme:BDF/NSID[:START+LENGTH][:ro]\" as root; or\n"
	"\"uring:PATH\", a file or block device through io_uring, without the module.\n"
	"\n"
	"What to do\n"
	"  --rw PATTERN      read, write, rw, randread (default), randwrite, randrw\n"
	"  --mix PERCENT     of rw and randrw: I/Os that read (50)\n"
	"  --verify write    write a pattern to the whole extent and print its checksum\n"
	"  --verify read     read the extent, compare, print its checksum\n"
	"  --show-refusal    submit a Read one block outside the extent and print why it\n"
	"                    was refused\n"
	"  --write SERIAL    allow writing, if this is the controller's serial number (of\n"
	"                    uring:PATH the file's name); what the extent holds is LOST\n"
	"How\n"
	"  --bs BYTES        of one I/O, K or M behind it for KiB or MiB (4K; --verify: 64K)\n"
	"  --depth N         I/Os in flight per queue (32)\n"
	"  --batch N         commands per submit, at most the depth (the depth)\n"
	"  --queues N        queues, each with its own thread; also --threads (1)\n"
	"  --runtime S       seconds (5)\n"
	"  --ios N           I/Os per queue, in place of a runtime\n"
	"  --size BYTES      of the extent to use, from its start (all)\n"
	"  --seed N          of random places and of the pattern (1)\n"
	"  --direct          through direct queues: no system call, and no check; the whole\n"
	"                    function must be free, or exo-run --direct have given it\n"
	"  --unsafe          the same where there is no IOMMU, as root: commands reach all\n"
	"                    memory, and the kernel is tainted\n"
	"  --irq-cpu N       interrupts of the queues go to processor N, one of the allowed\n"
	"  --node N          the queues' memory lies on NUMA node N (near the device)\n"
	"  --priority WHICH  low, medium, high, urgent, of a device that has priorities among\n"
	"                    queues; above medium if exo-run --priority allows it\n"
	"  --pin             thread n runs on the nth allowed processor only\n"
	"Output\n"
	"  --json            one JSON object on standard output\n"
	"  --progress        also when standard error is no terminal\n"
	"  --marks           no-ops around submit and successful reap, for counting\n"
	"                    instructions (bench/insncount.c)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 done; 1 something failed, was refused, or the extent does not hold\n"
	"the pattern; 2 wrong usage.\n";

enum {
	OPT_RW = 256,
	OPT_MIX,
	OPT_VERIFY,
	OPT_SHOW_REFUSAL,
	OPT_WRITE,
	OPT_BS,
	OPT_DEPTH,
	OPT_BATCH,
	OPT_QUEUES,
	OPT_RUNTIME,
	OPT_IOS,
	OPT_SIZE,
	OPT_SEED,
	OPT_IRQ_CPU,
	OPT_NODE,
	OPT_PRIORITY,
	OPT_PIN,
	OPT_DIRECT,
	OPT_UNSAFE,
	OPT_JSON,
	OPT_PROGRESS,
	OPT_MARKS,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "rw", required_argument, NULL, OPT_RW },
	{ "mix", required_argument, NULL, OPT_MIX },
	{ "verify", required_argument, NULL, OPT_VERIFY },
	{ "show-refusal", no_argument, NULL, OPT_SHOW_REFUSAL },
	{ "write", required_argument, NULL, OPT_WRITE },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "threads", required_argument, NULL, OPT_QUEUES },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "ios", required_argument, NULL, OPT_IOS },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "irq-cpu", required_argument, NULL, OPT_IRQ_CPU },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "priority", required_argument, NULL, OPT_PRIORITY },
	{ "pin", no_argument, NULL, OPT_PIN },
	{ "direct", no_argument, NULL, OPT_DIRECT },
	{ "unsafe", no_argument, NULL, OPT_UNSAFE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "progress", no_argument, NULL, OPT_PROGRESS },
	{ "marks", no_argument, NULL, OPT_MARKS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

void options_help(void)
{
	fputs(help, stdout);
}

static int set_pattern(struct options *o, const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (strcmp(patterns[i].name, name))
			continue;
		o->rw = patterns[i].name;
		o->random = patterns[i].random;
		o->reads = patterns[i].reads;
		return 0;
	}
	return -1;
}

static int set_verify(struct options *o, const char *what)
{
	if (!strcmp(what, "write"))
		o->action = ACTION_VERIFY_WRITE;
	else if (!strcmp(what, "read"))
		o->action = ACTION_VERIFY_READ;
	else
		return -1;
	return 0;
}

static int set_uint(unsigned int *to, const char *text, unsigned int min, unsigned int max)
{
	uint64_t n;

	if (number_whole(text, min, max, &n))
		return -1;
	*to = n;
	return 0;
}

/* The number of a place, of which 0 says that none was asked for. */
static int set_place(unsigned int *to, const char *text)
{
	if (set_uint(to, text, 0, PLACE_MAX))
		return -1;
	++*to;
	return 0;
}

const char *options_priority(int priority)
{
	static const char *const names[] = { "none", "low", "medium", "high", "urgent" };

	return priority > 0 && priority <= EXO_PRIORITY_URGENT ? names[priority] : names[0];
}

static int set_priority(struct options *o, const char *name)
{
	for (int i = EXO_PRIORITY_LOW; i <= EXO_PRIORITY_URGENT; i++) {
		if (strcmp(options_priority(i), name))
			continue;
		o->priority = i;
		return 0;
	}
	return -1;
}

static int set_runtime(struct options *o, const char *text)
{
	char *end;

	o->runtime = strtod(text, &end);
	return end == text || *end || !isfinite(o->runtime) || o->runtime <= 0 || o->runtime > 1e7
		       ? -1
		       : 0;
}

/* One option; -1 if its argument makes no sense. */
static int set(struct options *o, int option, const char *arg, unsigned int *mix)
{
	switch (option) {
	case OPT_RW:
		return set_pattern(o, arg);
	case OPT_MIX:
		return set_uint(mix, arg, 0, 100);
	case OPT_VERIFY:
		return set_verify(o, arg);
	case OPT_SHOW_REFUSAL:
		o->action = ACTION_SHOW_REFUSAL;
		return 0;
	case OPT_WRITE:
		o->serial = arg;
		return 0;
	case OPT_BS:
		return number_bytes(arg, 1, UINT64_MAX, &o->bs);
	case OPT_DEPTH:
		return set_uint(&o->depth, arg, 1, DEPTH_MAX);
	case OPT_BATCH:
		return set_uint(&o->batch, arg, 1, DEPTH_MAX);
	case OPT_QUEUES:
		return set_uint(&o->queues, arg, 1, QUEUES_MAX);
	case OPT_RUNTIME:
		return set_runtime(o, arg);
	case OPT_IOS:
		return number_whole(arg, 1, UINT64_MAX, &o->ios);
	case OPT_SIZE:
		return number_bytes(arg, 1, UINT64_MAX, &o->size);
	case OPT_SEED:
		return number_whole(arg, 0, UINT64_MAX, &o->seed);
	case OPT_IRQ_CPU:
		return set_place(&o->irq_cpu, arg);
	case OPT_NODE:
		return set_place(&o->node, arg);
	case OPT_PRIORITY:
		return set_priority(o, arg);
	case OPT_PIN:
		o->pin = true;
		return 0;
	case OPT_DIRECT:
		o->direct = true;
		return 0;
	case OPT_UNSAFE:
		o->direct = o->unsafe = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_PROGRESS:
		o->progress = true;
		return 0;
	case OPT_MARKS:
		o->marks = true;
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

unsigned int options_mode(const struct options *o)
{
	if (o->unsafe)
		return EXO_QUEUE_UNSAFE;
	return o->direct ? EXO_QUEUE_DIRECT : EXO_QUEUE_CHECKED;
}

bool options_write(const struct options *o)
{
	return o->action == ACTION_VERIFY_WRITE || (o->action == ACTION_MEASURE && o->reads < 100);
}

static void set_defaults(struct options *o)
{
	*o = (struct options){ .depth = 32, .queues = 1, .runtime = 5, .seed = 1 };
	set_pattern(o, "randread");
}

/* What only makes sense together. */
static const char *check(struct options *o, unsigned int mix)
{
	if (mix <= 100 && (o->reads == 0 || o->reads == 100))
		return "--mix is for --rw rw and --rw randrw";
	if (mix <= 100)
		o->reads = mix;
	if (!o->bs)
		o->bs = o->action == ACTION_MEASURE ? 4096 : 65536;
	if (!o->batch)
		o->batch = o->depth;
	if (o->batch > o->depth)
		return "--batch cannot be above --depth";
	if (o->marks && o->queues > 1)
		return "--marks counts one processor: it goes with one queue";
	if (o->direct && o->action == ACTION_SHOW_REFUSAL)
		return "a direct or unsafe queue refuses nothing: --show-refusal goes without";
	if (options_write(o) && !o->serial)
		return "writing destroys what the extent holds: allow it with --write SERIAL, the "
		       "controller's serial number as exoctl status shows it, or the name of the "
		       "file";
	return NULL;
}

/* 0, or -1 and the reason in @why. */
int options_parse(int argc, char **argv, struct options *o, char *why, size_t size)
{
	unsigned int mix = 101; /* not given */
	const char *problem;
	int option, index = 0;

	set_defaults(o);
	cmdline_begin();
	while ((option = cmdline_next(argc, argv, long_options, &index, why, size)) !=
	       CMDLINE_END) {
		if (option == CMDLINE_WRONG)
			return -1;
		if (set(o, option, optarg, &mix))
			return cmdline_refuse(&long_options[index], optarg, why, size);
		if (o->action == ACTION_HELP || o->action == ACTION_VERSION)
			return 0;
	}
	if (argc - optind != 1) {
		snprintf(why, size,
			 "one NAME is needed, such as exo:, nvme:0000:01:00.0/1 or uring:FILE");
		return -1;
	}
	o->name = argv[optind];
	problem = check(o, mix);
	if (!problem)
		return 0;
	snprintf(why, size, "%s", problem);
	return -1;
}
