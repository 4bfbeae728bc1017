//! Several models: their definitions, their books, one cap over all, their keys.

use std::fs;

use anyhow::{Context, Result};
use lamas::operation::Catalogue;
use serde_json::Value;

use crate::server::Seen;
use crate::two_models::{LARGE_KEY, Output, Place, SMALL_KEY, generator, two};

/// Settings of a training run that starts with drawn plans: a survey of all small plans takes long.
fn no_survey(place: &Place) -> Result<()> {
    Ok(fs::write(place.path("train.toml"), "[training.survey]\noperators = 0\n")?)
}

fn bearer(seen: &[Seen]) -> Vec<String> {
    let header = |seen: &Seen| {
        let line = seen.head.lines().find(|line| line.to_lowercase().starts_with("authorization:"));
        line.map_or(String::new(), |line| line.rsplit(' ').next().unwrap_or_default().to_owned())
    };
    seen.iter().map(header).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_model_has_its_server_its_key_its_price_and_its_books() -> Result<()> {
    let place = Place::new().await?;
    place.benchmark(&(two() + place.models().as_str()))?;
    let plan = ["run", "what is 6 times 7 ?", "--plan", "Small,Large;Vote", "--json", "--cancel", "virtual"];
    let Output { code, out, errors } = place.lamas(&plan).await?;
    assert_eq!(code, Some(0), "{errors}");
    for (seen, key, model) in [(place.small.seen(), SMALL_KEY, "s-1"), (place.large.seen(), LARGE_KEY, "l-1")] {
        assert_eq!((bearer(&seen), &seen[0].body["model"]), (vec![key.to_owned()], &model.into()));
    }
    let answered: Value = serde_json::from_str(&out)?;
    let costs: Vec<f64> = answered["trace"]["spans"]
        .as_array()
        .context("spans")?
        .iter()
        .filter_map(|span| span["cost"].as_f64())
        .collect();
    for (found, expected) in costs.iter().zip([50e-6, 580e-6, 0.0]) {
        assert!((found - expected).abs() < 1e-12, "{costs:?}");
    }
    for line in [
        "model `small`: 1 of 1 requests answered, 40 + 5 tokens, 0 lost, 0.000050 $",
        "model `large`: 1 of 1 requests answered, 40 + 9 tokens, 0 lost, 0.000580 $",
        "all models: 2 of 2 requests answered, 94 tokens, 0.000630 $",
    ] {
        assert!(errors.contains(line), "{line}: {errors}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cap_holds_over_all_models() -> Result<()> {
    let place = Place::new().await?;
    place.benchmark(&(two() + place.models().as_str()))?;
    // All models together: 16 problems x 2 operators, 45 and 49 tokens each.
    let record = ["record", "--out", "r.jsonl"];
    let whole = place.lamas(&record).await?;
    assert_eq!(whole.code, Some(0), "{}", whole.errors);
    assert!(
        whole.errors.contains("all models: 32 of 32 requests answered, 1504 tokens, 0.010080 $"),
        "{}",
        whole.errors
    );
    let books = |errors: &str, of: &str, unit: &str| -> f64 {
        let line = errors.lines().find(|line| line.starts_with(of)).unwrap_or_default();
        line.split(unit).next().and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    };
    // Each model alone would use fewer tokens than the cap.
    for (flag, cap, unit, total) in
        [("--max-cost", 0.003, " $", 0.01008), ("--max-tokens", 1100.0, " tokens, ", 1504.0)]
    {
        let (path, most) = (format!("{flag}.jsonl"), cap.to_string());
        let capped = place.lamas(&["record", &format!("--out={path}"), flag, &most]).await?;
        assert_eq!(capped.code, Some(3), "{}", capped.errors);
        assert!(capped.errors.contains(&format!("{flag} {most}")), "{}", capped.errors);
        let spent = books(&capped.errors, "all models", unit);
        assert!(spent > 0.0 && spent <= cap, "{}", capped.errors);
        let [small, large] = ["model `small`", "model `large`"].map(|of| books(&capped.errors, of, " $"));
        let sum = books(&capped.errors, "all models", " $");
        assert!((small + large - sum).abs() < 2e-6, "{}", capped.errors);
        assert!(flag == "--max-cost" || small > 0.0 && large > 0.0, "{}", capped.errors);
        let resumed = place.lamas(&["record", &format!("--out={path}"), flag, "100000"]).await?;
        assert_eq!(resumed.code, Some(0), "{}", resumed.errors);
        // What was in progress when the cap was reached is paid for, and may be asked again.
        assert!(books(&resumed.errors, "all models", unit) + spent > total - 2e-6, "{}", resumed.errors);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_before_anybody_is_asked() -> Result<()> {
    let place = Place::new().await?;
    let check = async |catalogue: String, keys: &[(&str, &str)], expected: &[&str]| -> Result<()> {
        place.benchmark(&catalogue)?;
        let Output { code, errors, .. } = place.lamas_with(&["run", "1 + 1 ?", "--plan", "Go"], keys).await?;
        assert_eq!(code, Some(1), "{errors}");
        assert!(expected.iter().all(|part| errors.contains(part)), "{expected:?}: {errors}");
        assert_eq!(place.small.seen().len() + place.large.seen().len(), 0);
        Ok(())
    };
    let both = [("SMALL_KEY", SMALL_KEY), ("LARGE_KEY", LARGE_KEY)];
    let models = place.models();
    check(
        generator("Go", "model = \"medium\"") + models.as_str(),
        &both,
        &["catalogue.toml:1: operator `Go`: ", "that is defined (large, small), found `medium`; hint: "],
    )
    .await?;
    check(
        generator("Go", "") + models.as_str(),
        &both,
        &["catalogue.toml:1: operator `Go`: expected which of the models (large, small) it asks, found none; hint: "],
    )
    .await?;
    check(
        generator("Go", "model = \"large\"") + models.as_str(),
        &both[..1],
        &[
            "catalogue.toml:14: model `large`: expected its key in the environment variable `LARGE_KEY`, found none",
            "hint: `export LARGE_KEY=KEY`",
        ],
    )
    .await?;
    check(
        generator("Go", "model = \"large\"") + models.as_str() + models.as_str(),
        &both,
        &["catalogue.toml:20: model `small`: expected a unique name, found that of line 8"],
    )
    .await?;
    check(
        generator("Go", "model = \"large\"") + models.replace("prices", "# ").as_str(),
        &both,
        &["catalogue.toml:14: model `large`: expected its price, found none for `l-1`", "hint: `prices = { prompt"],
    )
    .await?;
    check(
        generator("Go", "model = \"small\"\nhedge = 2\nhedge_with = [\"huge\"]") + models.as_str(),
        &both,
        &["operator `Go`: `hedge_with`: expected a model that is defined (large, small), found `huge`"],
    )
    .await?;
    check(
        generator("Go", "hedge = 2") + "[[model]]\nname = \"own\"\nfolder = \"nowhere\"\n",
        &both,
        &["catalogue.toml:8: model `own`: ", "nowhere"],
    )
    .await?;
    check(generator("Go", "hedge = 2"), &both, &["operator `Go`: `hedge` sends a request to several servers"]).await?;
    let capped = place.lamas(&["run", "1 + 1 ?", "--plan", "Go", "--max-cost", "1", "--benchmark", "gsm8k"]).await?;
    assert!(capped.code == Some(1) && capped.errors.contains("limit what endpoints are asked"), "{}", capped.errors);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_say_where_the_models_of_a_catalogue_are() -> Result<()> {
    let place = Place::new().await?;
    // Nobody is at the catalogue's addresses.
    let elsewhere = place.models().replace("http://127.0.0.1", "http://127.0.0.2");
    place.benchmark(&(two() + elsewhere.as_str()))?;
    fs::write(place.path("own.toml"), place.models() + "in_flight = 2\n[training]\nepochs = 1\n")?;
    let plan = ["run", "what is 6 times 7 ?", "--plan", "Large", "--config", "own.toml"];
    let Output { code, out, errors } = place.lamas(&plan).await?;
    assert!(code == Some(0) && out.contains("answer: 42"), "{errors}");
    // A single model answers operators that name none, and an operator that only votes asks nobody.
    place.benchmark(&two().replace("model = \"small\"", "").replace("model = \"large\"", ""))?;
    let only = place.models();
    let only = only.split("[[model]]").nth(2).context("a second model")?;
    fs::write(place.path("own.toml"), format!("[[model]]{only}"))?;
    let Output { code, errors, .. } = place.lamas(&plan).await?;
    assert!(code == Some(0) && errors.contains("model `large`: 1 of 1"), "{errors}");
    assert_eq!((place.small.seen().len(), place.large.seen().len()), (0, 2));
    // A local model beside one at an endpoint.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models/arithmetic-llama");
    let small = place.models();
    let small = small.split_at(small.rfind("[[model]]").context("a second model")?).0;
    let local = format!("{small}[[model]]\nname = \"large\"\nfolder = \"{folder}\"\nprices = {{ price = 3 }}\n");
    fs::write(place.path("own.toml"), local)?;
    place.benchmark(&two())?;
    let both = ["run", "what is 6 times 7 ?", "--plan", "Small,Large;Vote", "--config", "own.toml", "--json"];
    let Output { code, out, errors } = place.lamas(&[&both[..], &["--cancel", "virtual"]].concat()).await?;
    assert!(code == Some(0) && errors.contains("model `small`: 1 of 1"), "{errors}");
    let spans = serde_json::from_str::<Value>(&out)?["trace"]["spans"].clone();
    let paid = |span: &Value| (span["usage"]["prompt_tokens"].as_f64(), span["usage"]["completion_tokens"].as_f64());
    let (Some(read), Some(written)) = paid(&spans[1]) else { anyhow::bail!("no tokens: {spans}") };
    assert!(
        written > 0.0 && (spans[1]["cost"].as_f64().unwrap_or(0.0) - 3e-6 * (read + written)).abs() < 1e-12,
        "{spans}"
    );
    fs::write(place.path("own.toml"), "[model]\nname = \"small\"\n")?;
    let Output { code, errors, .. } = place.lamas(&both).await?;
    assert!(code == Some(1) && errors.contains("own.toml: expected `[[model]]` tables, in two brackets"), "{errors}");
    fs::write(place.path("own.toml"), place.models().replace("\"l-1\"", "\"\""))?;
    let Output { code, errors, .. } = place.lamas(&plan).await?;
    assert!(
        code == Some(1) && errors.contains("own.toml:7: model `large`: expected what the endpoint calls"),
        "{errors}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_its_models_and_passed_on_gets_no_key_unasked() -> Result<()> {
    let place = Place::new().await?;
    place.benchmark(&(two() + place.models().as_str()))?;
    no_survey(&place)?;
    let train = ["train", "--config", "train.toml", "--epochs", "1", "--no-evaluation", "--out", "run"];
    let trained = place.lamas(&train).await?;
    assert_eq!(trained.code, Some(0), "{}", trained.errors);
    let lines = fs::read_to_string(place.path("run/record.jsonl"))?;
    for shown in ["\"model\":\"small (s-1@http://", "\"model\":\"large (l-1@http://"] {
        assert!(lines.contains(shown), "{lines}");
    }
    let asked = || place.small.seen().len() + place.large.seen().len();
    let before = asked();
    // Whoever made the run may use what it names.
    let run = ["run", "what is 6 times 7 ?", "--checkpoint", "run"];
    let own = place.lamas(&run).await?;
    assert_eq!(own.code, Some(0), "{}", own.errors);
    assert!(asked() > before);
    let before = asked();
    let state = place.path("other").display().to_string();
    let other = [("XDG_STATE_HOME", state.as_str()), ("SMALL_KEY", SMALL_KEY), ("LARGE_KEY", LARGE_KEY)];
    for command in [&run[..], &["evaluate", "run", "--alone"], &["train", "--resume", "run"]] {
        let refused = place.lamas_with(command, &other).await?;
        assert_eq!((refused.code, asked()), (Some(1), before), "{command:?} {}", refused.errors);
        let expected = format!("would send your LARGE_KEY to `{}/v1`", place.large.url);
        assert!(refused.errors.contains(&expected), "{command:?} {}", refused.errors);
        assert!(refused.errors.contains(&format!("--send-key LARGE_KEY={}/v1", place.large.url)), "{}", refused.errors);
    }
    let [small, large] = [("SMALL_KEY", &place.small), ("LARGE_KEY", &place.large)]
        .map(|(variable, server)| format!("--send-key={variable}={}", server.url));
    let half = place.lamas_with(&[&run[..], &[&large]].concat(), &other).await?;
    assert!(half.code == Some(1) && half.errors.contains("would send your SMALL_KEY"), "{}", half.errors);
    let admitted = place.lamas_with(&[&run[..], &[&small, &large]].concat(), &other).await?;
    assert_eq!(admitted.code, Some(0), "{}", admitted.errors);
    // A different model is a different operator, and this is reported.
    let changed = two() + place.models().as_str();
    place.benchmark(&changed.replacen("model = \"small\"", "model = \"large\"", 1))?;
    let drifted = place.lamas(&run).await?;
    assert!(drifted.code == Some(0) && drifted.errors.contains("`Small` (model)"), "{}", drifted.errors);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_catalogue_is_listed_and_can_be_served_elsewhere() -> Result<()> {
    let place = Place::new().await?;
    place.benchmark(&two())?;
    let Output { code, out, errors } = place.lamas(&["catalogues"]).await?;
    assert!(code == Some(0) && out.contains("two-models") && out.contains("LargeGenerateCoT"), "{out}{errors}");
    let Output { out, .. } = place.lamas(&["catalogues", "two-models", "--text"]).await?;
    let catalogue = Catalogue::parse(out, "two-models")?;
    assert_eq!(catalogue.models().keys().collect::<Vec<_>>(), ["large", "small"]);
    fs::write(place.path("own.toml"), place.models())?;
    let plan = "GenerateCoT,LargeGenerateCoT;ScEnsemble";
    let run = ["run", "what is 6 times 7 ?", "--catalogue", "two-models", "--config", "own.toml", "--plan", plan];
    let run = [&run[..], &["--cancel", "virtual"]].concat();
    let Output { code, errors, .. } = place.lamas(&run).await?;
    assert!(code == Some(0) && errors.contains("model `small`: 1 of 1"), "{errors}");
    assert_eq!((place.small.seen().len(), place.large.seen().len()), (1, 1));
    let Output { code, errors, .. } = place.lamas(&["catalogues", "three-models"]).await?;
    assert!(code == Some(1) && errors.contains("built-in ones: two-models"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_asks_every_model() -> Result<()> {
    let place = Place::new().await?;
    place.benchmark(&(two() + place.models().as_str()))?;
    let Output { code, out, errors } = place.lamas(&["doctor"]).await?;
    assert_eq!(code, Some(0), "{out}{errors}");
    for server in [&place.small, &place.large] {
        assert!(out.contains(&server.url) && server.seen().len() == 1, "{out}");
    }
    let Output { code, out, .. } = place.lamas_with(&["doctor"], &[("SMALL_KEY", SMALL_KEY)]).await?;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("expected its key in LARGE_KEY, found none; hint: `export LARGE_KEY=KEY`"), "{out}");
    Ok(())
}
