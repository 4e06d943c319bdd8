#!/usr/bin/env bash
# A real MQTT broker for tests: mosquitto on 127.0.0.1, everything it keeps in one folder.
#
#   mosquitto.sh FOLDER [PORT]
#
# Prints `READY port` once it takes connections. The process becomes the broker
# itself, so its pid is the one to stop or kill. A file FOLDER/extra.conf is added
# to the configuration of the listener (TLS, users, access list, limits).
set -euo pipefail

folder=${1:?"usage: mosquitto.sh FOLDER [PORT]"}
port=${2:-0}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Below the ports that systems give to outgoing connections, which may come and go meanwhile.
while [ "$port" = 0 ] || { [ -z "${2:-}" ] && taken "$port"; }; do
  port=$((10000 + RANDOM % 22000))
done

extra="$folder/extra.conf"
has() { [ -f "$extra" ] && grep -q "^$1 " "$extra"; }
{
  # Before any listener: as root it would else become another user, fail to write its folder and lose sessions.
  echo "user root"
  echo "persistence true"
  echo "persistence_location $folder/"
  echo "max_queued_messages 0"
  echo "listener $port 127.0.0.1"
  has allow_anonymous || echo "allow_anonymous true"
  if [ -f "$extra" ]; then cat "$extra"; fi
} >"$folder/mosquitto.conf"

broker=$$
(
  for _ in $(seq 200); do
    kill -0 "$broker" 2>/dev/null || exit 1
    if taken "$port"; then
      echo "READY $port"
      exit 0
    fi
    sleep 0.05
  done
) &
exec "$(command -v mosquitto || echo /usr/sbin/mosquitto)" -c "$folder/mosquitto.conf"
