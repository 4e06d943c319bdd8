//! Certificates of OPC UA and looking around in a server, by the commands.

use crate::{ask, refused, said};
use gwp_tests::{gwp, peers_wanted, python_with, workspace};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[test]
fn certificates_are_kept_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ls = said(&ask(folder, &["certs", "ls"]));
    assert!(ls.contains("no own certificate yet"), "{ls}");
    assert!(!folder.join("data").exists(), "looking makes nothing");

    let told = said(&ask(folder, &["certs", "export", "--own", "gwp.der"]));
    let thumbprint = told.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(thumbprint.len(), 40, "{told}");
    said(&ask(folder, &["certs", "export", "gwp.pem"]));
    assert!(
        std::fs::read_to_string(folder.join("gwp.pem")).unwrap().starts_with("-----BEGIN CERTIFICATE-----")
    );
    // No file is written over.
    assert!(refused(&ask(folder, &["certs", "export", "gwp.pem"]), 2).contains("gwp.pem cannot be written"));

    // Another gateway's certificate stands in for a server's: as PEM, by its file, and by its thumbprint.
    let other = ask(folder, &["certs", "trust", "gwp.pem", "--data", "other"]);
    assert!(said(&other).contains("is trusted"));
    let of_other = |args: &[&str]| ask(folder, &[args, &["--pki", "other/pki"]].concat());
    assert!(said(&of_other(&["certs", "trust", &thumbprint])).contains("was trusted already"));
    let ls = said(&of_other(&["certs", "ls"]));
    assert!(ls.contains(&format!("trusted  {thumbprint}")), "{ls}");
    assert!(
        said(&of_other(&["certs", "reject", &thumbprint[..6].to_uppercase()])).contains("trusted no more")
    );
    let json: serde_json::Value = serde_json::from_str(&said(&of_other(&["certs", "ls", "--json"]))).unwrap();
    assert_eq!(json[0]["state"], "rejected");
    assert_eq!(json[0]["thumbprint"], thumbprint.as_str());
    assert!(json[0]["application_uri"].as_str().unwrap().starts_with("urn:"), "{json}");

    assert!(refused(&of_other(&["certs", "trust", "00"]), 1).contains("`gwp certs ls` lists them"));
    std::fs::write(folder.join("notes.txt"), "call Anna").unwrap();
    assert!(refused(&of_other(&["certs", "trust", "notes.txt"]), 1).contains("no X.509 certificate"));
}

/// The server of asyncua, with its address. It ends with this value.
struct Server(Child, String);

impl Server {
    fn start(folder: &Path) -> Server {
        let mut child = Command::new(python_with(&["asyncua==2.1.0"]))
            .arg(workspace().join("tests/peers/opcua_server.py"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("READY ").unwrap_or_else(|| panic!("not ready: {line}"));
        Server(child, format!("opc.tcp://127.0.0.1:{port}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn with_password(folder: &Path, url: &str, password: &str) -> Output {
    let mut command = Command::new(gwp());
    command.current_dir(folder).args(["browse", url, "--user", "anna", "--password-stdin"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_server_is_trusted_and_looked_at() {
    if !peers_wanted("a_server_is_trusted_and_looked_at") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(&folder.join("server"));
    let url = server.1.as_str();
    let told = refused(&ask(folder, &["browse", url]), 1);
    // The remedy is a command that does it.
    let remedy = told.split('`').nth(1).unwrap_or_else(|| panic!("{told}"));
    let words: Vec<&str> = remedy.split(' ').skip(1).collect();
    assert!(said(&ask(folder, &words)).contains("is trusted"), "{remedy}");
    let ls = said(&ask(folder, &["certs", "ls"]));
    assert!(ls.contains("urn:gwp:test:asyncua") && ls.contains(url), "{ls}");

    let tree = said(&ask(folder, &["browse", url]));
    assert!(tree.contains("nsu=urn:gwp:plant;s=Line.Speed") && tree.contains("12.5"), "{tree}");
    assert!(refused(&with_password(folder, url, "guess\n"), 1).contains("refuses the user anna"));
    assert!(said(&with_password(folder, url, "secret\n")).contains("Types.Guid"));
    let line = ["browse", url, "--start", "nsu=urn:gwp:plant;s=Line", "--tags"];
    let tags = said(&ask(folder, &line));
    assert_eq!(
        tags,
        "  tag Speed at \"nsu=urn:gwp:plant;s=Line.Speed\" : lreal  // can be written\n  \
           tag Count at \"nsu=urn:gwp:plant;s=Line.Count\" : dint  // can be written\n"
    );
    let gone = refused(&ask(folder, &["browse", url, "--start", "nsu=urn:gone;i=1"]), 1);
    assert!(gone.contains("no namespace urn:gone"), "{gone}");
    let nobody = refused(&ask(folder, &["browse", "opc.tcp://127.0.0.1:1"]), 1);
    assert!(nobody.contains("nothing answers at opc.tcp://127.0.0.1:1"), "{nobody}");
}
