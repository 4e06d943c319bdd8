//! `gwp witness`: the third vote of a pair.

use crate::pair::key::{PairKey, boot_id};
use crate::stop_signal::StopSignal;
use crate::{log, report};
use anyhow::{Context, bail};
use gwp_cluster::witness::{WitnessConfig, start};
use gwp_syntax::{Diagnostics, SourceMap};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct WitnessArgs {
    /// Its file: `[witness]` with `key` and `listen`, `[node]` with `data`
    file: PathBuf,
    /// Stop by itself after this time, for example 10s, 5min
    #[arg(long = "for", value_parser = crate::duration::parse_duration, value_name = "TIME")]
    run_for: Option<Duration>,
}

pub fn witness(args: &WitnessArgs) -> anyhow::Result<ExitCode> {
    let (mut sources, mut found) = (SourceMap::default(), Diagnostics::default());
    let node = crate::node::load(&args.file, &mut sources, &mut found)
        .with_context(|| format!("{} cannot be read", args.file.display()))?;
    let failed = found.has_errors();
    report::print(&found.into_sorted(), &sources);
    if failed {
        return Ok(ExitCode::FAILURE);
    }
    let Some(member) = &node.witness else {
        bail!("{} has no [witness] with `key` and `listen`", args.file.display());
    };
    log::start(&node);
    let key = PairKey::load(&member.key)?;
    std::fs::create_dir_all(&node.data)
        .with_context(|| format!("the data directory {} cannot be used", node.data.display()))?;
    let witness = start(WitnessConfig {
        timing: key.timing,
        secret: key.secret,
        boot: boot_id()?,
        listen: member.listen.clone(),
        votes: node.data.join("votes"),
        clock: gwp_engine::clock::boot,
    })?;
    for address in &witness.addresses {
        tracing::info!(%address, data = %node.data.display(), "the witness votes");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = witness.ended.clone();
    let failed = runtime.block_on(async {
        let mut stop = StopSignal::new();
        tokio::select! {
            reason = stop.wait(args.run_for) => {
                tracing::info!(reason, "stopping");
                false
            }
            () = async { ended.notified().await } => true,
        }
    });
    drop(witness);
    if failed {
        tracing::error!("the vote cannot be kept any more: look at the disk, then start the witness again");
        return Ok(ExitCode::from(3));
    }
    Ok(ExitCode::SUCCESS)
}
