import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// A dispatcher among publishers, operators and executors that do whatever a seed says, kills and broken connections
/// among it.
struct Storm {
    /// One executor.
    struct Actor {
        var boot = 1
        var rev = 1
        var connection = 1
        var isUp = true
        var isPull: Bool
        var seq = 0
        var held: [Assignment] = []
    }

    var bench: Harness
    var generator: SeededGenerator
    var actors: [String: Actor] = [:]
    var sent: [String: String] = [:]
    var safeEnds: Set<Int> = []
    var lastEpochs: [String: Int] = [:]
    let names = ["e1", "e2", "e3", "p1", "p2"]

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        bench = try Harness(Storm.configuration(&generator))
        try bench.comparesReplay()
        for name in names {
            actors[name] = Actor(isPull: name.hasPrefix("p"))
            appear(name)
        }
    }

    /// A configuration of parts that are drawn.
    private static func configuration(_ generator: inout SeededGenerator) -> String {
        let parts = [
            #""routing":"cost_first""#, #""task_events":true"#, #""push_wait_ms":{"c0":500}"#,
            #""rates":[{"capability":"*","per_s":2,"burst":3},{"owner":"alice","per_s":20,"burst":5}]"#,
            #""budgets":[{"workspace":"main","period_ms":20000,"amount":3000},{"owner":"bob","period_ms":5000,"amount":900}]"#,
            #""key_limits":[{"key":"k1","limit":2}]"#, #""weights":{"alice":3}"#,
            #""circuits":[{"capability":"c1","failures":2},{"capability":"c0","sample":4}]"#,
            #""limits":{"id_memory":60}"#, #""limits":{"tasks":12}"#,
            #""policy":{"main":[{"id":"a","priority":1,"effect":"require_approval","principals":["carol"],"verbs":["execute"],"capabilities":["c1"]},{"id":"b","priority":0,"effect":"allow"}]}"#,
        ]
        let chosen = parts.filter { _ in generator.chance(30, of: 100) }
        return "{" + chosen.joined(separator: ",") + "}"
    }

    private mutating func pick<Element>(_ list: [Element]) -> Element { list[generator.uniform(0...list.count - 1)] }
    private mutating func chance(_ percent: Int) -> Bool { generator.chance(percent, of: 100) }

    /// Publishes the card and the status of an executor.
    mutating func appear(_ name: String) {
        guard let actor = actors[name] else { return }
        var capabilities: [String] = []
        for index in 0..<3 where actor.rev % 4 != index || index == 0 {
            let cost = [0, 100, 250][(index + name.utf8.count + actor.rev) % 3]
            let extra = index == 2 ? #","slot_cost":2"# : index == 1 ? #","max_concurrent":2"# : ""
            capabilities.append(#"{"name":"c\#(index)","cost":{"fixed":\#(cost)},"lease_ms":8000\#(extra)}"#)
        }
        var labels = name.hasSuffix("1") ? #","labels":["agent:gpu"]"# : ""
        if name == "e3" { labels += #","wake_every_ms":1500"# }
        let mode = actor.isPull ? "pull" : "push"
        bench.online(
            name, capabilities.joined(separator: ","), boot: "b\(actor.boot)", rev: actor.rev,
            rest: #""slots":3,"modes":["\#(mode)"],"beat_ms":2000\#(labels)"#)
        bench.status(name, "online", boot: "b\(actor.boot)", conn: actor.connection)
    }

    // MARK: - Steps

    /// Something happens.
    mutating func step() throws {
        switch generator.uniform(0...99) {
        case 0..<29: submit()
        case 29..<32: plan()
        case 32: bench.acknowledges.toggle()
        case 33:
            if chance(20) { try bench.compact() }
            if chance(15), bench.core.configuration.budgets.isEmpty {
                bench.setWall(bench.now.wall + generator.uniform(-5000...20_000))
            }
        case 34..<64: work(pick(names))
        case 64..<72: claim(pick(names))
        case 72..<80: beat(pick(names))
        case 80..<88: bench.advance(generator.uniform(1...3000))
        case 88..<91: trouble(pick(names))
        case 91..<97: try command()
        case 97: bench.advance(generator.uniform(5000...40_000))
        case 98: try bench.restart(after: generator.uniform(0...3000))
        default:
            bench.disconnect()
            bench.advance(generator.uniform(1...5000))
            bench.connect()
        }
        bench.input(.wake)
    }

    private mutating func submit() {
        let principal = pick(["alice", "bob", "carol"])
        let id = "t\(sent.count)"
        let capability = "c\(generator.uniform(0...2))"
        var fields = [
            #""deadline_ms":\#(generator.uniform(2000...60_000))"#, #""retry":{"count":2,"max_delay_ms":800}"#,
        ]
        if chance(25) { fields.append(#""priority":"\#(pick(["low", "high", "critical"]))""#) }
        if chance(20) { fields.append(#""concurrency_key":"k\#(generator.uniform(0...2))""#) }
        if chance(20) {
            fields.append(#""dedup_key":"d\#(generator.uniform(0...3))""#)
            fields.append(#""dedup":"\#(pick(["until_start", "until_done", "window"]))","dedup_window_ms":4000"#)
            fields.append(#""on_duplicate":"\#(pick(["attach", "attach", "replace", "reject", "drop"]))""#)
        }
        if chance(8) { fields.append(#""updates":"\#(pick(["all", "none"]))""#) }
        if chance(8) { fields.append(#""keep_ms":\#(generator.uniform(100...5000))"#) }
        if chance(15) { fields.append(#""max_cost":\#(generator.uniform(90...260))"#) }
        if chance(10) { fields.append(#""requires":["agent:gpu"]"#) }
        if chance(10) { fields.append(#""mode":"\#(pick(["push", "pull"]))""#) }
        if chance(12) { fields.append(#""delivery":"at_most_once""#) }
        if chance(10) { fields.append(#""delay_ms":\#(generator.uniform(1...1500))"#) }
        if chance(30) { fields.append(#""timeout_ms":\#(generator.uniform(500...9000))"#) }
        if chance(5) { fields.append(#""executor":"\#(pick(names))""#) }
        let json = "{" + fields.joined(separator: ",") + "}"
        sent["\(principal)/\(capability)/\(id)"] = json
        bench.intent(id, to: capability, by: principal, json)
    }

    /// A plan of one to five steps, in order or side by side, some with references, conditions and bounds.
    private mutating func plan() {
        let principal = pick(["alice", "bob"])
        let id = "p\(sent.count)"
        let count = generator.uniform(1...5)
        var steps: [String] = []
        for index in 0..<count {
            var fields = [
                #""name":"s\#(index)","type":"skill","capability":"c\#(generator.uniform(0...2))""#,
                #""retry":{"count":1,"delay_ms":50}"#,
            ]
            if chance(40) {
                let needs = (0..<index).filter { _ in chance(30) }.map { #""s\#($0)""# }
                fields.append(#""needs":[\#(needs.joined(separator: ","))]"#)
            }
            if index > 0, chance(30) {
                fields.append(
                    #""arguments":{"a":{"$ref":"steps.s\#(index - 1).output#"},"b":{"$ref":"plan.input#/x"}}"#)
            }
            if index > 0, chance(20) {
                fields.append(
                    #""when":{"ref":"steps.s\#(index - 1).status","op":"\#(pick(["eq", "ne"]))","value":"success"}"#)
            }
            if chance(40) { fields.append(#""on_error":"continue""#) }
            if chance(15) { fields.append(#""delivery":"at_most_once""#) }
            if chance(15) { fields.append(#""max_cost":120"#) }
            steps.append("{" + fields.joined(separator: ",") + "}")
        }
        var fields = [#""input":{"input":{"x":1},"steps":[\#(steps.joined(separator: ","))]}"#]
        fields.append(#""deadline_ms":\#(generator.uniform(3000...60_000))"#)
        if chance(40) { fields.append(#""max_cost":\#(generator.uniform(0...500))"#) }
        if chance(15) { fields.append(#""delay_ms":500"#) }
        if chance(20) { fields.append(#""priority":"critical""#) }
        let json = "{" + fields.joined(separator: ",") + "}"
        sent["\(principal)/plan/\(id)"] = json
        bench.intent(id, to: "plan", by: principal, json)
    }

    /// Takes in what the executor was sent.
    private mutating func collect(_ name: String) {
        for message in bench.work(name) {
            switch message {
            case .assign(let assignment): take(assignment, name)
            case .cancel(let attempt, _, _), .revoke(let attempt, _):
                if chance(70) { actors[name]?.held.removeAll { $0.epoch == attempt.epoch } }
            default: break
            }
        }
    }

    private mutating func take(_ assignment: Assignment, _ name: String) {
        let key = "\(assignment.principal)/\(assignment.task)"
        if assignment.delivery == .atMostOnce {
            if let last = lastEpochs[key], last != assignment.epoch {
                #expect(safeEnds.contains(last), "I5: \(key) was given out twice")
            }
            lastEpochs[key] = assignment.epoch
        }
        guard actors[name]?.isUp == true, actors[name]?.held.contains(where: { $0.epoch == assignment.epoch }) == false
        else { return }
        actors[name]?.held.append(assignment)
    }

    private mutating func work(_ name: String) {
        collect(name)
        guard let held = actors[name]?.held, actors[name]?.isUp == true, !held.isEmpty else { return }
        let assignment = pick(held)
        switch generator.uniform(0...19) {
        case 0..<5: bench.accept(name, assignment)
        case 5..<7: bench.report(name, assignment, #""type":"progress","percent":5,"checkpoint":{"at":1}"#)
        case 7..<11: end(name, assignment) { $0.succeed(name, assignment, output: "1") }
        case 11..<13:
            let cost = generator.uniform(0...400)
            end(name, assignment) {
                $0.report(name, assignment, #""type":"outcome","status":"success","output":{"x":2},"cost":\#(cost)"#)
            }
        case 13..<15:
            let cost = chance(30) ? generator.uniform(0...300) : nil
            end(name, assignment) {
                $0.report(
                    name, assignment,
                    #""type":"outcome","status":"failed","error":{"code":"flaky"}\#(cost.map { #","cost":\#($0)"# } ?? "")"#
                )
            }
        case 15: fail(name, assignment)
        case 16, 17:
            let reason = pick(["busy", "rate_limited", "quota", "unsupported"])
            if lastEpochs["\(assignment.principal)/\(assignment.task)"] == assignment.epoch {
                safeEnds.insert(assignment.epoch)
            }
            end(name, assignment) { $0.refuse(name, assignment, reason, rest: #""retry_after_ms":700"#) }
        case 18:
            safeEnds.insert(assignment.epoch)
            end(name, assignment) { $0.report(name, assignment, #""type":"release","safe":true"#) }
        default: actors[name]?.held.removeAll { $0.epoch == assignment.epoch }
        }
    }

    private mutating func fail(_ name: String, _ assignment: Assignment) {
        let code = pick(["not_found", "rate_limited", "execution_timeout", "policy_rejected", "resource_exhausted"])
        let safe = chance(50)
        if safe { safeEnds.insert(assignment.epoch) }
        end(name, assignment) { $0.fail(name, assignment, code: code, rest: #""safe":\#(safe),"retry_after_ms":300"#) }
    }

    private mutating func end(_ name: String, _ assignment: Assignment, _ report: (inout Harness) -> Void) {
        report(&bench)
        if chance(10) { report(&bench) }
        actors[name]?.held.removeAll { $0.epoch == assignment.epoch }
    }

    private mutating func claim(_ name: String) {
        guard let actor = actors[name], actor.isPull, actor.isUp else { return }
        let boot = chance(80) ? #""boot":"b\#(actor.boot)","# : ""
        let before = bench.messages.count
        bench.send(
            "claim/\(name)/s\(generator.uniform(1...2))", #"{\#(boot)"wait_ms":\#(generator.uniform(0...4000))}"#)
        grants(name, since: before)
    }

    private mutating func grants(_ name: String, since: Int) {
        for message in bench.messages[since...] where Harness.matches(message.topic, "main/martlet1/grant/\(name)/+") {
            if case .task(let assignment)? = try? Grant(decoding: message.payload) { take(assignment, name) }
        }
    }

    private mutating func beat(_ name: String) {
        collect(name)
        guard let actor = actors[name], actor.isUp else { return }
        actors[name]?.seq += 1
        bench.beat(name, seq: actor.seq + 1, boot: "b\(actor.boot)", leases: actor.held)
    }

    private mutating func trouble(_ name: String) {
        guard let actor = actors[name] else { return }
        switch generator.uniform(0...4) {
        case 0:
            actors[name]?.isUp = false
            bench.status(name, "lost", boot: "b\(actor.boot)", conn: actor.connection)
        case 1:
            actors[name]?.isUp = true
            actors[name]?.connection += 1
            appear(name)
        case 2:
            actors[name]?.boot += 1
            actors[name]?.connection = 1
            actors[name]?.held = []
            actors[name]?.isUp = true
            appear(name)
        case 3:
            actors[name]?.rev += 1
            appear(name)
        default: bench.status(name, pick(["offline", "draining", "paused", "sleeping"]), boot: "b\(actor.boot)")
        }
    }

    private mutating func command() throws {
        let target = pick(names)
        let task = pick(sent.keys.sorted() + ["alice/c0/none"]).split(separator: "/").map(String.init)
        let who = #""principal":"\#(task[0])""#
        let forMs = #""for_ms":\#(generator.uniform(100...3000))"#
        switch generator.uniform(0...10) {
        case 8: _ = try bench.command("task/\(pick(["approve", "deny"]))/\(task[2])", "{\(who)}")
        case 9: _ = try bench.command("task/redrive/\(task[2])", "{\(who)}")
        case 10:
            _ = try bench.command(
                "circuit/\(pick(["open", "close", "reset"]))/c\(generator.uniform(0...2))", "{\(forMs)}")
        case 0: _ = try bench.command("task/cancel/\(task[2])", #"{\#(who),"grace_ms":400}"#)
        case 1:
            let flag = pick([#","steal":true"#, #","force":true"#, ""])
            _ = try bench.command("task/assign/\(task[2])", #"{\#(who),"executor":"\#(target)"\#(flag)}"#)
        case 2:
            _ = try bench.command(
                "circuit/\(pick(["open", "close", "reset"]))/c0", #"{"executor":"\#(target)",\#(forMs)}"#)
        case 3: _ = try bench.command("capability/pause/c1", "{\(forMs)}")
        case 4: _ = try bench.command("capability/\(pick(["pause", "resume"]))/c2", #"{"executor":"\#(target)"}"#)
        case 5: _ = try bench.command("executor/drain/\(target)", #"{"now":\#(chance(50))}"#)
        case 6: _ = try bench.command("executor/resume/\(target)")
        default: _ = try bench.command("task/explain/\(task[2])", "{\(who)}")
        }
    }

    // MARK: - Checks

    /// All is well from now on: everything that was accepted comes to its end.
    mutating func calm() throws {
        bench.acknowledges = true
        for name in names {
            actors[name]?.boot += 1
            actors[name]?.isUp = true
            actors[name]?.held = []
            appear(name)
            _ = try bench.command("executor/resume/\(name)")
        }
        for _ in 0..<200 where !bench.core.tasks.isEmpty {
            for name in names {
                claim(name)
                collect(name)
                for assignment in actors[name]?.held ?? [] { bench.succeed(name, assignment) }
                actors[name]?.held = []
            }
            bench.advance(500)
        }
        #expect(bench.core.tasks.isEmpty, "I27: \(bench.core.tasks.values.map(\.spec.key.id).sorted())")
        for (topic, _) in sent.sorted(by: { $0.key < $1.key }) {
            let results = Set(bench.all("result/\(topic)").filter { !$0.isEmpty })
            #expect(results.count == 1, "I3: \(topic) has \(results.count) results")
        }
    }
}

@Suite struct StormTests {
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func g02_g03_nothingIsLostAndNothingRunsAmiss(seed: UInt64) throws {
        var storm = try Storm(seed: seed)
        for _ in 0..<150 { try storm.step() }
        try storm.calm()
    }
}
