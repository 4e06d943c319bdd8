#!/bin/sh
# Starts both nodes of a pair and its witness on this machine; Ctrl-C ends them.
#   pipelines/pair/start.sh [path of gwp]
set -eu
gwp=${1:-gwp}
case $gwp in */*) gwp=$(cd "$(dirname "$gwp")" && pwd)/$(basename "$gwp") ;; esac
cd "$(dirname "$0")"
mkdir -p out
[ -f out/pair.key ] || "$gwp" pair keys out/pair.key
started=
trap 'for pid in $started; do kill "$pid" 2>/dev/null || true; done; wait' EXIT
trap 'exit 0' INT TERM
"$gwp" witness witness.toml >> out/witness.log 2>&1 & started="$started $!"
"$gwp" run plant.gwp --node primary.toml -q >> out/primary.log 2>&1 & primary=$! started="$started $!"
"$gwp" run plant.gwp --node backup.toml -q >> out/backup.log 2>&1 & backup=$! started="$started $!"
sleep 1
for pid in $started; do
  kill -0 "$pid" 2>/dev/null && continue
  echo "not all of them run: is the pair started already? The ends of out/*.log say more:" >&2
  tail -n 2 out/witness.log out/primary.log out/backup.log >&2
  exit 1
done
cat <<END
witness, primary (process $primary) and backup (process $backup) run; after five seconds one is active.
  cd $(pwd)
  $gwp pair status --data out/primary        who is what; the same with out/backup
  kill -9 $primary                           the other one takes over: see out/backup.log
  $gwp run plant.gwp --node primary.toml -q  brings it back, as the standby
  $gwp pair switchover --data out/primary    move the graph in order
  tail -f out/*.log
Ctrl-C here ends them.
END
wait
