import Testing

@testable import Wire

@Suite struct ByteScanTests {
    /// Every byte at every place of a text longer than two words, against the plain definition.
    @Test func everyByteAtEveryPlace() {
        for length in 0..<20 {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var text = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                    text[place] = byte
                    let isSpecial = byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
                    #expect(text.endOfPlainText(from: 0) == (isSpecial ? place : length))
                    #expect(text.endOfPlainText(from: place) == (isSpecial ? place : length))
                    #expect(text.endOfPlainText(from: place + 1) == length)
                    #expect(text.endOfASCII == (byte >= 0x80 ? place : length))
                }
            }
        }
    }

    /// The first hit counts, though a later byte may be marked with it.
    @Test func firstHitOfSeveral() {
        let text = Array("abc\"\\def\"ghi\u{1}\u{21}".utf8)
        #expect(text.endOfPlainText(from: 0) == 3)
        #expect(text.endOfPlainText(from: 4) == 4)
        #expect(text.endOfPlainText(from: 5) == 8)
        #expect(text.endOfPlainText(from: 9) == 12)
        #expect(text.endOfPlainText(from: 13) == text.count)
    }

    /// Texts of all lengths, plain and to be escaped, come back as they were, with commas and colons in their places.
    @Test func writtenTextsComeBack() throws {
        for length in 0..<40 {
            for text in [String(repeating: "x", count: length), String(repeating: "é\n\"", count: length)] {
                var writer = JSONWriter()
                writer.object {
                    $0.field("first", text)
                    $0.field(named: text + "k") { $0.value(-length) }
                    $0.field("last", text)
                }
                var reader = try JSONReader(writer.bytes)
                try reader.beginObject()
                #expect(reader.nextKey() == "first")
                #expect(try reader.string() == text)
                #expect(reader.nextKey() == text + "k")
                #expect(try reader.int() == -length)
                #expect(reader.nextKey() == "last")
                #expect(try reader.string() == text)
                #expect(reader.nextKey() == nil)
            }
        }
    }

    /// Numbers of every length are written as they are spelled.
    @Test func integersOfEveryLength() {
        var number = 1
        for _ in 0..<18 {
            for value in [number, number - 1, -number, 10 * number - 1] {
                var writer = JSONWriter()
                writer.value(value)
                #expect(String(decoding: writer.bytes, as: UTF8.self) == String(value))
            }
            number *= 10
        }
        for value in [Int.max, Int.min] {
            var writer = JSONWriter()
            writer.value(value)
            #expect(String(decoding: writer.bytes, as: UTF8.self) == String(value))
        }
    }
}
