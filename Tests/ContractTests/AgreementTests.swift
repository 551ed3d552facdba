import Contract
import Foundation
import Testing
import Wire

@Suite("asyncapi.json and the pages agree with the code") struct AgreementTests {
    /// One place of each case. The switch in `name` does not compile when a case is missing there.
    static let places: [Topic.Place] = [
        .intent(principal: "p", capability: "c", id: "i"), .update(principal: "p", capability: "c", id: "i"),
        .result(principal: "p", capability: "c", id: "i"), .command(principal: "p", noun: "task", verb: "get", id: "i"),
        .reply(principal: "p", noun: "task", verb: "get", id: "i"), .card(executor: "e"), .status(executor: "e"),
        .work(capability: "c", executor: "e"), .work(capability: "_", executor: "e"), .offer(capability: "c"),
        .claim(executor: "e", slot: "1"), .grant(executor: "e", slot: "1"), .report(executor: "e", id: "i"),
        .beat(executor: "e"), .capability("c"), .circuit(capability: "c", executor: nil),
        .circuit(capability: "c", executor: "e"), .schedule("s"), .check("k"), .liveness(executor: "e"),
        .alert(key: "k"), .event(name: "E", key: "k"), .log(request: "r", record: "step"),
        .dead(capability: "c", id: "i"),
        .notify(channel: "log", key: "k"), .summary(by: "capability", name: "c"), .service(name: "n", instance: "a"),
        .metrics(name: "n"), .metrics(name: "n", instance: "a"),
    ]

    /// The name of a place's channel.
    static func name(_ place: Topic.Place) -> String {
        switch place {
        case .intent: "intent"
        case .update: "update"
        case .result: "result"
        case .command: "command"
        case .reply: "reply"
        case .card: "executor_card"
        case .status: "executor_status"
        case .work(let capability, _): capability == Names.noCapability ? "work_own" : "work"
        case .offer: "offer"
        case .claim: "claim"
        case .grant: "grant"
        case .report: "report"
        case .beat: "beat"
        case .capability: "capability"
        case .circuit(_, let executor): executor == nil ? "circuit" : "circuit_pair"
        case .schedule: "schedule"
        case .check: "check"
        case .liveness: "liveness"
        case .alert: "alert"
        case .event: "event"
        case .log: "log"
        case .dead: "dead"
        case .notify: "notify"
        case .summary: "summary"
        case .service: "service"
        case .metrics(_, let instance): instance == nil ? "metrics" : "metrics_cell"
        }
    }

    @Test("Every topic class of the code is a channel, and the reverse")
    func channels() throws {
        let channels = try #require(try Pages.json("asyncapi.json")["channels"])
        #expect(Set(channels.keys) == Set(Self.places.map(Self.name)))
        for channel in channels.fields {
            let address = try #require(channel.value["address"]?.stringValue)
            var filled = ""
            var parameters: [String] = []
            for (index, part) in address.split(separator: "{", omittingEmptySubsequences: false).enumerated() {
                guard index > 0 else {
                    filled += part
                    continue
                }
                let pieces = part.split(separator: "}", maxSplits: 1, omittingEmptySubsequences: false)
                parameters.append(String(pieces[0]))
                filled += "x" + (pieces.count > 1 ? pieces[1] : "")
            }
            let topic = try #require(Topic(filled), "\(address)")
            #expect(topic.name == filled)
            #expect(topic.illegalName == nil)
            #expect(Self.name(topic.place) == channel.key)
            #expect(Set(channel.value["parameters"]?.keys ?? []) == Set(parameters), "\(channel.key)")
        }
    }

    @Test("Topic names are taken apart and put together again")
    func topics() throws {
        for place in Self.places {
            let topic = Topic("main", place)
            #expect(Topic(topic.name) == topic)
            #expect(topic.illegalName == nil)
            #expect(topic.name.split(separator: "/").count <= 7)
        }
        let long = String(repeating: "i", count: 128)
        #expect(Topic("main", .intent(principal: "p", capability: "c", id: long)).illegalName == nil)
        #expect(Topic("main", .command(principal: "p", noun: "task", verb: "get", id: long)).illegalName == nil)
        #expect(Topic("main", .log(request: long, record: "step")).illegalName == nil)
        #expect(Topic("main", .intent(principal: "p", capability: "c", id: long + "i")).illegalName != nil)
        #expect(Topic("main", .beat(executor: String(repeating: "e", count: 65))).illegalName != nil)
        for name in [
            "main/martlet1/intent/a b/c/i", "main/martlet1/intent/p/+/i", "main/martlet1/intent/p/c/",
            "$SYS/martlet1/beat/e", "main/martlet1/offer/_", "main/martlet1/beat/.e",
        ] {
            #expect(try #require(Topic(name)).illegalName != nil, "\(name)")
        }
        for name in [
            "main/martlet2/beat/e", "main/martlet1/beat", "main/martlet1/beats/e", "main/martlet1/beat/e/f", "",
        ] {
            #expect(Topic(name) == nil, "\(name)")
        }
    }

