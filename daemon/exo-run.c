// SPDX-License-Identifier: MIT
/*
 * exo-run: start a program with a session of its own and no privileges.
 *
 * As root: claim the roots, find the extents, write zeroes where blocks change
 * hands. Then become the user, open the session that the program will have (so
 * that not even its file has a privileged opener), derive into it what was
 * asked for, and become the program. See exo-run(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libexo/error.h>
#include <libexo/sys.h>

#include "identity.h"
#include "request.h"
#include "settle.h"
#include "zones.h"

#define EXIT_RUN 125	/* exo-run itself failed, as env(1) and nohup(1) have it */
#define EXIT_CANNOT 126 /* the program was found and cannot be started */
#define EXIT_NOT_FOUND 127
#define SESSION_FD 3
#define FRAME_SHIFT 12
#define DEFAULT_BYTES (64ull << 20)

/* An extent on its way from the command line to the session. */
struct grant {
	struct request request;
	struct range range;
	unsigned int block_shift;
	struct exo_namespace_query ns;
	__u32 controller; /* claimed; shared by the grants of one function */
	__u32 extent;	  /* in the claiming session */
	uint64_t object;
	uint32_t number; /* in the program's session */
};

struct job {
	struct machine machine;
	struct grant *grants;
	size_t count;
	uint64_t bytes;
	unsigned int queues;
	unsigned int zones;
	uint64_t placement;
	__u32 controller_rights;
	enum zeroing zeroing;
	bool direct;
	struct identity identity;
	int claims; /* root's session */
	int session;
	char **command;
};

static const char help[] =
	"usage: exo-run [OPTION]... --extent [NAME=]BDF/NSID[:START+LENGTH][:ro] -- CMD [ARG]...\n"
	"\n"
	"Starts CMD without privileges, with a session of /dev/exo (in EXO_FD) that holds\n"
	"  --extent …    blocks START to START+LENGTH-1 of namespace NSID of the NVMe function\n"
	"                BDF; numbers count blocks, or bytes when K, M, G or T follows; without\n"
	"                START+LENGTH the whole namespace; :ro: read only; may be repeated\n"
	"  --mem SIZE    memory for buffers, with K, M or G (64M)\n"
	"  --queues N    queue pairs on each function (1)\n"
	"  --threads     and for each, if CMD asks for it, a polling thread of the kernel's\n"
	"  --priority    and, where the device has priorities, one above medium: others wait for "
	"it\n"
	"  --direct      the whole function for CMD alone, with direct queues if it asks for\n"
	"                them: it can read and write all of the device then, not only the "
	"extents,\n"
	"                and after it no block is known to be anybody's (see --keep)\n"
	"  --zones N     of an extent with zones, how many may be open and active at a time (it\n"
	"                shares those that nobody has set aside)\n"
	"  --placement LIST  placement identifiers that writes may name, like 1,2\n"
	"and runs it as\n"
	"  --user USER   a name, UID or UID:GID (who called sudo, else nobody)\n"
	"Blocks that this user was not the last to hold since exoctl bind are overwritten with\n"
	"zeroes first, unless read only.\n"
	"  --keep        write nothing: CMD sees what is there (also --no-zero)\n"
	"  --zero        write zeroes in any case\n"
	"  --help, --version\n"
	"Exit status: CMD's, or 125 exo-run failed, 126 CMD cannot be started, 127 no such CMD.\n";

static void __attribute__((noreturn)) printf_like(2, 3) fail(int code, const char *what, ...)
{
	va_list args;

	fprintf(stderr, "exo-run: ");
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(code);
}

/* Ends the program if a command of exo.ko failed. */
static void must(int ret, const struct exo_detail *detail, const char *what)
{
	char text[256];

	if (ret)
		fail(EXIT_RUN, "%s: %s", what, exo_explain(text, sizeof(text), ret, detail));
}

/* ---- what was asked for ---- */

static void add_grant(struct job *job, const char *text)
{
	struct request request;
	const char *why = request_parse(text, &request);

	if (why)
		fail(EXIT_RUN, "--extent %s: %s", text, why);
	for (size_t i = 0; i < job->count; i++)
		if (request.name[0] && !strcmp(request.name, job->grants[i].request.name))
			fail(EXIT_RUN, "two extents cannot both be called %s", request.name);
	job->grants = must_alloc(job->grants, (job->count + 1) * sizeof(*job->grants));
	job->grants[job->count++] = (struct grant){ .request = request };
}

