//! A machine with GPUs, as the collector sees it: a library that answers NVML's calls, and a tree of
//! files like sysfs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fs, thread};

use dynamo_metrics::collect::gpu::GpuCollector;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::prometheus::Folder;
use dynamo_metrics_tests::tools::workspace;

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine, until it is dropped.
#[derive(Debug)]
pub(crate) struct Machine {
    folder: PathBuf,
    _folder: Folder,
}

impl Machine {
    /// A machine with nothing in it but a name.
    pub(crate) fn new(name: &str) -> Self {
        let kept = Folder::new(&format!("gpu-{name}"));
        let folder = kept.write("name", name).parent().unwrap().to_owned();
        Self { folder, _folder: kept }
    }

    /// A machine with NVIDIA's GPUs, of which `control` says how they answer.
    pub(crate) fn nvidia(name: &str, control: &str) -> Self {
        let machine = Self::new(name);
        machine.control(control);
        machine.install();
        machine
    }

    /// Has the driver's library.
    pub(crate) fn install(&self) {
        // Each machine has a copy, since a process loads no file twice.
        let new = self.folder.join("new.so");
        fs::copy(library(), &new).unwrap();
        fs::rename(new, self.library()).unwrap();
    }

    /// Says how the GPUs answer from now on.
    pub(crate) fn control(&self, lines: &str) {
        let new = self.folder.join("control.new");
        fs::write(&new, lines).unwrap();
        fs::rename(new, self.folder.join("control")).unwrap();
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.folder.join("libnvidia-ml.so.1")
    }

    /// What the library tells in a file of this name, if it is there.
    pub(crate) fn told(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Writes a file below what the machine has as `/sys`.
    pub(crate) fn file(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.folder.join("sys").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// Removes a file or a folder below what the machine has as `/sys`.
    pub(crate) fn remove(&self, path: &str) {
        let path = self.folder.join("sys").join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// A collector that looks at this machine, often.
    pub(crate) fn collector(&self) -> GpuCollector {
        GpuCollector::new()
            .interval(Duration::from_millis(10))
            .retry(Duration::from_millis(20))
            .host("node-1")
            .lib_path(self.library())
            .sysfs(self.folder.join("sys"))
    }
}

/// The page, once it is as `wanted` says.
pub(crate) fn until(registry: &Registry, what: &str, wanted: impl Fn(&Page) -> bool) -> Page {
    let start = Instant::now();
    loop {
        let text = encode::text(registry);
        let page = Page::read(&text);
        if wanted(&page) {
            return page;
        }
        assert!(start.elapsed() < PATIENCE, "it does not come to that {what}:\n{text}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The library that answers NVML's calls, built of `tests/nvml` if it is not there.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = workspace().join("tests/nvml");
        let sources = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let newest = sources.map(|source| modified(&source)).max().unwrap();
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = temporary.join("libnvml.so");
        if built.exists() && modified(&built) > newest {
            return built;
        }
        // Other processes may be at it as well, each in a folder of its own: whoever is last leaves
        // the same.
        let own = temporary.join(format!("nvml-{}", std::process::id()));
        fs::create_dir_all(&own).unwrap();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .args(["--edition", "2024", "--crate-name", "nvml", "--crate-type", "cdylib"])
            .args(["-C", "strip=symbols", "--out-dir"])
            .args([&own, &folder.join("lib.rs")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(own.join("libnvml.so"), &built).unwrap();
        fs::remove_dir_all(own).unwrap();
        built
    })
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}
