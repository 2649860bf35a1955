# SPDX-License-Identifier: BSD-2-Clause
"""What cloud-init itself cannot do in a guest, as a script that it runs at the first start."""

from __future__ import annotations

_DATA_DISKS = r"""#!/bin/sh
# Give each data disk that is blank a file system, and mount it: the first at the path, the next
# ones at the path with their number. A disk with anything on it is left alone.
set -eu
path=@PATH@
number=1
for disk in $(for each in /sys/block/sd* /sys/block/vd* /sys/block/hd*; do
    [ -e "$each/device" ] && readlink -f "$each"; done | sort -V); do
    device=/dev/${disk##*/}
    suffix=$number
    [ "$number" -gt 1 ] || suffix=
    label=nano-data$suffix
    if [ "$(blkid -o value -s LABEL "$device")" != "$label" ]; then
        [ -b "$device" ] && [ -z "$(wipefs "$device" 2>&1)" ] || continue
        mkfs.ext4 -q -L "$label" "$device"
    fi
    mkdir -p "$path$suffix"
    grep -q "^LABEL=$label " /etc/fstab ||
        echo "LABEL=$label $path$suffix ext4 defaults,nofail 0 2" >>/etc/fstab
    mountpoint -q "$path$suffix" || mount "$path$suffix"
    number=$((number + 1))
done
"""


def data_disks_script(path: str) -> str:
    """Mount the guest's data disks at a path of plain letters, as the option's check has it."""
    return _DATA_DISKS.replace("@PATH@", path)
