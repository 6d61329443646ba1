// SPDX-License-Identifier: MIT
/*
 * What exoctl and exo-run decide, on trees of files that look like /sys, /proc
 * and /dev of a machine. Prints TAP. The tools meet real ones in *.vm.sh.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind.h"
#include "change.h"
#include "contents.h"
#include "driver.h"
#include "exclusive.h"
#include "history.h"
#include "holders.h"
#include "identity.h"
#include "label.h"
#include "options.h"
#include "pick.h"
#include "report.h"
#include "request.h"
#include "roots.h"
#include "zones.h"

#define BDF "0000:01:00.0"
#define DISK_BYTES (4u << 20)

static char root[64];
static struct machine machine;
static unsigned int tests, failures;
static bool failed;

#define EXPECT(condition)                                                        \
	do {                                                                     \
		if (!(condition)) {                                              \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
			failed = true;                                           \
		}                                                                \
	} while (0)

/* ---- a machine of files ---- */

static void parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static char *make_path(const char *path)
{
	char *full = must_print("%s/%s", root, path);

	parents(full);
	return full;
}

static void put(const char *path, const char *text)
{
	char *full = make_path(path);
	FILE *file = fopen(full, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		abort();
	free(full);
}

static void folder(const char *path)
{
	char *full = make_path(path);

	mkdir(full, 0755);
	free(full);
}

static void point(const char *path, const char *target)
{
	char *full = make_path(path);

	unlink(full);
	if (symlink(target, full))
		abort();
	free(full);
}

static void put_disk(const char *name, off_t at, const void *bytes, size_t length)
{
	char *path = must_print("dev/%s", name), *full = make_path(path);
	int fd = open(full, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, DISK_BYTES) || pwrite(fd, bytes, length, at) != (ssize_t)length)
		abort();
	close(fd);
	free(full);
	free(path);
}

