#!/bin/sh
# intent.sh NAME CAPABILITY [INPUT] [ID]: has a capability run and prints the result (topics/intents.md). The same
# message goes again, with the same id, until there is an answer: a repeated intent never runs twice.
# Broker and account stand in a file mosquitto_rr in $XDG_CONFIG_HOME, one option a line: -h HOST, -u NAME, -P PASSWORD.
name=$1 capability=$2 input=${3:-null} base=${MARTLET_WORKSPACE:-main}/martlet1
id=${4:-$(tr -dc a-z0-9 </dev/urandom | head -c 16)}
for wait in 5 10 20 40 60 60 60 60; do
    mosquitto_rr -q 1 -W "$wait" --quiet -t "$base/intent/$name/$capability/$id" \
        -e "$base/result/$name/$capability/$id" -m "{\"input\":$input}" && exit 0
done
echo "no answer for $id; ask again with the same id" >&2
exit 75
