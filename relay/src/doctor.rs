//! `pgevents doctor`: looks at both ends before the relay does, and says what has to be mended.
//!
//! Each check collects facts and judges them apart, so that the judgement can be tested without a
//! server. Nothing is changed; to see whether the plugin loads, a temporary slot is made, which is
//! gone when the check ends.

mod broker;
mod finding;
mod management;
mod plugin;
mod report;
mod role;
mod route;
mod server;
mod settings;
mod slot;
mod table;
mod transaction;

pub use finding::{Finding, Level};
pub use management::{ManagementUrl, ManagementUrlFault};
pub use report::Report;
pub use settings::Settings;

use self::{
    management::Management,
    role::Role,
    server::Server,
    table::{Table, Wanted},
    transaction::OpenTransactions,
};
use crate::{
    delivery::Unroutable,
    postgres::{PLUGIN, Postgres, PostgresError, SlotStatus, SlotTarget, Sql},
    replication::Session,
    sink,
};

/// Seconds that the server may take to make the temporary slot.
const PROBE_SECONDS: u32 = 3;

/// Runs every check that can be run.
pub async fn examine(config: &Settings) -> Report {
    let wanted = Wanted::of(&config.producer);
    let target = SlotTarget {
        postgres: config.producer.postgres.clone(),
        slot: config.producer.plan.slot.clone(),
    };
    let (mut findings, tables) = postgres(&target, &wanted).await;
    let sink::Settings::Amqp(amqp) = &config.producer.sink else {
        findings.push(Finding::skip(
            "broker.connection",
            "--sink stdout needs no broker",
        ));
        return Report::new(findings);
    };
    findings.extend(broker::examine(&amqp.broker, amqp.declare, amqp.fence).await);
    let Some(url) = &config.management else {
        let says = "set RABBITMQ_MANAGEMENT_URL to see bindings, types of queues, the message size limit and alarms";
        findings.push(Finding::skip("broker.management", says));
        return Report::new(findings);
    };
    match Management::ask(url, amqp.broker.url.vhost()).await {
        Ok(management) => {
            let keys = wanted.routing_keys(&tables);
            let policy = &config.producer.plan.policy;
            let blocks = policy.unroutable == Unroutable::Block;
            findings.extend(management.judge(&amqp.broker, &keys, blocks));
            findings.push(management.message_size(amqp.max_message_bytes));
        }
        Err(error) => findings.push(Finding::failure("broker.management", &error)),
    }
    Report::new(findings)
}

/// What the checks of PostgreSQL found, and its tables.
async fn postgres(target: &SlotTarget, wanted: &Wanted) -> (Vec<Finding>, Vec<Table>) {
    const CHECK: &str = "postgres.connection";
    let config = &target.postgres;
    let sql = match Sql::connect(config).await {
        Ok(sql) => sql,
        Err(error) => return (vec![Finding::failure(CHECK, &error)], Vec::new()),
    };
    let says = format!(
        "{}, database {:?}, role {:?}",
        config.address(),
        config.database,
        config.user
    );
    let mut findings = vec![Finding::ok(CHECK, says), tls(config, sql.is_encrypted())];
    match catalog(&sql, target, wanted).await {
        Ok((found, may_replicate, tables)) => {
            findings.extend(found);
            if may_replicate {
                findings.extend(replication(config).await);
            } else {
                let says = "needs a role that may replicate and wal_level = logical";
                findings.push(Finding::skip("postgres.plugin", says));
            }
            (findings, tables)
        }
        Err(error) => {
            findings.push(Finding::failure("postgres.catalog", &error));
            (findings, Vec::new())
        }
    }
}

fn tls(config: &Postgres, encrypted: bool) -> Finding {
    const CHECK: &str = "postgres.tls";
    let local = config.is_socket() || ["localhost", "127.0.0.1", "::1"].contains(&&*config.host);
    match (encrypted, local) {
        (true, _) => Finding::ok(CHECK, format!("encrypted, sslmode {}", config.tls.name())),
        (false, true) => Finding::ok(CHECK, "not encrypted, on this machine"),
        (false, false) => Finding::warn(
            CHECK,
            "not encrypted: every row can be read on the way",
            "set ssl = on in postgresql.conf, and PGSSLMODE=verify-full",
        ),
    }
}

/// Everything that SQL tells, and whether it makes sense to try replication.
async fn catalog(
    sql: &Sql<'_>,
    target: &SlotTarget,
    wanted: &Wanted,
) -> Result<(Vec<Finding>, bool, Vec<Table>), PostgresError> {
    let server = Server::ask(sql).await?;
    let role = Role::ask(sql).await?;
    let slot = SlotStatus::of(sql, &target.slot).await?;
    let transactions = OpenTransactions::ask(sql).await?;
    let tables = Table::ask(sql).await?;
    let mut findings = server.judge(slot.is_some());
    findings.push(role.judge());
    findings.push(slot::judge(slot.as_ref(), target));
    findings.push(transactions.judge(role.sees_sessions));
    findings.extend(wanted.judge(&tables));
    findings.extend(wanted.exclusions(sql).await?);
    let may_replicate = server.wal_level == "logical" && (role.replication || role.superuser);
    Ok((findings, may_replicate, tables))
}

/// A replication connection as the relay's: pg_hba.conf, a free walsender, and the plugin.
async fn replication(config: &Postgres) -> Vec<Finding> {
    const CHECK: &str = "postgres.replication";
    let session = match Session::connect(config).await {
        Ok(session) => session,
        Err(error) => return vec![Finding::failure(CHECK, &error)],
    };
    let logged_in = Finding::ok(
        CHECK,
        "pg_hba.conf lets the relay in, and a walsender is free",
    );
    let plugin = match session.probe(PLUGIN, PROBE_SECONDS).await {
        Ok(probe) => plugin::judge(&probe, config),
        Err(error) => Finding::failure("postgres.plugin", &error),
    };
    vec![logged_in, plugin]
}
