import Contract
import ExecutorCore
import Machine
import Testing
import Wire

/// What survives the process.
@Suite struct RestartTests {
    @Test func anOutcomeOfAnEarlierRunGoesBeforeTheNewCard() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.end(.exited(0), output: #""kept""#)
        rig.restart()
        let topics = rig.published.map(\.topic)
        let report = try #require(topics.firstIndex(of: "main/martlet1/report/e1/t1"))
        let card = try #require(topics.firstIndex(of: "main/martlet1/executor/e1/card"))
        #expect(report < card)
        #expect(rig.outcome?.output?.text == #""kept""#)
        #expect(rig.beats.last?.unconfirmed == [LeasePair("t1", 1)])
        rig.acknowledge(revoked: [LeasePair("t1", 1)])
        rig.restart()
        #expect(rig.count(.outcome) == 0)
    }

    @Test func anOutcomeOfThisRunGoesBehindTheCard() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.echo")
        rig.give(.disconnected)
        rig.forget()
        rig.connect()
        let words = rig.published.map { $0.topic.split(separator: "/")[2...].joined(separator: "/") }
        #expect(words == ["executor/e1/card", "executor/e1/status", "report/e1/t1", "beat/e1"])
    }

    @Test func workThatWasUnderWayIsSaidToBeLostAndItsEpochNeverStartsAgain() throws {
        let rig = try Rig()
        var assignment = rig.assignment("t1", epoch: 1)
        assignment.delivery = .atMostOnce
        rig.work(.assign(assignment))
        #expect(rig.children.count == 1)
        rig.restart()
        #expect(rig.events.contains { $0.name == "work_lost" && $0.fields.contains(LogField("task", "t1")) })
        #expect(rig.cards.last?.boot == rig.boot)
        #expect(rig.cards.last?.boot != assignment.boot)
        rig.work(.assign(assignment))
        assignment.boot = rig.boot
        rig.work(.assign(assignment))
        assignment.boot = nil
        rig.work(.assign(assignment))
        #expect(rig.children.isEmpty)
        #expect(rig.beats.last?.leases == [])
        assignment.boot = rig.boot
        assignment.epoch = 2
        rig.work(.assign(assignment))
        #expect(rig.children.count == 1)
    }

    @Test func lostWorkIsSaidOnce() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.restart()
        rig.restart()
        #expect(rig.events.count { $0.name == "work_lost" } == 1)
    }

    @Test func theHighestTermIsRememberedOverARestart() throws {
        let rig = try Rig()
        var assignment = rig.assignment("t1", epoch: 1)
        assignment.term = 9
        rig.work(.assign(assignment))
        rig.restart()
        var dead = rig.assignment("t2", epoch: 2)
        dead.term = 8
        rig.work(.assign(dead))
        #expect(rig.children.isEmpty)
    }

    @Test func workBeginsInTheJournalBeforeItBeginsInTheWorld() throws {
        let rig = try Rig()
        let before = rig.journal.count
        rig.assign("t1", epoch: 1)
        #expect(rig.journal.count == before + 2, "the term and the beginning")
        rig.end(.exited(0))
        #expect(rig.journal.count == before + 3)
    }

    @Test func aSnapshotGivesTheSameAsTheRecordsItReplaces() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.assign("t2", epoch: 2, capability: "demo.echo")
        rig.assign("t3", epoch: 3, capability: "demo.echo")
        rig.acknowledge(confirmed: [LeasePair("t3", 3)])
        rig.work(.load(try RawJSON(validating: Array(#"{"name":"later"}"#.utf8))))
        var snapshot: [[UInt8]] = []
        rig.machine.snapshot { snapshot.append($0) }
        let settings = rig.machine.settings
        var fromRecords = ExecutorMachine(rig.machine.manifest, settings: settings)
        var fromSnapshot = fromRecords
        for record in rig.journal { try fromRecords.replay(record) }
        for record in snapshot { try fromSnapshot.replay(record) }
        #expect(fromRecords == fromSnapshot)
    }

    @Test(arguments: [
        "{}", "x", #"{"record":"dance"}"#, #"{"record":"begun"}"#, #"{"record":"run","boot":"b","more":1}"#,
    ])
    func aRecordOfAnotherFormIsRefused(_ text: String) throws {
        let rig = try Rig()
        var machine = ExecutorMachine(rig.machine.manifest, settings: rig.machine.settings)
        #expect(throws: JournalError.self) { try machine.replay(Array(text.utf8)) }
    }
}
