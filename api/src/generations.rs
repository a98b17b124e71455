//! A map that forgets who was not asked for lately: two generations, of which the old one goes when the young one is full. Pure.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// So many of the latest at least, and twice as many at most.
#[derive(Clone, Debug)]
pub struct Generations<K, V> {
    most: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Empty; `most` is the size of each generation.
    pub fn new(most: usize) -> Self {
        Self { most, young: HashMap::new(), old: HashMap::new() }
    }

    /// What is under this key; it grows no younger.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// What is under this key, which is among the young ones from now on.
    pub fn touch(&mut self, key: K) -> Option<&mut V>
    where
        K: Clone,
    {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key)?;
            self.insert(key.clone(), value);
        }
        self.young.get_mut(&key)
    }

    /// Puts a value among the young ones.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Forgets what is under this key.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_stay_with_those_that_are_asked_for_and_never_too_many() {
        let mut some = Generations::new(10);
        some.insert(0, "kept");
        for n in 1..1_000 {
            some.insert(n, "other");
            assert!(some.len() <= 20 && some.get(&n) == Some(&"other") && some.get(&(n - n.min(9))).is_some(), "{n}");
            if n % 9 == 0 {
                assert_eq!(some.touch(0), Some(&mut "kept"), "{n}");
            }
        }
        assert!(some.get(&1).is_none() && some.touch(1).is_none());
    }

    #[test]
    fn a_key_is_there_once_and_what_is_removed_is_nowhere() {
        let mut some = Generations::new(2);
        for n in 0..3 {
            some.insert(n, n);
        }
        some.insert(0, 7);
        assert_eq!((some.get(&0), some.len()), (Some(&7), 3));
        *some.get_mut(&1).unwrap() = 8;
        assert_eq!(some.get(&1), Some(&8));
        some.remove(&0);
        some.remove(&1);
        assert_eq!((some.get(&0), some.get(&1), some.len()), (None, None, 1));
        some.clear();
        assert_eq!(some.len(), 0);
    }
}
