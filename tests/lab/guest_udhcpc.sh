#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# Called by udhcpc with the lease in its environment.

case "$1" in
deconfig)
    ip address flush dev "$interface"
    ip link set "$interface" up
    ;;
bound | renew)
    ip address replace "$ip/${mask:-24}" dev "$interface"
    [ -n "$router" ] && ip route replace default via "${router%% *}"
    : >/etc/resolv.conf
    for server in $dns; do
        echo "nameserver $server" >>/etc/resolv.conf
    done
    [ -n "$hostname" ] && hostname "$hostname"
    if [ "$1" = bound ]; then
        for console in /dev/ttyS0 /dev/tty1; do
            [ -c "$console" ] && printf '\nguest-ready %s %s\n' "$(hostname)" "$ip" 2>/dev/null >"$console"
        done
        : >/run/has-address
    fi
    ;;
esac
exit 0
