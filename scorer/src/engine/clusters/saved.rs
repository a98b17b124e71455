//! Clusters as they are written down: the ways from the root, and of each group who stands in which lane; not what stands
//! there, which is made again from whom it is of.

use super::super::bytes::{Malformed, Sink, Source, valid};
use super::{BY_SLOT, Block, Bounds, Clusters, Group, LANES, Row, SPAN, Spot, Way, lanes};

const FORK: u8 = 0;
const GROUP: u8 = 1;

impl<B: Block> Clusters<B> {
    /// From the root, left before right.
    pub(in super::super) fn save(&self, sink: &mut Sink) {
        let mut left_to_save = vec![0];
        while let Some(at) = left_to_save.pop() {
            match self.ways[at as usize] {
                Way::Fork { side, value, left, right } => {
                    // One of six.
                    sink.column([[FORK, side as u8]].into_iter());
                    sink.u32(value.to_bits());
                    left_to_save.extend([right, left]);
                }
                Way::Group(group) => {
                    let Group { blocks, .. } = &self.groups[group as usize];
                    let blocks = || blocks.iter().filter(|block| block.taken() != 0);
                    sink.u8(GROUP);
                    sink.count(blocks().count());
                    sink.column(blocks().map(|block| block.taken().to_le_bytes()));
                    let slots = blocks().flat_map(|block| lanes(block.taken()).map(|lane| block.row(lane).slot()));
                    sink.column(slots.map(u32::to_le_bytes));
                }
            }
        }
    }

    /// `row` gets the slot of each row and the spot where it stands, and makes the row.
    pub(in super::super) fn load(
        source: &mut Source<'_>,
        mut row: impl FnMut(u32, Spot) -> Result<B::Row, Malformed>,
    ) -> Result<Self, Malformed> {
        let mut clusters = Self { groups: Vec::new(), ..Self::default() };
        let mut left_to_load = vec![0];
        while let Some(at) = left_to_load.pop() {
            clusters.ways[at] = match source.u8()? {
                FORK => {
                    let side = usize::from(source.u8()?);
                    let value = f32::from_bits(source.u32()?);
                    valid((side <= BY_SLOT).then_some(()))?;
                    let left = clusters.ways.len();
                    clusters.ways.extend([Way::Group(0); 2]);
                    left_to_load.extend([left + 1, left]);
                    // There are less of them than bytes.
                    Way::Fork { side, value, left: left as u32, right: left as u32 + 1 }
                }
                GROUP => {
                    // As above.
                    let number = clusters.groups.len() as u32;
                    let group = Group::load(source, |slot, at| row(slot, Spot { group: number, at }))?;
                    clusters.len += group.len as usize;
                    clusters.groups.push(group);
                    Way::Group(number)
                }
                _ => return Err(Malformed("a way leads nowhere")),
            };
        }
        Ok(clusters)
    }
}

impl<B: Block> Group<B> {
    fn load(
        source: &mut Source<'_>,
        mut row: impl FnMut(u32, u32) -> Result<B::Row, Malformed>,
    ) -> Result<Self, Malformed> {
        let count = source.count(size_of::<u64>())?;
        let taken = source.column::<8>(count)?;
        // A block is some hundred times as large as what is written of one that is nearly empty: no room before it is read.
        let mut group = Self { blocks: Vec::with_capacity(count.min(SPAN)), ..Self::new() };
        for (number, taken) in taken.iter().enumerate() {
            let taken = valid(Some(u64::from_le_bytes(*taken)).filter(|taken| *taken != 0))?;
            if number % SPAN == 0 {
                group.bounds.push(B::Bounds::NONE);
            }
            let mut block = B::empty();
            let slots = source.column::<4>(taken.count_ones() as usize)?;
            for (lane, slot) in lanes(taken).zip(slots) {
                // A group has less rows than there are bytes.
                let row = row(u32::from_le_bytes(*slot), (number * LANES + lane) as u32)?;
                block.put(lane, &row);
                group.bounds[number / SPAN].widen(number % SPAN, &row);
            }
            group.len += taken.count_ones();
            group.blocks.push(block);
        }
        Ok(group)
    }
}
