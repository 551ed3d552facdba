import Contract
import Wire

/// What Home Assistant is told of the fleet (`topics/home-assistant.md`): one discovery document for each entity, which
/// reads its state from our own retained views, so that nothing has to be copied.
struct HomeAssistant {
    /// What an entity is about.
    enum Subject: Hashable {
        /// An executor: connected or not, and heartbeat's verdict.
        case executor(String)
        /// A schedule: a switch, a button, the next run.
        case schedule(String)
        /// A circuit of a capability, or of a capability and an executor.
        case circuit(String, String?)

        /// The subject of a view.
        init?(_ place: Topic.Place) {
            switch place {
            case .status(let executor): self = .executor(executor)
            case .schedule(let name): self = .schedule(name)
            case .circuit(let capability, let executor): self = .circuit(capability, executor)
            default: return nil
            }
        }
    }

    /// One retained discovery document.
    struct Document: Hashable {
        /// Its topic, `PREFIX/COMPONENT/NODE/OBJECT/config`.
        var topic: String
        /// The JSON.
        var payload: [UInt8]
    }

    /// The first level of Home Assistant's topics; `homeassistant` unless configured there.
    let prefix: String
    /// Our workspace.
    let workspace: String

    /// The node of all our discovery topics.
    var node: String { "martlet_\(HomeAssistant.word(workspace))" }
    /// Where Home Assistant says that it has started.
    var birthTopic: String { "\(prefix)/status" }
    /// The filter of all our discovery topics.
    var discoveryFilter: String { "\(prefix)/+/\(node)/+/config" }
    /// The filter of the orders that our switches and buttons give.
    var orderFilter: String { "\(prefix)/martlet/\(workspace)/schedule/+/+" }

    /// A name as an id there: letters, digits, `_`; others as `-` and two digits in hex.
    static func word(_ name: String) -> String {
        let digits = Array("0123456789abcdef")
        return name.utf8.reduce(into: "") { text, byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "-\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
    }

    /// The documents of a subject; always the same topics for the same subject.
    func documents(of subject: Subject) -> [Document] {
        switch subject {
        case .executor(let name): executor(name)
        case .schedule(let name): schedule(name)
        case .circuit(let capability, let executor): [circuit(capability, executor)]
        }
    }

    /// The command that an order means: the schedule and the verb; `nil` for what is none.
    func order(_ topic: String, _ payload: [UInt8]) -> (schedule: String, verb: String)? {
        let start = "\(prefix)/martlet/\(workspace)/schedule/"
        guard topic.hasPrefix(start) else { return nil }
        let levels = topic.dropFirst(start.count).split(separator: "/")
        guard levels.count == 2, Names.isName(String(levels[0])) else { return nil }
        switch (levels[1], String(decoding: payload, as: UTF8.self)) {
        case ("set", "ON"): return (String(levels[0]), "resume")
        case ("set", "OFF"): return (String(levels[0]), "pause")
        case ("trigger", "PRESS"): return (String(levels[0]), "trigger")
        default: return nil
        }
    }

    private func executor(_ name: String) -> [Document] {
        let id = "executor_\(HomeAssistant.word(name))"
        let device = RawJSON { writer in
            writer.object {
                $0.field("identifiers", ["\(node)_\(id)"])
                $0.field("name", name)
                $0.field("manufacturer", "Martlet")
                $0.field("model", "executor")
            }
        }
        return [
            document("binary_sensor", id, "connected", device) {
                $0.field("state_topic", Topic(workspace, .status(executor: name)).name)
                $0.field("value_template", "{{ 'OFF' if value_json.status in ['offline', 'lost'] else 'ON' }}")
                $0.field("device_class", "connectivity")
            },
            document("sensor", id + "_verdict", "verdict", device) {
                $0.field("state_topic", Topic(workspace, .liveness(executor: name)).name)
                $0.field("value_template", "{{ value_json.verdict }}")
            },
        ]
    }

    private func schedule(_ name: String) -> [Document] {
        let id = "schedule_\(HomeAssistant.word(name))"
        let state = Topic(workspace, .schedule(name)).name
        let orders = "\(prefix)/martlet/\(workspace)/schedule/\(name)"
        return [
            document("switch", id, name, fleet) {
                $0.field("state_topic", state)
                $0.field("value_template", "{{ 'ON' if value_json.state.status == 'active' else 'OFF' }}")
                $0.field("command_topic", "\(orders)/set")
            },
            document("button", id + "_trigger", "\(name) trigger", fleet) {
                $0.field("command_topic", "\(orders)/trigger")
            },
            document("sensor", id + "_next", "\(name) next run", fleet) {
                $0.field("state_topic", state)
                $0.field("value_template", "{{ value_json.state.next_run_at }}")
                $0.field("device_class", "timestamp")
            },
        ]
    }

    private func circuit(_ capability: String, _ executor: String?) -> Document {
        let words = [capability] + [executor].compactMap { $0 }
        let id = "circuit_" + words.map(HomeAssistant.word).joined(separator: "__")
        return document("binary_sensor", id, "circuit \(words.joined(separator: " "))", fleet) {
            $0.field("state_topic", Topic(workspace, .circuit(capability: capability, executor: executor)).name)
            $0.field("value_template", "{{ 'OFF' if value_json.state == 'closed' else 'ON' }}")
            $0.field("device_class", "problem")
        }
    }

    /// The device that schedules and circuits belong to.
    private var fleet: RawJSON {
        RawJSON { writer in
            writer.object {
                $0.field("identifiers", [node])
                $0.field("name", "Martlet \(workspace)")
                $0.field("manufacturer", "Martlet")
                $0.field("model", "fleet")
            }
        }
    }

    private func document(
        _ component: String, _ object: String, _ name: String, _ device: RawJSON,
        _ more: (inout JSONWriter) -> Void
    ) -> Document {
        let raw = RawJSON { writer in
            writer.object {
                $0.field("name", name)
                $0.field("unique_id", "\(node)_\(object)")
                more(&$0)
                $0.field("device", device)
                $0.field("origin") { $0.field("name", "Martlet") }
            }
        }
        return Document(topic: "\(prefix)/\(component)/\(node)/\(object)/config", payload: raw.bytes)
    }
}
