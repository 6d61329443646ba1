# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What tests in shell share: TAP; and those of the virtual machine: a disk. Sourced.
# They write to the disk, so its serial number must begin with "exo".

count=0
failures=0

plan() {
	printf 'TAP version 13\n1..%d\n' "$1"
}

# ok STATUS SENTENCE: 0 passed; what went to $log, which begin names, is shown otherwise.
ok() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$count" "$2"
	else
		failures=$((failures + 1))
		sed 's/^/# /' "$log"
		printf 'not ok %d - %s\n' "$count" "$2"
	fi
}

skip() {
	count=$((count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$count" "$1" "$2"
}

skip_all() {
	printf 'TAP version 13\n1..0 # SKIP %s\n' "$1"
	exit 0
}

# What the test begins with must work: that is no reason to skip it.
fail_all() {
	plan 1
	ok 1 "what the tests need can be set up"
	exit 1
}

# refused WORD COMMAND...: it must fail, and its message hold WORD.
refused() {
	word=$1
	shift
	! "$@" >"$log" 2>&1 && grep -qF -- "$word" "$log"
}

quietly() {
	"$@" >"$log" 2>&1
}

have() {
	command -v "$1" >/dev/null 2>&1
}

driver_of() {
	basename "$(readlink "/sys/bus/pci/devices/$1/driver")"
}

# The kernel names controllers anew each time.
controller_of() {
	ls "/sys/bus/pci/devices/$1/nvme"
}

# The first NVMe function of the test machine, whoever drives it.
find_disk() {
	exoctl status | sed -n 's/^\([0-9a-f:.]*\) .* exo[0-9]* .*/\1/p' | head -n 1
}

# begin: sets bdf, disk (its namespace 1) and serial; the disk is with nvme.
begin() {
	tools=$(dirname "$(dirname "$(realpath "$0")")")
	PATH=$tools:$tools/tests:/usr/local/sbin:/usr/sbin:/sbin:$PATH
	log=$(mktemp)
	scratch=$(mktemp -d)
	[ -e /dev/exo ] || skip_all "the module exo is not loaded"
	have exoctl || skip_all "exoctl is not built"
	bdf=${EXO_TEST_DISK:-$(find_disk)}
	[ -n "$bdf" ] || skip_all "no NVMe function whose serial number begins with exo"
	before=$(driver_of "$bdf")
	trap finish EXIT
	if [ "$before" = exo ]; then
		exoctl unbind "$bdf" >"$log" 2>&1 || skip_all "$bdf does not leave exo: $(cat "$log")"
	fi
	name
	serial=$(tr -d ' ' <"/sys/class/nvme/$(controller_of "$bdf")/serial")
}

# bind_disk: the disk goes to exo.
bind_disk() {
	quietly exoctl bind "$bdf" --overwrite "$serial" || fail_all
}

# unprivileged OPTION... -- PROGRAM...: the tests that PROGRAM is, as uid 1000 under exo-run.
unprivileged() {
	exo-run --keep --user 1000:1000 "$@" || failures=1
}

# nvme numbers block devices in the order in which it came upon them, which need
# not be that of the namespaces. Below a controller that may have siblings it
# shows a hidden path, nvme0c0n1, to the usable nvme0n1.
name() {
	for nsid in "/sys/bus/pci/devices/$bdf/nvme/"*/nvme*n*/nsid; do
		[ "$(cat "$nsid")" -eq 1 ] || continue
		# shellcheck disable=SC2034 # for the scripts that source this
		disk=/dev/$(basename "$(dirname "$nsid")" | sed 's/c[0-9]*n/n/')
	done
}

# The disk goes back to whom it was with.
finish() {
	status=$?
	rm -rf "$log" "$scratch"
	if [ "$before" != "$(driver_of "$bdf")" ]; then
		case $before in
		exo) exoctl bind "$bdf" --overwrite "$serial" >/dev/null ;;
		*) exoctl unbind "$bdf" >/dev/null ;;
		esac
	fi
	[ "$failures" -eq 0 ] || status=1
	exit "$status"
}
