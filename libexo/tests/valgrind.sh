#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# Stands under the name of a test program, which it runs under valgrind.

here=$(dirname "$(realpath "$0")")
if ! command -v valgrind >/dev/null; then
	echo "1..0 # SKIP valgrind is not installed"
	exit 0
fi
exec valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,possible \
	--errors-for-leak-kinds=definite,possible "$here/../plain/$(basename "$0")"
