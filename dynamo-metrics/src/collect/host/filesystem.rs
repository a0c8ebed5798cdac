//! How full file systems are. One of them may hang when it is asked.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Tree;
use super::devices::Devices;
use crate::collect::aside::Turn;
use crate::collect::error::CollectError;
use crate::collect::told::tell_of;
use crate::metric::FloatGauge;
use crate::registry::{DynamicFamily, MetricSet};

/// Most mount points that are shown.
const MOST: usize = 256;

/// Most series of a name, whatever the registry says: those of new mount points come before others go.
const MOST_SERIES: u64 = 2 * MOST as u64;

/// Where nothing is mounted that fills up, nor below, as `node_exporter` has it.
const LEFT_OUT_AT: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Where others mount what is on a disk that is shown already. That disk may be mounted right here.
const LEFT_OUT_BELOW: [&str; 3] =
    ["/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];

/// File systems that are none of a disk's, likewise.
const LEFT_OUT_TYPES: [&str; 28] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "erofs",
    "ramfs",
    "fuse.lxcfs",
];

/// File systems, by where they are mounted.
///
/// # Source
/// `statvfs` of each line of `/proc/self/mounts`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostFilesystems", fixed_prefix = "node_filesystem")]
pub(super) struct FilesystemSet {
    /// Space that there is.
    #[metric(labels(device, fstype, mountpoint), unit = bytes, series_cap = MOST_SERIES)]
    size_bytes: DynamicFamily<FloatGauge, 3>,
    /// Space that is free.
    #[metric(labels(device, fstype, mountpoint), unit = bytes, series_cap = MOST_SERIES)]
    free_bytes: DynamicFamily<FloatGauge, 3>,
    /// Space that is free for everybody.
    #[metric(labels(device, fstype, mountpoint), unit = bytes, series_cap = MOST_SERIES)]
    avail_bytes: DynamicFamily<FloatGauge, 3>,
    /// Files that there can be.
    #[metric(labels(device, fstype, mountpoint), series_cap = MOST_SERIES)]
    files: DynamicFamily<FloatGauge, 3>,
    /// Files that there can still be.
    #[metric(labels(device, fstype, mountpoint), series_cap = MOST_SERIES)]
    files_free: DynamicFamily<FloatGauge, 3>,
    /// 1 if nothing can be written, 0 if it can.
    #[metric(labels(device, fstype, mountpoint), series_cap = MOST_SERIES)]
    readonly: DynamicFamily<FloatGauge, 3>,
    /// 1 if the file system does not answer, 0 if it does.
    #[metric(labels(device, fstype, mountpoint), series_cap = MOST_SERIES)]
    device_error: DynamicFamily<FloatGauge, 3>,
}

/// What a file system says of itself.
#[derive(Debug, Clone, Copy)]
struct Space {
    size: f64,
    free: f64,
    available: f64,
    files: f64,
    files_free: f64,
    readonly: bool,
}

/// One line of the list of mounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mount {
    device: String,
    fstype: String,
    point: String,
}

/// Asks the file system that is mounted somewhere.
type Ask = dyn Fn(&Path) -> io::Result<Space> + Send + Sync;

pub(super) struct Filesystems {
    set: Arc<FilesystemSet>,
    tree: Tree,
    ask: Box<Ask>,
    state: Mutex<State>,
}

struct State {
    mounts: Devices<Mount>,
    /// Mounts that somebody is asking, and did not come back from.
    asked: HashSet<Mount>,
}

impl Filesystems {
    pub(super) fn new(set: Arc<FilesystemSet>, tree: Tree) -> Self {
        Self::with(set, tree, space)
    }

    fn with(
        set: Arc<FilesystemSet>,
        tree: Tree,
        ask: impl Fn(&Path) -> io::Result<Space> + Send + Sync + 'static,
    ) -> Self {
        let state = State { mounts: Devices::new("mount points", MOST), asked: HashSet::new() };
        Self { set, tree, ask: Box::new(ask), state: Mutex::new(state) }
    }

