/// A topic name, taken apart (`topics/README.md`, topics): `{workspace}/martlet1/{class}/…`.
public struct Topic: Hashable, Sendable {
    /// The first level: who this belongs to.
    public var workspace: String
    /// The class and its levels.
    public var place: Place

    /// A topic.
    public init(_ workspace: String, _ place: Place) {
        self.workspace = workspace
        self.place = place
    }

    /// A topic of the services themselves.
    public static func system(_ place: Place) -> Topic { Topic(Names.systemWorkspace, place) }

    /// The class of a topic and the names in its levels.
    public enum Place: Hashable, Sendable {
        /// A trigger.
        case intent(principal: String, capability: String, id: String)
        /// What becomes of it.
        case update(principal: String, capability: String, id: String)
        /// Its one answer.
        case result(principal: String, capability: String, id: String)
        /// A management request.
        case command(principal: String, noun: String, verb: String, id: String)
        /// Its one reply.
        case reply(principal: String, noun: String, verb: String, id: String)
        /// What an executor can do.
        case card(executor: String)
        /// Whether it is there; also its Will.
        case status(executor: String)
        /// Work for one executor; capability `_` for what concerns none.
        case work(capability: String, executor: String)
        /// How many tasks wait.
        case offer(capability: String)
        /// "Give me one."
        case claim(executor: String, slot: String)
        /// The answer to a claim.
        case grant(executor: String, slot: String)
        /// What an executor says of one attempt.
        case report(executor: String, id: String)
        /// Sign of life.
        case beat(executor: String)
        /// The registry's view of a capability.
        case capability(String)
        /// The circuit of a capability, or of a pair.
        case circuit(capability: String, executor: String?)
        /// A schedule's definition and state.
        case schedule(String)
        /// A health check's definition and state.
        case check(String)
        /// The verdict on an executor.
        case liveness(executor: String)
        /// An alert until it is resolved.
        case alert(key: String)
        /// An audit event.
        case event(name: String, key: String)
        /// A record of the execution log.
        case log(request: String, record: String)
        /// A dead letter.
        case dead(capability: String, id: String)
        /// A notification.
        case notify(channel: String, key: String)
        /// Rolling numbers of one capability, executor, type or workspace.
        case summary(by: String, name: String)
        /// A service's own record.
        case service(name: String, instance: String)
        /// A service's numbers, or those of one of its cells.
        case metrics(name: String, instance: String? = nil)
    }

    /// Takes a topic name apart; `nil` when it is none of the contract. Names in its levels are not judged here: see
    /// `illegalName`.
    public init?(_ name: String) {
        let levels = Topic.levels(of: name)
        guard levels.count >= 4, levels[1] == Names.protocolLevel else { return nil }
        guard let place = Topic.place(levels[2], levels.count - 3, { levels[$0 + 3] }) else { return nil }
        workspace = levels[0]
        self.place = place
    }

    /// The class word of a topic name, its third level; empty when it has none.
    public static func word(of name: String) -> String {
        var name = name
        return name.withUTF8 { bytes in
            var (slashes, start, at) = (0, 0, 0)
            while at < bytes.count {
                if unsafe bytes[at] == UInt8(ascii: "/") {
                    slashes += 1
                    if slashes == 2 { start = at + 1 }
                    if slashes == 3 { break }
                }
                at += 1
            }
            guard slashes >= 2 else { return "" }
            return unsafe String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
        }
    }

    /// The levels of a topic name from one index to before another; none at all when there are more than seven.
    private static func levels(of name: String, from first: Int = 0, to end: Int = 8) -> [String] {
        var name = name
        return name.withUTF8 { bytes in
            var levels: [String] = []
            levels.reserveCapacity(end - first)
            var (level, start) = (0, 0)
            for at in 0...bytes.count {
                if at < bytes.count {
                    let byte = unsafe bytes[at]
                    if byte != UInt8(ascii: "/") { continue }
                }
                if level == 7 { return [] }
                if level >= first {
                    let text = unsafe UnsafeBufferPointer(rebasing: bytes[start..<at])
                    levels.append(unsafe String(decoding: text, as: UTF8.self))
                }
                (level, start) = (level + 1, at + 1)
                if level == end { break }
            }
            return levels
        }
    }

    private static func place(_ word: String, _ count: Int, _ at: (Int) -> String) -> Place? {
        switch (word, count) {
        case ("intent", 3): .intent(principal: at(0), capability: at(1), id: at(2))
        case ("update", 3): .update(principal: at(0), capability: at(1), id: at(2))
        case ("result", 3): .result(principal: at(0), capability: at(1), id: at(2))
        case ("command", 4): .command(principal: at(0), noun: at(1), verb: at(2), id: at(3))
        case ("reply", 4): .reply(principal: at(0), noun: at(1), verb: at(2), id: at(3))
        case ("executor", 2): executorPlace(at(0), at(1))
        case ("work", 2): .work(capability: at(0), executor: at(1))
        case ("claim", 2): .claim(executor: at(0), slot: at(1))
        case ("grant", 2): .grant(executor: at(0), slot: at(1))
        case ("report", 2): .report(executor: at(0), id: at(1))
        case ("beat", 1): .beat(executor: at(0))
        default: viewPlace(word, count, at)
        }
    }

