#!/bin/bash
# SPDX-License-Identifier: MIT
# exo-bench on a real disk of a virtual machine: short runs, and all the ways in which one
# can end. The disk is its own driver's afterwards, unchanged. Run as root.

bench=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$bench/../daemon/tests/lib.vm.sh"
PATH=$bench/../daemon:$PATH

poll_queues=/sys/module/nvme/parameters/poll_queues

# measure OPTION...: as short as can be; what it says goes to $log
measure() {
	exo-bench "$bdf" --rounds 1 --seconds 0.05 --nsid 1 "$@" >"$log" 2>&1
}

# Everything is as before the first test.
is_back() {
	name
	[ "$(driver_of "$bdf")" = nvme ] && [ -b "$disk" ] &&
		[ "$(cat "/sys/bus/pci/devices/$bdf/driver_override")" = "(null)" ] &&
		[ "$(cat $poll_queues)" = "$polled" ] &&
		[ "$(cat "/sys/bus/pci/devices/$bdf/iommu_group/type" 2>&1)" = "$type" ]
}

has_iommu() {
	[ -e "/sys/bus/pci/devices/$bdf/iommu_group" ]
}

is_unchanged() {
	cmp -n 1048576 "$scratch/data" "$disk" >>"$log" 2>&1
}

# field KEY ROW DEPTH: the first value of a list in the JSON
field() {
	sed -n "s/.*\"row\": \"$2\", \"depth\": $3,.*\"$1\": \[\([0-9.e+]*\).*/\1/p" "$scratch/run.json"
}

positive() {
	awk -v "n=$1" 'BEGIN { exit !(n > 0) }'
}

test_run() {
	measure --depths 1,32 --json "$scratch/run.json" --svg "$scratch/plots"
	ok $? "all rows are measured"
	status=0
	for row in libaio io_uring io_uring-polled passthrough passthrough-polled exo exo-thread; do
		positive "$(field iops $row 32)" && positive "$(field p50_us $row 32)" || status=1
	done
	positive "$(field first_read_ms first-read 1)" || status=1
	positive "$(field share_least_percent tenants-16 32)" || status=1
	ok $status "each row has its rate and its latencies, and the rest its figures"
	if has_iommu; then
		positive "$(field iops exo-direct 32)"
	else
		grep -q '"row": "exo-direct", .*"why": ".*IOMMU' "$scratch/run.json"
	fi
	ok $? "a direct queue is measured, or said why not"
	! grep '"row"' "$scratch/run.json" | grep -qvE '"tag": "(TCG|KVM)-emulated"'
	ok $? "each row carries its tag"
	is_back && is_unchanged
	ok $? "the disk is back with its own driver, as it was, and nothing was written to it"
}

test_afterwards() {
	quietly exo-bench diff "$scratch/run.json" "$scratch/run.json" &&
		grep -q 'too few rounds to tell' "$log"
	ok $? "two runs are compared"
	if ! have python3; then
		skip "its JSON is JSON for others, too" "no python3 in this guest"
	else
		quietly python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$scratch/run.json"
		ok $? "its JSON is JSON for others, too"
	fi
	[ -s "$scratch/plots/rate.svg" ] && [ -s "$scratch/plots/latency-32.svg" ] &&
		quietly exo-bench plot "$scratch/run.json" -o "$scratch/again" &&
		cmp "$scratch/plots/rate.svg" "$scratch/again/rate.svg" >>"$log" 2>&1
	ok $? "pictures are made with a run, and later from its JSON"
	exo-bench "$bdf" --nsid 2 --rounds 1 --seconds 0.01 --depths 1 --rows pread >"$log" 2>&1 &&
		grep -q 'warn .*look deallocated' "$log"
	ok $? "blocks that nobody wrote are told of"
}

# until_said WORD: the run has said it
until_said() {
	local c
	while read -r -N 1 -u 7 c; do
		said+=$c
		[[ $said != *"$1" ]] || return 0
	done
	return 1
}

# start ROW [OPTION...]: a long run, left when ROW is being measured. It is $run, and its words come by
# descriptor 7, which ends when the last of its processes has.
start() {
	local row=$1
	shift
	mkfifo "$scratch/said"
	env --default-signal=INT exo-bench "$bdf" --nsid 1 --rounds 9 --seconds 60 --depths 32 \
		--rows "$row" "$@" >"$scratch/said" 2>&1 &
	run=$!
	exec 7<"$scratch/said"
	rm "$scratch/said"
	said=''
	until_said "$row, depth 32"
}

# What else it has to say; until all of it is gone.
finish_run() {
	{
		printf '%s' "$said"
		cat <&7
	} >"$log"
	exec 7<&-
	status=0
	wait "$run" || status=$?
} 2>/dev/null # bash tells of who was killed

