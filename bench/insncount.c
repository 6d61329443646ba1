// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * insncount.so: a QEMU (TCG) plugin that counts the guest instructions executed
 * between the marks of mark.h, user and kernel apart.
 *
 *   -plugin insncount.so,out=FILE[,hist=FILE][,trace=FILE]
 *
 * Each MARK_REPORT appends a line "INSNS user=N kernel=N regions=N" to out. With
 * hist, it also appends "REPORT", and a line "ADDRESS COUNT" for each kernel
 * instruction executed between the marks (slow; bench/symbols reads it). With trace,
 * the address of each kernel instruction that is kept goes there in the order of
 * execution, 8 bytes each, and 0 behind each region (bench/holds reads it).
 *
 * Counting is by virtual CPU: what the CPU that executed MARK_START does until
 * MARK_COMMIT, interrupts that it takes included. One CPU is between marks at
 * a time. A REP string instruction counts once.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <qemu-plugin.h>

#include "mark.h"

#if QEMU_PLUGIN_VERSION < 4
#error "the scoreboard API is needed: QEMU 9.0 or later"
#endif

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

struct counts {
	uint64_t user;
	uint64_t kernel;
};

/* A kernel instruction: executions kept, and those since MARK_START. */
struct site {
	uint64_t address;
	uint64_t kept;
	uint64_t pending;
	struct site *next; /* in touched */
};

#define NO_CPU (-1)

static struct qemu_plugin_scoreboard *board; /* struct counts by virtual CPU */
static qemu_plugin_u64 user_entry, kernel_entry;
static FILE *out, *hist, *trace;

static gint counting_cpu = NO_CPU; /* the rest is its alone while it is set */
static struct counts start, kept;
static uint64_t regions;
static struct site *touched;
static GArray *steps; /* addresses, since MARK_START */

static GMutex sites_lock;
static GHashTable *sites; /* address to struct site; never removed */

static struct counts counts_of(unsigned int cpu)
{
	return (struct counts){
		.user = qemu_plugin_u64_get(user_entry, cpu),
		.kernel = qemu_plugin_u64_get(kernel_entry, cpu),
	};
}

/* Empties the touched list, keeping its counts or not. */
static void settle_sites(bool keep)
{
	for (; touched; touched = touched->next) {
		if (keep)
			touched->kept += touched->pending;
		touched->pending = 0;
	}
}

/* Writes out the steps of the region, or forgets them. */
static void settle_steps(bool keep)
{
	const uint64_t end = 0;

	g_array_append_val(steps, end);
	if (keep && trace) {
		fwrite(steps->data, sizeof(uint64_t), steps->len, trace);
		fflush(trace);
	}
	g_array_set_size(steps, 0);
}

static void reset(void)
{
	GHashTableIter iter;
	gpointer site;

	kept = (struct counts){ 0 };
	regions = 0;
	g_mutex_lock(&sites_lock);
	g_hash_table_iter_init(&iter, sites);
	while (g_hash_table_iter_next(&iter, NULL, &site))
		((struct site *)site)->kept = 0;
	g_mutex_unlock(&sites_lock);
}

static void begin(unsigned int cpu)
{
	start = counts_of(cpu);
	g_atomic_int_set(&counting_cpu, cpu);
}

static void end(unsigned int cpu, bool keep)
{
	struct counts now = counts_of(cpu);

	if (g_atomic_int_get(&counting_cpu) != (gint)cpu) {
		fprintf(out, "ERROR the marks were left on another CPU than they were entered\n");
		return;
	}
	g_atomic_int_set(&counting_cpu, NO_CPU);
	settle_sites(keep);
	settle_steps(keep);
	if (!keep)
		return;
	kept.user += now.user - start.user;
	kept.kernel += now.kernel - start.kernel;
	regions++;
}

