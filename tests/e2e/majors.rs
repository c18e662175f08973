//! A library for one major version on a server of another. `cargo dev test majors` builds several.

use pgevents_tests::dist;
use pgevents_tests::lab::Lab;

/// A server that finds the library of another major under the plugin's name.
async fn lab_with_another_majors_plugin() -> Lab {
    let own = dist::Installation::find().expect("find PostgreSQL").major;
    let others = (13..=18).filter(|major| *major != own).map(dist::plugin);
    let other = others.into_iter().find(|plugin| plugin.is_file());
    let other = other.expect("a plugin for another major: cargo dev test majors builds it");
    let folder = other.parent().expect("a file has a folder").display();
    let mut lab =
        Lab::with_own_postgres(&format!("dynamic_library_path = '{folder}:$libdir'")).await;
    lab.allow("incompatible library");
    lab.allow("undefined symbol");
    lab
}

#[tokio::test]
async fn a_server_refuses_the_library_of_another_major_when_it_loads_it() {
    let lab = lab_with_another_majors_plugin().await;
    let name = lab.name();
    let refusal = lab
        .refused(&format!(
            "SELECT pg_create_logical_replication_slot('{name}', 'pgevents')"
        ))
        .await;
    // An older server may lack a function that a newer one's library calls: it does not come as far
    // as to compare versions.
    let mismatch = refusal.contains("incompatible library") && refusal.contains("version mismatch");
    assert!(
        mismatch || refusal.contains("undefined symbol"),
        "{refusal}"
    );
    lab.finish().await;
}

#[tokio::test]
async fn the_relay_stops_at_a_library_of_another_major_and_says_what_to_install() {
    let lab = lab_with_another_majors_plugin().await;
    let relay = lab.producer().start();
    assert_eq!(relay.exit_code().await, 13);
    relay.logs("built for this server's major version").await;
    lab.finish().await;
}
