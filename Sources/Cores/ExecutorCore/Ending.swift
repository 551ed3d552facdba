import Contract
import Machine
import Wire

/// What came of one attempt, before it is written as a report.
struct Ending: Hashable, Sendable {
    var status: Report.Outcome
    var output: RawJSON?
    var error: ErrorBody?
    var usage: Usage?
    var cost: Int?

    static func success(_ output: RawJSON?) -> Ending { Ending(status: .success, output: output) }
    static func failed(_ error: ErrorBody) -> Ending { Ending(status: .failed, error: error) }

    /// As the report of an attempt. An output that fits no message becomes `result_too_large`.
    func report(epoch: Int, principal: String) -> Report {
        var report = Report(.outcome, epoch: epoch)
        report.principal = principal
        report.status = status
        report.error = error
        report.usage = usage
        report.cost = cost
        let limit = Limits.payload - Limits.envelope - (error?.encoded.count ?? 0)
        if let output, output.bytes.count > limit {
            if status == .success { report.status = .failed }
            let text = "the output has \(output.bytes.count) bytes; at most \(limit) can be sent"
            report.error = error ?? ErrorBody(.resultTooLarge, text, errorClass: .permanent)
        } else {
            report.output = output
        }
        return report
    }
}

extension Code {
    /// A program ended with a status other than 0, or by a signal; an executor's own code.
    static let programFailed = Code(rawValue: "program_failed")
}

/// Reads how a program ended (`deploy/executors/README.md`, endings).
struct EndingReader {
    let command: Command
    let timeoutMs: Int

    func ending(of outcome: ChildOutcome) -> Ending {
        var ending = verdict(outcome)
        // No program gets by without memory: then nothing was measured.
        guard outcome.maxResidentKiB > 0 else { return ending }
        var usage = ending.usage ?? Usage()
        usage.cpuTimeMs = outcome.cpuTimeMs
        usage.memoryMB = (outcome.maxResidentKiB + 1023) / 1024
        ending.usage = usage
        return ending
    }

    private func verdict(_ outcome: ChildOutcome) -> Ending {
        switch outcome.end {
        case .exited(0): return success(outcome)
        case .exited(let status):
            return failure(outcome, "\(program) exited with status \(status)") { $0.field("exit_code", status) }
        case .signaled(let number):
            return failure(outcome, "\(program) was ended by signal \(number)") { $0.field("signal", number) }
        case .timedOut:
            let text = "\(program) took longer than \(timeoutMs) ms"
            return failed(.executionTimeout, text, outcome, errorClass: .timeout)
        case .outputLimit:
            let text = "\(program) wrote more than \(command.outputLimit) bytes of output"
            return failed(.resourceExhausted, text, outcome)
        case .memoryLimit:
            let text = "\(program) needed more memory than the limit of \(command.memoryLimitMB ?? 0) MiB"
            return failed(.resourceExhausted, text, outcome)
        case .stopped: return Ending(status: .canceled)
        case .notStarted(let reason): return notStarted(reason)
        }
    }

    private var program: String { "program \"\(command.arguments.first ?? "")\"" }

    private func notStarted(_ reason: String) -> Ending {
        let text = "\(program) could not be started: \(reason)"
        let passes = ["Resource temporarily unavailable", "Cannot allocate memory"].contains(reason)
        return passes
            ? .failed(ErrorBody(.resourceExhausted, text, errorClass: .transient, safe: true))
            : .failed(ErrorBody(.notFound, text, errorClass: .permanent, safe: true))
    }

    private func success(_ outcome: ChildOutcome) -> Ending {
        switch command.output {
        case .text: return .success(EndingReader.text(outcome.output))
        case .json, .report:
            if outcome.output.allSatisfy({ $0 <= 0x20 }) { return .success(nil) }
            do {
                var reader = try JSONReader(outcome.output)
                let value = reader.raw()
                return command.output == .json ? .success(value) : try reported(value)
            } catch {
                return failed(.resultInvalid, "\(program): standard output: \(error.message)", outcome)
            }
        }
    }

    private static func text(_ output: [UInt8]) -> RawJSON {
        var bytes = output[...]
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        let text = String(decoding: bytes, as: UTF8.self)
        return RawJSON { $0.value(text) }
    }

    private func reported(_ value: RawJSON) throws(WireError) -> Ending {
        var ending = Ending(status: .success)
        var reader = JSONReader(value)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "output" {
                ending.output = reader.raw()
            } else if reader.takeNull() {
                continue
            } else {
                switch key {
                case "error": ending.error = try EndingReader.bounded(ErrorBody(from: &reader))
                case "usage": ending.usage = try Usage(from: &reader)
                case "cost": ending.cost = try reader.cost()
                default: reader.skip()
                }
            }
        }
        if ending.error != nil { ending.status = .failed }
        return ending
    }

    /// A failed run whose standard output is an object with `error` has said itself what went wrong.
    private func failure(_ outcome: ChildOutcome, _ text: String, _ fact: (inout JSONWriter) -> Void) -> Ending {
        if var reader = try? JSONReader(outcome.output), reader.kind == .object,
            let told = try? reported(reader.raw()), told.error != nil
        {
            return told
        }
        return failed(.programFailed, text, outcome, fact: fact)
    }

    private func failed(
        _ code: Code, _ text: String, _ outcome: ChildOutcome, errorClass: ErrorClass? = nil,
        fact: (inout JSONWriter) -> Void = { _ in }
    ) -> Ending {
        var tail = EndingReader.tail(outcome.errorTail)
        var details = EndingReader.details(tail, fact)
        // Control characters grow when they are written as JSON.
        while details.bytes.count > Limits.errorDetails, !tail.isEmpty {
            tail = String(tail.suffix(tail.count / 2))
            details = EndingReader.details(tail, fact)
        }
        return .failed(ErrorBody(code, text, errorClass: errorClass, details: details))
    }

    private static func details(_ tail: String, _ fact: (inout JSONWriter) -> Void) -> RawJSON {
        RawJSON { writer in
            writer.object {
                fact(&$0)
                if !tail.isEmpty { $0.field("stderr", tail) }
            }
        }
    }

    /// The last of standard error as text, whole characters only.
    static func tail(_ bytes: [UInt8]) -> String {
        var part = bytes.suffix(Limits.errorTail)
        if part.count < bytes.count { part = part.drop { $0 & 0xC0 == 0x80 } }
        return String(decoding: part, as: UTF8.self)
    }

    /// An error in which nothing is longer than a report can carry.
    private static func bounded(_ error: ErrorBody) -> ErrorBody {
        var error = error
        if let details = error.details, details.bytes.count > Limits.errorDetails { error.details = nil }
        return error
    }
}
