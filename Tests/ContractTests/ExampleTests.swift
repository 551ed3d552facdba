import Contract
import Testing
import TimeModel
import Wire

@Suite("Examples of topics/") struct ExampleTests {
    @Test("A valid example is read and written again byte for byte", arguments: Example.valid)
    func validRoundTrip(example: Example) throws {
        guard let codec = Codecs.roundTrip(example.message) else {
            // Read by one service alone; here only its form is held to: one line of compact JSON.
            let value = JSONValue(try RawJSON(validating: example.payload))
            #expect(value.encoded == example.payload)
            return
        }
        let written = try codec(example.payload)
        #expect(String(decoding: written, as: UTF8.self) == String(decoding: example.payload, as: UTF8.self))
    }

    @Test("An invalid example is refused with its code", arguments: Example.invalid)
    func invalidRefusal(example: Example) throws {
        let code = try #require(example.code)
        #expect(Code.all.contains(Code(rawValue: code)))
        guard let codec = Codecs.roundTrip(example.message) else {
            let isJSON = (try? RawJSON(validating: example.payload)) != nil
            #expect(isJSON == (code != Code.invalidJSON.rawValue))
            return
        }
        #expect(Codecs.refusal(example.payload, by: codec) == code)
    }

    /// Examples that only zone data, the calendar, the expression's grammar or the topic can refuse.
    private static let judgedLater = [
        "bad-cron", "zone", "never", "workspace", "condition", "hours",
    ].map { "invalid-\($0).json" }

