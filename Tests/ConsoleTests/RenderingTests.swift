import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import Console

/// Recorded answers as people see them.
@Suite struct RenderingTests {
    private var terminal: Terminal {
        Terminal(color: "never", environment: [:], outputIsTerminal: false, messagesAreTerminal: false)
    }

    private func now() throws -> WallTime { try #require(WallTime(rfc3339: "2026-11-20T14:06:23.000Z")) }

    private func json(_ text: String) throws -> JSONValue { JSONValue(try RawJSON(validating: Array(text.utf8))) }

    @Test func explanationNamesEachExecutorAndWhatWouldHelp() throws {
        let task = try json(
            """
            {"task":"order-7f3a","principal":"alice","capability":"print.label","state":"queued"}
            """)
        let why = try json(
            """
            {"code":"no_slot","since":"2026-11-20T14:02:11.000Z","lane":"normal","position":1,
            "counts":{"lost":1,"circuit_open":1,"no_slot":1},
            "candidates":[{"executor":"label-1","mode":"push","code":"lost","heard_at":"2026-11-20T14:02:11.000Z"},
            {"executor":"label-2","mode":"push","code":"circuit_open","until":"2026-11-20T14:06:41.000Z",
            "circuit":{"of":"executor","state":"open","failures":5,"why":"execution_timeout"}},
            {"executor":"label-3","mode":"push","code":"no_slot","used":2,"slots":2,"tasks":["order-7e11","order-7e12"]}],
            "next_possible_at":"2026-11-20T14:06:41.000Z","deadline_at":"2026-11-20T14:30:00.000Z"}
            """)
        let lines = ExplainText(terminal, try now()).lines(task: task, why: why)
        #expect(
            lines == [
                "order-7f3a   print.label   queued 4 min 12 s   lane normal, next in line   from alice",
                "Not running: none of 3 executors can take it now.",
                "  label-1  lost          gone without a word, last heard 4 min 12 s ago",
                "  label-2  circuit_open  5 failures in a row, last execution_timeout; probe in 18 s",
                "  label-3  no_slot       2 of 2 used: order-7e11, order-7e12",
                "Runs when    label-1 comes back, the probe of label-2 succeeds, a slot of label-3 frees, or another",
                "             executor offers print.label; next known moment in 18 s.",
                "Ends anyway  in 23 min 37 s as timeout (expired).",
                "Try          martlet circuit reset print.label --executor label-2",
                "             martlet task cancel order-7f3a",
            ])
    }