    private static func executorPlace(_ executor: String, _ part: String) -> Place? {
        switch part {
        case "card": .card(executor: executor)
        case "status": .status(executor: executor)
        default: nil
        }
    }

    private static func viewPlace(_ word: String, _ count: Int, _ at: (Int) -> String) -> Place? {
        switch (word, count) {
        case ("offer", 1): .offer(capability: at(0))
        case ("capability", 1): .capability(at(0))
        case ("circuit", 1): .circuit(capability: at(0), executor: nil)
        case ("circuit", 2): .circuit(capability: at(0), executor: at(1))
        case ("schedule", 1): .schedule(at(0))
        case ("check", 1): .check(at(0))
        case ("liveness", 1): .liveness(executor: at(0))
        case ("alert", 1): .alert(key: at(0))
        case ("event", 2): .event(name: at(0), key: at(1))
        case ("log", 2): .log(request: at(0), record: at(1))
        case ("dead", 2): .dead(capability: at(0), id: at(1))
        case ("notify", 2): .notify(channel: at(0), key: at(1))
        case ("summary", 2): .summary(by: at(0), name: at(1))
        case ("service", 2): .service(name: at(0), instance: at(1))
        case ("metrics", 1): .metrics(name: at(0))
        case ("metrics", 2): .metrics(name: at(0), instance: at(1))
        default: nil
        }
    }

    /// The class word and the levels after it.
    public var levels: (word: String, rest: [String]) {
        switch place {
        case .intent(let p, let c, let id): ("intent", [p, c, id])
        case .update(let p, let c, let id): ("update", [p, c, id])
        case .result(let p, let c, let id): ("result", [p, c, id])
        case .command(let p, let noun, let verb, let id): ("command", [p, noun, verb, id])
        case .reply(let p, let noun, let verb, let id): ("reply", [p, noun, verb, id])
        case .card(let e): ("executor", [e, "card"])
        case .status(let e): ("executor", [e, "status"])
        case .work(let c, let e): ("work", [c, e])
        case .offer(let c): ("offer", [c])
        case .claim(let e, let slot): ("claim", [e, slot])
        case .grant(let e, let slot): ("grant", [e, slot])
        case .report(let e, let id): ("report", [e, id])
        case .beat(let e): ("beat", [e])
        case .capability(let c): ("capability", [c])
        case .circuit(let c, let e): ("circuit", e.map { [c, $0] } ?? [c])
        case .schedule(let s): ("schedule", [s])
        case .check(let k): ("check", [k])
        case .liveness(let e): ("liveness", [e])
        case .alert(let k): ("alert", [k])
        case .event(let name, let k): ("event", [name, k])
        case .log(let request, let record): ("log", [request, record])
        case .dead(let c, let id): ("dead", [c, id])
        case .notify(let channel, let k): ("notify", [channel, k])
        case .summary(let by, let name): ("summary", [by, name])
        case .service(let name, let instance): ("service", [name, instance])
        case .metrics(let name, let instance): ("metrics", instance.map { [name, $0] } ?? [name])
        }
    }

    /// The topic name.
    public var name: String {
        let (word, rest) = levels
        var count = workspace.utf8.count + word.utf8.count + 10
        for level in rest { count += level.utf8.count + 1 }
        return unsafe String(unsafeUninitializedCapacity: count) { buffer in
            var at = 0
            unsafe Topic.put(workspace, buffer, &at)
            unsafe Topic.put("/martlet1/", buffer, &at)
            unsafe Topic.put(word, buffer, &at)
            for level in rest {
                unsafe buffer[at] = UInt8(ascii: "/")
                at += 1
                unsafe Topic.put(level, buffer, &at)
            }
            return at
        }
    }

    private static func put(_ text: String, _ buffer: UnsafeMutableBufferPointer<UInt8>, _ at: inout Int) {
        var text = text
        text.withUTF8 { bytes in
            guard let from = bytes.baseAddress, let to = buffer.baseAddress else { return }
            unsafe (to + at).update(from: from, count: bytes.count)
            at += bytes.count
        }
    }

    /// The first level that breaks the grammar of names, or `nil` when all are legal.
    public var illegalName: String? {
        if workspace != Names.systemWorkspace && !Names.isName(workspace) { return workspace }
        let rest = levels.rest
        for (index, level) in rest.enumerated() {
            let isLast = index == rest.count - 1
            if isLast && allowsLongID ? Names.isID(level) : Names.isName(level) { continue }
            if case .work(Names.noCapability, _) = place, index == 0 { continue }
            if case .log = place, index == 0, Names.isID(level) { continue }
            return level
        }
        return nil
    }

    private var allowsLongID: Bool {
        switch place {
        case .intent, .update, .result, .command, .reply, .report, .alert, .event, .dead, .notify: true
        default: false
        }
    }

    /// A filter for all topics of one class: `workspace` and each of `levels` may be `+`, the last one `#`.
    public static func filter(_ workspace: String, _ word: String, _ levels: String...) -> String {
        ([workspace, Names.protocolLevel, word] + levels).joined(separator: "/")
    }
}
