//! Sessions as they are written down: what they ask, and their shortlists, in columns, 64 sessions to a sheet.

use schemas::id::SessionId;
use smallvec::SmallVec;

use super::super::arena::Arena;
use super::super::arena::saved::{sheets, taken};
use super::super::asks::saved::ASKS_BYTES;
use super::super::asks::{Asks, Book};
use super::super::buckets::saved::Many;
use super::super::buckets::{Buckets, Standing};
use super::super::bytes::{Malformed, Sink, Source, valid};
use super::super::clusters::{LANES, lanes};
use super::super::lookup::{Codes, floor, most_amenities};
use super::super::seats::Seated;
use super::super::shelves::Listings;
use super::super::shortlist::{Bound, Entries, Entry, KEPT, NO_ENTRIES, Shortlist};
use super::{Audience, Details, Session, UNTOUCHED};

/// Bytes of the entries of a shortlist.
const ENTRIES: usize = KEPT * 8;
/// Bytes of a session at least: its id, its bound, its entries and what it asks.
const SESSION_BYTES: usize = 16 + 4 + ENTRIES + ASKS_BYTES;

impl Audience {
    /// All but the book's names: they are needed before.
    pub(in super::super) fn save(&self, sink: &mut Sink) {
        sink.u32(self.sessions.slots_end());
        for sheet in self.sessions.sheets() {
            sink.u64(sheet.taken);
            // A free slot keeps the id of a session that ended, which is nobody's business any more.
            let ids = sheet.keys.iter().enumerate();
            let ids = ids.map(|(lane, id)| if sheet.taken >> lane & 1 == 1 { id.bits() } else { 0 });
            sink.column(ids.map(u128::to_le_bytes));
            sink.column(sheet.rows().map(|(_, _, session)| session.bound.bits().to_le_bytes()));
            sink.column(sheet.rows().map(|(slot, _, _)| to_bytes(&self.details[slot as usize].entries)));
            let asks: SmallVec<[(u32, &Asks); LANES]> =
                sheet.rows().map(|(slot, _, session)| (slot, &session.asks)).collect();
            self.book.save_sheet(&asks, sink);
        }
        self.buckets.save(sink);
    }

    /// The same, with the names and listings that were loaded before.
    pub(in super::super) fn load(
        source: &mut Source<'_>,
        mut book: Book,
        listings: &Listings,
    ) -> Result<Self, Malformed> {
        let slots = source.u32()?;
        let room = (slots as usize).min(source.left() / SESSION_BYTES);
        let (mut sessions, mut details) = (Arena::with_room(room), Vec::with_capacity(room));
        let mut first = 0;
        for slots in sheets(slots) {
            let taken = taken(source, slots)?;
            let ids = source.column::<16>(slots)?.iter().map(|id| SessionId::from_bits(u128::from_le_bytes(*id)));
            let numbers: Vec<u32> = lanes(taken).map(|lane| first + lane as u32).collect();
            let bounds = source.column::<4>(numbers.len())?;
            let entries = source.column::<ENTRIES>(numbers.len())?;
            let asks = book.load_sheet(&numbers, source)?;
            let mut rows = bounds.iter().zip(entries).zip(asks);
            for (lane, id) in ids.enumerate() {
                let row = if taken >> lane & 1 == 1 { rows.next() } else { None };
                let (mut session, mut entries) = (None, NO_ENTRIES);
                if let Some(((bound, read), asks)) = row {
                    let bound = valid(Bound::from_bits(u32::from_le_bytes(*bound)))?;
                    entries = from_bytes(read, bound, listings)?;
                    session = Some(Session { asks, bound, standing: Standing::NOWHERE });
                }
                sessions.push(id, session)?;
                details.push(Details { entries, touched: UNTOUCHED });
            }
            // A sheet has 64 slots at most.
            first += slots as u32;
        }
        let mut many = Many::default();
        let mut buckets = Buckets::load(source, &mut book, |book, seat| {
            let session: Option<&mut Session> = sessions.get_mut(seat.slot);
            let session = session.ok_or(Malformed("a seat is of nobody"))?;
            if session.asks.profile() != seat.profile {
                return Err(Malformed("a session sits among others"));
            }
            many.add(seat, &mut session.standing);
            let asked = book.asked(seat.slot, &session.asks);
            let codes = Codes::of(&asked, seat.ladder, seat.rarity);
            let bound = Shortlist::of(session.bound, &NO_ENTRIES).bound_score();
            Ok(Seated::open(codes, seat.slot, floor(bound, most_amenities(&asked))))
        })?;
        buckets.settle(many);
        for (slot, _, session) in sessions.iter() {
            if !buckets.sits_right(slot, &session.standing, &book.asked(slot, &session.asks)) {
                return Err(Malformed("a session does not sit where it looks"));
            }
        }
        Ok(Self { sessions, details, book, buckets, ..Self::default() })
    }
}

fn to_bytes(entries: &Entries) -> [u8; ENTRIES] {
    let mut bytes = [0; ENTRIES];
    for (bytes, Entry { score, slot }) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(entries) {
        *bytes = (u64::from(*score) << 32 | u64::from(*slot)).to_le_bytes();
    }
    bytes
}

/// As many as the bound says.
fn from_bytes(bytes: &[u8; ENTRIES], bound: Bound, listings: &Listings) -> Result<Entries, Malformed> {
    let mut entries = NO_ENTRIES;
    for (entry, bytes) in entries.iter_mut().zip(bytes.as_chunks::<8>().0).take(bound.len()) {
        let both = u64::from_le_bytes(*bytes);
        // The upper and the lower half.
        *entry = Entry { score: (both >> 32) as u32, slot: both as u32 };
        if listings.get(entry.slot).is_none() {
            return Err(Malformed("a session sees a listing that is not there"));
        }
    }
    valid(Shortlist::of(bound, &entries).is_in_order().then_some(entries))
}
