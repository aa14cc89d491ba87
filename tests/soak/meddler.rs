//! The meddler: does one thing after the other to what the controller keeps, to its manifests and to itself.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::deed::{Deed, Edit, Tally, WEIGHTS};
use super::process::Process;
use super::wanted::{BROKEN, SHAPES, Shape, Wanted};
use crate::support::engine::TestBed;

/// The longest pause between two deeds.
const LONGEST_PAUSE_MS: u64 = 700;
/// The longest that the controller is frozen or away.
const LONGEST_ABSENCE_MS: u64 = 4_000;
/// The age at which a container has been seen by a controller, whatever happened to the one that made it.
const SEEN_AGE: jiff::SignedDuration = jiff::SignedDuration::from_secs(15);
/// What a name that the meddler gave has in it.
pub(super) const MEDDLED: &str = "-meddled-";

/// Does what a user, a script or the kernel might.
#[derive(Debug)]
pub(super) struct Meddler {
    random: fastrand::Rng,
    /// A network of somebody else.
    foreign_network: String,
    /// What it has done.
    pub(super) tally: Tally,
}

impl Meddler {
    pub(super) fn new(seed: u64, foreign_network: String) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), foreign_network, tally: Tally::default() }
    }

    /// A number of a range.
    pub(super) fn number(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.random.u64(range)
    }

    /// Meddles for a while, then brings the manifests and the controller back; `may_end` says whether controllers may be ended.
    pub(super) fn burst(
        &mut self,
        bed: &mut TestBed,
        process: &mut Process,
        wanted: &mut Wanted,
        (duration, may_end): (Duration, bool),
    ) {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            let deed = self.choose(may_end);
            let is_done = self.perform(deed, bed, process, wanted);
            self.tally.add(deed, is_done);
            process.tend(bed);
            // How fast they follow one another is what the soak is about: it waits for nothing.
            thread::sleep(Duration::from_millis(self.number(0..=LONGEST_PAUSE_MS)));
        }
        process.bring_back(bed);
        wanted.write(bed);
    }

    fn choose(&mut self, may_end: bool) -> Deed {
        let deeds: Vec<(Deed, u32)> =
            WEIGHTS.into_iter().filter(|(deed, _)| may_end || !deed.ends_controller()).collect();
        let mut left = self.random.u32(0..deeds.iter().map(|(_, weight)| weight).sum());
        for (deed, weight) in deeds {
            if left < weight {
                return deed;
            }
            left -= weight;
        }
        unreachable!("the numbers are below the sum of the weights")
    }

    fn perform(&mut self, deed: Deed, bed: &mut TestBed, process: &mut Process, wanted: &mut Wanted) -> bool {
        let absence = Duration::from_millis(self.number(0..=LONGEST_ABSENCE_MS));
        match deed {
            Deed::Kill => self.docker_on_container(bed, &["kill"]),
            Deed::KillProcess => self.kill_process(bed),
            Deed::Remove => self.docker_on_container(bed, &["rm", "--force"]),
            Deed::Stop => self.docker_on_container(bed, &["stop", "--time", "1"]),
            Deed::Pause => self.docker_on_container(bed, &["pause"]),
            Deed::Rename => self.rename(bed),
            Deed::Limit => self.docker_on_container(bed, &["update", "--memory", "96m", "--memory-swap", "192m"]),
            Deed::Disarm => self.docker_on_container(bed, &["update", "--restart", "no"]),
            Deed::Disconnect => self.disconnect(bed),
            Deed::Connect => {
                let network = self.foreign_network.clone();
                self.docker_on_container(bed, &["network", "connect", &network])
            }
            Deed::RemoveNetwork => {
                // One that watches has the containers back in it before it can be removed.
                let is_watched = self.random.bool() || !process.freeze(bed, absence);
                self.remove_network(bed, is_watched)
            }
            Deed::Edit(edit) => {
                self.edit(edit, wanted);
                wanted.write(bed);
                true
            }
            Deed::BreakFile => self.break_file(bed, wanted),
            Deed::HalfWriteFile => self.half_write_file(bed, wanted),
            Deed::KillController => process.kill(bed, absence),
            Deed::EndController => process.end(bed, absence),
            Deed::FreezeController => process.freeze(bed, absence),
        }
    }

    /// The id of any container of the bed's objects.
    fn any_container(&mut self, bed: &TestBed) -> Option<String> {
        let instance = format!("label=evenkeel.dev/instance={}", bed.instance());
        let named = "label=evenkeel.dev/name";
        let ids = bed.docker(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &instance, "--filter", named]);
        let ids: Vec<&str> = ids.lines().collect();
        self.random.choice(ids).map(str::to_owned)
    }

    /// Runs a command of the Docker client that ends with a container.
    fn docker_on_container(&mut self, bed: &TestBed, command: &[&str]) -> bool {
        let Some(id) = self.any_container(bed) else { return false };
        bed.engine().docker(&[command, &[&id]].concat()).status.success()
    }

    /// Only where this machine runs the container, and the process is still its own.
    fn kill_process(&mut self, bed: &TestBed) -> bool {
        let Some(id) = self.any_container(bed) else { return false };
        let pid = bed.inspect("container", &id)["State"]["Pid"].as_u64().unwrap_or_default().to_string();
        let is_its_own = fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(&id));
        is_its_own && Command::new("kill").args(["-9", &pid]).output().unwrap().status.success()
    }

    fn rename(&mut self, bed: &TestBed) -> bool {
        let Some(id) = self.any_container(bed) else { return false };
        // One that a controller was making when it was killed is known by its name alone, until the next one has seen it.
        let created = bed.inspect("container", &id)["Created"].as_str().and_then(|time| time.parse().ok());
        if created.is_none_or(|created: jiff::Timestamp| jiff::Timestamp::now().duration_since(created) < SEEN_AGE) {
            return false;
        }
        let name = format!("{}{MEDDLED}{:x}", bed.instance(), self.random.u32(..));
        bed.engine().docker(&["rename", &id, &name]).status.success()
    }

    fn disconnect(&mut self, bed: &TestBed) -> bool {
        let Some(id) = self.any_container(bed) else { return false };
        let container = bed.inspect("container", &id);
        let networks = container["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        let names: Vec<String> = networks.map(|(name, _)| name.clone()).collect();
        let Some(name) = self.random.choice(names) else { return false };
        bed.engine().docker(&["network", "disconnect", "--force", &name, &id]).status.success()
    }

    fn remove_network(&mut self, bed: &TestBed, is_watched: bool) -> bool {
        let Some(name) = self.random.choice(bed.network_names()) else { return false };
        let remove = || {
            let network = bed.inspect("network", &name);
            for (id, _) in network["Containers"].as_object().into_iter().flatten() {
                bed.engine().docker(&["network", "disconnect", "--force", &name, id]);
            }
            bed.engine().docker(&["network", "rm", &name]).status.success()
        };
        (0..if is_watched { 3 } else { 1 }).any(|_| remove())
    }

    fn any_shape(&mut self, is_meant: impl Fn(&Shape) -> bool) -> &'static Shape {
        let shapes: Vec<&Shape> = SHAPES.iter().filter(|shape| is_meant(shape)).collect();
        self.random.choice(shapes).unwrap()
    }

    fn edit(&mut self, edit: Edit, wanted: &mut Wanted) {
        let shape = self.any_shape(|shape| match edit {
            Edit::Replicas => shape.replicas.0 != shape.replicas.1,
            Edit::ComeOrGo => shape.comes_and_goes,
            Edit::Version | Edit::Environment | Edit::Image | Edit::Limit => true,
        });
        let (fewest, most) = shape.replicas;
        let choice = wanted.choices.get_mut(shape.name).unwrap();
        match edit {
            Edit::Version => choice.version += 1,
            Edit::Environment => choice.note = choice.note.is_none().then(|| self.random.u32(..)),
            Edit::Image => choice.has_second_image = !choice.has_second_image,
            Edit::Limit => choice.memory_mib = if choice.memory_mib == 64 { 80 } else { 64 },
            Edit::Replicas => choice.replicas = self.random.usize(fewest..=most),
            Edit::ComeOrGo => choice.is_there = !choice.is_there,
        }
    }

    /// It stays broken until something else writes it.
    fn break_file(&mut self, bed: &TestBed, wanted: &mut Wanted) -> bool {
        let shape = self.any_shape(|_| true);
        if wanted.text_of(shape.name).is_none() {
            return false;
        }
        bed.write(&format!("{}.yaml", shape.name), BROKEN);
        wanted.is_spoiled(shape.name);
        true
    }

    fn half_write_file(&mut self, bed: &TestBed, wanted: &mut Wanted) -> bool {
        let shape = self.any_shape(|_| true);
        wanted.choices.get_mut(shape.name).unwrap().version += 1;
        let Some(text) = wanted.text_of(shape.name) else { return false };
        let half = text.len() / 2;
        let path = bed.manifests().join(format!("{}.yaml", shape.name));
        fs::write(&path, text[..half].replace("$ns", &bed.namespace())).unwrap();
        thread::sleep(Duration::from_millis(self.number(0..=1_000)));
        wanted.is_spoiled(shape.name);
        wanted.write(bed);
        true
    }
}
