#!/bin/sh
# SPDX-License-Identifier: MIT
# fio's verify jobs through the engine on a file, without the module: "uring:FILE". Anybody
# can run it, on any machine that has fio.

here=$(dirname "$(realpath "$0")")
apps=$(dirname "$here")
engine=$apps/fio/libexo-fio.so
jobs=$here/verify.fio
scratch=$(mktemp -d)
log=$scratch/log
image=$scratch/some.img
name=uring:$image
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"
export ENGINE="$engine" NAME="$name" MODE=checked BLOCK=4096

trap 'rm -rf "$scratch"' EXIT

run_fio() {
	shift
	fio "$@"
}

damage() {
	printf x | dd of="$image" bs=1 seek=100000 conv=notrunc status=none
}

# shellcheck source=apps/fio/tests/lib.sh
. "$here/fio-lib.sh"

truncate -s 8M "$image"
have fio || skip_all "fio is not installed"
if ! one checked --rw=read --size=4k && says 'this kernel gives no io_uring'; then
	skip_all "this kernel gives no io_uring"
fi
plan 23

test_jobs checked
[ -z "$(dd if="$image" bs=1M skip=1 count=1 status=none | tr -d '\0')" ]
ok $? "what was trimmed reads as zero"
test_damage checked
test_refusal checked
test_refused checked
test_limits checked 8192KiB
! one direct --rw=read --size=4k && says 'direct'
ok $? "a direct queue on a file is refused"
! one thread --rw=read --size=4k && says 'thread'
ok $? "a queue with a polling thread on a file is refused"
[ "$failures" -eq 0 ]
