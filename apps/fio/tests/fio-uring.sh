#!/bin/sh
# SPDX-License-Identifier: MIT
# fio's verify jobs through the engine on a file, without the module: "uring:FILE". Anybody
# can run it, on any machine that has fio.

here=$(dirname "$(realpath "$0")")
engine=$(dirname "$here")/fio/libexo-fio.so
jobs=$here/verify.fio
scratch=$(mktemp -d)
log=$scratch/log
image=$scratch/some.img
name=uring:$image
count=0
failures=0
export ENGINE="$engine" NAME="$name" MODE=checked BLOCK=4096

trap 'rm -rf "$scratch"' EXIT

# ok STATUS SENTENCE: 0 passed; what went to $log is shown otherwise.
ok() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$count" "$2"
		return
	fi
	failures=$((failures + 1))
	sed 's/^/# /' "$log"
	printf 'not ok %d - %s\n' "$count" "$2"
}

run_fio() {
	shift
	fio "$@"
}

damage() {
	printf x | dd of="$image" bs=1 seek=100000 conv=notrunc status=none
}

# shellcheck source=apps/fio/tests/lib.sh
. "$here/fio-lib.sh"

printf 'TAP version 13\n'
truncate -s 8M "$image"
command -v fio >/dev/null || {
	printf '1..0 # SKIP fio is not installed\n'
	exit 0
}
if ! one checked --rw=read --size=4k && says 'this kernel gives no io_uring'; then
	printf '1..0 # SKIP this kernel gives no io_uring\n'
	exit 0
fi
echo 1..21

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
