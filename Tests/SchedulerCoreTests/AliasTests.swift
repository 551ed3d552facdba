import Contract
import Testing
import TimeModel
import Wire

/// Two older vocabularies are understood as they stand; what comes out is canonical (`topics/schedules.md`, aliases).
@Suite struct AliasTests {
    private func definition(_ body: String) throws -> JSONValue {
        let bench = Bench("2026-11-20T08:00:00.000Z")
        let reply = bench.command("put", "s", body)
        #expect(reply?.ok == true, "\(reply?.message ?? "")")
        return JSONValue(try #require(bench.view("s")).definition)
    }

    /// The parts of one canonical definition as text.
    private func text(_ definition: JSONValue, _ key: String) -> String { definition[key]?.raw.text ?? "" }

    @Test func scheduledSkills() throws {
        let definition = try definition(
            #"""
            {"id":"s","name":"x","skillId":"report.daily","actionId":"send",
             "schedule":{"type":"cron","expression":"0 9 * * 1-5","timezone":"Europe/Berlin"},
             "target":{"tenantId":"main","assistantId":"desk"},
             "conditions":{"activeHours":{"start":"08:00","end":"18:00","timezone":"Europe/Berlin"},
              "daysOfWeek":["mon","fri"],"environment":["production"],"sessionActive":true,"customCondition":"hour < 12"},
             "timeoutMs":5000,"retryCount":1,"retryDelayMs":250,
             "onSuccess":{"type":"log"},"onFailure":{"type":"webhook","config":{"url":"http://localhost/x"}},
             "onSkip":{"type":"memory"},"enabled":true,"lastRunAt":1,"nextRunAt":2,"runCount":3,"createdAt":4,"updatedAt":5}
            """#)
        #expect(text(definition, "type") == #""cron""#)
        #expect(text(definition, "spec") == #"{"expr":"0 9 * * 1-5","timezone":"Europe/Berlin"}"#)
        #expect(text(definition, "target") == #"{"workspace_id":"main","agent_id":"desk"}"#)
        let work = text(definition, "work")
        for part in [
            #""capability":"report.daily""#, #""action":"send""#, #""timeout_ms":5000"#,
            #""retry":{"count":1,"delay_ms":250}"#,
        ] {
            #expect(work.contains(part), "\(part) in \(work)")
        }
        let conditions = text(definition, "conditions")
        for part in [
            #""active_hours":{"start":"08:00","end":"18:00","timezone":"Europe/Berlin"}"#,
            #""days_of_week":["mon","fri"]"#, #""environment":["production"]"#, #""session_active":true"#,
            #""custom":"hour < 12""#,
        ] {
            #expect(conditions.contains(part), "\(part) in \(conditions)")
        }
        #expect(
            text(definition, "notifications")
                == #"{"on_success":[{"channel":"log"}],"on_failure":[{"channel":"webhook","config":{"url":"http://localhost/x"}}],"on_skip":[{"channel":"memory"}]}"#
        )
    }

    @Test(arguments: [
        (
            #""schedule":{"type":"interval","intervalMs":60000,"startAt":1795251600000}"#,
            #"{"every_ms":60000,"start_at":"2026-11-21T09:00:00.000Z"}"#
        ),
        (#""schedule":{"type":"once","timestamp":1795251600000}"#, #"{"run_at":"2026-11-21T09:00:00.000Z"}"#),
        (#""type":"one_shot","spec":{"at":"2026-11-21T10:00:00+01:00"}"#, #"{"run_at":"2026-11-21T09:00:00.000Z"}"#),
        (
            #""type":"one-shot","spec":{"runAt":"2026-11-21T10:00:00","tz":"Europe/Berlin"}"#,
            #"{"run_at":"2026-11-21T09:00:00.000Z","timezone":"Europe/Berlin"}"#
        ),
        (#""type":"cron","spec":{"cron":"@daily"}"#, #"{"expr":"@daily"}"#),
        (#""type":"interval","spec":{"interval_ms":1000}"#, #"{"every_ms":1000}"#),
    ])
    func rules(given: String, spec: String) throws {
        let definition = try definition(#"{\#(given),"target":{"workspace_id":"main","agent_id":"desk"}}"#)
        #expect(text(definition, "spec") == spec)
    }

    @Test func typeSpecTargetPolicy() throws {
        let definition = try definition(
            #"{"type":"interval","spec":{"every_ms":1000},"target":{"workspace_id":"main","agent_id":"desk"},"policy":{"misfire":"defer_once","max_concurrent_runs":2}}"#
        )
        #expect(text(definition, "policy").contains(#""misfire":"defer_once""#))
        #expect(text(definition, "policy").contains(#""max_concurrent_runs":2"#))
        #expect(text(definition, "work") == #"{"capability":"run"}"#)
    }

    @Test(arguments: [
        #"{"type":"interval","spec":{"every_ms":1000,"intervalMs":2000}}"#,
        #"{"type":"cron","spec":{"expr":"@daily","expression":"@hourly"}}"#,
        #"{"type":"interval","spec":{"every_ms":1000},"timeoutMs":1,"work":{"timeout_ms":2}}"#,
        #"{"type":"interval","spec":{"every_ms":1000},"retryCount":1,"work":{"retry":{"count":2}}}"#,
    ])
    func twoNamesWithTwoValues(body: String) {
        let bench = Bench()
        let whole = body.dropLast() + #","target":{"workspace_id":"main","agent_id":"desk"}}"#
        #expect(bench.command("put", "s", String(whole))?.code == .invalidField)
    }

    @Test func twoNamesWithOneValue() {
        let bench = Bench()
        let body =
            #"{"type":"interval","spec":{"every_ms":1000,"intervalMs":1000},"target":{"workspace_id":"main","agent_id":"desk"}}"#
        #expect(bench.command("put", "s", body)?.ok == true)
    }
}
