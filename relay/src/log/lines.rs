//! Lines on their way to standard error. A thread writes them, so that a pipe that nobody reads
//! holds nobody up: what does not fit in between is counted, and said when there is room again.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::Format;

/// Lines that may wait.
const ROOM: usize = 4_096;

/// How long the last lines may take at the end of the process.
const FAREWELL: Duration = Duration::from_secs(1);

/// A text on one line of a log or a terminal: control characters, which may do anything there, are
/// escaped.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(escaped(text, Format::Text, false)),
    }
}

/// Escapes control characters, but for the one that begins a colour where there are colours.
fn escaped(text: &str, format: Format, colours: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\x1b' if colours => line.push(letter),
            letter if letter.is_control() => match format {
                Format::Text => line.extend(letter.escape_default()),
                Format::Json => line.push_str(&format!("\\u{:04x}", u32::from(letter))),
            },
            letter => line.push(letter),
        }
    }
    line
}

/// What is sent to the thread.
enum Parcel {
    Line(Vec<u8>),
    /// Everything before it has been written.
    End(Sender<()>),
}

/// Makes writers that hand whole lines to a thread.
#[derive(Clone)]
pub(super) struct Lines {
    parcels: SyncSender<Parcel>,
    lost: Arc<AtomicU64>,
    format: Format,
    colours: bool,
}

/// Waits for the last lines.
pub(super) struct LastLines(SyncSender<Parcel>);

impl Lines {
    /// Starts the thread that writes to `output`.
    pub(super) fn to(
        output: impl Write + Send + 'static,
        format: Format,
        colours: bool,
    ) -> (Self, LastLines) {
        let (parcels, arriving) = sync_channel(ROOM);
        let lost = Arc::new(AtomicU64::new(0));
        let lines = Self {
            parcels: parcels.clone(),
            lost: Arc::clone(&lost),
            format,
            colours,
        };
        let name = thread::Builder::new().name("log".to_owned());
        // Without a thread nothing is logged; there is nobody left to tell.
        drop(name.spawn(move || write(output, &arriving, &lost, format)));
        (lines, LastLines(parcels))
    }
}

fn write(mut output: impl Write, parcels: &Receiver<Parcel>, lost: &AtomicU64, format: Format) {
    for parcel in parcels {
        match parcel {
            Parcel::Line(line) => {
                // A log that cannot be written is no reason to stop.
                let _ = output.write_all(&line);
                let missing = lost.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let _ = output.write_all(said_of(missing, format).as_bytes());
                }
            }
            Parcel::End(heard) => {
                let _ = output.flush();
                let _ = heard.send(());
            }
        }
    }
}

/// The line that stands for others.
fn said_of(missing: u64, format: Format) -> String {
    let says = format!("{missing} lines of this log were lost: nobody has read it for a while");
    match format {
        Format::Text => format!(" WARN {says}\n"),
        Format::Json => format!("{{\"level\":\"WARN\",\"message\":\"{says}\"}}\n"),
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    /// Takes one whole line, as the subscriber gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut escaped = escaped(text.trim_end_matches('\n'), self.format, self.colours);
        escaped.push('\n');
        if self
            .parcels
            .try_send(Parcel::Line(escaped.into_bytes()))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LastLines {
    /// Waits until everything so far has been written, unless nobody reads it.
    pub(super) fn wait(&self) {
        let (heard, hears) = channel();
        let parcels = self.0.clone();
        // There may be no room while nobody reads, and then there is nobody to wait for either.
        let sends = thread::spawn(move || drop(parcels.send(Parcel::End(heard))));
        let _ = hears.recv_timeout(FAREWELL);
        drop(sends);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// An output that writes once it may.
    struct Slow {
        may: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Everything, once nobody holds it up any more.
            let _ = self.may.recv();
            let mut written = self.written.lock().expect("not poisoned");
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("public.users"), "public.users");
        assert_eq!(one_line("a\nb\u{9b}31m\x1b[0m"), r"a\nb\u{9b}31m\u{1b}[0m");
        let coloured = escaped("\x1b[31ma\nb\x1b[0m", Format::Text, true);
        assert_eq!(coloured, "\x1b[31ma\\nb\x1b[0m");
        assert_eq!(
            escaped("{\"a\u{7f}\"}", Format::Json, false),
            r#"{"a\u007f"}"#
        );
    }

    #[test]
    fn a_reader_that_is_asleep_holds_nobody_up_and_is_told_what_it_missed() {
        let (wake, may) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let slow = Slow {
            may,
            written: Arc::clone(&written),
        };
        let (lines, last) = Lines::to(slow, Format::Text, false);
        let most = ROOM as u64 + 1_000;
        for number in 0..most {
            (&lines)
                .write_all(format!("line {number}\n").as_bytes())
                .expect("never fails");
        }
        drop(wake);
        last.wait();
        let written = written.lock().expect("not poisoned");
        let text = String::from_utf8_lossy(&written);
        let arrived = text
            .lines()
            .filter(|line| line.starts_with("line "))
            .count() as u64;
        let missing: u64 = text
            .lines()
            .filter_map(|line| line.strip_prefix(" WARN ")?.split_once(' '))
            .map(|(lines, _)| lines.parse::<u64>().expect("a number"))
            .sum();
        assert_eq!(arrived + missing, most);
        assert!(arrived >= ROOM as u64 && missing > 0, "{arrived}");
    }
}
