import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import Console

/// What `martlet health` thinks of what it read.
@Suite struct HealthTests {
    private static let now = WallTime(rfc3339: "2026-11-20T12:00:00.000Z") ?? WallTime(milliseconds: 0)

    private func report(_ views: [(topic: String, text: String)]) -> HealthReport {
        var report = HealthReport()
        report.now = HealthTests.now
        for view in views { report.take(InboundMessage(topic: view.topic, payload: Array(view.text.utf8))) }
        return report
    }

    private func service(_ name: String, _ state: String = "up") -> (String, String) {
        (
            "_sys/martlet1/service/\(name)/\(name)",
            #"{"state":"\#(state)","version":"1","term":1,"boot":"b","since":"2026-11-20T09:00:00.000Z"}"#
        )
    }

    private func line(_ report: HealthReport, _ part: HealthPart, _ name: String? = nil) -> HealthLine? {
        report.lines([part], name: name).first
    }

    @Test func theThreeFormatsOfTheDispatcher() throws {
        var report = report([
            service("dispatcher"),
            ("_sys/martlet1/metrics/dispatcher", #"{"queued":12,"oldest_queued_ms":400,"journal_writable":1}"#),
        ])
        let terminal = Terminal(
            color: "never", environment: [:], outputIsTerminal: false, messagesAreTerminal: false)
        let lines = report.lines([.dispatcher])
        #expect(
            HealthFormat.text.lines(lines, terminal)
                == ["OK  dispatcher up 3 h, 12 waiting, oldest 400 ms"])
        #expect(
            HealthFormat.nagios.lines(lines, terminal)
                == ["MARTLET OK - dispatcher up 3 h, 12 waiting, oldest 400 ms | waiting=12 oldest=0.4s;60;300"])
        #expect(HealthFormat.prometheus.lines(lines, terminal).contains("martlet_health{service=\"dispatcher\"} 0"))
        #expect(
            HealthFormat.json.lines(lines, terminal) == [
                #"{"level":"ok","part":"dispatcher","text":"up 3 h, 12 waiting, oldest 400 ms","#
                    + #""figures":{"waiting":12,"oldest_ms":400}}"#
            ])
        report.silent["dispatcher"] = "is up but does not answer within 2 s"
        #expect(line(report, .dispatcher)?.level == .critical)
    }

    /// Names for monitoring systems: no part twice in a name, one unit for each family.
    @Test func figuresHaveNamesOfTheirOwn() {
        let report = report([
            service("dispatcher"),
            (
                "_sys/martlet1/metrics/dispatcher",
                #"{"queued":0,"journal_writable":1,"journal_bytes":2097152,"journal_sync_ms":12,"#
                    + #""journal_disk_bytes":1000,"journal_disk_free_bytes":550}"#
            ),
        ])
        let terminal = Terminal(color: "never", environment: [:], outputIsTerminal: false, messagesAreTerminal: false)
        let lines = report.lines([.journal, .executors, .circuits])
        #expect(
            HealthFormat.nagios.lines(lines, terminal) == [
                "MARTLET OK - all well | journal_bytes=2097152B journal_disk_used=45%;90; "
                    + "journal_slowest_sync=0.012s;1; executors=0 executors_ready=0 circuits_open=0"
            ])
        let prometheus = HealthFormat.prometheus.lines(lines, terminal)
        #expect(prometheus.contains("martlet_health_disk_used_ratio{part=\"journal\"} 0.45"))
        #expect(prometheus.contains("martlet_health_slowest_sync_seconds{part=\"journal\"} 0.012"))
        #expect(prometheus.contains("# TYPE martlet_health_executors_ready gauge"))
        #expect(!prometheus.contains { $0.contains("figure=") })
    }

    @Test(arguments: [
        (1, 12, 550, HealthLevel.ok, "2 MiB, disk 45 % used, slowest sync 12 ms"),
        (1, 12, 95, .warning, "2 MiB, disk 91 % used, the disk of dispatcher is nearly full, slowest sync 12 ms"),
        (1, 1200, 550, .warning, "2 MiB, disk 45 % used, slowest sync 1.2 s, the disk of dispatcher is slow"),
        (0, 12, 550, .critical, "cannot be written: dispatcher; 2 MiB, disk 45 % used, slowest sync 12 ms"),
    ])
    func theJournal(_ writable: Int, _ sync: Int, _ free: Int, _ level: HealthLevel, _ text: String) {
        let numbers =
            #"{"journal_writable":\#(writable),"journal_bytes":2097152,"journal_sync_ms":\#(sync),"#
            + #""journal_disk_bytes":1000,"journal_disk_free_bytes":\#(free)}"#
        let found = line(report([service("dispatcher"), ("_sys/martlet1/metrics/dispatcher", numbers)]), .journal)
        #expect(found?.level == level)
        #expect(found?.text == text)
        #expect(line(report([service("dispatcher")]), .journal) == nil, "who tells no numbers has none")
    }

    @Test func servicesThatAreGoneAreCritical() {
        let report = report([service("dispatcher", "down"), service("scheduler")])
        #expect(line(report, .dispatcher)?.level == .critical)
        #expect(line(report, .scheduler)?.level == .ok)
        #expect(report.lines(HealthPart.whole).contains { $0.part == "heartbeat" } == false, "one that never was")
        #expect(line(report, .heartbeat)?.level == .critical, "unless it is asked for")
        let full = self.report([
            service("dispatcher"), ("_sys/martlet1/metrics/dispatcher", #"{"queued":0,"journal_writable":0}"#),
        ])
        #expect(line(full, .dispatcher)?.level == .critical)
    }

    @Test func aMonitorThatCannotWriteIsCritical() {
        let numbers = #"{"history_records":1200,"lost_total":0,"gaps_total":1,"questions_total":4}"#
        let views = [service("monitor"), ("_sys/martlet1/metrics/monitor", numbers)]
        #expect(line(report(views), .monitor)?.text == "up 3 h, 1200 records, 0 lost, gaps stated: 1")
        #expect(line(report(views), .monitor)?.level == .ok)
        let alert = #"{"severity":"critical","since":"2026-11-20T11:59:00.000Z","text":"records cannot be written"}"#
        let full = report(views + [("main/martlet1/alert/monitor.disk", alert)])
        #expect(line(full, .monitor)?.level == .critical)
    }

    @Test func whoMayReadNothingKnowsNothing() {
        let report = report([])
        #expect(line(report, .dispatcher)?.level == .unknown)
        #expect(line(report, .executor, "e1")?.level == .unknown)
        #expect(HealthLevel.worst(report.lines(HealthPart.whole).map(\.level)) == .unknown)
    }

    @Test(arguments: [(59_000, HealthLevel.ok), (61_000, .warning), (301_000, .critical)])
    func tasksThatWaitTooLong(_ oldest: Int, _ level: HealthLevel) {
        let report = report([
            service("dispatcher"), ("_sys/martlet1/metrics/dispatcher", #"{"queued":1,"oldest_queued_ms":\#(oldest)}"#),
        ])
        #expect(line(report, .queue)?.level == level)
    }

    @Test func S3_16_verdictsOnExecutors() {
        func verdict(_ name: String, _ word: String) -> (String, String) {
            (
                "main/martlet1/liveness/\(name)",
                #"{"rev":1,"verdict":"\#(word)","since":"2026-11-20T11:59:00.000Z","at_rest":false}"#
            )
        }
        let fleet = [
            service("heartbeat"), verdict("a", "ready"), verdict("b", "stale"), verdict("c", "offline"),
            verdict("d", "busy"),
        ]
        let report = report(fleet)
        let all = line(report, .executors)
        #expect(all?.level == .warning)
        #expect(all?.text == "2 of 4 at work or ready, b stale")
        #expect(line(report, .executor, "a")?.text == "ready for 1 min")
        #expect(line(report, .executor, "b")?.level == .warning)
        #expect(line(report, .executor, "c")?.level == .critical)
        #expect(line(report, .executor, "x")?.level == .unknown)
        let offline = #"{"executor":"c","modes":["push"],"state":"lost","cost":0,"free_slots":0,"code":"lost"}"#
        let stuck = self.report(
            fleet + [
                (
                    "main/martlet1/capability/print",
                    #"{"executors":[\#(offline)],"queued":2,"running":0,"circuit":"closed","conflicts":[],"rev":1}"#
                )
            ])
        #expect(line(stuck, .executors)?.level == .critical)
        #expect(line(stuck, .capability, "print")?.level == .critical)
    }

    @Test func circuitsAndAlerts() {
        let open = #"{"state":"open","since":"2026-11-20T11:59:00.000Z","failures":5,"opened":1,"rev":1}"#
        let alert = #"{"severity":"critical","since":"2026-11-20T11:59:00.000Z","text":"used_percent is 93"}"#
        let pair = report([service("dispatcher"), ("main/martlet1/circuit/print/a", open)])
        #expect(line(pair, .circuits)?.level == .warning)
        let whole = report([service("dispatcher"), ("main/martlet1/circuit/print", open)])
        #expect(line(whole, .circuits)?.level == .critical)
        let alerts = report([service("dispatcher"), ("main/martlet1/alert/heartbeat.check.disk", alert)])
        #expect(line(alerts, .alerts)?.text == "heartbeat.check.disk: used_percent is 93")
        #expect(line(alerts, .alerts)?.level == .critical)
        #expect(line(pair, .alerts)?.level == .ok)
    }

    @Test func schedulesThatMissed() throws {
        var view = ScheduleView()
        view.owner = "shop"
        view.term = 1
        view.definition = .emptyObject
        view.state.status = .active
        view.state.lastMissedAt = HealthTests.now - 3_599_000
        let topic = "main/martlet1/schedule/s"
        func judged(_ view: ScheduleView) -> HealthLevel? {
            line(report([service("scheduler"), (topic, String(decoding: view.encoded, as: UTF8.self))]), .schedules)?
                .level
        }
        #expect(judged(view) == .warning)
        view.state.lastMissedAt = HealthTests.now - 3_601_000
        #expect(judged(view) == .ok)
        view.state.status = .disabled
        view.state.reason = DisableReason.failures.rawValue
        #expect(judged(view) == .critical)
    }

    @Test func ofCellsTheOneThatServesTheWorkspaceCounts() {
        var report = HealthReport(workspace: "shop")
        report.now = HealthTests.now
        func cell(_ instance: String, _ state: String, _ workspace: String) -> (String, String) {
            (
                "_sys/martlet1/service/dispatcher/\(instance)",
                #"{"state":"\#(state)","version":"1","term":1,"boot":"b","since":"2026-11-20T09:00:00.000Z","#
                    + #""workspaces":["\#(workspace)"]}"#
            )
        }
        for view in [
            cell("d-1", "down", "lab"), cell("d-2", "up", "shop"),
            ("_sys/martlet1/metrics/dispatcher/d-1", #"{"queued":7}"#),
            ("_sys/martlet1/metrics/dispatcher/d-2", #"{"queued":12}"#),
        ] {
            report.take(InboundMessage(topic: view.0, payload: Array(view.1.utf8)))
        }
        #expect(line(report, .dispatcher)?.level == .ok)
        #expect(line(report, .dispatcher)?.text.contains("12 waiting") == true)
        let gone = cell("d-2", "down", "shop")
        report.take(InboundMessage(topic: gone.0, payload: Array(gone.1.utf8)))
        #expect(line(report, .dispatcher)?.level == .critical)
    }
}
