import Testing

/// The repository keeps its own rules. Each rule is shown to see an offence in `PlantedTests`.
@Suite struct RepositoryTests {
    private func check(_ rule: (SourceFile) -> [Offence]) {
        let offences = Repository.files.flatMap(rule)
        #expect(offences.isEmpty, "\(offences.map(\.description).joined(separator: "\n"))")
    }

    @Test func filesAreFound() {
        #expect(Repository.files.contains { $0.path == "Sources/Machines/Machine.swift" })
        #expect(Repository.files.contains { $0.path == "Package.swift" })
    }

    @Test func importsKeepToTheFloors() { check(ImportRules.floors) }
    @Test func testsUseSwiftTesting() { check(ImportRules.testing) }
    @Test func coresArePure() { check(LanguageRules.purity) }
    @Test func namesSayWhatThingsAre() { check(LanguageRules.names) }
    @Test func nothingIsForced() { check(LanguageRules.force) }
    @Test func checksOfRacesAreOn() { check(LanguageRules.unchecked) }
    @Test func testsDoNotSleep() { check(LanguageRules.pauses) }
    @Test func testsAreMarked() { check(LanguageRules.unmarkedTests) }
    @Test func filesAreShort() { check(SizeRules.file) }
    @Test func functionsAreShort() { check(SizeRules.functions) }
    @Test func readmeStartsWithCommands() { check(SizeRules.readme) }
    @Test func nothingIsUnfinished() { check(TextRules.unfinished) }
    @Test func nothingNamesOneMachine() { check(TextRules.machinePaths) }
    @Test func publicDeclarationsAreDocumented() { check(TextRules.documentation) }

    @Test func citedPagesExist() {
        let pages = Set(Repository.files.map(\.path).filter { $0.hasSuffix(".md") })
        check { $0.path.hasSuffix("PlantedTests.swift") ? [] : TextRules.citations($0, pages: pages) }
    }

    @Test func topLevelKeepsToTheLayout() throws {
        let offences = TextRules.layout(try Repository.topLevel())
        #expect(offences.isEmpty, "\(offences)")
    }
}
