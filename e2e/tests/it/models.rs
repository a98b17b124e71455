//! An operator chooses the model that values.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, repository};

/// A registry with the shipped model, the same as its next version, and one whose file is cut off.
fn registry(directory: &Path) -> Result<()> {
    let shipped = repository().join("enricher/model/registry/synthetic-us/2");
    let manifest = std::fs::read_to_string(shipped.join("manifest.json"))?;
    let network = std::fs::read(shipped.join("model.onnx"))?;
    for (version, bytes) in [("2", network.len()), ("3", network.len()), ("4", network.len() / 2)] {
        let target = directory.join("synthetic-us").join(version);
        std::fs::create_dir_all(&target)?;
        let mut manifest: serde_json::Value = serde_json::from_str(&manifest)?;
        manifest["version"] = version.into();
        std::fs::write(target.join("manifest.json"), manifest.to_string())?;
        std::fs::write(target.join("model.onnx"), &network[..bytes])?;
    }
    Ok(())
}

#[test]
fn a_model_is_promoted_once_it_is_checked_and_a_rollback_leads_back() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let models = tempfile::tempdir()?;
    registry(models.path())?;
    let settings = format!("[enricher]\nregistry = {:?}", models.path());
    let installation = Installation::on_servers(&servers, "models", &settings)?;
    let says = |arguments: &[&str], code: i32, what: &str| {
        let (said, ended) = installation.run(&[&["model"], arguments].concat())?;
        ensure!(
            ended == code && said.contains(what),
            "model {arguments:?}, exit code {ended}, not {code} with `{what}`:\n{said}"
        );
        anyhow::Ok(said)
    };

    let listed = says(&["list"], 0, "* champion: synthetic-us/2, as the settings say: none was promoted")?;
    ensure!(listed.contains("* synthetic-us/2: median error ") && listed.contains("  synthetic-us/3: "), "{listed}");
    ensure!(listed.contains("  synthetic-us/4: cannot be used: ") && listed.contains("SHA-256"), "{listed}");
    says(&["rollback"], 1, "no model was promoted")?;
    says(&["check", "synthetic-us/3"], 0, "its 8 golden rows give what they gave")?;
    says(&["check", "synthetic-us/4"], 1, "the manifest says")?;

    says(&["promote", "synthetic-us/4"], 1, "it is not promoted")?;
    says(&["promote", "synthetic-us/2"], 0, "synthetic-us/2 is champion already")?;
    let promoted = says(&["promote", "synthetic-us/3"], 0, "synthetic-us/3 is champion from epoch 1 on")?;
    ensure!(promoted.contains("leads back to synthetic-us/2"), "{promoted}");
    says(&["list"], 0, "* champion: synthetic-us/3, epoch 1")?;
    says(&["rollback"], 0, "synthetic-us/2 is champion from epoch 2 on")?;
    says(&["list"], 0, "* champion: synthetic-us/2, epoch 2")?;

    // An order, and the way back to one model.
    says(&["promote", "synthetic-us/3", "synthetic-us/3"], 1, "synthetic-us/3 is named twice")?;
    let order = says(
        &["promote", "synthetic-us/3", "synthetic-us/2"],
        0,
        "synthetic-us/3, then synthetic-us/2 value from epoch 3 on",
    )?;
    ensure!(order.contains("leads back to synthetic-us/2"), "{order}");
    let listed = says(&["list"], 0, "* champion: synthetic-us/3, epoch 3")?;
    ensure!(listed.contains("+ where it has nothing to say: synthetic-us/2"), "{listed}");
    says(&["rollback"], 0, "synthetic-us/2 is champion from epoch 4 on")?;

    // A candidate, its trial, and its end.
    says(&["compare"], 1, "there is no candidate: name one first")?;
    says(&["trial", "10"], 1, "there is no candidate: name one first")?;
    says(&["trial", "100"], 2, "100 is not in 0..=99")?;
    says(&["candidate", "synthetic-us/2"], 1, "synthetic-us/2 values for users already")?;
    says(&["candidate", "synthetic-us/4"], 1, "it is no candidate")?;
    says(&["candidate", "synthetic-us/3"], 0, "synthetic-us/3 is candidate: it values in shadow")?;
    says(&["list"], 0, "? candidate: synthetic-us/3, in shadow")?;
    let compared = says(&["compare"], 0, "0 sales of the last 90 days of which both spoke")?;
    ensure!(compared.contains("advice: wait: 500 sales"), "{compared}");
    // The record of the candidate has an offset too, and starts no epoch.
    says(&["trial", "10"], 0, "synthetic-us/3 values 10 % of the listings from epoch 6 on")?;
    says(&["list"], 0, "? candidate: synthetic-us/3, on trial with 10 % of the listings")?;
    says(&["candidate", "--withdraw"], 1, "end that first (roost model trial 0)")?;
    says(&["trial", "0"], 0, "synthetic-us/3 values in shadow again from epoch 7 on")?;
    says(&["candidate", "--withdraw"], 0, "synthetic-us/3 is no candidate any more")?;
    says(&["candidate", "synthetic-us/3"], 0, "synthetic-us/3 is candidate")?;
    let promoted = says(&["promote", "synthetic-us/3"], 0, "synthetic-us/3 is champion from epoch 10 on")?;
    ensure!(promoted.contains("there is no candidate any more"), "{promoted}");
    says(&["rollback"], 0, "synthetic-us/2 is champion from epoch 12 on")?;

    std::fs::remove_dir_all(models.path().join("synthetic-us/2")).context("the registry")?;
    says(&["list"], 1, "synthetic-us/2 is not in ")?;
    Ok(())
}
