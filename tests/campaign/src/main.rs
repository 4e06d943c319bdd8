//! The fault campaign: a pair of nodes and its witness as processes, faults in processes, networks, clocks and disks,
//! and a checker that compares what arrived with what was served. See `tests/README.md`.

#[cfg(target_os = "linux")]
mod arrivals;
#[cfg(target_os = "linux")]
mod campaign;
#[cfg(target_os = "linux")]
mod checker;
#[cfg(all(test, target_os = "linux"))]
mod checker_tests;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod controls;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod net;
#[cfg(target_os = "linux")]
mod plant;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
mod random;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod runner;
#[cfg(target_os = "linux")]
mod scenario;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
mod single;
#[cfg(target_os = "linux")]
mod spaces;
#[cfg(target_os = "linux")]
mod stalls;
#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
#[derive(clap::Parser, Debug)]
#[command(name = "campaign", about = "Faults in a pair of gateways, and what becomes of samples")]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    campaign: campaign::CampaignArgs,
}

/// Parts of a campaign that are processes of their own.
#[cfg(target_os = "linux")]
#[derive(clap::Subcommand, Debug)]
enum Role {
    #[command(hide = true)]
    One(single::OneArgs),
    #[command(hide = true)]
    Device(device::DeviceArgs),
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let args = <Args as clap::Parser>::parse();
    let holds = match &args.role {
        None => campaign::run(&args.campaign),
        Some(Role::Device(device)) => device::run(device).map(|()| true),
        Some(Role::One(one)) => {
            let listed = table::all().into_iter().find(|scenario| scenario.id == one.scenario);
            let scenario = one.control.map(|control| control.job().1).or(listed);
            scenario
                .map(|scenario| scenario.times(one.times))
                .ok_or("no such scenario".to_owned())
                .and_then(|scenario| single::run(one, &scenario))
                .map(|()| true)
        }
    };
    match holds {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::from(2)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the campaign breaks networks, disks and clocks of Linux");
    std::process::exit(2);
}
