// SPDX-License-Identifier: MIT
/*
 * The fuzzer, in the guest: workers run inputs (worker.c), this process watches that a
 * neighbour notices nothing, that the kernel's log stays clean, that no worker dies and
 * no run takes for ever; it says every ten seconds how far they are. When something
 * happened it saves what each worker ran last.
 *
 * EXO_FUZZ_MINUTES: how long. Without it the inputs of the corpus are run once, or those of
 * the file EXO_FUZZ_REPLAY, as often as EXO_FUZZ_TIMES says (1): as selftest, and to see a
 * failure again. EXO_FUZZ_WORKERS: how many (2).
 */
#include <dirent.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "exec.h"
#include "fuzz.h"

#define CORPUS "/exo/selftests/fuzz/corpus"
#define STUCK_MS 120000u
#define FAILURES_MAX 10u

enum { CORPUS_READ, WORKERS_LIVE, RUNS_END, VICTIM_WHOLE, LOG_CLEAN, NOTHING_LEFT, CHECKS };
static const char *const sentences[CHECKS] = {
	[CORPUS_READ] = "the inputs can be read",
	[WORKERS_LIVE] = "no worker dies",
	[RUNS_END] = "every run ends within two minutes",
	[VICTIM_WHOLE] = "a neighbour's blocks, frames and queue are as they were",
	[LOG_CLEAN] = "the kernel's log stays clean",
	[NOTHING_LEFT] = "all frames and queues come back",
};

static bool failed[CHECKS];
static unsigned int failures;
static struct fuzz *fuzz;
static struct world world;
static struct victim victim;
static pid_t pids[WORKERS_MAX];

static void save_recent(unsigned int number, const char *why)
{
	const struct worker *w = &fuzz->worker[number];
	char path[96], text[TEXT_MAX];
	unsigned long i;
	FILE *file;

	snprintf(path, sizeof(path), RESULTS "failure-%u-%u.fuzz", failures, number);
	file = fopen(path, "w");
	if (!file)
		return;
	fprintf(file, "# %s\n# %s run; the last one may not have ended\n", why,
		number % 2 ? "root's" : "a tenant's");
	for (i = w->runs < RECENT - 1 ? 0 : w->runs - (RECENT - 1); i <= w->runs; i++) {
		text[input_print(&w->recent[i % RECENT], text, sizeof(text))] = 0;
		fprintf(file, "\n%s", text);
	}
	fclose(file);
}

static void fail(unsigned int check, const char *why)
{
	unsigned int i;

	failed[check] = true;
	if (failures >= FAILURES_MAX)
		return;
	failures++;
	printf("# %s; see failure-%u-*.fuzz\n", why, failures);
	for (i = 0; i < fuzz->workers; i++)
		save_recent(i, why);
}

/* ---- inputs ---- */

static void read_inputs(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned int line = 0;
	int ret = -1;

	while (file && fuzz->corpus_n < CORPUS_MAX / 2 &&
	       (ret = input_read(file, &fuzz->corpus[fuzz->corpus_n], &line)) > 0)
		fuzz->corpus_n++;
	if (!file || ret < 0) {
		printf("# %s: line %u is no operation\n", path, line);
		failed[CORPUS_READ] = true;
	}
	if (file)
		fclose(file);
}

static void read_corpus(void)
{
	DIR *dir = opendir(CORPUS);
	struct dirent *entry;
	char path[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		if (!strstr(entry->d_name, ".fuzz"))
			continue;
		snprintf(path, sizeof(path), CORPUS "/%s", entry->d_name);
		read_inputs(path);
	}
	if (dir)
		closedir(dir);
	fuzz->given = fuzz->corpus_n;
	failed[CORPUS_READ] |= !fuzz->given;
}

/* ---- watching ---- */

