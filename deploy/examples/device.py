#!/usr/bin/env python3
"""device.py HOST PORT NAME PASSWORD_FILE: what device.ino does, held to what such a device can do.

MQTT 3.1.1, everything at QoS 0, no packet over 1 KiB in either direction, no clock, one task at a time. It claims, does
the work, and repeats the outcome until the dispatcher confirms it (topics/executors.md).
"""
import json
import secrets
import sys
import time

import paho.mqtt.client as mqtt

PACKET = 1024
CLAIM_EVERY_S = 5
REPEAT_EVERY_S = 2
BASE = "main/martlet1"


class Device:
    """One slot, one outcome to get rid of at most."""

    def __init__(self, client, name):
        self.client = client
        self.name = name
        self.boot = secrets.token_hex(4)
        self.pending = None
        self.last_epoch = 0
        self.next_send = 0.0
        client.on_connect = self.on_connect
        client.on_message = self.on_message

    def send(self, topic, body, retain=False):
        payload = json.dumps(body, separators=(",", ":"))
        assert len(BASE) + 1 + len(topic) + len(payload) + 8 <= PACKET, "a packet over 1 KiB"
        self.client.publish(f"{BASE}/{topic}", payload, 0, retain)

    def on_connect(self, client, *_):
        client.subscribe([(f"{BASE}/work/_/{self.name}", 0), (f"{BASE}/grant/{self.name}/1", 0)])
        capability = {"name": "led.set", "lease_ms": 60000}
        card = {"boot": self.boot, "rev": 1, "modes": ["pull"], "capabilities": [capability]}
        self.send(f"executor/{self.name}/card", card, retain=True)
        self.send(f"executor/{self.name}/status", {"status": "online", "boot": self.boot}, retain=True)
        self.next_send = 0.0

    def on_message(self, _client, _userdata, message):
        if len(message.topic) + len(message.payload) + 8 > PACKET:
            return  # the device's buffer would not hold it: it never sees the message
        body = json.loads(message.payload)
        if "/grant/" in message.topic and "task" in body and body["epoch"] > self.last_epoch:
            self.last_epoch = body["epoch"]
            given = body.get("input")
            output = {"on": isinstance(given, dict) and given.get("on") is True}
            outcome = {"epoch": body["epoch"], "type": "outcome", "status": "success", "output": output}
            self.pending = (body["task"], outcome)
            self.next_send = 0.0
        settled = body.get("confirmed", []) + body.get("revoked", [])
        if self.pending and [self.pending[0], self.pending[1]["epoch"]] in settled:
            self.pending = None
            self.next_send = 0.0

    def step(self, now):
        """What the sketch does in each pass of its loop."""
        if now < self.next_send:
            return
        if self.pending:
            self.send(f"report/{self.name}/{self.pending[0]}", self.pending[1])
            self.next_send = now + REPEAT_EVERY_S
        else:
            self.send(f"claim/{self.name}/1", {"boot": self.boot, "wait_ms": CLAIM_EVERY_S * 1000})
            self.next_send = now + CLAIM_EVERY_S


def main():
    host, port, name, password_file = sys.argv[1:5]
    version = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
    client = mqtt.Client(*version, protocol=mqtt.MQTTv311)
    with open(password_file, encoding="utf-8") as file:
        client.username_pw_set(name, file.read().strip())
    device = Device(client, name)
    client.connect(host, int(port))
    while True:
        if client.loop(timeout=0.1) != mqtt.MQTT_ERR_SUCCESS:
            time.sleep(1)
            client.reconnect()
        elif client.is_connected():
            device.step(time.monotonic())


if __name__ == "__main__":
    main()
