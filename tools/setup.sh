#!/bin/sh
# Sets up what `make` needs. Installs nothing outside the repository but bubblewrap and python3-venv, and those only by
# apt-get as root on Debian or Ubuntu; everywhere else it prints the exact command and stops.
#
#   setup.sh environment PYTHON VENV   make VENV from the committed lock
#   setup.sh sandbox                   see that workers can be isolated
set -eu

# Capped: a newer uv may read the lock differently. It fetches what the lock names, itself included.
UV='uv>=0.13.8,<0.14'

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

# apt PACKAGE WHY: install a package of Debian or Ubuntu, or say how.
apt() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        sudo=$([ "$(id -u)" = 0 ] || echo 'sudo ')
        stop "$2" "→ install it, then run make again; on Debian or Ubuntu: ${sudo}apt-get install -y $1"
    fi
    echo "installing $1 by apt-get ($2)"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-get install -y -q "$1" >"$log" 2>&1; then
        { apt-get update -q && apt-get install -y -q "$1"; } >>"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            rm -f "$log"
            stop "apt-get could not install $1" "→ install it, then run make again: apt-get install -y $1"
        }
    fi
    rm -f "$log"
}

environment() {
    python=$1 venv=$2
    command -v "$python" >/dev/null ||
        stop "there is no $python" "→ install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "$python is $("$python" -V 2>&1), Cloned needs Python 3.11 or newer" \
            "→ install a newer one and name it: make PYTHON=/path/to/python3.12"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt python3-venv 'Python has no module venv here'
    if ! same_python "$python" "$venv"; then
        rm -rf "$venv"
        echo "making $venv with $("$python" -V 2>&1)"
        "$python" -m venv "$venv"
    fi
    if ! "$venv/bin/uv" --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$UV"
    fi
    "$venv/bin/uv" sync --quiet --locked
}

# Whether VENV works and was made by this interpreter.
same_python() {
    where='import sys; print(sys.version, sys.base_prefix)'
    [ -x "$2/bin/python" ] && [ "$("$1" -c "$where")" = "$("$2/bin/python" -c "$where" 2>&1)" ]
}

sandbox() {
    [ "$(uname -s)" = Linux ] || stop "workers are isolated by bubblewrap, which runs on Linux alone" \
        "→ run this in a Linux machine or virtual machine"
    command -v bwrap >/dev/null || apt bubblewrap 'workers are isolated by it'
    said=$(bwrap --unshare-all --unshare-user --ro-bind / / true 2>&1) || stop "bubblewrap cannot isolate here: $said" \
        "→ let it make user namespaces: in a container by its options, on Ubuntu by an AppArmor profile for bwrap"
}

case ${1:-} in
environment) environment "$2" "$3" ;;
sandbox) sandbox ;;
*) stop "usage: setup.sh environment PYTHON VENV | setup.sh sandbox" ;;
esac
