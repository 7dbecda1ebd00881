#!/usr/bin/env bash
# Starts ranks as torchrun does, by environment variables: gloo.sh WORLD COMMAND…. All end when one fails.
set -uo pipefail
world=$1; shift
# A port that was free a moment ago.
read -r MASTER_PORT < <(comm -23 <(seq 20000 30000 | shuf -n 50 | sort) \
  <(awk 'FNR > 1 { split($2, a, ":"); print a[2] }' /proc/net/tcp /proc/net/tcp6 | while read -r hex; do echo $((16#$hex)); done | sort))
export MASTER_PORT MASTER_ADDR=127.0.0.1 WORLD_SIZE=$world
pids=()
for ((rank = 0; rank < world; rank++)); do
  RANK=$rank "$@" &
  pids+=($!)
done
status=0
for ((left = world; left > 0 && status == 0; left--)); do
  wait -n || status=$?
done
# The others say what they saw, and end by themselves; one that stands still does not.
for ((tries = 0; tries < 300 && status != 0; tries++)); do
  (($(jobs -rp | wc -l) > 1)) || break
  sleep 0.1
done
((status == 0)) || kill -KILL "${pids[@]}" 2>/dev/null
exit $status
