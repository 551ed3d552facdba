import Determinism
import Testing

@Suite struct Heaps {
    @Test(arguments: 0..<20) func popsInOrderAfterRandomChanges(_ seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        var heap = IndexedHeap<Int, Int>()
        var model: [Int: Int] = [:]
        for _ in 0..<500 {
            let key = generator.uniform(0...60)
            if generator.chance(1, of: 4) {
                #expect(heap.remove(key) == (model.removeValue(forKey: key) != nil))
            } else {
                let priority = generator.uniform(0...30)
                heap.set(key, priority)
                model[key] = priority
            }
        }
        let expected = model.map { ($0.value, $0.key) }.sorted { $0 < $1 }
        var popped: [(Int, Int)] = []
        while let top = heap.popFirst() { popped.append((top.priority, top.key)) }
        #expect(popped.elementsEqual(expected, by: ==))
    }
}

@Suite struct SortedDictionaries {
    @Test func agreesWithADictionaryAndWalksInOrder() {
        var generator = SeededGenerator(seed: 7)
        var sorted = SortedDictionary<Int, Int>()
        var model: [Int: Int] = [:]
        for step in 0..<1000 {
            let key = generator.uniform(0...80)
            let value: Int? = generator.chance(1, of: 3) ? nil : step
            sorted[key] = value
            model[key] = value
        }
        #expect(sorted.keys == model.keys.sorted())
        for key in 0...80 { #expect(sorted[key] == model[key]) }
    }
}

@Suite struct Generators {
    @Test func theSameSeedGivesTheSameSequence() {
        var one = SeededGenerator(seed: 42)
        var two = SeededGenerator(seed: 42)
        #expect((0..<100).map { _ in one.next() } == (0..<100).map { _ in two.next() })
    }
}
