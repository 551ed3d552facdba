import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel

@testable import Console

/// What strangers could do to the services if rights were missing, and what a stolen client id gains.
@Suite(.serialized) struct ServiceAttackTests {
    private static let filters = [
        "capability/+", "circuit/#", "schedule/+", "check/+", "liveness/+", "alert/+", "summary/+/+", "result/#",
        "notify/#",
    ].map { "main/martlet1/\($0)" }
    private static let records = "_sys/martlet1/service/+/+"

    /// All that the services keep as views at the moment.
    private func views(_ fleet: SecureFleet) throws -> [String: String] {
        let reader = try fleet.client(SecureFleet.tester)
        defer { reader.leave() }
        try reader.subscribe(Self.records, retained: true)
        for filter in Self.filters { try reader.subscribe(filter, retained: true) }
        let mark = "main/martlet1/mark/\(UInt32.random(in: 0 ... .max))"
        try reader.subscribe(mark)
        try reader.publish(mark, "")
        return try reader.messages(upTo: mark).reduce(into: [:]) { found, message in
            found[message.topic] = message.payload.isEmpty ? nil : message.text
        }
    }

    /// Looks until the views are as they should be, or for so long.
    private func settled(_ fleet: SecureFleet, seconds: Int = 15, _ isRight: ([String: String]) -> Bool) throws
        -> [String: String]
    {
        let deadline = SystemClock.monotonic + seconds * 1000
        var last = try views(fleet)
        while !isRight(last), SystemClock.monotonic < deadline { last = try views(fleet) }
        return last
    }

    /// Something of each class that services retain.
    private func furnish(_ fleet: SecureFleet) throws -> HandExecutor {
        let label = try HandExecutor(fleet, "label-1", capability: "print.label")
        let shop = try fleet.client("shop")
        try shop.subscribe("main/martlet1/result/shop/#")
        try shop.publish("main/martlet1/intent/shop/print.label/kept", #"{"keep_ms":600000}"#)
        try label.succeed(label.assignment())
        _ = try shop.wait("main/martlet1/result/shop/print.label/kept")
        let olga = try fleet.client("olga")
        for (command, payload) in [
            ("circuit/open/print.label", "{}"),
            (
                "schedule/put/tick",
                #"{"type":"interval","spec":{"every_ms":3600000},"target":{"workspace_id":"main","agent_id":"@any"},"work":{"capability":"print.label"}}"#
            ),
            (
                "check/put/pulse",
                #"{"type":"interval","spec":{"every_ms":3600000},"target":{"workspace_id":"main","agent_id":"@any"},"work":{"capability":"print.label"}}"#
            ),
        ] {
            let reply = try olga.reply(command, payload)
            #expect(reply.contains("\"ok\":true"), "\(command): \(reply)")
        }
        return label
    }

    /// A kept result is published once and then only cleared: for it rights alone stand. All others are seen to:
    /// without rights a stranger can write over any view, delete it, or invent one: its owner puts it right.
    @Test func g16EveryOwnerRestoresItsViews() async throws {
        try await SecureFleet.withServices { fleet, _ in
            let label = try furnish(fleet)
            defer { label.leave() }
            let wanted = [
                "capability/print.label", "circuit/print.label", "schedule/tick", "check/pulse", "liveness/label-1",
            ].map { "main/martlet1/\($0)" }
            let before = try settled(fleet) { found in
                wanted.allSatisfy { found[$0] != nil } && found.keys.count { $0.hasPrefix("_sys/") } == 4
            }
            let owned = before.keys.filter { wanted.contains($0) || $0.hasPrefix("_sys/") }
            #expect(owned.count == wanted.count + 4, "\(before.keys.sorted())")
            let stranger = try fleet.client(SecureFleet.tester)
            for topic in owned.sorted() { try stranger.publish(topic, #"{"poison":true}"#, retain: true) }
            let mended = try settled(fleet) { found in !found.values.contains { $0.contains("poison") } }
            for topic in owned.sorted() {
                #expect(mended[topic] != nil && mended[topic]?.contains("poison") == false, "\(topic) stays poisoned")
            }
            for topic in owned.sorted() { try stranger.publish(topic, "", retain: true) }
            let restored = try settled(fleet) { found in owned.allSatisfy { found[$0] != nil } }
            for topic in owned.sorted() { #expect(restored[topic] != nil, "\(topic) stays away") }
        }
    }

    @Test func g16InventedViewsAreCleared() async throws {
        try await SecureFleet.withServices { fleet, _ in
            let label = try furnish(fleet)
            defer { label.leave() }
            let stranger = try fleet.client(SecureFleet.tester)
            let invented = [
                "capability/invented", "circuit/invented", "schedule/invented", "check/invented", "liveness/invented",
            ]
            .map { "main/martlet1/\($0)" }
            for topic in invented { try stranger.publish(topic, #"{"poison":true}"#, retain: true) }
            let left = try settled(fleet) { found in invented.allSatisfy { found[$0] == nil } }
            for topic in invented { #expect(left[topic] == nil, "\(topic) stays") }
        }
    }

    /// A stolen client id puts its service out once: it comes back under the same id, the same over restarts, and the
    /// thief has nothing of it.
    @Test(arguments: ["scheduler", "heartbeat", "monitor"]) func aStolenClientIdGainsNothing(service: String)
        async throws
    {
        try await SecureFleet.run { fleet in
            let first = try fleet.start(service)
            try fleet.waitUntilUp(service, first)
            let file = "\(fleet.folder.path)/state-\(service)/identity"
            let identity = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .newlines)
            #expect(identity.hasPrefix("\(service)-") && identity.count >= service.count + 1 + 32)
            let told = try fleet.client(SecureFleet.tester).retained("#")
            #expect(!told.contains { $0.key.contains(identity) || $0.value.contains(identity) }, "the id is told")
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("_sys/martlet1/service/\(service)/+")
            let thief = try fleet.client("mallory", id: identity)
            _ = try spy.wait("_sys/", containing: "\"state\":\"up\"")
            #expect(thief.session.nextMessage(timeoutMs: 0) == nil, "the thief got what was not his")
            thief.session.abort()
            try fleet.waitUntilUp(service, first)
            await first.end()
            let second = try fleet.start(service)
            try fleet.waitUntilUp(service, second)
            #expect(try String(contentsOfFile: file, encoding: .utf8).hasPrefix(identity), "the id is kept")
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode.map { $0 & 0o077 } == 0, "only the service can read its id")
            await second.end()
        }
    }
}
