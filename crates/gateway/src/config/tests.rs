use super::*;
use std::error::Error as _;

struct Variables(BTreeMap<&'static str, &'static str>);

impl keystile_system::Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|text| (*text).to_owned())
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        self.0.keys().filter(|name| name.starts_with(prefix)).map(|name| (*name).to_owned()).collect()
    }
}

fn load(
    flags: &[(&str, &str)],
    variables: &[(&'static str, &'static str)],
    toml: &str,
) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("keystile.toml");
    std::fs::write(&path, toml).expect("the file is written");
    Config::load(&Sources {
        flags: flags.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        file: Some(path),
        environment: &Variables(variables.iter().copied().collect()),
        other_variables: &["KEYSTILE_ACTOR"],
    })
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let toml = "max_connections = 1\nmax_requests = 2\nmax_streams = 3\n";
    let variables = [("KEYSTILE_MAX_REQUESTS", "20"), ("KEYSTILE_MAX_STREAMS", "30")];
    let loaded = load(&[("max-streams", "300")], &variables, toml).expect("a good configuration");
    let limits = &loaded.config.limits;
    assert_eq!((limits.connections, limits.requests, limits.streams), (1, 20, 300));
    assert_eq!(limits.request_timeout, Duration::from_secs(10));
    assert!(matches!(loaded.origin("max_connections"), Origin::File(_)));
    assert_eq!(*loaded.origin("max_requests"), Origin::Variable("KEYSTILE_MAX_REQUESTS".into()));
    assert_eq!(*loaded.origin("max_streams"), Origin::Flag("max-streams".into()));
    assert_eq!(*loaded.origin("request_timeout"), Origin::Default);
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_as_it_is_written_there() {
    let file = load(&[], &[], "max_conections = 1").expect_err("a misspelt key");
    assert!(file.to_string().ends_with("\"max_conections\"; did you mean \"max_connections\"?"), "{file}");
    let variable = load(&[], &[("KEYSTILE_LISTEM", "x")], "").expect_err("a misspelt variable");
    assert_eq!(
        variable.to_string(),
        "environment variable KEYSTILE_LISTEM: there is no setting \"listem\"; did you mean \"KEYSTILE_LISTEN\"?"
    );
    let flag = load(&[("report-intervall", "1s")], &[], "").expect_err("a misspelt flag");
    assert!(flag.to_string().ends_with("did you mean \"report-interval\"?"), "{flag}");
    let far = load(&[], &[], "zzzzzzzzzzzz = 1").expect_err("an unknown key");
    assert!(!far.to_string().contains("did you mean"), "{far}");
}

#[test]
fn variables_of_other_parts_and_of_kubernetes_service_links_are_left_alone() {
    let variables = [
        ("KEYSTILE_ACTOR", "ci"),
        ("KEYSTILE_SERVICE_HOST", "10.0.0.1"),
        ("KEYSTILE_SERVICE_PORT_GRPC", "17670"),
        ("KEYSTILE_PORT", "tcp://10.0.0.1:17670"),
        ("KEYSTILE_PORT_17670_TCP_ADDR", "10.0.0.1"),
        ("KEYSTILE_ADMIN_PORT_17671_TCP", "tcp://10.0.0.1:17671"),
        ("OTHER_LISTEN", "x"),
    ];
    assert_eq!(load(&[], &variables, "").expect("nothing of ours").config, Config::default());
}

#[test]
fn no_setting_has_a_name_that_a_service_link_could_have() {
    for setting in SETTINGS {
        let variables = Variables([(setting.variable().leak() as &str, "\u{1}")].into());
        let sources = Sources { flags: vec![], file: None, environment: &variables, other_variables: &[] };
        let name = setting.name;
        assert!(
            source::gather(&sources).expect("a known name").iter().any(|(found, ..)| found.name == name),
            "{name}"
        );
    }
}

