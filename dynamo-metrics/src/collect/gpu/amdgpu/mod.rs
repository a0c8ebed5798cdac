//! AMD's GPUs, by the files that their driver amdgpu has in sysfs.

mod card;
mod files;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::fault::Fault;
use super::labels::MOST;
use super::pool::{Driver, Job};
use card::Card;
use files::Folder;

/// The vendor's number, as sysfs has it.
const AMD: &str = "0x1002";

/// Cards below a root of sysfs.
#[derive(Debug)]
pub(super) struct AmdDriver {
    root: PathBuf,
    /// The index that the card of a number has, whatever comes and goes beside it.
    indices: BTreeMap<u32, u32>,
}

impl AmdDriver {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, indices: BTreeMap::new() }
    }

    /// The cards' numbers, with the folders of their devices, in the order of the numbers.
    fn cards(&self) -> Vec<(u32, Folder)> {
        let Ok(entries) = fs::read_dir(self.root.join("class/drm")) else { return Vec::new() };
        let mut cards: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                // `card0-DP-1` and its like are connectors.
                let number = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
                let folder = Folder::new(entry.path().join("device"));
                (folder.text("vendor")? == AMD).then_some((number, folder))
            })
            .collect();
        cards.sort_unstable_by_key(|(number, _)| *number);
        cards
    }

    /// The index of a card: its own, or the first that no other card has.
    fn index(&mut self, number: u32) -> u32 {
        let indices = &mut self.indices;
        let free = (0..=u32::MAX).find(|index| !indices.values().any(|other| other == index));
        *indices.entry(number).or_insert(free.unwrap_or(number))
    }
}

impl Driver for AmdDriver {
    const NAME: &'static str = "amdgpu";

    fn look(&mut self, _: bool) -> Result<Vec<(u32, Job)>, Fault> {
        let cards = self.cards();
        if self.indices.len() >= MOST {
            self.indices.retain(|number, _| cards.iter().any(|(other, _)| other == number));
        }
        let job = |(number, folder): (u32, Folder)| {
            let index = self.index(number);
            let job: Job = Box::new(move |worker| {
                let (mut card, facts) = worker.ask(|| {
                    let card = Card::new(folder);
                    let facts = card.facts(index, number);
                    (card, facts)
                });
                if !worker.begin(&facts) {
                    return Ok(());
                }
                worker.sample(|depth, reading| card.read(depth, reading))
            });
            (index, job)
        };
        Ok(cards.into_iter().map(job).collect())
    }
}
