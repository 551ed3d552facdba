import CMosquitto

/// What the broker says of itself when it accepts a connection (MQTT 5.0 §3.2.2.3).
public struct BrokerLimits: Hashable, Sendable {
    /// The largest packet it takes, in bytes; `nil`: any.
    public var packetBytes: Int?
    /// How many messages at QoS 1 it takes at once; `nil`: 65 535.
    public var inflight: Int?
    /// The highest QoS it knows: 0 to 2.
    public var qualityOfService = 2
    /// Whether it keeps retained messages.
    public var keepsRetained = true
    /// Whether it takes filters with wildcards.
    public var takesWildcards = true
    /// The keep-alive that it asks for instead of ours, in seconds; `nil`: ours will do.
    public var keepaliveSeconds: Int?

    /// The limits of a broker that names none.
    public init() {}

    /// What the properties of its answer say.
    init(_ properties: OpaquePointer?, window: Int?) {
        inflight = window
        guard let properties else { return }
        var bytes: UInt32 = 0
        if mosquitto_property_read_int32(properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue), &bytes, false)
            != nil
        {
            packetBytes = Int(bytes)
        }
        var byte: UInt8 = 0
        if mosquitto_property_read_byte(properties, Int32(MQTT_PROP_MAXIMUM_QOS.rawValue), &byte, false) != nil {
            qualityOfService = Int(byte)
        }
        if mosquitto_property_read_byte(properties, Int32(MQTT_PROP_RETAIN_AVAILABLE.rawValue), &byte, false) != nil {
            keepsRetained = byte != 0
        }
        if mosquitto_property_read_byte(properties, Int32(MQTT_PROP_WILDCARD_SUB_AVAILABLE.rawValue), &byte, false)
            != nil
        {
            takesWildcards = byte != 0
        }
        var seconds: UInt16 = 0
        if mosquitto_property_read_int16(properties, Int32(MQTT_PROP_SERVER_KEEP_ALIVE.rawValue), &seconds, false)
            != nil
        {
            keepaliveSeconds = Int(seconds)
        }
    }
}
