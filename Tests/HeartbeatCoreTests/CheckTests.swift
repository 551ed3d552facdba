import Contract
import HeartbeatCore
import Machine
import Testing
import TimeModel
import Timing
import Wire

@Suite("Health checks") struct CheckTests {
    @Test("T2-30: new checks without a rule run at once and then every 30 s")
    func defaults() {
        let rig = Rig()
        for id in ["a", "b", "c"] { #expect(rig.put(id)?.ok == true) }
        #expect(rig.intents.map(\.topic).map { $0.split(separator: "/").last?.first } == ["a", "b", "c"])
        for id in ["a", "b", "c"] { rig.finish(id, "{}") }
        let start = rig.wall
        rig.pass(30_000)
        for id in ["a", "b", "c"] { #expect(rig.runs(id) == [start, start + 30_000]) }
    }

    @Test("T2-31 T2-32: after 1.5 s only the fast one runs again")
    func periods() {
        let rig = Rig()
        rig.put("fast", #","type":"interval","spec":{"every_ms":1000}"#)
        rig.put("slow", #","type":"interval","spec":{"every_ms":10000000}"#)
        rig.finish("fast", "{}")
        rig.finish("slow", "{}")
        rig.pass(1500)
        #expect(rig.runs("fast").count == 2)
        #expect(rig.runs("slow").count == 1)
    }

    @Test("The intent of a run: kind check, id of the slot, no longer wanted than until the next slot")
    func intent() throws {
        let rig = Rig()
        rig.put("disk", #","type":"interval","spec":{"every_ms":5000}"#)
        let sent = try #require(rig.intents.first)
        #expect(sent.topic == "main/martlet1/intent/heartbeat/check.disk/disk~20261120T080000Z")
        #expect(sent.intent.executor == "desk")
        #expect(sent.intent.origin?.kind == "check")
        #expect(sent.intent.origin?.owner == "shop")
        #expect(sent.intent.origin?.expiresAt == rig.wall + 5000)
        rig.status("desk", .offline)
        rig.finish("disk", "{}")
        rig.pass(5000)
        #expect(rig.runs("disk").count == 2, "a target that is away is a finding, not a reason to skip")
    }

    @Test("T2-33 T2-34: a paused check does not run; nothing due gives no event and no log")
    func paused() {
        let rig = Rig()
        rig.put("disk")
        rig.finish("disk", "{}")
        #expect(rig.command("pause", "disk")?.ok == true)
        rig.pass(120_000)
        #expect(rig.runs("disk").count == 1)
        #expect(rig.command("resume", "disk")?.ok == true)
        let events = rig.events.count
        rig.pass(10_000)
        #expect(rig.events.count == events)
        #expect(rig.command("pause", "nobody")?.code == .notFound)
    }

    @Test("Results: the output's word, ok without one, error for every other end")
    func results() throws {
        let rig = Rig()
        rig.put("disk")
        for (output, status) in [
            (#"{"status":"warning","message":"full soon"}"#, CheckStatus.warning), (#"{"used":3}"#, .ok),
            (#"{"status":"error"}"#, .error), (#"{"status":"purple"}"#, .ok),
        ] {
            rig.finish("disk", output)
            #expect(rig.check("disk")?.health?.status == status)
            rig.pass(30_000)
        }
        rig.fail("disk", .rejected, .unknownCapability)
        rig.pass(1000)
        let health = try #require(rig.check("disk")?.health)
        #expect(health.status == .error)
        #expect(health.last?.code == .unknownCapability)
        #expect(health.last?.message == "unknown_capability: a fault")
        #expect(rig.events.filter { $0.event == .checkResult }.count == 5)
        #expect(!rig.events.contains { $0.event == .scheduleTriggered })
    }

    @Test("T2-35: a check that crashes is an error in the log, others run on")
    func crash() throws {
        let rig = Rig()
        rig.put("a")
        rig.put("b")
        rig.fail("a", .failed, .attemptsExhausted)
        rig.finish("b", "{}")
        rig.pass(30_000)
        #expect(rig.runs("a").count == 2 && rig.runs("b").count == 2)
        let data = try #require(rig.command("get", "a", #"{"history":5,"status":"error"}"#)?.data)
        let history = JSONValue(data)["history"]
        guard case .array(let runs) = history else { return #expect(Bool(false)) }
        #expect(runs.count == 1 && runs[0]["code"]?.stringValue == "attempts_exhausted")
    }

    @Test("Thresholds raise a result and clear it only past their limit")
    func thresholds() {
        let rig = Rig()
        rig.put(
            "disk",
            #","thresholds":[{"path":"/disk/used","above":{"warning":80,"error":90.5},"clear_by":5}]"#)
        for (used, status) in [
            ("80", CheckStatus.ok), ("81", .warning), ("90.6", .error), ("86", .error), ("85.5", .warning),
            ("76", .warning), ("75", .ok), ("79", .ok),
        ] {
            rig.finish("disk", #"{"disk":{"used":\#(used)}}"#)
            #expect(rig.check("disk")?.health?.status == status, "\(used)")
            rig.pass(30_000)
            let words = ["90.6": "above 90.5", "86": "not back below 90.5 by 5", "76": "not back below 80 by 5"][used]
            if let words { #expect(rig.check("disk")?.health?.last?.message == "/disk/used is \(used), \(words)") }
        }
        rig.finish("disk", "{}")
        #expect(rig.check("disk")?.health?.last?.message == "/disk/used is not in the output")
        rig.pass(30_000)
        rig.finish("disk", #"{"disk":{"used":79}}"#)
        #expect(rig.check("disk")?.health?.status == .ok, "what was not there has passed no limit")
    }

    @Test("Hysteresis: three bad results in a row, two good ones")
    func hysteresis() {
        let rig = Rig()
        rig.put("disk", #","fail_after":3,"recover_after":2"#)
        let words = ["ok", "error", "error", "ok", "error", "error", "error", "ok", "error", "ok", "ok"]
        let expected: [CheckStatus] = [.ok, .ok, .ok, .ok, .ok, .ok, .error, .error, .error, .error, .ok]
        for (word, status) in zip(words, expected) {
            rig.finish("disk", #"{"status":"\#(word)"}"#)
            rig.pass(1000)
            #expect(rig.check("disk")?.health?.status == status)
            rig.pass(29_000)
        }
    }

    @Test("T2-36 T2-37: on_error is silent at ok; the default action comes before the own one")
    func actions() throws {
        let rig = Rig {
            $0.apply(
                Array(
                    #"{"heartbeat":{"default_actions":[{"when":"always","kind":"notify","config":{"channel":"log","message":"first {check}"}}]}}"#
                        .utf8))
        }
        rig.put(
            "disk",
            """
            ,"actions":[{"condition":"on_error","action":"notify","config":{"channel":"log","message":"{status}: {message}"}},
            {"when":"on_error","kind":"execute","config":{"capability":"fix.disk","input":{"deep":true}}},
            {"when":"on_error","kind":"remember","config":{"importance":90}}]
            """)
        rig.finish("disk", "{}")
        #expect(rig.logged.count == 1)
        rig.pass(30_000)
        rig.finish("disk", #"{"status":"error","message":"full"}"#)
        let texts = rig.logged.compactMap {
            try? JSONValue(RawJSON(validating: $0))["message"]?.stringValue
        }
        #expect(texts == ["first disk", "first disk", "error: full"])
        let fix = try #require(rig.intents.last)
        #expect(fix.topic == "main/martlet1/intent/heartbeat/fix.disk/disk~20261120T080030Z.a3")
        #expect(fix.intent.timeoutMs == 60_000)
        #expect(fix.intent.origin?.kind == "action")
        #expect(fix.intent.origin?.owner == "shop")
        let memory = try #require(rig.retained["main/martlet1/notify/memory/heartbeat.check.disk"])
        let text = String(decoding: memory, as: UTF8.self)
        #expect(text.contains(#""importance":90"#) && text.contains(#""category":"heartbeat_alert""#))
    }

    @Test("T2-38: a webhook is an intent with three calls; repeat change keeps quiet while nothing changes")
    func webhook() throws {
        let rig = Rig()
        rig.put(
            "disk",
            #","actions":[{"when":"on_error","kind":"webhook","config":{"url":"http://x.invalid"},"repeat":"change"}]"#)
        rig.finish("disk", #"{"status":"error"}"#)
        let hooks = { rig.intents.filter { $0.topic.contains("/notify.webhook/") } }
        #expect(hooks().count == 1)
        #expect(hooks().first?.intent.retry?.count == 2)
        #expect(hooks().first?.intent.timeoutMs == 30_000)
        rig.pass(30_000)
        rig.finish("disk", #"{"status":"error"}"#)
        #expect(hooks().count == 1)
    }

    @Test("T2-39: a log that cannot be written is an alert; checks go on, and what is missing is written later")
    func log() {
        let rig = Rig()
        rig.put("disk")
        rig.finish("disk", "{}")
        rig.give(.journalWritable(false))
        #expect(rig.alert("heartbeat.log") != nil)
        #expect(rig.put("other")?.code == .busy)
        let records = rig.journal.count
        rig.pass(30_000)
        rig.finish("disk", #"{"status":"error"}"#)
        #expect(rig.runs("disk").count == 2)
        #expect(rig.journal.count == records)
        rig.give(.journalWritable(true))
        #expect(rig.alert("heartbeat.log") == nil)
        rig.restart()
        #expect(rig.check("disk")?.health?.status == .error)
        #expect(rig.check("disk")?.state.runCount == 2)
    }

    @Test("T2-40: a restart keeps the rhythm, the status and the log")
    func restart() throws {
        let rig = Rig()
        rig.put("disk", #","type":"interval","spec":{"every_ms":300000}"#)
        rig.finish("disk", #"{"status":"warning"}"#)
        let start = rig.wall
        rig.restart(after: 60_000)
        #expect(rig.check("disk")?.state.next.first == start + 300_000)
        #expect(rig.alert("heartbeat.check.disk")?.severity == .warning)
        rig.pass(240_000)
        #expect(rig.runs("disk") == [start, start + 300_000])
        let data = try #require(rig.command("get", "disk")?.data)
        #expect(JSONValue(data).at(pointer: "/history/0/status")?.stringValue == "warning")
    }

    @Test("T2-41: at rest nothing runs and nothing is told; the next slot after it runs")
    func rest() {
        let rig = Rig {
            $0.apply(
                Array(
                    #"{"heartbeat":{"rest":[{"agent_id":"*","active_hours":{"start":"08:01","end":"20:00"}}]}}"#.utf8))
        }
        rig.put("disk")
        let events = rig.events.count
        rig.pass(59_000)
        #expect(rig.runs("disk").isEmpty)
        #expect(rig.events.count == events)
        rig.pass(1000)
        #expect(rig.runs("disk").count == 1)
        #expect(rig.check("disk")?.state.slots.skipped[.rest] == 2)
        rig.status("desk", .online)
        rig.pass(1000)
        #expect(rig.view("desk")?.atRest == false)
    }

    @Test("T2-44: with checks off none runs")
    func off() {
        let rig = Rig { $0.engine.isEnabled = false }
        rig.put("disk")
        rig.pass(120_000)
        #expect(rig.runs("disk").isEmpty)
    }

    @Test("T2-46: the fourth slot of a day with three")
    func perDay() {
        let rig = Rig()
        rig.put("disk", #","policy":{"limit_per_day":3}"#)
        for _ in 1...4 {
            if rig.runs("disk").count < 3 || rig.events.isEmpty { rig.finish("disk", "{}") }
            rig.pass(30_000)
        }
        #expect(rig.runs("disk").count == 3)
        #expect(rig.check("disk")?.state.slots.skipped[.limitPerDay] ?? 0 >= 1)
    }

    @Test("An alert stands while the status is not ok; pausing and deleting clear it")
    func alerts() {
        let rig = Rig()
        rig.put("disk")
        rig.finish("disk", #"{"status":"error","message":"full"}"#)
        #expect(rig.alert("heartbeat.check.disk")?.text == "full")
        #expect(rig.alert("heartbeat.check.disk")?.severity == .critical)
        rig.command("pause", "disk")
        #expect(rig.alert("heartbeat.check.disk") == nil)
        rig.command("resume", "disk")
        #expect(rig.alert("heartbeat.check.disk") != nil)
        #expect(rig.command("delete", "disk")?.ok == true)
        #expect(rig.alert("heartbeat.check.disk") == nil)
        #expect(rig.check("disk") == nil)
    }

    @Test("A check that speaks for its target makes it degraded")
    func degraded() {
        let rig = Rig()
        rig.card("desk")
        rig.status("desk", .online)
        rig.put("disk", #","liveness":true"#)
        rig.finish("disk", #"{"status":"error"}"#)
        rig.pass(1000)
        #expect(rig.verdict("desk") == .degraded)
        #expect(rig.view("desk")?.reason == .check)
        rig.pass(29_000)
        rig.finish("disk", "{}")
        rig.pass(1000)
        #expect(rig.verdict("desk") == .ready)
    }

    @Test("S0-05: a target that nobody reaches is a finding at every slot")
    func unreachable() {
        let rig = Rig()
        rig.put("disk")
        for slots in 2...5 {
            rig.pass(30_000)
            #expect(rig.runs("disk").count == slots - 1, "its end is not known yet")
            rig.fail("disk", .rejected, .expired)
            #expect(rig.runs("disk").count == slots)
        }
        rig.pass(1000)
        #expect(rig.check("disk")?.state.slots.skipped.isEmpty == true)
        #expect(rig.check("disk")?.health?.consecutiveFailures == 4)
        rig.pass(60_000)
        #expect(rig.check("disk")?.state.slots.skipped[.overlap] ?? 0 >= 1, "an end that never comes")
    }

    @Test("A check that ran its last time keeps its alert until it is deleted")
    func lastRun() {
        let rig = Rig()
        rig.put("disk", #","type":"one-shot","spec":{"run_at":"2026-11-20T08:00:10.000Z"}"#)
        rig.pass(10_000)
        rig.finish("disk", #"{"status":"error","message":"full"}"#)
        #expect(rig.check("disk")?.state.status == .disabled)
        #expect(rig.alert("heartbeat.check.disk")?.text == "full")
        rig.restart()
        #expect(rig.alert("heartbeat.check.disk") != nil)
        rig.command("delete", "disk")
        #expect(rig.alert("heartbeat.check.disk") == nil)
    }

    @Test("By hand: check/run sends a run now")
    func byHand() {
        let rig = Rig()
        rig.put("disk", #","type":"one-shot","spec":{"run_at":"2027-01-01T00:00:00Z"}"#)
        let reply = rig.command("run", "disk", #"{"request_id":"now"}"#)
        #expect(reply?.data.map { JSONValue($0)["task"]?.stringValue } == "disk~m.now")
        #expect(rig.intents.last?.intent.listeners == ["shop"])
        rig.finish("disk", #"{"status":"warning"}"#)
        #expect(rig.check("disk")?.health?.status == .warning)
        #expect(rig.command("trigger", "disk")?.code == .invalidField)
    }

    @Test(
        "Wrong documents are refused with their code",
        arguments: [
            (#","actions":[{"when":"always","kind":"sing"}]"#, Code.invalidField),
            (#","actions":[{"when":"always","kind":"execute"}]"#, .invalidField),
            (#","thresholds":[{"path":"a"}]"#, .invalidField),
            (#","thresholds":[{"path":"a","above":{"error":"b"}}]"#, .invalidField),
            (#","fail_after":0"#, .invalidField),
            (#","type":"interval","spec":{}"#, .invalidSpec),
            (#","schema_version":2"#, .unsupportedSchema),
        ])
    func refused(fields: String, code: Code) {
        let rig = Rig()
        #expect(rig.put("disk", fields)?.code == code)
        #expect(rig.check("disk") == nil)
    }

    @Test("A limit on checks per workspace")
    func limit() {
        let rig = Rig { $0.engine.schedulesPerWorkspace = 2 }
        #expect(rig.put("a")?.ok == true)
        #expect(rig.put("b")?.ok == true)
        #expect(rig.put("c")?.code == .limitReached)
        #expect(rig.put("a", #","fail_after":2"#)?.ok == true)
    }

    @Test("The view comes out of its own bytes again")
    func viewBytes() throws {
        let rig = Rig()
        rig.put(
            "disk",
            #","thresholds":[{"path":"used","below":{"error":1}}],"actions":[{"when":"on_ok","kind":"remember"}]"#)
        rig.finish("disk", #"{"used":0.5}"#)
        rig.pass(1000)
        let bytes = try #require(rig.retained["main/martlet1/check/disk"])
        #expect(try ScheduleView(decoding: bytes).encoded == bytes)
    }
}
