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

    std::fs::remove_dir_all(models.path().join("synthetic-us/2")).context("the registry")?;
    says(&["list"], 1, "synthetic-us/2 is not in ")?;
    Ok(())
}
