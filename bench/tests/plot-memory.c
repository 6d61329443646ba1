// SPDX-License-Identifier: MIT
/*
 * The pictures of memory, from the lines that bench/memory prints and the plugin counts, through
 * report-memory. No machine is needed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../daemon/machine.h"
#include "memory-bars.h"
#include "picture.h"
#include "tap.h"

static const char times[] =
	"ACCEL tcg\n"
	"MEMORY op=prot1 system=exo pages=1 threads=1 ns=5727.4 min=5664.9 max=6335.9\n"
	"MEMORY op=trap system=exo pages=1 threads=1 ns=1000.0 min=1000.0 max=1000.0\n"
	"MEMORY op=prot1 system=mprotect pages=1 threads=1 ns=15816.5 min=14574.5 max=19642.4\n"
	"MEMORY op=map-4K system=exo pages=1 threads=1 ns=11166.2 min=11121.0 max=11486.7\n"
	"MEMORY op=map-4K system=exo pages=1 threads=2 ns=30004.8 min=27309.4 max=37663.5\n"
	"MEMORY op=map-4K system=exo pages=512 threads=1 ns=486.6 min=484.3 max=487.9\n"
	"MEMORY op=map-4K system=exo pages=512 threads=2 ns=562.9 min=551.6 max=602.5\n"
	"MEMORY op=map-2M system=exo pages=1 threads=1 ns=30465.6 min=29483.1 max=31614.0\n";

static const char counts[] = "ACCEL tcg\n"
			     "MEMORY-INSNS op=prot1 system=exo pages=1 units=50\n"
			     "MEMORY-INSNS op=map-4K system=exo pages=512 units=25600\n";

static const char plugin[] = "INSNS user=4600 kernel=171600 regions=50\n"
			     "INSNS user=112640 kernel=8622080 regions=50\n";

static char directory[] = "/tmp/plot-memory-XXXXXX";

static char *write_file(const char *name, const char *text)
{
	char *path = must_print("%s/%s", directory, name);
	FILE *file = fopen(path, "we");

	CHECK(file);
	if (file) {
		fputs(text, file);
		CHECK(!fclose(file));
	}
	return path;
}

/* What report-memory makes of these lines; to be freed. */
static char *report(const char *a, const char *b, const char *c)
{
	char *files[] = { write_file("times", a), write_file("insns", b), write_file("plugin", c) };
	char *command = must_print("%s -v json=1 %s %s %s >%s/json", REPORT_MEMORY, files[0],
				   files[1], files[2], directory);

	CHECK_EQUAL(system(command), 0);
	free(command);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		unlink(files[i]);
		free(files[i]);
	}
	return picture(directory, "json");
}

static void draw(const char *json)
{
	struct memory_run run;

	CHECK(json);
	CHECK(!memory_run_parse(&run, json, strlen(json), "json"));
	CHECK(!memory_bars_write(&run, directory));
	memory_run_free(&run);
}

/* It, having been looked at; to be freed. */
static char *good_picture(const char *name, unsigned int figures)
{
	char *text = picture(directory, name);

	CHECK(text);
	if (!text)
		return calloc(1, 1);
	CHECK(picture_is_xml(text));
	CHECK(picture_has_numbers(text));
	CHECK(picture_is_readable(text));
	/* The white ground is one, too. */
	CHECK_EQUAL(picture_count(text, "<rect "), figures + 1);
	CHECK_EQUAL(picture_count(text, " width=\"0.0\""), 0);
	return text;
}

static void every_figure_is_a_bar(void)
{
	char *json = report(times, counts, plugin), *text;

	draw(json);
	free(json);
	text = good_picture("times.svg", 3);
	CHECK(strstr(text, "us [TCG-emulated]</text>"));
	CHECK(strstr(text, ">prot1, 1 page: "));
	CHECK(strstr(text, ">5.73 (5.66-6.34)<"));
	CHECK(strstr(text, ">15.8 (14.6-19.6)<"));
	free(text);
	text = good_picture("map-4K.svg", 4);
	CHECK(strstr(text, ">0.49 (0.48-0.49)<"));
	CHECK_EQUAL(picture_count(text, "in each of 2 threads"), 2);
	free(text);
	free(good_picture("map-2M.svg", 1));
	text = good_picture("instructions.svg", 2);
	CHECK(strstr(text, "[TCG-insn]</text>"));
	CHECK(strstr(text, ">92 + 3432<"));
	free(text);
}

/* Three lines a spread: along it and at both ends. One of nothing has none. */
static void a_spread_is_seen_where_there_is_one(void)
{
	char *json = report(times, "", ""), *text;

	draw(json);
	free(json);
	text = good_picture("times.svg", 3);
	CHECK_EQUAL(picture_count(text, "stroke=\"black\""), 2 * 3);
	free(text);
	free(good_picture("map-4K.svg", 4));
	free(good_picture("map-2M.svg", 1));
}

static void figures_of_kvm_say_so(void)
{
	char *json = report("ACCEL kvm\nMEMORY op=trap system=exo pages=1 threads=1 ns=900 min=800 "
			    "max=1000\n",
			    "", ""),
	     *text;

	draw(json);
	free(json);
	text = good_picture("times.svg", 1);
	CHECK(strstr(text, "[KVM-emulated]</text>"));
	CHECK(!strstr(text, "TCG"));
	free(text);
}

/* As after bench/run --memory --no-rates. */
static void a_picture_of_another_run_does_not_stay(void)
{
	char *json = report("", counts, plugin);

	free(write_file("times.svg", "<svg/>"));
	draw(json);
	free(json);
	CHECK(!picture(directory, "times.svg"));
	free(good_picture("instructions.svg", 2));
}

/* ---- what is drawn at its limits, and refused beyond them ---- */

