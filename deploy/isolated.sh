#!/bin/sh
# Run a command where sandboxes can be made: isolated.sh [--root] COMMAND [ARG...]
# As root; else in a scope of the user's own systemd, which delegates control groups; else by sudo.
# With --root only as root: some tests look at the host from both sides.
set -eu

need_root=
if [ "$1" = --root ]; then
    need_root=yes
    shift
fi
uid=$(id -u)
if [ "$uid" -eq 0 ]; then
    exec "$@"
fi

delegated() {
    controllers=/sys/fs/cgroup/user.slice/user-$uid.slice/user@$uid.service/cgroup.controllers
    [ -r "$controllers" ] || return 1
    for controller in cpu memory pids; do
        grep -qw "$controller" "$controllers" || return 1
    done
}

if [ -z "$need_root" ] && command -v systemd-run >/dev/null && delegated; then
    exec systemd-run --user --scope --quiet --property=Delegate=yes -- "$@"
fi
if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    echo "sandboxes need control groups: running as root, by sudo" >&2
    exec sudo env PYTHONDONTWRITEBYTECODE=1 PATH="$PATH" CI="${CI:-}" "$@"
fi
if [ -n "$need_root" ]; then
    echo "this has to run as root: some of it looks at the host from both sides" >&2
    exit 1
fi
# The runner itself says what is missing, and the remedy.
exec "$@"
