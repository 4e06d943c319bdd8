#!/usr/bin/env bash
# The peers of pipelines/modbus_mqtt.gwp: a Modbus server and an MQTT broker on free ports.
#
#   modbus_mqtt.sh FOLDER
#
# Writes FOLDER/node.toml for `gwp run --node` and FOLDER/served.jsonl, the server's own
# record of what it answered; prints `READY FOLDER/node.toml` and serves until ended.
set -euo pipefail

folder=${1:?"usage: modbus_mqtt.sh FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
python=$(bash "$here/venv.sh" | tail -n 1)

# They end with this script, also when that is killed.
peer() { exec setpriv --pdeathsig TERM "$@"; } # Only in the background.

ready() { # FILE: waits for its READY line
  for _ in $(seq 300); do
    if grep -q '^READY' "$1" 2>/dev/null; then grep '^READY' "$1"; return; fi
    sleep 0.1
  done
  echo "no READY in $1" >&2
  exit 1
}

peer bash "$here/mosquitto.sh" "$folder/broker" >"$folder/broker.out" 2>"$folder/broker.err" &
peer "$python" "$here/modbus_server.py" --tcp 0 --units 1 --step 100 --log "$folder/served.jsonl" >"$folder/plc.out" 2>"$folder/plc.err" &

broker=$(ready "$folder/broker.out" | cut -d' ' -f2)
plc=$(ready "$folder/plc.out" | sed 's/.*tcp=\([0-9]*\).*/\1/')
cat >"$folder/node.toml" <<TOML
[node]
id = "test"
data = "data"
[vars]
plc = "127.0.0.1:$plc"
broker = "mqtt://127.0.0.1:$broker"
TOML
echo "$broker" >"$folder/broker.port"
echo "READY $folder/node.toml"
wait
