//! The graph goes back to the primary by itself: when, is in `node.toml`, and the clock on the wall is looked at here.

use crate::node::Failback;
use gwp_cluster::driver::Inputs;
use gwp_redundancy::node::Input;
use std::time::Duration;

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tells the machine whether the window is open, as long as it runs.
pub fn watch_window(failback: &Failback, inputs: Inputs) {
    let Failback::Auto { window: Some(window), .. } = *failback else { return };
    tokio::spawn(async move {
        loop {
            inputs.send(Input::FailbackWindow(window.is_open(jiff::Zoned::now().time())));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}
