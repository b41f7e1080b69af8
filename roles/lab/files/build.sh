#!/bin/sh
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds one program of one version from its pinned Go modules.
#
# usage: build.sh MODULES kubernetes|etcd|pause VERSION PROGRAM OUTPUT
#   MODULES  folder with the go.mod and go.sum that pin every hash
#   VERSION  without the leading v
#   OUTPUT   file to write

set -eu

modules=$1 kind=$2 version=$3 program=$4 output=$5

# go.mod and go.sum say what is built: nothing here may change them.
export GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0

case $kind in
kubernetes)
    # Kubernetes knows its own version only from the linker: kubeadm refuses
    # targets without it. The date is fixed, so that builds can be compared.
    minor=${version#*.}
    ldflags="-s -w"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        ldflags="$ldflags -X $package.gitVersion=v$version"
        ldflags="$ldflags -X $package.gitMajor=${version%%.*}"
        ldflags="$ldflags -X $package.gitMinor=${minor%%.*}"
        ldflags="$ldflags -X $package.gitTreeState=clean"
        ldflags="$ldflags -X $package.buildDate=1970-01-01T00:00:00Z"
    done
    package=k8s.io/kubernetes/cmd/$program
    ;;
etcd)
    ldflags="-s -w"
    case $program in
    etcd) package=go.etcd.io/etcd/server/v3 ;;
    *) package=go.etcd.io/etcd/$program/v3 ;;
    esac
    ;;
pause)
    ldflags="-s -w"
    package=.
    ;;
*)
    echo "build.sh: kind is '$kind', expected kubernetes, etcd or pause" >&2
    exit 2
    ;;
esac

cd "$modules"
exec go build -trimpath -ldflags "$ldflags" -o "$output" "$package"
