#!/bin/sh
# SPDX-License-Identifier: MIT
# exo-cp, under the sanitizers, without the module: "uring:FILE" and files. Anybody can run it, on
# any machine.

apps=$(dirname "$(dirname "$(realpath "$0")")")
PATH=$apps/tests:$PATH
scratch=$(mktemp -d)
log=$scratch/log
size=8388608
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"

trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

says() {
	grep -qE -- "$1" "$log"
}

# same BYTES A OFFSET B OFFSET
same() {
	cmp -n "$1" -i "$3:$5" "$2" "$4" >/dev/null
}

# An extent of 8 MiB gets other data, which untouched FILE FROM TO finds there.
fresh() {
	cp other "$1"
}

untouched() {
	same $(($3 - $2)) "$1" "$2" other "$2"
}

test_files() {
	fresh disk
	quietly exo-cp in uring:disk && says '^exo-cp: 5000001 bytes \(4\.8 MiB\) in .*by the host.*, durable$' &&
		same 5000001 in 0 disk 0
	ok $? "a file goes to an extent"
	untouched disk 5000001 $size
	ok $? "what is behind its last byte stays as it was"
	quietly exo-cp --bytes 5000001 uring:disk out && cmp in out
	ok $? "and comes back"
	head -c 6M /dev/zero >out
	quietly exo-cp --bytes 5000001 uring:disk out && cmp in out
	ok $? "a file that was longer is replaced"
	head -c 6M /dev/zero >out
	quietly exo-cp --bytes 3b --from 1M --to 1000 uring:disk out &&
		same 1536 in 1048576 out 1000 && [ "$(wc -c <out)" -eq 6291456 ] &&
		[ "$(head -c 1000 out | tr -d '\0' | wc -c)" -eq 0 ] &&
		[ "$(tail -c +2537 out | tr -d '\0' | wc -c)" -eq 0 ]
	ok $? "with --to a file keeps what is around"
	fresh disk
	quietly exo-cp --from 4999999 --to 1b --pad in uring:disk && same 2 in 4999999 disk 512 &&
		[ "$(tail -c +515 disk | head -c 510 | tr -d '\0' | wc -c)" -eq 0 ] &&
		untouched disk 0 512 && untouched disk 1024 $size
	ok $? "--pad puts zeroes behind the last byte in its block, and no further"
	truncate -s 3M holes && printf x >>holes && fresh disk
	quietly exo-cp holes uring:disk && same 3145729 holes 0 disk 0
	ok $? "holes of a file are zeroes"
	: >empty
	quietly exo-cp empty uring:disk && says '^exo-cp: 0 bytes'
	ok $? "of an empty file nothing is copied"
	quietly exo-cp --quiet in uring:disk && [ ! -s "$log" ]
	ok $? "--quiet is quiet"
	quietly exo-cp --depth 3 --size 4K in uring:disk && same 5000001 in 0 disk 0 &&
		says '3 x 4\.0 KiB'
	ok $? "pieces can be few and small"
}

test_streams() {
	fresh disk
	exo-cp - uring:disk <in >"$log" 2>&1 && same 5000001 in 0 disk 0 &&
		untouched disk 5000001 $size
	ok $? "standard input goes to an extent"
	fresh disk
	# In pieces that are no blocks.
	{ head -c 700; head -c 100001; cat; } <in | cat | exo-cp - uring:disk >"$log" 2>&1 &&
		same 5000001 in 0 disk 0
	ok $? "a pipe that gives little at a time does, too"
	exo-cp --bytes 5000001 uring:disk - 2>"$log" | cmp - in
	ok $? "an extent goes to standard output"
	exo-cp --bytes 5000001 uring:disk - 2>"$log" | exo-cp - uring:disk2 2>"$log" &&
		same 5000001 in 0 disk2 0
	ok $? "two of them make a pipe"
	quietly exo-cp /proc/version uring:disk && same "$(wc -c </proc/version)" /proc/version 0 disk 0
	ok $? "a file that hides its size is read to its end"
	! quietly exo-cp /dev/zero uring:disk && says 'uring:disk is full after 8388608 bytes, and /dev/zero has more' &&
		says 'the first 8388608 bytes were copied'
	ok $? "a stream that is too long is told"
	! exo-cp --bytes 6M - uring:disk <in >"$log" 2>&1 &&
		says 'standard input has ended after 5000001 of 6291456 bytes'
	ok $? "a stream that is too short is told"
	exo-cp uring:disk - 2>"$log" | :
	says 'cannot write standard output .*Broken pipe' && says 'not all was copied'
	ok $? "who reads no more is told of"
}

