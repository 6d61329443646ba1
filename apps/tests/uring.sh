#!/bin/sh
# SPDX-License-Identifier: MIT
# hello, randread and exo-perf on a file, without the module: "uring:FILE". Anybody can run
# it, on any machine.

apps=$(dirname "$(dirname "$(realpath "$0")")")
PATH=$apps:$apps/exo-perf:$PATH
scratch=$(mktemp -d)
log=$scratch/log
image=$scratch/some.img
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"

trap 'rm -rf "$scratch"' EXIT

says() {
	grep -qE -- "$1" "$log"
}

checksum() {
	grep -oE 'checksum [0-9a-f]{16}' "$log"
}

truncate -s 8M "$image"
if ! quietly hello "uring:$image" && says 'this kernel gives no io_uring'; then
	skip_all "$(cat "$log")"
fi
plan 10

quietly hello "uring:$image" && says '^emulated, no isolation queue, first word 0$'
ok $? "hello reads a block of a file"
printf '\370\377' | dd of="$image" conv=notrunc status=none
quietly hello "uring:$image" && says 'first word 0xfff8$'
ok $? "hello reads what is in the file"
quietly randread "uring:$image" 2000 && says '^[0-9]+ reads per second'
ok $? "randread reads"

! quietly exo-perf --verify write --write other.img "uring:$image" && says 'nothing was written'
ok $? "nothing is written to a file of another name"
quietly exo-perf --verify write --write some.img "uring:$image" && says 'wrote 16384 blocks'
ok $? "exo-perf writes a pattern to the whole file"
written=$(checksum)
quietly exo-perf --verify read --bs 4K --depth 7 "uring:$image" && says identical &&
	[ -n "$written" ] && [ "$written" = "$(checksum)" ]
ok $? "exo-perf finds it there"
printf x | dd of="$image" bs=1 seek=1000000 conv=notrunc status=none
! quietly exo-perf --verify read "uring:$image" && says 'block 1953 does not hold the pattern'
ok $? "exo-perf finds a byte that another program changed"

quietly exo-perf --ios 500 --depth 8 --batch 4 --queues 2 --json "uring:$image" &&
	says '"ios": 1000, "reads": 1000,' && says '"mode": "emulated, no isolation"'
ok $? "exo-perf measures, and says that the queues are emulated"
quietly exo-perf --rw randrw --ios 400 --bs 8K --write some.img "uring:$image" &&
	says '1 queue \(emulated, no isolation\)' && says 'io_uring, file, .*\(some.img\)'
ok $? "exo-perf measures writing, and names the file"
quietly exo-perf --show-refusal "uring:$image" && says 'refused \(LBA\): .*no extent'
ok $? "a command outside the file is refused as the module would"
[ "$failures" -eq 0 ]
