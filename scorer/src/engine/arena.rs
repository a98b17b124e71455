//! Things by key and by small number: a key keeps its number (slot) until the sweep after it is vacated, so within a
//! batch a number never changes its meaning.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::kernel;

/// Values by key and by slot.
#[derive(Debug)]
pub(super) struct Arena<K, V> {
    slots: FxHashMap<K, u32>,
    entries: Vec<Option<(K, Option<V>)>>,
    /// May have lost their value since the last sweep.
    vacated: Vec<u32>,
    free: Vec<u32>,
    occupied: usize,
}

impl<K, V> Default for Arena<K, V> {
    fn default() -> Self {
        Self { slots: FxHashMap::default(), entries: Vec::new(), vacated: Vec::new(), free: Vec::new(), occupied: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> Arena<K, V> {
    /// How many keys have a value.
    pub(super) fn len(&self) -> usize {
        self.occupied
    }

    /// The slot of a key that has, or since the last sweep had, a value.
    pub(super) fn slot(&self, key: &K) -> Option<u32> {
        self.slots.get(key).copied()
    }

    /// The slot of a key; a new one has no value yet and goes with the next sweep if it gets none.
    pub(super) fn slot_or_new(&mut self, key: &K) -> u32 {
        if let Some(slot) = self.slot(key) {
            return slot;
        }
        let entry = Some((key.clone(), None));
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            slot
        } else {
            self.entries.push(entry);
            // Four thousand million entries do not fit in memory.
            (self.entries.len() - 1) as u32
        };
        self.slots.insert(key.clone(), slot);
        self.vacated.push(slot);
        slot
    }

    /// The key of a slot that is in use.
    pub(super) fn key(&self, slot: u32) -> &K {
        // A slot is handed out with its key and loses it in a sweep only, when nobody holds the slot any more.
        &self.entries[slot as usize].as_ref().expect("a slot in use has a key").0
    }

    /// The value at a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&V> {
        self.entries.get(slot as usize)?.as_ref()?.1.as_ref()
    }

    /// The value at a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.entries.get_mut(slot as usize)?.as_mut()?.1.as_mut()
    }

    /// The value of a key.
    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.get(self.slot(key)?)
    }

    /// Puts a value at a slot that is in use, or takes it away; gives back what was there.
    pub(super) fn set(&mut self, slot: u32, value: Option<V>) -> Option<V> {
        let entry = self.entries[slot as usize].as_mut()?;
        let is = value.is_some();
        let was = std::mem::replace(&mut entry.1, value);
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
    pub(super) fn slots_end(&self) -> u32 {
        // Four thousand million entries do not fit in memory.
        self.entries.len() as u32
    }

    /// Tells the processor that this slot is needed soon.
    pub(super) fn prefetch(&self, slot: u32) {
        if let Some(entry) = self.entries.get(slot as usize) {
            kernel::prefetch(entry);
        }
    }

    /// Forgets the keys that have no value and frees their slots.
    pub(super) fn sweep(&mut self) {
        while let Some(slot) = self.vacated.pop() {
            let entry = &mut self.entries[slot as usize];
            if let Some((key, None)) = entry {
                self.slots.remove(key);
                *entry = None;
                self.free.push(slot);
            }
        }
    }

    /// Every value with its slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &K, &V)> {
        (0_u32..).zip(&self.entries).filter_map(|(slot, entry)| {
            let (key, value) = entry.as_ref()?;
            Some((slot, key, value.as_ref()?))
        })
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
