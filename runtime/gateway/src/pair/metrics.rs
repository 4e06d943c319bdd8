//! Figures of the pair at this node, active or not, for Prometheus. What each means stands in `runtime/README.md`.

use super::desk::{Figures, PairDesk};
use crate::metrics::Page;

const S: f64 = 1e9;

/// Adds them; none if the driver of the pair has ended.
pub async fn add(page: &mut Page, desk: &PairDesk) {
    let Some(figures) = desk.figures().await else { return };
    role(page, &figures);
    others(page, &figures);
    copy(page, &figures);
}

fn role(page: &mut Page, figures: &Figures) {
    let look = &figures.look;
    page.family("gwp_pair_state", "gauge");
    page.line("gwp_pair_state", Some(("state", look.state.name())), 1.0);
    page.one("gwp_pair_active", "gauge", flag(look.role.holds()));
    page.one("gwp_pair_redundant", "gauge", flag(figures.is_redundant));
    page.one("gwp_pair_epoch", "gauge", f64::from(look.epoch));
    page.one("gwp_pair_lease_seconds", "gauge", look.lease_left.map_or(0.0, |ns| ns as f64 / S));
    page.one("gwp_pair_alone", "gauge", flag(look.alone));
    page.one("gwp_pair_switches_total", "counter", look.switches as f64);
    page.one("gwp_pair_latched", "gauge", flag(look.failback.latched));
}

fn others(page: &mut Page, figures: &Figures) {
    let look = &figures.look;
    page.family("gwp_pair_silent_seconds", "gauge");
    for (member, heard) in [("peer", &look.peer), ("witness", &look.witness)] {
        if let Some((_, ns)) = heard {
            page.line("gwp_pair_silent_seconds", Some(("member", member)), *ns as f64 / S);
        }
    }
    page.family("gwp_pair_link_silent_seconds", "gauge");
    for (number, link) in look.wire.silent_for.iter().enumerate() {
        if let Some(ns) = link[figures.peer.index()] {
            page.line("gwp_pair_link_silent_seconds", Some(("link", &number.to_string())), ns as f64 / S);
        }
    }
    page.family("gwp_pair_datagrams_refused_total", "counter");
    for (why, count) in &look.wire.refused {
        page.line("gwp_pair_datagrams_refused_total", Some(("why", why)), *count as f64);
    }
}

fn copy(page: &mut Page, figures: &Figures) {
    page.one("gwp_pair_in_step", "gauge", flag(figures.is_in_step));
    page.one("gwp_pair_asides", "gauge", figures.asides as f64);
    page.one("gwp_pair_aside_records_left", "gauge", figures.aside_records_left as f64);
    // Only the active knows.
    let Some(lag) = figures.lag else { return };
    page.one("gwp_pair_lag_changes", "gauge", lag.changes as f64);
    page.one("gwp_pair_lag_bytes", "gauge", lag.bytes as f64);
    page.one("gwp_pair_lag_seconds", "gauge", lag.ns as f64 / S);
    page.one("gwp_pair_given_bytes_total", "counter", figures.given_bytes as f64);
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}
