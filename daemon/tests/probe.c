// SPDX-License-Identifier: MIT
/*
 * What a program finds that exo-run has started; for exo-run.vm.sh.
 *
 *	probe read NAME BLOCK		prints the first word of the block, in hex
 *	probe write NAME BLOCK WORD	writes it
 *	probe append NAME ZONE WORD	appends it to the zone at that block, prints where, then the
 *					zone's state and how much of it is written
 *	probe blocks NAME		prints how many blocks the extent has
 *	probe caps			prints type and rights of each capability
 *	probe claim			tries to claim the machine's memory
 *	probe files			prints the numbers of open files
 *	probe stream NAME		reads until it fails, says "ready" at first and why at last
 *	probe wait			says "ready" and waits for the end of its input
 *	probe hold NAME			the same with a queue and a buffer; reads block 0 then
 *	probe yield NAME		the same until it is asked for something: then it ends
 *	probe many N			derives so many capabilities, says "ready", and waits
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libexo.h>

static int session(void)
{
	const char *fd = getenv("EXO_FD");

	if (!fd)
		errx(1, "no EXO_FD");
	return atoi(fd);
}

static int move(const char *command, const char *name, const char *block, const char *word)
{
	unsigned int rights = word ? EXO_WRITE : EXO_READ;
	uint64_t lba = strtoull(block, NULL, 0), *buf;
	struct exo_queue *q;
	struct exo *x;
	int ret;

	if ((ret = exo_open(name, rights, &x)) || (ret = exo_queue_create(x, NULL, &q)) ||
	    (ret = exo_buf_alloc(q, exo_block_size(x), (void **)&buf)))
		errx(1, "%s", exo_strerror(x, ret));
	if (word)
		*buf = strtoull(word, NULL, 16);
	ret = word ? exo_write(q, buf, lba, 1) : exo_read(q, buf, lba, 1);
	if (ret)
		errx(1, "%s: %s", command, exo_strerror(x, ret));
	if (!word)
		printf("%" PRIx64 "\n", *buf);
	exo_close(x);
	return 0;
}

static void run(struct exo_queue *q, const char *what, struct exo_completion *done)
{
	int ret = exo_submit(q);

	if (ret > 0)
		ret = exo_wait(q, done, 1, -1);
	if (ret < 0)
		errx(1, "%s: %s", what, exo_queue_strerror(q, ret));
	if (exo_nvme_status(&done->raw))
		errx(1, "%s: %s", what, exo_nvme_status_text(exo_nvme_status(&done->raw)));
}

static int append(const char *name, const char *block, const char *word)
{
	uint64_t zone = strtoull(block, NULL, 0), *buf;
	struct exo_nvme_zone_report *report;
	struct exo_completion done;
	struct exo_queue *q;
	struct exo *x;
	int ret;

	if ((ret = exo_open(name, EXO_READ | EXO_WRITE, &x)) ||
	    (ret = exo_queue_create(x, NULL, &q)) ||
	    (ret = exo_buf_alloc(q, exo_block_size(x), (void **)&buf)) ||
	    (ret = exo_buf_alloc(q, 4096, (void **)&report)))
		errx(1, "%s", exo_strerror(x, ret));
	*buf = strtoull(word, NULL, 16);
	exo_prep_zone_append(q, buf, zone, 1, 0);
	run(q, "append", &done);
	printf("%" PRIu64, exo_zone_appended(q, &done.raw));
	exo_prep_zone_report(q, report, zone, 1, 0);
	run(q, "report", &done);
	printf(" %d %" PRIu64 "\n", EXO_NVME_ZONE_STATE(&report->zones[0]),
	       report->zones[0].wp - report->zones[0].slba);
	exo_close(x);
	return 0;
}

/* The device is taken away under it: that must end in an error, not in a hang. */
static int stream(const char *name)
{
	struct exo_queue *q;
	struct exo *x;
	void *buf;
	int ret;

	if ((ret = exo_open(name, EXO_READ, &x)) || (ret = exo_queue_create(x, NULL, &q)) ||
	    (ret = exo_buf_alloc(q, 4096, &buf)) || (ret = exo_read(q, buf, 0, 1)))
		errx(1, "%s", exo_strerror(x, ret));
	puts("ready");
	fflush(stdout);
	while (!ret)
		ret = exo_read(q, buf, 0, 1);
	printf("%s: %s\n", strerrorname_np(-ret), exo_strerror(x, ret));
	exo_close(x);
	return 0;
}

