extension CommandTable {
    /// `broker`.
    static let brokers: [Command] = [
        Command(
            "broker init", "writes a folder for a broker: mosquitto.conf, rights, the services' accounts",
            flags: [
                folderFlag, Flag("port", .integer(1), "the port on loopback; 1883"),
                Flag("tls-port", .integer(1), "the port for clients from outside, over TLS; 8883"),
                Flag("certificate", .text("FILE"), "the broker's certificate: opens the port with TLS"),
                Flag("key", .text("FILE"), "the key of the certificate"),
                Flag(
                    "client-authority", .text("FILE"), "who signs clients' certificates, which replace passwords there"),
                Flag("web-port", .integer(1), "a port on loopback for browsers; none"),
            ], shared: [.json],
            examples: [
                Example("martlet broker init --dir /etc/martlet/broker", "A new broker folder."),
                Example(
                    "martlet broker init --certificate /etc/ssl/broker.crt --key /etc/ssl/broker.key",
                    "With a listener for clients from outside."),
                Example(
                    "martlet broker init --web-port 9001", "With the dashboard on http://127.0.0.1:9001/."),
            ],
            details: [
                "The broker listens on loopback and on a Unix socket in the folder. Passwords of services are generated "
                    + "into secrets/, readable by their owner alone.",
                "With --web-port it also speaks MQTT over WebSockets on that port, and serves the dashboard there.",
            ], action: BrokerCommands.initialize),
        Command(
            "broker account add", "adds an account, or gives it other roles", arguments: [accountName],
            flags: [
                folderFlag,
                Flag(
                    "role", .text("ROLE"),
                    "publisher, executor, viewer, operator, home-assistant, dispatcher, scheduler, heartbeat or monitor",
                    repeats: true),
                Flag("workspace", .text("NAME"), "its workspace; main, for services all, unless said otherwise"),
                Flag("no-password", .none, "it has none: it proves itself by a certificate"),
                Flag("password-file", .text("FILE"), "file with the password; else one is made and printed"),
            ], shared: [.json],
            examples: [
                Example("martlet broker account add alice --role operator", "A person who may see and act."),
                Example("martlet broker account add label-1 --role executor --password-file pw", "An executor."),
            ], action: BrokerCommands.add),
        Command(
            "broker account list", "lists the accounts with their roles", flags: [folderFlag], shared: [.json],
            examples: [Example("martlet broker account list", "Who may do what.")], action: BrokerCommands.list),
        Command(
            "broker account rotate", "gives an account another password; the old one is worth nothing at once",
            arguments: [accountName],
            flags: [folderFlag, Flag("password-file", .text("FILE"), "file with the password; else one is made")],
            shared: [.json],
            examples: [
                Example("martlet broker account rotate dispatcher", "The service takes it when it connects again.")
            ],
            details: [
                "Whoever is connected as this account is put out and must come back with the new password; nobody else "
                    + "notices."
            ], action: BrokerCommands.rotate),
        Command(
            "broker account remove", "removes an account; the broker cuts it off at once", arguments: [accountName],
            flags: [folderFlag], shared: [.json],
            examples: [Example("martlet broker account remove label-1", "Cut it off.")], action: BrokerCommands.remove),
        Command(
            "broker apply", "writes the rights anew from accounts.json and makes the broker read them",
            flags: [folderFlag], shared: [.json],
            examples: [Example("martlet broker apply --dir /etc/martlet/broker", "After accounts.json was changed.")],
            action: BrokerCommands.apply),
    ]

    /// `bridge`.
    static let bridges: [Command] = [
        Command(
            "bridge home-assistant", "shows executors, schedules and circuits in Home Assistant",
            flags: [
                Flag("prefix", .text("LEVEL"), "the first level of Home Assistant's topics; homeassistant"),
                Flag("clean", .none, "at the end takes everything back that was shown"),
            ], shared: [.bus],
            examples: [
                Example("martlet bridge home-assistant", "Until Ctrl-C; what was shown stays."),
                Example("martlet bridge home-assistant --clean", "At the end nothing of it is left."),
            ],
            details: [
                "Executors become devices, schedules a switch, a button and the next run, circuits binary sensors. Home "
                    + "Assistant reads their states from the retained views; it needs an account that may.",
                "Orders from Home Assistant are carried out with the rights of the bridge's account, which needs the roles "
                    + "operator and home-assistant.",
            ], action: BridgeCommand.run)
    ]

    /// `doctor`.
    static let doctor: [Command] = [
        Command(
            "doctor", "examines a broker before use; each finding with its remedy",
            flags: [
                folderFlag,
                Flag("configuration", .text("FILE"), "the broker's mosquitto.conf; else the one of the usual folder"),
            ],
            shared: [.bus, .json],
            examples: [
                Example("martlet doctor", "The broker in use, and its configuration if it is one of ours."),
                Example(
                    "martlet doctor --broker mqtt://127.0.0.1 --configuration /etc/mosquitto/mosquitto.conf",
                    "Any broker, with its file."),
            ],
            details: [
                "Publishes harmless requests of its own, and some that a good broker refuses. Findings are ok, note, "
                    + "warning or fault; the exit status is 1 if there is a fault. With --json each line has code, level, "
                    + "text and remedy; the codes do not change."
            ], action: Doctor.run)
    ]

    private static let folderFlag = Flag(
        "dir", .text("FOLDER"), "the broker's folder; /etc/martlet/broker for root, else ~/.config/martlet/broker")
    private static let accountName = Argument("NAME", "the account, which is the principal's name")
}