    /// Asks one after another. One that hangs is left out by whoever takes over.
    pub(super) fn read(&self, turn: &Turn) -> Result<(), CollectError> {
        let (text, result) = match self.tree.read_of_process("mounts") {
            Ok(text) => (text, Ok(())),
            Err(error) => (String::new(), Err(error)),
        };
        // Whoever took over while the list was read has begun already.
        if !turn.is_current() {
            return Ok(());
        }
        self.lock().mounts.begin();
        for mount in text.lines().filter_map(Mount::parse).filter(Mount::is_shown) {
            {
                let mut state = self.lock();
                if !state.mounts.admit(&mount) {
                    continue;
                }
                if !state.asked.insert(mount.clone()) {
                    self.set.show(&mount, Err(()));
                    continue;
                }
            }
            let said = (self.ask)(&self.tree.path(&mount.point));
            let mut state = self.lock();
            state.asked.remove(&mount);
            // Whoever took over has a round of its own.
            if !turn.is_current() {
                return Ok(());
            }
            drop(state);
            self.set.show(&mount, said.map_err(drop));
        }
        let ended = self.lock().mounts.end(|mount| self.set.hide(mount));
        result.and(ended)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FilesystemSet {
    fn show(&self, mount: &Mount, said: Result<Space, ()>) {
        self.show_space(mount, said.ok());
        tell_of(&self.device_error, mount.labels(), Some(f64::from(u8::from(said.is_err()))));
    }

    fn hide(&self, mount: &Mount) {
        self.show_space(mount, None);
        self.device_error.remove(mount.labels());
    }

    fn show_space(&self, mount: &Mount, space: Option<Space>) {
        for (family, value) in [
            (&self.size_bytes, space.map(|space| space.size)),
            (&self.free_bytes, space.map(|space| space.free)),
            (&self.avail_bytes, space.map(|space| space.available)),
            (&self.files, space.map(|space| space.files)),
            (&self.files_free, space.map(|space| space.files_free)),
            (&self.readonly, space.map(|space| f64::from(u8::from(space.readonly)))),
        ] {
            tell_of(family, mount.labels(), value);
        }
    }
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().map(unescape);
        let (device, point, fstype) = (fields.next()?, fields.next()?, fields.next()?);
        let is_absolute = point.starts_with('/') && !point.split('/').any(|part| part == "..");
        is_absolute.then_some(Self { device, fstype, point })
    }

    fn is_shown(&self) -> bool {
        let is_below = |above: &str| {
            let rest = self.point.strip_prefix(above);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let is_at = |place: &str| self.point == place || is_below(place);
        let is_left_out =
            LEFT_OUT_AT.into_iter().any(is_at) || LEFT_OUT_BELOW.into_iter().any(is_below);
        !is_left_out && !LEFT_OUT_TYPES.contains(&self.fstype.as_str())
    }

    fn labels(&self) -> [&str; 3] {
        [&self.device, &self.fstype, &self.point]
    }
}

/// A field as it was before the kernel wrote its spaces as `\040`, and others likewise.
fn unescape(field: &str) -> String {
    let mut pieces = field.split('\\');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..3).and_then(|code| u8::from_str_radix(code, 8).ok());
        if let Some(code) = code.filter(u8::is_ascii) {
            text.push(char::from(code));
            text.push_str(&piece[3..]);
        } else {
            text.push('\\');
            text.push_str(piece);
        }
    }
    text
}

