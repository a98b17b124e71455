//! Values listings on one thread: asks the models in their order, the candidate beside them, and says whose word holds.
//!
//! Runs models; who they are is `roster.rs`, what their numbers become is `valuation.rs`.

use std::ops::Range;
use std::sync::MutexGuard;
use std::time::Instant;

use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use schemas::priced::{NoValuation, Valuation};
use schemas::sale::SaleAppraisal;
use schemas::shadow::{Arm, Opinion, Shadow};
use schemas::version::ListingVersion;

use crate::admission::Appraisal;
use crate::explain::{Explanation, Unexplained};
use crate::features::Subject;
use crate::level::Level;
use crate::metrics::{self, Stage};
use crate::onnx::Prices;
use crate::registry::Package;
use crate::roster::{Loaded, Roster, Seat};
use crate::surroundings::{Surroundings, View};
use crate::valuation::{quantised, refusal, refusal_of_home, sold_for};

/// What a model sees of a home, and why that makes its price.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The model's features, as its manifest names them.
    pub features: Vec<String>,
    /// In their order; NaN where one is missing.
    pub row: Vec<f32>,
    /// Of the median, before the level of the market corrects it.
    pub explanation: Explanation,
}

/// A thread's place of work: its own session of every model.
pub struct Desk<'a> {
    surroundings: &'a Surroundings,
    roster: &'a Roster,
    /// In the roster's order, the candidate last.
    posts: Vec<Post<'a>>,
}

/// One model, and the session of this thread.
struct Post<'a> {
    model: &'a Loaded,
    seat: MutexGuard<'a, Seat>,
}

/// The rows that one model is asked about.
#[derive(Default)]
struct Sheet {
    /// Which listing, and what its prices are corrected by.
    rows: Vec<(usize, Level)>,
    matrix: Vec<f32>,
}

/// What was made of one listing.
struct Answer {
    appraisal: Appraisal,
    /// Whose word it is: the first one's where nobody has one.
    post: usize,
    /// What that model saw, if it was to be kept; empty where none was asked.
    row: Vec<f32>,
}

/// Whether what the models saw is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Kept,
    Dropped,
}

impl<'a> Desk<'a> {
    /// The place of this thread. Waits for nobody as long as every thread has a number of its own.
    pub(crate) fn at(surroundings: &'a Surroundings, roster: &'a Roster, worker: usize) -> Self {
        let posts = roster.all().map(|model| Post { model, seat: model.seat(worker) }).collect();
        Self { surroundings, roster, posts }
    }

    /// Values listings for users, in their order; with it what champion and candidate say of each that the candidate covers, if
    /// there is one.
    pub fn appraise(&mut self, listings: &[&Listing]) -> Vec<(Appraisal, Option<Shadow>)> {
        let answers = self.ask_order(listings, Rows::Dropped);
        let started = Instant::now();
        let shadows = self.ask_candidate(listings, answers);
        if self.roster.candidate.is_some() {
            metrics::record_stage(Stage::Shadow, started.elapsed());
        }
        shadows
    }

    /// Values listings without regard to a candidate, in their order.
    pub fn appraise_in_order(&mut self, listings: &[&Listing]) -> Vec<Appraisal> {
        let answers = self.ask_order(listings, Rows::Dropped);
        answers.into_iter().map(|answer| answer.appraisal).collect()
    }

    /// Values a listing in the same way, and says what brought its price about, by the very row that it was valued by; `None`
    /// where it has no price.
    pub fn explain(&mut self, listing: &Listing) -> (Appraisal, Option<Result<Explained, Unexplained>>) {
        // One listing in, one answer out.
        let Answer { appraisal, post, row } = self.ask_order(&[listing], Rows::Kept).remove(0);
        let model = self.posts[post].model;
        let explained = appraisal.valuation.is_ok().then(|| {
            let explanation = model.explainer()?.explain(&row);
            Ok(Explained { features: model.package.manifest.features.clone(), row, explanation })
        });
        (appraisal, explained)
    }

    /// What every model says of homes that were sold, in their order: nothing of a home that it has nothing to say of.
    pub fn appraise_sold(&mut self, homes: &[&Listing]) -> Vec<Vec<SaleAppraisal>> {
        let mut appraisals = vec![Vec::new(); homes.len()];
        for post in &mut self.posts {
            let said = post.appraise_sold(self.surroundings, homes);
            appraisals.iter_mut().zip(said).for_each(|(all, said)| all.extend(said));
        }
        appraisals
    }

