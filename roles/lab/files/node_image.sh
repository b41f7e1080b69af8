#!/bin/sh
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the image that the lab's nodes and its load balancer run.
# The role tags it with a hash of this file.
#
# usage: node_image.sh IMAGE

set -eu

image=$1
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' HUP INT TERM
root=$work/root

# No udev: its persistent MAC policy derives one address from the machine id
# that all nodes are born with.
debootstrap --variant=minbase --include="$(tr -s ' \n' ',' <<LIST | sed 's/,$//'
systemd systemd-sysv dbus openssh-server python3 ca-certificates openssl
iproute2 iptables conntrack ethtool socat kmod procps mount util-linux curl
containerd runc containernetworking-plugins haproxy
LIST
)" bookworm "$root"

# There is no console and no seat, and only the load balancer runs haproxy.
for unit in systemd-logind.service getty.target console-getty.service haproxy.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# Each node makes its own.
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"

echo 'LANG=C.UTF-8' >"$root/etc/default/locale"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

tar -C "$root" -c . | podman import --quiet - "$image"
