import Contract
import Machine
import TimeModel
import Wire

/// What the services say of themselves, side by side: `martlet doctor` compares it.
struct ServiceBoard {
    /// The records of those that are up, by name and instance.
    private(set) var records: [String: ServiceRecord] = [:]
    /// How long each has been up by its own clock, by name.
    private var uptimes: [String: Int] = [:]

    /// Takes a record or a set of metrics.
    mutating func take(_ message: InboundMessage) {
        let levels = message.topic.split(separator: "/").map(String.init)
        if levels.count == 5, levels[2] == "service", let record = try? ServiceRecord(decoding: message.payload),
            record.state == .up
        {
            records["\(levels[3])/\(levels[4])"] = record
        }
        if levels.count == 4, levels[2] == "metrics", let raw = try? RawJSON(validating: message.payload) {
            uptimes[levels[3]] = JSONValue(raw)["uptime_ms"]?.intValue
        }
    }

    /// What there is to say: `zones` is the release of this machine's zone data.
    func findings(zones: String, now: WallTime) -> [Finding] { [releases] + zoneData(zones) + clocks(now) }

    private var sorted: [(name: String, record: ServiceRecord)] {
        records.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private var releases: Finding {
        let versions = Set(records.values.map(\.version)).sorted()
        let names = sorted.map { "\($0.name) \($0.record.version)" }.joined(separator: ", ")
        if versions.count == 1 { return Finding(.ok, "releases", "up: \(names)") }
        return Finding(
            .warning, "releases", "services of different releases: \(names)",
            remedy: "bring all to the newest; journals of older releases are read")
    }

    private func zoneData(_ own: String) -> [Finding] {
        let used = sorted.compactMap { entry in entry.record.tzdb.map { (entry.name, $0) } }
        let others = used.filter { $0.1 != own }
        if used.isEmpty { return [] }
        if others.isEmpty { return [Finding(.ok, "zone_data", "release \(own), here and in the services")] }
        let names = others.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        return [
            Finding(
                .warning, "zone_data",
                "other zone data than here (\(own)): \(names); previews may differ from what fires",
                remedy: "apt-get install tzdata on both machines, then SIGHUP to the service")
        ]
    }

    /// A service's clock, by its record and its newest metrics, which are at most a minute old.
    private func clocks(_ now: WallTime) -> [Finding] {
        var wrong: [Finding] = []
        var right: [String] = []
        for (name, record) in sorted {
            let service = String(name.prefix { $0 != "/" })
            guard let uptime = uptimes[service] else { continue }
            let ahead = record.since + uptime - now
            if ahead <= 1000, ahead >= -70_000 {
                right.append(service)
            } else {
                let text = "\(Durations.text(abs(ahead))) \(ahead > 0 ? "ahead" : "behind")"
                wrong.append(
                    Finding(
                        .warning, "clocks", "the clock of \(service) is \(text), or its metrics have stopped",
                        remedy: "a time service on its machine: schedules fire by its clock"))
            }
        }
        if !wrong.isEmpty || right.isEmpty { return wrong }
        return [Finding(.ok, "clocks", "those of \(right.joined(separator: ", ")) agree with this one, as far as seen")]
    }
}
