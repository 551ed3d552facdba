import Foundation

/// Waiting for something that only another process can bring about.
public enum Await {
    /// Returns as soon as the condition holds, with true; or when `seconds` have passed, with false. No thread is held
    /// between two looks.
    public static func condition(seconds: Int = 20, _ holds: () async throws -> Bool) async throws -> Bool {
        let end = DispatchTime.now() + .seconds(seconds)
        while try await !holds() {
            guard DispatchTime.now() < end else { return false }
            await withCheckedContinuation { continuation in
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(10)) { continuation.resume() }
            }
        }
        return true
    }
}
