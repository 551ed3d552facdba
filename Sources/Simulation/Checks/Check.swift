import Contract

/// A rule was broken.
struct Breach {
    /// When, in true ms.
    var time: Int
    /// What happened.
    var sentence: String

    /// A breach.
    init(_ time: Int, _ sentence: String) {
        self.time = time
        self.sentence = sentence
    }
}

/// One invariant of the dispatcher, by its id, and the pure function that finds its breaches in a history.
public struct Check: Sendable {
    /// The id, `I1` to `I32`.
    public let id: String
    /// What must hold.
    public let text: String
    /// Whether it speaks of the end of a run, so that a run that was cut short says nothing.
    let needsEnd: Bool
    /// Finds what breaks it, in the order in which it happened.
    let run: @Sendable (History) -> [Breach]

    init(_ id: String, _ text: String, needsEnd: Bool = false, run: @escaping @Sendable (History) -> [Breach]) {
        self.id = id
        self.text = text
        self.needsEnd = needsEnd
        self.run = run
    }

    /// An invariant of the core's state: the core checks it after every input, and says its id.
    private static func core(_ id: String, _ text: String) -> Check {
        Check(id, text) { Check.coreBreaches(id, $0) }
    }

    /// What the core's own checks said under an id.
    static func coreBreaches(_ id: String, _ history: History) -> [Breach] {
        history.coreFaults.filter { $0.sentence.hasPrefix("\(id):") }
            .map { Breach($0.time, String($0.sentence.dropFirst(id.utf8.count + 2))) }
    }

    /// All of them, in their order.
    public static let all: [Check] = [
        core("I1", "one lease per task iff offered, running or canceling"),
        Check("I2", "epochs rise, one task and one executor each", run: checkI2),
        Check("I3", "one end per task, nothing after it, revisions rise", run: checkI3),
        Check("I4", "an outcome that is taken has the newest epoch and its holder", run: checkI4),
        Check("I5", "at_most_once: no second permission to start", run: checkI5),
        Check("I6", "a worker's deadline comes before the end of its lease", run: checkI6),
        Check("I7", "no side effect after a worker's deadline", run: checkI7),
        core("I8", "bounds of tries and losses"),
        core("I9", "slots are counted right and kept"),
        Check("I10", "rates and concurrency keys are kept", run: checkI10),
        core("I11", "a queued task waits in one place"),
        core("I12", "nobody waits whom an executor could serve"),
        core("I13", "one probe per circuit"),
        Check("I14", "circuits change in order and stay open long enough", run: checkI14),
        Check("I15", "every delivery of a request is answered, bounds hold", run: checkI15),
        Check("I16", "one id one task, one dedup key one task", run: checkI16),
        Check("I17", "attached senders get the equal result", run: checkI17),
        Check("I18", "the journal gives the state again", run: { coreBreaches("I18", $0) }),
        Check("I19", "nothing is said that is not durable", run: checkI19),
        Check("I20", "terms rise and are not shared", run: checkI20),
        Check("I21", "costs add up and budgets are kept", run: checkI21),
        core("I22", "conflicts equal a recomputation"),
        core("I23", "no grant to the quarantined or shadowed"),
        Check("I24", "what was canceled is not given out", run: checkI24),
        Check("I25", "steps start with their needs met and their input resolved", run: checkI25),
        Check("I26", "a plan's cost and deadline bound its starts", run: checkI26),
        Check("I27", "everything accepted ends, no claim outlives its time", needsEnd: true, run: checkI27),
        Check("I28", "a runnable task gets its decision in time (measured by the run of shares)") { _ in [] },
        Check("I29", "after a kill or a freeze the work goes on in time", needsEnd: true) { expected("I29", $0) },
        Check("I30", "zombies end, outcomes are settled", needsEnd: true, run: checkI30),
        Check("I31", "circuits close again", needsEnd: true) { expected("I31", $0) },
        Check("I32", "owners and lanes get their shares (measured by the run of shares)") { _ in [] },
        Check("G-15", "views show what is", needsEnd: true, run: checkViews),
    ]

    /// What the last phase waited for in vain.
    static func expected(_ rule: String, _ history: History) -> [Breach] {
        history.expectations.filter { $0.rule == rule && !$0.isMet }.map { Breach(0, $0.text) }
    }
}

extension History {
    /// The tasks of the journal by number: their keys.
    var keys: [Int: Key] {
        var keys: [Int: Key] = [:]
        for entry in lines where entry.line.kind == "a" || entry.line.kind == "x" {
            let line = entry.line
            keys[line.number] = Key(workspace: line.workspace, principal: line.principal, id: line.id)
        }
        return keys
    }

    /// The first time each epoch's assignment was said, in that order.
    var grants: [(time: Int, key: Key, executor: String, assignment: Assignment, durable: Int)] {
        var seen: Set<Int> = []
        var grants: [(time: Int, key: Key, executor: String, assignment: Assignment, durable: Int)] = []
        for said in said {
            guard case .assign(let assignment, let executor, _) = said.saying,
                seen.insert(assignment.epoch).inserted
            else { continue }
            grants.append((said.time, key(of: assignment), executor, assignment, said.durable))
        }
        return grants
    }

    /// The task of an assignment. The runs have one workspace.
    func key(of assignment: Assignment) -> Key {
        Key(workspace: Names.defaultWorkspace, principal: assignment.principal, id: assignment.task)
    }
}
