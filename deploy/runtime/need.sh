#!/bin/sh
# The tools that `make runtime` and `make test-v2` take from Debian packages: need.sh TOOL...
# Installs what is missing; both need root anyway.
set -eu

package_of() {
    case $1 in
        depmod) echo kmod ;;
        mke2fs) echo e2fsprogs ;;
        qemu-system-x86_64) echo qemu-system-x86 ;;
        qemu-system-aarch64) echo qemu-system-arm ;;
        *) echo "$1" ;;
    esac
}

PATH=$PATH:/usr/sbin:/sbin
missing=
for tool in "$@"; do
    command -v "$tool" >/dev/null || missing="$missing $(package_of "$tool")"
done
if [ "$(id -u)" -ne 0 ]; then
    echo "this makes a Debian tree with its owners: run it as root (sudo make ...)" >&2
    exit 1
fi
[ -n "$missing" ] || exit 0
echo "installing$missing"
log=$(mktemp)
# shellcheck disable=SC2086 # a list of words on purpose
if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt failed (whole log: $log); by hand: apt-get install -y$missing" >&2
    exit 1
fi
rm -f "$log"
