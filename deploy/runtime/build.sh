#!/bin/sh
# `make runtime`: a minimal root file system for RUNTIME_ROOTFS: build.sh FOLDER, as root.
# Debian's Python with its standard and shared libraries, time zones and CA certificates; no shell,
# no package tools, no site-packages, no set-id program. Build into a new folder while strategies
# still run from the old one.
set -eu

folder=$1
here=$(dirname "$0")
full=$folder.full
new=$folder.new

"$here/need.sh" debootstrap
echo "runtime: making a Debian 12 in $full (some minutes)"
"$here/bootstrap.sh" "$full" python3,ca-certificates,tzdata,openssl

# What the interpreter needs, less what is there to install it.
needed=$(chroot "$full" apt-cache depends --installed --recurse --no-recommends --no-suggests \
    --no-conflicts --no-breaks --no-replaces --no-enhances python3 libstdc++6 |
    sed -nE 's/^([a-z0-9][^: ]*).*/\1/p' |
    grep -Ev '^(dpkg|tar|perl.*|debconf.*|libselinux1|libacl1|libpcre.*|libmd0)$')
# A read-only tree keeps no byte code, so it brings all of it. (Nothing says so of a template.)
chroot "$full" python3 -m compileall -q -x lib2to3/tests /usr/lib/python3.11

rm -rf --one-file-system "$new"
mkdir -p "$new"
{
    # Packages say /lib where the tree has a link to /usr/lib.
    # shellcheck disable=SC2086 # a list of words on purpose
    chroot "$full" dpkg-query --listfiles $needed openssl tzdata ca-certificates libc-bin |
        sed -E 's|^/(lib[^/]*)/|/usr/\1/|' |
        grep -E '^/usr/(lib64|lib/[^/]*-linux-gnu[^/]*|lib/(locale|ssl)|share/(zone|ca-)[^/]*)/' |
        grep -Ev '/(gconv|audit|engines-3|misc|private)(/|$)'
    printf '%s\n' /usr/bin/python3 /usr/bin/python3.11 /usr/lib/os-release
    printf '/etc/%s\n' os-release debian_version mime.types python3.11 ssl/openssl.cnf
    chroot "$full" find /usr/lib/python3.11 /etc/ssl/certs
} | sort -u | sed 's|^|.|' >"$new.list"
tar -C "$full" --no-recursion --create --files-from "$new.list" | tar -C "$new" --extract
for name in lib lib64; do
    ln -s "usr/$name" "$new/$name"
done

# What a sandbox puts its own upon.
mkdir "$new/dev" "$new/proc" "$new/tmp" "$new/workspace"
touch "$new/etc/group" "$new/etc/hosts" "$new/etc/nsswitch.conf" "$new/etc/passwd" \
    "$new/etc/resolv.conf"
find "$new" -perm /6000 -exec chmod a-s {} +
chmod -R a+rX "$new"

rm -rf --one-file-system "$full" "$new.list" "$folder"
mv "$new" "$folder"
echo "runtime: $folder takes $(du -sh "$folder" | cut -f1)"
