#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# The tests of the emulation in a virtual machine, where io_uring is to be had: on files of
# two file systems and on block devices, on a disk that the kernel's own driver has. As root.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

# on WHAT PATH: all the programs, each a test of this one
on() {
	for program in test-uring test-uring-check test-uring-life; do
		began=$(date +%s)
		quietly "$here/plain/$program" ${2:+"$2"} && ! grep -q '# SKIP' "$log"
		ok $? "$program passes on $1"
		echo "# $(($(date +%s) - began)) s"
	done
}

# A skip for each of them
cannot() {
	for program in test-uring test-uring-check test-uring-life; do
		skip "$program passes on $1" "$2"
	done
}

# Where O_DIRECT works; and what is mounted is not written to.
on_ext4() {
	if ! quietly mkfs.ext4 -q -F "$disk" || ! quietly mount -t ext4 "$disk" "$scratch"; then
		cannot "a file of ext4" "$(tail -n 1 "$log")"
		skip "a mounted disk is not written to" "it cannot be mounted"
		return
	fi
	TMPDIR=$scratch on "a file of ext4" ""
	refused "is in use" exo-perf --verify write --write "$(basename "$disk")" "uring:$disk"
	ok $? "a mounted disk is not written to"
	umount "$scratch"
}

# Blocks of 4 KiB
on_loop() {
	modprobe loop 2>/dev/null
	truncate -s 16M /dev/shm/loop.img
	loop=$(losetup --sector-size 4096 --find --show /dev/shm/loop.img 2>"$log")
	if [ -z "$loop" ]; then
		cannot "a loop device with blocks of 4096 bytes" "$(tail -n 1 "$log")"
		return
	fi
	on "a loop device with blocks of 4096 bytes" "$loop"
	losetup -d "$loop"
	rm -f /dev/shm/loop.img
}

begin
PATH=$here/../../apps/exo-perf:$PATH
plan 13
TMPDIR=/dev/shm on "a file of tmpfs" ""
on_ext4
on "the block device of an NVMe namespace" "$disk"
on_loop
