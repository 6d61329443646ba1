#!/bin/sh
# SPDX-License-Identifier: MIT
# exoctl list, grant, revoke and watch, on a disk of a virtual machine: who holds what,
# what is given to whom, what is taken back from whom. Run as root.

# shellcheck source=daemon/tests/lib.vm.sh
. "$(dirname "$0")/lib.vm.sh"

one=1000:1000
two=1001:1001

# start NAME USER COMMAND...: a program in the background that says "ready"; its number is
# in $program, and its input stays open until `stop NAME`.
start() {
	_name=$1 _user=$2
	shift 2
	mkfifo "$scratch/$_name.in"
	setpriv --reuid "${_user%:*}" --regid "${_user#*:}" --clear-groups --no-new-privs -- \
		"$@" <"$scratch/$_name.in" >"$scratch/$_name.out" 2>&1 &
	program=$!
	exec 8>"$scratch/$_name.in"
	wait_for ready "$scratch/$_name.out"
}

# hold NAME USER START COMMAND...: the same under exo-run, with 64 blocks
hold() {
	_name=$1 _user=$2 _start=$3
	shift 3
	mkfifo "$scratch/$_name.in"
	exo-run --keep --user "$_user" --mem 1M --extent "$bdf/1:$_start+64" -- \
		"$@" <"$scratch/$_name.in" >"$scratch/$_name.out" 2>&1 &
	program=$!
	exec 8>"$scratch/$_name.in"
	wait_for ready "$scratch/$_name.out"
}

# stop: the last one started ends; its exit status
stop() {
	exec 8>&-
	wait "$program"
}

# wait_for WORD FILE: until it is there, 30 s at most
wait_for() {
	_end=$(($(date +%s) + 30))
	until grep -q -- "$1" "$2" 2>/dev/null; do
		[ "$(date +%s)" -lt $_end ] || return 1
		sleep 0.05
	done
}

# shows WORD COMMAND...: it succeeds and what it prints holds the pattern
shows() {
	_word=$1
	shift
	"$@" >"$log" 2>&1 && grep -qE -- "$_word" "$log"
}

status() {
	_code=$1
	shift
	"$@" >"$log" 2>&1
	[ $? -eq "$_code" ]
}

# node PATTERN: of the first held capability whose line it is in
node() {
	exoctl list | grep -E -- "$1" | grep held | awk '{ print $1; exit }'
}

test_list() {
	shows "nobody holds any of it" exoctl list "$bdf"
	ok $? "of a disk that was just bound nobody holds anything"
	hold a $one 128 probe hold exo:
	shows "namespace 1, blocks 128\+64 \(32 KiB\) +read,write,trim +$program \(probe\), [a-z0-9]+, session [0-9]+ +held" \
		exoctl list "$bdf"
	ok $? "an extent is listed in blocks and bytes, with its rights and its holder"
	shows "queue [0-9]+ " exoctl list "$bdf"
	ok $? "a queue is listed by its identifier"
	shows "frames 0\+4 of 4 KiB \(16 KiB\)" exoctl list memory
	ok $? "frames are listed in units and bytes"
	shows "pool, 16 KiB of 1 MiB in use" exoctl list
	ok $? "a pool is listed with what of it is in use"
	shows " dropped$" exoctl list
	ok $? "what its holder dropped and others derived from is told apart"
	if have python3; then
		exoctl list --json | python3 -m json.tool >"$log" &&
			grep -q "\"pid\": $program" "$log" && grep -q '"length": 64' "$log"
	else
		exoctl list --json >"$log" && grep -q "\"pid\": $program" "$log"
	fi
	ok $? "list speaks JSON"
	stop
	refused "is not bound to exo" exoctl list 00ff:ff:1f.7
	ok $? "a function that exo does not have has no list"
	refused "needs root" setpriv --reuid 1000 --regid 1000 --clear-groups exoctl list
	ok $? "who is not root sees nothing of it"
}

# A session lives as long as anybody has it open.
test_ended() {
	mkfifo "$scratch/e.in"
	exo-run --keep --user $one --extent "$bdf/1:0+64" -- \
		sh -c 'exec 4<&0; probe wait <&4 & exit 0' <"$scratch/e.in" >"$scratch/e.out" 2>&1 &
	exec 8>"$scratch/e.in"
	wait $!
	wait_for ready "$scratch/e.out"
	shows "\(ended\), .* held" exoctl list "$bdf"
	ok $? "a holder that has ended is told as such, while others have its session"
	exec 8>&-
}

