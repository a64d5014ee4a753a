#!/bin/sh
# SPDX-License-Identifier: MIT
# Formats every C source; with --check only says which ones differ. clang-format 14 is the version that decides.
#
# Laid out by hand: the tables of include/await/macros.h, the programs that README.md prints, and the macro tests.
cd "$(dirname "$0")/.." || exit 1
mode=-i
[ "${1-}" = --check ] && mode='--dry-run --Werror'
# shellcheck disable=SC2086 # options
git ls-files -co --exclude-standard '*.c' '*.h' | grep -v -e '^include/await/macros\.h$' -e '^test/macros/' -e '^examples/readme/' |
    xargs clang-format $mode
