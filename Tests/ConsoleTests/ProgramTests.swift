import Foundation
import TestSupport
import Testing

/// The program itself, without a broker.
@Suite struct ProgramTests {
    @Test func usageErrorsExitWith64() async throws {
        let outcome = try await martlet(["tsk"], try TemporaryFolder())
        #expect(outcome.status == 64)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors == "martlet: \"tsk\" is no command. Did you mean \"task\"? Try: martlet help\n")
    }

    @Test func helpAndVersionExitWith0() async throws {
        let folder = try TemporaryFolder()
        for words in [
            [], ["--help"], ["help", "task"], ["task", "get", "--help"], ["help", "examples"], ["help", "--man"],
        ] {
            let outcome = try await martlet(words, folder)
            #expect(outcome.status == 0)
            #expect(!outcome.output.isEmpty)
        }
        #expect(try await martlet(["--version"], folder).output == "martlet 0.1.0\n")
    }

    @Test func aBrokerThatIsNotThereIs69() async throws {
        let port = try FreePort.take()
        let outcome = try await martlet(
            ["run", "demo.echo", "--broker", "mqtt://127.0.0.1:\(port)"], try TemporaryFolder())
        #expect(outcome.status == 69)
        #expect(outcome.errors.contains("cannot reach the broker at mqtt://127.0.0.1:\(port)"))
    }

