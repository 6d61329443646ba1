// SPDX-License-Identifier: MIT
/*
 * The engines that need no device, on a file: mmap() and O_DIRECT.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plain.h"
#include "tap.h"

#define COUNT 200 /* pages; the pool has 16, or 64 */

static char path[4096];
static const char *const engines[] = { "mmap", "direct" };

static int try_open(const char *engine, bool write, uint64_t grow, uint64_t memory,
		    struct pages **pages, char *why, size_t size)
{
	char name[4200];
	struct pages_options o = { .name = name, .memory = memory, .grow = grow, .write = write };

	snprintf(name, sizeof(name), "%s:%s", engine, path);
	return pages_open(&o, pages, why, size);
}

/* On a file of COUNT pages of zeroes. NULL: not there, which the test has said. */
static struct pages *fresh(const char *engine, uint64_t memory)
{
	struct pages *pages;
	char why[256] = "";
	int r;

	CHECK_EQUAL(truncate(path, 0), 0);
	r = try_open(engine, true, COUNT * PAGE_BYTES, memory, &pages, why, sizeof(why));
	if (r && strstr(why, "O_DIRECT is not possible")) {
		printf("# %s\n", why);
		return NULL;
	}
	if (r)
		printf("# %s\n", why);
	CHECK_EQUAL(r, 0);
	return pages;
}

static void change(struct pages *pages, uint64_t number, char value)
{
	char *page = pages_get(pages, number);

	CHECK(page);
	if (!page)
		return;
	memset(page, value, PAGE_BYTES);
	pages_changed(pages, number);
}

