import CPlatform
import Foundation
import Machine
import Shell
import Synchronization
import TimeModel

/// What lives on the thread of a connection.
protocol Resident: SendableMetatype {
    /// What other threads can ask of it.
    associatedtype Request: Sendable

    /// Takes a request.
    mutating func take(_ request: Request, _ link: Link)
    /// Takes what happened to the connection.
    mutating func take(_ event: LinkEvent, _ link: Link)
    /// Does what is due.
    mutating func wake(_ link: Link)
    /// Until when nothing is due.
    var nextWake: MonotonicTime? { get }
    /// The Will of the next connection.
    func will() -> OutboundMessage?
    /// Whether the connection is to be left; what was published is delivered before.
    var isDone: Bool { get }
    /// The last thing that happens.
    mutating func ended()
}

/// One thread with one connection. The link never leaves it; requests come in through a mailbox and wake it.
final class BusThread<Home: Resident>: Sendable {
    /// Requests that wait; `nil` once nobody reads them any more.
    private let mailbox = Mutex<[Home.Request]?>([])
    private let bell: Bell

    /// Starts the thread. `makeHome` runs on it; what it is given sends requests to the thread from anywhere.
    init(
        _ options: ConnectionOptions, makeHome: @escaping @Sendable (@escaping @Sendable (Home.Request) -> Void) -> Home
    ) {
        bell = Bell()
        let thread = Thread { [self] in
            serve(Link(options, seed: RandomSource.seed), makeHome { [self] request in send(request) })
        }
        thread.name = "martlet"
        thread.start()
    }

    /// Gives a request to the thread; false once it has ended.
    @discardableResult func send(_ request: Home.Request) -> Bool {
        let isOpen = mailbox.withLock { requests in
            requests?.append(request)
            return requests != nil
        }
        bell.ring()
        return isOpen
    }

    private func takeRequests(closing: Bool = false) -> [Home.Request] {
        mailbox.withLock { requests in
            defer { requests = closing ? nil : [] }
            return requests ?? []
        }
    }

    private func serve(_ link: Link, _ home: consuming Home) {
        while !home.isDone {
            turn(link, &home)
        }
        let end = SystemClock.monotonic + 2000
        while link.isOpen, link.unacknowledged > 0, SystemClock.monotonic < end { exchange(link, until: end) }
        link.leave(at: SystemClock.monotonic)
        while !link.isClosed, SystemClock.monotonic < end { exchange(link, until: end) }
        for request in takeRequests(closing: true) { home.take(request, link) }
        home.ended()
    }

    private func turn(_ link: Link, _ home: inout Home) {
        let start = SystemClock.monotonic
        link.advance(at: start, will: { home.will() })
        link.flush(at: start)
        let wake = [home.nextWake, link.nextWake].compactMap { $0 }.min() ?? start + 60_000
        wait(link, until: link.hasEvents ? start : wake)
        for event in link.takeEvents() { home.take(event, link) }
        bell.silence()
        for request in takeRequests() { home.take(request, link) }
        if let due = home.nextWake, due <= SystemClock.monotonic { home.wake(link) }
        link.flush(at: SystemClock.monotonic)
    }

    private func exchange(_ link: Link, until end: MonotonicTime) {
        link.advance(at: SystemClock.monotonic, will: { nil })
        wait(link, until: min(end, SystemClock.monotonic + 50))
        link.flush(at: SystemClock.monotonic)
        _ = link.takeEvents()
    }

    private func wait(_ link: Link, until wake: MonotonicTime) {
        let interest = link.interest
        var entries = [
            pollfd(fd: interest.descriptor, events: interest.events, revents: 0),
            pollfd(fd: bell.listener, events: Int16(POLLIN), revents: 0),
        ]
        _ = poll(&entries, 2, Int32(clamping: max(0, wake - SystemClock.monotonic)))
        if entries[0].revents != 0 { link.read(at: SystemClock.monotonic) }
    }
}

/// A pipe that wakes a thread out of `poll`.
private final class Bell: Sendable {
    let listener: Int32
    private let button: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        let code = platform_pipe(&ends)
        precondition(code == 0, "a thread needs a pipe, and the system has none left")
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        (listener, button) = (ends[0], ends[1])
    }

    deinit {
        close(listener)
        close(button)
    }

    /// Wakes the listener; a full pipe is loud enough.
    func ring() {
        var byte: UInt8 = 1
        _ = write(button, &byte, 1)
    }

    func silence() {
        var bytes = [UInt8](repeating: 0, count: 256)
        while read(listener, &bytes, bytes.count) > 0 {}
    }
}