static int blocks(const char *name)
{
	struct exo *x;
	int ret = exo_open(name, EXO_READ, &x);

	if (ret)
		errx(1, "%s", exo_strerror(x, ret));
	printf("%" PRIu64 "\n", exo_blocks(x));
	exo_close(x);
	return 0;
}

static int list(void)
{
	static const char *const type[] = {
		"?", "pool", "frames", "controller", "extent", "queue"
	};
	__u32 caps[64];
	struct exo_cap_list arg = { .count = 64, .caps = exo_sys_address(caps) };
	int ret = exo_sys_cap_list(session(), &arg);

	if (ret)
		errx(1, "list: %s", strerror(-ret));
	for (__u32 i = 0; i < arg.out_count; i++) {
		struct exo_cap_query query = { .cap = caps[i] };

		ret = exo_sys_cap_query(session(), &query);
		if (ret)
			errx(1, "query: %s", strerror(-ret));
		printf("%s %#x\n", type[query.out_type <= 5 ? query.out_type : 0],
		       query.out_rights);
	}
	return 0;
}

static int claim(void)
{
	struct exo_claim arg = { .type = EXO_TYPE_POOL };
	int ret = exo_sys_claim(session(), &arg);

	if (ret)
		errx(1, "claim: %s", strerror(-ret));
	return 0;
}

static int files(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%s%d", fd ? " " : "", fd);
	printf("\n");
	return 0;
}

static int wait_for_end(void)
{
	char byte;

	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

static int hold(const char *name)
{
	struct exo_queue *q;
	struct exo *x;
	void *buf;
	int ret;

	if ((ret = exo_open(name, EXO_READ, &x)) || (ret = exo_queue_create(x, NULL, &q)) ||
	    (ret = exo_buf_alloc(q, 16384, &buf)))
		errx(1, "%s", exo_strerror(x, ret));
	wait_for_end();
	ret = exo_read(q, buf, 0, 1);
	if (ret)
		errx(1, "%s", exo_strerror(x, ret));
	puts("read");
	exo_close(x);
	return 0;
}

static int yield(const char *name)
{
	struct exo_event event = {};
	struct pollfd fd;
	struct exo *x;
	int ret;

	if ((ret = exo_open(name, EXO_READ, &x)) || (ret = exo_events_open(x, 0)))
		errx(1, "%s", exo_strerror(x, ret));
	fd = (struct pollfd){ .fd = exo_fd(x), .events = POLLIN };
	puts("ready");
	fflush(stdout);
	while (event.type != EXO_EVENT_REVOKE) {
		ret = exo_event_next(x, &event);
		if (ret < 0)
			errx(1, "%s", exo_strerror(x, ret));
		if (!ret)
			poll(&fd, 1, -1);
	}
	exo_close(x);
	return 0;
}

static int many(unsigned long n)
{
	struct exo_cap_list list = { .count = 1 };
	struct exo_cap_derive arg = { .session_fd = EXO_SESSION_SELF, .rights = EXO_RIGHT_READ };
	struct exo_cap_query query = {};

	list.caps = exo_sys_address(&query.cap);
	do {
		list.after = query.cap;
		if (exo_sys_cap_list(session(), &list) || !list.out_count ||
		    exo_sys_cap_query(session(), &query))
			errx(1, "no extent in the session");
	} while (query.out_type != EXO_TYPE_EXTENT);
	arg.cap = query.cap;
	for (unsigned long i = 0; i < n; i++) {
		int ret = exo_sys_cap_derive(session(), &arg);

		if (ret)
			errx(1, "derive: %s", strerror(-ret));
	}
	return wait_for_end();
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (!strcmp(command, "read") && argc == 4)
		return move(command, argv[2], argv[3], NULL);
	if (!strcmp(command, "write") && argc == 5)
		return move(command, argv[2], argv[3], argv[4]);
	if (!strcmp(command, "append") && argc == 5)
		return append(argv[2], argv[3], argv[4]);
	if (!strcmp(command, "blocks") && argc == 3)
		return blocks(argv[2]);
	if (!strcmp(command, "caps"))
		return list();
	if (!strcmp(command, "claim"))
		return claim();
	if (!strcmp(command, "stream") && argc == 3)
		return stream(argv[2]);
	if (!strcmp(command, "files"))
		return files();
	if (!strcmp(command, "wait"))
		return wait_for_end();
	if (!strcmp(command, "hold") && argc == 3)
		return hold(argv[2]);
	if (!strcmp(command, "yield") && argc == 3)
		return yield(argv[2]);
	if (!strcmp(command, "many") && argc == 3)
		return many(strtoul(argv[2], NULL, 10));
	errx(2, "probe read|write|append|blocks|caps|claim|files|stream|wait|hold|yield|many …");
}
