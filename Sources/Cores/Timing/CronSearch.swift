import TimeModel

/// How far a search looks before it says that nothing comes: 100 years.
let searchYears = 100

// The local search: nothing of zones, only the matching seconds of a wall clock.
extension CronExpression {
    /// The least matching local second ≥ `from`, at most 100 years on.
    func nextLocal(from: Int) -> Int? {
        let local = CivilTime(seconds: from)
        let date = local.date
        var year = date.year
        var month = date.month
        if months & 1 << UInt64(month) != 0 {
            let mask = days.mask(year: year, month: month) & (UInt32.max << UInt32(date.day))
            if mask != 0 {
                let monthStart = local.dayNumber - date.day
                if mask & 1 << UInt32(date.day) != 0, let time = nextTime(from: local.secondOfDay) {
                    return local.dayNumber * 86_400 + time
                }
                let later = mask & ~(1 << UInt32(date.day))
                if later != 0 { return (monthStart + later.trailingZeroBitCount) * 86_400 + firstTime }
            }
        }
        let lastYear = year + searchYears
        while true {
            month = nextMonth(after: month, year: &year)
            if year > lastYear { return nil }
            let mask = days.mask(year: year, month: month)
            if mask != 0 {
                let date = CivilDate(year: year, month: month, day: mask.trailingZeroBitCount)
                return date.dayNumber * 86_400 + firstTime
            }
        }
    }

    /// The greatest matching local second ≤ `upTo`, at most 100 years back.
    func previousLocal(upTo: Int) -> Int? {
        let local = CivilTime(seconds: upTo)
        let date = local.date
        var year = date.year
        var month = date.month
        if months & 1 << UInt64(month) != 0 {
            let mask = days.mask(year: year, month: month) & ~((UInt32.max << 1) << UInt32(date.day))
            if mask != 0 {
                let monthStart = local.dayNumber - date.day
                if mask & 1 << UInt32(date.day) != 0, let time = previousTime(upTo: local.secondOfDay) {
                    return local.dayNumber * 86_400 + time
                }
                let earlier = mask & ~(1 << UInt32(date.day))
                if earlier != 0 { return (monthStart + 31 - earlier.leadingZeroBitCount) * 86_400 + lastTime }
            }
        }
        let firstYear = year - searchYears
        while true {
            month = previousMonth(before: month, year: &year)
            if year < firstYear { return nil }
            let mask = days.mask(year: year, month: month)
            if mask != 0 {
                let date = CivilDate(year: year, month: month, day: 31 - mask.leadingZeroBitCount)
                return date.dayNumber * 86_400 + lastTime
            }
        }
    }

    /// Whether a local second matches.
    func matches(local second: Int) -> Bool { nextLocal(from: second) == second }

    private var firstTime: Int {
        hours.trailingZeroBitCount * 3600 + minutes.trailingZeroBitCount * 60 + seconds.trailingZeroBitCount
    }

    private var lastTime: Int { highest(hours) * 3600 + highest(minutes) * 60 + highest(seconds) }

    private func nextMonth(after month: Int, year: inout Int) -> Int {
        let later = months & UInt64.max << UInt64(month + 1)
        if later != 0 { return later.trailingZeroBitCount }
        year += 1
        return months.trailingZeroBitCount
    }

    private func previousMonth(before month: Int, year: inout Int) -> Int {
        let earlier = months & ~(UInt64.max << UInt64(month))
        if earlier != 0 { return highest(earlier) }
        year -= 1
        return highest(months)
    }

    /// The least matching second of the day ≥ `from`.
    private func nextTime(from: Int) -> Int? {
        let hour = from / 3600
        let minute = from / 60 % 60
        if hours & 1 << UInt64(hour) != 0 {
            if minutes & 1 << UInt64(minute) != 0, let second = lowest(seconds, from: from % 60) {
                return hour * 3600 + minute * 60 + second
            }
            if let minute = lowest(minutes, from: minute + 1) {
                return hour * 3600 + minute * 60 + seconds.trailingZeroBitCount
            }
        }
        guard let hour = lowest(hours, from: hour + 1) else { return nil }
        return hour * 3600 + minutes.trailingZeroBitCount * 60 + seconds.trailingZeroBitCount
    }

    /// The greatest matching second of the day ≤ `upTo`.
    private func previousTime(upTo: Int) -> Int? {
        let hour = upTo / 3600
        let minute = upTo / 60 % 60
        if hours & 1 << UInt64(hour) != 0 {
            if minutes & 1 << UInt64(minute) != 0, let second = highest(seconds, below: upTo % 60 + 1) {
                return hour * 3600 + minute * 60 + second
            }
            if let minute = highest(minutes, below: minute) {
                return hour * 3600 + minute * 60 + highest(seconds)
            }
        }
        guard let hour = highest(hours, below: hour) else { return nil }
        return hour * 3600 + highest(minutes) * 60 + highest(seconds)
    }
}

private func lowest(_ mask: UInt64, from: Int) -> Int? {
    let rest = mask & UInt64.max << UInt64(from)
    return rest == 0 ? nil : rest.trailingZeroBitCount
}

private func highest(_ mask: UInt64, below: Int) -> Int? {
    let rest = mask & ~(UInt64.max << UInt64(below))
    return rest == 0 ? nil : highest(rest)
}

private func highest(_ mask: UInt64) -> Int { 63 - mask.leadingZeroBitCount }
