# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154 # who sources this sets engine, jobs, log, name and scratch
# What the tests of the engine share. Sourced. The test says how fio is started
# (run_fio MODE ARGUMENT...), and how a block behind its back is changed (damage).

# started_in MODE ARGUMENT...: fio's output is in $log.
started_in() {
	mode=$1
	shift
	(cd "$scratch" && run_fio "$mode" "$@" >"$log" 2>&1)
}

# What a job file would say before each job.
common() {
	printf '%s\n' --ioengine=external:"$engine" --exo="$name" --exo_mode="$mode" --iodepth=8 --bs=4k \
		--verify_state_save=0
}

# one MODE ARGUMENT...: a single job.
one() {
	mode=$1
	shift
	# shellcheck disable=SC2046 # words
	started_in "$mode" $(common) --name=one "$@"
}

says() {
	grep -qE -- "$1" "$log"
}

# passed JOB [COUNT]: fio counts no error of it, in any of its processes.
passed() {
	[ "$(grep -cE "^$1: \(groupid=.*: err= 0:" "$log")" -eq "${2:-1}" ]
}

# The job file, one test for each job in it.
test_jobs() {
	started_in "$1" "$jobs"
	passed sequential && says 'issued rwts: total=256,256,0,0 '
	ok $? "$1: what was written in sequence, in batches, is read back"
	passed random
	ok $? "$1: what was written at random, in blocks of the smallest size, is read back"
	passed mixed && passed ranges
	ok $? "$1: blocks of mixed sizes are read back"
	passed backlog
	ok $? "$1: blocks are verified while others are written, with flushes between"
	passed processes 3
	ok $? "$1: several processes find what each has written"
	passed threads 3
	ok $? "$1: several threads find what each has written"
	passed trimwrite && says 'issued rwts: total=256,256,256,0 '
	ok $? "$1: blocks that are trimmed, then written, are read back"
	passed halves && passed half && passed kept && says 'issued rwts: total=0,0,16,0 '
	ok $? "$1: trims leave the blocks next to them as they are"
}

# A test that can fail: the same job again, reading only, before and after the damage.
test_damage() {
	set -- "$1" --rw=randwrite --size=1m --verify=crc32c
	one "$@" && one "$@" --verify_only
	ok $? "$1: another fio finds what one has written"
	damage
	! one "$@" --verify_only && says '^(crc32c: verify failed|verify: bad )' && ! says '^one: .*err= 0:'
	ok $? "$1: fio finds one block that another program has changed"
}

# The kernel, or the emulation, looks at each command.
test_refusal() {
	! one "$1" --rw=randread --size=64k --iomem_align=2 && says 'exo: .*multiple of 4' &&
		says '^fio: pid=.*Invalid argument'
	ok $? "$1: a command that is refused ends the job, which says why"
}

# Each fails for itself, and no other is lost.
test_refused() {
	one "$1" --rw=randread --size=64k --iomem_align=2 --continue_on_error=read \
		--ignore_error=EINVAL && says 'total=16,0,0,0 ' && says 'errors *: total=16,'
	ok $? "$1: fio goes on with the I/Os behind those that were refused"
}

# What cannot be is said before anything is written.
test_limits() {
	! one "$1" --rw=read --bs=1000 --size=1m && says 'blocks of [0-9]+ bytes, of which each must'
	ok $? "a block size that is no multiple of the extent's is refused, and why is said"
	! one "$1" --rw=read --bs=4m --size=4m && says 'reads of 4194304 bytes are above .* at once'
	ok $? "a block size that the device does not take at once is refused"
	! one "$1" --rw=read --iodepth=100000 --size=1m && says 'iodepth=100000 is above'
	ok $? "an iodepth that no queue has is refused"
	! one "$1" --rw=read --size=1m --nrfiles=2 && says 'a job has one extent'
	ok $? "a job of two files is refused"
	! one "$1" --rw=read --size=1m --mem=mmap && says "'mem/iomem' conflicts with"
	ok $? "buffers that are not the engine's are refused"
	! one "$1" --rw=read --size=1m --exo_spin_us=4000001 && says 'max value out of range: 4000001 '
	ok $? "a wait that looks longer than a wait can is refused"
	! one "$1" --rw=read --exo=nonsense --size=1m && says 'cannot understand "nonsense"'
	ok $? "a name that is none is refused"
	one "$1" --rw=read --bs=64k && says 'err= 0:' && says "io=$2"
	ok $? "without size= all of the extent is read"
}
