#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing, through apt-get, and says what it does.
#
#     need.sh [--optional] NAME[:PACKAGE] ...
#
# NAME is a command or an absolute path; PACKAGE is what brings it, if that has another name. With --optional it is no
# failure when something cannot be installed: what needs it is skipped later.
set -u

optional=0
if [ "${1-}" = --optional ]; then
    optional=1
    shift
fi

missing=
for want in "$@"; do
    name=${want%%:*}
    case $name in
    /*) [ -e "$name" ] ;;
    *) command -v "$name" >/dev/null 2>&1 ;;
    esac || missing="$missing ${want#*:}"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "need.sh: missing:$missing (no apt-get here; please install it yourself)" >&2
    exit $((1 - optional))
fi

sudo=
if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    if ! command -v sudo >/dev/null 2>&1; then
        echo "need.sh: missing:$missing (neither root nor sudo; please install it yourself)" >&2
        exit $((1 - optional))
    fi
fi

echo "need.sh: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq || echo "need.sh: apt-get update failed; trying with the old lists" >&2
# shellcheck disable=SC2086 # a list of packages
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
if [ $optional -eq 1 ]; then
    # One that does not exist here must not keep the others away.
    for package in $missing; do
        $sudo apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            echo "need.sh: could not install $package" >&2
    done
    exit 0
fi
echo "need.sh: could not install$missing" >&2
exit 1
