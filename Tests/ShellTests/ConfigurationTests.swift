import Glibc
import TestSupport
import Testing
import Wire

@testable import Shell

@Suite struct ConfigurationTests {
    private let keys = [
        ConfigurationKey(
            "broker.address", .text, standard: "mqtt://127.0.0.1:1883", help: "The broker.", flag: "broker"),
        ConfigurationKey(
            "dispatcher.lease_ms", .duration(1000...600_000), standard: "30s", help: "The lease."),
        ConfigurationKey("dispatcher.attempts", .integer(1...20), help: "Attempts.", needsRestart: true),
        ConfigurationKey("dispatcher.task_events", .bool, standard: "false", help: "Events."),
        ConfigurationKey("dispatcher.routing", .word(["score", "cost_first"]), standard: "score", help: "Routing."),
        ConfigurationKey("dispatcher.workspaces", .list, standard: "main", help: "Workspaces."),
        ConfigurationKey("dispatcher.policy", .json, help: "Rules."),
        ConfigurationKey("dispatcher.password_file", .text, help: "Password.", isSecretFile: true),
    ]

    private func parse(
        _ arguments: [String] = [], environment: [String: String] = [:], shared: String? = nil, own: String? = nil
    ) throws -> (outcome: ConfigurationParser.Outcome, directory: String) {
        let scratch = try Scratch()
        var parser = ConfigurationParser(section: "dispatcher", keys: keys)
        parser.sharedFile = "\(scratch.path)/shared.json"
        var values = environment
        values["HOME"] = scratch.path
        let fixed = values
        parser.environment = { fixed[$0] }
        if let shared { try write(shared, to: parser.sharedFile) }
        if let own {
            try makeDirectories("\(scratch.path)/.config/martlet")
            try write(own, to: "\(scratch.path)/.config/martlet/martlet.json")
        }
        return (parser.parse(arguments.map { $0.replacing("%D", with: scratch.path) }), scratch.path)
    }

