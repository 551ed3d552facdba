import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Random lives: publishers, executors, breaks and kills. After every input all invariants hold; the journal, and its
/// compacted form, give the same state; once faults stop everything ends.
@Suite struct DriveTests {
    @Test(arguments: 1...8) func t0_06_everyJournalGivesItsState(_ seed: Int) throws {
        var drive = try Drive(seed: UInt64(seed))
        for step in 0..<220 {
            try drive.step()
            if step % 20 == 19 { try drive.compareReplay() }
        }
        try drive.heal()
        try drive.compareReplay()
    }
}

/// One random life.
private struct Drive {
    var bench: Harness
    var generator: SeededGenerator
    var held: [String: [Assignment]] = [:]
    var ended: [String: [Assignment]] = [:]
    var sent: [String: String] = [:]
    var boots: [String: Int] = [:]
    var seqs: [String: Int] = [:]
    var isUp = true
    let names = ["e1", "e2", "e3", "p1"]

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        bench = try Harness(
            """
            {"task_events":true,"services":["svc"],"key_limits":[{"key":"wide*","limit":2}],
            "policy":{"main":[{"id":"a","priority":1,"effect":"require_approval","principals":["carol"],
            "verbs":["execute"]},{"id":"b","priority":0,"effect":"allow"}]}}
            """)
        for name in names { online(name) }
    }

    mutating func online(_ name: String) {
        let boot = "b\(boots[name, default: 1])"
        boots[name] = boots[name, default: 1]
        let rest = name == "p1" ? #""modes":["pull"],"slots":3"# : #""slots":4,"modes":["push","pull"]"#
        let delivery = #"{"name":"once","delivery":"at_most_once"}"#
        bench.online(
            name, #"{"name":"c","cost":{"fixed":5}},{"name":"d","slot_cost":2},\#(delivery)"#, boot: boot, rest: rest)
    }

    func pick<Element>(_ list: [Element], _ number: Int) -> Element? {
        list.isEmpty ? nil : list[number % list.count]
    }

    mutating func draw(_ count: Int) -> Int { generator.uniform(0...count - 1) }

    mutating func collect() {
        for name in names {
            for message in bench.work(name) {
                switch message {
                case .assign(let assignment): held[name, default: []].append(assignment)
                case .cancel(let attempt, _, _):
                    guard let at = held[name]?.firstIndex(where: { $0.epoch == attempt.epoch }) else { continue }
                    guard let own = held[name]?.remove(at: at), generator.chance(2, of: 3) else { continue }
                    bench.report(name, own, #""type":"outcome","status":"canceled""#)
                case .revoke(let attempt, _): held[name]?.removeAll { $0.epoch == attempt.epoch }
                case .beatAck(let ack):
                    for pair in ack.revoked { held[name]?.removeAll { $0.epoch == pair.epoch } }
                default: break
                }
            }
        }
    }

    mutating func step() throws {
        switch draw(22) {
        case 0...4: intent()
        case 5...9: report()
        case 10: beat()
        case 11...12: try claim()
        case 13...14: bench.advance([1, 50, 700, 2500, 12_000, 31_000][draw(6)])
        case 15: command()
        case 16: executorChange()
        case 17: plan()
        case 18: if generator.chance(1, of: 3) { connection() }
        case 19: if generator.chance(1, of: 4) { try restart() }
        case 20: late()
        default: bench.acknowledges.toggle()
        }
        collect()
    }

    mutating func intent() {
        let id = "t\(draw(60))"
        let capability = ["c", "c", "c", "d", "once"][draw(5)]
        var fields: [String] = []
        if generator.chance(1, of: 3) { fields.append(#""priority":"\#(["critical", "high", "low"][draw(3)])""#) }
        if generator.chance(1, of: 5) { fields.append(#""dedup_key":"k\#(draw(3))""#) }
        if generator.chance(1, of: 6) { fields.append(#""on_duplicate":"\#(["replace", "attach", "drop"][draw(3)])""#) }
        if generator.chance(1, of: 5) { fields.append(#""concurrency_key":"\#(["narrow", "wide1"][draw(2)])""#) }
        if generator.chance(1, of: 6) { fields.append(#""delay_ms":\#(1 + draw(5000))"#) }
        if generator.chance(1, of: 6) { fields.append(#""deadline_ms":\#(6000 + draw(60_000))"#) }
        if generator.chance(1, of: 8) { fields.append(#""updates":"all""#) }
        if generator.chance(1, of: 8) { fields.append(#""keep_ms":5000"#) }
        if generator.chance(1, of: 8) { fields.append(#""mode":"\#(["push", "pull"][draw(2)])""#) }
        if generator.chance(1, of: 8) { fields.append(#""timeout_ms":\#(500 + draw(5000))"#) }
        let principal = ["alice", "bob", "carol"][draw(3)]
        let text = "{" + fields.joined(separator: ",") + "}"
        let key = "\(principal)/\(capability)/\(id)"
        let payload = sent[key] ?? text
        sent[key] = payload
        bench.send("intent/\(key)", payload)
    }

    mutating func plan() {
        let id = "plan\(draw(6))"
        let steps = (0...draw(4)).map { index in
            let rest = generator.chance(1, of: 4) ? #","on_error":"continue""# : ""
            return #"{"name":"s\#(index)","type":"skill","capability":"c","retry":{"count":0}\#(rest)}"#
        }
        let key = "alice/plan/\(id)"
        let text = sent[key] ?? #"{"input":{"steps":[\#(steps.joined(separator: ","))]}}"#
        sent[key] = text
        bench.send("intent/\(key)", text)
    }

    mutating func report() {
        let name = names[draw(names.count)]
        guard let own = pick(held[name] ?? [], draw(97)) else { return }
        switch draw(9) {
        case 0...1: bench.accept(name, own)
        case 2: bench.report(name, own, #""type":"progress","percent":10,"checkpoint":{"at":\#(draw(9))}"#)
        case 3:
            if generator.chance(1, of: 3) { finish(name, own) { $0.refuse(name, own, "busy") } }
        case 4: finish(name, own) { $0.report(name, own, #""type":"release","safe":true"#) }
        case 5: finish(name, own) { $0.fail(name, own, code: "flaky", rest: #""safe":true"#) }
        case 6: finish(name, own) { $0.fail(name, own, code: "invalid_field") }
        default: finish(name, own) { $0.succeed(name, own) }
        }
    }

    mutating func finish(_ name: String, _ own: Assignment, _ body: (inout Harness) -> Void) {
        held[name]?.removeAll { $0.epoch == own.epoch }
        ended[name, default: []].append(own)
        body(&bench)
    }

    mutating func late() {
        let name = names[draw(names.count)]
        guard let own = pick(ended[name] ?? [], draw(97)) else { return }
        bench.succeed(name, own)
    }

    mutating func beat() {
        let name = names[draw(names.count)]
        seqs[name, default: 0] += 1
        bench.beat(name, seq: seqs[name] ?? 0, boot: "b\(boots[name] ?? 1)", leases: held[name] ?? [])
    }

    mutating func claim() throws {
        let name = ["p1", "e1", "bare"][draw(3)]
        let rest = name == "bare" ? #""capabilities":["c"],"# : #""boot":"b\#(boots[name] ?? 1)","#
        let before = bench.messages.count
        bench.send("claim/\(name)/s\(draw(3))", "{\(rest)\"wait_ms\":\(draw(2) * 8000)}")
        for message in bench.messages[before...] where message.topic.contains("/grant/\(name)/") {
            guard case .task(let assignment) = try Grant(decoding: message.payload) else { continue }
            if held[name]?.contains(where: { $0.epoch == assignment.epoch }) == true { continue }
            held[name, default: []].append(assignment)
        }
    }

    mutating func command() {
        let target = "t\(draw(60))"
        let owner = ["alice", "bob", "carol"][draw(3)]
        switch draw(6) {
        case 0: bench.send("command/ops/task/cancel/\(target)", #"{"principal":"\#(owner)","grace_ms":800}"#)
        case 1: bench.send("command/ops/task/approve/\(target)", #"{"principal":"carol"}"#)
        case 2:
            bench.send(
                "command/ops/task/assign/\(target)",
                #"{"principal":"\#(owner)","executor":"\#(names[draw(4)])","steal":true}"#)
        case 3: bench.send("command/ops/circuit/open/c", #"{"executor":"e1","for_ms":4000}"#)
        case 4: bench.send("command/ops/task/redrive/\(target)", #"{"principal":"\#(owner)"}"#)
        default:
            let verb = ["drain", "resume"][draw(2)]
            bench.send("command/ops/executor/\(verb)/e2", "{}")
        }
    }

    mutating func executorChange() {
        let name = names[draw(names.count)]
        switch draw(4) {
        case 0: bench.status(name, "lost", boot: "b\(boots[name] ?? 1)")
        case 1:
            boots[name, default: 1] += 1
            held[name] = []
            online(name)
        case 2: bench.status(name, ["offline", "paused", "draining"][draw(3)], boot: "b\(boots[name] ?? 1)")
        default: bench.status(name, "online", boot: "b\(boots[name] ?? 1)")
        }
    }

    mutating func connection() {
        isUp.toggle()
        if isUp { bench.connect() } else { bench.disconnect() }
    }

    mutating func restart() throws {
        try bench.restart(after: 100)
        isUp = true
    }

    /// The journal and its compacted form give the state.
    func compareReplay() throws {
        let core = bench.core
        let live = Drive.texts(core)
        for records in [bench.records, live.map { Array($0.utf8) }] {
            var replayed = Dispatcher(configuration: core.configuration, seed: 99)
            for record in records { try replayed.replay(record) }
            replayed.now = core.now
            let own = Drive.texts(replayed)
            let lost = live.filter { !own.contains($0) }
            let made = own.filter { !live.contains($0) }
            if !lost.isEmpty || !made.isEmpty || own != live {
                throw Difference(lost: lost.first, made: made.first)
            }
            #expect(replayed.stateHash(at: core.now) == core.stateHash(at: core.now))
        }
    }

    struct Difference: Error {
        var lost: String?
        var made: String?
    }

    static func texts(_ core: Dispatcher) -> [String] {
        var texts: [String] = []
        core.snapshot { texts.append(String(decoding: $0, as: UTF8.self)) }
        return texts
    }

    /// Faults stop: all tasks end, each with one result.
    mutating func heal() throws {
        bench.acknowledges = true
        if !isUp { connection() }
        bench.send("command/ops/circuit/reset/c", "{}")
        bench.send("command/ops/executor/resume/e2", "{}")
        for name in names { online(name) }
        for round in 0..<400 where !bench.core.tasks.isEmpty {
            collect()
            for name in names + ["bare"] {
                for own in held[name] ?? [] { finish(name, own) { $0.succeed(name, own) } }
                if name != "bare" { bench.beat(name, seq: 10_000 + round, boot: "b\(boots[name] ?? 1)") }
            }
            for (key, _) in sent where key.hasPrefix("carol/") {
                let id = key.split(separator: "/").last ?? ""
                bench.send("command/ops/task/approve/\(id)", #"{"principal":"carol"}"#)
            }
            try claim()
            bench.advance(round < 100 ? 500 : 30_000)
        }
        collect()
        let left = bench.core.tasks.values.map { "\($0.spec.key.id) \($0.state)" }.sorted()
        #expect(left.isEmpty, "still live: \(left)")
        #expect(bench.core.leases.isEmpty)
        for (key, _) in sent.sorted(by: { $0.key < $1.key }) {
            let results = Set(
                bench.all("result/\(key)").filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) })
            let accepted = results.filter { $0.contains(#""accepted_at""#) }
            #expect(accepted.count <= 1, "\(key): \(accepted.count) results")
        }
    }
}
