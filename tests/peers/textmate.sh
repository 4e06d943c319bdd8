#!/bin/sh
# Tokenises programs as editors do, with the engine of Visual Studio Code, and prints every token.
#
# usage: textmate.sh GRAMMAR.json PROGRAM ...
# A line per token: program:line, the token as JSON, its innermost scope, separated by tabs. The npm packages stand
# in $GWP_PEERS, else in ${XDG_CACHE_HOME:-$HOME/.cache}/gwp-peers, and are installed at the first run.
set -eu

[ $# -ge 2 ] || { echo "usage: textmate.sh GRAMMAR.json PROGRAM ..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
cache=${GWP_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gwp-peers}
packages=$cache/vscode-textmate-9.3.2-vscode-oniguruma-2.0.1

mkdir -p "$cache"
# Two tests may start at once: the second waits and finds the work done.
exec 9>"$cache/.lock-npm"
command -v flock >/dev/null 2>&1 && flock 9
if [ ! -e "$packages/ready" ]; then
    rm -rf "$packages"
    mkdir -p "$packages"
    npm install --prefix "$packages" --no-audit --no-fund --silent \
        vscode-textmate@9.3.2 vscode-oniguruma@2.0.1 >&2
    touch "$packages/ready"
fi
exec 9>&-
GWP_TEXTMATE_PACKAGES=$packages exec node "$here/textmate.mjs" "$@"