    /// Asks those that value for users.
    fn ask_order(&mut self, listings: &[&Listing], rows: Rows) -> Vec<Answer> {
        let answers = self.ask(0..self.roster.order.len(), listings, rows);
        for (at, post) in self.posts.iter().enumerate() {
            let its = answers.iter().filter(|answer| answer.post == at);
            let outcomes = its.map(|answer| answer.appraisal.valuation.as_ref().map(|_| ()).map_err(|why| *why));
            metrics::record_predictions(&post.model.package.manifest, outcomes);
        }
        answers
    }

    /// Asks the candidate what it thinks of the same listings, and takes its word for those on trial.
    fn ask_candidate(&mut self, listings: &[&Listing], answers: Vec<Answer>) -> Vec<(Appraisal, Option<Shadow>)> {
        let candidate = self.roster.order.len();
        let second = match self.roster.candidate {
            Some(_) => self.ask(candidate..candidate + 1, listings, Rows::Dropped),
            None => Vec::new(),
        };
        let mut second = second.into_iter();
        let choose = |(listing, first): (&&Listing, Answer)| {
            let second = second.next().filter(Answer::is_asked);
            let Some(second) = second else { return (first.appraisal, None) };
            let is_shown = second.appraisal.valuation.is_ok() && self.roster.is_on_trial(&listing.listing_id);
            let (champion, opinion) = (self.opinion(&first), self.opinion(&second));
            let shown = if is_shown { Arm::Candidate } else { Arm::Champion };
            let shadow = shadow(listing, self.roster.epoch, (champion, opinion), shown);
            metrics::record_shadow(&shadow);
            (if is_shown { second.appraisal } else { first.appraisal }, Some(shadow))
        };
        listings.iter().zip(answers).map(choose).collect()
    }

    fn opinion(&self, answer: &Answer) -> Opinion {
        let ModelName { name, version } = self.posts[answer.post].model.name().clone();
        let valuation = &answer.appraisal.valuation;
        Opinion {
            model: name,
            model_version: version,
            prices: valuation.as_ref().ok().map(Valuation::prices),
            no_valuation: valuation.as_ref().err().copied(),
        }
    }

