#!/bin/sh
# SPDX-License-Identifier: MIT
# exo-run on a real disk of a virtual machine: what the program gets, what it
# does not get, and what happens to what the blocks held. Run as root.

# shellcheck source=daemon/tests/lib.vm.sh
. "$(dirname "$0")/lib.vm.sh"

# says WORD COMMAND...: it succeeds and prints the word as a line.
says() {
	word=$1
	shift
	"$@" >"$log" 2>&1 && grep -qxF -- "$word" "$log"
}

# status CODE COMMAND...: the exit status it must have.
status() {
	code=$1
	shift
	"$@" >"$log" 2>&1
	[ $? -eq "$code" ]
}

one=1000:1000
two=1001:1001

run_as() {
	user=$1
	shift
	exo-run --user "$user" --extent "$bdf/1:0+8" "$@"
}

# Blocks 0 to 15 hold a word that nobody of exo's wrote.
put_pattern() {
	awk 'BEGIN { for (i = 0; i < 1024; i++) printf "PATTERN!" }' |
		dd of="$disk" bs=8192 conv=notrunc,fsync 2>/dev/null
}
pattern=214e524554544150 # "PATTERN!" as a word

test_privileges() {
	says 1000 run_as $one -- id -u
	ok $? "the program runs as the user it was asked for"
	says "CapEff:	0000000000000000" run_as $one -- cat /proc/self/status &&
		says "CapBnd:	0000000000000000" run_as $one -- cat /proc/self/status
	ok $? "the program has no capabilities and can get none"
	says "NoNewPrivs:	1" run_as $one -- cat /proc/self/status
	ok $? "the program gets no privileges from setuid files"
	says "Groups:	 " run_as $one -- cat /proc/self/status
	ok $? "the program is in no supplementary group of root"
	says "0 1 2 3" run_as $one -- probe files 9<"$0" 7<"$0"
	ok $? "of all files the program has only its session and its input and outputs"
	refused "Operation not permitted" run_as $one -- probe claim
	ok $? "the program cannot claim roots"
	says 65534 env -u SUDO_UID exo-run --extent "$bdf/1:0+8" -- id -u
	ok $? "without a user named the program is nobody"
	says 4242 exo-run --user 4242:4242 --extent "$bdf/1:0+8" -- id -u
	ok $? "a user without an entry in passwd can be given by numbers"
	refused "that is root" run_as 0 -- true
	ok $? "exo-run does not run programs as root"
}

test_grants() {
	run_as $one -- probe caps >"$log"
	[ "$(grep -c . "$log")" -eq 3 ] && grep -qx "controller 0x20" "$log" &&
		grep -qx "extent 0x7" "$log" && grep -qx "pool 0x10" "$log"
	ok $? "the program has a pool, queues and its extent, with no right more"
	run_as $one --threads -- probe caps >"$log"
	grep -qx "controller 0x120" "$log"
	ok $? "with --threads its queues may have polling threads"
	run_as $one --priority -- probe caps >"$log"
	grep -qx "controller 0x420" "$log"
	ok $? "with --priority they may have priorities above medium"
	run_as $one --direct -- probe caps >"$log"
	grep -qx "controller 0x220" "$log"
	ok $? "with --direct it may have direct queues"
	says 8 run_as $one -- probe blocks exo:
	ok $? "the extent has the blocks that were asked for"
	says 16 exo-run --user $one --extent "$bdf/1:8K+8K" -- probe blocks exo:
	ok $? "START and LENGTH may be bytes"
	says 4 exo-run --user $one --extent "$bdf/1:0+8" --extent "log=$bdf/1:8+4" -- \
		probe blocks exo:log
	ok $? "an extent is found by its name"
	refused "right WRITE" exo-run --user $one --extent "$bdf/1:0+8:ro" -- probe write exo: 0 1
	ok $? "a read-only extent cannot be written"
}

