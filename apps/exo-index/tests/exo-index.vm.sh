#!/bin/sh
# SPDX-License-Identifier: MIT
# exo-index as nobody under exo-run, on a disk of a virtual machine, and as root through the kernel on
# the same blocks. Run as root.

apps=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"
PATH=$apps/exo-index:$PATH

# From the disk's first block on, so that the kernel has the same index at its beginning.
blocks=16384

# index COMMAND...: exo-index under exo-run, on the same 8 MiB each time
index() {
	command=$1
	shift
	exo-run --keep --user 65534:65534 --queues 2 --mem 32M --extent "$bdf/1:0+$blocks" -- \
		exo-index "$command" exo: "$@"
}

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

# lines FROM TO: entries to load, and what a dump of them has in some order
lines() {
	awk -v from="$1" -v to="$2" 'BEGIN { for (i = from; i < to; i++) printf "key%d value %d of many\n", i, i * i }'
}

same_as() {
	sort -o "$scratch/dump" "$scratch/dump"
	sort "$1" | cmp "$scratch/dump" - >"$log" 2>&1
}

dump() {
	index dump "$@" >"$scratch/dump" 2>"$log"
}

test_round_trip() {
	status 0 index create --force && says '^1024 pages of 4096 bytes$'
	ok $? "an index is made on an extent, as large as it has room for"
	lines 0 3000 >"$scratch/lines"
	index load <"$scratch/lines" 2>"$log" && says '3000 entries were put; there are 3000 keys'
	ok $? "lines of text are loaded"
	dump && same_as "$scratch/lines"
	ok $? "another process dumps the same lines"
	status 0 index get key0 key2999 && says '^key0 value 0 of many$' && says '^key2999 value 8994001 of many$'
	ok $? "keys are got by name"
	status 1 index get key0 key3000 && says '^key0 ' && says 'not there: key3000'
	ok $? "a key that is not there is told, and the status says so"
	status 0 index delete key7 && status 1 index get key7 && status 0 index get key8
	ok $? "a key that was deleted is gone, and no other"
	status 0 index check && says '^2999 keys in [0-9]+ pages' && says '^0 pages broken, 0 entries out of place$'
	ok $? "all of it is in order"
	status 0 index stat && says '^keys +2999'
	ok $? "the header says how many keys there are"
}

# 4 MiB of pages and 1 MiB of memory.
test_out_of_core() {
	status 0 index create --force --size 5M && lines 0 12000 >"$scratch/lines" &&
		index load --memory 1M <"$scratch/lines" 2>"$log"
	ok $? "four times as much is loaded as the memory holds"
	dump --memory 1M && same_as "$scratch/lines"
	ok $? "all of it is there"
	cut -d ' ' -f 1 "$scratch/lines" | index get --memory 1M --batch 100 >"$scratch/dump" 2>"$log" &&
		cmp "$scratch/dump" "$scratch/lines" >"$log" 2>&1
	ok $? "all of it is got in batches, in the order that was asked for"
	status 0 index bench --force --memory 1M --json && says '"pages": 1024, "memory": 1048576, "keys": 2048'
	ok $? "the out-of-core job checks out"
	sum=$(grep -o '"sum": "[0-9a-f]*"' "$log")
}

# What exo wrote the kernel reads, and the other way round.
test_other_engines() {
	status 0 index create --force --size 5M && lines 0 5000 >"$scratch/lines" &&
		index load --memory 1M <"$scratch/lines" 2>"$log" && quietly exoctl unbind "$bdf" && name
	ok $? "an index is loaded, and the disk goes back to the kernel"
	for engine in mmap direct; do
		exo-index dump "$engine:$disk" --memory 1M >"$scratch/dump" 2>"$log" && same_as "$scratch/lines"
		ok $? "$engine finds there what exo wrote"
	done
	status 0 exo-index delete "mmap:$disk" key1 && status 0 exo-index delete "direct:$disk" key2
	ok $? "a key each is deleted by mmap and direct"
	for engine in mmap direct; do
		status 0 exo-index bench "$engine:$disk" --force --memory 1M --json &&
			[ "$sum" = "$(grep -o '"sum": "[0-9a-f]*"' "$log")" ]
		ok $? "the job comes to the same with $engine"
	done
	lines 0 12000 >"$scratch/lines"
	status 0 exo-index create "direct:$disk" --force --size 5M &&
		status 0 exo-index load "direct:$disk" "$scratch/lines" &&
		quietly exoctl bind "$bdf" --overwrite "$serial" && dump && same_as "$scratch/lines"
	ok $? "exo finds what direct wrote"
}

# damage: bytes of every 100th bucket page, seen as the kernel's disk, become others; not its seal.
# A page that no key came to yet has none, and is not broken by that: there must be keys in all.
damage() {
	quietly exoctl unbind "$bdf" || return
	name
	n=1
	while [ $n -lt 1024 ]; do
		head -c 64 /dev/urandom | dd of="$disk" bs=1 seek=$((n * 4096 + 8)) conv=notrunc status=none || return
		n=$((n + 100))
	done
	sync "$disk"
	quietly exoctl bind "$bdf" --overwrite "$serial"
}

