use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn producer(words: &str, environment: &[(&str, &str)]) -> Result<Producer, ConfigError> {
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
    Producer::new(&args, &lookup)
}

fn refusal(words: &str) -> String {
    producer(words, &[]).expect_err("refused").to_string()
}

#[test]
fn stdout_needs_no_more_than_a_slot() {
    let config = producer("--sink stdout --pgslot s", &[]).expect("valid");
    assert_eq!(config.postgres.address(), "localhost:5432");
    assert_eq!(config.postgres.database, config.postgres.user);
    assert_eq!(config.plugin_options, []);
}

#[test]
fn empty_values_count_as_not_given() {
    let config = producer("--sink stdout --pgslot s --pgtables= --pghost=", &[]).expect("valid");
    assert!(config.tables.is_none());
    assert_eq!(config.postgres.host, "localhost");
}

#[test]
fn options_of_the_plugin_are_passed_on_as_typed() {
    let words =
        "--sink stdout --pgslot s --pgtables public.a*,\"b\".c --actions delete --skip-noop";
    let options = producer(words, &[]).expect("valid").plugin_options;
    let expected = [
        ("tables", "public.a*,\"b\".c"),
        ("actions", "delete"),
        ("skip-noop", "true"),
    ];
    assert_eq!(
        options,
        expected.map(|(name, value)| (name, value.to_owned()))
    );
}

#[test]
fn refusals_name_the_setting() {
    assert!(refusal("--sink stdout").starts_with("PGSLOT is not set"));
    assert!(refusal("--pgslot s").starts_with("RABBITMQ_URL is not set"));
    assert!(refusal("--sink stdout --pgslot s;--").starts_with("PGSLOT is"));
    assert!(refusal("--sink stdout --pgslot s --pgport 0").starts_with("PGPORT is"));
    assert!(refusal("--sink stdout --pgslot s --pgsslmode on").starts_with("PGSSLMODE is"));
    assert!(refusal("--sink stdout --pgslot s --pgtables users").starts_with("read PGTABLES"));
    for (words, beginning) in [
        ("--exclude-columns public.users", "read --exclude-columns"),
        ("--actions insert,upsert", "--actions is \"insert,upsert\""),
        ("--messages a,,b", "--messages is"),
        ("--origin local", "--origin is \"local\": use any or none"),
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
    let both = format!("{broker} --unroutable park --parking-exchange p");
    assert_eq!(
        producer(&both, &[]).expect("valid").policy.unroutable,
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

/// Settings of a server that no test connects to.
pub(crate) fn postgres() -> Postgres {
    let config = producer("--sink stdout --pgslot s --pgdatabase shop", &[]);
    config.expect("valid").postgres
}