    private func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(file) }
        try writeAll(file, Array(text.utf8), named: path)
    }

    @Test func flagsGoBeforeEnvironmentBeforeFilesBeforeDefaults() throws {
        let shared =
            #"{"broker":{"address":"mqtt://a:1"},"dispatcher":{"lease_ms":2000,"attempts":3,"routing":"cost_first"}}"#
        let own = #"{"dispatcher":{"lease_ms":3000,"attempts":4}}"#
        let (outcome, directory) = try parse(
            ["--attempts", "6"],
            environment: ["MARTLET_DISPATCHER_ATTEMPTS": "5", "MARTLET_DISPATCHER_LEASE_MS": "4s"], shared: shared,
            own: own)
        #expect(outcome.problems.isEmpty)
        let configuration = outcome.configuration
        #expect(configuration.integer("dispatcher.attempts") == 6)
        #expect(configuration.entry("dispatcher.attempts").origin == .flag("--attempts"))
        #expect(configuration.integer("dispatcher.lease_ms") == 4000)
        #expect(configuration.entry("dispatcher.lease_ms").origin == .environment("MARTLET_DISPATCHER_LEASE_MS"))
        #expect(configuration.text("dispatcher.routing") == "cost_first")
        #expect(configuration.entry("dispatcher.routing").origin == .file(path: "\(directory)/shared.json", line: 1))
        #expect(configuration.text("broker.address") == "mqtt://a:1")
        #expect(configuration.list("dispatcher.workspaces") == ["main"])
        #expect(configuration.entry("dispatcher.workspaces").origin == .standard)
    }

    @Test func aNamedFileStandsInPlaceOfTheUsersOwn() throws {
        let (outcome, _) = try parse(
            ["--config", "%D/shared.json"], shared: #"{"dispatcher":{"attempts":3}}"#,
            own: #"{"dispatcher":{"attempts":4}}"#)
        #expect(outcome.configuration.integer("dispatcher.attempts") == 3)
        let (missing, _) = try parse(["--config=/no/such/file"])
        #expect(missing.exitStatus == 78)
    }

    /// The words before the last were right and make no two keys alike.
    @Test(arguments: [
        (#"{"dispacher":{}}"#, "dispacher: unknown key; did you mean dispatcher?"),
        (#"{"dispatcher":{"attemts":1}}"#, "dispatcher.attemts: unknown key; did you mean dispatcher.attempts?"),
        (#"{"dispatcher":{"colour":1}}"#, "dispatcher.colour: unknown key"),
        (#"{"dispatcher":{"limits_x":1}}"#, "dispatcher.limits_x: unknown key"),
    ])
    func onlyANearKeyIsSuggested(_ text: String, _ problem: String) throws {
        let (outcome, directory) = try parse(shared: text)
        #expect(outcome.problems.map(\.description) == ["\(directory)/shared.json:1: \(problem)"])
    }

    @Test func allFaultsAreToldAtOnce() throws {
        let file = """
            // A comment line.
            {
              "broker": {"address": 5},
              // Another one.
              "dispatcher": {
                "leese_ms": 2000,
                "attempts": 50,
                "routing": "fast",
                "task_events": "yes",
                "lease_ms": "soon"
              },
              "scheduler": {"anything": true},
              "surprise": 1
            }
            """
        let (outcome, directory) = try parse(environment: ["MARTLET_DISPATCHER_ATTEMPTS": "many"], shared: file)
        let found = outcome.problems.map(\.description)
        let path = "\(directory)/shared.json"
        #expect(
            found == [
                "\(path):3: broker.address: expected a text",
                "\(path):6: dispatcher.leese_ms: unknown key; did you mean dispatcher.lease_ms?",
                "\(path):7: dispatcher.attempts: expected an integer from 1 to 20",
                "\(path):8: dispatcher.routing: expected one of score, cost_first",
                "\(path):9: dispatcher.task_events: expected true or false",
                "\(path):10: dispatcher.lease_ms: expected a duration from 1s to 10m",
                "\(path):13: surprise: unknown key",
                "MARTLET_DISPATCHER_ATTEMPTS: dispatcher.attempts: expected an integer from 1 to 20, found \"many\"",
            ])
        #expect(outcome.exitStatus == 78)
    }

    @Test func syntaxFaultsNameTheLine() throws {
        let (outcome, _) = try parse(shared: "{\n  \"dispatcher\": {\n    \"attempts\": 3,,\n  }\n}")
        #expect(outcome.problems.count == 1)
        #expect(outcome.problems.first?.origin.hasSuffix("shared.json:3") == true)
    }

    @Test func usageFaultsHaveTheirOwnStatus() throws {
        let (outcome, _) = try parse(["--leas-ms", "--attempts", "0", "word", "--routing"])
        #expect(
            outcome.problems.map(\.description) == [
                "--leas-ms: unknown flag; did you mean --lease-ms?",
                "--attempts: dispatcher.attempts: expected an integer from 1 to 20, found \"0\"",
                "--routing: expected one of score, cost_first behind it", "word: unexpected word",
            ])
        #expect(outcome.exitStatus == 64)
    }

    @Test func valuesOfEveryKind() throws {
        let file =
            #"{"dispatcher":{"workspaces":["a","b"],"policy":{"rules":[1,2]},"task_events":true,"lease_ms":"2m"}}"#
        let (outcome, _) = try parse(["--password-file=/secret/place", "--task-events=false"], shared: file)
        let configuration = outcome.configuration
        #expect(configuration.list("dispatcher.workspaces") == ["a", "b"])
        #expect(configuration.json("dispatcher.policy")?.text == #"{"rules":[1,2]}"#)
        #expect(!configuration.bool("dispatcher.task_events"))
        #expect(configuration.integer("dispatcher.lease_ms") == 120_000)
        #expect(configuration.optionalInteger("dispatcher.attempts") == nil)
        #expect(configuration.listing.contains("dispatcher.password_file ***  flag --password-file\n"))
        #expect(configuration.listing.contains("dispatcher.lease_ms 120000 ms  /"))
        let text = String(decoding: configuration.encoded, as: UTF8.self)
        #expect(
            text
                == #"{"broker":{"address":"mqtt://127.0.0.1:1883"},"dispatcher":{"lease_ms":120000,"task_events":false,"#
                + #""routing":"score","workspaces":["a","b"],"policy":{"rules":[1,2]},"password_file":"/secret/place"}}"#
        )
    }

    @Test func restartKeysAreNamed() throws {
        let before = try parse().outcome.configuration
        let after = try parse(["--attempts", "2", "--lease-ms", "5s"]).outcome.configuration
        #expect(after.restartKeys(changedFrom: before) == ["dispatcher.attempts"])
    }

    @Test func helpShowsExamplesFirstAndEveryKey() {
        let parser = ConfigurationParser(section: "dispatcher", keys: keys)
        let text = HelpText(
            program: "martlet-dispatcher", summary: "Gives tasks away.",
            examples: [("martlet-dispatcher --broker unix:/x", "Use a socket.")], parser: parser
        ).text
        #expect(
            text.hasPrefix("martlet-dispatcher: Gives tasks away.\n\nExamples\n  martlet-dispatcher --broker unix:/x\n")
        )
        #expect(text.contains("--lease-ms DURATION\n      The lease. Default: 30s.\n"))
        #expect(text.contains("In configuration files only\n  dispatcher.policy\n"))
    }

    @Test func durationsReadAndWrite() {
        for (text, value) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000)] {
            #expect(DurationText.milliseconds(text) == value)
            #expect(DurationText.text(value) == text)
        }
        #expect(DurationText.milliseconds("1500") == 1500)
        #expect(DurationText.text(90_000) == "90s")
        for text in ["", "s", "1.5s", "-1s", "5 s", "5x", "99999999999999999999s"] {
            #expect(DurationText.milliseconds(text) == nil)
        }
    }
}