# signalled SIGNAL ROW STATUS SENTENCE DRIVER: DRIVER has the disk when it comes
signalled() {
	start "$2"
	was=$(driver_of "$bdf")
	kill "-$1" "$run"
	finish_run
	[ "$was" = "$5" ] && [ "$status" = "$3" ] && is_back && is_unchanged
	ok $? "$4"
}

test_signals() {
	signalled TERM libaio 143 "SIGTERM: the disk is given back by the stock driver's row" nvme
	signalled TERM exo 143 "SIGTERM: the disk is given back by exo" exo
	signalled INT exo 130 "Ctrl-C: the disk is given back" exo
	signalled KILL exo 137 "SIGKILL: the disk is given back all the same" exo
}

# open_by_another: $holder has the disk open when this returns
open_by_another() {
	rm -f "$scratch/held"
	sh -c 'exec 5<"$1"; echo; exec sleep 100' holder "$disk" >"$scratch/held" &
	holder=$!
	until [ -s "$scratch/held" ]; do sleep 0.1; done
}

close_by_another() {
	kill "$holder"
	wait "$holder" 2>/dev/null
}

# While no driver has it; exoctl waits for the disk to be back.
restore_type() {
	exoctl bind "$bdf" --overwrite "$serial"
	echo "$bdf" >/sys/bus/pci/drivers/exo/unbind
	echo "$type" >"/sys/bus/pci/devices/$bdf/iommu_group/type"
	echo "$bdf" >/sys/bus/pci/drivers/exo/bind
	exoctl unbind "$bdf"
}

test_in_use() {
	has_iommu || {
		skip "the IOMMU group of a disk that is in use keeps its type" "no IOMMU"
		skip "its type is put back by hand" "no IOMMU"
		return
	}
	start libaio --iommu identity
	name
	open_by_another
	kill -TERM "$run"
	finish_run
	[ "$status" = 143 ] && [ "$(driver_of "$bdf")" = nvme ] && [ -e "/proc/$holder/fd/5" ] &&
		[ "$(cat $poll_queues)" = "$polled" ] &&
		[ "$(cat "/sys/bus/pci/devices/$bdf/iommu_group/type")" = identity ] &&
		grep -q "in use, with its own driver" "$log" &&
		grep -q "still has the type identity and not $type" "$log"
	ok $? "the IOMMU group of a disk that is in use keeps its type, which is said"
	close_by_another
	quietly restore_type
	is_back && is_unchanged
	ok $? "its type is put back by hand"
}

# The process that sees to it that the disk comes back is the first, the row's the last.
test_crash() {
	start exo
	kill -SEGV "$(pgrep -n -P "$run")"
	until_said "it crashed: Segmentation fault"
	crashed=$?
	kill -TERM "$run"
	finish_run
	[ $crashed = 0 ] && [ "$status" = 143 ] && is_back && is_unchanged
	ok $? "a row that crashes is told of, and the disk is given back"
	start exo
	kill -KILL "$(pgrep -o -P "$run")"
	kill -TERM "$run"
	finish_run
	[ "$status" = 143 ] && is_back && is_unchanged
	ok $? "even if the process that was to give it back was killed"
}

test_refusals() {
	open_by_another
	refused "is open in process $holder" measure
	ok $? "a disk that somebody has open is refused, by name"
	close_by_another
	refused "the serial number of this disk is $serial" measure --write other
	ok $? "nothing is written under another serial number"
	refused "there is no PCI function" exo-bench 0fff:00:00.0
	ok $? "a disk that is not there is refused"
	refused "it has no namespace 77" measure --nsid 77
	ok $? "a namespace that is not there is refused"
	refused "no such row" measure --rows exo,nonsense
	ok $? "a row that is not there is refused"
	is_back && is_unchanged
	ok $? "what was refused changed nothing"
	quietly exoctl bind "$bdf" --overwrite "$serial" && refused "exo has it" measure
	ok $? "a disk that is exo's is refused"
	quietly exoctl unbind "$bdf"
}

test_write() {
	measure --depths 32 --rows libaio,io_uring,passthrough,exo --write "$serial" &&
		grep -q 'random writes' "$log" && is_back && ! is_unchanged
	ok $? "writes are measured under the disk's serial number"
}

begin
plan 25
polled=$(cat $poll_queues)
type=$(cat "/sys/bus/pci/devices/$bdf/iommu_group/type" 2>&1)
head -c 1048576 /dev/urandom >"$scratch/data"
dd if="$scratch/data" of="$disk" bs=1M conv=notrunc,fsync 2>/dev/null
test_run
test_afterwards
test_signals
test_in_use
test_crash
test_refusals
test_write