test_many() {
	hold m $one 0 probe many 100000
	[ "$(exoctl list "$bdf" | grep -c " held$")" -ge 100000 ]
	ok $? "a hundred thousand capabilities are listed"
	shows "asked for 10000[0-9], taken by force 10000[0-9]" exoctl revoke --pid "$program" --deadline 0
	ok $? "a hundred thousand capabilities are taken back from their holder"
	stop
}

test_revoke() {
	hold y $one 0 probe yield exo:
	shows "asked for [0-9]+, taken by force 0" exoctl revoke --pid "$program" --deadline 20000
	ok $? "who gives what it is asked for loses nothing by force"
	grep -q "given back$" "$log"
	ok $? "what was given back is told"
	stop
	hold r $two 256 probe hold exo:
	keeper=$program
	exec 9>&8
	hold s $one 0 probe hold exo:
	shows "namespace 1, blocks 0\+64 .* taken by force$" exoctl revoke --node \
		"$(node 'blocks 0\+64 .*write')" --deadline 100
	ok $? "one capability is taken back by its node"
	shows "blocks 256\+64 .* held" exoctl list "$bdf"
	ok $? "what is beside it stays"
	session=$(exoctl list memory | sed -n "s/.* $program (.* session \([0-9]*\) .*held.*/\1/p" | head -n 1)
	shows "taken by force$" exoctl revoke --session "$session" --deadline 0
	ok $? "all of a session is taken back"
	! stop && ! grep -qx read "$scratch/s.out"
	ok $? "its program can read no more"
	shows "4 frames came back" exoctl revoke --frames 3 --deadline 100
	ok $? "so many frames are taken back, whole sets of them"
	exec 8>&- 9>&-
	wait "$keeper"
	hold u $two 256 probe hold exo:
	shows "taken by force$" exoctl revoke --uid 1001 --deadline 0
	ok $? "all of a user is taken back"
	stop
	hold f $two 256 probe hold exo:
	shows "queue [0-9]+ .* taken by force$" exoctl revoke --function "$bdf" --deadline 0 &&
		shows "nobody holds any of it" exoctl list "$bdf"
	ok $? "all of a function is taken back"
	stop
	status 1 exoctl revoke --pid "$program"
	ok $? "taking back what nobody holds fails"
	status 2 exoctl revoke --pid 1 --node 1 && status 2 exoctl revoke && status 2 exoctl revoke --node x
	ok $? "what is not clear is not taken"
}

test_interrupted() {
	hold i $one 0 probe hold exo:
	exoctl revoke --pid "$program" --deadline 60000 >"$log" 2>&1 &
	asking=$!
	wait_for "asked back" /dev/null & # never there: only a limit
	limit=$!
	until exoctl list | grep -q "asked back, [0-9.]* s left" || ! kill -0 $limit 2>/dev/null; do
		sleep 0.05
	done
	shows "asked back, [0-9.]+ s left" exoctl list
	ok $? "what is asked back is listed so, with the time left"
	kill $asking $limit
	wait $asking $limit
	stop && grep -qx read "$scratch/i.out"
	ok $? "a request that is interrupted takes nothing"
}

# ask NAME OPTION...: tokens for 8 blocks, in $token; exoctl waits in the background
ask() {
	_name=$1
	shift
	exoctl grant --mem 1M "$@" >"$scratch/$_name.token" 2>"$scratch/$_name.log" &
	granting=$!
	wait_for "^token:" "$scratch/$_name.token"
	token=$(cat "$scratch/$_name.token")
}

