import Contract
import Determinism
import Machine
import SchedulerCore
import Testing
import TimeModel
import Timing
import Wire

/// Under random life, kills and outages every slot ends once, and the counts add up (`topics/promises.md`, G-11, G-12).
@Suite struct AccountingTests {
    private func step(_ bench: Bench, _ random: inout SeededGenerator) {
        switch random.uniform(0...11) {
        case 0: bench.status("desk", [.online, .lost, .paused][random.uniform(0...2)])
        case 1: bench.isConnected ? bench.disconnect() : bench.connect()
        case 2: bench.restart(after: random.uniform(0...200_000))
        case 3: if bench.isConnected { bench.command("pause", "s") }
        case 4:
            let catchUp = random.chance(1, of: 2) ? #"{"catch_up":true}"# : ""
            if bench.isConnected { bench.command("resume", "s", catchUp) }
        case 5: if bench.isConnected { bench.command("trigger", "s", #"{"request_id":"r\#(random.uniform(0...50))"}"#) }
        case 6: bench.dispatcher = [.away, .accepts, .completes][random.uniform(0...2)]
        case 7: bench.jump(random.uniform(0...400_000))
        case 8, 9:
            guard bench.isConnected, let run = bench.known.sorted().last else { return }
            bench.finish(run, random.chance(1, of: 3) ? .failed : .success)
        default: bench.pass(random.uniform(0...90_000))
        }
        bench.give(.wake)
    }

    /// The clock goes back while nobody has answered for a slot, which then comes once more under the same id.
    @Test func aSlotThatIsSentAgainBeforeItIsAnsweredCountsOnce() throws {
        let bench = Bench("2026-11-20T08:59:00.000Z")
        bench.dispatcher = .away
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#, #","policy":{"max_concurrent_runs":2}"#)
        bench.until("2026-11-20T09:00:10Z")
        #expect(bench.runs == ["s~20261120T090000Z"])
        bench.set(clockBy: -4 * 3_600_000)
        bench.until("2026-11-20T09:00:05Z")
        bench.dispatcher = .completes
        bench.pass(120_000)
        #expect(bench.runs == ["s~20261120T090000Z"])
        let slots = try bench.state("s").slots
        #expect(slots.decided == 1 && slots.triggered == 1, "\(slots)")
        #expect(bench.slotsTold == ["SCHEDULE_TRIGGERED"])
    }

    @Test(arguments: 0..<8)
    func G11_G12_everySlotEndsOnce(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let bench = Bench()
        let misfire = random.chance(1, of: 2) ? "defer_once" : "skip"
        let start = bench.wall
        bench.put(
            "s", "interval", #"{"every_ms":60000}"#,
            #","policy":{"misfire":"\#(misfire)","jitter_ms":\#(random.uniform(0...30_000)),"misfire_grace_ms":20000}"#)
        for _ in 0..<150 { step(bench, &random) }
        if !bench.isConnected { bench.connect() }
        bench.dispatcher = .completes
        bench.pass(700_000)

        let state = try bench.state("s")
        #expect(state.slots.decided == (state.cursor - start) / 60_000, "slots up to the cursor")
        var ended = 0
        var triggered: Set<String> = []
        for event in bench.events {
            let data = event.data.map(JSONValue.init)
            switch event.event {
            case .scheduleTriggered:
                let task = try #require(data?["task"]?.stringValue)
                #expect(triggered.insert(task).inserted, "\(task) twice")
                if data?["trigger"]?.stringValue != "manual" { ended += 1 }
            case .scheduleSkipped, .misfiredSkipped: ended += data?["count"]?.intValue ?? 0
            default: break
            }
        }
        #expect(ended == state.slots.decided - state.slots.pending)
        #expect(state.runCount == triggered.count)
        #expect(state.runCount == state.slots.triggered + state.slots.deferred + state.manual)
    }

    @Test(arguments: 0..<8)
    func theJournalGivesTheStateAgain(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 1000)
        let bench = Bench()
        bench.put("s", "interval", #"{"every_ms":60000}"#, #","policy":{"misfire":"defer_once"}"#)
        for _ in 0..<120 { step(bench, &random) }
        if !bench.isConnected { bench.connect() }
        bench.dispatcher = .away
        bench.give(.wake)
        let before = try bench.state("s")
        var compact: [[UInt8]] = []
        bench.core.snapshot { compact.append($0) }
        bench.restart()
        let replayed = try bench.state("s")
        #expect(replayed.slots.decided == before.slots.decided && replayed.cursor == before.cursor)
        #expect(replayed.runCount == before.runCount && replayed.last == before.last)
        #expect(replayed.status == before.status && replayed.failures == before.failures)
        bench.journal = compact
        bench.restart()
        #expect(try bench.state("s").slots == replayed.slots)
    }

    @Test func retainedViewsAreTakenOverWhenAskedFor() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
        bench.until("2026-11-20T09:30:00Z")
        let topic = "main/martlet1/schedule/s"
        let view = try #require(bench.retained[topic])
        let heir = Bench("2026-11-20T09:30:00.000Z", before: [topic: view]) { $0.adopts = true }
        let state = try heir.state("s")
        #expect(state.slots.triggered == 1 && state.cursor.rfc3339 == "2026-11-20T09:00:00.000Z")
        #expect(heir.view("s")?.owner == "shop")
        heir.until("2026-11-21T09:00:00Z")
        #expect(heir.runs == ["s~20261121T090000Z"])
        // What comes once it is ready is a stranger's.
        let ghost = "main/martlet1/schedule/ghost"
        heir.give(.message(InboundMessage(topic: ghost, payload: view, retained: true)))
        #expect(heir.view("ghost") == nil)
    }

    @Test("A scheduler whose journal is lost goes above the term that was left behind", arguments: [true, false])
    func theTermRisesOverALostJournal(hasRecord: Bool) throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
        bench.restart()
        bench.restart()
        bench.until("2026-11-20T09:30:00Z")
        let last = try #require(bench.view("s")?.term)
        bench.give(.terminate)
        let left = bench.retained.filter { $0.key.hasSuffix("/schedule/s") || hasRecord }
        #expect(last == 3 && left.count > (hasRecord ? 1 : 0))
        let heir = Bench("2026-11-20T09:30:00.000Z", before: left) { $0.adopts = true }
        #expect(heir.view("s")?.term == last + 1)
        let record = try #require(heir.retained["_sys/martlet1/service/scheduler/scheduler"])
        #expect(try ServiceRecord(decoding: record).term == last + 1)
        heir.restart()
        #expect(heir.view("s")?.term == last + 2)
    }

    @Test("Taking over waits for views as long as they come") func slowTakeOver() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
        let view = try #require(bench.retained["main/martlet1/schedule/s"])
        var settings = bench.settings
        settings.adopts = true
        var core = SchedulerCore(settings: settings)
        var now = Now(wall: bench.wall, monotonic: bench.monotonic)
        var effects: [ServiceEffect] = []
        core.handle(.started, at: now, emitting: &effects)
        core.handle(.connected, at: now, emitting: &effects)
        for index in 0..<5 {
            now = Now(wall: now.wall + 6000, monotonic: now.monotonic + 6000)
            let topic = "main/martlet1/schedule/s\(index)"
            core.handle(
                .message(InboundMessage(topic: topic, payload: view, retained: true)), at: now, emitting: &effects)
        }
        for effect in effects {
            if case .publish(let message) = effect { #expect(!message.payload.isEmpty, "cleared \(message.topic)") }
        }
        var lines = 0
        core.snapshot { lines += String(decoding: $0, as: UTF8.self).contains(#""k":"def""#) ? 1 : 0 }
        #expect(lines == 5)
    }

    @Test("A take-over of views that a crash cut short goes on at the next start, asked for again or not")
    func interruptedTakeOver() throws {
        let bench = Bench()
        for name in ["a", "b"] { bench.put(name, "cron", #"{"expr":"0 9 * * *"}"#) }
        let views = bench.retained.filter { $0.key.hasPrefix("main/martlet1/schedule/") }
        #expect(views.count == 2)
        for asksAgain in [true, false] {
            let first = views.filter { $0.key.hasSuffix("/a") }
            // It dies before its own record is back.
            let heir = Bench("2026-11-20T09:30:00.000Z", before: first, returnsRecords: false) { $0.adopts = true }
            heir.settings.adopts = asksAgain
            heir.returnsRecords = true
            heir.retained.merge(views) { own, _ in own }
            heir.restart()
            if !asksAgain { #expect(heir.retained["main/martlet1/schedule/b"] != nil, "a view was lost") }
            #expect(heir.view("a") != nil && heir.view("b") != nil, "asked again: \(asksAgain)")
            // Then it is over.
            heir.restart()
            let ghost = "main/martlet1/schedule/ghost"
            heir.give(.message(InboundMessage(topic: ghost, payload: views.values.first ?? [], retained: true)))
            #expect(heir.view("ghost") == nil && heir.view("b") != nil)
        }
    }

    @Test("Starts without a journal, and crashes of them, do not hinder a later take-over") func lateTakeOver() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
        let topic = "main/martlet1/schedule/s"
        let view = try #require(bench.retained[topic])
        bench.restart(keepingJournal: false)
        bench.restart()
        bench.give(.message(InboundMessage(topic: topic, payload: view, retained: true)))
        #expect(bench.retained[topic] == view)
        bench.settings.adopts = true
        bench.restart()
        #expect(bench.view("s") != nil)
    }

    @Test("A scheduler whose journal was lost leaves the retained views to be taken over") func lostJournal() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
        let topic = "main/martlet1/schedule/s"
        let view = try #require(bench.retained[topic])
        bench.restart(keepingJournal: false)
        bench.give(.message(InboundMessage(topic: topic, payload: view, retained: true)))
        bench.pass(5000)
        #expect(bench.retained[topic] == view)
    }

    @Test func aStrangersViewIsPutRight() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
        let topic = "main/martlet1/schedule/s"
        let own = try #require(bench.retained[topic])
        for forged in [[UInt8]("{}".utf8), []] {
            bench.retained[topic] = forged
            bench.give(.message(InboundMessage(topic: topic, payload: forged, retained: true)))
            bench.pass(5000)
            #expect(bench.retained[topic] == own)
        }
        bench.restart()
        bench.give(.message(InboundMessage(topic: "main/martlet1/schedule/ghost", payload: own, retained: true)))
        #expect(bench.retained["main/martlet1/schedule/ghost"] == nil)
    }
}
