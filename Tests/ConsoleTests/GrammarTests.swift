import Testing

@testable import Console

/// What people type, and what they are told about it.
@Suite struct GrammarTests {
    private func parse(_ line: String) throws -> Invocation {
        let words = Array(CommandLineWords.split(line).dropFirst())
        guard case .run(let invocation) = try Parser(table: CommandTable.commands).parse(words) else {
            throw Failure(.usage, "\(line) asks for help")
        }
        return invocation
    }

    private func failure(_ line: String) -> Failure? {
        let words = Array(CommandLineWords.split(line).dropFirst())
        do {
            _ = try Parser(table: CommandTable.commands).parse(words)
            return nil
        } catch { return error }
    }

    @Test func everyExampleOfTheHelpIsUnderstood() throws {
        for command in CommandTable.commands {
            #expect(!command.examples.isEmpty, "\(command.name) has no example")
            for example in command.examples {
                let invocation = try parse(example.line)
                #expect(invocation.command.name == command.name, "\(example.line)")
            }
        }
    }

    @Test func commandsAreNamedOnce() {
        let names = CommandTable.commands.map(\.name)
        #expect(Set(names).count == names.count)
    }

    @Test func flagsAreNamedOnce() {
        for command in CommandTable.commands {
            let names = command.allFlags.map(\.name)
            #expect(Set(names).count == names.count, "\(command.name)")
        }
    }

    @Test func helpShowsExamplesFirst() {
        let text = Help(CommandTable.commands).text(["task", "cancel"])
        #expect(text.hasPrefix("  martlet task cancel"))
        #expect(text.contains("--reason TEXT"))
        #expect(text.contains("--yes"))
    }

