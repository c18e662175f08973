//! Whatever the server, the database and the role set: the same events, byte for byte, and the same
//! answers of `doctor` and `slot status`.

use pgevents_tests::lab::{Lab, RELAY_ROLE};
use serde_json::Value;

use crate::psql;

/// A row whose values print in as many ways as there are settings for it.
const VALUES: &str = "CREATE TYPE moment AS (at timestamptz, for_ interval);
    CREATE TABLE public.\"Values\" (id int PRIMARY KEY, at timestamptz, on_ date, for_ interval,
        price money, share float8, part float4, raw bytea, doc xml, class regclass, type regtype,
        function regprocedure, pair moment, several timestamptz[], during tstzrange, names name[],
        document jsonb, amount numeric);
    ALTER TABLE public.\"Values\" REPLICA IDENTITY FULL;
    INSERT INTO public.\"Values\" VALUES (1, '2026-02-03 04:05:06.789+09', '2026-02-03',
        '1 year 2 mons -3 days 04:05:06.7', -1234.56, 0.1::float8 + 0.2, 1.1, '\\x00ff5c', '<a/>b',
        'public.\"Values\"', 'public.moment', 'pg_catalog.lower(text)',
        ROW('2026-02-03 04:05:06+00', '-1 days')::moment, '{2026-02-03 04:05:06+00, NULL}',
        '[2026-02-03 04:05:06+00,)', '{a,\"b c\"}', '{\"a\": 1.0}', 1.10)";

/// Touches the row: its event is the same each time.
const TOUCH: &str = "UPDATE public.\"Values\" SET id = id";

/// Settings that do more than a session can bear; each with the reason.
const LEFT_OUT: [&str; 12] = [
    // No session starts any more, not even psql's.
    "session_preload_libraries",
    // The administrator's way of refusing the plugin; that it says so is a test of its own.
    "output_plugin_libraries",
    "dynamic_library_path",
    "extension_destdir",
    // Excludes the statistics of the parts, and the other way round.
    "log_statement_stats",
    // The relay gives its own, and is told by it.
    "application_name",
    // Of the running transaction; those of the next ones are set.
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    // There is one method, and no tablespace that may be named.
    "default_table_access_method",
    "default_tablespace",
    "temp_tablespaces",
];

/// Which end of what a setting may be.
#[derive(Clone, Copy)]
enum End {
    Low,
    High,
}

#[tokio::test]
async fn no_setting_of_a_database_or_a_role_changes_an_event_or_what_is_found() {
    let mut lab = Lab::without_slot().await;
    // Its highest value depends on the system.
    lab.allow("max_stack_depth");
    // The first session may meet this one before it can name the setting.
    lab.allow("FATAL:  terminating connection due to idle-session timeout");
    lab.sql(VALUES).await;
    let name = lab.name().to_owned();
    lab.sql(&format!(
        "CREATE ROLE {name}_other; GRANT {name}_other TO {RELAY_ROLE}"
    ))
    .await;
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    let own_words = (stream_one(&lab, &mut queue).await, found(&lab).await);
    let database = format!("ALTER DATABASE {name}");
    let role = format!("ALTER ROLE {RELAY_ROLE} IN DATABASE {name}");
    for (who, end) in [(&database, End::Low), (&role, End::High)] {
        let set = set_hostile(&lab, who, end).await;
        assert!(set > 150, "{who}: {set} settings");
        if who.contains("ROLE") {
            lab.sql(&format!("{who} SET role = {name}_other")).await;
        }
        let words = (stream_one(&lab, &mut queue).await, found(&lab).await);
        assert_eq!(words, own_words, "under {who}");
        lab.sql(&format!("{who} RESET ALL")).await;
    }
    lab.sql(&format!("DROP ROLE {name}_other")).await;
    lab.finish().await;
}

/// The event of the touched row, and what `slot status` says of the relay that sends it.
async fn stream_one(lab: &Lab, queue: &mut pgevents_tests::lab::Queue) -> String {
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    lab.sql(TOUCH).await;
    let event = queue.next().await.text().to_owned();
    relay.stop().await;
    lab.slot_is_free().await;
    event
}

/// What `doctor` finds, each check with its level, and how `slot status` ends.
async fn found(lab: &Lab) -> (Vec<String>, i32) {
    let status = lab.command("slot status").start();
    let status = status.exit_code().await;
    let doctor = lab.command("doctor").env("PGTABLES", "public.\"Values\"");
    let doctor = doctor.flags("--json").start();
    doctor.exit_code().await;
    let report = doctor.process().stdout().since(0).join("\n");
    let report: Value = serde_json::from_str(&report).expect("a report is JSON");
    let findings = report["findings"].as_array().expect("a list");
    let word = |finding: &Value| format!("{} {}", finding["check"], finding["level"]);
    (findings.iter().map(word).collect(), status)
}