#[cfg(unix)]
fn space(path: &Path) -> io::Result<Space> {
    use rustix::fs::{StatVfsMountFlags, statvfs};

    let told = statvfs(path)?;
    let blocks = |blocks: u64| blocks as f64 * told.f_frsize as f64;
    Ok(Space {
        size: blocks(told.f_blocks),
        free: blocks(told.f_bfree),
        available: blocks(told.f_bavail),
        files: told.f_files as f64,
        files_free: told.f_ffree as f64,
        readonly: told.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

#[cfg(not(unix))]
fn space(_: &Path) -> io::Result<Space> {
    Err(io::ErrorKind::Unsupported.into())
}

impl fmt::Debug for Filesystems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filesystems").field("tree", &self.tree).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::clock::Manual;
    use crate::collect::aside::{Aside, LATE};
    use crate::encode;
    use crate::registry::Registry;

    const SPACE: Space = Space {
        size: 4096.0,
        free: 2048.0,
        available: 1024.0,
        files: 10.0,
        files_free: 5.0,
        readonly: false,
    };

    #[test]
    fn a_mount_is_read_with_its_spaces() {
        let mount = Mount::parse(r"//host/a\040share /mnt/a\040b\134c cifs rw 0 0").unwrap();
        assert_eq!(mount.labels(), ["//host/a share", "cifs", r"/mnt/a b\c"]);
        for line in ["", "a", "a b c", "a /x/../../etc ext4", "proc"] {
            assert_eq!(Mount::parse(line), None, "{line}");
        }
        assert_eq!(unescape(r"\9x\04"), r"\9x\04");
    }

    #[test]
    fn what_cannot_fill_up_is_left_out() {
        for (line, is_shown) in [
            ("/dev/vda / ext4", true),
            ("tmpfs /run tmpfs", true),
            ("host:/v /data nfs4", true),
            ("tmpfs /dev/shm tmpfs", false),
            ("/dev/b /devices ext4", true),
            ("overlay / overlay", false),
            ("cgroup2 /cg cgroup2", false),
            // A disk of its own there fills up; what is made below it is on that.
            ("/dev/c /var/lib/docker ext4", true),
            ("/dev/d /var/lib/containers/storage xfs", true),
            ("shm /var/lib/docker/containers/a/shm tmpfs", false),
            ("none /run/credentials/a.service tmpfs", false),
        ] {
            assert_eq!(Mount::parse(line).unwrap().is_shown(), is_shown, "{line}");
        }
    }

    #[test]
    fn one_that_hangs_costs_only_itself_and_comes_back() {
        let root =
            std::env::temp_dir().join(format!("dynamo-metrics-hangs-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc/1")).unwrap();
        let mounts = "a /a ext4\nnfs:/b /b nfs\nc /c ext4\n";
        std::fs::write(root.join("proc/1/mounts"), mounts).unwrap();
        let registry = Registry::new();
        let set = Arc::new(FilesystemSet::register(&registry).unwrap());
        let (answer, answers) = mpsc::channel::<()>();
        let answers = Mutex::new(answers);
        let (reached, hangs) = mpsc::channel();
        let reached = Mutex::new(reached);
        let ask = move |path: &Path| {
            if path.ends_with("b") {
                reached.lock().unwrap().send(()).unwrap();
                answers.lock().unwrap().recv().unwrap();
            }
            Ok(SPACE)
        };
        let filesystems = Filesystems::with(set, Tree::new(root.clone()), ask);
        let aside = Aside::new(move |turn| filesystems.read(turn));
        let clock = Manual::new();
        let shows = |line: &str| encode::text(&registry).lines().any(|other| other == line);
        clock.run(|| {
            // The first reader comes to the one that hangs, and no further.
            let refresh = || aside.start().and_then(|started| aside.finish(&started));
            assert!(refresh().is_ok());
            hangs.recv().unwrap();
            let of = |metric: &str, mount: &str, value: &str| {
                format!("node_filesystem_{metric}{{{mount}}} {value}")
            };
            let [a, b, c] = [
                r#"device="a",fstype="ext4",mountpoint="/a""#,
                r#"device="nfs:/b",fstype="nfs",mountpoint="/b""#,
                r#"device="c",fstype="ext4",mountpoint="/c""#,
            ];
            assert!(shows(&of("size_bytes", a, "4096")) && !shows(&of("size_bytes", c, "4096")));
            clock.advance(LATE);
            assert!(matches!(refresh(), Err(CollectError::Late(LATE))));
            wait(|| shows(&of("size_bytes", c, "4096")));
            assert!(shows(&of("device_error", b, "1")) && !shows(&of("size_bytes", b, "4096")));
            // It comes back, and is asked again.
            answer.send(()).unwrap();
            answer.send(()).unwrap();
            wait(|| {
                let _ = refresh();
                shows(&of("size_bytes", b, "4096"))
            });
            assert!(shows(&of("device_error", b, "0")));
        });
        std::fs::remove_dir_all(root).unwrap();
    }

    /// Waits for what a thread is about to do.
    fn wait(mut is_so: impl FnMut() -> bool) {
        for _ in 0..1_000 {
            if is_so() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it never came to that");
    }
}