static void watch_workers(void)
{
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		char why[64];

		snprintf(why, sizeof(why), "a worker died: status %#x", (unsigned int)status);
		if (status)
			fail(WORKERS_LIVE, why);
		for (i = 0; i < fuzz->workers; i++)
			if (pids[i] == pid)
				pids[i] = 0;
	}
	for (i = 0; i < fuzz->workers; i++) {
		__u64 began = __atomic_load_n(&fuzz->worker[i].began_ms, __ATOMIC_RELAXED);

		if (pids[i] && began && now_ms() > began + STUCK_MS && !failed[RUNS_END])
			fail(RUNS_END, "a run does not end");
	}
}

static void watch(void)
{
	const char *why = failed[VICTIM_WHOLE] ? NULL : victim_check(&victim);

	if (why)
		fail(VICTIM_WHOLE, why);
	while ((why = log_next()))
		fail(LOG_CLEAN, why);
	watch_workers();
}

static unsigned long runs(void)
{
	unsigned long n = 0;
	unsigned int i;

	for (i = 0; i < fuzz->workers; i++)
		n += fuzz->worker[i].runs;
	return n;
}

static void progress(__u64 began)
{
	unsigned long seconds = (now_ms() - began) / 1000;

	printf("# %lu s: %lu runs (%lu a second), %u places, %u inputs (%u given)\n", seconds,
	       runs(), runs() / (seconds ? seconds : 1), fuzz->fresh, fuzz->corpus_n, fuzz->given);
	fflush(stdout);
}

/* ---- the end ---- */

static void save_places(void)
{
	FILE *file = fopen(RESULTS "places", "w");
	unsigned int i;

	for (i = 0; file && i < COVER_PLACES; i++)
		if (fuzz->places.seen[i])
			fprintf(file, "%x\n", i);
	if (file)
		fclose(file);
}

static void stop_workers(void)
{
	unsigned int i;
	__u64 end = now_ms() + STUCK_MS;

	__atomic_store_n(&fuzz->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < fuzz->workers; i++) {
		int status = 0;

		while (pids[i] && !waitpid(pids[i], &status, WNOHANG) && now_ms() < end)
			usleep(10000);
		if (status)
			fail(WORKERS_LIVE, "a worker ended badly");
		if (pids[i] && now_ms() >= end)
			fail(RUNS_END, "a worker does not end");
	}
}

/* Short ones first: a long one stays for what only it reaches. */
static int by_length(const void *a, const void *b)
{
	return (int)((const struct input *)a)->n - (int)((const struct input *)b)->n;
}

static void save_found(void)
{
	FILE *file = fopen(RESULTS "found.fuzz", "w");
	unsigned int i, kept = 0;
	char text[TEXT_MAX];

	if (!file)
		return;
	fprintf(file, "# SPDX-License-Identifier: MIT\n# Found by make fuzz.\n");
	for (i = fuzz->given; i < fuzz->corpus_n; i++) {
		if (!fuzz->needed[i])
			continue;
		text[input_print(&fuzz->corpus[i], text, sizeof(text))] = 0;
		fprintf(file, "\n%s", text);
		kept++;
	}
	fclose(file);
	printf("# of %u inputs found, %u reach all that they reach together\n",
	       fuzz->corpus_n - fuzz->given, kept);
}

/* Of what was found, the inputs that are worth to be kept: as a tenant's and as root's. */
static void distill(void)
{
	unsigned int number;

	qsort(fuzz->corpus + fuzz->given, fuzz->corpus_n - fuzz->given, sizeof(struct input),
	      by_length);
	for (number = 0; number < 2; number++) {
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (!pid)
			distill_main(fuzz, &world, number);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	watch();
	save_found();
}

static void check_left(__u64 frames, __u64 adopted)
{
	struct exo_controller_query q;
	__u32 i;

	world_tidy(&world);
	if (frames_used_soon(world.grantor, frames) != frames ||
	    memory_adopted(world.grantor) != adopted)
		failed[NOTHING_LEFT] = true;
	for (i = 0; i < 2; i++) {
		if (controller_query(world.grantor, world.root_controller[i], &q) ||
		    q.out_state != EXO_CONTROLLER_LIVE || q.out_queues_used != 1 - i) {
			printf("# controller %u: state %u, %u queues in use\n", i, q.out_state,
			       q.out_queues_used);
			failed[NOTHING_LEFT] = true;
		}
	}
}

static unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text && *text ? (unsigned int)strtoul(text, NULL, 10) : otherwise;
}

