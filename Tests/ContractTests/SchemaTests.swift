import Contract
import Testing
import Wire

@Suite("Schemas of topics/") struct SchemaTests {
    @Test("Each schema resolves, has a title and at least one valid example")
    func files() throws {
        let check = try SchemaCheck()
        #expect(check.files.count > 60)
        for (file, schema) in check.files {
            #expect(schema["$schema"]?.stringValue == "https://json-schema.org/draft/2020-12/schema", "\(file)")
            #expect(schema["title"]?.stringValue != nil, "\(file)")
            for reference in SchemaCheck.references(in: schema)
            where reference.contains("json") || reference.hasPrefix("#") {
                #expect(check.resolve(reference, from: file) != nil, "\(file): \(reference)")
            }
            let message = String(file.dropLast(".json".count))
            #expect(message == "common" || Example.valid.contains { $0.message == message }, "\(file) has no example")
        }
        for message in Set(Example.all.map(\.message)) { #expect(check.files["\(message).json"] != nil, "\(message)") }
    }

    @Test("Schemas accept the valid examples, and the examples show every property")
    func validExamples() throws {
        var check = try SchemaCheck()
        for example in Example.valid {
            let root = try #require(check.root("\(example.message).json"))
            let value = JSONValue(try RawJSON(validating: example.payload))
            #expect(check.fault(of: value, in: root) == nil, "\(example.testDescription)")
        }
        let unmet = check.properties.subtracting(check.met).filter { !isOfReplyData($0) }.sorted()
        #expect(unmet == [], "properties that no example shows")
    }

    /// Parts that describe the `data` of replies, which no message of its own carries, and `not` conditions.
    private func isOfReplyData(_ property: String) -> Bool {
        ["task", "candidate", "explain"].contains { property.hasPrefix("common.json#/$defs/\($0)/") }
    }

    @Test("Schemas refuse the invalid examples where a schema can tell")
    func invalidExamples() throws {
        var check = try SchemaCheck()
        for example in Example.invalid {
            guard let raw = try? RawJSON(validating: example.payload) else { continue }
            let root = try #require(check.root("\(example.message).json"))
            let accepts = check.fault(of: JSONValue(raw), in: root) == nil
            #expect(accepts == example.beyondSchema, "\(example.testDescription)")
        }
    }

    @Test("What a codec writes, its schema names")
    func keys() throws {
        let check = try SchemaCheck()
        for example in Example.valid {
            guard let codec = Codecs.roundTrip(example.message) else { continue }
            let written = JSONValue(try RawJSON(validating: try codec(example.payload)))
            let root = try #require(check.root("\(example.message).json"))
            let named = names(root, check)
            for key in written.keys { #expect(named.contains(key), "\(example.testDescription): \(key)") }
        }
    }

    /// The properties of a schema and of those it is made of.
    private func names(_ place: SchemaCheck.Place, _ check: SchemaCheck) -> Set<String> {
        var found = Set(place.schema["properties"]?.keys ?? [])
        if let reference = place.schema["$ref"]?.stringValue, let target = check.resolve(reference, from: place.file) {
            found.formUnion(names(target, check))
        }
        for word in ["allOf", "anyOf"] {
            for schema in place.schema[word]?.elements ?? [] {
                found.formUnion(names(place.child(word, schema), check))
            }
        }
        return found
    }

    @Test("Closed lists of words are those of the code")
    func words() throws {
        let check = try SchemaCheck()
        func list(_ pointer: String) throws -> Set<String> {
            let place = try #require(check.resolve(pointer, from: "common.json"))
            return Set(try #require(place.schema["enum"]).texts)
        }
        #expect(try list("#/$defs/code") == Set(Code.all.map(\.rawValue)))
        #expect(try list("#/$defs/status") == Set(Status.allCases.map(\.rawValue)))
        #expect(try list("#/$defs/state") == Set(TaskState.allCases.map(\.rawValue)))
        #expect(try list("#/$defs/priority") == Set(Priority.allCases.map(\.rawValue)))
        #expect(try list("#/$defs/mode") == Set(Mode.allCases.map(\.rawValue)))
        #expect(try list("#/$defs/delivery") == Set(Delivery.allCases.map(\.rawValue)))
        #expect(try list("#/$defs/circuit_state") == Set(CircuitState.allCases.map(\.rawValue)))
        #expect(try list("#/$defs/error/properties/class") == Set(ErrorClass.allCases.map(\.rawValue)))
        #expect(try list("intent.json#/properties/dedup") == Set(DedupMode.allCases.map(\.rawValue)))
        #expect(try list("intent.json#/properties/on_duplicate") == Set(OnDuplicate.allCases.map(\.rawValue)))
        #expect(try list("intent.json#/properties/updates") == Set(UpdateLevel.allCases.map(\.rawValue)))
        #expect(try list("update.json#/properties/type") == Set(Update.Kind.allCases.map(\.rawValue)))
        #expect(try list("report.json#/properties/type") == Set(Report.Kind.allCases.map(\.rawValue)))
        #expect(try list("report.json#/properties/reason") == Set(Report.Reason.allCases.map(\.rawValue)))
        #expect(try list("executor_status.json#/properties/status") == Set(ExecutorState.allCases.map(\.rawValue)))
        #expect(try list("reply.json#/properties/retry") == Set(RetryAdvice.allCases.map(\.rawValue)))
        #expect(try list("alert.json#/properties/severity") == Set(Severity.allCases.map(\.rawValue)))
        #expect(try list("liveness.json#/properties/verdict") == Set(Verdict.allCases.map(\.rawValue)))
        #expect(try list("liveness.json#/properties/reason") == Set(VerdictReason.allCases.map(\.rawValue)))
        #expect(try list("service.json#/properties/state") == Set(ServiceRecord.State.allCases.map(\.rawValue)))
        #expect(try list("history_record.json#/properties/record") == Set(RecordKind.allCases.map(\.rawValue)))
        #expect(try list("history_gap.json#/properties/reason") == Set(HistoryGap.Reason.allCases.map(\.rawValue)))
        #expect(try list("command_history_stats.json#/properties/by") == Set(HistoryDimension.allCases.map(\.rawValue)))
        #expect(try list("event.json#/properties/event") == Set(EventName.allCases.map(\.rawValue)))
    }
}
