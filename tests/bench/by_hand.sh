#!/usr/bin/env bash
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A control plane upgraded by hand, node by node, as kubernetes.io's "Upgrading kubeadm clusters" has it, over SSH.
# Nothing runs on the nodes that a drain would move, so the page's drain is left out. What the page leaves to the one
# who types, to see that a node is back before the next one, is a loop here.
#
# by_hand.sh SSH_OPTIONS TARGET FOLDER_OF_PROGRAMS IGNORED_PREFLIGHT_ERRORS NODE...

set -euo pipefail

options=$1 target=$2 programs=$3 ignored=$4
shift 4

on() { # shellcheck disable=SC2086,SC2029 # the options are words of their own; what is sent is meant to be expanded here
    ssh $options "root@$1" "$2"
}

bring() { # as a package manager would: the new file first, then its name
    local node=$1 name
    shift
    for name in "$@"; do
        # shellcheck disable=SC2086
        scp -q $options "$programs/$name" "root@$node:/usr/bin/.$name"
        on "$node" "chmod 0755 /usr/bin/.$name && mv /usr/bin/.$name \$(command -v $name)"
    done
}

what="apply $target --yes"
for node in "$@"; do
    bring "$node" kubeadm
    on "$node" "kubeadm upgrade $what --ignore-preflight-errors=$ignored" </dev/null
    bring "$node" kubelet kubectl
    on "$node" "systemctl daemon-reload && systemctl restart kubelet"
    on "$node" "timeout 300 sh -c 'until kubectl --kubeconfig=/etc/kubernetes/admin.conf wait --for=condition=Ready --timeout=10s \
        node/\$(hostname) && curl -fsS --cacert /etc/kubernetes/pki/ca.crt https://$node:6443/readyz; do sleep 1; done'" >/dev/null 2>&1
    what=node
done