    @Test func graveVerbsAskAndNobodyIsThere() async throws {
        let outcome = try await martlet(["circuit", "open", "print.label"], try TemporaryFolder())
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("--yes"))
    }

    @Test func unknownContextsAreConfigurationErrors() async throws {
        let outcome = try await martlet(["task", "list", "--context", "nowhere"], try TemporaryFolder())
        #expect(outcome.status == 78)
    }

    @Test func previewShowsAGapAsTheHelpDoes() async throws {
        let words = [
            "schedule", "preview", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-03-28", "--count", "3",
        ]
        let outcome = try await martlet(words, try TemporaryFolder())
        #expect(outcome.status == 0)
        #expect(
            outcome.output == """
                2026-03-28 02:30 CET    2026-03-28T01:30:00Z
                2026-03-29 03:00 CEST   2026-03-29T01:00:00Z   02:30 does not exist that day
                2026-03-30 02:30 CEST   2026-03-30T00:30:00Z

                """)
    }

    @Test func batchLinesAreAnsweredInOrder() async throws {
        let folder = try TemporaryFolder()
        let input = """
            {"id":1,"expr":"*/5 * * * *","tz":"Europe/Paris","start":1700000000}
            no json
            {"id":"x","expr":"0 0 31 2 *","start":1}
            {"id":2,"expr":"* * * * *","tz":"Nowhere/At_All","start":1}
            """
        let preview = try await martlet(["schedule", "preview", "--batch"], folder, input: input)
        #expect(preview.status == 0)
        #expect(
            preview.output == """
                {"id":1,"next":[1700000100,1700000400,1700000700,1700001000,1700001300]}
                {"id":null,"reject":"invalid_json"}
                {"id":"x","next":[]}
                {"id":2,"reject":"invalid_spec"}

                """)
        let zone = try await martlet(
            ["schedule", "zone", "--batch"], folder, input: "{\"tz\":\"America/New_York\",\"at\":1700000000}\n")
        #expect(
            zone.output
                == "{\"tz\":\"America/New_York\",\"at\":1700000000,\"off\":-18000,\"dst\":false,\"abbr\":\"EST\"}\n")
    }

    @Test func codesAreExplained() async throws {
        let folder = try TemporaryFolder()
        let outcome = try await martlet(["code", "busy"], folder)
        #expect(outcome.output.hasPrefix("busy: a queue is full."))
        let unknown = try await martlet(["code", "bussy"], folder)
        #expect(unknown.status == 66)
        #expect(unknown.errors.contains("Did you mean \"busy\"?"))
    }

    /// Each shell itself says what comes after a beginning, where it is installed.
    @Test func everyShellCompletes() async throws {
        let folder = try TemporaryFolder()
        for shell in ["bash", "zsh", "fish"] {
            let script = try await martlet(["completion", shell], folder).output
            _ = try folder.write(shell == "zsh" ? "_martlet" : "martlet.\(shell)", script)
        }
        let bash = """
            source \(folder.path)/martlet.bash; COMP_WORDS=(martlet schedule pre); COMP_CWORD=2; _martlet
            echo "${COMPREPLY[*]}"; COMP_WORDS=(martlet ''); COMP_CWORD=1; _martlet; echo "${COMPREPLY[*]}"
            """
        let zsh = """
            compadd() { shift; print -r -- $* }; fpath=(\(folder.path) $fpath); autoload -Uz _martlet
            words=(martlet schedule pre); CURRENT=3; _martlet; words=(martlet ''); CURRENT=2; _martlet
            """
        let fish = """
            source \(folder.path)/martlet.fish; complete -C 'martlet schedule pre'; complete -C 'martlet '
            """
        for (shell, script) in [("bash", bash), ("zsh", zsh), ("fish", fish)] {
            let program = "/usr/bin/\(shell)"
            guard FileManager.default.isExecutableFile(atPath: program) else { continue }
            let quiet = shell == "bash" ? ["--norc"] : shell == "zsh" ? ["-f"] : ["--no-config"]
            let outcome = try await ChildCommand.run(
                [program] + quiet + ["-c", script], environment: ["HOME": folder.path, "PATH": "/usr/bin:/bin"])
            #expect(outcome.errors.isEmpty, "\(shell): \(outcome.errors)")
            for word in ["preview", "broker", "doctor"] {
                #expect(outcome.output.contains(word), "\(shell): \(outcome.output)")
            }
        }
    }

    @Test func completionsNameEveryCommand() async throws {
        let folder = try TemporaryFolder()
        for shell in ["bash", "zsh", "fish"] {
            let outcome = try await martlet(["completion", shell], folder)
            #expect(outcome.status == 0)
            for word in ["schedule", "preview", "can_execute", "dry-run"] { #expect(outcome.output.contains(word)) }
        }
        let script = try await martlet(["completion", "bash"], folder).output
        let line = "COMP_WORDS=(martlet task ca); COMP_CWORD=2; _martlet; echo ${COMPREPLY[*]}"
        let completed = try await ChildCommand.run(["/bin/bash", "-c", script + line])
        #expect(completed.output == "cancel\n", "\(completed.errors)")
        for (words, expected) in [
            ("run demo.echo --priority ''", "low normal high critical"), ("task assign t --mode pu", "push pull"),
            ("run demo.echo --priority = hi", "high"), ("--user me config show cl", "client"),
            ("code circuit_o", "circuit_open"),
            ("help schedule pre", "preview"), ("run demo.echo --dry", "--dry-run"), ("health jou", "journal"),
        ] {
            let line =
                "COMP_WORDS=(martlet \(words)); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _martlet; echo ${COMPREPLY[*]}"
            let completed = try await ChildCommand.run(["/bin/bash", "-c", script + line])
            #expect(completed.output == "\(expected)\n", "\(words): \(completed.errors)")
        }
    }

    @Test func configurationFilesAreChecked() async throws {
        let folder = try TemporaryFolder()
        let good = try folder.write("good.json", "// comment\n{\"dispatcher\":{\"task_events\":true}}\n")
        #expect(try await martlet(["config", "check", good], folder).status == 0)
        let bad = try folder.write("bad.json", "{\"dispatcher\":{\"task_evnts\":true},\"client\":{\"usr\":\"me\"}}\n")
        let outcome = try await martlet(["config", "check", bad], folder)
        #expect(outcome.status == 78)
        #expect(outcome.output.contains("task_evnts"))
        #expect(outcome.output.contains("usr"))
        let shown = try await martlet(["config", "show", "dispatcher", "--origin"], folder)
        #expect(shown.output.contains("dispatcher.timeout_cap_ms 300000 ms  default"), "\(shown.errors)")
        let other = try folder.write("other.json", "{\n\"dispatcher\":{\n\"timeout_cap_ms\":20000}}\n")
        let given = try await martlet(["config", "show", "dispatcher", "--origin", "--config", other], folder)
        #expect(given.output.contains("dispatcher.timeout_cap_ms 20000 ms  \(other):3"), "\(given.errors)")
    }
}