test_zeroes() {
	says "$pattern" run_as $one --keep -- probe read exo: 0
	ok $? "--keep leaves what was there"
	says "$pattern" run_as $one -- probe read exo: 7
	ok $? "what a user was given to keep stays in later runs"
	says 0 run_as $two -- probe read exo: 0
	ok $? "blocks that go to another user are zero"
	says "$pattern" exo-run --user $two --extent "$bdf/1:8+8:ro" -- probe read exo: 0
	ok $? "blocks next to them and blocks granted read-only are not written"
	quietly run_as $two -- probe write exo: 3 abc && says abc run_as $two -- probe read exo: 3
	ok $? "what a user wrote is there in the user's next run"
	says 0 run_as $two --zero -- probe read exo: 3
	ok $? "--zero writes zeroes in any case"
	says 0 exo-run --user $two --extent "$bdf/1:0+16" -- probe read exo: 8 &&
		quietly run_as $two -- probe write exo: 0 77 &&
		says 77 exo-run --user $two --extent "$bdf/1:0+16" -- probe read exo: 0
	ok $? "of an extent that grows only what is new to the user is zeroed"
}

test_alone() {
	mkfifo "$scratch/in" "$scratch/out"
	run_as $two --direct -- probe wait <"$scratch/in" >"$scratch/out" 2>"$log" &
	exec 8>"$scratch/in"
	read -r _ <"$scratch/out"
	refused "alone" exo-run --user $one --keep --extent "$bdf/1:8+8" -- true &&
		refused "alone" run_as $two --direct -- true
	ok $? "who has a function alone keeps everybody else out"
	exec 8>&-
	wait
	quietly run_as $two -- true
	ok $? "the function is anybody's again when the program has ended"
}

test_live_holder() {
	run_as $two -- probe wait <"$scratch/in" >"$scratch/out" 2>"$log" &
	exec 8>"$scratch/in"
	read -r _ <"$scratch/out"
	refused "with blocks 0+8 in its hands" run_as $one -- true
	ok $? "blocks of a running program are not zeroed under it"
	quietly run_as $one --keep -- true
	ok $? "blocks of a running program can be shared with --keep"
	refused "alone" run_as $one --keep --direct -- true
	ok $? "a function is not given away while somebody has something there"
	exec 8>&-
	wait
	quietly run_as $two -- true
	ok $? "blocks are free again when their program has ended"
}

test_errors() {
	status 127 run_as $one -- no-such-command
	ok $? "a command that does not exist gives 127"
	status 126 run_as $one -- /dev/null
	ok $? "a command that cannot be started gives 126"
	status 3 run_as $one -- sh -c "exit 3"
	ok $? "else the exit status is the command's"
	status 125 exo-run --user $one --extent "$bdf/1:0" -- true &&
		status 125 exo-run --extent "$bdf/1:0+8"
	ok $? "what exo-run itself cannot do gives 125"
	refused "behind the end of the namespace" exo-run --extent "$bdf/1:1024T+1" -- true
	ok $? "an extent behind the end of the namespace is refused"
	refused "queues left" run_as $one --queues 65535 -- true
	ok $? "more queues than there are is refused"
	refused "MiB left" run_as $one --mem 4096T -- true
	ok $? "more memory than there is is refused"
	says 0 run_as $two -- probe read exo: 5
	ok $? "a refused run writes nothing"
}

# A program with a queue and commands in flight does not keep the disk.
test_taken_away() {
	run_as $two --keep -- probe stream exo: >"$scratch/out" 2>"$log" &
	program=$!
	exec 7<"$scratch/out"
	read -r _ <&7
	quietly exoctl unbind "$bdf"
	ok $? "a disk is given back while a program reads from it"
	wait $program && cat <&7 >"$log" && grep -q "^ESTALE" "$log"
	ok $? "the program learns that its queue is dead and ends by itself"
	exec 7<&-
	name
	quietly dd if="$disk" of=/dev/null bs=1M count=1
	ok $? "the disk works with its own driver afterwards"
}

test_unbound() {
	refused "is not bound to exo: exoctl bind $bdf" run_as $one -- true
	ok $? "an unbound disk is named with its cure"
}

begin
have exo-run || skip_all "exo-run is not built"
have probe || skip_all "the tests' probe is not built"
put_pattern
bind_disk
plan 42
test_zeroes
test_privileges
test_grants
test_alone
test_live_holder
test_errors
test_taken_away
test_unbound
