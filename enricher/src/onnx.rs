//! The one place that touches ONNX Runtime: loads the library, makes sessions, runs rows through them.
//!
//! Knows columns and rows, nothing of listings. The crate `ort` has traps that this file guards, all of them about a
//! library that is not there or not the right one: an `ort` function called before a successful load panics (creating an
//! `ort::Error` is such a call), a process may have one environment only, and a library that is not ONNX Runtime can
//! hang its loader. Hence the check of the file first, the load in a thread with a time-out, and one environment kept
//! for the life of the process.

mod operator;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use ort::environment::Environment;
use ort::operator::OperatorDomain;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, ValueType};

use self::operator::TreesOperator;
use crate::config::TreeOperator;
use crate::registry::{GoldenRow, ModelError, Package};
use crate::trees::evaluate::Evaluator;
use crate::trees::kernel::Kernel;
use crate::trees::read::{DOMAIN, Network, Unreadable};

/// Longest time that the library may take to load: it takes about 50 ms from a warm disk.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest relative error of a golden row: five times that of a different instruction set (3e-6 to 2e-5 measured).
pub(crate) const GOLDEN_TOLERANCE: f64 = 1e-4;
/// Largest relative difference between our operator and the standard one. Both add 32-bit numbers in the same order.
const OPERATOR_TOLERANCE: f32 = 1e-5;
/// Most rows that a model is asked about at once.
pub(crate) const MOST_ROWS: usize = 256;
/// Name of the model's input, `[N, features]` of f32.
const INPUT: &str = "features";
/// Name of the model's output, `[N, 3]` of f32: p10, p50, p90 in currency units.
const OUTPUT: &str = "price";

/// The library could not be loaded: names the file and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ONNX Runtime {library}: {wrong}; run dev/get-onnxruntime, or set enricher.library or ORT_DYLIB_PATH to a libonnxruntime.so of version 1.{} or newer",
    ort::MINOR_VERSION
)]
pub struct LibraryError {
    library: String,
    wrong: String,
}

/// ONNX Runtime, loaded.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
}

/// What this process has loaded, or that a load never came back.
enum Loaded {
    NotYet,
    From(PathBuf, Runtime),
    Hung(PathBuf),
}

/// One per process: `ort` refuses a second environment, even after the first is dropped.
static LOADED: Mutex<Loaded> = Mutex::new(Loaded::NotYet);

impl Runtime {
    /// Loads the library at `path`, or hands out the one that this process has loaded from there before.
    pub fn load(path: &Path) -> Result<Self, LibraryError> {
        let error = |wrong: String| LibraryError { library: path.display().to_string(), wrong };
        // `ort` would resolve a relative path beside the executable.
        let path = path.canonicalize().map_err(|e| error(e.to_string()))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Loaded::From(known, runtime) if *known == path => return Ok(runtime.clone()),
            Loaded::From(known, _) => {
                return Err(error(format!("this process has already loaded {}", known.display())));
            }
            Loaded::Hung(known) => return Err(error(format!("loading {} never came back", known.display()))),
            Loaded::NotYet => {}
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let library = path.clone();
        std::thread::Builder::new()
            .name("onnx-load".to_owned())
            .spawn(move || {
                // A receiver that gave up is no reason to fail.
                let _ = sender.send(load(&library));
            })
            .map_err(|e| error(e.to_string()))?;
        match receiver.recv_timeout(LOAD_TIMEOUT) {
            Ok(Ok(runtime)) => {
                *loaded = Loaded::From(path, runtime.clone());
                Ok(runtime)
            }
            Ok(Err(wrong)) => Err(error(wrong)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(error("its loader panicked".to_owned())),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                *loaded = Loaded::Hung(path);
                Err(error(format!("not loaded within {} s", LOAD_TIMEOUT.as_secs())))
            }
        }
    }
}

impl Runtime {
    fn session(&self, onnx: &[u8], operators: Option<OperatorDomain>) -> Result<Session, ort::Error> {
        let mut builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // One session per thread and one thread per session: scales with threads and keeps a row's sums in one order.
            .with_intra_threads(1)?
            .with_intra_op_spinning(false)?;
        if let Some(operators) = operators {
            builder = builder.with_operators(operators)?;
        }
        builder.commit_from_memory(onnx)
    }
}

fn load(library: &Path) -> Result<Runtime, String> {
    // Of `ort`'s errors only this one exists without the library.
    let builder = ort::init_from(library).map_err(|e| match &e {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            // What the system's loader says is one step down.
            std::error::Error::source(error).map_or_else(|| e.to_string(), ToString::to_string)
        }
        _ => e.to_string(),
    })?;
    // From here on the library is there, and `ort::Error` can be made.
    let environment = builder.with_name("roost").with_telemetry(false).build().map_err(|e| e.to_string())?;
    Ok(Runtime { environment })
}

/// The prices that a model says of one row, in currency units, as they come out of it.
pub type Prices = [f32; 3];

/// A model ready to run on one thread.
pub struct Predictor {
    session: Session,
    columns: usize,
    file: PathBuf,
    left_to_stock: Option<String>,
}

