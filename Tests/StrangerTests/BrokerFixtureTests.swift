import TestSupport
import Testing

/// The broker that the other tests use.
@Suite struct BrokerFixtureTests {
    @Test func carriesRequestAndAnswer() async throws {
        let broker = try await BrokerFixture()
        try await broker.publish("a/view", "kept", as: "owner", options: ["-r"])
        #expect(try await broker.read("a/+") == ["kept"])
        #expect(try await broker.ask("b/question", answer: "b/question", "echo", as: "owner") == "echo")
        await broker.end()
    }

    @Test func reportsAProgramThatEnds() async throws {
        let program = try ProgramFixture("/bin/sh", ["-c", "echo gone; exit 7"])
        #expect(await program.ended() == 7)
        #expect(program.output == "gone\n")
        let late = try await ChildCommand.run(["/bin/sh", "-c", "cat; kill -STOP $$"], input: "text", seconds: 1)
        #expect(late.status != 0)
        #expect(late.output == "text")
    }
}
