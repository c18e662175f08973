use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::container::{Container, Moment};
use crate::dist;
use pgevents_dev::engine::IMAGES;
use pgevents_dev::engine::{self, Engine};
use pgevents_servers::{Process, guardian, port};

/// How long the first start may take, the images being built already.
const START: Duration = Duration::from_secs(300);

/// A row of the table `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The column `id`.
    pub id: u32,
    /// The column `full_name`.
    pub full_name: &'static str,
}

impl Row {
    /// The event that the README promises for its insert.
    pub fn event(&self) -> Value {
        let row = json!({"id": self.id, "full_name": self.full_name});
        json!({
            "table_name": "public.users", "old": {}, "new": row, "id": self.id, "diff": row,
            "action": "I",
        })
    }
}

/// The project's stack under a name, on ports and from images of its own, beside any that a user
/// runs. Its containers, networks and volumes are removed when the value is dropped, and also when
/// the process dies without that.
#[derive(Debug)]
pub struct Stack {
    engine: Engine,
    name: String,
    ports: [(&'static str, u16); 3],
}

/// `docker compose up` in a terminal of its own: what it prints is what the user sees.
#[derive(Debug)]
pub struct Up {
    process: Process,
}

impl Stack {
    /// A stack that does not run yet.
    ///
    /// # Panics
    ///
    /// When there is no engine or no free port: the caller of the tests looks first.
    pub fn new(test: &str) -> Self {
        let engine = Engine::find().unwrap_or_else(|error| panic!("{error}"));
        let port = || port::free().unwrap_or_else(|error| panic!("{error}"));
        let names = ["POSTGRES_PORT", "RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT"];
        let name = format!("pgevents-test-{test}-{}", std::process::id());
        guardian::watch_stack(&name);
        Self {
            engine,
            name,
            ports: names.map(|name| (name, port())),
        }
    }

    /// Starts the stack in the foreground, as the README says, and waits until events can flow.
    ///
    /// # Panics
    ///
    /// When it does not come up; with everything that it printed last.
    pub async fn up(&self) -> Up {
        let mut command = self.compose(&["up", "--build"]);
        let process = Process::start("compose up", &mut command, Signal::INT);
        let up = Up {
            process: process.unwrap_or_else(|error| panic!("{error}")),
        };
        up.line("start of the stream", |line| {
            line.starts_with("producer") && line.contains("streaming")
        })
        .await;
        up.line("consumer", |line| {
            line.starts_with("event_logger") && line.contains("waiting for events")
        })
        .await;
        up
    }

    /// Starts the stack in the background and waits until events can flow.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn up_detached(&self) {
        self.run(&["up", "--build", "--detach"]);
        let streaming = |line: &str| line.contains("streaming");
        self.container("producer").line("stream", streaming).await;
        let waiting = |line: &str| line.contains("waiting for events");
        self.container("event_logger")
            .line("consumer", waiting)
            .await;
    }

    /// Starts or removes producers until there are so many; the others stay as they are.
    ///
    /// # Panics
    ///
    /// When Compose fails.
    pub fn scale_producer(&self, count: u32) {
        let scale = format!("producer={count}");
        self.run(&["up", "--detach", "--no-recreate", "--scale", &scale]);
    }

    /// Stops and removes the containers; the volumes stay, but for those without a name, which
    /// nothing finds again.
    ///
    /// # Panics
    ///
    /// When Compose or the engine fails.
    pub fn down(&self) {
        let mut volumes = self.container("database").volumes();
        volumes.retain(|name| !name.starts_with(&self.name));
        self.run(&["down"]);
        for volume in volumes {
            let removed = self.engine.ask(&["volume", "rm", &volume]);
            removed.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// The only container of a service.
    ///
    /// # Panics
    ///
    /// When there is another number of them.
    pub fn container(&self, service: &str) -> Container {
        let mut containers = self.containers(service);
        assert_eq!(containers.len(), 1, "containers of {service}");
        containers.swap_remove(0)
    }

    /// The containers of a service.
    ///
    /// # Panics
    ///
    /// When Compose fails.
    pub fn containers(&self, service: &str) -> Vec<Container> {
        let ids = self.run(&["ps", "--all", "--quiet", service]);
        ids.lines()
            .map(|id| Container::new(&self.engine, service, id))
            .collect()
    }

    /// Runs a command in a shell, as a user does who has this stack only, and types a line into it.
    /// Where it runs psql, that finds this stack's own port.
    ///
    /// # Panics
    ///
    /// When the command fails.
    pub fn type_into(&self, command: &str, line: &str) {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env("PGPORT", self.ports[0].1.to_string())
            .env("PSQLRC", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut shell = shell.spawn().unwrap_or_else(|error| panic!("sh: {error}"));
        let mut input = shell.stdin.take().expect("it is a pipe");
        let typed = writeln!(input, "{line}");
        drop(input);
        let ended = shell.wait();
        let good = ended.is_ok_and(|status| status.success());
        assert!(typed.is_ok() && good, "{command}");
    }

    /// Runs a statement in the stack's database.
    ///
    /// # Panics
    ///
    /// When psql fails.
    pub fn psql(&self, statement: &str) {
        let psql = "PGPASSWORD=postgres psql -h localhost -U postgres -v ON_ERROR_STOP=1 dummy";
        self.type_into(psql, statement);
    }

    /// The README's insert, with another row.
    ///
    /// # Panics
    ///
    /// When psql fails.
    pub fn insert(&self, row: &Row) {
        let Row { id, full_name } = row;
        self.psql(&format!(
            "insert into users(id, full_name) values ({id}, '{full_name}');"
        ));
    }

    /// Waits until the debugging consumer has printed a row's event.
    ///
    /// # Panics
    ///
    /// When that does not happen in time.
    pub async fn logged(&self, row: &Row) {
        let (logger, event) = (self.container("event_logger"), row.event());
        let is_event = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|v| v == event);
        logger.line(&format!("event {event}"), is_event).await;
    }

    /// Ends the first process of a service's container and waits until the restart policy has
    /// brought it back and its own check says so.
    ///
    /// # Panics
    ///
    /// When it does not come back.
    pub async fn crash(&self, service: &str) {
        let (container, before) = (self.container(service), Moment::now());
        container.crash(&self.container("database").inspect(".Config.Image"));
        container.healthy(before).await;
    }

    fn run(&self, arguments: &[&str]) -> String {
        engine::run(&mut self.compose(arguments)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn compose(&self, arguments: &[&str]) -> Command {
        let mut command = self.engine.compose(arguments);
        command
            .current_dir(dist::workspace())
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .envs(IMAGES)
            .envs(self.ports.map(|(name, port)| (name, port.to_string())));
        command
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let everything = ["down", "--volumes", "--remove-orphans", "--timeout", "5"];
        // A test that failed already must say its own reason, not this one.
        if let Err(error) = engine::run(&mut self.compose(&everything)) {
            eprintln!("{error}");
        }
    }
}

impl Up {
    /// Waits for a line of the terminal, with the name of its container before it and without
    /// colours: docker-compose paints also where there is no terminal. (Compose v2 keeps apart what
    /// containers write to their two outputs, a terminal does not.)
    ///
    /// # Panics
    ///
    /// When it does not come in time, or Compose ends first.
    pub async fn line(&self, awaited: &str, wanted: impl Fn(&str) -> bool) -> String {
        let (stdout, stderr) = (self.process.stdout(), self.process.stderr());
        let wanted = |line: &str| wanted(&plain(line));
        let first = async {
            tokio::select! {
                biased;
                (_, line) = stdout.line(0, &wanted) => Some(plain(&line)),
                (_, line) = stderr.line(0, &wanted) => Some(plain(&line)),
                _ = self.process.ended() => None,
            }
        };
        match timeout(START, first).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("compose ended before {awaited}:\n{}", self.process.tail()),
            Err(_) => panic!("no {awaited} in time:\n{}", self.process.tail()),
        }
    }

    /// What `event_logger` has printed in this terminal.
    pub fn logged(&self) -> Vec<String> {
        let lines = self.process.stdout().since(0);
        let lines = lines.iter().map(|line| plain(line));
        let ours = lines.filter(|line| line.starts_with("event_logger"));
        ours.filter_map(|line| Some(line.split_once("| ")?.1.to_owned()))
            .collect()
    }

    /// Ctrl-C: waits until every container has stopped.
    ///
    /// # Panics
    ///
    /// When they do not stop in time.
    pub async fn interrupt(self) {
        self.process.signal(Signal::INT);
        let ended = timeout(START, self.process.ended()).await;
        ended.unwrap_or_else(|_| panic!("compose goes on:\n{}", self.process.tail()));
    }
}

/// A line without the codes that colour it.
fn plain(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string()
}
