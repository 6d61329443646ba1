#!/bin/sh
# SPDX-License-Identifier: MIT
# fio's verify jobs as nobody under exo-run, on a disk of a virtual machine: through checked
# queues, those with a polling thread, and direct ones; and without exo-run on a file. Run as
# root.

apps=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"
# shellcheck source=apps/fio/tests/lib.sh
. "$apps/tests/fio-lib.sh"
PATH=$apps/exo-perf:$PATH
engine=$apps/fio/libexo-fio.so
jobs=$apps/tests/verify.fio
name=exo:
rights=
mem=16M
export ENGINE="$engine" NAME="$name" MODE BLOCK=512

nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
}

# with COMMAND...: under exo-run, on the same 8 MiB each time
with() {
	exo-run --keep --user 65534:65534 --mem "$mem" --extent "$extent$rights" "$@"
}

run_fio() {
	MODE=$1
	shift
	case $MODE,$name in
	*,token:*) nobody fio "$@" ;;
	thread,*) with --queues 3 --threads -- fio "$@" ;;
	direct,*) with --queues 3 --direct -- fio "$@" ;;
	uring,*) MODE=checked BLOCK=4096 NAME=uring:$image nobody fio "$@" ;;
	*) with --queues 3 -- fio "$@" ;;
	esac
}

damage() {
	with -- exo-perf --rw randwrite --ios 1 --bs 512 --size 1M --write "$serial" exo: >/dev/null
}

test_grants() {
	rights=:ro
	! one checked --rw=write --size=64k && says 'exo: .*without the right WRITE'
	ok $? "a job that writes is refused an extent that is read-only"
	one checked --rw=read --size=64k --fsync=1
	ok $? "one that reads is not"
	rights=
	set -- --rw=randwrite --size=1m --verify=crc32c
	one checked "$@" && rights=:ro && one checked "$@" --verify_only && passed one
	ok $? "nor is one that would write, but for verify_only"
	rights=
	! one checked --rw=read --size=64k --numjobs=4 && says 'left in the budget'
	ok $? "a queue too many is named"
	! one checked --rw=read --size=1m --bs=512k --iodepth=64 && says 'exo: .*no memory for iodepth= buffers: '
	ok $? "memory that the job has not is named"
}

# fits KIB ARGUMENT...: a job of 8 blocks of 4 KiB does in so much, and not in a frame less.
fits() {
	mem=$(($1 - 4))K
	kib=$1
	shift
	! one checked --size=64k "$@" && says 'left in the budget' || return
	mem=${kib}K
	one checked --size=64k "$@" && passed one
}

test_memory() {
	fits 36 --rw=read && fits 40 --rw=read --direct=1 &&
		fits 44 --rw=randtrimwrite --serialize_overlap=1 --direct=1
	ok $? "a job needs its blocks, a frame or two, and those of its trims"
	# 11 MiB and a frame, of which it would rather have six frames of 2 MiB.
	mem=11268K
	one checked --rw=read --bs=352k --iodepth=32 --size=352k && passed one
	ok $? "a job that has not an eighth more does without large frames"
	mem=16M
}

# granted COMMAND...: with the name of tokens that can be redeemed once each. exoctl would wait
# for those that nobody redeems.
granted() (
	mkfifo "$scratch/names"
	exoctl grant --extent "$extent" --uid 65534 --queues 3 --mem 16M --lifetime 200 \
		>"$scratch/names" 2>/dev/null &
	grant=$!
	read -r name <"$scratch/names"
	"$@"
	redeemed=$?
	kill "$grant" 2>/dev/null
	wait "$grant"
	rm "$scratch/names"
	exit "$redeemed"
)

three_jobs() {
	one checked --rw=randwrite --size=1m --numjobs=3 --offset_increment=1m --verify=crc32c
	passed one 3
}

jobs_apart() {
	! one checked --rw=read --size=64k --numjobs=2 --create_serialize=0 &&
		says 'exo: cannot redeem token'
}

process_after_thread() {
	mode=checked
	# shellcheck disable=SC2046 # words
	! started_in checked $(common) --rw=read --size=64k --name=first --thread \
		--name=second --stonewall && passed first && says 'exo: cannot redeem token'
}