test_hostile() {
	lines 0 12000 >"$scratch/lines"
	status 1 index create && says 'something is there already: --force overwrites it'
	ok $? "an index is not overwritten unless that is asked for"
	damage && status 1 index check && says '^11 pages broken'
	ok $? "pages that somebody changed are counted"
	status 1 index dump && says 'damaged'
	ok $? "a dump of them is refused"
	status 0 index check --repair && status 0 index check && says '^0 pages broken, 0 entries'
	ok $? "a repair leaves it in order"
	dump && [ -s "$scratch/dump" ] && sort "$scratch/lines" >"$scratch/sorted" &&
		sort "$scratch/dump" | comm -23 - "$scratch/sorted" >"$log" && [ ! -s "$log" ]
	ok $? "what is left are entries that were put"
	quietly exo-run --keep --user 65534:65534 --extent "$bdf/1:8+8" -- exo-index create exo: --force
	status 1 exo-run --keep --user 65534:65534 --extent "$bdf/1:8+$blocks" -- exo-index stat exo: &&
		says 'no index is there, or a damaged one'
	ok $? "blocks that are no index are refused"
	status 1 exo-run --keep --user 65534:65534 --extent "$bdf/1:0+4096" -- exo-index stat exo: &&
		says 'larger than what it lies on'
	ok $? "an index on a part of its blocks is refused"
}

test_limits() {
	status 2 index get key0 --memory 60K && says -- '--memory cannot be 60K'
	ok $? "less memory than 16 pages is refused"
	status 1 exo-run --keep --user 65534:65534 --mem 1M --extent "$bdf/1:0+$blocks" -- \
		exo-index get exo: key0 --memory 8M && says '^exo-index: .*budget'
	ok $? "more memory than the session has is refused, by name"
	status 1 exo-run --keep --user 65534:65534 --mem 8M --extent "$bdf/1:0+$blocks:ro" -- \
		exo-index load exo: --generate 5 --memory 1M && says 'without the right WRITE'
	ok $? "a read-only extent is not loaded"
	exo-run --keep --user 65534:65534 --mem 8M --extent "$bdf/1:0+$blocks:ro" -- \
		exo-index stat exo: --memory 1M >"$log" 2>&1 && says '^keys'
	ok $? "a read-only extent is read"
	status 1 index create --force --pages 2048 && says 'has room for 1024 pages'
	ok $? "an index larger than the extent is refused"
	status 2 index create --pages 1000 && status 2 index explain && status 2 exo-index
	ok $? "wrong usage has a status of its own"
	printf 'good line\n\\q bad line\n' | status 1 index load && says 'standard input, 2: '
	ok $? "a line that is none is named"
	status 0 index get good && status 0 index check
	ok $? "the lines before it are there"
	status 1 exo-index stat "uring:$scratch/file" && says 'STORE is exo:NAME'
	ok $? "a store that nobody serves is refused, with what there is"
}

# Of a file with holes the kernel finds out when a page is touched.
test_full_disk() {
	mkdir -p "$scratch/small" && mount -t tmpfs -o size=256k none "$scratch/small"
	status 0 exo-index create "mmap:$scratch/small/index" --pages 256 &&
		status 1 exo-index load "mmap:$scratch/small/index" --generate 5000 &&
		says 'no room to write it'
	ok $? "a full disk below mmap is told"
	status 1 exo-index stat "mmap:$scratch/small/index" && says 'check --repair puts it in order'
	ok $? "and the index wants a repair"
	umount "$scratch/small"
}

# begin_load: a load in the background that has read some lines, and waits for more
begin_load() {
	rm -f "$scratch/pipe"
	mkfifo "$scratch/pipe" && chmod 666 "$scratch/pipe" && chmod 711 "$scratch"
	status 0 index create --force --size 5M || return
	exo-run --keep --user 65534:65534 --queues 2 --mem 32M --extent "$bdf/1:0+$blocks" -- \
		exo-index load exo: "$scratch/pipe" --memory 1M >"$log" 2>&1 &
	load=$!
	exec 9>"$scratch/pipe"
	# More than a pipe holds: when all of it is in the pipe, some of it has been read.
	lines 0 6000 >&9
}

end_load() {
	kill "-$1" "$load"
	wait "$load"
	exec 9>&-
}

test_interruption() {
	begin_load && { end_load TERM; says 'stopped by a signal' && says 'there are [0-9]+ keys'; }
	ok $? "a load that is asked to end says how far it got"
	put=$(sed -n 's/.*there are \([0-9]*\) keys/\1/p' "$log")
	status 0 index check && says "^$put keys in"
	ok $? "what it loaded is there, and in order"
	begin_load && { end_load KILL; status 1 index get key0; } && says 'did not close it: exo-index check --repair'
	ok $? "an index whose load was killed is refused, with the cure"
	status 0 index check --repair && status 0 index check && says '^0 pages broken, 0 entries'
	ok $? "the cure works"
	dump && lines 0 6000 | sort >"$scratch/sorted" &&
		sort "$scratch/dump" | comm -23 - "$scratch/sorted" >"$log" && [ ! -s "$log" ]
	ok $? "what is left are entries that were put"
	lines 0 6000 | index load --memory 1M 2>"$log" && lines 0 6000 >"$scratch/lines" && dump &&
		same_as "$scratch/lines"
	ok $? "the load can be done again"
}

begin
bind_disk
plan 43
test_round_trip
test_out_of_core
test_other_engines
test_hostile
test_limits
test_full_disk
test_interruption
