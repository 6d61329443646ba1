#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# libexo-vm through unsafe queues, as root, where there is no IOMMU.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

begin
[ ! -e "/sys/bus/pci/devices/$bdf/iommu_group" ] || skip_all "an IOMMU, no unsafe queues"
bind_disk
"$here/libexo-vm" unsafe "nvme:$bdf/1:4096+8192" || failures=1
