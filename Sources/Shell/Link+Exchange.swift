import CMosquitto
import Glibc
public import Machine
import TimeModel

/// Publishing, subscribing and receiving.
extension Link {
    /// Queues a publish. False when too much waits already: nothing was queued.
    public func publish(_ message: OutboundMessage) -> Bool { queue.append(.publish(message)) }

    /// Queues subscriptions, in order and behind the publishes queued before. False when too much waits already.
    public func subscribe(_ subscriptions: [Subscription]) -> Bool {
        subscriptions.allSatisfy { queue.append(.subscribe($0)) }
    }

    /// Gives libmosquitto what the window allows; true when there is something to write.
    func handOver(at now: MonotonicTime) -> Bool {
        guard isOpen, let handle else { return false }
        if settling {
            if !inflight.isEmpty { return false }
            settling = false
        }
        var given = 0
        while given < window, inflight.count < window, let entry = queue.popFirst() {
            given += 1
            switch entry {
            case .publish(let message): send(message, on: handle, at: now)
            case .subscribe(let subscription): send(subscription, on: handle, at: now)
            }
        }
        return given > 0
    }

    private func send(_ message: OutboundMessage, on handle: OpaquePointer, at now: MonotonicTime) {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if let correlation = message.correlation, correlation.count <= 65_535 {
            mosquitto_property_add_binary(
                &properties, Int32(MQTT_PROP_CORRELATION_DATA.rawValue), correlation, UInt16(correlation.count))
        }
        if options.messageExpiry, let seconds = message.expirySeconds {
            mosquitto_property_add_int32(
                &properties, Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), UInt32(clamping: max(1, seconds)))
        }
        var identifier: Int32 = 0
        let code = mosquitto_publish_v5(
            handle, &identifier, message.topic, Int32(message.payload.count), message.payload,
            message.atLeastOnce ? 1 : 0, message.retain, properties)
        // Without a connection the library has queued the message all the same and sends it after the next one.
        if code == 0 || code == Int32(MOSQ_ERR_NO_CONN.rawValue) {
            if message.atLeastOnce {
                inflight[identifier] = Pending(topic: message.topic, token: message.token, since: now)
            } else if let token = message.token {
                events.append(.delivered(token: token))
            }
        } else {
            events.append(.refused(topic: message.topic, reason: Link.text(ofError: code), token: message.token))
        }
    }

    private func send(_ subscription: Subscription, on handle: OpaquePointer, at now: MonotonicTime) {
        // What the retain flag says must be known; requests are never retained, and never one's own.
        var choices = Int32(MQTT_SUB_OPT_RETAIN_AS_PUBLISHED.rawValue)
        if subscription.wantsRetained {
            choices |= Int32(MQTT_SUB_OPT_SEND_RETAIN_ALWAYS.rawValue)
        } else {
            choices |= Int32(MQTT_SUB_OPT_SEND_RETAIN_NEVER.rawValue)
            if options.leavesOutOwn { choices |= Int32(MQTT_SUB_OPT_NO_LOCAL.rawValue) }
        }
        var identifier: Int32 = 0
        let code = mosquitto_subscribe_v5(
            handle, &identifier, subscription.filter, subscription.atLeastOnce ? 1 : 0, choices, nil)
        if code == 0 {
            subscribing[identifier] = Pending(topic: subscription.filter, token: nil, since: now)
        } else {
            events.append(.refused(topic: subscription.filter, reason: Link.text(ofError: code), token: nil))
        }
    }

    /// The broker has acknowledged a publish, or a message at QoS 0 was written.
    func acknowledged(_ identifier: Int32, _ code: Int32) {
        callbacks += 1
        guard let pending = inflight.removeValue(forKey: identifier) else { return }
        fruitlessRepeats = 0
        if code >= 0x80 {
            events.append(.refused(topic: pending.topic, reason: Link.text(ofReason: code), token: pending.token))
        } else if let token = pending.token {
            events.append(.delivered(token: token))
        }
    }

    /// The broker has answered a subscription.
    func subscribed(_ identifier: Int32, _ code: Int32) {
        callbacks += 1
        guard let pending = subscribing.removeValue(forKey: identifier) else { return }
        if code >= 0x80 {
            events.append(.refused(topic: pending.topic, reason: Link.text(ofReason: code), token: nil))
        } else {
            events.append(.subscribed(filter: pending.topic))
        }
    }

    /// A message came: everything is copied, nothing is looked at.
    func received(_ message: mosquitto_message, _ properties: OpaquePointer?) {
        callbacks += 1
        guard let topic = message.topic else { return }
        let payload = [UInt8](UnsafeRawBufferPointer(start: message.payload, count: Int(message.payloadlen)))
        inboxBytes += payload.count
        events.append(
            .message(
                InboundMessage(
                    topic: String(cString: topic), payload: payload, retained: message.retain,
                    responseTopic: Link.text(MQTT_PROP_RESPONSE_TOPIC, in: properties),
                    correlation: Link.bytes(MQTT_PROP_CORRELATION_DATA, in: properties))))
    }

    private static func text(_ property: mqtt5_property, in properties: OpaquePointer?) -> String? {
        guard let properties else { return nil }
        var value: UnsafeMutablePointer<CChar>?
        guard mosquitto_property_read_string(properties, Int32(property.rawValue), &value, false) != nil, let value
        else { return nil }
        defer { free(value) }
        return String(cString: value)
    }

    private static func bytes(_ property: mqtt5_property, in properties: OpaquePointer?) -> [UInt8]? {
        guard let properties else { return nil }
        var value: UnsafeMutableRawPointer?
        var count: UInt16 = 0
        guard mosquitto_property_read_binary(properties, Int32(property.rawValue), &value, &count, false) != nil
        else { return nil }
        defer { free(value) }
        return [UInt8](UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : Int(count)))
    }

    private static func text(ofReason code: Int32) -> String {
        mosquitto_reason_string(code).map { String(cString: $0) } ?? "reason \(code)"
    }
}
