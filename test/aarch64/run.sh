#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the switch and its tests for aarch64 and runs them in an emulator. Prints TAP; without a cross compiler
# or emulator one skipped plan. Three builds: plain, with guarded branch targets and signed return addresses, ucontext.
#
#     run.sh [--once]      --once: the plain build only

set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}
emulator=${AARCH64_RUN:-qemu-aarch64}

for tool in "$cc" "$emulator"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "1..0 # SKIP $tool is not installed"
        exit 0
    fi
done

build=$(mktemp -d) || exit 1
trap 'rm -rf "$build"' EXIT
number=0
failed=0

check() { # NAME FLAGS...
    name=$1
    shift
    number=$((number + 1))
    if "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -static -funwind-tables "$@" \
        -I"$root/include" -I"$root/src" \
        "$root/src/task/switch_test.c" "$root/src/task/switch.c" "$root/src/task/switch_aarch64.S" \
        "$root/src/task/switch_ucontext.c" "$root/test/aarch64/main.c" -o "$build/test" >"$build/out" 2>&1 &&
        timeout 120 "$emulator" "$build/test" >"$build/out" 2>&1; then
        echo "ok $number - $name: $(grep -c '^ok' "$build/out") cases"
    else
        echo "not ok $number - $name"
        sed 's/^/# /' "$build/out"
        failed=1
    fi
}

echo "TAP version 13"
if [ "${1:-}" = --once ]; then
    echo "1..1"
    check "the switch on aarch64"
else
    echo "1..3"
    check "the switch on aarch64"
    check "the switch on aarch64 with branch protection" -mbranch-protection=standard -march=armv8.5-a
    check "the ucontext switch on aarch64" -DAW_SWITCH_UCONTEXT=1
fi
exit $failed
