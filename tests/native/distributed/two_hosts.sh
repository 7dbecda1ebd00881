#!/usr/bin/env bash
# Two hosts on one machine: network namespaces with a cable between them. A rank on each trains over Gloo's TCP; then
# the cable is cut, and both must end by themselves, with words that name the other. two_hosts.sh COMMAND…
# Exits with 77 where namespaces may not be made.
set -uo pipefail
one=llv$$a two=llv$$b
words=$(mktemp -d)
clean() {
  rm -rf "$words"
  ip netns del "$one" 2>/dev/null
  ip netns del "$two" 2>/dev/null
}
trap clean EXIT
{
  ip netns add "$one" && ip netns add "$two" &&
    ip link add name "$one" netns "$one" type veth peer name "$two" netns "$two" &&
    ip -n "$one" addr add 10.77.0.1/24 dev "$one" && ip -n "$two" addr add 10.77.0.2/24 dev "$two" &&
    ip -n "$one" link set "$one" up && ip -n "$two" link set "$two" up
} 2>/dev/null || { echo "no network namespaces here"; exit 77; }

export MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 WORLD_SIZE=2
RANK=0 ip netns exec "$one" "$@" >"$words/0" 2>&1 &
first=$!
RANK=1 ip netns exec "$two" "$@" >"$words/1" 2>&1 &
second=$!
until grep -q "under way" "$words/0" && grep -q "under way" "$words/1"; do
  kill -0 "$first" && kill -0 "$second" || { cat "$words"/*; echo "a rank ended before the cable was cut"; exit 1; }
  sleep 0.1
done
echo "the cable is cut"
ip -n "$two" link set "$two" down
wait "$first"; one_status=$?
wait "$second"; two_status=$?
cat "$words"/*
echo "rank 0 ended with $one_status, rank 1 with $two_status"
