use clap::Parser;

use super::*;
use crate::postgres::TlsMode;
use crate::settings::flags::{Cli, Command};

fn producer(words: &str, environment: &[(&str, &str)]) -> Result<producer::Settings, ConfigError> {
    let words = ["pgevents", "producer"]
        .into_iter()
        .chain(words.split_whitespace());
    let Command::Producer(args) = Cli::try_parse_from(words).expect("accepted").command else {
        panic!("another command")
    };
    let lookup = |name: &str| {
        let pair = environment.iter().find(|(known, _)| *known == name);
        pair.map(|(_, value)| (*value).to_owned())
    };
    super::producer(&args, &lookup)
}

fn refusal(words: &str) -> String {
    producer(words, &[]).expect_err("refused").to_string()
}

#[test]
fn stdout_needs_no_more_than_a_slot() {
    let config = producer("--sink stdout --pgslot s", &[]).expect("valid");
    assert_eq!(config.postgres.address(), "localhost:5432");
    assert_eq!(config.postgres.database, config.postgres.user);
    assert_eq!(config.plugin, Options::default());
}

#[test]
fn empty_values_count_as_not_given() {
    let config = producer("--sink stdout --pgslot s --pgtables= --pghost=", &[]).expect("valid");
    assert!(config.plugin.tables().is_none());
    assert_eq!(config.postgres.host, "localhost");
}

#[test]
fn options_of_the_plugin_are_passed_on_as_typed() {
    let words =
        "--sink stdout --pgslot s --pgtables public.a*,\"b\".c --actions delete --skip-noop";
    let options = producer(words, &[]).expect("valid").plugin;
    let expected = [
        ("tables", Some("public.a*,\"b\".c")),
        ("actions", Some("delete")),
        ("skip-noop", Some("true")),
    ];
    assert_eq!(options.given().collect::<Vec<_>>(), expected);
}

#[test]
fn refusals_name_the_setting() {
    assert!(refusal("--sink stdout").starts_with("PGSLOT is not set"));
    assert!(refusal("--pgslot s").starts_with("RABBITMQ_URL is not set"));
    assert!(refusal("--sink stdout --pgslot s;--").starts_with("PGSLOT is"));
    assert!(refusal("--sink stdout --pgslot s --pgport 0").starts_with("PGPORT is"));
    assert!(refusal("--sink stdout --pgslot s --pgsslmode on").starts_with("PGSSLMODE is"));
    assert!(
        refusal("--sink stdout --pgslot s --pgtables users")
            .starts_with("PGTABLES is no list: table list, character 6")
    );
    for (words, beginning) in [
        (
            "--exclude-columns public.users",
            "--exclude-columns is no list",
        ),
        (
            "--actions insert,upsert",
            "--actions is \"upsert\": expected a comma list of insert",
        ),
        (
            "--messages a,,b",
            "--messages is \"a,,b\": expected a comma list of prefixes",
        ),
        (
            "--messages pgevents:,orders:",
            "--messages is \"orders:\": each prefix has to begin with pgevents:",
        ),
        (
            "--origin local",
            "--origin is \"local\": expected any or none",
        ),
        (
            "--max-value-bytes 0",
            "--max-value-bytes is \"0\": expected a number of bytes",
        ),
    ] {
        let refused = refusal(&format!("--sink stdout --pgslot s {words}"));
        assert!(refused.starts_with(beginning), "{refused}");
    }
}

#[test]
fn a_parking_exchange_and_its_policy_go_together() {
    let broker = "--pgslot s --rabbitmq-url amqp://localhost --rabbitmq-exchange e";
    let alone = refusal(&format!("{broker} --unroutable park"));
    assert!(
        alone.starts_with("--parking-exchange is not set"),
        "{alone}"
    );
    let idle = refusal(&format!("{broker} --parking-exchange p"));
    assert!(idle.contains("goes with --unroutable park"), "{idle}");
    let same = refusal(&format!("{broker} --unroutable park --parking-exchange e"));
    assert!(same.contains("another exchange"), "{same}");
    let both = format!("{broker} --unroutable park --parking-exchange p");
    assert_eq!(
        producer(&both, &[]).expect("valid").plan.policy.unroutable,
        Unroutable::Park
    );
}

