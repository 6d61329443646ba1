#!/bin/sh
# SPDX-License-Identifier: MIT
# exo-run and exoctl on a zoned namespace of a virtual machine: whole zones, quotas, and
# zones that change hands. Run as root.

zoned=5 # namespace of the second controller
EXO_TEST_DISK=0000:00:11.0
export EXO_TEST_DISK
# shellcheck source=daemon/tests/lib.vm.sh
. "$(dirname "$0")/lib.vm.sh"

says() {
	word=$1
	shift
	"$@" >"$log" 2>&1 && grep -qxF -- "$word" "$log"
}

lists() {
	exoctl list "$bdf" >"$log" 2>&1 && grep -qF -- "$1" "$log"
}

run_as() {
	user=$1 blocks=$2
	shift 2
	exo-run --user "$user" --mem 1M --extent "$bdf/$zoned:$blocks" "$@"
}

begin
bind_disk
lists "namespace $zoned: 64 zones" || skip_all "$bdf has no zoned namespace $zoned"
plan 15
lists "namespace $zoned: 64 zones of 256 blocks (1 MiB), 4 of 4 open zones left, 6 of 6 active zones left"
ok $? "list tells how many zones there are and how many may be open and active"
refused "multiples of the zone size, which is 256 blocks" run_as 1000:1000 8+256 -- true &&
	refused "multiples of the zone size" run_as 1000:1000 256+100 -- true
ok $? "exo-run refuses what is not whole zones, and says how large they are"
refused "in zones of 256 blocks" exoctl grant --uid 1000 --extent "$bdf/$zoned:0+100"
ok $? "exoctl grant refuses it, too"
refused "--zones is for zoned namespaces" \
	exo-run --user 1000:1000 --zones 1 --extent "$bdf/1:0+8" -- true
ok $? "a quota of zones is refused where there are none"
refused "wanted" run_as 1000:1000 256+512 --zones 5 -- true
ok $? "a quota that is more than is left is refused"
refused "grant wants --extent" exoctl grant --queues 1 --threads --priority --mem 1M --uid 1000 \
	--lifetime 1 --uses 1 --zones 1 --placement 1 --keep
ok $? "exoctl grant takes each option that its help names"
refused "5 wanted and 4 left" exoctl grant --uid 1000 --keep --zones 5 \
	--extent "$bdf/$zoned:256+512" &&
	refused "data placement is not enabled" exoctl grant --uid 1000 --keep --placement 1 \
		--extent "$bdf/$zoned:256+512"
ok $? "its --zones and --placement reach the extent"
quietly run_as 1000:1000 256+512 --zones 1 -- probe write exo: 0 abc &&
	says abc run_as 1000:1000 256+512 -- probe read exo: 0
ok $? "a zone is written in one run and read in the next"
lists "3 of 4 open zones left, 5 of 6 active zones left"
ok $? "the zone is open and active after its program has ended"
quietly run_as 1000:1000 256+512 --zones 1 --keep -- probe write exo: 256 77
ok $? "the next has a quota of its own"
says "257 2 2" run_as 1000:1000 256+512 --keep -- probe append exo: 256 88
ok $? "an append tells where it wrote, and a report how far the zone is"
says 88 run_as 1000:1000 256+512 --keep -- probe read exo: 257
ok $? "what was appended is read there"
says 0 run_as 1001:1001 256+512 -- probe read exo: 0 &&
	says 0 run_as 1001:1001 256+512 -- probe read exo: 256
ok $? "zones that go to another user are reset and read as zeroes"
lists "4 of 4 open zones left, 6 of 6 active zones left"
ok $? "zones that were reset are neither open nor active"
refused "quota of the extent" run_as 1001:1001 256+512 --zones 1 -- \
	sh -c 'probe write exo: 0 1 && probe write exo: 256 2'
ok $? "a program cannot make more zones active than its quota"
