#!/bin/sh
# executor.sh NAME [TASKS]: an executor that says how long this machine has been up. It claims a task, does it, and
# repeats the outcome until it is confirmed (topics/executors.md). It ends after TASKS tasks; without, it goes on.
# Broker and account stand in a file mosquitto_rr in $XDG_CONFIG_HOME, one option a line: -h HOST, -u NAME, -P PASSWORD.
name=$1 left=${2:--1} base=${MARTLET_WORKSPACE:-main}/martlet1
ask() { mosquitto_rr -q 1 -W 90 -t "$base/$1" -e "$base/$2" -m "$3"; }
field() { printf '%s' "$grant" | sed -n "s/^{[^{]*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
while [ "$left" -ne 0 ]; do
    grant=$(ask "claim/$name/1" "grant/$name/1" '{"capabilities":["host.uptime"],"wait_ms":60000,"lease_ms":120000}')
    task=$(field task)
    [ -n "$task" ] || { sleep 1; continue; }
    read -r seconds _ </proc/uptime
    outcome="{\"epoch\":$(field epoch),\"type\":\"outcome\",\"status\":\"success\",\"output\":{\"up_s\":${seconds%.*}}}"
    until ask "report/$name/$task" "work/_/$name" "$outcome" | grep -qE '"(confirmed|revoked)":\[\['; do sleep 1; done
    left=$((left - 1))
done
