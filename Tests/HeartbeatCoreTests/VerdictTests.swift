import Contract
import HeartbeatCore
import Machine
import Testing
import TimeModel
import Timing
import Wire

@Suite("Verdicts on executors") struct VerdictTests {
    /// An executor that is there and beats.
    private func rig(_ fields: String = "") -> Rig {
        let rig = Rig()
        rig.card("desk", fields)
        rig.status("desk", .online)
        rig.beat("desk")
        rig.pass(1000)
        return rig
    }

    @Test("Each row of the table")
    func rows() {
        let rig = rig()
        #expect(rig.verdict("desk") == .ready)
        rig.beat("desk", #","free_slots":2,"leases":[["t1",1]]"#)
        rig.pass(1000)
        #expect(rig.verdict("desk") == .running)
        rig.beat("desk", #","free_slots":0,"leases":[["t1",1]]"#)
        rig.pass(1000)
        #expect(rig.verdict("desk") == .busy)
        rig.beat("desk", #","free_slots":2,"battery":9"#)
        rig.pass(1000)
        #expect(rig.verdict("desk") == .degraded)
        #expect(rig.view("desk")?.reason == .battery)
        rig.beat("desk", #","free_slots":2"#)
        for (state, verdict) in [
            (ExecutorState.draining, Verdict.draining), (.paused, .paused), (.offline, .offline), (.online, .ready),
        ] {
            rig.status("desk", state)
            rig.pass(1000)
            #expect(rig.verdict("desk") == verdict)
        }
        rig.card("plain")
        rig.pass(1000)
        #expect(rig.verdict("plain") == .unknown)
    }

    @Test("T3-20 G-10: silence makes stale after two beats and offline after three, no sooner")
    func silence() {
        let rig = rig()
        rig.pass(19_000)
        #expect(rig.verdict("desk") == .ready)
        rig.pass(1100)
        #expect(rig.verdict("desk") == .stale)
        #expect(rig.view("desk")?.reason == .silence)
        rig.pass(8800)
        #expect(rig.verdict("desk") == .stale)
        rig.pass(1200)
        #expect(rig.verdict("desk") == .offline)
        rig.beat("desk")
        rig.pass(1000)
        #expect(rig.verdict("desk") == .ready)
    }

    @Test("The card says how far apart beats are; a sleeper is ready between its wakes")
    func periods() {
        let quick = rig(#","beat_ms":1000"#)
        quick.pass(1500)
        #expect(quick.verdict("desk") == .stale)
        let sleeper = rig(#","wake_every_ms":60000"#)
        sleeper.status("desk", .sleeping)
        sleeper.pass(110_000)
        #expect(sleeper.verdict("desk") == .ready)
        sleeper.pass(80_000)
        #expect(sleeper.verdict("desk") == .offline)
    }

    @Test("Who never beat in its boot is judged by status alone")
    func mute() {
        let rig = Rig()
        rig.card("desk")
        rig.status("desk", .online)
        rig.pass(100_000)
        #expect(rig.verdict("desk") == .ready)
        rig.beat("desk")
        rig.status("desk", .online, boot: "b2")
        rig.pass(100_000)
        #expect(rig.verdict("desk") == .ready)
    }

    @Test("G-10: a Will is true after a second; a stale one changes nothing")
    func will() {
        let rig = rig()
        rig.status("desk", .lost, boot: "b0")
        rig.pass(2000)
        #expect(rig.verdict("desk") == .ready)
        rig.status("desk", .online, conn: 4)
        rig.status("desk", .lost, conn: 3)
        rig.pass(2000)
        #expect(rig.verdict("desk") == .ready)
        rig.status("desk", .lost, conn: 4)
        rig.pass(900)
        #expect(rig.verdict("desk") == .ready)
        rig.pass(1100)
        #expect(rig.verdict("desk") == .offline)
        #expect(rig.view("desk")?.reason == .lost)
        rig.beat("desk")
        rig.pass(1000)
        #expect(rig.verdict("desk") == .ready)
        rig.status("desk", .lost, conn: 4)
        rig.pass(500)
        rig.beat("desk")
        rig.pass(5000)
        #expect(rig.verdict("desk") == .ready)
    }

    @Test("A late beat of an earlier process says nothing")
    func earlierBoot() {
        let rig = rig()
        rig.status("desk", .online, boot: "b2")
        rig.beat("desk", boot: "b2")
        rig.beat("desk", #","free_slots":0"#)
        rig.pass(1000)
        #expect(rig.view("desk")?.boot == "b2")
        #expect(rig.verdict("desk") == .ready)
    }

    @Test("Own slowness first: a process that did not run calls nobody silent")
    func frozen() {
        let rig = rig()
        rig.returnsMetrics = false
        rig.jump(120_000)
        rig.give(.wake)
        rig.pass(20_000)
        #expect(rig.verdict("desk") == .ready)
        rig.returnsMetrics = true
        rig.pass(10_000)
        rig.beat("desk")
        rig.pass(1000)
        #expect(rig.verdict("desk") == .ready)
    }

    @Test("A verdict that waited while the process stopped is not told before what came meanwhile is read")
    func waitingVerdict() {
        let rig = rig()
        rig.beat("desk", #","free_slots":5"#)
        rig.pass(700)
        rig.status("desk", .lost)
        // The Will takes effect less than a second after the last publication, so that the verdict waits.
        rig.pass(1050)
        #expect(rig.verdict("desk") == .ready)
        rig.returnsMetrics = false
        rig.jump(30_000)
        rig.beat("other")
        #expect(rig.verdict("desk") == .ready)
        rig.status("desk", .online, conn: 2)
        rig.returnsMetrics = true
        rig.pass(6000)
        #expect(rig.verdict("desk") == .ready)
        #expect(rig.view("desk")?.status == .online)
    }

    @Test("While the link is down, and until all that is retained has come, ages stand still")
    func link() {
        let rig = rig()
        rig.pass(15_000)
        rig.disconnect()
        rig.pass(300_000)
        rig.connect()
        // What it sent meanwhile may be lost: half a beat is held against it.
        rig.pass(14_000)
        #expect(rig.verdict("desk") == .ready)
        rig.pass(2000)
        #expect(rig.verdict("desk") == .stale)
        rig.disconnect()
        rig.connect()
        rig.pass(1000)
        #expect(rig.verdict("desk") == .stale, "who was silent before stays it")
    }

    @Test("Who was stale when the link went down is not called offline before it had time to be heard")
    func staleBefore() {
        let rig = rig()
        rig.pass(29_000)
        #expect(rig.verdict("desk") == .stale)
        rig.disconnect()
        rig.pass(60_000)
        rig.connect()
        rig.pass(10_500)
        #expect(rig.verdict("desk") == .stale)
        rig.beat("desk")
        #expect(rig.verdict("desk") == .ready)
        rig.pass(29_000)
        rig.disconnect()
        rig.connect()
        rig.pass(14_000)
        #expect(rig.verdict("desk") == .stale)
        rig.pass(2000)
        #expect(rig.verdict("desk") == .offline)
        rig.disconnect()
        rig.connect()
        rig.pass(1000)
        #expect(rig.verdict("desk") == .offline)
    }

    @Test("Metrics that were lost while the link was down are not held against a service")
    func servicesOverALink() {
        let rig = Rig()
        let record = ServiceRecord(state: .up, version: "1", term: 1, boot: "d1", since: rig.wall)
        let topic = "_sys/martlet1/service/dispatcher/dispatcher"
        rig.give(.message(InboundMessage(topic: topic, payload: record.encoded, retained: true)))
        let metrics = InboundMessage(topic: "_sys/martlet1/metrics/dispatcher", payload: Array(#"{"tasks":0}"#.utf8))
        rig.give(.message(metrics))
        rig.pass(28_000)
        rig.disconnect()
        rig.connect()
        rig.pass(12_000)
        #expect(rig.alert("heartbeat.service.dispatcher") == nil)
        rig.pass(5000)
        #expect(rig.alert("heartbeat.service.dispatcher")?.severity == .critical)
        rig.disconnect()
        rig.connect()
        rig.pass(1000)
        #expect(rig.alert("heartbeat.service.dispatcher")?.severity == .critical)
    }

    @Test("A slow loop widens the limits for a minute")
    func widened() {
        let rig = rig()
        rig.pass(1000)
        guard let wake = rig.core.nextWake else { return }
        rig.jump(wake - rig.monotonic + 900)
        rig.give(.wake)
        rig.beat("desk")
        rig.pass(20_900)
        #expect(rig.verdict("desk") == .ready)
        rig.pass(2000)
        #expect(rig.verdict("desk") == .stale)
        #expect(rig.view("desk")?.widenedMs == 1800)
    }

    @Test("A restart remembers who has beaten, and numbers go on rising")
    func restart() {
        let rig = rig()
        let rev = rig.view("desk")?.rev ?? 0
        rig.restart()
        #expect((rig.view("desk")?.rev ?? 0) > rev)
        rig.pass(31_000)
        #expect(rig.verdict("desk") == .offline)
    }

    @Test("G-15 G-16: a verdict on nobody is cleared, a stranger's is put right")
    func ownership() {
        let rig = rig()
        rig.retained["main/martlet1/liveness/ghost"] = LivenessView(verdict: .ready, boot: nil).encoded
        rig.restart()
        #expect(rig.verdict("ghost") == nil)
        let topic = "main/martlet1/liveness/desk"
        rig.retained[topic] = LivenessView(verdict: .paused, boot: nil).encoded
        rig.give(.message(InboundMessage(topic: topic, payload: rig.retained[topic] ?? [], retained: true)))
        rig.pass(2000)
        #expect(rig.verdict("desk") == .ready)
        rig.retained["main/martlet1/executor/desk/card"] = nil
        rig.give(.message(InboundMessage(topic: "main/martlet1/executor/desk/card", payload: [], retained: true)))
        rig.status("desk", nil)
        #expect(rig.verdict("desk") == nil)
    }

    @Test("At most one publication a second")
    func rate() {
        let rig = rig()
        let rev = rig.view("desk")?.rev ?? 0
        for slots in 1...40 {
            rig.beat("desk", ",\"free_slots\":\(slots)")
            rig.pass(100)
        }
        #expect((rig.view("desk")?.rev ?? 0) - rev <= 5)
        #expect(rig.view("desk")?.freeSlots ?? 0 >= 30)
    }

    @Test("Services: down and stale ones raise an alert, which ends with the trouble")
    func services() {
        let rig = Rig()
        let topic = "_sys/martlet1/service/dispatcher/dispatcher"
        func record(_ state: ServiceRecord.State, _ reason: String? = nil, boot: String = "d1") {
            var record = ServiceRecord(state: state, version: "1", term: 1, boot: boot, since: rig.wall)
            record.reason = reason
            rig.give(.message(InboundMessage(topic: topic, payload: record.encoded, retained: true)))
        }
        func metrics() {
            let payload = Array(#"{"tasks":0}"#.utf8)
            rig.give(.message(InboundMessage(topic: "_sys/martlet1/metrics/dispatcher", payload: payload)))
        }
        record(.up)
        metrics()
        rig.pass(20_000)
        #expect(rig.alert("heartbeat.service.dispatcher") == nil)
        rig.pass(11_000)
        #expect(rig.alert("heartbeat.service.dispatcher")?.severity == .critical)
        metrics()
        #expect(rig.alert("heartbeat.service.dispatcher") == nil)
        record(.down, "lost")
        #expect(rig.alert("heartbeat.service.dispatcher")?.text == "dispatcher is down")
        record(.up)
        #expect(rig.alert("heartbeat.service.dispatcher") == nil)
        rig.pass(700_000)
        for boot in ["d2", "d3", "d4"] { record(.up, boot: boot) }
        #expect(rig.alert("heartbeat.service.dispatcher")?.text == "dispatcher was started 3 times in 10 min")
        for _ in 1...70 {
            metrics()
            rig.pass(10_000)
        }
        #expect(rig.alert("heartbeat.service.dispatcher") == nil)
        rig.retained["main/martlet1/alert/heartbeat.service.gone"] =
            Alert(severity: .critical, since: rig.wall, text: "x").encoded
        rig.restart()
        #expect(rig.alert("heartbeat.service.gone") == nil)
    }

    @Test("Of a service's cells a workspace hears only about those that serve it")
    func cells() {
        let rig = Rig()
        rig.card("desk")
        func record(_ instance: String, _ state: ServiceRecord.State, _ workspaces: [String]) {
            var record = ServiceRecord(state: state, version: "1", term: 1, boot: instance, since: rig.wall)
            record.workspaces = workspaces
            let topic = "_sys/martlet1/service/dispatcher/\(instance)"
            rig.give(.message(InboundMessage(topic: topic, payload: record.encoded, retained: true)))
        }
        func metrics(_ instance: String) {
            let topic = "_sys/martlet1/metrics/dispatcher/\(instance)"
            rig.give(.message(InboundMessage(topic: topic, payload: Array(#"{"tasks":0}"#.utf8))))
        }
        record("d-1", .up, ["main", "lab"])
        record("d-2", .down, ["shop"])
        #expect(rig.alert("heartbeat.service.dispatcher") == nil, "the shop's is none of ours")
        record("d-1", .down, ["main", "lab"])
        record("d-2", .up, ["shop"])
        #expect(rig.alert("heartbeat.service.dispatcher")?.text == "dispatcher is down")
        record("d-1", .up, ["main", "lab"])
        #expect(rig.alert("heartbeat.service.dispatcher") == nil)
        metrics("d-1")
        for _ in 1...4 {
            rig.pass(10_000)
            metrics("d-2")
        }
        #expect(rig.alert("heartbeat.service.dispatcher")?.text == "dispatcher sends no metrics any more")
    }

    @Test("A heartbeat that is a cell knows its own metrics, and listens to its own workspaces alone")
    func ownCell() {
        let rig = Rig { $0.engine.serve(["main"], as: "heartbeat") }
        rig.card("desk")
        rig.status("desk", .online)
        rig.beat("desk")
        rig.pass(1000)
        #expect(rig.verdict("desk") == .ready)
        #expect(rig.retained["_sys/martlet1/metrics/heartbeat/heartbeat"] != nil)
        rig.pass(60_000)
        #expect(rig.verdict("desk") == .offline, "own metrics come back, so that silence may be concluded")
    }
}
