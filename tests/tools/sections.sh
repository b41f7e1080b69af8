# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# To be sourced: runs named sections one after the other, a failed one too is no reason to leave the rest out.

sections_passed=0
sections_failed=()
sections_not_run=()

# section NAME COMMAND...; exit code 3 of the command says "not run", and its last line why.
section() {
    local name=$1 started=$SECONDS code=0 output
    shift
    output=$(mktemp)
    printf '\n=== %s\n' "$name"
    "$@" 2>&1 | tee "$output" || code=${PIPESTATUS[0]}
    case $code in
    0)
        sections_passed=$((sections_passed + 1))
        printf -- '--- %s: passed, %d s\n' "$name" $((SECONDS - started))
        ;;
    3)
        sections_not_run+=("$(tail -n 1 "$output")")
        ;;
    *)
        sections_failed+=("$name")
        printf -- '--- %s: FAILED (exit code %d), %d s\n' "$name" "$code" $((SECONDS - started))
        ;;
    esac
    rm -f "$output"
}

# What came out, and as exit code whether all of it passed. Where a caller wants the counts, it names a file in SECTIONS.
sections_end() {
    echo
    [ ${#sections_not_run[@]} -eq 0 ] || printf '%s\n' "${sections_not_run[@]}"
    [ ${#sections_failed[@]} -eq 0 ] || printf 'failed: %s\n' "${sections_failed[@]}"
    if [ -n "${SECTIONS:-}" ]; then
        {
            printf 'passed %s\n' "$sections_passed"
            printf 'failed %s\n' "${#sections_failed[@]}"
            [ ${#sections_not_run[@]} -eq 0 ] || printf '%s\n' "${sections_not_run[@]}"
        } >>"$SECTIONS"
    fi
    [ ${#sections_failed[@]} -eq 0 ]
}