test_extents() {
	quietly exo-cp --no-offload uring:disk uring:disk2 && says 'by the host' && cmp disk disk2
	ok $? "an extent goes to another"
	exo-cp --quiet in uring:disk
	quietly exo-cp --from 1M --to 6M --bytes 2M uring:disk uring:disk && says 'by NVMe Copy' &&
		same 2097152 in 1048576 disk 6291456
	ok $? "within one extent the device copies"
	quietly exo-cp --no-offload --from 0 --to 6M --bytes 2M uring:disk uring:disk &&
		says 'by the host' && same 2097152 in 0 disk 6291456
	ok $? "unless it is told not to"
	fresh disk && exo-cp --quiet in uring:disk
	quietly exo-cp --offload --verify --to 6M --bytes 1000001 uring:disk uring:disk &&
		says 'by NVMe Copy, durable, verified' && same 1000001 in 0 disk 6291456 &&
		untouched disk 7291457 $size
	ok $? "an end within a block is no obstacle to that"
	! quietly exo-cp --offload in uring:disk && says '--offload: .*one of these is a file'
	ok $? "--offload of a file is refused"
	! quietly exo-cp --offload uring:disk uring:disk2 && says '--offload: .*do not lie on the same'
	ok $? "--offload between two disks is refused"
	quietly exo-cp --verify uring:disk uring:disk2 && says 'verified' && cmp disk disk2
	ok $? "what was copied is verified"
	quietly exo-cp --verify uring:disk out && says 'durable, verified$' && cmp disk out
	ok $? "in a file, too"
}

test_refusals() {
	before=$(sha256sum disk)
	! quietly exo-cp --bytes 2M --to 1M uring:disk uring:disk && says 'LBA 0 on overlap with as many from LBA 2048'
	ok $? "what overlaps is refused"
	! quietly exo-cp --to 4M in uring:disk &&
		says 'uring:disk has room for 4194304 bytes from byte 4194304 on, and 5000001 are to be copied: --bytes 4194304'
	ok $? "an extent that is too small is told, and what would fit"
	! quietly exo-cp --bytes 6M in uring:disk && says 'in has 5000001 bytes from byte 0 on, and --bytes wants 6291456'
	ok $? "a file that is too short is told"
	! quietly exo-cp --from 9M uring:disk out && says 'behind the end of uring:disk'
	ok $? "an offset behind the end is told"
	! quietly exo-cp --to 700 in uring:disk && says '--to 700 is within a block .*512 and 1024 begin one'
	ok $? "an offset within a block is told, and those that would do"
	! quietly exo-cp --from 1b in uring:disk && says '--from counts blocks, which in does not have'
	ok $? "a file has no blocks"
	! quietly exo-cp disk uring:disk && says 'same file' && ! quietly exo-cp uring:disk disk && says 'same file'
	ok $? "a file is not copied to the extent that it is"
	! quietly exo-cp - uring:disk --from 1M </dev/null && says 'standard input has none'
	ok $? "a stream has no offsets"
	! quietly exo-cp --verify uring:disk - && says '--verify .*standard output'
	ok $? "nor can it be verified"
	! quietly exo-cp --size 1000 in uring:disk && says '--size 1000 must be a multiple of 512'
	ok $? "a size that is no blocks is told"
	! quietly exo-cp uring:nothing new && says 'there is no nothing' && [ ! -e new ]
	ok $? "a source that is not there is told"
	! quietly exo-cp --from 9M uring:disk new && ! quietly exo-cp --offload uring:disk new && [ ! -e new ]
	ok $? "no file is made for a copy that is refused"
	! quietly exo-cp uring:disk nowhere/new && says 'cannot make nowhere/new: No such file'
	ok $? "a folder that is not there is told"
	! quietly exo-cp uring:disk . && says '[Ii]s a directory'
	ok $? "a directory is no destination"
	! quietly exo-cp uring:disk /dev/full && says 'cannot write /dev/full .*No space left'
	ok $? "a full disk is told"
	# shellcheck disable=SC3045 # dash and bash have it
	(ulimit -f 1024 && ! quietly exo-cp --depth 1 --size 4K uring:disk limited) &&
		says 'cannot write limited at byte [0-9]+: File too large' &&
		says "not all was copied: the first $(wc -c <limited) bytes were copied" && same "$(wc -c <limited)" disk 0 limited 0
	ok $? "a file that may not grow is told, and how far it came"
	exo-cp --nothing in uring:disk 2>"$log"
	[ $? -eq 2 ] && says 'no option --nothing'
	ok $? "wrong usage has a status of its own"
	[ "$before" = "$(sha256sum disk)" ]
	ok $? "in all that nothing was written"
}

