#!/bin/sh
# Install what is missing: setup.sh PYTHON TOOL...
# Debian packages through apt, as root or by sudo; then .venv from the requirements with hashes.
set -eu

python=$1
shift
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

# Two at once would install into the same .venv: the second waits, and finds it done.
exec 9<deploy/setup.sh
flock 9

package_of() {
    case $1 in
        bwrap) echo bubblewrap ;;
        redis-server) echo redis-server ;;
        nft) echo nftables ;;
        slirp4netns) echo slirp4netns ;;
        curl) echo curl ;;
        ip) echo iproute2 ;;
        wrk) echo wrk ;;
        */postgres) echo postgresql-15 ;;
        *) echo util-linux ;;
    esac
}

missing=
for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $(package_of "$tool")"
done
"$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3.11-venv"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

if [ -n "$missing" ]; then
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && command -v sudo >/dev/null; }; then
            echo "setup: missing packages; as root, run: apt-get install -y$missing" >&2
            exit 1
        fi
        as_root=sudo
    fi
    echo "setup: installing$missing"
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words on purpose
    if ! { $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: apt failed (whole log: $log); by hand: apt-get install -y$missing" >&2
        exit 1
    fi
    rm -f "$log"
fi

wanted=$(cat requirements-dev.txt pyproject.toml | sha256sum | cut -c1-16)
stamp=.venv/installed-$wanted
if [ ! -e "$stamp" ]; then
    echo "setup: installing the Python requirements into .venv"
    rm -f .venv/installed-*
    "$python" -m venv --clear .venv
    if ! .venv/bin/pip install -qq --require-hashes -r requirements-dev.txt ||
        ! .venv/bin/pip install -qq --no-deps --no-build-isolation -e .; then
        echo "setup: pip failed, see above; \`make setup\` tries again" >&2
        exit 1
    fi
    touch "$stamp"
fi
