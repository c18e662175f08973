//! Ends what a test process leaves behind, whatever ended the test process.
//!
//! A small shell reads a pipe whose other end only this process holds. When the pipe closes, be it
//! by a return from `main`, a panic or `kill -9`, the shell ends the process groups and removes the
//! containers and folders that were registered. It has its own process group, so Ctrl-C does not
//! reach it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::Pid;

/// PostgreSQL gets SIGQUIT first ("immediate shutdown"): it then frees its shared memory and takes
/// its backends, which are in sessions of their own, with it.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=' '
mounts=
stacks=
while IFS=' ' read -r verb what; do
  case $verb in
    group) groups="$groups$what " ;;
    forget) case $groups in *" $what "*) groups="${groups%% $what *} ${groups#* $what }" ;; esac ;;
    folder) set -- "$@" "$what" ;;
    mount) mounts="$mounts $what" ;;
    stack) stacks="$stacks $what" ;;
  esac
done
for group in $groups; do kill -QUIT "-$group"; done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  alive=
  for group in $groups; do kill -0 "-$group" && alive=1; done
  [ -z "$alive" ] && break
  sleep 0.2
done
for group in $groups; do kill -KILL "-$group"; done
for mount in $mounts; do umount -l "$mount"; done
for stack in $stacks; do
  label=label=com.docker.compose.project=$stack
  docker ps --all --quiet --filter "$label" | xargs -r docker rm --force --volumes
  docker network ls --quiet --filter "$label" | xargs -r docker network rm
  docker volume ls --quiet --filter "$label" | xargs -r docker volume rm
done
for _ in 1 2 3 4 5; do
  [ $# -eq 0 ] || rm -rf -- "$@" && break
  sleep 0.2
done
"#;

/// Registers a process group to end when this process is gone.
pub(super) fn watch_group(leader: Pid) {
    tell(&format!("group {}\n", leader.as_raw_nonzero()));
}

/// Forgets a process group that has ended, before its number can be given to someone else.
pub(super) fn forget_group(leader: Pid) {
    tell(&format!("forget {}\n", leader.as_raw_nonzero()));
}

/// Registers a folder to remove when this process is gone.
pub(super) fn watch_folder(folder: &Path) {
    tell(&format!("folder {}\n", folder.display()));
}

/// Registers a folder without spaces in its name to unmount when this process is gone.
pub fn watch_mount(folder: &Path) {
    tell(&format!("mount {}\n", folder.display()));
}

/// Registers a Compose project whose containers, networks and volumes are to be removed when this
/// process is gone.
pub fn watch_stack(project: &str) {
    tell(&format!("stack {project}\n"));
}

fn tell(line: &str) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| Mutex::new(start()));
    let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
    pipe.write_all(line.as_bytes())
        .expect("the guardian lives as long as this process");
}

#[expect(
    clippy::zombie_processes,
    reason = "the shell outlives this process: that is its purpose"
)]
fn start() -> ChildStdin {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "pgevents-guardian"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("start /bin/sh");
    shell.stdin.take().expect("stdin is piped")
}
