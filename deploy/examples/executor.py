#!/usr/bin/env python3
"""executor.py HOST PORT NAME PASSWORD_FILE: a pull executor that turns text to capitals (topics/executors.md)."""
import json, secrets, sys, threading
import paho.mqtt.client as mqtt

host, port, name, password_file = sys.argv[1:5]
base, boot, held, seen, outcomes, due = "main/martlet1", secrets.token_hex(8), set(), set(), {}, threading.Event()
card = {"boot": boot, "rev": 1, "modes": ["pull"], "capabilities": [{"name": "text.upper"}]}
def send(topic, body, retain=False):
    client.publish(f"{base}/{topic}", json.dumps(body), 1, retain)
def on_connect(*_):
    client.subscribe([(f"{base}/work/+/{name}", 1), (f"{base}/grant/{name}/+", 1)])
    send(f"executor/{name}/card", card, retain=True)
    send(f"executor/{name}/status", {"status": "online", "boot": boot}, retain=True)
    due.set()
def on_message(_client, _userdata, message):
    body = json.loads(message.payload)
    if "/grant/" in message.topic and "task" in body and (pair := (body["task"], body["epoch"])) not in seen:
        seen.add(pair), held.add(pair)  # the same grant may come twice
        threading.Thread(target=work, args=[pair, body.get("input")], daemon=True).start()
    for task, epoch in body.get("confirmed", []) + body.get("revoked", []):
        outcomes.pop((task, epoch), None)  # in the dispatcher's journal, or no longer wanted
def work(pair, given):
    try: outcome = {"status": "success", "output": {"text": given["text"].upper()}}
    except (KeyError, TypeError, AttributeError): outcome = {"status": "failed", "error": {"code": "invalid_field"}}
    outcomes[pair] = {"epoch": pair[1], "type": "outcome", **outcome}
    held.discard(pair), due.set()
client = mqtt.Client(*([mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []))
client.on_connect, client.on_message = on_connect, on_message
client.username_pw_set(name, open(password_file).read().strip())
client.will_set(f"{base}/executor/{name}/status", json.dumps({"status": "lost", "boot": boot}), 1, True)
client.connect(host, int(port))
client.loop_start()
while due.wait(10) or True:  # by a timer, not by the work: renew leases, repeat outcomes until confirmed, claim if idle
    due.clear()
    for (task, _), outcome in [*outcomes.items()]: send(f"report/{name}/{task}", outcome)
    send(f"beat/{name}", {"boot": boot, "seq": 1, "leases": [*held], "unconfirmed": [*outcomes]})
    if not held: send(f"claim/{name}/1", {"boot": boot, "wait_ms": 60000})
