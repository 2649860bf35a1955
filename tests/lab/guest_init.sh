#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# Process 1 of the lab's tiny guest: find the network card, get an address, say so, and end
# when somebody presses the power button.

/bin/busybox mkdir -p /bin /sbin /proc /sys /dev /run /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

say() {
    # A guest may lack either; a missing console is no reason to miss the other.
    for console in /dev/ttyS0 /dev/tty1; do
        [ -c "$console" ] && echo "$*" 2>/dev/null >"$console"
    done
}

# All of them, in order: trying a driver costs less than asking which one is wanted. Network
# first, so that the address is asked for while the disks are still being found.
modprobe -aq virtio_pci virtio_net e1000 e1000e 8139cp 8139too button evdev 2>/dev/null

nic=$(ls /sys/class/net | grep -v '^lo$' | head -n 1)
name=guest
[ -n "$nic" ] && name="guest-$(tr -d : <"/sys/class/net/$nic/address" | cut -c 7-12)"
hostname "$name"
ip link set lo up
say "guest-started $name"

power_button() {
    for device in /sys/class/input/event*; do
        grep -qi 'power button' "$device/device/name" 2>/dev/null || continue
        # Reading blocks until the button is pressed.
        (dd if="/dev/input/${device##*/}" of=/dev/null bs=24 count=1 2>/dev/null &&
            say "guest-stopping $(hostname)" && sync && poweroff -f) &
    done
}
power_button

console_shell() {
    while [ -c "$1" ]; do
        setsid -c sh <"$1" >"$1" 2>&1
        sleep 1
    done
}

network_card_without_driver() {
    # 0x0200.. is PCI's class of Ethernet cards; a virtio card's driver hangs one level lower.
    for card in /sys/bus/pci/devices/*; do
        case "$(cat "$card/class")" in
        0x0200*) [ -e "$card/driver" ] || return 0 ;;
        esac
    done
    return 1
}

if [ -n "$nic" ]; then
    ip link set "$nic" up
    # A question sent before the cable is found would be lost, and costs a second.
    for tenth in $(seq 50); do
        [ "$(cat "/sys/class/net/$nic/carrier" 2>/dev/null)" = 1 ] && break
        usleep 100000
    done
    udhcpc -f -i "$nic" -t 3 -T 1 -A 1 -s /etc/udhcpc.sh -x "hostname:$name" >/dev/null 2>&1 &
elif network_card_without_driver; then
    say "guest-ready $name no-driver-for-this-network-card"
else
    say "guest-ready $name no-network-card"
fi

modprobe -aq virtio_blk virtio_scsi ata_piix ahci sd_mod sr_mod virtio_console virtio_rng \
    virtio_balloon 2>/dev/null

guest_agent() {
    while :; do
        for port in /sys/class/virtio-ports/*; do
            [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
            PATH=/bin:/usr/sbin qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run >/dev/null 2>&1
        done
        sleep 1
    done
}
[ -x /usr/sbin/qemu-ga ] && guest_agent &

# The shells' prompts come after the address on the consoles, unless there is none to be had.
for second in 1 2 3 4 5; do
    [ -e /run/has-address ] || [ -z "$nic" ] || sleep 1
done
console_shell /dev/tty1 &
console_shell /dev/ttyS0 &
while :; do
    # Process 1 collects whatever ends.
    wait
    sleep 3600
done
