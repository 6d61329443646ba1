#!/bin/sh
# SPDX-License-Identifier: MIT
# exo-index, under the sanitizers, on files: without the module, and on any machine.

apps=$(dirname "$(dirname "$(realpath "$0")")")
PATH=$apps/tests:$PATH
scratch=$(mktemp -d)
log=$scratch/log
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"

trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

says() {
	grep -qE -- "$1" "$log"
}

# status N COMMAND...: ends with that, and what it says is in $log.
status() {
	wanted=$1
	shift
	"$@" >"$log" 2>&1
	[ $? -eq "$wanted" ]
}

# An empty index of 16 pages
fresh() {
	rm -f index && exo-index create mmap:index --pages 16 >"$log" 2>&1
}

test_output() {
	fresh && echo 'key value' >lines
	exo-index load mmap:index lines 2>&- && status 0 exo-index get mmap:index key && says '^key value$'
	ok $? "what is said on a closed standard error goes to no index"
	! exo-index get mmap:index key >/dev/full 2>"$log" && says 'what was to be printed could not be: No space'
	ok $? "values that cannot be printed are told of"
	exo-index load mmap:index --generate 2000 2>"$log"
	! exo-index dump mmap:index >/dev/full 2>"$log" && says 'what was to be printed could not be: No space' &&
		! says 'mmap:index: '
	ok $? "the index is not blamed for a dump that finds no room"
}

# A file system without O_DIRECT has one engine less to look at.
engines() {
	: >probe
	! dd if=probe iflag=direct of=/dev/null status=none 2>/dev/null || echo direct
	echo mmap
}

test_create() {
	kept=0
	for engine in $(engines); do
		echo 'not to be lost' >precious && cp precious before
		status 1 exo-index create "$engine:precious" --pages 16 && says 'something is there already: --force' &&
			status 1 exo-index bench "$engine:precious" && says 'something is there already: --force' &&
			cmp precious before || kept=1
	done
	ok $kept "a file that is none of ours stays as it is, its length, too"
	status 0 exo-index create mmap:precious --pages 16 --force && status 0 exo-index check mmap:precious
	ok $? "unless it is forced"
	: >short && status 0 exo-index create mmap:short --size 9000 && [ "$(wc -c <short)" -eq 9000 ] &&
		status 0 exo-index stat mmap:short && says '^pages    1 of 4096'
	ok $? "an empty file is made longer"
	truncate -s 100000 long && status 0 exo-index create mmap:long --pages 2 && [ "$(wc -c <long)" -eq 100000 ]
	ok $? "a longer one stays as long"
	# shellcheck disable=SC3045 # dash and bash have it
	(ulimit -f 8 && status 1 exo-index create mmap:large --pages 16 && says 'File too large')
	ok $? "a file that may not be as large is refused"
}

test_load() {
	fresh && printf 'good line\n\\q bad line\nnext line\n' >lines
	status 1 exo-index load mmap:index lines && says '^exo-index: lines, 2: ' && says ' 1 entries were put; there are 1 keys'
	ok $? "a line that is none is not counted"
	status 1 exo-index load mmap:index --generate 20000 && says 'the index is full'
	full=$?
	put=$(sed -n 's/.* \([0-9]*\) entries were put.*/\1/p' "$log")
	[ $full -eq 0 ] && says "there are $((put + 1)) keys" && status 0 exo-index check mmap:index
	ok $? "an index that is full says how much it took, and is in order"
}

# begin_load: a load that has had a line, and waits for more; end_load SIGNAL
begin_load() {
	fresh && rm -f pipe && mkfifo pipe || return
	"$@" exo-index load mmap:index pipe >"$log" 2>&1 &
	load=$!
	exec 9>pipe
	echo 'key value' >&9
}

end_load() {
	kill "-$1" "$load"
	wait "$load"
	loaded=$?
	exec 9>&-
}

test_signals() {
	ended=0
	for signal in TERM HUP; do
		{ begin_load env && end_load "$signal" && [ "$loaded" -eq 1 ] && says 'stopped by a signal' &&
			status 0 exo-index check mmap:index; } || ended=1
	done
	ok $ended "a load that waits for lines ends when it is told to, in order"
	begin_load nohup && kill -HUP "$load" && echo 'other value' >&9 && exec 9>&- && wait "$load" &&
		says ' 2 entries were put'
	ok $? "under nohup it goes on when the terminal goes"
}

test_lines() {
	fresh && printf 'a\\x20b  two words\n\\\\\t\\x00\\x0a\n' >lines
	status 0 exo-index load mmap:index lines && says ' 2 entries were put' &&
		status 0 exo-index get mmap:index 'a\x20b' "\\\\" && says '^a\\x20b  two words$' &&
		says '^\\\\ \\x00\\x0a$'
	ok $? "any byte goes in and comes out as text"
	exo-index dump mmap:index >lines && fresh && status 0 exo-index load mmap:index lines &&
		exo-index dump mmap:index >again && sort -o again again && sort lines | cmp again -
	ok $? "what is dumped is loaded again"
	fresh && status 0 exo-index load mmap:index --generate 5 --seed 7 && says 'there are 5 keys' &&
		status 0 exo-index load mmap:index --generate 6 --seed 7 && says 'there are 6 keys' &&
		status 0 exo-index load mmap:index --generate 5 --seed 8 && says 'there are 11 keys'
	ok $? "keys of its own follow from the seed"
	status 1 exo-index delete mmap:index key && says 'not there: key' && status 0 exo-index check mmap:index
	ok $? "a key to delete that is not there is told, and the index is closed all the same"
}

test_alone() {
	begin_load env
	status 1 exo-index load mmap:index --generate 1 && says 'another process works on it' &&
		status 1 exo-index stat mmap:index && says 'another process works on it'
	ok $? "nobody else has an index that is written to"
	end_load TERM
	rm -f pipe && mkfifo pipe && status 1 timeout 10 exo-index stat mmap:pipe && says 'neither a regular file'
	ok $? "a pipe is no store, and nobody waits for its other end"
}

plan 18
test_lines
test_alone
test_signals
test_create
test_load
test_output
[ "$failures" -eq 0 ]
