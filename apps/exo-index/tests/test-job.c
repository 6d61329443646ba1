// SPDX-License-Identifier: MIT
/*
 * The out-of-core job, lines of text, the command line: what needs no engine.
 */
#include "job.h"
#include "options.h"
#include "plain.h"
#include "tap.h"
#include "text.h"

/* ---- the job ---- */

static int run(struct plain *m, struct job *j, struct index *ix)
{
	int r = index_create(&m->pages, m->pages.count - 1, true);

	if (!r)
		r = index_open(ix, &m->pages, true);
	return r ? r : job_run(j);
}

static void the_job_is_done(void)
{
	uint64_t sums[2];

	for (int base = 0; base < 2; base++) {
		struct plain *m = plain_open(65, base);
		struct index ix;
		struct job j = { .ix = &ix, .keys = 1024, .seed = 3, .batch = 32 };

		CHECK_EQUAL(run(m, &j, &ix), 0);
		CHECK_EQUAL(ix.keys, 1024);
		for (int i = 0; i < JOB_PHASES; i++)
			CHECK_EQUAL(j.phases[i].operations, i == 3 ? 512 : 1024);
		sums[base] = j.sum;
		pages_close(&m->pages);
	}
	CHECK(sums[0] == sums[1]);
}

static void (*plain_said_changed)(struct pages *p, uint64_t number) = plain_changed;
static int changes, lost;

/* Loses one change of all. */
static void forget_one(struct pages *p, uint64_t number)
{
	if (changes++ != lost)
		plain_said_changed(p, number);
}

/* Each one of the insertions and updates, which are after the header's two. */
static void a_lost_write_is_found(void)
{
	for (lost = 2; lost < 2 + 64 + 32; lost++) {
		struct plain *m = plain_open(9, false);
		struct pages_ops ops = *m->pages.ops;
		struct index ix;
		struct job j = { .ix = &ix, .keys = 64, .seed = 3, .batch = 7 };

		ops.changed = forget_one;
		m->pages.ops = &ops;
		changes = 0;
		CHECK_EQUAL(run(m, &j, &ix), -EBADMSG);
		CHECK(changes > lost);
		pages_close(&m->pages);
	}
}

/* ---- text ---- */

static int read_text(const char *text, struct record *r)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	int got = text_read(f, r);

	fclose(f);
	return got;
}

static void lines_are_understood(void)
{
	struct record r;

	CHECK_EQUAL(read_text("key a value of words\nnext", &r), 1);
	CHECK(r.key_bytes == 3 && !memcmp(r.key, "key", 3));
	CHECK(r.value_bytes == 16 && !memcmp(r.value, "a value of words", 16));
	CHECK_EQUAL(read_text("key", &r), 1);
	CHECK_EQUAL(r.value_bytes, 0);
	CHECK_EQUAL(read_text("a\\x20b\t\\\\ ", &r), 1);
	CHECK(r.key_bytes == 3 && !memcmp(r.key, "a b", 3));
	CHECK(r.value_bytes == 2 && !memcmp(r.value, "\\ ", 2));
	CHECK_EQUAL(read_text("\n", &r), -EMSGSIZE);
	CHECK_EQUAL(read_text(" value", &r), -EMSGSIZE);
	CHECK_EQUAL(read_text("\\n x", &r), -EILSEQ);
	CHECK_EQUAL(read_text("\\", &r), -EILSEQ);
	CHECK_EQUAL(read_text("\\x4", &r), -EILSEQ);
	CHECK_EQUAL(read_text("\\x4g", &r), -EILSEQ);
}

static void a_line_of_any_length_is_read(void)
{
	char *text = malloc(3 * TEXT_LINE_MAX);
	struct record r;

	memset(text, 'k', 3 * TEXT_LINE_MAX);
	text[3 * TEXT_LINE_MAX - 1] = 0;
	CHECK_EQUAL(read_text(text, &r), -EMSGSIZE);
	text[KEY_MAX_BYTES + 1] = 0;
	CHECK_EQUAL(read_text(text, &r), -EMSGSIZE);
	text[KEY_MAX_BYTES] = 0;
	CHECK_EQUAL(read_text(text, &r), 1);
	text[KEY_MAX_BYTES] = ' ';
	text[KEY_MAX_BYTES + 1] = 'v';
	text[KEY_MAX_BYTES + 1 + VALUE_MAX_BYTES] = 0;
	CHECK_EQUAL(read_text(text, &r), 1);
	CHECK_EQUAL(r.value_bytes, VALUE_MAX_BYTES);
	text[KEY_MAX_BYTES + 1 + VALUE_MAX_BYTES] = 'v';
	text[KEY_MAX_BYTES + 2 + VALUE_MAX_BYTES] = 0;
	CHECK_EQUAL(read_text(text, &r), -EMSGSIZE);
	free(text);
}

