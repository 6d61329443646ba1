#!/bin/sh
# SPDX-License-Identifier: MIT
# tenants on a disk of a virtual machine: alone as root, and without privileges under
# exo-run. Run as root.

apps=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$apps/../daemon/tests/lib.vm.sh"
PATH=$apps:$PATH

says() {
	grep -qE -- "$1" "$log"
}

test_root() {
	quietly tenants "nvme:$bdf/1:0+1M" && says '^tenants: every check held'
	ok $? "of two tenants one loses half by force, and the other nothing"
	says 'ben +asked for its upper blocks, and refuses'
	ok $? "who refuses was asked first"
	says 'ben +taken: LBA 1024 to 2047 of namespace 1'
	ok $? "the blocks that were taken are told"
	says 'ben +taken: frames 32 to 63, page frame numbers 0x[0-9a-f]+ '
	ok $? "the frames that were taken are told by their numbers"
	says 'ben +a read of LBA [0-9]+ is refused' &&
		says 'ben +a touch of frame (3[2-9]|[45][0-9]|6[0-3]) ends in EFAULT'
	ok $? "what was taken is out of reach"
}

test_without_privileges() {
	exo-run --keep --user 1000:1000 --queues 2 --mem 4M --extent "$bdf/1:2M+1M" -- \
		tenants exo: >"$log" 2>&1 && says '^tenants: every check held'
	ok $? "a landlord without privileges can do it with what exo-run gave it"
	# The machine's memory, and each function that is bound.
	exoctl list >"$log" && grep -q " in use$" "$log" &&
		[ "$(grep -c "nobody holds any of it" "$log")" -eq "$(grep -c " in use$" "$log")" ]
	ok $? "nothing is left in anybody's hands"
	! exo-run --keep --user 1000:1000 --queues 1 --mem 4M --extent "$bdf/1:2M+1M" -- \
		tenants exo: >"$log" 2>&1
	ok $? "without a queue for each tenant it fails"
}

begin
bind_disk
plan 8
test_root
test_without_privileges