    /// What is told of an executor beside its code.
    @Test(arguments: [
        (#""code":"no_slot","used":3,"slots":3,"tasks":["a"]"#, "3 of 3 used: a and others"),
        (
            #""code":"no_slot","used":1,"slots":2,"until":"2026-11-20T14:06:28.000Z""#,
            "said that it is busy, ends in 5 s"
        ),
        (#""code":"reserved","used":1,"slots":2,"reserved":1"#, "1 of 2 used, 1 kept for critical"),
        (#""code":"max_concurrent","used":1,"slots":1,"tasks":["b"]"#, "1 of 1 of this capability at work: b"),
        (#""code":"label_missing","missing":["agent:gpu"]"#, "lacks agent:gpu"),
        (#""code":"not_assigned","assigned_to":"e2""#, "the task is meant for e2"),
        (#""code":"too_expensive","cost":500"#, "costs more than the task may: 500"),
        (#""code":"too_slow","latency_ms":60000"#, "would not end before the deadline: about 1 min"),
        (
            #""code":"circuit_open","circuit":{"of":"capability","state":"open","forced_by":"op"}"#,
            "all of them: held open by op"
        ),
        (#""code":"circuit_open","circuit":{"of":"executor","state":"open","why":"quota"}"#, "its quota is used up"),
        (#""code":"wrong_mode""#, "does not work in the mode asked for"),
    ])
    func whatStandsBehindACode(_ fields: String, _ words: String) throws {
        let candidate = try json(#"{"executor":"e1",\#(fields)}"#)
        #expect(ExplainDetail(candidate: candidate, text: TaskText(terminal, try now())).sentence == words)
    }

    @Test func theHistoryLeavesOutWhatIsEmptyAndWhatDoesNotFit() throws {
        let items = [
            try json(
                """
                {"n":3,"at":"2026-11-20T14:06:20.000Z","record":"result","workspace":"main","principal":"me","subject":"t2",
                "capability":"print.label","executor":"label-1","status":"failed","code":"attempts_exhausted",
                "duration_ms":1200,"cost":0}
                """),
            try json(
                """
                {"n":2,"at":"2026-11-20T14:06:19.000Z","record":"event","workspace":"main","subject":"print.label",
                "capability":"print.label","code":"CIRCUIT_OPENED"}
                """),
        ]
        let table = HistoryTable(items, terminal, now: try now())
        #expect(
            table.lines(width: .max) == [
                "AT       RECORD  SUBJECT      CAPABILITY   EXECUTOR   TOOK  WHAT",
                "3 s ago  result  t2           print.label  label-1   1.2 s  failed attempts_exhausted",
                "4 s ago  event   print.label  print.label                   CIRCUIT_OPENED",
            ])
        #expect(
            table.lines(width: 80) == [
                "AT       RECORD  SUBJECT      CAPABILITY    TOOK  WHAT",
                "3 s ago  result  t2           print.label  1.2 s  failed attempts_exhausted",
                "4 s ago  event   print.label  print.label         CIRCUIT_OPENED",
            ])
        #expect(table.lines(width: 20).first == "AT       RECORD  SUBJECT      WHAT")
        #expect(HistoryTable([], terminal, now: try now()).lines(width: 80) == [])
    }

    /// The dispatcher's own metrics, as it names them, twice ten seconds apart.
    @Test func topShowsRatesFromTheMetrics() throws {
        var state = TopState(workspace: "main")
        for (ended, succeeded, at) in [(100, 90, "2026-11-20T14:06:13.000Z"), (220, 204, "2026-11-20T14:06:23.000Z")] {
            let numbers =
                #"{"ended_total":\#(ended),"succeeded_total":\#(succeeded),"oldest_queued_ms":61000,"delayed":3}"#
            state.take(
                InboundMessage(topic: "_sys/martlet1/metrics/dispatcher", payload: Array(numbers.utf8)),
                at: try #require(WallTime(rfc3339: at)))
        }
        let lines = state.head("main", at: try now(), terminal)
        #expect(lines[1] == "queued 0   delayed 3   running 0   executors 0 of 0")
        #expect(lines[2] == "12.0/s   fail 5.0 %   oldest 1 min 1 s")
    }

    private func crowdedTop() throws -> TopState {
        var state = TopState(workspace: "main")
        let record = #"{"state":"up","version":"1","term":1,"boot":"b","since":"2026-11-20T09:00:00.000Z"}"#
        var views = ["dispatcher", "heartbeat", "monitor", "scheduler"].map {
            ("_sys/martlet1/service/\($0)/\($0)", record)
        }
        views += (0..<40).map { number in
            (
                "main/martlet1/capability/print.label-\(1000 + number)",
                #"{"executors":[],"queued":2,"running":1,"circuit":"open","conflicts":[],"rev":1}"#
            )
        }
        views.append(
            (
                "main/martlet1/circuit/print.label-1000/label-2-in-the-long-hall",
                #"{"state":"open","since":"2026-11-20T14:06:00.000Z","until":"2026-11-20T14:06:41.000Z","failures":5,"opened":1,"rev":1}"#
            ))
        for (key, severity) in [("a.small", "warning"), ("heartbeat.check.disk", "critical")] {
            let text = #"{"severity":"\#(severity)","since":"2026-11-20T11:59:00.000Z","text":"used_percent is 93"}"#
            views.append(("main/martlet1/alert/\(key)", text))
        }
        for (topic, text) in views {
            state.take(InboundMessage(topic: topic, payload: Array(text.utf8)), at: try now())
        }
        return state
    }

    /// No line is wider than the screen, colours or not, and the chosen row is on it.
    @Test(arguments: [(80, 24), (140, 50), (40, 10)]) func topFitsTheScreen(_ columns: Int, _ rows: Int) throws {
        let colored = Terminal(color: "always", environment: [:], outputIsTerminal: true, messagesAreTerminal: true)
        let state = try crowdedTop()
        for chosen in [0, 20, 39] {
            let lines = state.frame("main", at: try now(), chosen: chosen, size: (columns, rows), colored)
            #expect(lines.count <= rows)
            for line in lines { #expect(Terminal.visibleWidth(line) <= columns, "\(line)") }
            #expect(lines.contains { $0.hasPrefix("> print.label-\(1000 + chosen)") })
        }
    }

    @Test func topNamesTheGravestAlertAndTheServicesInTheirOrder() throws {
        let state = try crowdedTop()
        let narrow = state.head("main", at: try now(), terminal)
        #expect(narrow[0] == "main   14:06:23 UTC   up: dispatcher scheduler heartbeat monitor")
        #expect(narrow[2] == "alerts 2: heartbeat.check.disk: used_percent is 93")
        let wide = state.head("main", at: try now(), columns: 140, terminal)
        #expect(wide.count == 2 && wide[1].hasSuffix("   alerts 2: heartbeat.check.disk: used_percent is 93"))
        let blind = TopState(workspace: "main").head("main", at: try now(), terminal)
        #expect(blind[0] == "main   14:06:23 UTC   services: not to be read by this account")
    }

    @Test func linesAreCutWithTheirColours() {
        #expect(Terminal.cut("\u{1B}[31mopen now\u{1B}[0m", 4) == "\u{1B}[31mopen\u{1B}[0m")
        #expect(Terminal.cut("a\u{1B}[31mb\u{1B}[0mc", 3) == "a\u{1B}[31mb\u{1B}[0mc")
        #expect(Terminal.visibleWidth("a\u{1B}[31mb\u{1B}[0mc") == 3)
    }

    @Test func theLastColumnIsBrokenAndOthersGoOnANarrowTerminal() {
        var table = TextTable(["A", "B", "MESSAGE"])
        table.add(["check", "every 10 s", "expired: nobody took it in time, and so it ended after 10 s"])
        #expect(
            table.fitting(42, dispensable: [1]).table.lines(width: 44) == [
                "A      MESSAGE", "check  expired: nobody took it in time, and", "       so it ended after 10 s",
            ])
        #expect(table.lines(width: 20).count == 2, "too narrow to be broken")
        #expect(table.fitting(nil, dispensable: [1]).columns == [0, 1, 2])
    }

    @Test func aCheckTellsByWhatItJudges() throws {
        let definition = try json(
            #"{"fail_after":2,"recover_after":1,"thresholds":[{"path":"used","above":{"warning":80,"error":90},"clear_by":5}],"#
                + #""actions":[{"when":"on_error","kind":"webhook","repeat":"change","config":{}}]}"#)
        #expect(
            CheckCommands.judging(definition) == [
                "  turns      bad after 2 in a row",
                "  limit      used above 80 warning, 90 error (cleared by 5)",
                "  action     on_error webhook change",
            ])
    }

    @Test(arguments: [
        ("", 1, true, "c could start now."),
        ("label_missing", 1, false, "c could not start now: the only executor cannot take it."),
        ("no_slot", 3, false, "c could not start now: none of 3 executors can take it."),
        ("paused", 3, false, "c could not start now: \(CodeBook.meaning("paused")) (paused)."),
    ])
    func whetherATaskCouldStart(_ code: String, _ candidates: Int, _ can: Bool, _ text: String) {
        #expect(FleetCommands.verdict("c", code, candidates, can: can) == text)
    }

    @Test func whoWaitsSeesHowThingsStand() {
        #expect(LiveLine.text("t1", "running", "40 %", sinceMs: 2500) == "t1 running 2 s   40 %")
        #expect(LiveLine.text("t1", "queued", "", sinceMs: 4000) == "t1 queued 4 s   why: martlet explain t1")
    }

    @Test func aFinishedTaskShowsItsAttempts() throws {
        let task = try json(
            """
            {"task":"t1","principal":"me","capability":"demo.fail","state":"failed","code":"attempts_exhausted",
            "priority":"normal","mode":"push","delivery":"at_least_once","accepted_at":"2026-11-20T14:06:20.000Z",
            "input":{"a":1},"result":{"task":"t1","status":"failed","error":{"code":"attempts_exhausted","message":"no"},
            "attempts":[{"number":1,"executor":"demo","outcome":"failed","duration_ms":4,"error":{"code":"x"}}]}}
            """)
        let lines = ExplainText(terminal, try now()).lines(task: task, why: .null)
        #expect(
            lines == [
                "t1   demo.fail   failed   (attempts_exhausted)   from me",
                "  lane       normal, push, at_least_once", "  accepted   3 s ago", "  input      {\"a\":1}",
                "  error      no (attempts_exhausted)", "  attempt 1  demo  failed  4 ms  x",
            ])
    }

    @Test func controlCharactersFromTheNetworkAreShown() {
        #expect(Terminal.escape("a\u{1B}[31mb\u{202E}c\n") == "a\\u{1B}[31mb\\u{202E}c\\u{A}")
        #expect(Terminal.escape("grün 漢") == "grün 漢")
    }

    @Test func tailLinesNameTimeEventAndSubject() throws {
        let payload = """
            {"event_id":"e","event":"CIRCUIT_HALF_OPEN","seq":1,"at":"2026-11-20T14:06:41.003Z","actor":"dispatcher",
            "workspace":"main","subject":"print.label","data":{"executor":"label-2"}}
            """
        let topic = try #require(Topic("main/martlet1/event/CIRCUIT_HALF_OPEN/print.label"))
        let happening = try #require(Happening(topic, Array(payload.utf8)))
        let line = happening.line(at: try now(), terminal)
        #expect(line == "14:06:41.003 CIRCUIT_HALF_OPEN  print.label   executor=label-2")
        #expect(happening.fits("capability", "print.label"))
        #expect(happening.fits("executor", "label-2"))
        #expect(!happening.fits("event", "CIRCUIT_OPENED"))
    }

    @Test func aResultIsOneLine() throws {
        let payload = """
            {"task":"order-7f3a","status":"success","executor":"label-2","duration_ms":170,"cost":12,
            "attempts":[{"number":1,"executor":"label-2","epoch":7,"mode":"push","started_at":"2026-11-20T14:06:41.000Z"}],
            "finished_at":"2026-11-20T14:06:41.188Z"}
            """
        let topic = try #require(Topic("main/martlet1/result/me/print.label/order-7f3a"))
        let happening = try #require(Happening(topic, Array(payload.utf8)))
        #expect(
            happening.line(at: try now(), terminal)
                == "14:06:41.188 result             order-7f3a   success   label-2, attempt 1, 170 ms, cost 12")
    }

    @Test func columnsAreAsWideAsTheirWidestCell() {
        var table = TextTable(["A", "N"], rightAligned: [1])
        table.add(["long", "1"])
        table.add(["x", "100"])
        #expect(table.lines() == ["A       N", "long    1", "x     100"])
    }

    @Test func timesAreRelativeOrHaveAZone() throws {
        let now = try now()
        #expect(terminal.time(now + 240_000, now: now) == "in 4 min")
        #expect(terminal.time(now - 5000, now: now) == "5 s ago")
        var other = terminal
        other.timeStyle = .utc
        #expect(other.time(now, now: now) == "2026-11-20 14:06:23 UTC")
    }

    @Test(
        arguments: [
            (nil, [:], true, true), (nil, [:], false, false), (nil, ["TERM": "dumb"], true, false),
            (nil, ["NO_COLOR": "1"], true, false), (nil, ["CLICOLOR_FORCE": "1"], false, true),
            ("always", ["NO_COLOR": "1"], false, true), ("never", ["CLICOLOR_FORCE": "1"], true, false),
            ("auto", ["NO_COLOR": "1", "CLICOLOR_FORCE": "1"], true, false),
        ] as [(String?, [String: String], Bool, Bool)])
    func colourFollowsItsRules(_ flag: String?, _ environment: [String: String], _ isTerminal: Bool, _ wanted: Bool) {
        let terminal = Terminal(
            color: flag, environment: environment, outputIsTerminal: isTerminal, messagesAreTerminal: isTerminal)
        #expect(terminal.colorsOutput == wanted)
    }

    @Test func aFailureIsASentenceWithItsCodeAndWhatToTry() {
        let failure = Failure(
            .refused, "cannot run \"print.lable\": no executor ever offered it", code: .unknownCapability,
            meant: "print.label", tries: ["martlet capability list"])
        #expect(
            failure.text
                == "cannot run \"print.lable\": no executor ever offered it (unknown_capability). "
                + "Did you mean \"print.label\"? Try: martlet capability list")
    }

    @Test func exitStatusesFollowTheTable() {
        let expected: [(Status, Code?, Int32)] = [
            (.success, nil, 0), (.failed, .poison, 1), (.timeout, .expired, 2), (.canceled, nil, 3),
            (.rejected, .busy, 4), (.rejected, .permissionDenied, 77), (.rejected, .notFound, 66),
        ]
        for (status, code, number) in expected { #expect(ExitStatus(status, code: code).rawValue == number) }
    }

    @Test func everyCodeIsExplained() {
        for entry in CodeBook.errors + CodeBook.reasons {
            #expect(!entry.meaning.isEmpty && !entry.remedy.isEmpty, "\(entry.code)")
        }
        #expect(CodeBook.errorTexts.count == Code.all.count)
        #expect(Set(CodeBook.reasons.map(\.code)).count == CodeBook.reasons.count)
    }
}
