#!/bin/sh
# Inside the aarch64 machine: what differs from machine to machine, which is the system calls, and a
# sample of the rest. The hostile programs that are left out hold numbers or code of x86_64.
set -u

tests="tests/unit/sandbox tests/hostile/test_hostile_system_calls.py
tests/integration/sandbox/test_sandbox_runs.py
tests/integration/sandbox/test_sandbox_runtime.py
tests/integration/sandbox/test_sandbox_cgroup_v2.py"

chosen=$(cat /project/chosen)

cd /project || exit 1
echo "== as root on $(uname -rm), $(stat -f -c %T /sys/fs/cgroup)"
export PYTHONPATH=/project/packages:/project/tests HOME=/tmp COLUMNS=100
export HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
# shellcheck disable=SC2086 # lists of words on purpose
python3 -B -m pytest -p no:cacheprovider --color=no --durations=5 ${chosen:-$tests} </dev/null
status=$?
echo "== exit status $status"
[ "$status" -eq 0 ] && echo passed | dd of=/dev/nvme2n1 conv=sync,fsync status=none
