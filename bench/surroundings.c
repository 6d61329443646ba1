// SPDX-License-Identifier: MIT
/* Where a measurement is taken; see surroundings.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "bench.h"
#include "surroundings.h"

#define SAMPLES 256u
#define LOAD_MAX 0.3 /* of all processors, by others */

/* ---- the machine ---- */

/* What a hypervisor calls itself, to who asks the processor: nothing, if there is none. */
static void name_hypervisor(char signature[13])
{
	memset(signature, 0, 13);
#ifdef __x86_64__
	unsigned int eax, ebx, ecx = 0, edx;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	if (!(ecx & (1u << 31)))
		return;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	memcpy(signature, &ebx, 4);
	memcpy(signature + 4, &ecx, 4);
	memcpy(signature + 8, &edx, 4);
#endif
}

/* Only x86 can be asked: of others it is not known that there is no hypervisor. */
static const char *not_emulated(void)
{
#ifdef __x86_64__
	return "metal";
#else
	return "metal or a hypervisor";
#endif
}

void surroundings_tag(const struct machine *m, char *tag, size_t size)
{
	char signature[13], vendor[64];

	name_hypervisor(signature);
	machine_read(m, vendor, sizeof(vendor), "sys/class/dmi/id/sys_vendor");
	if (!strcmp(signature, "TCGTCGTCGTCG"))
		snprintf(tag, size, "TCG-emulated");
	else if (!strcmp(signature, "KVMKVMKVM"))
		snprintf(tag, size, "KVM-emulated");
	else if (signature[0])
		snprintf(tag, size, "emulated by %s", signature);
	else if (!strcmp(vendor, "QEMU"))
		snprintf(tag, size, "emulated by a QEMU that hides");
	else
		snprintf(tag, size, "%s", not_emulated());
}

static void name_cpu(const struct machine *m, char *name, size_t size)
{
	static const char key[] = "model name";
	char text[4096], *line;

	machine_read(m, text, sizeof(text), "proc/cpuinfo");
	line = strstr(text, key);
	line = line ? strchr(line, ':') : NULL;
	snprintf(name, size, "%.*s", line ? (int)strcspn(line + 1, "\n") : 0, line ? line + 1 : "");
	if (name[0] == ' ')
		memmove(name, name + 1, strlen(name));
}

/* "0-3,8" */
static bool list_has(const char *list, long cpu)
{
	while (*list) {
		char *end;
		long low = strtol(list, &end, 10), high = low;

		if (end == list)
			return false;
		if (*end == '-')
			high = strtol(end + 1, &end, 10);
		if (cpu >= low && cpu <= high)
			return true;
		list = end + (*end == ',');
	}
	return false;
}

int surroundings_cpu(const struct machine *m, const char *address)
{
	char list[1024];
	cpu_set_t allowed;
	int first = -1;

	machine_read(m, list, sizeof(list), "sys/bus/pci/devices/%s/local_cpulist", address);
	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		if (list_has(list, cpu))
			return cpu;
		if (first < 0)
			first = cpu;
	}
	return first;
}

/* ---- the checks: what has a cure is a warning ---- */

static void check_link(const struct loan *loan, struct findings *list)
{
	char speed[48], width[16], best_speed[48], best_width[16];

	machine_read(loan->m, speed, sizeof(speed), "sys/bus/pci/devices/%s/current_link_speed",
		     loan->f.address);
	machine_read(loan->m, width, sizeof(width), "sys/bus/pci/devices/%s/current_link_width",
		     loan->f.address);
	machine_read(loan->m, best_speed, sizeof(best_speed),
		     "sys/bus/pci/devices/%s/max_link_speed", loan->f.address);
	machine_read(loan->m, best_width, sizeof(best_width),
		     "sys/bus/pci/devices/%s/max_link_width", loan->f.address);
	if (!atoi(speed) || !atoi(width))
		findings_add(list, "", "PCIe link: none of its own (integrated, or emulated)");
	else if (atof(speed) < atof(best_speed) || atoi(width) < atoi(best_width))
		findings_add(list, "another slot, or ASPM off (pcie_aspm=off)",
			     "PCIe link: %s x%s, but the disk can do %s x%s", speed, width,
			     best_speed, best_width);
	else
		findings_add(list, "", "PCIe link: %s x%s, the most that the disk can do", speed,
			     width);
}