static void set_number(const char *option, const char *text, unsigned int *number)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || !value || value > 0xffff)
		fail(EXIT_RUN, "--%s %s: not a number from 1 to 65535", option, text);
	*number = value;
}

static void set_zeroing(struct job *job, enum zeroing zeroing)
{
	if (job->zeroing != ZERO_FOREIGN && job->zeroing != zeroing)
		fail(EXIT_RUN, "--keep and --zero exclude each other");
	job->zeroing = zeroing;
}

static void parse_options(struct job *job, int argc, char **argv)
{
	static const struct option known[] = {
		{ "extent", required_argument, NULL, 'e' },
		{ "mem", required_argument, NULL, 'm' },
		{ "queues", required_argument, NULL, 'q' },
		{ "threads", no_argument, NULL, 't' },
		{ "priority", no_argument, NULL, 'p' },
		{ "direct", no_argument, NULL, 'd' },
		{ "zones", required_argument, NULL, 'Z' },
		{ "placement", required_argument, NULL, 'P' },
		{ "user", required_argument, NULL, 'u' },
		{ "keep", no_argument, NULL, 'k' },
		{ "no-zero", no_argument, NULL, 'k' },
		{ "zero", no_argument, NULL, 'z' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	const char *why, *user = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "+h", known, NULL)) >= 0) {
		switch (option) {
		case 'e':
			add_grant(job, optarg);
			break;
		case 'm':
			why = request_bytes(optarg, &job->bytes);
			if (why)
				fail(EXIT_RUN, "--mem %s: %s", optarg, why);
			break;
		case 'q':
			set_number("queues", optarg, &job->queues);
			break;
		case 't':
			job->controller_rights |= EXO_RIGHT_THREAD;
			break;
		case 'p':
			job->controller_rights |= EXO_RIGHT_PRIORITY;
			break;
		case 'd':
			job->direct = true;
			job->controller_rights |= EXO_RIGHT_DIRECT;
			break;
		case 'P':
			why = request_placement(optarg, &job->placement);
			if (why)
				fail(EXIT_RUN, "--placement %s: %s", optarg, why);
			break;
		case 'Z':
			set_number("zones", optarg, &job->zones);
			break;
		case 'u':
			user = optarg;
			break;
		case 'k':
			set_zeroing(job, ZERO_NEVER);
			break;
		case 'z':
			set_zeroing(job, ZERO_ALWAYS);
			break;
		case 'h':
			fputs(help, stdout);
			exit(EXIT_SUCCESS);
		case 'V':
			printf("exo-run %d.%d\n", EXO_VERSION_MAJOR, EXO_VERSION_MINOR);
			exit(EXIT_SUCCESS);
		default:
			fail(EXIT_RUN, "exo-run --help says how it is used");
		}
	}
	if (!job->count)
		fail(EXIT_RUN, "no --extent; exo-run --help says how it is used");
	job->command = argv + optind;
	if (!job->command[0])
		fail(EXIT_RUN, "no command after --");
	why = identity_find(user, &job->identity);
	if (why)
		fail(EXIT_RUN, "--user %s: %s", user ? user : getenv("SUDO_UID"), why);
}

/* A mistyped command must not cost anybody's data: looked for before zeroing. */
static void check_command(const char *command)
{
	const char *path = getenv("PATH");
	char *copy, *rest, *folder;
	bool found = false;

	if (strchr(command, '/')) {
		if (access(command, F_OK))
			fail(EXIT_NOT_FOUND, "%s: %s", command, strerror(errno));
		return;
	}
	copy = rest = must_print("%s", path ? path : "/bin:/usr/bin");
	while (!found && (folder = strsep(&rest, ":"))) {
		char *file = must_print("%s/%s", folder[0] ? folder : ".", command);

		found = !access(file, X_OK);
		free(file);
	}
	free(copy);
	if (!found)
		fail(EXIT_NOT_FOUND, "%s: no such command", command);
}

/* ---- as root ---- */