static void what_is_printed_is_read(void)
{
	unsigned char bytes[256];
	char text[3000] = "";
	struct record r;
	FILE *f = fmemopen(text, sizeof(text), "w");

	for (int i = 0; i < 256; i++)
		bytes[i] = i;
	text_print(f, bytes, 256, bytes, 256);
	fclose(f);
	CHECK(strchr(text, '\n') == text + strlen(text) - 1);
	CHECK_EQUAL(read_text(text, &r), 1);
	CHECK(r.key_bytes == 256 && !memcmp(r.key, bytes, 256));
	CHECK(r.value_bytes == 256 && !memcmp(r.value, bytes, 256));
}

/* ---- the command line ---- */

static int parse(struct options *o, char *why, const char *line)
{
	static char words[512];
	char *argv[16] = { "exo-index" };
	int argc = 1;

	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word && argc < 15; word = strtok(NULL, " "))
		argv[argc++] = word;
	return options_parse(argc, argv, o, why, 256);
}

static void commands_are_understood(void)
{
	struct options o;
	char why[256];

	CHECK_EQUAL(parse(&o, why, "create --memory 2M mmap:f --pages 4K --force"), 0);
	CHECK(o.command == COMMAND_CREATE && o.memory == 2 << 20 && o.pages == 4096 && o.force);
	CHECK_STRING(o.store, "mmap:f");
	CHECK_EQUAL(parse(&o, why, "get exo: one two"), 0);
	CHECK(o.command == COMMAND_GET && o.args_nr == 2 && o.batch == 32);
	CHECK_EQUAL(parse(&o, why, "load exo: --generate 10 --seed 0"), 0);
	CHECK(o.generate == 10 && o.seed == 0);
	CHECK_EQUAL(parse(&o, why, "--help"), 0);
	CHECK_EQUAL(o.command, COMMAND_HELP);
	CHECK_EQUAL(parse(&o, why, "bench exo: --version"), 0);
	CHECK_EQUAL(o.command, COMMAND_VERSION);
}

static void what_makes_no_sense_is_refused(void)
{
	static const char *const lines[] = {
		"",
		"create",
		"invent exo:",
		"create exo: more",
		"load exo: one two",
		"delete exo:",
		"dump exo: key",
		"create exo: --pages 3",
		"create exo: --pages 0",
		"create exo: --pages 8 --size 1M",
		"create exo: --size 4096",
		"create exo: --size 1Q",
		"create exo: --size -1",
		"create exo: --size 99999999999999999999",
		"create exo: --pages",
		"get exo: k --memory 65535",
		"get exo: k --memory 18446744073709551615T",
		"get exo: k --batch 0",
		"get exo: k --batch 1025",
		"get exo: k --force",
		"stat exo: --pages 8",
		"load exo: file --generate 5",
		"load exo: --generate 0",
		"bench exo: --keys 1000",
		"bench exo: --nothing",
	};
	struct options o;
	char why[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		*why = 0;
		if (parse(&o, why, lines[i]) != -1 || !*why)
			printf("# accepted: %s\n", lines[i]);
		CHECK_EQUAL(parse(&o, why, lines[i]), -1);
		CHECK(*why);
	}
	CHECK_EQUAL(parse(&o, why, "stat exo: --json"), -1);
	CHECK_STRING(why, "--json is of no use to stat");
}

static const struct tap_test tests[] = {
	TEST(the_job_is_done, "the job checks out, and comes to the same on every engine"),
	TEST(a_lost_write_is_found, "the job finds a write that was lost, whichever"),
	TEST(lines_are_understood, "lines are a key and a value, with any bytes"),
	TEST(a_line_of_any_length_is_read, "a line that is too long is refused, however long"),
	TEST(what_is_printed_is_read, "what is printed is one line, and is read as it was"),
	TEST(commands_are_understood, "a command line is understood"),
	TEST(what_makes_no_sense_is_refused, "what makes no sense is refused with a reason"),
};

TAP_MAIN(tests)
