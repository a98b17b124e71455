//! An arena slot by slot, 64 to a sheet, as it is written down; and made again in the same order with the same slots.

use std::hash::Hash;

use super::super::bytes::{Malformed, Source, valid};
use super::super::clusters::{LANES, lanes};
use super::{Arena, hash};

/// 64 slots; the last sheet may have less.
pub(in super::super) struct Sheet<'a, K, V> {
    first: u32,
    /// The slots with a value.
    pub(in super::super) taken: u64,
    /// Of every slot, for one that is free keeps its last key.
    pub(in super::super) keys: &'a [K],
    values: &'a [Option<V>],
}

impl<'a, K, V> Sheet<'a, K, V> {
    /// What is there, with its slot.
    pub(in super::super) fn rows(&self) -> impl Iterator<Item = (u32, &'a K, &'a V)> + use<'a, K, V> {
        let Self { first, taken, keys, values } = *self;
        // Slots are 32 bits wide.
        lanes(taken).filter_map(move |lane| Some((first + lane as u32, &keys[lane], values[lane].as_ref()?)))
    }
}

/// How many slots each sheet has.
pub(in super::super) fn sheets(slots: u32) -> impl Iterator<Item = usize> {
    // At most 64.
    (0..slots).step_by(LANES).map(move |first| (slots - first).min(LANES as u32) as usize)
}

/// The slots with a value, of a sheet with so many slots.
pub(in super::super) fn taken(source: &mut Source<'_>, slots: usize) -> Result<u64, Malformed> {
    let taken = source.u64()?;
    valid((slots == LANES || taken >> slots == 0).then_some(taken))
}

impl<K: Clone + Eq + Hash, V> Arena<K, V> {
    /// All slots. Nothing is vacated when a batch is over, so that every key has its value.
    pub(in super::super) fn sheets(&self) -> impl Iterator<Item = Sheet<'_, K, V>> {
        let sheets = self.keys.chunks(LANES).zip(self.values.chunks(LANES));
        (0..).step_by(LANES).zip(sheets).map(|(first, (keys, values))| {
            let taken = values.iter().rfold(0, |taken, value| taken << 1 | u64::from(value.is_some()));
            Sheet { first, taken, keys, values }
        })
    }

    /// Without slots, with room for so many.
    pub(in super::super) fn with_room(slots: usize) -> Self {
        let mut arena = Self::default();
        arena.keys.reserve_exact(slots);
        arena.values.reserve_exact(slots);
        arena.slots = hashbrown::HashTable::with_capacity(slots);
        arena
    }

    /// The next slot: with a value, or free.
    pub(in super::super) fn push(&mut self, key: K, value: Option<V>) -> Result<(), Malformed> {
        // Slots are 32 bits wide.
        let slot = self.keys.len() as u32;
        if value.is_none() {
            self.free.push(slot);
        } else if self.slot(&key).is_some() {
            return Err(Malformed("a key is there twice"));
        } else {
            self.slots.insert_unique(hash(&key), slot, |slot| hash(&self.keys[*slot as usize]));
            self.occupied += 1;
        }
        self.keys.push(key);
        self.values.push(value);
        Ok(())
    }
}