static bool holds(const char *page, char value)
{
	return page && *page == value && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

static bool file_holds(const char *values)
{
	char page[PAGE_BYTES];
	int fd = open(path, O_RDONLY), wrong = 0;

	for (int i = 0; i < COUNT; i++)
		wrong += pread(fd, page, PAGE_BYTES, i * PAGE_BYTES) != PAGE_BYTES ||
			 !holds(page, values[i]);
	close(fd);
	return !wrong;
}

/* Pages against an array, out of core; the file has all of it after a flush. */
static void compare_with_an_array(const char *engine, uint64_t memory)
{
	char values[COUNT] = { 0 };
	uint64_t state = 99;
	struct pages *pages = fresh(engine, memory);

	for (int i = 0; pages && i < 20000; i++) {
		uint64_t random = next_random(&state), n = (random >> 8) % COUNT;

		if (random % 4 == 0) {
			values[n] = random >> 32;
			change(pages, n, values[n]);
		} else if (random % 64 == 1) {
			pages_want(pages, n, 1 + (random >> 40) % 100);
		} else {
			CHECK(holds(pages_get(pages, n), values[n]));
		}
		if (i % 5000 == 4999) {
			CHECK_EQUAL(pages_flush(pages), 0);
			CHECK(file_holds(values));
		}
	}
	pages_close(pages);
}

static void mmap_is_an_array(void)
{
	compare_with_an_array("mmap", PAGES_MEMORY_MIN);
}

static void direct_is_an_array(void)
{
	compare_with_an_array("direct", PAGES_MEMORY_MIN);
	compare_with_an_array("direct", 4 * PAGES_MEMORY_MIN);
}

static void what_was_flushed_stays(void)
{
	for (int i = 0; i < 2; i++) {
		struct pages *pages = fresh(engines[i], PAGES_MEMORY_MIN);
		char why[256];

		if (!pages)
			continue;
		CHECK_EQUAL(pages->count, COUNT);
		for (int n = 0; n < COUNT; n++)
			change(pages, n, n);
		CHECK_EQUAL(pages_flush(pages), 0);
		pages_close(pages);
		CHECK_EQUAL(
			try_open(engines[i], false, 0, PAGES_MEMORY_MIN, &pages, why, sizeof(why)),
			0);
		for (int n = COUNT; n--;)
			CHECK(holds(pages_get(pages, n), n));
		pages_close(pages);
	}
}

static void the_pool_has_its_size(void)
{
	struct pages *pages = fresh("direct", PAGES_MEMORY_MIN);
	struct pages_stats s;

	if (!pages)
		return;
	for (int round = 0; round < 3; round++)
		for (int n = 0; n < 16; n++)
			CHECK(pages_get(pages, n));
	pages->ops->stats(pages, &s);
	CHECK_EQUAL(s.misses, 16);
	CHECK_EQUAL(s.read_bytes, 16 * PAGE_BYTES);
	CHECK_EQUAL(s.written_bytes, 0);
	CHECK(pages_get(pages, 16));
	for (int n = 0; n < 16; n++)
		pages_get(pages, n);
	pages->ops->stats(pages, &s);
	CHECK(s.misses > 17);
	pages_close(pages);
}

static void neighbours_are_moved_together(void)
{
	struct pages *pages = fresh("direct", 8 * PAGES_MEMORY_MIN);
	struct pages_stats s;

	if (!pages)
		return;
	pages_want(pages, 10, 64);
	pages_want(pages, COUNT - 5, 100);
	pages_want(pages, COUNT, 1);
	pages->ops->stats(pages, &s);
	CHECK_EQUAL(s.read_bytes, 69 * PAGE_BYTES);
	for (int n = 10; n < 74; n++)
		CHECK(holds(pages_get(pages, n), 0));
	pages->ops->stats(pages, &s);
	CHECK_EQUAL(s.misses, 0);
	pages_close(pages);
}

static void an_error_of_the_disk_is_told(void)
{
	struct pages *pages = fresh("direct", PAGES_MEMORY_MIN);
	int status = 0;
	pid_t pid;

	if (pages) {
		CHECK_EQUAL(truncate(path, 10 * PAGE_BYTES), 0);
		CHECK(pages_get(pages, 9));
		CHECK(!pages_get(pages, 10));
		CHECK_EQUAL(pages->error, -EIO);
		CHECK(holds(pages_get(pages, 9), 0));
		pages_close(pages);
	}
	pages = fresh("mmap", PAGES_MEMORY_MIN);
	CHECK_EQUAL(truncate(path, 10 * PAGE_BYTES), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		_exit(holds(pages_get(pages, 100), 0) ? 3 : 4);
	}
	CHECK_EQUAL(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQUAL(WEXITSTATUS(status), 1);
	pages_close(pages);
}

static void a_file_has_one_writer(void)
{
	struct pages *pages = fresh("mmap", PAGES_MEMORY_MIN), *other;
	char why[256];

	for (int i = 0; i < 2; i++) {
		int r = try_open(engines[i], false, 0, PAGES_MEMORY_MIN, &other, why, sizeof(why));

		CHECK(r == -EBUSY || (r == -EINVAL && strstr(why, "O_DIRECT")));
	}
	pages_close(pages);
	CHECK_EQUAL(try_open("mmap", false, 0, 0, &pages, why, sizeof(why)), 0);
	CHECK_EQUAL(try_open("mmap", false, 0, 0, &other, why, sizeof(why)), 0);
	pages_close(pages);
	pages_close(other);
}

static int open_name(const char *name, bool write)
{
	struct pages_options o = { .name = name, .memory = PAGES_MEMORY_MIN, .write = write };
	struct pages *pages;
	char why[256] = "";
	int r = pages_open(&o, &pages, why, sizeof(why));

	CHECK(r ? !pages && *why : 1);
	pages_close(pages);
	return r;
}

static void what_is_no_file_is_refused(void)
{
	CHECK_EQUAL(open_name("mmap:/nowhere/at/all", true), -ENOENT);
	CHECK_EQUAL(open_name("direct:", true), -ENOENT);
	CHECK_EQUAL(open_name("mmap:/", false), -ENODEV);
	CHECK_EQUAL(open_name("mmap:/", true), -EISDIR);
	CHECK_EQUAL(open_name("mmap:/dev/null", true), -ENODEV);
	CHECK_EQUAL(open_name("file", true), -EINVAL);
	CHECK_EQUAL(open_name("", true), -EINVAL);
	/* Without the module, an extent is what cannot be had. */
	CHECK(open_name("exo:", true) < 0);
	CHECK_EQUAL(truncate(path, PAGE_BYTES - 1), 0);
	CHECK_EQUAL(open_name("mmap:/dev/null", true), -ENODEV);
	char name[4200];

	snprintf(name, sizeof(name), "mmap:%s", path);
	CHECK_EQUAL(open_name(name, true), -ENOSPC);
}

static const struct tap_test tests[] = {
	TEST(mmap_is_an_array, "pages of mmap are an array, and in the file after a flush"),
	TEST(direct_is_an_array, "pages of a pool are an array, and in the file after a flush"),
	TEST(what_was_flushed_stays, "what was flushed is there for who opens the file next"),
	TEST(the_pool_has_its_size, "a pool holds what it may, and no more"),
	TEST(neighbours_are_moved_together, "neighbours that are wanted are read, up to the end"),
	TEST(an_error_of_the_disk_is_told,
	     "a page that cannot be read is an error, and the end of mmap"),
	TEST(a_file_has_one_writer, "a file has one writer or many readers"),
	TEST(what_is_no_file_is_refused, "what is no file, or too small, is refused with a reason"),
};

/* The file lies beside the program: where /tmp is, O_DIRECT may not be possible. */
int main(int argc, char **argv)
{
	int fd, r;

	snprintf(path, sizeof(path), "%s.XXXXXX", argc ? argv[0] : "test-engines");
	fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	r = tap_run(tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	return r;
}
