// SPDX-License-Identifier: MIT
/*
 * What exo-bench makes of figures: JSON, the spread of rounds, differences, pictures; and
 * how its measurements end. No device is needed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "diff.h"
#include "json.h"
#include "loop.h"
#include "picture.h"
#include "plot.h"
#include "stop.h"
#include "tap.h"

static struct json *parse(const char *text)
{
	unsigned int line;

	return json_parse(text, strlen(text), &line);
}

static bool is_json(const char *text)
{
	struct json *value = parse(text);

	json_free(value);
	return value;
}

static void json_is_read(void)
{
	struct json *v =
		parse(" {\"a\": [1, -2.5e1, true, null], \"b\\u0041\": \"x\\n\\\"\\u00e9\"} ");
	const struct json *a = json_find(v, "a", JSON_ARRAY);

	CHECK(v && a);
	if (!v || !a)
		return;
	CHECK(a->first->number == 1);
	CHECK(a->first->next->number == -25);
	CHECK_EQUAL(a->first->next->next->type, JSON_BOOL);
	CHECK_EQUAL(a->first->next->next->next->type, JSON_NULL);
	CHECK_STRING(json_text(v, "bA"), "x\n\"?");
	CHECK(!json_text(v, "a"));
	CHECK(json_number(v, "none", 7) == 7);
	json_free(v);
}

static void what_is_no_json_is_refused(void)
{
	static const char *const bad[] = {
		"",	      "{",     "{\"a\"}", "{\"a\":}", "[1,]",
		"[1 2]",      "{1:2}", "\"a",	  "\"\\q\"",  "\"\\u12\"",
		"nul",	      "+1",    "1e999",	  "[1]]",     "\"a\nb\"",
		"{\"a\":1,}", "-",     "[",	  "{\"a\":1", "\"\\u12g4\"",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (is_json(bad[i])) {
			printf("# taken: %s\n", bad[i]);
			tap_failed = 1;
		}
}

static void deep_json_ends(void)
{
	static char deep[100001];

	memset(deep, '[', sizeof(deep) - 1);
	CHECK(!is_json(deep));
	CHECK(is_json("[[[[[[[[[[]]]]]]]]]]"));
}

static void every_cut_of_a_file_is_refused(void)
{
	static const char text[] =
		"{\"exo_bench\": 1, \"rows\": [{\"row\": \"exo\", \"depth\": 1, \"batch\": 1, "
		"\"iops\": [1, 2, 3]}]}";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		unsigned int line;

		CHECK(!json_parse(text, i, &line));
	}
}

/* Rounds around a middle, 1 apart. */
static void fill(struct row *row, enum metric metric, double middle)
{
	for (int i = -1; i <= 1; i++)
		row_add(row, metric, middle + i);
}

static struct results some_results(double iops, double p99)
{
	struct results r;
	struct row *row;

	results_begin(&r);
	r.rounds = 3;
	r.seconds = 0.5;
	results_place(&r, PLACE_TAG, "metal");
	results_place(&r, PLACE_MODEL, "a \"disk\" <&>");
	findings_add(&r.checks, "plug it in", "link: %s", "x2");
	row = results_row(&r, "exo", 32, 16);
	fill(row, METRIC_IOPS, iops);
	fill(row, METRIC_P50, p99 / 2);
	fill(row, METRIC_P99, p99);
	fill(row, METRIC_INSTRUCTIONS_USER, 90);
	fill(row, METRIC_INSTRUCTIONS_KERNEL, 280);
	row = results_row(&r, "exo-direct", 32, 16);
	row->why = must_print("no \"IOMMU\"");
	return r;
}

static char *print(void (*how)(const struct results *, FILE *), const struct results *r)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	how(r, out);
	fclose(out);
	return text;
}

static void results_are_read_as_they_were_written(void)
{
	struct results a = some_results(100, 20), b;
	char *text = print(results_write, &a), *again;

	CHECK(!results_parse(&b, text, strlen(text), "text"));
	again = print(results_write, &b);
	CHECK_STRING(again, text);
	CHECK_EQUAL(b.count, 2);
	CHECK_STRING(b.rows[1].why, "no \"IOMMU\"");
	CHECK(series_median(&b.rows[0].series[METRIC_IOPS]) == 100);
	CHECK_STRING(b.checks.at[0].cure, "plug it in");
	results_free(&a);
	results_free(&b);
	free(text);
	free(again);
}

static bool is_run(const char *text)
{
	struct results r;

	if (results_parse(&r, text, strlen(text), "text"))
		return false;
	results_free(&r);
	return true;
}

