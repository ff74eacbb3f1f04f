#!/bin/sh
# Make the disk and the kernel of `make test-aarch64`, once: build_aarch64.sh FOLDER
# A Debian 12 whose packages are unpacked and not configured, because their scripts would need an
# aarch64 machine: enough for an init of ours. As root.
set -eu

folder=$1
here=$(dirname "$0")
packages=bubblewrap,python3,nftables,slirp4netns,iproute2,ca-certificates,tzdata
packages=$packages,linux-image-cloud-arm64

made=$(cat "$here/build_aarch64.sh" "$here/init_aarch64.sh" | sha256sum | cut -c1-16)
stamp=$folder/made-$made
[ ! -e "$stamp" ] || exit 0
echo "test-aarch64: making a disk in $folder (some minutes, once)"
rm -rf --one-file-system "$folder"
mkdir -p "$folder"
root=$folder.root
"$here/../runtime/need.sh" depmod
ONLY_UNPACK=arm64 "$here/../runtime/bootstrap.sh" "$root" "$packages"

for package in "$root"/var/cache/apt/archives/*.deb; do
    # A package may bring /lib as a directory; here it is a link and stays one.
    dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -x --keep-directory-symlink -f -
done
mv "$root"/boot/vmlinuz-* "$folder/kernel"
PATH=$PATH:/usr/sbin:/sbin depmod -b "$root" "$(ls "$root/usr/lib/modules")"
rm -rf "$root"/var/cache/apt "$root"/boot "$root"/debootstrap
printf '%s\n' root:x:0:0::/root:/bin/sh nobody:x:65534:65534::/nonexistent:/bin/false \
    >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
rm -f "$root/proc" # a link to the host's until the second half, which never comes
mkdir "$root/proc" "$root/project"
# Their scripts would have done this; what it makes is the same on every machine.
python3.11 -m compileall -q -s "$root" "$root/usr/lib/python3.11"
cp -a /etc/ssl/certs/. "$root/etc/ssl/certs"
cp "$here/init_aarch64.sh" "$root/init"
mke2fs -q -F -t ext4 -O ^has_journal -r 1 -d "$root" "$folder/disk" 1G >/dev/null
rm -rf --one-file-system "$root"
touch "$stamp"
