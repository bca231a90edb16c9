//! `consort withdraw`: takes back the input that waits.

use std::path::PathBuf;

use serde_json::Value;

use super::{
    Failure,
    client::{Client, block_on},
    println,
};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort withdraw --home ~/.consort\n      makes room for another input, where whoever handed one in does not wait for it any more\n\nExit code 1: none waits, or a round has it and its masked vector may have left."
)]
pub(super) struct Arguments {
    /// The home of the running daemon
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// One JSON object on standard output: the input's state, as `GET /v1/inputs/{id}` has it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    block_on(async {
        let client = Client::new(&arguments.home);
        let status: Value = client.get("/v1/status").await?;
        let Some(id) = status.pointer("/input/input_id").and_then(Value::as_str) else {
            return Err(Failure::Failed("no input is waiting, so none was taken back".into()));
        };
        let refused = |failure| match failure {
            Failure::Failed(words) => Failure::Failed(format!("input {id}: {words}")),
            other => other,
        };
        let state: Value = client
            .delete(&format!("/v1/inputs/{id}"))
            .await
            .map_err(|unanswered| refused(unanswered.into()))?;
        let text = |key: &str| state.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("state") == "aggregated" {
            let round = state.get("round").and_then(Value::as_u64).unwrap_or_default();
            return Err(refused(Failure::Failed(format!("round {round} has used it just now"))));
        }
        println(&match arguments.json {
            true => state.to_string(),
            false => format!("input {id} does not wait any more: {}", text("reason")),
        });
        Ok(())
    })
}