#[test]
fn the_folder_of_a_socket_is_a_host() {
    let config = producer("--sink stdout --pgslot s --pghost /run/postgresql/", &[]);
    let postgres = config.expect("valid").postgres;
    assert!(postgres.is_socket());
    assert_eq!(postgres.address(), "/run/postgresql/.s.PGSQL.5432");
}

#[test]
fn a_host_is_one_name_and_what_may_hold_a_secret_is_not_repeated() {
    let host = |host: &str| producer(&format!("--sink stdout --pgslot s --pghost {host}"), &[]);
    assert_eq!(host("[::1]").expect("valid").postgres.host, "::1");
    for wrong in [
        "a,b",
        "postgres://u:canary@h/shop",
        "u:canary@h",
        "postgresql://canary",
    ] {
        let refused = host(wrong).expect_err(wrong).to_string();
        assert!(refused.starts_with("PGHOST cannot be used"), "{refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
    let refused = refusal("--sink stdout --pgslot s --pgport amqp://u:canary@h");
    assert!(refused.starts_with("PGPORT is (not shown"), "{refused}");
}

#[test]
fn the_authorities_of_the_system_come_with_a_check_of_the_name() {
    let words = "--sink stdout --pgslot s --pghost /run --pgsslrootcert system";
    let tls = |more: &str| producer(&format!("{words} {more}"), &[]).map(|p| p.postgres.tls);
    assert_eq!(tls("").expect("valid"), TlsMode::VerifyFull);
    assert_eq!(
        tls("--pgsslmode verify-full").expect("valid"),
        TlsMode::VerifyFull
    );
    for weaker in ["disable", "allow", "prefer", "require", "verify-ca"] {
        let refused = tls(&format!("--pgsslmode {weaker}")).expect_err(weaker);
        let expected = format!("PGSSLMODE is \"{weaker}\": with PGSSLROOTCERT=system");
        assert!(refused.to_string().starts_with(&expected), "{refused}");
    }
}

#[test]
fn a_variable_of_libpq_is_heeded_or_refused_and_never_ignored() {
    let with = |name: &str, value: &str| {
        let refused = producer("--sink stdout --pgslot s", &[(name, value)]);
        refused.map(drop).map_err(|fault| fault.to_string())
    };
    for (name, meant) in [
        ("PGHOSTADDR", None),
        ("PGSERVICE", None),
        ("PGREQUIREAUTH", None),
        ("PGSSLCRL", None),
        ("PGSSLCRLDIR", None),
        ("PGSSLMINPROTOCOLVERSION", Some("TLSv1.2")),
        ("PGSSLMAXPROTOCOLVERSION", Some("TLSv1.3")),
        ("PGSSLNEGOTIATION", Some("postgres")),
        ("PGSSLCERTMODE", Some("allow")),
        ("PGSSLSNI", Some("1")),
        ("PGSSLCOMPRESSION", Some("0")),
        ("PGREQUIRESSL", Some("0")),
        ("PGREQUIREPEER", None),
        ("PGGSSENCMODE", Some("prefer")),
        ("PGTARGETSESSIONATTRS", Some("read-write")),
        ("PGLOADBALANCEHOSTS", Some("disable")),
        ("PGOPTIONS", None),
        ("PGMINPROTOCOLVERSION", Some("3.0")),
    ] {
        let refused = with(name, "canary").expect_err(name);
        assert!(
            refused.starts_with(&format!("{name} is set")) && !refused.contains("canary"),
            "{refused}"
        );
        if let Some(meant) = meant {
            assert_eq!(with(name, meant), Ok(()), "{name}");
        }
    }
}
