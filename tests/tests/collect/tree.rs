//! A machine that is only a few files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use dynamo_metrics::collect::HostCollector;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;

/// A folder that stands for a machine's root, and goes with this.
pub(crate) struct Machine {
    root: PathBuf,
    pub(crate) registry: Registry,
}

/// A page title and the two title lines of `/proc/net/dev`.
pub(crate) const TITLES: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets |bytes\n";

impl Machine {
    /// A machine with nothing in it, which is collected.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dynamo-metrics-machine-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self { root, registry: Registry::new() }
    }

    pub(crate) fn collect(&self) {
        HostCollector::builder().root(&self.root).register(&self.registry).unwrap();
    }

    /// Writes a file of it.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Puts a pipe in a file's place, and says where.
    pub(crate) fn pipe(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        let _ = fs::remove_file(&path);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success(), "{made}");
        path
    }

    /// Makes a folder of it.
    pub(crate) fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.root.join(path)).unwrap();
        self
    }

    /// Every file as a kernel has it.
    pub(crate) fn furnish(&self) -> &Self {
        self.write("proc/stat", STAT)
            .write("proc/meminfo", MEMINFO)
            .write("proc/loadavg", "0.50 1.25 2.00 2/138 876\n")
            .write("proc/diskstats", DISKSTATS)
            .write("proc/1/net/dev", format!("{TITLES}{DEV}"))
            .write("proc/1/mounts", MOUNTS)
            .write("proc/pressure/cpu", "some avg10=1.00 avg60=0 avg300=0 total=2500000\n")
            .write("proc/pressure/io", PRESSURE)
            .write("proc/pressure/memory", PRESSURE)
            .write("proc/sys/fs/file-nr", "1206\t0\t2466170\n")
            .write("proc/sys/kernel/ostype", "Linux\n")
            .write("proc/sys/kernel/osrelease", "6.18.44\n")
            .write("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC\n")
            .write("proc/sys/kernel/arch", "x86_64\n")
            .write("proc/sys/kernel/hostname", "node-7\n")
            .write("proc/sys/kernel/domainname", "(none)\n")
            .write("sys/class/net/eth0/operstate", "up\n")
            .write("sys/class/net/eth0/speed", "25000\n")
            .write("sys/class/net/lo/operstate", "unknown\n")
            .folder("data")
    }

    pub(crate) fn text(&self) -> String {
        encode::text(&self.registry)
    }

    pub(crate) fn page(&self) -> Page {
        Page::read(&self.text())
    }

    /// Errors of the collector, as the page counts them.
    pub(crate) fn errors(&self) -> f64 {
        let page = self.page();
        page.sum("dynamo_metrics_collect_errors_total", &[("source", "host")]).unwrap_or(0.0)
    }

    /// Samples of `node_exporter`'s names, but for those of file systems and links, which may come a little
    /// later.
    pub(crate) fn series(&self) -> usize {
        let page = self.page();
        let names = page.samples().iter().map(|sample| sample.name.as_str());
        let later = ["node_filesystem_", "node_network_up", "node_network_speed_"];
        let is_late = |name: &str| later.into_iter().any(|later| name.starts_with(later));
        names.filter(|name| name.starts_with("node_") && !is_late(name)).count()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const STAT: &str = "\
cpu  300 20 130 4000 50 6 7 8 0 0
cpu0 100 10 30 2000 20 1 2 3 0 0
cpu1 200 10 100 2000 30 5 5 5 0 0
intr 2863868 0 0 0 1 14 0
ctxt 5418423
btime 1764426600
processes 91873
procs_running 3
procs_blocked 1
softirq 1 2 3
";

const MEMINFO: &str = "\
MemTotal:       24684084 kB
MemFree:          798688 kB
MemAvailable:   23552216 kB
Buffers:          131856 kB
Cached:         22252020 kB
SwapCached:            0 kB
Active:          9319868 kB
Inactive:       13337580 kB
Active(anon):       1636 kB
Unevictable:       21440 kB
Mlocked:           20476 kB
SwapTotal:       1048576 kB
SwapFree:        1048000 kB
Dirty:            675432 kB
Writeback:             0 kB
AnonPages:        295312 kB
Mapped:           264408 kB
Shmem:              8872 kB
Slab:             872108 kB
SReclaimable:     780008 kB
PageTables:         7556 kB
CommitLimit:    12342040 kB
Committed_AS:     370444 kB
AnonHugePages:         0 kB
HugePages_Total:      16
HugePages_Free:        4
Hugepagesize:       2048 kB
";

const DISKSTATS: &str = "   7       0 loop0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 259       0 nvme0n1 1000 20 8000 1500 500 30 4000 2500 2 1250 4000 0 0 0 0 0 0
 259       1 nvme0n1p1 900 20 7000 1400 400 30 3000 2400 0 1200 3900 0 0 0 0 0 0
   8       0 sda 10 1 80 15 5 3 40 25 0 12 40
";

const DEV: &str = "    lo: 5000 50 0 0 0 0 0 0 5000 50 0 0 0 0 0 0
  eth0: 367007971 14320 1 2 0 0 0 0 885872 8316 3 4 0 0 0 0
";

const MOUNTS: &str = "\
proc /proc proc rw 0 0
/dev/nvme0n1p1 /data ext4 rw,relatime 0 0
nas:/models /gone nfs4 rw 0 0
overlay /var/lib/docker/overlay2/x overlay rw 0 0
";

const PRESSURE: &str = "\
some avg10=0.84 avg60=0.64 avg300=1.74 total=43735632
full avg10=0.00 avg60=0.00 avg300=0.24 total=13837988
";
