#!/bin/sh
# Process 1 of the aarch64 machine: what systemd would mount, then the tests, then power off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mount -o ro /dev/nvme1n1 /project
ip link set lo up
ulimit -n 65536
/bin/sh /project/deploy/v2/inside_aarch64.sh
sync
python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'
