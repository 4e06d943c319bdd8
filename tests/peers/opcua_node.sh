#!/bin/sh
# Starts the OPC UA server of node-opcua, see opcua_server.mjs.
#
# usage: opcua_node.sh FOLDER [OPTION ..]
# The npm packages stand in $GWP_PEERS, else in ${XDG_CACHE_HOME:-$HOME/.cache}/gwp-peers, and are installed at the
# first run. The process becomes the server itself.
set -eu

[ $# -ge 1 ] || { echo "usage: opcua_node.sh FOLDER [OPTION ..]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
cache=${GWP_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gwp-peers}
packages=$cache/node-opcua-2.182.2

mkdir -p "$cache"
# Two tests may start at once: the second waits and finds the work done.
exec 9>"$cache/.lock-node-opcua"
command -v flock >/dev/null 2>&1 && flock 9
if [ ! -e "$packages/ready" ]; then
    rm -rf "$packages"
    mkdir -p "$packages"
    npm install --prefix "$packages" --no-audit --no-fund --silent node-opcua@2.182.2 >&2
    touch "$packages/ready"
fi
exec 9>&-
GWP_NODE_OPCUA=$packages exec node "$here/opcua_server.mjs" "$@"
