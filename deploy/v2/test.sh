#!/bin/sh
# `make test-v2` and `make test-aarch64`: the sandbox's tests in a virtual machine under software
# emulation, a host with control groups v2 alone: test.sh MACHINE PYTHON FOLDER [TEST ...]
# The last arguments are pytest's, in the place of all tests, and hold no blanks.
# Exit status 0 only if all tests passed. V2_TIMEOUT_S: how long it may take once it is built.
set -eu

machine=$1
python=$2
folder=$3
shift 3
here=$(dirname "$0")
timeout_s=${V2_TIMEOUT_S:-14400}

case $machine in
    x86_64)
        build=$here/build.sh
        options="-cpu max"
        kernel_options="console=ttyS0 systemd.unit=inside.service"
        ;;
    aarch64)
        build=$here/build_aarch64.sh
        # The default signs pointers with a cipher that takes an emulator most of its time.
        options="-M virt -cpu max,pauth-impdef=on"
        kernel_options="console=ttyAMA0 init=/init"
        ;;
    *)
        echo "test-v2: no machine $machine; there are x86_64 and aarch64" >&2
        exit 2
        ;;
esac

"$here/../runtime/need.sh" debootstrap "qemu-system-$machine" mke2fs
"$build" "$folder"
"$python" "$here/stage.py" "$folder/project" "$machine" "$@"
# Compiled once here and not in the emulation; both are Python 3.11.
"$python" -m compileall -q "$folder/project"
# pytest compiles tests, and all of hypothesis, its own way: half a minute of emulation each time.
PYTHONDONTWRITEBYTECODE='' PYTHONPATH=$folder/project/packages:$folder/project/tests \
    "$python" -S -m pytest -c "$folder/project/pyproject.toml" -p no:cacheprovider \
    --collect-only -qq "$folder/project/tests" >/dev/null
rm -f "$folder/project.disk"
truncate --size=0 "$folder/verdict"
truncate --size=1M "$folder/verdict"
mke2fs -q -F -t ext4 -O ^has_journal -d "$folder/project" "$folder/project.disk" 256M >/dev/null

drive() {
    echo "-drive file=$1,if=none,id=$2,format=raw,snapshot=$3 -device nvme,drive=$2,serial=$2"
}
status=0
# shellcheck disable=SC2046,SC2086 # lists of words on purpose
timeout --foreground "$timeout_s" "qemu-system-$machine" $options -accel tcg,thread=multi \
    -smp 2 -m 2048 -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$folder/kernel" -append "root=/dev/nvme0n1 rw loglevel=1 $kernel_options" \
    $(drive "$folder/disk" system on) $(drive "$folder/project.disk" project on) \
    $(drive "$folder/verdict" verdict off) -serial stdio </dev/null || status=$?
if [ "$status" -eq 124 ]; then
    echo "test-v2: no end within $timeout_s s; V2_TIMEOUT_S=... gives it longer" >&2
    exit 124
fi
grep -q passed "$folder/verdict" || {
    echo "test-v2: failed on $machine; see above" >&2
    exit 1
}
echo "test-v2: passed on $machine"
