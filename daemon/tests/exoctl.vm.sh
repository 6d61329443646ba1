#!/bin/sh
# SPDX-License-Identifier: MIT
# exoctl on a real disk of a virtual machine: whatever uses it is named and keeps
# it, a free one goes to exo, and it comes back with its data. Run as root.

# shellcheck source=daemon/tests/lib.vm.sh
. "$(dirname "$0")/lib.vm.sh"

wipe() {
	dd if=/dev/zero of="$disk" bs=1M count=4 conv=notrunc,fsync 2>/dev/null
}

make_filesystem() {
	mkfs.ext4 -q -F "$1" 2>/dev/null || mke2fs -F "$1" >/dev/null 2>&1
}

mount_it() {
	modprobe ext4 2>/dev/null
	make_filesystem "$disk" && mount "$disk" "$scratch" 2>/dev/null
}

test_mounted() {
	if ! mount_it; then
		skip "a mounted file system is named and stays" "no ext4 in this guest"
		for sentence in \
			"a disk that bears a file system is refused without its serial number" \
			"another disk's serial number does not help" \
			"a disk that bears a file system is bound under its serial number" \
			"a bound disk is given back" \
			"a disk that was exo's comes back with its file system intact"; do
			skip "$sentence" "no ext4 in this guest"
		done
		return
	fi
	echo precious >"$scratch/file"
	refused "is mounted on $scratch" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a mounted file system is named and stays"
	umount "$scratch"
	refused "--overwrite $serial" exoctl bind "$bdf"
	ok $? "a disk that bears a file system is refused without its serial number"
	refused "the serial number of this disk is $serial" exoctl bind "$bdf" --overwrite other
	ok $? "another disk's serial number does not help"
	quietly exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a disk that bears a file system is bound under its serial number"
	quietly exoctl unbind "$bdf"
	ok $? "a bound disk is given back"
	name
	mount "$disk" "$scratch" && grep -q precious "$scratch/file"
	ok $? "a disk that was exo's comes back with its file system intact"
	umount "$scratch"
}

test_swap() {
	wipe
	if ! mkswap "$disk" >/dev/null 2>&1 || ! swapon "$disk" 2>/dev/null; then
		skip "swap space is named and stays" "no mkswap or no swap in this guest"
		return
	fi
	refused "is swap space in use" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "swap space is named and stays"
	swapoff "$disk"
}

test_dm() {
	wipe
	modprobe dm_mod 2>/dev/null
	if ! have dmsetup || ! dmsetup create exotest --table "0 2048 linear $disk 0" 2>/dev/null; then
		skip "a device-mapper device is named and stays" "no dmsetup or no dm_mod"
		return
	fi
	refused "device-mapper device exotest" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a device-mapper device is named and stays"
	dmsetup remove exotest
}

test_loop() {
	wipe
	modprobe loop 2>/dev/null
	if ! loop=$(losetup -f 2>/dev/null) || ! losetup "$loop" "$disk" 2>/dev/null; then
		skip "a loop device is named and stays" "no losetup or no loop device"
		return
	fi
	refused "loop device" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a loop device is named and stays"
	losetup -d "$loop"
}

# A reader that has certainly opened $1: it writes to the pipe afterwards.
hold_open() {
	mkfifo "$scratch/ready" "$scratch/end"
	sh -c 'exec 5<"$1"; echo >"$2"; read -r _ <"$3"' holder "$1" "$scratch/ready" \
		"$scratch/end" &
	holder=$!
	read -r _ <"$scratch/ready"
}

let_go() {
	echo >"$scratch/end"
	wait "$holder"
	rm "$scratch/ready" "$scratch/end"
}

test_process() {
	hold_open "$disk"
	refused "is open in process $holder (sh)" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a process with the disk open is named and keeps it"
	let_go
	hold_open "/dev/$(controller_of "$bdf")"
	refused "is open in process $holder (sh)" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a process with the controller's character device open is named and keeps it"
	let_go
}

test_data() {
	wipe
	printf x | dd of="$disk" bs=1 seek=5000 conv=notrunc,fsync 2>/dev/null
	refused "data of no known kind at byte 5000" exoctl bind "$bdf"
	ok $? "data without a signature is seen"
	wipe
}

test_function() {
	bridge=$(grep -l 0x06 /sys/bus/pci/devices/*/class | head -n 1)
	refused "not an NVMe controller" exoctl bind "$(basename "$(dirname "$bridge")")"
	ok $? "a function that is no NVMe controller is refused"
	refused "there is no PCI function" exoctl bind 00ff:ff:1f.7
	ok $? "a function that is not there is refused"
	refused "not a PCI address" exoctl bind disk
	ok $? "what is no address is refused"
	refused "is not exo's" exoctl unbind "$bdf"
	ok $? "a disk that exo does not have is not given back"
}

test_bound() {
	quietly exoctl bind "$(controller_of "$bdf")" --overwrite "$serial"
	ok $? "a disk can be bound by the name of its controller"
	[ "$(driver_of "$bdf")" = exo ]
	ok $? "a bound disk has the driver exo"
	quietly exoctl bind "$bdf"
	ok $? "binding a bound disk changes nothing"
	exoctl status "$bdf" >"$log" && grep -q "exo .*live.*$serial" "$log"
	ok $? "status shows a bound disk with its serial number, as root"
	if have setpriv; then
		setpriv --reuid 1000 --regid 1000 --clear-groups exoctl status >"$log" 2>&1 &&
			grep -q "^$bdf.* exo " "$log" && grep -q "root sees more" "$log"
		ok $? "status shows others who drives a disk, and says that root sees more"
	else
		skip "status shows others who drives a disk, and says that root sees more" \
			"no setpriv in this guest"
	fi
	exoctl status --json >"$log" && grep -q "\"address\": \"$bdf\", \"driver\": \"exo\"" "$log"
	ok $? "status speaks JSON"
	exoctl status "$bdf" | grep -q " [0-9]* C  *$serial" &&
		grep -q "\"firmware\": \"[^\"]*\", \"celsius\": [0-9]*, \"critical_warnings\": 0" "$log"
	ok $? "status shows how warm a disk is, and whether it warns"
	exoctl doctor >"$log" && grep -q "$bdf is exo's" "$log"
	ok $? "doctor finds nothing missing"
	quietly exoctl unbind "$bdf"
	ok $? "a bound disk is given back to the driver nvme"
	[ "$(cat "/sys/bus/pci/devices/$bdf/driver_override")" = "(null)" ]
	ok $? "nothing of the binding is left behind"
	name
	[ -b "$disk" ]
	ok $? "the block device is there when unbind returns"
}

# What a bind that was killed in the middle leaves behind.
test_repair() {
	echo exo >"/sys/bus/pci/devices/$bdf/driver_override"
	echo "$bdf" >/sys/bus/pci/drivers/nvme/unbind
	refused "no driver has it" exoctl bind "$bdf" --overwrite "$serial"
	ok $? "a function without a driver is refused, because nobody can see what it bears"
	quietly exoctl unbind "$bdf" && [ "$(driver_of "$bdf")" = nvme ]
	ok $? "unbind gives it back to its own driver"
	name
}

begin
plan 29
wipe
test_mounted
test_swap
test_dm
test_loop
test_process
test_data
test_function
test_bound
test_repair