static void report(void)
{
	GHashTableIter iter;
	gpointer value;

	fprintf(out, "INSNS user=%" PRIu64 " kernel=%" PRIu64 " regions=%" PRIu64 "\n", kept.user,
		kept.kernel, regions);
	fflush(out);
	if (!hist)
		return;
	fprintf(hist, "REPORT\n");
	g_mutex_lock(&sites_lock);
	g_hash_table_iter_init(&iter, sites);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct site *site = value;

		if (site->kept)
			fprintf(hist, "%" PRIx64 " %" PRIu64 "\n", site->address, site->kept);
	}
	g_mutex_unlock(&sites_lock);
	fflush(hist);
}

static void on_mark(unsigned int cpu, void *tag)
{
	switch ((uintptr_t)tag) {
	case MARK_TAG_RESET:
		reset();
		break;
	case MARK_TAG_START:
		begin(cpu);
		break;
	case MARK_TAG_COMMIT:
		end(cpu, true);
		break;
	case MARK_TAG_DISCARD:
		end(cpu, false);
		break;
	case MARK_TAG_REPORT:
		report();
		break;
	}
}

static void on_site(unsigned int cpu, void *data)
{
	struct site *site = data;

	if (g_atomic_int_get(&counting_cpu) != (gint)cpu)
		return;
	if (trace)
		g_array_append_val(steps, site->address);
	if (!site->pending++) {
		site->next = touched;
		touched = site;
	}
}

static struct site *site_at(uint64_t address)
{
	struct site *site;

	g_mutex_lock(&sites_lock);
	site = g_hash_table_lookup(sites, &address);
	if (!site) {
		site = g_new0(struct site, 1);
		site->address = address;
		g_hash_table_insert(sites, &site->address, site);
	}
	g_mutex_unlock(&sites_lock);
	return site;
}

/* The tag of a mark, or 0: nopl disp32(%rax) is 0f 1f 80 and the displacement. */
static uint32_t mark_tag(const struct qemu_plugin_insn *insn)
{
	uint8_t code[7];
	uint32_t value;

	if (qemu_plugin_insn_size(insn) != sizeof(code) ||
	    qemu_plugin_insn_data(insn, code, sizeof(code)) != sizeof(code) ||
	    memcmp(code, "\x0f\x1f\x80", 3))
		return 0;
	memcpy(&value, code + 3, sizeof(value));
	return (value & MARK_MASK) == MARK_MAGIC ? value & ~MARK_MASK : 0;
}

static void instrument(struct qemu_plugin_insn *insn)
{
	uint64_t address = qemu_plugin_insn_vaddr(insn);
	bool kernel = address >> 63;
	uint32_t tag = kernel ? 0 : mark_tag(insn);

	if (tag) {
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
						       (void *)(uintptr_t)tag);
		return;
	}
	qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
							    kernel ? kernel_entry : user_entry, 1);
	if (kernel && (hist || trace))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_site, QEMU_PLUGIN_CB_NO_REGS,
						       site_at(address));
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		instrument(qemu_plugin_tb_get_insn(tb, i));
}

static bool open_argument(const char *argument, const char *name, FILE **file)
{
	if (!g_str_has_prefix(argument, name))
		return false;
	*file = fopen(argument + strlen(name), "w");
	if (!*file)
		perror(argument);
	return *file;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
					   char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!open_argument(argv[i], "out=", &out) &&
		    !open_argument(argv[i], "hist=", &hist) &&
		    !open_argument(argv[i], "trace=", &trace)) {
			fprintf(stderr, "insncount: %s: out=, hist= and trace=FILE are known\n",
				argv[i]);
			return -1;
		}
	}
	if (!out)
		out = stderr;
	steps = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	sites = g_hash_table_new(g_int64_hash, g_int64_equal);
	board = qemu_plugin_scoreboard_new(sizeof(struct counts));
	user_entry = qemu_plugin_scoreboard_u64_in_struct(board, struct counts, user);
	kernel_entry = qemu_plugin_scoreboard_u64_in_struct(board, struct counts, kernel);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