static void has(const char *path, char *text, size_t size)
{
	machine_read(&machine, text, size, "%s", path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void end_machine(void)
{
	machine_close(&machine);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* One NVMe function with one blank namespace and a partition. */
static void begin_machine(void)
{
	strcpy(root, "/tmp/exo-unit-XXXXXX");
	if (!mkdtemp(root) || machine_open(&machine, root))
		abort();
	put("sys/bus/pci/devices/" BDF "/class", "0x010802\n");
	put("sys/bus/pci/devices/" BDF "/driver_override", "(null)\n");
	folder("sys/bus/pci/drivers/nvme");
	folder("sys/bus/pci/drivers/exo");
	point("sys/bus/pci/devices/" BDF "/driver", "../../drivers/nvme");
	folder("sys/bus/pci/devices/" BDF "/nvme/nvme0");
	put("sys/class/nvme/nvme0/address", BDF "\n");
	put("sys/class/nvme/nvme0/serial", "S123                \n");
	put("sys/class/nvme/nvme0/model", "Test disk           \n");
	put("sys/class/nvme/nvme0/queue_count", "5\n");
	put("sys/class/nvme/nvme0/dev", "240:0\n");
	folder("sys/class/nvme/nvme0/nvme0n1");
	put("sys/class/block/nvme0n1/dev", "259:0\n");
	put("sys/class/block/nvme0n1/nvme0n1p1/partition", "1\n");
	put("sys/class/block/nvme0n1p1/dev", "259:1\n");
	put("sys/class/nvme-generic/ng0n1/dev", "241:0\n");
	put("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	put("proc/swaps", "Filename Type Size Used Priority\n");
	put_disk("nvme0n1", 0, "", 1);
	put_disk("nvme0n1p1", 0, "", 1);
}

static struct findings holders(void)
{
	struct findings found = {};
	struct function f;
	struct disk disk;

	function_find(&machine, BDF, &f);
	disk_find(&machine, &f, &disk);
	holders_find(&machine, &disk, &found);
	disk_free(&disk);
	return found;
}

/* Exactly one finding, and it speaks of word. */
static bool only(struct findings found, const char *word)
{
	bool good = found.count == 1 && strstr(found.at[0].what, word) && found.at[0].cure[0];

	for (size_t i = 0; i < found.count && !good; i++)
		printf("# found: %s\n", found.at[i].what);
	if (!found.count)
		printf("# found nothing\n");
	findings_free(&found);
	return good;
}

/* ---- functions and disks ---- */

static void an_address_is_read_with_and_without_its_domain(void)
{
	char address[ADDRESS_SIZE];

	EXPECT(!address_parse("0000:01:00.0", address) && !strcmp(address, "0000:01:00.0"));
	EXPECT(!address_parse("3b:1F.7", address) && !strcmp(address, "0000:3b:1f.7"));
	EXPECT(!address_parse("abcd:00:04.1", address) && !strcmp(address, "abcd:00:04.1"));
	EXPECT(address_number("0001:02:03.4") == (1u << 16 | 2u << 8 | 3u << 3 | 4));
}

static void what_is_no_address_is_refused(void)
{
	static const char *const bad[] = {
		"",	   "01:00",    "01:00.8", "01:20.0",	   "1:2:3:4.0",	    "01:00.0x",
		"-1:00.0", " 01:00.0", "nvme",	  "12345:01:00.0", "0000:01:00.0/1"
	};
	char address[ADDRESS_SIZE];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(address_parse(bad[i], address) == -EINVAL);
}

static void a_function_is_found_by_the_name_of_its_controller(void)
{
	struct function f;

	EXPECT(!function_find(&machine, "nvme0", &f) && !strcmp(f.address, BDF));
	EXPECT(!function_find(&machine, "/dev/nvme0", &f) && !strcmp(f.driver, "nvme"));
	EXPECT(function_find(&machine, "nvme1", &f) == -ENODEV);
	EXPECT(function_find(&machine, "nvme0n1", &f) == -EINVAL);
	EXPECT(function_find(&machine, "02:00.0", &f) == -ENODEV);
}

static void a_disk_has_its_namespaces_partitions_and_character_devices(void)
{
	struct function f;
	struct disk disk;

	function_find(&machine, BDF, &f);
	disk_find(&machine, &f, &disk);
	EXPECT(!strcmp(disk.serial, "S123") && !strcmp(disk.model, "Test disk"));
	EXPECT(disk.queues == 4 && disk.namespaces == 1 && disk.count == 4);
	EXPECT(disk.count == 4 && !strcmp(disk.devices[1].name, "nvme0n1p1") &&
	       disk.devices[1].kind == DISK_PARTITION);
	EXPECT(disk.count == 4 && !strcmp(disk.devices[2].name, "ng0n1") &&
	       !strcmp(disk.devices[3].name, "nvme0"));
	disk_free(&disk);
}

static void a_path_of_a_subsystem_leads_to_its_head(void)
{
	struct function f;
	struct disk disk;

	folder("sys/class/nvme/nvme0/nvme3c0n2");
	put("sys/class/block/nvme3n2/dev", "259:9\n");
	function_find(&machine, BDF, &f);
	disk_find(&machine, &f, &disk);
	EXPECT(disk.namespaces == 2 && !disk.shared.count);
	disk_free(&disk);
	folder("sys/class/nvme/nvme1/nvme3c1n2");
	disk_find(&machine, &f, &disk);
	EXPECT(disk.shared.count == 1 && strstr(disk.shared.name[0], "nvme1"));
	disk_free(&disk);
}

/* ---- holders ---- */

static void a_disk_at_rest_has_no_holders(void)
{
	struct findings found = holders();

	EXPECT(!found.count);
	findings_free(&found);
}

static void a_mounted_partition_is_named_with_its_mount_point(void)
{
	put("proc/self/mountinfo", "30 22 259:1 / /srv/my\\040data rw shared:1 - ext4 /dev/x rw\n");
	EXPECT(only(holders(), "/dev/nvme0n1p1 is mounted on /srv/my data (ext4)"));
}

static void a_mount_with_an_anonymous_number_is_known_by_its_source(void)
{
	put("proc/self/mountinfo", "30 22 0:44 /@ /srv rw - btrfs /dev/nvme0n1 rw\n");
	EXPECT(only(holders(), "/dev/nvme0n1 is mounted on /srv (btrfs)"));
}

static void a_mount_in_another_mount_namespace_is_found(void)
{
	point("proc/self/ns/mnt", "mnt:[1]");
	point("proc/77/ns/mnt", "mnt:[2]");
	put("proc/77/comm", "container\n");
	put("proc/77/mountinfo", "30 22 259:0 / / rw - xfs /dev/nvme0n1 rw\n");
	EXPECT(only(holders(), "process 77 (container)"));
}

static void swap_space_is_named(void)
{
	put("proc/swaps", "Filename Type Size Used Priority\n/dev/nvme0n1p1 partition 9 0 -2\n");
	EXPECT(only(holders(), "/dev/nvme0n1p1 is swap"));
}

static void a_device_mapper_device_is_named(void)
{
	folder("sys/class/block/nvme0n1/holders/dm-3");
	put("sys/class/block/dm-3/dm/name", "vault\n");
	put("sys/class/block/dm-3/dm/uuid", "CRYPT-LUKS2-00\n");
	EXPECT(only(holders(), "vault"));
	put("sys/class/block/dm-3/dm/uuid", "LVM-00\n");
	EXPECT(only(holders(), "logical volume"));
}

static void a_raid_array_is_named(void)
{
	folder("sys/class/block/nvme0n1p1/holders/md127");
	folder("sys/class/block/md127/md");
	EXPECT(only(holders(), "RAID array md127"));
}

static void a_member_of_a_btrfs_of_several_devices_is_named(void)
{
	folder("sys/fs/btrfs/1234-abcd/devices/nvme0n1");
	EXPECT(only(holders(), "btrfs 1234-abcd"));
}

static void a_loop_device_is_named(void)
{
	put("sys/class/block/loop7/loop/backing_file", "/dev/nvme0n1\n");
	EXPECT(only(holders(), "loop7"));
}

static void an_nvme_target_is_named(void)
{
	put("sys/kernel/config/nvmet/subsystems/nqn.x/namespaces/1/device_path",
	    "/dev/nvme0n1p1\n");
	EXPECT(only(holders(), "nqn.x"));
}

static void a_process_with_the_disk_open_is_named(void)
{
	put("proc/4711/comm", "postgres\n");
	point("proc/4711/fd/5", "/dev/nvme0n1");
	EXPECT(only(holders(), "process 4711 (postgres)"));
}

static void a_process_with_a_character_device_open_is_named(void)
{
	put("proc/4711/comm", "fio\n");
	point("proc/4711/fd/5", "/dev/ng0n1");
	EXPECT(only(holders(), "/dev/ng0n1 is open in process 4711 (fio)"));
}

/* ---- contents ---- */

static struct findings contents(void)
{
	struct findings busy = {}, found = {};
	struct exclusive held;
	struct function f;
	struct disk disk;

	function_find(&machine, BDF, &f);
	disk_find(&machine, &f, &disk);
	exclusive_take(&machine, &disk, &held, &busy, &found);
	EXPECT(!busy.count && held.count == 2);
	exclusive_release(&held);
	disk_free(&disk);
	findings_free(&busy);
	return found;
}

/* What this kernel cannot use it hides; what only lacks a node somebody may use. */
static void a_hidden_disk_is_held_by_nobody(void)
{
	struct findings busy = {}, found = {};
	struct exclusive held;
	struct function f;
	struct disk disk;

	folder("sys/class/nvme/nvme0/nvme0n5");
	put("sys/class/block/nvme0n5/dev", "259:9\n");
	function_find(&machine, BDF, &f);
	disk_find(&machine, &f, &disk);
	exclusive_take(&machine, &disk, &held, &busy, &found);
	EXPECT(only(busy, "/dev/nvme0n5 cannot be held exclusively: No such file or directory"));
	exclusive_release(&held);
	busy = (struct findings){};
	put("sys/class/block/nvme0n5/hidden", "1\n");
	exclusive_take(&machine, &disk, &held, &busy, &found);
	EXPECT(!busy.count && held.count == 2);
	exclusive_release(&held);
	disk_free(&disk);
	findings_free(&busy);
	findings_free(&found);
}

static bool bears(const char *word)
{
	struct findings found = contents();
	bool good = found.count == 1 && strstr(found.at[0].what, word);

	for (size_t i = 0; i < found.count && !good; i++)
		printf("# found: %s\n", found.at[i].what);
	findings_free(&found);
	return good;
}

static void a_blank_disk_bears_nothing(void)
{
	struct findings found = contents();

	EXPECT(!found.count);
	findings_free(&found);
}

static void an_encrypted_volume_is_recognized(void)
{
	put_disk("nvme0n1", 0, "LUKS\xba\xbe\0\1", 8);
	EXPECT(bears("/dev/nvme0n1 bears crypto_LUKS"));
}

static void an_lvm_volume_on_a_partition_is_recognized(void)
{
	static const char label[] = "LABELONE\1\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001";

	put_disk("nvme0n1p1", 512, label, sizeof(label) - 1);
	EXPECT(bears("/dev/nvme0n1p1 bears"));
}

static void a_partition_table_is_recognized(void)
{
	char sector[512] = {};

	sector[446 + 4] = (char)0x83;
	sector[446 + 8] = 8;
	sector[446 + 12] = 64;
	sector[510] = 0x55;
	sector[511] = (char)0xaa;
	put_disk("nvme0n1", 0, sector, sizeof(sector));
	EXPECT(bears("partition table (dos)"));
}

static void data_without_a_signature_is_seen_at_both_ends(void)
{
	put_disk("nvme0n1", 70000, "x", 1);
	EXPECT(bears("no known kind at byte 70000"));
	put_disk("nvme0n1", 70000, "", 1);
	put_disk("nvme0n1", DISK_BYTES - 1, "x", 1);
	EXPECT(bears("no known kind at byte 4194303"));
}

/* ---- bind and unbind ---- */

static struct findings function_refusals(void)
{
	struct findings refused = {};
	struct function f;
	struct disk disk;

	function_find(&machine, BDF, &f);
	disk_find(&machine, &f, &disk);
	bind_check_function(&machine, &f, &disk, &refused);
	disk_free(&disk);
	return refused;
}

static void a_plain_nvme_function_may_be_bound(void)
{
	struct findings refused = function_refusals();

	EXPECT(!refused.count);
	findings_free(&refused);
}

static void a_function_of_another_class_is_refused(void)
{
	put("sys/bus/pci/devices/" BDF "/class", "0x020000\n");
	EXPECT(only(function_refusals(), "not an NVMe controller"));
}

static void a_function_in_another_driver_s_hands_is_refused(void)
{
	point("sys/bus/pci/devices/" BDF "/driver", "../../drivers/vfio-pci");
	EXPECT(only(function_refusals(), "the driver vfio-pci has it"));
}

static void a_function_without_a_driver_is_refused_because_it_may_bear_data(void)
{
	char *path = make_path("sys/bus/pci/devices/" BDF "/driver");

	unlink(path);
	free(path);
	EXPECT(only(function_refusals(), "no driver"));
}

static void a_function_with_virtual_functions_is_refused(void)
{
	put("sys/bus/pci/devices/" BDF "/sriov_numvfs", "2\n");
	EXPECT(only(function_refusals(), "virtual functions (2)"));
}

static void a_function_reserved_for_another_driver_is_refused(void)
{
	put("sys/bus/pci/devices/" BDF "/driver_override", "vfio-pci\n");
	EXPECT(only(function_refusals(), "vfio-pci (driver_override)"));
}

static void bind_without_the_module_says_so(void)
{
	char *path = make_path("sys/bus/pci/drivers/exo");

	rmdir(path);
	free(path);
	EXPECT(only(function_refusals(), "module exo is not loaded"));
}

static void data_is_overwritten_only_under_the_disk_s_own_serial_number(void)
{
	struct disk disk = { .serial = "S123" };
	struct findings data = {}, none = {}, refused = {};

	findings_add(&data, "", "it bears xfs");
	bind_check_contents(&disk, BDF, NULL, &none, &refused);
	EXPECT(!refused.count);
	bind_check_contents(&disk, BDF, "S123", &data, &refused);
	EXPECT(!refused.count);
	bind_check_contents(&disk, BDF, NULL, &data, &refused);
	EXPECT(only(refused, "bears xfs"));
	refused = (struct findings){};
	bind_check_contents(&disk, BDF, "S124", &data, &refused);
	EXPECT(only(refused, "is S123"));
	refused = (struct findings){};
	bind_check_contents(&disk, BDF, "S124", &none, &refused);
	EXPECT(only(refused, "is S123"));
	findings_free(&data);
}

static void giving_back_clears_the_override_before_anything_else(void)
{
	struct function f;
	const char *where;
	char text[32];

	put("sys/bus/pci/devices/" BDF "/driver_override", "exo");
	put("sys/bus/pci/drivers/exo/unbind", "");
	put("sys/bus/pci/drivers_probe", "");
	point("sys/bus/pci/devices/" BDF "/driver", "../../drivers/exo");
	function_find(&machine, BDF, &f);
	EXPECT(!driver_give_back(&machine, &f, &where));
	has("sys/bus/pci/devices/" BDF "/driver_override", text, sizeof(text));
	EXPECT(text[0] == '\n'); /* a file keeps what a write does not reach */
	has("sys/bus/pci/drivers/exo/unbind", text, sizeof(text));
	EXPECT(!strcmp(text, BDF));
	has("sys/bus/pci/drivers_probe", text, sizeof(text));
	EXPECT(!strcmp(text, BDF));
}

static void a_function_that_its_driver_has_again_is_not_unbound(void)
{
	struct function f;
	const char *where;
	char text[32];

	put("sys/bus/pci/drivers/nvme/unbind", "");
	put("sys/bus/pci/drivers_probe", "");
	function_find(&machine, BDF, &f);
	EXPECT(!driver_give_back(&machine, &f, &where));
	has("sys/bus/pci/drivers/nvme/unbind", text, sizeof(text));
	EXPECT(!text[0]);
}

/* ---- doctor ---- */

static enum check_result doctor_says(const char *release, const char *word)
{
	enum check_result result = CHECK_OK;
	struct checks checks = {};
	bool found = false;

	doctor_examine(&machine, release, &checks);
	for (size_t i = 0; i < checks.count; i++) {
		if (!strstr(checks.at[i].what, word))
			continue;
		found = true;
		result = checks.at[i].result;
		EXPECT(result == CHECK_OK || checks.at[i].cure[0]);
	}
	EXPECT(found);
	checks_free(&checks);
	return result;
}

static void doctor_wants_kernel_6_12(void)
{
	folder("sys/module/exo");
	EXPECT(doctor_says("6.1.0-40-amd64", "older than 6.12") == CHECK_FAIL);
	EXPECT(doctor_says("6.12.0", "kernel 6.12") == CHECK_OK);
	EXPECT(doctor_says("7.0.1", "kernel 7.0") == CHECK_OK);
}

static void doctor_tells_installed_from_loaded(void)
{
	EXPECT(doctor_says("6.12.1", "not installed") == CHECK_FAIL);
	put("lib/modules/6.12.1/modules.dep",
	    "kernel/a/exotic.ko:\nupdates/exo.ko.xz: kernel/b.ko\n");
	EXPECT(doctor_says("6.12.1", "not loaded") == CHECK_WARN);
	folder("sys/module/exo");
	EXPECT(doctor_says("6.12.1", "is loaded") == CHECK_OK);
}

static void doctor_knows_secure_boot(void)
{
	EXPECT(doctor_says("6.12.1", "no signature") == CHECK_OK);
	put("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	EXPECT(doctor_says("6.12.1", "lockdown") == CHECK_WARN);
}

static void doctor_knows_a_free_disk_from_one_in_use(void)
{
	EXPECT(doctor_says("6.12.1", "is free, with 4 queues") == CHECK_OK);
	put("proc/self/mountinfo", "30 22 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n");
	EXPECT(doctor_says("6.12.1", "is mounted on /") == CHECK_OK);
	EXPECT(doctor_says("6.12.1", "no spare NVMe disk") == CHECK_WARN);
}

static void json_strings_are_escaped(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	json_string(out, "a\"b\\c\n");
	fclose(out);
	EXPECT(!strcmp(text, "\"a\\\"b\\\\c\\u000a\""));
	free(text);
}

/* ---- exo-run ---- */

static void an_extent_is_read_with_and_without_its_parts(void)
{
	struct request r;

	EXPECT(!request_parse("01:00.0/1:8+16", &r) && r.nsid == 1 && r.start.value == 8 &&
	       r.length.value == 16 && !r.readonly && !r.whole && !r.name[0]);
	EXPECT(!request_parse("log=0000:01:00.0/7:1M+2G:ro", &r) && !strcmp(r.name, "log") &&
	       r.nsid == 7 && r.start.bytes && r.start.value == 1 << 20 && r.readonly);
	EXPECT(!request_parse("01:00.0/1", &r) && r.whole && !r.readonly);
	EXPECT(!request_parse("01:00.0/1:ro", &r) && r.whole && r.readonly);
}

static void what_is_no_extent_is_refused(void)
{
	static const char *const bad[] = {
		"",
		"01:00.0",
		"01:00.0/0:0+1",
		"01:00.0/1:0",
		"01:00.0/1:0+0",
		"01:00.0/1:0+1:rw",
		"01:00.0/1:-1+1",
		"01:00.0/1:0+1x",
		"=01:00.0/1:0+1",
		"a,b=01:00.0/1:0+1",
		"01:00.0/4294967295:0+1",
		"01:00.0/1:0+18446744073709551616",
		"01:00.0/1:0+99999999T",
		"nvme0/1:0+1",
	};
	struct request r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(request_parse(bad[i], &r));
}

static void bytes_become_blocks_only_when_they_are_whole_blocks(void)
{
	struct request r;
	struct range range;

	request_parse("01:00.0/1:4K+1M", &r);
	EXPECT(!request_resolve(&r, 9, 1 << 20, &range) && range.start == 8 &&
	       range.length == 2048);
	EXPECT(!request_resolve(&r, 12, 1 << 20, &range) && range.start == 1);
	request_parse("01:00.0/1:1K+1M", &r);
	EXPECT(request_resolve(&r, 12, 1 << 20, &range));
}

static void placement_identifiers_are_a_list_of_small_numbers(void)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "64", "1;2", "1K", "-1", "a", "1 "
	};
	uint64_t bits;

	EXPECT(!request_placement("0", &bits) && bits == 1);
	EXPECT(!request_placement("1,2,63", &bits) && bits == (6 | 1ull << 63));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(request_placement(bad[i], &bits));
}

static void an_extent_of_a_zoned_namespace_has_whole_zones(void)
{
	const struct range whole = { .start = 512, .length = 256 };
	const struct range early = { .start = 128, .length = 256 };
	const struct range short_of = { .start = 256, .length = 255 };

	EXPECT(!request_check_zones(&whole, 256) && !request_check_zones(&early, 128));
	EXPECT(request_check_zones(&early, 256) && request_check_zones(&short_of, 256));
	EXPECT(!request_check_zones(&short_of, 0));
}

static void a_quota_of_zones_is_set_where_there_is_a_limit(void)
{
	struct exo_namespace_query ns = { .out_zone_blocks = 256, .out_active_zones = 14 };
	struct exo_extent_create extent = {};

	EXPECT(!zones_set_quota(&extent, &ns, 0) && !extent.active_zones);
	EXPECT(!zones_set_quota(&extent, &ns, 3) && extent.active_zones == 3 && !extent.open_zones);
	ns.out_open_zones = 8;
	EXPECT(!zones_set_quota(&extent, &ns, 2) && extent.active_zones == 2 &&
	       extent.open_zones == 2);
	ns.out_open_zones = ns.out_active_zones = 0;
	EXPECT(zones_set_quota(&extent, &ns, 2));
	ns.out_zone_blocks = 0;
	EXPECT(zones_set_quota(&extent, &ns, 2) && !zones_set_quota(&extent, &ns, 0));
}

static void an_extent_ends_at_the_end_of_the_namespace(void)
{
	struct request r;
	struct range range;

	request_parse("01:00.0/1:90+10", &r);
	EXPECT(!request_resolve(&r, 9, 100, &range));
	EXPECT(request_resolve(&r, 9, 99, &range));
	request_parse("01:00.0/1:1+18446744073709551615", &r);
	EXPECT(request_resolve(&r, 9, 100, &range));
	request_parse("01:00.0/1", &r);
	EXPECT(!request_resolve(&r, 9, 100, &range) && !range.start && range.length == 100);
}

static void a_user_is_given_by_name_or_numbers(void)
{
	struct identity id;

	EXPECT(!identity_find("4242:4343", &id) && id.user == 4242 && id.group == 4343 &&
	       !id.all_groups);
	EXPECT(!identity_find("nobody", &id) && id.user == 65534 && id.all_groups);
	setenv("SUDO_UID", "65534", 1);
	EXPECT(!identity_find(NULL, &id) && id.user == 65534);
	setenv("SUDO_UID", "0", 1);
	EXPECT(!identity_find(NULL, &id) && id.user == 65534);
	unsetenv("SUDO_UID");
	EXPECT(!identity_find(NULL, &id) && id.user == 65534);
}

static void root_and_nonsense_are_no_users(void)
{
	static const char *const bad[] = { "root",	   "0",	 "0:5", "5:0",		"",
					   "no such user", "5:", "5:x", "4294967295:1", "-1:1" };
	struct identity id;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(identity_find(bad[i], &id));
}

static void hold(struct history *history, uint64_t start, uint64_t length, uid_t user)
{
	struct holding h = { .object = 5, .blocks = { start, length }, .user = user };

	history_put(history, &h);
}

/* The blocks of 0..99 that are foreign to user, as a string of "start+length ". */
static char *foreign(const struct history *history, uint64_t object, uid_t user)
{
	struct ranges parts = history_foreign(history, object, (struct range){ 0, 100 }, user);
	char *text = must_print("%s", "");

	for (size_t i = 0; i < parts.count; i++) {
		char *longer = must_print("%s%lu+%lu ", text, (unsigned long)parts.at[i].start,
					  (unsigned long)parts.at[i].length);

		free(text);
		text = longer;
	}
	free(parts.at);
	return text;
}

static bool foreign_is(const struct history *history, uint64_t object, uid_t user,
		       const char *wanted)
{
	char *text = foreign(history, object, user);
	bool same = !strcmp(text, wanted);

	if (!same)
		printf("# foreign: %s\n", text);
	free(text);
	return same;
}

static void blocks_are_foreign_to_all_but_their_last_holder(void)
{
	struct history history = { .fd = -1 };

	EXPECT(foreign_is(&history, 5, 1000, "0+100 "));
	hold(&history, 0, 50, 1000);
	EXPECT(foreign_is(&history, 5, 1000, "50+50 "));
	EXPECT(foreign_is(&history, 5, 1001, "0+100 "));
	EXPECT(foreign_is(&history, 6, 1000, "0+100 "));
	hold(&history, 10, 10, 1001);
	EXPECT(foreign_is(&history, 5, 1000, "10+10 50+50 "));
	EXPECT(foreign_is(&history, 5, 1001, "0+10 20+80 "));
	hold(&history, 0, 100, 1000);
	EXPECT(foreign_is(&history, 5, 1000, ""));
	EXPECT(history.count == 1);
	free(history.at);
}

static void history_is_what_was_saved(void)
{
	struct history history;

	folder("run");
	EXPECT(!history_open(&machine, BDF, &history));
	hold(&history, 3, 4, 1000);
	hold(&history, 30, 40, 1001);
	EXPECT(!history_save(&history));
	history_close(&history);
	EXPECT(!history_open(&machine, BDF, &history));
	EXPECT(history.count == 2 && history.at[1].blocks.length == 40 &&
	       history.at[1].user == 1001);
	history_close(&history);
}

static void a_holder_lives_as_long_as_its_process_and_no_longer(void)
{
	struct holding h = { .object = 5, .blocks = { 0, 10 }, .process = 77, .started = 123456 };
	struct history history = { .at = &h, .count = 1 };
	const struct range inside = { 9, 1 }, behind = { 10, 1 };

	EXPECT(!history_live(&machine, &history, 5, inside));
	put("proc/77/stat", "77 (a) b)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 123456 0\n");
	EXPECT(history_live(&machine, &history, 5, inside) == &h);
	EXPECT(!history_live(&machine, &history, 5, behind));
	EXPECT(!history_live(&machine, &history, 6, inside));
	put("proc/77/stat", "77 (a) b)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 999999 0\n");
	EXPECT(!history_live(&machine, &history, 5, inside));
}

/* ---- derivation trees ---- */

static bool labelled(const struct exo_tree_entry *entry, const char *text)
{
	char what[LABEL_SIZE];

	return !strcmp(label_what(what, entry), text);
}

static void a_capability_is_told_in_units_that_a_person_reads(void)
{
	struct exo_tree_entry e = { .type = EXO_TYPE_EXTENT, .nsid = 2, .unit_shift = 9 };
	char text[LABEL_SIZE];

	e.start = 8;
	e.len = 4096;
	EXPECT(labelled(&e, "namespace 2, blocks 8+4096 (2 MiB)"));
	e = (struct exo_tree_entry){ .type = EXO_TYPE_FRAMES, .len = 3, .unit_shift = 21 };
	EXPECT(labelled(&e, "frames 0+3 of 2 MiB (6 MiB)"));
	e = (struct exo_tree_entry){ .type = EXO_TYPE_POOL, .budget = 16384, .used = 1 };
	EXPECT(labelled(&e, "pool, 4 KiB of 64 MiB in use"));
	e = (struct exo_tree_entry){ .type = EXO_TYPE_CONTROLLER, .budget = 4, .used = 1 };
	EXPECT(labelled(&e, "controller, 1 of 4 queues in use"));
	e = (struct exo_tree_entry){ .type = EXO_TYPE_MEMORY, .len = 3, .unit_shift = 12 };
	EXPECT(labelled(&e, "adopted memory, 12 KiB"));
	e = (struct exo_tree_entry){ .type = EXO_TYPE_QUEUE, .qid = 7 };
	EXPECT(labelled(&e, "queue 7"));
	e.mode = EXO_QUEUE_DIRECT;
	EXPECT(labelled(&e, "queue 7, direct"));
	e.mode = EXO_QUEUE_UNSAFE;
	EXPECT(labelled(&e, "queue 7, unsafe"));
	e = (struct exo_tree_entry){ .type = 99 };
	EXPECT(labelled(&e, "type 99"));
	EXPECT(!strcmp(label_rights(text, EXO_RIGHT_READ | EXO_RIGHT_NAMES), "read,names"));
	EXPECT(!strcmp(label_rights(text, 0), ""));
	EXPECT(!strcmp(label_bytes(text, 1536), "1.5 KiB"));
	EXPECT(!strcmp(label_bytes(text, UINT64_MAX), "1.678e+07 TiB"));
}

static void the_state_of_a_capability_says_how_long_there_is(void)
{
	struct exo_tree_entry e = { .state = EXO_TREE_ASKED, .deadline = 5500000000 };
	char text[LABEL_SIZE];

	EXPECT(!strcmp(label_state(text, &e, 3000000000), "asked back, 2.5 s left"));
	EXPECT(!strcmp(label_state(text, &e, 6000000000), "asked back, 0.0 s left"));
	e.state = EXO_TREE_DROPPED;
	EXPECT(!strcmp(label_state(text, &e, 0), "dropped"));
}

static void a_holder_is_told_only_if_its_process_has_a_session(void)
{
	const struct exo_tree_entry e = { .session = 9, .pid = 77, .uid = 4000000 };
	struct holders_known known = {};
	char text[LABEL_SIZE];

	put("proc/77/comm", "server\n");
	folder("proc/77/fd");
	point("proc/77/fd/5", "/dev/null");
	label_holder(text, holder_find(&machine, &known, &e));
	EXPECT(!strcmp(text, "77 (ended), 4000000, session 9"));
	holder_forget(&known, &e);
	point("proc/77/fd/3", "/dev/exo");
	label_holder(text, holder_find(&machine, &known, &e));
	EXPECT(!strcmp(text, "77 (server), 4000000, session 9"));
}

/* 1 ( 2 ( 3 ), 4 ), 5 ( 6 ) */
static const struct exo_tree_entry forest[] = {
	{ .node = 1, .depth = 1, .pid = 10, .session = 1 },
	{ .node = 2, .depth = 2, .pid = 20, .session = 2, .uid = 7 },
	{ .node = 3, .depth = 3, .pid = 20, .session = 2, .uid = 7 },
	{ .node = 4, .depth = 2, .pid = 20, .session = 3, .uid = 8 },
	{ .node = 5, .depth = 1, .pid = 20, .session = 2, .uid = 7, .state = EXO_TREE_DROPPED },
	{ .node = 6, .depth = 2, .pid = 20, .session = 2, .uid = 7 },
};

static bool picks(enum pick_by by, uint64_t number, const char *expected)
{
	const struct pick pick = { by, number };
	size_t count, *list = pick_topmost(forest, 6, &pick, &count);
	char text[16] = "";

	for (size_t i = 0; i < count; i++)
		text[i] = '0' + forest[list[i]].node;
	free(list);
	return !strcmp(text, expected);
}

static void of_what_is_pointed_at_the_topmost_are_taken(void)
{
	EXPECT(picks(PICK_PID, 10, "1"));
	EXPECT(picks(PICK_PID, 20, "246"));
	EXPECT(picks(PICK_SESSION, 2, "26"));
	EXPECT(picks(PICK_UID, 8, "4"));
	EXPECT(picks(PICK_NODE, 5, "5"));
	EXPECT(picks(PICK_NODE, 9, ""));
	EXPECT(pick_end(forest, 6, 0) == 4 && pick_end(forest, 6, 1) == 3);
	EXPECT(pick_end(forest, 6, 5) == 6);
}

static void what_was_listed_twice_is_kept_once(void)
{
	struct exo_tree_entry list[] = { { .node = 4 },
					 { .node = 2, .cap = 1 },
					 { .node = 4 },
					 { .node = 2, .cap = 2 },
					 { .node = 9 } };

	EXPECT(entries_once(list, 5) == 3);
	EXPECT(list[0].node == 4 && list[1].node == 2 && list[2].node == 9 && list[1].cap == 1);
	EXPECT(entries_once(NULL, 0) == 0);
}

static void note_change(void *context, enum change change, const struct exo_tree_entry *was,
			const struct exo_tree_entry *now)
{
	char *text = context;

	sprintf(text + strlen(text), "%c%llu ", "+-dau"[change], now ? now->node : was->node);
}

static void changes_are_found_whatever_the_order(void)
{
	struct exo_tree_entry was[] = {
		{ .node = 5 }, { .node = 1 }, { .node = 3 }, { .node = 4, .state = EXO_TREE_ASKED }
	};
	struct exo_tree_entry now[] = { { .node = 7 },
					{ .node = 3, .state = EXO_TREE_DROPPED },
					{ .node = 5, .state = EXO_TREE_ASKED },
					{ .node = 4 } };
	char text[64] = "";

	changes_find(was, 4, now, 4, note_change, text);
	EXPECT(!strcmp(text, "-1 d3 u4 a5 +7 "));
	text[0] = '\0';
	changes_find(NULL, 0, now, 1, note_change, text);
	EXPECT(!strcmp(text, "+3 "));
}

static void a_number_lies_within_its_bounds(void)
{
	struct options options = {};
	uint64_t number;
	const char *const bad[] = { "", "x", "-1", "+1", "1x", "0", "11", "99999999999999999999" };

	EXPECT(option_number(&options, OPT_NODE, 1, 10, 3, &number) && number == 3);
	options.value[OPT_NODE] = "10";
	EXPECT(option_number(&options, OPT_NODE, 1, 10, 3, &number) && number == 10);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		options.value[OPT_NODE] = bad[i];
		EXPECT(!option_number(&options, OPT_NODE, 1, 10, 3, &number));
	}
}

/* ---- */

#define TEST(name)          \
	{                   \
#name, name \
	}

static const struct {
	const char *name;
	void (*run)(void);
} all[] = {
	TEST(an_address_is_read_with_and_without_its_domain),
	TEST(what_is_no_address_is_refused),
	TEST(a_function_is_found_by_the_name_of_its_controller),
	TEST(a_disk_has_its_namespaces_partitions_and_character_devices),
	TEST(a_path_of_a_subsystem_leads_to_its_head),
	TEST(a_disk_at_rest_has_no_holders),
	TEST(a_mounted_partition_is_named_with_its_mount_point),
	TEST(a_mount_with_an_anonymous_number_is_known_by_its_source),
	TEST(a_mount_in_another_mount_namespace_is_found),
	TEST(swap_space_is_named),
	TEST(a_device_mapper_device_is_named),
	TEST(a_raid_array_is_named),
	TEST(a_member_of_a_btrfs_of_several_devices_is_named),
	TEST(a_loop_device_is_named),
	TEST(an_nvme_target_is_named),
	TEST(a_process_with_the_disk_open_is_named),
	TEST(a_process_with_a_character_device_open_is_named),
	TEST(a_hidden_disk_is_held_by_nobody),
	TEST(a_blank_disk_bears_nothing),
	TEST(an_encrypted_volume_is_recognized),
	TEST(an_lvm_volume_on_a_partition_is_recognized),
	TEST(a_partition_table_is_recognized),
	TEST(data_without_a_signature_is_seen_at_both_ends),
	TEST(a_plain_nvme_function_may_be_bound),
	TEST(a_function_of_another_class_is_refused),
	TEST(a_function_in_another_driver_s_hands_is_refused),
	TEST(a_function_without_a_driver_is_refused_because_it_may_bear_data),
	TEST(a_function_with_virtual_functions_is_refused),
	TEST(a_function_reserved_for_another_driver_is_refused),
	TEST(bind_without_the_module_says_so),
	TEST(data_is_overwritten_only_under_the_disk_s_own_serial_number),
	TEST(giving_back_clears_the_override_before_anything_else),
	TEST(a_function_that_its_driver_has_again_is_not_unbound),
	TEST(doctor_wants_kernel_6_12),
	TEST(doctor_tells_installed_from_loaded),
	TEST(doctor_knows_secure_boot),
	TEST(doctor_knows_a_free_disk_from_one_in_use),
	TEST(json_strings_are_escaped),
	TEST(an_extent_is_read_with_and_without_its_parts),
	TEST(what_is_no_extent_is_refused),
	TEST(bytes_become_blocks_only_when_they_are_whole_blocks),
	TEST(placement_identifiers_are_a_list_of_small_numbers),
	TEST(an_extent_of_a_zoned_namespace_has_whole_zones),
	TEST(a_quota_of_zones_is_set_where_there_is_a_limit),
	TEST(an_extent_ends_at_the_end_of_the_namespace),
	TEST(a_user_is_given_by_name_or_numbers),
	TEST(root_and_nonsense_are_no_users),
	TEST(blocks_are_foreign_to_all_but_their_last_holder),
	TEST(history_is_what_was_saved),
	TEST(a_holder_lives_as_long_as_its_process_and_no_longer),
	TEST(a_capability_is_told_in_units_that_a_person_reads),
	TEST(the_state_of_a_capability_says_how_long_there_is),
	TEST(a_holder_is_told_only_if_its_process_has_a_session),
	TEST(of_what_is_pointed_at_the_topmost_are_taken),
	TEST(what_was_listed_twice_is_kept_once),
	TEST(changes_are_found_whatever_the_order),
	TEST(a_number_lies_within_its_bounds),
};

int main(void)
{
	const unsigned int count = sizeof(all) / sizeof(*all);

	printf("TAP version 13\n1..%u\n", count);
	for (tests = 0; tests < count; tests++) {
		failed = false;
		begin_machine();
		all[tests].run();
		end_machine();
		failures += failed;
		printf("%sok %u - %s\n", failed ? "not " : "", tests + 1, all[tests].name);
	}
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
