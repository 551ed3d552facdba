import FuzzTargets
import Glibc

/// libFuzzer's entry: the target is named by MARTLET_FUZZ_TARGET. Compiled by `.ci/fuzz`, not by the package.
private let target: FuzzTarget = {
    let name = getenv("MARTLET_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else { fatalError("MARTLET_FUZZ_TARGET names no target") }
    return target
}()

/// Called for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    if let flaw = target.run(Array(UnsafeBufferPointer(start: start, count: count))) { fatalError(flaw) }
    return 0
}
