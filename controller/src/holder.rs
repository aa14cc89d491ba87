//! Who holds a lock or a lease: a process, named so that it is never taken for another one.

use std::fs;
use std::io;

use crds_schema::Name;
use serde::{Deserialize, Serialize};

/// A controller process. Its id alone would not do: ids are used again, and are counted anew in each namespace and after each start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The name of its host.
    pub host: String,
    /// The start of the host that it runs in.
    pub boot_id: String,
    /// The namespace that its id counts in, such as `pid:[4026531836]`.
    pub pid_namespace: String,
    /// Its id.
    pub pid: u32,
    /// When it was started, in clock ticks since the host was.
    pub started_ticks: u64,
    /// Its instance.
    pub instance: Name,
}

/// What can be said about a holder from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It is this very process.
    Myself,
    /// It runs.
    Alive,
    /// It has ended.
    Gone,
    /// It is where we cannot look: on another host, or in another container.
    OutOfSight,
}

impl Holder {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current(instance: &Name) -> io::Result<Self> {
        let pid = std::process::id();
        let started_ticks =
            started_ticks_of(pid)?.ok_or_else(|| io::Error::other("`/proc` does not show this process"))?;
        Ok(Self {
            host: read_line("/proc/sys/kernel/hostname")?,
            boot_id: read_line("/proc/sys/kernel/random/boot_id")?,
            pid_namespace: fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned(),
            pid,
            started_ticks,
            instance: instance.clone(),
        })
    }

    /// What this process, on whose behalf `self` is, can say about another one.
    pub fn judge(&self, other: &Self) -> Liveness {
        let is_in_sight =
            (&self.host, &self.boot_id, &self.pid_namespace) == (&other.host, &other.boot_id, &other.pid_namespace);
        if !is_in_sight {
            // After a restart of the same host none of its processes is left.
            let is_same_host_restarted = self.host == other.host && self.boot_id != other.boot_id;
            return if is_same_host_restarted { Liveness::Gone } else { Liveness::OutOfSight };
        }
        if (self.pid, self.started_ticks) == (other.pid, other.started_ticks) {
            return Liveness::Myself;
        }
        match started_ticks_of(other.pid) {
            Ok(Some(ticks)) if ticks == other.started_ticks => Liveness::Alive,
            Ok(Some(_) | None) => Liveness::Gone,
            // Better refused for nothing than two at once.
            Err(_) => Liveness::Alive,
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on host `{}` (instance `{}`)", self.pid, self.host, self.instance)
    }
}

fn read_line(path: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

/// When a process was started; `None` when there is none of this id, or only what is left of one that ended.
fn started_ticks_of(pid: u32) -> io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse_started_ticks(&stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // The process ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(3) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads field 22 of `/proc/PID/stat`, counting from behind the command, which may hold spaces and parentheses.
fn parse_started_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let is_ended = matches!(state, "Z" | "X" | "x");
    if is_ended { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::{Holder, Liveness, parse_started_ticks};

    fn me() -> Holder {
        Holder::current(&"default".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_start_is_read_behind_any_command() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_started_ticks(&format!("12 (a) S (b)) S {rest}")), Some(4711));
        assert_eq!(parse_started_ticks(&format!("12 (a) Z {rest}")), None);
        assert_eq!(parse_started_ticks("12 (a"), None);
    }

    #[test]
    fn a_process_knows_itself_the_living_the_gone_and_the_unseen() {
        assert_eq!(me().judge(&me()), Liveness::Myself);
        assert_eq!(me().judge(&Holder { started_ticks: 1, ..me() }), Liveness::Gone);
        assert_eq!(me().judge(&Holder { pid: u32::MAX, ..me() }), Liveness::Gone);
        assert_eq!(me().judge(&Holder { boot_id: "earlier".into(), ..me() }), Liveness::Gone);
        assert_eq!(me().judge(&Holder { host: "other".into(), ..me() }), Liveness::OutOfSight);
        assert_eq!(me().judge(&Holder { pid_namespace: "pid:[1]".into(), ..me() }), Liveness::OutOfSight);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let living = Holder { pid: child.id(), started_ticks: parse_started_ticks(&stat).unwrap(), ..me() };
        assert_eq!(me().judge(&living), Liveness::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(me().judge(&living), Liveness::Gone);
    }
}