static int open_session(void)
{
	int fd = open(EXO_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		fail(EXIT_RUN, EXO_DEVICE " is missing: modprobe exo; exoctl doctor helps");
	if (fd < 0 && errno == EACCES)
		fail(EXIT_RUN,
		     EXO_DEVICE " cannot be opened by user %u: install exo's udev rule, or "
				"chmod 666 " EXO_DEVICE " (by itself it gives nobody anything)",
		     geteuid());
	if (fd < 0)
		fail(EXIT_RUN, EXO_DEVICE ": %s", strerror(errno));
	return fd;
}

static __u32 claim(const struct job *job, __u32 type, const char *address)
{
	struct exo_detail detail = {};
	struct exo_claim arg = {
		.detail = exo_sys_address(&detail),
		.type = type,
		.address = address ? address_number(address) : 0,
	};
	int ret = exo_sys_claim(job->claims, &arg);

	if (ret == -ENODEV)
		fail(EXIT_RUN, "%s is not bound to exo: exoctl bind %s", address, address);
	must(ret, &detail, address ? address : "the machine's memory");
	return arg.out_cap;
}

static void claim_controller_of(struct job *job, struct grant *grant)
{
	for (const struct grant *other = job->grants; other < grant; other++) {
		if (strcmp(other->request.address, grant->request.address))
			continue;
		grant->controller = other->controller;
		return;
	}
	grant->controller = claim(job, EXO_TYPE_CONTROLLER, grant->request.address);
}

static void find_blocks(struct job *job, struct grant *grant)
{
	struct exo_detail detail = {};
	struct exo_namespace_query arg = {
		.detail = exo_sys_address(&detail),
		.controller = grant->controller,
		.nsid = grant->request.nsid,
	};
	char what[64];
	const char *why;

	snprintf(what, sizeof(what), "%s namespace %u", grant->request.address, arg.nsid);
	must(exo_sys_namespace_query(job->claims, &arg), &detail, what);
	grant->block_shift = arg.out_block_shift;
	grant->ns = arg;
	why = request_resolve(&grant->request, arg.out_block_shift, arg.out_blocks, &grant->range);
	if (why)
		fail(EXIT_RUN, "%s: %s; it has %llu blocks of %u bytes", what, why, arg.out_blocks,
		     1u << arg.out_block_shift);
	why = request_check_zones(&grant->range, arg.out_zone_blocks);
	if (why)
		fail(EXIT_RUN, "%s: %s, which is %llu blocks of %u bytes", what, why,
		     arg.out_zone_blocks, 1u << arg.out_block_shift);
}

static void make_extent(struct job *job, struct grant *grant)
{
	struct exo_detail detail = {};
	struct exo_extent_create arg = {
		.detail = exo_sys_address(&detail),
		.controller = grant->controller,
		.nsid = grant->request.nsid,
		.rights = grant->request.readonly
				  ? EXO_RIGHT_READ
				  : EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM,
		.start = grant->range.start,
		.len = grant->range.length,
		.placement = job->placement,
	};
	struct exo_cap_query query = {};
	const char *why = zones_set_quota(&arg, &grant->ns, job->zones);

	if (!why && job->placement && !grant->ns.out_placement)
		why = "--placement: data placement is not enabled for the namespace";
	if (why)
		fail(EXIT_RUN, "%s namespace %u: %s", grant->request.address, grant->request.nsid,
		     why);
	must(exo_sys_extent_create(job->claims, &arg), &detail, "the extent");
	grant->extent = arg.out_cap;
	query.cap = arg.out_cap;
	must(exo_sys_cap_query(job->claims, &query), NULL, "the extent");
	grant->object = query.out_object;
}

/* What is bound to fail later must fail before anything is written. */
static void check_queues(const struct job *job, const struct grant *grant)
{
	struct exo_controller_query query = { .controller = grant->controller };
	unsigned int left;

	must(exo_sys_controller_query(job->claims, &query), NULL, grant->request.address);
	left = query.out_queues - query.out_queues_used;
	if (job->queues > left)
		fail(EXIT_RUN, "--queues %u: %s has %u of its %u queues left", job->queues,
		     grant->request.address, left, query.out_queues);
}

static void check_memory(const struct job *job, __u32 memory)
{
	struct exo_pool_query query = { .pool = memory };
	uint64_t left;

	must(exo_sys_pool_query(job->claims, &query), NULL, "the machine's memory");
	left = (query.out_budget - query.out_used) << FRAME_SHIFT;
	if (job->bytes > left)
		fail(EXIT_RUN, "--mem: %" PRIu64 " MiB wanted, and exo has %" PRIu64 " MiB left",
		     job->bytes >> 20, left >> 20);
}

/* An earlier grant of the same function, or NULL. */
static const struct grant *seen_before(const struct job *job, const struct grant *grant)
{
	for (const struct grant *other = job->grants; other < grant; other++)
		if (!strcmp(other->request.address, grant->request.address))
			return other;
	return NULL;
}

/* ---- a function for the program alone ---- */

static __u32 make_exclusive(const struct job *job, const struct grant *grant)
{
	struct exo_detail detail = {};
	struct exo_controller_create arg = {
		.flags = EXO_CONTROLLER_EXCLUSIVE,
		.detail = exo_sys_address(&detail),
		.controller = grant->controller,
		.rights = job->controller_rights | EXO_RIGHT_EXTENT,
		.queues = job->queues,
	};
	char what[64];

	snprintf(what, sizeof(what), "--direct on %s", grant->request.address);
	must(exo_sys_controller_create(job->claims, &arg), &detail, what);
	return arg.out_cap;
}

static void drop(const struct job *job, __u32 cap)
{
	struct exo_cap_drop arg = { .cap = cap };

	must(exo_sys_cap_drop(job->claims, &arg), NULL, "a capability");
}

/* Whoever has something there now is not asked twice, nor is anything written before. */
static void check_exclusive(const struct job *job, const struct grant *grant)
{
	if (job->direct && !seen_before(job, grant))
		drop(job, make_exclusive(job, grant));
}

/* What was made through the root is made again, through a controller that has it alone. */
static void take_alone(struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		drop(job, job->grants[i].extent);
	for (size_t i = 0; i < job->count; i++) {
		struct grant *grant = &job->grants[i];
		const struct grant *other = seen_before(job, grant);

		grant->controller = other ? other->controller : make_exclusive(job, grant);
		make_extent(job, grant);
	}
}

/* ---- zeroes where blocks change hands ---- */

/* All grants of one function under one lock of its history. CMD will have our number. */
static void settle_function(const struct job *job, const char *address)
{
	struct parcel *parcels = must_alloc(NULL, job->count * sizeof(*parcels));
	size_t count = 0;

	for (size_t i = 0; i < job->count; i++) {
		const struct grant *grant = &job->grants[i];

		if (strcmp(grant->request.address, address) || grant->request.readonly)
			continue;
		parcels[count++] = (struct parcel){
			.nsid = grant->request.nsid,
			.block_shift = grant->block_shift,
			.object = grant->object,
			.range = grant->range,
		};
	}
	if (settle(&job->machine, address, parcels, count, job->identity.user, job->zeroing))
		exit(EXIT_RUN);
	free(parcels);
}

/* ---- as the user ---- */

static __u32 derive(const struct job *job, __u32 cap, __u32 rights)
{
	struct exo_detail detail = {};
	struct exo_cap_derive arg = {
		.detail = exo_sys_address(&detail),
		.cap = cap,
		.rights = rights,
		.session_fd = job->session,
	};

	must(exo_sys_cap_derive(job->claims, &arg), &detail, "a capability for the program");
	return arg.out_cap;
}

static void grant_pool(const struct job *job, __u32 memory)
{
	struct exo_detail detail = {};
	struct exo_pool_create arg = {
		.detail = exo_sys_address(&detail),
		.pool = memory,
		.rights = EXO_RIGHT_ALLOC,
		.frames = (job->bytes + (1u << FRAME_SHIFT) - 1) >> FRAME_SHIFT,
	};
	char what[48];

	snprintf(what, sizeof(what), "--mem %" PRIu64 "K", (uint64_t)arg.frames << 2);
	must(exo_sys_pool_create(job->claims, &arg), &detail, what);
	derive(job, arg.out_cap, EXO_RIGHT_ALLOC);
}

static void grant_queues(const struct job *job, const struct grant *grant)
{
	struct exo_detail detail = {};
	struct exo_controller_create arg = {
		.detail = exo_sys_address(&detail),
		.controller = grant->controller,
		.rights = job->controller_rights,
		.queues = job->queues,
	};
	char what[64];

	if (job->direct) {
		derive(job, grant->controller, job->controller_rights);
		return;
	}
	snprintf(what, sizeof(what), "--queues %u on %s", job->queues, grant->request.address);
	must(exo_sys_controller_create(job->claims, &arg), &detail, what);
	derive(job, arg.out_cap, job->controller_rights);
}

static void grant_all(struct job *job, __u32 memory)
{
	for (size_t i = 0; i < job->count; i++) {
		struct grant *grant = &job->grants[i];

		if (!seen_before(job, grant))
			grant_queues(job, grant);
		grant->number = derive(job, grant->extent,
				       grant->request.readonly
					       ? EXO_RIGHT_READ
					       : EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM);
	}
	grant_pool(job, memory);
}

static void set_environment(const struct job *job)
{
	const struct identity *identity = &job->identity;
	char number[16], *names = must_print("%s", "");

	for (size_t i = 0; i < job->count; i++) {
		const struct grant *grant = &job->grants[i];
		char *longer;

		if (!grant->request.name[0])
			continue;
		longer = must_print("%s%s%s=%u", names, names[0] ? "," : "", grant->request.name,
				    grant->number);
		free(names);
		names = longer;
	}
	snprintf(number, sizeof(number), "%d", SESSION_FD);
	setenv("EXO_FD", number, 1);
	if (names[0])
		setenv("EXO_NAMES", names, 1);
	else
		unsetenv("EXO_NAMES");
	free(names);
	if (identity->name[0]) {
		setenv("USER", identity->name, 1);
		setenv("LOGNAME", identity->name, 1);
		setenv("HOME", identity->home, 1);
	}
}

/* So that no file of ours is taken for the program's input or output. */
static void open_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Of all open files the program gets 0, 1, 2 and its session. */
static void keep_only_session(const struct job *job)
{
	if (job->session == SESSION_FD ? fcntl(SESSION_FD, F_SETFD, 0)
				       : dup2(job->session, SESSION_FD) < 0)
		fail(EXIT_RUN, "the session's file: %s", strerror(errno));
	if (close_range(SESSION_FD + 1, ~0u, 0))
		fail(EXIT_RUN, "closing files: %s", strerror(errno));
}

static void __attribute__((noreturn)) become_command(const struct job *job)
{
	execvp(job->command[0], job->command);
	fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT, "%s, as user %u: %s", job->command[0],
	     geteuid(), strerror(errno));
}