/// Why a model's trees are left to the standard operator.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Session(#[from] ort::Error),
    #[error(transparent)]
    Run(#[from] ModelError),
    #[error("golden row {row} is worth {ours}, the standard operator says {standard}")]
    Differs { row: usize, ours: f32, standard: f32 },
}

impl Predictor {
    /// Makes a session and checks its signature. Where our operator cannot evaluate the model's trees, or says something else
    /// of the golden rows than the standard one, that one is used: see [`Predictor::left_to_stock`].
    pub fn new(runtime: &Runtime, package: &Package, operator: TreeOperator) -> Result<Self, ModelError> {
        let mut stock = Self::stock(runtime, package)?;
        let kernel = match operator {
            TreeOperator::Fast => Kernel::best(),
            TreeOperator::Portable => Kernel::Portable,
            TreeOperator::Stock => return Ok(stock),
        };
        Self::ours(runtime, package, kernel, &mut stock).or_else(|why| {
            stock.left_to_stock = Some(why.to_string());
            Ok(stock)
        })
    }

    /// Why the standard operator evaluates the trees although another was asked for; `None` where that is not so.
    pub fn left_to_stock(&self) -> Option<&str> {
        self.left_to_stock.as_deref()
    }

    fn stock(runtime: &Runtime, package: &Package) -> Result<Self, ModelError> {
        let broken = |wrong: String| {
            ModelError::new(
                &package.file,
                wrong,
                "export it with input `features` [N, columns] and output `price` [N, 3], both f32",
            )
        };
        let session = runtime.session(&package.onnx, None).map_err(|e| broken(e.to_string()))?;
        let columns = package.features.len();
        check(session.inputs(), INPUT, columns).map_err(broken)?;
        check(session.outputs(), OUTPUT, 3).map_err(broken)?;
        Ok(Self { session, columns, file: package.file.clone(), left_to_stock: None })
    }

    /// The same network with our operator in the place of the standard one, held against it.
    fn ours(runtime: &Runtime, package: &Package, kernel: Kernel, stock: &mut Self) -> Result<Self, Unfit> {
        let network = Network::parse(&package.onnx)?;
        let evaluator = Evaluator::new(&network.ensemble(stock.columns)?, kernel);
        let domain = OperatorDomain::new(DOMAIN)?.add(TreesOperator::new(evaluator))?;
        let session = runtime.session(&network.with_operator(), Some(domain))?;
        let mut ours = Self { session, columns: stock.columns, file: stock.file.clone(), left_to_stock: None };
        let golden = matrix(&package.manifest.golden);
        for (row, (ours, standard)) in ours.predict(&golden)?.into_iter().zip(stock.predict(&golden)?).enumerate() {
            for (ours, standard) in ours.into_iter().zip(standard) {
                // Written so that a NaN on either side fails.
                let within = (ours - standard).abs() <= OPERATOR_TOLERANCE * standard.abs();
                if !within {
                    return Err(Unfit::Differs { row, ours, standard });
                }
            }
        }
        Ok(ours)
    }

    /// Runs the manifest's golden rows: a model that says something else than when it was made is not used.
    pub fn check_golden(&mut self, rows: &[GoldenRow]) -> Result<(), ModelError> {
        let remedy = "the model and its manifest do not belong together: train or copy both again";
        // One by one as for the API, and as many as the enricher asks about at once: a network may be made for one of the two.
        let mut prices = Vec::with_capacity(2 * rows.len());
        for row in rows {
            prices.extend(self.predict(&row.inputs())?);
        }
        let batch: Vec<f32> = rows.iter().cycle().take(MOST_ROWS.max(rows.len())).flat_map(GoldenRow::inputs).collect();
        prices.extend(self.predict(&batch)?.into_iter().take(rows.len()));
        for ((i, row), price) in rows.iter().enumerate().cycle().zip(prices) {
            for (expected, got) in [row.p10, row.p50, row.p90].into_iter().zip(price) {
                // Written so that a NaN on either side fails.
                let within = (f64::from(got) - expected).abs() <= GOLDEN_TOLERANCE * expected.abs();
                if !within {
                    let wrong = format!("golden row {i} gives {got}, the manifest says {expected}");
                    return Err(ModelError::new(&self.file, wrong, remedy));
                }
            }
        }
        Ok(())
    }

    /// The prices of each row of a row-major matrix.
    pub fn predict(&mut self, matrix: &[f32]) -> Result<Vec<Prices>, ModelError> {
        let rows = matrix.len() / self.columns;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let failed = |e: ort::Error| {
            ModelError::new(&self.file, e, "the model failed on its rows: promote another one (roost model promote)")
        };
        let input = TensorRef::from_array_view(([rows, self.columns], matrix)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![INPUT => input]).map_err(failed)?;
        let (_, values) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(failed)?;
        let (prices, rest) = values.as_chunks::<3>();
        if prices.len() != rows || !rest.is_empty() {
            let wrong = format!("{} numbers for {rows} rows", values.len());
            return Err(ModelError::new(&self.file, wrong, "export it with three outputs per row"));
        }
        Ok(prices.to_vec())
    }
}

