#!/bin/sh
# SPDX-License-Identifier: MIT
# exo-cp as nobody under exo-run, on the disks of a virtual machine: two extents of one namespace,
# and a second controller. Run as root.

apps=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"
PATH=$apps/exo-cp:$apps/exo-perf:$PATH
user=65534:65534
size=8388608

# as_nobody ARGUMENT... -- COMMAND...: with two extents of 8 MiB of one namespace
as_nobody() {
	exo-run --keep --user $user --mem 16M --extent "a=$bdf/1:8M+8M" --extent "b=$bdf/1:32M+8M" "$@"
}

# with COMMAND...
with() {
	quietly as_nobody -- "$@"
}

says() {
	grep -qE -- "$1" "$log"
}

# same BYTES A OFFSET B OFFSET
same() {
	cmp -n "$1" -i "$3:$5" "$2" "$4" >"$log" 2>&1
}

# What extent a or b holds, to a file
fetch() {
	as_nobody -- exo-cp --quiet "exo:$1" "$scratch/$1"
}

# An extent gets other data, which untouched FILE FROM TO finds there.
fresh() {
	as_nobody -- exo-cp --quiet other "exo:$1"
}

untouched() {
	same $(($3 - $2)) "$1" "$2" other "$2"
}

test_files() {
	fresh a
	with exo-cp --verify in exo:a && says '^exo-cp: 5000001 bytes .*by the host, 8 x 512\.0 KiB, durable, verified$'
	ok $? "a file goes to an extent and is verified there"
	fetch a && same 5000001 in 0 a 0 && untouched a 5000001 $size
	ok $? "what is behind its last byte stays as it was"
	with exo-cp --bytes 5000001 exo:a "$scratch/out" && cmp in out
	ok $? "it comes back"
	fresh a
	with exo-cp --from 1M --to 3b --bytes 1000000 in exo:a && fetch a && same 1000000 in 1048576 a 1536 &&
		untouched a 0 1536
	ok $? "a range goes to a range"
	as_nobody -- exo-cp - exo:a <in 2>"$log" && as_nobody -- exo-cp --bytes 5000001 exo:a - 2>"$log" | cmp - in
	ok $? "pipes go in and out"
}

test_offload() {
	as_nobody -- exo-cp --quiet in exo:a
	fresh b
	with exo-cp exo:a exo:b && says 'by NVMe Copy, durable$' && fetch a && fetch b && cmp a b
	ok $? "between two extents of a namespace the device copies"
	fresh b
	with exo-cp --no-offload --verify exo:a exo:b && says 'by the host, .*verified$' && fetch b && cmp a b
	ok $? "unless it is told not to"
	fresh b
	with exo-cp --offload --verify --from 1M --to 2M --bytes 1000001 exo:a exo:b && says 'by NVMe Copy' &&
		fetch b && same 1000001 a 1048576 b 2097152 && untouched b 0 2097152 &&
		untouched b 3097153 $size
	ok $? "an end within a block is no obstacle to that"
	with exo-cp --from 0 --to 6M --bytes 2M exo:a exo:a && says 'by NVMe Copy' && fetch a && same 2097152 in 0 a 6291456
	ok $? "within an extent it copies, too"
	! with exo-cp --to 512 --bytes 1M exo:a exo:a && says 'overlap'
	ok $? "what overlaps is refused"
	! with exo-cp --offload in exo:a && says '--offload: .*one of these is a file'
	ok $? "--offload of a file is refused"
}

# No data come to the host, or they would need room there.
test_memory() {
	small() {
		quietly as_nobody --mem 64K -- exo-cp "$@"
	}
	small --offload exo:a exo:b && fetch a && fetch b && cmp a b
	ok $? "for what the device copies there is no buffer"
	! small --no-offload exo:a exo:b && says 'left in the budget.*--depth and --size make do with less'
	ok $? "a buffer that is too large is told, and the cure"
	fresh b
	small --no-offload --depth 2 --size 16K exo:a exo:b && fetch b && cmp a b
	ok $? "and the cure works"
}

test_refusals() {
	with exo-cp exo:a "$scratch/before"
	! with exo-cp --to 4M in exo:a && says 'exo:a has room for 4194304 bytes from byte 4194304 on, and 5000001'
	ok $? "an extent that is too small is told"
	! quietly exo-run --keep --user $user --extent "$bdf/1:8M+8M:ro" -- exo-cp in exo: &&
		says 'without the right WRITE'
	ok $? "one that may not be written is told"
	! with exo-cp in exo:c && says 'no extent called c'
	ok $? "one that is not there is told"
	! quietly setpriv --reuid 65534 --regid 65534 --clear-groups exo-cp in "nvme:$bdf/1:8M+8M" &&
		says 'root|CAP_SYS_ADMIN'
	ok $? "without privileges there is no namespace to name"
	fetch a && cmp a before
	ok $? "in all that nothing was written"
}

# granted COMMAND...: with $name, of tokens for the blocks of b. exoctl would wait for those that
# nobody redeems.
granted() {
	mkfifo names
	exoctl grant --extent "$bdf/1:32M+8M" --uid 65534 --lifetime 200 >names 2>/dev/null &
	grant=$!
	read -r name <names
	"$@" "$name"
	redeemed=$?
	kill "$grant" 2>/dev/null
	wait "$grant" 2>/dev/null
	rm names
	return $redeemed
}

