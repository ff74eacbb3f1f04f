#!/bin/sh
# A Debian 12 tree with today's fixes: bootstrap.sh FOLDER PACKAGE,PACKAGE,...
# As root. ONLY_UNPACK=arm64 takes the packages of that machine and carries out no script of them.
# From the archive that apt uses on this host, else from debootstrap's own default.
set -eu

folder=$1
packages=$2
cache=$(dirname "$folder")/packages
release=bookworm

archives() {
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' 2>/dev/null | awk -v release="$release" \
        '$1 == "Debian" && $2 ~ "^" release && $3 == "main" { print $2, $4 }' | sort -u
}

mirror=$(archives | awk -v release="$release" '$1 == release { print $2; exit }')
rm -rf --one-file-system "$folder"
mkdir -p "$cache"
log=$folder.log
# shellcheck disable=SC2086 # no mirror, no machine: no argument
if ! debootstrap ${ONLY_UNPACK:+--foreign --arch=$ONLY_UNPACK} --variant=minbase \
    --cache-dir="$(realpath "$cache")" --include="$packages" \
    "$release" "$folder" $mirror >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "debootstrap failed; the whole log is in $log" >&2
    exit 1
fi
[ -z "${ONLY_UNPACK:-}" ] || exit 0
archives | while read -r suite address; do
    echo "deb $address $suite main"
done >"$folder/etc/apt/sources.list.d/host.list"
[ ! -s "$folder/etc/apt/sources.list.d/host.list" ] || : >"$folder/etc/apt/sources.list"
if ! { chroot "$folder" apt-get -q update && chroot "$folder" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y dist-upgrade; } >>"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "apt could not bring $folder up to date; the whole log is in $log" >&2
    exit 1
fi