static void fuzz_all(void)
{
	__u64 began = now_ms(), end = began + number_of("EXO_FUZZ_MINUTES", 1) * 60000ull;
	unsigned int i;

	fuzz->workers = number_of("EXO_FUZZ_WORKERS", 2) % (WORKERS_MAX + 1);
	for (i = 0; i < fuzz->workers; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (!pids[i])
			worker_main(fuzz, &world, i);
	}
	for (i = 1; now_ms() < end; i++) {
		watch();
		if (i % 20 == 0)
			progress(began);
		usleep(500000);
	}
	stop_workers();
	watch();
	progress(began);
	save_places();
	distill();
}

/* Each input as a tenant's and as root's, as nobody knows which it was. */
static void replay_as(unsigned int number)
{
	unsigned int i, j, times = number_of("EXO_FUZZ_TIMES", 1);

	if (executor_init())
		_exit(3);
	if (number % 2 == 0) {
		world.root = false;
		if (become_nobody())
			_exit(3);
	}
	for (j = 0; j < times; j++)
		for (i = 0; i < fuzz->corpus_n; i++) {
			struct worker *w = &fuzz->worker[number];

			w->recent[w->runs % RECENT] = fuzz->corpus[i];
			__atomic_store_n(&w->began_ms, now_ms(), __ATOMIC_RELAXED);
			executor_run(&world, &fuzz->corpus[i]);
			w->runs++;
		}
	_exit(0);
}

static void replay_all(void)
{
	unsigned int i;

	fuzz->workers = 2;
	for (i = 0; i < 2; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (!pids[i])
			replay_as(i);
		while (pids[i] && !failed[RUNS_END]) {
			watch();
			usleep(50000);
		}
	}
	watch();
	printf("# %u inputs, as a tenant and as root: %lu runs\n", fuzz->corpus_n, runs());
}

/* Without the module or the machine's controllers there is nothing to try. */
static int cannot_begin(const char *why, int ret)
{
	const char *how = ret == -ENODEV ? "1..0 # SKIP" : "TAP version 13\n1..1\nnot ok 1";

	printf("%s %s: %s\n", how, why, strerror(-ret));
	return ret == -ENODEV ? 4 : 1;
}

int main(void)
{
	const char *why = NULL, *replay = getenv("EXO_FUZZ_REPLAY");
	__u64 frames, adopted;
	unsigned int i;
	int ret;

	fuzz = mmap(NULL, sizeof(*fuzz), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fuzz == MAP_FAILED)
		return cannot_begin("memory", -ENOMEM);
	ret = world_open(&world, &why);
	if (!ret)
		ret = victim_create(&world, &victim, &why);
	if (ret)
		return cannot_begin(why, ret);
	if (log_open()) {
		printf("Bail out! the kernel's log cannot be read\n");
		return 1;
	}
	umask(0);
	mkdir(RESULTS "corpus", 0777);
	frames = frames_used(world.grantor);
	adopted = memory_adopted(world.grantor);
	printf("TAP version 13\n1..%d\n", CHECKS);
	if (replay)
		read_inputs(replay);
	else
		read_corpus();
	if (getenv("EXO_FUZZ_MINUTES"))
		fuzz_all();
	else
		replay_all();
	check_left(frames, adopted);
	for (i = 0; i < CHECKS; i++) {
		printf("%sok %u %s\n", failed[i] ? "not " : "", i + 1, sentences[i]);
		if (failed[i])
			failures++;
	}
	return failures != 0;
}
