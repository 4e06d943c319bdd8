#!/bin/sh
# Opens a program in Neovim with `gwp lsp` as its language server, does there what people do, and prints what came of
# it as JSON.
#
# usage: neovim.sh GWP FILE.gwp
# Installs Neovim (Debian) when it is not there.
set -eu

[ $# -eq 2 ] || { echo "usage: neovim.sh GWP FILE.gwp" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v nvim >/dev/null 2>&1; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=500 install -y -qq --no-install-recommends neovim >&2
fi
cd "$(dirname "$2")"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
GWP=$1 GWP_FILE=$2 GWP_OUT=$out nvim --headless --clean -n -c "luafile $here/neovim.lua" >&2
cat "$out"
