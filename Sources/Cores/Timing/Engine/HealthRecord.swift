import Contract
import TimeModel
import Wire

/// What a check has found so far.
struct HealthRecord: Hashable, Sendable {
    /// What everybody sees.
    var shown = CheckHealth()
    /// Results in a row that were `ok`.
    var goodInRow = 0
    /// The level that each threshold has raised, by its number.
    var levels: [Int: CheckStatus] = [:]
    /// The last runs, oldest first.
    var log: [CheckRun] = []
    /// Whether its alert stands.
    var isAlerting = false

    /// Whether its status calls for attention.
    var isBad: Bool { (shown.status ?? .ok) != .ok }

    /// Takes a result; `true` when the status changed with it. A run is taken once.
    mutating func take(_ run: CheckRun, _ rules: CheckRules, at now: WallTime) -> Bool {
        shown.last = run
        if run.status == .ok {
            goodInRow += 1
            shown.consecutiveFailures = 0
        } else {
            goodInRow = 0
            shown.consecutiveFailures += 1
        }
        add(run)
        let before = shown.status
        if run.status != .ok {
            if shown.consecutiveFailures >= rules.failAfter { shown.status = run.status }
        } else if before == nil || goodInRow >= rules.recoverAfter {
            shown.status = .ok
        }
        guard shown.status != before else { return false }
        shown.since = now
        return true
    }

    /// Adds a run to the log.
    mutating func add(_ run: CheckRun) {
        log.append(run)
        if log.count > Limits.checkLog { log.removeFirst(log.count - Limits.checkLog) }
    }

    /// What a task's result means, thresholds included.
    mutating func judge(_ result: TaskResult, run: String, startedAt: WallTime, _ rules: CheckRules) -> CheckRun {
        var found = CheckRun(run: run, ranAt: startedAt, status: .error)
        found.durationMs = result.durationMs
        guard result.status == .success else {
            found.code = result.error?.code
            let code = result.error?.code.rawValue ?? result.status.rawValue
            found.message = HealthRecord.short(result.error?.message.map { "\(code): \($0)" } ?? code)
            return found
        }
        let output = result.output.map(JSONValue.init) ?? .null
        found.status = output["status"]?.stringValue.flatMap(CheckStatus.init(rawValue:)) ?? .ok
        found.message = output["message"]?.stringValue.map(HealthRecord.short)
        for (number, threshold) in rules.thresholds.enumerated() {
            let (level, text) = threshold.level(in: output, before: levels[number] ?? .ok)
            // A number that is not there is an error, but has passed no limit.
            if threshold.number(in: output) != nil { levels[number] = level == .ok ? nil : level }
            guard level > found.status else { continue }
            found.status = level
            found.message = text
        }
        return found
    }

    /// At most as many bytes as a message may have.
    static func short(_ text: String) -> String {
        guard text.utf8.count > Limits.checkMessage else { return text }
        var short = ""
        var bytes = 0
        for character in text {
            bytes += character.utf8.count
            if bytes > Limits.checkMessage { break }
            short.append(character)
        }
        return short
    }
}

extension CheckThreshold {
    /// The level of a number of an output, and why. A level that was raised ends only past its limit by `clear_by`.
    func level(in output: JSONValue, before: CheckStatus) -> (CheckStatus, String?) {
        guard let found = number(in: output), let number = found.doubleValue else {
            return (.error, "\(path) is not in the output")
        }
        let spelled = RawJSON { found.write(to: &$0) }.text
        for (level, limit) in [(CheckStatus.error, error), (.warning, warning)] {
            guard let limit, let bound = limit.doubleValue else { continue }
            let slack = before >= level ? clearBy?.doubleValue ?? 0 : 0
            let isBeyond =
                isAbove
                ? number > bound || slack > 0 && number > bound - slack
                : number < bound || slack > 0 && number < bound + slack
            if isBeyond {
                let limitText = RawJSON { limit.write(to: &$0) }.text
                if isAbove ? number > bound : number < bound {
                    return (level, "\(path) is \(spelled), \(isAbove ? "above" : "below") \(limitText)")
                }
                let slackText = RawJSON { clearBy?.write(to: &$0) }.text
                let side = isAbove ? "below" : "above"
                return (level, "\(path) is \(spelled), not back \(side) \(limitText) by \(slackText)")
            }
        }
        return (.ok, nil)
    }

    /// The number that it watches.
    func number(in output: JSONValue) -> JSONValue? {
        let found = path.hasPrefix("/") ? output.at(pointer: path) : output[path]
        return found?.doubleValue == nil ? nil : found
    }
}

// The journal.

extension HealthRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("status", shown.status)
        writer.field("since", shown.since?.milliseconds)
        writer.field("bad", shown.consecutiveFailures)
        writer.field("good", goodInRow)
        writer.field("levels") {
            for number in levels.keys.sorted() {
                $0.field(named: String(number)) { $0.value((levels[number] ?? .ok).rawValue) }
            }
        }
    }

    mutating func read(_ value: JSONValue) {
        shown.status = value["status"]?.stringValue.flatMap(CheckStatus.init(rawValue:))
        shown.since = value["since"]?.intValue.map { WallTime(milliseconds: $0) }
        shown.consecutiveFailures = value["bad"]?.intValue ?? 0
        goodInRow = value["good"]?.intValue ?? 0
        levels.removeAll()
        if case .object(let fields) = value["levels"] {
            for field in fields {
                guard let number = Int(field.key) else { continue }
                levels[number] = field.value.stringValue.flatMap(CheckStatus.init(rawValue:))
            }
        }
    }
}
