use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use tokio::time::timeout;

use crate::lab::{LabError, Process};
use pgevents_dev::engine::Engine;

/// How long a container may take to come up, be healthy, or print what is awaited. RabbitMQ on a
/// busy machine needs a good part of it.
const PATIENCE: Duration = Duration::from_secs(180);

/// One container of a stack. It keeps its identity when it is restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    engine: Engine,
    name: String,
    id: String,
}

impl Container {
    pub(super) fn new(engine: &Engine, name: &str, id: &str) -> Self {
        Self {
            engine: engine.clone(),
            name: name.to_owned(),
            id: id.to_owned(),
        }
    }

    /// A field of `docker inspect`, as a Go template without the braces.
    ///
    /// # Panics
    ///
    /// When the engine does not answer.
    pub fn inspect(&self, field: &str) -> String {
        let template = format!("{{{{{field}}}}}");
        self.ask(&["inspect", "--format", &template, &self.id])
    }

    /// The names of the volumes that are mounted in the container.
    ///
    /// # Panics
    ///
    /// When the engine does not answer.
    pub fn volumes(&self) -> Vec<String> {
        let names =
            self.inspect(r#"range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end"#);
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// Waits for a line of the container's output, from its first start on, whether it is running,
    /// restarting or gone meanwhile.
    ///
    /// # Panics
    ///
    /// When the line does not come in time; with the end of the output.
    pub async fn line(&self, awaited: &str, wanted: impl Fn(&str) -> bool) -> String {
        let search = async {
            loop {
                let mut command = self.engine.docker(&["logs", "--follow", &self.id]);
                // The client gives the container's two streams as two streams.
                let follower = Process::start(&self.name, &mut command, Signal::KILL)
                    .unwrap_or_else(|error| panic!("follow {}: {error}", self.name));
                tokio::select! {
                    biased;
                    (_, line) = follower.stdout().line(0, &wanted) => return line,
                    (_, line) = follower.stderr().line(0, &wanted) => return line,
                    // The container stopped, and with it its output: look again from the start.
                    _ = follower.ended() => {}
                }
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(line) => line,
            Err(_) => panic!("{}: no {awaited} in time\n{}", self.name, self.tail()),
        }
    }

    /// Every line of standard output, from the container's first start on.
    ///
    /// # Panics
    ///
    /// When the engine does not answer.
    pub fn stdout(&self) -> Vec<String> {
        let text = self.ask(&["logs", &self.id]);
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the container's own check calls it healthy, at or after `since`.
    ///
    /// # Panics
    ///
    /// When that does not happen in time.
    pub async fn healthy(&self, since: Moment) {
        let (filter, since) = (format!("container={}", self.id), since.0);
        let mut command = self.engine.docker(&[
            "events",
            "--since",
            &since,
            "--filter",
            &filter,
            "--filter",
            "event=health_status",
        ]);
        let events = Process::start(&self.name, &mut command, Signal::KILL)
            .unwrap_or_else(|error: LabError| panic!("follow events: {error}"));
        let healthy = |line: &str| line.contains("health_status: healthy");
        let seen = timeout(PATIENCE, events.stdout().line(0, healthy)).await;
        if seen.is_err() {
            panic!("{} is not healthy in time\n{}", self.name, self.tail());
        }
    }

    /// Ends the container's first process as a crash would, from outside the engine's knowledge, so
    /// that the restart policy has to act. `image` is any image with a shell. (Not privileged: an
    /// engine that runs in a container itself has not all rights to give.)
    ///
    /// # Panics
    ///
    /// When the engine does not allow it.
    pub fn crash(&self, image: &str) {
        let kill = format!("kill -9 {}", self.inspect(".State.Pid"));
        let host = [
            "run",
            "--rm",
            "--pid=host",
            "--cap-drop=ALL",
            "--cap-add=KILL",
            "--entrypoint=sh",
        ];
        self.ask(&[&host[..], &[image, "-c", &kill]].concat());
    }

    /// Ends the container with SIGKILL; it stays down until it is started.
    ///
    /// # Panics
    ///
    /// When the engine does not allow it.
    pub fn kill(&self) {
        self.ask(&["kill", &self.id]);
    }

    /// Starts the container again.
    ///
    /// # Panics
    ///
    /// When the engine cannot.
    pub fn start(&self) {
        self.ask(&["start", &self.id]);
    }

    /// Stops the container as `docker stop` does, and gives its exit code.
    ///
    /// # Panics
    ///
    /// When the engine cannot.
    pub fn stop(&self) -> String {
        self.ask(&["stop", &self.id]);
        self.inspect(".State.ExitCode")
    }

    /// The end of both outputs.
    pub fn tail(&self) -> String {
        let output = self
            .engine
            .docker(&["logs", "--tail", "40", &self.id])
            .output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let answer = self.engine.ask(arguments);
        answer.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// A point in time for [`Container::healthy`], on the engine's clock where that is this machine's.
#[derive(Debug, Clone)]
pub struct Moment(String);

impl Moment {
    /// This moment.
    ///
    /// # Panics
    ///
    /// When the clock stands before 1970.
    pub fn now() -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.expect("the clock is set");
        Self(format!("{}.{:09}", time.as_secs(), time.subsec_nanos()))
    }
}
