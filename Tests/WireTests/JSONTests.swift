import Testing
import Wire

/// What a sender may and may not write.
@Suite struct JSONReading {
    @Test(arguments: [
        #"{"a":1,"a":2}"#, "{\"a\":1,\"\\u0061\":2}", "01", "1.", "NaN", "1e300", "9007199254740993", "[1,]", "{\"a\"}",
        "\"\\ud800\"", "\"a", "", " ", "{} {}", "tru", "\"\u{1}\"", "-", "[", "{\"a\":1,}",
    ])
    func refusesWhatIsNotStrictJSON(_ text: String) {
        #expect(throws: WireError.self) { try JSONReader(Array(text.utf8)) }
    }

    @Test func refusesInvalidUTF8AndNamesTheByte() {
        let bytes: [UInt8] = [0x22, 0x61, 0xC0, 0xAF, 0x22]
        #expect(throws: WireError(.syntax, offset: 2, reason: "not UTF-8")) { try JSONReader(bytes) }
    }

    @Test func refusesNestingBeyondItsLimitWithoutRecursingIntoIt() {
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 10_000)
        #expect(throws: WireError.self) { try JSONReader(deep) }
    }

    @Test func readsFieldsInAnyOrderAndSkipsUnknownOnes() throws {
        var reader = try JSONReader(Array(#" { "x" : [1,{"y":"}"}] , "seq" : -7, "t":"a\u00e9\n\ud83d\ude00" } "#.utf8))
        var seq = 0
        var text = ""
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "seq": seq = try reader.int()
            case "t": text = try reader.string()
            default: reader.skip()
            }
        }
        #expect(seq == -7)
        #expect(text == "aé\n😀")
    }

    @Test func aRefusalNamesThePathOfTheField() throws {
        var reader = try JSONReader(Array(#"{"steps":[{"name":"a"},{"name":5}]}"#.utf8))
        try reader.beginObject()
        _ = reader.nextKey()
        try reader.beginArray()
        var refusal: WireError?
        do {
            while reader.nextElement() {
                try reader.beginObject()
                while reader.nextKey() != nil { _ = try reader.string() }
            }
        } catch { refusal = error }
        #expect(refusal?.path == "steps[1].name")
    }

    @Test func manyKeysAreCheckedForDuplicatesToo() {
        let many = (0..<500).map { "\"k\($0)\":0" }.joined(separator: ",")
        #expect(throws: Never.self) { try JSONReader(Array("{\(many)}".utf8)) }
        #expect(throws: WireError.self) { try JSONReader(Array("{\(many),\"k7\":0}".utf8)) }
        for count in 1...50 {
            let keys = (0..<count).map { "\"k\($0)\":0" }
            #expect(throws: Never.self) { try JSONReader(Array("{\(keys.joined(separator: ","))}".utf8)) }
            for (first, again) in [(0, "k0"), (count - 1, "k\(count - 1)"), (count / 2, "\\u006b\(count / 2)")] {
                var all = keys
                all.insert("\"\(again)\":0", at: (first * 7) % (count + 1))
                #expect(throws: WireError.self, "\(count) keys and \(again) again") {
                    try JSONReader(Array("{\(all.joined(separator: ","))}".utf8))
                }
            }
        }
    }
}

@Suite struct JSONWriting {
    @Test func writesCompactTextInTheOrderOfTheCalls() {
        var writer = JSONWriter()
        writer.object {
            $0.field("b", -120)
            $0.field("a", "q\"\\\n\u{1}é")
            $0.field("none", nil as String?)
            $0.field("list", ["x", "y"])
        }
        #expect(String(decoding: writer.bytes, as: UTF8.self) == #"{"b":-120,"a":"q\"\\\n\u0001é","list":["x","y"]}"#)
    }

    @Test func canonicalTextIgnoresOrderAndSpaces() throws {
        let one = try RawJSON(validating: Array(#"{"b":[1, 2],"a":{"d":null,"c":true}}"#.utf8))
        let two = try RawJSON(validating: Array(#" {"a": {"c":true,"d":null}, "b":[1,2]}"#.utf8))
        #expect(one.canonical == two.canonical)
        #expect(one != two)
    }

    @Test func pointersReachIntoATree() throws {
        let tree = JSONValue(try RawJSON(validating: Array(#"{"a/b":[{"~":5}]}"#.utf8)))
        #expect(tree.at(pointer: "/a~1b/0/~0")?.intValue == 5)
        #expect(tree.at(pointer: "/a~1b/1") == nil)
        #expect(tree.at(pointer: "") == tree)
    }
}

@Suite struct Hashing {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
    func matchesThePublishedVectors(_ text: String, _ expected: String) {
        let hex = SHA256.hash(Array(text.utf8)).map { byte in
            let digits = Array("0123456789abcdef")
            return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
        }
        #expect(hex.joined() == expected)
    }
}
