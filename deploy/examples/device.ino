// device.ino: a pull executor for a small board, with the libraries PubSubClient and ArduinoJson.
//
// It switches a LED. MQTT 3.1.1, QoS 0, packets of 1 KiB, no clock: it claims, does the work, and repeats the outcome
// until the dispatcher confirms it (topics/executors.md). device.py does the same on a computer and is what is tested.
#include <ArduinoJson.h>
#include <PubSubClient.h>
#include <WiFi.h>

#include "secrets.h"  // WIFI_NAME, WIFI_PASSWORD, BROKER, NAME, PASSWORD: texts

static const unsigned long CLAIM_EVERY_MS = 5000;
static const unsigned long REPEAT_EVERY_MS = 2000;
static const char BASE[] = "main/martlet1/";

static WiFiClient network;
static PubSubClient client(network);
static char boot[9];
static String pendingTopic, pendingTask, pendingOutcome;
static unsigned long pendingEpoch = 0, lastEpoch = 0, lastSend = 0;
static bool sendNow = true;

static void send(const String &topic, const String &body, bool retain = false) {
    client.publish((BASE + topic).c_str(), body.c_str(), retain);
}

// Whether the list holds the outcome that is waiting.
static bool names(JsonArray pairs) {
    for (JsonArray pair : pairs) {
        if (pendingTask == pair[0].as<const char *>() && pendingEpoch == pair[1].as<unsigned long>()) return true;
    }
    return false;
}

static void onMessage(char *topic, byte *payload, unsigned int length) {
    JsonDocument body;
    if (deserializeJson(body, payload, length)) return;
    if (strstr(topic, "/grant/") && body["task"] && body["epoch"].as<unsigned long>() > lastEpoch) {
        lastEpoch = pendingEpoch = body["epoch"];
        pendingTask = body["task"].as<const char *>();
        bool on = body["input"]["on"];
        digitalWrite(LED_BUILTIN, on ? HIGH : LOW);
        pendingTopic = String("report/") + NAME + "/" + pendingTask;
        pendingOutcome = String("{\"epoch\":") + pendingEpoch +
                         ",\"type\":\"outcome\",\"status\":\"success\",\"output\":{\"on\":" + (on ? "true" : "false") +
                         "}}";
        sendNow = true;
    }
    if (pendingTask.length() > 0 && (names(body["confirmed"]) || names(body["revoked"]))) {
        pendingTask = "";
        sendNow = true;
    }
}

static void announce() {
    client.subscribe((String(BASE) + "work/_/" + NAME).c_str());
    client.subscribe((String(BASE) + "grant/" + NAME + "/1").c_str());
    send(String("executor/") + NAME + "/card",
         String("{\"boot\":\"") + boot +
             "\",\"rev\":1,\"modes\":[\"pull\"],\"capabilities\":[{\"name\":\"led.set\",\"lease_ms\":60000}]}",
         true);
    send(String("executor/") + NAME + "/status", String("{\"status\":\"online\",\"boot\":\"") + boot + "\"}", true);
    sendNow = true;
}

void setup() {
    pinMode(LED_BUILTIN, OUTPUT);
    snprintf(boot, sizeof boot, "%08lx", (unsigned long)esp_random());
    WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
    client.setServer(BROKER, 1883);
    client.setBufferSize(1024);
    client.setCallback(onMessage);
}

void loop() {
    if (!client.loop()) {
        if (WiFi.status() == WL_CONNECTED && client.connect(boot, NAME, PASSWORD)) announce();
        delay(1000);
        return;
    }
    bool pending = pendingTask.length() > 0;
    if (!sendNow && millis() - lastSend < (pending ? REPEAT_EVERY_MS : CLAIM_EVERY_MS)) return;
    sendNow = false;
    lastSend = millis();
    if (pending) {
        send(pendingTopic, pendingOutcome);
    } else {
        send(String("claim/") + NAME + "/1", String("{\"boot\":\"") + boot + "\",\"wait_ms\":5000}");
    }
}
