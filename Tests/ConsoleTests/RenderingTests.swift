import Contract
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
            "candidates":[{"executor":"label-1","mode":"push","code":"lost"},
            {"executor":"label-2","mode":"push","code":"circuit_open","until":"2026-11-20T14:06:41.000Z"},
            {"executor":"label-3","mode":"push","code":"no_slot"}],
            "next_possible_at":"2026-11-20T14:06:41.000Z","deadline_at":"2026-11-20T14:30:00.000Z"}
            """)
        let lines = ExplainText(terminal, try now()).lines(task: task, why: why)
        #expect(
            lines == [
                "order-7f3a   print.label   queued 4 min 12 s   lane normal, next in line   from alice",
                "Not running: none of 3 executors can take it now.",
                "  label-1  lost          gone without a word",
                "  label-2  circuit_open  left alone after failures, until the probe, until in 18 s",
                "  label-3  no_slot       all slots are used",
                "Runs when    label-1 comes back, the probe of label-2 succeeds, a slot of label-3 frees, or another",
                "             executor offers print.label; next known moment in 18 s.",
                "Ends anyway  in 23 min 37 s as timeout (expired).",
                "Try          martlet circuit reset print.label --executor label-2",
                "             martlet task cancel order-7f3a",
            ])
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