    @Test func everyCommandHasHelpWithItsFlags() {
        for command in CommandTable.commands {
            let text = Help(CommandTable.commands).text(command.path)
            for flag in command.allFlags { #expect(text.contains(flag.usage), "\(command.name) --\(flag.name)") }
        }
    }

    @Test func overviewNamesEveryNoun() {
        let text = Help(CommandTable.commands).text([])
        for command in CommandTable.commands { #expect(text.contains("  \(command.path[0])"), "\(command.name)") }
    }

    @Test func flagsStandAnywhereBehindTheCommand() throws {
        let invocation = try parse("martlet run --id a1 demo.echo --priority=high '{\"a\":1}'")
        #expect(invocation.arguments == ["demo.echo", "{\"a\":1}"])
        #expect(invocation.text("id") == "a1")
        #expect(invocation.text("priority") == "high")
    }

    @Test func wordsBehindTwoHyphensAreNoFlags() throws {
        #expect(try parse("martlet run demo.echo -- --id").arguments == ["demo.echo", "--id"])
    }

    @Test func aSingleHyphenIsAnArgument() throws {
        #expect(try parse("martlet run demo.echo -").arguments == ["demo.echo", "-"])
    }

    @Test(arguments: [
        ("martlet rnu demo.echo", "run"), ("martlet task cancle x", "cancel"),
        ("martlet run demo.echo --prio high", "--priority"), ("martlet run demo.echo --priority hihg", "high"),
        ("martlet task list --state runing", "running"),
    ])
    func theNearestWordIsSuggested(_ line: String, _ meant: String) {
        #expect(failure(line)?.status == .usage)
        #expect(failure(line)?.meant == meant)
    }

    @Test(arguments: [
        "martlet --json run demo.echo", "martlet run", "martlet task get a b", "martlet run demo.echo --id",
        "martlet run demo.echo --timeout soon", "martlet run demo.echo --retry -1",
        "martlet run demo.echo --dry-run=yes",
        "martlet run demo.echo --id a --id b", "martlet completion powershell", "martlet task --json",
    ])
    func wrongLinesAreUsageErrors(_ line: String) {
        #expect(failure(line)?.status == .usage, "\(line)")
    }

    @Test(arguments: ["--version", "run --version", "task get --version", "task --version"])
    func theVersionIsToldEverywhere(_ line: String) throws {
        guard case .version = try Parser(table: CommandTable.commands).parse(CommandLineWords.split(line)) else {
            Issue.record("no version")
            return
        }
    }

    /// Help for a terminal of 80 columns fits it, but for command lines that are to be copied.
    @Test func helpFitsTheTerminal() {
        for path in [[], ["broker"]] + CommandTable.commands.map(\.path) {
            for line in Help(CommandTable.commands, width: 80).text(path).split(separator: "\n") {
                #expect(line.count <= 80 || line.hasPrefix("  martlet"), "\(line)")
            }
        }
    }

    /// A flag takes a value everywhere or nowhere: completions skip values by the flag's name alone.
    @Test func aFlagTakesAValueEverywhereOrNowhere() {
        let flags = CommandTable.commands.flatMap(\.allFlags)
        for flag in flags {
            #expect(
                flags.allSatisfy { $0.name != flag.name || ($0.value == .none) == (flag.value == .none) }, "\(flag)")
        }
    }

    /// Where `--timeout` is the time limit of an attempt it must not cut the wait for the answer.
    @Test func aTimeLimitOfTheWorkIsNotThatOfTheAnswer() throws {
        for line in [
            "martlet schedule put s --every 1h --timeout 1ms", "martlet run demo.echo --dry-run --timeout 1ms",
        ] {
            #expect(Session(try parse(line), environment: [:]).answerMs == Session.defaultAnswerMs, "\(line)")
        }
        #expect(Session(try parse("martlet task get a --timeout 3s"), environment: [:]).answerMs == 3000)
    }

    @Test func aNumberWithoutUnitIsTakenForSeconds() {
        #expect(failure("martlet run demo.echo --timeout 5")?.tries == ["--timeout 5s"])
    }

    @Test func aNounAloneShowsItsVerbs() throws {
        guard case .help(let path) = try Parser(table: CommandTable.commands).parse(["task"]) else {
            Issue.record("no help")
            return
        }
        #expect(path == ["task"])
    }

    @Test func linesAreSplitAsByAShell() {
        #expect(CommandLineWords.split("a 'b c'  \"d 'e'\" ''") == ["a", "b c", "d 'e'", ""])
    }

    @Test func theManualPageNamesEveryCommandAndExitStatus() {
        let page = ManualPage(CommandTable.commands).text
        for command in CommandTable.commands {
            #expect(page.contains(".SS martlet \(ManualPage.escape(command.name))"), "\(command.name)")
        }
        for status in ExitStatus.all { #expect(page.contains(".B \(status.rawValue)\n")) }
        #expect(!page.split(separator: "\n").contains { $0.hasPrefix("'") })
    }
}

/// Durations as people write them.
@Suite struct DurationTests {
    @Test(arguments: [
        ("500ms", 500), ("30s", 30_000), ("1.5s", 1500), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000),
        ("0", 0),
    ])
    func areRead(_ text: String, _ ms: Int) { #expect(Durations.parse(text) == ms) }

    @Test(arguments: ["", "5", "s", "-5s", "5 s", "1.2.3s", "5x", "99999999999999999999h", ".5s"])
    func othersAreRefused(_ text: String) { #expect(Durations.parse(text) == nil) }

    @Test(arguments: [
        (3, "3 ms"), (1200, "1.2 s"), (4000, "4 s"), (42_000, "42 s"), (252_000, "4 min 12 s"),
        (7_500_000, "2 h 5 min"),
        (273_600_000, "3 d 4 h"), (60_000, "1 min"),
    ])
    func areShown(_ ms: Int, _ text: String) { #expect(Durations.text(ms) == text) }

    @Test(arguments: [
        (3, "3 ms"), (1200, "1.2 s"), (42_000, "42 s"), (72_000, "1 min 12 s"), (252_000, "4 min"), (7_500_000, "2 h"),
        (5_400_000, "1 h 30 min"), (273_600_000, "3 d"),
    ])
    func areShort(_ ms: Int, _ text: String) { #expect(Durations.short(ms) == text) }
}
