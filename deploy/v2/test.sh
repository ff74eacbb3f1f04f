#!/bin/sh
# `make test-v2`: the sandbox's tests on a host with control groups v2 alone, which is a virtual
# machine under software emulation. test.sh PYTHON FOLDER [PYTEST_ARGUMENT ...]
# Exit status 0 only if all tests passed, as root and as an ordinary user. V2_TIMEOUT_S: at most.
set -eu

python=$1
folder=$2
shift 2
here=$(dirname "$0")
timeout_s=${V2_TIMEOUT_S:-3000}

"$here/../runtime/need.sh" debootstrap qemu-system-x86_64 mke2fs
"$here/build.sh" "$folder"
"$python" "$here/stage.py" "$folder/project" "$@"
# Compiled once here and not twice in the emulation; both are Python 3.11.
"$python" -m compileall -q "$folder/project"
rm -f "$folder/project.disk" "$folder/verdict"
mke2fs -q -F -t ext4 -O ^has_journal -d "$folder/project" "$folder/project.disk" 256M

drive() {
    echo "-drive file=$1,if=none,id=$2,format=raw,snapshot=on -device nvme,drive=$2,serial=$2"
}
status=0
# shellcheck disable=SC2046 # lists of words on purpose
timeout --foreground "$timeout_s" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 \
    -m 2048 -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$folder/kernel" -append "root=/dev/nvme0n1 rw console=ttyS0 loglevel=1 systemd.unit=inside.service" \
    $(drive "$folder/disk" system) $(drive "$folder/project.disk" project) \
    -serial stdio -serial "file:$folder/verdict" </dev/null || status=$?
if [ "$status" -eq 124 ]; then
    echo "test-v2: no end within $timeout_s s; V2_TIMEOUT_S=... gives it longer" >&2
    exit 124
fi
grep -q passed "$folder/verdict" || {
    echo "test-v2: failed; see above" >&2
    exit 1
}
echo "test-v2: passed"
