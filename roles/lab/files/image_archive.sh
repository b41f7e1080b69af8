#!/bin/sh
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Packs programs into container images, as an archive that containerd imports.
#
# usage: image_archive.sh ARCHIVE FOLDER REFERENCE=PROGRAM[,PROGRAM...]...

set -eu

archive=$1 folder=$2
shift 2

work=$(mktemp -d -p "$(dirname "$archive")" .archive.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

references=
for image in "$@"; do
    reference=${image%%=*}
    programs=$(echo "${image#*=}" | tr , ' ')
    rm -rf "$work/root"
    mkdir -p "$work/root/usr/local/bin" "$work/root/tmp"
    for program in $programs; do
        cp "$folder/$program" "$work/root/usr/local/bin/"
    done
    # The first program is what the image runs when it is told nothing.
    tar -C "$work/root" --owner=0 --group=0 -c . | podman import --quiet \
        --change 'ENV PATH=/usr/local/bin' \
        --change "ENTRYPOINT [\"/usr/local/bin/${programs%% *}\"]" \
        - "$reference"
    references="$references $reference"
done

# shellcheck disable=SC2086
podman save --quiet --multi-image-archive --output "$work/archive.tar" $references
# shellcheck disable=SC2086
podman rmi $references >/dev/null
mv "$work/archive.tar" "$archive"
