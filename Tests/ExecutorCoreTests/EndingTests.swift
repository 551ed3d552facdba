import Contract
import ExecutorCore
import Machine
import Testing
import Wire

/// How the end of a program becomes an outcome.
@Suite struct EndingTests {
    private func outcome(
        _ end: ChildOutcome.End, _ output: String = "", errors: String = "", form: String = "json"
    ) throws -> Report {
        let rig = try Rig(
            #"{"capabilities":[{"name":"run","command":["tool"],"output":"\#(form)","memory_limit_mb":8}]}"#)
        rig.assign("t1", epoch: 1)
        rig.end(end, output: output, errors: errors)
        return try #require(rig.outcome)
    }

    private func details(_ report: Report) -> JSONValue { report.error?.details.map { JSONValue($0) } ?? .null }

    @Test func jsonOnStandardOutputIsTheOutput() throws {
        #expect(try outcome(.exited(0), " [1, 2]\n").output?.text == "[1, 2]")
        #expect(try outcome(.exited(0), "\n").output == nil)
        #expect(try outcome(.exited(0), "\n").status == .success)
    }

    @Test(arguments: ["hello", "{\"a\":1}{", "{\"a\":1,\"a\":2}", "NaN"])
    func otherOutputIsAnInvalidResult(_ text: String) throws {
        let report = try outcome(.exited(0), text)
        #expect(report.status == .failed)
        #expect(report.error?.code == .resultInvalid)
    }

    @Test func aTextBecomesAStringWithoutItsLastLineEnd() throws {
        #expect(try outcome(.exited(0), "a \"b\"\nc\r\n", form: "text").output?.text == #""a \"b\"\nc""#)
        #expect(try outcome(.exited(0), "", form: "text").output?.text == #""""#)
    }

    @Test func aReportNamesOutputUsageAndCost() throws {
        let text = #"{"output":{"a":1},"usage":{"tokens_used":12},"cost":5}"#
        let report = try outcome(.exited(0), text, form: "report")
        #expect(report.output?.text == #"{"a":1}"#)
        #expect(report.usage == Usage(cpuTimeMs: 7, memoryMB: 3, tokensUsed: 12))
        #expect(report.cost == 5)
        let failure = try outcome(.exited(0), #"{"error":{"code":"policy","class":"policy"}}"#, form: "report")
        #expect(failure.status == .failed)
        #expect(failure.error?.errorClass == .policy)
    }

    @Test func anotherStatusIsAFailureWithItsNumberAndTheEndOfStandardError() throws {
        let noise = String(repeating: "é", count: 500_000) + "last words"
        let report = try outcome(.exited(3), "", errors: noise)
        #expect(report.error?.code.rawValue == "program_failed")
        #expect(report.error?.errorClass == nil)
        #expect(details(report)["exit_code"]?.intValue == 3)
        let tail = try #require(details(report)["stderr"]?.stringValue)
        #expect(tail.hasSuffix("last words"))
        #expect(tail.utf8.count <= Limits.payload / 16)
        #expect(!tail.contains("\u{FFFD}"))
        let control = try outcome(.exited(3), "", errors: String(repeating: "\u{1}", count: 9000) + "end")
        #expect(control.error?.details?.bytes.count ?? 0 <= Limits.errorDetails)
        #expect(details(control)["stderr"]?.stringValue?.hasSuffix("end") == true)
        #expect(report.usage?.cpuTimeMs == 7)
    }

    @Test func aFailedProgramMayNameItsOwnError() throws {
        let text = #"{"error":{"code":"out_of_paper","class":"permanent","message":"tray 2"},"output":[1]}"#
        let report = try outcome(.exited(1), text, errors: "noise")
        #expect(report.status == .failed)
        #expect(report.error == ErrorBody(Code(rawValue: "out_of_paper"), "tray 2", errorClass: .permanent))
        #expect(report.output?.text == "[1]")
        #expect(try outcome(.exited(1), #"{"error":"text"}"#).error?.code.rawValue == "program_failed")
    }

    @Test func signalsLimitsAndTimeHaveTheirCodes() throws {
        #expect(details(try outcome(.signaled(11)))["signal"]?.intValue == 11)
        #expect(try outcome(.timedOut).error?.code == .executionTimeout)
        #expect(try outcome(.timedOut).error?.errorClass == .timeout)
        #expect(try outcome(.outputLimit).error?.code == .resourceExhausted)
        #expect(try outcome(.memoryLimit).error?.code == .resourceExhausted)
    }

    @Test func aMissingProgramIsPermanentAndNamed() throws {
        let report = try outcome(.notStarted("No such file or directory"))
        #expect(report.error?.errorClass == .permanent)
        #expect(report.error?.safe == true)
        #expect(report.error?.message == #"program "tool" could not be started: No such file or directory"#)
        let passing = try outcome(.notStarted("Resource temporarily unavailable"))
        #expect(passing.error?.errorClass == .transient)
    }

    @Test func anOutputThatFitsNoMessageIsTooLarge() throws {
        let rig = try Rig(#"{"capabilities":[{"name":"run","command":["tool"],"output_limit":262144}]}"#)
        rig.assign("t1", epoch: 1)
        rig.end(.exited(0), output: "\"" + String(repeating: "x", count: 250_000) + "\"")
        #expect(rig.outcome?.error?.code == .resultTooLarge)
        #expect(rig.published.allSatisfy { $0.payload.count <= Limits.payload })
    }

    @Test func theProgramMayRunALittleLongerThanTheDispatcherWaits() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        #expect(rig.children.first?.timeoutMs == 5500)
        var unlimited = rig.assignment("t2", epoch: 2)
        unlimited.timeoutMs = 0
        rig.work(.assign(unlimited))
        #expect(rig.children.last?.timeoutMs == Defaults.timeoutMs + 1000)
    }
}
