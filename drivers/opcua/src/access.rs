//! Who the gateway is to the server, and how messages are protected: settings of the source.

use crate::security::{self, Identity, Mode, Options, Policy};
use gwp_core::manifest::{Need, Setting, SettingError, SettingKind, Settings};
use gwp_driver_kit::settings::error;
use std::path::PathBuf;

const fn text(name: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: SettingKind::Text, need: Need::Optional, doc }
}

pub const SECURITY: Setting = Setting {
    name: "security",
    kind: SettingKind::Choice(&["none", "sign", "sign_and_encrypt"]),
    need: Need::Default("sign_and_encrypt"),
    doc: "How messages are protected. `none`: anybody on the way can read and change them.",
};

pub const POLICY: Setting = Setting {
    name: "policy",
    kind: SettingKind::Choice(&["basic256_sha256", "aes128_sha256_rsa_oaep", "aes256_sha256_rsa_pss"]),
    need: Need::Optional,
    doc: "Algorithms of the secure channel; without it the best that the server offers.",
};

pub const USER: Setting = text("user", "User name at the server; without one (or a certificate) anonymous.");

pub const PASSWORD: Setting =
    Setting { name: "password", kind: SettingKind::Secret, need: Need::Optional, doc: "Password of `user`." };

pub const USER_CERTIFICATE: Setting = text(
    "user_certificate",
    "File, on the node, of a certificate to log in with (DER or PEM), in place of `user`.",
);

pub const USER_KEY: Setting =
    text("user_key", "File, on the node, of the private key of `user_certificate` (PEM).");

pub const CHECK_NAMES: Setting = Setting {
    name: "check_names",
    kind: SettingKind::Bool,
    need: Need::Default("true"),
    doc: "Compares host and application of the server's certificate with those that are met. It must be trusted \
          either way.",
};

pub const PKI_FOLDER: Setting = Setting {
    name: "pki",
    kind: SettingKind::Text,
    need: Need::Optional,
    doc: "Folder, on the node, with the gateway's own certificate and those of trusted servers; without it `pki` in \
          the data directory. `gwp certs` shows it.",
};

/// How to connect to `url`; `None` while a part of it is a reference that only a node can resolve.
pub fn connection(settings: &Settings, url: String, errors: &mut Vec<SettingError>) -> Option<Options> {
    let mut options = Options::new(url, settings.text("pki").map_or_else(security::folder, PathBuf::from));
    options.mode = settings.text("security").and_then(Mode::of_word).unwrap_or_default();
    options.policy = settings.text("policy").and_then(Policy::of_word);
    options.check_names = settings.bool("check_names").unwrap_or(true);
    let both = |name: &'static str, other: &'static str| {
        error(name, format!("`{name}` needs `{other}`"), format!("add `{other}`, or leave `{name}` out"))
    };
    let is_there = |name: &str| settings.get(name).is_some();
    let pairs = [
        ("user", "password"),
        ("password", "user"),
        ("user_certificate", "user_key"),
        ("user_key", "user_certificate"),
    ];
    for (name, other) in pairs {
        if is_there(name) && !is_there(other) {
            errors.push(both(name, other));
        }
    }
    if is_there("user") && is_there("user_certificate") {
        let help = "leave one of them out";
        errors.push(error("user_certificate", "there is a `user` and a `user_certificate`", help));
    }
    if ["user", "password", "user_certificate", "user_key"].iter().any(|name| settings.is_unresolved(name)) {
        return None;
    }
    let pair = |name, other| Some((settings.text(name)?.to_owned(), settings.text(other)?.to_owned()));
    if let Some((name, password)) = pair("user", "password") {
        options.identity = Identity::User { name, password };
    } else if let Some((certificate, key)) = pair("user_certificate", "user_key") {
        options.identity = Identity::Certificate { certificate: certificate.into(), key: key.into() };
    }
    Some(options)
}
