//! Checkpoints: round trips, equal bytes, and the messages about broken files.

use std::path::Path;

use candle_core::{Device, Tensor};
use lamas::checkpoint::{Checkpoint, Provenance, TensorFile, state_dict};
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::plan::Signature;

const SIGNATURES: [Signature; 3] = [Signature::ANSWERS, Signature::VOTES, Signature::ENDS];

fn controller() -> Controller {
    let config = ControllerConfig { layers: 2, hidden: 4, embedding: 6, ..ControllerConfig::default() };
    let operators: Vec<f32> = (0..18).map(|index| (index as f32).sin()).collect();
    let operators = Tensor::from_vec(operators, (3, 6), &Device::Cpu).expect("a matrix");
    Controller::new(config, SIGNATURES.to_vec(), &operators, 3, &Device::Cpu).expect("a controller")
}

fn checkpoint() -> Checkpoint {
    let controller = controller();
    let configuration = serde_json::json!({ "controller": controller.config(), "note": "\u{e9}\n\"quoted\"" });
    let provenance = Provenance {
        encoder: "static".into(),
        catalogue: "[[operator]]\nname = \"Generate\"\n".into(),
        configuration,
        seed: u64::MAX,
        revision: None,
    };
    let weights = controller.tensors().expect("tensors");
    let halting = [("weights".to_string(), Tensor::new(&[1f32, 2.0], &Device::Cpu).expect("a vector"))].into();
    Checkpoint {
        weights,
        operators: controller.operators().clone(),
        halting,
        strategies: String::new(),
        provenance,
        step: 7,
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn whole_error<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().expect("an error"))
}

#[test]
fn a_checkpoint_comes_back_whole() {
    let (folder, saved) = (folder(), checkpoint());
    let path = folder.path().join("a.safetensors");
    saved.save(&path).expect("saved");
    let loaded = Checkpoint::load(&path).expect("loaded");
    assert_eq!((&loaded.provenance, loaded.step), (&saved.provenance, 7));
    assert_eq!(loaded.halting.keys().collect::<Vec<_>>(), ["weights"]);

    let again = folder.path().join("b.safetensors");
    loaded.save(&again).expect("saved");
    let bytes = std::fs::read(&path).expect("bytes");
    assert_eq!(bytes, std::fs::read(&again).expect("bytes"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "no temporary file is left");

    let restored = Controller::from_checkpoint(&loaded, SIGNATURES.to_vec(), &Device::Cpu).expect("a controller");
    let (before, after) = (Policy::new(&controller()), Policy::new(&restored));
    let (before, after) = (before.expect("a policy"), after.expect("a policy"));
    let query = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6];
    let plan = before.greedy(&query);
    assert_eq!(before.probabilities(&query, &plan), after.probabilities(&query, &plan));
}

#[test]
fn a_file_cut_short_is_named() {
    let folder = folder();
    let path = folder.path().join("cut.safetensors");
    checkpoint().save(&path).expect("saved");
    let bytes = std::fs::read(&path).expect("bytes");
    for length in [0, 5, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).expect("written");
        let error = whole_error(Checkpoint::load(&path));
        assert!(error.contains("cut.safetensors") && error.contains("truncated"), "{length}: {error}");
    }
    let error = whole_error(Checkpoint::load(&folder.path().join("absent")));
    assert!(error.contains("absent"), "{error}");
}

/// Saves a checkpoint, changes the file, and looks for `expected` in the error from loading it.
fn check_damage(damage: impl Fn(&mut TensorFile), expected: &str) {
    let folder = folder();
    let path = folder.path().join("damaged.safetensors");
    checkpoint().save(&path).expect("saved");
    let mut file = TensorFile::load(&path).expect("loaded");
    damage(&mut file);
    file.save(&path).expect("saved");
    let controller = Checkpoint::load(&path)
        .and_then(|loaded| Controller::from_checkpoint(&loaded, SIGNATURES.to_vec(), &Device::Cpu));
    let error = whole_error(controller);
    assert!(error.contains(expected), "expected `{expected}`, found `{error}`");
}

#[test]
fn errors_name_the_tensor_or_the_metadata() {
    let name = "layers.1.operator_encoder.weight";
    let tensor = |value: f32, shape: [usize; 2]| Tensor::full(value, &shape, &Device::Cpu).expect("a tensor");
    check_damage(|file| drop(file.tensors.remove(name)), "no tensor `layers.1.operator_encoder.weight`");
    check_damage(
        |file| drop(file.tensors.insert(name.into(), tensor(0.0, [4, 6]))),
        "tensor `layers.1.operator_encoder.weight`: expected shape [4, 12], found [4, 6]",
    );
    check_damage(|file| drop(file.tensors.insert(name.into(), tensor(f32::NAN, [4, 12]))), "found NaN or infinity");
    check_damage(|file| drop(file.tensors.insert("other".into(), tensor(0.0, [1, 1]))), "unexpected tensor `other`");
    check_damage(|file| drop(file.tensors.remove("operators")), "no tensor `operators`");
    check_damage(
        |file| drop(file.tensors.insert("operators".into(), tensor(0.0, [2, 6]))),
        "operator embeddings: expected shape [3, 6], found [2, 6]",
    );
    check_damage(|file| drop(file.metadata.remove("encoder")), "no metadata `encoder`");
    check_damage(|file| drop(file.metadata.insert("step".into(), "x".into())), "expected a whole number, found `x`");
    check_damage(
        |file| drop(file.metadata.insert("format_version".into(), "9".into())),
        "expected format version 1 or older, found 9",
    );
    check_damage(|file| drop(file.metadata.insert("configuration".into(), "{}".into())), "has no `controller`");
}

#[test]
fn an_unwritable_place_is_named_and_nothing_is_lost() {
    let folder = folder();
    let path = folder.path().join("kept.safetensors");
    checkpoint().save(&path).expect("saved");
    let before = std::fs::read(&path).expect("bytes");
    let error = whole_error(checkpoint().save(&path.join("below-a-file")));
    assert!(error.contains("below-a-file") && error.contains("hint"), "{error}");
    assert_eq!(std::fs::read(&path).expect("bytes"), before);
}

#[test]
fn a_published_state_dict_is_imported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/published.pth");
    let tensors = state_dict(&path).expect("a state dict");
    let config = ControllerConfig::of_state_dict(&tensors).expect("a controller's");
    let expected = ControllerConfig { layers: 2, hidden: 4, embedding: 6, ..ControllerConfig::published() };
    assert_eq!(config, expected);
    let weight = tensors["layers.1.operator_encoder.weight"].to_vec2::<f32>().expect("a matrix");
    assert_eq!((weight[0][0], weight[3][11]), (-2.0, 2.75));
    let operators = controller().operators().clone();
    Controller::from_tensors(config, SIGNATURES.to_vec(), &operators, &tensors, &Device::Cpu).expect("a controller");

    let folder = folder();
    let cut = folder.path().join("cut.pth");
    let bytes = std::fs::read(&path).expect("bytes");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    assert!(whole_error(state_dict(&cut)).contains("cut.pth"));
}
