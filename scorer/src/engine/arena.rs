//! Things by key and by small number: a key keeps its number (slot) until the sweep after it is vacated, so within a
//! batch a number never changes its meaning.

use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::kernel;

pub(super) mod saved;

/// Values by key and by slot. Keys and values stand apart, so that who needs one does not fetch the other.
#[derive(Debug)]
pub(super) struct Arena<K, V> {
    /// The slots in use, by the hash of their keys.
    slots: HashTable<u32>,
    /// A free slot keeps its last key until it is used again.
    keys: Vec<K>,
    values: Vec<Option<V>>,
    /// May have lost their value since the last sweep.
    vacated: Vec<u32>,
    free: Vec<u32>,
    occupied: usize,
}

impl<K, V> Default for Arena<K, V> {
    fn default() -> Self {
        let (keys, values, vacated, free) = Default::default();
        Self { slots: HashTable::new(), keys, values, vacated, free, occupied: 0 }
    }
}

fn hash(key: &impl Hash) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl<K: Clone + Eq + Hash, V> Arena<K, V> {
    /// How many keys have a value.
    pub(super) const fn len(&self) -> usize {
        self.occupied
    }

    /// The slot of a key that has, or since the last sweep had, a value.
    pub(super) fn slot(&self, key: &K) -> Option<u32> {
        self.slots.find(hash(key), |slot| self.keys[*slot as usize] == *key).copied()
    }

    /// The slot of a key; a new one has no value yet and goes with the next sweep if it gets none.
    pub(super) fn slot_or_new(&mut self, key: &K) -> u32 {
        if let Some(slot) = self.slot(key) {
            return slot;
        }
        let slot = if let Some(slot) = self.free.pop() {
            self.keys[slot as usize] = key.clone();
            slot
        } else {
            self.keys.push(key.clone());
            self.values.push(None);
            // Four thousand million entries do not fit in memory.
            (self.keys.len() - 1) as u32
        };
        self.slots.insert_unique(hash(key), slot, |slot| hash(&self.keys[*slot as usize]));
        self.vacated.push(slot);
        slot
    }

    /// The key of a slot that is in use.
    pub(super) fn key(&self, slot: u32) -> &K {
        // A slot is handed out with its key and loses it in a sweep only, when nobody holds the slot any more.
        &self.keys[slot as usize]
    }

    /// The value at a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&V> {
        self.values.get(slot as usize)?.as_ref()
    }

    /// The value at a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.values.get_mut(slot as usize)?.as_mut()
    }

    /// The value of a key.
    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.get(self.slot(key)?)
    }

    /// Puts a value at a slot that is in use, or takes it away; gives back what was there.
    pub(super) fn set(&mut self, slot: u32, value: Option<V>) -> Option<V> {
        let is = value.is_some();
        let was = std::mem::replace(&mut self.values[slot as usize], value);
        self.occupied = self.occupied + usize::from(is) - usize::from(was.is_some());
        if !is {
            self.vacated.push(slot);
        }
        was
    }

    /// The value of a key, made if there is none, and its slot.
    pub(super) fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> (u32, &mut V) {
        let slot = self.slot_or_new(key);
        if self.get(slot).is_none() {
            self.set(slot, Some(make()));
        }
        // Set in the line above if it was not there.
        (slot, self.get_mut(slot).expect("a value"))
    }

    /// One more than the greatest slot that was ever in use.
    pub(super) const fn slots_end(&self) -> u32 {
        // Four thousand million entries do not fit in memory.
        self.keys.len() as u32
    }

    /// Tells the processor that the value at this slot is needed soon.
    pub(super) fn prefetch(&self, slot: u32) {
        if let Some(value) = self.values.get(slot as usize) {
            kernel::prefetch(value);
        }
    }

    /// Tells the processor that the key of this slot is needed soon.
    pub(super) fn prefetch_key(&self, slot: u32) {
        if let Some(key) = self.keys.get(slot as usize) {
            kernel::prefetch(key);
        }
    }

    /// Forgets the keys that have no value and frees their slots.
    pub(super) fn sweep(&mut self) {
        while let Some(slot) = self.vacated.pop() {
            if self.values[slot as usize].is_some() {
                continue;
            }
            // It may be here twice.
            let key = &self.keys[slot as usize];
            if let Ok(known) = self.slots.find_entry(hash(key), |own| *own == slot) {
                known.remove();
                self.free.push(slot);
            }
        }
    }

    /// Every value with its slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &K, &V)> {
        let values = (0_u32..).zip(&self.keys).zip(&self.values);
        values.filter_map(|((slot, key), value)| Some((slot, key, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_slot_until_the_sweep_after_it_is_vacated() {
        let mut arena = Arena::<&str, i32>::default();
        let (a, _) = arena.get_or_insert_with(&"a", || 1);
        arena.set(a, None);
        assert_eq!(arena.slot_or_new(&"a"), a);
        arena.set(a, Some(2));
        arena.sweep();
        assert_eq!((arena.find(&"a"), arena.len()), (Some(&2), 1));

        arena.set(a, None);
        assert_ne!(arena.slot_or_new(&"b"), a);
        arena.sweep();
        assert_eq!((arena.slot(&"a"), arena.slot(&"b"), arena.len()), (None, None, 0));
        let (c, _) = arena.get_or_insert_with(&"c", || 3);
        assert!(c <= 1, "freed slots are used again");
        assert_eq!(arena.iter().collect::<Vec<_>>(), [(c, &"c", &3)]);
    }
}
