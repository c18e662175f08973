use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use clap::FromArgMatches;

use super::*;
use crate::settings::flags::{Cli, Command, ProducerArgs};

/// Settings of `producer` with these flags and this file.
fn read(flags: &str, file: &str) -> Result<Settings, SettingsError> {
    let written = write(file);
    let path = written.path.to_str().expect("UTF-8");
    let words = ["pgevents", "producer", "--config", path].into_iter();
    Settings::read(
        words
            .chain(flags.split_whitespace())
            .map(OsString::from)
            .collect::<Vec<_>>(),
    )
}

/// A file of settings that only its owner can read, gone with the value.
struct Written {
    path: PathBuf,
}

fn write(text: &str) -> Written {
    let name = format!(
        "pgevents-{}-{:x}.toml",
        std::process::id(),
        fastrand::u64(..)
    );
    let path = std::env::temp_dir().join(name);
    fs::write(&path, text).expect("write a file");
    allow(&path, 0o600);
    Written { path }
}

impl Drop for Written {
    fn drop(&mut self) {
        fs::remove_file(&self.path).expect("remove it");
    }
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set its mode");
}

fn producer(settings: &Settings) -> Box<ProducerArgs> {
    let cli = Cli::from_arg_matches(settings.matches()).expect("clap's own types");
    let Command::Producer(args) = cli.command else {
        panic!("another command")
    };
    args
}

fn check_refusal(file: &str, says: &[&str]) {
    let error = read("", file).expect_err("refused").to_string();
    for text in says {
        assert!(error.contains(text), "{text:?} is not in {error}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_flag_comes_before_the_file_and_the_file_before_the_default() {
    let file = "pgslot = 'of_the_file'\nwindow = 4_000\nskip-noop = true\n\
        pgtables = ['public.users', 'public.orders']\nsink = 'stdout'\n";
    let args = producer(&read("--pgslot typed", file).expect("valid"));
    assert_eq!(args.pgslot.as_deref(), Some("typed"));
    assert_eq!(args.window, 4_000);
    assert_eq!(args.window_bytes, 16 << 20);
    let plugin = [
        ("tables", "public.users,public.orders".to_owned()),
        ("skip-noop", "true".to_owned()),
    ];
    assert_eq!(args.plugin.given, plugin);
    let args = producer(&read("", file).expect("valid"));
    assert_eq!(args.pgslot.as_deref(), Some("of_the_file"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    check_refusal(
        "\npgslto = 's'\n",
        &["line 2", "\"pgslto\"", "did you mean \"pgslot\"?"],
    );
    check_refusal(
        "rabbitmq_exchange = 's'",
        &["line 1", "did you mean \"rabbitmq-exchange\"?"],
    );
    check_refusal(
        "colour = 'blue'",
        &["line 1", "unknown key \"colour\"", "--help"],
    );
    // What is about one run cannot stand in a file.
    check_refusal("check = true", &["line 1", "unknown key \"check\""]);
}

#[test]
fn a_value_out_of_range_is_refused_with_its_line_and_the_range() {
    check_refusal(
        "sink = 'stdout'\n\nwindow = 70000",
        &["line 3", "window", "1..=60000"],
    );
    check_refusal("sink = 'paper'", &["line 1", "sink", "rabbitmq, stdout"]);
    check_refusal("skip-noop = 'often'", &["line 1", "true or false"]);
    check_refusal("window = { a = 1 }", &["line 1", "window"]);
    check_refusal(
        "[producer]\nwindow = 1",
        &["line 1", "unknown key \"producer\""],
    );
    check_refusal("window = = 1", &["line 1", "no TOML"]);
}

#[test]
fn a_file_with_a_secret_is_for_its_owner_only_and_errors_do_not_show_it() {
    let text = "pgpassword = 'canary'\nsink = 'stdout'";
    let args = producer(&read("", text).expect("valid"));
    assert_eq!(
        args.postgres
            .pgpassword
            .as_ref()
            .map(crate::secret::Secret::reveal),
        Some("canary")
    );
    let written = write(text);
    allow(&written.path, 0o644);
    let error = File::read(&written.path, &command())
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("line 1") && error.contains("chmod 0600"),
        "{error}"
    );
    assert!(!error.contains("canary"), "{error}");
    check_refusal("pgpassword = 'canary", &["line 1"]);
    assert!(
        !read("", "pgpassword = 'canary")
            .expect_err("refused")
            .to_string()
            .contains("canary")
    );
}

#[test]
fn of_a_secret_and_its_file_the_stronger_place_counts() {
    let args = producer(&read("--pgpassword-file /typed", "pgpassword = 'weak'").expect("valid"));
    assert!(args.postgres.pgpassword.is_none());
    let args = producer(&read("--pgpassword typed", "pgpassword-file = '/weak'").expect("valid"));
    assert_eq!(
        args.postgres
            .pgpassword
            .as_ref()
            .map(crate::secret::Secret::reveal),
        Some("typed")
    );
}

#[test]
fn the_effective_settings_say_where_each_comes_from_and_show_no_secret() {
    let file = "pgslot = 's'\npgpassword = 'canary'\nwindow = 7\n";
    let settings =
        read("--pghost db.example --rabbitmq-url amqp://u:canary@h", file).expect("valid");
    let text = Effective(&settings).to_string();
    let line = |start: &str| {
        text.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_default()
    };
    assert_eq!(line("pghost"), "pghost = \"db.example\"  # flag --pghost");
    assert!(line("window =").starts_with("window = 7  # ") && line("window =").ends_with("line 3"));
    assert_eq!(line("confirm-timeout"), "confirm-timeout = 30  # default");
    assert_eq!(line("# pgtables"), "# pgtables is not set (default: all)");
    assert!(line("# pgpassword is set").contains("line 2"));
    assert!(!text.contains("canary"), "{text}");
    // It is a file of settings itself.
    let again = read("", &text).expect("valid");
    assert_eq!(producer(&again).window, 7);
}

#[test]
fn a_word_that_belongs_elsewhere_is_not_repeated() {
    for words in [
        "--sink amqp://u:canary@h",
        "--window amqp://u:canary@h",
        "amqp://u:canary@h",
    ] {
        let refused = read(words, "").expect_err(words).to_string();
        assert!(!refused.contains("canary"), "{refused}");
    }
    check_refusal("window = 'amqp://u:canary@h'", &["window is (not shown"]);
    let refused = read("", "sink = 'amqp://u:canary@h'").expect_err("refused");
    assert!(!refused.to_string().contains("canary"), "{refused}");
}