int main(int argc, char **argv)
{
	struct job job = { .bytes = DEFAULT_BYTES,
			   .queues = 1,
			   .controller_rights = EXO_RIGHT_QUEUE };
	const char *failed;
	__u32 memory;

	open_standard_files();
	parse_options(&job, argc, argv);
	check_command(job.command[0]);
	if (geteuid())
		fail(EXIT_RUN, "claiming needs root: sudo exo-run … (CMD will run as you)");
	if (machine_open(&job.machine, "/"))
		fail(EXIT_RUN, "/: %s", strerror(errno));

	job.claims = open_session();
	memory = claim(&job, EXO_TYPE_POOL, NULL);
	for (size_t i = 0; i < job.count; i++) {
		claim_controller_of(&job, &job.grants[i]);
		check_exclusive(&job, &job.grants[i]);
		find_blocks(&job, &job.grants[i]);
		make_extent(&job, &job.grants[i]);
		check_queues(&job, &job.grants[i]);
	}
	check_memory(&job, memory);
	for (size_t i = 0; i < job.count; i++)
		if (!seen_before(&job, &job.grants[i]))
			settle_function(&job, job.grants[i].request.address);
	if (job.direct)
		take_alone(&job);

	failed = identity_become(&job.identity);
	if (failed)
		fail(EXIT_RUN, "giving up privileges (%s): %s", failed, strerror(errno));
	job.session = open_session();
	grant_all(&job, memory);
	set_environment(&job);
	keep_only_session(&job);
	become_command(&job);
}
