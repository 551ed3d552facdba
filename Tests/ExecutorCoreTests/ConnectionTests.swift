import Contract
import ExecutorCore
import Machine
import Testing
import Wire

/// How an executor says that it is there.
@Suite struct ConnectionTests {
    @Test func subscribesThenSaysWhatItCanDoThenThatItIsThereThenBeats() throws {
        let rig = try Rig()
        #expect(rig.subscriptions.map(\.filter) == ["main/martlet1/work/+/e1", "main/martlet1/grant/e1/+"])
        #expect(rig.subscriptions.allSatisfy { !$0.wantsRetained })
        let words = rig.published.map { $0.topic.split(separator: "/").dropFirst(2).joined(separator: "/") }
        #expect(words == ["executor/e1/card", "executor/e1/status", "beat/e1"])
        #expect(rig.published.map(\.retain) == [true, true, false])
        let card = try #require(rig.cards.first)
        #expect(card.boot == rig.boot)
        #expect(card.rev == 1)
        #expect(card.capabilities.map(\.name).contains("run"))
        #expect(!card.capabilities.map(\.name).contains("later"))
        #expect(card.capabilities.first { $0.name == "run" }?.kind == "adapter")
    }

    @Test func isReadyWhenTheBrokerHasItsStatus() throws {
        let rig = try Rig()
        #expect(!rig.isReady)
        rig.give(.delivered(token: 1))
        #expect(rig.isReady)
    }

    @Test func countsConnectionsAndItsWillSpeaksOfTheOneToCome() throws {
        let rig = try Rig(connected: false)
        let first = try #require(rig.machine.will())
        #expect(first.retain)
        #expect(try ExecutorStatus(decoding: first.payload) == ExecutorStatus(.lost, boot: rig.boot, conn: 1))
        rig.connect()
        #expect(rig.statusMessages.last == ExecutorStatus(.online, boot: rig.boot, conn: 1))
        rig.give(.disconnected)
        let second = try #require(rig.machine.will())
        #expect(try ExecutorStatus(decoding: second.payload).conn == 2)
        rig.connect()
        #expect(rig.statusMessages.last == ExecutorStatus(.online, boot: rig.boot, conn: 2))
    }

    @Test func bootDiffersWithEachStartAndComesFromTheSeed() throws {
        let (a, b, c) = (try Rig(seed: 1), try Rig(seed: 1), try Rig(seed: 2))
        #expect(a.boot == b.boot)
        #expect(a.boot != c.boot)
        #expect(Names.isName(a.boot))
    }

    @Test func beatsByATimerWithRisingNumbersAndOnlyWhileConnected() throws {
        let rig = try Rig()
        rig.pass(3000)
        #expect(rig.beats.map(\.seq) == [1, 2, 3, 4])
        rig.give(.disconnected)
        rig.forget()
        rig.pass(10_000)
        #expect(rig.published.isEmpty)
        rig.connect()
        #expect(rig.beats.map(\.seq) == [5])
    }

    @Test func beatsSayWhatIsHeldWhatIsUnconfirmedAndWhatIsFree() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.assign("t2", epoch: 2, capability: "demo.echo")
        rig.pass(1000)
        let beat = try #require(rig.beats.last)
        #expect(beat.boot == rig.boot)
        #expect(beat.leases == [LeasePair("t1", 1)])
        #expect(beat.unconfirmed == [LeasePair("t2", 2)])
        #expect(beat.freeSlots == 1)
        #expect(beat.load == 50)
    }

    @Test func sendsItsCardAgainWhenTheDispatcherHasNone() throws {
        let rig = try Rig()
        rig.forget()
        rig.work(.beatAck(BeatAck(seq: 1, code: .notFound)))
        #expect(rig.cards.count == 1)
        #expect(rig.states == [.online])
    }

    @Test func withoutAJournalItTakesNothingAndSaysPaused() throws {
        let rig = try Rig()
        rig.give(.journalWritable(false))
        #expect(rig.states.last == .paused)
        rig.assign("t1", epoch: 1)
        #expect(rig.reports.last?.reason == .busy)
        rig.give(.journalWritable(true))
        #expect(rig.states.last == .online)
        rig.assign("t1", epoch: 2)
        #expect(rig.reports.last?.type == .accept)
    }

    @Test(arguments: [
        "", "{", "[]", "{\"type\":\"assign\"}", "{\"type\":\"dance\"}", "{\"type\":\"assign\",\"task\":5}",
    ])
    func badMessagesChangeNothing(_ text: String) throws {
        let rig = try Rig()
        rig.forget()
        for topic in ["main/martlet1/work/run/e1", "main/martlet1/grant/e1/1", "main/martlet1/work/run/other", "x"] {
            rig.give(.message(InboundMessage(topic: topic, payload: Array(text.utf8))))
        }
        #expect(rig.published.isEmpty)
        #expect(rig.children.isEmpty)
    }

    @Test func workThatIsRetainedIsRefused() throws {
        let rig = try Rig()
        let payload = WorkMessage.assign(rig.assignment("t1", epoch: 1)).encoded
        rig.give(.message(InboundMessage(topic: "main/martlet1/work/run/e1", payload: payload, retained: true)))
        #expect(rig.children.isEmpty)
        #expect(rig.events.contains { $0.name == "message_refused" })
    }
}