test_tokens() {
	granted three_jobs
	ok $? "tokens that can be redeemed once do for all jobs of a fio"
	granted jobs_apart && granted process_after_thread
	ok $? "but for those that cannot share a handle"
}

# fio says that it has begun by opening a FIFO.
test_revoked() {
	mkfifo -m 666 "$scratch/begun"
	one checked --rw=randread --size=1m --time_based --runtime=60 \
		--exec_prerun="timeout 60 sh -c 'echo >$scratch/begun'" &
	fio=$!
	timeout 30 cat "$scratch/begun" >/dev/null
	exoctl revoke --uid 65534 --deadline 0 >/dev/null
	taken=$?
	# Its buffers, extent and queue go one after the other: any may be missed first.
	! wait "$fio" && says '^fio: exo: ' && ! says '^one: .*err= 0:' && [ "$taken" = 0 ]
	ok $? "what is taken back ends a job, which says so"
}

# extents_after N: how many capabilities to extents there are when a fio has run a thread, whose
# handle no process can use, and N processes, and waits before the last job.
extents_after() {
	mode=checked
	mkfifo -m 666 "$scratch/at" "$scratch/on"
	set -- "$1" --name=thread --thread
	for process in $(seq "$1"); do
		set -- "$@" --name="process$process" --stonewall
	done
	shift
	set -- "$@" --name=last --stonewall --thread \
		--exec_prerun="timeout 60 sh -c 'echo >$scratch/at; cat $scratch/on'"
	# shellcheck disable=SC2046 # words
	started_in checked $(common) --rw=read --size=64k "$@" &
	fio=$!
	timeout 60 cat "$scratch/at" >/dev/null
	exoctl list --json | grep -o '"type": "extent"' | wc -l
	timeout 60 sh -c "echo >$scratch/on"
	wait "$fio"
	rm "$scratch/at" "$scratch/on"
}

test_handles() {
	few=$(extents_after 1)
	many=$(extents_after 4)
	echo "extents: $few, and $many" >>"$log"
	[ "$few" -gt 0 ] && [ "$many" -eq "$few" ] && passed last && passed process4
	ok $? "a process that needs a handle of its own gives back what is of it"
}

# busy_at MICROSECONDS: per cent of a processor that a job takes with this exo_spin_us
busy_at() {
	one checked --rw=read --size=64k --iodepth=1 --exo_spin_us="$1" && passed one || return
	awk -F '[=%]' '/^ *cpu / { print int($2 + $4) }' "$log"
}

# On a namespace that takes 50 ms for each read.
test_spin() {
	slow=$(exoctl status | sed -n 's/^\([0-9a-f:.]*\) .* exo1 .*/\1/p')
	if ! quietly exoctl bind "$slow" --overwrite exo1; then
		skip "with exo_spin_us=0 a job sleeps, with more it looks" "there is no slow disk exo1"
		return
	fi
	normal=$extent
	extent=$slow/2:0+16384
	rights=:ro
	sleeps=$(busy_at 0)
	looks=$(busy_at 1000000)
	echo "per cent: $sleeps, and $looks" >>"$log"
	[ "$sleeps" -lt 50 ] && [ "$looks" -ge 50 ]
	ok $? "with exo_spin_us=0 a job sleeps, with more it looks"
	rights=
	extent=$normal
	quietly exoctl unbind "$slow"
}

test_thread() {
	one thread --rw=randrw --size=1m --bssplit=4k/50:64k --verify=crc32c && passed one
	ok $? "thread: what a job wrote is read back"
	test_refused thread
	! one checked --exo_mode=thread --rw=read --size=4k && says 'exo: .*THREAD'
	ok $? "a polling thread that the job was not given is refused"
}

test_file() {
	image=$scratch/image
	truncate -s 8M "$image"
	chmod 666 "$image"
	test_jobs uring
}

begin
extent=$bdf/1:4096+16384
chmod 777 "$scratch"
have fio || skip_all "fio is not installed"
bind_disk

# The file's queues are no other without an IOMMU.
if [ -e "/sys/bus/pci/devices/$bdf/iommu_group" ]; then
	plan 45
	test_file
	test_jobs direct
	test_damage direct
else
	plan 27
fi
test_jobs checked
test_damage checked
test_refusal checked
test_refused checked
test_thread
test_grants
test_memory
test_tokens
test_revoked
test_handles
test_spin