/// Sets every setting that can be set for a database or role to another value than it has, and says
/// how many there were.
async fn set_hostile(lab: &Lab, who: &str, end: End) -> usize {
    let settings = lab
        .rows(
            "SELECT name, vartype, setting, unit, min_val, max_val, enumvals FROM pg_settings
             WHERE context IN ('user', 'superuser') ORDER BY name",
        )
        .await;
    let mut set = 0;
    for setting in settings {
        let name: &str = setting.get(0);
        if LEFT_OUT.contains(&name) {
            continue;
        }
        let value = hostile(&setting, end);
        let value = value.replace('\'', "''");
        // What cannot be set so is no danger; how many could is counted.
        set += usize::from(
            lab.attempt(&format!("{who} SET {name} = '{value}'"))
                .await
                .is_ok(),
        );
    }
    set
}

fn hostile(setting: &tokio_postgres::Row, end: End) -> String {
    let [name, kind, now]: [&str; 3] = [0, 1, 2].map(|column| setting.get(column));
    let text = |column: usize| setting.get::<_, Option<&str>>(column).unwrap_or_default();
    match (kind, end) {
        ("bool", _) => if now == "on" { "off" } else { "on" }.to_owned(),
        ("enum", _) => {
            let values: Vec<String> = setting.get(6);
            let others = || values.iter().filter(|value| *value != now);
            let other = match end {
                End::Low => others().next(),
                End::High => others().next_back(),
            };
            other.map_or(now, |value| value.as_str()).to_owned()
        }
        // No timeout at all is the friendliest value, and the lowest.
        ("integer", End::Low) if text(3) == "ms" || text(3) == "s" => "1".to_owned(),
        ("integer" | "real", End::Low) => text(4).to_owned(),
        ("integer" | "real", End::High) => text(5).to_owned(),
        _ => hostile_text(name, end).unwrap_or(now).to_owned(),
    }
}

/// Values of settings that are text; of the others the one that is in force.
fn hostile_text(name: &str, end: End) -> Option<&'static str> {
    let [low, high] = match name {
        "DateStyle" => ["German, DMY", "SQL, MDY"],
        "TimeZone" => ["Pacific/Apia", "<-03>3"],
        "client_encoding" => ["LATIN1", "SQL_ASCII"],
        "search_path" => ["", "\"$user\", public, pg_catalog"],
        "local_preload_libraries" => ["no_such_library"; 2],
        "default_text_search_config" => ["pg_catalog.simple"; 2],
        "timezone_abbreviations" => ["Australia", "India"],
        "lc_messages" | "lc_monetary" | "lc_numeric" | "lc_time" => ["C", "POSIX"],
        "restrict_nonsystem_relation_kind" => ["view", "view, foreign-table"],
        "backtrace_functions" => ["exec_simple_query"; 2],
        "wal_consistency_checking" => ["all"; 2],
        "createrole_self_grant" => ["set, inherit"; 2],
        _ => return None,
    };
    Some(match end {
        End::Low => low,
        End::High => high,
    })
}

#[tokio::test]
async fn no_setting_of_a_psql_session_changes_an_event() {
    let lab = Lab::without_slot().await;
    lab.sql(VALUES).await;
    lab.create_slot().await;
    lab.sql(TOUCH).await;
    let expected = psql::peek(&lab, "").await;
    for setting in [
        "search_path = public",
        "search_path = ''",
        "quote_all_identifiers = on",
        "DateStyle = 'German, DMY'",
        "TimeZone = 'Pacific/Apia'",
        "IntervalStyle = sql_standard",
        "IntervalStyle = iso_8601",
        "extra_float_digits = -15",
        "bytea_output = escape",
        "xmloption = document",
        "xmlbinary = hex",
        "lc_monetary = 'POSIX'",
        "array_nulls = off",
        "standard_conforming_strings = off",
        "transform_null_equals = on",
    ] {
        lab.sql(&format!("SET {setting}")).await;
        assert_eq!(psql::peek(&lab, "").await, expected, "{setting}");
    }
    // Together, as one of them may hide what another does.
    assert_eq!(psql::peek(&lab, "").await, expected);
    lab.finish().await;
}