static void what_exo_bench_did_not_write_is_refused(void)
{
	CHECK(is_run("{\"exo_bench\": 1, \"rows\": []}"));
	CHECK(!is_run("{\"exo_bench\": 2, \"rows\": []}"));
	CHECK(!is_run("{\"rows\": []}"));
	CHECK(!is_run("[]"));
	CHECK(!is_run("{\"exo_bench\": 1, \"rows\": 7}"));
	CHECK(!is_run("{\"exo_bench\": 1, \"rows\": [7]}"));
	CHECK(!is_run(
		"{\"exo_bench\": 1, \"rows\": [{\"row\": \"a\", \"depth\": 0, \"batch\": 1}]}"));
	CHECK(!is_run(
		"{\"exo_bench\": 1, \"rows\": [{\"row\": \"a\", \"depth\": 1e99, \"batch\": 1}]}"));
	CHECK(!is_run(
		"{\"exo_bench\": 1, \"rows\": [{\"row\": \"a\", \"depth\": 1, \"batch\": 2}]}"));
	CHECK(!is_run("{\"exo_bench\": 1, \"rows\": [{\"depth\": 1, \"batch\": 1}]}"));
}

static struct series series(size_t count, double *at)
{
	return (struct series){ at, count };
}

static void a_median_is_in_the_middle(void)
{
	double odd[] = { 9, 1, 5 }, even[] = { 4, 1, 2, 100 };
	struct series a = series(3, odd), b = series(4, even);

	CHECK(series_median(&a) == 5);
	CHECK(series_median(&b) == 3);
	CHECK(series_min(&a) == 1);
	CHECK(series_max(&b) == 100);
	CHECK(odd[0] == 9);
}

static void a_difference_counts_only_beyond_the_spread(void)
{
	double low[] = { 10, 12, 11 }, touching[] = { 12, 13, 14 }, high[] = { 12.5, 13, 14 };
	struct series a = series(3, low), b = series(3, touching), c = series(3, high);

	CHECK_EQUAL(diff_judge(&a, &a, true), DIFF_WITHIN);
	CHECK_EQUAL(diff_judge(&a, &b, true), DIFF_WITHIN);
	CHECK_EQUAL(diff_judge(&a, &c, true), DIFF_BETTER);
	CHECK_EQUAL(diff_judge(&a, &c, false), DIFF_WORSE);
	CHECK_EQUAL(diff_judge(&c, &a, true), DIFF_WORSE);
	CHECK_EQUAL(diff_judge(&c, &a, false), DIFF_BETTER);
}

static void two_rounds_have_no_spread(void)
{
	double low[] = { 10, 11, 12 }, high[] = { 100, 101, 102 };
	struct series a = series(2, low), b = series(3, high), c = series(3, low);

	CHECK_EQUAL(diff_judge(&a, &b, true), DIFF_UNKNOWN);
	CHECK_EQUAL(diff_judge(&b, &a, true), DIFF_UNKNOWN);
	CHECK_EQUAL(diff_judge(&c, &b, true), DIFF_BETTER);
}

static char *diff(const struct results *a, const struct results *b)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	diff_print(a, b, out);
	fclose(out);
	return text;
}

static void a_diff_says_what_changed(void)
{
	struct results a = some_results(100, 20), b = some_results(150, 20.5);
	char *text;

	fill(results_row(&b, "libaio", 32, 16), METRIC_IOPS, 7);
	results_place(&b, PLACE_TAG, "KVM-emulated");
	text = diff(&a, &b);
	CHECK(strstr(text, "+50.0 %  better"));
	CHECK(strstr(text, "+2.5 %  within the spread"));
	CHECK(strstr(text, "note: tag differs: metal -> KVM-emulated"));
	CHECK(strstr(text, "libaio, depth 32: only in the second run"));
	CHECK(strstr(
		text,
		"exo-direct, depth 32, batch 16\n  no figures in the first run: no \"IOMMU\""));
	free(text);
	text = diff(&b, &a);
	CHECK(strstr(text, "-33.3 %  WORSE"));
	CHECK(strstr(text, "libaio, depth 32: only in the first run"));
	free(text);
	results_free(&a);
	results_free(&b);
}

static void other_batches_are_not_compared(void)
{
	struct results a = some_results(100, 20), b = some_results(150, 20);
	char *text;

	b.rows[0].batch = 8;
	text = diff(&a, &b);
	CHECK(strstr(text, "not comparable: the second has batch 8"));
	CHECK(!strstr(text, "+50"));
	free(text);
	results_free(&a);
	results_free(&b);
}

static void a_table_has_every_row(void)
{
	struct results a = some_results(123456, 20);
	char *text = print(results_table, &a);

	CHECK(strstr(text, "depth 32, batch 16"));
	CHECK(strstr(text, "123.5 (123.5-123.5)"));
	CHECK(strstr(text, "no \"IOMMU\""));
	CHECK(strstr(text, "[metal]"));
	free(text);
	results_free(&a);
}