test_sessions() {
	fresh b
	granted with exo-cp --offload exo:a && says 'by NVMe Copy' && fetch b && cmp a b
	ok $? "the device copies to an extent of another session"
	mkfifo hold
	as_nobody -- sh -c 'read x; for i in 1 2 3; do exo-cp exo:a exo:b; exo-cp in exo:a; done; echo ready; read x' \
		<hold >held 2>&1 &
	exec 8>hold
	until exoctl list "$bdf" | grep -q 'namespace 1'; do sleep 0.05; done
	before=$(exoctl list "$bdf" | grep -c ' held$')
	echo >&8
	until grep -q ready held; do sleep 0.05; done
	cp held "$log"
	[ "$(grep -c durable held)" -eq 6 ] && [ "$before" -gt 0 ] &&
		[ "$before" -eq "$(exoctl list "$bdf" | grep -c ' held$')" ]
	ok $? "of a session that others go on with nothing is used up"
	exec 8>&-
	wait $!
}

test_taken_back() {
	mkfifo -m 666 fifo
	as_nobody -- exo-cp fifo exo:a 2>"$log" &
	copy=$!
	exec 8>fifo
	head -c 3000000 in >&8
	exoctl revoke --uid 65534 --deadline 0 >/dev/null
	head -c 3000000 in 1>&8 2>/dev/null
	exec 8>&-
	! wait "$copy" && says 'taken back' && says 'not all was copied: the first [0-9]+ bytes'
	ok $? "what is taken back ends a copy, which says how far it came"
}

# Blocks of 4 KiB there, of 512 bytes here, and two queues on one buffer.
test_two_controllers() {
	both() {
		exo-run --keep --user $user --mem 16M --extent "a=$bdf/1:8M+8M" --extent "c=$second/4:8M+8M" -- "$@"
	}
	as_nobody -- exo-cp --quiet in exo:a && fetch a
	quietly both exo-cp --verify exo:a exo:c && says 'by the host, .*verified$' &&
		both exo-cp --quiet exo:c "$scratch/c" && cmp a c
	ok $? "an extent goes to another controller"
	quietly both exo-cp --from 4K --bytes 1000b --to 1M exo:c exo:a
	says '--bytes counts blocks, and those of exo:c have 4096 bytes, those of exo:a 512'
	ok $? "blocks are not counted where they differ"
	fresh a
	quietly both exo-cp --from 4K --bytes 3000001 --to 1b exo:c exo:a && fetch a && same 3000001 c 4096 a 512 &&
		untouched a 3000513 $size
	ok $? "a part of it comes back, to smaller blocks"
	one() {
		exo-run --keep --user $user --mem 16M --extent "c=$second/4:8M+8M" --extent "d=$second/1:8M+8M" -- "$@"
	}
	quietly one exo-cp --verify exo:c exo:d && says 'by the host, .*verified$' &&
		one exo-cp --quiet exo:d "$scratch/d" && cmp c d
	ok $? "for two namespaces of one controller one queue is enough"
	! quietly both exo-cp --offload exo:a exo:c && says '--offload: .*do not lie on the same'
	ok $? "--offload between controllers is refused"
	! quietly exo-cp in "nvme:$second/5" && says 'has zones'
	ok $? "zones are refused"
	truncate -s 8M disk.img && chmod 666 disk.img
	quietly both exo-cp exo:c "uring:$scratch/disk.img" && cmp c disk.img
	ok $? "an extent goes to a file that emulates one"
	fresh a
	quietly both exo-cp "uring:$scratch/disk.img" exo:a && fetch a && cmp a disk.img
	ok $? "and back"
	! quietly exo-cp --verify in "nvme:$bdf/2:0+16M" && says 'does not hold what was copied' &&
		says 'differs from what was copied in 10 of 10 pieces'
	ok $? "a disk that forgets is found out"
}

# Blocks that come slowly: 32 MiB are 64 operations, of which there are 20 a second.
test_interruption() {
	slowly() {
		exo-cp --progress "$@" "nvme:$second/2:16M+64M:ro" "$scratch/slow" 2>"$log" &
		copy=$!
	}
	slowly --from 1M --bytes 32M
	until says '^exo-cp: copied [1-9]'; do sleep 0.05; done
	kill -TERM $copy
	wait $copy 2>/dev/null
	status=$?
	rest=$(sed -n 's/^exo-cp: interrupted: the first [0-9]* bytes .*; \(--from .*\) goes on$/\1/p' "$log")
	first=$(wc -c <slow)
	[ "$status" -eq 143 ] && [ -n "$rest" ] && [ "$first" -gt 0 ] && [ "$first" -lt 33554432 ] &&
		[ "$rest" = "--from $((first + 1048576)) --to $first --bytes $((33554432 - first))" ]
	ok $? "an interrupted copy says how far it came, and how to go on"
	# shellcheck disable=SC2086 # options
	slowly $rest
	wait $copy && [ "$(wc -c <slow)" -eq 33554432 ] && says "^exo-cp: $((33554432 - first)) bytes"
	ok $? "and it can be gone on with"
}

begin
bind_disk
cd "$scratch" || exit 1
chmod 777 .
head -c 5000001 /dev/urandom >in
head -c $size /dev/urandom >other
chmod 644 in other
second=$(exoctl status | sed -n 's/^\([0-9a-f:.]*\) .* exo1 .*/\1/p')
plan 33
test_files
test_offload
test_memory
test_refusals
test_sessions
test_taken_back
if [ -n "$second" ] && [ "$second" != "$bdf" ] && quietly exoctl bind "$second" --overwrite exo1; then
	test_two_controllers
	test_interruption
	quietly exoctl unbind "$second"
	exit
fi
while [ "$count" -lt 33 ]; do
	skip "what needs a second controller, $count" "there is no controller with the serial number exo1"
done