    @Test("Schedule documents are read in every spelling and written in one")
    func schedules() throws {
        for example in Example.valid where ["schedule", "command_schedule_put"].contains(example.message) {
            let reader = ScheduleReader(try RawJSON(validating: example.payload))
            #expect(reader.problems == [], "\(example.testDescription)")
            if case .local = reader.document.spec.runAt { continue }
            let written = reader.document.encoded
            let again = ScheduleReader(try RawJSON(validating: written))
            #expect(again.document.encoded == written, "\(example.testDescription)")
            if example.file.hasPrefix("valid-canonical-") { #expect(written == example.payload, "\(example.file)") }
        }
    }

    @Test("Wrong schedule documents are refused with the code of their first fault")
    func wrongSchedules() throws {
        let order = [
            Code.unsupportedSchema, .invalidSpec, .missingTarget, .invalidMisfirePolicy, .invalidCondition,
            .invalidField,
        ]
        for example in Example.invalid where example.message == "schedule" {
            guard let raw = try? RawJSON(validating: example.payload) else { continue }
            let reader = ScheduleReader(raw)
            let found = Set(reader.problems.map(\.code)).union(reader.isUnsupported ? [.unsupportedSchema] : [])
            let first = order.first { found.contains($0) }?.rawValue
            let expected = Self.judgedLater.contains(example.file) ? nil : example.code
            #expect(first == expected, "\(example.testDescription)")
        }
    }

    @Test("Check documents are read and refused as their examples say, and written in one spelling")
    func checks() throws {
        for example in Example.all where ["check", "command_check_put"].contains(example.message) {
            let reader = ScheduleReader(try RawJSON(validating: example.payload), standardEveryMs: 30_000)
            #expect(reader.problems.first?.code.rawValue == example.code, "\(example.testDescription)")
            guard example.code == nil else { continue }
            let written = reader.document.encoded
            let again = ScheduleReader(try RawJSON(validating: written), standardEveryMs: 30_000)
            #expect(again.document == reader.document, "\(example.testDescription)")
            if example.file.hasPrefix("valid-canonical-") { #expect(written == example.payload, "\(example.file)") }
        }
    }

    @Test("Other names of a schedule's fields mean the same")
    func scheduleAliases() throws {
        let sent = """
            {"skillId":"report","timeoutMs":5000,"retry_count":1,"schedule":{"type":"once","timestamp":1795251600000},
            "target":{"tenant_id":"main","assistant_id":"desk"},"conditions":{"activeHours":{"start":"09:00","end":"17:00"},
            "customCondition":"true"},"notifications":{"onFailure":{"type":"log"}},"runCount":7}
            """
        let reader = ScheduleReader(try RawJSON(validating: Array(sent.utf8)))
        #expect(reader.problems == [])
        let value = JSONValue(reader.document.raw)
        #expect(value["type"]?.stringValue == "one-shot")
        #expect(value.at(pointer: "/spec/run_at")?.stringValue == "2026-11-21T09:00:00.000Z")
        #expect(value.at(pointer: "/work/capability")?.stringValue == "report")
        #expect(value.at(pointer: "/work/timeout_ms")?.intValue == 5000)
        #expect(value.at(pointer: "/work/retry/count")?.intValue == 1)
        #expect(value.at(pointer: "/target/agent_id")?.stringValue == "desk")
        #expect(value.at(pointer: "/conditions/custom")?.stringValue == "true")
        #expect(value.at(pointer: "/conditions/active_hours/end")?.stringValue == "17:00")
        #expect(value.at(pointer: "/notifications/on_failure/0/channel")?.stringValue == "log")
        let twice =
            #"{"timeout_ms":1,"timeoutMs":2,"type":"interval","spec":{"every_ms":1000},"target":{"workspace_id":"main","agent_id":"desk"}}"#
        let refused = ScheduleReader(try RawJSON(validating: Array(twice.utf8)))
        #expect(refused.problems.map(\.code) == [.invalidField])
    }

    @Test("Unknown fields are skipped, null is absence")
    func tolerance() throws {
        let sent = Array(#"{"colour":{"deep":[1]},"priority":null,"delay_ms":5,"retry":{"count":null,"x":1}}"#.utf8)
        let intent = try Intent(decoding: sent)
        #expect(String(decoding: intent.encoded, as: UTF8.self) == #"{"delay_ms":5,"retry":{}}"#)
    }

    @Test("Words that have another spelling come out in one")
    func aliases() throws {
        #expect(try Intent(decoding: Array(#"{"mode":"ssh_cli"}"#.utf8)).mode == .push)
        #expect(try Intent(decoding: Array(#"{"mode":"http_pull"}"#.utf8)).mode == .pull)
        let report = try Report(decoding: Array(#"{"epoch":1,"type":"outcome","status":"cancelled"}"#.utf8))
        #expect(String(decoding: report.encoded, as: UTF8.self) == #"{"epoch":1,"type":"outcome","status":"canceled"}"#)
        let command = try DispatcherCommand(
            decoding: Array(#"{"agent_id":"label-2","execution_mode":"http_pull"}"#.utf8))
        #expect(String(decoding: command.encoded, as: UTF8.self) == #"{"executor":"label-2","mode":"pull"}"#)
    }

    @Test("The execution log is written as its examples show")
    func executionLog() throws {
        let plan = try RawJSON(validating: try Example("plan", "valid-steps.json").payload)
        let at = try #require(WallTime(rfc3339: "2026-11-20T09:00:00.000Z"))
        func later(_ ms: Int) -> WallTime { at + ms }
        let error = #"attempts_exhausted: step "sum" (index 1): 3 attempts failed"#
        let records: [(LogRecord, String, String)] = [
            (.planStart(request: "r-9", assistant: "desk", plan: plan, at: at), "log_plan_start", "valid-plan.json"),
            (
                .step(
                    .init(
                        request: "r-9", assistant: "desk", name: "fetch", type: "tool", status: "success",
                        output: try RawJSON(validating: Array(#"{"body":"x"}"#.utf8)), error: nil, durationMs: 120,
                        at: later(120))), "log_step", "valid-success.json"
            ),
            (
                .planEnd(
                    request: "r-9", assistant: nil, status: .failed, error: error, durationMs: 300, at: later(300)),
                "log_plan_end", "valid-failed.json"
            ),
        ]
        for (record, message, file) in records {
            #expect(record.encoded == (try Example(message, file).payload))
            #expect("log_\(record.record)" == message)
        }
    }
}
