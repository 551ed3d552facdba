import Contract
import Foundation
import Testing
import Wire

@testable import DispatcherCore

/// The samples for other programs, which no test runs: what they name is there.
@Suite struct SampleTests {
    private func text(_ name: String) throws -> String {
        let folder = Pages.folder.deletingLastPathComponent().appendingPathComponent("deploy/examples")
        return String(decoding: try Data(contentsOf: folder.appendingPathComponent(name)), as: UTF8.self)
    }

    private func json(_ name: String) throws -> JSONValue {
        JSONValue(try RawJSON(validating: Array(try text(name).utf8)))
    }

    private func elements(_ value: JSONValue?) -> [JSONValue] {
        if case .array(let elements)? = value { return elements }
        return []
    }

    @Test func theFlowsOfNodeRed() throws {
        let nodes = elements(try json("node-red.json"))
        let ids = nodes.compactMap { $0["id"]?.stringValue }
        #expect(ids.count == nodes.count && Set(ids).count == ids.count)
        #expect(nodes.filter { $0["type"]?.stringValue == "tab" }.count == 2)
        for node in nodes {
            for wire in elements(node["wires"]).flatMap({ elements($0) }) {
                #expect(wire.stringValue.map { ids.contains($0) } == true, "\(node["id"]?.stringValue ?? "")")
            }
            for key in ["z", "broker"] where node["type"]?.stringValue != "mqtt-broker" {
                if let other = node[key]?.stringValue { #expect(ids.contains(other)) }
            }
            let listened = node["type"]?.stringValue == "mqtt in" ? node["topic"]?.stringValue : nil
            let wildcards = ["/#": "/c/t", "+": "assign"]
            let heard = listened.map { name in wildcards.reduce(name) { $0.replacing($1.key, with: $1.value) } }
            let spoken = (node["func"]?.stringValue ?? "").matches(of: /main\/martlet1\/[^'`]*/)
                .map { String($0.output).replacing(/\$\{[^}]*\}/, with: "t") }
            for name in spoken + (heard.map { [$0] } ?? []) {
                let topic = try #require(Topic(name), "\(name)")
                #expect(topic.illegalName == nil, "\(name)")
            }
        }
    }

    @Test func theNumbersOfTelegrafAndGrafana() throws {
        let topic = "_sys/martlet1/metrics/+"
        #expect(try text("telegraf.conf").contains("topics = [\"\(topic)\"]"))
        #expect(Topic(topic.replacing("+", with: "dispatcher")) != nil)
        let documented = Set(try Pages.firstCells(of: "history", below: "Prometheus"))
        let own = JSONValue(Dispatcher(configuration: DispatcherConfiguration(), seed: 1).metricsRecord)
        var fields: Set<String> = ["journal_sync_ms"]
        if case .object(let list) = own { fields.formUnion(list.map(\.key)) }
        let board = try json("grafana.json")
        let panels = elements(board["panels"])
        #expect(panels.count > 5)
        for expression in panels.flatMap({ elements($0["targets"]) }).compactMap({ $0["expr"]?.stringValue }) {
            for match in expression.matches(of: /martlet_[a-z_()|]*/) {
                let name = String(match.output)
                if documented.contains(name) { continue }
                let rest = name.replacing(/^martlet_(dispatcher|\([a-z|]*\))_/, with: "")
                #expect(fields.contains(rest.replacing("_seconds", with: "_ms")), "\(name)")
            }
        }
    }
}
