import Testing
import Timing

/// The language of `conditions.custom` (`topics/schedules.md`).
@Suite struct CustomConditionTests {
    private func value(_ variable: ConditionVariable) -> ConditionValue {
        switch variable {
        case .year: .int(2026)
        case .weekday: .int(5)
        case .hour: .int(9)
        case .date: .string("2026-11-20")
        case .time: .string("09:30")
        case .lastStatus: .string("failed")
        case .agentStatus, .sinceLast: .null
        case .now: .int(Int.max)
        case .sessionActive: .bool(true)
        case .deferred: .bool(false)
        case .environment: .string("production")
        default: .int(3)
        }
    }

    @Test(arguments: [
        ("true", true), ("!true", false), ("!!true", true), ("hour == 9", true), ("hour != 9", false),
        ("hour >= 9 && hour < 17", true), ("weekday in [1, 2, 3, 4, 5]", true), ("weekday in [0,6]", false),
        ("last_status in ['success', \"failed\"]", true), ("agent_status in [null]", true),
        ("agent_status == null", true), ("agent_status != 'ready'", true), ("last_status == null", false),
        ("date < '2026-12-01'", true), ("time >= '09:30'", true), ("1 + 2 * 3 == 7", true), ("(1 + 2) * 3 == 9", true),
        ("-7 / 2 == -3", true), ("-7 % 2 == -1", true), ("- - 3 == 3", true), ("10 - 3 - 2 == 5", true),
        ("min(hour, 5) == 5", true), ("max(hour, 5) == 9", true), ("contains(date, '-11-')", true),
        ("contains('', 'x')", false), ("starts_with(environment, 'prod')", true), ("ends_with(time, ':30')", true),
        ("true || 1 / 0 == 1", true), ("false && 1 / 0 == 1", false), ("session_active && !deferred", true),
        ("'it\\'s' == \"it's\"", true), ("true || false && false", true), ("failures==3", true), ("null == null", true),
        ("9223372036854775807 == now_ms", true),
    ])
    func holds(text: String, expected: Bool) throws {
        #expect(try CustomCondition(text).holds(value) == expected)
    }

    @Test(arguments: [
        ("", 0), ("hour", 0), ("1 + true == 2", 4), ("hour == 'x'", 8), ("true < false", 7), ("!hour", 1), ("-true", 1),
        ("hour == 9 &&", 12), ("unknown == 1", 0), ("contains(hour, 'x')", 9), ("min(1)", 5), ("(true", 5),
        ("true)", 4),
        ("hour in []", 9), ("hour in [1,", 11), ("hour in ['x']", 9), ("'abc", 0), ("'a\\n' == 'a'", 3),
        ("hour = 9", 5),
        ("99999999999999999999 == 1", 0), ("true true", 5), ("hour == 9 == true", 10), ("null", 0),
        ("hour in [hour]", 9),
    ])
    func refused(text: String, offset: Int) {
        do {
            _ = try CustomCondition(text)
            Issue.record("\(text) is taken")
        } catch { #expect(error.offset == offset, "\(error)") }
    }

    @Test(arguments: [
        ("now_ms + 1 > 0", ConditionFault.overflow), ("1 / (hour - 9) == 1", .divisionByZero),
        ("1 % (hour - 9) == 1", .divisionByZero), ("since_last_ms > 5", .null), ("since_last_ms + 1 == 2", .null),
        ("contains(agent_status, 'x')", .null), ("agent_status < 'x'", .null), ("-now_ms * 2 < 0", .overflow),
        ("(-now_ms - 1) / -1 > 0", .overflow),
    ])
    func faults(text: String, fault: ConditionFault) throws {
        let condition = try CustomCondition(text)
        #expect(throws: fault) { try condition.holds(value) }
    }

    @Test func limitsHold() throws {
        _ = try CustomCondition(Array(repeating: "true", count: 12).joined(separator: "||"))
        #expect(throws: ConditionError.self) {
            try CustomCondition(Array(repeating: "true", count: 70).joined(separator: "||"))
        }
        #expect(throws: ConditionError.self) { try CustomCondition(String(repeating: "!", count: 17) + "true") }
        #expect(throws: ConditionError.self) { try CustomCondition(String(repeating: "(", count: 200) + "true") }
        #expect(throws: ConditionError.self) { try CustomCondition("true" + String(repeating: " ", count: 509)) }
        _ = try CustomCondition(String(repeating: "(", count: 16) + "true" + String(repeating: ")", count: 16))
    }
}
