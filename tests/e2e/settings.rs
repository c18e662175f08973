//! Server settings that change how PostgreSQL prints values do not change events.

use pgevents_tests::lab::Lab;

#[tokio::test]
async fn hostile_output_settings_of_the_server_change_nothing() {
    let lab = Lab::with_own_postgres(
        "TimeZone = 'Asia/Kolkata'\n\
         DateStyle = 'SQL, DMY'\n\
         IntervalStyle = 'sql_standard'\n\
         bytea_output = 'escape'\n\
         extra_float_digits = -10\n\
         standard_conforming_strings = off\n\
         lc_monetary = 'C'\n",
    )
    .await;
    lab.sql(
        "CREATE TABLE moments (id int PRIMARY KEY, at timestamptz, plain timestamp, day date,
             spell interval, raw bytea, ratio float8, small float4, spells interval[])",
    )
    .await;
    lab.sql("ALTER TABLE moments REPLICA IDENTITY FULL").await;
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.producer().start();
    lab.sql(
        r"INSERT INTO moments VALUES (1, '2024-02-03 04:05:06.7+00', '2024-02-03 04:05:06.7',
             DATE '2024-02-03', INTERVAL '1 year 2 mons -3 days 04:05:06.7', decode('00ff5c', 'hex'),
             0.1::float8 + 0.2, 0.1, ARRAY[INTERVAL '1 day 01:00:00'])",
    )
    .await;
    let event = queue.next().await;
    let row = r#"{"id":1,"at":"2024-02-03T04:05:06.7+00:00","plain":"2024-02-03T04:05:06.7","day":"2024-02-03","spell":"1 year 2 mons -3 days +04:05:06.7","raw":"\\x00ff5c","ratio":0.30000000000000004,"small":0.1,"spells":["1 day 01:00:00"]}"#;
    let expected = format!(
        r#"{{"table_name":"public.moments","old":{{}},"new":{row},"id":1,"diff":{row},"action":"I"}}"#
    );
    assert_eq!(event.text(), expected);
    lab.finish().await;
}