#define TIME(system, median, min, max)                                                   \
	"{\"operation\": \"a\", \"pages\": 1, \"system\": \"" system                     \
	"\", \"threads\": 1, \"median\": " #median ", \"min\": " #min ", \"max\": " #max \
	", \"tag\": \"t\"}"
#define COUNT(user, kernel)                                                        \
	"{\"operation\": \"a\", \"pages\": 1, \"system\": \"b\", \"user\": " #user \
	", \"kernel\": " #kernel ", \"tag\": \"t\"}"
#define RUN(times, instructions) "{\"times\": [" times "], \"instructions\": [" instructions "]}"

static void names_and_figures_at_their_limits_have_room(void)
{
	char *text;

	draw(RUN(TIME("<&>]]>\\\"'\xc3\xa9 \xff\\n WWWW", 500000, 1, 1e9) "," TIME("exo", 1000,
										   1000, 1001),
		 COUNT(0, 0.001) "," COUNT(5e8, 5e8)));
	text = good_picture("times.svg", 2);
	CHECK(strstr(text, ">&lt;&amp;&gt;]]&gt;\"'?? ?? WWWW</text>"));
	free(text);
	free(good_picture("instructions.svg", 2));
}

/* What parsing @text says is @why, or it is not refused. */
static bool refused(const char *text, const char *why)
{
	struct memory_run run;
	char said[256] = "";
	FILE *mine = tmpfile(), *theirs = stderr;
	int ret;

	stderr = mine;
	ret = memory_run_parse(&run, text, strlen(text), "x.json");
	stderr = theirs;
	memory_run_free(&run);
	rewind(mine);
	if (!fgets(said, sizeof(said), mine))
		said[0] = '\0';
	fclose(mine);
	if (!ret || !strstr(said, why))
		printf("# %s: %d, %s\n", text, ret, said);
	return ret && strstr(said, ": x.json: ") && strstr(said, why);
}

static void what_report_memory_did_not_write_is_refused(void)
{
	static const char *const none[] = {
		RUN("7", ""),
		RUN("{}", ""),
		RUN(TIME("", 1, 1, 1), ""),
		RUN(TIME("a name that is far too long", 1, 1, 1), ""),
		RUN(TIME("exo", 0, 0, 0), ""),
		RUN(TIME("exo", -5, -6, -4), ""),
		RUN(TIME("exo", 5, 6, 7), ""),
		RUN(TIME("exo", 5, 4, 4), ""),
		RUN(TIME("exo", 5, 4, 1e300), ""),
		RUN(TIME("exo", null, 1, 2), ""),
		RUN("", COUNT(0, 0)),
		RUN("", COUNT(-5, 10)),
		RUN("", COUNT(1e12, 1)),
	};
	static const char other[] =
		"{\"operation\": \"a\", \"pages\": 1, \"system\": \"b\", \"user\": 1, "
		"\"kernel\": 1, \"tag\": \"another\"}";
	char *two = must_print("{\"times\": [], \"instructions\": [%s,%s]}", COUNT(1, 1), other);

	CHECK(refused("", "line 1 is no JSON"));
	CHECK(refused("{\n\"times\": [\n", "line 3 is no JSON"));
	CHECK(refused("[]", "there is no \"times\""));
	CHECK(refused("{\"times\": []}", "there is no \"instructions\""));
	CHECK(refused("{\"times\": 7, \"instructions\": []}", "there is no \"times\""));
	CHECK(refused(RUN("", ""), "there is no figure in it"));
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		CHECK(refused(none[i], "number 1 of "));
	CHECK(refused(two, "number 2 of \"instructions\" is no figure, or of another machine"));
	free(two);
}

static void every_cut_of_a_file_is_refused(void)
{
	char *json = report(times, counts, plugin);

	/* Its last two are a bracket and the end of the line. */
	for (size_t left = strlen(json) - 2; left; left--) {
		json[left] = '\0';
		CHECK(refused(json, " is no JSON"));
	}
	free(json);
}

static void no_file_and_no_directory_are_refused(void)
{
	struct memory_run run;

	CHECK(memory_run_read(&run, "/proc/none"));
	memory_run_free(&run);
	CHECK(memory_run_read(&run, "/"));
	memory_run_free(&run);
	CHECK(!memory_run_parse(&run, RUN("", COUNT(1, 1)), strlen(RUN("", COUNT(1, 1))), "run"));
	CHECK(memory_bars_write(&run, "/proc/none/of/these"));
	CHECK(memory_bars_write(&run, "/dev/null"));
	memory_run_free(&run);
}

static const struct tap_test tests[] = {
	TEST(every_figure_is_a_bar, "every figure is a bar of a well-formed picture, with its tag"),
	TEST(a_spread_is_seen_where_there_is_one, "a spread is seen where there is one"),
	TEST(figures_of_kvm_say_so, "figures of KVM say so"),
	TEST(a_picture_of_another_run_does_not_stay, "a picture of another run does not stay"),
	TEST(names_and_figures_at_their_limits_have_room,
	     "names and figures at their limits have room"),
	TEST(what_report_memory_did_not_write_is_refused,
	     "what report-memory did not write is refused with a sentence"),
	TEST(every_cut_of_a_file_is_refused, "a file that was cut short is refused"),
	TEST(no_file_and_no_directory_are_refused, "no file and no directory are refused"),
};

int main(void)
{
	int ret;

	if (!mkdtemp(directory)) {
		perror(directory);
		return 1;
	}
	ret = tap_run(tests, sizeof(tests) / sizeof(*tests));
	if (rmdir(directory)) {
		fprintf(stderr, "%s: %s\n", directory, strerror(errno));
		return 1;
	}
	return ret;
}
