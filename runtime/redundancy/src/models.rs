//! The rules checked exhaustively: all orders of events of small pairs.

mod data;
mod explore;
mod pair;
mod pair_runs;
mod runs;
mod sweep;

/// A name that no run has would pass without having shown anything.
#[test]
fn long_models_are_called_so() {
    let names: Vec<&str> = pair_runs::names().chain(data::runs::names()).collect();
    let wanted = std::env::var("GWP_LONG_MODELS").unwrap_or_default();
    for word in wanted.split(',').filter(|word| !["", "1"].contains(word)) {
        let known = names.iter().any(|name| runs::means(word, name));
        assert!(known, "GWP_LONG_MODELS: no run is called {word}; there are {}", names.join(", "));
    }
}