    @Test("References of asyncapi.json resolve, operations and messages are used")
    func references() throws {
        let document = try Pages.json("asyncapi.json")
        #expect(document["asyncapi"]?.stringValue == "3.0.0")
        for reference in SchemaCheck.references(in: document) {
            if reference.hasPrefix("#") {
                #expect(document.at(pointer: String(reference.dropFirst())) != nil, "\(reference)")
            } else {
                #expect(throws: Never.self, "\(reference)") { try Pages.json(reference) }
            }
        }
        let used = Set(try #require(document["channels"]).fields.flatMap { $0.value["messages"]?.keys ?? [] })
        #expect(used == Set(document.at(pointer: "/components/messages")?.keys ?? []))
        let schemas = Set(try Pages.names(in: "schemas").map { String($0.dropLast(".json".count)) })
        #expect(schemas.subtracting(used) == ["check", "common", "history_gap", "history_record", "plan", "schedule"])
        for operation in try #require(document["operations"]).fields {
            let action = operation.value["action"]?.stringValue
            #expect(action == "send" || action == "receive", "\(operation.key)")
            #expect(operation.value["channel"]?["$ref"] != nil, "\(operation.key)")
        }
    }

    @Test("Commands: the nouns and verbs of the code, of asyncapi.json and of the page are the same")
    func commands() throws {
        let document = try Pages.json("asyncapi.json")
        let nouns = Noun.allCases
        let messages = Set(nouns.flatMap { noun in noun.verbs.map { "command_\(noun.rawValue)_\($0)" } })
        #expect(Set(document.at(pointer: "/channels/command/messages")?.keys ?? []) == messages)
        let named = document.at(pointer: "/channels/command/parameters/noun/enum")?.texts
        #expect(named == nouns.map(\.rawValue))
        for noun in nouns {
            let rows = Set(try Pages.firstCells(of: "commands", below: noun.rawValue))
            for verb in noun.verbs { #expect(rows.contains(verb), "\(noun.rawValue)/\(verb)") }
        }
    }

    @Test("Events and codes of the code stand on their pages, and the reverse")
    func eventsAndCodes() throws {
        let document = try Pages.json("asyncapi.json")
        let names = EventName.allCases.map(\.rawValue)
        #expect(Set(document.at(pointer: "/channels/event/parameters/event/enum")?.texts ?? []) == Set(names))
        let page = try Pages.text("events" + Pages.suffix)
        for name in names { #expect(page.contains("`\(name)`"), "\(name)") }
        #expect(try Pages.firstCells(of: "README", below: "Error codes") == Code.all.map(\.rawValue))
        let states = try Pages.firstCells(of: "tasks", below: "States")
        #expect(Set(states) == Set(TaskState.allCases.map(\.rawValue)))
    }

    @Test("Rights on the page are those that are generated")
    func rights() throws {
        for role in [Role.publisher, .executor] {
            let rules = role.rules(workspace: "main", principal: "%u")
            let section = try #require(
                try Pages.text("README" + Pages.suffix).components(separatedBy: "\n## Roles\n").last)
            let rows = section.split(separator: "\n")
            let row = try #require(rows.first { $0.hasPrefix("| \(role.rawValue) |") })
            let cells = row.split(separator: "|").dropFirst().map { cell in
                cell.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
                    .map { "main/martlet1/\($0.element)" }
            }
            let inherited = role == .executor ? Role.publisher.rules(workspace: "main", principal: "%u") : []
            for (access, cell) in [(AccessRule.Access.write, cells[0]), (.read, cells[1])] {
                let own = rules.filter { $0.access == access && !inherited.contains($0) }
                #expect(Set(cell) == Set(own.map(\.filter)), "\(role.rawValue) \(access.rawValue)")
            }
        }
    }

    @Test(
        "Links between pages lead somewhere, and their JSON is JSON",
        arguments: try Pages.names(in: "").filter { $0.hasSuffix(".md") })
    func page(name: String) throws {
        let text = try Pages.text(name)
        for link in text.matches(of: /\]\(([^)\s]+)\)/).map({ String($0.output.1) }) where !link.contains("://") {
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let target = parts[0].isEmpty ? name : parts[0]
            let found = FileManager.default.fileExists(atPath: Pages.folder.appendingPathComponent(target).path)
            #expect(found, "\(name): \(link)")
            guard parts.count == 2, found else { continue }
            let headings = try Pages.text(target).split(separator: "\n").filter { $0.hasPrefix("#") }.map(anchor)
            #expect(headings.contains(parts[1]), "\(name): \(link)")
        }
        for block in text.matches(of: /```json\n((?:.|\n)*?)```/).map({ $0.output.1 }) {
            for line in block.split(separator: "\n") {
                #expect(throws: Never.self, "\(name): \(line)") { try RawJSON(validating: Array(line.utf8)) }
            }
        }
    }

    /// The anchor that a heading gets: lower case, spaces as hyphens, without punctuation.
    private func anchor(_ heading: Substring) -> String {
        heading.drop { $0 == "#" || $0 == " " }.lowercased().compactMap { character in
            character == " "
                ? "-" : character.isLetter || character.isNumber || character == "-" ? String(character) : nil
        }.joined()
    }
}
