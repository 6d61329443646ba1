// SPDX-License-Identifier: MIT
/*
 * The commands of exo-index but load.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "index.h"
#include "job.h"
#include "report.h"
#include "text.h"

static const char *meaning(int error)
{
	switch (-error) {
	case EILSEQ:
		return "no index is there, or a damaged one (exo-index check says more)";
	case EPROTO:
		return "the index is of another version of exo-index";
	case EUCLEAN:
		return "whoever last wrote to the index did not close it: exo-index check "
		       "--repair puts it in order";
	case EEXIST:
		return "something is there already: --force overwrites it";
	case ENOSPC:
		return "there is no room: the index is full, or larger than what it lies on";
	case EBADMSG:
		return "what was read is not what had been written";
	default:
		return strerror(-error);
	}
}

int complain(const struct options *o, int error)
{
	fprintf(stderr, "exo-index: %s: %s\n", o->store, meaning(error));
	return EXIT_FAILED;
}

int complain_text(const char *where, uint64_t line, int error)
{
	const char *what = error == -EMSGSIZE ? "a key has 1 to 1024 bytes, a value at most 2048"
			   : error == -EILSEQ ? "behind a backslash is another, or x and two "
						"hexadecimal digits"
					      : strerror(-error);

	fprintf(stderr, "exo-index: %s, %" PRIu64 ": %s\n", where, line, what);
	return EXIT_FAILED;
}

/* How many buckets were asked for; 0, and it was said why not. */
static uint64_t buckets_for(const struct options *o, uint64_t pages)
{
	uint64_t most = index_buckets_in(pages);

	if (o->size && o->size / PAGE_BYTES <= pages)
		return index_buckets_in(o->size / PAGE_BYTES);
	if (!o->size && most && o->pages <= most)
		return o->pages ? o->pages : most;
	fprintf(stderr, "exo-index: %s: has room for %" PRIu64 " pages and a header\n", o->store,
		most);
	return 0;
}

int run_create(const struct options *o, struct pages *pages)
{
	uint64_t buckets = buckets_for(o, pages->count);
	int r;

	if (!buckets)
		return EXIT_FAILED;
	r = index_create(pages, buckets, o->force);
	if (r)
		return complain(o, r);
	printf("%" PRIu64 " pages of %d bytes\n", buckets, PAGE_BYTES);
	return 0;
}

/* ---- get ---- */

static int print_value(const struct options *o, struct index *ix, const struct record *key)
{
	char value[VALUE_MAX_BYTES];
	size_t bytes;
	int r = index_get(ix, key->key, key->key_bytes, value, &bytes);

	if (!r) {
		text_print(stdout, key->key, key->key_bytes, value, bytes);
		return 0;
	}
	if (r != -ENOENT)
		return complain(o, r);
	fprintf(stderr, "exo-index: not there: ");
	text_print(stderr, key->key, key->key_bytes, "", 0);
	return EXIT_FAILED;
}

/* The next key, of the command line or of standard input; as text_read(). */
static int next_key(const struct options *o, uint64_t n, struct record *r)
{
	if (!o->args_nr)
		return text_read(stdin, r);
	if (n == (uint64_t)o->args_nr)
		return 0;
	return text_key(o->args[n], strlen(o->args[n]), r) ?: 1;
}

/* All buckets of a batch are on their way before the first is waited for. */
static int get_batches(const struct options *o, struct index *ix, struct record *keys)
{
	uint64_t n = 0;
	int status = 0, got = 1;

	while (got > 0) {
		uint64_t count = 0;

		while (count < o->batch && (got = next_key(o, n, &keys[count])) > 0) {
			index_want(ix, keys[count].key, keys[count].key_bytes);
			count++;
			n++;
		}
		for (uint64_t i = 0; i < count; i++)
			status |= print_value(o, ix, &keys[i]);
	}
	if (got < 0)
		status = complain_text(o->args_nr ? "key" : "standard input", n + 1, got);
	return status;
}

int run_get(const struct options *o, struct pages *pages)
{
	struct record *keys;
	struct index ix;
	int status, r = index_open(&ix, pages, false);

	if (r)
		return complain(o, r);
	keys = malloc(o->batch * sizeof(*keys));
	if (!keys)
		return complain(o, -ENOMEM);
	status = get_batches(o, &ix, keys);
	free(keys);
	return status;
}

/* ---- the others ---- */

static int delete_key(const struct options *o, struct index *ix, uint64_t n)
{
	struct record key;
	int r = text_key(o->args[n], strlen(o->args[n]), &key);

	if (r)
		return complain_text("key", n + 1, r);
	r = index_delete(ix, key.key, key.key_bytes);
	if (!r)
		return 0;
	if (r != -ENOENT)
		return complain(o, r);
	fprintf(stderr, "exo-index: not there: %s\n", o->args[n]);
	return EXIT_FAILED;
}

int run_delete(const struct options *o, struct pages *pages)
{
	struct index ix;
	int status = 0, r = index_open(&ix, pages, true);

	if (r)
		return complain(o, r);
	for (int i = 0; i < o->args_nr; i++)
		status |= delete_key(o, &ix, i);
	r = index_close(&ix);
	return r ? complain(o, r) : status;
}

static int print_entry(void *arg, const struct entry *e)
{
	(void)arg;
	text_print(stdout, e->key, e->key_bytes, e->value, e->value_bytes);
	return ferror(stdout) ? -EIO : 0;
}

int run_dump(const struct options *o, struct pages *pages)
{
	struct index ix;
	int r = index_open(&ix, pages, false);

	if (!r)
		r = index_each(&ix, print_entry, NULL);
	/* Not of the index: main() says what became of standard output. */
	if (ferror(stdout))
		return EXIT_FAILED;
	return r ? complain(o, r) : 0;
}

int run_stat(const struct options *o, struct pages *pages)
{
	struct index ix;
	int r = index_open(&ix, pages, false);

	if (r)
		return complain(o, r);
	printf("pages    %" PRIu64 " of %d bytes, %" PRIu64 " that the store has\n", ix.mask + 1,
	       PAGE_BYTES, pages->count);
	printf("keys     %" PRIu64 ", %.1f a page\n", ix.keys, (double)ix.keys / (ix.mask + 1));
	printf("id       %016" PRIx64 "\n", ix.id);
	return 0;
}

int run_check(const struct options *o, struct pages *pages)
{
	struct index_report found;
	int r = index_check(pages, o->repair, &found);

	if (r && r != -EUCLEAN)
		return complain(o, r);
	printf("%" PRIu64 " keys in %" PRIu64 " pages, %" PRIu64 " of which were full once\n",
	       found.keys, found.pages, found.passed);
	printf("%" PRIu64 " pages broken, %" PRIu64 " entries out of place%s\n", found.broken,
	       found.lost, o->repair && found.broken + found.lost ? ", before the repair" : "");
	return r ? complain(o, r) : 0;
}

/* ---- bench ---- */

int run_bench(const struct options *o, struct pages *pages)
{
	struct index ix;
	struct job job = { .ix = &ix, .seed = o->seed, .batch = o->batch };
	uint64_t buckets = buckets_for(o, pages->count);
	int r;

	if (!buckets)
		return EXIT_FAILED;
	job.keys = o->keys ? o->keys : 2 * buckets;
	r = index_create(pages, buckets, o->force);
	if (!r)
		r = index_open(&ix, pages, true);
	if (!r)
		r = job_run(&job);
	if (!r)
		r = index_close(&ix);
	if (r)
		return complain(o, r);
	report(o, &job);
	return 0;
}
