#!/bin/sh
# SPDX-License-Identifier: MIT
# hello, randread and exo-perf as nobody under exo-run, on a disk of a virtual
# machine. Run as root.

apps=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"
PATH=$apps:$apps/exo-perf:$PATH

# with RIGHTS COMMAND...: under exo-run, on the same 4 MiB each time
with() {
	rights=$1
	shift
	exo-run --keep --user 65534:65534 --queues 2 --mem 32M \
		--extent "$bdf/1:4096+8192$rights" -- "$@" >"$log" 2>&1
}

says() {
	grep -qE -- "$1" "$log"
}

checksum() {
	grep -oE 'checksum [0-9a-f]{16}' "$log"
}

test_small_programs() {
	with :ro hello exo: && says 'checked queue, first word 0'
	ok $? "hello reads a block"
	with :ro randread exo: 2000 && says '^[0-9]+ reads per second'
	ok $? "randread reads"
}

test_verify() {
	with '' exo-perf --verify write --write "$serial" exo: && says 'wrote 8192 blocks'
	ok $? "a pattern is written to the whole extent"
	written=$(checksum)
	with :ro exo-perf --verify read --bs 4K --depth 7 exo: && says 'identical'
	ok $? "another process finds the pattern there"
	[ -n "$written" ] && [ "$written" = "$(checksum)" ]
	ok $? "both processes print the same checksum"
	! with :ro exo-perf --verify read --seed 2 exo: && says 'written with --seed 1'
	ok $? "another pattern is told apart, by exit status too"
}

test_damage() {
	with '' exo-perf --rw randwrite --ios 1 --bs 512 --write "$serial" exo:
	! with :ro exo-perf --verify read exo: && says 'does not hold the pattern'
	ok $? "one overwritten block is found"
}

test_guards() {
	! with '' exo-perf --verify write --write "not-$serial" exo: && says 'nothing was written'
	ok $? "nothing is written under another serial number"
	! with :ro exo-perf --verify write --write "$serial" exo: && says 'without the right WRITE'
	ok $? "a read-only extent is not written"
	with :ro exo-perf --show-refusal exo: && says 'refused \(LBA\): .*no extent'
	ok $? "a command outside the extent is refused, and why is said"
	! with :ro exo-perf --queues 3 exo: && says 'left in the budget'
	ok $? "a queue too many is named"
	! with :ro exo-perf --bs 1G exo: && says 'at once'
	ok $? "a block size that the device cannot move is named"
}

test_figures() {
	with :ro exo-perf --ios 500 --depth 8 --batch 4 --json exo: &&
		says '"ios": 500, "reads": 500, "writes": 0, "submits": 125,'
	ok $? "a fixed number of I/Os is done, in batches"
	with :ro exo-perf --runtime 0.5 --queues 2 exo: && says 'IOPS' && says 'p99\.99'
	ok $? "a run over two queues prints rate and percentiles"
	with '' exo-perf --rw rw --mix 25 --ios 400 --bs 8K --write "$serial" --json exo: &&
		says '"writes": (2[5-9]|3[0-4])[0-9],'
	ok $? "a mix has about the share of reads that was asked for"
	if [ ! -e "/sys/bus/pci/devices/$bdf/iommu_group" ]; then
		with '' exo-perf --verify write --write "$serial" exo: &&
			exo-perf --unsafe --verify read "nvme:$bdf/1:4096+8192:ro" >"$log" 2>&1 &&
			exo-perf --unsafe --ios 500 "nvme:$bdf/1:4096+8192:ro" >"$log" 2>&1 &&
			says '\(unsafe\)'
		ok $? "an unsafe queue verifies what a checked one wrote, and is called so"
		return
	fi
	with '' exo-perf --verify write --write "$serial" exo: &&
		exo-run --direct --keep --user 1000:1000 --extent "$bdf/1:4096+8192:ro" -- \
			exo-perf --direct --verify read exo: >"$log" 2>&1
	ok $? "a direct queue verifies what a checked one wrote"
}

begin
bind_disk
plan 16
test_small_programs
test_verify
test_damage
test_guards
test_figures
