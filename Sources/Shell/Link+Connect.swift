import CMosquitto
import CPlatform
import Glibc
import Machine
import TimeModel

/// Making a connection.
extension Link {
    /// Begins an attempt. libmosquitto's own connect would wait for the network, so whoever is not on this machine is
    /// first looked for without waiting.
    func begin(at now: MonotonicTime, will: () -> OutboundMessage?) {
        if options.address.answersAtOnce { return open(at: now, will: will) }
        var descriptor: Int32 = -1
        switch platform_probe(options.address.host, Int32(options.address.port), &descriptor) {
        case 0:
            close(descriptor)
            open(at: now, will: will)
        case 1: state = .probing(descriptor: descriptor, until: now + Link.openTimeout)
        default: lose(systemErrorText(errno), at: now)
        }
    }

    /// Looks how a probe stands.
    func probe(_ descriptor: Int32, until: MonotonicTime, at now: MonotonicTime, will: () -> OutboundMessage?) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, 0) == 1 else {
            if now >= until { lose("no answer from \(options.address)", at: now) }
            return
        }
        let result = platform_probe_result(descriptor)
        guard result == 0 else { return lose(systemErrorText(result), at: now) }
        close(descriptor)
        state = .waiting(until: now)
        open(at: now, will: will)
    }

    /// Sends the connection request; the answer comes through `connectCallback`.
    private func open(at now: MonotonicTime, will: () -> OutboundMessage?) {
        state = .opening(until: now + Link.openTimeout)
        settling = !inflight.isEmpty
        if handle == nil {
            guard makeHandle() else { return lose("cannot make an MQTT client", at: now) }
        }
        guard let handle else { return }
        if let problem = configure(handle) { return lose(problem, at: now) }
        setWill(will(), on: handle)
        mosquitto_log_callback_set(handle, logCallback)
        var properties: OpaquePointer?
        mosquitto_property_add_int32(
            &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), UInt32(options.sessionExpirySeconds))
        defer { mosquitto_property_free_all(&properties) }
        errno = 0
        let code = mosquitto_connect_bind_v5(
            handle, options.address.host, Int32(options.address.port), Int32(options.keepaliveSeconds), nil, properties)
        if code != 0 {
            check(code, at: now)
        } else {
            flush(at: now)
        }
    }

    private func makeHandle() -> Bool {
        let object = Unmanaged.passUnretained(self).toOpaque()
        guard let made = mosquitto_new(options.clientID, options.cleanStart, object) else { return false }
        mosquitto_int_option(made, MOSQ_OPT_PROTOCOL_VERSION, Int32(MQTT_PROTOCOL_V5))
        mosquitto_int_option(made, MOSQ_OPT_TCP_NODELAY, 1)
        mosquitto_int_option(made, MOSQ_OPT_RECEIVE_MAXIMUM, Int32(Link.largestWindow))
        mosquitto_int_option(made, MOSQ_OPT_SEND_MAXIMUM, Int32(Link.largestWindow))
        // Acknowledgements stay in the library's queue until `flush`: without this a crash loses acknowledged messages.
        mosquitto_threaded_set(made, true)
        mosquitto_connect_v5_callback_set(made, connectCallback)
        mosquitto_disconnect_v5_callback_set(made, disconnectCallback)
        mosquitto_publish_v5_callback_set(made, publishCallback)
        mosquitto_subscribe_v5_callback_set(made, subscribeCallback)
        mosquitto_message_v5_callback_set(made, messageCallback)
        // The library ignores SIGPIPE only on some paths; a broken connection must never end the process.
        platform_ignore_broken_pipe()
        handle = made
        return true
    }

    /// Sets account and certificates, whose files are read anew each time; returns what is wrong with them.
    private func configure(_ handle: OpaquePointer) -> String? {
        if let username = options.username {
            var password: String?
            if let path = options.passwordFile {
                guard let content = try? readFile(path, limit: 4096) else { return "cannot read the file \(path)" }
                password = String(decoding: content.prefix { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
            }
            mosquitto_username_pw_set(handle, username, password)
        }
        guard options.address.transport == .tls else { return nil }
        if options.authorityFile == nil { mosquitto_int_option(handle, MOSQ_OPT_TLS_USE_OS_CERTS, 1) }
        if options.authorityFile != nil || options.certificateFile != nil {
            let code = mosquitto_tls_set(
                handle, options.authorityFile, options.authorityFile == nil ? "/etc/ssl/certs" : nil,
                options.certificateFile, options.keyFile, nil)
            if code != 0 { return "certificate files: \(Link.text(ofError: code))" }
        }
        return nil
    }

    private func setWill(_ will: OutboundMessage?, on handle: OpaquePointer) {
        guard let will else {
            mosquitto_will_clear(handle)
            return
        }
        mosquitto_will_set_v5(
            handle, will.topic, Int32(will.payload.count), will.payload, will.atLeastOnce ? 1 : 0, will.retain, nil)
    }

    /// libmosquitto has the broker's answer to the connection request.
    func answered(_ code: Int32, _ flags: Int32, _ properties: OpaquePointer?) {
        callbacks += 1
        var limit: UInt16 = 0
        let given = mosquitto_property_read_int16(
            properties, Int32(MQTT_PROP_RECEIVE_MAXIMUM.rawValue), &limit, false)
        window = given == nil || limit == 0 ? Link.largestWindow : min(Link.largestWindow, Int(limit))
        guard code == 0 else {
            refusedCode = code
            lastReason = mosquitto_reason_string(code).map { "refused: \(String(cString: $0))" }
            return
        }
        limits = BrokerLimits(properties, window: given == nil ? nil : Int(limit))
        state = .open(since: SystemClock.monotonic)
        // The library's words are of use when a connection fails; on an open one it would word every packet.
        mosquitto_log_callback_set(handle, nil)
        if flags & 1 == 0 { events.append(.sessionLost) }
        events.append(.connected)
    }

    /// libmosquitto has lost the connection, or the broker has ended it with a reason.
    func ended(_ code: Int32) {
        callbacks += 1
        if code >= 0x80 {
            lastReason = mosquitto_reason_string(code).map { "closed by the broker: \(String(cString: $0))" }
        } else if code == Int32(MOSQ_ERR_CONN_LOST.rawValue) {
            lastReason = lastReason ?? "closed by the broker"
        }
    }
}

// libmosquitto calls these within its read and write functions. They are free functions outside any actor, copy what
// they are given and return.

private func link(_ object: UnsafeMutableRawPointer?) -> Link? {
    object.map { Unmanaged<Link>.fromOpaque($0).takeUnretainedValue() }
}

private func connectCallback(
    _: OpaquePointer?, object: UnsafeMutableRawPointer?, code: Int32, flags: Int32, properties: OpaquePointer?
) {
    link(object)?.answered(code, flags, properties)
}

private func disconnectCallback(
    _: OpaquePointer?, object: UnsafeMutableRawPointer?, code: Int32, properties: OpaquePointer?
) {
    link(object)?.ended(code)
}

private func publishCallback(
    _: OpaquePointer?, object: UnsafeMutableRawPointer?, identifier: Int32, code: Int32, properties: OpaquePointer?
) {
    link(object)?.acknowledged(identifier, code)
}

private func subscribeCallback(
    _: OpaquePointer?, object: UnsafeMutableRawPointer?, identifier: Int32, count: Int32,
    granted: UnsafePointer<Int32>?, properties: OpaquePointer?
) {
    link(object)?.subscribed(identifier, count > 0 ? granted?.pointee ?? 0x80 : 0x80)
}

private func messageCallback(
    _: OpaquePointer?, object: UnsafeMutableRawPointer?, message: UnsafePointer<mosquitto_message>?,
    properties: OpaquePointer?
) {
    guard let message else { return }
    link(object)?.received(message.pointee, properties)
}

private func logCallback(
    _: OpaquePointer?, object: UnsafeMutableRawPointer?, level: Int32, text: UnsafePointer<CChar>?
) {
    guard level == MOSQ_LOG_ERR, let text else { return }
    link(object)?.lastLibraryError = String(cString: text)
}
