/// The hash that spreads schedules over time: the same on every machine and for ever, since `H` and jitter must give
/// the same slot after each restart (`topics/schedules.md`).
public enum StableHash {
    /// FNV-1a over the UTF-8 of `id`, a byte 0x1F and `part`, then the 64-bit finalizer of murmur3.
    public static func value(_ id: String, _ part: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ 0x1F) &* 0x100_0000_01B3
        for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }
}
