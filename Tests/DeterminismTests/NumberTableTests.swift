import Determinism
import Testing

@Suite struct NumberTableTests {
    /// A table and a dictionary that go through the same changes agree.
    @Test func agreesWithADictionary() {
        var generator = SeededGenerator(seed: 7)
        var table = NumberTable<Int>()
        var dictionary: [Int: Int] = [:]
        for step in 0..<20_000 {
            let number = generator.uniform(0...500) * (step % 2 == 0 ? 1 : 1 << 40)
            switch generator.uniform(0...4) {
            case 0: #expect(table.removeValue(forKey: number) == dictionary.removeValue(forKey: number))
            case 1:
                table[number, default: 3] += step
                dictionary[number, default: 3] += step
            case 2:
                let changed: Int? = table.change(number) { value in
                    value += 1
                    return value
                }
                if let old = dictionary[number] { dictionary[number] = old + 1 }
                #expect(changed == dictionary[number])
            case 3:
                table[number]? -= 5
                dictionary[number]? -= 5
            default:
                table[number] = step
                dictionary[number] = step
            }
            #expect(table.count == dictionary.count)
        }
        #expect(Set(table.keys) == Set(dictionary.keys))
        #expect(table.values.sorted() == dictionary.values.sorted())
        for (number, value) in dictionary { #expect(table[number] == value) }
        var other = NumberTable<Int>()
        for number in dictionary.keys.sorted() { other[number] = dictionary[number] }
        #expect(table == other)
        for number in table.keys { table[number] = nil }
        #expect(table.isEmpty && Array(table.values).isEmpty && table != other)
        table[3] = 4
        #expect(table.keys == [3] && Array(table.values) == [4])
    }

    /// Numbers in a row, and multiples of large powers of two, do not crowd together.
    @Test func spreadsNumbers() {
        for step in [1, 2, 4096, 1 << 20, 1 << 32] {
            var low: Set<Int> = []
            for index in 0..<1024 { low.insert(Number.spread(index &* step, 12_345) & 4095) }
            #expect(low.count > 400)
        }
    }
}
