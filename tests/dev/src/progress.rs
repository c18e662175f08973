//! One line for each step: what runs, for how long, how it ended.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};

/// How often a running step shows that it is alive: on a terminal by rewriting its line, elsewhere
/// by a line of its own.
const TERMINAL_BEAT: Duration = Duration::from_millis(500);
const LOG_BEAT: Duration = Duration::from_secs(20);

/// Green, for what worked.
pub const GOOD: Style = Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
/// Red, for what failed.
pub const BAD: Style = Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
/// For what is beside the point.
pub const FAINT: Style = Style::new().dimmed();

/// Where and how progress is shown.
#[derive(Debug)]
pub struct Progress {
    verbose: bool,
    terminal: bool,
}

/// A program that has run to its end.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output and standard error, interleaved by line.
    pub output: String,
    /// How long it ran.
    pub took: Duration,
}

impl Progress {
    /// Shows the programs' own output too when `verbose`.
    pub fn new(verbose: bool) -> Self {
        Self {
            verbose,
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Runs a step that must succeed, and gives what it printed.
    ///
    /// # Errors
    ///
    /// When the program cannot be started or fails; its output has then been shown.
    pub fn step(&self, name: &str, command: &mut Command) -> anyhow::Result<Outcome> {
        let outcome = self.watch(name, command)?;
        self.report(name, outcome.status.success(), outcome.took, "");
        if !outcome.status.success() {
            self.show(&outcome.output);
            bail!("{name}: {}", outcome.status);
        }
        Ok(outcome)
    }

    /// Runs a program, showing that it is alive, and leaves the judgement to the caller.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn watch(&self, name: &str, command: &mut Command) -> anyhow::Result<Outcome> {
        let begun = Instant::now();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("start {:?}", command.get_program()))?;
        let (sender, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().context("read standard output")?),
            Box::new(child.stderr.take().context("read standard error")?),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || forward(stream, &sender));
        }
        drop(sender);
        let output = self.collect(name, begun, &lines);
        let status = child.wait().context("wait for the program")?;
        Ok(Outcome {
            status,
            output,
            took: begun.elapsed(),
        })
    }

    /// The line of a step that has ended.
    pub fn report(&self, name: &str, good: bool, took: Duration, remark: &str) {
        self.clear();
        let (style, mark) = if good { (GOOD, "✓") } else { (BAD, "✗") };
        let time = seconds(took);
        anstream::println!("{style}{mark}{style:#} {name:<44} {FAINT}{time:>8}{FAINT:#}  {remark}");
    }

    /// Shows what a failed program printed: first which tests failed, and at what, as the beginning
    /// is what a reader of a long log sees.
    pub fn show(&self, output: &str) {
        if !self.verbose {
            anstream::println!("{}", digest(output));
        }
    }

    fn collect(&self, name: &str, begun: Instant, lines: &mpsc::Receiver<String>) -> String {
        let beat = if self.terminal {
            TERMINAL_BEAT
        } else {
            LOG_BEAT
        };
        let (mut output, mut latest) = (String::new(), String::new());
        let mut shown = Instant::now();
        self.beat(name, begun, &latest, true);
        loop {
            match lines.recv_timeout(beat.saturating_sub(shown.elapsed())) {
                Ok(line) => {
                    if self.verbose {
                        self.clear();
                        anstream::println!("{FAINT}│{FAINT:#} {line}");
                    }
                    output.push_str(&line);
                    output.push('\n');
                    if !line.trim().is_empty() {
                        latest = line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    shown = Instant::now();
                    self.beat(name, begun, &latest, false);
                }
                Err(RecvTimeoutError::Disconnected) => return output,
            }
        }
    }

    fn beat(&self, name: &str, begun: Instant, latest: &str, first: bool) {
        let time = seconds(begun.elapsed());
        let latest: String = latest.trim().chars().take(60).collect();
        if self.terminal {
            self.clear();
            anstream::print!("{FAINT}…{FAINT:#} {name:<44} {FAINT}{time:>8}  {latest}{FAINT:#}");
            // A terminal that went away is noticed by whoever started this.
            let _ = std::io::stdout().flush();
        } else if !first {
            anstream::println!("  {name} … {time}  {latest}");
        }
    }

    fn clear(&self) {
        if self.terminal {
            anstream::print!("\r\x1b[K");
        }
    }
}

/// What a failed program printed, without what went well.
fn digest(output: &str) -> String {
    const WELL: [&str; 6] = [
        "Compiling ",
        "Checking ",
        "Downloading ",
        "Downloaded ",
        "Running ",
        "Doc-tests ",
    ];
    let is_noise = |line: &str| {
        let text = line.trim_start();
        WELL.iter().any(|word| text.starts_with(word))
            || (text.starts_with("test ") && text.ends_with("... ok"))
    };
    let failed = output.lines().filter(|line| line.ends_with("... FAILED"));
    let panics = output.lines().enumerate().filter_map(|(number, line)| {
        let panicked = line.starts_with("thread '") && line.contains("panicked at");
        // What the panic says stands in the next line.
        panicked.then(|| output.lines().nth(number + 1).unwrap_or_default())
    });
    let panics = panics.map(|says| says.chars().take(160).collect::<String>());
    let heads = failed.map(str::to_owned).chain(panics);
    let rest = output.lines().filter(|line| !is_noise(line));
    let lines: Vec<String> = heads.chain(rest.map(str::to_owned)).collect();
    lines.join("\n")
}

/// A duration as a person reads it.
pub fn seconds(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    match tenths {
        0..600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => format!("{} min {:02} s", tenths / 600, tenths / 10 % 60),
    }
}

fn forward(stream: impl Read, sender: &mpsc::Sender<String>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        if sender.send(text).is_err() {
            return;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_comes_first_and_what_went_well_is_left_out() {
        let output = "   Compiling a v1\ntest a ... ok\ntest b ... FAILED\n\n---- b ----\n\
                      thread 'b' (7) panicked at b.rs:1:1:\nno slot\n";
        let expected = "test b ... FAILED\nno slot\ntest b ... FAILED\n\n---- b ----\n\
                        thread 'b' (7) panicked at b.rs:1:1:\nno slot";
        assert_eq!(digest(output), expected);
    }
}
