import Contract
import Shell
import Wire

/// `martlet context`: named connections.
enum ContextCommands {
    /// `context list`.
    static func list(_ session: Session) throws(Failure) -> ExitStatus {
        let file = try ContextFile.read(session.environment)
        var table = TextTable(["", "CONTEXT", "BROKER", "USER", "WORKSPACE"])
        for name in file.contexts.keys.sorted() {
            guard let context = file.contexts[name] else { continue }
            if session.wantsJSON {
                ContextCommands.print(session, name, context, isCurrent: name == file.current)
            }
            table.add([
                name == file.current ? "*" : "", name, context.broker, context.user ?? "",
                context.workspace ?? Names.defaultWorkspace,
            ])
        }
        if !session.wantsJSON { session.printTable(table, file.contexts.count) }
        return .done
    }

    /// `context use NAME`.
    static func use(_ session: Session) throws(Failure) -> ExitStatus {
        var file = try ContextFile.read(session.environment)
        let name = session.argument(0)
        guard let context = file.contexts[name] else {
            throw Failure(
                .notFound, "there is no context \"\(Terminal.escape(name))\"", code: .notFound,
                meant: Nearest.name(to: name, in: Array(file.contexts.keys)), tries: ["martlet context list"])
        }
        file.current = name
        try file.write(session.environment)
        if session.wantsJSON { print(session, name, context, isCurrent: true) }
        session.terminal.say("The context in use is now \"\(name)\".")
        return .done
    }

    /// `context show`: the connection that a command would use here.
    static func show(_ session: Session) throws(Failure) -> ExitStatus {
        let settings = try ConnectionSettings(session.invocation, environment: session.environment)
        let file = try ContextFile.read(session.environment)
        if session.wantsJSON {
            var context = ConnectionContext(broker: settings.address.description)
            (context.user, context.passwordFile) = (settings.user, settings.passwordFile)
            context.workspace = settings.workspace
            ContextCommands.print(session, file.current, context, isCurrent: nil)
            return .done
        }
        let rows = [
            ("context", file.current ?? "none"), ("broker", settings.address.description),
            ("user", settings.user ?? "none"), ("password file", settings.passwordFile ?? "none"),
            ("workspace", settings.workspace),
        ]
        for (name, text) in rows { session.terminal.print(name.padded(to: 15) + Terminal.escape(text)) }
        return .done
    }

    private static func print(
        _ session: Session, _ name: String?, _ context: ConnectionContext, isCurrent: Bool?
    ) {
        session.terminal.print(
            RawJSON { writer in
                writer.object {
                    $0.field("context", name)
                    $0.field("broker", context.broker)
                    $0.field("user", context.user)
                    $0.field("password_file", context.passwordFile)
                    $0.field("workspace", context.workspace ?? Names.defaultWorkspace)
                    $0.field("current", isCurrent)
                }
            }.bytes)
    }
}