test_closed_streams() {
	fresh disk
	exo-cp in uring:disk <&- >&- 2>&- && same 5000001 in 0 disk 0 && untouched disk 5000001 $size
	ok $? "what is said on a closed standard error goes to no extent"
	exo-cp --bytes 5000001 uring:disk out <&- >&- 2>&- && cmp in out
	ok $? "nor to a file"
	! exo-cp uring:disk - 2>"$log" >&- && says 'cannot write standard output'
	ok $? "a closed standard output is no destination"
}

# As much as was said to be copied is there, and no lie.
test_interruption() {
	fresh disk
	mkfifo fifo
	exo-cp fifo uring:disk 2>"$log" &
	copy=$!
	exec 8>fifo
	head -c 3000000 in >&8
	kill -TERM "$copy"
	wait "$copy" 2>/dev/null
	status=$?
	exec 8>&-
	n=$(sed -n 's/^exo-cp: interrupted: the first \([0-9]*\) bytes.*/\1/p' "$log")
	[ "$status" -eq 143 ] && [ "${n:-0}" -gt 2900000 ] && [ "$n" -le 3000000 ] && same "$n" in 0 disk 0
	ok $? "an interrupted copy says how far it came"
	untouched disk 3000000 $size
	ok $? "and went no further"
	fresh disk
	exo-cp fifo uring:disk 2>"$log" &
	copy=$!
	exec 8>fifo
	head -c 3M in >&8
	until same 3145728 in 0 disk 0; do sleep 0.05; done
	# As a touch of it would.
	kill -BUS "$copy"
	wait "$copy" 2>/dev/null
	status=$?
	exec 8>&-
	n=$(sed -n 's/^exo-cp: not finished: .* taken back after the first \([0-9]*\) bytes were copied$/\1/p' "$log")
	[ "$status" -eq 1 ] && [ -n "$n" ] && [ "$n" -le 3145728 ]
	ok $? "a buffer that is lost is told, and how far it came"
	truncate -s 1M disk3
	exo-cp fifo uring:disk3 2>"$log" &
	copy=$!
	exec 8>fifo
	head -c 1M in >&8
	until same 1048576 in 0 disk3 0; do sleep 0.05; done
	kill -HUP "$copy"
	wait "$copy" 2>/dev/null
	status=$?
	exec 8>&-
	[ "$status" -eq 129 ] && says 'interrupted: the first 1048576 bytes'
	ok $? "what is full, and interrupted before its source has ended, is not called whole"
}

truncate -s 1M disk
if ! quietly exo-cp uring:disk out && says 'this kernel gives no io_uring'; then
	skip_all "$(cat "$log")"
fi
plan 51
head -c 5000001 /dev/urandom >in
head -c $size /dev/urandom >other
truncate -s $size disk2
test_files
test_streams
test_extents
test_refusals
test_closed_streams
test_interruption
[ "$failures" -eq 0 ]
