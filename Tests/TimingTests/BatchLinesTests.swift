import Testing
import Timing

@Suite struct BatchLinesTests {
    private let lines = BatchLines(zones: SystemZones.catalog)

    private func preview(_ text: String) -> String { String(decoding: lines.preview(Array(text.utf8)), as: UTF8.self) }
    private func zone(_ text: String) -> String { String(decoding: lines.zone(Array(text.utf8)), as: UTF8.self) }

    @Test func previewGivesFiveSlots() {
        #expect(
            preview(#"{"id":1,"expr":"*/5 * * * *","start":1795165200}"#)
                == #"{"id":1,"next":[1795165500,1795165800,1795166100,1795166400,1795166700]}"#)
        #expect(preview(#"{"id":"a","expr":"0 0 30 2 *","tz":"Europe/Berlin","start":0}"#) == #"{"id":"a","next":[]}"#)
        #expect(
            preview(#"{"id":2,"expr":"30 2 29 3 *","tz":"Europe/Berlin","start":1774000000,"dst_gap":"skip"}"#)
                .hasPrefix(#"{"id":2,"next":[1806280200,"#))
    }

    @Test(arguments: [
        (#"{"id":1,"expr":"bad","start":0}"#, #"{"id":1,"reject":"invalid_spec"}"#),
        (#"{"id":1,"expr":"* * * * *","tz":"Mars/Base","start":0}"#, #"{"id":1,"reject":"invalid_spec"}"#),
        (#"{"id":[1],"expr":"* * * * *"}"#, #"{"id":[1],"reject":"invalid_field"}"#),
        (#"{"id":1,"expr":5,"start":0}"#, #"{"id":1,"reject":"invalid_field"}"#),
        (#"{"id":1,"expr":"* * * * *","start":0,"dst_gap":"x"}"#, #"{"id":1,"reject":"invalid_field"}"#),
        (#"{"expr":"* * * * *","start":1.5}"#, #"{"id":null,"reject":"invalid_field"}"#),
        (#"nonsense"#, #"{"id":null,"reject":"invalid_json"}"#), (#""#, #"{"id":null,"reject":"invalid_json"}"#),
    ])
    func previewRefuses(line: String, answer: String) {
        #expect(preview(line) == answer)
    }

    @Test func zoneTellsTheOffset() {
        #expect(
            zone(#"{"tz":"Europe/Berlin","at":1795165200}"#)
                == #"{"tz":"Europe/Berlin","at":1795165200,"off":3600,"dst":false,"abbr":"CET"}"#)
        #expect(
            zone(#"{"tz":"America/New_York","at":4118792400}"#)
                == #"{"tz":"America/New_York","at":4118792400,"off":-14400,"dst":true,"abbr":"EDT"}"#)
        #expect(zone(#"{"tz":"../etc","at":0}"#) == #"{"tz":"../etc","at":0,"reject":"invalid_spec"}"#)
        #expect(zone(#"{"tz":"UTC"}"#) == #"{"tz":"UTC","at":null,"reject":"invalid_field"}"#)
        #expect(zone(#"["#) == #"{"tz":null,"reject":"invalid_json"}"#)
    }
}
