import TimeModel

/// What may be spent in a period (`topics/tasks.md`, budgets): reserved at the grant, settled at the end, for the
/// period of the grant. Periods begin at multiples of their length since 1970.
struct Budget: Hashable, Sendable {
    /// Length of a period in ms.
    let periodMs: Int
    /// Micro-units per period.
    let amount: Int
    /// Spent in the present period.
    private(set) var spent = 0
    /// Reserved for attempts under way that were granted in the present period.
    private(set) var reserved = 0
    /// The present period: how many have passed since 1970.
    private(set) var period: Int

    /// A budget of which nothing is spent.
    init(periodMs: Int, amount: Int, at now: WallTime) {
        self.periodMs = periodMs
        self.amount = amount
        period = Budget.index(of: now, periodMs)
    }

    /// What was spent of `period`, as the journal says; of an older period than the present one it says nothing.
    mutating func restore(spent amount: Int, period: Int) {
        if period == self.period { spent = amount }
    }

    /// Whether `cost` may be spent now.
    func allows(_ cost: Int, at now: WallTime) -> Bool {
        isPresent(now) ? spent + reserved + cost <= amount : cost <= amount
    }

    /// Whether `cost` is more than a whole period allows.
    func neverAllows(_ cost: Int) -> Bool { cost > amount }

    /// Sets `cost` aside for an attempt that is granted now.
    mutating func reserve(_ cost: Int, at now: WallTime) {
        roll(to: now)
        reserved += cost
    }

    /// An attempt that was granted at `grantedAt` has ended. Of an earlier period nothing is left to settle.
    mutating func settle(reserved cost: Int, actual: Int, grantedAt: WallTime, at now: WallTime) {
        roll(to: now)
        guard Budget.index(of: grantedAt, periodMs) == period else { return }
        reserved = max(0, reserved - cost)
        spent += actual
    }

    /// What is spent and set aside of the period that is present now.
    func standing(at now: WallTime) -> (spent: Int, reserved: Int) { isPresent(now) ? (spent, reserved) : (0, 0) }

    /// When the next period begins.
    func nextPeriod(at now: WallTime) -> WallTime {
        WallTime(milliseconds: (Budget.index(of: now, periodMs) + 1) * periodMs)
    }

    private func isPresent(_ now: WallTime) -> Bool { Budget.index(of: now, periodMs) == period }

    private mutating func roll(to now: WallTime) {
        guard !isPresent(now) else { return }
        period = Budget.index(of: now, periodMs)
        spent = 0
        reserved = 0
    }

    /// How many periods have passed since 1970.
    static func index(of time: WallTime, _ periodMs: Int) -> Int {
        let (quotient, rest) = time.milliseconds.quotientAndRemainder(dividingBy: periodMs)
        return rest < 0 ? quotient - 1 : quotient
    }
}
