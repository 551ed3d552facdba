import Console
import Glibc

/// The command line of Martlet.
@main
struct Martlet {
    nonisolated static func main() {
        exit(Console.run(Array(CommandLine.arguments.dropFirst())))
    }
}
