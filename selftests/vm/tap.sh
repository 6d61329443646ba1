# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# One line of TAP for a command. Sourced.

# verify SENTENCE COMMAND...: passes if the command succeeds; else shows what it said.
verify() {
	local sentence=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok - $sentence"
	else
		[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/# /'
		echo "not ok - $sentence"
	fi
}

# verify_silent: passes if the command also says nothing.
verify_silent() {
	verify "$1" silent "${@:2}"
}

silent() {
	local said
	said=$("$@" 2>&1) || {
		printf '%s\n' "$said"
		return 1
	}
	[ -z "$said" ] || {
		printf '%s\n' "$said"
		return 1
	}
}
