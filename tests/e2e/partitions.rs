//! Partitioned tables: under the name of the partition, or of the root with `partition-root`.

use pgevents_tests::lab::Lab;

use crate::psql;

/// The attached partition has its columns in another order.
const TABLES: &str = "CREATE TABLE orders (id int, year int, note text, PRIMARY KEY (id, year))
        PARTITION BY LIST (year);
    CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1) PARTITION BY RANGE (id);
    CREATE TABLE orders_1_low PARTITION OF orders_1 FOR VALUES FROM (0) TO (1000);
    CREATE TABLE orders_2 (note text, year int NOT NULL, id int NOT NULL, PRIMARY KEY (id, year));
    ALTER TABLE orders ATTACH PARTITION orders_2 FOR VALUES IN (2);
    ALTER TABLE orders_1_low REPLICA IDENTITY FULL; ALTER TABLE orders_2 REPLICA IDENTITY FULL";

/// A row that moves between partitions is deleted from the one and inserted into the other.
const CHANGES: &str = "INSERT INTO orders VALUES (7, 1, 'a'); UPDATE orders SET year = 2;
    UPDATE orders SET note = 'b'; DELETE FROM orders";

#[tokio::test]
async fn rows_carry_the_name_of_their_partition() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql(CHANGES).await;
    assert_eq!(
        psql::events(&lab, "").await,
        [
            r#"{"table_name":"public.orders_1_low","old":{},"new":{"id":7,"year":1,"note":"a"},"id":7,"diff":{"id":7,"year":1,"note":"a"},"action":"I"}"#,
            r#"{"table_name":"public.orders_1_low","old":{"id":7,"year":1,"note":"a"},"new":{},"id":7,"diff":{},"action":"D"}"#,
            r#"{"table_name":"public.orders_2","old":{},"new":{"note":"a","year":2,"id":7},"id":7,"diff":{"note":"a","year":2,"id":7},"action":"I"}"#,
            r#"{"table_name":"public.orders_2","old":{"note":"a","year":2,"id":7},"new":{"note":"b","year":2,"id":7},"id":7,"diff":{"note":"b"},"action":"U"}"#,
            r#"{"table_name":"public.orders_2","old":{"note":"b","year":2,"id":7},"new":{},"id":7,"diff":{},"action":"D"}"#,
        ]
    );
    lab.finish().await;
}

#[tokio::test]
async fn with_partition_root_rows_carry_the_name_of_the_topmost_table() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql(CHANGES).await;
    let options = "'partition-root', 'on', 'tables', 'public.orders'";
    let events = psql::events(&lab, options).await;
    assert_eq!(events.len(), 5, "{events:#?}");
    for event in events {
        assert!(
            event.starts_with(r#"{"table_name":"public.orders","#),
            "{event}"
        );
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_partition_is_under_its_root_only_while_it_is_attached() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql("INSERT INTO orders VALUES (1, 2)").await;
    lab.sql("ALTER TABLE orders DETACH PARTITION orders_2")
        .await;
    lab.sql("INSERT INTO orders_2 (id, year) VALUES (2, 2)")
        .await;
    lab.sql("ALTER TABLE orders ATTACH PARTITION orders_2 FOR VALUES IN (2)")
        .await;
    lab.sql("INSERT INTO orders VALUES (3, 2)").await;
    lab.sql("ALTER TABLE orders RENAME TO sales").await;
    lab.sql("INSERT INTO sales VALUES (4, 2)").await;
    let events = psql::events(&lab, "'partition-root', 'on'").await;
    let names: Vec<&str> = events
        .iter()
        .map(|event| event.split('"').nth(3).unwrap_or_default())
        .collect();
    assert_eq!(
        names,
        [
            "public.orders",
            "public.orders_2",
            "public.orders",
            "public.sales"
        ]
    );
    lab.finish().await;
}