test_grant() {
	exo-run --user $two --keep --extent "$bdf/1:512+8" -- probe write exo: 0 abcd >"$log" 2>&1
	ask g --extent "$bdf/1:512+8" --threads --priority --uid 1000
	! exoctl list --json | grep -q exo1
	ok $? "no token is listed"
	! setpriv --reuid 1001 --regid 1001 --clear-groups probe read "$token" 0 >"$log" 2>&1
	ok $? "another user cannot redeem a token"
	start g $one probe hold "$token"
	wait $granting
	ok $? "grant ends well when its tokens are redeemed"
	grep -q "redeemed: .*blocks 512+8.* by $program (probe)" "$scratch/g.log"
	ok $? "who redeemed them is told"
	shows "queue,thread,priority +$program \(probe\)" exoctl list "$bdf"
	ok $? "with --threads and --priority its queues may have polling threads and priorities"
	refused "with blocks 512+8 in its hands" exo-run --user $two --extent "$bdf/1:512+8" -- true
	ok $? "blocks of who redeemed them are not zeroed under it"
	stop && grep -qx read "$scratch/g.out"
	ok $? "what was redeemed outlives the grant"
	status 0 exo-run --user $one --extent "$bdf/1:512+8" -- probe read exo: 0 && grep -qx 0 "$log"
	ok $? "blocks that another user held were zeroed before they were granted"
	exo-run --user $two --keep --extent "$bdf/1:512+8" -- probe write exo: 0 abcd >"$log" 2>&1
	ask k --extent "$bdf/1:512+8:ro" --keep --anyone
	shows "^abcd$" setpriv --reuid 1001 --regid 1001 --clear-groups probe read "$token" 0
	ok $? "granted to anyone, read-only and with --keep they are read by anyone as they are"
	# Who gives back at once is seen by nobody.
	kill -TERM $granting
	wait $granting
	ok $? "a grant whose tokens are used up ends well when it is interrupted"
	status 1 exoctl grant --extent "$bdf/1:512+8" --keep --uid 1000 --lifetime 1 &&
		grep -q "time is over: 0 of 3" "$log"
	ok $? "tokens that nobody redeems are void at the end of their lifetime"
	ask c --extent "$bdf/1:512+8" --keep --uid 1000
	kill -TERM $granting
	! wait $granting
	ok $? "a grant that is interrupted fails"
	refused "used up, expired, cancelled" setpriv --reuid 1000 --regid 1000 --clear-groups \
		probe read "$token" 0
	ok $? "its tokens are void"
	refused "behind the end of the namespace" exoctl grant --extent "$bdf/1:1024T+1"
	ok $? "an extent behind the end of the namespace is not granted"
	refused "that is root" exoctl grant --extent "$bdf/1:0+8" --uid 0
	ok $? "nothing is granted to root"
}

# warn WARNINGS: QEMU's controller has these critical warnings from now on. The monitor is on
# the third serial line; nobody reads what it answers.
warn() {
	stty -F /dev/ttyS2 raw -echo &&
		printf '\377{"execute":"qmp_capabilities"}\n{"execute":"qom-set","arguments":{"path":"/machine/peripheral/%s","property":"smart_critical_warning","value":%s}}\n' \
			"$serial" "$1" >/dev/ttyS2
}

test_watch() {
	exoctl watch --interval 50 >"$scratch/watch" 2>&1 &
	watching=$!
	wait_for "Ctrl-C" "$scratch/watch"
	hold w $one 0 probe hold exo:
	wait_for "^[0-9:.]*  granted .* blocks 0+64 .* $program (" "$scratch/watch"
	ok $? "watch tells what is granted, and to whom"
	# Longer than watch may take to look once, on a slow machine.
	quietly exoctl revoke --pid "$program" --deadline 3000
	wait_for "asked back .* s left" "$scratch/watch" &&
		wait_for "gone .*, after it was asked back" "$scratch/watch"
	ok $? "watch tells what is asked back, and that it is gone"
	stop
	if [ -c /dev/ttyS2 ]; then
		warn 0
		warn 4
		wait_for "device .*$bdf: .* less reliable" "$scratch/watch"
		ok $? "watch tells what a device tells"
		warn 0
	else
		skip "watch tells what a device tells" "QEMU's monitor cannot be reached"
	fi
	quietly exoctl unbind "$bdf"
	wait_for "function .* bound to exo no more" "$scratch/watch"
	ok $? "watch tells when a disk leaves"
	quietly exoctl bind "$bdf" --overwrite "$serial"
	wait_for "function .* bound to exo$" "$scratch/watch"
	ok $? "watch tells when a disk comes"
	kill -TERM $watching
	wait $watching
	ok $? "a signal ends watch in good order"
}

begin
have exo-run || skip_all "exo-run is not built"
have setpriv || skip_all "no setpriv in this guest"
bind_disk
plan 46
test_list
test_ended
test_many
test_revoke
test_interrupted
test_grant
test_watch