#[test]
fn a_value_out_of_place_says_where_what_and_what_may_stand_there() {
    let cases = [
        (
            "listen = \"localhost\"",
            "listen is \"localhost\"; expected an address and port, such as 127.0.0.1:17670",
        ),
        ("max_connections = 0", "max_connections is \"0\"; expected 1 to 1000000"),
        ("report_interval = \"5 weeks\"", "expected a duration, such as 500ms, 30s, 5m or 1h"),
        ("request_timeout = \"1ms\"", "expected 10 to 600000 ms"),
        ("log_level = \"loud\"", "expected one of error, warn, info, debug, trace"),
        ("verify_only = \"maybe\"", "expected true or false"),
        ("listen = [1]", "listen is \"of type array\"; expected an address and port"),
        ("replica = \"two words\"", "expected a text"),
    ];
    for (toml, expected) in cases {
        let error = load(&[], &[], toml).expect_err(toml).to_string();
        assert!(error.starts_with("file ") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_missing_large_or_not_toml_is_refused() {
    let not_toml = load(&[], &[], "listen = ").expect_err("no value");
    assert!(matches!(not_toml, ConfigError::Toml { .. }) && not_toml.source().is_some());
    let large = load(&[], &[], &"#".repeat(300 * 1024)).expect_err("300 KiB");
    assert!(matches!(large, ConfigError::TooLarge { .. }));
    let nowhere = Sources {
        flags: vec![],
        file: Some("/nonexistent/keystile.toml".into()),
        environment: &Variables(BTreeMap::new()),
        other_variables: &[],
    };
    assert!(matches!(Config::load(&nowhere), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let toml = "store = \"dir:/var/lib/key\\\"stile\"\nverify_only = true\nrequest_timeout = \"1500ms\"\n\
                [extension_services]\nscan = \"urn:openshell:extension:middleware:scan\"\n";
    let first = load(&[("replica", "gw-0")], &[("KEYSTILE_LOG_FORMAT", "json")], toml).expect("good");
    let printed = first.print();
    let second = load(&[], &[], &printed).expect("the printed configuration is read");
    assert_eq!(first.config, second.config);
    assert!(printed.contains("# flag --replica"), "{printed}");
    assert!(printed.contains("# environment variable KEYSTILE_LOG_FORMAT"), "{printed}");
    assert!(printed.contains("# tls_cert is not set"), "{printed}");
    assert!(!printed.contains("clock_shift"), "hidden and default: {printed}");
}

#[test]
fn every_default_is_within_its_own_range() {
    let printed = load(&[], &[], "").expect("defaults").print();
    assert_eq!(load(&[], &[], &printed).expect("defaults again").config, Config::default());
}

#[test]
fn plaintext_beyond_loopback_is_refused_unless_asked_for() {
    let refused = load(&[], &[], "listen = \"0.0.0.0:17670\"").expect_err("plaintext for everybody");
    assert!(refused.to_string().contains("in plaintext"), "{refused}");
    assert!(refused.to_string().contains("insecure_plaintext"), "{refused}");
    load(&[], &[], "listen = \"0.0.0.0:17670\"\ninsecure_plaintext = true").expect("asked for");
    load(&[], &[], "listen = \"0.0.0.0:17670\"\ntls_cert = \"c\"\ntls_key = \"k\"").expect("TLS");
    let admin = load(&[], &[], "admin_listen = \"0.0.0.0:17671\"").expect_err("admin for everybody");
    assert!(admin.to_string().contains("admin_beyond_loopback"), "{admin}");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let cases = [
        ("tls_cert = \"c\"", "tls_key"),
        ("tls_client_ca = \"ca\"", "tls_cert"),
        ("client_certificates = \"required\"", "tls_client_ca"),
        ("certificate_bootstrap = true", "tls_client_ca"),
        ("admin_listen = \"127.0.0.1:17670\"", "its own port"),
        (
            "tls_cert = \"c\"\ntls_key = \"k\"\ntls_client_ca = \"ca\"\ncertificate_bootstrap = true\nverify_only = true",
            "verify_only",
        ),
    ];
    for (toml, expected) in cases {
        let error = load(&[], &[], toml).expect_err(toml);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