static void check_numa(const struct loan *loan, int cpu, struct findings *list)
{
	struct names nodes = machine_list(loan->m, "sys/bus/node/devices");
	char node[16], cpus[1024];

	machine_read(loan->m, node, sizeof(node), "sys/bus/pci/devices/%s/numa_node",
		     loan->f.address);
	machine_read(loan->m, cpus, sizeof(cpus), "sys/bus/pci/devices/%s/local_cpulist",
		     loan->f.address);
	if (nodes.count < 2)
		findings_add(list, "", "NUMA: one node; on CPU %d", cpu);
	else if (list_has(cpus, cpu) && atoi(node) >= 0)
		findings_add(list, "", "NUMA: the disk is at node %s, and so is CPU %d", node, cpu);
	else
		findings_add(list, "let it run there: --cpu, taskset",
			     "NUMA: the disk is at node %s (CPUs %s), but this runs on CPU %d",
			     node, cpus, cpu);
	names_free(&nodes);
}

static void check_governor(const struct loan *loan, int cpu, struct findings *list)
{
	char governor[32];

	if (machine_read(loan->m, governor, sizeof(governor),
			 "sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu) < 0)
		findings_add(list, "", "frequency governor: none");
	else if (!strcmp(governor, "performance"))
		findings_add(list, "", "frequency governor: performance");
	else
		findings_add(list, "cpupower frequency-set -g performance",
			     "frequency governor: %s; the rate of the processor changes meanwhile",
			     governor);
}

static void check_mitigations(const struct loan *loan, struct findings *list)
{
	static const char where[] = "sys/devices/system/cpu/vulnerabilities";
	struct names all = machine_list(loan->m, where);
	unsigned int active = 0, bare = 0;
	char text[256];

	for (size_t i = 0; i < all.count; i++) {
		machine_read(loan->m, text, sizeof(text), "%s/%s", where, all.name[i]);
		active += !strncmp(text, "Mitigation", 10);
		bare += !strncmp(text, "Vulnerable", 10);
	}
	findings_add(list, "",
		     "mitigations: %u active, which system calls pay for; %u known weaknesses open",
		     active, bare);
	names_free(&all);
}

static void check_iommu(const struct loan *loan, struct findings *list)
{
	if (!loan->iommu_before[0])
		findings_add(list, "switch it on: exoctl doctor",
			     "IOMMU: none; no direct queues, and nothing translates in any row");
	else if (loan->iommu[0])
		findings_add(list, "",
			     "IOMMU: %s under the stock driver for this run (%s otherwise); exo "
			     "always translates",
			     loan->iommu, loan->iommu_before);
	else if (!strcmp(loan->iommu_before, "identity"))
		findings_add(list, "",
			     "IOMMU: identity; the stock driver translates nothing, exo does");
	else
		findings_add(list, "",
			     "IOMMU: %s; translated in all rows, which costs the stock driver a "
			     "mapping for each I/O (--iommu identity: none)",
			     loan->iommu_before);
}

static void check_poll_queues(const struct loan *loan, struct findings *list)
{
	if (!loan->poll_before[0])
		findings_add(list, "a kernel with the nvme driver's parameter poll_queues",
			     "poll_queues: cannot be set here; no polled rows of the stock driver");
	else if (atoi(loan->poll_before))
		findings_add(list, "", "poll_queues: %s", loan->poll_before);
	else
		findings_add(list, "", "poll_queues: 0, and 1 for this run");
}

static void check_load(const struct loan *loan, struct findings *list)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char text[64];

	machine_read(loan->m, text, sizeof(text), "proc/loadavg");
	if (atof(text) > LOAD_MAX * cpus)
		findings_add(list, "stop what else runs, or wait",
			     "load: %.4s on %ld CPUs; others take time from what is measured", text,
			     cpus);
	else
		findings_add(list, "", "load: %.4s on %ld CPUs", text, cpus);
}

static void note_places(const struct loan *loan, struct results *results)
{
	char text[128], number[16];
	struct utsname name;

	surroundings_tag(loan->m, text, sizeof(text));
	results_place(results, PLACE_TAG, text);
	uname(&name);
	results_place(results, PLACE_KERNEL, name.release);
	name_cpu(loan->m, text, sizeof(text));
	results_place(results, PLACE_CPU, text);
	results_place(results, PLACE_DEVICE, loan->f.address);
	results_place(results, PLACE_MODEL, loan->model);
	results_place(results, PLACE_SERIAL, loan->serial);
	snprintf(number, sizeof(number), "%u", loan->nsid);
	results_place(results, PLACE_NAMESPACE, number);
	results_place(results, PLACE_IOMMU,
		      loan->iommu[0]	      ? loan->iommu
		      : loan->iommu_before[0] ? loan->iommu_before
					      : "none");
}

void surroundings_note(const struct loan *loan, int cpu, struct results *results)
{
	struct findings *list = &results->checks;
	char text[32];
	time_t now = time(NULL);
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	free(results->date);
	results->date = must_print("%s", text);
	note_places(loan, results);
	check_link(loan, list);
	check_numa(loan, cpu, list);
	check_governor(loan, cpu, list);
	check_mitigations(loan, list);
	check_iommu(loan, list);
	check_poll_queues(loan, list);
	check_load(loan, list);
}

/* ---- the disk's blocks ---- */

static bool is_blank(const char *block)
{
	return (!block[0] || block[0] == (char)0xff) && !memcmp(block, block + 1, BENCH_BYTES - 1);
}

/* How many of SAMPLES blocks are all zeroes or all ones, or -errno. */
static int count_blank(int fd, uint64_t blocks)
{
	char *block = NULL;
	int blank = 0;

	if (posix_memalign((void **)&block, BENCH_BYTES, BENCH_BYTES))
		return -ENOMEM;
	for (unsigned int i = 0; blank >= 0 && i < SAMPLES; i++) {
		/* Spread over the disk, and off any regular grid. */
		uint64_t at = blocks / SAMPLES * i + (i * 2654435761u) % (blocks / SAMPLES + 1);

		if (pread(fd, block, BENCH_BYTES, (off_t)(at % blocks) * BENCH_BYTES) !=
		    BENCH_BYTES)
			blank = -EIO;
		else
			blank += is_blank(block);
	}
	free(block);
	return blank;
}

void surroundings_sample(const struct loan *loan, struct results *results)
{
	int fd = open(loan->block, O_RDONLY | O_DIRECT | O_CLOEXEC), blank = -EIO;
	uint64_t bytes;

	if (fd >= 0 && !ioctl(fd, BLKGETSIZE64, &bytes) && bytes >= BENCH_BYTES)
		blank = count_blank(fd, bytes / BENCH_BYTES);
	if (fd >= 0)
		close(fd);
	if (blank < 0)
		findings_add(&results->checks, "dmesg", "blocks: %s cannot be read", loan->block);
	else if (blank > (int)SAMPLES / 10)
		findings_add(
			&results->checks,
			"fill the namespace first (fio --rw=write), which destroys what it bears",
			"blocks: %d of %u looked at are blank: they look deallocated, and a "
			"disk answers for such without touching its medium",
			blank, SAMPLES);
	else
		findings_add(&results->checks, "", "blocks: %d of %u looked at bear data",
			     (int)SAMPLES - blank, SAMPLES);
}
