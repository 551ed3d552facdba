import Machine
import TestSupport
import Testing

@testable import Shell

/// The files of an archive in a real folder.
@Suite struct DirectoryFilesTests {
    @Test("More files than descriptors are kept open: each is read and added to all the same")
    func manyFiles() throws {
        let scratch = try Scratch()
        let files = try DirectoryFiles(scratch.path)
        let names = (0..<300).map { "f\(1000 + $0)" }
        for round in 0..<2 {
            for name in names {
                try files.append(Array("\(name) \(round)\n".utf8), to: name)
                try files.sync(name)
            }
        }
        #expect(try files.names() == names)
        for name in names.reversed() {
            let text = String(decoding: try files.read(name, at: 0, count: 100), as: UTF8.self)
            #expect(text == "\(name) 0\n\(name) 1\n")
        }
    }

    @Test("A file that was replaced, cut or removed is never read through its old descriptor")
    func changedFiles() throws {
        let scratch = try Scratch()
        let files = try DirectoryFiles(scratch.path)
        try files.append(Array("one".utf8), to: "a")
        #expect(try files.read("a", at: 0, count: 10) == Array("one".utf8))
        try files.replace("a", with: Array("second".utf8))
        #expect(try files.read("a", at: 0, count: 10) == Array("second".utf8))
        try files.cut("a", to: 3)
        #expect(try files.read("a", at: 0, count: 10) == Array("sec".utf8))
        #expect(try files.size(of: "a") == 3)
        try files.remove("a")
        #expect(throws: ArchiveFault.self) { try files.read("a", at: 0, count: 1) }
        #expect(try files.names() == [])
        #expect(try #require(files.freeBytes) > 0)
    }
}
