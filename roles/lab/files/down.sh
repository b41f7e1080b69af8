#!/bin/sh
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Removes what a lab has made outside its own folder, and prints what it removed.
# What is already gone is no error: the lab may be half made.
#
# usage: down.sh NAME

set -eu

name=$1
label=mixedversion.lab=$name

if command -v podman >/dev/null; then
    for container in $(podman ps --all --quiet --filter "label=$label"); do
        podman rm --force --time 0 --volumes "$container" >/dev/null
        echo "container $container"
    done
    for volume in $(podman volume ls --quiet --filter "label=$label"); do
        podman volume rm --force "$volume" >/dev/null
        echo "volume $volume"
    done
    for network in $(podman network ls --quiet --filter "label=$label"); do
        podman network rm --force "$network" >/dev/null
        echo "network $network"
    done
fi

# A node's systemd mounts those hierarchies of cgroup v1 that the host has not
# mounted at their root: what a kubelet made there outlives the container.
[ -e /sys/fs/cgroup/cgroup.controllers ] && exit 0
# shellcheck disable=SC2016
unshare --mount sh -euc '
    name=$1
    mounted=$(mktemp -d)
    mount -t tmpfs lab "$mounted"
    awk "!/^#/ && \$2 == 0 { next } !/^#/ { print \$2 }" /proc/cgroups | sort -u | while read -r hierarchy; do
        controllers=$(awk -v h="$hierarchy" "\$2 == h { print \$1 }" /proc/cgroups | paste -sd ,)
        mkdir "$mounted/$hierarchy"
        mount -t cgroup -o "$controllers" cgroup "$mounted/$hierarchy"
        for folder in "$mounted/$hierarchy/$name"-cp[1-9]; do
            [ -d "$folder" ] || continue
            find "$folder" -depth -type d -exec rmdir {} +
            echo "control group $controllers:/${folder##*/}"
        done
        umount "$mounted/$hierarchy"
    done
    umount "$mounted"
    rmdir "$mounted"
' sh "$name"
