# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts of this folder share: where things are, how they speak, and
# how two clones keep out of each other's way. Sourced.

set -euo pipefail

# shellcheck disable=SC2034 # for those who source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export B=${B:-build} # for make, as its caller wrote it
build=$B
case $build in /*) ;; *) build=$root/$build ;; esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/exo
mkdir -p "$cache" "$build"

# The system's programs come first (a language's version manager may hide them),
# and administrators' programs are needed without being one.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

say() {
	echo "exo: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# work: a directory that is gone when the script ends, however it ends.
make_work() {
	# Those of scripts that were killed outright.
	find "$1" -maxdepth 1 -name 'tmp.*' -mmin +600 -exec rm -rf {} +
	work=$(mktemp -d "$1/tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

# lock NAME: until this script ends, no other with the same cache passes here.
# The descriptor is closed on exec by those who start something long.
lock() {
	exec {lock_fd}>"$cache/$1.lock"
	flock -n "$lock_fd" && return
	say "another clone is busy with the $1: waiting for it"
	flock "$lock_fd"
}
