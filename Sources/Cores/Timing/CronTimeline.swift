public import TimeModel

/// What happens to a local time that clocks jump over (`dst_gap`).
public enum GapRule: String, Hashable, Sendable, CaseIterable {
    /// `after` for a fixed-time expression, `skip` for a wildcard one; the default.
    case automatic = "auto"
    /// It fires at the first instant after the gap.
    case after
    /// It does not fire.
    case skip
}

/// What happens to a local time that comes twice (`dst_overlap`).
public enum OverlapRule: String, Hashable, Sendable, CaseIterable {
    /// `first` for a fixed-time expression, `both` for a wildcard one; the default.
    case automatic = "auto"
    /// Only the first occurrence fires.
    case first
    /// Only the last occurrence fires.
    case last
    /// Each occurrence fires.
    case both
}

/// The fire instants of a cron expression in a zone: a pure function of the two, so every start gives the same slots.
public struct CronTimeline: Hashable, Sendable {
    /// When clocks on the wall show a fire time.
    public let expression: CronExpression
    /// Where those clocks hang.
    public let zone: Zone
    /// Never `automatic`.
    public let gap: GapRule
    /// Never `automatic`.
    public let overlap: OverlapRule

    /// `automatic` is resolved by the form of the expression.
    public init(
        _ expression: CronExpression, zone: Zone, gap: GapRule = .automatic, overlap: OverlapRule = .automatic
    ) {
        self.expression = expression
        self.zone = zone
        self.gap = gap == .automatic ? (expression.isWildcard ? .skip : .after) : gap
        self.overlap = overlap == .automatic ? (expression.isWildcard ? .both : .first) : overlap
    }

    /// The least slot after `time`, at most 100 years on.
    public func next(after time: WallTime) -> WallTime? {
        let from = floorDivide(time.milliseconds, 1000) + 1
        let limit = from + searchYears * 31_557_600
        var second = from
        while second <= limit {
            let span = zone.span(at: second)
            if second == span.start, firesInGap(before: span) { return instant(second) }
            let low = max(second + span.offset, overlap == .first ? span.seenUntil : Int.min)
            guard let local = expression.nextLocal(from: low) else { return nil }
            let end = overlap == .last ? min(span.localEnd, span.comesAgainFrom) : span.localEnd
            if local < end { return local - span.offset > limit ? nil : instant(local - span.offset) }
            if span.end == Int.max { return nil }
            // Behind a long span no wall clock falls back below where this search began, so nothing comes before
            // the first match as far as offsets reach.
            let isLong = span.end - second > 2 * Zone.greatestOffset
            second = isLong ? max(span.end, local - Zone.greatestOffset) : span.end
        }
        return nil
    }

    /// The greatest slot at or before `time`, at most 100 years back.
    public func previous(atOrBefore time: WallTime) -> WallTime? {
        let from = floorDivide(time.milliseconds, 1000)
        let limit = from - searchYears * 31_557_600
        var second = from
        while second >= limit {
            let span = zone.span(at: second)
            let high = min(second + span.offset, overlap == .last ? span.comesAgainFrom - 1 : Int.max)
            guard let local = expression.previousLocal(upTo: high) else { return nil }
            let start = overlap == .first ? max(span.localStart, span.seenUntil) : span.localStart
            if local >= start { return local - span.offset < limit ? nil : instant(local - span.offset) }
            if span.start == Int.min { return nil }
            if firesInGap(before: span) { return instant(span.start) }
            let isLong = second - span.start > 2 * Zone.greatestOffset
            second = isLong ? min(span.start - 1, local + Zone.greatestOffset) : span.start - 1
        }
        return nil
    }

    /// Whether a fire time lies in the gap that opens the span.
    func firesInGap(before span: ZoneSpan) -> Bool {
        guard gap == .after, span.start != Int.min, span.seenUntil < span.localStart,
            let local = expression.nextLocal(from: span.seenUntil)
        else { return false }
        return local < span.localStart
    }

    private func instant(_ second: Int) -> WallTime { WallTime(milliseconds: second * 1000) }
}