static void pictures_are_well_formed(void)
{
	static const char *const names[] = { "rate.svg", "cost.svg", "latency-32.svg" };
	struct results a = some_results(123456, 20);
	char directory[] = "/tmp/exo-bench-XXXXXX";

	CHECK(mkdtemp(directory));
	CHECK(!plot_write(&a, directory));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *text = picture(directory, names[i]);

		CHECK(text);
		if (!text)
			continue;
		CHECK(picture_is_xml(text));
		CHECK(picture_is_readable(text));
		CHECK(picture_has_numbers(text));
		CHECK(strstr(text, "a \"disk\" &lt;&amp;&gt;"));
		free(text);
	}
	CHECK(!rmdir(directory));
	results_free(&a);
}

static void nothing_makes_no_picture(void)
{
	char directory[] = "/tmp/exo-bench-XXXXXX";
	struct results a;

	results_begin(&a);
	results_row(&a, "exo", 1, 1);
	row_add(&a.rows[0], METRIC_IOPS, 0);
	row_add(&a.rows[0], METRIC_P50, 0);
	CHECK(mkdtemp(directory));
	CHECK(!plot_write(&a, directory));
	CHECK(!rmdir(directory));
	CHECK(plot_write(&a, "/proc/none/of/these"));
	results_free(&a);
}

/* ---- measurements as processes: @arg says what becomes of one ---- */

static void end_as_told(const void *arg, void *answer)
{
	const char *how = arg;

	*(int *)answer = 42;
	if (!strcmp(how, "crash"))
		kill(getpid(), SIGKILL);
	if (!strcmp(how, "cannot")) {
		fprintf(stderr, "exo-bench: there is no such thing\nand more\n");
		exit(LOOP_CANNOT);
	}
	if (!strcmp(how, "break"))
		exit(LOOP_BROKE);
	while (!strcmp(how, "hang") || !strcmp(how, "stop")) {
		if (!strcmp(how, "stop"))
			kill(getppid(), SIGTERM);
		pause();
	}
}

static enum child_end end_of(const char *how, struct child *child, int *answer)
{
	*answer = 0;
	*child = (struct child){
		.run = end_as_told,
		.arg = how,
		.answer = answer,
		.size = sizeof(*answer),
		.seconds = strcmp(how, "hang") ? 60 : 0.2,
	};
	return child_run(child);
}

static void a_measurement_answers(void)
{
	struct child child;
	int answer;

	CHECK_EQUAL(end_of("well", &child, &answer), CHILD_DONE);
	CHECK_EQUAL(answer, 42);
}

static void a_measurement_that_fails_says_why(void)
{
	struct child child;
	int answer;

	CHECK_EQUAL(end_of("crash", &child, &answer), CHILD_BROKE);
	CHECK_STRING(child.why, "it crashed: Killed");
	CHECK_EQUAL(end_of("cannot", &child, &answer), CHILD_CANNOT);
	CHECK_STRING(child.why, "there is no such thing");
	CHECK_EQUAL(end_of("break", &child, &answer), CHILD_BROKE);
	CHECK_STRING(child.why, "it ended with status 1");
	CHECK_EQUAL(end_of("hang", &child, &answer), CHILD_BROKE);
	CHECK(strstr(child.why, "had not ended"));
	CHECK_EQUAL(answer, 0);
}

/* The last one: from then on all are to stop. */
static void a_signal_ends_a_measurement(void)
{
	struct child child;
	int answer;

	CHECK_EQUAL(stop_signal(), 0);
	CHECK_EQUAL(end_of("stop", &child, &answer), CHILD_STOPPED);
	CHECK_EQUAL(stop_signal(), SIGTERM);
	CHECK_EQUAL(end_of("well", &child, &answer), CHILD_STOPPED);
}

static const struct tap_test tests[] = {
	TEST(json_is_read, "JSON is read"),
	TEST(what_is_no_json_is_refused, "what is no JSON is refused"),
	TEST(deep_json_ends, "brackets without end are refused"),
	TEST(every_cut_of_a_file_is_refused, "a file that was cut short is refused"),
	TEST(results_are_read_as_they_were_written, "results are read as they were written"),
	TEST(what_exo_bench_did_not_write_is_refused, "what exo-bench did not write is refused"),
	TEST(a_median_is_in_the_middle, "a median is in the middle"),
	TEST(a_difference_counts_only_beyond_the_spread,
	     "a difference counts only beyond the spread"),
	TEST(two_rounds_have_no_spread, "of fewer than three rounds nothing is said"),
	TEST(a_diff_says_what_changed, "a diff says what changed, and what cannot be compared"),
	TEST(other_batches_are_not_compared, "rows of different batches are not compared"),
	TEST(a_table_has_every_row, "a table has every row, with its tag"),
	TEST(pictures_are_well_formed, "pictures are well formed"),
	TEST(nothing_makes_no_picture, "of no figures no picture is made"),
	TEST(a_measurement_answers, "a measurement answers"),
	TEST(a_measurement_that_fails_says_why, "a measurement that fails says why"),
	TEST(a_signal_ends_a_measurement, "a signal ends a measurement, and those to come"),
};

int main(void)
{
	stop_begin();
	return tap_run(tests, sizeof(tests) / sizeof(*tests));
}
