#!/bin/sh
# Make the disk and the kernel of the virtual machine of `make test-v2`, once: build.sh FOLDER
# A Debian 12 with systemd, so with nothing but control groups v2. As root.
set -eu

folder=$1
here=$(dirname "$0")
release=debian-12
packages=systemd-sysv,dbus,kmod,bubblewrap,python3,nftables,slirp4netns,iproute2,ca-certificates
packages=$packages,tzdata,util-linux,procps

made=$(cat "$here/build.sh" "$here/inside.service" "$here/../runtime/bootstrap.sh" |
    sha256sum | cut -c1-16)
stamp=$folder/made-$made
[ ! -e "$stamp" ] || exit 0
echo "test-v2: making a $release disk in $folder (some minutes, once)"
rm -rf --one-file-system "$folder"
mkdir -p "$folder"
root=$folder.root
"$here/../runtime/bootstrap.sh" "$root" "$packages"

# The cloud kernel has ext4 and NVMe built in: no initial RAM disk is needed. Its package is only
# unpacked, for its scripts would make one.
image=$(chroot "$root" apt-cache depends linux-image-cloud-amd64 |
    sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p')
chroot "$root" sh -c "cd /root && apt-get -q download $image && dpkg-deb -x $image*.deb unpacked" \
    >>"$root.log" 2>&1
mv "$root"/root/unpacked/boot/vmlinuz-* "$folder/kernel"
mv "$root"/root/unpacked/lib/modules "$root/usr/lib/modules"
rm -rf "$root"/root/unpacked "$root"/root/*.deb "$root"/var/cache/apt "$root"/var/lib/apt/lists/*
chroot "$root" depmod "${image#linux-image-}"

chroot "$root" useradd --uid 2000 --shell /bin/sh --create-home trader
mkdir "$root/project"
cp "$here/inside.service" "$root/etc/systemd/system/"
mke2fs -q -F -t ext4 -O ^has_journal -r 1 -d "$root" "$folder/disk" 2G >/dev/null
rm -rf --one-file-system "$root"
touch "$stamp"
