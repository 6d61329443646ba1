#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# libexo-vm through direct queues, as uid 1000 under exo-run --direct. Run as root.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

begin
[ -e "/sys/bus/pci/devices/$bdf/iommu_group" ] || skip_all "no IOMMU, no direct queues"
bind_disk
unprivileged --direct --queues 8 --mem 32M --extent "$bdf/1:4096+8192" -- \
	"$here/libexo-vm" direct