    /// Asks models about listings: each that covers one and sees what it requires, in turn, until one has a price.
    fn ask(&mut self, order: Range<usize>, listings: &[&Listing], rows: Rows) -> Vec<Answer> {
        let started = Instant::now();
        let mut sheets: Vec<_> = order.clone().map(|_| Sheet::default()).collect();
        let mut answers = Vec::with_capacity(listings.len());
        let surroundings = self.surroundings;
        let known = surroundings.now();
        let mut sales_read = known.sales_read().to_vec();
        for (at, listing) in listings.iter().enumerate() {
            let subject = known.of(listing, &self.posts[order.start].model.package.features);
            let mut answer = Answer::of(&subject, self.roster.epoch, order.start);
            self.place((at, listing), Some(subject), &known, order.clone(), (&mut sheets, &mut answer));
            answers.push(answer);
        }
        drop(known);
        let features = started.elapsed();
        let started = Instant::now();
        while sheets.iter().any(|sheet| !sheet.rows.is_empty()) {
            let mut again = Vec::new();
            for (post, sheet) in self.posts[order.clone()].iter_mut().zip(&mut sheets) {
                let Sheet { rows: asked, matrix } = std::mem::take(sheet);
                let columns = post.model.package.features.len();
                let mut seen = matrix.chunks_exact(columns);
                for ((at, level), prices) in asked.into_iter().zip(post.predict(&matrix)) {
                    let answer: &mut Answer = &mut answers[at];
                    answer.appraisal.valuation = quantised(prices, level, &post.model.package.manifest, &sales_read);
                    if rows == Rows::Kept {
                        answer.row = seen.next().unwrap_or_default().to_vec();
                    }
                    if answer.appraisal.valuation.is_err() {
                        again.push(at);
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            // A number that is none is rare: the next model is asked, by what is known by now.
            let known = surroundings.now();
            sales_read = known.sales_read().to_vec();
            for at in again {
                let answer = &mut answers[at];
                let rest = answer.post + 1..order.end;
                self.place((at, listings[at]), None, &known, rest, (&mut sheets, answer));
            }
        }
        if order.start == 0 {
            metrics::record_stage(Stage::Features, features);
            metrics::record_stage(Stage::Inference, started.elapsed());
        }
        answers
    }

    /// Puts a listing on the sheet of the first model of `order` that covers it and sees what it requires; where none does, the answer
    /// says why.
    fn place(
        &mut self,
        (at, listing): (usize, &Listing),
        mut subject: Option<Subject<'_>>,
        known: &View<'_>,
        order: Range<usize>,
        (sheets, answer): (&mut [Sheet], &mut Answer),
    ) {
        let first = order.end - sheets.len();
        for at_post in order {
            let post = &mut self.posts[at_post];
            let package = &post.model.package;
            let sheet = &mut sheets[at_post - first];
            let start = sheet.matrix.len();
            let refused = refusal(listing, &package.manifest).or_else(|| {
                let subject = subject.take().unwrap_or_else(|| known.of(listing, &package.features));
                append_row(package, &subject, &mut sheet.matrix)
            });
            // The subject of one model may lack what another asks for.
            subject = None;
            match refused {
                None => {
                    sheet.rows.push((at, known.level(post.model.name(), listing)));
                    answer.post = at_post;
                    answer.appraisal.out_of_range = post.look_at(&sheet.matrix[start..]);
                    return;
                }
                Some(why) => answer.refuse(why, at_post),
            }
        }
    }
}

impl Post<'_> {
    /// The prices of rows; those of a model that fails are no numbers, and the next model is asked.
    fn predict(&mut self, matrix: &[f32]) -> Vec<Prices> {
        self.seat.predictor.predict(matrix).unwrap_or_else(|error| {
            self.model.complain(&error);
            vec![[f32::NAN; 3]; matrix.len() / self.model.package.features.len()]
        })
    }

    /// Counts the row, and names the features whose values training saw none like.
    fn look_at(&mut self, row: &[f32]) -> Vec<String> {
        let manifest = &self.model.package.manifest;
        if let Some(window) = self.seat.watch.take(row) {
            metrics::record_window(manifest, &window);
        }
        let outside = manifest.inputs.iter().zip(row).filter(|(input, value)| input.excludes(**value));
        outside.map(|(input, _)| input.feature.clone()).collect()
    }

    /// What the model says of homes that were sold, in their order.
    fn appraise_sold(&mut self, surroundings: &Surroundings, homes: &[&Listing]) -> Vec<Option<SaleAppraisal>> {
        let package = &self.model.package;
        let model = self.model.name();
        let (mut sheet, mut appraisals) = (Sheet::default(), vec![None; homes.len()]);
        let known = surroundings.now();
        for (at, home) in homes.iter().enumerate() {
            let refused = refusal_of_home(home, &package.manifest)
                .or_else(|| append_row(package, &known.of(home, &package.features), &mut sheet.matrix));
            if refused.is_none() {
                sheet.rows.push((at, known.level(model, home)));
            }
        }
        drop(known);
        for ((at, level), prices) in sheet.rows.into_iter().zip(self.predict(&sheet.matrix)) {
            appraisals[at] = sold_for(prices, level, &package.manifest);
        }
        appraisals
    }
}

impl Answer {
    /// Nobody has said anything yet.
    fn of(subject: &Subject<'_>, model_epoch: u64, post: usize) -> Self {
        let appraisal = Appraisal {
            commute: subject.commute,
            school_rating: subject.school_rating,
            level: subject.level,
            // Until a model says something else.
            valuation: Err(NoValuation::MarketNotCovered),
            out_of_range: Vec::new(),
            model_epoch,
        };
        Self { appraisal, post, row: Vec::new() }
    }

    /// A model is not asked. The reason of the first that covers the home stays: that is where more could be said.
    fn refuse(&mut self, why: NoValuation, post: usize) {
        if self.appraisal.valuation == Err(NoValuation::MarketNotCovered) && why != NoValuation::MarketNotCovered {
            self.appraisal.valuation = Err(why);
            self.post = post;
        }
    }

    /// Whether the home is one that the model would value.
    const fn is_asked(&self) -> bool {
        !matches!(
            self.appraisal.valuation,
            Err(NoValuation::MarketNotCovered | NoValuation::NotOffered | NoValuation::SellerOptedOut)
        )
    }
}

fn shadow(listing: &Listing, epoch: u64, (champion, candidate): (Opinion, Opinion), shown: Arm) -> Shadow {
    Shadow {
        listing_id: listing.listing_id.clone(),
        version: ListingVersion { model_epoch: epoch, ..listing.version },
        market: listing.market.clone(),
        transaction: listing.transaction,
        currency: listing.currency,
        list_price: listing.list_price,
        champion,
        candidate,
        shown,
    }
}

/// Appends the listing's row, unless a feature that the model requires is missing.
fn append_row(package: &Package, subject: &Subject<'_>, matrix: &mut Vec<f32>) -> Option<NoValuation> {
    let start = matrix.len();
    package.features.append_row(subject, matrix);
    let is_missing = |column: &usize| matrix[start + column].is_nan();
    if package.required.iter().any(is_missing) {
        matrix.truncate(start);
        return Some(NoValuation::MissingFeatures);
    }
    None
}