/// The inputs of golden rows, one after the other.
fn matrix(rows: &[GoldenRow]) -> Vec<f32> {
    rows.iter().flat_map(GoldenRow::inputs).collect()
}

/// Whether there is one outlet of that name, f32, `[any, columns]`.
fn check(outlets: &[ort::value::Outlet], name: &str, columns: usize) -> Result<(), String> {
    let found = outlets.iter().map(|o| format!("`{}` {:?}", o.name(), o.dtype())).collect::<Vec<_>>().join(", ");
    let right = matches!(outlets, [outlet] if outlet.name() == name && matches!(
        outlet.dtype(),
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. }
            // A fixed number of rows would be one that no batch has.
            if shape.len() == 2 && shape[0] < 0 && usize::try_from(shape[1]) == Ok(columns)
    ));
    if right {
        Ok(())
    } else {
        Err(format!("expected one outlet `{name}` f32 [N, {columns}] with any N, found {found}"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::registry::Registry;
    use schemas::model_alias::ModelName;

    /// The library that the set-up step fetched.
    pub(crate) fn library() -> PathBuf {
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ort/libonnxruntime.so");
        std::env::var_os("ORT_DYLIB_PATH").map_or(fetched, PathBuf::from)
    }

    pub(crate) fn package(name: &str, version: &str) -> Package {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
        Registry::new(models).read(&ModelName { name: name.to_owned(), version: version.to_owned() }).unwrap()
    }

    /// What the standard operators make of rows, in a network whose only output is a matrix.
    pub(crate) fn sums_of_stock(onnx: &[u8], rows: &[f32], columns: usize) -> Vec<f32> {
        let mut session = Runtime::load(&library()).unwrap().session(onnx, None).unwrap();
        let input = TensorRef::from_array_view(([rows.len() / columns, columns], rows)).unwrap();
        let outputs = session.run(ort::inputs![input]).unwrap();
        outputs[0].try_extract_tensor::<f32>().unwrap().1.to_vec()
    }

    fn predictor(name: &str, version: &str) -> Result<Predictor, ModelError> {
        Predictor::new(&Runtime::load(&library()).unwrap(), &package(name, version), TreeOperator::Fast)
    }

    #[test]
    fn a_wrong_library_is_an_error_with_a_remedy_and_the_right_one_still_loads() {
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "not a library").unwrap();
        for (path, wrong) in
            [(Path::new("/nowhere/libonnxruntime.so"), "No such file"), (text.path(), "file too short")]
        {
            // Another test of this process may have loaded the right one already: then that is said.
            let error = Runtime::load(path).unwrap_err().to_string();
            assert!(error.contains(wrong) || error.contains("has already loaded"), "{error}");
            assert!(error.contains("run dev/get-onnxruntime"), "{error}");
        }
        Runtime::load(&library()).unwrap();
        Runtime::load(&library()).unwrap();
    }

    #[test]
    fn golden_rows_and_signature_decide_whether_a_model_is_used() {
        let mut tiny = predictor("tiny", "1").unwrap();
        tiny.check_golden(&package("tiny", "1").manifest.golden).unwrap();
        assert_eq!(tiny.left_to_stock(), Some("the network has no TreeEnsembleRegressor"));

        let mut trees = predictor("trees", "1").unwrap();
        trees.check_golden(&package("trees", "1").manifest.golden).unwrap();
        assert_eq!(trees.left_to_stock(), None);

        let mut broken = predictor("broken", "1").unwrap();
        let error = broken.check_golden(&package("broken", "1").manifest.golden).unwrap_err().to_string();
        assert!(error.contains("golden row 0 gives 300000, the manifest says 200000"), "{error}");

        let error = predictor("fixed", "1").err().unwrap().to_string();
        assert!(error.contains("f32 [N, 2] with any N"), "{error}");

        let error = predictor("wide", "1").err().unwrap().to_string();
        assert!(error.contains("expected one outlet `price` f32 [N, 3] with any N, found `price`"), "{error}");

        let mut garbage = package("tiny", "1");
        garbage.onnx = b"garbage".to_vec().into();
        let error = Predictor::new(&Runtime::load(&library()).unwrap(), &garbage, TreeOperator::Fast)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("tests/models/tiny/1/model.onnx"), "{error}");
    }

    #[test]
    fn a_row_is_worth_the_same_in_any_batch() {
        let mut tiny = predictor("tiny", "1").unwrap();
        let matrix: Vec<f32> = (0..2 * 300).map(|i| (i * 7919 % 4001) as f32).collect();
        let alone: Vec<_> = matrix.chunks(2).flat_map(|row| tiny.predict(row).unwrap()).collect();
        for rows in [7, 64, 256, 300] {
            let batched: Vec<_> = matrix.chunks(2 * rows).flat_map(|batch| tiny.predict(batch).unwrap()).collect();
            assert_eq!(batched, alone, "{rows}");
        }
    }
}
