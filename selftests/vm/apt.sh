# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# apt with package lists of our own: the machine's own sources of this Debian
# release, and its backports from the same archives. What the machine has
# configured is read, never changed; no archive is named here. Sourced.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

apt_dir=$cache/apt

apt_options=(
	-o Dir::Etc::SourceList=/dev/null
	-o Dir::Etc::SourceParts="$apt_dir/sources"
	-o Dir::State::Lists="$apt_dir/lists"
	-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
	-o Acquire::Languages=none
	-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
	-o Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled=false
	-o Acquire::Retries=3
	-o APT::Sandbox::User=root
	-o DPkg::Lock::Timeout=600
	-o Dpkg::Use-Pty=false
)

codename() {
	# shellcheck disable=SC1091
	(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
}

# deb822 stanzas of this release; those of the release itself again as backports.
copy_stanzas() {
	awk -v c="$(codename)" '
	BEGIN { RS = ""; ORS = "\n\n" }
	/(^|\n)Enabled:[ \t]*no/ { next }
	{
		suites = ""
		n = split($0, line, "\n")
		for (i = 1; i <= n; i++)
			if (line[i] ~ /^Suites:/)
				suites = substr(line[i], 8) " "
		if (suites !~ " " c "[ -]")
			next
		print
		if (suites !~ " " c " " || suites ~ " " c "-backports ")
			next
		for (i = 1; i <= n; i++)
			printf "%s\n", line[i] ~ /^Suites:/ ? "Suites: " c "-backports" : line[i]
		print ""
	}' "$1"
}

# The same for the older form, a line for each source.
copy_lines() {
	local c
	c=$(codename)
	sed -nE "/^deb /{
		/ ${c}[ -]/p
		/ $c /s/ $c / $c-backports /p
	}" "$1" | sort -u
}

copy_sources() {
	local f
	rm -rf "$apt_dir/sources"
	mkdir -p "$apt_dir/sources" "$apt_dir/lists/partial"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ ! -e "$f" ] || copy_lines "$f" >"$apt_dir/sources/$(basename "$f" .list).list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ ! -e "$f" ] || copy_stanzas "$f" >"$apt_dir/sources/${f##*/}"
	done
	find "$apt_dir/sources" -type f -empty -delete
	[ -n "$(ls "$apt_dir/sources")" ] ||
		die "no source of Debian $(codename) in /etc/apt: exo is tested on Debian 12 and 13;" \
			"on another system install the packages named in selftests/vm/deps yourself"
}

# Once in a script; lists of the last hours will do.
apt_update() {
	if [ -n "$(find "$apt_dir/fresh" -mmin -180 2>/dev/null)" ]; then
		return
	fi
	say "reading the package lists of Debian $(codename) and its backports"
	copy_sources
	apt-get "${apt_options[@]}" -qq update >&2 ||
		die "the package lists cannot be read: is the network up? (the archives are those of /etc/apt)"
	touch "$apt_dir/fresh"
}

# apt_download DIRECTORY PACKAGE...
apt_download() {
	local dir=$1
	shift
	apt_update
	(cd "$dir" && apt-get "${apt_options[@]}" -q download "$@" >&2) ||
		die "download failed: $*"
}

# apt_source DIRECTORY PACKAGE=VERSION: the upstream tarball of a source package, from the same
# archives as the binaries.
apt_source() {
	local options
	apt_update
	mkdir -p "$1/sources" "$1/lists/partial"
	cp "$apt_dir"/sources/* "$1/sources"
	sed -i -e 's/^Types:.*/Types: deb-src/' -e 's/^deb /deb-src /' "$1"/sources/*
	options=("${apt_options[@]}" -o Dir::Etc::SourceParts="$1/sources"
		-o Dir::State::Lists="$1/lists")
	apt-get "${options[@]}" -qq update >&2 || : # one of several may have no sources
	(cd "$1" && apt-get "${options[@]}" -qq source --download-only --tar-only "$2" >&2) ||
		die "no source of ${2/=/ } in the archives of /etc/apt, where its package is from"
}

# apt_newest PATTERN: of the packages whose names match, the one of the newest version.
apt_newest() {
	apt_update
	apt-cache "${apt_options[@]}" search -n "$1" | cut -d' ' -f1 | sort -V | tail -n 1
}
