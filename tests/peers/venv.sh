#!/bin/sh
# Makes a Python environment with the pinned packages of the protocol peers and
# prints the path of its interpreter. Run again, it only prints.
#
# usage: venv.sh [package==version ...]     default: what modbus_server.py needs
# The environment stands in $GWP_PEERS, else in ${XDG_CACHE_HOME:-$HOME/.cache}/gwp-peers,
# one per set of packages, so peers with clashing needs do not meet.
set -eu

[ $# -gt 0 ] || set -- 'pymodbus[serial]==3.16.1'
cache=${GWP_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gwp-peers}
name=$(printf '%s\n' "$@" | LC_ALL=C sort | tr -c 'A-Za-z0-9.\n' '-' | paste -sd+ -)
venv=$cache/$name

mkdir -p "$cache"
# Two tests may start at once: the second waits and finds the work done.
exec 9>"$cache/.lock"
command -v flock >/dev/null 2>&1 && flock 9
if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    touch "$venv/ready"
fi
printf '%s\n' "$venv/bin/python"
