#!/bin/sh
# Makes sure that tshark, the dissector of Wireshark on the command line, is there; installs Debian's if not.
# Prints its path.
set -eu

if ! command -v tshark >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=500 update >&2
    apt-get -o DPkg::Lock::Timeout=500 install -y --no-install-recommends tshark >&2
fi
command -v tshark
