#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# share-evil-vm as uid 1000 under exo-run, on a disk of a virtual machine. Run as root.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

begin
bind_disk
unprivileged --queues 4 --mem 32M --extent "$bdf/1:4096+32768" -- \
	"$here/share-evil-vm"
